//! How people sign in to the inbox, besides with their tokens.

use crate::domain::policy::{GroupRoles, Role};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The whole of `sign-in.yaml`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignInSettings {
    /// The channel of mail by which links are sent to people who have an address; none where nobody
    /// signs in by mail.
    pub mail: Option<String>,
    /// The provider through which people sign in; none where there is none.
    pub openid: Option<OpenIdSettings>,
}

/// An OpenID Connect provider, and whom it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIdSettings {
    /// Exactly as the provider spells it.
    pub issuer: String,
    pub client_id: String,
    /// The variable of the environment that holds the secret; none of a public client.
    pub client_secret: Option<String>,
    /// The name of each person, by the subject under which the provider knows them.
    pub subjects: BTreeMap<String, String>,
    /// Whether a mail address that the provider has verified proves the person who has it, where
    /// that person has no subject.
    pub match_email: bool,
    /// What its groups give; nothing where they give nobody anything.
    pub groups: Option<Groups>,
}

/// The groups of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// The claim of an ID token that names them.
    pub claim: String,
    /// The scope that is asked for so that the claim is there; none where the provider needs none.
    pub scope: Option<String>,
    /// The roles of each group.
    pub roles: BTreeMap<String, BTreeSet<Role>>,
    /// How long a sign-in gives them.
    pub longest: Duration,
}

/// Whom a provider has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    pub issuer: String,
    pub subject: String,
    /// The mail address, where the provider says that it has verified it.
    pub email: Option<String>,
    /// When that person has signed in there, where the provider says so.
    pub signed_in_at: Option<DateTime<Utc>>,
    /// Of which groups that person is.
    pub groups: Vec<String>,
}

impl OpenIdSettings {
    /// Whether this person is known by a subject, so that no mail address proves them.
    pub fn has_subject(&self, name: &str) -> bool {
        self.subjects.values().any(|known| known == name)
    }

    /// Which roles its groups give.
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
