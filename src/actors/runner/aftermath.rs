//! Work on attempts that are no longer running, apart from the turns: ending what they left behind,
//! and running probes.

use super::{FIRST_PAUSE, LONGEST_PAUSE, Runner};
use crate::actors::attempt::{self, Ran};
use crate::domain::workflow::{AttemptId, Command, Outcome, ProbeAnswer};
use crate::telemetry;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use uuid::Uuid;

/// The most probes that run at once, because there may be many after a crash.
static PROBES: Semaphore = Semaphore::const_new(4);

/// The exit status with which a probe reports that the attempt did not happen.
const DID_NOT_HAPPEN: i64 = 1;

/// A kind of such work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Aftermath {
    Clear,
    Probe,
}

/// Such work in progress. Dropping it lets the next look begin again.
struct Doing {
    runner: Arc<Runner>,
    workflow_id: Uuid,
    attempt: AttemptId,
    what: Aftermath,
}

impl Runner {
    /// Ends processes that an attempt of a dead server left on this machine, because somebody has
    /// cancelled it, and then records that. Returns at once. If this process ends first, the next
    /// one reads the same in the log and begins again.
    pub fn clear(self: &Arc<Self>, workflow_id: Uuid, attempt: AttemptId) {
        self.see_to(workflow_id, attempt, Aftermath::Clear);
    }

    /// Runs the probe of an attempt of unknown outcome, and then records its answer. Returns at
    /// once. If this process ends first, the next one begins again.
    pub fn probe(self: &Arc<Self>, workflow_id: Uuid, attempt: AttemptId) {
        self.see_to(workflow_id, attempt, Aftermath::Probe);
    }

    #[expect(clippy::disallowed_methods, reason = "it outlives every actor, and the next look does what it left undone")]
    fn see_to(self: &Arc<Self>, workflow_id: Uuid, attempt: AttemptId, what: Aftermath) {
        if self.state().aftermath.insert((workflow_id, attempt, what)) {
            let doing = Doing { runner: Arc::clone(self), workflow_id, attempt, what };
            tokio::spawn(doing.play().instrument(telemetry::workflow(workflow_id)));
        }
    }
}

impl Doing {
    async fn play(self) {
        match self.what {
            Aftermath::Clear => self.clear().await,
            Aftermath::Probe => self.probe().await,
        }
    }

    async fn clear(&self) {
        let Self { runner, workflow_id, attempt, .. } = self;
        tracing::warn!(step = attempt.step, attempt = attempt.number, "the remaining processes of a cancelled action are ended");
        runner.executor.end_stragglers(*workflow_id).await;
        runner.repeat_until_answered(*workflow_id, &Command::Recover { attempt: *attempt, owner: runner.owner }).await;
    }

    async fn probe(&self) {
        let Self { runner, workflow_id, attempt, .. } = self;
        let Ok(_turn) = PROBES.acquire().await else { return };
        // Remaining processes of the action could invalidate the probe's answer.
        runner.executor.end_stragglers(*workflow_id).await;
        let Some((answer, output, reason)) = self.ask().await else { return };
        tracing::info!(step = attempt.step, attempt = attempt.number, ?answer, "the probe of an action has answered");
        runner.repeat_until_answered(*workflow_id, &Command::Probed { attempt: *attempt, answer, output, reason }).await;
    }

    /// The probe's answer, how it ended, and why it cannot tell. `None` if this process stops
    /// first, or if the log cannot be read.
    async fn ask(&self) -> Option<(ProbeAnswer, Option<Value>, Option<String>)> {
        let Self { runner, workflow_id, attempt, .. } = self;
        let mut pause = FIRST_PAUSE;
        while !runner.is_closed() {
            match runner.gate.probe(*workflow_id, *attempt).await {
                Ok(Ok(job)) => match attempt::run(&*runner.executor, &runner.fence, job).await {
                    Ran::Ended(outcome) => return Some(answer(outcome)),
                    // This server has its lease again, so the probe runs again.
                    Ran::Cut => continue,
                },
                Ok(Err(reason)) => return Some((ProbeAnswer::CannotTell, None, Some(reason))),
                Err(crate::storage::Error::Unavailable(reason)) => {
                    tracing::warn!(reason, "cannot read the workflow whose probe should run; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::error!(%error, "the probe does not run: the log of its workflow cannot be read");
                    return None;
                }
            }
        }
        None
    }
}

/// The answer of a probe's exit status: 0 that the attempt happened, 1 that it did not, and
/// anything else that it cannot tell.
fn answer(outcome: Outcome) -> (ProbeAnswer, Option<Value>, Option<String>) {
    match outcome {
        Outcome::Succeeded { output } => (ProbeAnswer::Happened, output, None),
        Outcome::Failed { output: Some(output), .. } if output["exit_status"] == DID_NOT_HAPPEN => {
            (ProbeAnswer::DidNotHappen, Some(output), None)
        }
        Outcome::Failed { error, output } | Outcome::Cancelled { error, output } => {
            (ProbeAnswer::CannotTell, output, Some(format!("the probe: {error}")))
        }
        Outcome::Unknown { reason } => (ProbeAnswer::CannotTell, None, Some(format!("the probe: {reason}"))),
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.runner.state().aftermath.remove(&(self.workflow_id, self.attempt, self.what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn probe_exit_status_0_means_happened_1_means_not_and_others_mean_unknown() {
        let exits =
            |status: i64| Outcome::Failed { error: format!("exit status {status}"), output: Some(json!({ "exit_status": status })) };
        assert_eq!(answer(Outcome::Succeeded { output: None }).0, ProbeAnswer::Happened);
        assert_eq!(answer(exits(1)).0, ProbeAnswer::DidNotHappen);
        let killed = Outcome::Failed { error: "ended by SIGKILL".to_owned(), output: Some(json!({ "exit_status": null })) };
        let not_started = Outcome::Failed { error: "could not start".to_owned(), output: None };
        for unclear in [exits(2), exits(127), killed, not_started, Outcome::Unknown { reason: "gone".to_owned() }] {
            let (said, _, reason) = answer(unclear.clone());
            assert!(said == ProbeAnswer::CannotTell && reason.is_some(), "{unclear:?}");
        }
    }
}
