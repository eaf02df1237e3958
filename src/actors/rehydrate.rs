//! At the start, parked workflows are taken back into memory, the newest first, several with one query. Whoever is asked for meanwhile
//! comes at once.

use crate::actors::engine::Engine;
use crate::actors::messages::Remembered;
use crate::domain::workflow::transition::{self, Obligation};
use crate::domain::workflow::{Recorded, Workflow};
use crate::storage::Error;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// How many logs one query reads.
const PAGE: usize = 256;

impl Engine {
    /// Takes as many parked workflows into memory as may stay there.
    pub async fn rehydrate(&self) {
        match self.remember_newest().await {
            Ok(count) => tracing::info!(workflows = count, "parked workflows are back in memory"),
            Err(error) => tracing::warn!(%error, "parked workflows are not all taken into memory now; each is when it is asked for"),
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
                    Some(Some(workflow)) => parked.push(Remembered { workflow: Arc::new(workflow), read_at }),
                    // Its own actor sees to what it obliges to, or finds that it cannot be read.
                    Some(None) => self.wake(*id),
                    None => {}
                }
            }
            self.remember(parked);
        }
        Ok(ids.len())
    }

    /// The state of a workflow, if nothing has to be done for it but wait.
    fn parked(&self, id: Uuid, log: &[Recorded]) -> Option<Workflow> {
        let workflow = transition::replay(id, log).ok()??;
        let obligations = transition::obligations(&workflow, self.owner);
        let waits = obligations.iter().all(|obligation| matches!(obligation, Obligation::Park { .. }));
        (waits && !obligations.is_empty()).then_some(workflow)
    }
}
