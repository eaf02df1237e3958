//! The stream of all workflows.
//!
//! The id of each message is a position in the order in which events become known
//! ([`FeedPosition`]). Everything before that position has been sent, so a client resumes there. A
//! position before which another event may still appear is never sent: an event beyond the
//! watermark carries the last position that is below it.
//!
//! A client that resumes, or was too slow, gets the log up to the watermark, page by page, then the
//! known events beyond it, and then the news. So each event is sent once per stream, and those of
//! one workflow in the order of their versions.

use super::{HEARTBEAT, PAUSE, Since, Sink, Slot};
use crate::actors::feed::{Listening, News, Told};
use crate::domain::workflow::FeedEntry;
use crate::identity::{Caller, Reauthentication};
use crate::service::{Service, ServiceError, is_near};
use crate::storage::{Error, FeedPosition};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Instant;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// How far back a backlog is read. A client that was away for longer has to read the lists again.
const FARTHEST: TimeDelta = TimeDelta::hours(24);
/// Events per page of a backlog.
const PAGE: i64 = 1_000;

/// Where a client was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    At(FeedPosition),
    /// The form that earlier versions sent: a moment before which everything had been sent.
    Moment(DateTime<Utc>),
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.contains('.') {
            return text.parse().map(Self::At);
        }
        let micros = i64::from_str_radix(text, 16).map_err(|_| ())?;
        DateTime::from_timestamp_micros(micros).filter(is_near).map(Self::Moment).ok_or(())
    }
}

/// Whether a position is beyond everything that exists, so that no stream of this database can have
/// sent it.
async fn is_ahead(service: &Service, position: Position, next: i64) -> Result<bool, ServiceError> {
    match position {
        // Another server may have sent more than this one has read.
        Position::At(at) => Ok(at.order > next && at.order > service.engine.storage.feed_mark().await?.next),
        Position::Moment(at) => Ok(at > service.engine.clock.now()),
    }
}

/// The stream of all workflows that its caller may see.
pub struct Everything {
    service: Service,
    by: Caller,
    reauthentication: Reauthentication,
    news: Receiver<News>,
    /// Whether news may have been missed, so that the stream has to subscribe again.
    is_lost: bool,
    /// Everything before this has been sent.
    position: FeedPosition,
    /// The events beyond the position that have been sent.
    sent: BTreeSet<FeedPosition>,
    backlog: Option<Backlog>,
    next_heartbeat: Instant,
    _slot: Slot,
}

/// What is still to be read from the log, and the known events beyond the watermark.
struct Backlog {
    after: FeedPosition,
    until: i64,
    beyond: Vec<Told>,
}

impl Service {
    /// Follows all workflows that the caller may see, from where the client was, or else from now
    /// on. Returns the opening of the stream with it.
    ///
    /// # Errors
    /// The client names a position that does not exist, too many streams are open, or the database
    /// is unavailable.
    pub async fn follow_all<S: Sink>(
        &self,
        by: Caller,
        reauthentication: Reauthentication,
        since: Option<Since<Position>>,
    ) -> Result<(S, Everything), ServiceError> {
        let slot = Slot::take(self, &by.name)?;
        let (feed, storage) = (&self.engine.feed, &self.engine.storage);
        let Listening { news, watermark, next, above_watermark } = feed.listen(storage).await?;
        let now = FeedPosition::before(watermark);
        if let Some(since) = &since
            && is_ahead(self, since.id, next).await?
        {
            return Err(since.ahead());
        }
        let from = match since.map(|since| since.id) {
            None => Some(None),
            Some(Position::At(at)) if storage.feed_was_lost(at).await? || storage.feed_is_older(at, FARTHEST).await? => None,
            Some(Position::At(at)) => Some(Some(at)),
            Some(Position::Moment(at)) => storage.feed_position_at(at, FARTHEST).await?.map(Some),
        };
        let position = from.flatten().unwrap_or(now);
        let mut opening = S::default();
        opening.opening(&position);
        if from.is_none() {
            let reason = "too much has happened since then, or the database was restored: read the lists, and continue from here";
            opening.reset(&position, reason);
        }
        let (mut sent, mut backlog) = (BTreeSet::new(), None);
        if from.flatten().is_some() {
            let beyond = above_watermark.into_iter().filter(|(at, _)| *at > position).collect();
            backlog = Some(Backlog { after: position, until: watermark, beyond });
        } else {
            // Events that are known already did not happen from now on.
            sent.extend(above_watermark.into_iter().map(|(at, _)| at));
        }
        let next_heartbeat = Instant::now() + HEARTBEAT;
        Ok((
            opening,
            Everything {
                service: self.clone(),
                by,
                reauthentication,
                news,
                is_lost: false,
                position,
                sent,
                backlog,
                next_heartbeat,
                _slot: slot,
            },
        ))
    }
}

