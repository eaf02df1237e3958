//! Query parameters, parsed as strictly as bodies.

use crate::domain::page::Cursor;
use crate::domain::request::Fault;
use crate::domain::risk;
use crate::domain::risk::level::Level;
use crate::domain::workflow::Status;
use crate::http::problem::Problem;
use crate::service::is_near;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use std::time::Duration;
use utoipa::IntoParams;
use uuid::Uuid;

/// Entries of a page by default.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 500;
/// The longest time that an answer is held.
pub const LONGEST_WAIT: Duration = Duration::from_secs(55);

/// `Prefer: wait=N` (RFC 7240). A preference that cannot be parsed is not an error.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split([',', ';']));
    let seconds = preferences.filter_map(|preference| preference.trim().strip_prefix("wait=")?.trim().parse().ok()).next()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// The query of a request; unknown parameters are refused.
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<T>::try_from_uri(&parts.uri).map_err(|error| invalid("query", error.to_string()))?;
        Ok(Self(parameters))
    }
}

/// The query of a list: its filter, and the requested page.
pub struct Listing<F, C> {
    pub filter: F,
    /// The position at which the page starts.
    pub after: Option<C>,
    /// Entries of the page.
    pub limit: i64,
}

/// The requested page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Entries of the page; 50 if left out.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// The `next_cursor` of the previous page.
    #[param(pattern = "^[0-9a-f.-]+$")]
    cursor: Option<String>,
}

impl<F: DeserializeOwned, C: Position, S: Send + Sync> FromRequestParts<S> for Listing<F, C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let unread = |error: QueryRejection| invalid("query", error.to_string());
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(unread)?;
        // The page and the filter each read their own parameters; so the filter refuses everything
        // that neither of them knows.
        let (paging, filtering): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| ["limit", "cursor"].contains(&name.as_str()));
        let Query(PageQuery { limit, cursor: text }) = Query::try_from_uri(&encoded(&paging)?).map_err(unread)?;
        let Query(filter) = Query::try_from_uri(&encoded(&filtering)?).map_err(unread)?;
        Ok(Self { filter, after: cursor(text.as_deref())?, limit: page_size(limit)? })
    }
}

/// Encodes parameters as a query.
fn encoded(pairs: &[(String, String)]) -> Result<Uri, Problem> {
    let written = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", written(name), written(value))).collect();
    format!("/?{}", query.join("&")).parse().map_err(|_| invalid("query", "cannot be read"))
}

/// The problem for an invalid parameter.
pub fn invalid(name: &str, detail: impl Into<String>) -> Problem {
    Problem::invalid(&[Fault::new("", format!("`{name}`: {}", detail.into()))])
}

/// The size of a page.
///
/// # Errors
/// The number is less than one, or more than a page can hold.
fn page_size(limit: Option<i64>) -> Result<i64, Problem> {
    match limit.unwrap_or(PAGE) {
        limit if (1..=LARGEST_PAGE).contains(&limit) => Ok(limit),
        _ => Err(invalid("limit", format!("has to be between 1 and {LARGEST_PAGE}"))),
    }
}

/// The position at which a page starts.
///
/// # Errors
/// The API did not return this text as a `next_cursor`.
pub fn cursor<C: Position>(text: Option<&str>) -> Result<Option<C>, Problem> {
    let read = |text: &str| text.parse().ok().filter(C::is_possible);
    text.map(|text| read(text).ok_or_else(|| invalid("cursor", "is not a cursor that a list returned"))).transpose()
}

/// A position in a list, as clients send it back.
pub trait Position: FromStr {
    /// Whether the API can have returned it.
    fn is_possible(&self) -> bool;
}

impl Position for Cursor {
    fn is_possible(&self) -> bool {
        is_near(&self.at)
    }
}

impl Position for risk::order::ListPosition {
    fn is_possible(&self) -> bool {
        self.due.as_ref().is_none_or(is_near)
    }
}

/// Notices are listed in the order of their ids.
impl Position for Uuid {
    fn is_possible(&self) -> bool {
        true
    }
}

/// A period, which may be open at either end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    pub from: Option<DateTime<Utc>>,
    /// The first moment after the period.
    pub until: Option<DateTime<Utc>>,
}

impl Period {
    /// The period that `from` and `until` describe: each is a time, or a day in UTC, which is
    /// included whole.
    ///
    /// # Errors
    /// A text is neither, or the end is not after the beginning.
    pub fn read(from: Option<&str>, until: Option<&str>) -> Result<Self, Problem> {
        let from = from.map(|text| moment("from", text, Days::new(0))).transpose()?;
        let until = until.map(|text| moment("until", text, Days::new(1))).transpose()?;
        match from.zip(until) {
            Some((from, until)) if until <= from => Err(invalid("until", "has to come after `from`")),
            _ => Ok(Self { from, until }),
        }
    }
}

/// A time, or the beginning of the day this many days after the given day.
fn moment(name: &str, text: &str, later: Days) -> Result<DateTime<Utc>, Problem> {
    let day =
        || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.checked_add_days(later).map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let moment = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    let at = day().or_else(moment).filter(is_near);
    at.ok_or_else(|| invalid(name, "write a day, such as 2026-10-31, or a time, such as 2026-10-31T14:00:00Z (write a `+` as `%2B`)"))
}

/// The level that a parameter names.
///
/// # Errors
/// The word is not one of them.
pub fn level(text: Option<&str>) -> Result<Option<Level>, Problem> {
    let known = || Level::ALL.map(Level::as_str).join(", ");
    text.map(|text| Level::parse(text).ok_or_else(|| invalid("risk_level", format!("has to be one of {}", known())))).transpose()
}

/// The status that a parameter names.
///
/// # Errors
/// The word is not one of them.
pub fn status(text: &str) -> Result<Status, Problem> {
    let known = || Status::ALL.map(Status::as_str).join(", ");
    Status::parse(text).ok_or_else(|| invalid("status", format!("has to be one of {}", known())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_of_time_has_its_days_whole_and_its_moments_exactly() {
        let read = |from, until| Period::read(from, until).unwrap();
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        let october = read(Some("2026-10-01"), Some("2026-10-31"));
        assert_eq!((october.from, october.until), (at("2026-10-01T00:00:00Z"), at("2026-11-01T00:00:00Z")));
        let moments = read(Some("2026-10-01T02:00:00+02:00"), Some("2026-10-01T12:00:00.5Z"));
        assert_eq!((moments.from, moments.until), (at("2026-10-01T00:00:00Z"), at("2026-10-01T12:00:00.5Z")));
        assert_eq!(read(None, None), Period::default());
        assert_eq!(read(Some("2026-10-01"), Some("2026-10-01")).until, at("2026-10-02T00:00:00Z"), "one day");
        for (from, until) in
            [("2026-13-01", None), ("yesterday", None), ("", None), ("0000-01-01", None), ("2026-10-02", Some("2026-10-01"))]
        {
            assert!(Period::read(Some(from), until).is_err(), "{from} {until:?}");
        }
    }
}
