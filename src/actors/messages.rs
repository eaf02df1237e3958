//! The references of the actors that talk to each other, and the messages they take. Each message
//! says what follows it; the actor's own file says how.

use crate::actors::answering::Answering;
use crate::actors::parked_state::ParkedState;
use crate::actors::protocol::{AdmittedTask, CommandOutcome, Failure};
use crate::domain::workflow::Command;
use chrono::{DateTime, Utc};
use ractor::{ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::time::Instant;
use tracing::Span;
use uuid::Uuid;

pub type RegistryRef = ActorRef<ToRegistry>;
pub type SupervisorRef = ActorRef<ToSupervisor>;
pub type TimerRef = ActorRef<ToTimer>;

/// The last state of a workflow's actor. The registry keeps it, so that the next actor reads
/// nothing.
#[derive(Debug, Clone)]
pub struct Remembered {
    pub state: ParkedState,
    /// When the workflow's log was last read or written to.
    pub read_at: Instant,
}

/// The work for which a workflow's actor is started.
pub enum Job {
    /// Decide this command, commit the events, and answer, all within this span of the workflow.
    Do { command: Arc<Command>, span: Span, reply: RpcReplyPort<Result<CommandOutcome, Failure>> },
    /// Read the log, and fulfill its obligations.
    Look,
}

impl Job {
    /// Answers that the job was not done.
    pub fn refuse(self, failure: Failure) {
        if let Self::Do { reply, .. } = self {
            let _ = reply.send(Err(failure));
        }
    }
}

/// Identifies one start of a workflow's actor.
pub type Ticket = u64;

/// A request to start the actor of a stored workflow.
pub struct Start {
    pub id: Uuid,
    pub ticket: Ticket,
    /// The state of the workflow's last actor. Without it, the new actor reads the log.
    pub remembered: Option<Remembered>,
    pub jobs: Vec<Job>,
}

/// To the approval registry.
pub enum ToRegistry {
    /// From the root, which starts the supervisor after the registry: this supervisor starts the
    /// registry's actors.
    Supervisor(SupervisorRef),
    /// An actor is started for the job. If the workflow has an active one, the job waits until that
    /// one has ended.
    Route { id: Uuid, job: Job },
    /// An actor is started that reads the log and fulfills its obligations, even if the workflow is
    /// remembered: the remembered state may be behind the log.
    Wake { id: Uuid },
    /// These parked workflows, just read from their logs, are remembered, up to the limit.
    Remember(Vec<(Uuid, Remembered)>),
    /// From a workflow's actor that has finished. Its state is kept if something is left to do;
    /// then the next actor is started, if there is work for it. An actor started by a submit has no
    /// ticket.
    Done { id: Uuid, ticket: Option<Ticket>, remembered: Option<Remembered> },
    /// From the supervisor: a workflow's actor ended before its work was done. Its state is lost,
    /// and the next actor reads the log.
    Gone { id: Uuid, ticket: Ticket },
}

/// To the workflow supervisor.
pub enum ToSupervisor {
    /// An actor is started that assesses the task, checkpoints it, and answers, all within this
    /// span of the workflow.
    Submit { id: Uuid, admitted: Box<AdmittedTask>, span: Span, reply: Answering },
    /// The workflow's actor is started. If it may not be started now, its jobs are refused.
    Start(Start),
    /// From the supervisor to itself, once the pause after a failure is over: the workflow is
    /// woken.
    Rested { id: Uuid },
}

/// To the timer.
pub enum ToTimer {
    /// From the root: the timer sends what is due to this registry, and begins to work.
    Registry(RegistryRef),
    /// Something is due at this time by the database's clock: the timer sweeps right then.
    Arm { deadline: DateTime<Utc> },
    /// From the timer to itself: it looks for what is due now.
    Sweep,
    /// From the engine, when a halt or a freeze ends: the actions queued in the database are put
    /// into the runner's queue.
    Requeue,
    /// From the timer to itself: it looks for what a crash left behind.
    Recover,
}
