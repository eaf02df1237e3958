//! A workflow of each status, and one of each event.

use crate::*;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::retry::Retry;
use parkbrake::domain::workflow::{
    Approval, Command, Event, FreezeException, GlassBroken, GrantedApproval, Outcome, ProbeAnswer, Resolution, Submission, Workflow,
};
use serde_json::json;
use std::collections::BTreeMap;

/// A workflow for every row of the first table, and so for every phase.
pub fn states() -> BTreeMap<&'static str, Workflow> {
    let ended = |outcome| answered(&executing(ActionKind::External, false), &Command::Finish { attempt: of(1), outcome });
    let unknown = Outcome::Unknown { reason: "gone".to_owned() };
    let parked = parked(&terms());
    let alone = || vec![("deploy-bot", submitted(ActionKind::External, false)), ("deploy-bot", started(1))];
    BTreeMap::from([
        ("`pending_approval`", parked.clone()),
        ("`pending_approval` (runbook)", parked_of(ActionKind::Runbook, &terms())),
        ("`queued`", queued(false)),
        ("`queued` (nobody was asked)", fold(&[("deploy-bot", submitted(ActionKind::Runbook, false)), ("deploy-bot", released(1))])),
        ("`queued` (it failed, and pauses before a retry)", resting()),
        ("`executing` (external)", executing(ActionKind::External, false)),
        ("`executing` (runbook, idempotent)", executing(ActionKind::Runbook, true)),
        ("`executing` (runbook, not idempotent)", executing(ActionKind::Runbook, false)),
        ("`executing` (runbook, cancelled)", answered(&executing(ActionKind::Runbook, true), &cancel("deploy-bot"))),
        ("`executing` (external, nobody was asked)", fold(&alone())),
        ("`outcome_unknown`", answered(&executing(ActionKind::Runbook, false), &Command::Finish { attempt: of(1), outcome: unknown })),
        ("`completed`", ended(succeeded())),
        ("`failed`", ended(failed())),
        ("`rejected`", answered(&parked, &reject_as("tess", &["team_lead"]))),
        ("`cancelled`", answered(&parked, &cancel("deploy-bot"))),
        ("`expired`", answered(&parked, &tick(EXPIRY))),
        ("`superseded`", answered(&parked, &supersede("deploy-bot", HERE))),
        ("`assessed` (inside a commit)", fold(&alone()[..1])),
        ("`approved` (inside a commit)", fold(&approved_log(ActionKind::External, false))),
    ])
}

/// One of every event, with all of its fields.
#[track_caller]
pub fn events() -> Vec<Event> {
    let text = || "text".to_owned();
    let digest = || Digest::of(b"");
    let Event::Submitted(submission) = submitted(ActionKind::Runbook, true) else { panic!("the first event") };
    let retry = Some(Retry { attempts: 2, backoff: FIRST });
    vec![
        Event::Submitted(Submission { retry, probe: true, ..Arc::unwrap_or_clone(submission) }.into()),
        Event::ApprovalRequested { round: 1, terms: terms().into(), reason: Some(text()), step: Some(1) },
        Event::Approved(Approval {
            round: 1,
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: Some(text()),
            remaining: 0,
            by_groups: Vec::new(),
            cover: Vec::new(),
        }),
        Event::GlassBroken(GlassBroken {
            round: 1,
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: text(),
            missing: 1,
        }),
        Event::Reviewed { broken_by: text(), roles: vec![text()], finding: text() },
        Event::Granted(GrantedApproval {
            round: 1,
            grant: HERE,
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: text(),
        }),
        Event::Rejected { round: 1, digest: digest(), roles: vec![text()], reason: text(), cover: Vec::new() },
        Event::Withdrawn { round: 1, roles: vec![text()], reason: text(), remaining: 1 },
        Event::Escalated { round: 1, level: 1, to: vec![text()] },
        Event::Expired { round: 1 },
        Event::Cancelled { round: Some(1), reason: text() },
        Event::CancelRequested { step: 1, attempt: 1, reason: text() },
        Event::Superseded { round: 1, by: HERE },
        Event::Commented { text: text(), ask: true },
        released(1),
        Event::RetryScheduled { step: 1, attempt: 2, after: FIRST },
        Event::FreezeExcepted(FreezeException {
            freeze: text(),
            until: at(FIRST),
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: text(),
        }),
        Event::DocumentRenewed { step: 1, attempt: 1, digest: digest(), reason: text(), changes: Vec::new() },
        Event::StartRefused { step: 1, attempt: 1, reason: text() },
        Event::ExecutionStarted { step: 1, attempt: 1, owner: HERE, token: Some(TOKEN) },
        Event::ExecutionSucceeded { step: 1, attempt: 1, output: Some(json!({})) },
        Event::ExecutionFailed { step: 1, attempt: 1, output: Some(json!({})), error: text() },
        Event::ExecutionCancelled { step: 1, attempt: 1, output: Some(json!({})), error: text() },
        Event::ReportRequested { step: 1, attempt: 1 },
        Event::OutcomeUnknown { step: 1, attempt: 1, reason: text() },
        Event::Probed { step: 1, attempt: 1, answer: ProbeAnswer::CannotTell, output: Some(json!({})), reason: Some(text()) },
        Event::Resolved { step: 1, attempt: 1, outcome: Resolution::Retry, roles: vec![text()], justification: text() },
    ]
}
