//! The timer: wakes workflows that are due, and those that a crash left behind.
//!
//! At least once a second, a sweep asks the database which workflows are due by its clock, and
//! sends each a tick. A workflow acts only if the database confirms it. The alarm makes this
//! faster: it triggers a sweep when the next workflow is due. Deadlines are met even if every alarm
//! is lost.

use crate::actors::messages::{Job, RegistryRef, TimerRef, ToRegistry, ToTimer};
use crate::actors::metrics::Metrics;
use crate::actors::runner::Runner;
use crate::clock::Clock;
use crate::domain::workflow::Command;
use crate::storage::{Error, Storage};
use crate::telemetry;
use chrono::{DateTime, TimeDelta, Utc};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorCell, ActorProcessingErr, SpawnErr};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

/// The time between two sweeps without an alarm.
const SWEEP: Duration = Duration::from_secs(1);
/// The time between two looks for what a crash left behind.
const RECOVER: Duration = Duration::from_secs(5);
/// How many workflows are sent a tick at once.
const WINDOW: i64 = 512;
/// How long a workflow may take to answer a tick before it is sent another one.
const TICK_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before a workflow that failed is sent another tick.
const FAILED: Duration = Duration::from_secs(2);
/// The longest pause between two windows if many workflows are due.
const BREAK: Duration = Duration::from_millis(100);
/// How much later than the deadline an alarm fires, because a sweep that comes too early finds
/// nothing.
const LATE: Duration = Duration::from_millis(2);

pub struct Timer {
    pub storage: Storage,
    pub clock: Arc<Clock>,
    pub runner: Arc<Runner>,
    pub metrics: Arc<Metrics>,
}

#[derive(Default)]
pub struct State {
    registry: Option<RegistryRef>,
    alarm: Option<Alarm>,
    flight: Arc<Flight>,
}

/// The next sweep. Dropping an alarm disarms it.
struct Alarm {
    at: Instant,
    task: JoinHandle<Result<(), ractor::MessagingErr<ToTimer>>>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Timer {
    pub async fn spawn(self, root: ActorCell) -> Result<TimerRef, SpawnErr> {
        Ok(Actor::spawn_linked(None, self, (), root).await?.0)
    }
}

impl Actor for Timer {
    type Msg = ToTimer;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: TimerRef, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(&self, myself: TimerRef, msg: ToTimer, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            ToTimer::Registry(registry) => {
                state.registry = Some(registry);
                myself.cast(ToTimer::Recover)?;
                myself.cast(ToTimer::Sweep)?;
            }
            ToTimer::Arm { deadline } => self.arm(&myself, state, until(self.clock.now(), deadline)),
            ToTimer::Sweep => {
                state.alarm = None;
                let Some(registry) = state.registry.clone() else { return Ok(()) };
                let rest = self.sweep(&registry, state).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "cannot find the due workflows; trying again");
                    SWEEP
                });
                self.arm(&myself, state, rest);
            }
            ToTimer::Requeue => {
                if let Err(error) = self.requeue().await {
                    tracing::warn!(%error, "cannot find the queued actions; trying again in a moment");
                }
            }
            ToTimer::Recover => {
                let Some(registry) = state.registry.clone() else { return Ok(()) };
                if let Err(error) = self.recover(&registry).await {
                    tracing::warn!(%error, "cannot find the interrupted actions; trying again");
                }
                myself.send_after(RECOVER, || ToTimer::Recover);
            }
        }
        Ok(())
    }
}

impl Timer {
    /// Makes sure that a sweep comes within this delay.
    fn arm(&self, myself: &TimerRef, state: &mut State, delay: Duration) {
        let at = Instant::now() + delay;
        if state.alarm.as_ref().is_none_or(|alarm| at < alarm.at) {
            state.alarm = Some(Alarm { at, task: myself.send_after(delay, || ToTimer::Sweep) });
        }
    }

