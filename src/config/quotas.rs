//! `quotas` of `hitl/approval-policies.yaml`: how much all agents, and individual ones, may
//! request.

use crate::config::value::At;
use crate::domain::policy::quota::{Quota, Quotas};
use serde_json::{Map, Value, json};

const KEYS: [&str; 3] = ["submits_per_minute", "burst", "pending"];

/// One quota as written, with defaults for what is left out.
pub fn quota(at: &At<'_>, usual: Quota) -> Quota {
    let Some(fields) = at.fields(&KEYS) else { return usual };
    if at.is_empty() {
        at.problem("says nothing; write submits_per_minute, burst or pending, or leave it out");
    }
    let number = |name: &str| fields.get(name).and_then(|at| at.count());
    let (rate, burst) = (number("submits_per_minute"), number("burst"));
    Quota {
        submits_per_minute: rate.unwrap_or(usual.submits_per_minute),
        // By default, the burst is one minute's worth of the rate.
        burst: burst.or(rate).unwrap_or(usual.burst),
        pending: number("pending").unwrap_or(usual.pending),
    }
}

/// The values, with defaults filled in.
pub fn document(quotas: &Quotas) -> Value {
    let one = |quota: &Quota| json!({ "submits_per_minute": quota.submits_per_minute, "burst": quota.burst, "pending": quota.pending });
    let agents: Map<_, _> = quotas.agents.iter().map(|(name, quota)| (name.clone(), one(quota))).collect();
    json!({ "usual": one(&quotas.usual), "agents": agents })
}
