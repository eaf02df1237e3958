//! What a state obliges to is done, the same after a commit and after a restart.

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

/// How often it is looked at again because somebody else wrote the next event first.
const ATTEMPTS: u32 = 4;
/// Several sweeps of the timer.
const SOON: TimeDelta = TimeDelta::seconds(5);

impl WorkflowActor {
    /// Reads the log, and does what it obliges to.
    pub(super) async fn look(&self, memory: &mut Memory) -> Result<(), Stale> {
        *memory = Memory::default();
        if let Some(workflow) = self.load().await? {
            *memory = Memory::holds(self.fulfil(workflow).await?);
        }
        memory.read_at = Some(Instant::now());
        Ok(())
    }

    pub(super) async fn load(&self) -> Result<Option<Arc<Workflow>>, Stale> {
        let log = self.workshop.logs.read(self.id).await?;
        let workflow = transition::replay(self.id, log.iter()).map_err(|error| Stale::Broken(error.to_string()))?;
        Ok(workflow.map(Arc::new))
    }

    /// Does what the state obliges to. The same after a commit and after a restart. Nothing is started here.
    pub(super) async fn fulfil(&self, mut workflow: Arc<Workflow>) -> Result<Arc<Workflow>, Stale> {
        for _ in 0..ATTEMPTS {
            let obligations = transition::obligations(&workflow, self.workshop.owner);
            // Each is seen to, also where one of them has something written; then the state is another, and they are looked at again.
            let commands: Vec<_> = obligations.into_iter().filter_map(|obligation| self.attend_to(&workflow, obligation)).collect();
            let Some(command) = commands.into_iter().next() else { return Ok(workflow) };
            if let Command::Disown { attempt, .. } = command {
                // The runner lets go of an attempt once its outcome is in the log, which may have happened since it was read.
                let before = workflow.version;
                workflow = self.reload().await?;
                if workflow.version != before {
                    continue;
                }
                self.alarm(attempt);
            }
            let Ok(Answer::Commit { events, guard }) = transition::decide(&workflow, &command) else { return Ok(workflow) };
            workflow = match self.commit(&workflow, SYSTEM, Via::System, events, guard).await {
                Ok(Progress::Moved(workflow)) => {
                    tracing::warn!(workflow.id = %self.id, status = %workflow.status(), "an interrupted action was taken up");
                    workflow
                }
                Ok(_) => self.reload().await?,
                Err(error) => return Err(Stale::Unavailable(error.to_string())),
            };
        }
        // Somebody else is faster at this; what they write is read by the next look.
        Ok(workflow)
    }

    /// Sees to one obligation; the command that has to follow, where something has to be written.
    fn attend_to(&self, workflow: &Workflow, obligation: Obligation) -> Option<Command> {
        match obligation {
            Obligation::Park { deadline: Some(deadline) } | Obligation::AwaitReport { deadline, .. } => {
                self.arm(deadline);
                None
            }
            Obligation::Park { deadline: None } => None,
            // What is held comes into the queue when that ends.
            Obligation::Queue { .. } if self.workshop.holds.held(workflow).is_some() => None,
            Obligation::Queue { .. } => {
                let (requested_by, approved) = (workflow.submission.requested_by.clone(), workflow.round().is_some());
                self.workshop.runner.enqueue(Waiting { workflow_id: self.id, requested_by, approved });
                None
            }
            Obligation::Attend { attempt, token } if self.workshop.runner.holds(self.id, attempt, token) => None,
            Obligation::Attend { attempt, token } => Some(Command::Disown { attempt, token, cause: Disowned::NotHere }),
            Obligation::Recover { attempt } => Some(Command::Recover { attempt, owner: self.workshop.owner }),
        }
    }

    /// A sweep comes at least once a second and finds by itself what falls due; the timer hears of what falls due soon.
    fn arm(&self, deadline: DateTime<Utc>) {
        if deadline <= self.workshop.clock.now() + SOON {
            let _ = self.workshop.timer.cast(ToTimer::Arm { deadline });
        }
    }

    async fn reload(&self) -> Result<Arc<Workflow>, Stale> {
        self.load().await?.ok_or_else(|| Stale::Broken("its log has vanished".to_owned()))
    }

    /// The log says that this process runs an attempt which its runner knows nothing of.
    fn alarm(&self, attempt: AttemptId) {
        tracing::error!(
            workflow.id = %self.id,
            step = attempt.step,
            attempt = attempt.number,
            "this server is said to run an action of which it knows nothing: look at its log before this line; the attempt is given up"
        );
        self.workshop.metrics.executing_without_attempt.inc();
    }
}
