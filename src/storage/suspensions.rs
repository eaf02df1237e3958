//! Suspensions. Names are compared in lower case: a name is one person or agent whatever its case.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::policy::Suspended;
use chrono::{DateTime, Utc};

/// A suspension in force.
#[derive(Debug)]
pub struct SuspensionRow {
    /// In lower case.
    pub name: String,
    pub suspended_at: DateTime<Utc>,
    pub reason: Option<String>,
}

impl Storage {
    /// Who is suspended now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn suspended(&self) -> Result<Suspended, Error> {
        Ok(self.suspensions().await?.into_iter().map(|row| row.name).collect())
    }

    /// The suspensions in force, by name.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn suspensions(&self) -> Result<Vec<SuspensionRow>, Error> {
        let mut db = self.lease().await?;
        let query =
            sqlx::query_as!(SuspensionRow, "select name, suspended_at, reason from suspension where restored_at is null order by name");
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// Takes all rights away from a name. Returns whether it was not suspended before.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn suspend(&self, name: &str, reason: Option<&str>) -> Result<bool, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "insert into suspension (name, reason) values (lower($1), $2) on conflict (name) where restored_at is null do nothing",
            name,
            reason
        );
        let done = within(query.execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected() > 0)
    }

    /// Ends the suspension of a name. Returns whether there was one.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn restore(&self, name: &str) -> Result<bool, Error> {
        let mut db = self.lease().await?;
        let query =
            sqlx::query!("update suspension set restored_at = clock_timestamp() where name = lower($1) and restored_at is null", name);
        let done = within(query.execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected() > 0)
    }
}
