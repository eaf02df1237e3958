//! Finds requests that nobody in the configuration could decide: after a change of people or roles
//! they would wait forever, unnoticed.

use crate::actors::engine::Engine;
use crate::domain::policy::Role;
use crate::domain::risk::level::Level;
use crate::domain::workflow::today::Today;
use crate::storage::{Error, PendingGroup, PendingRow};
use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;
use uuid::Uuid;

/// The time between two looks.
const PAUSE: Duration = Duration::from_secs(60);

impl Engine {
    /// Checks once a minute, for as long as the engine lives: counts the requests that nobody could
    /// decide, and logs new ones.
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
                                "requests wait that nobody in the configuration can decide: give one of these roles to enough people, or \
                                 have an admin cancel them"
                            );
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot check for requests that nobody can decide"),
            }
            drop(engine);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn undecidable(&self) -> Result<Vec<PendingGroup>, Error> {
        let suspended = self.suspended().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: self.clock.now() };
        let mut groups = self.storage.pending_groups().await?;
        groups.retain(|group| !could_be_decided(today, &group.risk_level, &group.approvers, asked_later(group), group.required));
        Ok(groups)
    }

    /// Those of the given requests that nobody in the configuration could decide. This needs no
    /// query about the requests.
    ///
    /// # Errors
    /// The database, which knows who is suspended, does not answer.
    pub async fn undecidable_among(&self, rows: &[PendingRow]) -> Result<BTreeSet<Uuid>, Error> {
        let suspended = self.suspended().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: self.clock.now() };
        let undecidable = |row: &&PendingRow| {
            let later = row.timetable.iter().flat_map(|step| step.to.iter().cloned());
            !could_be_decided(today, &row.risk_level, &row.approvers, later, row.required)
        };
        Ok(rows.iter().filter(undecidable).map(|row| row.workflow_id).collect())
    }
}

/// Whether enough people have the roles that a request of this level asks now or later.
fn could_be_decided(today: Today<'_>, level: &str, asked: &[Role], later: impl IntoIterator<Item = Role>, required: i32) -> bool {
    let roles: BTreeSet<Role> = asked.iter().cloned().chain(later).collect();
    Level::parse(level).is_none_or(|level| today.could_decide(level, &roles, u32::try_from(required).unwrap_or(0)))
}

/// The roles of an escalation, which the database stores as `[{"after": seconds, "to": [role]}]`.
fn asked_later(group: &PendingGroup) -> Vec<Role> {
    let steps: Vec<serde_json::Value> = group.timetable.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let roles = steps.iter().filter_map(|step| step["to"].as_array()).flatten();
    roles.filter_map(|role| role.as_str().map(str::to_owned)).collect()
}
