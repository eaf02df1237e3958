//! Looking for workflows, settled ones too.
//!
//! Words are looked for within a window: so many workflows, newest first, of those that the other filters leave. So a search costs
//! the same however many there are, and who wants to look further back goes on where the window ended.

use super::candidates::{self, Choice, UNDER_WAY, id_at};
use super::connections::Lease;
use super::pool::within;
use super::{Error, Storage, page_of, targets};
use crate::domain::page::{Cursor, Page};
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::workflow::Status;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What is looked for.
#[derive(Debug, Default)]
pub struct SearchFilter {
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
pub struct FoundRow {
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
    pub page: Page<FoundRow>,
    /// Whether there is a next because the window ended, not because the page is full.
    pub is_cut: bool,
}

impl Storage {
    /// A page of what is looked for.
    ///
    /// # Errors
    /// No database.
    pub async fn search(&self, search: &SearchFilter) -> Result<Finds, Error> {
        let mut db = self.lease_list().await?;
        let after = search.after.map(|cursor| cursor.workflow_id);
        let until = search.until.map(|until| id_at(until + UNDER_WAY));
        let choice = Choice {
            status: search.status,
            risk_level: search.risk_level,
            requested_by: search.requested_by.as_deref(),
            visible_to: None,
            from: search.from.map(|from| id_at(from - UNDER_WAY)),
            before: after.into_iter().chain(until).min(),
            has_more: search.text.is_some() || search.from.is_some() || search.until.is_some(),
        };
        let candidates = candidates::choose(&mut db, &choice, search.limit).await?;
        let found = found(&mut db, search, &candidates.ids).await?;
        db.release();
        let is_full = i64::try_from(found.len()).is_ok_and(|count| count > search.limit);
        let page = page_of(found, search.limit, candidates.end(), |last| Cursor { at: last.created_at, workflow_id: last.workflow_id });
        Ok(Finds { is_cut: !is_full && page.next.is_some(), page })
    }
}

/// The first of these workflows that fit, one more than a page holds. Documents are opened one by one, until there are enough.
async fn found(db: &mut Lease, search: &SearchFilter, ids: &[Uuid]) -> Result<Vec<FoundRow>, Error> {
    let query = sqlx::query!(
        r#"select w.workflow_id, w.status, w.risk_level, w.requested_by, w.created_at, w.task_id, t.task ->> 'description' as description,
                  target_of(w.target, d.document) as target, t.task #>> '{action,type}' as action, t.task #>> '{action,name}' as action_name
           from unnest($1::uuid[]) with ordinality as c (workflow_id, place)
           cross join lateral (select * from workflow w where w.workflow_id = c.workflow_id offset 0) w
           cross join lateral (select content as document from document d where d.workflow_id = c.workflow_id and d.round = 1 offset 0) d
           cross join lateral (select convert_from(d.document, 'UTF8')::jsonb as task offset 0) t
           where ($2::text is null or w.status = $2)
             and ($3::text is null or w.risk_level = $3)
             and ($4::text is null or w.requested_by = $4)
             and ($5::timestamptz is null or w.created_at >= $5)
             and ($6::timestamptz is null or w.created_at < $6)
             and ($7::text is null
                  or strpos(lower(concat_ws(E'\n', t.task ->> 'description', w.task_id, t.task ->> 'resource', w.target::jsonb ->> 'resource',
                                            t.task #>> '{action,name}')), lower($7)) > 0)
           order by c.place
           limit $8"#,
        ids,
        search.status.map(Status::as_str),
        search.risk_level.map(Level::as_str),
        search.requested_by.as_deref(),
        search.from,
        search.until,
        search.text.as_deref(),
        search.limit + 1
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let found = rows.into_iter().map(|row| FoundRow {
        workflow_id: row.workflow_id,
        status: row.status,
        risk_level: row.risk_level,
        requested_by: row.requested_by,
        created_at: row.created_at,
        task_id: row.task_id,
        description: row.description,
        target: targets::read(row.target.as_deref()),
        action: row.action,
        action_name: row.action_name,
    });
    Ok(found.collect())
}
