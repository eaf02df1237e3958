//! The steps of a plan as people read them: what each would run, its status, and which one is
//! current.

use super::runs::runs;
use super::{besides, cost, quoted, target, terraform, word};
use crate::cli::facts::{list, number, text};
use crate::cli::terminal::{Page, Style};
use crate::domain::text::escaped;
use serde_json::Value;

/// The label of a step of a plan: its number, and its name if it has one. `None` for a single task.
pub(super) fn title(workflow: &Value, n: u64) -> Option<String> {
    let steps = list(workflow, "/steps");
    let step = steps.iter().find(|step| number(step, "/n") == Some(n))?;
    let name = text(step, "/name").map(|name| format!(" ({})", escaped(name))).unwrap_or_default();
    Some(format!("step {n}{name}"))
}

/// Each active step, in a sentence; none for a single task, for a workflow that has ended, and for
/// a plan that waits as a whole.
pub fn standing(workflow: &Value) -> Vec<String> {
    let steps = list(workflow, "/steps");
    // Steps that undo others come after the steps of the plan.
    let count = steps.iter().filter(|step| number(step, "/compensates").is_none()).count();
    let sentence = |step: &Value| {
        let what = match text(step, "/status")? {
            "pending_approval" => "waits for approval",
            "queued" => "is released and waits to start",
            "executing" => "is running",
            "outcome_unknown" => "may have run: somebody has to find out",
            _ => return None,
        };
        let title = title(workflow, number(step, "/n")?)?;
        Some(match number(step, "/compensates") {
            Some(of) => format!("{title}, which undoes step {of}, {what}"),
            None => format!("{title} of {count} {what}"),
        })
    };
    steps.iter().filter_map(sentence).collect()
}

/// One step of a plan: its status, what it would run, its target, and what the requester says about
/// it.
pub(super) fn planned(page: &mut Page, step: &Value, planned: &Value) {
    let name = text(step, "/name").map(|name| format!(" {}", escaped(name))).unwrap_or_default();
    let level = text(planned, "/risk_level").unwrap_or("?");
    let line = format!(
        "{}{name}: {}, {} on its own",
        number(planned, "/n").unwrap_or(0),
        word(planned, "/status", "?"),
        page.paint(Style::of(level), &escaped(level))
    );
    page.fact("step", line);
    terraform::plan(page, step);
    runs(page, &step["action"]);
    target(page, planned);
    cost(page, step);
    quoted(page, "claims", text(step, "/description").unwrap_or_default());
    besides(page, step);
}

/// What undoes a step, if a later one fails.
pub(super) fn undoing(page: &mut Page, step: &Value, planned: &Value) {
    let level = text(planned, "/risk_level").unwrap_or("?");
    let line = format!(
        "{} undoes step {} if a later one fails: {}, {} on its own",
        number(planned, "/n").unwrap_or(0),
        number(planned, "/compensates").unwrap_or(0),
        word(planned, "/status", "?"),
        page.paint(Style::of(level), &escaped(level))
    );
    page.fact("step", line);
    runs(page, &step["compensate"]["action"]);
    target(page, planned);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_waiting_or_running_step_is_named() {
        let step = |n: u64, name: Value, status: &str| json!({"n": n, "name": name, "status": status});
        let mut undo = step(3, Value::Null, "executing");
        undo["compensates"] = json!(1);
        let workflow =
            json!({"steps": [step(1, json!("back\u{202e}up"), "succeeded"), step(2, json!("deploy"), "pending_approval"), undo]});
        assert_eq!(standing(&workflow), ["step 2 (deploy) of 2 waits for approval", "step 3, which undoes step 1, is running"]);
        assert_eq!(title(&workflow, 1).as_deref(), Some("step 1 (back<U+202E>up)"));
        assert_eq!((title(&workflow, 9), standing(&json!({"status": "executing"}))), (None, Vec::new()));
    }
}
