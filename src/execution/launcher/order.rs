//! The orders to a launcher, and its reports.

use crate::domain::size::Size;
use crate::domain::task::confinement::Limits;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An order to a launcher.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// It becomes bubblewrap, which starts the second launcher.
    Enclose { tie: Tie, bubblewrap: PathBuf, arguments: Vec<String> },
    /// It becomes the program.
    Run(Box<Confined>),
}

/// A program and its limits.
#[derive(Debug, Serialize, Deserialize)]
pub struct Confined {
    /// `None` in a sandbox, which has its own tie.
    pub tie: Option<Tie>,
    pub limits: Limits,
    /// Whether programs such as `sudo` may gain privileges.
    pub new_privileges: bool,
    pub program: Program,
}

/// The process that started a launcher. When it dies, the command dies too.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tie {
    pub parent: i32,
}

/// What a launcher becomes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// The open file sent with the order.
    Open(Seen),
    /// The file at this path, which the kernel opens a second time: a script.
    At(PathBuf, Seen),
    /// Nothing: the launcher only reports that it could start a program.
    Nothing,
}

/// The state of a file when it was hashed. Any later change to the file alters it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// The last change of its content or of its owner and mode, in seconds and nanoseconds.
    pub changed: (i64, i64),
}

impl Seen {
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.size(), changed }
    }
}

/// A launcher's report.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It becomes the program now.
    Begins,
    /// It did not become the program.
    Refused { reason: String, code: Option<i32> },
}

/// The limits of every command whose runbook does not set others: far more than a runbook needs,
/// and less than a machine has.
pub fn limits(said: &Limits) -> Limits {
    Limits {
        cpu: said.cpu,
        memory: said.memory.or(Some(Size::gib(8))),
        processes: said.processes.or(Some(8_192)),
        open_files: said.open_files.or(Some(8_192)),
        file_size: said.file_size,
    }
}
