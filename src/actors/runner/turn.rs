//! One turn of one workflow at the runner: call the gate, commit the start, run, and record the
//! outcome.

use crate::actors::attempt::Ran;
use crate::actors::gate::Verdict;
use crate::actors::lanes::Entry;
use crate::actors::ports::{CancelSignal, Job};
use crate::actors::runner::{FIRST_PAUSE, Held, LONGEST_PAUSE, Runner, State};
use crate::actors::turns::Waiting;
use crate::domain::workflow::{AttemptId, Command, Disowned, Outcome, Renewed};
use crate::storage::Error;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The pause before a start is retried that was refused at the last moment. By then this server
/// knows the hold.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// The pause before the gate is called again for an action that has to wait.
const WAIT: Duration = Duration::from_secs(1);

/// The result of a start.
#[derive(PartialEq, Eq)]
enum Start {
    /// The action has run, or never will in this turn.
    Over,
    /// The commit was refused: a hold began at the last moment, or another commit came first.
    Refused,
}

/// One turn of one workflow. Dropping it gives the turn back and forgets the workflow, however the
/// turn ends.
pub(super) struct Turn {
    runner: Arc<Runner>,
    waiting: Waiting,
    /// The attempt that this turn is starting or has started.
    attempt: Option<AttemptId>,
    /// The key of the lane in which it has a slot.
    lane: Option<String>,
    /// Whether the workflow waits in a lane, and gets another turn when it has a slot there.
    is_blocked: bool,
    /// Whether the turn has been given back.
    is_over: bool,
}

impl Turn {
    pub fn new(runner: Arc<Runner>, waiting: Waiting) -> Self {
        Self { runner, waiting, attempt: None, lane: None, is_blocked: false, is_over: false }
    }

    pub async fn play(mut self) {
        let id = self.waiting.workflow_id;
        match self.ask().await {
            Some(Verdict::Start { job, renewed }) => {
                if self.start(*job, renewed).await == Start::Refused {
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
            Some(Verdict::Renew { attempt, renewed }) => {
                tracing::info!(step = attempt.step, attempt = attempt.number, reason = renewed.reason, "the action gets its arguments");
                self.runner.repeat_until_answered(id, &Command::Renew { attempt, renewed }).await;
                let (runner, waiting) = (Arc::clone(&self.runner), self.waiting.clone());
                drop(self);
                runner.enqueue(waiting);
            }
            Some(Verdict::Begin(attempt)) => {
                let begin = Command::Start { attempt, owner: self.runner.owner, token: Uuid::new_v4(), renewed: None };
                self.runner.repeat_until_answered(id, &begin).await;
            }
            Some(Verdict::Held(held)) => {
                tracing::debug!(%held, "the action is held");
                self.rest().await;
            }
            Some(Verdict::Refuse { attempt, reason }) => {
                tracing::error!(step = attempt.step, attempt = attempt.number, reason, "the action is not started");
                self.runner.repeat_until_answered(id, &Command::RefuseStart { attempt, reason }).await;
            }
            Some(Verdict::AskAgain { attempt, reason, terms, renewed }) => {
                tracing::warn!(step = attempt.step, attempt = attempt.number, reason, "people are asked again before the action starts");
                self.runner.repeat_until_answered(id, &Command::AskAgain { attempt, reason, terms, renewed }).await;
            }
            Some(Verdict::NotQueued) | None => {}
        }
    }

    /// Calls the gate. `None` if this process stops first, or if the log cannot be read.
    async fn ask(&self) -> Option<Verdict> {
        let id = self.waiting.workflow_id;
        let mut pause = FIRST_PAUSE;
        while !self.runner.is_closed() {
            match self.runner.gate.may_start(id).await {
                // A precondition that was ended together with this server proves nothing: the next
                // server runs it again.
                Ok(verdict) => return (!self.runner.is_closed()).then_some(verdict),
                Err(Error::Unavailable(reason)) => {
                    tracing::warn!(reason, "cannot read the workflow that should start; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::error!(%error, "the action is not started: the log of its workflow cannot be read");
                    // Its actor fails for the same reason, and the workflow goes into quarantine,
                    // where people see it.
                    if let Some(dispatcher) = self.runner.dispatcher.upgrade() {
                        dispatcher.wake(id);
                    }
                    return None;
                }
            }
        }
        None
    }

    async fn start(&mut self, mut job: Job, renewed: Option<Arc<Renewed>>) -> Start {
        let (id, attempt, token) = (job.workflow_id, job.attempt, Uuid::new_v4());
        if !self.enter(&job) {
            return Start::Over;
        }
        let (canceler, cancelled) = CancelSignal::pair();
        job.cancelled = cancelled;
        {
            let mut state = self.runner.state();
            if state.closed {
                return Start::Over;
            }
            // Before the commit, so that no actor ever reads a start of this process that the
            // runner does not know.
            state.held.insert((id, attempt), Held { token, canceler });
            self.attempt = Some(attempt);
        }
        if !self.runner.start(id, attempt, token, renewed).await {
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
        // If this process ends first, the next one finds in the log that the attempt has begun and
        // not ended, and records that.
        self.runner.repeat_until_answered(id, &report).await;
        Start::Over
    }

    /// Gives the turn back. A held action returns to the queue when the hold ends, or with the
    /// timer's next look; if nothing holds it any more, it returns after a moment.
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

    /// Takes a slot in the lane of the action, if it has one. If none is free, the turn ends, and
    /// the workflow waits in the lane.
    fn enter(&mut self, job: &Job) -> bool {
        let Some(concurrency) = job.work.concurrency() else { return true };
        let entry = self.runner.state().lanes.enter(concurrency, &self.waiting);
        match entry {
            Entry::Entered => self.lane = Some(concurrency.key.clone()),
            Entry::Waits => {
                tracing::debug!(key = concurrency.key, "the action has to wait for others with its key");
                self.is_blocked = true;
            }
            Entry::Full => {}
        }
        entry == Entry::Entered
    }

    /// Passes its slot in a lane, taken or promised, on to those who wait there.
    fn leave_lane(&mut self, state: &mut State) {
        let id = self.waiting.workflow_id;
        let mut next = match self.lane.take() {
            Some(key) => state.lanes.leave(&key),
            None => state.lanes.renounce(id),
        };
        while let Some(waiting) = next.pop() {
            let id = waiting.workflow_id;
            if !state.turns.push(waiting) {
                // Its requester has too many waiting actions here. The timer finds it again; its
                // slot goes to the next.
                state.known.remove(&id);
                next.extend(state.lanes.renounce(id));
            }
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
        let runner = Arc::clone(&self.runner);
        let next = {
            let mut state = runner.state();
            if let Some(attempt) = self.attempt {
                state.held.remove(&(self.waiting.workflow_id, attempt));
            }
            if self.is_blocked {
                None
            } else {
                state.known.remove(&self.waiting.workflow_id);
                self.leave_lane(&mut state);
                state.next.remove(&self.waiting.workflow_id)
            }
        };
        self.give_back();
        match next {
            Some(next) => runner.enqueue(next),
            // Who has a slot in the lane now may also have a turn.
            None => runner.pump(),
        }
    }
}

fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded { .. } => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled { .. } => "cancelled",
        Outcome::Unknown { .. } => "unknown",
    }
}
