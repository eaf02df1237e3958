//! The dispatcher: sends a submit or a command to the active actors.
//!
//! It knows only the references of the actors, so that both sides may use it: the engine, through
//! which the rest of the program reaches the actors, and the runner, which reports outcomes from
//! outside of them. The root installs the references, and removes them while it replaces the
//! actors.

use crate::actors::answering::{Afterwards, Answering, unanswered};
use crate::actors::messages::{Job, RegistryRef, Remembered, SupervisorRef, TimerRef, ToRegistry, ToSupervisor, ToTimer};
use crate::actors::protocol::{AdmittedTask, CommandOutcome, Failure, Submitted};
use crate::domain::workflow::Command;
use crate::telemetry;
use ractor::rpc::CallResult;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use uuid::Uuid;

/// How long a caller waits for an answer. The work may still happen afterwards; asking again is
/// safe.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// How often a command is sent if its actor fails before handling it.
const ATTEMPTS: u32 = 3;

/// The actors to which work is sent.
pub struct ActorRefs {
    pub supervisor: SupervisorRef,
    pub registry: RegistryRef,
    pub timer: TimerRef,
}

/// The references of the actors; `None` while the server starts, stops, or replaces them.
#[derive(Default)]
pub struct Dispatcher(RwLock<Option<Arc<ActorRefs>>>);

impl Dispatcher {
    /// Sends work to these actors from now on.
    pub(super) fn install(&self, actors: ActorRefs) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(actors));
    }

    /// Sends no work until actors are installed again.
    pub(super) fn uninstall(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn actors(&self) -> Result<Arc<ActorRefs>, Failure> {
        let actors = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        actors.ok_or_else(|| Failure::Unavailable("the server is starting or stopping".to_owned()))
    }

    /// Whether actors are installed.
    pub fn is_ready(&self) -> bool {
        self.actors().is_ok()
    }

    /// Opens a new workflow for a task, and waits for the result for as long as a caller waits. The
    /// result is durable. The caller chooses the id. The work continues to its end even if nobody
    /// waits; `afterwards` runs however it ends.
    ///
    /// # Errors
    /// `Unavailable` if it is not known whether the task was stored.
    pub async fn submit(&self, id: Uuid, admitted: AdmittedTask, afterwards: Afterwards) -> Result<Submitted, Failure> {
        let (admitted, span) = (Box::new(admitted), telemetry::workflow(id));
        let submit = |reply| ToSupervisor::Submit { id, admitted, span, reply: Answering { reply, afterwards } };
        match self.actors()?.supervisor.call(submit, Some(ANSWER_TIMEOUT)).await {
            Ok(CallResult::Success(answer)) => answer,
            _ => Err(unanswered()),
        }
    }

    /// Sends a command to its workflow, and waits for the result for at most `timeout`.
    ///
    /// # Errors
    /// The core refuses the command. `NotFound` also if the caller may not see the workflow.
    /// `Unavailable` if it is not known whether the command was stored.
    pub async fn command(&self, id: Uuid, command: Command, timeout: Option<Duration>) -> Result<CommandOutcome, Failure> {
        let command = Arc::new(command);
        for _ in 0..ATTEMPTS {
            let (command, span) = (Arc::clone(&command), telemetry::workflow(id));
            let answer =
                self.actors()?.registry.call(|reply| ToRegistry::Route { id, job: Job::Do { command, span, reply } }, timeout).await;
            match answer {
                Ok(CallResult::Success(answer)) => return answer,
                // The actor ended before it handled this message; asking again is safe, and finds
                // what was committed.
                Ok(CallResult::SenderError) => {}
                Ok(CallResult::Timeout) | Err(_) => break,
            }
        }
        Err(unanswered())
    }

    /// Makes a workflow's actor read its log and fulfill its obligations. Returns at once; a lost
    /// wake costs only time.
    pub fn wake(&self, id: Uuid) {
        if let Ok(actors) = self.actors() {
            let _ = actors.registry.cast(ToRegistry::Wake { id });
        }
    }

    /// Makes the timer put the actions queued in the database into the runner's queue. Returns at
    /// once; the timer also does this on its own.
    pub fn requeue(&self) {
        if let Ok(actors) = self.actors() {
            let _ = actors.timer.cast(ToTimer::Requeue);
        }
    }

    /// Keeps parked workflows in memory, up to the limit.
    pub(super) fn remember(&self, parked: Vec<(Uuid, Remembered)>) {
        if let Ok(actors) = self.actors() {
            let _ = actors.registry.cast(ToRegistry::Remember(parked));
        }
    }
}
