//! What is committed, told to those who follow it. Nobody is owed anything here: what was not heard is in the log.
//!
//! Telling is a hint like every message, and a hint can fail to come: a batch was written, and the answer was lost with its
//! connection. So the feed keeps count of what it told and compares it with the log, for stretches of time that are over.
//! Where the two differ, everybody is sent to read that stretch again. What is behind such a comparison is *settled*: whoever
//! has heard everything until there has missed nothing before it, and can come back to there at any time.

use crate::domain::workflow::{Event, Workflow};
use crate::storage::{Error, FeedEntry, Storage};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// A stretch of time is over when it ended this long ago: an event has its time from within a statement, and a statement is
/// ended after 5 s.
const SETTLING: TimeDelta = TimeDelta::seconds(10);
/// Between two comparisons.
const AUDIT: Duration = Duration::from_secs(3);
/// How long counts are kept, so that the first who listens finds those of the last stretch.
const KEPT: TimeDelta = TimeDelta::seconds(60);
/// So many batches are kept for listeners that are slow; one that is slower reads the log.
const CAPACITY: usize = 256;

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum News {
    /// These events are durable.
    Committed(Arc<[FeedEntry]>),
    /// There are events since this moment that nobody was told of.
    Missed(DateTime<Utc>),
}

/// One commit, as it is told.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    pub at: DateTime<Utc>,
    /// The state after its events.
    pub workflow: &'a Workflow,
    pub actor: &'a str,
    pub events: &'a [Event],
}

impl Commit<'_> {
    fn entries(&self) -> impl Iterator<Item = FeedEntry> {
        let after = u32::try_from(self.events.len()).unwrap_or_default();
        let first = (self.workflow.version + 1).saturating_sub(after);
        self.events.iter().zip(first..).map(|(event, version)| FeedEntry::of(self.workflow, version, self.actor, self.at, event))
    }
}

/// Tells what is committed, and keeps count.
#[derive(Debug)]
pub struct Feed {
    listeners: broadcast::Sender<News>,
    ledger: Mutex<Ledger>,
    /// One comparison at a time.
    audit: tokio::sync::Mutex<()>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { listeners: broadcast::Sender::new(CAPACITY), ledger: Mutex::default(), audit: tokio::sync::Mutex::default() }
    }
}

/// How many events were told, by their time.
#[derive(Debug, Default)]
struct Ledger {
    told: VecDeque<(DateTime<Utc>, usize)>,
    /// Counts of this moment and of those before it may have been forgotten.
    forgotten: Option<DateTime<Utc>>,
    settled: Option<DateTime<Utc>>,
    audited: Option<Instant>,
}

impl Feed {
    /// Tells that these commits are durable. Where nobody listens, it only counts.
    pub fn tell(&self, commits: &[Commit<'_>]) {
        if commits.is_empty() {
            return;
        }
        // Told first and counted then: what is not counted is told again, what is not told must not be counted.
        if self.listeners.receiver_count() > 0 {
            let _ = self.listeners.send(News::Committed(commits.iter().flat_map(Commit::entries).collect()));
        }
        let mut ledger = self.ledger();
        for commit in commits {
            ledger.count(commit.at, commit.events.len());
        }
    }

    /// Hears everything that is committed from now on.
    pub fn listen(&self) -> broadcast::Receiver<News> {
        let mut ledger = self.ledger();
        if self.listeners.receiver_count() == 0 {
            // Nobody compared meanwhile, and nobody is owed what was before.
            (ledger.settled, ledger.audited) = (None, None);
        }
        self.listeners.subscribe()
    }

    /// The moment before which nothing is missing from what was told, as it was last found.
    pub fn settled(&self) -> Option<DateTime<Utc>> {
        self.ledger().settled
    }

    /// The same, found anew if that was too long ago. Every listener asks now and then; the first to come does the work.
    ///
    /// # Errors
    /// No database.
    pub async fn settle(&self, storage: &Storage) -> Result<DateTime<Utc>, Error> {
        let _one_at_a_time = self.audit.lock().await;
        if let Some(settled) = self.ledger().recently_settled() {
            return Ok(settled);
        }
        let until = storage.now().await? - SETTLING;
        // Nothing to compare with at first, and after the database's clock was set back.
        if let Some(from) = self.settled().filter(|from| *from <= until) {
            let stored = storage.count_events(from, until).await?;
            let told = self.ledger().told(from, until).and_then(|count| i64::try_from(count).ok());
            if told != Some(stored) {
                tracing::info!(told, stored, since = %from, "events were committed that nobody was told of; who listens reads them from the log");
                let _ = self.listeners.send(News::Missed(from));
            }
        }
        self.ledger().settle(until);
        Ok(until)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn count(&mut self, at: DateTime<Utc>, events: usize) {
        self.told.push_back((at, events));
        while let Some((oldest, _)) = self.told.front().copied().filter(|(oldest, _)| *oldest + KEPT < at) {
            self.told.pop_front();
            self.forgotten = self.forgotten.max(Some(oldest));
        }
    }

    /// How many events of a stretch of time were told; `None` where that is forgotten.
    fn told(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<usize> {
        if self.forgotten.is_some_and(|forgotten| from <= forgotten) {
            return None;
        }
        Some(self.told.iter().filter(|(at, _)| (from..until).contains(at)).map(|(_, events)| events).sum())
    }

    fn settle(&mut self, until: DateTime<Utc>) {
        self.told.retain(|(at, _)| *at >= until);
        (self.settled, self.audited) = (Some(until), Some(Instant::now()));
    }

    fn recently_settled(&self) -> Option<DateTime<Utc>> {
        self.settled.filter(|_| self.audited.is_some_and(|audited| audited.elapsed() < AUDIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    #[test]
    fn what_was_told_is_counted_by_its_time() {
        let mut ledger = Ledger::default();
        for (second, events) in [(0, 2), (2, 1), (1, 4), (3, 8)] {
            ledger.count(at(second), events);
        }
        assert_eq!(ledger.told(at(0), at(3)), Some(7));
        assert_eq!(ledger.told(at(1), at(2)), Some(4), "two batches may be answered in another order than their times");
        ledger.settle(at(3));
        assert_eq!(ledger.told(at(3), at(9)), Some(8));
    }

    #[test]
    fn what_is_forgotten_is_not_taken_for_nothing() {
        let mut ledger = Ledger::default();
        ledger.count(at(0), 2);
        ledger.count(at(30), 1);
        assert_eq!(ledger.told(at(0), at(40)), Some(3));
        ledger.count(at(70), 1);
        assert_eq!(ledger.told(at(0), at(80)), None);
        assert_eq!(ledger.told(at(1), at(80)), Some(2));
    }

    #[test]
    fn nothing_is_settled_until_somebody_listens() {
        let feed = Feed::default();
        feed.ledger().settle(at(5));
        let one = feed.listen();
        assert_eq!(feed.settled(), None, "it is of an earlier time");
        feed.ledger().settle(at(9));
        let two = feed.listen();
        assert_eq!(feed.settled(), Some(at(9)));
        drop((one, two));
    }
}
