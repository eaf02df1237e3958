//! The arguments of tools, parsed strictly.

use crate::domain::workflow::Status;
use crate::http::json;
use crate::service::ServiceError;
use crate::service::submit::{LONGEST_KEY, is_key};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// The longest wait in seconds, so that the answer arrives before the usual time limits of clients.
pub const LONGEST_WAIT: u64 = 50;
/// The most workflows on a page.
pub const LARGEST_PAGE: i64 = 100;

/// The workflow that a call is about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    pub workflow_id: Uuid,
}

/// The workflow, and how long to wait for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    pub workflow_id: Uuid,
    #[serde(default = "usual_wait")]
    pub timeout_s: u64,
    #[serde(default)]
    pub until: Until,
}

fn usual_wait() -> u64 {
    45
}

/// The event to wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    #[default]
    Decision,
    End,
}

impl Until {
    /// Whether a wait ends when a workflow has this status.
    pub fn is_reached(self, status: Status) -> bool {
        match self {
            Self::Decision => status != Status::PendingApproval,
            Self::End => !matches!(status, Status::PendingApproval | Status::Queued | Status::Executing),
        }
    }
}

/// The workflow to cancel, and the reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    pub workflow_id: Uuid,
    #[serde(default)]
    pub reason: Option<String>,
}

/// The workflows to list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default = "usual_page")]
    pub limit: i64,
    #[serde(default)]
    pub cursor: Option<String>,
}

fn usual_page() -> i64 {
    20
}

/// Decodes arguments field by field.
///
/// # Errors
/// The first fault, with its position.
pub fn read<T: DeserializeOwned + ToSchema>(arguments: Option<JsonObject>) -> Result<T, ServiceError> {
    json::decode(Value::Object(arguments.unwrap_or_default()))
}

/// Removes the idempotency key from the arguments of a submit.
///
/// # Errors
/// The text is not a key.
pub fn take_key(arguments: &mut JsonObject) -> Result<Option<String>, ServiceError> {
    match arguments.remove("idempotency_key") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(key)) if is_key(&key) => Ok(Some(key)),
        Some(_) => {
            let detail = format!("has to be 1 to {LONGEST_KEY} visible ASCII characters");
            Err(ServiceError::invalid("/idempotency_key", detail))
        }
    }
}
