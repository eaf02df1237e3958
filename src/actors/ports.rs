//! What the actors need of the outside world, so that tests can put something else in its place.

use crate::domain::notice::Kind;
use crate::domain::task::Task;
use crate::domain::task::call::Call;
use crate::domain::task::difference::Difference;
use crate::domain::task::digest::Digest;
use crate::domain::task::invocation::Invocation;
use crate::domain::workflow::{AttemptId, Outcome, Workflow};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// One attempt at an action.
#[derive(Debug, Clone)]
pub struct Job {
    pub workflow_id: Uuid,
    pub attempt: AttemptId,
    /// Of the document that was approved, or that needed no approval.
    pub digest: Digest,
    pub work: Work,
}

/// What an attempt does.
#[derive(Debug, Clone)]
pub enum Work {
    Run(Invocation),
    /// Calls the webhook with this name, and sends these arguments.
    Call {
        name: String,
        call: Call,
        args: Map<String, Value>,
    },
}

/// Whether a process may be started at this very moment.
pub type MayStart = Arc<dyn Fn() -> bool + Send + Sync>;

/// Runs what was approved.
pub trait Executor: Send + Sync + 'static {
    /// Runs one attempt to its end. Right before a process is started or a call is made, after everything that may take its time,
    /// `may_start` is asked.
    /// Where it says no, nothing is started, and the answer is `None`; then the same attempt may be run again.
    fn run(&self, job: Job, may_start: MayStart) -> BoxFuture<'static, Option<Outcome>>;

    /// Finds on this machine what a command names: real paths, and the digests of its program and its files. An error says what
    /// is missing or not safe.
    fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>>;

    /// Ends what an earlier attempt may have left running on this machine. It is called before an attempt after the first.
    fn end_stragglers(&self, workflow_id: Uuid) -> BoxFuture<'static, ()>;
}

/// A notice that is to be delivered. Everything in it was true when its event was committed.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The same for each attempt to deliver it.
    pub id: Uuid,
    pub kind: Kind,
    /// When its event was committed; for a reminder, when it fell due.
    pub at: DateTime<Utc>,
    /// Which reminder of the request it is, from 1; 0 for everything else.
    pub number: u32,
    /// Who caused its event: a principal, or `parkbrake`.
    pub actor: String,
    /// The workflow right after its event.
    pub workflow: Workflow,
    pub task: Task,
    /// What was asked or answered, where the notice is about that.
    pub comment: Option<String>,
    /// What the task has otherwise than the request whose place it has taken; empty where it has taken none.
    pub differences: Vec<Difference>,
    /// Whom it is for, where the channel is personal.
    pub recipient: Option<Contact>,
    /// The people who may decide and are asked now; empty where nobody is.
    pub asked: Vec<Contact>,
    /// Where people read it and decide; none where no public address is configured.
    pub link: Option<String>,
}

/// A person, and where they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub name: String,
    pub email: Option<String>,
    pub slack: Option<String>,
    pub linear: Option<String>,
}

/// Why a notice was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Worth another attempt, not before `after` if the other side said so. The reason holds no secret.
    #[error("{reason}")]
    Later { reason: String, after: Option<Duration> },
    /// This message will never be taken.
    #[error("{reason}")]
    Refused { reason: String },
    /// Nothing will be taken there any more, and nothing more is to be sent.
    #[error("{reason}")]
    Gone { reason: String },
}

/// A way to reach people or programs outside. One delivery at a time is made on each channel.
pub trait Channel: Send + Sync + 'static {
    /// Delivers one message: a single notice, or several that ask the same recipient, where the channel groups.
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>>;
}
