//! The requester's report of how an external action ended.

use super::{Answer, Guard, start};
use crate::domain::policy::Principal;
use crate::domain::task::ActionKind;
use crate::domain::workflow::{AttemptId, Ended, Outcome, Refusal, Status, StepName, StepState, Workflow};

pub(super) fn report(workflow: &Workflow, by: &Principal, step: Option<&StepName>, outcome: &Outcome) -> Result<Answer, Refusal> {
    if !workflow.submission.is_from(by) {
        return Err(Refusal::NotPermitted("only its requester may report the result of an external action".to_owned()));
    }
    let (number, state) = reported(workflow, step)?;
    // A late report settles an unknown outcome.
    if let Some(attempt) = state.running().or_else(|| state.unknown()) {
        let id = AttemptId { step: number, number: attempt.number };
        return Ok(Answer::Commit { events: start::and_then(workflow, id, start::ended(id, outcome)), guard: Guard::default() });
    }
    match (state.ended(), outcome) {
        (Some(Ended::Succeeded), Outcome::Succeeded { .. }) | (Some(Ended::Failed), Outcome::Failed { .. }) => Ok(Answer::Nothing),
        (Some(_), _) => Err(wrong(workflow, "the other result was reported before")),
        (None, _) => Err(wrong(
            workflow,
            match workflow.status() {
                Status::Rejected | Status::Cancelled | Status::Expired | Status::Superseded => "the action was never released",
                _ => "the action has not been released",
            },
        )),
    }
}

/// The external step of a report. If there are several, the report has to name one: otherwise a
/// report that was sent twice would count for the next step.
fn reported<'a>(workflow: &'a Workflow, step: Option<&StepName>) -> Result<(u32, &'a StepState), Refusal> {
    let mut external = workflow.numbered_steps().filter(|(_, step, _)| step.action == ActionKind::External);
    let found = match step {
        Some(name) => {
            let number = workflow.submission.step_named(name);
            let number =
                number.ok_or_else(|| wrong(workflow, "the plan has no such step: name one by its number, counted from 1, or its name"))?;
            external.find(|(external, _, _)| *external == number)
        }
        None => {
            let first = external.next();
            if first.is_some() && external.next().is_some() {
                let detail = "the plan has several external steps: say in `step` which one the result is about, by its number or its name";
                return Err(wrong(workflow, detail));
            }
            first
        }
    };
    let (number, _, state) = found.ok_or_else(|| wrong(workflow, "parkbrake itself runs this action and knows its result"))?;
    Ok((number, state))
}

fn wrong(workflow: &Workflow, detail: &str) -> Refusal {
    Refusal::WrongState { current: workflow.status(), detail: detail.to_owned() }
}
