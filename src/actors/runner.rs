//! The runner: starts and runs the actions of this process.
//!
//! A released action waits here for its turn. Then the [gate](crate::actors::gate) is called, and
//! the start is committed with a token made for this one start. Only the runner that finds its own
//! token in the log runs the action; so it does not matter how many actors a workflow has, what
//! they remember, or how often anybody asks. If the answer to a commit is lost, the runner asks
//! again with the same token.
//!
//! The waiting actions are a copy of what is queued in the database. Losing them costs only time.

mod aftermath;
mod claim;
mod turn;

use crate::actors::attempt::{self, Ran};
use crate::actors::dispatcher::{ANSWER_TIMEOUT, Dispatcher};
use crate::actors::gate::Gate;
use crate::actors::holds::HoldWatch;
use crate::actors::lanes::Lanes;
use crate::actors::metrics::Metrics;
use crate::actors::ports::{Canceler, Executor, Job};
use crate::actors::protocol::Failure;
use crate::actors::turns::{TurnLimits, Turns, Waiting};
use crate::domain::workflow::{AttemptId, Command, Renewed, Workflow};
use crate::fence::Fence;
use crate::storage::QueuedRow;
use crate::telemetry;
use aftermath::Aftermath;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tracing::Instrument as _;
use turn::Turn;
use uuid::Uuid;

/// The pauses between attempts to record something.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub struct Runner {
    executor: Arc<dyn Executor>,
    gate: Gate,
    fence: Arc<Fence>,
    metrics: Arc<Metrics>,
    /// Sends outcomes to their workflows. It ends with the engine; then this process no longer
    /// reports anything.
    dispatcher: Weak<Dispatcher>,
    /// This process; a new id for every start of the server.
    owner: Uuid,
    state: Mutex<State>,
}

struct State {
    turns: Turns,
    lanes: Lanes,
    /// The workflows that wait here, have a turn, or have an outcome that is not recorded yet.
    known: HashSet<Uuid>,
    /// Actions that were queued again while an attempt was held. Each waits for a turn as soon as
    /// that attempt is recorded.
    next: HashMap<Uuid, Waiting>,
    /// The attempts that this process is starting or has started. An attempt is held from before
    /// its start is committed until its outcome is recorded.
    held: HashMap<(Uuid, AttemptId), Held>,
    /// What this process is doing about attempts that are no longer running.
    aftermath: HashSet<(Uuid, AttemptId, Aftermath)>,
    /// Whether [`Runner::pump`] is giving turns.
    pumping: bool,
    closed: bool,
}

/// An attempt that this process is starting or has started.
struct Held {
    token: Uuid,
    canceler: Canceler,
}

/// The parts of a runner.
pub struct Parts {
    pub executor: Arc<dyn Executor>,
    pub gate: Gate,
    pub fence: Arc<Fence>,
    pub metrics: Arc<Metrics>,
    pub dispatcher: Weak<Dispatcher>,
    pub owner: Uuid,
    pub limits: TurnLimits,
}

impl Runner {
    pub fn new(parts: Parts) -> Self {
        let Parts { executor, gate, fence, metrics, dispatcher, owner, limits } = parts;
        let state = State {
            turns: Turns::new(limits),
            lanes: Lanes::default(),
            known: HashSet::new(),
            next: HashMap::new(),
            held: HashMap::new(),
            aftermath: HashSet::new(),
            pumping: false,
            closed: false,
        };
        Self { executor, gate, fence, metrics, dispatcher, owner, state: Mutex::new(state) }
    }

    /// Adds an action that is queued in the database, unless it waits here already.
    pub fn enqueue(self: &Arc<Self>, waiting: Waiting) {
        {
            let mut state = self.state();
            let id = waiting.workflow_id;
            if state.closed {
                return;
            }
            if !state.known.insert(id) {
                // Its turn may be over except for recording the outcome, and this may be the next
                // step of its plan.
                if state.held.keys().any(|(held, _)| *held == id) {
                    state.next.insert(id, waiting);
                }
                return;
            }
            if !state.turns.push(waiting) {
                state.known.remove(&id);
            }
        }
        self.pump();
    }

