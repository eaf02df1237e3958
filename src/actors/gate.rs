//! The start gate: decides whether a released action may start, right before its start is
//! committed.
//!
//! It relies on what the database has at that time, never on an actor's memory. Each guard is a
//! plain function that checks one thing. [`Gate::work`] calls them in order, and the first
//! objection counts.

use crate::actors::as_approved::work_as_approved;
use crate::actors::holds::HoldWatch;
use crate::actors::log_reader::LogReader;
use crate::actors::ports::{CancelSignal, Executor, Job, Work};
use crate::actors::precondition;
use crate::config::Configuration;
use crate::domain::hold::Held;
use crate::domain::policy::{ApprovalTerms, Suspended};
use crate::domain::task::ActionKind;
use crate::domain::task::Task;
use crate::domain::task::plan::Document;
use crate::domain::task::precondition::Drift;
use crate::domain::workflow::today::{Standing, Today};
use crate::domain::workflow::transition;
use crate::domain::workflow::{AttemptId, Renewed, Round, Workflow};
use crate::fence::Fence;
use crate::identity::Suspensions;
use crate::storage::{Error, Storage};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// The gate's verdict on one workflow.
#[derive(Debug)]
pub enum Verdict {
    /// The action may start. If the document in force is outdated, it starts with its replacement.
    Start { job: Box<Job>, renewed: Option<Arc<Renewed>> },
    /// Nothing is queued any more: the workflow was cancelled, or the action has been started.
    NotQueued,
    /// This external action may begin; its requester performs it.
    Begin(AttemptId),
    /// The action may not start now. It stays in the queue.
    Wait(String),
    /// A halt or a freeze holds the action. It stays in the queue.
    Held(Held),
    /// The action gets the outputs of earlier steps; then the gate is called again.
    Renew { attempt: AttemptId, renewed: Arc<Renewed> },
    /// The action may never start. Nothing has run.
    Refuse { attempt: AttemptId, reason: String },
    /// The action may not start before people have been asked again, about the replacement if the
    /// document in force is outdated.
    AskAgain { attempt: AttemptId, reason: String, terms: Arc<ApprovalTerms>, renewed: Option<Arc<Renewed>> },
}

/// A guard's objection to a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    Wait(String),
    Held(Held),
    Refuse(String),
    AskAgain(String),
    /// People have to be asked again, under these terms.
    AskUnder(Arc<ApprovalTerms>, String),
}

/// The action that is about to start, as the database holds it.
pub struct Candidate<'a> {
    pub workflow: &'a Workflow,
    pub document: &'a [u8],
    /// The attempt that would start.
    pub attempt: AttemptId,
    /// Why the grant that released it is no longer valid; `None` if it is valid, and if people have
    /// decided.
    pub revoked: Option<String>,
}

/// An action that no guard objects to.
struct Passed {
    workflow: Workflow,
    /// The document in force.
    document: Vec<u8>,
    job: Box<Job>,
}

impl Passed {
    /// It may start as it is.
    fn start(self) -> Verdict {
        Verdict::Start { job: self.job, renewed: None }
    }
}

impl Candidate<'_> {
    /// The kind of action that was planned.
    fn action(&self) -> ActionKind {
        self.workflow.plan.step(self.attempt.step).map_or(ActionKind::Runbook, |step| step.action)
    }

    /// Whether it is a compensation.
    fn undoes(&self) -> bool {
        self.workflow.plan.step(self.attempt.step).is_some_and(|step| step.compensates.is_some())
    }
}

pub struct Gate {
    pub storage: Storage,
    pub logs: Arc<LogReader>,
    pub configuration: Arc<Configuration>,
    pub fence: Arc<Fence>,
    pub executor: Arc<dyn Executor>,
    pub suspensions: Arc<Suspensions>,
    pub holds: Arc<HoldWatch>,
}

impl Gate {
    /// Whether a workflow's action may start now. The runner never starts an action that a call has
    /// to claim.
    ///
    /// # Errors
    /// The database does not answer, or the log cannot be read.
    pub async fn may_start(&self, workflow_id: Uuid) -> Result<Verdict, Error> {
        self.ask(workflow_id, false).await
    }

    /// Whether a call may claim what was released for it.
    ///
    /// # Errors
    /// As [`Self::may_start`].
    pub async fn may_claim(&self, workflow_id: Uuid) -> Result<Verdict, Error> {
        self.ask(workflow_id, true).await
    }

