//! The events that replace the approval of several people: a grant, or one person in an emergency.

use crate::domain::policy::Role;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::{GlassBroken, GrantedApproval};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A standing grant released it: a person's approval that was given in advance.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantedDetail<'a> {
    pub round: u32,
    /// The grant.
    pub grant: Uuid,
    /// Who gave it.
    pub approver: &'a str,
    /// The roles that entitled this person at that time.
    pub roles: &'a [Role],
    pub digest: &'a Digest,
    /// Why the grant was given.
    pub justification: &'a str,
}

impl<'a> From<&'a GrantedApproval> for GrantedDetail<'a> {
    fn from(granted: &'a GrantedApproval) -> Self {
        let GrantedApproval { round, grant, approver, roles, digest, justification } = granted;
        Self { round: *round, grant: *grant, approver, roles, digest, justification }
    }
}

/// One person released it alone, in an emergency.
#[derive(Debug, Serialize, ToSchema)]
pub struct GlassBrokenDetail<'a> {
    pub round: u32,
    pub approver: &'a str,
    /// The roles that let this person break the glass.
    pub roles: &'a [Role],
    pub digest: &'a Digest,
    pub justification: &'a str,
    /// How many approvals were missing.
    pub missing: u32,
}

impl<'a> From<&'a GlassBroken> for GlassBrokenDetail<'a> {
    fn from(broken: &'a GlassBroken) -> Self {
        let GlassBroken { round, approver, roles, digest, justification, missing } = broken;
        Self { round: *round, approver, roles, digest, justification, missing: *missing }
    }
}

/// Somebody else reviewed the breaking of the glass.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewedDetail<'a> {
    /// Who had broken it.
    pub broken_by: &'a str,
    /// The roles that entitled the reviewer at that time.
    pub roles: &'a [Role],
    pub finding: &'a str,
}
