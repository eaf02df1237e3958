//! The dispatcher: takes a submit or a command to the actors that are at work now.
//!
//! It knows where the actors are and nothing else, so that both sides may use it: the engine, by
//! which the rest of the program reaches the actors, and the runner, which reports outcomes from
//! outside of them. The root installs the references, and takes them out again while it replaces
//! the actors.

use crate::actors::answering::{Afterwards, Answering, unanswered};
use crate::actors::messages::{Job, RegistryRef, Remembered, SupervisorRef, TimerRef, ToRegistry, ToSupervisor, ToTimer};
use crate::actors::protocol::{AdmittedTask, CommandOutcome, Failure, Submitted};
use crate::domain::workflow::Command;
use crate::telemetry;
use ractor::rpc::CallResult;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use uuid::Uuid;

/// How long a caller waits for an answer. What it asked for may still happen afterwards; asking
/// again is safe.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// How often a command is sent if its actor fails before it comes to it.
const ATTEMPTS: u32 = 3;

/// The actors to which work is sent.
pub struct ActorRefs {
    pub supervisor: SupervisorRef,
    pub registry: RegistryRef,
    pub timer: TimerRef,
}

/// Where the actors are; `None` while the server starts, stops, or replaces them.
#[derive(Default)]
pub struct Dispatcher(RwLock<Option<Arc<ActorRefs>>>);

impl Dispatcher {
    /// Sends work to these actors from now on.
    pub(super) fn install(&self, actors: ActorRefs) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(actors));
    }

    /// Sends work to nobody until actors are installed again.
    pub(super) fn uninstall(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn actors(&self) -> Result<Arc<ActorRefs>, Failure> {
        let actors = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        actors.ok_or_else(|| Failure::Unavailable("the server is starting or stopping".to_owned()))
    }

    /// Whether there are actors at work.
    pub fn is_ready(&self) -> bool {
        self.actors().is_ok()
    }

    /// Has a new workflow opened for a task, and waits for the result for as long as a caller
    /// waits. The result is durable. The caller chooses the id. The work goes on to its end even if
    /// nobody waits; `afterwards` hears of it however it ends.
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

    /// Takes a command to its workflow, and waits for its result for as long as `timeout` says.
    ///
    /// # Errors
    /// The refusal. `NotFound` also if the caller may not see the workflow. `Unavailable` if it is
    /// not known whether the command was stored.
    pub async fn command(&self, id: Uuid, command: Command, timeout: Option<Duration>) -> Result<CommandOutcome, Failure> {
        let command = Arc::new(command);
        for _ in 0..ATTEMPTS {
            let (command, span) = (Arc::clone(&command), telemetry::workflow(id));
            let answer =
                self.actors()?.registry.call(|reply| ToRegistry::Route { id, job: Job::Do { command, span, reply } }, timeout).await;
            match answer {
                Ok(CallResult::Success(answer)) => return answer,
                // The actor ended before it came to this message; asking again is safe, and finds
                // what was committed.
                Ok(CallResult::SenderError) => {}
                Ok(CallResult::Timeout) | Err(_) => break,
            }
        }
        Err(unanswered())
    }

    /// Has a workflow's log read, and what it obliges to done. Returns at once; a wake that is lost
    /// costs only time.
    pub fn wake(&self, id: Uuid) {
        if let Ok(actors) = self.actors() {
            let _ = actors.registry.cast(ToRegistry::Wake { id });
        }
    }

    /// Has the timer put what is queued in the database into the runner's queue. Returns at once;
    /// the timer also does this by itself.
    pub fn requeue(&self) {
        if let Ok(actors) = self.actors() {
            let _ = actors.timer.cast(ToTimer::Requeue);
        }
    }

    /// Has parked workflows kept in memory, as far as there is room.
    pub(super) fn remember(&self, parked: Vec<Remembered>) {
        if let Ok(actors) = self.actors() {
            let _ = actors.registry.cast(ToRegistry::Remember(parked));
        }
    }
}
