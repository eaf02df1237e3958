//! Rehydration: when the server starts, it loads parked workflows into memory, newest first, many
//! with one query. A workflow that is requested meanwhile is read at once.

use crate::actors::engine::Engine;
use crate::actors::messages::Remembered;
use crate::actors::parked_state::ParkedState;
use crate::domain::workflow::transition::{self, Obligation};
use crate::domain::workflow::{Recorded, Workflow};
use crate::storage::Error;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// How many logs one query reads.
const PAGE: usize = 256;

impl Engine {
    /// Loads parked workflows into memory, as many as may stay there.
    pub async fn rehydrate(&self) {
        // Probes that did not run before the last server ended run now.
        match self.storage.of_unknown_outcome().await {
            Ok(ids) => ids.into_iter().for_each(|id| self.wake(id)),
            Err(error) => tracing::warn!(%error, "cannot find the unknown outcomes; each workflow is read when somebody asks for it"),
        }
        match self.remember_newest().await {
            Ok(count) => tracing::info!(workflows = count, "parked workflows are back in memory"),
            Err(error) => {
                tracing::warn!(%error, "not all parked workflows could be loaded into memory; the others are read when somebody asks for them")
            }
        }
    }

    async fn remember_newest(&self) -> Result<usize, Error> {
        let limit = i64::try_from(self.max_resident).unwrap_or(i64::MAX);
        let ids = self.storage.newest_pending(limit).await?;
        for page in ids.chunks(PAGE) {
            let read_at = Instant::now();
            let logs = self.storage.proven_logs(page).await?;
            let mut parked = Vec::with_capacity(page.len());
            for id in page {
                match logs.get(id).map(|log| log.as_deref().ok().and_then(|log| self.parked(*id, log))) {
                    Some(Some(workflow)) => {
                        tracing::debug!(workflow.id = %id, "a parked workflow is back in memory");
                        let state = ParkedState::of(Arc::new(workflow), &self.kinds);
                        parked.push((*id, Remembered { state, read_at }));
                    }
                    // The workflow's own actor fulfills its obligations, or finds that the log
                    // cannot be read.
                    Some(None) => {
                        tracing::debug!(workflow.id = %id, "a workflow is woken after the start, because it has something to do");
                        self.wake(*id);
                    }
                    None => {}
                }
            }
            self.remember(parked);
        }
        Ok(ids.len())
    }

    /// The state of a workflow, if nothing has to be done for it except to wait.
    fn parked(&self, id: Uuid, log: &[Recorded]) -> Option<Workflow> {
        let workflow = transition::replay(id, log).ok()??;
        let obligations = transition::obligations(&workflow, self.owner);
        let waits = obligations.iter().all(|obligation| matches!(obligation, Obligation::Park { .. }));
        (waits && !obligations.is_empty()).then_some(workflow)
    }
}
