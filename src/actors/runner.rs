//! The actions that this process is running.
//!
//! An action outlives the actor that released it: the actor may leave memory, fail, or be restarted while a runbook runs.
//! So the runs are kept here, and this is where "once" is made sure of within a process: an attempt is started when it is
//! first asked for and never again. Between processes the event `execution_started` is the fence.

use crate::actors::engine::Engine;
use crate::actors::metrics::Metrics;
use crate::actors::ports::{Executor, Job};
use crate::domain::digest::Digest;
use crate::domain::task::Task;
use crate::domain::workflow::Outcome;
use crate::storage::Storage;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// The pauses between attempts to have an outcome recorded.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many actions run at once on this machine; further ones wait for their turn.
const MOST_AT_ONCE: usize = 64;

pub struct Runner {
    executor: Arc<dyn Executor>,
    turns: Semaphore,
    storage: Storage,
    metrics: Arc<Metrics>,
    /// Attempts that were started and whose outcome has not been recorded.
    running: Mutex<HashSet<(Uuid, u32)>>,
}

impl Runner {
    pub fn new(executor: Arc<dyn Executor>, storage: Storage, metrics: Arc<Metrics>) -> Self {
        Self { executor, turns: Semaphore::new(MOST_AT_ONCE), storage, metrics, running: Mutex::default() }
    }

    /// Starts an attempt, unless it has been started. The event that releases it is committed.
    pub fn ensure(self: &Arc<Self>, engine: Weak<Engine>, workflow_id: Uuid, attempt: u32, digest: Digest) {
        if !self.running().insert((workflow_id, attempt)) {
            return;
        }
        let runner = Arc::clone(self);
        tokio::spawn(async move {
            // The semaphore is never closed, so there always comes a turn.
            let turn = runner.turns.acquire().await;
            runner.metrics.running.inc();
            let outcome = runner.run(workflow_id, attempt, digest).await;
            runner.metrics.running.dec();
            drop(turn);
            record(&engine, workflow_id, attempt, outcome).await;
            runner.running().remove(&(workflow_id, attempt));
        });
    }

    async fn run(&self, workflow_id: Uuid, attempt: u32, digest: Digest) -> Outcome {
        match self.approved(workflow_id, &digest).await {
            Ok(job) => {
                if attempt > 1 {
                    self.executor.end_stragglers(workflow_id).await;
                }
                tracing::info!(workflow.id = %workflow_id, attempt, "the action starts");
                // In a task of its own, so that a panic in an executor is an outcome like any other.
                let run = tokio::spawn(self.executor.run(Job { attempt, ..job }));
                run.await.unwrap_or_else(|_| Outcome::Unknown { reason: "the executor itself failed; look at the server's log".to_owned() })
            }
            Err(reason) => {
                tracing::error!(workflow.id = %workflow_id, attempt, reason, "the action was not started");
                failed(format!("not started: {reason}"))
            }
        }
    }

    /// Reads what was approved from storage and makes sure that it is that, to the byte, just before it runs.
    async fn approved(&self, workflow_id: Uuid, digest: &Digest) -> Result<Job, String> {
        let mut pause = FIRST_PAUSE;
        let document = loop {
            match self.storage.document(workflow_id).await {
                Ok(document) => break document.ok_or("its document is missing")?,
                Err(error) => {
                    tracing::warn!(workflow.id = %workflow_id, %error, "cannot read what is to run, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        let found = Digest::of(&document);
        if found != *digest {
            return Err(format!("its document has been changed since it was approved: approved was {digest}, found was {found}"));
        }
        let task: Task = serde_json::from_slice(&document).map_err(|error| format!("its document cannot be read: {error}"))?;
        let invocation = task.action.runs.ok_or("its document names no command")?;
        Ok(Job { workflow_id, attempt: 1, digest: found, invocation })
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<(Uuid, u32)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many attempts have not had their outcome recorded.
    pub fn count(&self) -> usize {
        self.running().len()
    }
}

/// Has an outcome recorded, however long the database is away. If the process ends first, the next one finds the attempt
/// begun and not ended, and says so.
async fn record(engine: &Weak<Engine>, workflow_id: Uuid, attempt: u32, outcome: Outcome) {
    let mut pause = FIRST_PAUSE;
    while let Some(engine) = engine.upgrade() {
        match engine.finished(workflow_id, attempt, outcome.clone()).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(workflow.id = %workflow_id, attempt, %error, "an outcome is not recorded yet, trying again"),
        }
        drop(engine);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn failed(error: String) -> Outcome {
    Outcome::Failed { error, output: None }
}
