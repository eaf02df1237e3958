//! What the actors need of the outside world, so that tests can put something else in its place.

use crate::domain::digest::Digest;
use crate::domain::task::Invocation;
use crate::domain::workflow::Outcome;
use futures_util::future::BoxFuture;
use uuid::Uuid;

/// One attempt at an action.
#[derive(Debug, Clone)]
pub struct Job {
    pub workflow_id: Uuid,
    pub attempt: u32,
    pub digest: Digest,
    pub invocation: Invocation,
}

/// Runs what was approved.
pub trait Executor: Send + Sync + 'static {
    /// Runs one attempt to its end. It is called once for each attempt.
    fn run(&self, job: Job) -> BoxFuture<'static, Outcome>;

    /// Ends what an earlier attempt may have left running on this machine. It is called before an attempt after the first.
    fn end_stragglers(&self, workflow_id: Uuid) -> BoxFuture<'static, ()>;
}
