//! The limits and the sandbox of a command.
//!
//! Only what the runbook says is here, and so in the document. The executor knows the defaults for
//! all commands.

use crate::domain::duration;
use crate::domain::size::{self, Size};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Limits that the kernel enforces on a command. Each is `None` unless the runbook sets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The processor time of each process.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub cpu: Option<Duration>,
    /// The private writable memory of each process.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "size::optional")]
    pub memory: Option<Size>,
    /// The processes and threads of its account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// The files that each process may have open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u32>,
    /// The size of each file that it writes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "size::optional")]
    pub file_size: Option<Size>,
}

/// What a command in a sandbox may reach: it can read everything that its account can read, and
/// write only where it is allowed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Whether it can use the machine's network; otherwise it has none.
    pub network: bool,
    /// The folders and files that it may write to. Before they are resolved: as in the runbook,
    /// relative to its folder. Afterwards: their real paths.
    pub write: Vec<PathBuf>,
}

impl Limits {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = [
            ("cpu", self.cpu.map(|cpu| duration::show(cpu).to_string())),
            ("memory", self.memory.map(|size| size.to_string())),
            ("processes", self.processes.map(|count| count.to_string())),
            ("open_files", self.open_files.map(|count| count.to_string())),
            ("file_size", self.file_size.map(|size| size.to_string())),
        ];
        let said: Vec<_> = said.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect();
        f.write_str(if said.is_empty() { "none of its own" } else { "" })?;
        f.write_str(&said.join(", "))
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = if self.network { "the machine's network" } else { "no network" };
        let write: Vec<_> = self.write.iter().map(|path| path.display().to_string()).collect();
        match write.as_slice() {
            [] => write!(f, "{network}, writes nothing outside of /tmp and /dev/shm of its own"),
            _ => write!(f, "{network}, writes {}", write.join(", ")),
        }
    }
}
