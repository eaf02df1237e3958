//! A new workflow: its task is assessed, and what follows is checkpointed, before anybody is answered.

use super::commit::call;
use super::{Memory, Stale, WorkflowActor};
use crate::actors::checkpointer;
use crate::actors::exchange::{Failure, Intake, Submitted};
use crate::actors::metrics::LevelLabel;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::commit;
use crate::domain::workflow::transition;
use crate::domain::workflow::{Event, Submission, Workflow};
use crate::storage::{Opening, Written};
use chrono::{DateTime, Utc};
use ractor::RpcReplyPort;
use std::sync::Arc;

impl WorkflowActor {
    /// Opens the workflow, answers, and parks.
    pub(super) async fn submit(
        &self,
        memory: &mut Memory,
        intake: Intake,
        reply: RpcReplyPort<Result<Submitted, Failure>>,
    ) -> Result<(), Stale> {
        match self.checkpoint(intake).await {
            Ok(Submitted::Accepted(workflow)) => {
                let fulfilled = Box::pin(self.fulfil(Arc::clone(&workflow))).await;
                if let Ok(now) = &fulfilled {
                    // Before the answer, so that whoever has it and goes on finds the workflow remembered.
                    *memory = Memory::holds(Arc::clone(now));
                    self.park(memory, None);
                }
                let _ = reply.send(Ok(Submitted::Accepted(workflow)));
                fulfilled.map(drop)
            }
            // It may have been written all the same: by a commit that was sent twice, or whose answer was lost.
            other => {
                let _ = reply.send(other);
                Box::pin(self.look(memory)).await?;
                self.park(memory, None);
                Ok(())
            }
        }
    }

    /// Assesses a task, and says what is to be checkpointed.
    fn assess(&self, intake: Intake) -> Result<Box<Opening>, Failure> {
        let Intake { by, task, facts, supersedes, key } = intake;
        let workshop = &self.workshop;
        let rules = &workshop.configuration.rules;
        let assessment = rules.assess(&task, facts.as_ref(), &by.name, workshop.clock.now());
        let target = rules.target(&task, facts.as_ref());
        let is_claimed = target.is_claim_of(&task);
        let via = by.via;
        let policy = workshop.configuration.policy.level(assessment.level);
        let document = task.canonical();
        let submission = Submission {
            task_id: task.task_id,
            requested_by: by.name,
            on_behalf_of: by.on_behalf_of,
            digest: Digest::of(&document),
            assessment,
            action: task.action.kind,
            idempotent: task.action.is_idempotent(),
            report_within: (task.action.kind == ActionKind::External).then_some(policy.report_within),
            target: Some(target),
            supersedes,
        };
        let terms = (!policy.auto_approve).then(|| Arc::clone(&policy.terms));
        let actor = submission.requested_by.clone();
        let events = transition::open(submission, terms, workshop.owner);
        let workflow = commit::follow(self.id, None, &events, &actor, via).map_err(|error| Failure::Internal(error.to_string()))?;
        let notices = self.notices(None, &workflow, &events);
        let instead = transition::queued_instead(None, &events);
        let begins = transition::begins(&events).then(|| workshop.holds.begins(&workflow));
        let opening = Box::new(Opening { workflow, events, via, document, is_claimed, key, begins, notices });
        match instead {
            Some(queued) if workshop.holds.would_hold(&opening.workflow).is_some() => self.queued(opening, queued),
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

    /// Whether it may be asked about: where the level remembers rejections, what was rejected a short time ago is not.
    async fn is_new(&self, workflow: &Workflow) -> Result<(), Failure> {
        let submission = &workflow.submission;
        let memory = self.workshop.configuration.policy.level(submission.assessment.level).rejected_memory;
        if memory.is_zero() || workflow.open_round().is_none() {
            return Ok(());
        }
        let found = self.workshop.storage.rejected_lately(&submission.requested_by, &submission.digest, memory).await;
        let Some(rejected) = found.map_err(|error| Failure::Unavailable(error.to_string()))? else { return Ok(()) };
        let log = self.workshop.logs.read(rejected).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let earlier = transition::replay(rejected, log.iter()).map_err(|error| Failure::Internal(error.to_string()))?;
        match earlier.as_ref().and_then(Workflow::deciding) {
            Some(decision) => Err(Failure::AlreadyRejected { workflow_id: rejected, decision: Box::new(decision.clone()) }),
            // It has been pruned since it was found.
            None => Ok(()),
        }
    }

    /// What was opened, once it is durable.
    pub(super) fn accepted(&self, opening: Opening, at: DateTime<Utc>) -> Submitted {
        let level = opening.workflow.submission.assessment.level.as_str();
        self.workshop.metrics.submitted.get_or_create(&LevelLabel { risk_level: level }).inc();
        Submitted::Accepted(Arc::new(commit::dated(opening.workflow, at)))
    }

    /// Assesses a task and checkpoints what follows from it.
    async fn checkpoint(&self, intake: Intake) -> Result<Submitted, Failure> {
        let by = intake.by.clone();
        let opening = self.assess(intake)?;
        Box::pin(self.is_new(&opening.workflow)).await?;
        if let Some(older) = opening.workflow.submission.supersedes {
            return Box::pin(self.take_the_place_of(older, &by, *opening)).await;
        }
        let (mut opening, mut written) = call(&self.workshop.checkpointer, |reply| checkpointer::Msg::Open(opening, reply)).await?;
        // Halted a moment ago.
        if written == Written::Held
            && let Some(events) = transition::queued_instead(None, &opening.events)
        {
            let queued = self.queued(opening, events)?;
            (opening, written) = call(&self.workshop.checkpointer, |reply| checkpointer::Msg::Open(queued, reply)).await?;
        }
        match written {
            Written::Committed { at } => Ok(self.accepted(*opening, at)),
            Written::Duplicate => Ok(Submitted::KeyUsed),
            // Nobody else can have this id: the commit was sent twice, and the first time was enough.
            _ => match Box::pin(self.load()).await {
                Ok(Some(workflow)) => Ok(Submitted::Accepted(workflow)),
                Ok(None) => Err(Failure::Internal("a commit conflicted with nothing".to_owned())),
                Err(error) => Err(Failure::Unavailable(error.to_string())),
            },
        }
    }
}
