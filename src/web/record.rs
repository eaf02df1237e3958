//! The record of a request: its timetable, its decisions, its history and its results.

use crate::domain::duration;
use crate::domain::policy::away;
use crate::domain::via::Via;
use crate::domain::workflow::attempt_history::{self, AttemptRecord};
use crate::domain::workflow::transition;
use crate::domain::workflow::{Approval, Decision, Event, ProbeAnswer, Recorded, Resolution, Round, Status, Submission, Workflow};
use crate::web::relative_time::RelativeTime;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// The most characters of an output that a page shows; the API has the rest.
const SHOWN: usize = 16 * 1024;

#[derive(Debug, Serialize)]
pub struct Record {
    timetable: Vec<Step>,
    decisions: Vec<Decided>,
    attempts: Vec<Attempt>,
    comments: Vec<Happened>,
    history: Vec<Happened>,
}

/// Something that happens unless somebody decides.
#[derive(Debug, Serialize)]
pub struct Step {
    at: RelativeTime,
    what: String,
    is_taken: bool,
}

#[derive(Debug, Serialize)]
pub struct Decided {
    pub approver: String,
    /// For whom the approver covered, in words after the name.
    pub cover: String,
    pub verdict: &'static str,
    pub roles: String,
    pub note: Option<String>,
    pub at: RelativeTime,
    via: Via,
    /// The grant that approved it in advance.
    by_grant: Option<Uuid>,
    break_glass: bool,
}

#[derive(Debug, Serialize)]
struct Attempt {
    /// The step of a plan.
    step: Option<String>,
    number: u32,
    outcome: &'static str,
    started: Option<RelativeTime>,
    finished: Option<RelativeTime>,
    error: Option<String>,
    /// The numbers and booleans in its output.
    facts: Vec<(String, String)>,
    output: Vec<Output>,
}

/// One text, list or object of an output.
#[derive(Debug, Serialize)]
struct Output {
    name: String,
    text: String,
    is_cut: bool,
}

#[derive(Debug, Serialize)]
struct Happened {
    version: u32,
    at: RelativeTime,
    actor: String,
    via: Via,
    what: String,
    said: Option<String>,
}

impl Record {
    pub fn of(workflow: &Workflow, log: &[Recorded], now: DateTime<Utc>) -> Self {
        Self {
            timetable: workflow.round().map(|round| timetable(round, now)).unwrap_or_default(),
            decisions: workflow.decisions.iter().map(|decision| decided(decision, now)).collect(),
            attempts: attempts(&workflow.submission, log, now),
            comments: log
                .iter()
                .filter(|recorded| matches!(recorded.event, Event::Commented { .. }))
                .map(|recorded| happened(&workflow.submission, recorded, now))
                .collect(),
            history: log.iter().map(|recorded| happened(&workflow.submission, recorded, now)).collect(),
        }
    }
}

/// What happens next to a waiting request unless somebody decides.
pub fn next_step(workflow: &Workflow, now: DateTime<Utc>) -> Option<Step> {
    let round = workflow.open_round()?;
    timetable(round, now).into_iter().find(|step| !step.is_taken)
}

fn timetable(round: &Round, now: DateTime<Utc>) -> Vec<Step> {
    let taken = round.escalation_level as usize;
    let escalations = round.terms.escalation.iter().enumerate().map(|(index, step)| Step {
        at: RelativeTime::of(transition::after(round, step.after), now),
        what: format!("escalates to {}", step.to.join(", ")),
        is_taken: index < taken,
    });
    let expiry =
        transition::expires_at(round).map(|at| Step { at: RelativeTime::of(at, now), what: "expires".to_owned(), is_taken: false });
    // Steps after the expiry never happen.
    let end = transition::expires_at(round).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let in_time = round.terms.escalation.iter().filter(|step| transition::after(round, step.after) < end).count();
    escalations.take(in_time).chain(expiry).collect()
}

pub fn decided(decision: &Decision, now: DateTime<Utc>) -> Decided {
    Decided {
        approver: decision.approver.clone(),
        cover: away::in_words(&decision.cover),
        verdict: decision.verdict.as_str(),
        roles: decision.roles.join(", "),
        note: decision.justification.clone(),
        at: RelativeTime::of(decision.at, now),
        via: decision.via,
        by_grant: decision.grant,
        break_glass: decision.break_glass,
    }
}

