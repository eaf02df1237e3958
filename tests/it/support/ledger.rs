//! A ledger outside the database: a runbook that records its start and its end.

use crate::support::Config;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// The runbook's own record of what it did.
pub struct Ledger {
    folder: TempDir,
    /// The gates that were opened. While they are, nobody who comes late waits at them.
    opened: Mutex<Vec<File>>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub what: String,
    pub workflow: String,
    pub attempt: u32,
    pub key: String,
}

impl Ledger {
    pub fn new() -> Self {
        let ledger = Self { folder: tempfile::tempdir().expect("a folder"), opened: Mutex::default() };
        // A line of this size is appended atomically; `sync` makes it durable. The runbook waits
        // for the gate if there is one: a pipe that nobody has opened for writing.
        let script = "#!/bin/sh
write() { echo \"$1 $PARKBRAKE_WORKFLOW_ID $PARKBRAKE_ATTEMPT $PARKBRAKE_IDEMPOTENCY_KEY\" >> ledger; }
write start
[ ! -e gate ] || (: < gate) 2> /dev/null
write end
";
        std::fs::write(ledger.folder.path().join("run.sh"), script).expect("a script");
        ledger
    }

    /// Runbooks that keep this ledger: `once`, and `again`, which is idempotent; both as
    /// deployments.
    pub fn runbooks(&self, config: Config) -> Config {
        let runbook = |name: &str, operation: &str, idempotent: bool| {
            let folder = self.folder.path().display();
            format!(
                "  {name}: {{ operation: {operation}, environment: development, command: [/bin/sh, run.sh], working_dir: '{folder}', timeout: 1m, idempotent: {idempotent} }}\n"
            )
        };
        config.with_runbooks(&format!(
            "runbooks:\n{}{}{}",
            runbook("once", "deploy", false),
            runbook("again", "deploy", true),
            runbook("look", "read", false)
        ))
    }

    /// The folder of its script and its entries.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn gate(&self) -> PathBuf {
        self.folder.path().join("gate")
    }

    /// Holds every run between its start and its end.
    pub fn hold(&self) {
        if self.gate().exists() {
            return;
        }
        mknodat(CWD, self.gate(), FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("a gate");
    }

    /// Lets them continue.
    pub fn release(&self) {
        // Opening a pipe for both reading and writing never waits.
        let opened = File::options().read(true).write(true).open(self.gate()).expect("a gate");
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
        std::fs::remove_file(self.gate()).expect("a gate");
    }

    pub fn entries(&self) -> Vec<Entry> {
        read(&self.folder.path().join("ledger"))
    }

    /// The entries of one workflow.
    pub fn of(&self, workflow: &str) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.workflow == workflow).collect()
    }

    /// How often a workflow's action was started.
    pub fn starts(&self, workflow: &str) -> usize {
        self.of(workflow).iter().filter(|entry| entry.what == "start").count()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.gate().exists() {
            self.release();
        }
    }
}

#[track_caller]
fn read(path: &Path) -> Vec<Entry> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [what, workflow, attempt, key] = words[..] else { panic!("a torn line in the ledger: {line}") };
            Entry { what: what.to_owned(), workflow: workflow.to_owned(), attempt: attempt.parse().expect("a number"), key: key.to_owned() }
        })
        .collect()
}
