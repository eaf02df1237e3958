//! Today's rules: who is listed and not suspended, and what each level's policy requires now.
//!
//! A workflow keeps the terms that it was parked under, but they are not the last word: when
//! somebody decides, and again right before the action starts, today's rules are checked as well,
//! and the stricter of both apply. They can invalidate an approval; they never create one that the
//! stored round did not have.

mod cover;
mod names;
mod stricter;

pub use names::{Barred, InSlack};

use crate::domain::hold::Freeze;
use crate::domain::policy::{ApprovalTerms, Policy, Principal, Role, Suspended};
use crate::domain::risk::level::Level;
use crate::domain::workflow::approval;
use crate::domain::workflow::transition::{self, Answer};
use crate::domain::workflow::{Approval, Command, Event, Exception, Refusal, Round, Submission, Verdict, Workflow};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The running configuration, and who is suspended.
#[derive(Debug, Clone, Copy)]
pub struct Today<'a> {
    pub policy: &'a Policy,
    pub suspended: &'a Suspended,
    /// The time, by the database's clock.
    pub now: DateTime<Utc>,
}

/// Whether an action that was released may still start.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The approvals are enough, today as then.
    Holds,
    /// People have to be asked, under these terms and for this reason.
    AskAgain { terms: Arc<ApprovalTerms>, reason: String },
    /// It must not start.
    Refused { reason: String },
}

/// A round of approval, evaluated by today's rules.
#[derive(Debug)]
pub struct Review<'a> {
    /// The stricter of the round's terms and today's. A new round is opened under these.
    pub terms: ApprovalTerms,
    /// The approvals that count today, each with the roles by which it does.
    pub counted: Vec<(&'a Approval, Vec<Role>)>,
    /// Whether an entitled person has broken the glass, which is enough alone.
    pub is_broken: bool,
    /// Why people have to be asked again, if so: which terms became stricter, and which approvals
    /// no longer count.
    pub changes: Vec<String>,
}

impl Review<'_> {
    /// How many approvals would be missing after one more by a person with these roles.
    pub fn remaining_with(&self, roles: Option<&[Role]>) -> u32 {
        if self.is_broken {
            return 0;
        }
        let counted = self.counted.iter().map(|(_, roles)| roles.as_slice());
        approval::remaining(&self.terms, &counted.chain(roles).collect::<Vec<_>>())
    }
}

impl<'a> Today<'a> {
    /// Whether this principal may give this verdict on this request, and by which roles.
    ///
    /// # Errors
    /// `NotPermitted` if the caller has no rights today, `SelfApproval` for the requester and the
    /// person it acts for, `NotAnApprover` if none of the caller's roles is asked.
    pub fn may_decide(self, submission: &Submission, round: &Round, by: &Principal, verdict: Verdict) -> Result<Vec<Role>, Refusal> {
        self.has_rights(by)?;
        let by = &self.deciding(submission, by);
        match verdict {
            // A rejection is always safe, so everybody entitled by the round may reject, even their
            // own request.
            Verdict::Rejected | Verdict::Withdrawn => approval::roles_of_round(by, round, &approval::entitled_roles(round)),
            Verdict::Approved => {
                if self.separates(submission, round) {
                    self.separate(submission, &by.name)?;
                }
                approval::roles_of_round(by, round, &self.entitled(submission, round))
            }
        }
    }

    /// Decides a command by the workflow's own terms and by today's. An approval counts only if it
    /// satisfies both. If a term became stricter, or an earlier approval no longer counts, the
    /// approval opens a new round under the stricter terms and is the first one there.
    ///
    /// # Errors
    /// The refusal, which changes nothing.
    pub fn decide(self, workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
        let widened = self.widened(workflow, command);
        let answer = self.answer(workflow, widened.as_ref().unwrap_or(command))?;
        let answer = self.while_covers_last(workflow, command, answer);
        // This check is last, so that nobody signs in again only to get another error. A person who
        // repeats a decision gets the first answer.
        if let (Command::Approve { by, .. } | Command::BreakGlass { by, .. } | Command::Except { by, .. }, Answer::Commit { .. }) =
            (command, &answer)
        {
            self.has_signed_in_recently(workflow.asked_level(), by)?;
        }
        Ok(answer)
    }

