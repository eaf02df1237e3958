//! Halts, and the log of operations on parkbrake as a whole.
//!
//! The start gate orders a halt and a start that are written at the same moment
//! (`migrations/0028_halt.sql`).

use super::pool::within;
use super::{Error, Storage};
use crate::domain::hold::Halt;
use crate::domain::via::Via;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Stored instead of an environment's name for everything.
const EVERYTHING: &str = "";

/// The halts at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HaltState {
    pub halts: Vec<Halt>,
    /// The number of the log's last entry. The same number means the same halts, except for drills
    /// that have lapsed.
    pub number: i64,
}

/// A new halt.
#[derive(Debug, Clone)]
pub struct NewHalt {
    /// Chosen by the caller, so that repeating the request is safe.
    pub id: Uuid,
    /// `None` is everything.
    pub environment: Option<String>,
    pub by: String,
    pub via: Via,
    pub reason: String,
    /// The seconds after which a drill ends on its own; `None` for a halt that somebody has to
    /// lift.
    pub drill_for: Option<f64>,
}

/// The result of a halt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halted {
    /// From this moment on, nothing that it covers is recorded as started.
    Now(Halt),
    /// This earlier halt is in force already.
    Before(Halt),
    /// This halt prevents the drill.
    Occupied(Halt),
    /// The caller is suspended; nothing was done.
    Suspended,
}

/// The halt to lift, or the drill to end.
#[derive(Debug, Clone)]
pub struct Lift {
    pub environment: Option<String>,
    /// The drill to end, and its measurements as JSON.
    pub drill: Option<(Uuid, String)>,
    pub by: String,
    pub via: Via,
    pub reason: Option<String>,
}

/// The result of lifting a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifted {
    Now(DateTime<Utc>),
    /// There was no such halt.
    Before,
    Suspended,
}

/// An entry of the log.
#[derive(Debug)]
pub struct OperationRow {
    pub number: i64,
    pub at: DateTime<Utc>,
    /// `halted`, `resumed`, `drill_began` or `drill_ended`.
    pub kind: String,
    /// `None` is everything.
    pub environment: Option<String>,
    pub actor: String,
    pub via: String,
    pub reason: Option<String>,
    /// The measurements of a drill, as JSON.
    pub figures: Option<String>,
}

/// An active server, and how far it knows the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaltKnown {
    pub server_id: Uuid,
    pub address: String,
    pub number: i64,
}

impl Storage {
    /// The halts in force, oldest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn halts(&self) -> Result<HaltState, Error> {
        let mut db = self.lease_background().await?;
        // One statement, so that the number and the halts are consistent.
        let query = sqlx::query!(
            r#"select (select coalesce(max(number), 0) from operations_log) as "number!", h.environment as "environment?",
                      h.halt_id as "halt_id?", h.halted_by as "halted_by?", h.via as "via?", h.reason as "reason?", h.since as "since?",
                      h.lapses_at as "lapses_at?"
               from (select 1 as one) always left join halt h on h.lapses_at is null or h.lapses_at > clock_timestamp()
               order by h.since"#
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let number = rows.first().map_or(0, |row| row.number);
        let halts = rows.into_iter().filter_map(|row| {
            let is_drill = row.lapses_at.is_some();
            Some(halt(row.halt_id?, &row.environment?, row.halted_by?, &row.via?, row.reason?, row.since?, is_drill))
        });
        Ok(HaltState { halts: halts.collect(), number })
    }

    /// Halts an environment, or everything.
    ///
    /// # Errors
    /// The database is unavailable, or it does not answer in time. The change may still have been
    /// made; asking again is safe.
    pub async fn halt(&self, new: &NewHalt) -> Result<Halted, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select outcome as "outcome!", (found).environment as "environment?", (found).halt_id as "halt_id?", (found).halted_by as "halted_by?",
                      (found).via as "via?", (found).reason as "reason?", (found).since as "since?", (found).lapses_at as "lapses_at?"
               from halt_starts($1, $2, $3, $4, $5, $6)"#,
            new.id,
            new.environment.as_deref().unwrap_or(EVERYTHING),
            new.by,
            new.via.as_str(),
            new.reason,
            new.drill_for
        );
        let row = within(query.fetch_one(&mut *db)).await?;
        db.release();
        let is_drill = row.lapses_at.is_some();
        let found = (|| Some(halt(row.halt_id?, &row.environment?, row.halted_by?, &row.via?, row.reason?, row.since?, is_drill)))();
        match (row.outcome.as_str(), found) {
            ("halted", Some(halt)) => Ok(Halted::Now(halt)),
            ("unchanged", Some(halt)) => Ok(Halted::Before(halt)),
            ("occupied", Some(halt)) => Ok(Halted::Occupied(halt)),
            ("suspended", _) => Ok(Halted::Suspended),
            (other, _) => Err(Error::Unavailable(format!("a halt was answered with {other}"))),
        }
    }

    /// Lifts the halt of an environment or of everything, or ends a drill.
    ///
    /// # Errors
    /// As [`Self::halt`].
    pub async fn lift(&self, lift: &Lift) -> Result<Lifted, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select outcome as "outcome!", at as "at!" from resume_starts($1, $2, $3, $4, $5, $6)"#,
            lift.environment.as_deref().unwrap_or(EVERYTHING),
            lift.drill.as_ref().map(|(id, _)| *id),
            lift.by,
            lift.via.as_str(),
            lift.reason,
            lift.drill.as_ref().map(|(_, figures)| figures.as_str())
        );
        let row = within(query.fetch_one(&mut *db)).await?;
        db.release();
        match row.outcome.as_str() {
            "resumed" => Ok(Lifted::Now(row.at)),
            "unchanged" => Ok(Lifted::Before),
            "suspended" => Ok(Lifted::Suspended),
            other => Err(Error::Unavailable(format!("lifting a halt was answered with {other}"))),
        }
    }

    /// Records that a server knows the log up to a number, and starts nothing that is halted there.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn acknowledge_halts(&self, server_id: Uuid, number: i64) -> Result<(), Error> {
        let mut db = self.lease_background().await?;
        let query = sqlx::query!("update server set halts_known = $2 where server_id = $1 and halts_known < $2", server_id, number);
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// The active servers, and how far each knows the log.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn halts_known(&self) -> Result<Vec<HaltKnown>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            HaltKnown,
            r#"select server_id, address, halts_known as "number!" from server
               where acts and lease_until > clock_timestamp() order by server_id"#
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// The latest entries of the log, newest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn operations(&self, limit: i64) -> Result<Vec<OperationRow>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query_as!(
            OperationRow,
            r#"select number, at, kind, nullif(environment, '') as "environment?", actor, via, reason, figures
               from operations_log order by number desc limit $1"#,
            limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }
}

fn halt(id: Uuid, environment: &str, by: String, via: &str, reason: String, since: DateTime<Utc>, is_drill: bool) -> Halt {
    let environment = (environment != EVERYTHING).then(|| environment.to_owned());
    Halt { id, environment, by, via: Via::parse(via).unwrap_or_default(), reason, since, is_drill }
}
