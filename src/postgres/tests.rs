use super::folder::socket_in;
use super::*;
use crate::postgres::wire::{Failure, Session};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FOR_TESTS: Options = Options { durable: false };

/// The variable that names the folder for the owner that is killed.
const OWNED: &str = "PARKBRAKE_TEST_OWNED";

async fn start(folder: &Path) -> Cluster {
    try_to_start(folder, FOR_TESTS).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn try_to_start(folder: &Path, options: Options) -> Result<Cluster, Error> {
    Cluster::start(&Programs::find().expect("PostgreSQL is installed"), folder, options).await
}

async fn execute(cluster: &Cluster, statement: &str) -> Result<(), Failure> {
    cluster.session().await?.execute(statement).await
}

async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until no process works in the folder: the lock on the log is free.
async fn until_deserted(folder: &Path) {
    until(|| File::open(folder.join("postgres.log")).ok()?.try_lock().ok()).await;
}

fn postmaster(folder: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(folder.join("data/postmaster.pid")).ok()?.lines().next()?.parse().ok()?)
}

#[tokio::test]
async fn data_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let cluster = start(folder.path()).await;
    execute(&cluster, "CREATE TABLE kept (id int)").await.unwrap();
    cluster.stop().await.unwrap();
    assert_eq!(postmaster(folder.path()), None);
    assert!(!folder.path().join("run").exists());
    let cluster = start(folder.path()).await;
    execute(&cluster, "SELECT id FROM kept").await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_survives_being_killed() {
    let folder = TempDir::new().unwrap();
    let cluster = try_to_start(folder.path(), Options::default()).await.unwrap();
    execute(&cluster, "CREATE TABLE kept (id int)").await.unwrap();
    kill_process_group(cluster.watchdog().group().unwrap(), Signal::KILL).unwrap();
    // The file that names a server is left; the next server must ignore it.
    assert_ne!(postmaster(folder.path()), None);
    let next = start(folder.path()).await;
    execute(&next, "SELECT id FROM kept").await.unwrap();
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_cluster_is_waited_for() {
    let folder = TempDir::new().unwrap();
    drop(start(folder.path()).await);
    start(folder.path()).await.stop().await.unwrap();
}

#[tokio::test]
async fn two_clusters_run_side_by_side() {
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let (one, two) = tokio::join!(start(folders[0].path()), start(folders[1].path()));
    execute(&one, "CREATE TABLE only_here (id int)").await.unwrap();
    let failure = execute(&two, "SELECT id FROM only_here").await.unwrap_err();
    assert_eq!(failure.to_string(), r#"relation "only_here" does not exist (42P01)"#);
    let (one, two) = tokio::join!(one.stop(), two.stop());
    one.and(two).unwrap();
}

#[tokio::test]
async fn a_database_is_created_once() {
    let folder = TempDir::new().unwrap();
    let cluster = start(folder.path()).await;
    let (one, two) = tokio::join!(cluster.create_database("parkbrake_1"), cluster.create_database("parkbrake_1"));
    one.and(two).unwrap();
    cluster.create_database("parkbrake_1").await.unwrap();
    Session::open(&socket_in(&folder.path().canonicalize().unwrap().join("run")), "parkbrake", "parkbrake_1").await.unwrap();
    for name in ["", "Park", "a-b", "a\"; DROP TABLE x; --", &"x".repeat(64)] {
        assert!(matches!(cluster.create_database(name).await, Err(Error::Name(_))), "{name}");
    }
    let root = folder.path().canonicalize().unwrap().display().to_string();
    let run = root.replace('/', "%2F").replace('.', "%2E").replace('-', "%2D");
    assert_eq!(cluster.url("parkbrake_1"), format!("postgres://parkbrake@localhost:5432/parkbrake_1?host={run}%2Frun&sslmode=disable"));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_has_its_socket_elsewhere() {
    let parent = TempDir::new().unwrap();
    fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let folder = parent.path().join("long".repeat(30));
    let cluster = start(&folder).await;
    execute(&cluster, "SELECT 1").await.unwrap();
    assert!(!folder.join("run").exists());
    let sockets = cluster.sockets().to_owned();
    assert_eq!(fs::metadata(&sockets).unwrap().mode() & 0o777, 0o700);
    cluster.stop().await.unwrap();
    assert!(!sockets.exists());

    // With permissions that an attacker might have chosen.
    fs::create_dir(&sockets).unwrap();
    fs::set_permissions(&sockets, fs::Permissions::from_mode(0o777)).unwrap();
    let error = try_to_start(&folder, FOR_TESTS).await.unwrap_err();
    fs::remove_dir(&sockets).unwrap();
    assert!(matches!(error, Error::NotPrivate(_)), "{error}");
}

#[tokio::test]
async fn a_stale_file_that_names_another_process_is_no_obstacle() {
    let folder = TempDir::new().unwrap();
    start(folder.path()).await.stop().await.unwrap();
    let data = folder.path().join("data");
    let owner = fs::metadata(&data).unwrap();
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600");
    if rustix::process::geteuid().is_root() {
        sleeper.uid(owner.uid()).gid(owner.gid());
    }
    let mut sleeper = sleeper.spawn().unwrap();
    fs::write(data.join("postmaster.pid"), format!("{}\n{}\n", sleeper.id(), data.display())).unwrap();
    std::os::unix::fs::chown(data.join("postmaster.pid"), Some(owner.uid()), Some(owner.gid())).unwrap();
    let started = start(folder.path()).await;
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    started.stop().await.unwrap();
}

#[tokio::test]
async fn an_interrupted_beginning_is_begun_again() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("postgres.log"), "").unwrap();
    fs::create_dir(folder.path().join("data.new")).unwrap();
    fs::write(folder.path().join("data.new/PG_VERSION"), "15").unwrap();
    start(folder.path()).await.stop().await.unwrap();
    assert!(!folder.path().join("data.new").exists());
}

#[tokio::test]
async fn a_foreign_folder_is_not_touched() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let error = try_to_start(folder.path(), FOR_TESTS).await.unwrap_err();
    assert!(matches!(error, Error::Foreign(_)), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_its_log() {
    let folder = TempDir::new().unwrap();
    start(folder.path()).await.stop().await.unwrap();
    fs::write(folder.path().join("data/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let error = try_to_start(folder.path(), FOR_TESTS).await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_folder_that_postgresql_cannot_enter_is_named() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let closed = TempDir::new().unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = try_to_start(&closed.path().join("cluster"), FOR_TESTS).await.unwrap_err();
    let Error::Unreachable { folder, .. } = &error else { panic!("{error}") };
    assert_eq!(*folder, closed.path().canonicalize().unwrap());
}

/// Not a test in itself: the process that the next test kills, whose cluster is in a `static`.
#[tokio::test]
async fn the_owner_that_is_killed() {
    static NEVER_DROPPED: tokio::sync::OnceCell<Cluster> = tokio::sync::OnceCell::const_new();
    let Some(folder) = std::env::var_os(OWNED) else { return };
    NEVER_DROPPED.get_or_init(|| start(Path::new(&folder))).await;
    fs::write(Path::new(&folder).join("started"), "").unwrap();
    // Runs until the test that waits for it has ended, unless it is killed before.
    let _ = std::io::read_to_string(std::io::stdin());
}

#[tokio::test]
async fn a_cluster_ends_with_its_owner() {
    for signal in [Some(Signal::KILL), None] {
        let home = TempDir::new().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = home.path().join("cluster");
        // From another folder, with a path relative to that one.
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["postgres::tests::the_owner_that_is_killed", "--exact"])
            .current_dir(home.path())
            .env(OWNED, "cluster")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        until(|| folder.join("started").exists().then_some(())).await;
        assert!(postmaster(&folder).is_some());
        match signal {
            Some(signal) => kill_process(Pid::from_child(&owner), signal).unwrap(),
            None => drop(owner.stdin.take()),
        }
        assert_eq!(owner.wait().unwrap().success(), signal.is_none());
        until_deserted(&folder).await;
        assert_eq!(postmaster(&folder), None, "it was shut down in order");
    }
}
