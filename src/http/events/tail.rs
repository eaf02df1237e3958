//! The stream of all workflows.
//!
//! There is no one number for all that is committed: two batches may become durable in another order than that of their
//! times. So the id of each message is a *position*: a moment before which everything has been sent ([`Feed::settle`]
//! says which is certain). It trails behind by 10 to 13 s, and whoever comes back hears again what was sent
//! after it. Each event comes at least once, and nothing is missed.
//!
//! Whatever is not certain is read from the log: by who comes back, by who was too slow, and by all when the feed finds that
//! something was not told. A backlog is read in stretches of time. The last of them has no end and may still grow while
//! it is read, so that what is told meanwhile is sorted into it: two events of a workflow never change places.

use super::{HEARTBEAT, PAUSE, Place, frame};
use crate::actors::feed::{Feed, News};
use crate::domain::policy::Principal;
use crate::http::api::Api;
use crate::http::auth::Standing;
use crate::http::problem::Problem;
use crate::http::workflows::visible;
use crate::storage::{Error, FeedEntry, FeedPlace};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// How far back a backlog is read. Whoever was away for longer has to look anew.
const FARTHEST: TimeDelta = TimeDelta::hours(24);
/// Events of a backlog that are read at once.
const PAGE: i64 = 500;
/// The stretch of time that is read first, and the longest.
const FIRST_STRETCH: TimeDelta = TimeDelta::seconds(10);
const LONGEST_STRETCH: TimeDelta = TimeDelta::minutes(10);
/// How often what is settled is asked for.
const LOOK: Duration = Duration::from_secs(3);

/// A moment before which a client has heard everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(DateTime<Utc>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0.timestamp_micros())
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let micros = i64::from_str_radix(text, 16).map_err(|_| ())?;
        DateTime::from_timestamp_micros(micros).map(Self).ok_or(())
    }
}

/// Follows all workflows that its caller may see.
pub struct Tail {
    api: Api,
    by: Principal,
    standing: Standing,
    news: Receiver<News>,
    position: Position,
    backlog: Option<Backlog>,
    next_heartbeat: Instant,
    _place: Place,
}

/// What still has to be read from the log.
struct Backlog {
    after: FeedPlace,
    stretch: TimeDelta,
    /// What was told meanwhile, and stands behind what has been read.
    told: BTreeMap<FeedPlace, FeedEntry>,
}

impl Backlog {
    fn since(position: Position) -> Self {
        Self { after: FeedPlace::before(position.0), stretch: FIRST_STRETCH, told: BTreeMap::new() }
    }
}

impl Tail {
    /// Begins to follow, from where the client was or from now on; with what the stream begins with.
    pub async fn open(
        api: &Api,
        by: Principal,
        standing: Standing,
        place: Place,
        since: Option<Position>,
    ) -> Result<(String, Self), Problem> {
        // Heard before anything is read, so that nothing falls in between.
        let news = api.engine.feed.listen();
        let settled = Position(api.engine.feed.settle(&api.engine.storage).await?);
        let is_lost = since.is_some_and(|since| since.0 < settled.0 - FARTHEST);
        let since = since.filter(|_| !is_lost).map(|since| since.min(settled));
        let position = since.unwrap_or(settled);
        let mut opening = frame::opening(position);
        if is_lost {
            let reason = "what happened since then is too much to be told: read the lists, and go on from here";
            opening.push_str(&frame::reset(position, reason));
        }
        let (api, backlog, next_heartbeat) = (api.clone(), since.map(Backlog::since), Instant::now() + HEARTBEAT);
        Ok((opening, Self { api, by, standing, news, position, backlog, next_heartbeat, _place: place }))
    }

    /// What is sent next; `None` is the end: of the server, or of the caller's right to hear it.
    pub async fn next(&mut self) -> Option<String> {
        while !self.api.is_closing() {
            if Instant::now() >= self.next_heartbeat {
                self.next_heartbeat = Instant::now() + HEARTBEAT;
                return self.standing.holds(&self.api).await.then(|| frame::heartbeat(self.position));
            }
            let text = match self.backlog.take() {
                Some(backlog) => self.read(backlog).await?,
                None => self.hear().await?,
            };
            if !text.is_empty() {
                return Some(text);
            }
        }
        None
    }

    fn feed(&self) -> &Feed {
        &self.api.engine.feed
    }

