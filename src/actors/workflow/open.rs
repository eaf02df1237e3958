//! Opening a workflow: the task is assessed and the result checkpointed before the caller is
//! answered.

use super::commit::call;
use super::{Dependencies, Memory, Stale, WorkflowActor};
use crate::actors::answering::Answering;
use crate::actors::checkpointer;
use crate::actors::metrics::LevelLabel;
use crate::actors::protocol::{AdmittedTask, Failure, Submitted};
use crate::domain::policy::Principal;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::request::plan::{Admitted, AssessedCall};
use crate::domain::risk::plan::{PlanAssessment, StepAssessment};
use crate::domain::risk::readings::Facts;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::{Document, Gate, PlanDocument};
use crate::domain::task::{ActionKind, Task};
use crate::domain::workflow::commit;
use crate::domain::workflow::transition;
use crate::domain::workflow::{Event, PlannedStep, Submission, Workflow};
use crate::storage::{Opening, Written};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

impl WorkflowActor {
    /// Opens the workflow, answers, and parks.
    pub(super) async fn submit(&self, memory: &mut Memory, admitted: AdmittedTask, reply: Answering) -> Result<(), Stale> {
        match self.checkpoint(admitted).await {
            Ok(Submitted::Accepted(workflow)) => {
                let fulfilled = Box::pin(self.fulfill(Arc::clone(&workflow))).await;
                if let Ok(now) = &fulfilled {
                    // This comes before the answer, so that a caller's next request finds the
                    // workflow remembered.
                    *memory = Memory::holds(Arc::clone(now));
                    self.park(memory, None);
                }
                reply.send(Ok(Submitted::Accepted(workflow)));
                fulfilled.map(drop)
            }
            // It may still have been written, by a commit that was sent twice or whose answer was
            // lost.
            other => {
                reply.send(other);
                Box::pin(self.look(memory)).await?;
                self.park(memory, None);
                Ok(())
            }
        }
    }

    /// Assesses the submission, and returns what to checkpoint.
    fn assess(
        &self,
        by: Principal,
        work: &Admitted,
        supersedes: Option<Uuid>,
        key: Option<IdempotencyKey>,
    ) -> Result<Box<Opening>, Failure> {
        let deps = &self.deps;
        let via = by.via;
        let document = work.document.canonical();
        let digest = Digest::of(&document);
        let submission = match &work.document {
            Document::Task(task) => self.submission(by, task, work.facts.first().and_then(Option::as_ref), digest),
            Document::Plan(plan) => self.submission_of_plan(by, plan, &work.facts, digest),
        };
        let submission = Submission { supersedes, ..submission };
        let submission = match &work.call {
            Some(call) => self.submission_of_call(submission, call.clone()),
            None => submission,
        };
        // The document of a plan has no target.
        let is_claimed = match (&work.document, &submission.target) {
            (Document::Task(task), Some(target)) => target.is_claim_of(task),
            _ => false,
        };
        // If the steps of a plan are approved one by one, its first step decides whether people are
        // asked now.
        let policy = deps.configuration.policy.level(submission.level_of(submission.asked_about(1)));
        let terms = (!policy.auto_approve).then(|| Arc::clone(&policy.terms));
        let actor = submission.requested_by.clone();
        let events = transition::open(submission, terms, deps.owner);
        let workflow = commit::follow(self.id, None, &events, &actor, via).map_err(|error| Failure::Internal(error.to_string()))?;
        let notices = self.notices(None, &workflow, &events);
        let instead = transition::queued_instead(None, &events);
        let begins = transition::begins(&events).then(|| deps.holds.begins(&workflow));
        let opening = Box::new(Opening { workflow, events, via, document, is_claimed, key, begins, granted: None, notices });
        match instead {
            Some(queued) if deps.holds.would_hold(&opening.workflow).is_some() => self.queued(opening, queued),
            _ => Ok(opening),
        }
    }

    /// The same opening with other events: its action waits to begin.
    pub(super) fn queued(&self, mut opening: Box<Opening>, events: Vec<Event>) -> Result<Box<Opening>, Failure> {
        let actor = opening.workflow.submission.requested_by.clone();
        let workflow = commit::follow(self.id, None, &events, &actor, opening.via);
        opening.workflow = workflow.map_err(|error| Failure::Internal(error.to_string()))?;
        opening.notices = self.notices(None, &opening.workflow, &events);
        opening.events = events;
        opening.begins = None;
        Ok(opening)
    }

    /// The failure for a call that a halt or a freeze holds.
    fn held(&self, workflow: &Workflow) -> Failure {
        let held = self.deps.holds.would_hold(workflow);
        // The database knew the hold a moment before this server does.
        Failure::Held(held.map_or_else(|| "a halt or a freeze has just come into force".to_owned(), |held| held.to_string()))
    }

    /// The submission of a tool call, with the assessment of the whole call; its task describes
    /// only one part.
    fn submission_of_call(&self, submission: Submission, call: AssessedCall) -> Submission {
        let policy = self.deps.configuration.policy.level(call.assessment.level);
        Submission { assessment: call.assessment, claim: Some(call.token), report_within: Some(policy.report_within), ..submission }
    }

    /// Refuses a request that was rejected recently, if its level remembers rejections.
    async fn is_new(&self, workflow: &Workflow) -> Result<(), Failure> {
        let submission = &workflow.submission;
        let memory = self.deps.configuration.policy.level(workflow.asked_level()).rejected_memory;
        if memory.is_zero() || workflow.open_round().is_none() {
            return Ok(());
        }
        let found = self.deps.storage.rejected_lately(&submission.requested_by, &submission.digest, memory).await;
        let Some(rejected) = found.map_err(|error| Failure::Unavailable(error.to_string()))? else { return Ok(()) };
        let log = self.deps.logs.read(rejected).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let earlier = transition::replay(rejected, log.iter()).map_err(|error| Failure::Internal(error.to_string()))?;
        match earlier.as_ref().and_then(Workflow::deciding) {
            Some(decision) => Err(Failure::AlreadyRejected { workflow_id: rejected, decision: Box::new(decision.clone()) }),
            // It was pruned after it was found.
            None => Ok(()),
        }
    }

