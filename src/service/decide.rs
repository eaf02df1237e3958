//! Approving, rejecting, taking an approval back, cancelling, reporting a result, and resolving an
//! outcome that nobody knows. Whether the caller may is for the core to say. The permit is held
//! until the work has been answered.

use crate::actors::protocol::{CommandOutcome, Failure};
use crate::domain::hold::{Freeze, Held};
use crate::domain::workflow::{Command, Decision, Outcome, Refusal, Resolution, Status, StepName, Workflow};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError, about};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Bytes of a justification or a reason.
pub const LONGEST_NOTE: usize = 4 * 1024;

/// What somebody decides, and what they read before they did.
#[derive(Debug, Default)]
pub struct Saying {
    /// The justification or the reason.
    pub note: Option<String>,
    /// The digest of what was read.
    pub digest: Option<String>,
    /// Who decides, as the request itself says; it has to be the caller.
    pub named: Option<String>,
    /// The freeze from which an exception is approved; none where the request itself is decided.
    pub exception: Option<String>,
    /// Whether the glass is broken: the action is released without those who are asked.
    pub break_glass: bool,
}

/// What somebody says who takes a task back.
#[derive(Debug, Default)]
pub struct TakingBack {
    pub reason: Option<String>,
    /// How long the caller prefers to wait for the end of what runs.
    pub wait: Option<Duration>,
}

impl Service {
    /// One person's yes; every approval goes this way.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
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
                let detail = "an exception from a freeze is approved by those whom the freeze names; leave `break_glass` out";
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

    /// A freeze of the configuration.
    fn freeze(&self, name: &str) -> Result<Arc<Freeze>, ServiceError> {
        let freezes = &self.engine.configuration.freezes;
        let found = freezes.iter().find(|freeze| freeze.name == name).cloned().map(Arc::new);
        found.ok_or_else(|| {
            let known: Vec<&str> = freezes.iter().map(|freeze| freeze.name.as_str()).collect();
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("which are: {}", known.join(", ")) };
            ServiceError::invalid("/exception", format!("is none of the freezes of the configuration, {known}"))
        })
    }

    /// One person's no.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
    pub async fn reject(&self, by: &Caller, id: Uuid, saying: Saying, permit: Arc<Permit>) -> Result<Decision, ServiceError> {
        same_caller(by, saying.named.as_deref(), "rejected_by")?;
        let reason = short("/reason", saying.note)?;
        let command = Command::Reject { by: by.principal(), reason, digest: saying.digest };
        self.command(id, command, permit).await?.decision.ok_or_else(ServiceError::internal)
    }

    /// One person takes the own yes back.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
    pub async fn withdraw(&self, by: &Caller, id: Uuid, reason: Option<String>, permit: Arc<Permit>) -> Result<Decision, ServiceError> {
        let reason = short("/reason", reason)?;
        let command = Command::Withdraw { by: by.principal(), reason };
        self.engine.command_for(id, command, permit).await?.decision.ok_or_else(ServiceError::internal)
    }

    /// Takes a task back, and gives where it stands and the wait that was granted. What runs is
    /// being ended when this returns, and has ended if it did so within the wait.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
    pub async fn cancel(
        &self,
        by: &Caller,
        id: Uuid,
        TakingBack { reason, wait }: TakingBack,
        permit: Arc<Permit>,
    ) -> Result<(Arc<Workflow>, Option<Duration>), ServiceError> {
        let reason = short("/reason", reason)?;
        let workflow = self.command(id, Command::Cancel { by: by.principal(), reason }, permit).await?.workflow;
        Box::pin(self.after_wait(by, workflow, wait, |workflow| !workflow.is_being_cancelled())).await
    }

    /// How an external action went, as its requester says; of a plan, which step it was.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
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
                // A requester that acts although it may not learns why it may not.
                match self.held(&self.history(by, id).await?.workflow) {
                    Some(Held::Halted(halt)) => Err(ServiceError::Halted(format!("the action has not begun: {halt}"))),
                    _ => Err(Refusal::WrongState { current: Status::Queued, detail }.into()),
                }
            }
            answer => Ok(answer.map_err(about(id))?.workflow),
        }
    }

    /// What somebody found out about an unknown outcome.
    ///
    /// # Errors
    /// The refusal, or an error if the outcome is not known.
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

    /// Takes a command to its workflow. The permit is held until the work is done, whether or not
    /// the caller stays.
    async fn command(&self, id: Uuid, command: Command, permit: Arc<Permit>) -> Result<CommandOutcome, ServiceError> {
        self.engine.command_for(id, command, permit).await.map_err(about(id))
    }

    pub(super) fn resolution(&self, by: &Caller, outcome: Resolution, justification: Option<String>) -> Command {
        let deciders = self.engine.configuration.policy.deciders();
        Command::Resolve { by: by.principal(), outcome, justification, owner: self.engine.owner, deciders }
    }
}

/// A name in the request may stand, and must then be the caller's.
fn same_caller(by: &Caller, written: Option<&str>, field: &str) -> Result<(), ServiceError> {
    match written {
        Some(written) if written != by.name => {
            let detail = format!("`{field}` names somebody else, and it is {} who decides; leave the field out", by.name);
            Err(ServiceError::IdentityMismatch(detail))
        }
        _ => Ok(()),
    }
}

/// A note that is not too long to be kept.
///
/// # Errors
/// The note is too long; the pointer says which.
pub(super) fn short(pointer: &str, text: Option<String>) -> Result<Option<String>, ServiceError> {
    match text {
        Some(text) if text.len() > LONGEST_NOTE => Err(ServiceError::invalid(pointer, format!("is longer than {LONGEST_NOTE} bytes"))),
        text => Ok(text),
    }
}
