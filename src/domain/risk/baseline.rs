//! The level of tasks that no trigger covers: tasks that are listed as low risk are low, and
//! everything else has one level.

use crate::domain::risk::Reason;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Reading;
use crate::domain::text::shown;

/// `low_risk` and `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    pub low_risk: Vec<LowRisk>,
    /// The level of every reading that no entry covers.
    pub otherwise: Level,
}

/// An entry of low risk: one of these operations and, if given, in one of these environments on one
/// of these types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowRisk {
    /// Canonical words, as in the other lists.
    pub operations: Vec<String>,
    /// `None` is any, even an unknown one.
    pub environments: Option<Vec<String>>,
    pub resource_types: Option<Vec<String>>,
}

impl LowRisk {
    fn covers(&self, reading: &Reading) -> bool {
        let listed = |words: &Option<Vec<String>>, word: &String| words.as_ref().is_none_or(|words| words.contains(word));
        self.operations.contains(&reading.operation.word)
            && listed(&self.environments, &reading.environment.word)
            && listed(&self.resource_types, &reading.resource_type.word)
    }
}

impl Baseline {
    /// Everything is low: the baseline if the file has neither key.
    pub const LOW: Self = Self { low_risk: Vec::new(), otherwise: Level::Low };

    /// Whether a task for which no trigger matches is always low.
    pub fn is_low(&self) -> bool {
        self.otherwise == Level::Low
    }

    /// Why the task is not of low risk, for the first reading that no entry covers.
    pub fn reason(&self, readings: &[Reading]) -> Option<Reason> {
        if self.is_low() {
            return None;
        }
        let uncovered = readings.iter().find(|reading| !self.low_risk.iter().any(|entry| entry.covers(reading)))?;
        let said = |before: &str, word: &str| if word.is_empty() { String::new() } else { format!(" {before} {}", shown(word)) };
        let detail = format!(
            "{}{}{} is not listed as low risk{}",
            shown(&uncovered.operation.word),
            said("in", &uncovered.environment.word),
            said("on", &uncovered.resource_type.word),
            uncovered.assumption(&["operation", "environment", "resource_type"]),
        );
        Some(Reason { trigger: "not_low_risk".to_owned(), level: self.otherwise, detail })
    }
}
