//! Who may decide, derived a second time from the log alone, without the functions under test.

use parkbrake::domain::policy::{ApprovalTerms, Principal, PrincipalKind};
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::workflow::{Event, Recorded, Resolution, Submission};
use std::collections::{BTreeMap, BTreeSet};

/// The people and agents of a case, by name.
pub type Directory = BTreeMap<String, Principal>;

/// Why a log is impossible, if it is.
pub fn verdict(log: &[Recorded], directory: &Directory) -> Result<(), String> {
    let mut submission: Option<&Submission> = None;
    let mut round: Option<Asked<'_>> = None;
    let mut over: Option<&str> = None;
    let mut attempts = 0;
    let mut released = None;
    let (mut unknown, mut retry) = (false, None);
    let mut cancelled = None;
    let (mut failures, mut resting) = (0, None);
    for (index, recorded) in log.iter().enumerate() {
        if recorded.version as usize != index + 1 {
            return Err(format!("version {} at index {index}", recorded.version));
        }
        // Comments decide nothing.
        if matches!(recorded.event, Event::Commented { .. }) {
            continue;
        }
        if let (Some("execution_failed"), Event::RetryScheduled { attempt, after, .. }) = (over, &recorded.event) {
            let submission = submission.ok_or("tried again before it was submitted")?;
            let retry = submission.retry.filter(|_| submission.idempotent).ok_or("tried again although nobody said so")?;
            let pause = retry.backoff * 2_u32.pow(failures - 1);
            if failures >= retry.attempts || *attempt != attempts + 1 || *after != pause || cancelled.is_some() {
                return Err(format!("attempt {attempt} follows {failures} failures after {after:?}"));
            }
            resting = Some(recorded.at + pause);
            over = None;
            continue;
        }
        if let Some(over) = over {
            return Err(format!("`{}` after `{over}`", recorded.event.name()));
        }
        match &recorded.event {
            Event::Submitted(submitted) => submission = Some(submitted),
            Event::ApprovalRequested { terms, reason, .. } => {
                if reason.is_some() != (released.take().is_some()) {
                    return Err("asked again without a reason, or with a reason at first".to_owned());
                }
                round = Some(Asked::new(terms, recorded));
            }
            Event::Approved(approval) => {
                let (Some(round), Some(submission)) = (&mut round, submission) else { return Err("approved unasked".to_owned()) };
                if approval.digest != submission.digest || approval.approver != recorded.actor {
                    return Err("an approval of something else, or by somebody else".to_owned());
                }
                round.approve(submission, &directory[&recorded.actor], approval.justification.as_deref(), recorded)?;
            }
            Event::Withdrawn { remaining, .. } => {
                let round = round.as_mut().ok_or("withdrawn unasked")?;
                if round.approvals.remove(&recorded.actor).is_none() || *remaining == 0 {
                    return Err(format!("{} took back what they had not given, or a quorum was met", recorded.actor));
                }
            }
            Event::Escalated { level, to, .. } => round.as_mut().ok_or("escalated unasked")?.escalate(*level, to, recorded)?,
            Event::Expired { .. } => round.as_ref().ok_or("expired unasked")?.expire(recorded)?,
            Event::Released { attempt, .. } => {
                let submission = submission.ok_or("released before it was submitted")?;
                if cancelled.is_some() {
                    return Err("released after it was cancelled".to_owned());
                }
                if resting.take().is_some_and(|until| recorded.at < until) {
                    return Err("released before its pause was over".to_owned());
                }
                may_begin(*attempt, attempts, submission.idempotent || retry == Some(attempts), round.as_ref())?;
                released = Some(*attempt);
            }
            Event::ExecutionStarted { attempt, token, .. } => {
                let submission = submission.ok_or("started before it was submitted")?;
                may_begin(*attempt, attempts, submission.idempotent || retry == Some(attempts), round.as_ref())?;
                let is_external = submission.action == ActionKind::External;
                if is_external == (released.take() == Some(*attempt)) || is_external == token.is_some() {
                    return Err(format!("attempt {attempt} was started without its turn"));
                }
                attempts += 1;
            }
            Event::Resolved { attempt, outcome, roles, justification, .. } => {
                let submission = submission.ok_or("resolved before it was submitted")?;
                let by = &directory[&recorded.actor];
                if !unknown || *attempt != attempts || justification.trim().is_empty() {
                    return Err("resolved what was known, or without a word".to_owned());
                }
                let is_separate = round.as_ref().is_none_or(|round| round.terms.separation_of_duties);
                let related = by.name == submission.requested_by || Some(&by.name) == submission.on_behalf_of.as_ref();
                let holds = !roles.is_empty() && roles.iter().all(|role| by.roles.contains(role));
                if by.kind != PrincipalKind::Person || !holds || (is_separate && related) {
                    return Err(format!("{} resolved what is not theirs", by.name));
                }
                if *outcome == Resolution::Retry {
                    retry = Some(attempts);
                }
            }
            Event::CancelRequested { attempt, .. } => {
                let submission = submission.ok_or("cancelled before it was submitted")?;
                let by = &directory[&recorded.actor];
                let is_theirs = by.name == submission.requested_by || Some(&by.name) == submission.on_behalf_of.as_ref();
                let is_same_agents = by.on_behalf_of.is_some() && by.on_behalf_of == submission.on_behalf_of;
                if *attempt != attempts
                    || cancelled.replace(*attempt).is_some()
                    || !(is_theirs || is_same_agents || by.roles.contains("admin"))
                {
                    return Err(format!("{} cancelled what does not run, twice, or what is not theirs", by.name));
                }
            }
            Event::ExecutionCancelled { attempt, .. } if cancelled != Some(*attempt) => {
                return Err(format!("attempt {attempt} was ended for nobody"));
            }
            Event::ExecutionFailed { .. } => failures += 1,
            Event::StartRefused { attempt, .. } if released != Some(*attempt) => {
                return Err(format!("attempt {attempt} was refused and not released"));
            }
            Event::ExecutionSucceeded { .. } | Event::OutcomeUnknown { .. } if attempts == 0 => {
                return Err("it ended before it began".to_owned());
            }
            _ => {}
        }
        unknown = matches!(recorded.event, Event::OutcomeUnknown { .. });
        over = match recorded.event {
            Event::Resolved { outcome: Resolution::Succeeded | Resolution::Failed, .. } => Some(recorded.event.name()),
            Event::Rejected { .. } | Event::Expired { .. } | Event::Cancelled { .. } | Event::Superseded { .. } => {
                Some(recorded.event.name())
            }
            Event::ExecutionSucceeded { .. }
            | Event::ExecutionFailed { .. }
            | Event::ExecutionCancelled { .. }
            | Event::StartRefused { .. } => Some(recorded.event.name()),
            _ => None,
        };
    }
    Ok(())
}

