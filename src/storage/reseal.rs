//! Renewing seals: with another key, or for data from before there were seals.

use super::pool::within;
use super::seal::{self, EventRow, Head};
use super::{Error, Storage};
use crate::secret_key::Purpose;
use uuid::Uuid;

/// The state of a database's seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// Everything is sealed with one of the given keys.
    Sound,
    /// There are workflows from before there were seals.
    Incomplete,
    /// It is sealed with a key that was not given.
    OtherKey,
}

/// The result of one step.
#[derive(Debug, Default)]
pub struct Resealed {
    /// The last workflow that was examined; the next step begins after it.
    pub visited: Uuid,
    /// Sealed with the current key already.
    pub current: usize,
    /// Sealed with an earlier key.
    pub earlier: usize,
    /// From before there were seals.
    pub unsealed: usize,
    /// Not written by a server with one of these keys; they stay as they are.
    pub foreign: Vec<(Uuid, String)>,
}

/// An event's row with the row of its workflow.
struct Row {
    workflow_id: Uuid,
    row_version: i32,
    row_seal: Option<Vec<u8>>,
    version: i32,
    kind: String,
    actor: String,
    via: Option<String>,
    data: String,
    seal: Option<Vec<u8>>,
}

impl Row {
    fn event(&self) -> EventRow<'_> {
        let Self { workflow_id, version, .. } = *self;
        EventRow { workflow_id, version, kind: &self.kind, actor: &self.actor, via: self.via.as_deref(), data: &self.data }
    }
}

/// The new seals of some workflows, column by column.
#[derive(Default)]
struct Seals {
    workflow_id: Vec<Uuid>,
    version: Vec<i32>,
    seal: Vec<Vec<u8>>,
    of_events: (Vec<Uuid>, Vec<i32>, Vec<Vec<u8>>),
}

const KEY_CHECK: &[&[u8]] = &[b"which key"];

impl Storage {
    /// The state of this database's seals. The first server's key becomes the database's.
    ///
    /// # Errors
    /// The database is unavailable, or there is no key.
    pub async fn sealing(&self) -> Result<Sealing, Error> {
        let keys = self.keys()?;
        let mut db = self.lease().await?;
        let row = within(sqlx::query!("select complete, key_check from sealing").fetch_one(&mut *db)).await?;
        if row.complete && row.key_check.is_none() {
            let first = keys.seal(Purpose::Head, KEY_CHECK).to_vec();
            within(sqlx::query!("update sealing set key_check = $1 where key_check is null", first).execute(&mut *db)).await?;
        }
        db.release();
        Ok(match row.key_check {
            Some(check) if !keys.verifies(Purpose::Head, KEY_CHECK, &check) => Sealing::OtherKey,
            _ if !row.complete => Sealing::Incomplete,
            _ => Sealing::Sound,
        })
    }

    /// Records that everything is sealed with the current key.
    ///
    /// # Errors
    /// The database is unavailable, there is no key, or the database user lacks the right.
    pub async fn sealed(&self) -> Result<(), Error> {
        let check = self.keys()?.seal(Purpose::Head, KEY_CHECK).to_vec();
        let mut db = self.lease().await?;
        within(sqlx::query!("update sealing set complete = true, key_check = $1", check).execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Examines up to `limit` workflows after an id. With `write`, those of an earlier key are
    /// sealed again; with `adopt`, also those without any seal. `None` if there are no more.
    ///
    /// # Errors
    /// The database is unavailable, there is no key, or the database user lacks the right.
    pub async fn reseal_step(&self, after: Uuid, limit: i64, write: bool, adopt: bool) -> Result<Option<Resealed>, Error> {
        let keys = self.keys()?;
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            Row,
            r#"select w.workflow_id as "workflow_id!", w.version as "row_version!", w.seal as row_seal, e.version, e.kind, e.actor, e.via,
                      e.data, e.seal
               from (select workflow_id, version, seal from workflow where workflow_id > $1 order by workflow_id limit $2) w
               join workflow_event e using (workflow_id)
               order by w.workflow_id, e.version"#,
            after,
            limit
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        let Some(last) = rows.last() else {
            db.release();
            return Ok(None);
        };
        let mut found = Resealed { visited: last.workflow_id, ..Resealed::default() };
        let mut seals = Seals::default();
        for log in rows.chunk_by(|one, next| one.workflow_id == next.workflow_id) {
            let (id, version) = (log[0].workflow_id, log[0].row_version);
            let sealed = || log.iter().map(|row| (row.event(), row.seal.as_deref()));
            let head = Head { version, seal: log[0].row_seal.as_deref() };
            match seal::verify(keys, id, sealed(), Some(&head)) {
                Ok(()) if seal::is_current(keys, sealed()) => found.current += 1,
                Ok(()) => {
                    found.earlier += 1;
                    seals.add(self, log)?;
                }
                Err(_) if is_unsealed_and_whole(log) => {
                    found.unsealed += 1;
                    if adopt {
                        seals.add(self, log)?;
                    }
                }
                Err(detail) => found.foreign.push((id, detail)),
            }
        }
        if write && !seals.workflow_id.is_empty() {
            let (ids, versions, of_events) = &seals.of_events;
            let query = sqlx::query("select reseal($1, $2, $3, $4, $5, $6)")
                .bind(&seals.workflow_id)
                .bind(&seals.version)
                .bind(&seals.seal)
                .bind(ids)
                .bind(versions)
                .bind(of_events);
            within(query.execute(&mut *db)).await?;
        }
        db.release();
        Ok(Some(found))
    }
}

fn is_unsealed_and_whole(log: &[Row]) -> bool {
    let without = log.iter().all(|row| row.seal.is_none() && row.row_seal.is_none());
    without
        && log.iter().zip(1..).all(|(row, version)| row.version == version)
        && log.last().is_some_and(|row| row.version == row.row_version)
}

impl Seals {
    fn add(&mut self, storage: &Storage, log: &[Row]) -> Result<(), Error> {
        let keys = storage.keys()?;
        let mut last = Vec::new();
        for row in log {
            last = seal::event(keys, &row.event()).to_vec();
            self.of_events.0.push(row.workflow_id);
            self.of_events.1.push(row.version);
            self.of_events.2.push(last.clone());
        }
        let (id, version) = (log[0].workflow_id, log[0].row_version);
        self.workflow_id.push(id);
        self.version.push(version);
        self.seal.push(seal::head(keys, id, version, &last).to_vec());
        Ok(())
    }
}
