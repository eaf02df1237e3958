//! One server at a time acts on a database.
//!
//! A server that finds an action which another process had begun takes that process for dead. Until owners have leases, that
//! is only right if there is no other. So a server claims its database before it acts, with an advisory lock on a connection
//! of its own: the database lets go of it the moment the process is gone, however it ended.

use super::Error;
use super::pool::{options, within};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

/// Any number that nobody else uses.
const LOCK: i64 = 0x7061_726B_6272_6B31;

/// A server's claim to a database, or its wish for one.
pub struct Presence(PgConnection);

impl Presence {
    /// Comes to the database, without claiming it yet.
    ///
    /// # Errors
    /// No database.
    pub async fn connect(database_url: &str) -> Result<Self, Error> {
        Ok(Self(within(options(database_url)?.connect()).await?))
    }

    /// Claims the database; `false` while another server has it.
    ///
    /// # Errors
    /// No database.
    pub async fn claim(&mut self) -> Result<bool, Error> {
        let claim = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK);
        within(claim.fetch_one(&mut self.0)).await
    }

    /// Whether the claim still holds: it does as long as its connection does.
    ///
    /// # Errors
    /// It does not.
    pub async fn check(&mut self) -> Result<(), Error> {
        within(self.0.ping()).await
    }
}
