//! The answer of a probe about an attempt of unknown outcome. If it is clear, nobody has to be
//! asked.

use super::{Answer, Guard, start};
use crate::domain::workflow::{AttemptId, Event, ProbeAnswer, Workflow};
use serde_json::Value;

/// Decides the answer of a probe: an attempt that happened has succeeded; one that did not has
/// failed, and is retried if its runbook says so.
pub(super) fn probed(workflow: &Workflow, id: AttemptId, answer: ProbeAnswer, output: Option<&Value>, reason: Option<&str>) -> Answer {
    let unknown = workflow.step(id.step).and_then(|state| state.unknown());
    if !unknown.is_some_and(|attempt| attempt.number == id.number && !attempt.probed) {
        return Answer::Nothing;
    }
    let AttemptId { step, number: attempt } = id;
    let mut events = vec![Event::Probed { step, attempt, answer, output: output.cloned(), reason: reason.map(str::to_owned) }];
    match answer {
        ProbeAnswer::Happened => events.extend(start::and_then(workflow, id, Event::ExecutionSucceeded { step, attempt, output: None })),
        ProbeAnswer::DidNotHappen => {
            let error = "the probe of its runbook found that it did not happen".to_owned();
            let failed = Event::ExecutionFailed { step, attempt, output: None, error };
            // An attempt that is retried is not the final failure, so nothing is undone.
            match start::retry(workflow, id) {
                Some(retry) => events.extend([failed, retry]),
                None => events.extend(start::and_then(workflow, id, failed)),
            }
        }
        ProbeAnswer::CannotTell => {}
    }
    Answer::Commit { events, guard: Guard::default() }
}
