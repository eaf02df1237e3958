//! The writes: batches of commits, each one statement, one transaction and one flush, with an answer for each row.
//!
//! The statements are the two functions of `migrations/0020_commit.sql`. They are built for arrays, so they are not among
//! the queries that are checked at compile time; the tests of this module run them.

mod columns;

use super::pool::{unless_locked, within};
use super::seal::{self, EventRow};
use super::{Error, IdempotencyKey, Storage, record};
use crate::domain::approval;
use crate::domain::outbox::Planned;
use crate::domain::policy::Role;
use crate::domain::transition::Guard;
use crate::domain::via::Via;
use crate::domain::workflow::{ApprovalStatus, Event, Round, Workflow};
use crate::secret_key::SecretKeys;
use chrono::{DateTime, Utc};
use columns::{approvers, relies_on, reopened, report_after, request_after, resolution, starter, timeout_after};
use serde::Serialize;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};
use std::borrow::Borrow;
use uuid::Uuid;

/// A workflow's first commit.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The state after its events. Its times are provisional: the database gives the real one.
    pub workflow: Workflow,
    pub events: Vec<Event>,
    /// The door by which the task came.
    pub via: Via,
    /// The task's canonical bytes.
    pub document: Vec<u8>,
    pub key: Option<IdempotencyKey>,
    /// What is said of it to the outside.
    pub notices: Vec<Planned>,
}

/// A later commit of a workflow.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The version that it builds on.
    pub expected: u32,
    /// The state after its events.
    pub workflow: Workflow,
    /// Who causes the events.
    pub actor: String,
    /// The door by which they came.
    pub via: Via,
    pub events: Vec<Event>,
    pub guard: Guard,
    /// What is said of it to the outside.
    pub notices: Vec<Planned>,
}

/// What became of one row of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable, at this time by the database's clock.
    Committed {
        at: DateTime<Utc>,
    },
    /// Somebody else wrote the next event, or this very commit was written before.
    Conflict,
    /// The idempotency key is in use.
    Duplicate,
    TooEarly,
    TooLate,
    /// The server that would run the action holds no lease.
    Fenced,
    /// The server whose attempt would be taken up still holds its lease.
    OwnerActs,
    /// Somebody else has locked it just now; it was not written.
    Busy,
}

impl Written {
    /// Why a row was not written.
    fn refused(outcome: &str) -> Self {
        match outcome {
            "duplicate" => Self::Duplicate,
            "too_early" => Self::TooEarly,
            "too_late" => Self::TooLate,
            "fenced" => Self::Fenced,
            "owner_acts" => Self::OwnerActs,
            "busy" => Self::Busy,
            _ => Self::Conflict,
        }
    }
}

/// The events of a batch, column by column.
struct Log<'a> {
    /// What they are sealed with; nothing, where whoever writes has no key. The server does not act upon that.
    keys: Option<&'a SecretKeys>,
    workflow_id: Vec<Uuid>,
    version: Vec<i32>,
    kind: Vec<&'static str>,
    actor: Vec<&'a str>,
    data: Vec<String>,
    via: Vec<&'static str>,
    seal: Vec<Option<Vec<u8>>>,
    /// The seals of the workflows' rows, one for each commit.
    heads: Vec<Option<Vec<u8>>>,
}

impl<'a> Log<'a> {
    fn new(keys: Option<&'a SecretKeys>) -> Self {
        Self {
            keys,
            workflow_id: Vec::new(),
            version: Vec::new(),
            kind: Vec::new(),
            actor: Vec::new(),
            data: Vec::new(),
            via: Vec::new(),
            seal: Vec::new(),
            heads: Vec::new(),
        }
    }

