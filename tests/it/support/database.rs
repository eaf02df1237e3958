//! One PostgreSQL for the whole test process, and a separate database in it for each test.

use super::called;
use super::server::hand_out_tokens;
use parkbrake::postgres::{Cluster, Options, Programs};
use sqlx::{Connection as _, PgConnection};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{OnceCell, mpsc, oneshot};

/// It ends with the process, so nothing has to stop it.
static SHARED: OnceCell<Cluster> = OnceCell::const_new();
/// Runs statements that create and drop databases, all over one connection.
static STATEMENTS: OnceCell<mpsc::UnboundedSender<(String, oneshot::Sender<()>)>> = OnceCell::const_new();
/// How PostgreSQL copies [`TEMPLATE`], set once the template is there.
static COPY: OnceCell<&str> = OnceCell::const_new();
static NEXT: AtomicU32 = AtomicU32::new(1);
/// The databases of tests that have ended. The next test that asks for a database drops them.
static ENDED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A database that is migrated once, gets a token for everybody, and is copied for each test.
const TEMPLATE: &str = "migrated";

/// A file system in memory. Each database is 300 files, and most of what a test would need from a
/// disk is the time to create them.
const MEMORY: &str = "/dev/shm";
/// The bytes that have to be free there. A container often has less.
const ENOUGH_MEMORY: u64 = 4 << 30;

/// A database that only one test uses.
pub struct Database {
    pub url: String,
    /// The connection of the last check, for the next one: PostgreSQL starts a process for each.
    checks: tokio::sync::Mutex<Option<PgConnection>>,
}

impl Database {
    /// The database with this address.
    pub fn at(url: String) -> Self {
        Self { url, checks: tokio::sync::Mutex::default() }
    }

    /// A new, empty database.
    #[track_caller]
    pub fn create() -> impl Future<Output = Self> {
        called(async move {
            let cluster = cluster().await;
            let name = next_name();
            cluster.create_database(&name).await.expect("a database");
            Self::at(cluster.url(&name))
        })
    }

    /// A new database, migrated to this version, with a token for everybody.
    pub async fn migrated() -> Self {
        let cluster = cluster().await;
        let copy = COPY.get_or_init(|| migrate_template(cluster)).await;
        let name = next_name();
        run(cluster, format!("create database {name} template {TEMPLATE} {copy}")).await;
        Self::at(cluster.url(&name))
    }

    /// A connection for checking what is stored.
    #[track_caller]
    pub fn connect(&self) -> impl Future<Output = PgConnection> {
        called(async move { PgConnection::connect(&self.url).await.expect("a connection") })
    }

    /// One number from the database.
    #[track_caller]
    pub fn count(&self, query: &'static str) -> impl Future<Output = i64> {
        called(async move {
            let mut checks = self.checks.lock().await;
            let mut connection = self.working(checks.take()).await;
            let count = sqlx::query_scalar(query).fetch_one(&mut connection).await.expect(query);
            *checks = Some(connection);
            count
        })
    }

    /// Holds the locks of a statement, until the guard is dropped.
    pub async fn hold(&self, statement: &'static str) -> Hold {
        self.hold_text(statement.to_owned()).await
    }

    /// The same for a statement that was built at run time.
    #[track_caller]
    pub fn hold_text(&self, statement: String) -> impl Future<Output = Hold> {
        called(async move {
            let mut connection = self.connect().await;
            for statement in ["begin".to_owned(), statement] {
                sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.expect("a lock");
            }
            Hold(connection)
        })
    }

    /// Whether the database itself refuses a statement.
    pub async fn execute_refused(&self, statement: &'static str) -> bool {
        sqlx::raw_sql(statement).execute(&mut self.connect().await).await.is_err()
    }

    /// Changes the database in a way that parkbrake itself would not.
    #[track_caller]
    pub fn execute(&self, statement: &str) -> impl Future<Output = ()> {
        called(async move {
            let mut checks = self.checks.lock().await;
            let mut connection = self.working(checks.take()).await;
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("a statement");
            sqlx::raw_sql("reset all").execute(&mut connection).await.expect("its own settings only");
            *checks = Some(connection);
        })
    }

    /// This connection if it still works, and otherwise a new one.
    async fn working(&self, connection: Option<PgConnection>) -> PgConnection {
        if let Some(mut connection) = connection
            && connection.ping().await.is_ok()
        {
            return connection;
        }
        self.connect().await
    }
}