    /// Calls the guards and then the precondition. That may take a while, so the guards are called
    /// once more afterwards.
    async fn ask(&self, workflow_id: Uuid, is_claim: bool) -> Result<Verdict, Error> {
        let passed = match self.ask_guards(workflow_id, is_claim).await? {
            Ok(passed) => passed,
            Err(verdict) => return Ok(verdict),
        };
        let Some(found) = self.precondition(&passed.job).await else { return Ok(passed.start()) };
        let (attempt, digest) = (passed.job.attempt, passed.job.digest);
        let drift = match found {
            Ok(drift) => drift,
            Err(reason) => return Ok(Verdict::Refuse { attempt, reason: format!("not started: {reason}; submit the task again") }),
        };
        Ok(match self.ask_guards(workflow_id, is_claim).await? {
            Ok(passed) if (passed.job.attempt, &passed.job.digest) != (attempt, &digest) => {
                Verdict::Wait("another attempt or document has replaced it".to_owned())
            }
            Ok(passed) => match drift {
                None => passed.start(),
                Some(drift) => self.start_renewed(passed, |task| drift.record(task)),
            },
            Err(verdict) => verdict,
        })
    }

    /// The guard of the precondition: its output is the one in the document. `None` if there is
    /// nothing to compare: for compensations, and for runbooks without a precondition.
    async fn precondition(&self, job: &Job) -> Option<Result<Option<Drift>, String>> {
        let Work::Run(invocation) = &job.work else { return None };
        let before = invocation.precondition.as_ref()?.output.as_ref()?;
        let now = precondition::look(invocation, &*self.executor, &self.fence).await;
        Some(now.map(|now| Drift::between(before, now.unwrap_or_default())))
    }

    /// The verdict if the document is outdated: if people were asked about it, they are asked about
    /// its replacement. Otherwise the action starts with the replacement.
    fn start_renewed(&self, passed: Passed, change: impl FnOnce(&mut Task) -> Option<String>) -> Verdict {
        let Passed { workflow, document, mut job } = passed;
        let (attempt, submission) = (job.attempt, &workflow.submission);
        let refused = |reason: &str| Verdict::Refuse { attempt, reason: format!("not started: {reason}") };
        let Ok(mut renewed) = Document::read(&document) else { return refused("its document cannot be read") };
        let Some(reason) = renewed.task_mut(attempt.step).and_then(change) else { return refused("its document has no such step") };
        let reason = if submission.is_plan() { format!("{}: {reason}", submission.step_title(attempt.step)) } else { reason };
        let renewed = Arc::new(Renewed::of(&document, renewed.canonical(), reason.clone()));
        match workflow.round_of(attempt.step) {
            Some(round) => match self.terms_of_today(&workflow, round) {
                Some(terms) => Verdict::AskAgain { attempt, reason, terms, renewed: Some(renewed) },
                None => refused(&format!("{reason}; and nobody can be asked at its level")),
            },
            None => {
                job.digest = renewed.subject(submission.asked_about(attempt.step));
                Verdict::Start { job, renewed: Some(renewed) }
            }
        }
    }

    /// The terms under which people are asked about another document: the stricter of the earlier
    /// ones and today's, with the roles and the escalation from the start.
    pub(super) fn terms_of_today(&self, workflow: &Workflow, round: &Round) -> Option<Arc<ApprovalTerms>> {
        let today = Today { policy: &self.configuration.policy, suspended: &Suspended::default(), now: self.holds.now() };
        let terms = today.review(&workflow.submission, round).terms;
        let policy = self.configuration.policy.level(workflow.submission.level_of(round.step));
        let from_the_start =
            |now: &ApprovalTerms| ApprovalTerms { approvers: now.approvers.clone(), escalation: now.escalation.clone(), ..terms.clone() };
        let terms = if policy.auto_approve { from_the_start(&round.terms) } else { from_the_start(&policy.terms) };
        Some(Arc::new(terms)).filter(|terms| can_be_asked(terms))
    }