fn attempts(submission: &Submission, log: &[Recorded], now: DateTime<Utc>) -> Vec<Attempt> {
    let shown = |attempt: AttemptRecord<'_>| {
        let ended = attempt.ended.as_ref();
        let output = ended.and_then(|ended| ended.output).unwrap_or(&Value::Null);
        Attempt {
            step: submission.is_plan().then(|| submission.step_title(attempt.step)),
            number: attempt.number,
            outcome: ended.map_or("running", |ended| ended.outcome.as_str()),
            started: attempt.started_at.map(|at| RelativeTime::of(at, now)),
            finished: ended.map(|ended| RelativeTime::of(ended.at, now)),
            error: ended.and_then(|ended| ended.error).map(str::to_owned),
            facts: facts(output),
            output: outputs(output),
        }
    };
    attempt_history::of(log).into_iter().map(shown).collect()
}

/// The numbers and the flags of an output. Whether its streams are whole is worth a line only if
/// they are not.
fn facts(output: &Value) -> Vec<(String, String)> {
    let shown = |(name, value): (&String, &Value)| {
        let name = match (name.as_str(), value) {
            ("stdout_truncated" | "stderr_truncated" | "streams_left_open", Value::Bool(false)) => return None,
            ("exit_status" | "stdout_truncated" | "stderr_truncated" | "streams_left_open", _) => name.replace('_', " "),
            _ => name.clone(),
        };
        (value.is_number() || value.is_boolean()).then(|| (name, value.to_string()))
    };
    output.as_object().into_iter().flatten().filter_map(shown).collect()
}

fn outputs(output: &Value) -> Vec<Output> {
    match output {
        Value::Null => Vec::new(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_number() && !value.is_boolean())
            .filter_map(|(name, value)| one_output(name, value))
            .collect(),
        other => one_output("output", other).into_iter().collect(),
    }
}

fn one_output(name: &str, value: &Value) -> Option<Output> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.is_empty() || value.is_null() {
        return None;
    }
    // The end of an output shows the result, so the beginning is cut.
    let cut = text.char_indices().rev().nth(SHOWN - 1).map_or(0, |(index, _)| index);
    Some(Output { name: name.to_owned(), text: text[cut..].to_owned(), is_cut: cut > 0 })
}

/// The roles of an approval that groups gave.
fn by_what(approval: &Approval) -> String {
    let given = approval.by_groups.iter().map(|given| format!(", as {} by the group {}", given.role, given.group));
    given.chain([away::in_words(&approval.cover)]).collect()
}