/// A transaction that stays open.
pub struct Hold(PgConnection);

impl Hold {
    #[track_caller]
    pub fn release(mut self) -> impl Future<Output = ()> {
        called(async move {
            sqlx::raw_sql("rollback").execute(&mut self.0).await.expect("its end");
        })
    }
}

/// The one PostgreSQL, without the databases of tests that have ended.
async fn cluster() -> &'static Cluster {
    let cluster = SHARED.get_or_init(start).await;
    let ended = std::mem::take(&mut *ENDED.lock().unwrap_or_else(PoisonError::into_inner));
    for name in ended {
        run(cluster, format!("drop database if exists {name} with (force)")).await;
    }
    cluster
}

/// The database through which the harness creates and drops the others.
fn server(cluster: &Cluster) -> Database {
    Database::at(cluster.url("postgres"))
}

/// Runs a statement there.
#[track_caller]
fn run(cluster: &'static Cluster, statement: String) -> impl Future<Output = ()> {
    called(async move {
        let statements = STATEMENTS.get_or_init(async || run_statements(server(cluster))).await;
        let (done, answer) = oneshot::channel();
        statements.send((statement, done)).expect("the thread of run_statements");
        answer.await.expect("a statement that succeeds");
    })
}

/// Starts a thread that runs statements one after the other. A connection belongs to the runtime in
/// which it was opened, and that of a test ends with the test.
fn run_statements(server: Database) -> mpsc::UnboundedSender<(String, oneshot::Sender<()>)> {
    let (sender, mut statements) = mpsc::unbounded_channel::<(String, oneshot::Sender<()>)>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async {
            while let Some((statement, done)) = statements.recv().await {
                server.execute(&statement).await;
                let _ = done.send(());
            }
        });
    });
    sender
}

/// Creates [`TEMPLATE`], and returns the words that have PostgreSQL copy its files: by default, it
/// writes each page to its log as well, which takes several times as long. Before version 15 it
/// always copied the files, and did not know the words.
#[track_caller]
fn migrate_template(cluster: &Cluster) -> impl Future<Output = &'static str> {
    called(async move {
        cluster.create_database(TEMPLATE).await.expect("a database");
        parkbrake::storage::migrate(&cluster.url(TEMPLATE)).await.expect("migrations");
        hand_out_tokens(&Database::at(cluster.url(TEMPLATE))).await;
        let version = server(cluster).count("select current_setting('server_version_num')::bigint").await;
        if version < 150_000 { "" } else { "strategy file_copy" }
    })
}

/// A name that no other database has. Its database is dropped some time after the thread that asked
/// for it has ended: each test runs in a thread of its own.
fn next_name() -> String {
    thread_local! {
        static OF_THIS_TEST: RefCell<Names> = const { RefCell::new(Names(Vec::new())) };
    }
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    OF_THIS_TEST.with_borrow_mut(|names| names.0.push(name.clone()));
    name
}

struct Names(Vec<String>);

impl Drop for Names {
    fn drop(&mut self) {
        ENDED.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.0);
    }
}

#[track_caller]
fn start() -> impl Future<Output = Cluster> {
    called(async move {
        let programs = Programs::find().unwrap_or_else(|error| panic!("{error}"));
        let (memory, disk) = (PathBuf::from(MEMORY), std::env::temp_dir());
        sweep(&disk);
        sweep(&memory);
        let has_room = rustix::fs::statvfs(&memory).is_ok_and(|of| of.f_bavail * of.f_frsize >= ENOUGH_MEMORY);
        let folder = folder(if has_room { &memory } else { &disk }, std::process::id());
        let cluster = Cluster::start(&programs, &folder, Options { durable: false }).await.unwrap_or_else(|error| panic!("{error}"));
        // PostgreSQL keeps a log of up to 1 GB otherwise.
        server(&cluster).execute("alter system set max_wal_size = '256MB'").await;
        server(&cluster).execute("select pg_reload_conf()").await;
        cluster
    })
}

fn folder(within: &Path, process: u32) -> PathBuf {
    within.join(format!("parkbrake-it-{process}"))
}

/// Removes what test processes that have ended left behind.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix("parkbrake-it-").and_then(|number| number.parse::<i32>().ok()) else { continue };
        let ended = rustix::process::Pid::from_raw(process).is_none_or(|pid| rustix::process::test_kill_process(pid).is_err());
        if ended {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
