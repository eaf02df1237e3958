//! A delivery worker: delivers the notices of one channel, one message after the other.
//!
//! It knows only what the database says is due, so a restart loses nothing. Nothing is recorded
//! before a delivery: a notice whose delivery was not recorded is delivered again, with the same
//! id. Each channel has a worker of its own, so that a channel that does not answer delays no
//! other.

use crate::actors::metrics::{ChannelLabel, Metrics};
use crate::actors::notifier::batching::{self, Sent};
use crate::actors::notifier::rendering::{NoticeRenderer, Rendered};
use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::clock::Clock;
use crate::domain::notice::{Kind, Medium, outbox};
use crate::domain::text::escaped;
use crate::storage::{Done, DueNotice, Error, Next};
use crate::telemetry;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::Instrument as _;

/// How often the worker checks for due notices if nothing wakes it.
const SWEEP: Duration = Duration::from_secs(1);
/// The pause after a wakeup, so that one look finds everything that is committed at the same time.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// The most notices that one look finds.
const WINDOW: i64 = 1_000;
/// How long a channel may take for one message.
const DELIVERY: Duration = Duration::from_secs(60);
/// The most characters of a reason that are recorded.
const LONGEST_REASON: usize = 500;

/// The factor by which the pauses between attempts are shortened. Always 1, except in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(pub u32);

impl Default for Pace {
    fn default() -> Self {
        Self(1)
    }
}

/// Delivers the notices of one channel.
pub struct DeliveryWorker {
    pub renderer: NoticeRenderer,
    pub group_within: Duration,
    pub channel: Arc<dyn Channel>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    pub pace: Pace,
    pub wakeup: watch::Receiver<()>,
    /// Becomes true when the worker has to stop.
    pub closing: watch::Receiver<bool>,
    pub memory: Memory,
}

/// What a worker remembers between two looks. A worker that forgets it sends at most one message
/// too many.
#[derive(Debug, Default)]
pub struct Memory {
    sent: Sent,
    /// Until when the other side has asked not to be called.
    resting: Option<Instant>,
    /// Why nothing can be sent on this channel any more.
    gone: Option<String>,
}

