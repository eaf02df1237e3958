//! What is committed, told to those who follow it, in the order of the log and without a gap.
//!
//! Nobody tells the feed what was committed: it looks into the log, several times a second and whenever the checkpointer rings. So
//! it hears also of what another server wrote, and of commits whose answer was lost. Each look has two parts. First it asks
//! which transactions are writing just now, and which number the next one will have ([`FeedMark`]); then it reads what has become
//! visible: what stands at or after the number that was next at the look before, and what stands at or after a transaction that was writing
//! then and has ended since.
//!
//! What stands before all transactions that are writing is *settled*: nothing can come in between any more, and a client can come back to there.
//! A transaction that stays open holds up only this, never what others write.

use crate::actors::versions::Versions;
use crate::domain::workflow::FeedEntry;
use crate::storage::{Error, FeedMark, FeedPlace, Storage};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast};

/// Between two looks without a ring: whoever waits hears of another server's commit within half a second.
pub const LOOK: Duration = Duration::from_millis(250);
/// Between two looks at least.
const BREATH: Duration = Duration::from_millis(10);
/// So many looks are kept for listeners that are slow; one that is slower reads the log.
const CAPACITY: usize = 256;
/// So many events may wait to be settled, and so many be new at once; what is more is read from the log.
const MOST: usize = 50_000;
/// How long a transaction that stays open holds up what is settled. What it writes later is told to those who listen then.
const WRITER_PATIENCE: Duration = Duration::from_secs(600);

/// An event and its place.
pub type Told = (FeedPlace, Arc<FeedEntry>);

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum News {
    /// These events are new, in their order; before this order everything has been told.
    Told { events: Arc<[Told]>, settled: i64 },
    /// There is more than can be told: listen again, and read the log from where you are.
    Again,
}

/// What somebody hears who begins to listen.
pub struct Listening {
    pub news: broadcast::Receiver<News>,
    /// What comes before this order is in the log, and stays as it is.
    pub settled: i64,
    /// No event stands here or later that is not among [`Self::unsettled`] and is not told as news.
    pub next: i64,
    /// What is known from there on.
    pub unsettled: Vec<Told>,
}

/// Tells what is committed.
#[derive(Debug)]
pub struct Feed {
    listeners: broadcast::Sender<News>,
    versions: Arc<Versions>,
    known: Mutex<Option<Known>>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
    bell: Notify,
}

/// What the last look found.
#[derive(Debug)]
struct Known {
    next: i64,
    settled: i64,
    /// The transactions that were writing.
    writers: HashMap<i64, Writer>,
    /// What was told and is not settled.
    unsettled: BTreeMap<FeedPlace, Arc<FeedEntry>>,
}

/// A transaction that is writing.
#[derive(Debug, Clone, Copy)]
struct Writer {
    /// What it writes stands here or later.
    from: i64,
    /// When it was first seen.
    since: Instant,
}

impl Known {
    /// From where on there may be something new, as far as this mark says.
    fn news_from(&self, mark: &FeedMark) -> i64 {
        let ended = self.writers.iter().filter(|(number, _)| !mark.writers.contains(number)).map(|(_, writer)| writer.from);
        ended.chain([self.next]).min().unwrap_or(self.next)
    }

    /// Takes in what a look found, and gives what of it is new.
    fn learn(&mut self, mark: &FeedMark, found: Vec<(FeedPlace, FeedEntry)>, now: Instant) -> Vec<Told> {
        let mut fresh = Vec::new();
        for (place, entry) in found {
            if let Entry::Vacant(vacant) = self.unsettled.entry(place) {
                fresh.push((place, Arc::clone(vacant.insert(Arc::new(entry)))));
            }
        }
        // One that was not writing before may have an old number, but what it writes stands behind what was next then.
        let (before, next) = (std::mem::take(&mut self.writers), self.next);
        let writer = |number: &i64| before.get(number).copied().unwrap_or(Writer { from: next.max(*number), since: now });
        self.writers = mark.writers.iter().map(|number| (*number, writer(number))).collect();
        self.next = mark.next;
        let waited_for = self.writers.values().filter(|writer| now.duration_since(writer.since) < WRITER_PATIENCE);
        let settled = waited_for.map(|writer| writer.from).chain([mark.next]).min().unwrap_or(mark.next);
        self.settled = self.settled.max(settled);
        self.unsettled = self.unsettled.split_off(&FeedPlace::before(self.settled));
        while self.unsettled.len() > MOST {
            self.unsettled.pop_first();
            self.settled = self.unsettled.first_key_value().map_or(self.settled, |(place, _)| place.order);
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
            bell: Notify::new(),
        }
    }

    /// Something was committed.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Waits until it is time for the next look.
    pub async fn rest(&self) {
        tokio::time::sleep(BREATH).await;
        let _ = tokio::time::timeout(LOOK - BREATH, self.bell.notified()).await;
    }

