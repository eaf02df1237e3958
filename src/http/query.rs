//! The parameters of queries, read as strictly as bodies.

use crate::domain::request::Fault;
use crate::domain::risk::level::Level;
use crate::domain::workflow::Status;
use crate::http::problem::Problem;
use crate::service::{Cursor, is_near};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Entries of a page, if nothing else is said.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 500;
/// The longest that an answer is held back.
pub const LONGEST_WAIT: Duration = Duration::from_secs(55);

/// The query of a request; unknown parameters are refused.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<T>::try_from_uri(&parts.uri).map_err(|error| invalid("query", error.to_string()))?;
        Ok(Self(parameters))
    }
}

/// A parameter that does not make sense.
pub fn invalid(name: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid(&[Fault::new("", format!("`{name}`: {}", detail.into()))])
}

/// The size of a page.
///
/// # Errors
/// Less than one, or more than a page can hold.
pub fn page_size(limit: Option<i64>) -> Result<i64, Problem> {
    match limit.unwrap_or(PAGE) {
        limit if (1..=LARGEST_PAGE).contains(&limit) => Ok(limit),
        _ => Err(invalid("limit", format!("has to be between 1 and {LARGEST_PAGE}"))),
    }
}

/// The place at which a page starts.
///
/// # Errors
/// Text that was not handed out as `next_cursor`.
pub fn cursor(text: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let read = |text| Cursor::decode(text).filter(|cursor| is_near(&cursor.at));
    text.map(|text| read(text).ok_or_else(|| invalid("cursor", "is not one that a list has handed out"))).transpose()
}

/// The level that a parameter names.
///
/// # Errors
/// A word that is none.
pub fn level(text: Option<&str>) -> Result<Option<Level>, Problem> {
    let known = || Level::ALL.map(Level::as_str).join(", ");
    text.map(|text| Level::parse(text).ok_or_else(|| invalid("risk_level", format!("has to be one of {}", known())))).transpose()
}

/// The status that a parameter names.
///
/// # Errors
/// A word that is none.
pub fn status(text: &str) -> Result<Status, Problem> {
    let known = || Status::ALL.map(Status::as_str).join(", ");
    Status::parse(text).ok_or_else(|| invalid("status", format!("has to be one of {}", known())))
}
