//! One PostgreSQL for the whole test process, and a separate database in it for each test.

use parkbrake::postgres::{Cluster, Options, Programs};
use sqlx::{Connection as _, PgConnection};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

/// It ends with the process, so nothing has to stop it.
static SHARED: OnceCell<Cluster> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A database that only one test uses.
pub struct Database {
    pub url: String,
}

impl Database {
    /// A new, empty database.
    pub async fn create() -> Self {
        let cluster = SHARED.get_or_init(start).await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        cluster.create_database(&name).await.expect("a database");
        Self { url: cluster.url(&name) }
    }

    /// A new database, migrated to this version.
    pub async fn migrated() -> Self {
        let database = Self::create().await;
        parkbrake::storage::migrate(&database.url).await.expect("migrations");
        database
    }

    /// A connection for checking what is stored.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }

    /// One number from the database.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.connect().await).await.expect(query)
    }

    /// Holds the locks of a statement, until the guard is dropped.
    pub async fn hold(&self, statement: &'static str) -> Hold {
        self.hold_text(statement.to_owned()).await
    }

    /// The same for a statement that was built at run time.
    pub async fn hold_text(&self, statement: String) -> Hold {
        let mut connection = self.connect().await;
        for statement in ["begin".to_owned(), statement] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("a lock");
        }
        Hold(connection)
    }

    /// Whether the database itself refuses a statement.
    pub async fn execute_refused(&self, statement: &'static str) -> bool {
        sqlx::raw_sql(statement).execute(&mut self.connect().await).await.is_err()
    }

    /// Changes the database in a way that parkbrake itself would not.
    pub async fn execute(&self, statement: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut self.connect().await).await.expect("a statement");
    }
}

/// A transaction that stays open.
pub struct Hold(PgConnection);

impl Hold {
    pub async fn release(mut self) {
        sqlx::raw_sql("rollback").execute(&mut self.0).await.expect("its end");
    }
}

async fn start() -> Cluster {
    let programs = Programs::find().unwrap_or_else(|error| panic!("{error}"));
    sweep();
    let folder = folder(std::process::id());
    Cluster::start(&programs, &folder, Options { durable: false }).await.unwrap_or_else(|error| panic!("{error}"))
}

fn folder(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("parkbrake-it-{process}"))
}

/// Removes what test processes that have ended left behind.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix("parkbrake-it-").and_then(|number| number.parse::<i32>().ok()) else { continue };
        let ended = rustix::process::Pid::from_raw(process).is_none_or(|pid| rustix::process::test_kill_process(pid).is_err());
        if ended {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