    /// Adds the events of one commit.
    fn push(&mut self, workflow_id: Uuid, first: u32, (actor, via): (&'a str, Via), events: &[Event]) {
        let mut head = None;
        for (event, version) in events.iter().zip(first..) {
            let (version, kind, via, data) = (number(version), event.name(), via.as_str(), record::write(event));
            let row = EventRow { workflow_id, version, kind, actor, via: Some(via), data: &data };
            let seal = self.keys.map(|keys| seal::event(keys, &row).to_vec());
            head = self.keys.zip(seal.as_ref()).map(|(keys, last)| seal::head(keys, workflow_id, version, last).to_vec());
            self.workflow_id.push(workflow_id);
            self.version.push(version);
            self.kind.push(kind);
            self.actor.push(actor);
            self.data.push(data);
            self.via.push(via);
            self.seal.push(seal);
        }
        self.heads.push(head);
    }

    /// Adds the columns to a statement.
    fn bind<'q>(self, query: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments>
    where
        'a: 'q,
    {
        query.bind(self.workflow_id).bind(self.version).bind(self.kind).bind(self.actor).bind(self.data).bind(self.via).bind(self.seal)
    }
}

/// The notices of a batch, each with its workflow.
type Notices<'a> = Vec<(Uuid, &'a Planned)>;

/// The request of an opening, as its columns.
struct Asked {
    approvers: String,
    required: i32,
    separation: bool,
    timetable: String,
    timeout_after: Option<f64>,
    expire_after: Option<f64>,
}

/// A step of the timetable, as it is stored.
#[derive(Serialize)]
struct Step<'a> {
    /// Seconds.
    after: u64,
    to: &'a [Role],
}

impl Asked {
    fn of(round: &Round) -> Self {
        let steps: Vec<_> = round.terms.escalation.iter().map(|step| Step { after: step.after.as_secs(), to: &step.to }).collect();
        Self {
            approvers: joined(&approvers(round)),
            required: number(round.terms.required),
            separation: round.terms.separation_of_duties,
            timetable: serde_json::to_string(&steps).expect("a list of numbers and names"),
            timeout_after: timeout_after(round),
            expire_after: round.terms.expire_after.map(|delay| delay.as_secs_f64()),
        }
    }
}

impl Storage {
    /// Opens a batch of workflows; the answers are in the order of the rows.
    ///
    /// # Errors
    /// Nothing is known of any row: the database did not answer, or refused the batch as a whole.
    pub async fn open<R: Borrow<Opening>>(&self, batch: &[R]) -> Result<Vec<Written>, Error> {
        let batch: Vec<&Opening> = batch.iter().map(Borrow::borrow).collect();
        let mut log = Log::new(self.keys().ok());
        let mut documents: Vec<Option<&[u8]>> = Vec::new();
        for opening in &batch {
            log.push(opening.workflow.id, 1, (&opening.workflow.submission.requested_by, opening.via), &opening.events);
            documents.push(Some(&opening.document));
            documents.resize(log.version.len(), None);
        }
        let notices = batch.iter().flat_map(|row| row.notices.iter().map(|notice| (row.workflow.id, notice))).collect();
        let asked: Vec<Option<Asked>> = batch.iter().map(|opening| opening.workflow.round().map(Asked::of)).collect();
        let query = sqlx::query("select * from open_workflows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)")
            .bind(column(&batch, |row| row.workflow.id))
            .bind(column(&batch, |row| number(row.workflow.version)))
            .bind(std::mem::take(&mut log.heads))
            .bind(column(&batch, |row| row.workflow.status().as_str()))
            .bind(column(&batch, |row| row.workflow.submission.assessment.level.as_str()))
            .bind(column(&batch, |row| row.workflow.submission.action.as_str()))
            .bind(column(&batch, |row| row.workflow.submission.task_id.as_deref()))
            .bind(column(&batch, |row| row.workflow.submission.requested_by.as_str()))
            .bind(column(&batch, |row| row.workflow.submission.on_behalf_of.as_deref()))
            .bind(column(&batch, |row| row.workflow.submission.digest.as_str()))
            .bind(column(&batch, |row| row.workflow.submission.target.as_ref().map(record::write_target)))
            .bind(column(&batch, |row| row.key.as_ref().map(|key| key.key.as_str())))
            .bind(column(&batch, |row| row.key.as_ref().map(|key| key.fingerprint.as_str())))
            .bind(column(&asked, |asked| asked.as_ref().map(|asked| asked.approvers.as_str())))
            .bind(column(&asked, |asked| asked.as_ref().map(|asked| asked.required)))
            .bind(column(&asked, |asked| asked.as_ref().map(|asked| asked.separation)))
            .bind(column(&asked, |asked| asked.as_ref().map(|asked| asked.timetable.as_str())))
            .bind(column(&asked, |asked| asked.as_ref().and_then(|asked| asked.timeout_after)))
            .bind(column(&asked, |asked| asked.as_ref().and_then(|asked| asked.expire_after)))
            .bind(column(&batch, |row| report_after(&row.workflow)));
        let query = log.bind(query).bind(documents);
        self.carry_out(query, notices, batch.len()).await
    }