    /// Sends a tick to every workflow that is due, and returns how long to rest. It waits for none
    /// of them: a slow workflow delays only itself.
    #[expect(
        clippy::disallowed_methods,
        reason = "a tick counts as under way until it ends, and the next sweep finds what one that failed left"
    )]
    async fn sweep(&self, registry: &RegistryRef, state: &State) -> Result<Duration, Error> {
        // Workflows that have not answered yet are still due, and must not take the places of
        // others.
        let away = i64::try_from(state.flight.count()).unwrap_or(i64::MAX);
        let due = self.storage.due(WINDOW.saturating_add(away)).await?;
        self.clock.hear(due.now);
        let mut sent = 0;
        for id in due.workflows {
            if state.flight.leave(id) {
                sent += 1;
                let tick = tick(registry.clone(), Arc::clone(&state.flight), id, due.now);
                tokio::spawn(tick.instrument(telemetry::workflow(id)));
            }
        }
        if sent >= WINDOW {
            state.flight.thin_out().await;
            return Ok(Duration::ZERO);
        }
        Ok(due.next.map_or(SWEEP, |next| until(due.now, next).min(SWEEP)))
    }

    /// Puts every queued action that nothing holds into the runner's queue.
    async fn requeue(&self) -> Result<(), Error> {
        let (mut after, mut held) = (None, 0);
        let with_targets = !self.runner.hold_watch().is_quiet();
        loop {
            let rows = self.storage.queued(after, WINDOW, with_targets).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.workflow_id);
            held += self.runner.offer(rows);
        }
        self.metrics.held.set(i64::try_from(held).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Fills the runner's queue. Wakes every workflow whose action parkbrake has started and this
    /// process does not know, and every cancelled one that this process does not end: its actor
    /// then fulfills the obligations of the log.
    async fn recover(&self, registry: &RegistryRef) -> Result<(), Error> {
        self.requeue().await?;
        let mut after = None;
        loop {
            let ids = self.storage.running(after, WINDOW).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = Some(*last);
            let cancelled = self.storage.cancelled_while_running(&ids).await?;
            let is_lost = |id: &Uuid| !self.runner.knows(*id) || (cancelled.contains(id) && !self.runner.is_cancelling(*id));
            for id in ids.into_iter().filter(is_lost) {
                let _ = registry.cast(ToRegistry::Wake { id });
            }
        }
    }
}

/// Sends one tick. A workflow that fails is sent the next one after a pause.
async fn tick(registry: RegistryRef, flight: Arc<Flight>, id: Uuid, now: DateTime<Utc>) {
    tracing::debug!("the workflow is due and is sent a tick");
    let (command, span) = (Arc::new(Command::Tick { now }), Span::current());
    let answer = registry.call(|reply| ToRegistry::Route { id, job: Job::Do { command, span, reply } }, Some(TICK_TIMEOUT)).await;
    if !matches!(&answer, Ok(CallResult::Success(Ok(_)))) {
        tracing::warn!("the workflow is due and did not answer; it is sent another tick in a moment");
        tokio::time::sleep(FAILED).await;
    }
    flight.land(id);
}

/// The workflows that have been sent a tick and have not answered yet.
#[derive(Default)]
struct Flight {
    away: Mutex<HashSet<Uuid>>,
    landed: Notify,
}

impl Flight {
    /// Returns `false` if the workflow has not answered an earlier tick yet.
    fn leave(&self, id: Uuid) -> bool {
        self.away().insert(id)
    }

    fn land(&self, id: Uuid) {
        self.away().remove(&id);
        self.landed.notify_one();
    }

    fn count(&self) -> usize {
        self.away().len()
    }

    /// Waits for half of a window to answer, for a short time.
    async fn thin_out(&self) {
        let half = usize::try_from(WINDOW / 2).unwrap_or_default();
        let enough = async {
            while self.count() > half {
                self.landed.notified().await;
            }
        };
        let _ = tokio::time::timeout(BREAK, enough).await;
    }

    fn away(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn until(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    then.signed_duration_since(now).max(TimeDelta::zero()).to_std().unwrap_or_default() + LATE
}
