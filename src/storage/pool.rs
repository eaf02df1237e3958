//! The handle to the database: the connections of each kind of work, their setup, and the time
//! limit of queries.

use super::Error;
use super::connections::{Connections, Lease};
use super::terms::Terms;
use crate::secret_key::SecretKeys;
use chrono::{DateTime, Utc};
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use std::future::Future;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

/// How long one query may take. The server has the same limit; this one also applies if the server
/// has vanished.
const QUERY: Duration = Duration::from_secs(5);
/// Connections for commits: as many as there are batches in progress at once, one of them for rows
/// that were locked.
const WRITERS: u32 = 3;
/// How long a commit waits for a lock. It skips locked rows, so this covers only unexpected locks.
const COMMIT_LOCK: &str = "100ms";
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The handle to the database. It has a pool for each kind of work, so that none blocks another.
#[derive(Clone)]
pub struct Storage {
    /// For commits.
    writers: Connections,
    /// For the needs of a call: the token's holder, one workflow's log, a key.
    calls: Connections,
    /// For parkbrake's own work: deadlines, notices, reading the log.
    background: Connections,
    /// For lists, searches, statistics and backlogs, which may take long.
    lists: Connections,
    /// The keys that seal rows; a tool that reads no sealed rows needs none.
    keys: Option<SecretKeys>,
    /// The approval terms that events refer to.
    pub(super) terms: Arc<Terms>,
}

/// How the reading connections are divided among calls, background and lists.
fn shares(connections: u32) -> (u32, u32, u32) {
    let lists = (connections * 2 / 5).max(1);
    let background = (connections / 5).max(1);
    (connections.saturating_sub(lists + background).max(1), background, lists)
}

impl Storage {
    /// Pools of at most this many connections for reading (at least three), and three for commits.
    /// Nothing is connected yet: the first query finds out if the database is down.
    ///
    /// # Errors
    /// The URL is invalid.
    pub fn connect(database_url: &str, connections: u32) -> Result<Self, Error> {
        let options = options(database_url)?;
        // A commit's plan is the same every time: rows found by primary key. PostgreSQL would plan
        // again for arrays of other lengths, which takes several times as long as the execution.
        // The plan is often made while the tables are still empty, and must be right when they have
        // grown, so the alternatives are switched off.
        let for_commits = options.clone().options([
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("lock_timeout", COMMIT_LOCK),
        ]);
        let (calls, background, lists) = shares(connections);
        Ok(Self {
            writers: Connections::new(for_commits, WRITERS),
            calls: Connections::new(options.clone(), calls),
            background: Connections::new(options.clone(), background),
            lists: Connections::new(options, lists),
            keys: None,
            terms: Arc::default(),
        })
    }

    /// Uses these keys to seal what it writes and to verify what it reads.
    #[must_use]
    pub fn with_keys(self, keys: SecretKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The keys.
    ///
    /// # Errors
    /// There are no keys.
    pub(super) fn keys(&self) -> Result<&SecretKeys, Error> {
        self.keys.as_ref().ok_or(Error::Keyless)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut db = self.lease().await?;
        within(sqlx::query("select").execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// The database's clock.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn now(&self) -> Result<DateTime<Utc>, Error> {
        let mut db = self.lease().await?;
        let now = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        db.release();
        Ok(now)
    }

    /// Closes every connection; later queries fail.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(QUERY, async {
            tokio::join!(self.calls.close(), self.background.close(), self.lists.close(), self.writers.close())
        })
        .await;
    }

    /// Takes a connection for a call, or for a small write outside of workflows.
    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        self.calls.lease().await
    }

    /// Takes a connection for parkbrake's own work.
    pub(super) async fn lease_background(&self) -> Result<Lease, Error> {
        self.background.lease().await
    }

    /// Takes a connection for a list.
    pub(super) async fn lease_list(&self) -> Result<Lease, Error> {
        self.lists.lease().await
    }

    /// Takes a connection for a commit.
    pub(super) async fn lease_writer(&self) -> Result<Lease, Error> {
        self.writers.lease().await
    }
}

/// The options of every connection: limits on the server's side, and a name to find it by.
///
/// # Errors
/// The URL is invalid. The error does not contain it, because it may contain a password.
pub(super) fn options(database_url: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(database_url)?;
    Ok(options
        .application_name("parkbrake")
        .options([("statement_timeout", "5s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "10s")])
        // A plan may be made while the tables are empty, when a sequential scan costs nothing, and
        // kept when they have grown. Without sequential scans and sorts, every plan uses an index
        // in the right order. None of the queries is worth JIT compilation.
        .options([("enable_seqscan", "off"), ("enable_sort", "off"), ("jit", "off")])
        .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO)
        .log_statements(tracing::log::LevelFilter::Off))
}

/// Waits for a query, up to the limit.
pub(super) async fn within<T>(query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(QUERY, query).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Unavailable(format!("no answer within {} s", QUERY.as_secs()))),
    }
}

/// Completes a lookup even if the caller goes away: an abandoned query takes its connection with
/// it, so a client that hangs up again and again could make the database open one connection after
/// the other.
#[expect(clippy::disallowed_methods, reason = "it is awaited here, and continues without the caller")]
pub(super) async fn to_its_end<T: Send + 'static>(look_up: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    tokio::spawn(look_up).await.map_err(|error| Error::Unavailable(format!("a lookup was interrupted: {error}")))?
}

/// Waits for a commit, and distinguishes a lock that it did not get from other errors.
pub(super) async fn unless_locked<T>(commit: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    let is_locked =
        |error: &sqlx::Error| error.as_database_error().is_some_and(|refusal| refusal.code().as_deref() == Some(LOCK_NOT_AVAILABLE));
    let commit = async {
        match commit.await {
            Err(error) if is_locked(&error) => Ok(Err(Error::Locked)),
            Err(error) => Err(error),
            Ok(answer) => Ok(Ok(answer)),
        }
    };
    within(commit).await?
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn every_kind_of_work_has_a_connection_and_all_together_no_more_than_there_are() {
        for connections in 3..=200 {
            let (calls, background, lists) = shares(connections);
            assert_eq!(calls + background + lists, connections);
            assert!(calls >= 1 && background >= 1 && lists >= 1, "{connections}");
        }
        assert_eq!(shares(10), (4, 2, 4));
        assert_eq!(shares(1), (1, 1, 1));
    }
}
