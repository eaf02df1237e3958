//! Requests that wait for people, and workflows that are due.

use super::candidates::{Visible, WINDOW};
use super::connections::Lease;
use super::pool::within;
use super::targets::Outline;
use super::{Error, Storage, page_of, waiting};
use crate::domain::page::Page;
use crate::domain::policy::{EscalationStep, Role};
use crate::domain::risk::level::Level;
use crate::domain::risk::order::{ListPosition, Order};
use crate::domain::risk::target::Target;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// One waiting request.
#[derive(Debug)]
pub struct PendingRow {
    pub workflow_id: Uuid,
    pub task_id: Option<String>,
    pub risk_level: String,
    /// The description, in the requester's words.
    pub description: String,
    pub target: Target,
    pub requested_by: String,
    pub requested_at: DateTime<Utc>,
    pub approvers: Vec<String>,
    pub required: i32,
    pub approvals: i32,
    pub escalation_level: i32,
    pub timetable: Vec<EscalationStep>,
    pub expires_at: Option<DateTime<Utc>>,
    /// When the next escalation or the expiry is due.
    pub due_at: Option<DateTime<Utc>>,
    pub digest: String,
    /// The step that waits, if the steps of the plan are approved one by one.
    pub step: Option<AskedStep>,
}

/// The step of a plan that waits for its own approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedStep {
    /// Its number in the plan, counted from 1.
    pub n: u32,
    /// The level of the step alone.
    pub risk_level: String,
}

impl PendingRow {
    /// Its position in a list of this order.
    pub fn position(&self, order: Order) -> ListPosition {
        let level = Level::parse(&self.risk_level).unwrap_or(Level::Critical);
        ListPosition { order, level, due: self.due_at, workflow_id: self.workflow_id }
    }
}

/// A stored escalation step of a waiting request.
#[derive(Deserialize)]
struct StoredStep {
    /// In seconds, counted from the request.
    after: u64,
    /// The roles that are asked in addition.
    to: Vec<Role>,
}

/// The escalation from its column; an unreadable one has no steps.
fn timetable(stored: &str) -> Vec<EscalationStep> {
    let steps: Vec<StoredStep> = serde_json::from_str(stored).unwrap_or_default();
    steps.into_iter().map(|StoredStep { after, to }| EscalationStep { after: Duration::from_secs(after), to }).collect()
}

/// Which requests to list.
#[derive(Debug, Default)]
pub struct PendingFilter {
    pub risk_level: Option<Level>,
    /// Only those that this role may decide.
    pub role: Option<String>,
    /// Only those that this person may decide.
    pub decidable_by: Option<Decider>,
    pub visible_to: Option<Visible>,
    /// An agent's list is always newest first.
    pub order: Order,
    pub after: Option<ListPosition>,
    pub limit: i64,
}

/// A person and their roles.
#[derive(Debug)]
pub struct Decider {
    pub name: String,
    pub roles: Vec<String>,
}

/// The workflows that are due, by the database's clock.
#[derive(Debug)]
pub struct Due {
    /// The workflows to wake, longest overdue first.
    pub workflows: Vec<Uuid>,
    /// The database's time at the query.
    pub now: DateTime<Utc>,
    /// When the next workflow is due that is not due yet.
    pub next: Option<DateTime<Utc>>,
}

