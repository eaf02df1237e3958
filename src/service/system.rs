//! The state of the system: servers, channels, undelivered notices, unknown outcomes, running work,
//! and halts. For people.

use crate::domain::hold::Halt;
use crate::domain::page::Page;
use crate::domain::task::digest::Digest;
use crate::domain::trouble::Troubles;
use crate::domain::workflow::Status;
use crate::identity::Caller;
use crate::service::lists::{Search, only_people};
use crate::service::notices::NoticeQuery;
use crate::service::reviews::OpenReview;
use crate::service::{About, Finds, Notice, Service, ServiceError};
use crate::storage;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// The most entries in each list.
const LISTED: i64 = 50;
/// The number of recent notices of a channel that its figures cover.
pub const LATEST_NOTICES: i64 = storage::LATEST_NOTICES;

/// The state of the system.
#[derive(Debug)]
pub struct System {
    pub now: DateTime<Utc>,
    /// The server that answers this request.
    pub server_id: Uuid,
    /// The digest of its configuration.
    pub policy_version: Digest,
    /// The number of points where the configuration is weaker than the shipped one.
    pub weaknesses: usize,
    pub troubles: Arc<Troubles>,
    pub servers: Vec<Server>,
    pub channels: Vec<ChannelState>,
    pub dead: Page<Notice, Uuid>,
    pub quarantined: Vec<InQuarantine>,
    pub unknown: Finds,
    pub running: Finds,
    pub halts: Vec<Halt>,
    pub reviews: Vec<OpenReview>,
}

/// A server that holds or held a lease on the database.
#[derive(Debug)]
pub struct Server {
    pub server_id: Uuid,
    pub address: String,
    pub host: String,
    pub version: String,
    pub started_at: DateTime<Utc>,
    pub lease_until: DateTime<Utc>,
    /// Whether its lease is valid.
    pub acts: bool,
    pub ended_at: Option<DateTime<Utc>>,
}

/// The state of a channel.
#[derive(Debug)]
pub struct ChannelState {
    pub channel: String,
    /// Notices that are due and not delivered; the count stops at 10,000.
    pub waiting: i64,
    pub oldest: Option<DateTime<Utc>>,
    /// Delivered notices among the latest [`LATEST_NOTICES`].
    pub delivered: i64,
    pub dead: i64,
    pub last_delivered_at: Option<DateTime<Utc>>,
    /// The error of the latest notice that could not be delivered at once.
    pub last_error: Option<String>,
}

/// A quarantined workflow.
#[derive(Debug)]
pub struct InQuarantine {
    pub workflow_id: Uuid,
    /// The target in a line; `None` if it cannot be read.
    pub headline: Option<String>,
    pub reason: String,
    pub failures: i32,
    pub since: DateTime<Utc>,
}

impl Service {
    /// The current state of the system.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn system(&self, by: &Caller) -> Result<System, ServiceError> {
        only_people(by, "only people can read the state of the system")?;
        let (engine, storage) = (&self.engine, &self.engine.storage);
        let names: Vec<String> = engine.channels.keys().cloned().collect();
        let channels = storage.channels(&names).await?;
        let (quarantined, _) = storage.quarantined().await?;
        let ids: Vec<Uuid> = quarantined.iter().map(|row| row.workflow_id).collect();
        let targets = self.targets(by, &ids).await?;
        let headline = |id: &Uuid| targets.get(id).map(|about: &About| about.target.headline());
        let dead = NoticeQuery { status: Some("dead".to_owned()), limit: LISTED, ..NoticeQuery::default() };
        let of = |status| Search { status: Some(status), counts: true, limit: LISTED, ..Search::default() };
        Ok(System {
            now: self.now(),
            server_id: engine.owner,
            policy_version: engine.configuration.rules.version.clone(),
            weaknesses: engine.configuration.weaknesses.len(),
            troubles: engine.look_for_trouble().await?,
            servers: storage.servers().await?.into_iter().map(Server::from).collect(),
            channels: channels.into_iter().map(ChannelState::from).collect(),
            dead: self.notices(by, dead).await?,
            quarantined: quarantined.into_iter().map(|row| InQuarantine { headline: headline(&row.workflow_id), ..row.into() }).collect(),
            unknown: self.list(by, of(Status::OutcomeUnknown)).await?,
            running: self.list(by, of(Status::Executing)).await?,
            halts: self.halts(),
            reviews: self.open_reviews(by).await?,
        })
    }

    /// The troubles found by the last check, for people who can act on them.
    pub fn known_troubles(&self, by: &Caller) -> Vec<String> {
        if self.may_halt(by) { self.engine.known_troubles().lines() } else { Vec::new() }
    }
}

impl From<storage::ServerRow> for Server {
    fn from(row: storage::ServerRow) -> Self {
        let storage::ServerRow { server_id, address, host, version, started_at, lease_until, acts, ended_at } = row;
        Self { server_id, address, host, version, started_at, lease_until, acts, ended_at }
    }
}

impl From<storage::ChannelRow> for ChannelState {
    fn from(row: storage::ChannelRow) -> Self {
        let storage::ChannelRow { channel, waiting, oldest, delivered, dead, last_delivered_at, last_error } = row;
        Self { channel, waiting, oldest, delivered, dead, last_delivered_at, last_error }
    }
}

impl From<storage::QuarantineRow> for InQuarantine {
    fn from(row: storage::QuarantineRow) -> Self {
        let storage::QuarantineRow { workflow_id, reason, failures, since } = row;
        Self { workflow_id, headline: None, reason, failures, since }
    }
}