impl DeliveryWorker {
    /// Delivers until told to stop. The worker stops between two messages.
    pub async fn run(mut self) {
        while !self.is_closing() {
            self.wakeup.mark_unchanged();
            let rest = self.round().await.unwrap_or_else(|error| {
                tracing::warn!(channel = self.name(), %error, "cannot find the due notices; trying again");
                SWEEP
            });
            if rest.is_zero() {
                continue;
            }
            let mut closing = self.closing.clone();
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                woken = self.wakeup.changed() => if woken.is_ok() { tokio::time::sleep(DEBOUNCE).await },
                () = async { drop(closing.wait_for(|closing| *closing).await) } => {}
            }
        }
    }

    fn name(&self) -> &str {
        &self.renderer.channel
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Delivers what is due, and returns how long to rest: zero if more may be due.
    async fn round(&mut self) -> Result<Duration, Error> {
        let resting = self.memory.resting.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !resting.is_zero() {
            return Ok(resting);
        }
        let gone = self.memory.gone.clone();
        let due = self.renderer.storage.due_notices(self.name(), gone.is_some(), WINDOW).await?;
        if let Some(reason) = gone {
            for row in &due {
                self.give_up(row, &reason, false).instrument(telemetry::workflow(row.workflow_id)).await?;
            }
            return Ok(if due.is_empty() { SWEEP } else { Duration::ZERO });
        }
        let batched = batching::batch(due, self.group_within, self.clock.now(), &self.memory.sent);
        let found = !batched.messages.is_empty();
        for message in batched.messages {
            if self.is_closing() || self.memory.resting.is_some_and(|until| until > Instant::now()) || self.memory.gone.is_some() {
                break;
            }
            self.deliver(message).await?;
        }
        Ok(if found { Duration::ZERO } else { batched.wait.unwrap_or(SWEEP).min(SWEEP) })
    }

    /// Delivers one message, and records the result for each notice in it.
    async fn deliver(&mut self, rows: Vec<DueNotice>) -> Result<(), Error> {
        let (rows, notices) = self.render(rows).await?;
        let Some(first) = rows.first() else { return Ok(()) };
        let recipient = first.recipient.clone();
        let message = telemetry::workflows(rows.iter().map(|row| row.workflow_id));
        match self.send(notices).instrument(message).await {
            Ok(()) => {
                for row in &rows {
                    self.delivered(row).instrument(telemetry::workflow(row.workflow_id)).await?;
                }
                if first.kind.asks() {
                    self.memory.sent.insert(recipient, self.clock.now());
                }
            }
            Err(Undelivered::Later { reason, after }) => {
                // Browsers have different push services, and one of them must not stop the others.
                let rests = self.renderer.medium != Medium::WebPush;
                self.memory.resting = after.filter(|_| rests).map(|after| Instant::now() + after);
                for row in &rows {
                    self.failed(row, &bounded(&reason), after).instrument(telemetry::workflow(row.workflow_id)).await?;
                }
            }
            // The other side refused one of the notices; it may take the others.
            Err(Undelivered::Refused { .. }) if rows.len() > 1 => {
                for row in rows {
                    Box::pin(self.deliver(vec![row])).await?;
                }
            }
            Err(Undelivered::Refused { reason }) => {
                self.give_up(first, &bounded(&reason), true).instrument(telemetry::workflow(first.workflow_id)).await?;
            }
            Err(Undelivered::Gone { reason }) => {
                let reason = format!("the channel is gone until the server is started again: {}", bounded(&reason));
                tracing::error!(channel = self.name(), reason, "nothing is sent on this channel any more");
                for row in &rows {
                    self.give_up(row, &reason, true).instrument(telemetry::workflow(row.workflow_id)).await?;
                }
                self.memory.gone = Some(reason);
            }
        }
        Ok(())
    }

    /// Renders rows, and leaves out those that are outdated.
    async fn render(&self, rows: Vec<DueNotice>) -> Result<(Vec<DueNotice>, Vec<Notice>), Error> {
        let mut rendered = Vec::new();
        for row in rows {
            let span = telemetry::workflow(row.workflow_id);
            if let Some(notice) = self.render_one(&row).instrument(span).await? {
                rendered.push((row, notice));
            }
        }
        // Checked right before the message is sent: a decision may have been committed while the
        // others were rendered.
        let ids: Vec<_> = rendered.iter().map(|(row, _)| row.id).collect();
        let pending = if ids.is_empty() { ids } else { self.renderer.storage.still_pending(&ids).await? };
        Ok(rendered.into_iter().filter(|(row, _)| pending.contains(&row.id)).unzip())
    }

    /// Renders a row; `None` if it should not be sent, which is recorded.
    async fn render_one(&self, row: &DueNotice) -> Result<Option<Notice>, Error> {
        match self.renderer.render(row).await? {
            Rendered::Send(notice) => return Ok(Some(*notice)),
            Rendered::Cancel(reason) => {
                tracing::debug!(channel = self.name(), notice.id = %row.id, reason, "a notice is not sent");
                self.renderer.storage.notice_cancelled(row.id, reason).await?;
            }
            Rendered::Rest(pause) => self.renderer.storage.notice_rests(row.id, pause).await?,
            Rendered::Wait(until) => self.wait(row, until).await?,
            Rendered::GiveUp(reason) => self.give_up(row, &bounded(&reason), false).await?,
        }
        Ok(None)
    }

    /// Delays a notice until the end of its recipient's quiet hours. Of several notices that ask
    /// them about one request, one waits; it then describes the state at that time.
    async fn wait(&self, row: &DueNotice, until: DateTime<Utc>) -> Result<(), Error> {
        let storage = &self.renderer.storage;
        let is_double = row.kind.asks() && storage.another_waits(row, self.name()).await?;
        if !is_double {
            return storage.notice_waits(row.id, until).await;
        }
        if row.kind == Kind::Reminded {
            let after = TimeDelta::from_std(self.renderer.configuration.policy.level(row.level).remind_every).unwrap_or(TimeDelta::MAX);
            let until = until.checked_add_signed(after).unwrap_or(until);
            let pause = (until - self.clock.now()).to_std().unwrap_or_default();
            return storage.notice_rests(row.id, pause).await;
        }
        storage.notice_cancelled(row.id, "another notice about this request waits for the end of quiet hours").await
    }

    async fn send(&self, notices: Vec<Notice>) -> Result<(), Undelivered> {
        let later = |reason: &str| Err(Undelivered::Later { reason: reason.to_owned(), after: None });
        let delivery = AssertUnwindSafe(async { self.channel.deliver(notices).await }).catch_unwind();
        match tokio::time::timeout(DELIVERY, delivery).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => later("the channel failed; the server's log says why"),
            Err(_) => later("it took too long"),
        }
    }

    async fn delivered(&self, row: &DueNotice) -> Result<(), Error> {
        self.metrics.notices_delivered.get_or_create(&self.label()).inc();
        tracing::debug!(channel = self.name(), notice.id = %row.id, kind = row.kind.as_str(), "a notice was delivered");
        self.record(async || {
            self.renderer.storage.notice_done(row.id, Done::Delivered, self.next(row)).await?;
            if row.kind.asks() { self.renderer.storage.notice_overtaken(row.id).await } else { Ok(()) }
        })
        .await
    }

    /// Schedules the next attempt, or gives the notice up if the retry window has passed.
    async fn failed(&self, row: &DueNotice, reason: &str, after: Option<Duration>) -> Result<(), Error> {
        self.metrics.notice_failures.get_or_create(&self.label()).inc();
        let window = TimeDelta::from_std(outbox::DELIVERY_RETRY_WINDOW).unwrap_or(TimeDelta::MAX);
        let left = (row.first_due_at + window - self.clock.now()).to_std().unwrap_or_default();
        if left.is_zero() {
            return self.give_up(row, reason, true).await;
        }
        let attempts = row.attempts + 1;
        let pause = outbox::pause(self.renderer.medium, attempts, row.id) / self.pace.0;
        // At most until the window ends, so that the last attempt is made then.
        let pause = pause.max(after.unwrap_or_default()).min(left);
        tracing::warn!(channel = self.name(), notice.id = %row.id, attempts, reason, retry_after_ms = pause.as_millis(), "a notice was not delivered");
        self.record(async || self.renderer.storage.notice_failed(row.id, reason, pause).await).await
    }

    async fn give_up(&self, row: &DueNotice, reason: &str, attempted: bool) -> Result<(), Error> {
        self.metrics.notices_dead.get_or_create(&self.label()).inc();
        tracing::error!(channel = self.name(), notice.id = %row.id, reason, "a notice is given up");
        let done = Done::Dead { error: reason, attempted };
        self.record(async || self.renderer.storage.notice_done(row.id, done, self.next(row)).await).await
    }

    /// The next reminder after this one, after the pause that its level has today.
    fn next(&self, row: &DueNotice) -> Option<Next> {
        let after = self.renderer.configuration.policy.level(row.level).remind_every;
        (row.kind == Kind::Reminded).then(|| Next { id: self.clock.new_id(), after })
    }

    /// Records a result, and retries while the database does not answer: a notice without a
    /// recorded result is delivered twice.
    async fn record<F: Future<Output = Result<(), Error>>>(&self, write: impl Fn() -> F) -> Result<(), Error> {
        loop {
            match write().await {
                Err(Error::Unavailable(reason)) if !self.is_closing() => {
                    tracing::warn!(channel = self.name(), reason, "the result of a delivery is not recorded yet; trying again");
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

/// A reason as it is recorded: short, and without characters that hide or reorder text.
fn bounded(reason: &str) -> String {
    escaped(reason).chars().take(LONGEST_REASON).collect()
}
