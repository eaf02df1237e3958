//! Batches of commits: which ones go together, and how a batch is written when something goes wrong.

use crate::actors::checkpointer::{CommitError, Reply};
use crate::domain::workflow::Event;
use crate::storage::{Advance, Error, Opening, Replacement, Storage, Written};
use futures_util::future::BoxFuture;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The largest batch; beyond it only the wait grows.
const LARGEST_BATCH: usize = 256;
/// How long a batch is tried again while the database does not answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a batch is halved to find the row that meets a lock. Where everything is locked, halving finds nothing.
const HALVING: Duration = Duration::from_secs(1);

/// One kind of commit.
pub trait Row: Send + Sync + Sized + 'static {
    fn write<'a>(storage: &'a Storage, rows: &'a [&'a Self]) -> BoxFuture<'a, Result<Vec<Written>, Error>>;
    fn events(&self) -> &[Event];
    /// The workflow, and the version that this commit takes it to.
    fn fence(&self) -> (Uuid, u32);
    /// Who causes the events.
    fn actor(&self) -> &str;
    /// Whether something is to be said of it.
    fn has_notices(&self) -> bool;
}

impl Row for Opening {
    fn write<'a>(storage: &'a Storage, rows: &'a [&'a Self]) -> BoxFuture<'a, Result<Vec<Written>, Error>> {
        Box::pin(storage.open(rows))
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn fence(&self) -> (Uuid, u32) {
        (self.workflow.id, self.workflow.version)
    }

    fn actor(&self) -> &str {
        &self.workflow.submission.requested_by
    }

    fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }
}

impl Row for Advance {
    fn write<'a>(storage: &'a Storage, rows: &'a [&'a Self]) -> BoxFuture<'a, Result<Vec<Written>, Error>> {
        Box::pin(storage.advance(rows))
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn fence(&self) -> (Uuid, u32) {
        (self.workflow.id, self.workflow.version)
    }

    fn actor(&self) -> &str {
        &self.actor
    }

    fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }
}

/// Both are named by the new workflow. What the old one is locked by, or has come to, is the answer of both.
impl Row for Replacement {
    fn write<'a>(storage: &'a Storage, rows: &'a [&'a Self]) -> BoxFuture<'a, Result<Vec<Written>, Error>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(rows.len());
            for row in rows {
                answers.push(storage.replace(row).await?);
            }
            Ok(answers)
        })
    }

    fn events(&self) -> &[Event] {
        &self.opening.events
    }

    fn fence(&self) -> (Uuid, u32) {
        self.opening.fence()
    }

    fn actor(&self) -> &str {
        self.opening.actor()
    }

    fn has_notices(&self) -> bool {
        self.opening.has_notices() || self.ending.has_notices()
    }
}

/// A commit that waits for its turn, and whoever waits for its answer.
pub struct Waiting<R> {
    pub row: Box<R>,
    pub reply: Reply<R>,
    /// Since when.
    pub since: Instant,
    /// Whether an earlier attempt had no answer, so that it may have been written.
    pub is_uncertain: bool,
}

impl<R: Row> Waiting<R> {
    pub fn new(row: Box<R>, reply: Reply<R>) -> Self {
        Self { row, reply, since: Instant::now(), is_uncertain: false }
    }

    pub fn workflow(&self) -> Uuid {
        self.row.fence().0
    }
}

/// The workflows that have a commit on its way. No workflow has two, so that its commits stay in their order.
pub type UnderWay = HashSet<Uuid>;

/// Commits of one kind that wait for their turn.
pub struct Queue<R>(VecDeque<Waiting<R>>);

