//! Submitting a task, and assessing one without submitting it.

use crate::actors::protocol::{AdmittedTask, Submitted as Outcome};
use crate::domain::policy::{ApprovalTerms, PrincipalKind};
use crate::domain::request::Request;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::request::plan::Admitted;
use crate::domain::risk::Assessment;
use crate::domain::risk::level::Level;
use crate::domain::risk::plan::PlanAssessment;
use crate::domain::risk::target::Target;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::{Document, Gate};
use crate::domain::workflow::transition;
use crate::domain::workflow::{Status, Workflow};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::quotas::Reservation;
use crate::service::{Service, ServiceError, about, evidence};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most characters in an idempotency key.
pub const LONGEST_KEY: usize = 255;

/// Whether a text can be an idempotency key: visible ASCII.
pub fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A task or plan to submit.
#[derive(Debug)]
pub struct NewTask {
    /// The request, or why the body is neither a task nor a plan. It is checked only if its key has
    /// not been answered yet.
    pub request: Result<Request, ServiceError>,
    pub key: Option<IdempotencyKey>,
    /// How long the caller wants to wait for an attempt that starts at once to end.
    pub wait: Option<Duration>,
}

/// The result of a submit.
#[derive(Debug)]
pub struct Submitted {
    pub workflow: Arc<Workflow>,
    /// The wait that was granted, if the caller asked for one.
    pub waited: Option<Duration>,
}

/// How a task would be assessed now.
#[derive(Debug)]
pub struct Assessed {
    pub digest: Digest,
    pub target: Target,
    pub assessment: Assessment,
    /// The steps of a plan; empty for a single task.
    pub steps: Vec<AssessedStep>,
    /// The terms of the approval that it would need; `None` if it would run at once.
    pub terms: Option<Arc<ApprovalTerms>>,
    pub now: DateTime<Utc>,
}

/// The level that one step of a plan would have alone.
#[derive(Debug)]
pub struct AssessedStep {
    pub name: Option<String>,
    /// The step that it would undo.
    pub compensates: Option<u32>,
    pub level: Level,
    pub target: Target,
}

impl Service {
    /// Submits a task, which is assessed and then starts or is parked. The answer is durable, and
    /// the same for the same idempotency key.
    ///
    /// Futures that are rarely awaited are boxed here. A request's future is moved several times
    /// before it settles, and it is as large as the largest future that it may await.
    ///
    /// # Errors
    /// The faults of the task; too many requests at once; or an error if it is not known whether
    /// the task was stored.
    pub async fn submit(&self, by: &Caller, new: NewTask, permit: Arc<Permit>) -> Result<Submitted, ServiceError> {
        let NewTask { request, key, wait } = new;
        // The key is checked first, so that the first answer is given again even if the
        // configuration has changed since.
        if let Some(key) = &key
            && let Some(workflow) = Box::pin(self.first_answer(by, key)).await?
        {
            drop(permit);
            let (workflow, waited) = Box::pin(self.after_wait(by, workflow, wait, has_settled)).await?;
            return Ok(Submitted { workflow, waited });
        }
        let request = request?;
        let supersedes = request.supersedes();
        let mut work = Box::pin(self.admit_request(by, request)).await?;
        let reservation = match supersedes {
            // One commit replaces a waiting request by another one, so it needs no
            // capacity, only a submit.
            Some(_) if by.kind == PrincipalKind::Agent => self.quotas.take(&self.engine, &by.name).map(|_| Reservation::uncounted())?,
            _ => self.reserve(by, &work).await?,
        };
        if let Err(error) = Box::pin(self.look_first(&mut work, &permit)).await {
            reservation.give_back();
            return Err(error);
        }
        let admitted = AdmittedTask { by: by.principal(), work, supersedes, key: key.clone() };
        let after = move |answer: &_| {
            reservation.release(answer);
            drop(permit);
        };
        let id = self.engine.clock.new_id();
        let workflow = match self.engine.submit_for(id, admitted, after).await.map_err(about(id))? {
            Outcome::Accepted(workflow) => workflow,
            Outcome::KeyUsed => {
                let key = key.ok_or_else(ServiceError::internal)?;
                Box::pin(self.first_answer(by, &key)).await?.ok_or(ServiceError::IdempotencyKeyInUse)?
            }
        };
        match wait {
            None => Ok(Submitted { workflow, waited: None }),
            Some(_) => {
                let (workflow, waited) = Box::pin(self.after_wait(by, workflow, wait, has_settled)).await?;
                Ok(Submitted { workflow, waited })
            }
        }
    }

