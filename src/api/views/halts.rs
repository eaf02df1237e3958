//! Halts, and what holds a workflow back.

use super::Success;
use crate::domain::hold;
use crate::domain::via::Via;
use crate::http::time::Time;
use crate::service::halts;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

/// The state of everything, or of one environment, after a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HaltStanding)]
pub struct Standing<'a> {
    success: Success,
    /// Whether it is halted now.
    halted: bool,
    /// The environment that the call named; null means everything.
    #[schema(required)]
    environment: Option<&'a str>,
    /// Who halted it, or who resumed it; null if it was not halted before.
    #[schema(required)]
    by: Option<&'a str>,
    /// The time since which this is so.
    #[schema(required)]
    since: Option<Time>,
    /// Whether this call changed it.
    changed: bool,
    /// Every halt in force, the oldest first.
    halts: Vec<Halt<'a>>,
    /// What a drill measured; null if the call was not a drill.
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
    /// Null means everything.
    #[schema(required)]
    environment: Option<&'a str>,
    by: &'a str,
    via: Via,
    reason: &'a str,
    since: Time,
    /// A drill ends on its own, within seconds.
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

/// What a drill measured, from the time of the call.
#[derive(Debug, Serialize, ToSchema)]
struct Drill<'a> {
    /// When every server had confirmed the halt, or parkbrake stopped waiting for it.
    took_ms: u64,
    /// The servers that were active.
    servers: Vec<DrilledServer<'a>>,
}

/// One server.
#[derive(Debug, Serialize, ToSchema)]
struct DrilledServer<'a> {
    server_id: Uuid,
    address: &'a str,
    /// Null if it did not confirm in time.
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

/// The halts in force, and the latest entries of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct HaltPage<'a> {
    success: Success,
    halts: Vec<Halt<'a>>,
    /// The latest entries, the newest first; at most 50.
    log: Vec<Entry<'a>>,
}

impl<'a> HaltPage<'a> {
    /// The page for these halts and this log.
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
    /// Null means everything.
    #[schema(required)]
    environment: Option<&'a str>,
    by: &'a str,
    via: &'a str,
    #[schema(required)]
    reason: Option<&'a str>,
    /// For a drill that has ended: what it measured.
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

/// What keeps a released workflow from starting.
#[derive(Debug, Serialize, ToSchema)]
pub struct Held<'a> {
    by: HeldBy,
    /// The reason in a sentence.
    detail: String,
    /// The halted environment; null means everything, and is also the value for a freeze.
    #[schema(required)]
    environment: Option<&'a str>,
    /// The name of the freeze.
    #[schema(required)]
    freeze: Option<&'a str>,
    /// When the halt began.
    #[schema(required)]
    since: Option<Time>,
    /// When the freeze ends.
    #[schema(required)]
    until: Option<Time>,
    /// The roles that may approve an exception; empty if there is no exception.
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
