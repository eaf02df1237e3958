//! Lists of workflows, including settled ones, and searches among them.
//!
//! Filters without an index are applied within a window: a limited number of workflows, in the
//! order of the list, that the other filters leave. So a search costs the same however many
//! workflows there are, and the next page continues where the window ended.

use super::candidates::{self, Choice, UNDER_WAY, Visible, id_at};
use super::connections::Lease;
use super::pool::within;
use super::{Error, Storage, page_of, targets};
use crate::domain::page::{Cursor, Page};
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::workflow::Status;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The filters of a search.
#[derive(Debug, Default)]
pub struct SearchFilter {
    pub status: Option<Status>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<String>,
    /// A person who approved, rejected, broke the glass, or withdrew an approval.
    pub approver: Option<String>,
    /// The name of the runbook, or of the runbook of any step of a plan.
    pub runbook: Option<String>,
    /// Submitted at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Submitted before this time.
    pub until: Option<DateTime<Utc>>,
    /// Text to find, ignoring case, in the description, the requester's own id, the resource or the
    /// action's name; or the workflow's id, or the end of it.
    pub text: Option<String>,
    /// Only what this agent may see: its own requests, and those of agents of the same person.
    pub visible_to: Option<Visible>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    pub after: Option<Cursor>,
    pub limit: i64,
}

/// One match.
#[derive(Debug)]
pub struct FoundRow {
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
    /// The people whose approvals count now.
    pub approved_by: Vec<String>,
    /// Who settled its approval, and when.
    pub resolved_by: Option<String>,
    pub resolved_at: Option<DateTime<Utc>>,
    /// The exit status of the attempt that ended last.
    pub exit_status: Option<i64>,
}

/// The matches, in the order of the list, and where to continue.
#[derive(Debug)]
pub struct Finds {
    pub page: Page<FoundRow>,
    /// Whether there is a next page because the window ended, not because the page is full.
    pub is_cut: bool,
}

impl SearchFilter {
    /// The workflow whose complete id is searched for.
    fn only(&self) -> Option<Uuid> {
        self.text.as_deref()?.parse().ok()
    }

    /// The filters, one of which chooses, and the range of ids.
    fn choice(&self) -> Choice<'_> {
        let after = self.after.map(|cursor| cursor.workflow_id);
        let (lower, upper) = if self.oldest_first { (after, None) } else { (None, after) };
        let next = |id: Uuid| Uuid::from_u128(id.as_u128().saturating_add(1));
        // The workflow of the cursor is on the previous page.
        let lower = lower.map(next).into_iter().chain(self.from.map(|from| id_at(from - UNDER_WAY))).chain(self.only());
        let upper = upper.into_iter().chain(self.until.map(|until| id_at(until + UNDER_WAY))).chain(self.only().map(next));
        Choice {
            status: self.status,
            risk_level: self.risk_level,
            requested_by: self.requested_by.as_deref(),
            approver: self.approver.as_deref(),
            visible_to: self.visible_to.as_ref(),
            from: lower.max(),
            before: upper.min(),
            has_more: self.text.is_some() || self.runbook.is_some() || self.from.is_some() || self.until.is_some(),
            oldest_first: self.oldest_first,
        }
    }
}

impl Storage {
    /// A page of matches.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn search(&self, search: &SearchFilter) -> Result<Finds, Error> {
        let mut db = self.lease_list().await?;
        let candidates = candidates::choose(&mut db, &search.choice(), search.limit).await?;
        let found = found(&mut db, search, &candidates.ids).await?;
        db.release();
        let is_full = i64::try_from(found.len()).is_ok_and(|count| count > search.limit);
        let page = page_of(found, search.limit, candidates.end(), |last| Cursor { at: last.created_at, workflow_id: last.workflow_id });
        Ok(Finds { is_cut: !is_full && page.next.is_some(), page })
    }

    /// The number of matches among the first workflows that the main filter leaves, and whether
    /// there may be more beyond them.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn count(&self, search: &SearchFilter) -> Result<(i64, bool), Error> {
        let mut db = self.lease_list().await?;
        let choice = Choice { has_more: true, ..search.choice() };
        let candidates = candidates::choose(&mut db, &choice, search.limit).await?;
        let count = counted(&mut db, search, &candidates.ids).await?;
        db.release();
        Ok((count, candidates.end().is_some()))
    }
}