    /// Takes a batch of workflows to their next version; the answers are in the order of the rows. No workflow may be in
    /// a batch twice.
    ///
    /// # Errors
    /// Nothing is known of any row: the database did not answer, or refused the batch as a whole.
    pub async fn advance<R: Borrow<Advance>>(&self, batch: &[R]) -> Result<Vec<Written>, Error> {
        let batch: Vec<&Advance> = batch.iter().map(Borrow::borrow).collect();
        let mut log = Log::new(self.keys().ok());
        for advance in &batch {
            log.push(advance.workflow.id, advance.expected + 1, (&advance.actor, advance.via), &advance.events);
        }
        let notices = batch.iter().flat_map(|row| row.notices.iter().map(|notice| (row.workflow.id, notice))).collect();
        let requests: Vec<Option<(&Round, ApprovalStatus)>> = batch.iter().copied().map(request_after).collect();
        let reopened: Vec<Option<Asked>> = batch.iter().map(|row| reopened(row).map(Asked::of)).collect();
        let request = |of: fn(&Round, ApprovalStatus) -> Option<String>| -> Vec<Option<String>> {
            requests.iter().map(|request| request.and_then(|(round, status)| of(round, status))).collect()
        };
        let query = sqlx::query(
            "select * from advance_workflows($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)",
        )
        .bind(column(&batch, |row| row.workflow.id))
        .bind(column(&batch, |row| number(row.expected)))
        .bind(column(&batch, |row| number(row.workflow.version)))
        .bind(std::mem::take(&mut log.heads))
        .bind(column(&batch, |row| row.workflow.status().as_str()))
        .bind(column(&batch, |row| row.guard.not_before))
        .bind(column(&batch, |row| row.guard.not_after))
        .bind(column(&batch, |row| starter(&row.events)))
        .bind(column(&batch, |row| row.guard.lapsed))
        .bind(request(|_, status| Some(status.as_str().to_owned())))
        .bind(request(|round, _| Some(joined(&approvers(round)))))
        .bind(request(|round, _| Some(joined(&approval::open_roles(round)))))
        .bind(column(&requests, |request| request.map(|(round, _)| number(u32::try_from(round.approvals.len()).unwrap_or(0)))))
        .bind(request(|round, _| Some(joined(&round.approvals.iter().map(|approval| approval.approver.clone()).collect::<Vec<_>>()))))
        .bind(column(&requests, |request| request.map(|(round, _)| number(round.escalation_level))))
        .bind(column(&requests, |request| {
            request.and_then(|(round, status)| (status == ApprovalStatus::Pending).then(|| timeout_after(round)).flatten())
        }))
        .bind(column(&batch, |row| resolution(row).map(|(by, _)| by)))
        .bind(column(&batch, |row| resolution(row).and_then(|(_, note)| note)))
        .bind(column(&reopened, |asked| asked.as_ref().map(|asked| asked.required)))
        .bind(column(&reopened, |asked| asked.as_ref().map(|asked| asked.separation)))
        .bind(column(&reopened, |asked| asked.as_ref().map(|asked| asked.timetable.as_str())))
        .bind(column(&reopened, |asked| asked.as_ref().and_then(|asked| asked.expire_after)))
        .bind(column(&batch, |row| relies_on(row)))
        .bind(column(&batch, |row| report_after(&row.workflow)));
        self.carry_out(log.bind(query), notices, batch.len()).await
    }

