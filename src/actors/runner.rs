//! What this process starts and runs.
//!
//! An action that is released waits here for its turn. When it has one, the [gate](crate::actors::gate) is asked, and then the
//! start is committed, with a token that is made for this one start. Only whoever finds its own token in the log runs: so it does
//! not matter how many actors of a workflow there are, what they remember, or how often anybody asks. A lost answer is asked for
//! again with the same token.
//!
//! What waits here is a copy of what the database knows to be queued. Losing it costs a moment.

use crate::actors::attempt::{self, Ran};
use crate::actors::engine::Engine;
use crate::actors::exchange::Failure;
use crate::actors::gate::{Gate, Verdict};
use crate::actors::holds::HoldWatch;
use crate::actors::metrics::Metrics;
use crate::actors::ports::{Executor, Job};
use crate::actors::turns::{TurnLimits, Turns, Waiting};
use crate::domain::workflow::{AttemptId, Command, Disowned, Outcome, Workflow};
use crate::fence::Fence;
use crate::storage::{Error, QueuedRow};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use uuid::Uuid;

/// The pauses between attempts to have something recorded.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Before a start that was refused at the last moment is looked at again: until then it is known whether it is held.
const BREATH: Duration = Duration::from_millis(300);
/// Before the gate is asked again about what has to wait.
const WAIT: Duration = Duration::from_secs(1);

pub struct Runner {
    executor: Arc<dyn Executor>,
    gate: Gate,
    fence: Arc<Fence>,
    metrics: Arc<Metrics>,
    engine: Weak<Engine>,
    /// This process; a fresh id for every start of the server.
    owner: Uuid,
    state: Mutex<State>,
}

struct State {
    turns: Turns,
    /// Everything that waits here, has a turn, or is not recorded yet.
    known: HashSet<Uuid>,
    /// The attempts that this process starts or has started, with their tokens: from before the start is committed until the outcome
    /// is recorded.
    held: HashMap<(Uuid, AttemptId), Uuid>,
    closed: bool,
}

/// What a runner is made of.
pub struct Parts {
    pub executor: Arc<dyn Executor>,
    pub gate: Gate,
    pub fence: Arc<Fence>,
    pub metrics: Arc<Metrics>,
    pub engine: Weak<Engine>,
    pub owner: Uuid,
    pub limits: TurnLimits,
}

impl Runner {
    pub fn new(parts: Parts) -> Self {
        let Parts { executor, gate, fence, metrics, engine, owner, limits } = parts;
        let state = State { turns: Turns::new(limits), known: HashSet::new(), held: HashMap::new(), closed: false };
        Self { executor, gate, fence, metrics, engine, owner, state: Mutex::new(state) }
    }

    /// Sees to it that something that is queued in the database waits here too.
    pub fn enqueue(self: &Arc<Self>, waiting: Waiting) {
        {
            let mut state = self.state();
            let id = waiting.workflow_id;
            if state.closed || !state.known.insert(id) {
                return;
            }
            if !state.turns.push(waiting) {
                state.known.remove(&id);
            }
        }
        self.pump();
    }

