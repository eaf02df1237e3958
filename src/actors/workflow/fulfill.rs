//! Fulfilling the obligations of a state, in the same way after a commit and after a restart.

use super::commit::Progress;
use super::{Memory, Stale, WorkflowActor};
use crate::actors::messages::ToTimer;
use crate::actors::turns::Waiting;
use crate::domain::policy::SYSTEM;
use crate::domain::via::Via;
use crate::domain::workflow::transition::{self, Answer, Obligation};
use crate::domain::workflow::{AttemptId, Command, Disowned, Workflow};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Instant;

/// How often the obligations are computed again because another commit came first.
const ATTEMPTS: u32 = 4;
/// How near a deadline has to be for the timer to be armed: its sweeps find later ones on their
/// own.
const SOON: TimeDelta = TimeDelta::seconds(5);

impl WorkflowActor {
    /// Reads the log, and fulfills its obligations.
    pub(super) async fn look(&self, memory: &mut Memory) -> Result<(), Stale> {
        *memory = Memory::default();
        if let Some(workflow) = self.load().await? {
            *memory = Memory::holds(self.fulfill(workflow).await?);
        }
        memory.read_at = Some(Instant::now());
        Ok(())
    }

    pub(super) async fn load(&self) -> Result<Option<Arc<Workflow>>, Stale> {
        let log = self.deps.logs.read(self.id).await?;
        let workflow = transition::replay(self.id, log.iter()).map_err(|error| Stale::Broken(error.to_string()))?;
        Ok(workflow.map(Arc::new))
    }

    /// Fulfills the obligations of the state. No action is started here: that is up to the runner.
    pub(super) async fn fulfill(&self, mut workflow: Arc<Workflow>) -> Result<Arc<Workflow>, Stale> {
        for _ in 0..ATTEMPTS {
            let obligations = transition::obligations(&workflow, self.deps.owner);
            // All are attended to, even if one of them leads to a commit. Then the state has
            // changed, and they are computed again.
            let commands: Vec<_> = obligations.into_iter().filter_map(|obligation| self.attend_to(&workflow, obligation)).collect();
            let Some(command) = commands.into_iter().next() else { return Ok(workflow) };
            if let Command::Disown { attempt, .. } = command {
                // The runner lets go of an attempt once its outcome is in the log, which may have
                // happened after the log was read.
                let before = workflow.version;
                workflow = self.reload().await?;
                if workflow.version != before {
                    continue;
                }
                self.alarm(attempt);
            }
            let Ok(Answer::Commit { events, guard }) = transition::decide(&workflow, &command) else { return Ok(workflow) };
            workflow = match self.commit(&workflow, SYSTEM, Via::System, events, guard, None).await {
                Ok(Progress::Moved(workflow)) => {
                    tracing::warn!(status = %workflow.status(), "an interrupted action was taken up");
                    workflow
                }
                Ok(_) => self.reload().await?,
                Err(error) => return Err(Stale::Unavailable(error.to_string())),
            };
        }
        // Other commits keep coming first; the next look reads what they wrote.
        Ok(workflow)
    }

    /// Attends to one obligation. Returns the command that has to be committed for it, if there is
    /// one.
    fn attend_to(&self, workflow: &Workflow, obligation: Obligation) -> Option<Command> {
        match obligation {
            Obligation::Park { deadline: Some(deadline) }
            | Obligation::AwaitReport { deadline, .. }
            | Obligation::Rest { deadline, .. } => {
                self.arm(deadline);
                None
            }
            Obligation::Park { deadline: None } => None,
            // A held action enters the queue when the hold ends.
            Obligation::Queue { .. } if self.deps.holds.held(workflow).is_some() => None,
            Obligation::Queue { .. } => {
                let (requested_by, approved) = (workflow.submission.requested_by.clone(), workflow.round().is_some());
                self.deps.runner.enqueue(Waiting { workflow_id: self.id, requested_by, approved });
                None
            }
            Obligation::Attend { attempt, token } if self.deps.runner.holds(self.id, attempt, token) => None,
            Obligation::Attend { attempt, token } => Some(Command::Disown { attempt, token, cause: Disowned::NotHere }),
            Obligation::End { attempt, token } if self.deps.runner.cancel(self.id, attempt, token) => None,
            Obligation::End { attempt, token } => Some(Command::Disown { attempt, token, cause: Disowned::NotHere }),
            Obligation::Probe { attempt } => {
                self.deps.runner.probe(self.id, attempt);
                None
            }
            Obligation::Clear { attempt } => {
                self.deps.runner.clear(self.id, attempt);
                None
            }
            Obligation::Recover { attempt } => Some(Command::Recover { attempt, owner: self.deps.owner }),
        }
    }

    /// Arms the timer for a near deadline. Its sweeps, at least one a second, find every other one.
    fn arm(&self, deadline: DateTime<Utc>) {
        if deadline <= self.deps.clock.now() + SOON {
            let _ = self.deps.timer.cast(ToTimer::Arm { deadline });
        }
    }

    async fn reload(&self) -> Result<Arc<Workflow>, Stale> {
        self.load().await?.ok_or_else(|| Stale::Broken("its log has vanished".to_owned()))
    }

    /// Raises an alarm: the log says that this process runs an attempt that its runner does not
    /// know.
    fn alarm(&self, attempt: AttemptId) {
        tracing::error!(
            step = attempt.step,
            attempt = attempt.number,
            "the log says that this server runs an action, and it knows of none: look at the server's log before this line; the attempt is given up"
        );
        self.deps.metrics.executing_without_attempt.inc();
    }
}
