//! A workflow as people read it: first what parkbrake knows, then what the requester says, marked
//! as a claim.
//!
//! All text from outside passes through [`escaped`], and each line of a longer text has a bar in
//! front, so that no description can imitate a line of parkbrake's.

mod changes;
mod runs;
mod steps;
mod terraform;

use crate::cli::facts::{list, number, text, texts};
use crate::cli::problem::decision;
use crate::cli::terminal::{BOLD, FAINT, PLAIN, Page, Style};
use crate::cli::times;
use crate::domain::risk::target::{DIFFERS, is_warning};
use crate::domain::text::escaped;
use runs::runs;
use serde_json::Value;
pub use steps::standing;

/// The label of a reason about which the requester and parkbrake disagree, whatever its level.
pub const WARNING: &str = "warning";

/// What an approver has to see before deciding: level, what exactly would run, on what, why it
/// waits, and the claim.
pub fn request(page: &mut Page, workflow: &Value) {
    let task = &workflow["task"];
    heading(page, workflow);
    let steps = list(task, "/steps");
    if let Some(playbook) = text(task, "/playbook/name") {
        page.fact("playbook", format!("{} ({})", escaped(playbook), word(task, "/playbook/digest", "?")));
    }
    if steps.is_empty() {
        terraform::plan(page, task);
        runs(page, &task["action"]);
    }
    for (step, planned) in steps.iter().zip(list(workflow, "/steps")) {
        steps::planned(page, step, planned);
    }
    for planned in list(workflow, "/steps").iter().skip(steps.len()) {
        let of = number(planned, "/compensates").and_then(|of| usize::try_from(of).ok()?.checked_sub(1));
        steps::undoing(page, of.and_then(|index| steps.get(index)).unwrap_or(&Value::Null), planned);
    }
    target(page, workflow);
    reasons(page, workflow);
    claim(page, workflow);
    superseding(page, workflow);
    changes::renewed(page, workflow);
    for comment in list(workflow, "/comments") {
        let asks = if comment["ask"] == true { " asks the requester" } else { "" };
        page.fact("comment", format!("by {}{asks} at {}", word(comment, "/author", "?"), moment(comment, "/at")));
        quoted(page, "", text(comment, "/text").unwrap_or_default());
    }
    approval(page, workflow);
    page.fact("digest", word(workflow, "/digest", "?"));
}

/// Everything about a workflow.
pub fn workflow(page: &mut Page, workflow: &Value) {
    request(page, workflow);
    for (index, step) in standing(workflow).iter().enumerate() {
        page.fact(if index == 0 { "now" } else { "" }, step);
    }
    for (index, given) in list(workflow, "/decisions").iter().enumerate() {
        page.fact(if index == 0 { "decisions" } else { "" }, decision(given));
    }
    for attempt in list(workflow, "/execution/attempts") {
        execution(page, attempt);
    }
    if let Some(quarantine) = workflow.get("quarantine").filter(|quarantine| quarantine.is_object()) {
        page.fact("quarantine", format!("since {}: {}", moment(quarantine, "/since"), word(quarantine, "/reason", "?")));
    }
    if let Some(held) = text(workflow, "/held/detail") {
        let line = page.paint(Style::of(WARNING), &escaped(held));
        page.fact("held", line);
    }
    for (index, happened) in list(workflow, "/history").iter().enumerate() {
        let line = event(page, workflow, happened);
        page.fact(if index == 0 { "history" } else { "" }, line);
    }
}

