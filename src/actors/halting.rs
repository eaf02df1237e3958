//! Halting, lifting a halt, and drills: completed whether or not the caller stays.

use crate::actors::completion::{complete, repeat_until_answered};
use crate::actors::engine::Engine;
use crate::domain::hold::Halt;
use crate::storage::{Error, Halted, Lift, Lifted, NewHalt};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// An unfinished drill ends after this time, because its server may have died.
pub const LONGEST_DRILL: Duration = Duration::from_secs(10);
/// How long the servers have to confirm a halt.
const DRILL_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two checks for confirmations.
const PAUSE: Duration = Duration::from_millis(25);

/// The measurements of a drill. Times are in milliseconds from the request to halt.
#[derive(Debug, Clone, Serialize)]
pub struct Drill {
    /// When every server had confirmed, or was no longer waited for.
    pub took_ms: u64,
    pub servers: Vec<DrilledServer>,
    #[serde(skip)]
    pub ended_at: DateTime<Utc>,
}

/// One server that was active during a drill.
#[derive(Debug, Clone, Serialize)]
pub struct DrilledServer {
    pub server_id: Uuid,
    pub address: String,
    /// `None` if it did not confirm in time.
    pub took_ms: Option<u64>,
}

impl Engine {
    /// Halts, and returns the halts in force afterwards. `held` is held until that is done.
    ///
    /// # Errors
    /// The database is unavailable. The change may still have been made; asking again is safe.
    pub async fn halt_for(self: &Arc<Self>, new: NewHalt, held: impl Send + 'static) -> Result<(Halted, Vec<Halt>), Error> {
        let engine = Arc::clone(self);
        complete(async move {
            let halted = repeat_until_answered(|| engine.storage.halt(&new)).await?;
            let halts = engine.look_at_halts().await?;
            drop(held);
            Ok((halted, halts))
        })
        .await
    }

    /// Lifts a halt, and returns the halts in force afterwards. `held` is held until that is done.
    ///
    /// # Errors
    /// As [`Self::halt_for`].
    pub async fn lift_for(self: &Arc<Self>, lift: Lift, held: impl Send + 'static) -> Result<(Lifted, Vec<Halt>), Error> {
        let engine = Arc::clone(self);
        complete(async move {
            let lifted = repeat_until_answered(|| engine.storage.lift(&lift)).await?;
            let halts = engine.look_at_halts().await?;
            drop(held);
            Ok((lifted, halts))
        })
        .await
    }

    /// Runs a drill: halts, waits until every active server has confirmed it, and lifts the halt at
    /// once. If another halt prevents the drill, the answer names it. `held` is held until that is
    /// done.
    ///
    /// # Errors
    /// As [`Self::halt_for`]; a drill that has begun ends on its own.
    pub async fn drill_for(self: &Arc<Self>, new: NewHalt, held: impl Send + 'static) -> Result<(Result<Drill, Halted>, Vec<Halt>), Error> {
        let engine = Arc::clone(self);
        complete(async move {
            let began = Instant::now();
            let halt = match repeat_until_answered(|| engine.storage.halt(&new)).await? {
                Halted::Now(halt) => halt,
                other => return Ok((Err(other), engine.look_at_halts().await?)),
            };
            // A drill that fails midway is lifted as well; if that fails too, it ends on its own.
            let measured = engine.measure(began).await;
            let (took_ms, servers) = measured.clone().unwrap_or_default();
            let mut drill = Drill { took_ms, servers, ended_at: halt.since };
            let figures = serde_json::to_string(&drill).unwrap_or_default();
            let (environment, by, reason) = (new.environment.clone(), new.by.clone(), Some(new.reason.clone()));
            let lift = Lift { environment, drill: Some((halt.id, figures)), by, via: new.via, reason };
            let lifted = repeat_until_answered(|| engine.storage.lift(&lift)).await?;
            if let Lifted::Now(at) = lifted {
                drill.ended_at = at;
            }
            let halts = engine.look_at_halts().await?;
            drop(held);
            measured?;
            Ok((Ok(drill), halts))
        })
        .await
    }

    /// Waits until every active server knows the whole log, and returns when each did.
    async fn measure(&self, began: Instant) -> Result<(u64, Vec<DrilledServer>), Error> {
        let number = self.holds.refresh().await?.number;
        self.holds.stir();
        let mut seen: BTreeMap<Uuid, DrilledServer> = BTreeMap::new();
        loop {
            let acting = self.storage.halts_known().await?;
            for server in &acting {
                let entry = seen.entry(server.server_id).or_insert_with(|| DrilledServer {
                    server_id: server.server_id,
                    address: server.address.clone(),
                    took_ms: None,
                });
                if server.number >= number && entry.took_ms.is_none() {
                    entry.took_ms = Some(millis(began));
                }
            }
            // A server that has become inactive starts nothing, whatever it knows.
            let is_done = acting.iter().all(|server| server.number >= number);
            if is_done || began.elapsed() > DRILL_TIMEOUT {
                return Ok((millis(began), seen.into_values().collect()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads the halts again, and updates the queue at once.
    async fn look_at_halts(&self) -> Result<Vec<Halt>, Error> {
        let halts = repeat_until_answered(|| self.holds.refresh()).await?.halts.clone();
        self.holds.stir();
        Ok(halts)
    }
}

fn millis(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
