//! The writes: batches of commits, each one statement, one transaction and one flush, with an
//! answer for each row. Superseding a request writes two rows in one transaction (`replace.rs`).
//!
//! The statements are the functions `open_workflows` and `advance_workflows` (0029_grant.sql,
//! 0032_renewal.sql). They take rows of custom types, so they are not checked at compile time like
//! the other queries; the tests of this module run them.

mod columns;
mod replace;
mod rows;

use super::pool::{unless_locked, within};
use super::{Error, Storage, record};
use crate::domain::grant::Micros;
use crate::domain::notice::outbox::Planned;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::via::Via;
use crate::domain::workflow::transition::Guard;
use crate::domain::workflow::{Event, Workflow};
use chrono::{DateTime, Utc};
pub use replace::Replacement;
use rows::{AdvanceRow, Commit, LoggedEvent, OpeningRow, PlannedNotice};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row as _};
use std::borrow::Borrow;
use uuid::Uuid;

/// A workflow's first commit.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The state after its events. Its times are provisional until the database sets the real one.
    pub workflow: Workflow,
    pub events: Vec<Event>,
    /// The way in through which the task came.
    pub via: Via,
    /// The task's canonical bytes.
    pub document: Vec<u8>,
    /// Whether the document contains the target: then lists read it there, and the row does not
    /// repeat it.
    pub is_claimed: bool,
    pub key: Option<IdempotencyKey>,
    /// What it begins to run, if anything.
    pub begins: Option<Begins>,
    /// The amount that it adds to the sum of the grant that releases it, if there is one.
    pub granted: Option<Micros>,
    /// The notices about it.
    pub notices: Vec<Planned>,
}

/// A later commit of a workflow.
#[derive(Debug, Clone)]
pub struct Advance {
    /// The version before it.
    pub expected: u32,
    /// The state after its events.
    pub workflow: Workflow,
    /// Who causes the events.
    pub actor: String,
    /// The way in that was used.
    pub via: Via,
    pub events: Vec<Event>,
    /// The canonical bytes of the new document in force, if it changes.
    pub document: Option<Vec<u8>>,
    pub guard: Guard,
    /// Its approximate time, by the clock that follows the database's.
    pub now: DateTime<Utc>,
    /// What it begins to run, if anything.
    pub begins: Option<Begins>,
    /// The notices about it.
    pub notices: Vec<Planned>,
}

/// What a commit begins to run. The database refuses it while a halt covers it, and once a freeze
/// has begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Begins {
    /// The environment in which it acts; `None` if unknown.
    pub environment: Option<String>,
    /// When the next freeze that covers it begins.
    pub before: Option<DateTime<Utc>>,
}

/// The result of one row of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is durable, at this time by the database's clock.
    Committed {
        at: DateTime<Utc>,
    },
    /// Another commit wrote the next event, or this very commit was written before.
    Conflict,
    /// The idempotency key is in use.
    Duplicate,
    TooEarly,
    TooLate,
    /// The server that would run the action holds no lease.
    NoLease,
    /// The server whose attempt would be taken over still holds its lease.
    OwnerActs,
    /// It begins to run something that a halt or a freeze holds.
    Held,
    /// The grant that would release it does not, or no longer does.
    Ungranted,
    /// It breaks the glass, and the same person has an open review.
    Unreviewed,
    /// Another transaction holds a lock on it; it was not written.
    Busy,
}

impl Written {
    /// Why a row was not written.
    fn refused(outcome: &str) -> Self {
        match outcome {
            "duplicate" => Self::Duplicate,
            "too_early" => Self::TooEarly,
            "too_late" => Self::TooLate,
            "fenced" => Self::NoLease,
            "owner_acts" => Self::OwnerActs,
            "held" => Self::Held,
            "ungranted" => Self::Ungranted,
            "unreviewed" => Self::Unreviewed,
            "busy" => Self::Busy,
            _ => Self::Conflict,
        }
    }
}

impl Storage {
    /// Opens a batch of workflows. The answers are in the order of the rows.
    ///
    /// # Errors
    /// The result of no row is known: the database did not answer, or refused the batch as a whole.
    pub async fn open<R: Borrow<Opening>>(&self, batch: &[R]) -> Result<Vec<Written>, Error> {
        self.store_terms(batch.iter().map(Borrow::borrow).flat_map(|opening: &Opening| &opening.events)).await?;
        match self.open_once(batch, false).await {
            // One of them was written before, and its answer was lost. Only now is each looked up,
            // and the others are written.
            Err(error) if is_there_already(&error) => self.open_once(batch, true).await,
            answer => answer,
        }
    }

    async fn open_once<R: Borrow<Opening>>(&self, batch: &[R], again: bool) -> Result<Vec<Written>, Error> {
        let mut db = self.lease_writer().await?;
        let answers = self.open_on(&mut db, batch, again).await?;
        db.release();
        Ok(answers)
    }

