//! The ways to sign in to the inbox other than a token.

use crate::domain::policy::{GroupRoles, Role};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// `sign-in.yaml`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignInSettings {
    /// The mail channel that sends links to people who have an address; `None` if nobody signs in
    /// by mail.
    pub mail: Option<String>,
    /// The OpenID Connect provider, if there is one.
    pub openid: Option<OpenIdSettings>,
}

/// An OpenID Connect provider, and which people it identifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIdSettings {
    /// Exactly as the provider spells it.
    pub issuer: String,
    pub client_id: String,
    /// The environment variable with the secret; `None` for a public client.
    pub client_secret: Option<String>,
    /// The name of each person, by the provider's subject for them.
    pub subjects: BTreeMap<String, String>,
    /// Whether a mail address that the provider has verified identifies the person who has it, if
    /// that person has no subject.
    pub match_email: bool,
    /// The roles of its groups; `None` if groups give no roles.
    pub groups: Option<Groups>,
}

/// The groups of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The ID token claim that lists them.
    pub claim: String,
    /// The scope to request for that claim; `None` if the provider needs none.
    pub scope: Option<String>,
    /// The roles of each group.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// How long the roles last after a sign-in.
    pub longest: Duration,
}

/// An identity that a provider has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    pub issuer: String,
    pub subject: String,
    /// The mail address, if the provider says that it is verified.
    pub email: Option<String>,
    /// When that person signed in at the provider, if it says so.
    pub signed_in_at: Option<DateTime<Utc>>,
    /// The groups of that person.
    pub groups: Vec<String>,
}

impl OpenIdSettings {
    /// Whether this person has a subject, so that no mail address identifies them.
    pub fn has_subject(&self, name: &str) -> bool {
        self.subjects.values().any(|known| known == name)
    }

    /// The roles that its groups give.
    pub fn group_roles(&self) -> Option<GroupRoles> {
        let Groups { roles, longest, .. } = self.groups.clone()?;
        Some(GroupRoles { issuer: self.issuer.clone(), roles, longest })
    }

    /// The host of the provider, as people know it.
    pub fn host(&self) -> &str {
        let rest = self.issuer.split_once("://").map_or(self.issuer.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}