    /// Adds the notices to a statement, carries it out, and reads the answer of each row.
    async fn carry_out(&self, query: Query<'_, Postgres, PgArguments>, notices: Notices<'_>, rows: usize) -> Result<Vec<Written>, Error> {
        let query = query
            .bind(column(&notices, |(_, notice)| notice.id))
            .bind(column(&notices, |(workflow_id, _)| *workflow_id))
            .bind(column(&notices, |(_, notice)| number(notice.version)))
            .bind(column(&notices, |(_, notice)| notice.kind.as_str()))
            .bind(column(&notices, |(_, notice)| number(notice.number)))
            .bind(column(&notices, |(_, notice)| notice.level.as_str()))
            .bind(column(&notices, |(_, notice)| notice.channel.as_str()))
            .bind(column(&notices, |(_, notice)| notice.recipient.as_deref()))
            .bind(column(&notices, |(_, notice)| notice.due_after.as_secs_f64()));
        let mut db = self.lease_writer().await?;
        let found = unless_locked(query.fetch_all(&mut *db)).await?;
        db.release();
        answers(&found, rows)
    }

    /// When this very commit was written, if it was: after an answer that was lost, a conflict may be one with oneself.
    ///
    /// # Errors
    /// No database.
    pub async fn written_before(
        &self,
        workflow_id: Uuid,
        first: u32,
        actor: &str,
        events: &[Event],
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "select actor, at, data from workflow_event where workflow_id = $1 and version >= $2 order by version limit $3",
            workflow_id,
            number(first),
            i64::try_from(events.len()).unwrap_or(i64::MAX)
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let is_ours = rows.len() == events.len()
            && rows.iter().zip(events).all(|(row, event)| row.actor == actor && row.data == record::write(event) && row.at == rows[0].at);
        Ok(rows.first().filter(|_| is_ours).map(|row| row.at))
    }
}

/// One row says how many were written and when; each of the others says which one was not, and why.
fn answers(found: &[PgRow], rows: usize) -> Result<Vec<Written>, Error> {
    let mut summary = None;
    let mut refused = Vec::new();
    for row in found {
        let at = row.try_get("at")?;
        match row.try_get::<Option<i64>, _>("ord")? {
            None => summary = Some((row.try_get::<i32, _>("written")?, at)),
            Some(place) => refused.push((place, Written::refused(row.try_get("outcome")?))),
        }
    }
    let (written, at) = summary.ok_or_else(|| Error::Unavailable("a batch was answered without a summary".to_owned()))?;
    if usize::try_from(written).ok().and_then(|written| written.checked_add(refused.len())) != Some(rows) {
        return Err(Error::Unavailable(format!("a batch of {rows} was answered for {written} and {}", refused.len())));
    }
    let mut answers = vec![Written::Committed { at }; rows];
    for (place, answer) in refused {
        let place = usize::try_from(place).ok().and_then(|place| answers.get_mut(place.checked_sub(1)?));
        *place.ok_or_else(|| Error::Unavailable("a batch was answered for a row that is not in it".to_owned()))? = answer;
    }
    Ok(answers)
}

fn column<'a, R, T>(batch: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    batch.iter().map(of).collect()
}

/// Names hold no commas: the configuration sees to it.
fn joined(names: &[Role]) -> String {
    names.join(",")
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
