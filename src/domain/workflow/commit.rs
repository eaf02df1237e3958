//! The state after a commit, before and after the time of the commit is known.
//!
//! A commit contains the state that its events lead to, but the time of the events is the
//! database's, which only its answer reveals. So the state is computed once, without the time, and
//! the time is filled in when it is known.

use crate::domain::via::Via;
use crate::domain::workflow::transition::{self, Impossible};
use crate::domain::workflow::{Event, Recorded, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A placeholder for a time that is not known yet.
const UNKNOWN: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The state after the events of one commit. Their times are placeholders until [`dated`] sets
/// them.
///
/// # Errors
/// The event cannot follow.
pub fn follow(id: Uuid, workflow: Option<Workflow>, events: &[Event], actor: &str, via: Via) -> Result<Workflow, Impossible> {
    let first = workflow.as_ref().map_or(1, |workflow| workflow.version + 1);
    let mut state = workflow;
    for (event, version) in events.iter().zip(first..) {
        let recorded = Recorded { version, at: UNKNOWN, actor: actor.to_owned(), via, event: event.clone() };
        state = Some(transition::apply(id, state, &recorded)?);
    }
    state.ok_or_else(Impossible::without_events)
}

/// The same state, with the time of its commit.
pub fn dated(mut workflow: Workflow, at: DateTime<Utc>) -> Workflow {
    let date = |time: &mut DateTime<Utc>| {
        if *time == UNKNOWN {
            *time = at;
        }
    };
    date(&mut workflow.created_at);
    date(&mut workflow.updated_at);
    workflow.decisions.iter_mut().for_each(|decision| date(&mut decision.at));
    for review in &mut workflow.reviews {
        date(&mut review.opened_at);
        review.closed.iter_mut().for_each(|closed| date(&mut closed.at));
    }
    workflow.exceptions.iter_mut().for_each(|exception| date(&mut exception.at));
    workflow.rounds.iter_mut().for_each(|round| date(&mut round.opened_at));
    workflow.discussion.question.iter_mut().for_each(|question| date(&mut question.at));
    workflow.steps.iter_mut().filter_map(|step| step.rest.as_mut()).for_each(|rest| date(&mut rest.since));
    for attempt in workflow.steps.iter_mut().flat_map(|step| &mut step.attempts) {
        date(&mut attempt.started_at);
        attempt.report_asked_at.iter_mut().for_each(date);
    }
    workflow
}
