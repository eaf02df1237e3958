//! Standing grants.

use super::Success;
use crate::domain::grant::pattern::ArgumentPattern;
use crate::domain::grant::{self, GrantStatus};
use crate::domain::policy::Role;
use crate::domain::risk::level::Level;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::http::time::Time;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// One grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantAnswer<'a> {
    success: Success,
    grant: Grant<'a>,
}

impl<'a> GrantAnswer<'a> {
    /// A grant in its state at this time.
    pub fn of(grant: &'a grant::Grant, now: DateTime<Utc>) -> Self {
        Self { success: Success, grant: Grant::of(grant, now) }
    }
}

/// The latest grants.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantPage<'a> {
    success: Success,
    /// Valid or not, the newest first; at most 200.
    grants: Vec<Grant<'a>>,
}

impl<'a> GrantPage<'a> {
    /// Grants in their state at this time.
    pub fn of(grants: &'a [grant::Grant], now: DateTime<Utc>) -> Self {
        Self { success: Success, grants: grants.iter().map(|grant| Grant::of(grant, now)).collect() }
    }
}

/// An approval that was given in advance, for one kind of request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant<'a> {
    grant_id: Uuid,
    status: GrantStatus,
    /// What it releases, in one line.
    headline: String,
    pattern: Pattern<'a>,
    /// The highest level that it releases.
    level: Level,
    /// How many requests it may release, and how many it has released.
    uses: u32,
    used: u32,
    /// The most that these may cost together, in US dollars, according to the requests; null if
    /// there is no limit.
    #[schema(required)]
    cost: Option<f64>,
    /// What the requests that it released cost together, according to them.
    spent: f64,
    /// The digest of what parkbrake itself would run or call, as it was when the grant was given:
    /// if that changes, the grant releases nothing. Null if the requester performs the action.
    #[schema(required)]
    binding: Option<&'a Digest>,
    given_by: &'a str,
    /// The roles that entitled this person when the grant was given.
    roles: &'a [Role],
    via: Via,
    justification: &'a str,
    given_at: Time,
    expires_at: Time,
    /// Null unless it was revoked.
    #[schema(required)]
    revoked: Option<Revoked<'a>>,
}

impl<'a> Grant<'a> {
    fn of(grant: &'a grant::Grant, now: DateTime<Utc>) -> Self {
        let terms = &grant.terms;
        Self {
            grant_id: grant.id,
            status: grant.status(now),
            headline: terms.pattern.headline(),
            pattern: (&terms.pattern).into(),
            level: terms.level,
            uses: terms.uses,
            used: grant.used,
            cost: terms.cost.map(grant::Micros::dollars),
            spent: grant.spent.dollars(),
            binding: terms.binding.as_ref(),
            given_by: &grant.given_by,
            roles: &grant.roles,
            via: grant.via,
            justification: &grant.justification,
            given_at: Time(grant.given_at),
            expires_at: Time(grant.expires_at),
            revoked: grant.revoked.as_ref().map(Revoked::from),
        }
    }
}

/// A kind of request. A field that the pattern leaves out must be left out of the request too.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantPattern)]
pub struct Pattern<'a> {
    requester: &'a str,
    operation: &'a str,
    environment: &'a str,
    /// A star stands for visible ASCII without `/`. Null matches a request that names no resource.
    #[schema(required)]
    resource: Option<&'a str>,
    #[schema(required)]
    resource_type: Option<&'a str>,
    action: PatternAction<'a>,
}

/// What performs the action.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantAction)]
pub struct PatternAction<'a> {
    #[serde(rename = "type")]
    kind: ActionKind,
    #[schema(required)]
    name: Option<&'a str>,
    /// Every argument, and no others: a value, `{"is": value}`, `{"like": "api-*"}`, or
    /// `{"any": true}` for any text, number or boolean.
    args: BTreeMap<&'a str, Value>,
}

impl<'a> From<&'a grant::pattern::Pattern> for Pattern<'a> {
    fn from(pattern: &'a grant::pattern::Pattern) -> Self {
        let action = &pattern.action;
        let argument = |(name, wanted): (&'a String, &ArgumentPattern)| (name.as_str(), Value::from(wanted.clone()));
        Self {
            requester: &pattern.requester,
            operation: &pattern.operation,
            environment: &pattern.environment,
            resource: pattern.resource.as_ref().map(grant::pattern::Like::as_str),
            resource_type: pattern.resource_type.as_deref(),
            action: PatternAction { kind: action.kind, name: action.name.as_deref(), args: action.args.iter().map(argument).collect() },
        }
    }
}

/// Who revoked it, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantRevoked)]
struct Revoked<'a> {
    by: &'a str,
    via: Via,
    #[schema(required)]
    reason: Option<&'a str>,
    at: Time,
}

impl<'a> From<&'a grant::Revoked> for Revoked<'a> {
    fn from(revoked: &'a grant::Revoked) -> Self {
        Self { by: &revoked.by, via: revoked.via, reason: revoked.reason.as_deref(), at: Time(revoked.at) }
    }
}
