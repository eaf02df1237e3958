//! The checker: what must be true of every history, whatever went wrong. It knows only what the
//! server promises, not how it works.

use super::history::{Call, History, Line, Mark, Stored, Told};
use chrono::{DateTime, TimeDelta, Utc};
use parkbrake::domain::policy::ApprovalTerms;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::workflow::transition;
use parkbrake::domain::workflow::{Event, Recorded, Resolution, Submission};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Versions have a gap, an event cannot follow, or the row differs from the fold of the log.
    LogIsBroken,
    /// An acknowledged submit is not stored.
    SubmitIsLost,
    /// One key has led to two workflows.
    KeyHasTwoWorkflows,
    /// An acknowledged decision, cancel, report or resolution is not in the log.
    DecisionIsLost,
    /// An impossible answer.
    AnswerIsWrong,
    /// Something ran that nobody approved, or whose start is not in the log.
    StartedUnapproved,
    /// One attempt ran twice, or an action that is not idempotent did.
    StartedTwice,
    /// Something began after it had ended.
    StartedAfterItsEnd,
    /// Two attempts ran at the same time.
    AttemptsOverlap,
    /// A released action never ran, or a running one never ended.
    StartIsLost,
    /// It is recorded as succeeded, and has not.
    SuccessIsInvented,
    /// Its outcome is recorded as unknown, although its server was healthy.
    UnknownIsWrong,
    /// Too early, or too late.
    TimeIsWrong,
    /// A listener missed an event, or received one out of order, or one that does not exist.
    HeardWrongly,
    /// A server raised an alarm or gave up.
    Alarm,
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub rule: Rule,
    pub workflow: Option<Uuid>,
    pub detail: String,
}

/// How long a process that was started in time may take to write its first line.
const SPAWN: TimeDelta = TimeDelta::seconds(1);

struct Checker<'a> {
    history: &'a History,
    found: Vec<Violation>,
}

/// Everything that is wrong with a history after everything has settled.
pub fn check(history: &History) -> Vec<Violation> {
    let mut checker = Checker { history, found: Vec::new() };
    let mut ledger: BTreeMap<Uuid, Vec<&Line>> = BTreeMap::new();
    for line in &history.ledger {
        ledger.entry(line.workflow).or_default().push(line);
    }
    for (id, stored) in &history.stored {
        let lines = ledger.remove(id).unwrap_or_default();
        checker.log(*id, stored);
        checker.starts(*id, stored, &lines);
        checker.end(*id, stored, &lines);
        checker.unknown(*id, stored);
        checker.times(*id, stored);
    }
    for id in ledger.keys() {
        checker.say(Rule::StartedUnapproved, Some(*id), "it ran and is not stored");
    }
    checker.told();
    checker.heard();
    for alarm in &history.alarms {
        checker.say(Rule::Alarm, None, alarm);
    }
    checker.found
}

