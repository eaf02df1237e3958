//! The caller.

use super::Success;
use crate::domain::policy::{GroupRole, Principal, PrincipalKind, Role};
use crate::http::cover::Cover;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Who is calling, and with which rights.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhoAmI<'a> {
    success: Success,
    name: &'a str,
    #[schema(value_type = Kind)]
    kind: &'static str,
    /// The roles of a person, in alphabetical order. An agent has none.
    #[schema(value_type = Vec<String>)]
    roles: &'a BTreeSet<Role>,
    /// More roles, which groups of the sign-in provider give for approving and rejecting in this
    /// session of the inbox; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    by_groups: Vec<ByGroup<'a>>,
    /// The people for whom this person covers now; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    covers: Vec<Cover<'a>>,
    /// The person that an agent acts for; null for a person.
    #[schema(required)]
    on_behalf_of: Option<&'a str>,
}

/// A role that a group of the sign-in provider gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct ByGroup<'a> {
    pub role: &'a str,
    pub group: &'a str,
}

impl<'a> ByGroup<'a> {
    /// These roles as the API sends them.
    pub fn all(given: &'a [GroupRole]) -> Vec<Self> {
        given.iter().map(|given| Self { role: &given.role, group: &given.group }).collect()
    }
}

/// The kind of principal.
#[derive(ToSchema)]
#[schema(as = PrincipalKind, rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes the words that are sent")]
enum Kind {
    Person,
    Agent,
}

impl<'a> From<&'a Principal> for WhoAmI<'a> {
    fn from(principal: &'a Principal) -> Self {
        let kind = match principal.kind {
            PrincipalKind::Person => "person",
            PrincipalKind::Agent => "agent",
        };
        Self {
            success: Success,
            name: &principal.name,
            kind,
            roles: &principal.roles,
            by_groups: ByGroup::all(&principal.signed_in.roles),
            covers: Cover::all(&principal.covers),
            on_behalf_of: principal.on_behalf_of.as_deref(),
        }
    }
}
