//! The handle to everything that is stored: which connections each kind of work has, how they are
//! set up, and how long a query may take.

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

/// How long one query may take. The server has the same limit; this one also holds where the server
/// has vanished.
const QUERY: Duration = Duration::from_secs(5);
/// Connections for commits: as many as batches are on their way at once, one of them for what had
/// been locked.
const WRITERS: u32 = 3;
/// How long a commit waits for a lock. It passes over rows that are locked, so this is for what
/// nobody expects.
const COMMIT_LOCK: &str = "100ms";
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// The handle to everything that is stored. It has a pool for each kind of work, so that none keeps
/// another waiting.
#[derive(Clone)]
pub struct Storage {
    /// For commits.
    writers: Connections,
    /// For what a call needs before it is answered: whose token it is, one workflow's log, a key.
    calls: Connections,
    /// For what parkbrake does by itself: deadlines, notices, looking into the log.
    background: Connections,
    /// For lists, searches, statistics and backlogs, which may take long.
    lists: Connections,
    /// What rows are sealed with; a tool that reads no sealed row needs none.
    keys: Option<SecretKeys>,
    /// The terms of approval that events name.
    pub(super) terms: Arc<Terms>,
}

/// How many connections each kind of work has, of all that are for reading: calls, the background,
/// and lists.
fn shares(connections: u32) -> (u32, u32, u32) {
    let lists = (connections * 2 / 5).max(1);
    let background = (connections / 5).max(1);
    (connections.saturating_sub(lists + background).max(1), background, lists)
}

impl Storage {
    /// Pools of at most this many connections for reading (three at least), and three for commits.
    /// Nothing is connected yet: a database that is down is found by the first query.
    ///
    /// # Errors
    /// A URL that cannot be read.
    pub fn connect(database_url: &str, connections: u32) -> Result<Self, Error> {
        let options = options(database_url)?;
        // A commit's plan is the same every time: rows found by primary key. Making it anew, as
        // PostgreSQL would for arrays of other lengths, takes several times as long as carrying it
        // out. It is often made while the tables are still empty, and must be right when they have
        // grown: so the other ways are switched off.
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

    /// Seals what it writes, and verifies what it reads, with these keys.
    #[must_use]
    pub fn with_keys(self, keys: SecretKeys) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// The keys.
    ///
    /// # Errors
    /// It was given none.
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

    /// Takes a connection for what a call needs, or for something small that is written beside the
    /// workflows.
    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        self.calls.lease().await
    }

    /// Takes a connection for what parkbrake does by itself.
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

/// How every connection is set up: limits on the server's side, and a name to find it by.
///
/// # Errors
/// A URL that cannot be read. The URL itself is not in the error, because it may hold a password.
pub(super) fn options(database_url: &str) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(database_url)?;
    Ok(options
        .application_name("parkbrake")
        .options([("statement_timeout", "5s"), ("lock_timeout", "2s"), ("idle_in_transaction_session_timeout", "10s")])
        // A plan may be made while the tables are empty, when reading them whole costs nothing, and
        // is kept when they have grown. Without reading and sorting whole tables every plan uses an
        // index that has the order; none of the queries is worth being compiled.
        .options([("enable_seqscan", "off"), ("enable_sort", "off"), ("jit", "off")])
        .log_slow_statements(tracing::log::LevelFilter::Off, Duration::ZERO)
        .log_statements(tracing::log::LevelFilter::Off))
}

/// Waits for a query, but not for ever.
pub(super) async fn within<T>(query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(QUERY, query).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Unavailable(format!("no answer within {} s", QUERY.as_secs()))),
    }
}

/// Carries a look-up to its end, also where whoever asked for it goes away meanwhile: a query that
/// is given up takes its connection with it, and somebody who only had to hang up, again and again,
/// could have the database open one connection after the other.
#[expect(clippy::disallowed_methods, reason = "it is awaited here, and goes on where the caller does not stay")]
pub(super) async fn to_its_end<T: Send + 'static>(look_up: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    tokio::spawn(look_up).await.map_err(|error| Error::Unavailable(format!("a look-up was broken off: {error}")))?
}

/// Waits for a commit, and tells a lock that it did not get from everything else.
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