    /// How a task would be assessed if it were submitted now. Nothing runs, not even a
    /// precondition. The permit is held until the result is known.
    ///
    /// # Errors
    /// The faults of the task.
    pub async fn assess(&self, by: &Caller, request: Request, _permit: Arc<Permit>) -> Result<Assessed, ServiceError> {
        let work = self.admit_request(by, request).await?;
        let now = self.now();
        let (assessment, target, steps) = self.assess_work(by, &work, now);
        let first = match &work.document {
            Document::Plan(plan) if plan.gate == Gate::Step => steps.first().map(|step| step.level),
            _ => None,
        };
        let policy = self.engine.configuration.policy.level(first.unwrap_or(assessment.level));
        let terms = (!policy.auto_approve).then(|| Arc::clone(&policy.terms));
        Ok(Assessed { digest: work.document.digest(), target, terms, assessment, steps, now })
    }

    /// Assesses the whole, and each step of a plan.
    fn assess_work(&self, by: &Caller, work: &Admitted, now: DateTime<Utc>) -> (Assessment, Target, Vec<AssessedStep>) {
        let rules = &self.engine.configuration.rules;
        match &work.document {
            Document::Task(task) => {
                let facts = work.facts.first().and_then(Option::as_ref);
                (rules.assess(task, facts, &by.name, now), rules.target(task, facts), Vec::new())
            }
            Document::Plan(plan) => {
                let PlanAssessment { whole, target, steps } = rules.assess_plan(plan, &work.facts, &by.name, now);
                let named = plan.steps.iter().map(|step| (step.name.clone(), None));
                let named = named.chain(plan.compensations().map(|(of, _)| (None, Some(of)))).zip(steps);
                let steps = named.map(|((name, compensates), assessed)| AssessedStep {
                    name,
                    compensates,
                    level: assessed.level,
                    target: assessed.target,
                });
                (whole, target, steps.collect())
            }
        }
    }

    /// The work that a request asks for, with its runbooks resolved and found on this machine.
    async fn admit_request(&self, by: &Caller, request: Request) -> Result<Admitted, ServiceError> {
        let mut work = request.admit(self.engine.configuration.actions(), by.kind).map_err(ServiceError::InvalidTask)?;
        let unfit = |at: String, reason| {
            ServiceError::invalid(format!("{at}/action/name"), format!("the runbook cannot run on the server: {reason}"))
        };
        match &mut work.document {
            Document::Task(task) => self.engine.identify(task).await.map_err(|reason| unfit(String::new(), reason))?,
            Document::Plan(plan) => {
                let playbook = plan.playbook.as_ref().map(|used| used.name.clone());
                for (index, step) in plan.steps.iter_mut().enumerate() {
                    let mut identified = self.engine.identify(&mut step.task).await;
                    if let (Ok(()), Some(undo)) = (&identified, &mut step.compensate) {
                        identified = self.engine.identify(undo).await;
                    }
                    identified.map_err(|reason| match &playbook {
                        // The request itself has no steps.
                        Some(name) => {
                            let detail = format!("step {} of the playbook `{name}` cannot run on the server: {reason}", index + 1);
                            ServiceError::invalid("/playbook", detail)
                        }
                        None => unfit(format!("/steps/{index}"), reason),
                    })?;
                }
            }
        }
        evidence::seal(&self.engine.storage, &mut work)?;
        Ok(work)
    }