    /// What is told next, or nothing where something else is to be done first.
    async fn hear(&mut self) -> Option<String> {
        // Asked first: what is settled by then has been told by then, and is heard before there is nothing to hear.
        let settled = self.feed().settled();
        let news = match self.news.try_recv() {
            Ok(news) => Ok(news),
            Err(TryRecvError::Lagged(_)) => Err(RecvError::Lagged(0)),
            Err(TryRecvError::Closed) => Err(RecvError::Closed),
            Err(TryRecvError::Empty) => {
                self.position = settled.map_or(self.position, |settled| self.position.max(Position(settled)));
                let patience = self.next_heartbeat.saturating_duration_since(Instant::now()).min(LOOK);
                match self.api.until_closing(tokio::time::timeout(patience, self.news.recv())).await? {
                    Ok(news) => news,
                    Err(_) => {
                        if let Err(error) = self.feed().settle(&self.api.engine.storage).await {
                            tracing::debug!(%error, "an event stream waits for the database");
                        }
                        return Some(String::new());
                    }
                }
            }
        };
        match news {
            Ok(News::Committed(entries)) => Some(self.tell(entries.iter())),
            Ok(News::Missed(since)) => {
                self.go_back(Position(since));
                Some(String::new())
            }
            Err(RecvError::Lagged(_)) => {
                self.go_back(self.position);
                Some(String::new())
            }
            Err(RecvError::Closed) => None,
        }
    }

    /// Reads everything again that is not certain to have been sent, and from this position on at least.
    fn go_back(&mut self, position: Position) {
        self.position = self.position.min(position);
        self.backlog = Some(Backlog::since(self.position));
    }

    fn tell<'a>(&self, entries: impl Iterator<Item = &'a FeedEntry>) -> String {
        let mut text = String::new();
        for entry in entries.filter(|entry| self.may_see(entry)) {
            frame::event(&mut text, self.position, entry);
        }
        text
    }

    fn may_see(&self, entry: &FeedEntry) -> bool {
        self.by.may_see(&entry.requested_by, entry.on_behalf_of.as_deref())
    }

    /// The next events of a backlog; it is put back unless it ends here.
    async fn read(&mut self, mut backlog: Backlog) -> Option<String> {
        let (entries, settled, ends) = match self.api.until_closing(self.page(&backlog)).await? {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "an event stream waits for the database");
                self.backlog = Some(backlog);
                self.api.until_closing(tokio::time::sleep(PAUSE)).await?;
                return Some(String::new());
            }
        };
        let is_full = i64::try_from(entries.len()).is_ok_and(|count| count >= PAGE);
        let last = entries.last().map(FeedEntry::place);
        // What is behind `upto` comes with a later page.
        let upto = match (is_full, ends) {
            (true, _) => last,
            (false, Some(end)) => Some(FeedPlace::before(end)),
            (false, None) => None,
        };
        let again = if ends.is_none() { self.sort_in(&mut backlog) } else { None };
        backlog.told.extend(entries.into_iter().map(|entry| (entry.place(), entry)));
        let later = upto.map(|upto| backlog.told.split_off(&FeedPlace { version: upto.version + 1, ..upto })).unwrap_or_default();
        let now = std::mem::replace(&mut backlog.told, later);
        let mut text = String::new();
        for entry in now.values() {
            frame::event(&mut text, Position(entry.at).min(settled), entry);
        }
        match upto {
            Some(upto) => {
                self.position = Position(upto.at).min(settled);
                backlog.after = upto;
                backlog.stretch = if is_full { backlog.stretch / 2 } else { backlog.stretch * 2 }.clamp(FIRST_STRETCH, LONGEST_STRETCH);
                self.backlog = Some(backlog);
            }
            None => self.position = settled,
        }
        if let Some(again) = again {
            self.go_back(again);
        }
        Some(text)
    }

    /// One page, what is settled, and where the page's stretch ends; `None` is that it reaches up to now.
    async fn page(&self, backlog: &Backlog) -> Result<(Vec<FeedEntry>, Position, Option<DateTime<Utc>>), Error> {
        let storage = &self.api.engine.storage;
        let settled = self.feed().settle(storage).await?;
        let ends = Some(backlog.after.at + backlog.stretch).filter(|end| *end < settled);
        let until = ends.unwrap_or(DateTime::<Utc>::MAX_UTC);
        let entries = storage.feed(backlog.after, until, visible(&self.by).as_ref(), PAGE).await?;
        Ok((entries, Position(settled), ends))
    }

    /// Sorts what was told meanwhile into a backlog; gives the position to go back to where some of it was missed.
    fn sort_in(&mut self, backlog: &mut Backlog) -> Option<Position> {
        let mut again: Option<Position> = None;
        loop {
            match self.news.try_recv() {
                Ok(News::Committed(entries)) => {
                    let seen = entries.iter().filter(|entry| self.may_see(entry));
                    backlog.told.extend(seen.map(|entry| (entry.place(), entry.clone())));
                }
                Ok(News::Missed(since)) => again = Some(again.map_or(Position(since), |again| again.min(Position(since)))),
                Err(TryRecvError::Lagged(_)) => again = Some(again.map_or(self.position, |again| again.min(self.position))),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return again,
            }
        }
    }
}