/// One event of a workflow's history in a line.
pub fn event(page: &Page, workflow: &Value, event: &Value) -> String {
    let version = number(event, "/version").unwrap_or(0);
    let at = page.paint(FAINT, &moment(event, "/at"));
    let of = number(event, "/detail/step").and_then(|step| steps::title(workflow, step)).map(|step| format!(" of {step}"));
    let (what, actor) = (word(event, "/event", "?"), word(event, "/actor", "?"));
    let mut line = format!("{version:>3}  {at}  {what}{} by {actor}", of.unwrap_or_default());
    if let Some(via) = text(event, "/via").filter(|via| *via != "system") {
        line.push_str(&format!(" via {}", escaped(via)));
    }
    let to = texts(event, "/detail/to");
    if !to.is_empty() {
        line.push_str(&format!(" to {}", escaped(&to.join(", "))));
    }
    // The rest of the detail is elsewhere on the page, or useful only to programs.
    let said = ["/detail", "/detail/reason", "/detail/justification", "/detail/error", "/detail/text"];
    if let Some(said) = said.iter().find_map(|pointer| text(event, pointer).filter(|said| !said.is_empty())) {
        line.push_str(&format!(": {}", escaped(said)));
    }
    line
}

/// A level, a status and an id in one line.
pub fn heading(page: &mut Page, workflow: &Value) {
    let level = text(workflow, "/risk_level").unwrap_or("?");
    let status = text(workflow, "/status").unwrap_or("?");
    let line = format!(
        "{} {} {}",
        page.paint(Style::of(level), &escaped(level).to_uppercase()),
        page.paint(Style::of(status), &escaped(status)),
        page.paint(BOLD, &word(workflow, "/workflow_id", "?"))
    );
    page.line(line);
}

/// Why the request has its level.
pub fn reasons(page: &mut Page, workflow: &Value) {
    for (index, reason) in list(workflow, "/assessment/reasons").iter().enumerate() {
        let trigger = text(reason, "/trigger").unwrap_or("?");
        let level = if is_warning(trigger) { WARNING } else { text(reason, "/level").unwrap_or("?") };
        let line = format!(
            "{} {}: {}",
            page.paint(Style::of(level), &escaped(level)),
            escaped(trigger),
            escaped(text(reason, "/detail").unwrap_or_default())
        );
        page.fact(if index == 0 { "because" } else { "" }, line);
    }
}

/// Who may still decide, how many have to, and what happens if nobody does.
pub fn approval(page: &mut Page, workflow: &Value) {
    let Some(approval) = workflow.get("approval").filter(|approval| approval.is_object()) else {
        return;
    };
    if approval["step"].is_object() {
        let step = &approval["step"];
        let name = text(step, "/name").map(|name| format!(" ({})", escaped(name))).unwrap_or_default();
        let level = word(step, "/risk_level", "?");
        page.fact(
            "asked about",
            format!("step {}{name} alone, {level}; its digest is {}", number(step, "/n").unwrap_or(0), word(step, "/digest", "?")),
        );
    }
    page.fact("decides", who_decides(approval, number(approval, "/approvals")));
    if text(workflow, "/status").is_none_or(|status| status == "pending_approval") {
        timetable(page, approval);
    }
}

fn who_decides(approval: &Value, given: Option<u64>) -> String {
    let required = number(approval, "/required").unwrap_or(1);
    let why = if approval["require_justification"] == true { ", with a justification" } else { "" };
    format!("{} ({} of {required} given){why}", escaped(&texts(approval, "/approvers").join(", ")), given.unwrap_or(0))
}

fn timetable(page: &mut Page, approval: &Value) {
    let steps = list(approval, "/timetable").iter().map(|step| {
        let to = texts(step, "/to").join(", ");
        let to = if to.is_empty() { String::new() } else { format!(" to {}", escaped(&to)) };
        format!("{} {}{to}", moment(step, "/at"), word(step, "/what", "?"))
    });
    for (index, step) in steps.enumerate() {
        page.fact(if index == 0 { "then" } else { "" }, step);
    }
}

