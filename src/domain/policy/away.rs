//! People who are away, and who covers for them.

use crate::domain::policy::{Policy, Role};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Until when a person is away, and who has their deciding roles until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Away {
    pub until: DateTime<Utc>,
    /// A person in the configuration.
    pub cover: String,
}

/// The deciding roles that a person has because they cover for somebody who is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cover {
    /// The person who is away.
    pub person: String,
    pub until: DateTime<Utc>,
    pub roles: Vec<Role>,
}

impl fmt::Display for Cover {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "for {} (away until {})", self.person, self.until.format("%Y-%m-%d %H:%M UTC"))
    }
}

/// The words that follow the decider's name: ` for alice (away until ...)`, or nothing.
pub fn in_words(cover: &[Cover]) -> String {
    cover.iter().map(|cover| format!(" {cover}")).collect::<Vec<_>>().join(" and")
}

impl Policy {
    /// The people for whom a person covers now, with the roles that those people have themselves:
    /// covers are not passed on.
    pub fn covers(&self, name: &str, now: DateTime<Utc>) -> Vec<Cover> {
        let away = self.people.iter().filter_map(|(person, entry)| Some((person, entry, entry.away.as_ref()?)));
        let covered = away.filter(|(_, _, away)| away.cover == name && now < away.until);
        covered
            .map(|(person, entry, away)| Cover { person: person.clone(), until: away.until, roles: entry.roles.iter().cloned().collect() })
            .collect()
    }

    /// The people who cover for a person now.
    pub fn covered_by(&self, name: &str, now: DateTime<Utc>) -> Option<&str> {
        self.people.get(name)?.away.as_ref().filter(|away| now < away.until).map(|away| away.cover.as_str())
    }
}

/// The roles of a cover that the person does not have anyway; `None` if they have all of them.
pub fn beyond(cover: Cover, has: &BTreeSet<Role>) -> Option<Cover> {
    let roles: Vec<Role> = cover.roles.into_iter().filter(|role| !has.contains(role)).collect();
    (!roles.is_empty()).then_some(Cover { roles, ..cover })
}