impl Checker<'_> {
    fn say(&mut self, rule: Rule, workflow: Option<Uuid>, detail: impl ToString) {
        self.found.push(Violation { rule, workflow, detail: detail.to_string() });
    }

    fn log(&mut self, id: Uuid, stored: &Stored) {
        let versions: Vec<u32> = stored.log.iter().map(|one| one.version).collect();
        let whole: Vec<u32> = (1..).take(versions.len()).collect();
        if versions.is_empty() || versions != whole {
            self.say(Rule::LogIsBroken, Some(id), format!("its versions are {versions:?}"));
            return;
        }
        match transition::replay(id, &stored.log) {
            Ok(Some(state)) if state.version == stored.version && state.status().as_str() == stored.status => {}
            Ok(Some(state)) => {
                let (version, status) = (state.version, state.status());
                let detail = format!("the log says {status} at {version}, the row {} at {}", stored.status, stored.version);
                self.say(Rule::LogIsBroken, Some(id), detail);
            }
            Ok(None) => self.say(Rule::LogIsBroken, Some(id), "its log is empty"),
            Err(error) => self.say(Rule::LogIsBroken, Some(id), error),
        }
    }

    /// What ran was approved, once for each start in the log, one after the other, and never after
    /// its end.
    fn starts(&mut self, id: Uuid, stored: &Stored, lines: &[&Line]) {
        let Some(submission) = submission(stored) else { return };
        let begun: BTreeSet<u32> = stored.log.iter().filter_map(started).collect();
        if !begun.is_empty() && !is_approved(stored, submission) {
            self.say(Rule::StartedUnapproved, Some(id), format!("{:?}", names(stored)));
        }
        let starts: Vec<&&Line> = lines.iter().filter(|line| line.mark == Mark::Start).collect();
        let retries = stored.log.iter().filter(|one| matches!(one.event, Event::Resolved { outcome: Resolution::Retry, .. })).count();
        if !submission.idempotent && starts.len() > 1 + retries {
            self.say(Rule::StartedTwice, Some(id), format!("{} starts of what is not idempotent", starts.len()));
        }
        let mut latest = 0;
        for line in lines {
            if line.mark == Mark::Start {
                if line.attempt == latest || lines.iter().filter(|one| one.mark == Mark::Start && one.attempt == line.attempt).count() > 1 {
                    self.say(Rule::StartedTwice, Some(id), format!("attempt {} started twice", line.attempt));
                }
                if !begun.contains(&line.attempt) {
                    self.say(Rule::StartedUnapproved, Some(id), format!("the start of attempt {} is not in the log", line.attempt));
                }
                if let Some(over) = over(stored, line.attempt).filter(|over| line.at > *over + SPAWN) {
                    self.say(Rule::StartedAfterItsEnd, Some(id), format!("attempt {} began at {}, over at {over}", line.attempt, line.at));
                }
            }
            if line.attempt < latest {
                self.say(Rule::AttemptsOverlap, Some(id), format!("attempt {} went on beside attempt {latest}", line.attempt));
            }
            if line.key != id.to_string() {
                self.say(Rule::StartedTwice, Some(id), format!("attempt {} had another key: {}", line.attempt, line.key));
            }
            latest = latest.max(line.attempt);
        }
    }

    /// In the end nothing waits for a turn, nothing runs, and every success has run to its end.
    fn end(&mut self, id: Uuid, stored: &Stored, lines: &[&Line]) {
        let Some(submission) = submission(stored) else { return };
        if submission.action == ActionKind::External {
            return;
        }
        match stored.log.last().map(|one| &one.event) {
            Some(Event::Released { attempt, .. }) => self.say(Rule::StartIsLost, Some(id), format!("attempt {attempt} still waits")),
            Some(Event::ExecutionStarted { attempt, .. }) => {
                self.say(Rule::StartIsLost, Some(id), format!("attempt {attempt} has started and nobody ends it"));
            }
            Some(Event::Approved(approval)) if approval.remaining == 0 => {
                self.say(Rule::StartIsLost, Some(id), "it is approved, and not released");
            }
            Some(Event::Submitted(_)) => self.say(Rule::StartIsLost, Some(id), "nothing follows from its submission"),
            _ => {}
        }
        for one in &stored.log {
            if let Event::ExecutionSucceeded { attempt, .. } = one.event
                && !lines.iter().any(|line| line.mark == Mark::End && line.attempt == attempt)
            {
                self.say(Rule::SuccessIsInvented, Some(id), format!("attempt {attempt} has not come to its end"));
            }
        }
    }

    /// `outcome_unknown` is only possible if a start is in the log, and its server no longer acts
    /// or had to stop the action.
    fn unknown(&mut self, id: Uuid, stored: &Stored) {
        for one in &stored.log {
            let Event::OutcomeUnknown { attempt: of, reason, .. } = &one.event else { continue };
            let begun = stored.log.iter().find_map(|start| match start.event {
                Event::ExecutionStarted { attempt, owner, .. } if attempt == *of && start.version < one.version => Some(owner),
                _ => None,
            });
            let Some(owner) = begun else {
                self.say(Rule::UnknownIsWrong, Some(id), format!("attempt {of} never started"));
                continue;
            };
            let server = self.history.servers.get(&owner);
            let is_gone = server.and_then(|server| server.ended_at).is_some_and(|ended| ended <= one.at);
            let was_cut = server.is_some_and(|server| server.cut.contains(&id));
            let is_external = submission(stored).is_some_and(|submission| submission.action == ActionKind::External);
            if !is_gone && !was_cut && !is_external {
                self.say(Rule::UnknownIsWrong, Some(id), format!("its server {owner} was well: {reason}"));
            }
        }
    }

    fn times(&mut self, id: Uuid, stored: &Stored) {
        let mut asked: Option<(DateTime<Utc>, Arc<ApprovalTerms>)> = None;
        for one in &stored.log {
            if let Event::ApprovalRequested { terms, .. } = &one.event {
                asked = Some((one.at, Arc::clone(terms)));
            }
            let Some((at, terms)) = &asked else { continue };
            let after = |delay: std::time::Duration| *at + TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
            let expiry = terms.expire_after.map(after);
            let is_wrong = match &one.event {
                Event::Expired { .. } => expiry.is_none_or(|expiry| one.at < expiry),
                Event::Approved(_) | Event::Rejected { .. } => expiry.is_some_and(|expiry| one.at >= expiry),
                Event::Escalated { level, .. } => {
                    let step = usize::try_from(*level).ok().and_then(|level| terms.escalation.get(level.checked_sub(1)?));
                    step.is_none_or(|step| one.at < after(step.after))
                }
                _ => false,
            };
            if is_wrong {
                self.say(Rule::TimeIsWrong, Some(id), format!("{} at {}, asked at {at}", one.event.name(), one.at));
            }
        }
    }

    /// Acknowledged changes are stored, and no answer was impossible.
    fn told(&mut self) {
        let mut keys: BTreeMap<(&str, &str), Uuid> = BTreeMap::new();
        let mut acknowledged = BTreeSet::new();
        for told in &self.history.told {
            let id = told.workflow;
            if !is_proper(told) {
                self.say(Rule::AnswerIsWrong, id, format!("{} of {}: {} {}", name(&told.call), told.by, told.status, told.code));
            }
            let (Some(id), 200 | 202) = (id, told.status) else { continue };
            if let Call::Submit { key } = &told.call {
                acknowledged.insert(id);
                if *keys.entry((told.by, key)).or_insert(id) != id {
                    self.say(Rule::KeyHasTwoWorkflows, Some(id), format!("{key} of {}", told.by));
                }
            }
            let Some(stored) = self.history.stored.get(&id) else {
                self.say(Rule::SubmitIsLost, Some(id), format!("{} of {}", name(&told.call), told.by));
                continue;
            };
            if !is_in_the_log(stored, told) {
                self.say(Rule::DecisionIsLost, Some(id), format!("{} of {}: {:?}", name(&told.call), told.by, names(stored)));
            }
        }
    }

    /// Each listener received all events, those of each workflow in order. Repetitions came later.
    fn heard(&mut self) {
        for (number, heard) in self.history.heard.iter().enumerate() {
            let mut next: BTreeMap<Uuid, u32> = BTreeMap::new();
            for (id, version) in heard {
                let due = next.entry(*id).or_insert(1);
                if *version == *due {
                    *due += 1;
                } else if *version > *due {
                    let detail = format!("listener {number} heard of {version} before {due}");
                    *due = *version + 1;
                    self.say(Rule::HeardWrongly, Some(*id), detail);
                }
            }
            for (id, stored) in &self.history.stored {
                let (told, there) = (next.remove(id).unwrap_or(1) - 1, stored.log.last().map_or(0, |one| one.version));
                if told != there {
                    self.say(Rule::HeardWrongly, Some(*id), format!("listener {number} heard {told} events of {there}"));
                }
            }
            for id in next.keys() {
                self.say(Rule::HeardWrongly, Some(*id), format!("listener {number} heard of what is not stored"));
            }
        }
    }
}

