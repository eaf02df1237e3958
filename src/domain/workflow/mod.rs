//! A workflow: what was asked, the events that followed, and the state that they fold to.
//!
//! A workflow is a plan of one or more steps; a single task is a plan of one. People are asked in
//! rounds, each about one digest, and a new round voids what was given in the one before. Each step
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
    /// The number of its last event; the next one can be written once.
    pub version: u32,
    /// Who asked for it, and how it was assessed.
    pub submission: Arc<Submission>,
    /// What is to be done.
    pub plan: Plan,
    /// The documents that have taken the place of the one that was submitted, oldest first. The
    /// last one holds.
    pub renewals: Vec<Renewal>,
    /// The rounds of approval, oldest first; none where nobody was asked. Only the last one can be
    /// open.
    pub rounds: Vec<Round>,
    /// How each step stands, in the order of the plan.
    pub steps: Vec<StepState>,
    pub disposition: Disposition,
    /// Every answer of a person, oldest first, whatever the round.
    pub decisions: Vec<Decision>,
    /// What was said beside.
    pub discussion: Discussion,
    /// The exceptions from freezes, oldest first.
    pub exceptions: Vec<Exception>,
    /// The reviews of broken glass, oldest first. Only the last one can be open.
    pub reviews: Vec<AfterReview>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What somebody has decided about the plan as a whole, apart from its rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disposition {
    /// It goes on as its rounds and its steps say.
    #[default]
    Active,
    /// Its requester or an admin has cancelled it before anything ran, or what ran was ended for
    /// them.
    Cancelled,
    /// Another task of its requester has taken its place before it was decided.
    Superseded {
        /// The workflow of that task.
        by: Uuid,
    },
}

impl Workflow {
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
            // What undoes the steps before it is still to come.
            if any(|step| matches!(step.stage, Stage::Queued | Stage::Resting)) { Status::Queued } else { Status::Failed }
        } else if self.numbered_steps().any(|(_, step, state)| step.compensates.is_none() && state.ended().is_none()) {
            // Between two events of one commit also what has not been released: to a reader it has
            // not started yet either.
            Status::Queued
        } else {
            Status::Completed
        }
    }

    /// The last round of approval, for a task that needed one. Only this one counts.
    pub fn round(&self) -> Option<&Round> {
        self.rounds.last()
    }

    /// The round in which people are asked now.
    pub fn open_round(&self) -> Option<&Round> {
        self.round().filter(|round| round.is_open() && self.disposition == Disposition::Active)
    }

    /// The last round that is about a step, if people were asked about it: of a plan that is
    /// approved as one any round is.
    pub fn round_of(&self, step: u32) -> Option<&Round> {
        self.round().filter(|round| round.step == self.submission.asked_about(step))
    }

    /// How dangerous is what people are asked about, or were asked about last: one step of a plan,
    /// or the whole.
    pub fn asked_level(&self) -> Level {
        self.submission.level_of(self.round().and_then(|round| round.step))
    }

    /// What a decision is about: the subject of the round, or the document where nobody is asked.
    pub fn subject(&self) -> &Digest {
        self.round().map_or_else(|| self.document(), |round| &round.subject)
    }

    /// What people are asked about: one step of a plan, or the whole.
    pub fn asked_target(&self) -> Option<&Target> {
        let step = self.round().and_then(|round| self.submission.planned(round.step?));
        step.map(|step| &step.target).or(self.submission.target.as_ref())
    }

    /// Opens the next round: whatever was given before about the same is void, and what was queued
    /// waits again.
    pub fn open_next(&mut self, next: Round) {
        if let Some(before) = self.rounds.last_mut().filter(|before| before.step == next.step) {
            before.outcome = Some(RoundOutcome::Voided);
        }
        self.rounds.push(next);
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

    /// How a step stands; `None` if the plan has no such step.
    pub fn step(&self, number: u32) -> Option<&StepState> {
        self.steps.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The steps of the plan with how each stands, and its number.
    pub fn numbered_steps(&self) -> impl Iterator<Item = (u32, &Step, &StepState)> {
        (1..).zip(&self.plan.steps).zip(&self.steps).map(|((number, step), state)| (number, step, state))
    }

    /// Whether the turn of a step may come: all before it have succeeded. What undoes a step waits
    /// until a later one has failed, and until what comes before it in the order of undoing has
    /// been undone.
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

    /// What the action is about that is next: of a plan its first step that has not succeeded, or
    /// what undoes one; of a single task the whole.
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

    /// How a step stands, in a word.
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

    /// The attempt that waits for a turn: of the first step that has one.
    pub fn queued(&self) -> Option<AttemptId> {
        if self.disposition != Disposition::Active {
            return None;
        }
        self.numbered_steps().find_map(|(step, _, state)| Some(AttemptId { step, number: state.queued()? }))
    }

    /// The attempt that is released when a pause is over, and when that is.
    pub fn resting(&self) -> Option<(AttemptId, DateTime<Utc>)> {
        if self.disposition != Disposition::Active {
            return None;
        }
        self.numbered_steps().find_map(|(step, _, state)| {
            let (number, rest) = state.resting()?;
            Some((AttemptId { step, number }, transition::rests_until(rest)))
        })
    }

    /// This very attempt, if it is under way.
    pub fn running(&self, attempt: AttemptId) -> Option<&Attempt> {
        self.step(attempt.step)?.running().filter(|running| running.number == attempt.number)
    }

    /// Whether somebody has cancelled what is running, and it has not ended yet.
    pub fn is_being_cancelled(&self) -> bool {
        self.steps.iter().any(|step| step.running().is_some_and(|attempt| attempt.cancel_requested.is_some()))
    }

    /// How many attempts have been started, of all steps.
    pub fn started(&self) -> usize {
        self.steps.iter().map(|step| step.attempts.len()).sum()
    }

    /// The workflow that has taken the place of this one, if one has.
    pub fn superseded_by(&self) -> Option<Uuid> {
        match self.disposition {
            Disposition::Superseded { by } => Some(by),
            Disposition::Active | Disposition::Cancelled => None,
        }
    }

    /// How the approval stands.
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

    /// The last decision of a round that is settled, which is the one that settled it.
    pub fn deciding(&self) -> Option<&Decision> {
        match self.approval_status() {
            ApprovalStatus::Approved | ApprovalStatus::Rejected => self.decisions.last(),
            ApprovalStatus::NotRequired | ApprovalStatus::Pending | ApprovalStatus::Expired | ApprovalStatus::Cancelled => None,
        }
    }
}
