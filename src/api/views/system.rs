//! The state of the system.

use super::Success;
use super::halts::Halt;
use super::notices::Notice;
use super::reviews::Open;
use crate::domain::risk::level::Level;
use crate::domain::task::digest::Digest;
use crate::http::time::Time;
use crate::service::system::{ChannelState, InQuarantine, Server, System};
use crate::service::{Finds, Listed};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The state of the system.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = System)]
pub struct SystemAnswer<'a> {
    success: Success,
    now: Time,
    /// The version of the program that answers.
    version: &'static str,
    /// The server that answers.
    server_id: Uuid,
    /// The digest of its configuration.
    policy_version: &'a Digest,
    /// How many settings are weaker than in the shipped configuration; `parkbrake check` lists
    /// them.
    configuration_weaknesses: usize,
    /// What needs attention, each in a sentence; empty if all is well.
    troubles: Vec<String>,
    /// The server that acts first, then earlier ones, the latest first.
    servers: Vec<ServerState<'a>>,
    channels: Vec<ChannelAnswer<'a>>,
    /// The notices that were given up.
    dead_notices: Vec<Notice<'a>>,
    quarantined: Vec<Quarantined<'a>>,
    outcome_unknown: SystemWorkflows<'a>,
    executing: SystemWorkflows<'a>,
    halts: Vec<Halt<'a>>,
    /// Open reviews of broken glass.
    reviews: Vec<Open<'a>>,
}

/// A server that acts on the database, or did.
#[derive(Debug, Serialize, ToSchema)]
struct ServerState<'a> {
    server_id: Uuid,
    address: &'a str,
    /// The name of its machine.
    host: &'a str,
    version: &'a str,
    started_at: Time,
    lease_until: Time,
    /// Whether it acts, and its lease is valid.
    acts: bool,
    #[schema(required)]
    ended_at: Option<Time>,
}

/// The state of a channel.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChannelState)]
struct ChannelAnswer<'a> {
    channel: &'a str,
    /// Notices that are due and not delivered; at most 10,000 are counted.
    waiting: i64,
    /// When the oldest of them fell due.
    #[schema(required)]
    oldest_waiting: Option<Time>,
    /// Among its latest 2,000 notices.
    delivered: i64,
    /// Given up, among its latest 2,000 notices.
    dead: i64,
    #[schema(required)]
    last_delivered_at: Option<Time>,
    /// The error of the latest notice that could not be delivered at once.
    #[schema(required)]
    last_error: Option<&'a str>,
}

/// A workflow that parkbrake has quarantined after repeated failures.
#[derive(Debug, Serialize, ToSchema)]
struct Quarantined<'a> {
    workflow_id: Uuid,
    /// What it acts on, in one line; null if that cannot be read.
    #[schema(required)]
    headline: Option<&'a str>,
    reason: &'a str,
    failures: i32,
    since: Time,
}

/// The workflows with one status.
#[derive(Debug, Serialize, ToSchema)]
struct SystemWorkflows<'a> {
    /// At most 2,000 are counted.
    count: i64,
    workflows: Vec<SystemWorkflow<'a>>,
}

/// A workflow, in one line.
#[derive(Debug, Serialize, ToSchema)]
struct SystemWorkflow<'a> {
    workflow_id: Uuid,
    headline: String,
    #[schema(value_type = Level)]
    risk_level: &'a str,
    requested_by: &'a str,
    /// When its last event happened.
    since: Time,
}

impl<'a> From<&'a Finds> for SystemWorkflows<'a> {
    fn from(finds: &'a Finds) -> Self {
        let line = |line: &'a Listed| SystemWorkflow {
            workflow_id: line.workflow_id,
            headline: line.target.headline(),
            risk_level: &line.risk_level,
            requested_by: &line.requested_by,
            since: Time(line.updated_at),
        };
        Self { count: finds.count.map_or(0, |count| count.found), workflows: finds.page.items.iter().map(line).collect() }
    }
}

impl<'a> From<&'a System> for SystemAnswer<'a> {
    fn from(system: &'a System) -> Self {
        let server = |server: &'a Server| ServerState {
            server_id: server.server_id,
            address: &server.address,
            host: &server.host,
            version: &server.version,
            started_at: Time(server.started_at),
            lease_until: Time(server.lease_until),
            acts: server.acts,
            ended_at: server.ended_at.map(Time),
        };
        let channel = |state: &'a ChannelState| ChannelAnswer {
            channel: &state.channel,
            waiting: state.waiting,
            oldest_waiting: state.oldest.map(Time),
            delivered: state.delivered,
            dead: state.dead,
            last_delivered_at: state.last_delivered_at.map(Time),
            last_error: state.last_error.as_deref(),
        };
        let quarantined = |one: &'a InQuarantine| Quarantined {
            workflow_id: one.workflow_id,
            headline: one.headline.as_deref(),
            reason: &one.reason,
            failures: one.failures,
            since: Time(one.since),
        };
        Self {
            success: Success,
            now: Time(system.now),
            version: env!("CARGO_PKG_VERSION"),
            server_id: system.server_id,
            policy_version: &system.policy_version,
            configuration_weaknesses: system.weaknesses,
            troubles: system.troubles.lines(),
            servers: system.servers.iter().map(server).collect(),
            channels: system.channels.iter().map(channel).collect(),
            dead_notices: system.dead.items.iter().map(Notice::from).collect(),
            quarantined: system.quarantined.iter().map(quarantined).collect(),
            outcome_unknown: (&system.unknown).into(),
            executing: (&system.running).into(),
            halts: system.halts.iter().map(Halt::from).collect(),
            reviews: system.reviews.iter().map(Open::from).collect(),
        }
    }
}
