//! The rows of a batch, as parameters of the database's functions. Each struct is one of the types
//! of `migrations/0021_commit.sql` (and 0022, 0028, 0029, 0031, 0032), field by field.

use super::columns::{
    approvers, breaks_glass, comments_at, relies_on, reopened, report_after, request_after, resolution, reviews, starter, timeout_after,
};
use super::{Advance, Begins, Opening, number};
use crate::domain::grant::Micros;
use crate::domain::notice::outbox::Planned;
use crate::domain::policy::Role;
use crate::domain::via::Via;
use crate::domain::workflow::approval;
use crate::domain::workflow::{ApprovalStatus, Event, Round};
use crate::storage::seal::{self, EventRow};
use crate::storage::{Storage, record};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::{PgHasArrayType, PgTypeInfo};
use sqlx::{Encode, Postgres, Type};
use uuid::Uuid;

/// Maps a struct to its database type.
macro_rules! stored_as {
    ($row:ident, $name:literal) => {
        impl Type<Postgres> for $row<'_> {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($name)
            }
        }

        impl PgHasArrayType for $row<'_> {
            fn array_type_info() -> PgTypeInfo {
                PgTypeInfo::array_of($name)
            }
        }
    };
}

stored_as!(OpeningRow, "workflow_opening");
stored_as!(AdvanceRow, "workflow_advance");
stored_as!(LoggedEvent, "logged_event");
stored_as!(PlannedNotice, "planned_notice");

/// A workflow as its first commit leaves it.
#[derive(Encode)]
pub(super) struct OpeningRow<'a> {
    workflow_id: Uuid,
    version: i32,
    seal: Option<[u8; 32]>,
    status: &'static str,
    risk_level: &'static str,
    action: &'static str,
    task_id: Option<&'a str>,
    requested_by: &'a str,
    on_behalf_of: Option<&'a str>,
    digest: &'a str,
    target: Option<String>,
    key: Option<&'a str>,
    fingerprint: Option<&'a str>,
    approvers: Option<Vec<Role>>,
    required: Option<i32>,
    separation: Option<bool>,
    timetable: Option<String>,
    timeout_after: Option<f64>,
    expire_after: Option<f64>,
    report_after: Option<f64>,
    document: &'a [u8],
    begins_in: Option<&'a str>,
    begins_before: Option<DateTime<Utc>>,
    grant_id: Option<Uuid>,
    grant_cost: Option<i64>,
    granted_by: Option<&'a str>,
    grant_note: Option<&'a str>,
}

impl<'a> OpeningRow<'a> {
    pub fn of(opening: &'a Opening, seal: Option<[u8; 32]>) -> Self {
        let workflow = &opening.workflow;
        let submission = &workflow.submission;
        let round = workflow.round();
        let granted = round.filter(|round| round.grant.is_some()).and_then(|round| round.approvals.first());
        Self {
            workflow_id: workflow.id,
            version: number(workflow.version),
            seal,
            status: workflow.status().as_str(),
            risk_level: submission.assessment.level.as_str(),
            action: submission.action.as_str(),
            task_id: submission.task_id.as_deref(),
            requested_by: &submission.requested_by,
            on_behalf_of: submission.on_behalf_of.as_deref(),
            digest: submission.digest.as_str(),
            target: submission.target.as_ref().filter(|_| !opening.is_claimed).map(record::write_target),
            key: opening.key.as_ref().map(|key| key.key.as_str()),
            fingerprint: opening.key.as_ref().map(|key| key.fingerprint.as_str()),
            approvers: round.map(approvers),
            required: round.map(|round| number(round.terms.required)),
            separation: round.map(|round| round.terms.separation_of_duties),
            timetable: round.map(timetable),
            timeout_after: round.filter(|round| round.is_open()).and_then(timeout_after),
            expire_after: round.and_then(expire_after),
            report_after: report_after(workflow, None),
            document: &opening.document,
            begins_in: opening.begins.as_ref().map(environment),
            begins_before: opening.begins.as_ref().and_then(|begins| begins.before),
            grant_id: round.and_then(|round| round.grant),
            grant_cost: opening.granted.map(|Micros(cost)| cost),
            granted_by: granted.map(|approval| approval.approver.as_str()),
            grant_note: granted.and_then(|approval| approval.justification.as_deref()),
        }
    }
}

/// A workflow as a later commit leaves it.
#[derive(Encode)]
pub(super) struct AdvanceRow<'a> {
    workflow_id: Uuid,
    expected: i32,
    version: i32,
    seal: Option<[u8; 32]>,
    status: &'static str,
    not_before: Option<DateTime<Utc>>,
    not_after: Option<DateTime<Utc>>,
    starter: Option<Uuid>,
    lapsed: Option<Uuid>,
    approval_status: Option<&'static str>,
    approvers: Option<Vec<Role>>,
    open_roles: Option<Vec<Role>>,
    approvals: Option<i32>,
    approved_by: Option<Vec<&'a str>>,
    escalation_level: Option<i32>,
    timeout_after: Option<f64>,
    resolved_by: Option<&'a str>,
    resolution_note: Option<&'a str>,
    required: Option<i32>,
    separation: Option<bool>,
    timetable: Option<String>,
    expire_after: Option<f64>,
    relies_on: Option<Vec<String>>,
    report_after: Option<f64>,
    begins_in: Option<&'a str>,
    begins_before: Option<DateTime<Utc>>,
    grant_id: Option<Uuid>,
    breaks_glass: Option<&'a str>,
    reviews: Option<&'a str>,
    digest: Option<&'a str>,
    document_number: Option<i32>,
    document: Option<&'a [u8]>,
}

