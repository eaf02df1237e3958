//! The feed: sends committed events to the followers of the log, in the order of the log and
//! without a gap.
//!
//! Nobody passes commits to the feed. It reads the log several times a second, and whenever the
//! checkpointer wakes it, so it also finds what another server wrote, and commits whose answer was
//! lost. Each look has two parts. First it asks which transactions are writing now, and which
//! number the next one will have ([`FeedMark`]). Then it reads what has become visible: events at
//! or after the number that was next at the last look, and events at or after a transaction that
//! was writing then and has ended since.
//!
//! Everything before the *watermark* stays as it is: it is older than every transaction that is
//! writing, so no event can appear there any more, and a client can continue from there. A
//! transaction that stays open holds up only the watermark, never what others write.

use crate::actors::versions::Versions;
use crate::domain::workflow::FeedEntry;
use crate::storage::{Error, FeedMark, FeedPosition, Storage};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast};

/// The time between two looks if nothing wakes the feed. A listener gets another server's commit
/// within half a second.
pub const LOOK: Duration = Duration::from_millis(250);
/// The shortest time between two looks.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// How many looks are kept for slow listeners. A listener that is slower still reads the log.
const CAPACITY: usize = 256;
/// How many events above the watermark are kept, and how many may be new at once. Beyond that,
/// listeners read the log.
const MOST: usize = 50_000;
/// How long a transaction that stays open holds up the watermark. What it writes later goes only to
/// those who listen then.
const WRITER_TIMEOUT: Duration = Duration::from_secs(600);

/// An event and its position.
pub type Told = (FeedPosition, Arc<FeedEntry>);

/// A message to a listener.
#[derive(Debug, Clone)]
pub enum News {
    /// These events are new, in order. Every event before the watermark has been sent.
    Told { events: Arc<[Told]>, watermark: i64 },
    /// Too much is new: subscribe again, and read the log from your position.
    Again,
}

/// What a new listener gets.
pub struct Listening {
    pub news: broadcast::Receiver<News>,
    /// Everything before this order is in the log and final.
    pub watermark: i64,
    /// Every event from here on is in [`Self::above_watermark`], or will be sent as news.
    pub next: i64,
    /// The known events from the watermark on.
    pub above_watermark: Vec<Told>,
}

/// Sends committed events to listeners.
#[derive(Debug)]
pub struct Feed {
    listeners: broadcast::Sender<News>,
    versions: Arc<Versions>,
    known: Mutex<Option<Known>>,
    /// Held during a look, so that there is only one at a time.
    looking: tokio::sync::Mutex<()>,
    wakeup: Notify,
}

/// What the last look found.
#[derive(Debug)]
struct Known {
    next: i64,
    watermark: i64,
    /// The transactions that were writing.
    writers: HashMap<i64, Writer>,
    /// The events from the watermark on that have been sent.
    above_watermark: BTreeMap<FeedPosition, Arc<FeedEntry>>,
}

/// A transaction that is writing.
#[derive(Debug, Clone, Copy)]
struct Writer {
    /// Its events have this order or a later one.
    from: i64,
    /// When it was first seen.
    since: Instant,
}

impl Known {
    /// The order from which on this mark allows new events.
    fn news_from(&self, mark: &FeedMark) -> i64 {
        let ended = self.writers.iter().filter(|(number, _)| !mark.writers.contains(number)).map(|(_, writer)| writer.from);
        ended.chain([self.next]).min().unwrap_or(self.next)
    }

