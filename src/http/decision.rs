//! A decision as it is sent: with a workflow, and with the problem that says who decided otherwise.

use crate::domain::policy::Role;
use crate::domain::via::Via;
use crate::domain::workflow::{self, Verdict};
use crate::http::time::Time;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A person's yes or no, or that they took a yes back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decision<'a> {
    approver: &'a str,
    /// The role that it counts for. Approvals that have to come from distinct roles share them out
    /// among themselves, so it can change with the next one.
    #[schema(required)]
    role: Option<&'a str>,
    verdict: Verdict,
    /// Of a rejection and of a withdrawal: the reason.
    #[schema(required)]
    justification: Option<&'a str>,
    at: Time,
    via: Via,
    /// The standing grant by which it was given in advance; null where the person decided this very
    /// request.
    #[schema(required)]
    by_grant: Option<Uuid>,
    /// Whether the person broke the glass: it was released without the others who were asked.
    break_glass: bool,
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
        }
    }
}
