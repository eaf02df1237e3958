//! What the actors need from the outside world, as traits, so that tests can replace it.

use crate::domain::notice::{Kind, Subscription};
use crate::domain::task::call::Call;
use crate::domain::task::difference::Difference;
use crate::domain::task::digest::Digest;
use crate::domain::task::invocation::{Concurrency, Invocation};
use crate::domain::task::plan::Document;
use crate::domain::workflow::live_output::{LiveOutput, ReadTo};
use crate::domain::workflow::{AttemptId, Outcome, Workflow};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// One attempt at an action.
#[derive(Debug, Clone)]
pub struct Job {
    pub workflow_id: Uuid,
    pub attempt: AttemptId,
    /// The digest of the document that was approved, or that needed no approval.
    pub digest: Digest,
    pub work: Work,
    /// Set when somebody cancels the running attempt.
    pub cancelled: CancelSignal,
}

/// What an attempt does.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there are as many as attempts run, and most are commands")]
pub enum Work {
    Run(Invocation),
    /// Calls the webhook with this name, and sends these arguments.
    Call {
        name: String,
        call: Call,
        args: Map<String, Value>,
    },
}

impl Work {
    /// The concurrency limit of the work, if it has one.
    pub fn concurrency(&self) -> Option<&Concurrency> {
        match self {
            Self::Run(invocation) => invocation.concurrency.as_ref(),
            Self::Call { .. } => None,
        }
    }
}

/// Tells the executor of an attempt to end it.
#[derive(Debug)]
pub struct Canceler(watch::Sender<bool>);

/// The signal that an attempt has to end.
#[derive(Debug, Clone)]
pub struct CancelSignal(watch::Receiver<bool>);

impl Canceler {
    /// Ends the attempt. Repeating this changes nothing.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has been cancelled.
    pub fn has_cancelled(&self) -> bool {
        *self.0.borrow()
    }
}

impl CancelSignal {
    /// A signal and its sender.
    pub fn pair() -> (Canceler, Self) {
        let (sender, receiver) = watch::channel(false);
        (Canceler(sender), Self(receiver))
    }

    /// A signal that never comes.
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Whether the signal has come.
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal; forever if nobody can send it any more.
    pub async fn given(&self) {
        if self.0.clone().wait_for(|is_given| *is_given).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Whether a process may be started now.
pub type MayStart = Arc<dyn Fn() -> bool + Send + Sync>;

/// Runs approved actions.
pub trait Executor: Send + Sync + 'static {
    /// Runs one attempt to its end. Right before a process is started or a call is made, after
    /// everything that takes time, `may_start` is called. If it returns false, nothing is started
    /// and the result is `None`; the same attempt may then be run again. If the job is cancelled,
    /// the processes are ended, and the result says how far they came.
    fn run(&self, job: Job, may_start: MayStart) -> BoxFuture<'static, Option<Outcome>>;

    /// Resolves a command on this machine: real paths, and the digests of its program and its
    /// files. The error says what is missing or not safe.
    fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>>;

    /// The output of a running attempt, or one that has just ended, beyond what was read. `None` if
    /// nothing of the workflow runs here, and for an executor that keeps no output.
    fn output(&self, _workflow_id: Uuid, _read_to: Option<ReadTo>) -> Option<LiveOutput> {
        None
    }

    /// Ends processes that an earlier attempt may have left on this machine. It is called before
    /// every attempt but the first.
    fn end_stragglers(&self, workflow_id: Uuid) -> BoxFuture<'static, ()>;
}

/// A notice to be delivered. Everything in it was true when its event was committed.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Stays the same for every attempt to deliver it.
    pub id: Uuid,
    pub kind: Kind,
    /// When its event was committed. For a reminder, when it was due.
    pub at: DateTime<Utc>,
    /// The number of a reminder of its request, from 1, or the percent of the goal that has passed;
    /// 0 for every other kind.
    pub number: u32,
    /// Who caused its event: a principal, or `parkbrake`.
    pub actor: String,
    /// The workflow right after its event.
    pub workflow: Workflow,
    /// The stored document.
    pub document: Document,
    /// The question or answer, if the notice is about one.
    pub comment: Option<String>,
    /// How the task differs from the request that it supersedes; empty if it supersedes none.
    pub differences: Vec<Difference>,
    /// The recipient, if the channel is personal.
    pub recipient: Option<Contact>,
    /// The people who are asked now because they may decide; empty if nobody is asked.
    pub asked: Vec<Contact>,
    /// The page where people read it and decide; `None` if no public address is configured.
    pub link: Option<String>,
}

/// A person, and how they are reached.
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
    /// Another attempt may succeed, but not before `after` if the other side said so. The reason
    /// holds no secret.
    #[error("{reason}")]
    Later { reason: String, after: Option<Duration> },
    /// The other side will never accept this message.
    #[error("{reason}")]
    Refused { reason: String },
    /// The other side will accept nothing any more, and nothing more must be sent.
    #[error("{reason}")]
    Gone { reason: String },
}

/// A way to reach people or programs outside. Each channel delivers one message at a time.
pub trait Channel: Send + Sync + 'static {
    /// Delivers one message: a single notice, or several that ask the same recipient, if the
    /// channel groups.
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>>;
}

/// The browsers that people have subscribed to notices.
pub trait Subscriptions: Send + Sync + 'static {
    /// The browsers of a person; the error says why they cannot be read.
    fn of<'a>(&'a self, person: &'a str) -> BoxFuture<'a, Result<Vec<Subscription>, String>>;

    /// Removes a subscription that has ended.
    fn forget(&self, id: Uuid) -> BoxFuture<'_, Result<(), String>>;
}

/// What a browser needs to subscribe, and which subscriptions can be used.
pub trait Subscribing: Send + Sync + 'static {
    /// The key with which the browser's push service recognizes parkbrake.
    fn public_key(&self) -> &str;

    /// Whether messages can be sent to this subscription; the error says what is wrong with it.
    fn check(&self, subscription: &Subscription) -> Result<(), String>;
}

/// A mail with a link that signs somebody in. The link is a secret.
#[derive(Clone)]
pub struct SignInMail {
    pub name: String,
    pub address: String,
    pub link: String,
}

/// Sends mail to single people directly, without the outbox.
pub trait Mailer: Send + Sync + 'static {
    /// Sends a sign-in link.
    fn send_link(&self, mail: SignInMail) -> BoxFuture<'_, Result<(), Undelivered>>;
}
