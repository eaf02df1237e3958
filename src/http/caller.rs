//! The caller of a request. A handler that takes one cannot be reached without a valid token.

use crate::http::problem::Problem;
use crate::identity::{Caller, Reauthentication};
use crate::service::{Service, ServiceError};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;

impl FromRequestParts<Service> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        // The caller is already known, because the body was admitted under their name.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let caller = service.identity.caller(&parts.method, &parts.headers).await.map_err(ServiceError::from)?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

impl<S: Sync> FromRequestParts<S> for Reauthentication {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}
