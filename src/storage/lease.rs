//! The lease that lets one server at a time act on a database.
//!
//! A server that finds a running action of another process considers that process dead. That is
//! right only while no other server acts. So a server claims its database before it acts, for a
//! time measured by the database's clock, and renews the claim until it stops. The claim is a row,
//! and every change of it is a compare-and-set statement: a connection that breaks, hangs or comes
//! back neither loses the lease nor keeps it.

use super::Error;
use super::pool::options;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::future::Future;
use std::time::Duration;
use uuid::Uuid;

/// How long one statement may take, including connecting. It is short, so that a frozen connection
/// is abandoned and another one is tried while the lease is still valid.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(2);

/// A server as others see it.
#[derive(Debug, Clone)]
pub struct Server {
    /// A new id for each start.
    pub server_id: Uuid,
    /// Where it listens.
    pub address: String,
    /// The name of its machine.
    pub host: String,
    pub version: &'static str,
    /// Its process, if the operating system identifies it.
    pub process: Option<ServerProcess>,
}

/// The identity of a process, so that another process on the same machine can tell whether it still
/// exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProcess {
    /// The boot and the process namespace.
    pub machine: String,
    pub pid: i32,
    /// When it started, in the system's own units.
    pub started: i64,
}

/// The server that acts on a database.
#[derive(Debug, Clone)]
pub struct Holder {
    pub server_id: Uuid,
    pub address: String,
    pub host: String,
    pub started_at: DateTime<Utc>,
    pub process: Option<ServerProcess>,
    /// How long its lease lasts from the moment of the answer, unless it is renewed.
    pub lapses_in: Duration,
}

/// The result of a claim.
#[derive(Debug, Clone)]
pub enum Claim {
    /// The caller holds the lease.
    Granted,
    /// Another server holds it. `None` if it was a moment faster; asking again shows which one it
    /// is.
    Held(Option<Holder>),
}

/// Access to the lease, with a connection of its own, so that other work cannot delay a renewal.
#[derive(Debug)]
pub struct ServerLease {
    options: PgConnectOptions,
    length: Duration,
    /// Removed while it is in use, and put back only after an answer.
    connection: Option<PgConnection>,
}

impl ServerLease {
    /// Leases of this length. Nothing is connected yet.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn new(database_url: &str, length: Duration) -> Result<Self, Error> {
        // PostgreSQL notices within seconds that the other end of a dead connection is gone.
        let keepalives = [("tcp_keepalives_idle", "2"), ("tcp_keepalives_interval", "1"), ("tcp_keepalives_count", "3")];
        Ok(Self { options: options(database_url)?.options(keepalives), length, connection: None })
    }

    /// Claims the database for a server. `gone` is a holder whose process the caller knows to have
    /// ended.
    ///
    /// # Errors
    /// The database did not answer; the claim may still have been granted. Asking again is safe.
    pub async fn claim(&mut self, server: &Server, gone: Option<Uuid>) -> Result<Claim, Error> {
        let mut db = self.connection().await?;
        let process = server.process.as_ref();
        let query = sqlx::query!(
            r#"select claimed as "claimed!", server_id, address, host, machine, pid, process_started, started_at, lapses_in
               from claim_server($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
            server.server_id,
            server.address,
            server.host,
            server.version,
            process.map(|process| process.machine.as_str()),
            process.map(|process| process.pid),
            process.map(|process| process.started),
            self.length.as_secs_f64(),
            gone
        );
        let row = soon(query.fetch_one(&mut db)).await?;
        self.connection = Some(db);
        if row.claimed {
            return Ok(Claim::Granted);
        }
        let process = row.machine.zip(row.pid).zip(row.process_started);
        let process = process.map(|((machine, pid), started)| ServerProcess { machine, pid, started });
        let holder = row.server_id.zip(row.started_at).map(|(server_id, started_at)| Holder {
            server_id,
            address: row.address.unwrap_or_default(),
            host: row.host.unwrap_or_default(),
            started_at,
            process,
            lapses_in: Duration::try_from_secs_f64(row.lapses_in.unwrap_or_default()).unwrap_or_default(),
        });
        Ok(Claim::Held(holder))
    }

    /// Renews the lease; `false` if another server has claimed the database. A lease that has
    /// lapsed and that nobody has claimed is renewed like any other.
    ///
    /// # Errors
    /// The database did not answer; the lease may still have been renewed.
    pub async fn renew(&mut self, server_id: Uuid) -> Result<bool, Error> {
        let mut db = self.connection().await?;
        let query = sqlx::query!(
            "update server set lease_until = clock_timestamp() + make_interval(secs => $2) where server_id = $1 and acts",
            server_id,
            self.length.as_secs_f64()
        );
        let renewed = soon(query.execute(&mut db)).await?.rows_affected();
        self.connection = Some(db);
        Ok(renewed == 1)
    }

    /// Gives the lease back, so that the next server can act at once.
    ///
    /// # Errors
    /// The database did not answer; then the lease lapses on its own.
    pub async fn release(&mut self, server_id: Uuid) -> Result<(), Error> {
        let mut db = self.connection().await?;
        let query = sqlx::query!(
            "update server set acts = false, ended_at = clock_timestamp(), lease_until = least(lease_until, clock_timestamp())
             where server_id = $1 and acts",
            server_id
        );
        soon(query.execute(&mut db)).await?;
        let _ = soon(db.close()).await;
        Ok(())
    }

    async fn connection(&mut self) -> Result<PgConnection, Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => soon(self.options.connect()).await,
        }
    }
}

async fn soon<T>(query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(STATEMENT_TIMEOUT, query).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Unavailable(format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs()))),
    }
}
