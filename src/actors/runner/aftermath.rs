//! What is done about attempts of servers that are gone, beside the turns.

use super::Runner;
use crate::domain::workflow::{AttemptId, Command};
use crate::telemetry;
use std::sync::Arc;
use tracing::Instrument as _;
use uuid::Uuid;

/// One attempt that is being cleared away. Dropping it lets the next look begin again.
struct Clearing {
    runner: Arc<Runner>,
    workflow_id: Uuid,
    attempt: AttemptId,
}

impl Runner {
    /// Ends what an attempt of a server that is gone has left on this machine, because somebody has cancelled it; then that is recorded. Returns at
    /// once. If this process ends first, the next one reads the same in the log and begins again.
    #[expect(clippy::disallowed_methods, reason = "it outlives every actor, and what it did not come to do the timer has done again")]
    pub fn clear(self: &Arc<Self>, workflow_id: Uuid, attempt: AttemptId) {
        if self.state().cleared.insert((workflow_id, attempt)) {
            let clearing = Clearing { runner: Arc::clone(self), workflow_id, attempt };
            tokio::spawn(clearing.play().instrument(telemetry::workflow(workflow_id)));
        }
    }
}

impl Clearing {
    async fn play(self) {
        let Self { runner, workflow_id, attempt } = &self;
        tracing::warn!(step = attempt.step, attempt = attempt.number, "what is left of a cancelled action is ended");
        runner.executor.end_stragglers(*workflow_id).await;
        runner.insist(*workflow_id, &Command::Recover { attempt: *attempt, owner: runner.owner }).await;
    }
}

impl Drop for Clearing {
    fn drop(&mut self) {
        self.runner.state().cleared.remove(&(self.workflow_id, self.attempt));
    }
}
