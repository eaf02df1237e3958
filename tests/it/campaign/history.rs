//! The history of a campaign: what is stored, what clients were told, what the runbooks recorded,
//! what listeners received, and the life of each server.

use chrono::{DateTime, Utc};
use parkbrake::domain::workflow::Recorded;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Everything on which the checker bases its judgment.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub stored: BTreeMap<Uuid, Stored>,
    pub told: Vec<Told>,
    /// In the order in which the lines were written.
    pub ledger: Vec<Line>,
    /// What each listener received, in order.
    pub heard: Vec<Vec<(Uuid, u32)>>,
    pub servers: BTreeMap<Uuid, Server>,
    /// What should never appear: a panic, an alarm, a server that gave up, a stream that lost its
    /// position.
    pub alarms: Vec<String>,
}

/// One workflow in the database.
#[derive(Debug, Clone)]
pub struct Stored {
    pub log: Vec<Recorded>,
    /// The row beside the log.
    pub version: u32,
    pub status: String,
}

/// A call of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    Submit { key: String },
    Approve,
    Reject,
    Cancel,
    Report { succeeded: bool },
    Resolve,
    Read,
}

/// An answer that arrived.
#[derive(Debug, Clone)]
pub struct Told {
    pub by: &'static str,
    pub call: Call,
    /// The workflow of the call; for a submit, the one in the answer.
    pub workflow: Option<Uuid>,
    pub status: u16,
    pub code: String,
}

/// A record of a runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Start,
    Step,
    End,
}

/// One line of the ledger.
#[derive(Debug, Clone)]
pub struct Line {
    pub at: DateTime<Utc>,
    pub mark: Mark,
    pub workflow: Uuid,
    pub attempt: u32,
    pub key: String,
}

/// A server that has acted on the database.
#[derive(Debug, Clone, Default)]
pub struct Server {
    /// Since when it no longer acts, according to the database.
    pub ended_at: Option<DateTime<Utc>>,
    /// The actions that it stopped itself, because its lease was about to lapse.
    pub cut: BTreeSet<Uuid>,
}

impl Stored {
    /// The first event of this name.
    pub fn first(&self, name: &str) -> Option<&Recorded> {
        self.log.iter().find(|one| one.event.name() == name)
    }

    /// Whether this principal caused an event of this name.
    pub fn has(&self, name: &str, actor: &str) -> bool {
        self.log.iter().any(|one| one.event.name() == name && one.actor == actor)
    }
}
