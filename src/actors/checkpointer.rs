//! The checkpointer: the sole writer of workflow state.
//!
//! It gathers every commit that arrives while others are on their way, and writes them together: one statement, one
//! transaction, one flush for all who wait. There is no timer, so a lone commit waits for nobody. Each row has an answer of
//! its own, and one that the database refuses is refused alone.
//!
//! Nobody waits for what somebody else holds up. A row that is locked is passed over and tried again beside the others, for a
//! few seconds; and when a batch is late, a second writer takes what waits behind it.
//!
//! A batch is written by a task that nothing cancels: whoever asked may be gone by then, the commit happens or does not
//! happen as a whole.

use crate::actors::batch::{self, Queue, Row, UnderWay, Waiting};
use crate::actors::bell::Bell;
use crate::actors::feed::Feed;
use crate::actors::metrics::{EventLabel, Metrics};
use crate::actors::versions::Versions;
use crate::storage::{Advance, Opening, Replacement, Storage, Written};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub type CheckpointerRef = ActorRef<Msg>;

/// So many batches may be on their way at once; on a small machine more gain nothing.
const WRITERS: usize = 2;
/// A second batch goes when so many wait: fewer gain more by sharing the next one than by not waiting for it.
const WORTH_A_SECOND: usize = 32;
/// Or when a batch has been on its way for so long that something holds it up.
const LATE: Duration = Duration::from_millis(100);
/// How long a commit is tried again whose row is locked.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);
/// The pause before it is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why a commit has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Whether it was written is not known.
    #[error("{0}")]
    Unavailable(String),
    /// Its row is locked; it was not written, unless an earlier attempt without an answer was.
    #[error("somebody else has locked it")]
    Busy { is_uncertain: bool },
    /// The database refused this row; it was not written.
    #[error("{0}")]
    Refused(String),
}

/// A commit comes back with its answer, so that nobody has to keep a copy of it.
pub type Reply<R> = RpcReplyPort<Result<(Box<R>, Written), CommitError>>;

pub enum Msg {
    Open(Box<Opening>, Reply<Opening>),
    Advance(Box<Advance>, Reply<Advance>),
    Replace(Box<Replacement>, Reply<Replacement>),
    /// These were locked, and are tried again.
    OpenAgain(Vec<Waiting<Opening>>),
    AdvanceAgain(Vec<Waiting<Advance>>),
    ReplaceAgain(Vec<Waiting<Replacement>>),
    /// A batch has been on its way for a while.
    Late,
    BatchDone(Lane, Vec<Uuid>),
}

/// A batch is of what is new, then it has a number, or of what was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Fresh(u64),
    Locked,
}

pub struct Checkpointer {
    pub storage: Storage,
    pub versions: Arc<Versions>,
    pub feed: Arc<Feed>,
    pub bell: Arc<Bell>,
    pub metrics: Arc<Metrics>,
}

#[derive(Default)]
pub struct State {
    openings: Queue<Opening>,
    advances: Queue<Advance>,
    /// Rare, and two rows each.
    replacements: Queue<Replacement>,
    /// What was locked goes in batches of its own, one at a time.
    locked_openings: Queue<Opening>,
    locked_advances: Queue<Advance>,
    retries: bool,
    under_way: UnderWay,
    /// The batches on their way, the oldest first: their numbers, and when they were sent.
    writing: Vec<(u64, Instant)>,
    batches: u64,
}

impl State {
    /// Whether a batch may be sent now.
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
    /// Sends batches on their way, as long as there is something to write and a writer to do it.
    fn pump(&self, myself: &CheckpointerRef, state: &mut State) {
        while state.is_worth_it() {
            state.batches += 1;
            let lane = Lane::Fresh(state.batches);
            // The longer queue first; both are served in turn, because a writer that comes back takes the other.
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

    /// Sends a batch on its way; false where there is nothing in it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a commit happens or does not happen as a whole, also when the crew is replaced meanwhile"
    )]
    fn send<R: Again>(&self, myself: &CheckpointerRef, lane: Lane, batch: Vec<Waiting<R>>) -> bool {
        if batch.is_empty() {
            return false;
        }
        let (storage, versions, metrics) = (self.storage.clone(), Arc::clone(&self.versions), Arc::clone(&self.metrics));
        let feed = Arc::clone(&self.feed);
        let bell = Arc::clone(&self.bell);
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
            // The next batch is written while those of this one are answered.
            drop(done);
            metrics.batch_rows.observe(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            metrics.batch_seconds.observe(began.elapsed().as_secs_f64());
            feed.ring();
            let mut again = Vec::new();
            for (mut waiting, answer) in batch.into_iter().zip(answers) {
                match answer {
                    Ok(Written::Committed { .. }) => {
                        for event in waiting.row.events() {
                            metrics.events.get_or_create(&EventLabel { event: event.name() }).inc();
                        }
                        let (workflow_id, version) = waiting.row.fence();
                        versions.publish(workflow_id, version);
                        if waiting.row.has_notices() {
                            bell.ring();
                        }
                    }
                    Err(CommitError::Busy { is_uncertain }) if waiting.since.elapsed() < LOCK_PATIENCE => {
                        waiting.is_uncertain |= is_uncertain;
                        again.push(waiting);
                        continue;
                    }
                    _ => {}
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

/// Frees a writer and the workflows of its batch when its task ends, however it ends.
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

/// A kind of commit that comes back to the checkpointer when its rows were locked.
trait Again: Row {
    fn again(rows: Vec<Waiting<Self>>) -> Msg;
}

impl Again for Opening {
    fn again(rows: Vec<Waiting<Self>>) -> Msg {
        Msg::OpenAgain(rows)
    }
}

impl Again for Advance {
    fn again(rows: Vec<Waiting<Self>>) -> Msg {
        Msg::AdvanceAgain(rows)
    }
}

impl Again for Replacement {
    fn again(rows: Vec<Waiting<Self>>) -> Msg {
        Msg::ReplaceAgain(rows)
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
                state.under_way.retain(|workflow| !workflows.contains(workflow));
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