    /// Whether the approver has signed in as recently as the level requires today. This is checked
    /// at the approval and not again at the start: it protects against an unattended screen, and
    /// has nothing to do with who may decide.
    pub(super) fn has_signed_in_recently(self, level: Level, by: &Principal) -> Result<(), Refusal> {
        let within = self.policy.level(level).recent_sign_in;
        within.and_then(|within| by.signed_in.too_long_ago(level, within)).map_or(Ok(()), |why| Err(Refusal::SignInAgain(why)))
    }

    fn answer(self, workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
        match (command, workflow.open_round()) {
            (Command::Approve { by, .. }, Some(round)) => self.approve(workflow, round, by, command),
            (Command::BreakGlass { by, .. }, _) => self.break_glass(workflow, by, command),
            (Command::Review { by, .. }, _) => self.review_glass(workflow, by, command),
            (Command::Except { by, .. }, _) => {
                self.has_rights(by)?;
                self.may_except(&workflow.submission, workflow.round(), &by.name)?;
                transition::decide(workflow, command)
            }
            (Command::Approve { by, .. } | Command::Reject { by, .. } | Command::Withdraw { by, .. } | Command::Comment { by, .. }, _) => {
                self.has_rights(by)?;
                transition::decide(workflow, command)
            }
            _ => Ok(self.ask_first(workflow, transition::decide(workflow, command)?)),
        }
    }

    /// The same answer, unless it releases a step that needs an approval of its own: then people
    /// are asked instead, in the same commit.
    fn ask_first(self, workflow: &Workflow, answer: Answer) -> Answer {
        let Answer::Commit { mut events, guard } = answer else { return answer };
        for event in &mut events {
            let Event::Released { step, attempt: 1 } = *event else { continue };
            // The start gate asks about a step that uses outputs, once the document contains them.
            let awaits = workflow.submission.planned(step).is_some_and(|planned| planned.awaits);
            let asked = workflow.submission.asked_about(step).filter(|_| !awaits && workflow.round_of(step).is_none());
            let policy = self.policy.level(workflow.submission.level_of(asked));
            if asked.is_some() && !policy.auto_approve {
                let terms = Arc::clone(&policy.terms);
                *event = Event::ApprovalRequested { round: workflow.next_round(), terms, reason: None, step: asked };
            }
        }
        Answer::Commit { events, guard }
    }

    fn approve(self, workflow: &Workflow, round: &Round, by: &Principal, command: &Command) -> Result<Answer, Refusal> {
        let submission = &workflow.submission;
        let roles = self.may_decide(submission, round, by, Verdict::Approved)?;
        self.requester_has_rights(workflow)?;
        let Command::Approve { justification, digest, owner, .. } = command else { return transition::decide(workflow, command) };
        let is_new = round.approvals.iter().all(|given| given.approver != by.name);
        let review = self.review_with(submission, round, is_new.then_some(roles.as_slice()), None);
        let command = Command::Approve {
            by: Principal { roles: roles.into_iter().collect(), ..by.clone() },
            justification: justification.clone(),
            digest: digest.clone(),
            owner: *owner,
        };
        if review.changes.is_empty() {
            return transition::decide(workflow, &command);
        }
        let (number, terms) = (workflow.next_round(), Arc::new(review.terms));
        let mut reopened = workflow.clone();
        let next = Round::open(number, (round.subject.clone(), round.step), Arc::clone(&terms), round.opened_at);
        reopened.open_next(Round { document: round.document, ..next });
        let answer = transition::decide(&reopened, &command)?;
        let Answer::Commit { mut events, mut guard } = answer else { return Ok(answer) };
        events.insert(0, Event::ApprovalRequested { round: number, terms, reason: Some(review.changes.join("; ")), step: round.step });
        guard.not_after = transition::expires_at(round);
        Ok(Answer::Commit { events, guard })
    }

    pub(super) fn requester_has_rights(self, workflow: &Workflow) -> Result<(), Refusal> {
        let requester = &workflow.submission.requested_by;
        self.principal(requester).map(drop).map_err(|barred| {
            let detail = format!("{requester}, who submitted this, is {}, so it cannot be approved", barred.as_str());
            Refusal::WrongState { current: workflow.status(), detail }
        })
    }

    /// With separation of duties, nobody on the requester's side may approve an exception.
    fn may_except(self, submission: &Submission, round: Option<&Round>, name: &str) -> Result<(), Refusal> {
        let terms = &self.policy.level(submission.assessment.level).terms;
        let separates = round.map_or(terms.separation_of_duties, |round| self.separates(submission, round));
        if separates { self.separate(submission, name) } else { Ok(()) }
    }

