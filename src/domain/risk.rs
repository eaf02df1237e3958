//! The assessment: how dangerous a task is, and why, in words.
//!
//! Three rules make it safe to believe:
//! 1. The highest level of all triggers that match holds; no rule can lower another.
//! 2. A claim of the requester may raise the level, never lower it. What parkbrake itself knows (the resource registry, the
//!    runbook that would run) is assessed beside the claim, and a disagreement is itself a reason.
//! 3. What is left unsaid is assessed for every value that it could have. So leaving a field out never pays.

use crate::domain::digest::Digest;
use crate::domain::expression::{Expression, Scope};
use crate::domain::level::Level;
use crate::domain::readings::{Facts, Json, Reading, Resource};
use crate::domain::task::Task;
use crate::domain::text::shown;
use crate::domain::triggers::{Condition, Severity, Trigger};
use crate::domain::vocabulary::{Vocabulary, normalized};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
        let told_apart = self.told_apart(&readings);
        let json = (!told_apart.is_empty()).then(|| Json::of(task));
        let in_scope = |json| told_apart.iter().map(move |reading| (*reading, reading.scope(task, json, requested_by, now)));
        let scopes: Vec<_> = json.iter().flat_map(in_scope).collect();
        for trigger in &self.triggers {
            let detail = match &trigger.condition {
                Condition::BuiltIn(built_in) => readings.iter().find_map(|reading| built_in.matches(reading, task, severity)),
                Condition::Expression(condition) => scopes.iter().find_map(|(reading, scope)| holds(condition, reading, scope)),
            };
            if let Some(detail) = detail {
                reasons.push(Reason { trigger: trigger.name.clone(), level: trigger.level, detail });
            }
        }
        let level = reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Low);
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        Assessment { level, reasons, policy_version: self.version.clone() }
    }

    /// The readings that the operator's own conditions can tell apart; to evaluate them costs, so none is evaluated twice.
    fn told_apart<'r>(&self, readings: &'r [Reading]) -> Vec<&'r Reading> {
        let conditions = self.triggers.iter().filter_map(|trigger| match &trigger.condition {
            Condition::Expression(condition) => Some(condition.variables()),
            Condition::BuiltIn(_) => None,
        });
        let conditions: Vec<_> = conditions.collect();
        if conditions.is_empty() {
            return Vec::new();
        }
        let (variables, mut seen) = (conditions.concat(), BTreeSet::new());
        readings.iter().filter(|reading| seen.insert(reading.seen_by(&variables))).collect()
    }

    fn worst_severity(&self, task: &Task, reasons: &mut Vec<Reason>) -> Option<Severity> {
        let mut unknown = Vec::new();
        let worst = task.security_findings.iter().enumerate().filter_map(|(place, finding)| {
            Some(match normalized(&finding.severity).as_str() {
                "critical" => Severity { worst: Level::Critical, finding: place },
                "high" => Severity { worst: Level::High, finding: place },
                "medium" | "moderate" | "low" | "info" | "informational" | "none" => return None,
                _ => {
                    unknown.push(finding.severity.as_str());
                    Severity { worst: Level::Critical, finding: place }
                }
            })
        });
        let worst = worst.max_by_key(|severity| severity.worst);
        if let [first, rest @ ..] = unknown.as_slice() {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            let detail =
                format!("severity `{}` is none of critical, high, medium, low, info; it is taken for critical{more}", shown(first));
            reasons.push(Reason { trigger: "unrecognized_severity".to_owned(), level: self.unrecognized, detail });
        }
        worst
    }
}

/// Why a condition counts as matched, in words.
fn holds(condition: &Expression, reading: &Reading, scope: &Scope<'_>) -> Option<String> {
    match condition.holds(scope) {
        Ok(true) => Some(format!("`{}`{}", condition.source(), reading.assumption(condition.variables()))),
        Ok(false) => None,
        Err(error) => Some(format!("`{}` could not be evaluated, which counts as a match: {}", condition.source(), shown(&error))),
    }
}

#[cfg(test)]
mod tests;
