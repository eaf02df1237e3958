//! A workflow: the request, the events that followed, and the state that they fold to.
//!
//! A workflow is a plan of one or more steps; a single task is a plan of one. People are asked in
//! rounds, each about one digest, and a new round voids the approvals of the one before. Each step
//! is tried in attempts. The status is derived from these.

pub mod approval;
pub mod attempt_history;
pub mod commit;
pub mod live_output;
pub mod status;
pub mod today;
pub mod transition;

use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::task::digest::Digest;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

mod attempts;
mod command;
mod discussion;
mod events;
mod feed_entry;
mod glass;
pub mod granted;
mod plan;
mod renewal;
mod reviews;
mod rounds;
mod stored;

pub use crate::domain::workflow::status::{ApprovalStatus, Status, StepStatus};
pub use attempts::{Attempt, AttemptId, CancelRequest, Ended, ProbeAnswer, Rest, Stage, StepState};
pub use command::{Command, Disowned, Outcome, Refusal};
pub use discussion::{Discussion, LastComment, MOST_COMMENTS, Question};
pub use events::{Approval, Event, FreezeException, GlassBroken, GrantedApproval, Recorded, Resolution, Submission};
pub use feed_entry::FeedEntry;
pub use plan::{Plan, PlannedStep, Step, StepName};
pub use renewal::{Renewal, Renewed};
pub use reviews::{AfterReview, ClosedReview};
pub use rounds::{Decision, Round, RoundOutcome, Verdict};
pub use stored::{SCHEMA, TermsName, Unreadable};
pub use transition::Exception;

/// The state of one workflow: what its log folds to.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    pub id: Uuid,
    /// The number of its last event. The next number can be written only once.
    pub version: u32,
    /// The request, its requester and its assessment.
    pub submission: Arc<Submission>,
    /// The steps to perform.
    pub plan: Plan,
    /// The documents that replaced the submitted one, oldest first. The last one is in force.
    pub renewals: Vec<Renewal>,
    /// The rounds of approval, oldest first; empty if nobody was asked. Only the last one can be
    /// open.
    pub rounds: Vec<Round>,
    /// The state of each step, in the order of the plan.
    pub steps: Vec<StepState>,
    pub disposition: Disposition,
    /// Every decision of a person, oldest first, in all rounds.
    pub decisions: Vec<Decision>,
    /// The comments and questions.
    pub discussion: Discussion,
    /// The exceptions from freezes, oldest first.
    pub exceptions: Vec<Exception>,
    /// The reviews of broken glass, oldest first. Only the last one can be open.
    pub reviews: Vec<AfterReview>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What was decided about the plan as a whole, apart from its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disposition {
    /// It continues as its rounds and its steps say.
    #[default]
    Active,
    /// Its requester or an admin has cancelled it before anything ran, or a running attempt was
    /// ended for them.
    Cancelled,
    /// Another task of its requester superseded it before it was decided.
    Superseded {
        /// The workflow of that task.
        by: Uuid,
    },
}

/// Adds to a list that seldom has more than one entry: a vector would allocate four.
fn add<T>(list: &mut Vec<T>, entry: T) {
    list.reserve_exact(1);
    list.push(entry);
}

impl Workflow {
    /// The state after its first event.
    pub fn submitted(id: Uuid, submission: Arc<Submission>, at: DateTime<Utc>) -> Self {
        let plan = Plan::of(&submission);
        Self {
            id,
            version: 1,
            steps: plan.steps.iter().map(|_| StepState::default()).collect(),
            plan,
            submission,
            renewals: Vec::new(),
            rounds: Vec::new(),
            disposition: Disposition::Active,
            decisions: Vec::new(),
            discussion: Discussion::default(),
            exceptions: Vec::new(),
            reviews: Vec::new(),
            created_at: at,
            updated_at: at,
        }
    }

    /// The status on the wire.
    pub fn status(&self) -> Status {
        match self.disposition {
            Disposition::Active => {}
            Disposition::Cancelled => return Status::Cancelled,
            Disposition::Superseded { .. } => return Status::Superseded,
        }
        match self.round().map(|round| round.outcome) {
            Some(None) => Status::PendingApproval,
            Some(Some(RoundOutcome::Rejected)) => Status::Rejected,
            Some(Some(RoundOutcome::Expired)) => Status::Expired,
            None | Some(Some(RoundOutcome::Approved | RoundOutcome::Cancelled | RoundOutcome::Voided)) => self.status_of_steps(),
        }
    }

