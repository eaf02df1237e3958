//! Who waits for the next event of a workflow, in this process. A hint: waiters also look for themselves now and then.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// The waiters, by workflow. Nothing is kept for a workflow that nobody waits for.
#[derive(Debug, Default)]
pub struct Versions(Mutex<HashMap<Uuid, watch::Sender<u32>>>);

impl Versions {
    /// Hears of every version of a workflow that is committed from now on.
    pub fn subscribe(&self, workflow_id: Uuid) -> watch::Receiver<u32> {
        self.waiting().entry(workflow_id).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Tells those who wait.
    pub fn publish(&self, workflow_id: Uuid, version: u32) {
        let mut waiting = self.waiting();
        let Some(sender) = waiting.get(&workflow_id) else { return };
        if sender.is_closed() {
            waiting.remove(&workflow_id);
        } else {
            sender.send_replace(version);
        }
    }

    /// Forgets a workflow whose last waiter has gone.
    pub fn forget(&self, workflow_id: Uuid) {
        let mut waiting = self.waiting();
        if waiting.get(&workflow_id).is_some_and(watch::Sender::is_closed) {
            waiting.remove(&workflow_id);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<u32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
