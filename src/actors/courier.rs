//! A courier: delivers the notices of one channel, one message after the other.
//!
//! It knows only what the database says is due, so a restart loses nothing, and what it claims is not written down beforehand: a
//! notice whose delivery was not recorded is delivered again, with the same id. Each channel has a courier of its own, so one that
//! does not answer delays nobody else.

use crate::actors::gathering::{self, Sent};
use crate::actors::letters::{Letter, Letters};
use crate::actors::metrics::{ChannelLabel, Metrics};
use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::clock::Clock;
use crate::domain::notice::outbox;
use crate::domain::text::escaped;
use crate::storage::{Done, DueNotice, Error, Next};
use chrono::TimeDelta;
use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks at what is due, where nobody rings.
const SWEEP: Duration = Duration::from_secs(1);
/// After a ring, so that what is committed at the same time is found by one look.
const BREATH: Duration = Duration::from_millis(20);
/// How many notices are looked at together.
const WINDOW: i64 = 1_000;
/// How long a channel may take for one message, whatever it does.
const DELIVERY: Duration = Duration::from_secs(60);
/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// How much faster than it should be a failed delivery is tried again; tests have less time than operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(pub u32);

impl Default for Pace {
    fn default() -> Self {
        Self(1)
    }
}

/// What delivers the notices of one channel.
pub struct Courier {
    pub letters: Letters,
    pub group_within: Duration,
    pub channel: Arc<dyn Channel>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub pace: Pace,
    pub bell: watch::Receiver<()>,
    /// True once it is to stop.
    pub closing: watch::Receiver<bool>,
    pub memory: Memory,
}

/// What a courier remembers; forgetting it costs a message too many at most.
#[derive(Debug, Default)]
pub struct Memory {
    sent: Sent,
    /// Until when the other side wants to be left alone.
    resting: Option<Instant>,
    /// Why nothing is sent any more.
    gone: Option<String>,
}

