//! The assessment: how dangerous a task is, and why, in words.
//!
//! Three rules make it safe to believe:
//! 1. The highest level of all triggers that match holds; no rule can lower another.
//! 2. A claim of the requester may raise the level, never lower it. What parkbrake itself knows (the resource registry, the
//!    runbook that would run) is assessed beside the claim, and a disagreement is itself a reason.
//! 3. What is left unsaid is assessed for every value that it could have. So leaving a field out never pays.

use crate::domain::digest::Digest;
use crate::domain::level::Level;
use crate::domain::readings::{Facts, Json, Resource};
use crate::domain::task::Task;
use crate::domain::text::shown;
use crate::domain::triggers::{Condition, Severity, Trigger};
use crate::domain::vocabulary::{Vocabulary, normalized};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The answer of [`Rules::assess`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    pub level: Level,
    pub reasons: Vec<Reason>,
    /// The digest of the configuration that it was assessed by.
    pub policy_version: Digest,
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
    /// The level of a word that is on none of the lists.
    pub unrecognized: Level,
    pub triggers: Vec<Trigger>,
    /// The digest of the whole configuration.
    pub version: Digest,
}

impl Rules {
    /// Assesses a task: what the requester claims, beside what parkbrake knows.
    pub fn assess(&self, task: &Task, facts: Option<&Facts>, requested_by: &str, now: DateTime<Utc>) -> Assessment {
        let mut reasons = Vec::new();
        let readings = self.readings(task, facts, &mut reasons);
        let severity = self.worst_severity(task, &mut reasons);
        let json = self.triggers.iter().any(|trigger| matches!(trigger.condition, Condition::Expression(_))).then(|| Json::of(task));
        let scopes: Vec<_> = match &json {
            Some(json) => readings.iter().map(|reading| reading.scope(task, json, requested_by, now)).collect(),
            None => Vec::new(),
        };
        for trigger in &self.triggers {
            let detail = match &trigger.condition {
                Condition::BuiltIn(built_in) => readings.iter().find_map(|reading| built_in.matches(reading, task, severity)),
                Condition::Expression(condition) => {
                    readings.iter().zip(&scopes).find_map(|(reading, scope)| match condition.holds(scope) {
                        Ok(true) => Some(format!("`{}`{}", condition.source(), reading.assumption())),
                        Ok(false) => None,
                        Err(error) => Some(format!("`{}` could not be evaluated, which counts as a match: {error}", condition.source())),
                    })
                }
            };
            if let Some(detail) = detail {
                reasons.push(Reason { trigger: trigger.name.clone(), level: trigger.level, detail });
            }
        }
        let level = reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Low);
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        Assessment { level, reasons, policy_version: self.version.clone() }
    }

    fn worst_severity(&self, task: &Task, reasons: &mut Vec<Reason>) -> Option<Severity> {
        task.security_findings
            .iter()
            .enumerate()
            .filter_map(|(place, finding)| {
                Some(match normalized(&finding.severity).as_str() {
                    "critical" => Severity { worst: Level::Critical, finding: place },
                    "high" => Severity { worst: Level::High, finding: place },
                    "medium" | "moderate" | "low" | "info" | "informational" | "none" => return None,
                    _ => {
                        let detail = format!(
                            "severity `{}` is none of critical, high, medium, low, info; it is taken for critical",
                            shown(&finding.severity)
                        );
                        reasons.push(Reason { trigger: "unrecognized_severity".to_owned(), level: self.unrecognized, detail });
                        Severity { worst: Level::Critical, finding: place }
                    }
                })
            })
            .max_by_key(|severity| severity.worst)
    }
}

#[cfg(test)]
mod tests;
