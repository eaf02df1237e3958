//! One attempt to run a command, and the names by which it is recognized.

use crate::actors::ports::CancelSignal;
use crate::domain::task::digest::Digest;
use crate::domain::task::invocation::Invocation;
use crate::domain::workflow::AttemptId;
use std::time::Duration;
use uuid::Uuid;

/// Names the workflow; also how the processes of a run are recognized later.
pub const WORKFLOW_ID: &str = "PARKBRAKE_WORKFLOW_ID";
/// Names the attempt, counted from 1.
pub const ATTEMPT: &str = "PARKBRAKE_ATTEMPT";

/// One attempt to run a command.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub workflow_id: Uuid,
    /// Counted from 1.
    pub attempt: AttemptId,
    /// The digest of the document that was approved.
    pub digest: &'a Digest,
    pub invocation: &'a Invocation,
}

/// The state of a cancel while a command or a call runs.
#[derive(Debug, Clone)]
pub struct Cancelling {
    pub signal: CancelSignal,
    /// How long what runs has to end on its own after it was asked to.
    pub grace: Duration,
}