    /// Sees to it that of what is queued in the database that waits here too which nothing holds; gives how many are held.
    pub fn offer(self: &Arc<Self>, rows: Vec<QueuedRow>) -> usize {
        let (held, free): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| self.hold_watch().holds_row(row));
        for QueuedRow { workflow_id, requested_by, approved, .. } in free {
            self.enqueue(Waiting { workflow_id, requested_by, approved });
        }
        held.len()
    }

    /// Forgets what waits here; the database still has it. What has a turn keeps it.
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

    /// Whether something waits here, has a turn, or is not recorded yet.
    pub fn knows(&self, workflow_id: Uuid) -> bool {
        self.state().known.contains(&workflow_id)
    }

    /// Whether this process starts, or has started, this very attempt, and its outcome is not recorded yet.
    pub fn holds(&self, workflow_id: Uuid, attempt: AttemptId, token: Option<Uuid>) -> bool {
        token.is_some_and(|token| self.state().held.get(&(workflow_id, attempt)) == Some(&token))
    }

    /// How many attempts have been started, or are just being, whose outcome is not recorded yet.
    pub fn count(&self) -> usize {
        self.state().held.len()
    }

    /// Starts nothing more. What waits stays queued in the database.
    pub fn close(&self) {
        self.state().closed = true;
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns to those who are next, as long as there are any.
    #[expect(clippy::disallowed_methods, reason = "a turn outlives every actor, and gives itself back when it is dropped")]
    fn pump(self: &Arc<Self>) {
        while let Some(waiting) = self.take() {
            let turn = Turn { runner: Arc::clone(self), waiting, attempt: None, is_over: false };
            tokio::spawn(turn.play());
        }
    }

    fn take(&self) -> Option<Waiting> {
        let mut state = self.state();
        let next = if state.closed { None } else { state.turns.take() };
        self.metrics.queued.set(i64::try_from(state.turns.waiting()).unwrap_or(i64::MAX));
        next
    }

    /// Has a command carried out, however long the database is away; `None` if this process ends first, or where the workflow is left
    /// alone.
    async fn insist(&self, workflow_id: Uuid, command: &Command) -> Option<Arc<Workflow>> {
        let mut pause = FIRST_PAUSE;
        let mut is_lost = false;
        while let Some(engine) = self.engine.upgrade() {
            match engine.command(workflow_id, command.clone()).await {
                Ok(answered) => return Some(answered.workflow),
                Err(Failure::NotFound | Failure::Refused(_)) => return None,
                Err(Failure::Quarantined) if !is_lost => return None,
                Err(error) => {
                    is_lost = true;
                    tracing::warn!(workflow.id = %workflow_id, %error, "the answer to a command is missing, asking again");
                }
            }
            drop(engine);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        None
    }

    /// Commits the start; whether it is this process's to run.
    async fn start(&self, workflow_id: Uuid, attempt: AttemptId, token: Uuid) -> bool {
        let command = Command::Start { attempt, owner: self.owner, token };
        let workflow = self.insist(workflow_id, &command).await;
        workflow.is_some_and(|workflow| workflow.running(attempt).is_some_and(|attempt| attempt.token == Some(token)))
    }

    async fn run(&self, job: Job) -> Ran {
        if job.attempt.number > 1 {
            self.executor.end_stragglers(job.workflow_id).await;
        }
        attempt::run(&*self.executor, &self.fence, job).await
    }
}

/// What became of a start.
#[derive(PartialEq, Eq)]
enum Start {
    /// It has run, or never will by this turn.
    Over,
    /// The commit was refused: something has come to hold it at the last moment, or somebody else was faster.
    Refused,
}

/// One turn. Dropping it gives the turn back and forgets the workflow, however it ends.
struct Turn {
    runner: Arc<Runner>,
    waiting: Waiting,
    /// The attempt that this turn starts or has started.
    attempt: Option<AttemptId>,
    /// The turn has been given back.
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
                tracing::debug!(workflow.id = %id, reason, "the action has to wait");
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
                tracing::debug!(workflow.id = %id, %held, "the action is held");
                self.rest().await;
            }
            Some(Verdict::Refuse { attempt, reason }) => {
                tracing::error!(workflow.id = %id, step = attempt.step, attempt = attempt.number, reason, "the action is not started");
                self.runner.insist(id, &Command::RefuseStart { attempt, reason }).await;
            }
            Some(Verdict::AskAgain { attempt, reason, terms }) => {
                tracing::warn!(workflow.id = %id, step = attempt.step, attempt = attempt.number, reason, "people are asked again before the action starts");
                self.runner.insist(id, &Command::AskAgain { attempt, reason, terms }).await;
            }
            Some(Verdict::NotQueued) | None => {}
        }
    }

    /// What the gate says; `None` if this process stops first, or where the log cannot be read.
    async fn ask(&self) -> Option<Verdict> {
        let id = self.waiting.workflow_id;
        let mut pause = FIRST_PAUSE;
        while !self.runner.is_closed() {
            match self.runner.gate.may_start(id).await {
                Ok(verdict) => return Some(verdict),
                Err(Error::Unavailable(reason)) => {
                    tracing::warn!(workflow.id = %id, reason, "cannot read what is to start, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::error!(workflow.id = %id, %error, "the action is not started: its log cannot be read");
                    // Its actor finds the same, and it is left alone, visibly.
                    if let Some(engine) = self.runner.engine.upgrade() {
                        engine.wake(id);
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
            // Before the commit, so that nobody ever finds a start of this process that it does not know.
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
        match outcome {
            Ran::Ended(outcome) => record(&self.runner.engine, id, attempt, outcome).await,
            Ran::Cut => {
                let cut = Command::Disown { attempt, token: Some(token), cause: Disowned::LeaseLapsing };
                self.runner.insist(id, &cut).await;
            }
        }
        Start::Over
    }

    /// Gives the turn back. What is held comes into the queue again when that ends, or with the next look into the database; where
    /// nothing is held any more, it comes again in a moment.
    async fn rest(mut self) {
        self.give_back();
        tokio::time::sleep(BREATH).await;
        let runner = Arc::clone(&self.runner);
        drop(self);
        if runner.hold_watch().is_quiet()
            && let Some(engine) = runner.engine.upgrade()
        {
            engine.requeue();
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
        {
            let mut state = self.runner.state();
            if let Some(attempt) = self.attempt {
                state.held.remove(&(self.waiting.workflow_id, attempt));
            }
            state.known.remove(&self.waiting.workflow_id);
        }
        self.give_back();
    }
}

/// Has an outcome recorded, however long the database is away. If the process ends first, the next one finds the attempt
/// begun and not ended, and says so.
async fn record(engine: &Weak<Engine>, workflow_id: Uuid, attempt: AttemptId, outcome: Outcome) {
    let mut pause = FIRST_PAUSE;
    while let Some(engine) = engine.upgrade() {
        match engine.finished(workflow_id, attempt, outcome.clone()).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(workflow.id = %workflow_id, step = attempt.step, attempt = attempt.number, %error, "an outcome is not recorded yet, trying again")
            }
        }
        drop(engine);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
