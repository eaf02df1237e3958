//! The entries of lists, as the use cases return them.

use crate::domain::hold::Held;
use crate::domain::page::Page;
use crate::domain::policy::{EscalationStep, Role};
use crate::domain::risk::level::Level;
use crate::domain::risk::order::{ListPosition, Order};
use crate::domain::risk::target::Target;
use crate::storage;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most workflows that are examined for one page of a search.
pub const WINDOW: i64 = storage::WINDOW;

/// A request that waits for people.
#[derive(Debug)]
pub struct Waiting {
    pub workflow_id: Uuid,
    pub task_id: Option<String>,
    pub risk_level: String,
    /// The description, in the requester's words.
    pub description: String,
    pub target: Target,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    /// The roles that may decide now.
    pub approvers: Vec<Role>,
    pub required: i32,
    pub approvals: i32,
    pub escalation_level: i32,
    pub timetable: Vec<EscalationStep>,
    pub expires_at: Option<DateTime<Utc>>,
    /// When the next deadline of the request is due.
    pub due_at: Option<DateTime<Utc>>,
    pub digest: String,
    /// Whether nobody in the configuration could decide it.
    pub undecidable: bool,
    /// The step that waits, if the steps of the plan are approved one by one.
    pub step: Option<AskedStep>,
}

/// The step of a plan that waits for its own approval.
#[derive(Debug)]
pub struct AskedStep {
    /// Its number in the plan, from 1.
    pub n: u32,
    /// The level of the step alone.
    pub risk_level: String,
}

impl Waiting {
    /// Converts a row. `undecidable` has the requests of its page that nobody could decide.
    pub(super) fn of(row: storage::PendingRow, undecidable: &BTreeSet<Uuid>) -> Self {
        Self {
            undecidable: undecidable.contains(&row.workflow_id),
            workflow_id: row.workflow_id,
            task_id: row.task_id,
            risk_level: row.risk_level,
            description: row.description,
            target: row.target,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            approvers: row.approvers,
            required: row.required,
            approvals: row.approvals,
            escalation_level: row.escalation_level,
            timetable: row.timetable,
            expires_at: row.expires_at,
            due_at: row.due_at,
            digest: row.digest,
            step: row.step.map(|step| AskedStep { n: step.n, risk_level: step.risk_level }),
        }
    }

    /// The level that people decide about: that of the waiting step, or of the whole.
    pub fn asked_level(&self) -> &str {
        self.step.as_ref().map_or(&self.risk_level, |step| &step.risk_level)
    }

    /// Its position in a list of this order.
    pub fn position(&self, order: Order) -> ListPosition {
        let level = Level::parse(&self.risk_level).unwrap_or(Level::Critical);
        ListPosition { order, level, due: self.due_at, workflow_id: self.workflow_id }
    }
}

/// A line of a list of workflows.
#[derive(Debug)]
pub struct Listed {
    pub workflow_id: Uuid,
    pub status: String,
    pub risk_level: String,
    pub task_id: Option<String>,
    pub requested_by: String,
    pub on_behalf_of: Option<String>,
    pub digest: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Why it is quarantined, if it is.
    pub quarantine: Option<String>,
    /// The hold that keeps it from starting, if it is released and held.
    pub held: Option<Held>,
    pub description: Option<String>,
    pub target: Target,
    pub action: Option<String>,
    pub action_name: Option<String>,
    /// The number of steps of a plan; `None` for a single task.
    pub steps: Option<i32>,
    /// The argument vector of a runbook.
    pub command: Option<Vec<String>>,
    /// The status of its approval; `None` if nobody was asked.
    pub approval_status: Option<String>,
    /// The people who approved it, or the person who rejected it.
    pub decided_by: Vec<String>,
    /// When its approval was settled.
    pub decided_at: Option<DateTime<Utc>>,
    /// The exit status of the attempt that ended last.
    pub exit_status: Option<i64>,
}

impl From<storage::FoundRow> for Listed {
    fn from(row: storage::FoundRow) -> Self {
        let decided_by = match row.approval_status.as_deref() {
            Some("rejected") => row.resolved_by.into_iter().collect(),
            Some("approved") if row.approved_by.is_empty() => row.resolved_by.into_iter().collect(),
            _ => row.approved_by,
        };
        Self {
            workflow_id: row.workflow_id,
            status: row.status,
            risk_level: row.risk_level,
            task_id: row.task_id,
            requested_by: row.requested_by,
            on_behalf_of: row.on_behalf_of,
            digest: row.digest,
            created_at: row.created_at,
            updated_at: row.updated_at,
            quarantine: row.quarantine,
            held: None,
            description: row.description,
            target: row.target,
            action: row.action,
            action_name: row.action_name,
            steps: row.steps,
            command: row.command,
            approval_status: row.approval_status,
            decided_by,
            decided_at: row.resolved_at,
            exit_status: row.exit_status,
        }
    }
}

/// The results of a search, in the order of the list.
#[derive(Debug)]
pub struct Finds {
    pub page: Page<Listed>,
    /// Whether this page ended because the most workflows were examined, and not because it is
    /// full.
    pub is_cut: bool,
    /// The number of matches, if the search asked for it.
    pub count: Option<Count>,
}

/// The number of workflows that match a search.
#[derive(Debug, Clone, Copy)]
pub struct Count {
    /// The matches among the first [`WINDOW`] workflows that the main filter leaves.
    pub found: i64,
    /// Whether there may be more beyond them.
    pub is_cut: bool,
}

/// A decision of one person.
#[derive(Debug)]
pub struct Decided {
    pub workflow_id: Uuid,
    /// `approved`, `rejected`, `withdrawn`, or `glass_broken`.
    pub verdict: String,
    pub at: DateTime<Utc>,
    /// The justification or reason, in the person's words.
    pub note: Option<String>,
    /// The status of the workflow today.
    pub status: String,
    pub risk_level: String,
    pub requested_by: String,
    pub target: Target,
    /// The way in by which the decision came.
    pub via: Option<String>,
}

impl From<storage::DecisionRow> for Decided {
    fn from(row: storage::DecisionRow) -> Self {
        Self {
            workflow_id: row.workflow_id,
            verdict: row.verdict,
            at: row.at,
            note: row.note,
            status: row.status,
            risk_level: row.risk_level,
            requested_by: row.requested_by,
            target: row.target,
            via: row.via,
        }
    }
}

/// The target of a workflow, and its action.
#[derive(Debug, Clone)]
pub struct About {
    pub target: Target,
    pub action: Option<String>,
    pub action_name: Option<String>,
}

impl From<storage::AboutRow> for About {
    fn from(row: storage::AboutRow) -> Self {
        Self { target: row.target, action: row.action, action_name: row.action_name }
    }
}
