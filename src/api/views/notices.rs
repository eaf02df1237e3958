//! Notices: what was said to the outside, and what could not be said.

use super::Success;
use crate::domain::page::Page;
use crate::domain::risk::level::Level;
use crate::http::time::Time;
use crate::service;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// One notice.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notice<'a> {
    notice_id: Uuid,
    workflow_id: Uuid,
    /// The number of the event that it tells of.
    version: i32,
    /// Such as `approval.requested`.
    r#type: &'a str,
    /// Which reminder it is; null where it is none.
    #[schema(required)]
    reminder: Option<i32>,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    /// A channel's name.
    channel: &'a str,
    /// A person's name, where it goes to one.
    #[schema(required)]
    recipient: Option<&'a str>,
    #[schema(value_type = NoticeStatus)]
    status: &'a str,
    attempts: i32,
    /// How often it was made due again.
    resends: i32,
    created_at: Time,
    /// When the next attempt is made.
    due_at: Time,
    #[schema(required)]
    first_attempt_at: Option<Time>,
    #[schema(required)]
    delivered_at: Option<Time>,
    /// What the last attempt met, or why it was not sent.
    #[schema(required)]
    error: Option<&'a str>,
}

/// What became of a notice: it is due or will be (`pending`), the other side took it (`delivered`),
/// there was no one to tell any more (`cancelled`), or it was given up (`dead`).
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the words that the database keeps as text")]
pub enum NoticeStatus {
    Pending,
    Delivered,
    Cancelled,
    Dead,
}

impl<'a> From<&'a service::Notice> for Notice<'a> {
    fn from(row: &'a service::Notice) -> Self {
        Self {
            notice_id: row.notice_id,
            workflow_id: row.workflow_id,
            version: row.version,
            r#type: &row.kind,
            reminder: (row.number > 0).then_some(row.number),
            risk_level: &row.risk_level,
            channel: &row.channel,
            recipient: row.recipient.as_deref(),
            status: &row.status,
            attempts: row.attempts,
            resends: row.resends,
            created_at: Time(row.created_at),
            due_at: Time(row.due_at),
            first_attempt_at: row.first_attempt_at.map(Time),
            delivered_at: row.delivered_at.map(Time),
            error: row.error.as_deref(),
        }
    }
}

/// A page of notices, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticePage<'a> {
    success: Success,
    notices: Vec<Notice<'a>>,
    /// Where the next page starts; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl<'a> From<&'a Page<service::Notice, Uuid>> for NoticePage<'a> {
    fn from(page: &'a Page<service::Notice, Uuid>) -> Self {
        Self { success: Success, notices: page.items.iter().map(Notice::from).collect(), next_cursor: page.next.map(|id| id.to_string()) }
    }
}

/// A notice that was made due again.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoticeAnswer<'a> {
    success: Success,
    notice: Notice<'a>,
}

impl<'a> NoticeAnswer<'a> {
    /// This notice.
    pub fn of(row: &'a service::Notice) -> Self {
        Self { success: Success, notice: row.into() }
    }
}