impl Storage {
    /// Waiting requests, in the order of the filter, and where the next page starts.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn pending(&self, filter: &PendingFilter) -> Result<Page<PendingRow, ListPosition>, Error> {
        let mut db = self.lease_list().await?;
        let (ids, end) = match &filter.visible_to {
            None => (waiting::of_all(&mut db, filter, filter.limit + 1).await?, None),
            Some(visible) => of_agent(&mut db, filter, visible).await?,
        };
        let rows = described(&mut db, &ids).await?;
        db.release();
        Ok(page_of(rows, filter.limit, end.map(ListPosition::of_newest), |row| row.position(filter.order)))
    }

    /// The due workflows, and when the next one will be due. The application's clock is not used.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn due(&self, limit: i64) -> Result<Due, Error> {
        let mut db = self.lease_background().await?;
        let now = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        let due = sqlx::query_scalar!(
            "select r.workflow_id
             from pending_place p
             cross join lateral (
                 select w.workflow_id, coalesce(w.timeout_at, 'infinity') as due from workflow w
                 where w.status = 'pending_approval'
                   and waiting_place(w.risk_level, w.approvers) = p.place and coalesce(w.timeout_at, 'infinity') <= $1
                   and not exists (select from quarantine q where q.workflow_id = w.workflow_id offset 0)
                 order by waiting_place(w.risk_level, w.approvers), coalesce(w.timeout_at, 'infinity')
                 limit $2
             ) r
             order by r.due limit $2",
            now,
            limit
        );
        let mut workflows = within(due.fetch_all(&mut *db)).await?;
        // This includes the reports of external actions.
        let reports = sqlx::query_scalar!(
            "select w.workflow_id from workflow w
             where w.report_due_at <= $1
               and not exists (select from quarantine q where q.workflow_id = w.workflow_id offset 0)
             order by w.report_due_at limit $2",
            now,
            limit
        );
        workflows.extend(within(reports.fetch_all(&mut *db)).await?);
        let next = sqlx::query_scalar!(
            "select min(r.timeout_at) as next
             from pending_place p
             cross join lateral (
                 select w.timeout_at from workflow w
                 where w.status = 'pending_approval'
                   and waiting_place(w.risk_level, w.approvers) = p.place and coalesce(w.timeout_at, 'infinity') > $1
                 order by waiting_place(w.risk_level, w.approvers), coalesce(w.timeout_at, 'infinity')
                 limit 1
             ) r",
            now
        );
        let next = within(next.fetch_one(&mut *db)).await?;
        let report = sqlx::query_scalar!("select report_due_at from workflow where report_due_at > $1 order by report_due_at limit 1", now);
        let report = within(report.fetch_optional(&mut *db)).await?.flatten();
        let next = next.into_iter().chain(report).min();
        db.release();
        Ok(Due { workflows, now, next })
    }

    /// The waiting requests, newest first, which a restart loads into memory.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn newest_pending(&self, limit: i64) -> Result<Vec<Uuid>, Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query_scalar!(
            "select r.workflow_id
             from pending_place p
             cross join lateral (
                 select w.workflow_id from workflow w
                 where (place_of(w.status, w.risk_level, w.approvers), w.workflow_id) < (p.place, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
                   and place_of(w.status, w.risk_level, w.approvers) >= p.place
                 order by place_of(w.status, w.risk_level, w.approvers) desc, w.workflow_id desc
                 limit $1
             ) r
             order by r.workflow_id desc
             limit $1",
            limit
        );
        let ids = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(ids)
    }
}

