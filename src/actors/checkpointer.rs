//! The checkpointer: the sole writer of workflow state.
//!
//! It collects the commits that arrive while others are being written, and writes them together:
//! one statement, one transaction and one flush for all of them. There is no timer, so a lone
//! commit waits for nothing. Each commit has its own answer, and one that the database refuses is
//! refused alone.
//!
//! One commit never delays another. A locked row is skipped, and retried in a batch of its own for
//! a few seconds; and when a batch is late, a second one is sent.
//!
//! A batch is written by a task that nothing cancels. Even if the callers are gone by then, each
//! commit happens as a whole or not at all.

use crate::actors::batch::{self, CommitError, Queue, Reply, Row, UnderWay, Waiting};
use crate::actors::feed::Feed;
use crate::actors::metrics::{EventLabel, LevelLabel, Metrics};
use crate::actors::versions::Versions;
use crate::actors::wakeup::Wakeup;
use crate::domain::workflow::Event;
use crate::storage::{Advance, Opening, Replacement, Storage, Written};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub type CheckpointerRef = ActorRef<Msg>;

pub enum Msg {
    /// The first commit of a workflow joins the next batch; once it is written, the caller is
    /// answered.
    Open(Box<Opening>, Reply<Opening>),
    /// A further commit of a workflow joins the next batch; once it is written, the caller is
    /// answered.
    Advance(Box<Advance>, Reply<Advance>),
    /// The first commit of a workflow and the last one of the workflow that it supersedes join a
    /// batch; once both are written, the caller is answered.
    Replace(Box<Replacement>, Reply<Replacement>),
    /// From the checkpointer to itself: the rows of these commits were locked, and they are
    /// retried.
    OpenAgain(Vec<Waiting<Opening>>),
    AdvanceAgain(Vec<Waiting<Advance>>),
    ReplaceAgain(Vec<Waiting<Replacement>>),
    /// From the checkpointer to itself: a batch is late, so that a second one may be sent.
    Late,
    /// From the checkpointer to itself: a batch has been written, so that the next one may be sent.
    BatchDone(Lane, Vec<Uuid>),
}

/// The kind of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A numbered batch of new commits.
    Fresh(u64),
    /// A batch of commits whose rows were locked.
    Locked,
}

/// The most batches in progress at once. On a small machine more than two gain nothing.
const WRITERS: usize = 2;
/// A second batch is sent when this many commits wait. Fewer gain more from sharing the next batch
/// than from going immediately.
const WORTH_A_SECOND: usize = 32;
/// A second batch is also sent when the first has been in progress for this long, because something
/// delays it.
const LATE: Duration = Duration::from_millis(100);
/// How long a commit is retried while its row is locked.
const LOCK_RETRY_WINDOW: Duration = Duration::from_secs(3);
/// The pause before it is retried.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

pub struct Checkpointer {
    pub storage: Storage,
    pub versions: Arc<Versions>,
    pub feed: Arc<Feed>,
    pub wakeup: Arc<Wakeup>,
    pub metrics: Arc<Metrics>,
}

#[derive(Default)]
pub struct State {
    openings: Queue<Opening>,
    advances: Queue<Advance>,
    /// These are rare, and write two rows each.
    replacements: Queue<Replacement>,
    /// Commits whose rows were locked go in batches of their own, one batch at a time.
    locked_openings: Queue<Opening>,
    locked_advances: Queue<Advance>,
    retries: bool,
    under_way: UnderWay,
    /// The batches in progress, oldest first: their numbers, and when they were sent.
    writing: Vec<(u64, Instant)>,
    batches: u64,
}

impl State {
    /// Whether a batch of new commits may be sent now.
    fn is_worth_it(&self) -> bool {
        match self.writing.first() {
            None => true,
            Some((_, oldest)) if self.writing.len() < WRITERS => {
                self.openings.len().max(self.advances.len()) >= WORTH_A_SECOND || oldest.elapsed() >= LATE
            }
            Some(_) => false,
        }
    }
}

impl Checkpointer {
    pub async fn spawn(self, root: ActorCell) -> Result<CheckpointerRef, SpawnErr> {
        Ok(Actor::spawn_linked(None, self, (), root).await?.0)
    }
}

impl Actor for Checkpointer {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Open(opening, reply) => state.openings.push(Waiting::new(opening, reply)),
            Msg::Advance(advance, reply) => state.advances.push(Waiting::new(advance, reply)),
            Msg::Replace(replacement, reply) => state.replacements.push(Waiting::new(replacement, reply)),
            Msg::ReplaceAgain(rows) => rows.into_iter().for_each(|waiting| state.replacements.push(waiting)),
            Msg::OpenAgain(rows) => rows.into_iter().for_each(|waiting| state.locked_openings.push(waiting)),
            Msg::AdvanceAgain(rows) => rows.into_iter().for_each(|waiting| state.locked_advances.push(waiting)),
            Msg::Late => {}
            Msg::BatchDone(lane, workflows) => {
                for workflow in &workflows {
                    state.under_way.remove(workflow);
                }
                match lane {
                    Lane::Fresh(number) => state.writing.retain(|(other, _)| *other != number),
                    Lane::Locked => state.retries = false,
                }
            }
        }
        self.pump(&myself, state);
        Ok(())
    }
}

