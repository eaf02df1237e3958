//! The timer: wakes what is due, and what a crash left behind.
//!
//! The sweep is the guarantee: it asks storage what is due by the database's clock, at least once a second, and whatever is
//! found is handed to its workflow, which acts only if the database agrees once more. The alarm is only the speed: a sweep at
//! the very moment at which the next thing falls due.

use crate::actors::messages::{RegistryRef, TimerRef, ToRegistry, ToTimer};
use crate::actors::metrics::Metrics;
use crate::actors::runner::Runner;
use crate::clock::Clock;
use crate::domain::workflow::Command;
use crate::storage::{Error, Storage};
use chrono::{DateTime, TimeDelta, Utc};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorCell, ActorProcessingErr, SpawnErr};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Between two sweeps without an alarm.
const SWEEP: Duration = Duration::from_secs(1);
/// Between two looks at the actions that were begun.
const RECOVER: Duration = Duration::from_secs(5);
/// How many are told at once.
const WINDOW: i64 = 512;
/// How long a workflow may take to answer before it is told again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Before one that failed is told again.
const FAILED: Duration = Duration::from_secs(2);
/// The longest break between two windows, where many are due.
const BREAK: Duration = Duration::from_millis(100);
/// An alarm goes off this much late rather than early: a sweep that finds nothing yet is a wasted one.
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

/// The next sweep. Dropping it disarms it.
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

    /// Sees to it that a sweep comes no later than after this delay.
    fn arm(&self, myself: &TimerRef, state: &mut State, delay: Duration) {
        let at = Instant::now() + delay;
        if state.alarm.as_ref().is_none_or(|alarm| at < alarm.at) {
            state.alarm = Some(Alarm { at, task: myself.send_after(delay, || ToTimer::Sweep) });
        }
    }

    /// Hands everything that is due to its workflow, and says how long to rest. Nobody is waited for: a workflow that is slow delays
    /// itself alone.
    #[expect(
        clippy::disallowed_methods,
        reason = "a tick counts as under way until it ends, and the next sweep finds what one that failed left"
    )]
    async fn sweep(&self, registry: &RegistryRef, state: &State) -> Result<Duration, Error> {
        // Those that were sent and have not answered are still due, and must not take the places of others.
        let away = i64::try_from(state.flight.count()).unwrap_or(i64::MAX);
        let due = self.storage.due(WINDOW.saturating_add(away)).await?;
        self.clock.hear(due.now);
        let mut sent = 0;
        for id in due.workflows {
            if state.flight.leave(id) {
                sent += 1;
                tokio::spawn(tick(registry.clone(), Arc::clone(&state.flight), id, due.now));
            }
        }
        if sent >= WINDOW {
            state.flight.room().await;
            return Ok(Duration::ZERO);
        }
        Ok(due.next.map_or(SWEEP, |next| until(due.now, next).min(SWEEP)))
    }

    /// Puts everything that waits for a turn, and that nothing holds, into the runner's queue.
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

    /// Does that, and wakes every workflow whose action parkbrake itself has begun and this process knows nothing of: what it is obliged
    /// to, it then does.
    async fn recover(&self, registry: &RegistryRef) -> Result<(), Error> {
        self.requeue().await?;
        let mut after = None;
        loop {
            let ids = self.storage.running(after, WINDOW).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = Some(*last);
            for id in ids.into_iter().filter(|id| !self.runner.knows(*id)) {
                let _ = registry.cast(ToRegistry::Wake { id });
            }
        }
    }
}

/// Sends one tick. A workflow that fails is not sent another one before a pause is over.
async fn tick(registry: RegistryRef, flight: Arc<Flight>, id: Uuid, now: DateTime<Utc>) {
    let command = Arc::new(Command::Tick { now });
    let answer = registry.call(|reply| ToRegistry::Route { id, command, reply }, Some(PATIENCE)).await;
    if !matches!(&answer, Ok(CallResult::Success(Ok(_)))) {
        tracing::warn!(workflow.id = %id, "a workflow that is due did not answer, it is asked again in a moment");
        tokio::time::sleep(FAILED).await;
    }
    flight.land(id);
}

/// The workflows that have been told that something is due and have not answered yet.
#[derive(Default)]
struct Flight {
    away: Mutex<HashSet<Uuid>>,
    landed: Notify,
}

impl Flight {
    /// `false` where it is away already.
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

    /// Waits a little for half a window to come back.
    async fn room(&self) {
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
                    tracing::warn!(%error, "cannot look for what is due, trying again");
                    SWEEP
                });
                self.arm(&myself, state, rest);
            }
            ToTimer::Requeue => {
                if let Err(error) = self.requeue().await {
                    tracing::warn!(%error, "cannot look for what is queued; it is looked for again in a moment");
                }
            }
            ToTimer::Recover => {
                let Some(registry) = state.registry.clone() else { return Ok(()) };
                if let Err(error) = self.recover(&registry).await {
                    tracing::warn!(%error, "cannot look for interrupted actions, trying again");
                }
                myself.send_after(RECOVER, || ToTimer::Recover);
            }
        }
        Ok(())
    }
}
