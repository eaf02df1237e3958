//! The one place where bytes become a task: in one pass where the body is as usual, and else the
//! careful way, which says what is wrong. Plans always take the careful way.

use crate::domain::request::Request;
use crate::domain::request::UsualTask;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::submitted::Submitted;
use crate::service::ServiceError;
use axum::http::HeaderMap;
use serde_json::Value;

/// A task as it was sent.
pub struct TaskBody {
    /// What was asked for, or why what was sent is neither a task nor a plan.
    pub request: Result<Request, ServiceError>,
    /// The key that it was sent with, and what the key stands for.
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