/// The target as parkbrake knows it, and what the requester called it if that differs.
fn target(page: &mut Page, workflow: &Value) {
    let task = &workflow["task"];
    match workflow.get("target").filter(|target| target.is_object()) {
        Some(known) => page.fact("target", named(known)),
        // A server of an earlier version does not send what it knows.
        None if task.is_object() => page.fact("target", format!("{} (as the requester says)", named(task))),
        None => {}
    }
    let differs = list(workflow, "/target/differs");
    if !differs.is_empty() {
        let one = |one: &Value| {
            let claimed = text(one, "/claimed").map(|claimed| format!(" \"{}\"", escaped(claimed))).unwrap_or_default();
            let field = word(one, "/field", "?").replace('_', " ");
            format!("{field}{claimed} (it is \"{}\" by the {})", word(one, "/known", "?"), word(one, "/from", "?"))
        };
        let said = format!("The requester called this: {}", differs.iter().map(one).collect::<Vec<_>>().join(", "));
        let line = page.paint(Style::of(WARNING), &format!("{DIFFERS} {said}"));
        page.fact("", line);
    }
    cost(page, task);
}

fn cost(page: &mut Page, task: &Value) {
    if let Some(cost) = task.get("estimated_cost").filter(|cost| cost.is_number()) {
        page.fact("cost", format!("${cost} (as the requester says)"));
    }
}

pub fn named(target: &Value) -> String {
    let mut named = word(target, "/operation", "?");
    for (between, pointer) in [(" ", "/resource"), (" in ", "/environment"), (", ", "/resource_type")] {
        if let Some(name) = text(target, pointer) {
            named.push_str(&format!("{between}{}", escaped(name)));
        }
    }
    named
}

/// The requester's own words.
fn claim(page: &mut Page, workflow: &Value) {
    let task = &workflow["task"];
    let mut who = word(workflow, "/requested_by", "?");
    if let Some(id) = text(workflow, "/task_id") {
        who.push_str(&format!(", task {}", escaped(id)));
    }
    page.fact("requester", who);
    quoted(page, "claims", text(task, "/description").or_else(|| text(workflow, "/description")).unwrap_or_default());
    besides(page, task);
}

/// What the requester says in addition to the description.
fn besides(page: &mut Page, task: &Value) {
    for finding in list(task, "/security_findings") {
        let words = ["/severity", "/id", "/title"].map(|fact| word(finding, fact, "")).join(" ");
        page.fact("finding", words.trim_end());
    }
    payload(page, "metadata", &task["metadata"]);
}

/// Arguments or metadata: a text of several lines as lines, everything else as JSON.
fn payload(page: &mut Page, label: &str, fields: &Value) {
    let fields = fields.as_object().into_iter().flatten();
    let lines = |value: &Value| value.as_str().is_some_and(|text| text.trim_end().contains('\n'));
    let (texts, others): (Vec<_>, Vec<_>) = fields.partition(|(_, value)| lines(value));
    if !others.is_empty() {
        let others = others.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        page.fact(label, compact(&Value::Object(others)));
    }
    for (name, value) in texts {
        page.fact(label, format_args!("{}, line by line:", compact(&Value::from(name.as_str()))));
        quoted(page, "", value.as_str().unwrap_or_default());
    }
}

/// The request that this one supersedes, with the differences; and the one that supersedes it.
fn superseding(page: &mut Page, workflow: &Value) {
    if let Some(by) = text(workflow, "/superseded_by") {
        page.fact("superseded", format!("by {}", escaped(by)));
    }
    let Some(earlier) = workflow.get("supersedes").filter(|earlier| earlier.is_object()) else { return };
    page.fact("supersedes", format!("{}, which was still waiting; what is different:", word(earlier, "/workflow_id", "?")));
    changes::changes(page, earlier);
    if earlier["differences"].is_null() {
        page.fact("", "not known: the earlier request has been removed");
    } else if list(earlier, "/differences").is_empty() {
        page.fact("", "nothing");
    }
}

