//! The log reader: reads the logs of workflows together, as the checkpointer writes commits
//! together.
//!
//! Requests that arrive while queries are in progress are collected, and the next query reads the
//! logs for all of them. There is no timer, so a lone request waits for nothing. A log is always
//! read after it was requested. A delayed query delays only its own callers. Queries run in tasks
//! of their own, so that a caller that stops waiting disturbs no other.

use crate::actors::metrics::Metrics;
use crate::domain::workflow::Recorded;
use crate::storage::{Error, Logs, Storage};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The most queries in progress at once.
const READERS: usize = 2;
/// A query that has been in progress for this long is delayed by something. It no longer counts,
/// and another one may be sent.
const LATE: Duration = Duration::from_millis(100);
/// The most logs that one query reads.
const LARGEST_BATCH: usize = 256;

/// One log; empty if there is no such workflow.
type Read = Result<Arc<Vec<Recorded>>, Error>;

pub struct LogReader {
    storage: Storage,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Uuid, oneshot::Sender<Read>)>,
    /// How many queries are in progress and not late.
    reading: usize,
}

impl LogReader {
    pub fn new(storage: Storage, metrics: Arc<Metrics>) -> Self {
        Self { storage, metrics, state: Mutex::default() }
    }

    /// Reads a workflow's log, and verifies that parkbrake wrote it. The log is empty if there is
    /// no such workflow.
    ///
    /// # Errors
    /// The database does not answer, or the log cannot be trusted or read.
    pub async fn read(self: &Arc<Self>, workflow_id: Uuid) -> Read {
        let (reply, answer) = oneshot::channel();
        self.state().waiting.push((workflow_id, reply));
        self.start();
        answer.await.unwrap_or_else(|_| Err(Error::Unavailable("reading the log was given up".to_owned())))
    }

    /// Starts a query for waiting callers, if another one may be in progress.
    #[expect(clippy::disallowed_methods, reason = "a query ends within its time limit, and callers get an error when it fails")]
    fn start(self: &Arc<Self>) {
        let mut state = self.state();
        if !state.waiting.is_empty() && state.reading < READERS {
            state.reading += 1;
            drop(state);
            tokio::spawn(Reading { reader: Arc::clone(self), is_late: false }.read_all());
        }
    }

    /// Reads these logs with one query. If the database refuses to read them together, each is read
    /// separately, so that an unreadable log affects no other.
    async fn logs(&self, ids: &[Uuid]) -> Result<Logs, Error> {
        self.metrics.log_batch_logs.observe(f64::from(u32::try_from(ids.len()).unwrap_or(u32::MAX)));
        match self.storage.proven_logs(ids).await {
            Err(Error::Refused(_)) if ids.len() > 1 => {
                let mut logs = Logs::with_capacity(ids.len());
                for id in ids {
                    match self.storage.proven_logs(std::slice::from_ref(id)).await {
                        Ok(one) => logs.extend(one),
                        Err(error) => drop(logs.insert(*id, Err(error))),
                    }
                }
                Ok(logs)
            }
            other => other,
        }
    }

    /// A query has been answered or is late: starts the next one if somebody waits for it.
    fn one_less(self: &Arc<Self>) {
        self.state().reading -= 1;
        self.start();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query in progress. When it ends, however it ends, another one may be sent.
struct Reading {
    reader: Arc<LogReader>,
    is_late: bool,
}

impl Reading {
    async fn read_all(mut self) {
        while !self.is_late {
            let batch = self.take();
            if batch.is_empty() {
                return;
            }
            let mut ids: Vec<Uuid> = batch.iter().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            ids.dedup();
            let logs = self.read(&ids).await;
            let logs: Result<HashMap<Uuid, Read>, Error> =
                logs.map(|logs| logs.into_iter().map(|(id, log)| (id, log.map(Arc::new))).collect());
            for (id, reply) in batch {
                let _ = reply.send(match &logs {
                    Ok(logs) => logs.get(&id).cloned().unwrap_or_else(|| Ok(Arc::default())),
                    Err(error) => Err(error.clone()),
                });
            }
        }
    }

    /// Reads these logs. If that takes too long, another query may be sent for those who wait.
    async fn read(&mut self, ids: &[Uuid]) -> Result<Logs, Error> {
        let reader = Arc::clone(&self.reader);
        let mut logs = Box::pin(reader.logs(ids));
        match tokio::time::timeout(LATE, &mut logs).await {
            Ok(logs) => logs,
            Err(_) => {
                self.is_late = true;
                reader.one_less();
                logs.await
            }
        }
    }

    /// The next batch, without the callers that stopped waiting.
    fn take(&self) -> Vec<(Uuid, oneshot::Sender<Read>)> {
        let mut state = self.reader.state();
        state.waiting.retain(|(_, reply)| !reply.is_closed());
        let count = state.waiting.len().min(LARGEST_BATCH);
        state.waiting.drain(..count).collect()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.is_late {
            self.reader.one_less();
        }
    }
}
