//! For those who run the server.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    status: Word,
    /// Of the program.
    version: &'static str,
}

impl Health {
    /// Of the process that answers.
    pub fn here() -> Self {
        Self { status: Word::Ok, version: env!("CARGO_PKG_VERSION") }
    }
}

/// Whether the server can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    status: Word,
    /// Whether the database answers.
    database: Word,
    /// Whether the actors are at work.
    actors: Word,
    /// Whether this server has the right to act on the database.
    lease: Word,
    /// A new one after each start.
    server_id: Uuid,
    /// True while the server stops.
    closing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    Ok,
    Unavailable,
}

impl From<bool> for Word {
    fn from(is_good: bool) -> Self {
        if is_good { Self::Ok } else { Self::Unavailable }
    }
}

impl Readiness {
    /// What was found out of each part.
    pub fn of(server_id: Uuid, database: bool, actors: bool, lease: bool, closing: bool) -> Self {
        let status = (database && actors && lease && !closing).into();
        Self { status, database: database.into(), actors: actors.into(), lease: lease.into(), server_id, closing }
    }

    /// Whether it can do its work.
    pub fn is_ready(&self) -> bool {
        self.status == Word::Ok
    }
}
