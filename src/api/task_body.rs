//! The one place that turns bytes into a task: in one pass if the body is ordinary, and otherwise
//! on a slower path that says what is wrong. Plans always take the slower path.

use crate::domain::request::Request;
use crate::domain::request::UsualTask;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::submitted::Submitted;
use crate::service::ServiceError;
use axum::http::HeaderMap;
use serde_json::Value;

/// A task as it was sent, with its idempotency key.
pub struct TaskBody {
    /// The request, or why the body is neither a task nor a plan.
    pub request: Result<Request, ServiceError>,
    /// The idempotency key, and the digest that it stands for.
    pub key: Option<IdempotencyKey>,
}

impl TaskBody {
    /// Reads the bytes of a body that was sent with this idempotency key.
    ///
    /// # Errors
    /// The bytes are not declared as JSON, are not JSON, or are JSON that two readers could read
    /// differently.
    pub fn read(headers: &HeaderMap, bytes: &[u8], key: Option<String>) -> Result<Self, Problem> {
        if json::is_json(headers)
            && let Some(usual) = UsualTask::read(bytes)
        {
            return Ok(Self::usual(usual, key));
        }
        Ok(Self::careful(json::read(headers, bytes)?, key))
    }

    fn usual(task: UsualTask, key: Option<String>) -> Self {
        let key = key.map(|key| IdempotencyKey { key, fingerprint: task.fingerprint() });
        Self { request: Ok(task.into_request().into()), key }
    }

    fn careful(body: Value, key: Option<String>) -> Self {
        let submitted = Submitted::new(body);
        let key = key.map(|key| IdempotencyKey { key, fingerprint: submitted.fingerprint() });
        Self { request: submitted.request(), key }
    }
}

#[cfg(test)]
mod tests;
