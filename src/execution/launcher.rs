//! Starts a command under its limits, without privileges that it could gain, and tied to the life
//! of this server.
//!
//! The limits of a process have to be set between `fork` and `exec`, which safe Rust cannot do. So
//! the server starts this same program once more, as the launcher: with the account, the
//! environment and the streams of the command, and a socket as its standard input. Over the socket
//! it receives its order: the limits, and the open file of the program that was hashed. It applies
//! the limits, reports that it begins, and becomes the program, under the same process id. So the
//! server knows whether the command has begun or nothing ran.
//!
//! A sandboxed command takes two launchers: the first one becomes bubblewrap, which makes the
//! sandbox and starts the second one in it.

mod child;
pub mod order;
mod sandbox;
mod wire;

pub use child::launched;
pub use sandbox::{enclose, unusable};

use crate::execution::launcher::order::{Order, Report};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

/// The argument that tells this program to be the launcher.
const MARK: &str = "--launch-for-parkbrake";

/// The name of the program that makes sandboxes.
pub const BUBBLEWRAP: &str = "bwrap";

/// The program that is started as the launcher. It stays open, so that it remains the same one
/// after its file was replaced.
#[derive(Debug, Clone)]
pub struct Launcher {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    program: Arc<OwnedFd>,
    path: PathBuf,
}

impl Launcher {
    /// The currently running program.
    ///
    /// # Errors
    /// The program cannot be found.
    pub fn own() -> io::Result<Self> {
        Self::at(if cfg!(target_os = "linux") { PathBuf::from("/proc/self/exe") } else { std::env::current_exe()? })
    }

    /// The program at this path, which has to be parkbrake.
    ///
    /// # Errors
    /// The program cannot be opened.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Ok(Self { program: Arc::new(opened(&path)?), path })
    }

    /// A path that leads to the open program, even for an account that may not enter its folder.
    fn path(&self) -> PathBuf {
        if cfg!(target_os = "linux") { format!("/proc/self/fd/{}", self.program.as_raw_fd()).into() } else { self.path.clone() }
    }

    /// A command that starts the launcher, which becomes the program with these arguments, and the
    /// line to the launcher.
    ///
    /// # Errors
    /// The system is short of file descriptors.
    #[expect(clippy::disallowed_methods, reason = "this is where what was approved is run")]
    pub fn command(&self, name: &str, arguments: &[String]) -> io::Result<(std::process::Command, Line)> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = std::process::Command::new(self.path());
        command.arg(MARK).arg(name).args(arguments).stdin(Stdio::from(OwnedFd::from(theirs)));
        Ok((command, Line(ours)))
    }
}

#[cfg(target_os = "linux")]
fn opened(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    Ok(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn opened(path: &Path) -> io::Result<OwnedFd> {
    std::fs::File::open(path).map(OwnedFd::from)
}

/// The server's end of the socket.
pub struct Line(UnixStream);

/// How far a launcher has got.
#[derive(Debug)]
pub enum Progress {
    /// It has become the program.
    Begun,
    /// Nothing of the program has run.
    Refused(io::Error),
    /// It has not become the program, and has not reported why.
    Silent,
}

impl Line {
    /// Sends the orders, one for each launcher, and the program to the last one.
    ///
    /// # Errors
    /// The launcher has ended.
    pub fn give(&self, orders: &[Order], program: &impl std::os::fd::AsFd) -> io::Result<()> {
        for (index, order) in orders.iter().enumerate() {
            let is_last = index + 1 == orders.len();
            wire::send(self.0.as_fd(), &serde_json::to_vec(order)?, is_last.then(|| program.as_fd()))?;
        }
        Ok(())
    }

    /// What the launcher has reported. This does not wait, so it is called when the process has
    /// ended or its time is up.
    pub fn heard(&self) -> Progress {
        let mut progress = Progress::Silent;
        if self.0.set_nonblocking(true).is_err() {
            return progress;
        }
        while let Ok((message, _)) = wire::receive(self.0.as_fd()) {
            match serde_json::from_slice(&message) {
                Ok(Report::Begins) => progress = Progress::Begun,
                Ok(Report::Refused { reason, code }) => {
                    return Progress::Refused(code.map_or_else(|| io::Error::other(reason), io::Error::from_raw_os_error));
                }
                Err(_) => break,
            }
        }
        progress
    }
}
