//! The caller.

use super::Success;
use crate::domain::policy::{Principal, PrincipalKind, Role};
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
    /// The roles of a person, in the order of the alphabet. An agent has none.
    #[schema(value_type = Vec<String>)]
    roles: &'a BTreeSet<Role>,
    /// The person that an agent acts for; null for a person.
    #[schema(required)]
    on_behalf_of: Option<&'a str>,
}

/// What a name stands for.
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
        Self { success: Success, name: &principal.name, kind, roles: &principal.roles, on_behalf_of: principal.on_behalf_of.as_deref() }
    }
}