    async fn ask_guards(&self, workflow_id: Uuid, is_claim: bool) -> Result<Result<Passed, Verdict>, Error> {
        let log = self.logs.read(workflow_id).await?;
        let workflow =
            transition::replay(workflow_id, log.iter()).map_err(|error| Error::Corrupt { workflow_id, detail: error.to_string() })?;
        let Some(workflow) = workflow else { return Ok(Err(Verdict::NotQueued)) };
        let Some(attempt) = workflow.queued().filter(|_| workflow.submission.claim.is_some() == is_claim) else {
            return Ok(Err(Verdict::NotQueued));
        };
        let document = self.storage.document(workflow_id, workflow.document_number()).await?.unwrap_or_default();
        let revoked = match workflow.round().and_then(|round| round.grant) {
            Some(grant) => self.revoked(grant).await?,
            None => None,
        };
        let candidate = Candidate { workflow: &workflow, document: &document, attempt, revoked };
        // Read from the database again: what is in memory may be a second old.
        let suspended = self.suspensions.refresh().await?;
        if let Some(verdict) = self.fill_in(&candidate, &log, &suspended).await {
            return Ok(Err(verdict));
        }
        match self.work(&candidate, &suspended).await {
            Err(objection) => Ok(Err(self.verdict(&candidate, attempt, objection))),
            Ok(None) => Ok(Err(Verdict::Begin(attempt))),
            Ok(Some(work)) => {
                let digest = workflow.subject_of_start(attempt.step);
                let job = Box::new(Job { workflow_id, attempt, digest, work, cancelled: CancelSignal::never() });
                Ok(Ok(Passed { workflow, document, job }))
            }
        }
    }

    /// Calls the guards. Returns the work of the action, if none of them objects; `None` for an
    /// external action, which its requester performs.
    async fn work(&self, candidate: &Candidate<'_>, suspended: &Suspended) -> Result<Option<Work>, Objection> {
        let today = Today { policy: &self.configuration.policy, suspended, now: self.holds.now() };
        let objection = the_lease_holds(&self.fence).or_else(|| self.nothing_holds_it(candidate));
        let objection = objection.or_else(|| the_grant_stands(candidate));
        match objection.or_else(|| the_rules_of_today_are_met(candidate, today, self.holds.now())) {
            None => self.what_was_approved(candidate).await,
            Some(objection) => Err(objection),
        }
    }

    /// Why a grant is revoked, if it is; the commit of the start checks this in the database again.
    /// Its expiry does not matter: the grant released it in time.
    async fn revoked(&self, grant: Uuid) -> Result<Option<String>, Error> {
        Ok(match self.storage.grant(grant).await? {
            None => Some(format!("grant {grant}, which released it, no longer exists")),
            Some(found) => found.revoked.map(|revoked| {
                let reason = revoked.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("{} revoked grant {grant} of {}, which had released it{reason}", revoked.by, found.given_by)
            }),
        })
    }

    /// The guard of halts and freezes, as this server knows them. The commit of the start checks
    /// the database.
    pub(super) fn nothing_holds_it(&self, candidate: &Candidate<'_>) -> Option<Objection> {
        self.holds.held(candidate.workflow).map(Objection::Held)
    }

    /// The guard of the document: it has the approved digest, and its runbook or webhook still does
    /// what it says.
    pub(super) async fn what_was_approved(&self, candidate: &Candidate<'_>) -> Result<Option<Work>, Objection> {
        if candidate.document.is_empty() {
            return Err(Objection::Refuse("its document is missing".to_owned()));
        }
        let approved = candidate.workflow.document();
        let step = (candidate.attempt.step, candidate.action());
        let work = work_as_approved(candidate.document, approved, step, self.configuration.actions(), &*self.executor).await;
        match work.map_err(Objection::Refuse)? {
            Some(Work::Run(invocation))
                if !candidate.undoes() && invocation.precondition.as_ref().is_some_and(|looks| looks.output.is_none()) =>
            {
                Err(Objection::Refuse("its document does not say what its precondition printed; submit the task again".to_owned()))
            }
            work => Ok(work),
        }
    }

