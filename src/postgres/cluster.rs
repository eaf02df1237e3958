//! The cluster: starts and stops a server in a folder.

use crate::postgres::account::Account;
use crate::postgres::folder::{self, Folder, socket_in};
use crate::postgres::watchdog::Watchdog;
use crate::postgres::wire::{Failure, Session};
use crate::postgres::{Error, Programs};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The role that owns everything; it does not depend on the user of the server, so that an address
/// stays valid.
const ROLE: &str = "parkbrake";

/// How long a server may take to answer; after a crash it repairs its files first.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Error codes of a database that exists already; the loser of a race gets the second.
const EXISTS: [&str; 2] = ["42P04", "23505"];

/// What a cluster is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether commits survive a power failure. Tests do without, which is several times as fast;
    /// nothing that anybody wants to keep may.
    pub durable: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { durable: true }
    }
}

/// A running PostgreSQL that belongs to this process and ends with it, even if the process is
/// killed.
///
/// Dropping it tells the server to shut down; [`Cluster::stop`] also waits until it has. In a
/// `static`, which is never dropped, it ends with the process.
#[derive(Debug)]
pub struct Cluster {
    root: PathBuf,
    sockets: PathBuf,
    watchdog: Watchdog,
}

impl Cluster {
    /// Starts the cluster of this folder, and creates it if there is none. Waits for a server that
    /// is still shutting down there, and until the new one answers.
    ///
    /// # Errors
    /// The folder cannot be used, belongs to somebody else, or is in use; the programs do not run;
    /// or the server does not start, in which case the error contains its log.
    pub async fn start(programs: &Programs, folder: &Path, options: Options) -> Result<Self, Error> {
        let folder = Folder::lock(folder).await?;
        let account = Account::for_data(&folder.data())?;
        let sockets = folder.sockets(account)?;
        account.reach(&[folder.root(), &sockets, programs.folder()])?;
        if !folder.data().exists() {
            initialize(programs, account, &folder, options).await?;
        }
        let watchdog = Watchdog::start(account, &folder, &programs.postgres(), &arguments(&folder.data(), &sockets, options))?;
        let mut cluster = Self { root: folder.root().to_owned(), sockets, watchdog };
        cluster.ready(&folder).await?;
        Ok(cluster)
    }

    /// The address of a database, in the form for clients.
    pub fn url(&self, database: &str) -> String {
        // No TLS on a socket, whatever PGSSLMODE says.
        let (database, sockets) = (percent_encoded(database.as_bytes()), percent_encoded(self.sockets.as_os_str().as_bytes()));
        format!("postgres://{ROLE}@localhost:5432/{database}?host={sockets}&sslmode=disable")
    }

    /// Creates a database, unless one with this name exists.
    ///
    /// # Errors
    /// The name is not `[a-z0-9_]{1,63}`, or the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let valid = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if !(1..=63).contains(&name.len()) || !name.bytes().all(valid) {
            return Err(Error::Name(name.to_owned()));
        }
        let create = async {
            // From template0, to which nobody can connect, because a template in use cannot be
            // copied.
            self.session().await?.execute(&format!(r#"CREATE DATABASE "{name}" TEMPLATE template0"#)).await
        };
        match create.await {
            Err(Failure::Refused { code, .. }) if EXISTS.contains(&code.as_str()) => Ok(()),
            created => created.map_err(|source| Error::Create { name: name.to_owned(), source }),
        }
    }

    /// Shuts the server down and waits until it has ended.
    ///
    /// # Errors
    /// It still runs after a minute; it will end when it can.
    pub async fn stop(self) -> Result<(), Error> {
        if !self.watchdog.stop().await {
            return Err(Error::NotStopped(self.root));
        }
        folder::tidy(&self.root, &self.sockets);
        Ok(())
    }

    pub(super) async fn session(&self) -> Result<Session, Failure> {
        Session::open(&socket_in(&self.sockets), ROLE, "postgres").await
    }

    async fn ready(&mut self, folder: &Folder) -> Result<(), Error> {
        let deadline = Instant::now() + START_TIMEOUT;
        while self.session().await.is_err() {
            if self.watchdog.has_ended() || Instant::now() > deadline {
                return Err(Error::NotReady { folder: folder.root().to_owned(), log: folder.logged() });
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    #[cfg(test)]
    pub(super) fn sockets(&self) -> &Path {
        &self.sockets
    }
}

/// Creates the cluster. `trust` is safe because only the account can reach the socket.
async fn initialize(programs: &Programs, account: Account, folder: &Folder, options: Options) -> Result<(), Error> {
    let (initdb, made) = (programs.initdb(), folder.begin(account)?);
    let mut command = account.command(&initdb);
    command.arg("--pgdata").arg(&made).args([
        "--username",
        ROLE,
        "--auth",
        "trust",
        "--encoding",
        "UTF8",
        "--locale",
        "C",
        "--data-checksums",
    ]);
    if !options.durable {
        command.arg("--no-sync");
    }
    command.stdout(folder.log()?).stderr(folder.log()?);
    let status = tokio::process::Command::from(command).kill_on_drop(true).status().await;
    match status {
        Ok(status) if status.success() => folder.finish(&made),
        Ok(_) => Err(Error::Initdb { folder: folder.root().to_owned(), log: folder.logged() }),
        Err(source) => Err(Error::Program { program: initdb, source }),
    }
}

fn arguments(data: &Path, sockets: &Path, options: Options) -> Vec<OsString> {
    let mut settings =
        vec!["listen_addresses=", "port=5432", "unix_socket_permissions=0700", "log_destination=stderr", "logging_collector=off"];
    if !options.durable {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200"]);
    }
    let folders = [OsString::from("-D"), data.into(), "-k".into(), sockets.into()];
    folders.into_iter().chain(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()])).collect()
}

/// Everything but letters and digits as `%XX`, which means the same in every part of an address.
fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || *byte == b'_' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}
