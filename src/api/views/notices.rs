//! Notices: what was sent, and what could not be sent.

use super::Success;
use crate::domain::notice::Kind;
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
    /// The version of the event that it reports.
    version: i32,
    /// Such as `approval.requested`.
    r#type: &'a str,
    /// The number of the reminder; null if it is not one.
    #[schema(required)]
    reminder: Option<i32>,
    /// Of `approval.goal_nears`, what percent of the goal has passed; null for every other type.
    #[schema(required)]
    goal_percent: Option<i32>,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    /// A channel's name.
    channel: &'a str,
    /// A person's name, if the notice goes to one.
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
    /// The error of the last attempt, or why it was not sent.
    #[schema(required)]
    error: Option<&'a str>,
}

/// The state of a notice: it is or will be due (`pending`), the receiver accepted it (`delivered`),
/// nobody needed it any more (`cancelled`), or it was given up (`dead`).
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
            reminder: (row.kind == Kind::Reminded.as_str()).then_some(row.number),
            goal_percent: (row.kind == Kind::GoalNears.as_str()).then_some(row.number),
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
    /// The cursor of the next page; null on the last page.
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