impl<R> Default for Queue<R> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<R: Row> Queue<R> {
    pub fn push(&mut self, waiting: Waiting<R>) {
        self.0.push_back(waiting);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the next batch; who has a commit on its way waits on, in its place. In the order of the workflows, the same for
    /// all batches, so that two of them cannot wait for each other.
    pub fn take(&mut self, under_way: &mut UnderWay) -> Vec<Waiting<R>> {
        let (mut batch, mut held_back) = (Vec::new(), Vec::new());
        while batch.len() < LARGEST_BATCH {
            let Some(waiting) = self.0.pop_front() else { break };
            if under_way.insert(waiting.workflow()) {
                batch.push(waiting);
            } else {
                held_back.push(waiting);
            }
        }
        for waiting in held_back.into_iter().rev() {
            self.0.push_front(waiting);
        }
        batch.sort_unstable_by_key(|waiting| waiting.row.fence());
        batch
    }
}

/// What became of one commit.
pub type Answer = Result<Written, CommitError>;

/// Writes a batch. One that the database refuses, or that meets a lock which it cannot pass over, is halved until the row
/// that is the reason stands alone. One without an answer is sent again: sending twice is harmless.
pub fn write<'a, R: Row>(storage: &'a Storage, rows: &'a [&'a R], is_uncertain: bool) -> BoxFuture<'a, Vec<Answer>> {
    write_part(storage, rows, is_uncertain, Instant::now() + HALVING)
}

fn write_part<'a, R: Row>(storage: &'a Storage, rows: &'a [&'a R], is_uncertain: bool, halve_until: Instant) -> BoxFuture<'a, Vec<Answer>> {
    Box::pin(async move {
        let began = Instant::now();
        let mut is_uncertain = is_uncertain;
        loop {
            match R::write(storage, rows).await {
                Ok(answers) => return settle(storage, rows, answers, is_uncertain).await,
                Err(Error::Unavailable(reason)) => {
                    is_uncertain = true;
                    if began.elapsed() > PATIENCE {
                        tracing::warn!(rows = rows.len(), reason, "a batch was given up, whether it was written is not known");
                        return vec![Err(CommitError::Unavailable(reason)); rows.len()];
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Error::Locked) if rows.len() == 1 || Instant::now() > halve_until => {
                    return vec![Err(CommitError::Busy { is_uncertain }); rows.len()];
                }
                Err(refusal) if rows.len() == 1 => {
                    let (workflow_id, _) = rows[0].fence();
                    tracing::error!(workflow.id = %workflow_id, reason = %refusal, "the database refused a commit");
                    return vec![Err(CommitError::Refused(refusal.to_string()))];
                }
                Err(_) => {
                    let (left, right) = rows.split_at(rows.len() / 2);
                    let mut answers = write_part(storage, left, is_uncertain, halve_until).await;
                    answers.extend(write_part(storage, right, is_uncertain, halve_until).await);
                    return answers;
                }
            }
        }
    })
}

/// The answers to a batch. After an attempt without an answer, a row that is refused because it is there already may be this very
/// commit: the log says whether it is.
async fn settle<R: Row>(storage: &Storage, rows: &[&R], answers: Vec<Written>, is_uncertain: bool) -> Vec<Answer> {
    let mut settled = Vec::with_capacity(answers.len());
    for (row, answer) in rows.iter().zip(answers) {
        settled.push(match answer {
            Written::Busy => Err(CommitError::Busy { is_uncertain }),
            Written::Conflict | Written::Duplicate | Written::TooLate if is_uncertain => written_before(storage, *row, answer).await,
            other => Ok(other),
        });
    }
    settled
}

async fn written_before<R: Row>(storage: &Storage, row: &R, answer: Written) -> Answer {
    let (workflow_id, version) = row.fence();
    let first = (version + 1).saturating_sub(u32::try_from(row.events().len()).unwrap_or_default());
    match storage.written_before(workflow_id, first, row.actor(), row.events()).await {
        Ok(Some(at)) => Ok(Written::Committed { at }),
        Ok(None) => Ok(answer),
        Err(error) => Err(CommitError::Unavailable(error.to_string())),
    }
}
