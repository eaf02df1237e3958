//! Deciding a command, committing the events, and answering the caller.

use super::commit::Progress;
use super::{Memory, Stale, WorkflowActor};
use crate::actors::batch::CommitError;
use crate::actors::protocol::{CommandOutcome, Failure};
use crate::domain::policy::SYSTEM;
use crate::domain::via::Via;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition::{self, Answer, Guard};
use crate::domain::workflow::{Command, Refusal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a command is decided again because another commit came first.
const ATTEMPTS: u32 = 4;
/// How old a memory may be to decide a tick. A tick is sent again for as long as the workflow is
/// due.
const RECENT: Duration = Duration::from_secs(1);

impl WorkflowActor {
    /// Decides a command and commits the events. The outer error means that the memory cannot be
    /// trusted.
    pub(super) async fn answer(&self, memory: &mut Memory, command: &Command) -> Result<Result<CommandOutcome, Failure>, Stale> {
        // Everything in the memory was committed, but more may have been committed since.
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
            let suspended = if command.asks_today() { self.deps.suspensions.current().await? } else { Arc::default() };
            let today = Today { policy: &self.deps.configuration.policy, suspended: &suspended, now: self.deps.clock.now() };
            let (events, guard) = match today.decide(&workflow, command) {
                Err(_) | Ok(Answer::Nothing) if !is_current => {
                    Box::pin(self.look(memory)).await?;
                    is_current = true;
                    continue;
                }
                Err(refusal) => return Ok(Err(refusal.into())),
                Ok(Answer::Nothing) => return Ok(Ok(CommandOutcome { workflow, decision: None })),
                Ok(Answer::Repeat(decision)) => return Ok(Ok(CommandOutcome { workflow, decision: Some(decision) })),
                Ok(Answer::Commit { events, guard }) => (events, guard),
            };
            let (actor, via) = command.caller().map_or((SYSTEM, Via::System), |by| (by.name.as_str(), by.via));
            match self.commit(&workflow, actor, via, events, guard, command.renewed().map(|renewed| &**renewed)).await {
                Ok(Progress::Moved(workflow)) => {
                    let decision = match command {
                        Command::Except { .. } => workflow.exceptions.last().map(|exception| exception.as_decision(&workflow)),
                        command => workflow.decisions.last().filter(|_| command.is_decision()).cloned(),
                    };
                    memory.read_at = Some(Instant::now());
                    memory.workflow = Some(Box::pin(self.fulfill(Arc::clone(&workflow))).await?);
                    return Ok(Ok(CommandOutcome { workflow, decision }));
                }
                Ok(Progress::Overtaken) => {
                    // Another event came first, or a person on whom this decision depends has been
                    // suspended.
                    self.deps.suspensions.refresh().await?;
                    Box::pin(self.look(memory)).await?;
                    is_current = true;
                    let is_the_same = memory.workflow.as_ref().is_some_and(|now| now.version == workflow.version);
                    if is_the_same && matches!(command, Command::Start { .. }) {
                        // The action stays in the queue, and the gate says why it does not start.
                        return Ok(Ok(CommandOutcome { workflow, decision: None }));
                    }
                }
                Ok(Progress::TooLate) => {
                    Box::pin(self.expire(memory, guard)).await?;
                    is_current = true;
                }
                Ok(Progress::Unreviewed) => return Ok(Err(Refusal::ReviewOpen.into())),
                Ok(Progress::NoLease) => return Ok(Err(Failure::Unavailable("this server's lease is not renewed".to_owned()))),
                // The action stays in the queue.
                Ok(Progress::TooEarly | Progress::Held) => return Ok(Ok(CommandOutcome { workflow, decision: None })),
                Err(CommitError::Refused(reason)) => return Ok(Err(Failure::Internal(reason))),
                Err(CommitError::Busy { is_uncertain: false }) => return Ok(Err(Failure::Busy)),
                Err(error) => return Err(Stale::Unavailable(error.to_string())),
            }
        }
        Ok(Err(Failure::Unavailable("other changes to this workflow keep coming first; try again in a moment".to_owned())))
    }

    /// Commits the expiry, because the database says that the deadline has passed. Only then is the
    /// caller answered.
    async fn expire(&self, memory: &mut Memory, guard: Guard) -> Result<(), Stale> {
        let (Some(workflow), Some(deadline)) = (&memory.workflow, guard.not_after) else { return Ok(()) };
        let Ok(Answer::Commit { events, guard }) = transition::decide(workflow, &Command::Tick { now: deadline }) else { return Ok(()) };
        match self.commit(workflow, SYSTEM, Via::System, events, guard, None).await {
            Ok(Progress::Moved(workflow)) => memory.workflow = Some(Box::pin(self.fulfill(workflow)).await?),
            Ok(_) => Box::pin(self.look(memory)).await?,
            Err(error) => return Err(Stale::Unavailable(error.to_string())),
        }
        Ok(())
    }
}
