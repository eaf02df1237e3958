//! For whom somebody covers, as the API sends it.

use crate::domain::policy;
use crate::http::time::Time;
use serde::Serialize;
use utoipa::ToSchema;

/// The roles that somebody has for deciding because they cover for a person who is away.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cover<'a> {
    /// The person who is away.
    person: &'a str,
    until: Time,
    roles: &'a [String],
}

impl<'a> Cover<'a> {
    /// These covers as they are sent.
    pub fn all(covers: &'a [policy::Cover]) -> Vec<Self> {
        covers.iter().map(|cover| Self { person: &cover.person, until: Time(cover.until), roles: &cover.roles }).collect()
    }
}
