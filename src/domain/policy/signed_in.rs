//! How a caller proved who they are.

use crate::domain::duration;
use crate::domain::policy::Role;
use crate::domain::risk::level::Level;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How a caller proved who they are. The default proves nothing beyond the name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignedIn {
    /// How long ago that was, by the database's clock; `None` if it is unknown.
    pub ago: Option<Duration>,
    /// The roles from groups of a provider, in addition to the configured ones. They count for
    /// approving and rejecting, and for nothing else.
    pub roles: Vec<GroupRole>,
}

impl SignedIn {
    /// Proved by a token sent with this call.
    pub fn now() -> Self {
        Self { ago: Some(Duration::ZERO), roles: Vec::new() }
    }

    /// Why the caller has to sign in again before approving at a level that requires a sign-in
    /// within this time; `None` if they need not.
    pub fn too_long_ago(&self, level: Level, within: Duration) -> Option<String> {
        let within_the_last = duration::show(within);
        match self.ago {
            Some(ago) if ago <= within => None,
            Some(_) => Some(format!(
                "approving at {level} risk requires a sign-in within the last {within_the_last}, and yours is older: sign in again, then \
                 approve"
            )),
            None => Some(format!(
                "approving at {level} risk requires a sign-in within the last {within_the_last}, and this way in does not say when you \
                 signed in: sign in to the inbox again and approve there"
            )),
        }
    }
}

/// A role that a person has because a provider said that they belong to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRole {
    pub role: Role,
    pub group: String,
    /// The provider.
    pub issuer: String,
    /// When the person signed in, according to the provider.
    pub said_at: DateTime<Utc>,
}

/// The roles that groups of a provider give, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRoles {
    pub issuer: String,
    /// The roles of each group.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// How long a sign-in gives them.
    pub longest: Duration,
}

impl GroupRoles {
    /// The roles that these groups give, except those that the person has anyway.
    pub fn given(&self, groups: &[String], said_at: DateTime<Utc>, now: DateTime<Utc>, has: &BTreeSet<Role>) -> Vec<GroupRole> {
        let roles = self.roles.iter().filter(|(group, _)| groups.contains(group));
        let roles = roles.flat_map(|(group, roles)| roles.iter().map(move |role| (group, role))).filter(|(_, role)| !has.contains(*role));
        let given = roles.map(|(group, role)| GroupRole { role: role.clone(), group: group.clone(), issuer: self.issuer.clone(), said_at });
        given.filter(|given| self.still_give(given, Some(now))).collect()
    }

    /// Whether today's configuration still gives this role to the group; and, if the time is known,
    /// whether the sign-in is recent enough.
    pub fn still_give(&self, given: &GroupRole, now: Option<DateTime<Utc>>) -> bool {
        let longest = TimeDelta::from_std(self.longest).unwrap_or(TimeDelta::MAX);
        given.issuer == self.issuer
            && self.roles.get(&given.group).is_some_and(|roles| roles.contains(&given.role))
            && now.is_none_or(|now| now - given.said_at <= longest)
    }
}
