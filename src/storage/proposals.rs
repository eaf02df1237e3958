//! Recent decisions about similar requests, for proposals of grants.
//!
//! A limited number of the newest requests is examined, and a limited number of rejected ones,
//! however old. The database sends documents only for requests that are similar to enough approved
//! ones: with the same requester, target and kind of action.

use super::candidates::{self, Choice, id_at};
use super::pool::within;
use super::{Error, Storage, targets};
use crate::domain::grant::proposal::{Answer, Past};
use crate::domain::risk::level::Level;
use crate::domain::task::plan::Document;
use crate::domain::workflow::Status;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The most documents that are sent, those of rejected requests first.
const MOST_SENT: i64 = 1_000;

/// The examined requests of the past.
#[derive(Debug)]
pub struct PastRequests {
    pub past: Vec<Past>,
    /// The number of newest requests that were examined.
    pub looked_through: usize,
    /// Whether there were more requests than that.
    pub is_cut: bool,
}

impl Storage {
    /// Requests since a time that are similar to at least this many approved ones.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn past_requests(&self, since: DateTime<Utc>, at_least: u32) -> Result<PastRequests, Error> {
        let mut db = self.lease_list().await?;
        let recent = Choice { from: Some(id_at(since)), has_more: true, ..Choice::default() };
        let recent = candidates::choose(&mut db, &recent, 1).await?;
        let rejected = Choice { status: Some(Status::Rejected), has_more: true, ..Choice::default() };
        let rejected = candidates::choose(&mut db, &rejected, 1).await?;
        let ids: BTreeSet<Uuid> = recent.ids.iter().chain(&rejected.ids).copied().collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let query = sqlx::query!(
            r#"with seen as materialized (
                   select w.workflow_id, w.requested_by, w.action, t.target, t.target::jsonb - 'differs' as about, w.risk_level, w.status,
                          w.approval_status = 'approved' and w.required = 1 as approved
                   from unnest($1::uuid[]) as c (workflow_id)
                   cross join lateral (select * from workflow w where w.workflow_id = c.workflow_id offset 0) w
                   cross join lateral (select content from document d where d.workflow_id = w.workflow_id and d.round = 1 offset 0) d
                   cross join lateral (select target_of(w.target, d.content) as target offset 0) t
               ), often as (
                   select requested_by, action, about from seen where approved group by requested_by, action, about having count(*) >= $2
               )
               select s.workflow_id, s.requested_by, s.target, s.risk_level, s.status = 'rejected' as "is_rejected!", d.content as document,
                      s.approved
                      and exists (select from workflow_event e where e.workflow_id = s.workflow_id and e.kind = 'approved')
                      and not exists (select from workflow_event e
                                      where e.workflow_id = s.workflow_id and e.kind in ('granted', 'glass_broken')) as "is_approved!",
                      exists (select from workflow_event e
                              where e.workflow_id = s.workflow_id and e.version = 1 and e.data::jsonb ? 'supersedes') as "supersedes!"
               from seen s
               join often o on o.requested_by = s.requested_by and o.action = s.action and o.about = s.about
               cross join lateral (select content from document d where d.workflow_id = s.workflow_id and d.round = 1 offset 0) d
               order by s.status = 'rejected' desc, s.workflow_id desc
               limit $3"#,
            &ids,
            i64::from(at_least),
            MOST_SENT
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let is_cut = recent.end().is_some() || i64::try_from(rows.len()).is_ok_and(|sent| sent >= MOST_SENT);
        let past = rows.into_iter().filter_map(|row| {
            Some(Past {
                workflow_id: row.workflow_id,
                level: Level::parse(&row.risk_level)?,
                task: Document::read(&row.document).ok()?.single()?.clone(),
                target: targets::read(row.target.as_deref()),
                requester: row.requested_by,
                supersedes: row.supersedes,
                answer: match (row.is_rejected, row.is_approved) {
                    (true, _) => Answer::Rejected,
                    (false, true) => Answer::Approved,
                    (false, false) => Answer::Other,
                },
            })
        });
        Ok(PastRequests { past: past.collect(), looked_through: recent.ids.len(), is_cut })
    }
}
