//! A request for approval: the terms of the decision, and what happens when if nobody decides.

use super::assessment::Target;
use super::differences::Changed;
use crate::domain::policy::{ApprovalTerms, Role};
use crate::domain::risk::level::Level;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::Workflow;
use crate::domain::workflow::approval;
use crate::http::time::Time;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The terms under which people decide, and the approvals so far.
#[derive(Debug, Serialize, ToSchema)]
pub struct Approval<'a> {
    /// The roles that may decide now, in alphabetical order; each escalation adds to them.
    #[schema(value_type = Vec<String>)]
    approvers: Vec<&'a Role>,
    /// How many people have to approve.
    required: u32,
    /// How many have.
    #[schema(value_type = u32)]
    approvals: usize,
    /// How many escalations have happened.
    escalation_level: u32,
    /// Whether each approval has to count for a different role.
    distinct_roles: bool,
    /// Whether an approval needs a justification.
    require_justification: bool,
    /// Whether an approval has to include the digest of what it approves.
    require_digest: bool,
    /// When people were asked.
    requested_at: Time,
    /// Every escalation and the expiry, past ones too.
    timetable: Vec<Step<'a>>,
    /// When the request expires; null is never.
    #[schema(required)]
    expires_at: Option<Time>,
    /// For a plan with `"gate": "step"`: the step that people are asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    step: Option<AskedStep<'a>>,
    /// If people were asked about a different document before: why they are asked again, and the
    /// differences. An approval then has to include the digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    changed: Option<Changed<'a>>,
}

/// A step that people decide separately.
#[derive(Debug, Serialize, ToSchema)]
struct AskedStep<'a> {
    /// Its place in the plan, counted from 1.
    n: u32,
    /// The requester's name for it.
    #[schema(required)]
    name: Option<&'a str>,
    risk_level: Level,
    target: Target<'a>,
    /// What to send as `digest` with a decision: the SHA-256 of `{"plan": …, "step": n}` (RFC
    /// 8785), where `plan` is the `digest` of the workflow.
    digest: &'a Digest,
}

/// Something that happens unless somebody decides.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TimetableStep)]
pub struct Step<'a> {
    at: Time,
    what: What,
    /// The roles that are asked in addition; none if the request expires.
    #[schema(value_type = Vec<String>)]
    to: &'a [Role],
}

/// What happens at a step of a timetable: more roles are asked, or the request expires.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StepKind)]
#[serde(rename_all = "lowercase")]
enum What {
    Escalate,
    Expire,
}

impl<'a> Approval<'a> {
    /// The last request of a workflow, in its current state; `None` if nobody was asked.
    pub fn of(workflow: &'a Workflow) -> Option<Self> {
        let round = workflow.round()?;
        let step = round.step.and_then(|n| {
            let planned = workflow.submission.planned(n)?;
            let (name, target) = (planned.name.as_deref(), (&planned.target).into());
            Some(AskedStep { n, name, risk_level: planned.level, target, digest: &round.subject })
        });
        let renewal = workflow.renewal_of(round);
        Some(Self {
            step,
            changed: renewal.map(Changed::from),
            require_digest: round.terms.require_digest || renewal.is_some(),
            approvers: approval::entitled_roles(round),
            approvals: round.approvals.len(),
            escalation_level: round.escalation_level,
            ..Self::at(&round.terms, round.opened_at)
        })
    }

    /// The request that would be made at this time.
    pub fn at(terms: &'a ApprovalTerms, requested_at: DateTime<Utc>) -> Self {
        let steps = terms.escalation.iter().map(|step| (step.after, step.to.as_slice()));
        let expires_at = terms.expire_after.map(|delay| later(requested_at, delay));
        Self {
            approvers: terms.approvers.iter().collect(),
            required: terms.required,
            approvals: 0,
            escalation_level: 0,
            distinct_roles: terms.distinct_roles,
            require_justification: terms.require_justification,
            require_digest: terms.require_digest,
            requested_at: Time(requested_at),
            timetable: timetable(requested_at, steps, expires_at),
            expires_at: expires_at.map(Time),
            step: None,
            changed: None,
        }
    }
}

/// What happens, and when, to a request made at this time.
pub fn timetable<'a>(
    requested_at: DateTime<Utc>,
    steps: impl Iterator<Item = (Duration, &'a [Role])>,
    expires_at: Option<DateTime<Utc>>,
) -> Vec<Step<'a>> {
    let escalations = steps.map(|(after, to)| Step { at: Time(later(requested_at, after)), what: What::Escalate, to });
    let expiry = expires_at.map(|at| Step { at: Time(at), what: What::Expire, to: &[] });
    escalations.chain(expiry).collect()
}

fn later(from: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(delay).ok().and_then(|delay| from.checked_add_signed(delay)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