fn submission(stored: &Stored) -> Option<&Submission> {
    stored.log.iter().find_map(|one| match &one.event {
        Event::Submitted(submission) => Some(&**submission),
        _ => None,
    })
}

fn started(one: &Recorded) -> Option<u32> {
    match one.event {
        Event::ExecutionStarted { attempt, .. } => Some(attempt),
        _ => None,
    }
}

fn names(stored: &Stored) -> Vec<&'static str> {
    stored.log.iter().map(|one| one.event.name()).collect()
}

/// Before its first start, as many different people as the last round needs had approved, none of
/// them the requester or the person it acts for; or nobody was asked, because its level asks
/// nobody.
fn is_approved(stored: &Stored, submission: &Submission) -> bool {
    let mut asked: Option<&ApprovalTerms> = None;
    let mut yes: BTreeSet<&str> = BTreeSet::new();
    for one in &stored.log {
        match &one.event {
            Event::ApprovalRequested { terms, .. } => {
                asked = Some(terms);
                yes.clear();
            }
            Event::Approved(_) if one.actor != submission.requested_by && Some(&one.actor) != submission.on_behalf_of.as_ref() => {
                yes.insert(&one.actor);
            }
            Event::ExecutionStarted { .. } => {
                return match asked {
                    Some(terms) => yes.len() >= terms.required as usize,
                    None => submission.assessment.level == Level::Low,
                };
            }
            Event::Rejected { .. } | Event::Expired { .. } | Event::Cancelled { .. } => return false,
            _ => {}
        }
    }
    true
}