/// Whether this may be the next attempt: the first, one of an idempotent action, or one that a
/// person decided on; with all the approvals of the last round.
fn may_begin(attempt: u32, attempts: u32, may_repeat: bool, round: Option<&Asked<'_>>) -> Result<(), String> {
    if attempt != attempts + 1 || (attempts > 0 && !may_repeat) {
        return Err(format!("attempt {attempt} comes after {attempts}"));
    }
    match round {
        Some(round) if !round.is_satisfied() => Err(format!("begun with too few approvals: {:?}", round.approvals)),
        _ => Ok(()),
    }
}

/// Whether all people together could start what this log requests, after all its steps.
pub fn could_start(log: &[Recorded], directory: &Directory) -> bool {
    let (Event::Submitted(submission), Event::ApprovalRequested { terms, .. }) = (&log[0].event, &log[1].event) else { return true };
    let mut asked = Asked::new(terms, &log[1]);
    asked.steps_taken = terms.escalation.len();
    for person in directory.values() {
        // A refusal means that this person's approval does not count.
        let _ = asked.approve(submission, person, Some("yes"), &log[1]);
    }
    asked.is_satisfied()
}

/// A request, according to its log.
struct Asked<'l> {
    terms: &'l ApprovalTerms,
    requested: &'l Recorded,
    steps_taken: usize,
    /// The approvers, and the roles of theirs that were asked at that time.
    approvals: BTreeMap<String, BTreeSet<String>>,
}

impl<'l> Asked<'l> {
    fn new(terms: &'l ApprovalTerms, requested: &'l Recorded) -> Self {
        Self { terms, requested, steps_taken: 0, approvals: BTreeMap::new() }
    }

    fn approve(&mut self, submission: &Submission, by: &Principal, justification: Option<&str>, at: &Recorded) -> Result<(), String> {
        let name = &by.name;
        let mut asked: BTreeSet<String> = self.terms.approvers.iter().cloned().collect();
        for step in &self.terms.escalation[..self.steps_taken] {
            asked.extend(step.to.iter().cloned());
        }
        let roles: BTreeSet<String> = by.roles.intersection(&asked).cloned().collect();
        if by.kind != PrincipalKind::Person || roles.is_empty() {
            return Err(format!("{name} approved with none of {asked:?}"));
        }
        let related = *name == submission.requested_by || Some(name) == submission.on_behalf_of.as_ref();
        if self.terms.separation_of_duties && related {
            return Err(format!("{name} approved a request of their own"));
        }
        if self.terms.require_justification && justification.is_none_or(|text| text.trim().is_empty()) {
            return Err(format!("{name} approved without a word"));
        }
        if self.terms.expire_after.is_some_and(|delay| at.at >= self.requested.at + delay) {
            return Err(format!("{name} approved what had expired"));
        }
        match self.approvals.insert(name.clone(), roles) {
            Some(_) => Err(format!("{name} approved twice")),
            None => Ok(()),
        }
    }

    fn escalate(&mut self, level: u32, to: &[String], at: &Recorded) -> Result<(), String> {
        let step = self.terms.escalation.get(self.steps_taken).ok_or("a step that no timetable has")?;
        if level as usize != self.steps_taken + 1 || to != step.to || at.at < self.requested.at + step.after {
            return Err(format!("step {level} is out of order, early, or asks others"));
        }
        self.steps_taken += 1;
        Ok(())
    }

    fn expire(&self, at: &Recorded) -> Result<(), String> {
        let due = self.terms.expire_after.is_some_and(|delay| at.at >= self.requested.at + delay);
        due.then_some(()).ok_or_else(|| "expired early, or never due to".to_owned())
    }

    /// Whether there are enough approvals, of enough roles if they have to differ: by trying all
    /// combinations.
    fn is_satisfied(&self) -> bool {
        fn most(people: &[&BTreeSet<String>], taken: &BTreeSet<&String>) -> usize {
            let Some((first, rest)) = people.split_first() else { return 0 };
            let without = most(rest, taken);
            let with = first.iter().filter(|role| !taken.contains(role)).map(|role| {
                let mut taken = taken.clone();
                taken.insert(role);
                1 + most(rest, &taken)
            });
            with.max().unwrap_or_default().max(without)
        }
        let people: Vec<_> = self.approvals.values().collect();
        let count = if self.terms.distinct_roles { most(&people, &BTreeSet::new()) } else { people.len() };
        count >= self.terms.required as usize
    }
}
