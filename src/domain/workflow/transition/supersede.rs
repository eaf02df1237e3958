//! Superseding a request by another task of its requester.

use super::obligations::expires_at;
use super::{Answer, Guard};
use crate::domain::policy::Principal;
use crate::domain::workflow::{ApprovalStatus, Event, Refusal, Workflow};
use uuid::Uuid;

/// Ends the superseded request. Its successor is opened in the same commit.
pub(super) fn supersede(workflow: &Workflow, by: &Principal, successor: Uuid) -> Result<Answer, Refusal> {
    if by.name != workflow.submission.requested_by {
        let requester = &workflow.submission.requested_by;
        return Err(Refusal::NotPermitted(format!("only {requester}, who submitted it, may supersede it")));
    }
    let wrong = |detail: String| Refusal::WrongState { current: workflow.status(), detail };
    if let Some(other) = workflow.superseded_by() {
        return if other == successor {
            Ok(Answer::Nothing)
        } else {
            Err(wrong(format!("workflow {other} has already superseded it: supersede that one")))
        };
    }
    if let Some(round) = workflow.open_round() {
        let events = vec![Event::Superseded { round: round.number, by: successor }];
        return Ok(Answer::Commit { events, guard: Guard { not_after: expires_at(round), ..Guard::default() } });
    }
    match (workflow.approval_status(), workflow.deciding()) {
        (ApprovalStatus::Expired, _) => Err(Refusal::Expired),
        (_, Some(decision)) => Err(Refusal::AlreadyDecided(Box::new(decision.clone()))),
        (_, None) => Err(wrong("only a request that waits for people can be superseded; submit the task without `supersedes`".to_owned())),
    }
}