    /// The probe of an attempt of unknown outcome, ready to run; or why it cannot run, for people.
    /// It runs as the action itself did, and no longer than
    /// [`LOOK_TIMEOUT`](crate::domain::task::invocation::LOOK_TIMEOUT).
    ///
    /// # Errors
    /// The database does not answer, or the log cannot be read.
    pub async fn probe(&self, workflow_id: Uuid, attempt: AttemptId) -> Result<Result<Job, String>, Error> {
        let log = self.logs.read(workflow_id).await?;
        let workflow =
            transition::replay(workflow_id, log.iter()).map_err(|error| Error::Corrupt { workflow_id, detail: error.to_string() })?;
        let Some(workflow) = workflow else { return Ok(Err("its log is empty".to_owned())) };
        let document = self.storage.document(workflow_id, workflow.document_number()).await?.unwrap_or_default();
        // Whether a grant is still valid does not matter: the action has run.
        let candidate = Candidate { workflow: &workflow, document: &document, attempt, revoked: None };
        let probe = match self.what_was_approved(&candidate).await {
            Ok(Some(Work::Run(invocation))) if !invocation.probe.is_empty() => invocation.looking(&invocation.probe),
            Ok(_) => return Ok(Err("its document names no probe".to_owned())),
            Err(Objection::Refuse(reason)) => return Ok(Err(reason)),
            Err(_) => return Ok(Err("its runbook may not be run".to_owned())),
        };
        let digest = workflow.subject_of_start(attempt.step);
        let cancelled = CancelSignal::never();
        let found = self.executor.identify(probe).await;
        Ok(found.map(|probe| Job { workflow_id, attempt, digest, work: Work::Run(probe), cancelled }))
    }

    pub(super) fn verdict(&self, candidate: &Candidate<'_>, attempt: AttemptId, objection: Objection) -> Verdict {
        match objection {
            Objection::Wait(reason) => Verdict::Wait(reason),
            Objection::Held(held) => Verdict::Held(held),
            Objection::Refuse(reason) => Verdict::Refuse { attempt, reason: format!("not started: {reason}") },
            Objection::AskUnder(terms, reason) if can_be_asked(&terms) => Verdict::AskAgain { attempt, reason, terms, renewed: None },
            Objection::AskUnder(_, reason) => {
                Verdict::Refuse { attempt, reason: format!("not started: {reason}; and nobody can be asked at its level") }
            }
            Objection::AskAgain(reason) => match self.terms(candidate.workflow, attempt.step) {
                Some(terms) => Verdict::AskAgain { attempt, reason, terms, renewed: None },
                None => Verdict::Refuse { attempt, reason: format!("not started: {reason}; and nobody can be asked at its level") },
            },
        }
    }

    /// The terms under which people are asked again: the stricter of the earlier terms and today's,
    /// or today's if nobody was asked before.
    fn terms(&self, workflow: &Workflow, step: u32) -> Option<Arc<ApprovalTerms>> {
        let policy = &self.configuration.policy;
        let submission = &workflow.submission;
        let terms = match workflow.round_of(step) {
            // Suspensions do not matter here: whether somebody may decide in the new round is
            // checked when they do.
            Some(round) => {
                let today = Today { policy, suspended: &Suspended::default(), now: self.holds.now() };
                Arc::new(today.review(submission, round).terms)
            }
            None => Arc::clone(&policy.level(submission.level_of(submission.asked_about(step))).terms),
        };
        Some(terms).filter(|terms| can_be_asked(terms))
    }
}

/// Whether any role would be asked.
pub(super) fn can_be_asked(terms: &ApprovalTerms) -> bool {
    !terms.approvers.is_empty() || terms.escalation.iter().any(|step| !step.to.is_empty())
}

/// The guard of grants: the grant that released it has not been revoked.
fn the_grant_stands(candidate: &Candidate<'_>) -> Option<Objection> {
    candidate.revoked.clone().map(Objection::AskAgain)
}

/// The guard of today's rules: the approvers may still approve and are enough, or nobody has to be
/// asked.
fn the_rules_of_today_are_met(candidate: &Candidate<'_>, today: Today<'_>, now: DateTime<Utc>) -> Option<Objection> {
    let workflow = candidate.workflow;
    match today.standing(workflow, candidate.attempt.step, now) {
        Standing::Holds => None,
        Standing::AskAgain { terms, reason } => Some(Objection::AskUnder(terms, reason)),
        Standing::Refused { reason } => Some(Objection::Refuse(reason)),
    }
}

/// The guard of the lease: this server may act, and its lease will not end at once.
pub(super) fn the_lease_holds(fence: &Fence) -> Option<Objection> {
    (!fence.holds()).then(|| Objection::Wait("this server's lease on the database is not renewed".to_owned()))
}