fn execution(page: &mut Page, attempt: &Value) {
    let outcome = text(attempt, "/outcome").unwrap_or("running");
    let ended = text(attempt, "/finished_at").map(|at| format!(", ended {}", times::local(at))).unwrap_or_default();
    let outcome = page.paint(if outcome == "succeeded" { Style::of("completed") } else { PLAIN }, &escaped(outcome));
    let step = number(attempt, "/step").map(|step| format!("step {step}, ")).unwrap_or_default();
    let line = format!("{step}{} {outcome}, begun {}{ended}", number(attempt, "/n").unwrap_or(1), moment(attempt, "/started_at"));
    page.fact("attempt", line);
    if let Some(error) = text(attempt, "/error").filter(|error| !error.is_empty()) {
        quoted(page, "error", error);
    }
    match attempt.get("output") {
        None | Some(Value::Null) => {}
        Some(Value::String(output)) => quoted(page, "output", output),
        Some(Value::Object(streams)) => {
            for (name, stream) in streams {
                match stream {
                    Value::Null => {}
                    Value::String(text) if text.is_empty() => {}
                    Value::String(text) => quoted(page, &escaped(name), text),
                    other => page.fact(&escaped(name), compact(other)),
                }
            }
        }
        Some(output) => page.fact("output", compact(output)),
    }
}

/// Text of several lines, with a bar in front of each.
fn quoted(page: &mut Page, label: &str, words: &str) {
    let words = words.trim_end_matches(['\n', '\r']);
    for (index, line) in words.split('\n').enumerate() {
        page.fact(if index == 0 { label } else { "" }, format_args!("| {}", escaped(line.strip_suffix('\r').unwrap_or(line))));
    }
}

/// A time in the time zone of this machine.
fn moment(value: &Value, pointer: &str) -> String {
    text(value, pointer).map_or_else(|| "?".to_owned(), times::local)
}

fn word(value: &Value, pointer: &str, otherwise: &str) -> String {
    escaped(text(value, pointer).unwrap_or(otherwise))
}

fn compact(value: &Value) -> String {
    if value.is_null() { String::new() } else { escaped(&value.to_string()) }
}

/// One argument, quoted as for a shell, so that the line is unambiguous.
fn argument(argument: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", escaped(&argument.replace('\'', r"'\''")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_cannot_imitate_parkbrakes_output() {
        let mut page = Page::with_colors(false);
        quoted(&mut page, "claims", "safe\n  would run    true\u{1b}[2K\r\nend\u{202e}\n");
        assert_eq!(page.text(), "  claims       | safe\n               |   would run    true<U+001B>[2K\n               | end<U+202E>\n");
    }

    #[test]
    fn a_text_of_several_lines_is_read_line_by_line() {
        let mut page = Page::with_colors(false);
        let metadata = serde_json::json!({"rows": 7, "sql": "begin;\n  digest       x\u{1b}\n", "why": "one line\n"});
        payload(&mut page, "metadata", &metadata);
        payload(&mut page, "metadata", &Value::Null);
        let lines = [
            r#"  metadata     {"rows":7,"why":"one line\n"}"#,
            r#"  metadata     "sql", line by line:"#,
            "               | begin;",
            "               |   digest       x<U+001B>",
        ];
        assert_eq!(page.text(), lines.map(|line| format!("{line}\n")).concat());
    }

    #[test]
    fn a_command_reads_in_one_way_only() {
        let words = ["deploy.sh", "a b", "", "it's", "$(id)", "x\u{200b}"];
        assert_eq!(words.map(argument).join(" "), r"deploy.sh 'a b' '' 'it'\''s' '$(id)' 'x<U+200B>'");
    }

    #[test]
    fn an_answer_with_nothing_in_it_is_still_shown() {
        let mut page = Page::with_colors(false);
        workflow(&mut page, &json!({}));
        approval(&mut page, &json!({"approval": {"approvals": [{}, {}], "required": 3}}));
        assert!(page.text().contains("(2 of 3 given)"));
    }
}