    /// Whether an exception still counts: its giver has rights today, has a role that the freeze
    /// names today, and is not on the requester's side.
    pub fn excepts(self, workflow: &Workflow, freeze: &Freeze, exception: &Exception) -> bool {
        let given = &exception.given;
        let holds = |name: &str| self.principal(name).is_ok_and(|by| by.roles.iter().any(|role| freeze.exception.contains(role)));
        given.freeze == freeze.name
            && given.digest == *workflow.document()
            && holds(&given.approver)
            && self.may_except(&workflow.submission, workflow.round(), &given.approver).is_ok()
    }

    pub(super) fn has_rights(self, by: &Principal) -> Result<(), Refusal> {
        let barred = |barred: Barred| Refusal::NotPermitted(format!("{} is {}", by.name, barred.as_str()));
        self.principal(&by.name).map(drop).map_err(barred)
    }

    /// The roles that may approve: those of the round that today's policy of the level still asks
    /// at some time.
    pub fn entitled<'r>(self, submission: &Submission, round: &'r Round) -> Vec<&'r Role> {
        let asked = self.asked(submission.level_of(round.step));
        approval::entitled_roles(round).into_iter().filter(|role| asked.as_ref().is_none_or(|asked| asked.contains(role))).collect()
    }

    /// The roles that the level's policy ever asks; `None` if it asks nobody, and so restricts
    /// nothing.
    fn asked(self, level: Level) -> Option<BTreeSet<&'a Role>> {
        let policy = self.policy.level(level);
        let terms = &policy.terms;
        (!policy.auto_approve).then(|| terms.approvers.iter().chain(terms.escalation.iter().flat_map(|step| &step.to)).collect())
    }

    /// Whether enough people have one of these roles, if the level's policy still asks it.
    pub fn could_decide(self, level: Level, roles: &BTreeSet<Role>, required: u32) -> bool {
        let asked = self.asked(level);
        let counts = |role: &Role| roles.contains(role) && asked.as_ref().is_none_or(|asked| asked.contains(role));
        let people = self.policy.people().iter().filter(|(name, person)| !self.suspended.contains(name) && person.roles.iter().any(counts));
        people.take(required as usize).count() >= required as usize
    }

    fn separates(self, submission: &Submission, round: &Round) -> bool {
        let policy = self.policy.level(submission.level_of(round.step));
        round.terms.separation_of_duties || (!policy.auto_approve && policy.terms.separation_of_duties)
    }

    /// Refuses the requester, agents that act for it, and the person it acts for, according to the
    /// stored submission and to today's configuration.
    pub(super) fn separate(self, submission: &Submission, name: &str) -> Result<(), Refusal> {
        self.separate_from(&submission.requested_by, submission.on_behalf_of.as_deref(), name)
    }

    pub(super) fn separate_from(self, requester: &str, on_behalf_of: Option<&str>, name: &str) -> Result<(), Refusal> {
        let behind = self.owners([Some(requester), on_behalf_of].into_iter().flatten());
        let Some(shared) = self.owners([name]).into_iter().find(|name| behind.contains(name)) else { return Ok(()) };
        Err(Refusal::SelfApproval(if shared.eq_ignore_ascii_case(requester) {
            format!("{requester} submitted this task; somebody else has to approve it")
        } else {
            format!("{requester} submitted this task on behalf of {shared}; somebody else has to approve it")
        }))
    }

    /// These names and everybody whom they act for, in lower case: names are compared without case.
    fn owners<'n>(self, names: impl IntoIterator<Item = &'n str>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut left: Vec<String> = names.into_iter().map(str::to_ascii_lowercase).collect();
        while let Some(name) = left.pop() {
            let agents = self.policy.agents().iter().filter(|(agent, _)| agent.eq_ignore_ascii_case(&name));
            let owners = agents.filter_map(|(_, agent)| agent.on_behalf_of.as_deref());
            let owners: Vec<_> = owners.map(str::to_ascii_lowercase).collect();
            if found.insert(name) {
                left.extend(owners);
            }
        }
        found
    }

    /// Evaluates a round by today's rules.
    pub fn review<'r>(self, submission: &Submission, round: &'r Round) -> Review<'r> {
        self.review_with(submission, round, None, None)
    }

    /// The same with one more approval by somebody with these roles, or at a given time.
    fn review_with<'r>(self, submission: &Submission, round: &'r Round, adding: Option<&[Role]>, now: Option<DateTime<Utc>>) -> Review<'r> {
        let (terms, mut changes) = self.stricter(submission, round);
        let mut counted = Vec::new();
        for approval in &round.approvals {
            match self.counts(submission, round, (&terms, now), approval) {
                Ok(roles) => counted.push((approval, roles)),
                Err(why) => changes.push(format!("the approval of {} no longer counts: {why}", approval.approver)),
            }
        }
        let given = round.approvals.iter().map(|approval| approval.roles.as_slice()).chain(adding);
        let missing = approval::remaining(&round.terms, &given.collect::<Vec<_>>());
        let is_broken = counted.iter().any(|(approval, _)| round.broken_by.as_ref() == Some(&approval.approver));
        let review = Review { terms, counted, is_broken, changes };
        if review.changes.is_empty() && review.remaining_with(adding) > missing {
            let changes = vec!["those who have approved no longer have the roles that they answered for".to_owned()];
            return Review { changes, ..review };
        }
        review
    }

    /// The roles by which an approval still counts.
    fn counts(
        self,
        submission: &Submission,
        round: &Round,
        (terms, now): (&ApprovalTerms, Option<DateTime<Utc>>),
        given: &Approval,
    ) -> Result<Vec<Role>, String> {
        let mut by = self.principal(&given.approver).map_err(|barred| format!("{} is {}", given.approver, barred.as_str()))?;
        if round.broken_by.as_ref() == Some(&given.approver) {
            self.separate(submission, &given.approver).map_err(|refusal| refusal.to_string())?;
            let roles: Vec<Role> =
                self.glass_roles(submission.level_of(round.step), &by).into_iter().filter(|role| given.roles.contains(role)).collect();
            let may_not = || format!("{} may no longer break the glass", given.approver);
            return if roles.is_empty() { Err(may_not()) } else { Ok(roles) };
        }
        // A role from a provider counts as long as today's configuration still gives it to the
        // group.
        let group_roles = self.policy.group_roles();
        let stand = given.by_groups.iter().filter(|given| group_roles.is_some_and(|group_roles| group_roles.still_give(given, now)));
        by.roles.extend(stand.map(|given| given.role.clone()));
        let roles = self.may_decide(submission, round, &by, Verdict::Approved).map_err(|refusal| refusal.to_string())?;
        let roles: Vec<Role> = roles.into_iter().filter(|role| given.roles.contains(role)).collect();
        if roles.is_empty() {
            return Err(format!("{} no longer has the role that it was given by", given.approver));
        }
        if terms.require_justification && approval::justification(given.justification.as_deref()).is_none() {
            return Err("it has no justification".to_owned());
        }
        // The log does not record whether an approval named the digest, if that was not required.
        if terms.require_digest && !round.terms.require_digest {
            return Err("it may not have named the digest".to_owned());
        }
        Ok(roles)
    }

    /// Whether a released action may start: the approvals satisfy today's rules, or nobody had to
    /// approve and nobody has to today.
    pub fn standing(self, workflow: &Workflow, step: u32, now: DateTime<Utc>) -> Standing {
        let (submission, round) = (&workflow.submission, workflow.round_of(step));
        let requester = &submission.requested_by;
        if let Err(barred) = self.principal(requester) {
            return Standing::Refused { reason: format!("{requester}, who submitted this, is {}", barred.as_str()) };
        }
        let level = submission.level_of(submission.asked_about(step));
        let Some(round) = round else {
            let policy = self.policy.level(level);
            return if policy.auto_approve {
                Standing::Holds
            } else {
                let reason = format!("{level} risk needed no approval when this was submitted, and needs it now");
                Standing::AskAgain { terms: Arc::clone(&policy.terms), reason }
            };
        };
        let review = self.review_with(submission, round, None, Some(now));
        if review.remaining_with(None) == 0 {
            return Standing::Holds;
        }
        let reason = match review.changes.as_slice() {
            [] => "the approvals that were given are not enough".to_owned(),
            changes => changes.join("; "),
        };
        Standing::AskAgain { terms: Arc::new(review.terms), reason }
    }
}

#[cfg(test)]
mod tests;