    fn status_of_steps(&self) -> Status {
        let any = |holds: fn(&StepState) -> bool| self.steps.iter().any(holds);
        if any(|step| step.running().is_some()) {
            Status::Executing
        } else if any(|step| step.unknown().is_some()) {
            Status::OutcomeUnknown
        } else if any(|step| step.ended() == Some(Ended::Failed)) {
            // The compensations of the earlier steps are still to come.
            if any(|step| matches!(step.stage, Stage::Queued | Stage::Resting)) { Status::Queued } else { Status::Failed }
        } else if self.numbered_steps().any(|(_, step, state)| step.compensates.is_none() && state.ended().is_none()) {
            // Between two events of one commit, also a step that has not been released: for a
            // reader it has not started yet either.
            Status::Queued
        } else {
            Status::Completed
        }
    }

    /// The last round of approval, if the task needed one. Only this one counts.
    pub fn round(&self) -> Option<&Round> {
        self.rounds.last()
    }

    /// The round in which people are asked now.
    pub fn open_round(&self) -> Option<&Round> {
        self.round().filter(|round| round.is_open() && self.disposition == Disposition::Active)
    }

    /// The last round about a step, if people were asked about it. If the plan is approved as a
    /// whole, that is any round.
    pub fn round_of(&self, step: u32) -> Option<&Round> {
        self.round().filter(|round| round.step == self.submission.asked_about(step))
    }

    /// The level of what people are asked about, or were asked about last: one step of a plan, or
    /// the whole.
    pub fn asked_level(&self) -> Level {
        self.submission.level_of(self.round().and_then(|round| round.step))
    }

    /// The subject of a decision: that of the round, or the document if nobody is asked.
    pub fn subject(&self) -> &Digest {
        self.round().map_or_else(|| self.document(), |round| &round.subject)
    }

    /// The target that people are asked about: one step of a plan, or the whole.
    pub fn asked_target(&self) -> Option<&Target> {
        let step = self.round().and_then(|round| self.submission.planned(round.step?));
        step.map(|step| &step.target).or(self.submission.target.as_ref())
    }

    /// Opens the next round: earlier approvals of the same subject are void, and queued attempts
    /// wait again.
    pub fn open_next(&mut self, next: Round) {
        if let Some(before) = self.rounds.last_mut().filter(|before| before.step == next.step) {
            before.outcome = Some(RoundOutcome::Voided);
        }
        add(&mut self.rounds, next);
        for step in &mut self.steps {
            if step.stage == Stage::Queued {
                step.stage = Stage::Waiting;
            }
        }
    }

    /// The number of the next round.
    pub fn next_round(&self) -> u32 {
        self.round().map_or(0, |round| round.number) + 1
    }