/// A query over workflows with the ids `$1`, with the one condition for matches. The head of the
/// query calls the row `w`, its id `c.workflow_id` and its document `t.task`.
macro_rules! of_those_that_fit {
    ($query:ident, $head:tt, $tail:tt, $ids:expr, $search:expr $(, $more:expr)*) => {
        sqlx::$query!(
            $head + r#" where ($2::text is null or w.status = $2)
             and ($3::text is null or w.risk_level = $3)
             and ($4::text is null or w.requested_by = $4)
             and ($5::timestamptz is null or w.created_at >= $5)
             and ($6::timestamptz is null or w.created_at < $6)
             and ($7::text is null
                  or strpos(lower(concat_ws(E'\n', t.task ->> 'description', w.task_id, t.task ->> 'resource', w.target::jsonb ->> 'resource',
                                            t.task #>> '{action,name}')), lower($7)) > 0
                  or length($7) >= 6 and right(w.workflow_id::text, length($7)) = lower($7))
             and ($8::text is null
                  or exists (select from workflow_event e where e.workflow_id = c.workflow_id and e.actor = $8
                             and e.kind in ('approved', 'rejected', 'withdrawn', 'glass_broken')))
             and ($9::text is null
                  or t.task #>> '{action,type}' = 'runbook' and t.task #>> '{action,name}' = $9
                  or jsonb_path_exists(t.task, '$.steps[*].action ? (@.type == "runbook" && @.name == $name)', jsonb_build_object('name', $9::text)))
             and ($10::text is null or w.requested_by = $10 or w.on_behalf_of = $11)"# + $tail,
            $ids,
            $search.status.map(Status::as_str),
            $search.risk_level.map(Level::as_str),
            $search.requested_by.as_deref(),
            $search.from,
            $search.until,
            $search.text.as_deref(),
            $search.approver.as_deref(),
            $search.runbook.as_deref(),
            $search.visible_to.as_ref().map(|visible| visible.agent.as_str()),
            $search.visible_to.as_ref().and_then(|visible| visible.on_behalf_of.as_deref())
            $(, $more)*
        )
    };
}

/// The first matches among these workflows, one more than a page holds. Each is looked up by its
/// id: with any other join, all workflows might be read. Documents are read one by one, until there
/// are enough matches.
async fn found(db: &mut Lease, search: &SearchFilter, ids: &[Uuid]) -> Result<Vec<FoundRow>, Error> {
    let query = of_those_that_fit!(
        query,
        r#"select w.workflow_id, w.status, w.risk_level, w.task_id, w.requested_by, w.on_behalf_of, w.digest, w.created_at, w.updated_at,
                  (select q.reason from quarantine q where q.workflow_id = w.workflow_id) as quarantine,
                  t.task ->> 'description' as description, target_of(w.target, d.document) as target,
                  t.task #>> '{action,type}' as action, t.task #>> '{action,name}' as action_name, jsonb_array_length(t.task -> 'steps') as steps,
                  t.task #> '{action,runs,command}' as command, w.approval_status, w.approved_by, w.resolved_by, w.resolved_at,
                  (select (e.data::jsonb #>> '{output,exit_status}')::bigint from workflow_event e
                   where e.workflow_id = w.workflow_id and e.kind in ('execution_succeeded', 'execution_failed', 'execution_cancelled')
                   order by e.workflow_id desc, e.version desc limit 1) as exit_status
           from unnest($1::uuid[]) with ordinality as c (workflow_id, place)
           cross join lateral (select * from workflow w where w.workflow_id = c.workflow_id offset 0) w
           cross join lateral (select content as document from document d where d.workflow_id = c.workflow_id and d.round = 1 offset 0) d
           cross join lateral (select convert_from(d.document, 'UTF8')::jsonb as task offset 0) t
"#,
        " order by c.place limit $12",
        ids,
        search,
        search.limit + 1
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let found = rows.into_iter().map(|row| FoundRow {
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
        description: row.description,
        target: targets::read(row.target.as_deref()),
        action: row.action,
        action_name: row.action_name,
        steps: row.steps,
        command: row.command.and_then(|command| serde_json::from_value(command).ok()),
        approval_status: row.approval_status,
        approved_by: row.approved_by.unwrap_or_default(),
        resolved_by: row.resolved_by,
        resolved_at: row.resolved_at,
        exit_status: row.exit_status,
    });
    Ok(found.collect())
}

/// How many of these workflows match. Documents are read only if a filter needs them.
async fn counted(db: &mut Lease, search: &SearchFilter, ids: &[Uuid]) -> Result<i64, Error> {
    let query = of_those_that_fit!(
        query_scalar,
        r#"select count(*) as "count!"
           from unnest($1::uuid[]) as c (workflow_id)
           cross join lateral (select * from workflow w where w.workflow_id = c.workflow_id offset 0) w
           left join lateral (select convert_from(d.content, 'UTF8')::jsonb as task from document d
                              where d.workflow_id = c.workflow_id and d.round = 1 and ($7::text is not null or $9::text is not null) offset 0) t on true
"#,
        "",
        ids,
        search
    );
    within(query.fetch_one(&mut **db)).await
}
