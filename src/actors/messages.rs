//! References to the actors that work with each other, and the messages that they take: what each message leads to stands here, how
//! it does stands in the actor's own file.

use crate::actors::exchange::{Answered, Failure, Intake, Submitted};
use crate::domain::workflow::{Command, Workflow};
use chrono::{DateTime, Utc};
use ractor::{ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

pub type RegistryRef = ActorRef<ToRegistry>;
pub type SupervisorRef = ActorRef<ToSupervisor>;
pub type TimerRef = ActorRef<ToTimer>;

/// What an actor knew of its workflow when it ended. It is kept, so that the next one reads nothing.
#[derive(Debug, Clone)]
pub struct Remembered {
    pub workflow: Arc<Workflow>,
    /// When its log was last read, or written to.
    pub read_at: Instant,
}

/// Something that a workflow's actor is started for.
pub enum Job {
    /// Decide this, commit what follows, and answer.
    Do(Arc<Command>, RpcReplyPort<Result<Answered, Failure>>),
    /// Read the log, and do what it obliges to.
    Look,
}

impl Job {
    /// Answers that it is not done.
    pub fn refuse(self, failure: Failure) {
        if let Self::Do(_, reply) = self {
            let _ = reply.send(Err(failure));
        }
    }
}

/// Which start of a workflow's actor is meant.
pub type Ticket = u64;

/// The start of the actor of a workflow that is stored.
pub struct Start {
    pub id: Uuid,
    pub ticket: Ticket,
    /// What its last actor knew; without it the log is read.
    pub remembered: Option<Remembered>,
    pub jobs: Vec<Job>,
}

/// To the approval registry.
pub enum ToRegistry {
    /// Where actors are started. The supervisor itself starts after the registry.
    Supervisor(SupervisorRef),
    /// Take this to its workflow: an actor is started for it, or, where one is at work, once that has ended.
    Route { id: Uuid, command: Arc<Command>, reply: RpcReplyPort<Result<Answered, Failure>> },
    /// Have a workflow read its log, so that it does what its state obliges to; also one that is remembered, which may be behind.
    Wake { id: Uuid },
    /// Parked workflows, as their logs say at this moment. They are remembered as far as there is room.
    Remember(Vec<Remembered>),
    /// A workflow's actor has done its work and ends. What it knew is kept, where there is something left to do; then the next one is
    /// started, if there is work for it. No ticket has the actor that was started by a submit.
    Done { id: Uuid, ticket: Option<Ticket>, remembered: Option<Remembered> },
    /// A workflow's actor has ended before its work was done. What it knew is gone; the next one reads the log.
    Gone { id: Uuid, ticket: Ticket },
}

/// To the workflow supervisor.
pub enum ToSupervisor {
    /// A new workflow: an actor assesses it, checkpoints it, and answers.
    Submit { id: Uuid, intake: Box<Intake>, reply: RpcReplyPort<Result<Submitted, Failure>> },
    /// Start the actor of a workflow. Where it may not be started now, its jobs are refused.
    Start(Start),
    /// The pause of a workflow that failed is over: it is woken.
    Rested { id: Uuid },
}

/// To the timer.
pub enum ToTimer {
    /// Where what is due is sent. From here on the timer works.
    Registry(RegistryRef),
    /// Something will fall due at this moment by the database's clock: there is a sweep right then.
    Arm { deadline: DateTime<Utc> },
    /// Look for what is due now. From the timer to itself.
    Sweep,
    /// Put what is queued in the database into the runner's queue: what was held may start.
    Requeue,
    /// Look for what a crash left behind. From the timer to itself.
    Recover,
}
