//! The reading of a tool call, and its assessment.

use crate::domain::risk::level::Level;
use crate::domain::risk::{Assessment, Reason, Rules};
use crate::domain::task::metadata::Metadata;
use crate::domain::task::{Action, Task};
use crate::domain::text::shown;
use crate::domain::tools::{ToolFacts, ToolRules};
use chrono::{DateTime, Utc};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The reading of a call: at least one part. The most dangerous part counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    parts: Vec<Part>,
}

/// One thing that a call does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub facts: ToolFacts,
    /// Whether an entry matches it; if not, it has the facts of `unmatched`.
    pub is_matched: bool,
    /// Which entry matched what, and as what, in order.
    pub because: Vec<String>,
    /// The words that may name a resource in the registry.
    pub names: Vec<String>,
}

/// The assessment of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The highest level of all parts, with the reasons of each.
    pub assessment: Assessment,
    /// The facts of the most dangerous part. A task that claims these has the level of the whole
    /// call.
    pub facts: ToolFacts,
    /// Whether entries matched every part. A call with an unmatched part never runs without people,
    /// whatever its level.
    pub is_matched: bool,
}

impl Reading {
    pub(super) fn of(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// The parts, in the order of the call.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The explanations of all parts, in order.
    pub fn because(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| &part.because).map(String::as_str)
    }

    /// Assesses every part; the highest level counts.
    pub fn judge(&self, rules: &Rules, requested_by: &str, now: DateTime<Utc>) -> Judged {
        let mut worst: Option<(Level, ToolFacts)> = None;
        let mut reasons: Vec<Reason> = Vec::new();
        let mut judged: BTreeSet<ToolFacts> = BTreeSet::new();
        for facts in self.parts.iter().flat_map(|part| part.possible(rules)) {
            if !judged.insert(facts.clone()) {
                continue;
            }
            let assessment = rules.assess(&facts.task(), None, requested_by, now);
            if worst.as_ref().is_none_or(|(level, _)| assessment.level > *level) {
                worst = Some((assessment.level, facts));
            }
            for reason in assessment.reasons {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        // A reading has at least one part, so there is a most dangerous one.
        let (level, facts) = worst.unwrap_or((Level::Critical, ToolFacts::default()));
        reasons.sort_by_key(|reason| Reverse(reason.level));
        let is_matched = self.parts.iter().all(|part| part.is_matched);
        Judged { assessment: Assessment { level, reasons, policy_version: rules.version.clone() }, facts, is_matched }
    }
}

impl ToolRules {
    /// The level of an unmatched part.
    pub fn level_of_unmatched(&self, rules: &Rules) -> Level {
        rules.assess(&self.unmatched.task(), None, "", DateTime::UNIX_EPOCH).level
    }
}

impl Part {
    /// Its facts, and the same facts for each resource that it names and the registry knows.
    fn possible(&self, rules: &Rules) -> Vec<ToolFacts> {
        let registered = |name: &&String| rules.resources.iter().any(|resource| resource.matches(name));
        let known = self.names.iter().filter(registered).map(|name| ToolFacts { resource: Some(name.clone()), ..self.facts.clone() });
        std::iter::once(self.facts.clone()).chain(known).collect()
    }
}

impl ToolFacts {
    /// A task with these facts: an action of the agent's own.
    fn task(&self) -> Task {
        Task {
            task_id: None,
            description: String::new(),
            operation: self.operation.clone(),
            environment: self.environment.clone(),
            resource: self.resource.clone(),
            resource_type: self.resource_type.clone(),
            security_findings: Vec::new(),
            estimated_cost: None,
            evidence: None,
            action: Action::external(),
            metadata: Metadata::default(),
        }
    }

    /// The facts in words: `modify in production on infrastructure (db-1)`.
    pub fn in_words(&self) -> String {
        let said = |before: &str, word: &Option<String>| word.as_ref().map(|word| format!(" {before} {}", shown(word))).unwrap_or_default();
        let resource = self.resource.as_ref().map(|word| format!(" ({})", shown(word))).unwrap_or_default();
        format!("{}{}{}{resource}", shown(&self.operation), said("in", &self.environment), said("on", &self.resource_type))
    }
}