    /// The state of a step; `None` if the plan has no such step.
    pub fn step(&self, number: u32) -> Option<&StepState> {
        self.steps.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The steps of the plan, with their numbers and states.
    pub fn numbered_steps(&self) -> impl Iterator<Item = (u32, &Step, &StepState)> {
        (1..).zip(&self.plan.steps).zip(&self.steps).map(|((number, step), state)| (number, step, state))
    }

    /// Whether a step may be next: all earlier steps have succeeded. A compensation waits until a
    /// later step has failed, and until the compensations before it have succeeded.
    pub fn may_begin(&self, number: u32) -> bool {
        let succeeded = |number: u32| self.step(number).is_some_and(|state| state.ended() == Some(Ended::Succeeded));
        let Some(of) = self.plan.step(number).and_then(|step| step.compensates) else { return (1..number).all(succeeded) };
        let has_failed = self.numbered_steps().any(|(_, step, state)| step.compensates.is_none() && state.ended() == Some(Ended::Failed));
        let is_undone = |earlier: u32| {
            let of = self.plan.step(earlier).and_then(|step| step.compensates);
            of.is_none_or(|of| !succeeded(of) || succeeded(earlier))
        };
        has_failed && succeeded(of) && (1..number).all(is_undone)
    }

    /// The target of the next action: for a plan, its first step that has not succeeded, or a
    /// compensation; for a single task, the whole.
    pub fn next_target(&self) -> Option<&Target> {
        let undoing = self.numbered_steps().find(|(_, step, state)| {
            let is_next = matches!(state.stage, Stage::Queued | Stage::Resting) || state.running().is_some() || state.unknown().is_some();
            step.compensates.is_some() && is_next
        });
        if let Some((number, ..)) = undoing {
            return self.submission.planned(number).map(|planned| &planned.target);
        }
        let mut left = self.steps.iter().zip(&self.submission.steps).filter(|(state, _)| state.ended() != Some(Ended::Succeeded));
        left.next().map(|(_, planned)| &planned.target).or(self.submission.target.as_ref())
    }

    /// The status of a step.
    pub fn step_status(&self, number: u32, state: &StepState) -> StepStatus {
        let is_over = self.status().is_final();
        let is_asked = || self.open_round().is_some_and(|round| round.step == Some(number));
        match (state.stage, state.attempts.last().map(|attempt| attempt.outcome)) {
            (Stage::Refused, _) => StepStatus::Failed,
            (Stage::Waiting | Stage::Queued | Stage::Resting, _) if is_over => StepStatus::Skipped,
            (Stage::Waiting, _) if is_asked() => StepStatus::PendingApproval,
            (Stage::Waiting, _) => StepStatus::Waiting,
            (Stage::Queued | Stage::Resting, _) | (Stage::Started, None | Some(Some(Ended::Interrupted))) => StepStatus::Queued,
            (Stage::Started, Some(None)) => StepStatus::Executing,
            (Stage::Started, Some(Some(Ended::Succeeded))) => StepStatus::Succeeded,
            (Stage::Started, Some(Some(Ended::Failed))) => StepStatus::Failed,
            (Stage::Started, Some(Some(Ended::Unknown))) => StepStatus::OutcomeUnknown,
            (Stage::Started, Some(Some(Ended::Cancelled))) => StepStatus::Cancelled,
        }
    }

    /// The attempt that waits for its turn: that of the first step that has one.
    pub fn queued(&self) -> Option<AttemptId> {
        if self.disposition != Disposition::Active {
            return None;
        }
        self.numbered_steps().find_map(|(step, _, state)| Some(AttemptId { step, number: state.queued()? }))
    }

    /// The attempt that is released after a pause, and when.
    pub fn resting(&self) -> Option<(AttemptId, DateTime<Utc>)> {
        if self.disposition != Disposition::Active {
            return None;
        }
        self.numbered_steps().find_map(|(step, _, state)| {
            let (number, rest) = state.resting()?;
            Some((AttemptId { step, number }, transition::rests_until(rest)))
        })
    }

    /// This attempt, if it is running.
    pub fn running(&self, attempt: AttemptId) -> Option<&Attempt> {
        self.step(attempt.step)?.running().filter(|running| running.number == attempt.number)
    }

    /// Whether somebody has cancelled the running attempt, and it has not ended yet.
    pub fn is_being_cancelled(&self) -> bool {
        self.steps.iter().any(|step| step.running().is_some_and(|attempt| attempt.cancel_requested.is_some()))
    }

    /// How many attempts of all steps have been started.
    pub fn started(&self) -> usize {
        self.steps.iter().map(|step| step.attempts.len()).sum()
    }

    /// The workflow that superseded this one, if any.
    pub fn superseded_by(&self) -> Option<Uuid> {
        match self.disposition {
            Disposition::Superseded { by } => Some(by),
            Disposition::Active | Disposition::Cancelled => None,
        }
    }

    /// The status of the approval.
    pub fn approval_status(&self) -> ApprovalStatus {
        match self.round().map(|round| round.outcome) {
            None => ApprovalStatus::NotRequired,
            Some(None) => ApprovalStatus::Pending,
            Some(Some(RoundOutcome::Approved)) => ApprovalStatus::Approved,
            Some(Some(RoundOutcome::Rejected)) => ApprovalStatus::Rejected,
            Some(Some(RoundOutcome::Expired)) => ApprovalStatus::Expired,
            Some(Some(RoundOutcome::Cancelled | RoundOutcome::Voided)) => ApprovalStatus::Cancelled,
        }
    }

    /// The last decision of a settled round, which is the one that settled it.
    pub fn deciding(&self) -> Option<&Decision> {
        match self.approval_status() {
            ApprovalStatus::Approved | ApprovalStatus::Rejected => self.decisions.last(),
            ApprovalStatus::NotRequired | ApprovalStatus::Pending | ApprovalStatus::Expired | ApprovalStatus::Cancelled => None,
        }
    }
}
