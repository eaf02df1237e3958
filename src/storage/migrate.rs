//! Bringing a database to this version, safely beside other servers that start at the same moment.

use super::Error;
use super::pool::options;
use sqlx::{ConnectOptions as _, Connection as _};
use std::time::{Duration, Instant};

/// Any number that nobody else uses: one server migrates at a time.
const LOCK: i64 = 0x7061_726B_6272_616B;
/// How long to wait for a server that is migrating.
const PATIENCE: Duration = Duration::from_secs(60);

/// Applies what is missing. An older program finds a newer database in order: migrations it does not know are left alone.
///
/// It uses a connection of its own that is closed afterwards, so that a lock can never outlive a failure.
///
/// # Errors
/// The database is not there, or a migration failed.
pub async fn migrate(database_url: &str) -> Result<(), Error> {
    let mut connection = options(database_url)?.connect().await?;
    let waiting = Instant::now();
    while !sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK).fetch_one(&mut connection).await? {
        if waiting.elapsed() > PATIENCE {
            return Err(Error::Unavailable("another process has been migrating this database for a minute".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A migration of a large table may take its time; one that waits for a lock must not make everybody else wait.
    sqlx::query!("set statement_timeout = 0").execute(&mut connection).await?;
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.set_locking(false).set_ignore_missing(true);
    migrator.run(&mut connection).await.map_err(|error| Error::Refused(sqlx::Error::Migrate(Box::new(error))))?;
    connection.close().await?;
    Ok(())
}
