//! The checkpointer: the sole writer of workflow state.
//!
//! It gathers every commit that arrives while others are on their way, and writes them together: one statement, one
//! transaction, one flush for all who wait. There is no timer, so a lone commit waits for nobody. Each row has an answer of
//! its own, and one that the database refuses is refused alone.
//!
//! A batch is written by a task that nothing cancels: whoever asked may be gone by then, the commit happens or does not
//! happen as a whole.

use crate::actors::bell::Bell;
use crate::actors::feed::{Commit, Feed};
use crate::actors::metrics::{EventLabel, Metrics};
use crate::actors::versions::Versions;
use crate::domain::workflow::Event;
use crate::storage::{Advance, Error, Opening, Storage, Written};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub type CheckpointerRef = ActorRef<Msg>;

/// So many batches may be on their way at once; more than the cores of a small machine pays nothing.
const WRITERS: usize = 2;
/// A second batch goes only when so many wait: fewer gain more by sharing the next one than by not waiting for it.
const WORTH_A_SECOND: usize = 32;
/// The largest batch; beyond it only the wait grows.
const LARGEST_BATCH: usize = 256;
/// How long a batch is tried again while the database does not answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a commit has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Whether it was written is not known.
    #[error("{0}")]
    Unavailable(String),
    /// The database refused this row; it was not written.
    #[error("{0}")]
    Refused(String),
}

/// A commit comes back with its answer, so that nobody has to keep a copy of it.
pub type Reply<R> = RpcReplyPort<Result<(Box<R>, Written), CommitError>>;

pub enum Msg {
    Open(Box<Opening>, Reply<Opening>),
    Advance(Box<Advance>, Reply<Advance>),
    /// A batch has been answered.
    BatchDone,
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
    openings: VecDeque<(Box<Opening>, Reply<Opening>)>,
    advances: VecDeque<(Box<Advance>, Reply<Advance>)>,
    writing: usize,
}

impl Checkpointer {
    /// Sends batches on their way, as long as there is something to write and a writer to do it.
    fn pump(&self, myself: &CheckpointerRef, state: &mut State) {
        while state.writing == 0 || state.writing < WRITERS && state.openings.len().max(state.advances.len()) >= WORTH_A_SECOND {
            // The longer queue first; both are served in turn, because a writer that comes back takes the other.
            if state.advances.len() >= state.openings.len() && !state.advances.is_empty() {
                self.send(myself, take(&mut state.advances));
            } else if !state.openings.is_empty() {
                self.send(myself, take(&mut state.openings));
            } else {
                break;
            }
            state.writing += 1;
        }
    }

    fn send<R: Row>(&self, myself: &CheckpointerRef, mut batch: Vec<(Box<R>, Reply<R>)>) {
        // One order for all, so that two batches cannot wait for each other.
        batch.sort_unstable_by_key(|(row, _)| row.fence());
        let (storage, versions, metrics) = (self.storage.clone(), Arc::clone(&self.versions), Arc::clone(&self.metrics));
        let feed = Arc::clone(&self.feed);
        let bell = Arc::clone(&self.bell);
        let done = Done(myself.clone());
        tokio::spawn(async move {
            let (rows, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let began = Instant::now();
            let answers = write(&storage, &rows).await;
            // The next batch is written while those of this one are answered.
            drop(done);
            metrics.batch_rows.observe(f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX)));
            metrics.batch_seconds.observe(began.elapsed().as_secs_f64());
            // Before anybody is answered, so that of two commits of a workflow the first is told first.
            feed.tell(&committed(&rows, &answers));
            for ((row, reply), answer) in rows.into_iter().zip(replies).zip(answers) {
                if let Ok(Written::Committed { .. }) = answer {
                    for event in row.events() {
                        metrics.events.get_or_create(&EventLabel { event: event.name() }).inc();
                    }
                    let (workflow_id, version) = row.fence();
                    versions.publish(workflow_id, version);
                    if row.has_notices() {
                        bell.ring();
                    }
                }
                let _ = reply.send(answer.map(|written| (row, written)));
            }
        });
    }
}

