//! Notices: the messages that parkbrake sent or failed to send, and sending one again.

use crate::domain::page::Page;
use crate::domain::policy::roles;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use crate::storage::{NoticeFilter, NoticeRow, Resent};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// The refusal for agents: a notice names people and their addresses.
const FOR_PEOPLE: &str = "only people can list notices";

/// One notice.
#[derive(Debug)]
pub struct Notice {
    pub notice_id: Uuid,
    pub workflow_id: Uuid,
    /// The version of the event that the notice reports.
    pub version: i32,
    pub kind: String,
    /// The number of the reminder, or the percentage of the goal; 0 for every other notice.
    pub number: i32,
    pub risk_level: String,
    pub channel: String,
    pub recipient: Option<String>,
    pub status: String,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub first_attempt_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
    pub resends: i32,
}

/// A query for notices.
#[derive(Debug, Default)]
pub struct NoticeQuery {
    pub status: Option<String>,
    pub channel: Option<String>,
    pub workflow_id: Option<Uuid>,
    /// Only notices older than this one.
    pub after: Option<Uuid>,
    pub limit: i64,
}

impl From<NoticeRow> for Notice {
    fn from(row: NoticeRow) -> Self {
        Self {
            notice_id: row.notice_id,
            workflow_id: row.workflow_id,
            version: row.version,
            kind: row.kind,
            number: row.number,
            risk_level: row.risk_level,
            channel: row.channel,
            recipient: row.recipient,
            status: row.status,
            attempts: row.attempts,
            created_at: row.created_at,
            due_at: row.due_at,
            first_attempt_at: row.first_attempt_at,
            delivered_at: row.delivered_at,
            error: row.error,
            resends: row.resends,
        }
    }
}

impl Service {
    /// Notices, newest first.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn notices(&self, by: &Caller, query: NoticeQuery) -> Result<Page<Notice, Uuid>, ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        let NoticeQuery { status, channel, workflow_id, after, limit } = query;
        let filter = NoticeFilter { status, channel, workflow_id, before: after, limit };
        Ok(self.engine.storage.notices(&filter).await?.map(Notice::from))
    }

    /// Sends a notice again.
    ///
    /// # Errors
    /// The caller is not an admin; there is no such notice, or it cannot be sent again in its
    /// state; or the database is unavailable.
    pub async fn resend_notice(&self, by: &Caller, id: Uuid, permit: Arc<Permit>) -> Result<Notice, ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        if !by.has_role(roles::ADMIN) {
            return Err(ServiceError::NotPermitted("only an admin may send a notice again".to_owned()));
        }
        let wrong =
            |row: Box<NoticeRow>, detail: &str| Err(ServiceError::WrongState { current_status: row.status, detail: detail.to_owned() });
        match self.engine.resend_notice_for(id, permit).await? {
            Resent::Pending(row) => {
                tracing::info!(notice.id = %id, by = by.name, "a notice will be sent again");
                Ok((*row).into())
            }
            Resent::Refused(row) if row.status == "pending" => wrong(row, "the notice waits to be delivered already"),
            Resent::Refused(row) => wrong(row, "the notice asks for a decision, and the request is settled; nobody is asked any more"),
            Resent::NotFound => Err(ServiceError::NoticeNotFound),
        }
    }
}
