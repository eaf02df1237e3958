//! The assessment: the level of a task, and the reasons in words.
//!
//! Three rules make it reliable:
//! 1. The highest level of all matching triggers counts; no rule lowers another.
//! 2. Claims never lower the level. What parkbrake runs is assessed by what parkbrake knows: the
//!    runbook and the resource registry. The requester's claims are assessed in addition and can
//!    only raise the level, and a disagreement is itself a reason. Claims are believed only for
//!    actions that the requester could perform without asking (`external`), and not against the
//!    registry.
//! 3. An omitted field is assessed for every value that it could have: if the runbook omits it, for
//!    what parkbrake runs; if the requester omits it, for what the requester does itself. So
//!    omitting a field never helps.

pub mod baseline;
mod conditions;
pub mod expression;
pub mod level;
pub mod matrix;
pub mod order;
pub mod plan;
pub mod readings;
pub mod registry;
pub mod severity;
pub mod target;
pub mod terraform;
pub mod triggers;

use crate::domain::risk::baseline::Baseline;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::{Facts, Resource};
use crate::domain::risk::triggers::{Condition, Severity, Trigger};
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::task::vocabulary::Vocabulary;
use crate::domain::text::shown;
use chrono::{DateTime, Utc};
use conditions::Conditions;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// The answer of [`Rules::assess`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    pub level: Level,
    pub reasons: Vec<Reason>,
    /// The digest of the configuration that produced it.
    pub policy_version: Digest,
}

impl Assessment {
    /// Combines two assessments: the higher level, and the reasons of both, the most dangerous
    /// first.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.level = self.level.max(other.level);
        for reason in other.reasons {
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
        self.reasons.sort_by_key(|reason| Reverse(reason.level));
        self
    }
}

/// One trigger that matched, or one thing that parkbrake noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    pub trigger: String,
    pub level: Level,
    pub detail: String,
}

/// The rules of `risk-assessment-rules.yaml` and `interrupt-triggers.yaml`, resolved.
#[derive(Debug, Clone)]
pub struct Rules {
    pub operations: Vocabulary,
    pub resource_types: Vocabulary,
    /// The most dangerous first.
    pub environments: Vocabulary,
    pub resources: Vec<Resource>,
    /// The environment of each Terraform workspace: patterns of names, and their environments.
    pub workspaces: Vec<Resource>,
    /// The level of a word that is on none of the lists.
    pub unrecognized: Level,
    /// The least level of a named resource that no entry of `resources` matches; `None` means the
    /// claim is believed.
    pub unregistered: Option<Level>,
    /// The level of tasks that no trigger covers.
    pub baseline: Baseline,
    pub triggers: Vec<Trigger>,
    /// The digest of the whole configuration.
    pub version: Digest,
}

impl Rules {
    /// Assesses a task by what the requester claims and by what parkbrake knows.
    pub fn assess(&self, task: &Task, facts: Option<&Facts>, requested_by: &str, now: DateTime<Utc>) -> Assessment {
        let mut reasons = Vec::new();
        let readings = self.readings(task, facts, &mut reasons);
        let severity = self.worst_severity(task, &mut reasons);
        let own = self.triggers.iter().filter_map(|trigger| match &trigger.condition {
            Condition::Expression(condition) => Some(condition),
            Condition::BuiltIn(_) => None,
        });
        let mut conditions = Conditions::new(own, task, &readings, facts.is_none(), requested_by, now);
        for trigger in &self.triggers {
            let detail = match &trigger.condition {
                Condition::BuiltIn(built_in) => readings.iter().find_map(|reading| built_in.matches(reading, task, severity)),
                Condition::Expression(condition) => conditions.holds(condition),
            };
            if let Some(detail) = detail {
                reasons.push(Reason { trigger: trigger.name.clone(), level: trigger.level, detail });
            }
        }
        reasons.extend(self.baseline.reason(&readings));
        let level = reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Low);
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        Assessment { level, reasons, policy_version: self.version.clone() }
    }

    fn worst_severity(&self, task: &Task, reasons: &mut Vec<Reason>) -> Option<Severity> {
        let counted = task.security_findings.iter().map(|finding| severity::counted(&finding.severity)).enumerate();
        let worst = counted.map(|(finding, worst)| Severity { worst, finding }).max_by_key(|severity| severity.worst);
        let mut unknown =
            task.security_findings.iter().map(|finding| &finding.severity).filter(|written| severity::resolve(written).is_none());
        if let Some(first) = unknown.next() {
            let more = match unknown.count() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let detail =
                format!("severity `{}` is not one of critical, high, medium, low, info, so it counts as critical{more}", shown(first));
            reasons.push(Reason { trigger: "unrecognized_severity".to_owned(), level: self.unrecognized, detail });
        }
        worst
    }
}

#[cfg(test)]
mod tests;
