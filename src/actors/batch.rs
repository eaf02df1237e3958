//! Batches of commits: which commits go together, and how a batch is written when something goes
//! wrong.

use crate::domain::risk::level::Level;
use crate::domain::workflow::{Event, RoundOutcome};
use crate::storage::{Advance, Error, Opening, Replacement, Storage, Written};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use ractor::RpcReplyPort;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The most commits in a batch. A larger batch only takes longer.
const LARGEST_BATCH: usize = 256;
/// How long a batch is sent again while the database does not answer.
const COMMIT_RETRY_WINDOW: Duration = Duration::from_secs(3);
/// The pause before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a batch is halved to find the row that waits for a lock. If every row is locked,
/// halving finds nothing.
const HALVING: Duration = Duration::from_secs(1);

/// Why a commit was not written, or why that is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Whether it was written is not known.
    #[error("{0}")]
    Unavailable(String),
    /// Its row is locked. It was not written, unless an earlier attempt was written whose answer
    /// was lost.
    #[error("another transaction has locked its row")]
    Busy { is_uncertain: bool },
    /// The database refused it. It was not written.
    #[error("{0}")]
    Refused(String),
}

/// The answer to a commit. It brings the commit back, so that the caller does not have to keep a
/// copy.
pub type Reply<R> = RpcReplyPort<Result<(Box<R>, Written), CommitError>>;

/// A kind of commit.
pub trait Row: Send + Sync + Sized + 'static {
    fn write<'a>(storage: &'a Storage, rows: &'a [&'a Self]) -> BoxFuture<'a, Result<Vec<Written>, Error>>;
    fn events(&self) -> &[Event];
    /// The workflow, and its version after this commit.
    fn id_and_version(&self) -> (Uuid, u32);
    /// Who causes the events.
    fn actor(&self) -> &str;
    /// Whether notices are written with it.
    fn has_notices(&self) -> bool;
    /// The level, and when people were asked, if a person's decision settles the request in this
    /// commit.
    fn decides(&self) -> Option<(Level, DateTime<Utc>)> {
        None
    }
}

impl Row for Opening {
    fn write<'a>(storage: &'a Storage, rows: &'a [&'a Self]) -> BoxFuture<'a, Result<Vec<Written>, Error>> {
        Box::pin(storage.open(rows))
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn id_and_version(&self) -> (Uuid, u32) {
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

    fn id_and_version(&self) -> (Uuid, u32) {
        (self.workflow.id, self.workflow.version)
    }

    fn actor(&self) -> &str {
        &self.actor
    }

    fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    fn decides(&self) -> Option<(Level, DateTime<Utc>)> {
        let is_decision = |event: &Event| matches!(event, Event::Approved(_) | Event::Rejected { .. } | Event::GlassBroken(_));
        let round = self.workflow.round().filter(|_| self.events.iter().any(is_decision))?;
        let is_settled = matches!(round.outcome, Some(RoundOutcome::Approved | RoundOutcome::Rejected));
        is_settled.then_some((self.workflow.submission.assessment.level, round.opened_at))
    }
}

/// Both workflows are identified by the id of the new one. If the old one is locked, or has ended
/// in another way, that is the answer for both.
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

    fn id_and_version(&self) -> (Uuid, u32) {
        self.opening.id_and_version()
    }

    fn actor(&self) -> &str {
        self.opening.actor()
    }

    fn has_notices(&self) -> bool {
        self.opening.has_notices() || self.ending.has_notices()
    }
}

/// A commit that waits to be written, and the caller that waits for its answer.
pub struct Waiting<R> {
    pub row: Box<R>,
    pub reply: Reply<R>,
    /// When it arrived.
    pub since: Instant,
    /// Whether an earlier attempt got no answer, so that it may have been written.
    pub is_uncertain: bool,
}

impl<R: Row> Waiting<R> {
    pub fn new(row: Box<R>, reply: Reply<R>) -> Self {
        Self { row, reply, since: Instant::now(), is_uncertain: false }
    }

    pub fn workflow(&self) -> Uuid {
        self.row.id_and_version().0
    }
}

/// The workflows with a commit in progress. Each has at most one, so that the commits of a workflow
/// stay in order.
pub type UnderWay = HashSet<Uuid>;

/// Commits of one kind that wait to be written.
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

    /// Takes the next batch. A workflow that has a commit in progress keeps its place in the queue.
    /// Each batch is in the order of the workflows' ids, so that two batches cannot wait for each
    /// other.
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
        batch.sort_unstable_by_key(|waiting| waiting.row.id_and_version());
        batch
    }
}

/// The answer to one commit.
pub type Answer = Result<Written, CommitError>;

/// Writes a batch. If the database refuses it, or if it meets a lock that it cannot skip, the batch
/// is halved until the row that causes this is alone. A batch that gets no answer is sent again,
/// which is harmless.
pub fn write<'a, R: Row>(storage: &'a Storage, rows: &'a [&'a R], is_uncertain: bool) -> BoxFuture<'a, Vec<Answer>> {
    write_part(storage, rows, is_uncertain, Instant::now() + HALVING)
}

fn write_part<'a, R: Row>(storage: &'a Storage, rows: &'a [&'a R], is_uncertain: bool, halve_until: Instant) -> BoxFuture<'a, Vec<Answer>> {
    Box::pin(async move {
        let began = Instant::now();
        let mut is_uncertain = is_uncertain;
        loop {
            match R::write(storage, rows).await {
                Ok(answers) => return resolve(storage, rows, answers, is_uncertain).await,
                Err(Error::Unavailable(reason)) => {
                    is_uncertain = true;
                    if began.elapsed() > COMMIT_RETRY_WINDOW {
                        for (workflow_id, _) in rows.iter().map(|row| row.id_and_version()) {
                            tracing::warn!(workflow.id = %workflow_id, reason, "a commit was abandoned; it is not known whether it was written");
                        }
                        return vec![Err(CommitError::Unavailable(reason)); rows.len()];
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Error::Locked) if rows.len() == 1 || Instant::now() > halve_until => {
                    return vec![Err(CommitError::Busy { is_uncertain }); rows.len()];
                }
                Err(refusal) if rows.len() == 1 => {
                    let (workflow_id, _) = rows[0].id_and_version();
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

/// Turns the database's results into answers. After an attempt that got no answer, a row may be
/// refused because this very commit was written: the log says whether it was.
async fn resolve<R: Row>(storage: &Storage, rows: &[&R], answers: Vec<Written>, is_uncertain: bool) -> Vec<Answer> {
    let mut resolved = Vec::with_capacity(answers.len());
    for (row, answer) in rows.iter().zip(answers) {
        resolved.push(match answer {
            Written::Busy => Err(CommitError::Busy { is_uncertain }),
            Written::Conflict | Written::Duplicate | Written::TooLate if is_uncertain => written_before(storage, *row, answer).await,
            other => Ok(other),
        });
    }
    resolved
}

async fn written_before<R: Row>(storage: &Storage, row: &R, answer: Written) -> Answer {
    let (workflow_id, version) = row.id_and_version();
    let first = (version + 1).saturating_sub(u32::try_from(row.events().len()).unwrap_or_default());
    match storage.written_before(workflow_id, first, row.actor(), row.events()).await {
        Ok(Some(at)) => Ok(Written::Committed { at }),
        Ok(None) => Ok(answer),
        Err(error) => Err(CommitError::Unavailable(error.to_string())),
    }
}
