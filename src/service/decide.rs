//! Approving, rejecting, withdrawing an approval, cancelling, reporting a result, and resolving an
//! unknown outcome. The core decides whether the caller may. Each use case holds its permit until
//! the work has been answered.

use crate::actors::protocol::{CommandOutcome, Failure};
use crate::domain::hold::{Freeze, Held};
use crate::domain::workflow::{Command, Decision, Outcome, Refusal, Resolution, Status, StepName, Workflow};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError, about};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most bytes in a justification or a reason.
pub const LONGEST_NOTE: usize = 4 * 1024;

/// A decision, and the document that the person read before it.
#[derive(Debug, Default)]
pub struct Saying {
    /// The justification or the reason.
    pub note: Option<String>,
    /// The digest of the document that the person read.
    pub digest: Option<String>,
    /// The person who decides, if the request names one; it has to be the caller.
    pub named: Option<String>,
    /// The freeze from which an exception is approved; `None` if the decision is about the request
    /// itself.
    pub exception: Option<String>,
    /// Whether the caller breaks the glass: the action is released without the people whose
    /// approval it needs.
    pub break_glass: bool,
}

/// What a caller sends to cancel a task.
#[derive(Debug, Default)]
pub struct Cancellation {
    pub reason: Option<String>,
    /// How long the caller wants to wait for a running attempt to end.
    pub wait: Option<Duration>,
}

impl Service {
    /// Approves a request, or an exception from a freeze. Every approval goes through here.
    ///
    /// # Errors
    /// The core refuses the command, or the outcome is not known.
    pub async fn approve(
        &self,
        by: &Caller,
        id: Uuid,
        saying: Saying,
        permit: Arc<Permit>,
    ) -> Result<(Arc<Workflow>, Decision), ServiceError> {
        same_caller(by, saying.named.as_deref(), "approved_by")?;
        let justification = short("/justification", saying.note)?;
        let command = match saying.exception {
            Some(_) if saying.break_glass => {
                let detail = "an exception from a freeze is approved by the roles that the freeze names; leave `break_glass` out";
                return Err(ServiceError::invalid("/break_glass", detail));
            }
            None if saying.break_glass => Command::BreakGlass {
                by: by.principal(),
                justification,
                digest: saying.digest,
                roles: Vec::new(),
                owner: self.engine.owner,
            },
            None => Command::Approve { by: by.principal(), justification, digest: saying.digest, owner: self.engine.owner },
            Some(name) => {
                let freeze = self.freeze(&name)?;
                let until = self.engine.holds.frozen_until(&self.history(by, id).await?.workflow, &freeze);
                Command::Except { by: by.principal(), freeze, until, justification, digest: saying.digest }
            }
        };
        let outcome = self.command(id, command, permit).await?;
        let decision = outcome.decision.ok_or_else(ServiceError::internal)?;
        Ok((outcome.workflow, decision))
    }

