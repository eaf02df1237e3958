//! Health and readiness, for operators.

use crate::http::time::Time;
use crate::service;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    status: Word,
    /// The version of the program.
    version: &'static str,
}

impl Health {
    /// The health of this process.
    pub fn here() -> Self {
        Self { status: Word::Ok, version: env!("CARGO_PKG_VERSION") }
    }
}

/// Whether the server is ready to work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    status: Word,
    /// Whether the database answers.
    database: Word,
    /// Whether the actors are running.
    actors: Word,
    /// Whether this server holds the lease on the database.
    lease: Word,
    /// A new id after each start.
    server_id: Uuid,
    /// True while the server stops.
    closing: bool,
    /// What is halted. A halted server is ready: it accepts tasks and decisions.
    halts: Vec<Halted>,
}

/// What is halted. `GET /halts`, which needs a token, shows who did it and why.
#[derive(Debug, Serialize, ToSchema)]
struct Halted {
    /// Null means everything.
    #[schema(required)]
    environment: Option<String>,
    since: Time,
}

/// The state of a part of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PartStatus)]
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

impl From<service::Readiness> for Readiness {
    fn from(found: service::Readiness) -> Self {
        let status = found.is_ready().into();
        let service::Readiness { database, actors, lease, closing, server_id, halts } = found;
        let halts = halts.into_iter().map(|halt| Halted { environment: halt.environment, since: Time(halt.since) }).collect();
        Self { status, database: database.into(), actors: actors.into(), lease: lease.into(), server_id, closing, halts }
    }
}

impl Readiness {
    /// Whether the server is ready to work.
    pub fn is_ready(&self) -> bool {
        self.status == Word::Ok
    }
}
