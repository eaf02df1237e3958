//! The column values of a row after a commit, derived from the commit's events and the state after
//! them.

use super::Advance;
use crate::domain::policy::Role;
use crate::domain::task::ActionKind;
use crate::domain::workflow::approval;
use crate::domain::workflow::transition;
use crate::domain::workflow::{ApprovalStatus, Event, Round, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The request after a commit, if the commit changes it.
pub(super) fn request_after(advance: &Advance) -> Option<(&Round, ApprovalStatus)> {
    let status = advance.workflow.approval_status();
    let touches = |event: &Event| match event {
        Event::ApprovalRequested { .. }
        | Event::Approved(_)
        | Event::Granted(_)
        | Event::GlassBroken(_)
        | Event::Rejected { .. }
        | Event::Withdrawn { .. }
        | Event::Escalated { .. }
        | Event::Expired { .. }
        | Event::Superseded { .. } => true,
        // An approved request stays approved, even if it was cancelled before its turn.
        Event::Cancelled { .. } => status == ApprovalStatus::Cancelled,
        _ => false,
    };
    advance.events.iter().any(touches).then(|| advance.workflow.round()).flatten().map(|round| (round, status))
}

/// The round that a commit opens, if people are asked again.
pub(super) fn reopened(advance: &Advance) -> Option<&Round> {
    let opens = |event: &Event| matches!(event, Event::ApprovalRequested { .. });
    advance.events.iter().any(opens).then(|| advance.workflow.round()).flatten()
}

/// The principals on whose rights a decision or a start depends: the requester and everybody who
/// has approved. A rejection, a withdrawal, a comment, an exception and a resolution depend only on
/// their own author. The commit is not written if one of them is suspended at that moment.
pub(super) fn relies_on(advance: &Advance) -> Option<Vec<String>> {
    let has = |kind: fn(&Event) -> bool| advance.events.iter().any(kind);
    if has(|event| {
        matches!(
            event,
            Event::Rejected { .. }
                | Event::Withdrawn { .. }
                | Event::Resolved { .. }
                | Event::Commented { .. }
                | Event::Reviewed { .. }
                | Event::FreezeExcepted(_)
        )
    }) {
        let covered = advance.events.iter().flat_map(|event| match event {
            Event::Rejected { cover, .. } => cover.as_slice(),
            _ => &[],
        });
        let names = covered.map(|cover| &cover.person).chain([&advance.actor]);
        return Some(names.map(|name| name.to_ascii_lowercase()).collect());
    }
    // A start depends on those who were asked about its step.
    let started = advance.events.iter().find_map(|event| match event {
        Event::ExecutionStarted { step, .. } => Some(*step),
        _ => None,
    });
    let round = started.map_or_else(|| advance.workflow.round(), |step| advance.workflow.round_of(step));
    let approvals = round.into_iter().flat_map(|round| &round.approvals);
    let covered = approvals.clone().flat_map(|approval| &approval.cover).map(|cover| &cover.person);
    let approvers = approvals.map(|approval| &approval.approver).chain(covered);
    let excepting = advance.workflow.exceptions.iter().map(|exception| &exception.given.approver);
    let names = approvers.chain(excepting).chain([&advance.workflow.submission.requested_by]);
    let rests = has(|event| matches!(event, Event::Approved(_) | Event::GlassBroken(_) | Event::ExecutionStarted { .. }));
    rests.then(|| names.map(|name| name.to_ascii_lowercase()).collect())
}

/// Who settled a request with this commit, and their justification or reason.
pub(super) fn resolution(advance: &Advance) -> Option<(&str, Option<&str>)> {
    advance.events.iter().find_map(|event| {
        let note = match event {
            Event::Approved(approval) if approval.remaining == 0 => approval.justification.as_deref(),
            Event::GlassBroken(broken) => Some(broken.justification.as_str()),
            Event::Rejected { reason, .. } | Event::Cancelled { reason, .. } => Some(reason.as_str()),
            Event::Expired { .. } => Some("nobody decided in time"),
            Event::Superseded { .. } => Some("another task of its requester has superseded it"),
            _ => return None,
        };
        Some((advance.actor.as_str(), note))
    })
}

/// The person who breaks the glass with a commit. A review is opened with it, and the commit is not
/// written while that person has an open one.
pub(super) fn breaks_glass(events: &[Event]) -> Option<&str> {
    events.iter().find_map(|event| match event {
        Event::GlassBroken(broken) => Some(broken.approver.as_str()),
        _ => None,
    })
}

/// The person who closes a review with a commit.
pub(super) fn reviews(advance: &Advance) -> Option<&str> {
    let closes = |event: &Event| matches!(event, Event::Reviewed { .. });
    advance.events.iter().any(closes).then_some(advance.actor.as_str())
}

/// The server that will run what a commit starts. No lease guards what others run.
pub(super) fn starter(events: &[Event]) -> Option<Uuid> {
    events.iter().find_map(|event| match event {
        Event::ExecutionStarted { owner, token: Some(_), .. } => Some(*owner),
        _ => None,
    })
}

/// When the next deadline is due, in seconds from the request.
pub(super) fn timeout_after(round: &Round) -> Option<f64> {
    let delay = transition::deadline(round)?.signed_duration_since(round.opened_at);
    Some(delay.to_std().unwrap_or_default().as_secs_f64())
}

/// When the report of an external action is due, or the pause after a failure ends, in seconds from
/// the commit. A comment moves no deadline: then this is the time left, by the clock that follows
/// the database's, and the core checks again whether it is due.
pub(super) fn report_after(workflow: &Workflow, comments_at: Option<DateTime<Utc>>) -> Option<f64> {
    if let Some(rest) =
        workflow.steps.iter().find_map(|step| step.resting()).map(|(_, rest)| rest).filter(|_| !workflow.status().is_final())
    {
        let left = |now: DateTime<Utc>| (transition::rests_until(rest) - now).to_std().unwrap_or_default();
        return Some(comments_at.map_or(rest.pause, left).as_secs_f64());
    }
    let deadline = transition::report_deadline(workflow)?;
    let mut awaited = workflow.numbered_steps().filter(|(_, step, state)| step.action == ActionKind::External && state.running().is_some());
    let within = awaited.next().and_then(|(_, step, _)| step.report_within).unwrap_or(transition::REPORT_WITHIN);
    let left = |now: DateTime<Utc>| (deadline - now).to_std().unwrap_or_default();
    Some(comments_at.map_or(within, left).as_secs_f64())
}

/// The approximate time of a commit that only comments.
pub(super) fn comments_at(advance: &Advance) -> Option<DateTime<Utc>> {
    let comments = |event: &Event| matches!(event, Event::Commented { .. });
    advance.events.iter().all(comments).then_some(advance.now)
}

/// The roles that may decide, in the order in which they are always shown.
pub(super) fn approvers(round: &Round) -> Vec<Role> {
    approval::entitled_roles(round).into_iter().cloned().collect()
}
