//! What runs on this server now, or has just ended, and what it has written: for people who watch a
//! run.
//!
//! It exists only in memory. Readers do not hold up writers: a reader copies the tail, and searches
//! its copy for secrets.

use crate::domain::workflow::AttemptId;
use crate::domain::workflow::live_output::{LiveOutput, Piece, ReadTo};
use crate::execution::output::{Secrets, Tail};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use uuid::Uuid;

/// How many ended attempts are kept, so that whoever watches one sees its end.
const ENDED: usize = 16;

/// The runs on this server.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<Runs>>);

#[derive(Default)]
struct Runs {
    by_workflow: HashMap<Uuid, Arc<Live>>,
    /// The ended ones, the oldest first.
    ended: VecDeque<(Uuid, AttemptId)>,
}

/// The two streams of one attempt.
pub struct Live {
    attempt: AttemptId,
    pub stdout: Stream,
    pub stderr: Stream,
    is_running: AtomicBool,
}

/// One stream.
pub struct Stream(Mutex<Tail>);

/// An attempt on the board. Dropping it marks the attempt as ended.
pub struct Posted {
    board: Board,
    workflow_id: Uuid,
    pub live: Arc<Live>,
}

impl Board {
    /// Posts an attempt, which replaces an earlier one of the same workflow.
    pub fn post(&self, workflow_id: Uuid, attempt: AttemptId, secrets: &Arc<Secrets>) -> Posted {
        let stream = || Stream(Mutex::new(Tail::new(Arc::clone(secrets))));
        let live = Arc::new(Live { attempt, stdout: stream(), stderr: stream(), is_running: AtomicBool::new(true) });
        let mut runs = self.runs();
        runs.by_workflow.insert(workflow_id, Arc::clone(&live));
        runs.ended.retain(|(ended, _)| *ended != workflow_id);
        Posted { board: self.clone(), workflow_id, live }
    }

    /// What an attempt has written beyond what was read; from its beginning if another attempt was
    /// read. `None` if nothing of the workflow runs here or has just ended.
    pub fn read(&self, workflow_id: Uuid, read_to: Option<ReadTo>) -> Option<LiveOutput> {
        let live = Arc::clone(self.runs().by_workflow.get(&workflow_id)?);
        // Read first, so that everything written before the end is read below.
        let is_running = live.is_running.load(Ordering::Acquire);
        let from = read_to.filter(|read_to| read_to.attempt == live.attempt).unwrap_or(ReadTo::beginning(live.attempt));
        let (stdout, read_stdout) = live.stdout.read(from.stdout, is_running);
        let (stderr, read_stderr) = live.stderr.read(from.stderr, is_running);
        let read_to = ReadTo { attempt: live.attempt, stdout: read_stdout, stderr: read_stderr };
        Some(LiveOutput { stdout, stderr, read_to, is_running })
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Posted {
    fn drop(&mut self) {
        self.live.is_running.store(false, Ordering::Release);
        let mut runs = self.board.runs();
        let is_shown = runs.by_workflow.get(&self.workflow_id).is_some_and(|live| Arc::ptr_eq(live, &self.live));
        if is_shown {
            runs.ended.push_back((self.workflow_id, self.live.attempt));
        }
        while runs.ended.len() > ENDED {
            if let Some((oldest, _)) = runs.ended.pop_front() {
                runs.by_workflow.remove(&oldest);
            }
        }
    }
}

impl Stream {
    /// Reads a stream to its end. The future may be dropped at any time; what it has read is kept.
    pub async fn fill(&self, mut stream: impl AsyncRead + Unpin) {
        let mut chunk = [0; 16 * 1024];
        // A stream that cannot be read counts as ended.
        while let Ok(read @ 1..) = stream.read(&mut chunk).await {
            self.tail().push(&chunk[..read]);
        }
    }

    /// The part of the stream that is kept.
    pub fn tail(&self) -> MutexGuard<'_, Tail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, after: u64, goes_on: bool) -> (Piece, u64) {
        let copy = {
            let tail = self.tail();
            // Usually there is nothing new.
            if tail.total() <= after {
                return (Piece::default(), after);
            }
            tail.clone()
        };
        copy.since(after, goes_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::redactions::Redactions;

    fn attempt(number: u32) -> AttemptId {
        AttemptId { step: 1, number }
    }

    #[test]
    fn a_live_reader_gets_only_new_output_of_the_same_attempt() {
        let (board, id, secrets) = (Board::default(), Uuid::now_v7(), Arc::new(Secrets::default()));
        assert_eq!(board.read(id, None), None);
        let posted = board.post(id, attempt(1), &secrets);
        posted.live.stdout.tail().push(b"one\n");
        let first = board.read(id, None).unwrap();
        assert_eq!((first.stdout.text.as_str(), first.is_running), ("one\n", true));
        posted.live.stdout.tail().push(b"two\n");
        posted.live.stderr.tail().push(b"oh\n");
        let second = board.read(id, Some(first.read_to)).unwrap();
        assert_eq!((second.stdout.text.as_str(), second.stderr.text.as_str()), ("two\n", "oh\n"));
        assert_eq!(board.read(id, Some(second.read_to)).unwrap().stdout, Piece::default());
        drop(posted);
        assert!(!board.read(id, Some(second.read_to)).unwrap().is_running, "its end can still be read");
        let again = board.post(id, attempt(2), &secrets);
        again.live.stdout.tail().push(b"again\n");
        assert_eq!(board.read(id, Some(second.read_to)).unwrap().stdout.text, "again\n");
    }

    #[test]
    fn of_what_has_ended_only_a_few_are_kept() {
        let (board, secrets) = (Board::default(), Arc::new(Secrets::new(Redactions::default(), Vec::new())));
        let ids: Vec<_> = (0..ENDED + 5).map(|_| Uuid::now_v7()).collect();
        ids.iter().for_each(|id| drop(board.post(*id, attempt(1), &secrets)));
        let kept = ids.iter().filter(|id| board.read(**id, None).is_some()).count();
        assert_eq!((kept, board.read(ids[0], None)), (ENDED, None));
    }
}
