//! One workflow's actor, which lives while its workflow is being acted upon.
//!
//! It is started with work: a task to assess and checkpoint, or commands for a stored workflow. The
//! pure core decides each command and the events are committed. Only then is the memory updated,
//! are the obligations of the new state fulfilled, and is the caller answered. When its work is
//! done, the actor parks: it gives its state to the registry, and ends. The next one starts from
//! there, or from the log.
//!
//! Whenever the log is read, the obligations of the state are fulfilled, whatever the caller is
//! answered. An actor's memory may be behind the log, because another actor of the same workflow or
//! another server may have written to it; so nothing is refused from memory alone. [`Stale`] means
//! that the memory may differ from the database: the actor fails, its memory is dropped, and the
//! log is read again.

mod commit;
mod decide;
mod fulfill;
mod open;
mod pass;
mod supersede;

use crate::actors::answering::Answering;
use crate::actors::checkpointer::CheckpointerRef;
use crate::actors::grants::GrantBook;
use crate::actors::holds::HoldWatch;
use crate::actors::log_reader::LogReader;
use crate::actors::messages::{Job, RegistryRef, Remembered, Start, Ticket, TimerRef, ToRegistry};
use crate::actors::metrics::Metrics;
use crate::actors::parked_state::{Kinds, ParkedState};
use crate::actors::protocol::{AdmittedTask, Failure};
use crate::actors::runner::Runner;
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::workflow::Workflow;
use crate::domain::workflow::transition;
use crate::identity::Suspensions;
use crate::storage::{Error, Storage};
use crate::telemetry;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Instant;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

/// What every workflow's actor needs.
pub struct Dependencies {
    pub storage: Storage,
    pub logs: Arc<LogReader>,
    pub checkpointer: CheckpointerRef,
    pub timer: TimerRef,
    pub registry: RegistryRef,
    pub runner: Arc<Runner>,
    pub configuration: Arc<Configuration>,
    pub suspensions: Arc<Suspensions>,
    pub holds: Arc<HoldWatch>,
    pub grants: Arc<GrantBook>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub kinds: Arc<Kinds>,
    /// This process; a new id for every start of the server.
    pub owner: Uuid,
}

/// Why an actor fails: what it remembers may differ from what is stored.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The database did not answer, which is not this workflow's fault.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Tampered(String),
    #[error("{0}")]
    Broken(String),
}

impl From<Error> for Stale {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(reason) => Self::Unavailable(reason),
            error @ Error::Tampered { .. } => Self::Tampered(error.to_string()),
            other => Self::Broken(other.to_string()),
        }
    }
}

/// What an actor is started for. It gets all of its work at the start and ends when that is done.
pub enum Work {
    /// The task is assessed and checkpointed; then its requester is answered.
    Submit { admitted: Box<AdmittedTask>, span: Span, reply: Answering },
    /// The jobs are done one after the other.
    Jobs(Start),
}

/// A workflow's actor receives no messages.
pub enum Nothing {}

pub struct WorkflowActor {
    pub id: Uuid,
    pub deps: Arc<Dependencies>,
}

pub struct State {
    work: Option<Work>,
    memory: Memory,
}

/// What an actor remembers of its workflow.
#[derive(Default)]
struct Memory {
    /// `None` before the log was read, and if there is no such workflow.
    workflow: Option<Arc<Workflow>>,
    /// When the log was last read or written to.
    read_at: Option<Instant>,
}

impl Memory {
    fn holds(workflow: Arc<Workflow>) -> Self {
        Self { workflow: Some(workflow), read_at: Some(Instant::now()) }
    }

    fn of(id: Uuid, Remembered { state, read_at }: Remembered) -> Self {
        Self { workflow: Some(state.restore(id)), read_at: Some(read_at) }
    }
}

impl Actor for WorkflowActor {
    type Msg = Nothing;
    type State = State;
    type Arguments = Work;

    /// Does no I/O: the supervisor, which waits for this, never waits for the database.
    async fn pre_start(&self, _: ActorRef<Nothing>, work: Work) -> Result<State, ActorProcessingErr> {
        Ok(State { work: Some(work), memory: Memory::default() })
    }

    /// Does all the work. The supervisor handles an error or a panic.
    async fn post_start(&self, myself: ActorRef<Nothing>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some(work) = state.work.take() {
            self.work(&mut state.memory, work).await?;
        }
        myself.stop(None);
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Nothing>, nothing: Nothing, _: &mut State) -> Result<(), ActorProcessingErr> {
        match nothing {}
    }
}

impl WorkflowActor {
    async fn work(&self, memory: &mut Memory, work: Work) -> Result<(), Stale> {
        match work {
            Work::Submit { admitted, span, reply } => self.submit(memory, *admitted, reply).instrument(span).await,
            Work::Jobs(Start { ticket, remembered, jobs, .. }) => {
                *memory = remembered.map(|remembered| Memory::of(self.id, remembered)).unwrap_or_default();
                for job in jobs {
                    self.do_job(memory, job).await?;
                }
                self.park(memory, Some(ticket));
                Ok(())
            }
        }
    }

    async fn do_job(&self, memory: &mut Memory, job: Job) -> Result<(), Stale> {
        match job {
            Job::Look => Box::pin(self.look(memory)).instrument(telemetry::workflow(self.id)).await,
            Job::Do { command, span, reply } => match self.answer(memory, &command).instrument(span).await {
                Ok(answer) => {
                    let _ = reply.send(answer);
                    Ok(())
                }
                Err(stale) => {
                    let _ = reply.send(Err(Failure::Unavailable(stale.to_string())));
                    Err(stale)
                }
            },
        }
    }

    /// Gives the memory to the registry, if something is left to do. From here on the next actor
    /// may be started.
    fn park(&self, memory: &mut Memory, ticket: Option<Ticket>) {
        let known = memory.workflow.take().zip(memory.read_at);
        let known = known.filter(|(workflow, _)| !transition::obligations(workflow, self.deps.owner).is_empty());
        let remembered = known.map(|(workflow, read_at)| Remembered { state: ParkedState::of(workflow, &self.deps.kinds), read_at });
        let _ = self.deps.registry.cast(ToRegistry::Done { id: self.id, ticket, remembered });
    }
}
