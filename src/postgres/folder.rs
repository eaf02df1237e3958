//! The folder of a cluster: its contents, and who may work in it.
//!
//! ```text
//! postgres.log   the server's log; a lock on it is held by every process that works here
//! data           the cluster, made as data.new and renamed when it is whole
//! run            the socket (elsewhere where the path is too long for one)
//! ```

use crate::domain::task::digest::Digest;
use crate::postgres::Error;
use crate::postgres::account::Account;
use rustix::fs::OFlags;
use rustix::process::{Pid, geteuid, test_kill_process};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait for an earlier server that is still shutting down.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest socket path that every system accepts (Linux 107 bytes, macOS 103).
const LONGEST_SOCKET: usize = 100;

/// The name of the socket; clients derive it from the port.
const SOCKET: &str = ".s.PGSQL.5432";

/// The name of the log, which also marks a folder as a cluster of parkbrake.
const LOG: &str = "postgres.log";

/// How much of the log is shown in an error, in bytes.
const SHOWN: u64 = 4 * 1024;

/// A folder in which no server runs, and in which only ours can start while this is held.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    log: File,
    /// Where the log of this start begins.
    log_start: u64,
}

impl Folder {
    /// Creates the folder if necessary, and waits until an earlier server in it has ended.
    pub async fn lock(path: &Path) -> Result<Self, Error> {
        let root = prepare(path)?;
        let log = open_log(&root.join(LOG))?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !locked(&log).map_err(failed(&root))? || foreign_server(&root.join("data")) {
            if Instant::now() > deadline {
                return Err(Error::InUse(root));
            }
            sleep(Duration::from_millis(50)).await;
        }
        let log_start = log.metadata().map_err(failed(&root))?.len();
        Ok(Self { root, log, log_start })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The log, for the processes that write to it and thereby hold the lock.
    pub fn log(&self) -> Result<File, Error> {
        self.log.try_clone().map_err(failed(&self.root))
    }

    /// The log since this start; only its end if it is long.
    pub fn logged(&self) -> String {
        let read = || {
            let mut log = File::open(self.root.join(LOG))?;
            log.seek(SeekFrom::Start(self.log_start.max(log.metadata()?.len().saturating_sub(SHOWN))))?;
            let mut text = Vec::new();
            log.read_to_end(&mut text)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&text).trim_end().to_owned())
        };
        read().unwrap_or_else(|error| format!("(the log cannot be read: {error})"))
    }

    /// An empty folder, owned by the account, to create a cluster in; it removes what an
    /// interrupted attempt left.
    pub fn begin(&self, account: Account) -> Result<PathBuf, Error> {
        let path = self.root.join("data.new");
        let made = match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => DirBuilder::new().mode(0o700).create(&path).and_then(|()| account.own(&path)),
        };
        made.map_err(failed(&path))?;
        Ok(path)
    }

    /// Marks the cluster as complete.
    pub fn finish(&self, made: &Path) -> Result<(), Error> {
        fs::rename(made, self.data()).and_then(|()| File::open(&self.root)?.sync_all()).map_err(failed(made))
    }

    /// The folder of the socket, private to the account and without an old socket.
    pub fn sockets(&self, account: Account) -> Result<PathBuf, Error> {
        let path = self.socket_folder();
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&path)(error)),
            _ => (),
        }
        // In a folder that everybody can write to, somebody else may have created it first.
        let found = fs::symlink_metadata(&path).map_err(failed(&path))?;
        let trusted = found.uid() == account.user || found.uid() == geteuid().as_raw();
        if !found.is_dir() || !trusted || found.mode() & 0o077 != 0 {
            return Err(Error::NotPrivate(path));
        }
        account.own(&path).map_err(failed(&path))?;
        for left in [SOCKET.to_owned(), format!("{SOCKET}.lock")] {
            let _ = fs::remove_file(path.join(left));
        }
        Ok(path)
    }

    fn socket_folder(&self) -> PathBuf {
        let name = format!("parkbrake-{}", &Digest::of(self.root.as_os_str().as_bytes()).as_str()["sha256:".len()..][..16]);
        let folders = [self.root.join("run"), std::env::temp_dir().join(&name), Path::new("/tmp").join(&name)];
        let fits = |folder: &&PathBuf| folder.is_absolute() && socket_in(folder).as_os_str().len() <= LONGEST_SOCKET;
        folders.iter().find(fits).unwrap_or(&folders[2]).clone()
    }
}

/// The socket of a server in its folder.
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// Removes the folder of the socket after the server has ended, unless the next one already uses
/// it, or somebody put something into it.
pub fn tidy(root: &Path, sockets: &Path) {
    if let Ok(log) = File::open(root.join(LOG))
        && log.try_lock().is_ok()
    {
        let _ = fs::remove_dir(sockets);
    }
}

/// The folder, created if necessary; refused if somebody else owns it, because its mode is changed
/// and files are put into it.
fn prepare(path: &Path) -> Result<PathBuf, Error> {
    let prepared = || {
        fs::create_dir_all(path)?;
        let root = path.canonicalize()?;
        let empty = fs::read_dir(&root)?.next().is_none();
        let ours = root.join(LOG).is_file() || (empty && fs::metadata(&root)?.uid() == geteuid().as_raw());
        if ours {
            // Root stays its owner, so that the account cannot put a link where root will write;
            // the account may pass through.
            let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
            fs::set_permissions(&root, Permissions::from_mode(mode))?;
        }
        Ok((root, ours))
    };
    let (root, ours) = prepared().map_err(failed(path))?;
    if ours { Ok(root) } else { Err(Error::Foreign(root)) }
}

fn open_log(path: &Path) -> Result<File, Error> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).expect("a flag of open(2), whose flags are an int");
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(no_link).open(path).map_err(failed(path))
}

/// Takes the lock unless another process has it; returns whether it was taken.
fn locked(log: &File) -> io::Result<bool> {
    match log.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a server that somebody else started, and that therefore does not hold the lock, works on
/// the data.
///
/// PostgreSQL treats any process with the number in `postmaster.pid` as its rival; after a crash or
/// a reboot that may be any process, so the file is removed if it names an unrelated one.
fn foreign_server(data: &Path) -> bool {
    let file = data.join("postmaster.pid");
    let named = fs::read_to_string(&file).ok().and_then(|text| Pid::from_raw(text.lines().next()?.trim().parse().ok()?));
    let Some(alive) = named.filter(|pid| test_kill_process(*pid).is_ok()) else { return false };
    let foreign = works_in(alive, data);
    if !foreign {
        let _ = fs::remove_file(file);
    }
    foreign
}

/// Whether a process is a server of this data: servers change to its folder.
#[cfg(target_os = "linux")]
fn works_in(pid: Pid, data: &Path) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_pid())).is_ok_and(|folder| folder == data)
}

/// Whether a process is a server of this data, judged by its command line.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "`ps` is asked by a command that is not a server")]
fn works_in(pid: Pid, data: &Path) -> bool {
    let output = std::process::Command::new("ps").args(["-o", "args=", "-p", &pid.as_raw_pid().to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*data.to_string_lossy()))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Folder { path, source }
}
