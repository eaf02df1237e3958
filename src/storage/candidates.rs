//! Which workflows a list examines: the newest (or the oldest) that its main filter leaves, from an
//! index in the order of the list.
//!
//! A list may have any number of filters, and there cannot be an index for each combination. So one
//! of them chooses, and the others are applied to a window of what it chose: each page costs the
//! same, however many workflows there are and however few match. If the window ends before the page
//! is full, the list continues from there.

use super::Error;
use super::connections::Lease;
use super::pool::within;
use crate::domain::page::Cursor;
use crate::domain::risk::level::Level;
use crate::domain::workflow::Status;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::{Builder, Uuid};

/// The most workflows that are examined for one page.
pub const WINDOW: i64 = 2_000;

/// What an agent may see.
#[derive(Debug, Clone)]
pub struct Visible {
    pub agent: String,
    pub on_behalf_of: Option<String>,
}

/// The filters, one of which chooses.
#[derive(Debug, Default)]
pub(super) struct Choice<'a> {
    pub status: Option<Status>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<&'a str>,
    pub approver: Option<&'a str>,
    pub visible_to: Option<&'a Visible>,
    /// Ids from this one on.
    pub from: Option<Uuid>,
    /// Ids before this one.
    pub before: Option<Uuid>,
    /// Whether there are further filters, such as a text.
    pub has_more: bool,
    /// Oldest first. Then only the ids choose, and all other filters are applied to a window.
    pub oldest_first: bool,
}

/// The chosen workflows, in the order of the list.
#[derive(Debug)]
pub(super) struct Candidates {
    pub ids: Vec<Uuid>,
    /// Whether there may be more after the last one, because the window is full.
    is_cut: bool,
}

impl Candidates {
    /// Where to continue if the matches do not fill a page.
    pub fn end(&self) -> Option<Cursor> {
        self.ids.last().filter(|_| self.is_cut).map(|id| Cursor::of(*id))
    }
}

/// An id is made when a task arrives. Its commit may be this much later or, if the server's clock
/// was adjusted, earlier.
pub(super) const UNDER_WAY: TimeDelta = TimeDelta::minutes(1);

/// The smallest id of a time.
pub(super) fn id_at(at: DateTime<Utc>) -> Uuid {
    Builder::from_unix_timestamp_millis(u64::try_from(at.timestamp_millis()).unwrap_or_default(), &[0; 10]).into_uuid()
}

/// Chooses for a page of this size.
pub(super) async fn choose(db: &mut Lease, choice: &Choice<'_>, page: i64) -> Result<Candidates, Error> {
    let filters = [
        choice.status.is_some(),
        choice.risk_level.is_some(),
        choice.requested_by.is_some(),
        choice.approver.is_some(),
        choice.visible_to.is_some(),
    ];
    let choosing = if choice.oldest_first { 0 } else { 1 };
    let is_window = choice.has_more || filters.into_iter().filter(|is_set| *is_set).count() > choosing;
    let window = if is_window { WINDOW.max(page + 1) } else { page + 1 };
    let ids = if choice.oldest_first { oldest(db, choice, window).await? } else { newest(db, choice, window).await? };
    let is_cut = is_window && i64::try_from(ids.len()).is_ok_and(|count| count >= window);
    Ok(Candidates { ids, is_cut })
}

async fn oldest(db: &mut Lease, choice: &Choice<'_>, window: i64) -> Result<Vec<Uuid>, Error> {
    let query = sqlx::query_scalar!(
        "select workflow_id from workflow where workflow_id >= $1 and workflow_id < $2 order by workflow_id limit $3",
        choice.from.unwrap_or(Uuid::nil()),
        choice.before.unwrap_or(Uuid::max()),
        window
    );
    within(query.fetch_all(&mut **db)).await
}

async fn newest(db: &mut Lease, choice: &Choice<'_>, window: i64) -> Result<Vec<Uuid>, Error> {
    // One branch runs, or two for an agent; the others end at their first condition. A level or a
    // status is in several buckets of the index, and the waiting requests of a requester are
    // separate from the rest: the newest of each are taken, and of these the newest. Rows are
    // compared as whole tuples, never only for equality. So only one index has their order, and the
    // plan is the same whatever the statistics of the tables are when it is made.
    let query = sqlx::query_scalar!(
        r#"with candidate as (
               (select w.workflow_id from workflow w
                where $1::text is null and $2::text is null and $3::text is null and $4::text is null and $9::text is null
                  and w.workflow_id < $6 and w.workflow_id >= $7
                order by w.workflow_id desc limit $8)
               union all
               (select found.workflow_id from place p cross join lateral (
                    select w.workflow_id from workflow w
                    where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, $6)
                      and (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) >= (p.place, $7)
                    order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc limit $8
                ) found
                where ($1::text is not null or $2::text is not null) and $3::text is null and $4::text is null and $9::text is null
                  and ($1::text is null or p.status = $1) and ($2::text is null or p.risk_level = $2))
               union all
               (select distinct on (e.actor, e.workflow_id) e.workflow_id from workflow_event e
                where e.kind in ('approved', 'rejected', 'withdrawn', 'glass_broken') and $3::text is null and $4::text is null
                  and (e.actor, e.workflow_id) < ($9, $6) and (e.actor, e.workflow_id) >= ($9, $7)
                order by e.actor desc, e.workflow_id desc limit $8)
               union all
               (select found.workflow_id from unnest(array[false, true]) as waits cross join lateral (
                    select w.workflow_id from workflow w
                    where (w.requested_by, w.status = 'pending_approval', w.workflow_id) < ($3, waits, $6)
                      and (w.requested_by, w.status = 'pending_approval', w.workflow_id) >= ($3, waits, $7)
                    order by w.requested_by desc, (w.status = 'pending_approval') desc, w.workflow_id desc limit $8
                ) found
                where $4::text is null)
               union all
               (select found.workflow_id from unnest(array[false, true]) as waits cross join lateral (
                    select w.workflow_id from workflow w
                    where (w.requested_by, w.status = 'pending_approval', w.workflow_id) < ($4, waits, $6)
                      and (w.requested_by, w.status = 'pending_approval', w.workflow_id) >= ($4, waits, $7)
                    order by w.requested_by desc, (w.status = 'pending_approval') desc, w.workflow_id desc limit $8
                ) found)
               union all
               (select found.workflow_id from unnest(array[false, true]) as waits cross join lateral (
                    select w.workflow_id from workflow w
                    where w.on_behalf_of >= $5
                      and (w.on_behalf_of, w.status = 'pending_approval', w.workflow_id) < ($5, waits, $6)
                      and (w.on_behalf_of, w.status = 'pending_approval', w.workflow_id) >= ($5, waits, $7)
                    order by w.on_behalf_of desc, (w.status = 'pending_approval') desc, w.workflow_id desc limit $8
                ) found)
           )
           select distinct workflow_id as "workflow_id!" from candidate order by 1 desc limit $8"#,
        choice.status.map(Status::as_str),
        choice.risk_level.map(Level::as_str),
        choice.requested_by,
        choice.visible_to.map(|visible| visible.agent.as_str()),
        choice.visible_to.and_then(|visible| visible.on_behalf_of.as_deref()),
        choice.before.unwrap_or(Uuid::max()),
        choice.from.unwrap_or(Uuid::nil()),
        window,
        choice.approver
    );
    within(query.fetch_all(&mut **db)).await
}
