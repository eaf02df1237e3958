//! Runs a runbook's precondition: when its task is submitted, and again right before it starts.

use crate::actors::attempt::{self, Ran};
use crate::actors::ports::{CancelSignal, Executor, Job, Work};
use crate::domain::task::digest::Digest;
use crate::domain::task::invocation::Invocation;
use crate::domain::text::shown;
use crate::domain::workflow::{AttemptId, Outcome};
use crate::fence::Fence;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The most preconditions of submitted tasks that run at once, because there may be many
/// requesters. Right before a start, the turns are the limit.
static LOOKS: Semaphore = Semaphore::const_new(4);

/// The most bytes that a precondition may print, because people read them.
const LONGEST: usize = 16 * 1024;

/// As [`look`], but waits until few enough others run.
///
/// # Errors
/// As [`look`].
pub async fn look_in_turn(invocation: &Invocation, executor: &dyn Executor, fence: &Arc<Fence>) -> Result<Option<String>, String> {
    let _turn = LOOKS.acquire().await.map_err(|error| error.to_string())?;
    look(invocation, executor, fence).await
}

/// The current output of a command's precondition; `None` if it has none. It runs like the command,
/// but belongs to no workflow, so the variables that identify one are empty: its output must not
/// depend on when it runs.
///
/// # Errors
/// The reason why there is no output: the program did not run, failed, timed out, or printed too
/// much.
pub async fn look(invocation: &Invocation, executor: &dyn Executor, fence: &Arc<Fence>) -> Result<Option<String>, String> {
    let Some(precondition) = &invocation.precondition else { return Ok(None) };
    let found = executor.identify(invocation.looking(&precondition.command)).await;
    let work = Work::Run(found.map_err(|reason| format!("its precondition cannot run: {reason}"))?);
    let attempt = AttemptId { step: 1, number: 1 };
    let job = Job { workflow_id: Uuid::new_v4(), attempt, digest: Digest::of(b""), work, cancelled: CancelSignal::never() };
    loop {
        match attempt::run(executor, fence, job.clone()).await {
            Ran::Ended(outcome) => return printed(outcome).map(Some),
            // This server has its lease again, so the precondition runs again.
            Ran::Cut => {}
        }
    }
}

/// Its complete output.
fn printed(outcome: Outcome) -> Result<String, String> {
    let output = match outcome {
        Outcome::Succeeded { output } => output.unwrap_or_default(),
        Outcome::Failed { error, output } | Outcome::Cancelled { error, output } => {
            let said = output.as_ref().and_then(|output| output["stderr"].as_str()).and_then(|text| text.trim().lines().last());
            let said = said.map(|line| format!(", and said `{}`", shown(line))).unwrap_or_default();
            return Err(format!("its precondition failed: {error}{said}"));
        }
        Outcome::Unknown { reason } => return Err(format!("its precondition failed: {reason}")),
    };
    let text = output["stdout"].as_str().unwrap_or_default();
    if text.len() > LONGEST || output["stdout_truncated"] == true {
        return Err(format!("its precondition printed more than {} KiB; have it print only what matters", LONGEST / 1024));
    }
    if output["streams_left_open"] == true {
        return Err("its precondition left a process behind that may still print; have it end all that it starts".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn exits(stdout: &str, truncated: bool, left_open: bool) -> Outcome {
        Outcome::Succeeded { output: Some(json!({"stdout": stdout, "stdout_truncated": truncated, "streams_left_open": left_open})) }
    }

    #[test]
    fn only_a_successful_precondition_with_complete_output_counts() {
        let most = "x".repeat(LONGEST);
        for text in ["", "three\n", &most] {
            assert_eq!(printed(exits(text, false, false)).as_deref(), Ok(text));
        }
        let failed = |error: &str, output| Outcome::Failed { error: error.to_owned(), output };
        for (outcome, words) in [
            (exits(&format!("{most}x"), false, false), "more than 16 KiB"),
            (exits("x", true, false), "more than 16 KiB"),
            (exits("x", false, true), "left a process behind"),
            (failed("exit status 1", Some(json!({"stderr": "looking\nno such service\n"}))), "exit status 1, and said `no such service`"),
            (failed("timed out after 30s", None), "failed: timed out after 30s"),
            (Outcome::Unknown { reason: "gone".to_owned() }, "failed: gone"),
        ] {
            let reason = printed(outcome).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        }
    }
}
