//! The runner: starts and runs the actions of this process.
//!
//! A released action waits here for its turn. When it has one, the [gate](crate::actors::gate) is asked, and then the start is
//! committed with a token made for this one start. Only whoever finds its own token in the log runs the action; so it does not matter
//! how many actors a workflow has, what they remember, or how often anybody asks. If the answer to a commit is lost, the runner asks
//! again with the same token.
//!
//! What waits here is a copy of what the database holds as queued. Losing it costs only time.

use crate::actors::attempt::{self, Ran};
use crate::actors::dispatcher::{ANSWER_TIMEOUT, Dispatcher};
use crate::actors::gate::{Gate, Verdict};
use crate::actors::holds::HoldWatch;
use crate::actors::metrics::Metrics;
use crate::actors::ports::{Executor, Job};
use crate::actors::protocol::Failure;
use crate::actors::turns::{TurnLimits, Turns, Waiting};
use crate::domain::workflow::{AttemptId, Command, Disowned, Outcome, Workflow};
use crate::fence::Fence;
use crate::storage::{Error, QueuedRow};
use crate::telemetry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tracing::Instrument as _;
use uuid::Uuid;

/// The pauses between attempts to have something recorded.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause before a start that was refused at the last moment is tried again: by then it is known what holds it.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// The pause before the gate is asked again about an action that has to wait.
const WAIT: Duration = Duration::from_secs(1);

pub struct Runner {
    executor: Arc<dyn Executor>,
    gate: Gate,
    fence: Arc<Fence>,
    metrics: Arc<Metrics>,
    /// By which outcomes reach their workflows. It ends with the engine; then this process no longer reports anything.
    dispatcher: Weak<Dispatcher>,
    /// This process; a new id for every start of the server.
    owner: Uuid,
    state: Mutex<State>,
}

struct State {
    turns: Turns,
    /// The workflows that wait here, have a turn, or have an outcome that is not recorded yet.
    known: HashSet<Uuid>,
    /// What was queued once more while an attempt of it was held. It waits for a turn as soon as that attempt is recorded.
    next: HashMap<Uuid, Waiting>,
    /// The attempts that this process is starting or has started, with their tokens. An attempt is held from before its start is
    /// committed until its outcome is recorded.
    held: HashMap<(Uuid, AttemptId), Uuid>,
    closed: bool,
}

