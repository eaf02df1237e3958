//! What would run, in the words of a message.

use crate::actors::ports::Notice;
use crate::domain::task::{ActionKind, Task};
use crate::domain::text::shown;
use crate::notify::message::{cut, value};

/// The most characters of the steps of a plan. The link leads to all of them.
const LONGEST_STEPS: usize = 1_500;

/// What would run, in words; for a plan, each step in order.
pub fn actions(notice: &Notice) -> String {
    if let Some(task) = notice.document.single() {
        return action(task);
    }
    let submission = &notice.workflow.submission;
    let line = |(number, (_, task)): (u32, (_, &Task))| format!("{}: {}", shown(&submission.step_title(number)), action(task));
    let steps: Vec<String> = (1..).zip(notice.document.steps()).map(line).collect();
    cut(&steps.join("; "), LONGEST_STEPS)
}

/// What would run, and the changes of a Terraform plan that is shown with it.
fn action(task: &Task) -> String {
    let done = doing(task);
    task.terraform().map_or(done.clone(), |plan| format!("{done} (Terraform plan: {})", plan.counts))
}

/// What would run: the argument vector, or who acts.
fn doing(task: &Task) -> String {
    match (&task.action.runs, task.action.kind) {
        (Some(invocation), _) => value(&serde_json::json!(invocation.command).to_string()),
        _ if task.action.calls.is_some() => {
            let url = task.action.calls.as_ref().map(|call| call.url.as_str()).unwrap_or_default();
            value(&format!("POST {url} {}", serde_json::Value::Object(task.action.args.clone())))
        }
        (None, ActionKind::External) => "the requester acts, and reports the result".to_owned(),
        (None, kind) => format!("{} {}", kind.as_str(), task.action.name.as_deref().map(shown).unwrap_or_default()),
    }
}
