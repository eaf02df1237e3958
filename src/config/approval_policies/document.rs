//! The values of the file as a document, with defaults filled in: part of the configuration's
//! version.

use super::{ApprovalPolicies, Chain, OnExpiry, Step, Terms, people};
use crate::config::quotas;
use crate::domain::duration;
use crate::domain::risk::level::Level;
use serde_json::{Map, Value, json};

impl ApprovalPolicies<'_> {
    /// The policy of one level. `break_glass` is included only if it is set, so that older
    /// configurations keep their version.
    fn policy_document(&self, level: Level) -> Value {
        let mut document = self.terms(level).document();
        let roles: Vec<_> =
            self.policies.get(&level).into_iter().flat_map(|written| &written.break_glass).map(|asked| &asked.role).collect();
        if !roles.is_empty() {
            document["break_glass"] = json!(roles);
        }
        document
    }

    /// The values of the file as a document, with defaults filled in.
    pub fn document(&self) -> Value {
        let listed: Map<_, _> = self.people.iter().map(|(name, person)| (name.clone(), people::document(person))).collect();
        let agents: Map<_, _> =
            self.agents.iter().map(|(name, agent)| (name.clone(), json!({ "on_behalf_of": agent.on_behalf_of }))).collect();
        let policies: Map<_, _> = Level::ALL.into_iter().map(|level| (level.to_string(), self.policy_document(level))).collect();
        let escalation: Map<_, _> = self.escalation.iter().map(|(level, chain)| (level.to_string(), chain.document())).collect();
        let mut document = json!({
            "people": listed,
            "agents": agents,
            "policies": policies,
            "separation_of_duties": self.separation_of_duties,
            "escalation": escalation,
            "remind_every": duration::show(self.remind_every).to_string(),
            "quotas": quotas::document(&self.quotas),
        });
        if self.allow_cover {
            document["allow_cover"] = json!(true);
        }
        document
    }
}

impl Terms {
    fn document(&self) -> Value {
        let mut document = json!({
            "required": self.required,
            "distinct_roles": self.distinct_roles,
            "expire_after": self.expire_after.map(|after| duration::show(after).to_string()),
            "on_expiry": match self.on_expiry { OnExpiry::Reject => "reject", OnExpiry::Hold => "hold" },
            "require_digest": self.require_digest,
            "report_within": duration::show(self.report_within).to_string(),
        });
        if let Some(before) = self.warn_before {
            document["warn_before"] = json!(duration::show(before).to_string());
        }
        if let Some(goal) = &self.goal {
            document["goal"] = json!(duration::show(goal.within).to_string());
            if !goal.remind.is_empty() {
                document["remind"] = json!(goal.remind);
            }
        }
        if let Some(within) = self.recent_sign_in {
            document["require_recent_sign_in"] = json!(duration::show(within).to_string());
        }
        // Left out if it is not set, so that configurations from before this key keep their
        // version.
        if !self.rejected_memory.is_zero() {
            document["rejected_memory"] = json!(duration::show(self.rejected_memory).to_string());
        }
        document
    }
}

impl Chain<'_> {
    fn document(&self) -> Value {
        let step = |step: &Step<'_>| {
            let to: Vec<_> = step.to.iter().map(|asked| &asked.role).collect();
            json!({ "after": duration::show(step.after).to_string(), "to": to })
        };
        self.steps.iter().map(step).collect()
    }
}
