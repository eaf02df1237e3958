//! The measured programs: a separate PostgreSQL, durable and otherwise with its defaults, and the
//! server as users run it.

use parkbrake::domain::policy::PrincipalKind;
use parkbrake::postgres::{Cluster, Options, Programs};
use parkbrake::secret_key::SecretKeys;
use parkbrake::storage::{NewToken, Storage};
use sqlx::{Connection as _, PgConnection};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use uuid::Uuid;

/// The agent and the person, of the shipped configuration.
pub const AGENT: &str = "deploy-bot";
pub const HUMAN: &str = "alice";

/// The secret key of the measured server.
const SECRET_KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f1";

/// The limit for the start and the end of a server.
const WAIT_LIMIT: Duration = Duration::from_secs(90);

/// The cluster, in a folder that is removed at the end.
pub struct Harness {
    cluster: Cluster,
    programs: Programs,
    folder: TempDir,
}

impl Harness {
    /// Starts PostgreSQL on the disk of this folder.
    pub async fn set(parent: &Path) -> Self {
        let programs = Programs::find().unwrap_or_else(|error| panic!("{error}"));
        // PostgreSQL may run as another user, who needs access.
        let passable = std::fs::Permissions::from_mode(0o711);
        let folder = tempfile::Builder::new().prefix("database-").permissions(passable).tempdir_in(parent).expect("a folder");
        let cluster = Cluster::start(&programs, &folder.path().join("postgres"), Options::default()).await;
        Self { cluster: cluster.unwrap_or_else(|error| panic!("{error}")), programs, folder }
    }

    /// Creates a database, and returns its address.
    pub async fn database(&self, name: &str) -> String {
        self.cluster.create_database(name).await.expect("a database");
        self.cluster.url(name)
    }

    /// Drops a database, to free its disk space.
    pub async fn drop_database(&self, name: &str) {
        let statement = format!("drop database {name} with (force)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connect(&self.cluster.url("postgres")).await).await.expect("a drop");
    }

    /// The path of pgbench: beside the other programs, beside the targets of their links, or on
    /// `PATH`.
    pub fn pgbench(&self) -> PathBuf {
        let folder = self.programs.folder();
        let real = folder.join("postgres").canonicalize().unwrap_or_default();
        let paths = [folder.join("pgbench"), real.with_file_name("pgbench")];
        paths.into_iter().find(|path| path.is_file()).unwrap_or_else(|| "pgbench".into())
    }

    /// A folder on the disk of the database.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The versions and settings on which the measurement depends.
    pub async fn facts(&self) -> Vec<(String, String)> {
        let mut db = connect(&self.cluster.url("postgres")).await;
        let mut facts = Vec::new();
        for setting in ["server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers"] {
            let value: String = sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut db).await.expect(setting);
            facts.push((setting.to_owned(), value));
        }
        facts
    }

    /// Stops PostgreSQL and removes everything.
    pub async fn strike(self) {
        self.cluster.stop().await.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A connection of the benchmark itself.
pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection")
}

/// The token of somebody.
pub fn token(name: &str) -> String {
    format!("pbk_bench_{name}")
}

/// Migrates a database to this version and creates the tokens.
pub async fn prepare(url: &str) {
    parkbrake::storage::migrate(url).await.expect("migrations");
    let keys = SecretKeys::parse(SECRET_KEY, "the benchmark").expect("a key");
    let storage = Storage::connect(url, 1).expect("a database").with_keys(keys);
    for principal in [AGENT, HUMAN] {
        let kind = if principal == AGENT { PrincipalKind::Agent } else { PrincipalKind::Person };
        let token = token(principal);
        let new = NewToken { token_id: Uuid::new_v4(), token: &token, principal, kind, expires_in: None };
        storage.store_token(&new).await.expect("a token");
    }
    storage.close().await;
}

/// Seals the copied rows, as the server would.
pub async fn seal(url: &str) {
    let keys = SecretKeys::parse(SECRET_KEY, "the benchmark").expect("a key");
    let storage = Storage::connect(url, 1).expect("a database").with_keys(keys);
    let mut after = Uuid::nil();
    while let Some(step) = storage.reseal_step(after, 2_000, true, true).await.expect("seals") {
        after = step.visited;
    }
    storage.close().await;
}

/// `parkbrake serve` with the shipped configuration, but without its quotas, which would limit the
/// one agent of this benchmark.
pub struct Server {
    child: Child,
    pub addr: SocketAddr,
    pub pid: u32,
    /// When the process was started.
    pub began: Instant,
    rehydrated: watch::Receiver<bool>,
}

impl Server {
    /// Starts it with these additional flags, and returns when it is ready.
    pub async fn start(url: &str, flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PARKBRAKE_")) {
            command.env_remove(name);
        }
        let config = configuration();
        let began = Instant::now();
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config.path())
            .args(flags)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("DATABASE_URL", url)
            .env("PARKBRAKE_SECRET_KEY", SECRET_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the server");
        let mut log = BufReader::new(child.stderr.take().expect("its log")).lines();
        let addr = loop {
            let line = log.next_line().await.expect("its log").expect("a server that starts");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if let Some(addr) = line["addr"].as_str() {
                break addr.parse().expect("an address");
            }
        };
        let (tell, rehydrated) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                if line.contains("parked workflows are back in memory") {
                    tell.send_replace(true);
                } else if !line.contains(r#""level":"INFO""#) {
                    note(&line);
                }
            }
        });
        let pid = child.id().expect("a process");
        Self { child, addr, pid, began, rehydrated }
    }

    /// Waits until it has loaded the parked workflows that it keeps in memory.
    pub async fn until_quiet(&mut self) {
        let back = self.rehydrated.wait_for(|back| *back);
        tokio::time::timeout(WAIT_LIMIT, back).await.expect("workflows back in memory").expect("a server that lives");
    }

    /// Stops it as an operator does.
    pub async fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(self.pid.try_into().expect("a number")).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a signal");
        tokio::time::timeout(WAIT_LIMIT, self.child.wait()).await.expect("its end").expect("its end");
    }
}

/// The shipped configuration, with quotas that are never reached.
fn configuration() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in parkbrake::config::shipped() {
        let quotas =
            if *name == "hitl/approval-policies.yaml" { "\nquotas: { submits_per_minute: 1000000000, pending: 100000000 }\n" } else { "" };
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, format!("{text}{quotas}")).expect("a file");
    }
    folder
}

/// Prints the progress, apart from the report.
#[expect(clippy::print_stderr, reason = "this is a program for a terminal")]
pub fn note(text: &str) {
    eprintln!("bench: {text}");
}
