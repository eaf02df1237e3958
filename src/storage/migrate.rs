//! Migrates a database to this version, safely even if several servers start at the same moment.

use super::encoding::require_utf8;
use super::pool::{options, within};
use super::{Error, is_transient};
use chrono::{DateTime, Utc};
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An arbitrary number for the lock: one server migrates at a time.
const LOCK: i64 = 0x7061_726B_6272_616B;
/// How long to wait for a server that is migrating.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// The time between two checks of a running migration.
const LOOK: Duration = Duration::from_secs(3);
/// How many checks in a row may stay unanswered.
const UNANSWERED: u32 = 2;

/// Applies the missing migrations. An older program accepts a newer database: it leaves unknown
/// migrations alone.
///
/// It uses a connection of its own that is closed afterwards, so that the lock never outlives a
/// failure. PostgreSQL notices within seconds when the other end of that connection disappears, and
/// then releases the lock. A migration is one transaction: if the connection is lost in the middle,
/// none of it was done, and migrating again is safe.
///
/// A migration may take as long as it needs, so nothing limits its statements. A second connection
/// checks whether PostgreSQL is working on it. If not, the answer will never come, and the
/// connection is abandoned.
///
/// # Errors
/// `Unavailable` if the database cannot be reached or the connection was lost; otherwise the
/// database cannot be used, or a migration failed.
pub async fn migrate(database_url: &str) -> Result<(), Error> {
    let keepalives = [("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "2"), ("tcp_keepalives_count", "3")];
    let options = options(database_url)?.options(keepalives);
    let mut connection = within(options.connect()).await?;
    require_utf8(&mut connection).await?;
    let waiting = Instant::now();
    while !within(sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK).fetch_one(&mut connection)).await? {
        if waiting.elapsed() > LOCK_TIMEOUT {
            return Err(Error::Unavailable("another process has been migrating this database for a minute".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let backend = within(Backend::of(&mut connection)).await?;
    // A migration of a large table may take its time; one that waits for a lock must not make
    // everybody else wait.
    within(sqlx::query!("set statement_timeout = 0").execute(&mut connection)).await?;
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_locking(false).set_ignore_missing(true);
    tokio::select! {
        biased;
        migrated = migrator.run(&mut connection) => migrated.map_err(failed)?,
        reason = backend.silence(&options) => return Err(lost(reason)),
    }
    // The work is done. If closing fails, the connection is gone, and the lock with it.
    let _ = within(connection.close()).await;
    Ok(())
}

/// A lost connection says nothing about the migration.
fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) if is_transient(&cause) => lost(cause),
        other => Error::Refused(Arc::new(sqlx::Error::Migrate(Box::new(other)))),
    }
}

fn lost(cause: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("the connection was lost while migrating: {cause}"))
}

/// The PostgreSQL process that runs a migration.
#[derive(Debug, Clone, Copy)]
struct Backend {
    pid: i32,
    started: DateTime<Utc>,
}

impl Backend {
    /// The process at the other end of a connection.
    async fn of(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let query = sqlx::query_as!(
            Self,
            r#"select pid as "pid!", backend_start as "started!" from pg_stat_activity where pid = pg_backend_pid()"#
        );
        query.fetch_one(connection).await
    }

    /// Waits until no answer can come from this process, and returns the reason.
    async fn silence(self, options: &PgConnectOptions) -> String {
        let mut unanswered = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            match within(async { Ok(self.is_at_work(options).await) }).await {
                Ok(Ok(true)) => unanswered = 0,
                Ok(Ok(false)) => return "PostgreSQL has finished, but its answer has not arrived".to_owned(),
                // PostgreSQL is alive, but has no connection left for the check, which says nothing
                // about the migration.
                Ok(Err(sqlx::Error::Database(_))) => unanswered = 0,
                Ok(Err(_)) | Err(_) if unanswered + 1 < UNANSWERED => unanswered += 1,
                Ok(Err(error)) => return error.to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Whether it is running a statement, or was a moment ago. An idle one is ended, so that it
    /// does not keep its lock until PostgreSQL notices the dead connection.
    async fn is_at_work(self, options: &PgConnectOptions) -> sqlx::Result<bool> {
        let mut connection = options.connect().await?;
        let query = sqlx::query_scalar!(
            r#"select (state = 'active' or state_change > clock_timestamp() - make_interval(secs => $3)) as "is_at_work!"
               from pg_stat_activity where pid = $1 and backend_start = $2"#,
            self.pid,
            self.started,
            LOOK.as_secs_f64()
        );
        let is_at_work = query.fetch_optional(&mut connection).await? == Some(true);
        if !is_at_work {
            let query = sqlx::query_scalar!(
                r#"select pg_terminate_backend(pid) as "ended!" from pg_stat_activity where pid = $1 and backend_start = $2"#,
                self.pid,
                self.started
            );
            query.fetch_optional(&mut connection).await?;
        }
        let _ = connection.close().await;
        Ok(is_at_work)
    }
}