    /// Adds queued actions that nothing holds. Returns how many are held.
    pub fn offer(self: &Arc<Self>, rows: Vec<QueuedRow>) -> usize {
        let (held, free): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| self.hold_watch().holds_row(row));
        for QueuedRow { workflow_id, requested_by, approved, .. } in free {
            self.enqueue(Waiting { workflow_id, requested_by, approved });
        }
        held.len()
    }

    /// Forgets the waiting actions, which the database still has. Actions with a turn keep it.
    pub fn forget_waiting(&self) {
        let mut state = self.state();
        let waiting: Vec<Uuid> = state.turns.clear().into_iter().chain(state.lanes.clear()).collect();
        for id in waiting {
            state.known.remove(&id);
        }
    }

    /// The holds on starts.
    pub fn hold_watch(&self) -> &HoldWatch {
        &self.gate.holds
    }

    /// Whether a workflow waits here, has a turn, or has an outcome that is not recorded yet.
    pub fn knows(&self, workflow_id: Uuid) -> bool {
        self.state().known.contains(&workflow_id)
    }

    /// Whether this process is starting or has started exactly this attempt, and its outcome is not
    /// recorded yet.
    pub fn holds(&self, workflow_id: Uuid, attempt: AttemptId, token: Option<Uuid>) -> bool {
        token.is_some_and(|token| self.state().held.get(&(workflow_id, attempt)).is_some_and(|held| held.token == token))
    }

    /// Ends exactly this attempt if this process holds it, or keeps it from starting. Returns
    /// whether this process holds it.
    pub fn cancel(&self, workflow_id: Uuid, attempt: AttemptId, token: Option<Uuid>) -> bool {
        let state = self.state();
        let held = state.held.get(&(workflow_id, attempt)).filter(|held| Some(held.token) == token);
        held.inspect(|held| held.canceler.cancel()).is_some()
    }

    /// Whether this process holds an attempt of this workflow and has been told to end it.
    pub fn is_cancelling(&self, workflow_id: Uuid) -> bool {
        self.state().held.iter().any(|((id, _), held)| *id == workflow_id && held.canceler.has_cancelled())
    }

    /// How many attempts are being started or have been started whose outcome is not recorded yet.
    pub fn count(&self) -> usize {
        self.state().held.len()
    }

    /// Starts nothing from now on. Waiting actions stay queued in the database.
    pub fn close(&self) {
        self.state().closed = true;
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a turn to each action that is next, while turns are left. Only one call does this at a
    /// time, and it does what any other call then leaves to it. While the runtime shuts down, a new
    /// turn is dropped before `spawn` returns, and a turn that is dropped calls this; so without
    /// that rule, these calls would be nested as deep as actions wait.
    #[expect(clippy::disallowed_methods, reason = "a turn outlives every actor, and gives itself back when it is dropped")]
    fn pump(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().pumping, true) {
            return;
        }
        while let Some(waiting) = self.take() {
            let span = telemetry::workflow(waiting.workflow_id);
            tokio::spawn(Turn::new(Arc::clone(self), waiting).play().instrument(span));
        }
    }

    /// Takes the next action that may have a turn. If there is none, [`Runner::pump`] has to be
    /// called again when there may be one.
    fn take(&self) -> Option<Waiting> {
        let mut state = self.state();
        let next = if state.closed { None } else { state.turns.take() };
        state.pumping = next.is_some();
        self.metrics.queued.set(i64::try_from(state.turns.waiting() + state.lanes.waiting()).unwrap_or(i64::MAX));
        next
    }

    /// Repeats a command until it is carried out, however long the database does not answer. `None`
    /// if this process ends first, the command is refused, or the workflow is in quarantine; an
    /// outcome is reported even then.
    async fn repeat_until_answered(&self, workflow_id: Uuid, command: &Command) -> Option<Arc<Workflow>> {
        let mut pause = FIRST_PAUSE;
        let mut is_lost = false;
        while let Some(dispatcher) = self.dispatcher.upgrade() {
            match dispatcher.command(workflow_id, command.clone(), Some(ANSWER_TIMEOUT)).await {
                Ok(outcome) => return Some(outcome.workflow),
                Err(Failure::NotFound | Failure::Refused(_)) => return None,
                Err(Failure::Quarantined) if !is_lost && !matches!(command, Command::Finish { .. }) => return None,
                Err(error) => {
                    is_lost = true;
                    tracing::warn!(%error, "a command of the runner has not been committed yet; trying again");
                }
            }
            drop(dispatcher);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        None
    }

    /// Commits the start, and returns whether this process has to run it.
    async fn start(&self, workflow_id: Uuid, attempt: AttemptId, token: Uuid, renewed: Option<Arc<Renewed>>) -> bool {
        let command = Command::Start { attempt, owner: self.owner, token, renewed };
        let workflow = self.repeat_until_answered(workflow_id, &command).await;
        workflow.is_some_and(|workflow| workflow.running(attempt).is_some_and(|attempt| attempt.token == Some(token)))
    }

    async fn run(&self, job: Job) -> Ran {
        if job.attempt.number > 1 || job.attempt.step > 1 {
            self.executor.end_stragglers(job.workflow_id).await;
        }
        tracing::info!(step = job.attempt.step, attempt = job.attempt.number, "the action starts");
        attempt::run(&*self.executor, &self.fence, job).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::log_reader::LogReader;
    use crate::actors::ports::MayStart;
    use crate::clock::Clock;
    use crate::config;
    use crate::domain::task::invocation::Invocation;
    use crate::domain::workflow::Outcome;
    use crate::identity::Suspensions;
    use crate::storage::Storage;
    use chrono::DateTime;
    use futures_util::future::BoxFuture;
    use std::path::Path;

    struct Idle;

    impl Executor for Idle {
        fn run(&self, _: Job, _: MayStart) -> BoxFuture<'static, Option<Outcome>> {
            unreachable!("the database is unavailable, so nothing starts")
        }

        fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>> {
            Box::pin(async { Ok(invocation) })
        }

        fn end_stragglers(&self, _: Uuid) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    /// A runner with one turn and no database.
    fn runner() -> Arc<Runner> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let configuration = Arc::new(config::load(&root.join("config"), root).unwrap());
        let storage = Storage::connect("postgres://127.0.0.1:1/nowhere", 1).unwrap();
        let (metrics, fence) = (Arc::<Metrics>::default(), Fence::new(Uuid::nil(), Duration::from_secs(10)));
        let (executor, clock) = (Arc::new(Idle), Arc::new(Clock::new(DateTime::UNIX_EPOCH)));
        let suspensions = Arc::new(Suspensions::new(storage.clone()));
        let holds = HoldWatch::new(storage.clone(), Arc::clone(&configuration), clock, Arc::clone(&metrics), Arc::clone(&suspensions));
        let gate = Gate {
            logs: Arc::new(LogReader::new(storage.clone(), Arc::clone(&metrics))),
            storage,
            configuration,
            executor: Arc::<Idle>::clone(&executor),
            suspensions,
            holds: Arc::new(holds),
            fence: Arc::clone(&fence),
        };
        let limits = TurnLimits { at_once: 1, per_requester: 1 };
        Arc::new(Runner::new(Parts { executor, gate, fence, metrics, dispatcher: Weak::new(), owner: Uuid::nil(), limits }))
    }

    #[test]
    fn a_runtime_that_ends_drops_any_number_of_waiting_actions() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let runner = runtime.block_on(async {
            let runner = runner();
            for n in 0..5_000 {
                runner.enqueue(Waiting { workflow_id: Uuid::from_u128(n), requested_by: format!("bot-{}", n % 10), approved: true });
            }
            runner
        });
        assert!(runner.knows(Uuid::from_u128(4_999)));
        // Its thread has 2 MB of stack.
        drop(runtime);
        assert!(!runner.knows(Uuid::from_u128(4_999)), "each was given its turn, which ended at once");
    }
}