/// What a runner is made of.
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
        let state = State { turns: Turns::new(limits), known: HashSet::new(), next: HashMap::new(), held: HashMap::new(), closed: false };
        Self { executor, gate, fence, metrics, dispatcher, owner, state: Mutex::new(state) }
    }

    /// Has an action that is queued in the database wait here too, unless it already does.
    pub fn enqueue(self: &Arc<Self>, waiting: Waiting) {
        {
            let mut state = self.state();
            let id = waiting.workflow_id;
            if state.closed {
                return;
            }
            if !state.known.insert(id) {
                // Its turn may be over but for what is being recorded, and this be the next step of its plan.
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

    /// Has the actions that are queued in the database and that nothing holds wait here, too. Returns how many are held.
    pub fn offer(self: &Arc<Self>, rows: Vec<QueuedRow>) -> usize {
        let (held, free): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| self.hold_watch().holds_row(row));
        for QueuedRow { workflow_id, requested_by, approved, .. } in free {
            self.enqueue(Waiting { workflow_id, requested_by, approved });
        }
        held.len()
    }

    /// Forgets the actions that wait here, which the database still has. Those that have a turn keep it.
    pub fn forget_waiting(&self) {
        let mut state = self.state();
        for id in state.turns.clear() {
            state.known.remove(&id);
        }
    }

    /// What keeps actions from starting.
    pub fn hold_watch(&self) -> &HoldWatch {
        &self.gate.holds
    }

    /// Whether a workflow waits here, has a turn, or has an outcome that is not recorded yet.
    pub fn knows(&self, workflow_id: Uuid) -> bool {
        self.state().known.contains(&workflow_id)
    }

    /// Whether this process is starting or has started exactly this attempt, and its outcome is not recorded yet.
    pub fn holds(&self, workflow_id: Uuid, attempt: AttemptId, token: Option<Uuid>) -> bool {
        token.is_some_and(|token| self.state().held.get(&(workflow_id, attempt)) == Some(&token))
    }

    /// How many attempts are being started or have been started whose outcome is not recorded yet.
    pub fn count(&self) -> usize {
        self.state().held.len()
    }

    /// Starts nothing from now on. What waits here stays queued in the database.
    pub fn close(&self) {
        self.state().closed = true;
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a turn to each action that is next, as long as turns are left.
    #[expect(clippy::disallowed_methods, reason = "a turn outlives every actor, and gives itself back when it is dropped")]
    fn pump(self: &Arc<Self>) {
        while let Some(waiting) = self.take() {
            let span = telemetry::workflow(waiting.workflow_id);
            let turn = Turn { runner: Arc::clone(self), waiting, attempt: None, is_over: false };
            tokio::spawn(turn.play().instrument(span));
        }
    }

    fn take(&self) -> Option<Waiting> {
        let mut state = self.state();
        let next = if state.closed { None } else { state.turns.take() };
        self.metrics.queued.set(i64::try_from(state.turns.waiting()).unwrap_or(i64::MAX));
        next
    }

    /// Has a command carried out, however long the database does not answer. `None` if this process ends first, the command is refused,
    /// or the workflow is in quarantine; an outcome is reported even then.
    async fn insist(&self, workflow_id: Uuid, command: &Command) -> Option<Arc<Workflow>> {
        let mut pause = FIRST_PAUSE;
        let mut is_lost = false;
        while let Some(dispatcher) = self.dispatcher.upgrade() {
            match dispatcher.command(workflow_id, command.clone(), Some(ANSWER_TIMEOUT)).await {
                Ok(outcome) => return Some(outcome.workflow),
                Err(Failure::NotFound | Failure::Refused(_)) => return None,
                Err(Failure::Quarantined) if !is_lost && !matches!(command, Command::Finish { .. }) => return None,
                Err(error) => {
                    is_lost = true;
                    tracing::warn!(%error, "a command of the runner has not been carried out yet, trying again");
                }
            }
            drop(dispatcher);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        None
    }

    /// Commits the start, and says whether it is this process's to run.
    async fn start(&self, workflow_id: Uuid, attempt: AttemptId, token: Uuid) -> bool {
        let command = Command::Start { attempt, owner: self.owner, token };
        let workflow = self.insist(workflow_id, &command).await;
        workflow.is_some_and(|workflow| workflow.running(attempt).is_some_and(|attempt| attempt.token == Some(token)))
    }

    async fn run(&self, job: Job) -> Ran {
        if job.attempt.number > 1 || job.attempt.step > 1 {
            self.executor.end_stragglers(job.workflow_id).await;
        }
        attempt::run(&*self.executor, &self.fence, job).await
    }
}

/// The result of a start.
#[derive(PartialEq, Eq)]
enum Start {
    /// The action has run, or never will in this turn.
    Over,
    /// The commit was refused: something has come to hold the action at the last moment, or another commit came first.
    Refused,
}

/// One turn of one workflow. Dropping it gives the turn back and forgets the workflow, however the turn ends.
struct Turn {
    runner: Arc<Runner>,
    waiting: Waiting,
    /// The attempt that this turn is starting or has started.
    attempt: Option<AttemptId>,
    /// Whether the turn has been given back.
    is_over: bool,
}

impl Turn {
    async fn play(mut self) {
        let id = self.waiting.workflow_id;
        match self.ask().await {
            Some(Verdict::Start(job)) => {
                if self.start(*job).await == Start::Refused {
                    self.rest().await;
                }
            }
            Some(Verdict::Wait(reason)) => {
                tracing::debug!(reason, "the action has to wait");
                self.give_back();
                tokio::time::sleep(WAIT).await;
                let (runner, waiting) = (Arc::clone(&self.runner), self.waiting.clone());
                drop(self);
                runner.enqueue(waiting);
            }
            Some(Verdict::Begin(attempt)) => {
                let begin = Command::Start { attempt, owner: self.runner.owner, token: Uuid::new_v4() };
                self.runner.insist(id, &begin).await;
            }
            Some(Verdict::Held(held)) => {
                tracing::debug!(%held, "the action is held");
                self.rest().await;
            }
            Some(Verdict::Refuse { attempt, reason }) => {
                tracing::error!(step = attempt.step, attempt = attempt.number, reason, "the action is not started");
                self.runner.insist(id, &Command::RefuseStart { attempt, reason }).await;
            }
            Some(Verdict::AskAgain { attempt, reason, terms }) => {
                tracing::warn!(step = attempt.step, attempt = attempt.number, reason, "people are asked again before the action starts");
                self.runner.insist(id, &Command::AskAgain { attempt, reason, terms }).await;
            }
            Some(Verdict::NotQueued) | None => {}
        }
    }

    /// Asks the gate. `None` if this process stops first, or if the log cannot be read.
    async fn ask(&self) -> Option<Verdict> {
        let id = self.waiting.workflow_id;
        let mut pause = FIRST_PAUSE;
        while !self.runner.is_closed() {
            match self.runner.gate.may_start(id).await {
                Ok(verdict) => return Some(verdict),
                Err(Error::Unavailable(reason)) => {
                    tracing::warn!(reason, "cannot read the workflow that is to start, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::error!(%error, "the action is not started: the log of its workflow cannot be read");
                    // Its actor fails for the same reason, and the workflow goes into quarantine, where people see it.
                    if let Some(dispatcher) = self.runner.dispatcher.upgrade() {
                        dispatcher.wake(id);
                    }
                    return None;
                }
            }
        }
        None
    }

    async fn start(&mut self, job: Job) -> Start {
        let (id, attempt, token) = (job.workflow_id, job.attempt, Uuid::new_v4());
        {
            let mut state = self.runner.state();
            if state.closed {
                return Start::Over;
            }
            // Before the commit, so that no actor ever reads a start of this process that the runner does not know.
            state.held.insert((id, attempt), token);
            self.attempt = Some(attempt);
        }
        if !self.runner.start(id, attempt, token).await {
            return Start::Refused;
        }
        self.runner.metrics.running.inc();
        let outcome = self.runner.run(job).await;
        self.runner.metrics.running.dec();
        self.give_back();
        let report = match outcome {
            Ran::Ended(outcome) => {
                tracing::info!(step = attempt.step, attempt = attempt.number, outcome = name_of(&outcome), "the action ended");
                Command::Finish { attempt, outcome }
            }
            Ran::Cut => Command::Disown { attempt, token: Some(token), cause: Disowned::LeaseLapsing },
        };
        // If this process ends first, the next one finds the attempt begun and not ended, and says so.
        self.runner.insist(id, &report).await;
        Start::Over
    }

    /// Gives the turn back. An action that is held comes into the queue again when the hold ends, or with the timer's next look; if nothing is
    /// held any more, it comes again in a moment.
    async fn rest(mut self) {
        self.give_back();
        tokio::time::sleep(DEBOUNCE).await;
        let runner = Arc::clone(&self.runner);
        drop(self);
        if runner.hold_watch().is_quiet()
            && let Some(dispatcher) = runner.dispatcher.upgrade()
        {
            dispatcher.requeue();
        }
    }

    fn give_back(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.runner.state().turns.give_back(&self.waiting);
            self.runner.pump();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.runner.state();
            if let Some(attempt) = self.attempt {
                state.held.remove(&(self.waiting.workflow_id, attempt));
            }
            state.known.remove(&self.waiting.workflow_id);
            state.next.remove(&self.waiting.workflow_id)
        };
        self.give_back();
        if let Some(next) = next {
            self.runner.enqueue(next);
        }
    }
}

fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::Unknown { .. } => "unknown",
    }
}
