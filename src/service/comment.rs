//! Saying something about a workflow, and asking its requester something.

use crate::domain::policy::PrincipalKind;
use crate::domain::text::says;
use crate::domain::workflow::Command;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of a comment.
pub const LONGEST_COMMENT: usize = 4 * 1024;

impl Service {
    /// One comment, or one question to the requester. Gives the version of its event: that of the
    /// first time, where it is the very same again.
    ///
    /// # Errors
    /// The text is empty or too long; the refusal; or an error if the outcome is not known.
    pub async fn comment(&self, by: &Caller, id: Uuid, text: &str, ask: bool, permit: Arc<Permit>) -> Result<u32, ServiceError> {
        let text = text.trim();
        if !says(text) {
            return Err(ServiceError::invalid("/text", "says nothing: write something that can be seen"));
        }
        if text.len() > LONGEST_COMMENT {
            return Err(ServiceError::invalid("/text", format!("is longer than {LONGEST_COMMENT} bytes")));
        }
        if by.kind == PrincipalKind::Agent {
            self.quotas.take(&self.engine, &by.name)?;
        }
        let command = Command::Comment { by: by.principal(), text: text.to_owned(), ask };
        let answered = self.engine.command_for(id, command, permit).await?;
        answered.workflow.discussion.last.as_ref().map(|last| last.version).ok_or_else(ServiceError::internal)
    }
}
