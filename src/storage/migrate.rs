//! Bringing a database to this version, safely beside other servers that start at the same moment.

use super::encoding::require_utf8;
use super::pool::{options, within};
use super::{Error, is_transient};
use sqlx::migrate::MigrateError;
use sqlx::{ConnectOptions as _, Connection as _};
use std::time::{Duration, Instant};

/// Any number that nobody else uses: one server migrates at a time.
const LOCK: i64 = 0x7061_726B_6272_616B;
/// How long to wait for a server that is migrating.
const PATIENCE: Duration = Duration::from_secs(60);

/// Applies what is missing. An older program finds a newer database in order: migrations it does not know are left alone.
///
/// It uses a connection of its own that is closed afterwards, so that the lock never outlives a failure. PostgreSQL notices within
/// seconds when the other end of that connection is gone without a word, and lets go of the lock then. A migration is one
/// transaction: where the connection is lost in the middle, none of it was done, and migrating again is safe.
///
/// # Errors
/// `Unavailable` if the database is not there or the connection was lost; otherwise a database that cannot be used, or a migration
/// that failed.
pub async fn migrate(database_url: &str) -> Result<(), Error> {
    let keepalives = [("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "2"), ("tcp_keepalives_count", "3")];
    let mut connection = within(options(database_url)?.options(keepalives).connect()).await?;
    require_utf8(&mut connection).await?;
    let waiting = Instant::now();
    while !within(sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK).fetch_one(&mut connection)).await? {
        if waiting.elapsed() > PATIENCE {
            return Err(Error::Unavailable("another process has been migrating this database for a minute".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A migration of a large table may take its time; one that waits for a lock must not make everybody else wait.
    within(sqlx::query!("set statement_timeout = 0").execute(&mut connection)).await?;
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_locking(false).set_ignore_missing(true);
    migrator.run(&mut connection).await.map_err(failed)?;
    // The work is done. If closing fails the line is gone, and the lock with it.
    let _ = within(connection.close()).await;
    Ok(())
}

/// A connection that was lost says nothing about the migration.
fn failed(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) if is_transient(&cause) => {
            Error::Unavailable(format!("the connection was lost while migrating: {cause}"))
        }
        other => Error::Refused(sqlx::Error::Migrate(Box::new(other))),
    }
}
