//! Halts, and what holds a workflow.

use super::Success;
use crate::domain::hold;
use crate::domain::via::Via;
use crate::http::time::Time;
use crate::service::halts;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

/// How an environment, or everything, stands after a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HaltStanding)]
pub struct Standing<'a> {
    success: Success,
    /// Whether what was named is halted now.
    halted: bool,
    /// What was named; null is everything.
    #[schema(required)]
    environment: Option<&'a str>,
    /// Who halted it, or who resumed it; null where it was not halted before.
    #[schema(required)]
    by: Option<&'a str>,
    /// Since when that is so.
    #[schema(required)]
    since: Option<Time>,
    /// Whether this call changed it.
    changed: bool,
    /// Every halt in force, the oldest first.
    halts: Vec<Halt<'a>>,
    /// What a drill measured; null where none was asked for.
    #[schema(required)]
    drill: Option<Drill<'a>>,
}

impl<'a> Standing<'a> {
    /// The answer to halting or resuming.
    pub fn of(standing: &'a halts::Standing) -> Self {
        Self {
            success: Success,
            halted: standing.is_halted,
            environment: standing.environment.as_deref(),
            by: standing.by.as_deref(),
            since: standing.since.map(Time),
            changed: standing.is_changed,
            halts: standing.halts.iter().map(Halt::from).collect(),
            drill: standing.drill.as_ref().map(Drill::from),
        }
    }
}

/// A halt in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct Halt<'a> {
    /// Null is everything.
    #[schema(required)]
    environment: Option<&'a str>,
    by: &'a str,
    via: Via,
    reason: &'a str,
    since: Time,
    /// A drill ends by itself, within seconds.
    drill: bool,
}

impl<'a> From<&'a hold::Halt> for Halt<'a> {
    fn from(halt: &'a hold::Halt) -> Self {
        Self {
            environment: halt.environment.as_deref(),
            by: &halt.by,
            via: halt.via,
            reason: &halt.reason,
            since: Time(halt.since),
            drill: halt.is_drill,
        }
    }
}

/// What a drill measured, from when the halt was asked for.
#[derive(Debug, Serialize, ToSchema)]
struct Drill<'a> {
    /// When every server had said that it is halted, or was no longer waited for.
    took_ms: u64,
    /// The servers that acted meanwhile.
    servers: Vec<DrilledServer<'a>>,
}

/// One server.
#[derive(Debug, Serialize, ToSchema)]
struct DrilledServer<'a> {
    server_id: Uuid,
    address: &'a str,
    /// Null where it did not say so in time.
    #[schema(required)]
    took_ms: Option<u64>,
}

impl<'a> From<&'a halts::Drill> for Drill<'a> {
    fn from(drill: &'a halts::Drill) -> Self {
        let server = |server: &'a halts::DrilledServer| DrilledServer {
            server_id: server.server_id,
            address: &server.address,
            took_ms: server.took_ms,
        };
        Self { took_ms: drill.took_ms, servers: drill.servers.iter().map(server).collect() }
    }
}

/// The halts in force, and what people did before.
#[derive(Debug, Serialize, ToSchema)]
pub struct HaltPage<'a> {
    success: Success,
    halts: Vec<Halt<'a>>,
    /// The latest entries, the newest first; at most 50.
    log: Vec<Entry<'a>>,
}

impl<'a> HaltPage<'a> {
    /// What is halted and was.
    pub fn of(page: &'a halts::HaltPage) -> Self {
        Self { success: Success, halts: page.halts.iter().map(Halt::from).collect(), log: page.log.iter().map(Entry::from).collect() }
    }
}

/// One entry of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperationEntry)]
struct Entry<'a> {
    number: i64,
    at: Time,
    /// `halted`, `resumed`, `drill_began` or `drill_ended`.
    what: &'a str,
    /// Null is everything.
    #[schema(required)]
    environment: Option<&'a str>,
    by: &'a str,
    via: &'a str,
    #[schema(required)]
    reason: Option<&'a str>,
    /// Of a drill that has ended: what it measured.
    #[schema(required, value_type = Option<Drill>)]
    drill: Option<&'a RawValue>,
}

impl<'a> From<&'a halts::Operation> for Entry<'a> {
    fn from(row: &'a halts::Operation) -> Self {
        Self {
            number: row.number,
            at: Time(row.at),
            what: &row.kind,
            environment: row.environment.as_deref(),
            by: &row.actor,
            via: &row.via,
            reason: row.reason.as_deref(),
            drill: row.figures.as_deref().and_then(|figures| serde_json::from_str(figures).ok()),
        }
    }
}

/// What keeps a workflow that is released from starting.
#[derive(Debug, Serialize, ToSchema)]
pub struct Held<'a> {
    by: HeldBy,
    /// In a sentence.
    detail: String,
    /// The halted environment; null is everything, and of a freeze too.
    #[schema(required)]
    environment: Option<&'a str>,
    /// The name of the freeze.
    #[schema(required)]
    freeze: Option<&'a str>,
    /// Since when it is halted.
    #[schema(required)]
    since: Option<Time>,
    /// When the freeze ends.
    #[schema(required)]
    until: Option<Time>,
    /// The roles that may approve an exception; empty where none is made.
    exception: &'a [String],
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum HeldBy {
    Halt,
    Freeze,
}

impl<'a> From<&'a hold::Held> for Held<'a> {
    fn from(held: &'a hold::Held) -> Self {
        let (detail, exception) = (held.to_string(), held.exception());
        match held {
            hold::Held::Halted(halt) => Self {
                by: HeldBy::Halt,
                detail,
                environment: halt.environment.as_deref(),
                freeze: None,
                since: Some(Time(halt.since)),
                until: None,
                exception,
            },
            hold::Held::Frozen { freeze, until, .. } => Self {
                by: HeldBy::Freeze,
                detail,
                environment: None,
                freeze: Some(freeze),
                since: None,
                until: Some(Time(*until)),
                exception,
            },
        }
    }
}