    /// The result of an opening that is durable.
    pub(super) fn accepted(&self, opening: Opening, at: DateTime<Utc>) -> Submitted {
        let level = opening.workflow.submission.assessment.level.as_str();
        self.deps.metrics.submitted.get_or_create(&LevelLabel { risk_level: level }).inc();
        Submitted::Accepted(Arc::new(commit::dated(opening.workflow, at)))
    }

    fn submission(&self, by: Principal, task: &Task, facts: Option<&Facts>, digest: Digest) -> Submission {
        let Dependencies { configuration, clock, .. } = self.deps.as_ref();
        let assessment = configuration.rules.assess(task, facts, &by.name, clock.now());
        let policy = configuration.policy.level(assessment.level);
        Submission {
            task_id: task.task_id.clone(),
            requested_by: by.name,
            on_behalf_of: by.on_behalf_of,
            digest,
            assessment,
            action: task.action.kind,
            idempotent: task.action.is_idempotent(),
            report_within: (task.action.kind == ActionKind::External).then_some(policy.report_within),
            retry: task.action.retry(),
            probe: task.action.has_probe(),
            target: Some(configuration.rules.target(task, facts)),
            supersedes: None,
            steps: Vec::new(),
            claim: None,
            gate: Gate::Plan,
        }
    }

    fn submission_of_plan(&self, by: Principal, plan: &PlanDocument, facts: &[Option<Facts>], digest: Digest) -> Submission {
        let Dependencies { configuration, clock, .. } = self.deps.as_ref();
        let PlanAssessment { whole, target, steps } = configuration.rules.assess_plan(plan, facts, &by.name, clock.now());
        let planned = |((name, task, compensates), assessed): ((Option<&String>, &Task, Option<u32>), StepAssessment)| PlannedStep {
            name: name.cloned(),
            action: task.action.kind,
            idempotent: task.action.is_idempotent(),
            report_within: (task.action.kind == ActionKind::External).then(|| configuration.policy.level(assessed.level).report_within),
            retry: task.action.retry(),
            probe: task.action.has_probe(),
            level: assessed.level,
            target: assessed.target,
            compensates,
            awaits: !task.action.awaits.is_empty(),
        };
        let tasks = plan.steps.iter().map(|step| (step.name.as_ref(), &step.task, None));
        let tasks = tasks.chain(plan.compensations().map(|(of, task)| (None, task, Some(of))));
        let steps: Vec<PlannedStep> = tasks.zip(steps).map(planned).collect();
        Submission {
            task_id: plan.task_id.clone(),
            requested_by: by.name,
            on_behalf_of: by.on_behalf_of,
            digest,
            assessment: whole,
            action: steps.iter().map(|step| step.action).find(|action| *action != ActionKind::External).unwrap_or(ActionKind::External),
            idempotent: steps.iter().all(|step| step.idempotent),
            report_within: None,
            retry: None,
            probe: false,
            target: Some(target),
            supersedes: None,
            steps,
            claim: None,
            gate: plan.gate,
        }
    }

    /// Assesses the submission and checkpoints the result.
    async fn checkpoint(&self, admitted: AdmittedTask) -> Result<Submitted, Failure> {
        let AdmittedTask { by, work, supersedes, key } = admitted;
        let opening = self.assess(by.clone(), &work, supersedes, key)?;
        Box::pin(self.is_new(&opening.workflow)).await?;
        if let Some(older) = opening.workflow.submission.supersedes {
            return Box::pin(self.supersede(older, &by, *opening)).await;
        }
        for (granted, cost) in Box::pin(self.passes(&opening, &work)).await {
            let passed = self.passed(&opening, granted, cost)?;
            if let Some(submitted) = Box::pin(self.open(passed)).await? {
                return Ok(submitted);
            }
        }
        drop(work);
        self.open(opening).await?.ok_or_else(|| Failure::Internal("a request that no grant releases was refused by one".to_owned()))
    }

    /// Writes a first commit; `None` if the grant that would release it does not, or no longer
    /// does.
    async fn open(&self, opening: Box<Opening>) -> Result<Option<Submitted>, Failure> {
        let (mut opening, mut written) = call(&self.deps.checkpointer, |reply| checkpointer::Msg::Open(opening, reply)).await?;
        // A halt began just now.
        if written == Written::Held
            && let Some(events) = transition::queued_instead(None, &opening.events)
        {
            let queued = self.queued(opening, events)?;
            (opening, written) = call(&self.deps.checkpointer, |reply| checkpointer::Msg::Open(queued, reply)).await?;
        }
        match written {
            Written::Committed { at } => Ok(Some(self.accepted(*opening, at))),
            Written::Duplicate => Ok(Some(Submitted::KeyUsed)),
            Written::Ungranted => Ok(None),
            // A tool call cannot be queued, and nothing of it was written.
            Written::Held => Err(self.held(&opening.workflow)),
            // No other workflow can have this id: the commit was sent twice, and was written the
            // first time.
            _ => match Box::pin(self.load()).await {
                Ok(Some(workflow)) => Ok(Some(Submitted::Accepted(workflow))),
                Ok(None) => Err(Failure::Internal("a commit conflicted with nothing".to_owned())),
                Err(error) => Err(Failure::Unavailable(error.to_string())),
            },
        }
    }
}
