//! Claims of tool calls. The agent's own machine runs the call, so nothing runs here; but it begins
//! with the same commit as everything else, after the same gate.

use crate::actors::answering::unanswered;
use crate::actors::dispatcher::ANSWER_TIMEOUT;
use crate::actors::gate::Verdict;
use crate::actors::protocol::Failure;
use crate::actors::runner::Runner;
use crate::domain::policy::Principal;
use crate::domain::workflow::{Command, Workflow};
use std::sync::Arc;
use uuid::Uuid;

impl Runner {
    /// Calls the gate and commits its verdict: the start under this token, that people are asked
    /// again, or that it will not start. The caller may run the call only if the returned workflow
    /// is running under its token.
    ///
    /// # Errors
    /// A halt or a freeze holds it, there is nothing to claim, or the outcome is not known.
    pub async fn claim(&self, workflow_id: Uuid, by: Principal, token: Uuid) -> Result<Arc<Workflow>, Failure> {
        let verdict = self.gate.may_claim(workflow_id).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let command = match verdict {
            Verdict::Held(held) => return Err(Failure::Held(held.to_string())),
            Verdict::Wait(reason) => return Err(Failure::Unavailable(reason)),
            Verdict::Refuse { attempt, reason } => Command::RefuseStart { attempt, reason },
            Verdict::AskAgain { attempt, reason, terms, renewed } => Command::AskAgain { attempt, reason, terms, renewed },
            // If nothing is queued, the log may say that this very call has claimed it.
            Verdict::Begin(_) | Verdict::NotQueued | Verdict::Start { .. } | Verdict::Renew { .. } => {
                Command::Claim { by, owner: self.owner, token }
            }
        };
        let dispatcher = self.dispatcher.upgrade().ok_or_else(unanswered)?;
        Ok(dispatcher.command(workflow_id, command, Some(ANSWER_TIMEOUT)).await?.workflow)
    }
}
