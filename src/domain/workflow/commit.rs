//! The state after a commit, before and after it is known when the commit took place.
//!
//! What is committed holds the state that its events make; but their time is the database's, which
//! it says only with its answer. So the state is made once, with no time, and the time is put in
//! when it is known.

use crate::domain::via::Via;
use crate::domain::workflow::transition::{self, Impossible};
use crate::domain::workflow::{Event, Recorded, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Stands for a time that is not known yet.
const UNKNOWN: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The state after some events of one commit. Whatever they date has no time yet; [`dated`] gives
/// it one.
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

/// The same state, with the time of the commit that made it.
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
