//! Requests that nobody of the configuration could decide: after a change of people or roles they would wait for ever without a word.

use crate::actors::engine::Engine;
use crate::domain::level::Level;
use crate::domain::policy::Role;
use crate::domain::today::Today;
use crate::storage::{Error, PendingGroup};
use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60);

impl Engine {
    /// Looks now and once a minute, as long as there is an engine: counts what nobody could decide, and says so in the log when it is new.
    pub async fn watch_for_undecidable(engine: Weak<Self>) {
        let mut told = BTreeSet::new();
        while let Some(engine) = engine.upgrade() {
            match engine.undecidable().await {
                Ok(groups) => {
                    engine.metrics.undecidable.set(groups.iter().map(|group| group.requests).sum());
                    for group in &groups {
                        if told.insert((group.risk_level.clone(), group.approvers.clone())) {
                            tracing::warn!(
                                risk_level = group.risk_level,
                                roles = group.approvers.join(", "),
                                requests = group.requests,
                                "requests wait that nobody of the configuration can decide: give one of these roles to enough people, or \
                                 have an admin cancel them"
                            );
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot look for requests that nobody can decide"),
            }
            drop(engine);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn undecidable(&self) -> Result<Vec<PendingGroup>, Error> {
        let suspended = self.suspended().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended };
        let mut groups = self.storage.pending_groups().await?;
        groups.retain(|group| {
            let level = Level::ALL.into_iter().find(|level| level.as_str() == group.risk_level);
            let roles: BTreeSet<Role> = group.approvers.iter().cloned().chain(asked_later(group)).collect();
            let required = u32::try_from(group.required).unwrap_or(0);
            level.is_some_and(|level| !today.could_decide(level, &roles, required))
        });
        Ok(groups)
    }
}

/// The roles of a timetable, as the database has it: `[{"after": seconds, "to": [role]}]`.
fn asked_later(group: &PendingGroup) -> Vec<Role> {
    let steps: Vec<serde_json::Value> = group.timetable.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let roles = steps.iter().filter_map(|step| step["to"].as_array()).flatten();
    roles.filter_map(|role| role.as_str().map(str::to_owned)).collect()
}
