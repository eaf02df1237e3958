//! The level of every combination of operation, environment and type of resource, each also left
//! out.

use crate::domain::risk::Rules;
use crate::domain::risk::level::Level;
use crate::domain::risk::triggers::{Condition, Trigger};
use crate::domain::task::metadata::Metadata;
use crate::domain::task::{Action, Task};
use chrono::{DateTime, Duration};
use std::fmt;

const HOURS_OF_A_WEEK: i64 = 7 * 24;

/// Shown in place of a word that the task leaves out.
const LEFT_OUT: &str = "(left out)";

/// The levels of all tasks that name a known operation, and no resource, findings, costs or
/// metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// The columns; `None`: left out.
    pub resource_types: Vec<Option<String>>,
    pub rows: Vec<Row>,
}

/// One operation in one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub operation: String,
    /// `None`: left out.
    pub environment: Option<String>,
    /// One level for each column.
    pub levels: Vec<Level>,
}

impl Rules {
    /// The matrix of these rules. If conditions read the time, each level is the highest of a week.
    pub fn matrix(&self) -> Matrix {
        let looks_at_time = |trigger: &Trigger| match &trigger.condition {
            Condition::Expression(condition) => condition.variables().contains(&"now"),
            Condition::BuiltIn(_) => false,
        };
        let hours = if self.triggers.iter().any(looks_at_time) { HOURS_OF_A_WEEK } else { 1 };
        let and_left_out = |words: &mut dyn Iterator<Item = &str>| -> Vec<Option<String>> {
            words.map(|word| Some(word.to_owned())).chain([None]).collect()
        };
        let resource_types = and_left_out(&mut self.resource_types.names());
        let environments = and_left_out(&mut self.environments.names());
        let level = |operation: &str, environment: &Option<String>, resource_type: &Option<String>| {
            let task = Task {
                task_id: None,
                description: String::new(),
                operation: operation.to_owned(),
                environment: environment.clone(),
                resource: None,
                resource_type: resource_type.clone(),
                security_findings: Vec::new(),
                estimated_cost: None,
                evidence: None,
                action: Action::external(),
                metadata: Metadata::default(),
            };
            let at = |hour: i64| self.assess(&task, None, "", DateTime::UNIX_EPOCH + Duration::hours(hour)).level;
            (0..hours).map(at).max().unwrap_or(Level::Critical)
        };
        let row = |operation: &str, environment: &Option<String>| Row {
            operation: operation.to_owned(),
            environment: environment.clone(),
            levels: resource_types.iter().map(|resource_type| level(operation, environment, resource_type)).collect(),
        };
        let rows = self.operations.names().flat_map(|operation| environments.iter().map(move |environment| row(operation, environment)));
        let rows = rows.collect();
        Matrix { resource_types, rows }
    }
}

impl Matrix {
    /// The level of one cell.
    pub fn level(&self, operation: &str, environment: Option<&str>, resource_type: Option<&str>) -> Option<Level> {
        let column = self.resource_types.iter().position(|column| column.as_deref() == resource_type)?;
        let row = self.rows.iter().find(|row| row.operation == operation && row.environment.as_deref() == environment)?;
        row.levels.get(column).copied()
    }
}

impl fmt::Display for Matrix {
    /// A table with columns as wide as their longest word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_left_out = |word: &Option<String>| word.clone().unwrap_or_else(|| LEFT_OUT.to_owned());
        let heading = ["operation", "environment"].map(str::to_owned).into_iter().chain(self.resource_types.iter().map(or_left_out));
        let row = |row: &Row| -> Vec<String> {
            let words = [row.operation.clone(), or_left_out(&row.environment)];
            words.into_iter().chain(row.levels.iter().map(Level::to_string)).collect()
        };
        let lines: Vec<Vec<String>> = std::iter::once(heading.collect()).chain(self.rows.iter().map(row)).collect();
        let widths: Vec<usize> = (0..self.resource_types.len() + 2)
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
            .collect();
        for (index, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let text = cells.collect::<Vec<_>>().join("  ");
            let end = if index + 1 == lines.len() { "" } else { "\n" };
            write!(f, "{}{end}", text.trim_end())?;
        }
        Ok(())
    }
}
