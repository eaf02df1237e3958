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
    /// Of the document that was approved.
    pub digest: &'a Digest,
    pub invocation: &'a Invocation,
}

/// What is known of a cancel while a command runs or a call is under way.
#[derive(Debug, Clone)]
pub struct Cancelling {
    pub signal: CancelSignal,
    /// How long what runs has to end by itself once it was told to.
    pub grace: Duration,
}
