//! The replacement of a document, as a history records it.

use crate::api::views::differences::FieldDifference;
use crate::domain::task::digest::Digest;
use serde::Serialize;
use utoipa::ToSchema;

/// What was about to start differed from the document, so a new document replaced it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DocumentRenewedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    /// The digest of the new document.
    pub digest: &'a Digest,
    pub reason: &'a str,
    /// The fields in which it differs from the previous one.
    pub changes: Vec<FieldDifference>,
}
