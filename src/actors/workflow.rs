//! The actor of one workflow: it knows what its log says, and does what has to happen next.
//!
//! It is started with work: a task, which it assesses and checkpoints before anybody is answered, or commands for a workflow that is
//! stored. A command is decided by the pure core, the events are committed, and only then the memory moves, what the new state obliges
//! to is done, and the caller is answered. Then it parks: what it knows goes to the registry, and it ends. The next one is started from
//! there, or from the log.
//!
//! Every time the log is read, what the state obliges to is done, whatever the caller is answered. A memory may be behind the
//! log, for another actor of the same workflow or another server may have written; so nothing is refused from memory alone.
//! [`Stale`] means "my memory may differ from the database": the actor fails, what it knew is dropped, and the log is read anew.

mod commit;
mod decide;
mod fulfil;
mod open;
mod supersede;

use crate::actors::checkpointer::CheckpointerRef;
use crate::actors::exchange::{Failure, Intake, Submitted};
use crate::actors::holds::HoldWatch;
use crate::actors::log_reader::LogReader;
use crate::actors::messages::{Job, RegistryRef, Remembered, Start, Ticket, TimerRef, ToRegistry};
use crate::actors::metrics::Metrics;
use crate::actors::runner::Runner;
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::workflow::Workflow;
use crate::domain::workflow::transition;
use crate::identity::Suspensions;
use crate::storage::{Error, Storage};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

/// What every workflow's actor works with.
pub struct Workshop {
    pub storage: Storage,
    pub logs: Arc<LogReader>,
    pub checkpointer: CheckpointerRef,
    pub timer: TimerRef,
    pub registry: RegistryRef,
    pub runner: Arc<Runner>,
    pub configuration: Arc<Configuration>,
    pub suspensions: Arc<Suspensions>,
    pub holds: Arc<HoldWatch>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    /// This process; a fresh id for every start of the server.
    pub owner: Uuid,
}

/// Why an actor ends itself: what it knows may not be what is stored.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The database did not answer; that is not this workflow's fault.
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

/// What an actor is started for. It takes its work with it, and ends when that is done; so there is no message to it.
pub enum Work {
    Submit(Box<Intake>, RpcReplyPort<Result<Submitted, Failure>>),
    Jobs(Start),
}

pub enum Nothing {}

pub struct WorkflowActor {
    pub id: Uuid,
    pub workshop: Arc<Workshop>,
}

pub struct State {
    work: Option<Work>,
    memory: Memory,
}

/// What an actor knows of its workflow.
#[derive(Default)]
struct Memory {
    /// `None` before the log was read, and where there is no such workflow.
    workflow: Option<Arc<Workflow>>,
    /// When the log was last read, or written to.
    read_at: Option<Instant>,
}

impl Memory {
    fn holds(workflow: Arc<Workflow>) -> Self {
        Self { workflow: Some(workflow), read_at: Some(Instant::now()) }
    }
}

impl From<Remembered> for Memory {
    fn from(Remembered { workflow, read_at }: Remembered) -> Self {
        Self { workflow: Some(workflow), read_at: Some(read_at) }
    }
}

impl WorkflowActor {
    async fn work(&self, memory: &mut Memory, work: Work) -> Result<(), Stale> {
        match work {
            Work::Submit(intake, reply) => self.submit(memory, *intake, reply).await,
            Work::Jobs(Start { ticket, remembered, jobs, .. }) => {
                *memory = remembered.map(Memory::from).unwrap_or_default();
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
            Job::Look => Box::pin(self.look(memory)).await,
            Job::Do(command, reply) => match self.answer(memory, &command).await {
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

    /// Gives what is known to the registry, where something is left to do. From here on the next actor may be started.
    fn park(&self, memory: &mut Memory, ticket: Option<Ticket>) {
        let known = memory.workflow.take().zip(memory.read_at);
        let known = known.filter(|(workflow, _)| !transition::obligations(workflow, self.workshop.owner).is_empty());
        let remembered = known.map(|(workflow, read_at)| Remembered { workflow, read_at });
        let _ = self.workshop.registry.cast(ToRegistry::Done { id: self.id, ticket, remembered });
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

    /// Its whole life. An error, and a panic, is supervised.
    async fn post_start(&self, myself: ActorRef<Nothing>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some(work) = state.work.take() {
            let span = tracing::info_span!("workflow", workflow.id = %self.id);
            self.work(&mut state.memory, work).instrument(span).await?;
        }
        myself.stop(None);
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Nothing>, nothing: Nothing, _: &mut State) -> Result<(), ActorProcessingErr> {
        match nothing {}
    }
}
