//! What a runbook writes while it runs.

use super::Success;
use crate::domain::workflow::live_output::{LiveOutput, Piece};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The detail of an answer without output.
const NOTHING_HERE: &str =
    "nothing of this workflow runs on this server now: what an attempt has written is in `execution.attempts` once it has ended";

/// What an attempt has written so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveOutput)]
pub struct OutputAnswer<'a> {
    success: Success,
    workflow_id: Uuid,
    /// Whether an attempt runs on this server now.
    running: bool,
    /// What it has written; null if nothing of the workflow runs here or has just ended here.
    #[schema(required)]
    output: Option<Output<'a>>,
    /// Why there is none.
    #[schema(required)]
    detail: Option<&'static str>,
}

/// What was written after the previous answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LiveOutputOfAttempt)]
struct Output<'a> {
    /// The step of the plan, counted from 1.
    step: u32,
    /// The attempt at the step, counted from 1.
    attempt: u32,
    stdout: &'a str,
    /// Whether earlier output is missing because it is no longer kept.
    stdout_truncated: bool,
    stderr: &'a str,
    stderr_truncated: bool,
    /// Where the next call continues.
    #[schema(examples("1.1.2048.0"))]
    after: String,
}

impl<'a> OutputAnswer<'a> {
    pub fn of(workflow_id: Uuid, output: Option<&'a LiveOutput>) -> Self {
        Self {
            success: Success,
            workflow_id,
            running: output.is_some_and(|output| output.is_running),
            output: output.map(Output::from),
            detail: output.is_none().then_some(NOTHING_HERE),
        }
    }
}

impl<'a> From<&'a LiveOutput> for Output<'a> {
    fn from(output: &'a LiveOutput) -> Self {
        let LiveOutput { stdout, stderr, read_to, .. } = output;
        let (Piece { text: stdout, is_cut: stdout_truncated }, Piece { text: stderr, is_cut: stderr_truncated }) = (stdout, stderr);
        Self {
            step: read_to.attempt.step,
            attempt: read_to.attempt.number,
            stdout,
            stdout_truncated: *stdout_truncated,
            stderr,
            stderr_truncated: *stderr_truncated,
            after: read_to.to_string(),
        }
    }
}
