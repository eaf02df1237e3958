//! That another document holds, as a history tells it.

use crate::api::views::differences::FieldDifference;
use crate::domain::task::digest::Digest;
use serde::Serialize;
use utoipa::ToSchema;

/// What was about to start was not what the document said: from here on another one holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct DocumentRenewedDetail<'a> {
    pub step: u32,
    pub attempt: u32,
    /// Of the document that holds from here on.
    pub digest: &'a Digest,
    pub reason: &'a str,
    /// The fields in which it differs from the one before.
    pub changes: Vec<FieldDifference>,
}
