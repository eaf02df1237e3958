//! Notices in the form in which the notifier passes them to channels, of each kind and level.

use chrono::{DateTime, Utc};
use parkbrake::actors::ports::{Contact, Notice};
use parkbrake::domain::notice::Kind;
use parkbrake::domain::policy::ApprovalTerms;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::target::Target;
use parkbrake::domain::risk::{Assessment, Reason};
use parkbrake::domain::task::{ActionKind, Task};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::{
    Attempt, Decision, Discussion, Disposition, Ended, Plan, Round, RoundOutcome, Stage, StepState, Submission, Verdict, Workflow,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The base of the links.
pub const INBOX: &str = "https://parkbrake.example.com";

/// Text that would have a meaning in a mail, Slack, Markdown, HTML, a terminal or a template.
pub const HOSTILE: &str = "</script><img src=x onerror=alert(1)> <!channel> <@U999> <https://evil.example|click> *b* `c`\n```\n# out of the \
    fence\n````\r\nBcc: everybody@example.com\r\n\r\nbody\n.\n{{ 7 * 7 }} {% raw %} =?utf-8?q?hidden?= &lt; 🚀 \u{202e}drow\u{200b} ü";

/// A fixed time.
pub fn at() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().expect("a moment")
}

pub fn task(description: &str) -> Task {
    serde_json::from_value(json!({
        "description": description, "operation": "deploy", "environment": "production", "resource": "api-gateway",
        "resource_type": "code", "estimated_cost": 250.0,
        "action": {"type": "runbook", "name": "deploy-service", "args": {},
            "runs": {"command": ["deploy.sh", "api", "it's 1.4.2"], "working_dir": ".", "timeout": "10m", "idempotent": false}},
    }))
    .expect("a task")
}

/// A task in which every text is hostile.
pub fn hostile() -> Task {
    let mut task = task(HOSTILE);
    task.operation = HOSTILE.to_owned();
    task.resource = Some(HOSTILE.to_owned());
    task.environment = Some(HOSTILE.to_owned());
    task.task_id = Some(HOSTILE.to_owned());
    task
}

pub fn alice() -> Contact {
    Contact { name: "alice".to_owned(), email: Some("alice@example.com".to_owned()), slack: Some("U01".to_owned()), linear: None }
}

/// A notice about its own task.
pub fn notice(kind: Kind, level: Level) -> Notice {
    about(kind, level, task("Deploy api 1.4.2"))
}

