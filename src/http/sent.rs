//! The body of a call. A handler that takes it cannot be reached without a valid token.

use crate::http::body::{self, FromBody};
use crate::http::problem::Problem;
use crate::identity::Caller;
use crate::service::Service;
use crate::service::admission::Permit;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts as _};
use axum::http::Request;
use std::sync::Arc;

/// A body that was admitted under the name of the caller.
pub struct Sent<T> {
    pub body: T,
    /// Held until the call is done.
    pub permit: Arc<Permit>,
}

impl<T: FromBody> FromRequest<Service> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, service: &Service) -> Result<Self, Problem> {
        let (mut head, body) = request.into_parts();
        let by = Caller::from_request_parts(&mut head, service).await?;
        let request = Request::from_parts(head, body);
        let (body, permit) = body::receive(&service.admissions.changes, &by.name, request).await?;
        Ok(Self { body, permit })
    }
}