impl<'a> AdvanceRow<'a> {
    pub fn of(advance: &'a Advance, seal: Option<[u8; 32]>) -> Self {
        let Advance { workflow, guard, .. } = advance;
        let request = request_after(advance);
        let round = request.map(|(round, _)| round);
        let pending = request.filter(|(_, status)| *status == ApprovalStatus::Pending).map(|(round, _)| round);
        let reopened = reopened(advance);
        let resolution = resolution(advance);
        Self {
            workflow_id: workflow.id,
            expected: number(advance.expected),
            version: number(workflow.version),
            seal,
            status: workflow.status().as_str(),
            not_before: guard.not_before,
            not_after: guard.not_after,
            starter: starter(&advance.events),
            lapsed: guard.lapsed,
            approval_status: request.map(|(_, status)| status.as_str()),
            approvers: round.map(approvers),
            open_roles: round.map(approval::open_roles),
            approvals: round.map(|round| number(u32::try_from(round.approvals.len()).unwrap_or(0))),
            approved_by: round.map(|round| round.approvals.iter().map(|approval| approval.approver.as_str()).collect()),
            escalation_level: round.map(|round| number(round.escalation_level)),
            timeout_after: pending.and_then(timeout_after),
            resolved_by: resolution.map(|(by, _)| by),
            resolution_note: resolution.and_then(|(_, note)| note),
            required: reopened.map(|round| number(round.terms.required)),
            separation: reopened.map(|round| round.terms.separation_of_duties),
            timetable: reopened.map(timetable),
            expire_after: reopened.and_then(expire_after),
            relies_on: relies_on(advance),
            report_after: report_after(workflow, comments_at(advance)),
            begins_in: advance.begins.as_ref().map(environment),
            begins_before: advance.begins.as_ref().and_then(|begins| begins.before),
            grant_id: advance.begins.as_ref().and(workflow.round()).and_then(|round| round.grant),
            breaks_glass: breaks_glass(&advance.events),
            reviews: reviews(advance),
            digest: advance.document.as_ref().map(|_| workflow.document().as_str()),
            document_number: advance.document.as_ref().map(|_| number(workflow.document_number())),
            document: advance.document.as_deref(),
        }
    }
}

/// The environment in which something begins, in the database's form.
fn environment(begins: &Begins) -> &str {
    begins.environment.as_deref().unwrap_or_default()
}

/// An event of one of the rows.
#[derive(Encode)]
pub(super) struct LoggedEvent<'a> {
    workflow_id: Uuid,
    version: i32,
    kind: &'static str,
    actor: &'a str,
    data: String,
    via: &'static str,
    seal: Option<[u8; 32]>,
}

/// The events of one commit.
pub(super) struct Commit<'a> {
    pub workflow_id: Uuid,
    /// The version of the first event.
    pub first: u32,
    pub actor: &'a str,
    pub via: Via,
    pub events: &'a [Event],
}

impl<'a> Commit<'a> {
    /// Adds its events to the log of a batch, and returns the seal of the workflow's row. Without
    /// keys nothing is sealed, and the server does not act on it.
    pub fn log(self, storage: &Storage, log: &mut Vec<LoggedEvent<'a>>) -> Option<[u8; 32]> {
        let Self { workflow_id, first, actor, via, events } = self;
        let keys = storage.keys().ok();
        let mut head = None;
        for (event, version) in events.iter().zip(first..) {
            let (version, kind, via, data) = (number(version), event.name(), via.as_str(), record::write(event, storage.terms_name(event)));
            let row = EventRow { workflow_id, version, kind, actor, via: Some(via), data: &data };
            let seal = keys.map(|keys| seal::event(keys, &row));
            head = keys.zip(seal).map(|(keys, last)| seal::head(keys, workflow_id, version, &last));
            log.push(LoggedEvent { workflow_id, version, kind, actor, data, via, seal });
        }
        head
    }
}

/// A notice that follows from one of the rows.
#[derive(Encode)]
pub(super) struct PlannedNotice<'a> {
    notice_id: Uuid,
    workflow_id: Uuid,
    version: i32,
    kind: &'static str,
    number: i32,
    level: &'static str,
    channel: &'a str,
    recipient: Option<&'a str>,
    due_after: f64,
}

impl<'a> PlannedNotice<'a> {
    pub fn of(workflow_id: Uuid, notice: &'a Planned) -> Self {
        Self {
            notice_id: notice.id,
            workflow_id,
            version: number(notice.version),
            kind: notice.kind.as_str(),
            number: number(notice.number),
            level: notice.level.as_str(),
            channel: &notice.channel,
            recipient: notice.recipient.as_deref(),
            due_after: notice.due_after.as_secs_f64(),
        }
    }
}

/// A stored escalation step.
#[derive(Serialize)]
struct Step<'a> {
    /// Seconds.
    after: u64,
    to: &'a [Role],
}

fn timetable(round: &Round) -> String {
    let steps: Vec<_> = round.terms.escalation.iter().map(|step| Step { after: step.after.as_secs(), to: &step.to }).collect();
    serde_json::to_string(&steps).expect("a list of numbers and names")
}

fn expire_after(round: &Round) -> Option<f64> {
    round.terms.expire_after.map(|delay| delay.as_secs_f64())
}