/// A notice about a task.
pub fn about(kind: Kind, level: Level, task: Task) -> Notice {
    let id = Uuid::now_v7();
    let detail = format!("a deploy to {}", task.environment.as_deref().unwrap_or_default());
    let submission = Submission {
        task_id: task.task_id.clone(),
        requested_by: "deploy-bot".to_owned(),
        on_behalf_of: Some("tom".to_owned()),
        digest: task.digest(),
        assessment: Assessment {
            level,
            reasons: vec![Reason { trigger: "deploy_production".to_owned(), level, detail }],
            policy_version: task.digest(),
        },
        action: ActionKind::Runbook,
        idempotent: false,
        report_within: None,
        retry: None,
        probe: false,
        target: Some(Target::claimed(&task)),
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    let terms = ApprovalTerms {
        approvers: vec!["team_lead".to_owned(), "tech_lead".to_owned()],
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: Vec::new(),
        expire_after: Some(Duration::from_secs(86_400)),
    };
    let open = Round::open(1, (submission.digest.clone(), None), terms.into(), at());
    let decision = Decision {
        round: 1,
        approver: "alice".to_owned(),
        roles: vec!["team_lead".to_owned()],
        verdict: Verdict::Approved,
        justification: Some(task.description.clone()),
        remaining: 0,
        at: at(),
        via: Via::Rest,
        grant: (kind == Kind::Granted).then(|| Uuid::from_u128(5)),
        break_glass: kind == Kind::GlassBroken,
        cover: Vec::new(),
    };
    let begun = |outcome| Attempt {
        number: 1,
        owner: Uuid::nil(),
        token: None,
        started_at: at(),
        report_asked_at: None,
        cancel_requested: None,
        probed: false,
        outcome,
        resolved: None,
    };
    let (outcome, attempt) = match kind {
        Kind::Requested | Kind::Reminded | Kind::Escalated | Kind::GoalNears | Kind::Expiring | Kind::Asked | Kind::Answered => {
            (None, None)
        }
        Kind::Decided | Kind::Granted | Kind::GlassBroken | Kind::Reviewed | Kind::Executing | Kind::ReportOverdue => {
            (Some(RoundOutcome::Approved), Some(begun(None)))
        }
        Kind::Expired => (Some(RoundOutcome::Expired), None),
        Kind::Cancelled | Kind::Superseded => (Some(RoundOutcome::Cancelled), None),
        Kind::Succeeded => (Some(RoundOutcome::Approved), Some(begun(Some(Ended::Succeeded)))),
        Kind::Failed => (Some(RoundOutcome::Approved), Some(begun(Some(Ended::Failed)))),
        Kind::OutcomeUnknown => (Some(RoundOutcome::Approved), Some(begun(Some(Ended::Unknown)))),
    };
    let stage = if attempt.is_some() { Stage::Started } else { Stage::Waiting };
    let workflow = Workflow {
        id,
        version: 2,
        plan: Plan::of(&submission),
        submission: submission.into(),
        renewals: Vec::new(),
        rounds: vec![Round { outcome, ..open }],
        steps: vec![StepState { stage, attempts: attempt.into_iter().collect(), rest: None }],
        disposition: match kind {
            Kind::Cancelled => Disposition::Cancelled,
            Kind::Superseded => Disposition::Superseded { by: Uuid::nil() },
            _ => Disposition::Active,
        },
        discussion: Discussion::default(),
        exceptions: Vec::new(),
        reviews: Vec::new(),
        decisions: if outcome == Some(RoundOutcome::Approved) { vec![decision] } else { Vec::new() },
        created_at: at(),
        updated_at: at(),
    };
    Notice {
        id: Uuid::now_v7(),
        kind,
        at: at(),
        number: match kind {
            Kind::Reminded => 1,
            Kind::GoalNears => 50,
            _ => 0,
        },
        actor: "alice".to_owned(),
        workflow,
        comment: matches!(kind, Kind::Asked | Kind::Answered).then(|| task.description.clone()),
        document: task.into(),
        differences: Vec::new(),
        recipient: None,
        asked: if kind.asks() { vec![alice()] } else { Vec::new() },
        link: Some(format!("{INBOX}/workflows/{id}")),
    }
}

/// The next notice about the same workflow.
pub fn then(before: &Notice, kind: Kind) -> Notice {
    let mut after = about(kind, before.workflow.submission.assessment.level, before.document.single().expect("a task").clone());
    after.workflow.id = before.workflow.id;
    after.link = before.link.clone();
    after
}

/// The same notice after a rejection.
pub fn rejected(mut notice: Notice) -> Notice {
    let decision = notice.workflow.decisions.last_mut().expect("a decision");
    decision.verdict = Verdict::Rejected;
    notice.workflow.rounds.last_mut().expect("a round").outcome = Some(RoundOutcome::Rejected);
    notice.workflow.steps[0] = StepState::default();
    notice
}

/// One more approval is needed.
pub fn short_of_one(mut notice: Notice) -> Notice {
    notice.workflow.decisions.last_mut().expect("a decision").remaining = 1;
    let round = notice.workflow.rounds.last_mut().expect("a round");
    Arc::make_mut(&mut round.terms).required = 2;
    round.outcome = None;
    notice.workflow.steps[0] = StepState::default();
    notice
}

/// The same notice for a certain person.
pub fn to_alice(mut notice: Notice) -> Notice {
    notice.recipient = Some(alice());
    notice
}

/// A notice without anything optional.
pub fn bare(kind: Kind, level: Level) -> Notice {
    let task = json!({"description": "x", "operation": "o", "action": {"type": "external"}});
    let mut notice = about(kind, level, serde_json::from_value(task).expect("a task"));
    notice.link = None;
    notice.asked.clear();
    Arc::make_mut(&mut notice.workflow.submission).on_behalf_of = None;
    Arc::make_mut(&mut notice.workflow.submission).assessment.reasons.clear();
    notice.workflow.decisions.clear();
    notice.workflow.rounds.retain(|round| round.outcome != Some(RoundOutcome::Approved));
    notice
}

/// Every kind of notice, at each level.
pub fn everything() -> impl Iterator<Item = Notice> {
    let all = Kind::ALL.into_iter().flat_map(|kind| Level::ALL.map(|level| (kind, level)));
    all.flat_map(|(kind, level)| [notice(kind, level), about(kind, level, hostile()), bare(kind, level)]).map(to_alice)
}

/// Many requests at once.
pub fn crowd(size: usize) -> Vec<Notice> {
    let level = |index: usize| Level::ALL[index % 4];
    (0..size)
        .map(|index| to_alice(about(Kind::Requested, level(index), if index % 7 == 0 { hostile() } else { task("one of many") })))
        .collect()
}