    /// Records what a look found, and returns the new events.
    fn learn(&mut self, mark: &FeedMark, found: Vec<(FeedPosition, FeedEntry)>, now: Instant) -> Vec<Told> {
        let mut fresh = Vec::new();
        for (position, entry) in found {
            if let Entry::Vacant(vacant) = self.above_watermark.entry(position) {
                fresh.push((position, Arc::clone(vacant.insert(Arc::new(entry)))));
            }
        }
        // A transaction that was not writing before may have an old number, but what it writes
        // comes after what was next then.
        let (before, next) = (std::mem::take(&mut self.writers), self.next);
        let writer = |number: &i64| before.get(number).copied().unwrap_or(Writer { from: next.max(*number), since: now });
        self.writers = mark.writers.iter().map(|number| (*number, writer(number))).collect();
        self.next = mark.next;
        let waited_for = self.writers.values().filter(|writer| now.duration_since(writer.since) < WRITER_TIMEOUT);
        let watermark = waited_for.map(|writer| writer.from).chain([mark.next]).min().unwrap_or(mark.next);
        self.watermark = self.watermark.max(watermark);
        self.above_watermark = self.above_watermark.split_off(&FeedPosition::before(self.watermark));
        while self.above_watermark.len() > MOST {
            self.above_watermark.pop_first();
            self.watermark = self.above_watermark.first_key_value().map_or(self.watermark, |(position, _)| position.order);
        }
        fresh
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Feed {
    pub fn new(versions: Arc<Versions>) -> Self {
        Self {
            listeners: broadcast::Sender::new(CAPACITY),
            versions,
            known: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            wakeup: Notify::new(),
        }
    }

    /// Triggers a look, because something was committed.
    pub fn wake(&self) {
        self.wakeup.notify_one();
    }

    /// Waits until it is time for the next look.
    pub async fn rest(&self) {
        tokio::time::sleep(DEBOUNCE).await;
        let _ = tokio::time::timeout(LOOK - DEBOUNCE, self.wakeup.notified()).await;
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn listen(&self, storage: &Storage) -> Result<Listening, Error> {
        // Counts as a listener from here on, so that known events are not forgotten in between.
        let _audience = self.listeners.subscribe();
        loop {
            if let Some(known) = self.known().as_ref() {
                let above_watermark = known.above_watermark.iter().map(|(position, entry)| (*position, Arc::clone(entry))).collect();
                return Ok(Listening { news: self.listeners.subscribe(), watermark: known.watermark, next: known.next, above_watermark });
            }
            self.look(storage).await?;
        }
    }

    /// Reads the log, and sends what is new. Does nothing if nobody listens or waits.
    ///
    /// # Errors
    /// The database does not answer. The next look catches up.
    pub async fn look(&self, storage: &Storage) -> Result<(), Error> {
        let _one_at_a_time = self.looking.lock().await;
        if self.listeners.receiver_count() == 0 && self.versions.is_empty() {
            *self.known() = None;
            return Ok(());
        }
        if self.known().is_none() {
            return self.begin(storage).await;
        }
        let mark = storage.feed_mark().await?;
        let Some(from) = self.known().as_ref().map(|known| known.news_from(&mark)) else { return Ok(()) };
        let page = storage.feed_news(from, limit()).await?;
        if page.more_after.is_some() {
            tracing::info!("too many events were committed at once to send one by one; listeners read them from the log");
            *self.known() = None;
            return self.begin(storage).await;
        }
        let mut known = self.known();
        let Some(known) = known.as_mut() else { return Ok(()) };
        let watermark = known.watermark;
        let fresh = known.learn(&mark, page.entries, Instant::now());
        for (position, _) in &fresh {
            self.versions.publish(position.workflow_id, position.version);
        }
        if !fresh.is_empty() || known.watermark > watermark {
            let _ = self.listeners.send(News::Told { events: fresh.into(), watermark: known.watermark });
        }
        Ok(())
    }

    /// Starts again from the current end of the log.
    async fn begin(&self, storage: &Storage) -> Result<(), Error> {
        storage.feed_restart().await?;
        let mark = storage.feed_mark().await?;
        let mut known = Known { next: 0, watermark: 0, writers: HashMap::new(), above_watermark: BTreeMap::new() };
        let watermark = mark.writers.iter().copied().chain([mark.next]).min().unwrap_or(mark.next);
        let page = storage.feed_news(watermark, limit()).await?;
        let entries = if page.more_after.is_some() {
            // A transaction has been writing for very long. The feed no longer waits for it.
            (known.next, known.watermark) = (mark.next, mark.next);
            page.entries.into_iter().filter(|(position, _)| position.order >= mark.next).collect()
        } else {
            page.entries
        };
        known.learn(&mark, entries, Instant::now());
        *self.known() = Some(known);
        let _ = self.listeners.send(News::Again);
        // Those who wait for a workflow read it again, because it may have changed before this.
        self.versions.stir();
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn limit() -> i64 {
    i64::try_from(MOST).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use uuid::Uuid;

    fn mark(next: i64, writers: &[i64]) -> FeedMark {
        FeedMark { next, writers: writers.to_vec() }
    }

    fn event(order: i64, version: u32) -> (FeedPosition, FeedEntry) {
        let workflow_id = Uuid::from_u128(1);
        let entry = FeedEntry {
            workflow_id,
            version,
            event: "submitted".to_owned(),
            actor: String::new(),
            at: DateTime::UNIX_EPOCH,
            status: String::new(),
            risk_level: String::new(),
            task_id: None,
            requested_by: String::new(),
            on_behalf_of: None,
        };
        (FeedPosition { order, workflow_id, version }, entry)
    }

    fn known(next: i64) -> Known {
        Known { next, watermark: next, writers: HashMap::new(), above_watermark: BTreeMap::new() }
    }

    fn versions(told: &[Told]) -> Vec<u32> {
        told.iter().map(|(position, _)| position.version).collect()
    }

    #[test]
    fn the_feed_emits_each_event_once() {
        let (mut known, now) = (known(100), Instant::now());
        assert_eq!(known.news_from(&mark(103, &[])), 100);
        assert_eq!(versions(&known.learn(&mark(103, &[]), vec![event(101, 1), event(103, 2)], now)), [1, 2]);
        assert_eq!(known.watermark, 103, "more events may still get the next number");
        assert_eq!(versions(&known.learn(&mark(105, &[]), vec![event(103, 2), event(104, 3)], now)), [3]);
        assert_eq!((known.watermark, known.above_watermark.len()), (105, 0));
    }

    #[test]
    fn a_transaction_that_stays_open_holds_up_what_is_settled_and_nothing_else() {
        let (mut known, now) = (known(100), Instant::now());
        known.learn(&mark(110, &[104]), vec![event(105, 1)], now);
        assert_eq!(known.watermark, 104);
        assert_eq!(known.news_from(&mark(120, &[104])), 110, "nothing is read twice for it");
        assert_eq!(versions(&known.learn(&mark(120, &[104]), vec![event(112, 2)], now)), [2]);
        assert_eq!(known.news_from(&mark(130, &[])), 104, "it has ended, and may have written from there on");
        let found = vec![event(104, 9), event(105, 1), event(112, 2), event(121, 3)];
        assert_eq!(versions(&known.learn(&mark(130, &[]), found, now)), [9, 3]);
        assert_eq!(known.watermark, 130);
    }

    #[test]
    fn a_transaction_with_an_old_number_that_begins_to_write_writes_behind_what_was_next() {
        let (mut known, now) = (known(100), Instant::now());
        known.learn(&mark(110, &[50]), Vec::new(), now);
        assert_eq!(known.watermark, 100, "the watermark never goes back");
        assert_eq!(known.news_from(&mark(120, &[])), 100);
    }

    #[test]
    fn the_feed_stops_waiting_for_a_stuck_transaction() {
        let (mut known, now) = (known(100), Instant::now());
        known.learn(&mark(110, &[104]), Vec::new(), now);
        known.learn(&mark(120, &[104]), Vec::new(), now + WRITER_TIMEOUT);
        assert_eq!(known.watermark, 120);
    }
}