    /// Hears everything that becomes known from now on.
    ///
    /// # Errors
    /// No database.
    pub async fn listen(&self, storage: &Storage) -> Result<Listening, Error> {
        // Counted as a listener from here on, so that what is known is not forgotten in between.
        let _audience = self.listeners.subscribe();
        loop {
            if let Some(known) = self.known().as_ref() {
                let unsettled = known.unsettled.iter().map(|(place, entry)| (*place, Arc::clone(entry))).collect();
                return Ok(Listening { news: self.listeners.subscribe(), settled: known.settled, next: known.next, unsettled });
            }
            self.look(storage).await?;
        }
    }

    /// Looks into the log, and tells what is new. Does nothing where nobody listens or waits.
    ///
    /// # Errors
    /// No database. The next look makes up for it.
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
            tracing::info!("more was committed at once than is told one by one; who listens reads it from the log");
            *self.known() = None;
            return self.begin(storage).await;
        }
        let mut known = self.known();
        let Some(known) = known.as_mut() else { return Ok(()) };
        let settled = known.settled;
        let fresh = known.learn(&mark, page.entries, Instant::now());
        for (place, _) in &fresh {
            self.versions.publish(place.workflow_id, place.version);
        }
        if !fresh.is_empty() || known.settled > settled {
            let _ = self.listeners.send(News::Told { events: fresh.into(), settled: known.settled });
        }
        Ok(())
    }

    /// Begins anew from here on.
    async fn begin(&self, storage: &Storage) -> Result<(), Error> {
        storage.feed_restart().await?;
        let mark = storage.feed_mark().await?;
        let mut known = Known { next: 0, settled: 0, writers: HashMap::new(), unsettled: BTreeMap::new() };
        let settled = mark.writers.iter().copied().chain([mark.next]).min().unwrap_or(mark.next);
        let page = storage.feed_news(settled, limit()).await?;
        let entries = if page.more_after.is_some() {
            // Somebody has been writing for very long. Nobody waits for what they may still write.
            (known.next, known.settled) = (mark.next, mark.next);
            page.entries.into_iter().filter(|(place, _)| place.order >= mark.next).collect()
        } else {
            page.entries
        };
        known.learn(&mark, entries, Instant::now());
        *self.known() = Some(known);
        let _ = self.listeners.send(News::Again);
        // Whoever waits for a workflow looks once more: it may have moved before this.
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

    fn event(order: i64, version: u32) -> (FeedPlace, FeedEntry) {
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
        (FeedPlace { order, workflow_id, version }, entry)
    }

    fn known(next: i64) -> Known {
        Known { next, settled: next, writers: HashMap::new(), unsettled: BTreeMap::new() }
    }

    fn versions(told: &[Told]) -> Vec<u32> {
        told.iter().map(|(place, _)| place.version).collect()
    }

    #[test]
    fn each_event_is_told_once() {
        let (mut known, now) = (known(100), Instant::now());
        assert_eq!(known.news_from(&mark(103, &[])), 100);
        assert_eq!(versions(&known.learn(&mark(103, &[]), vec![event(101, 1), event(103, 2)], now)), [1, 2]);
        assert_eq!(known.settled, 103, "what stands at the next number may still get company");
        assert_eq!(versions(&known.learn(&mark(105, &[]), vec![event(103, 2), event(104, 3)], now)), [3]);
        assert_eq!((known.settled, known.unsettled.len()), (105, 0));
    }

    #[test]
    fn a_transaction_that_stays_open_holds_up_what_is_settled_and_nothing_else() {
        let (mut known, now) = (known(100), Instant::now());
        known.learn(&mark(110, &[104]), vec![event(105, 1)], now);
        assert_eq!(known.settled, 104);
        assert_eq!(known.news_from(&mark(120, &[104])), 110, "nothing is read twice for it");
        assert_eq!(versions(&known.learn(&mark(120, &[104]), vec![event(112, 2)], now)), [2]);
        assert_eq!(known.news_from(&mark(130, &[])), 104, "it has ended, and may have written from there on");
        let found = vec![event(104, 9), event(105, 1), event(112, 2), event(121, 3)];
        assert_eq!(versions(&known.learn(&mark(130, &[]), found, now)), [9, 3]);
        assert_eq!(known.settled, 130);
    }

    #[test]
    fn a_transaction_with_an_old_number_that_begins_to_write_writes_behind_what_was_next() {
        let (mut known, now) = (known(100), Instant::now());
        known.learn(&mark(110, &[50]), Vec::new(), now);
        assert_eq!(known.settled, 100, "what is settled never goes back");
        assert_eq!(known.news_from(&mark(120, &[])), 100);
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let (mut known, now) = (known(100), Instant::now());
        known.learn(&mark(110, &[104]), Vec::new(), now);
        known.learn(&mark(120, &[104]), Vec::new(), now + WRITER_PATIENCE);
        assert_eq!(known.settled, 120);
    }
}