/// Frees a writer when its task ends, however it ends.
struct Done(CheckpointerRef);

impl Drop for Done {
    fn drop(&mut self) {
        let _ = self.0.cast(Msg::BatchDone);
    }
}

/// What of a batch is durable.
fn committed<'a, R: Row>(rows: &'a [Box<R>], answers: &[Result<Written, CommitError>]) -> Vec<Commit<'a>> {
    let commits = rows.iter().zip(answers).filter_map(|(row, answer)| match answer {
        Ok(Written::Committed { at }) => Some(row.commit(*at)),
        _ => None,
    });
    commits.collect()
}

fn take<R>(queue: &mut VecDeque<R>) -> Vec<R> {
    let count = queue.len().min(LARGEST_BATCH);
    queue.drain(..count).collect()
}

/// One kind of commit.
trait Row: Send + Sync + Sized + 'static {
    fn write<'a>(storage: &'a Storage, rows: &'a [Box<Self>]) -> BoxFuture<'a, Result<Vec<Written>, Error>>;
    fn events(&self) -> &[Event];
    fn fence(&self) -> (Uuid, u32);
    fn commit(&self, at: DateTime<Utc>) -> Commit<'_>;
    /// Whether something is to be said of it.
    fn has_notices(&self) -> bool;
}

impl Row for Opening {
    fn write<'a>(storage: &'a Storage, rows: &'a [Box<Self>]) -> BoxFuture<'a, Result<Vec<Written>, Error>> {
        Box::pin(storage.open(rows))
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn fence(&self) -> (Uuid, u32) {
        (self.workflow.id, self.workflow.version)
    }

    fn commit(&self, at: DateTime<Utc>) -> Commit<'_> {
        Commit { at, workflow: &self.workflow, actor: &self.workflow.submission.requested_by, events: &self.events }
    }

    fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }
}

impl Row for Advance {
    fn write<'a>(storage: &'a Storage, rows: &'a [Box<Self>]) -> BoxFuture<'a, Result<Vec<Written>, Error>> {
        Box::pin(storage.advance(rows))
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn fence(&self) -> (Uuid, u32) {
        (self.workflow.id, self.workflow.version)
    }

    fn commit(&self, at: DateTime<Utc>) -> Commit<'_> {
        Commit { at, workflow: &self.workflow, actor: &self.actor, events: &self.events }
    }

    fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }
}

/// Writes a batch; one that the database refuses is halved until the row that it refuses stands alone.
///
/// A batch that was sent without an answer is sent again. If it had been written, its rows come back as conflicts, and
/// those who asked read what is there: sending twice is harmless.
fn write<'a, R: Row>(storage: &'a Storage, rows: &'a [Box<R>]) -> BoxFuture<'a, Vec<Result<Written, CommitError>>> {
    Box::pin(async move {
        let began = Instant::now();
        loop {
            match R::write(storage, rows).await {
                Ok(answers) => return answers.into_iter().map(Ok).collect(),
                Err(Error::Unavailable(reason)) => {
                    if began.elapsed() > PATIENCE {
                        tracing::warn!(rows = rows.len(), reason, "a batch was given up, whether it was written is not known");
                        return vec![Err(CommitError::Unavailable(reason)); rows.len()];
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(refusal) if rows.len() == 1 => {
                    let (workflow_id, _) = rows[0].fence();
                    tracing::error!(workflow.id = %workflow_id, reason = %refusal, "the database refused a commit");
                    return vec![Err(CommitError::Refused(refusal.to_string()))];
                }
                Err(_) => {
                    let (left, right) = rows.split_at(rows.len() / 2);
                    let mut answers = write(storage, left).await;
                    answers.extend(write(storage, right).await);
                    return answers;
                }
            }
        }
    })
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
            Msg::Open(opening, reply) => state.openings.push_back((opening, reply)),
            Msg::Advance(advance, reply) => state.advances.push_back((advance, reply)),
            Msg::BatchDone => state.writing = state.writing.saturating_sub(1),
        }
        self.pump(&myself, state);
        Ok(())
    }
}