impl Everything {
    /// The next messages; `None` when the server stops or the caller loses the right to the stream.
    pub async fn next<S: Sink>(&mut self) -> Option<S> {
        while !self.service.is_closing() {
            if Instant::now() >= self.next_heartbeat {
                self.next_heartbeat = Instant::now() + HEARTBEAT;
                let mut messages = S::default();
                messages.heartbeat(&self.position);
                return self.reauthentication.holds(&self.service.identity).await.then_some(messages);
            }
            let messages: S = match self.backlog.take() {
                _ if self.is_lost => self.listen_again().await?,
                Some(backlog) => self.read(backlog).await?,
                None => self.hear().await?,
            };
            if !messages.is_empty() {
                return Some(messages);
            }
        }
        None
    }

    /// The next news; empty if the stream has something else to do first.
    async fn hear<S: Sink>(&mut self) -> Option<S> {
        let quiet = self.next_heartbeat.saturating_duration_since(Instant::now());
        match self.service.until_closing(tokio::time::timeout(quiet, self.news.recv())).await? {
            Ok(Ok(News::Told { events, watermark })) => {
                let mut messages = S::default();
                self.tell(&mut messages, &events, watermark);
                Some(messages)
            }
            Ok(Ok(News::Again) | Err(RecvError::Lagged(_))) => {
                self.is_lost = true;
                Some(S::default())
            }
            Ok(Err(RecvError::Closed)) => None,
            Err(_) => Some(S::default()),
        }
    }

    /// Subscribes again, and reads the log from the position of the stream.
    async fn listen_again<S: Sink>(&mut self) -> Option<S> {
        match self.service.until_closing(self.service.engine.feed.listen(&self.service.engine.storage)).await? {
            Ok(Listening { news, watermark, above_watermark, .. }) => {
                (self.news, self.is_lost) = (news, false);
                self.backlog = Some(Backlog { after: self.position, until: watermark, beyond: above_watermark });
            }
            Err(error) => self.wait_for_the_database(&error).await?,
        }
        Some(S::default())
    }

    /// The next events of a backlog, which is put back unless this was its last page.
    async fn read<S: Sink>(&mut self, mut backlog: Backlog) -> Option<S> {
        let page = match self.service.until_closing(self.service.engine.storage.feed(backlog.after, backlog.until, PAGE)).await? {
            Ok(page) => page,
            Err(error) => {
                self.backlog = Some(backlog);
                self.wait_for_the_database(&error).await?;
                return Some(S::default());
            }
        };
        let mut messages = S::default();
        for (at, entry) in &page.entries {
            self.position = self.position.max(*at);
            self.send(&mut messages, *at, entry);
        }
        match page.more_after {
            Some(at) => {
                self.position = self.position.max(at);
                self.sent = self.sent.split_off(&self.position);
                backlog.after = at;
                self.backlog = Some(backlog);
            }
            None => {
                let beyond = std::mem::take(&mut backlog.beyond);
                self.tell(&mut messages, &beyond, backlog.until);
            }
        }
        Some(messages)
    }

    /// Sends events in their order. With them, everything before `watermark` has been sent.
    fn tell(&mut self, messages: &mut impl Sink, events: &[Told], watermark: i64) {
        for (at, entry) in events {
            if at.order < watermark {
                self.position = self.position.max(*at);
            }
            self.send(messages, *at, entry);
        }
        self.position = self.position.max(FeedPosition::before(watermark));
        self.sent = self.sent.split_off(&self.position);
    }

    fn send(&mut self, messages: &mut impl Sink, at: FeedPosition, entry: &FeedEntry) {
        if self.sent.insert(at) && self.by.may_see(&entry.requested_by, entry.on_behalf_of.as_deref()) {
            messages.event(&self.position, entry);
        }
    }

    async fn wait_for_the_database(&self, error: &Error) -> Option<()> {
        tracing::debug!(%error, "an event stream waits for the database");
        self.service.until_closing(tokio::time::sleep(PAUSE)).await
    }
}