    /// Runs the preconditions one after the other, and records what they print. Compensations are
    /// exempt: the step that they undo has changed what their precondition would print.
    async fn look_first(&self, work: &mut Admitted, permit: &Arc<Permit>) -> Result<(), ServiceError> {
        let unmet = |at: String, what: String, reason| ServiceError::invalid(at, format!("{what} cannot run now: {reason}"));
        match &mut work.document {
            Document::Task(task) => {
                let looked = self.engine.look_first(task, Arc::clone(permit)).await;
                looked.map_err(|reason| unmet("/action/name".to_owned(), "the runbook".to_owned(), reason))
            }
            Document::Plan(plan) => {
                let playbook = plan.playbook.as_ref().map(|used| used.name.clone());
                for (index, step) in plan.steps.iter_mut().enumerate() {
                    let looked = self.engine.look_first(&mut step.task, Arc::clone(permit)).await;
                    looked.map_err(|reason| match &playbook {
                        Some(name) => unmet("/playbook".to_owned(), format!("step {} of the playbook `{name}`", index + 1), reason),
                        None => unmet(format!("/steps/{index}/action/name"), "the runbook".to_owned(), reason),
                    })?;
                }
                Ok(())
            }
        }
    }

    /// Reserves capacity for one more task of an agent; quotas do not limit people.
    pub(super) async fn reserve(&self, by: &Caller, work: &Admitted) -> Result<Reservation, ServiceError> {
        if by.kind == PrincipalKind::Person {
            return Ok(Reservation::uncounted());
        }
        let would_wait = || {
            let level = match &work.call {
                Some(call) => call.assessment.level,
                None => self.assess_work(by, work, self.now()).0.level,
            };
            !self.engine.configuration.policy.level(level).auto_approve
        };
        self.quotas.admit(&self.engine, &by.name, would_wait).await
    }

    /// The workflow that a key of this principal was first used for.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn first_used_for(&self, by: &Caller, key: &str) -> Result<Option<Uuid>, ServiceError> {
        Ok(self.engine.storage.first_use(&by.name, key).await?.map(|first| first.workflow_id))
    }

    /// The answer to the first request with this key: the workflow as its first commit left it.
    async fn first_answer(&self, by: &Caller, key: &IdempotencyKey) -> Result<Option<Arc<Workflow>>, ServiceError> {
        let Some(first) = self.engine.storage.first_use(&by.name, &key.key).await? else { return Ok(None) };
        if first.fingerprint != key.fingerprint.as_str() {
            return Err(ServiceError::IdempotencyKeyReused);
        }
        let id = first.workflow_id;
        let log = self.engine.storage.log(id).await.map_err(about(id))?;
        let at = log.first().map(|submitted| submitted.at);
        let opening = log.iter().take_while(|recorded| recorded.version <= transition::OPENING_EVENTS && Some(recorded.at) == at);
        let workflow = transition::replay(id, opening).map_err(|error| {
            tracing::error!(workflow.id = %id, %error, "a log cannot be read");
            ServiceError::internal()
        })?;
        Ok(workflow.map(Arc::new))
    }

    /// Holds the answer back until the workflow has ended, if the caller asked for that and not too
    /// many answers are held already. Returns the workflow's state then, and the wait that was
    /// granted.
    pub(super) async fn after_wait(
        &self,
        by: &Caller,
        workflow: Arc<Workflow>,
        wait: Option<Duration>,
        is_done: impl Fn(&Workflow) -> bool + Send,
    ) -> Result<(Arc<Workflow>, Option<Duration>), ServiceError> {
        let permit = wait.and_then(|_| self.admissions.waits.admit(&by.name, 0).ok());
        let waited = wait.filter(|_| permit.is_some());
        let workflow = match waited {
            Some(wait) if !is_done(&workflow) => match self.until_closing(self.engine.wait(workflow.id, wait, is_done)).await {
                Some(history) => history.map_err(about(workflow.id))?.map_or(workflow, |history| Arc::new(history.workflow)),
                None => workflow,
            },
            _ => workflow,
        };
        Ok((workflow, waited))
    }
}

/// Whether no attempt of a task is running or about to start.
fn has_settled(workflow: &Workflow) -> bool {
    !matches!(workflow.status(), Status::Queued | Status::Executing)
}
