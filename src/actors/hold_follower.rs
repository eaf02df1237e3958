//! Follows halts and freezes: checks several times a second, and updates the runner's queue when
//! they change.

use crate::actors::engine::Engine;
use std::sync::{Arc, Weak};

impl Engine {
    /// Checks several times a second, for as long as the engine lives. When a hold begins or ends,
    /// the queue is filled again from the database; then this server records that it knows.
    pub async fn watch_holds(engine: Weak<Self>) {
        let (mut acted_on, mut acknowledged, mut failed) = (None, 0, false);
        while let Some(engine) = engine.upgrade() {
            let looked = engine.holds.refresh().await;
            let situation = engine.holds.situation();
            if acted_on.as_ref() != Some(&situation) {
                if !situation.is_quiet() {
                    engine.runner.forget_waiting();
                }
                engine.requeue();
                acted_on = Some(situation);
            }
            let told = match looked {
                Ok(state) if state.number > acknowledged => {
                    let told = engine.storage.acknowledge_halts(engine.owner, state.number).await;
                    if told.is_ok() {
                        acknowledged = state.number;
                    }
                    told
                }
                looked => looked.map(drop),
            };
            if let Err(error) = &told
                && !failed
            {
                tracing::warn!(%error, "cannot read the halts; trying again");
            }
            failed = told.is_err();
            let holds = Arc::clone(&engine.holds);
            drop(engine);
            holds.rest().await;
        }
    }
}
