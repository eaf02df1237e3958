//! For those who run the server.

use crate::http::time::Time;
use crate::service;
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
    /// What is halted. A server that is halted is ready: it takes tasks and decisions.
    halts: Vec<Halted>,
}

/// What is halted. Who did it and why is in `GET /halts`, which needs a token.
#[derive(Debug, Serialize, ToSchema)]
struct Halted {
    /// Null is everything.
    #[schema(required)]
    environment: Option<String>,
    since: Time,
}

/// How a part of the server is.
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
    /// Whether it can do its work.
    pub fn is_ready(&self) -> bool {
        self.status == Word::Ok
    }
}
