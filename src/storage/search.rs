//! Looking for workflows, settled ones too.
//!
//! Words are looked for within a window: so many workflows, newest first, of those that the other filters leave. So a search costs
//! the same however many there are, and who wants to look further back goes on where the window ended.

use super::pool::within;
use super::{Cursor, Error, Storage, targets};
use crate::domain::level::Level;
use crate::domain::target::Target;
use crate::domain::workflow::Status;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::{Builder, Uuid};

/// How many workflows are looked through for words at a time.
pub const WINDOW: i64 = 2_000;

/// What is looked for.
#[derive(Debug, Default)]
pub struct Search {
    pub status: Option<Status>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<String>,
    /// Submitted at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Submitted before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Words that stand, as they are but for capitals, in the description, the requester's own id, the resource or the action's name.
    pub text: Option<String>,
    pub after: Option<Cursor>,
    pub limit: i64,
}

/// One workflow that was found.
#[derive(Debug)]
pub struct Found {
    pub workflow_id: Uuid,
    pub status: String,
    pub risk_level: String,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub task_id: Option<String>,
    pub description: Option<String>,
    pub target: Target,
    pub action: Option<String>,
    pub action_name: Option<String>,
}

/// What was found, newest first, and where to look further.
#[derive(Debug)]
pub struct Finds {
    pub found: Vec<Found>,
    pub next: Option<Cursor>,
    /// Whether there is a next because the window ended, not because the page is full.
    pub is_cut: bool,
}

/// An id is made when a task comes in; its commit may be this much later, or, where the clock was heard anew, earlier.
const UNDER_WAY: TimeDelta = TimeDelta::minutes(1);

/// The least id of a moment.
fn id_at(at: DateTime<Utc>) -> Uuid {
    Builder::from_unix_timestamp_millis(u64::try_from(at.timestamp_millis()).unwrap_or_default(), &[0; 10]).into_uuid()
}

impl Storage {
    /// A page of what is looked for.
    ///
    /// # Errors
    /// No database.
    pub async fn search(&self, search: &Search) -> Result<Finds, Error> {
        let mut db = self.lease().await?;
        let window = if search.text.is_some() { WINDOW } else { search.limit + 1 };
        let query = sqlx::query!(
            r#"with scanned as materialized (
                   select w.workflow_id, w.status, w.risk_level, w.requested_by, w.created_at, w.task_id, w.target
                   from workflow w
                   where ($1::text is null or w.status = $1)
                     and ($2::text is null or w.risk_level = $2)
                     and ($3::text is null or w.requested_by = $3)
                     and ($4::timestamptz is null or (w.created_at >= $4 and w.workflow_id >= $5))
                     and ($6::timestamptz is null or (w.created_at < $6 and w.workflow_id < $7))
                     and ($8::uuid is null or w.workflow_id < $8)
                   order by w.workflow_id desc
                   limit $9
               ),
               found as (
                   select s.workflow_id, s.status, s.risk_level, s.requested_by, s.created_at, s.task_id,
                          t.task ->> 'description' as description, target_of(s.target, p.document) as target,
                          t.task #>> '{action,type}' as action, t.task #>> '{action,name}' as action_name
                   from scanned s join workflow_event p on p.workflow_id = s.workflow_id and p.version = 1,
                        lateral (select convert_from(p.document, 'UTF8')::jsonb as task) t
                   where $10::text is null
                      or strpos(lower(concat_ws(E'\n', t.task ->> 'description', s.task_id, t.task ->> 'resource',
                                                s.target::jsonb ->> 'resource', t.task #>> '{action,name}')), lower($10)) > 0
                   order by s.workflow_id desc
                   limit $11
               )
               select e.scanned as "scanned!", e.last_at as "last_at?", e.last_id as "last_id?", f.workflow_id as "workflow_id?", f.status as "status?",
                      f.risk_level as "risk_level?", f.requested_by as "requested_by?", f.created_at as "created_at?",
                      f.task_id as "task_id?", f.description as "description?", f.target as "target?", f.action as "action?",
                      f.action_name as "action_name?"
               from (select (select count(*) from scanned) as scanned, l.created_at as last_at, l.workflow_id as last_id
                     from (select) one left join lateral
                          (select * from scanned order by workflow_id limit 1) l on true) e
                    left join found f on true
               order by f.workflow_id desc"#,
            search.status.map(Status::as_str),
            search.risk_level.map(Level::as_str),
            search.requested_by.as_deref(),
            search.from,
            search.from.map(|from| id_at(from - UNDER_WAY)),
            search.until,
            search.until.map(|until| id_at(until + UNDER_WAY)),
            search.after.map(|cursor| cursor.workflow_id),
            window,
            search.text.as_deref(),
            search.limit + 1
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let window_is_full = rows.first().is_some_and(|row| row.scanned == window);
        let end = rows.first().and_then(|row| Some(Cursor { at: row.last_at?, workflow_id: row.last_id? }));
        let found = rows.into_iter().filter_map(|row| {
            Some(Found {
                workflow_id: row.workflow_id?,
                status: row.status?,
                risk_level: row.risk_level?,
                requested_by: row.requested_by?,
                created_at: row.created_at?,
                task_id: row.task_id,
                description: row.description,
                target: targets::read(row.target.as_deref()),
                action: row.action,
                action_name: row.action_name,
            })
        });
        let mut found: Vec<Found> = found.collect();
        let page = usize::try_from(search.limit).unwrap_or(usize::MAX);
        if found.len() > page {
            found.truncate(page);
            let next = found.last().map(|last| Cursor { at: last.created_at, workflow_id: last.workflow_id });
            return Ok(Finds { found, next, is_cut: false });
        }
        let is_cut = search.text.is_some() && window_is_full;
        Ok(Finds { found, next: end.filter(|_| is_cut), is_cut })
    }
}