/// What an agent may see: its own requests, and those of agents of the same person; the newest of
/// each, from a separate index. Further filters are applied to a limited number of them.
async fn of_agent(db: &mut Lease, filter: &PendingFilter, visible: &Visible) -> Result<(Vec<Uuid>, Option<Uuid>), Error> {
    let is_window = filter.risk_level.is_some() || filter.role.is_some() || filter.decidable_by.is_some();
    let window = if is_window { WINDOW } else { filter.limit + 1 };
    let query = sqlx::query!(
        r#"select distinct o.workflow_id as "workflow_id!",
                  ($4::text is null or w.risk_level = $4) and ($5::text is null or w.approvers @> array[$5])
                  and ($6::text is null or (coalesce(w.open_roles, w.approvers) && $7 and (w.approved_by @> array[$6]) is not true
                                            and not w.separation_of_duties)) as "fits!"
           from (
               (select w.workflow_id from workflow w
                where (w.requested_by, w.status = 'pending_approval', w.workflow_id) < ($1, true, $3)
                  and (w.requested_by, w.status = 'pending_approval') >= ($1, true)
                order by w.requested_by desc, (w.status = 'pending_approval') desc, w.workflow_id desc limit $8)
               union all
               (select w.workflow_id from workflow w
                where w.on_behalf_of >= $2
                  and (w.on_behalf_of, w.status = 'pending_approval', w.workflow_id) < ($2, true, $3)
                  and (w.on_behalf_of, w.status = 'pending_approval') >= ($2, true)
                order by w.on_behalf_of desc, (w.status = 'pending_approval') desc, w.workflow_id desc limit $8)
           ) o
           cross join lateral (select * from workflow w where w.workflow_id = o.workflow_id offset 0) w
           order by 1 desc limit $8"#,
        visible.agent,
        visible.on_behalf_of,
        before(filter),
        filter.risk_level.map(Level::as_str),
        filter.role.as_deref(),
        filter.decidable_by.as_ref().map(|decider| decider.name.as_str()),
        filter.decidable_by.as_ref().map(|decider| decider.roles.as_slice()),
        window
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let is_cut = is_window && i64::try_from(rows.len()).is_ok_and(|count| count >= window);
    let end = rows.last().filter(|_| is_cut).map(|row| row.workflow_id);
    let page = usize::try_from(filter.limit + 1).unwrap_or(usize::MAX);
    Ok((rows.into_iter().filter(|row| row.fits).map(|row| row.workflow_id).take(page).collect(), end))
}

/// The id before which a page starts.
fn before(filter: &PendingFilter) -> Uuid {
    filter.after.map_or(Uuid::max(), |position| position.workflow_id)
}

/// Those of these requests that still wait, in order.
async fn described(db: &mut Lease, ids: &[Uuid]) -> Result<Vec<PendingRow>, Error> {
    let query = sqlx::query!(
        r#"select r.workflow_id, r.task_id, r.risk_level, r.requested_by, r.requested_at as "requested_at!", r.approvers as "approvers!",
                r.required as "required!", r.approvals as "approvals!", r.escalation_level as "escalation_level!",
                r.timetable as "timetable!", r.expires_at, r.timeout_at, r.digest, d.document as "document!", r.target
         from unnest($1::uuid[]) with ordinality as c (workflow_id, place)
         cross join lateral (select * from workflow w where w.workflow_id = c.workflow_id offset 0) r
         cross join lateral (select content as document from document d where d.workflow_id = c.workflow_id and d.round = 1 offset 0) d
         where r.approval_status = 'pending'
         order by c.place"#,
        ids
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| (Outline::of(&row.document), row)).collect();
    // Few plans are approved step by step, so most pages need no second query.
    let stepwise: Vec<Uuid> = rows.iter().filter(|(outline, _)| outline.is_stepwise()).map(|(_, row)| row.workflow_id).collect();
    let mut steps = if stepwise.is_empty() { BTreeMap::new() } else { asked_steps(db, &stepwise).await? };
    let rows = rows.into_iter().map(|(outline, row)| PendingRow {
        step: steps.remove(&row.workflow_id),
        workflow_id: row.workflow_id,
        task_id: row.task_id,
        risk_level: row.risk_level,
        target: outline.target(row.target.as_deref()),
        description: outline.description.unwrap_or_default(),
        requested_by: row.requested_by,
        requested_at: row.requested_at,
        approvers: row.approvers,
        required: row.required,
        approvals: row.approvals,
        escalation_level: row.escalation_level,
        timetable: timetable(&row.timetable),
        expires_at: row.expires_at,
        due_at: row.timeout_at,
        digest: row.digest,
    });
    Ok(rows.collect())
}

/// The steps that people are asked about, by plan.
async fn asked_steps(db: &mut Lease, plans: &[Uuid]) -> Result<BTreeMap<Uuid, AskedStep>, Error> {
    let query = sqlx::query!(
        r#"select c.workflow_id as "workflow_id!", asked.step as "step!", submitted.data::jsonb #>> array['steps', (asked.step - 1)::text, 'level'] as "level!"
           from unnest($1::uuid[]) as c (workflow_id)
           cross join lateral (select (e.data::jsonb ->> 'step')::integer as step from workflow_event e
                               where e.workflow_id = c.workflow_id and e.kind = 'approval_requested'
                               order by e.workflow_id desc, e.version desc limit 1) asked
           join workflow_event submitted on submitted.workflow_id = c.workflow_id and submitted.version = 1
           where submitted.data::jsonb #>> array['steps', (asked.step - 1)::text, 'level'] is not null"#,
        plans
    );
    let rows = within(query.fetch_all(&mut **db)).await?;
    let step = |n: i32, risk_level: String| Some(AskedStep { n: u32::try_from(n).ok()?, risk_level });
    Ok(rows.into_iter().filter_map(|row| Some((row.workflow_id, step(row.step, row.level)?))).collect())
}