fn happened(submission: &Submission, recorded: &Recorded, now: DateTime<Utc>) -> Happened {
    let (what, said) = match &recorded.event {
        Event::Submitted(submission) => (format!("submitted, assessed as {}", submission.assessment.level), None),
        Event::ApprovalRequested { terms, reason, .. } => (
            format!(
                "parked for {} approval{} of: {}",
                terms.required,
                if terms.required == 1 { "" } else { "s" },
                terms.approvers.join(", ")
            ),
            reason.clone(),
        ),
        Event::Approved(approval) if approval.remaining == 0 => (format!("approved{}", by_what(approval)), approval.justification.clone()),
        Event::Approved(approval) => {
            (format!("approved{}, {} more needed", by_what(approval), approval.remaining), approval.justification.clone())
        }
        Event::GlassBroken(broken) => {
            (format!("broke the glass: approved alone, {} missing", broken.missing), Some(broken.justification.clone()))
        }
        Event::Reviewed { broken_by, finding, .. } => (format!("reviewed the glass broken by {broken_by}"), Some(finding.clone())),
        Event::Granted(granted) => {
            (format!("released by grant {} of {}", granted.grant, granted.approver), Some(granted.justification.clone()))
        }
        Event::Rejected { reason, cover, .. } => (format!("rejected{}", away::in_words(cover)), Some(reason.clone())),
        Event::Withdrawn { reason, remaining, .. } => (format!("withdrew the approval, {remaining} needed"), Some(reason.clone())),
        Event::Escalated { to, .. } => (format!("escalated to {}", to.join(", ")), None),
        Event::Expired { .. } => ("expired: nobody decided in time".to_owned(), None),
        Event::Cancelled { reason, .. } => ("cancelled".to_owned(), Some(reason.clone())),
        Event::CancelRequested { attempt, reason, .. } => {
            (format!("cancelled attempt {attempt} while it was running"), Some(reason.clone()))
        }
        Event::ExecutionCancelled { attempt, error, .. } => (format!("attempt {attempt} was stopped"), Some(error.clone())),
        Event::Commented { text, ask: true } => ("asked the requester".to_owned(), Some(text.clone())),
        Event::Commented { text, .. } => ("commented".to_owned(), Some(text.clone())),
        Event::Superseded { by, .. } => (format!("superseded by {by}"), None),
        Event::FreezeExcepted(given) => {
            (format!("approved an exception from the freeze {}", given.freeze), Some(given.justification.clone()))
        }
        Event::Released { attempt, .. } => (format!("released, attempt {attempt} waits for its turn"), None),
        Event::RetryScheduled { attempt, after, .. } => {
            (format!("attempt {attempt} follows after a pause of {}", duration::show(*after)), None)
        }
        Event::DocumentRenewed { reason, .. } => ("what would start differs from the document".to_owned(), Some(reason.clone())),
        Event::StartRefused { reason, .. } => ("was not started, nothing ran".to_owned(), Some(reason.clone())),
        Event::ExecutionStarted { attempt, .. } => (format!("started, attempt {attempt}"), None),
        Event::ExecutionSucceeded { attempt, .. } => (format!("attempt {attempt} succeeded"), None),
        Event::ExecutionFailed { attempt, error, .. } => (format!("attempt {attempt} failed"), Some(error.clone())),
        Event::ReportRequested { .. } => ("asked the requester to report the result".to_owned(), None),
        Event::Probed { attempt, answer, reason, .. } => {
            let found = match answer {
                ProbeAnswer::Happened => "found that it happened",
                ProbeAnswer::DidNotHappen => "found that it did not happen",
                ProbeAnswer::CannotTell => "cannot tell whether it happened",
            };
            (format!("attempt {attempt}: the runbook's probe {found}"), reason.clone())
        }
        Event::Resolved { attempt, outcome: Resolution::Retry, justification, .. } => {
            (format!("resolved attempt {attempt}: it is released once more"), Some(justification.clone()))
        }
        Event::Resolved { attempt, outcome, justification, .. } => {
            (format!("resolved attempt {attempt}: it {}", outcome.as_str()), Some(justification.clone()))
        }
        Event::OutcomeUnknown { attempt, reason, .. } => (format!("nobody knows how attempt {attempt} ended"), Some(reason.clone())),
    };
    let step = recorded.event.attempt().filter(|_| submission.is_plan()).map(|attempt| submission.step_title(attempt.step));
    let what = match step {
        Some(step) => format!("{step}: {what}"),
        None => what,
    };
    Happened {
        version: recorded.version,
        at: RelativeTime::of(recorded.at, now),
        actor: recorded.actor.clone(),
        via: recorded.via,
        what,
        said,
    }
}

/// A status in words.
pub fn status_words(status: &str) -> &'static str {
    match Status::parse(status) {
        Some(Status::PendingApproval) => "waits for approval",
        Some(Status::Queued) => "waits for its turn",
        Some(Status::Executing) => "started",
        Some(Status::Completed) => "completed",
        Some(Status::Failed) => "failed",
        Some(Status::OutcomeUnknown) => "outcome unknown",
        Some(Status::Rejected) => "rejected",
        Some(Status::Cancelled) => "cancelled",
        Some(Status::Expired) => "expired",
        Some(Status::Superseded) => "superseded",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_end_of_a_long_output_is_shown() {
        let long = format!("{}end", "é".repeat(SHOWN));
        let shown = outputs(&json!({"stdout": long, "stderr": "", "exit_status": 1, "none": null}));
        let names: Vec<_> = shown.iter().map(|output| (output.name.as_str(), output.is_cut)).collect();
        assert_eq!(names, [("stdout", true)]);
        assert_eq!(shown[0].text.chars().count(), SHOWN);
        assert!(shown[0].text.ends_with("éend"));
        assert_eq!(outputs(&json!("done"))[0].text, "done");
    }

    #[test]
    fn truncation_is_shown_only_if_it_happened() {
        let said = |output: Value| facts(&output).into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>();
        let whole =
            json!({"stdout": "x", "exit_status": 1, "stdout_truncated": false, "stderr_truncated": false, "streams_left_open": false});
        assert_eq!(said(whole), ["exit status: 1"]);
        assert_eq!(said(json!({"stderr_truncated": true})), ["stderr truncated: true"]);
        assert_eq!(said(json!({"is_deployed": false})), ["is_deployed: false"], "what a requester reports is shown as it is");
    }
}
