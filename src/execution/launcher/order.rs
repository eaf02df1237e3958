//! What a launcher is told to do, and what it says.

use crate::domain::size::Size;
use crate::domain::task::confinement::Limits;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a launcher does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// It becomes bubblewrap, which starts the second launcher.
    Enclose { tie: Tie, bubblewrap: PathBuf, arguments: Vec<String> },
    /// It becomes the program.
    Run(Box<Confined>),
}

/// A program, and what holds it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Confined {
    /// `None` in a sandbox, which is tied itself.
    pub tie: Option<Tie>,
    pub limits: Limits,
    /// Whether programs such as `sudo` may gain rights.
    pub new_privileges: bool,
    pub program: Program,
}

/// The process that a launcher was started by. When that one dies, so does the command.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Tie {
    pub parent: i32,
}

/// What a launcher becomes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// The open file that came with the order.
    Open(Seen),
    /// The file at this path, which the kernel opens a second time: a script.
    At(PathBuf, Seen),
    /// Nothing: it says that it could, which is all that was asked.
    Nothing,
}

/// What a file was when it was hashed. Whatever is done to it afterwards changes this.
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

/// What a launcher says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It becomes the program now.
    Begins,
    /// It did not become the program.
    Refused { reason: String, code: Option<i32> },
}

/// What every command is held to whose runbook does not say otherwise: far more than a runbook
/// needs, and less than a machine has.
pub fn limits(said: &Limits) -> Limits {
    Limits {
        cpu: said.cpu,
        memory: said.memory.or(Some(Size::gib(8))),
        processes: said.processes.or(Some(8_192)),
        open_files: said.open_files.or(Some(8_192)),
        file_size: said.file_size,
    }
}