/// When an attempt was over: its outcome, possibly an unknown one, or an earlier end of the whole
/// request.
fn over(stored: &Stored, attempt: u32) -> Option<DateTime<Utc>> {
    stored.log.iter().find_map(|one| {
        let is_over = match one.event {
            Event::OutcomeUnknown { attempt: of, .. }
            | Event::ExecutionSucceeded { attempt: of, .. }
            | Event::ExecutionFailed { attempt: of, .. }
            | Event::ExecutionCancelled { attempt: of, .. }
            | Event::StartRefused { attempt: of, .. } => of == attempt,
            Event::Released { attempt: next, .. } => next == attempt + 1,
            Event::Rejected { .. } | Event::Cancelled { .. } | Event::Expired { .. } => true,
            _ => false,
        };
        is_over.then_some(one.at)
    })
}

fn name(call: &Call) -> &'static str {
    match call {
        Call::Submit { .. } => "submit",
        Call::Approve => "approve",
        Call::Reject => "reject",
        Call::Cancel => "cancel",
        Call::Report { .. } => "report",
        Call::Resolve => "resolve",
        Call::Read => "read",
    }
}

/// Whether a server in trouble may give this answer. Everything in the requests exists, and every
/// caller is authenticated.
fn is_proper(told: &Told) -> bool {
    match (told.status, told.code.as_str()) {
        (200 | 202 | 429 | 503, _) => true,
        (403, code) => matches!((code, &told.call), ("not-an-approver" | "self-approval", Call::Approve | Call::Reject | Call::Resolve)),
        (409, code) => ["already-decided", "wrong-state", "idempotency-key-in-use"].contains(&code),
        (410, code) => code == "expired",
        _ => false,
    }
}

fn is_in_the_log(stored: &Stored, told: &Told) -> bool {
    match &told.call {
        Call::Submit { .. } => stored.first("submitted").is_some_and(|one| one.actor == told.by),
        Call::Approve => stored.has("approved", told.by),
        Call::Reject => stored.has("rejected", told.by),
        // The second caller is told that it is cancelled, or that what runs is being stopped.
        Call::Cancel => stored.first("cancelled").or_else(|| stored.first("cancel_requested")).is_some(),
        Call::Report { succeeded: true } => stored.first("execution_succeeded").is_some(),
        Call::Report { succeeded: false } => stored.first("execution_failed").is_some(),
        Call::Resolve => stored.has("resolved", told.by),
        Call::Read => true,
    }
}
