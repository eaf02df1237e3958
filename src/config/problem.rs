//! A problem in a configuration, with its position and what to do.

use std::fmt;
use std::path::PathBuf;

/// One problem and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, with the folder as it was given.
    pub file: PathBuf,
    /// Counted from 1; `None` if the problem concerns the whole file.
    pub line: Option<usize>,
    /// The path of keys, such as `people.tom.roles`; empty if the problem concerns the whole file.
    pub key: String,
    /// What is wrong and what to do, in lower case and without a full stop.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Problem {}
