//! Keeps a server from outliving its owner.
//!
//! A process that is killed cannot clean up, so a small shell between the owner and the server does
//! it. The shell reads from a pipe that only the owner holds and never writes to. When the owner
//! ends, for whatever reason, the kernel closes the pipe, and the shell tells the server to shut
//! down.

use crate::postgres::Error;
use crate::postgres::account::Account;
use crate::postgres::folder::Folder;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Runs its arguments in the background until they end or standard input does.
///
/// Commands in the background get no standard input, hence descriptor 3. The shell ignores the
/// signals that end processes, so that only the pipe decides; the server sets its own handlers.
/// SIGINT is its fast shutdown.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -INT "$server"; } &
reader=$!
exec 3<&-
wait "$server"
status=$?
kill -KILL "$reader" 2>/dev/null
exit "$status"
"#;

/// How long a server has to shut down.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that ends with its owner. Dropping it tells the server to shut down and does not wait.
///
/// It belongs to no runtime, so that the tests of a whole process can share one cluster.
#[derive(Debug)]
pub struct Watchdog {
    shell: Child,
    /// Nothing is written to it; it is only closed.
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    /// Starts a server under a watchdog; both write to the folder's log, and thereby hold its lock.
    pub fn start(account: Account, folder: &Folder, server: &Path, arguments: &[OsString]) -> Result<Self, Error> {
        let mut shell = account
            .command("sh")
            .args(["-c", SCRIPT, "parkbrake-postgres"])
            .arg(server)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(folder.log()?)
            .stderr(folder.log()?)
            .spawn()
            .map_err(|source| Error::Program { program: "sh".into(), source })?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// The process group of the shell and the server.
    #[cfg(test)]
    pub fn group(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(self.shell.id().try_into().ok()?)
    }

    /// Whether the server has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }

    /// Tells the server to shut down, and waits for it; returns whether it ended in time.
    pub async fn stop(mut self) -> bool {
        self.pipe = None;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
        true
    }
}
