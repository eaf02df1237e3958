//! Commenting on a workflow, and asking its requester a question.

use crate::domain::policy::PrincipalKind;
use crate::domain::text::says;
use crate::domain::workflow::Command;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError};
use std::sync::Arc;
use uuid::Uuid;

/// The most bytes in a comment.
pub const LONGEST_COMMENT: usize = 4 * 1024;

impl Service {
    /// Adds a comment, or a question to the requester, and returns the version of its event. The
    /// same comment sent again returns the version of the first one.
    ///
    /// # Errors
    /// The text is empty or too long, the core refuses the comment, or the outcome is not known.
    pub async fn comment(&self, by: &Caller, id: Uuid, text: &str, ask: bool, permit: Arc<Permit>) -> Result<u32, ServiceError> {
        let text = text.trim();
        if !says(text) {
            return Err(ServiceError::invalid("/text", "has no visible text; write a comment"));
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
