//! A command is decided, what follows is committed, and the caller is answered.

use super::commit::Progress;
use super::{Memory, Stale, WorkflowActor};
use crate::actors::checkpointer::CommitError;
use crate::actors::exchange::{Answered, Failure};
use crate::domain::policy::SYSTEM;
use crate::domain::via::Via;
use crate::domain::workflow::Command;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition::{self, Answer, Guard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a command is decided anew because somebody else wrote the next event first.
const ATTEMPTS: u32 = 4;
/// So long after it was read a memory is good enough for a tick, which is sent again as long as something is due.
const RECENT: Duration = Duration::from_secs(1);

impl WorkflowActor {
    /// Decides a command, commits what follows, and answers; the outer error means that the memory cannot be trusted.
    pub(super) async fn answer(&self, memory: &mut Memory, command: &Command) -> Result<Result<Answered, Failure>, Stale> {
        // What was committed is certain; what was not done may have been done by somebody else meanwhile.
        let mut is_current = matches!(command, Command::Tick { .. }) && memory.read_at.is_some_and(|at| at.elapsed() < RECENT);
        for _ in 0..ATTEMPTS {
            let Some(workflow) = memory.workflow.clone() else {
                if is_current {
                    return Ok(Err(Failure::NotFound));
                }
                Box::pin(self.look(memory)).await?;
                is_current = true;
                continue;
            };
            if let Some(by) = command.caller()
                && !by.may_see(&workflow.submission.requested_by, workflow.submission.on_behalf_of.as_deref())
            {
                return Ok(Err(Failure::NotFound));
            }
            let suspended = if command.asks_today() { self.workshop.suspensions.current().await? } else { Arc::default() };
            let today = Today { policy: &self.workshop.configuration.policy, suspended: &suspended };
            let (events, guard) = match today.decide(&workflow, command) {
                Err(_) | Ok(Answer::Nothing) if !is_current => {
                    Box::pin(self.look(memory)).await?;
                    is_current = true;
                    continue;
                }
                Err(refusal) => return Ok(Err(refusal.into())),
                Ok(Answer::Nothing) => return Ok(Ok(Answered { workflow, decision: None })),
                Ok(Answer::Repeat(decision)) => return Ok(Ok(Answered { workflow, decision: Some(decision) })),
                Ok(Answer::Commit { events, guard }) => (events, guard),
            };
            let (actor, via) = command.caller().map_or((SYSTEM, Via::System), |by| (by.name.as_str(), by.via));
            match self.commit(&workflow, actor, via, events, guard).await {
                Ok(Progress::Moved(workflow)) => {
                    let decision = match command {
                        Command::Except { .. } => workflow.exceptions.last().map(|exception| exception.as_decision(&workflow)),
                        command => workflow.decisions.last().filter(|_| command.is_decision()).cloned(),
                    };
                    memory.read_at = Some(Instant::now());
                    memory.workflow = Some(Box::pin(self.fulfil(Arc::clone(&workflow))).await?);
                    return Ok(Ok(Answered { workflow, decision }));
                }
                Ok(Progress::Overtaken) => {
                    // By somebody else's event, or because somebody whom it rests on has been suspended.
                    self.workshop.suspensions.refresh().await?;
                    Box::pin(self.look(memory)).await?;
                    is_current = true;
                    let is_the_same = memory.workflow.as_ref().is_some_and(|now| now.version == workflow.version);
                    if is_the_same && matches!(command, Command::Start { .. }) {
                        // It stays in the queue, and the gate says why it does not start.
                        return Ok(Ok(Answered { workflow, decision: None }));
                    }
                }
                Ok(Progress::TooLate) => {
                    Box::pin(self.expire(memory, guard)).await?;
                    is_current = true;
                }
                Ok(Progress::Fenced) => return Ok(Err(Failure::Unavailable("this server's lease is not renewed".to_owned()))),
                // It stays in the queue.
                Ok(Progress::TooEarly | Progress::Held) => return Ok(Ok(Answered { workflow, decision: None })),
                Err(CommitError::Refused(reason)) => return Ok(Err(Failure::Internal(reason))),
                Err(CommitError::Busy { is_uncertain: false }) => return Ok(Err(Failure::Busy)),
                Err(error) => return Err(Stale::Unavailable(error.to_string())),
            }
        }
        Ok(Err(Failure::Unavailable("this workflow is being changed by others too quickly".to_owned())))
    }

    /// The database says that the deadline has passed: that is written before anybody is told.
    async fn expire(&self, memory: &mut Memory, guard: Guard) -> Result<(), Stale> {
        let (Some(workflow), Some(deadline)) = (&memory.workflow, guard.not_after) else { return Ok(()) };
        let Ok(Answer::Commit { events, guard }) = transition::decide(workflow, &Command::Tick { now: deadline }) else { return Ok(()) };
        match self.commit(workflow, SYSTEM, Via::System, events, guard).await {
            Ok(Progress::Moved(workflow)) => memory.workflow = Some(Box::pin(self.fulfil(workflow)).await?),
            Ok(_) => Box::pin(self.look(memory)).await?,
            Err(error) => return Err(Stale::Unavailable(error.to_string())),
        }
        Ok(())
    }
}