    /// The freeze with this name.
    fn freeze(&self, name: &str) -> Result<Arc<Freeze>, ServiceError> {
        let freezes = &self.engine.configuration.freezes;
        let found = freezes.iter().find(|freeze| freeze.name == name).cloned().map(Arc::new);
        found.ok_or_else(|| {
            let known: Vec<&str> = freezes.iter().map(|freeze| freeze.name.as_str()).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("which are: {}", known.join(", ")) };
            ServiceError::invalid("/exception", format!("is not a freeze of the configuration, {known}"))
        })
    }

    /// Rejects a request.
    ///
    /// # Errors
    /// The core refuses the command, or the outcome is not known.
    pub async fn reject(&self, by: &Caller, id: Uuid, saying: Saying, permit: Arc<Permit>) -> Result<Decision, ServiceError> {
        same_caller(by, saying.named.as_deref(), "rejected_by")?;
        let reason = short("/reason", saying.note)?;
        let command = Command::Reject { by: by.principal(), reason, digest: saying.digest };
        self.command(id, command, permit).await?.decision.ok_or_else(ServiceError::internal)
    }

    /// Withdraws the caller's own approval.
    ///
    /// # Errors
    /// The core refuses the command, or the outcome is not known.
    pub async fn withdraw(&self, by: &Caller, id: Uuid, reason: Option<String>, permit: Arc<Permit>) -> Result<Decision, ServiceError> {
        let reason = short("/reason", reason)?;
        let command = Command::Withdraw { by: by.principal(), reason };
        self.engine.command_for(id, command, permit).await?.decision.ok_or_else(ServiceError::internal)
    }

    /// Cancels a task. Returns the workflow and the wait that was granted. A running attempt has
    /// been told to end when this returns, and has ended if it did so within the wait.
    ///
    /// # Errors
    /// The core refuses the command, or the outcome is not known.
    pub async fn cancel(
        &self,
        by: &Caller,
        id: Uuid,
        Cancellation { reason, wait }: Cancellation,
        permit: Arc<Permit>,
    ) -> Result<(Arc<Workflow>, Option<Duration>), ServiceError> {
        let reason = short("/reason", reason)?;
        let workflow = self.command(id, Command::Cancel { by: by.principal(), reason }, permit).await?.workflow;
        Box::pin(self.after_wait(by, workflow, wait, |workflow| !workflow.is_being_cancelled())).await
    }

    /// Records the outcome of an external action as its requester reports it; for a plan, of one
    /// step.
    ///
    /// # Errors
    /// The core refuses the command, or the outcome is not known.
    pub async fn report(
        &self,
        by: &Caller,
        id: Uuid,
        step: Option<StepName>,
        outcome: Outcome,
        permit: Arc<Permit>,
    ) -> Result<Arc<Workflow>, ServiceError> {
        match self.engine.command_for(id, Command::Report { by: by.principal(), step, outcome }, permit).await {
            Err(Failure::Refused(Refusal::WrongState { current: Status::Queued, detail })) => {
                // A requester that acted while a hold was in force learns of the hold.
                match self.held(&self.history(by, id).await?.workflow) {
                    Some(Held::Halted(halt)) => Err(ServiceError::Halted(format!("the action has not begun: {halt}"))),
                    _ => Err(Refusal::WrongState { current: Status::Queued, detail }.into()),
                }
            }
            answer => Ok(answer.map_err(about(id))?.workflow),
        }
    }

    /// Records what a person found out about an unknown outcome.
    ///
    /// # Errors
    /// The core refuses the command, or the outcome is not known.
    pub async fn resolve(
        &self,
        by: &Caller,
        id: Uuid,
        outcome: Resolution,
        justification: Option<String>,
        permit: Arc<Permit>,
    ) -> Result<Arc<Workflow>, ServiceError> {
        let justification = short("/justification", justification)?;
        Ok(self.command(id, self.resolution(by, outcome, justification), permit).await?.workflow)
    }

    /// Sends a command to its workflow. The permit is held until the work is done, whether or not
    /// the caller stays connected.
    async fn command(&self, id: Uuid, command: Command, permit: Arc<Permit>) -> Result<CommandOutcome, ServiceError> {
        self.engine.command_for(id, command, permit).await.map_err(about(id))
    }

    pub(super) fn resolution(&self, by: &Caller, outcome: Resolution, justification: Option<String>) -> Command {
        let deciders = self.engine.configuration.policy.deciders();
        Command::Resolve { by: by.principal(), outcome, justification, owner: self.engine.owner, deciders }
    }
}

/// The request may name who decides, and that has to be the caller.
fn same_caller(by: &Caller, written: Option<&str>, field: &str) -> Result<(), ServiceError> {
    match written {
        Some(written) if written != by.name => {
            let detail = format!("`{field}` names somebody else, and it is {} who decides; leave the field out", by.name);
            Err(ServiceError::IdentityMismatch(detail))
        }
        _ => Ok(()),
    }
}

/// The note, if it is short enough to store.
///
/// # Errors
/// The note is too long; the error has the pointer.
pub(super) fn short(pointer: &str, text: Option<String>) -> Result<Option<String>, ServiceError> {
    match text {
        Some(text) if text.len() > LONGEST_NOTE => Err(ServiceError::invalid(pointer, format!("is longer than {LONGEST_NOTE} bytes"))),
        text => Ok(text),
    }
}
