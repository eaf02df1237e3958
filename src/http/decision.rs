//! A decision as the API sends it: with a workflow, and with the problem that says who decided
//! differently.

use crate::domain::policy::Role;
use crate::domain::via::Via;
use crate::domain::workflow::{self, Verdict};
use crate::http::cover::Cover;
use crate::http::time::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A person's approval, rejection or withdrawal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decision<'a> {
    approver: &'a str,
    /// The role that it counts for. If approvals have to come from distinct roles, the roles are
    /// distributed among them, so this can change with the next approval.
    #[schema(required)]
    role: Option<&'a str>,
    verdict: Verdict,
    /// For a rejection or a withdrawal: the reason.
    #[schema(required)]
    justification: Option<&'a str>,
    at: Time,
    via: Via,
    /// The standing grant by which it was given in advance; null if the person decided this request
    /// itself.
    #[schema(required)]
    by_grant: Option<Uuid>,
    /// Whether the person broke the glass: it was released without the other approvers.
    break_glass: bool,
    /// The people for whom this person covered; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    cover: Vec<Cover<'a>>,
}

impl<'a> Decision<'a> {
    /// One decision, and the role that it counts for.
    pub fn of(decision: &'a workflow::Decision, role: Option<&'a Role>) -> Self {
        Self {
            approver: &decision.approver,
            role: role.map(String::as_str),
            verdict: decision.verdict,
            justification: decision.justification.as_deref(),
            at: Time(decision.at),
            via: decision.via,
            by_grant: decision.grant,
            break_glass: decision.break_glass,
            cover: Cover::all(&decision.cover),
        }
    }
}
