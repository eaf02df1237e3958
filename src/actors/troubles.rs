//! Checks for troubles periodically, so that every page can show them without a query.

use crate::actors::engine::Engine;
use crate::domain::trouble::{StuckChannel, Troubles};
use crate::domain::workflow::Status;
use crate::storage::{ChannelRow, Error, SearchFilter};
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The time between two checks.
const PAUSE: Duration = Duration::from_secs(15);
/// A channel with a notice that has waited for longer than this does not deliver.
const STUCK: TimeDelta = TimeDelta::minutes(5);
/// How long an undelivered notice counts as a trouble.
const DEAD_FOR: TimeDelta = TimeDelta::days(7);

impl Engine {
    /// Checks periodically, for as long as the engine lives.
    pub async fn watch_for_trouble(engine: Weak<Self>) {
        while let Some(engine) = engine.upgrade() {
            if let Err(error) = engine.look_for_trouble().await {
                tracing::debug!(%error, "cannot check for troubles");
            }
            drop(engine);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The troubles found by the last check.
    pub fn known_troubles(&self) -> Arc<Troubles> {
        self.troubles.known()
    }

    /// Checks for troubles now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn look_for_trouble(&self) -> Result<Arc<Troubles>, Error> {
        let names: Vec<String> = self.channels.keys().cloned().collect();
        let channels = self.storage.channels(&names).await?;
        let now = self.clock.now();
        let unknown = SearchFilter { status: Some(Status::OutcomeUnknown), ..SearchFilter::default() };
        let open_reviews = i64::try_from(self.storage.open_reviews().await?.len()).unwrap_or(i64::MAX);
        self.metrics.glass_reviews_open.set(open_reviews);
        Ok(self.troubles.set(Troubles {
            dead_notices: self.storage.dead_notices(DEAD_FOR).await?,
            stuck: channels.iter().filter_map(|channel| stuck(channel, now)).collect(),
            quarantined: self.storage.quarantined().await?.1,
            unknown_outcomes: self.storage.count(&unknown).await?.0,
            open_reviews,
            undecidable: self.metrics.undecidable.get(),
        }))
    }
}

/// The trouble of a channel with an overdue notice, if it has one.
fn stuck(row: &ChannelRow, now: DateTime<Utc>) -> Option<StuckChannel> {
    let since = row.oldest.filter(|oldest| now - *oldest > STUCK)?;
    Some(StuckChannel { channel: row.channel.clone(), waiting: row.waiting, since })
}
