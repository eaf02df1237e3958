//! Triggers: the rules that raise the level of a task.

use crate::domain::risk::expression::Expression;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Reading;
use crate::domain::risk::terraform::destroyed;
use crate::domain::task::Task;
use crate::domain::task::terraform::Act;
use crate::domain::text::shown;

/// A rule: if its condition holds, the task has at least this level.
#[derive(Debug, Clone)]
pub struct Trigger {
    pub name: String,
    pub level: Level,
    pub condition: Condition,
}

/// The condition of a trigger.
#[derive(Debug, Clone)]
pub enum Condition {
    BuiltIn(BuiltIn),
    Expression(Expression),
}

/// The triggers that parkbrake knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    DeleteProduction,
    DeployProduction,
    ModifyInfrastructure,
    SecurityFindingCritical,
    SecurityFindingHigh,
    CostAboveThreshold,
    CostFarAboveThreshold,
    DataExport,
    ChangeProductionDatabase,
    ChangeProductionInfrastructure,
    DeleteDatabase,
    DeleteInfrastructure,
    ReadProductionDatabase,
    TerraformDelete,
    TerraformReplace,
}

/// The operations that change nothing.
const HARMLESS: [&str; 2] = ["read", "plan"];

/// US dollars above which `cost_above_threshold` matches.
pub const COST_THRESHOLD: f64 = 100.0;
/// US dollars above which `cost_far_above_threshold` matches.
pub const COST_FAR_THRESHOLD: f64 = 1_000.0;

impl BuiltIn {
    /// Every built-in trigger.
    pub const ALL: [Self; 15] = [
        Self::DeleteProduction,
        Self::DeployProduction,
        Self::ModifyInfrastructure,
        Self::SecurityFindingCritical,
        Self::SecurityFindingHigh,
        Self::CostAboveThreshold,
        Self::CostFarAboveThreshold,
        Self::DataExport,
        Self::ChangeProductionDatabase,
        Self::ChangeProductionInfrastructure,
        Self::DeleteDatabase,
        Self::DeleteInfrastructure,
        Self::ReadProductionDatabase,
        Self::TerraformDelete,
        Self::TerraformReplace,
    ];

    /// Its name in `triggers`.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeleteProduction => "delete_production",
            Self::DeployProduction => "deploy_production",
            Self::ModifyInfrastructure => "modify_infrastructure",
            Self::SecurityFindingCritical => "security_finding_critical",
            Self::SecurityFindingHigh => "security_finding_high",
            Self::CostAboveThreshold => "cost_above_threshold",
            Self::CostFarAboveThreshold => "cost_far_above_threshold",
            Self::DataExport => "data_export",
            Self::ChangeProductionDatabase => "change_production_database",
            Self::ChangeProductionInfrastructure => "change_production_infrastructure",
            Self::DeleteDatabase => "delete_database",
            Self::DeleteInfrastructure => "delete_infrastructure",
            Self::ReadProductionDatabase => "read_production_database",
            Self::TerraformDelete => "terraform_delete",
            Self::TerraformReplace => "terraform_replace",
        }
    }

    /// Whether it matches any operation that changes something.
    fn is_about_changes(self) -> bool {
        matches!(self, Self::ChangeProductionDatabase | Self::ChangeProductionInfrastructure)
    }

    /// The canonical words that its condition needs. Without them in the vocabulary it could never
    /// match.
    pub fn needs(self) -> Needs {
        let (operation, environment, resource_type) = match self {
            Self::DeleteProduction => (Some("delete"), Some("production"), None),
            Self::DeployProduction => (Some("deploy"), Some("production"), None),
            Self::ModifyInfrastructure => (Some("modify"), None, Some("infrastructure")),
            Self::DataExport => (Some("data_export"), None, None),
            Self::ChangeProductionDatabase => (None, Some("production"), Some("database")),
            Self::ChangeProductionInfrastructure => (None, Some("production"), Some("infrastructure")),
            Self::DeleteDatabase => (Some("delete"), None, Some("database")),
            Self::DeleteInfrastructure => (Some("delete"), None, Some("infrastructure")),
            Self::ReadProductionDatabase => (Some("read"), Some("production"), Some("database")),
            _ => (None, None, None),
        };
        Needs { operation, environment, resource_type }
    }
}

/// The words of a built-in condition; `None` is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    pub operation: Option<&'static str>,
    pub environment: Option<&'static str>,
    pub resource_type: Option<&'static str>,
}

impl Needs {
    /// The fields that the condition reads.
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [("operation", self.operation), ("environment", self.environment), ("resource_type", self.resource_type)];
        fields.into_iter().filter_map(|(field, needed)| needed.map(|_| field)).collect()
    }
}

/// The most severe finding of a task.
#[derive(Clone, Copy)]
pub struct Severity {
    pub worst: Level,
    /// Its index in the list.
    pub finding: usize,
}

impl BuiltIn {
    /// If the condition holds for this reading, what matched, in words.
    pub fn matches(self, reading: &Reading, task: &Task, severity: Option<Severity>) -> Option<String> {
        let needs = self.needs();
        let fits = |needed: Option<&str>, word: &str| needed.is_none_or(|needed| needed == word);
        if !fits(needs.operation, &reading.operation.word)
            || !fits(needs.environment, &reading.environment.word)
            || !fits(needs.resource_type, &reading.resource_type.word)
        {
            return None;
        }
        let mut looked_at = needs.fields();
        if self.is_about_changes() {
            if HARMLESS.contains(&reading.operation.word.as_str()) {
                return None;
            }
            looked_at.insert(0, "operation");
        }
        let assumption = reading.assumption(&looked_at);
        let operation = shown(&reading.operation.word);
        let cost = task.estimated_cost.unwrap_or_default();
        let finding = |at_least: Level| {
            let severity = severity.filter(|severity| severity.worst >= at_least)?;
            let finding = task.security_findings.get(severity.finding)?;
            let name = finding.id.as_deref().or(finding.title.as_deref()).unwrap_or("a finding without a name");
            Some(format!("security finding {} is {}", shown(name), severity.worst))
        };
        let cost_above = |threshold: f64| (cost > threshold).then(|| format!("estimated cost {cost} is above {threshold} US dollars"));
        match self {
            Self::DeleteProduction => Some(format!("delete in production{}", assumption)),
            Self::DeployProduction => Some(format!("deploy to production{}", assumption)),
            Self::ModifyInfrastructure => Some(format!("modification of infrastructure{}", assumption)),
            Self::DataExport => Some(format!("export of data{}", assumption)),
            Self::ChangeProductionDatabase => Some(format!("{operation} on a database in production{assumption}")),
            Self::ChangeProductionInfrastructure => Some(format!("{operation} on infrastructure in production{assumption}")),
            Self::DeleteDatabase => Some(format!("deletion of a database{assumption}")),
            Self::DeleteInfrastructure => Some(format!("deletion of infrastructure{assumption}")),
            Self::ReadProductionDatabase => Some(format!("read of a database in production{assumption}")),
            Self::SecurityFindingCritical => finding(Level::Critical),
            Self::SecurityFindingHigh => finding(Level::High),
            Self::CostAboveThreshold => cost_above(COST_THRESHOLD),
            Self::CostFarAboveThreshold => cost_above(COST_FAR_THRESHOLD),
            Self::TerraformDelete => destroyed(task.terraform()?, Act::Delete),
            Self::TerraformReplace => destroyed(task.terraform()?, Act::Replace),
        }
    }
}
