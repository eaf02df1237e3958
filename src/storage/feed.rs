//! What happened to all workflows, in the order of time, for those who follow it.

use super::pool::within;
use super::workflows::Visible;
use super::{Error, Storage};
use crate::domain::workflow::{Event, Workflow};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// One event as those hear of it who follow what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    pub workflow_id: Uuid,
    pub version: u32,
    /// Its name in the log.
    pub event: String,
    pub actor: String,
    pub at: DateTime<Utc>,
    /// Where the workflow stood when this was read, which may be later than the event.
    pub status: String,
    pub risk_level: String,
    pub task_id: Option<String>,
    pub requested_by: String,
    pub on_behalf_of: Option<String>,
}

impl FeedEntry {
    /// An event of a workflow that stands as it does now.
    pub fn of(workflow: &Workflow, version: u32, actor: &str, at: DateTime<Utc>, event: &Event) -> Self {
        let submission = &workflow.submission;
        Self {
            workflow_id: workflow.id,
            version,
            event: event.name().to_owned(),
            actor: actor.to_owned(),
            at,
            status: workflow.status().as_str().to_owned(),
            risk_level: submission.assessment.level.as_str().to_owned(),
            task_id: submission.task_id.clone(),
            requested_by: submission.requested_by.clone(),
            on_behalf_of: submission.on_behalf_of.clone(),
        }
    }

    /// Where it stands among all events.
    pub fn place(&self) -> FeedPlace {
        FeedPlace { at: self.at, workflow_id: self.workflow_id, version: self.version }
    }
}

/// A place in the order of all events. Those of one workflow stand in the order of their versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPlace {
    pub at: DateTime<Utc>,
    pub workflow_id: Uuid,
    pub version: u32,
}

impl FeedPlace {
    /// The place before all events of this moment.
    pub fn before(at: DateTime<Utc>) -> Self {
        Self { at, workflow_id: Uuid::nil(), version: 0 }
    }
}

impl Storage {
    /// The events after a place and before a moment, in their order.
    ///
    /// # Errors
    /// No database.
    pub async fn feed(
        &self,
        after: FeedPlace,
        until: DateTime<Utc>,
        visible_to: Option<&Visible>,
        limit: i64,
    ) -> Result<Vec<FeedEntry>, Error> {
        let mut db = self.lease().await?;
        // The inner query with its `offset 0` is carried out row by row, by primary key: there are as many rows between the two
        // moments as are wanted, and never so many that reading the whole table would pay.
        let query = sqlx::query!(
            "select e.workflow_id, e.version, e.kind, e.actor, e.at, w.status, w.risk_level, w.task_id, w.requested_by, w.on_behalf_of
             from workflow_event e
             cross join lateral (
                 select status, risk_level, task_id, requested_by, on_behalf_of
                 from workflow where workflow_id = e.workflow_id offset 0
             ) w
             where e.at >= $1 and e.at < $2 and (e.at, e.workflow_id, e.version) > ($1, $3, $4)
               and ($5::text is null or w.requested_by = $5 or w.on_behalf_of = $6)
             order by e.at, e.workflow_id, e.version
             limit $7",
            after.at,
            until,
            after.workflow_id,
            i32::try_from(after.version).unwrap_or(i32::MAX),
            visible_to.map(|visible| visible.agent.as_str()),
            visible_to.and_then(|visible| visible.on_behalf_of.as_deref()),
            limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let entries = rows.into_iter().map(|row| FeedEntry {
            workflow_id: row.workflow_id,
            version: u32::try_from(row.version).unwrap_or_default(),
            event: row.kind,
            actor: row.actor,
            at: row.at,
            status: row.status,
            risk_level: row.risk_level,
            task_id: row.task_id,
            requested_by: row.requested_by,
            on_behalf_of: row.on_behalf_of,
        });
        Ok(entries.collect())
    }

    /// How many events there are from one moment on and before another.
    ///
    /// # Errors
    /// No database.
    pub async fn count_events(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<i64, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!(r#"select count(*) as "count!" from workflow_event where at >= $1 and at < $2"#, from, until);
        let count = within(query.fetch_one(&mut *db)).await?;
        db.release();
        Ok(count)
    }
}