impl Courier {
    /// Delivers until it is told to stop, which it does between two messages.
    pub async fn run(mut self) {
        while !self.is_closing() {
            self.bell.mark_unchanged();
            let rest = self.round().await.unwrap_or_else(|error| {
                tracing::warn!(channel = self.name(), %error, "cannot look for notices, trying again");
                SWEEP
            });
            if rest.is_zero() {
                continue;
            }
            let mut closing = self.closing.clone();
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                rung = self.bell.changed() => if rung.is_ok() { tokio::time::sleep(BREATH).await },
                () = async { drop(closing.wait_for(|closing| *closing).await) } => {}
            }
        }
    }

    fn name(&self) -> &str {
        &self.letters.channel
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Delivers what is due, and says how long to rest; not at all, where there may be more.
    async fn round(&mut self) -> Result<Duration, Error> {
        let resting = self.memory.resting.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !resting.is_zero() {
            return Ok(resting);
        }
        let gone = self.memory.gone.clone();
        let due = self.letters.storage.due_notices(self.name(), gone.is_some(), WINDOW).await?;
        if let Some(reason) = gone {
            for row in &due {
                self.give_up(row, &reason, false).await?;
            }
            return Ok(if due.is_empty() { SWEEP } else { Duration::ZERO });
        }
        let gathered = gathering::gather(due, self.group_within, self.clock.now(), &self.memory.sent);
        let found = !gathered.messages.is_empty();
        for message in gathered.messages {
            if self.is_closing() || self.memory.resting.is_some_and(|until| until > Instant::now()) || self.memory.gone.is_some() {
                break;
            }
            self.deliver(message).await?;
        }
        Ok(if found { Duration::ZERO } else { gathered.wait.unwrap_or(SWEEP).min(SWEEP) })
    }

    /// Delivers one message, and records what became of each notice in it.
    async fn deliver(&mut self, rows: Vec<DueNotice>) -> Result<(), Error> {
        let (rows, notices) = self.written(rows).await?;
        let Some(first) = rows.first() else { return Ok(()) };
        let recipient = first.recipient.clone();
        match self.send(notices).await {
            Ok(()) => {
                for row in &rows {
                    self.delivered(row).await?;
                }
                if first.kind.asks() {
                    self.memory.sent.insert(recipient, self.clock.now());
                }
            }
            Err(Undelivered::Later { reason, after }) => {
                self.memory.resting = after.map(|after| Instant::now() + after);
                for row in &rows {
                    self.failed(row, &bounded(&reason), after).await?;
                }
            }
            // One of them is not taken; the others may well be.
            Err(Undelivered::Refused { .. }) if rows.len() > 1 => {
                for row in rows {
                    Box::pin(self.deliver(vec![row])).await?;
                }
            }
            Err(Undelivered::Refused { reason }) => self.give_up(first, &bounded(&reason), true).await?,
            Err(Undelivered::Gone { reason }) => {
                let reason = format!("the channel is gone until the server is started again: {}", bounded(&reason));
                tracing::error!(channel = self.name(), reason, "nothing is sent on this channel any more");
                for row in &rows {
                    self.give_up(row, &reason, true).await?;
                }
                self.memory.gone = Some(reason);
            }
        }
        Ok(())
    }

    /// The notices of rows, of those that are still true at this very moment.
    async fn written(&self, rows: Vec<DueNotice>) -> Result<(Vec<DueNotice>, Vec<Notice>), Error> {
        let mut written = Vec::new();
        for row in rows {
            match self.letters.write(&row).await? {
                Letter::Send(notice) => written.push((row, *notice)),
                Letter::Cancel(reason) => self.letters.storage.notice_cancelled(row.id, reason).await?,
                Letter::Rest(pause) => self.letters.storage.notice_rests(row.id, pause).await?,
                Letter::GiveUp(reason) => self.give_up(&row, &bounded(&reason), false).await?,
            }
        }
        // The last question before it leaves: a decision may have come while the others were written.
        let ids: Vec<_> = written.iter().map(|(row, _)| row.id).collect();
        let pending = if ids.is_empty() { ids } else { self.letters.storage.still_pending(&ids).await? };
        Ok(written.into_iter().filter(|(row, _)| pending.contains(&row.id)).unzip())
    }

    async fn send(&self, notices: Vec<Notice>) -> Result<(), Undelivered> {
        let later = |reason: &str| Err(Undelivered::Later { reason: reason.to_owned(), after: None });
        let delivery = AssertUnwindSafe(async { self.channel.deliver(notices).await }).catch_unwind();
        match tokio::time::timeout(DELIVERY, delivery).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => later("the channel itself failed; look at the server's log"),
            Err(_) => later("it took too long"),
        }
    }

    async fn delivered(&self, row: &DueNotice) -> Result<(), Error> {
        self.metrics.notices_delivered.get_or_create(&self.label()).inc();
        self.record(async || {
            self.letters.storage.notice_done(row.id, Done::Delivered, self.next(row)).await?;
            if row.kind.asks() { self.letters.storage.notice_overtaken(row.id).await } else { Ok(()) }
        })
        .await
    }

    /// Has it tried again, or gives it up where it was tried for long enough.
    async fn failed(&self, row: &DueNotice, reason: &str, after: Option<Duration>) -> Result<(), Error> {
        self.metrics.notice_failures.get_or_create(&self.label()).inc();
        let patience = TimeDelta::from_std(outbox::PATIENCE).unwrap_or(TimeDelta::MAX);
        let left = (row.first_due_at + patience - self.clock.now()).to_std().unwrap_or_default();
        if left.is_zero() {
            return self.give_up(row, reason, true).await;
        }
        let attempts = row.attempts + 1;
        let pause = outbox::pause(self.letters.medium, attempts, row.id) / self.pace.0;
        // Never beyond the end of its time, so that the last attempt is made then.
        let pause = pause.max(after.unwrap_or_default()).min(left);
        tracing::warn!(channel = self.name(), notice.id = %row.id, attempts, reason, retry_after_ms = pause.as_millis(), "a notice was not delivered");
        self.record(async || self.letters.storage.notice_failed(row.id, reason, pause).await).await
    }

    async fn give_up(&self, row: &DueNotice, reason: &str, attempted: bool) -> Result<(), Error> {
        self.metrics.notices_dead.get_or_create(&self.label()).inc();
        tracing::error!(channel = self.name(), notice.id = %row.id, workflow.id = %row.workflow_id, reason, "a notice is given up");
        let done = Done::Dead { error: reason, attempted };
        self.record(async || self.letters.storage.notice_done(row.id, done, self.next(row)).await).await
    }

    /// What follows a reminder, at the level's pace of today.
    fn next(&self, row: &DueNotice) -> Option<Next> {
        let after = self.letters.configuration.policy.level(row.level).remind_every;
        (row.kind == crate::domain::notice::Kind::Reminded).then(|| Next { id: self.clock.new_id(), after })
    }

    /// Has something recorded, however long the database is away: what is forgotten is delivered twice.
    async fn record<F: Future<Output = Result<(), Error>>>(&self, write: impl Fn() -> F) -> Result<(), Error> {
        loop {
            match write().await {
                Err(Error::Unavailable(reason)) if !self.is_closing() => {
                    tracing::warn!(channel = self.name(), reason, "what became of a notice is not recorded yet, trying again");
                    tokio::time::sleep(SWEEP).await;
                }
                other => return other,
            }
        }
    }

    fn label(&self) -> ChannelLabel {
        ChannelLabel { channel: self.name().to_owned() }
    }
}

/// A reason as it is kept: short, and with nothing that could hide or reorder it.
fn bounded(reason: &str) -> String {
    escaped(reason).chars().take(LONGEST_REASON).collect()
}