impl Checkpointer {
    /// Sends batches while commits wait and another batch may be in progress.
    fn pump(&self, myself: &CheckpointerRef, state: &mut State) {
        while state.is_worth_it() {
            state.batches += 1;
            let lane = Lane::Fresh(state.batches);
            // The longer queue goes first. While its batch is written the other one grows, so that
            // both are served in turn.
            let advances_first = state.advances.len() >= state.openings.len();
            let sent = self.send(myself, lane, state.replacements.take(&mut state.under_way))
                || (advances_first && self.send(myself, lane, state.advances.take(&mut state.under_way)))
                || self.send(myself, lane, state.openings.take(&mut state.under_way))
                || (!advances_first && self.send(myself, lane, state.advances.take(&mut state.under_way)));
            if !sent {
                break;
            }
            state.writing.push((state.batches, Instant::now()));
        }
        if !state.retries {
            state.retries = self.send(myself, Lane::Locked, state.locked_advances.take(&mut state.under_way))
                || self.send(myself, Lane::Locked, state.locked_openings.take(&mut state.under_way));
        }
    }

    /// Sends a batch. Returns `false` if it is empty.
    #[expect(
        clippy::disallowed_methods,
        reason = "a commit happens or does not happen as a whole, even if the actors are replaced meanwhile"
    )]
    fn send<R: Again>(&self, myself: &CheckpointerRef, lane: Lane, batch: Vec<Waiting<R>>) -> bool {
        if batch.is_empty() {
            return false;
        }
        let (storage, versions, metrics) = (self.storage.clone(), Arc::clone(&self.versions), Arc::clone(&self.metrics));
        let feed = Arc::clone(&self.feed);
        let wakeup = Arc::clone(&self.wakeup);
        let done = Done { checkpointer: myself.clone(), lane, workflows: batch.iter().map(Waiting::workflow).collect() };
        let myself = myself.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let answers = {
                let rows: Vec<&R> = batch.iter().map(|waiting| &*waiting.row).collect();
                let is_uncertain = batch.iter().any(|waiting| waiting.is_uncertain);
                let mut writing = batch::write(&storage, &rows, is_uncertain);
                match tokio::time::timeout(LATE, &mut writing).await {
                    Ok(answers) => answers,
                    Err(_) => {
                        let _ = myself.cast(Msg::Late);
                        writing.await
                    }
                }
            };
            // The next batch is written while the commits of this one are answered.
            drop(done);
            metrics.batch_rows.observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            metrics.batch_seconds.observe(began.elapsed().as_secs_f64());
            feed.wake();
            let mut again = Vec::new();
            for (mut waiting, answer) in batch.into_iter().zip(answers) {
                match &answer {
                    Ok(Written::Committed { at }) => {
                        for event in waiting.row.events() {
                            metrics.events.get_or_create(&EventLabel { event: event.name() }).inc();
                        }
                        if let Some((level, since)) = waiting.row.decides() {
                            let seconds = (*at - since).as_seconds_f64().max(0.0);
                            metrics.decision_seconds.get_or_create(&LevelLabel { risk_level: level.as_str() }).observe(seconds);
                        }
                        let (workflow_id, version) = waiting.row.id_and_version();
                        tracing::debug!(workflow.id = %workflow_id, version, events = ?names(&*waiting.row), by = waiting.row.actor(), "committed");
                        versions.publish(workflow_id, version);
                        if waiting.row.has_notices() {
                            wakeup.wake();
                        }
                    }
                    Err(CommitError::Busy { is_uncertain }) if waiting.since.elapsed() < LOCK_RETRY_WINDOW => {
                        waiting.is_uncertain |= *is_uncertain;
                        again.push(waiting);
                        continue;
                    }
                    other => {
                        let (workflow_id, version) = waiting.row.id_and_version();
                        tracing::debug!(workflow.id = %workflow_id, version, events = ?names(&*waiting.row), answer = ?other, "not committed");
                    }
                }
                let Waiting { row, reply, .. } = waiting;
                let _ = reply.send(answer.map(|written| (row, written)));
            }
            if !again.is_empty() {
                tokio::time::sleep(LOCK_PAUSE).await;
                let _ = myself.cast(R::again(again));
            }
        });
        true
    }
}

/// Tells the checkpointer when the task of a batch ends, however it ends.
struct Done {
    checkpointer: CheckpointerRef,
    lane: Lane,
    workflows: Vec<Uuid>,
}

impl Drop for Done {
    fn drop(&mut self) {
        let _ = self.checkpointer.cast(Msg::BatchDone(self.lane, std::mem::take(&mut self.workflows)));
    }
}

/// A kind of commit that is sent back to the checkpointer if its row was locked.
trait Again: Row {
    fn again(rows: Vec<Waiting<Self>>) -> Msg;
}

impl Again for Opening {
    fn again(rows: Vec<Waiting<Self>>) -> Msg {
        Msg::OpenAgain(rows)
    }
}

impl Again for Replacement {
    fn again(rows: Vec<Waiting<Self>>) -> Msg {
        Msg::ReplaceAgain(rows)
    }
}

impl Again for Advance {
    fn again(rows: Vec<Waiting<Self>>) -> Msg {
        Msg::AdvanceAgain(rows)
    }
}

/// The names of a commit's events.
fn names<R: Row>(row: &R) -> Vec<&'static str> {
    row.events().iter().map(Event::name).collect()
}
