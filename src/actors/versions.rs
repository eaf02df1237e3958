//! Wakes callers in this process that wait for the next event of a workflow. A lost wakeup costs
//! only time: waiters also check on their own.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// The waiters, by workflow. Nothing is kept for a workflow that nobody waits for.
#[derive(Debug, Default)]
pub struct Versions(Mutex<HashMap<Uuid, watch::Sender<u32>>>);

impl Versions {
    /// Receives every version of a workflow that is committed from now on.
    pub fn subscribe(&self, workflow_id: Uuid) -> Subscription<'_> {
        let versions = self.waiting().entry(workflow_id).or_insert_with(|| watch::channel(0).0).subscribe();
        Subscription { all: self, workflow_id, versions: Some(versions) }
    }

    /// Sends the committed version to those who wait for a workflow.
    pub fn publish(&self, workflow_id: Uuid, version: u32) {
        let mut waiting = self.waiting();
        let Some(sender) = waiting.get(&workflow_id) else { return };
        if sender.is_closed() {
            waiting.remove(&workflow_id);
        } else {
            sender.send_replace(version);
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Makes every waiter check again.
    pub fn stir(&self) {
        for sender in self.waiting().values() {
            sender.send_modify(|_| {});
        }
    }

    /// Forgets a workflow whose last waiter has gone.
    fn forget(&self, workflow_id: Uuid) {
        let mut waiting = self.waiting();
        if waiting.get(&workflow_id).is_some_and(watch::Sender::is_closed) {
            waiting.remove(&workflow_id);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, watch::Sender<u32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One waiter. It is forgotten when it is dropped, for example because its client has hung up.
#[derive(Debug)]
pub struct Subscription<'a> {
    all: &'a Versions,
    workflow_id: Uuid,
    versions: Option<watch::Receiver<u32>>,
}

impl Subscription<'_> {
    /// Marks everything up to now as seen.
    pub fn look(&mut self) {
        if let Some(versions) = &mut self.versions {
            versions.borrow_and_update();
        }
    }

    /// Waits for a version that was not seen at the last look.
    pub async fn changed(&mut self) {
        if let Some(versions) = &mut self.versions {
            let _ = versions.changed().await;
        }
    }
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        self.versions = None;
        self.all.forget(self.workflow_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_kept_of_a_waiter_that_has_gone() {
        let (versions, id) = (Versions::default(), Uuid::new_v4());
        let (mut one, two) = (versions.subscribe(id), versions.subscribe(id));
        one.look();
        versions.publish(id, 3);
        one.changed().await;
        drop(one);
        assert_eq!(versions.waiting().len(), 1, "another still waits");
        drop(two);
        assert_eq!(versions.waiting().len(), 0);
    }
}
