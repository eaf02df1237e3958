//! Bringing a database to this version, safely beside other servers that start at the same moment.

use super::encoding::require_utf8;
use super::pool::{options, within};
use super::{Error, is_transient};
use chrono::{DateTime, Utc};
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Any number that nobody else uses: one server migrates at a time.
const LOCK: i64 = 0x7061_726B_6272_616B;
/// How long to wait for a server that is migrating.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at whether a migration is still at work.
const LOOK: Duration = Duration::from_secs(3);
/// How many looks in a row may stay without an answer.
const UNANSWERED: u32 = 2;

/// Applies what is missing. An older program finds a newer database in order: migrations it does
/// not know are left alone.
///
/// It uses a connection of its own that is closed afterwards, so that the lock never outlives a
/// failure. PostgreSQL notices within seconds when the other end of that connection is gone without
/// a word, and lets go of the lock then. A migration is one transaction: where the connection is
/// lost in the middle, none of it was done, and migrating again is safe.
///
/// A migration may take as long as it needs, so nothing limits its statements. A second connection
/// looks whether PostgreSQL is at work on it: where it is not, the answer will never come, and the
/// connection is given up.
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
    // The work is done. If closing fails the line is gone, and the lock with it.
    let _ = within(connection.close()).await;
    Ok(())
}

/// A connection that was lost says nothing about the migration.
fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) if is_transient(&cause) => lost(cause),
        other => Error::Refused(Arc::new(sqlx::Error::Migrate(Box::new(other)))),
    }
}

fn lost(cause: impl std::fmt::Display) -> Error {
    Error::Unavailable(format!("the connection was lost while migrating: {cause}"))
}

/// The process of PostgreSQL that carries out a migration.
#[derive(Debug, Clone, Copy)]
struct Backend {
    pid: i32,
    started: DateTime<Utc>,
}

impl Backend {
    /// The one at the other end of a connection.
    async fn of(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let query = sqlx::query_as!(
            Self,
            r#"select pid as "pid!", backend_start as "started!" from pg_stat_activity where pid = pg_backend_pid()"#
        );
        query.fetch_one(connection).await
    }

    /// Waits until there is nothing left to wait for on the connection to this process, and says
    /// why.
    async fn silence(self, options: &PgConnectOptions) -> String {
        let mut unanswered = 0;
        loop {
            tokio::time::sleep(LOOK).await;
            match within(async { Ok(self.is_at_work(options).await) }).await {
                Ok(Ok(true)) => unanswered = 0,
                Ok(Ok(false)) => return "PostgreSQL has finished its part, and the answer has not come".to_owned(),
                // PostgreSQL is there. It has no connection to spare for looking, which says
                // nothing about the migration.
                Ok(Err(sqlx::Error::Database(_))) => unanswered = 0,
                Ok(Err(_)) | Err(_) if unanswered + 1 < UNANSWERED => unanswered += 1,
                Ok(Err(error)) => return error.to_string(),
                Err(error) => return error.to_string(),
            }
        }
    }

    /// Whether it carries out a statement, or did a moment ago. One that does not is ended, so that
    /// it holds no lock until PostgreSQL notices by itself that the line is dead.
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