    async fn open_on<R: Borrow<Opening>>(&self, db: &mut PgConnection, batch: &[R], again: bool) -> Result<Vec<Written>, Error> {
        let mut log = Vec::with_capacity(2 * batch.len());
        let mut notices = Vec::new();
        let mut rows = Vec::with_capacity(batch.len());
        for opening in batch.iter().map(Borrow::borrow) {
            let Opening { workflow, via, events, .. } = opening;
            let actor = workflow.submission.requested_by.as_str();
            let commit = Commit { workflow_id: workflow.id, first: 1, actor, via: *via, events };
            rows.push(OpeningRow::of(opening, commit.log(self, &mut log)));
            notices.extend(opening.notices.iter().map(|notice| PlannedNotice::of(workflow.id, notice)));
        }
        let keyed = batch.iter().any(|opening| opening.borrow().key.is_some());
        let begins = batch.iter().any(|opening| opening.borrow().begins.is_some());
        let granted = batch.iter().any(|opening| opening.borrow().granted.is_some());
        let query = sqlx::query("select * from open_workflows($1, $6, $7, $2, $3, $4, $5)").bind(rows).bind(keyed).bind(again);
        let query = query.bind(begins).bind(granted);
        carry_out(db, query, log, notices, batch.len()).await
    }

    /// Advances a batch of workflows to their next versions. The answers are in the order of the
    /// rows. No workflow may be in a batch twice.
    ///
    /// # Errors
    /// The result of no row is known: the database did not answer, or refused the batch as a whole.
    pub async fn advance<R: Borrow<Advance>>(&self, batch: &[R]) -> Result<Vec<Written>, Error> {
        self.store_terms(batch.iter().map(Borrow::borrow).flat_map(|advance: &Advance| &advance.events)).await?;
        let mut db = self.lease_writer().await?;
        let answers = self.advance_on(&mut db, batch).await?;
        db.release();
        Ok(answers)
    }

    async fn advance_on<R: Borrow<Advance>>(&self, db: &mut PgConnection, batch: &[R]) -> Result<Vec<Written>, Error> {
        let mut log = Vec::with_capacity(2 * batch.len());
        let mut notices = Vec::new();
        let mut rows = Vec::with_capacity(batch.len());
        for advance in batch.iter().map(Borrow::borrow) {
            let Advance { expected, workflow, actor, via, events, .. } = advance;
            let commit = Commit { workflow_id: workflow.id, first: expected + 1, actor, via: *via, events };
            rows.push(AdvanceRow::of(advance, commit.log(self, &mut log)));
            notices.extend(advance.notices.iter().map(|notice| PlannedNotice::of(workflow.id, notice)));
        }
        let begins = batch.iter().any(|advance| advance.borrow().begins.is_some());
        let breaks_or_reviews = |event: &Event| matches!(event, Event::GlassBroken(_) | Event::Reviewed { .. });
        let glass = batch.iter().any(|advance| advance.borrow().events.iter().any(breaks_or_reviews));
        let renews = batch.iter().any(|advance| advance.borrow().document.is_some());
        let query = sqlx::query("select * from advance_workflows($1, $5, $6, $2, $3, $4)").bind(rows).bind(begins).bind(glass).bind(renews);
        carry_out(db, query, log, notices, batch.len()).await
    }

    /// When this very commit was written, if it was: after a lost answer, a conflict may be with
    /// the commit itself.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
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
            && rows
                .iter()
                .zip(events)
                .all(|(row, event)| row.actor == actor && row.data == record::write(event, self.terms_name(event)) && row.at == rows[0].at);
        Ok(rows.first().filter(|_| is_ours).map(|row| row.at))
    }
}

/// Whether a batch of first commits failed because one of its workflows exists.
fn is_there_already(error: &Error) -> bool {
    let Error::Refused(refusal) = error else { return false };
    refusal.as_database_error().is_some_and(|refusal| refusal.constraint() == Some("workflow_pkey"))
}

/// Adds the events and the notices to a statement, executes it, and reads the answer of each row.
async fn carry_out(
    db: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
    log: Vec<LoggedEvent<'_>>,
    notices: Vec<PlannedNotice<'_>>,
    rows: usize,
) -> Result<Vec<Written>, Error> {
    let found = unless_locked(query.bind(log).bind(notices).fetch_all(db)).await?;
    answers(&found, rows)
}

/// The first row says how many were written and when. Each other row names one that was not, and
/// why.
fn answers(found: &[PgRow], rows: usize) -> Result<Vec<Written>, Error> {
    let mut summary = None;
    let mut refused = Vec::new();
    for row in found {
        let at = row.try_get("at")?;
        match row.try_get::<Option<i64>, _>("ord")? {
            None => summary = Some((row.try_get::<i32, _>("written")?, at)),
            Some(ordinal) => refused.push((ordinal, Written::refused(row.try_get("outcome")?))),
        }
    }
    let (written, at) = summary.ok_or_else(|| Error::Unavailable("a batch was answered without a summary".to_owned()))?;
    if usize::try_from(written).ok().and_then(|written| written.checked_add(refused.len())) != Some(rows) {
        return Err(Error::Unavailable(format!("a batch of {rows} was answered for {written} and {}", refused.len())));
    }
    let mut answers = vec![Written::Committed { at }; rows];
    for (ordinal, answer) in refused {
        let entry = usize::try_from(ordinal).ok().and_then(|ordinal| answers.get_mut(ordinal.checked_sub(1)?));
        *entry.ok_or_else(|| Error::Unavailable("a batch was answered for a row that is not in it".to_owned()))? = answer;
    }
    Ok(answers)
}

fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
