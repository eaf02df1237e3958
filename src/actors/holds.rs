//! The holds on released actions, as this server knows them: halts, which it reads several times a
//! second, and the freezes of its configuration.
//!
//! This knowledge only pauses the queue. The database ensures that nothing held is ever started,
//! with each commit that begins something.

use crate::actors::metrics::Metrics;
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::hold::{Freeze, Held, Holds, ResolvedTarget};
use crate::domain::risk::target::Target;
use crate::domain::workflow::Workflow;
use crate::domain::workflow::today::Today;
use crate::identity::Suspensions;
use crate::storage::{Begins, Error, HaltState, QueuedRow, Storage};
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use uuid::Uuid;

/// The time between two looks: every server knows a halt well within a second.
const LOOK: Duration = Duration::from_millis(250);

pub struct HoldWatch {
    storage: Storage,
    configuration: Arc<Configuration>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    suspensions: Arc<Suspensions>,
    /// When the database was last read, and what it returned.
    known: RwLock<(Option<Instant>, Arc<HaltState>)>,
    /// Notified when something is halted or resumed here, so that the database is read at once.
    stirred: Notify,
}

/// The current holds. When they change, the queue is updated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Situation {
    halts: BTreeSet<Uuid>,
    freezes: BTreeSet<String>,
}

impl Situation {
    /// Whether no hold is in force.
    pub fn is_quiet(&self) -> bool {
        self.halts.is_empty() && self.freezes.is_empty()
    }
}

impl HoldWatch {
    pub fn new(
        storage: Storage,
        configuration: Arc<Configuration>,
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        suspensions: Arc<Suspensions>,
    ) -> Self {
        Self { storage, configuration, clock, metrics, suspensions, known: RwLock::default(), stirred: Notify::new() }
    }

    /// The last known halts: at most a moment old while the database answers.
    pub fn known(&self) -> Arc<HaltState> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Reads the database now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn refresh(&self) -> Result<Arc<HaltState>, Error> {
        // Measured before the query, so that a late answer does not count as a newer one.
        let asked = Instant::now();
        let current = Arc::new(self.storage.halts().await?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.0.is_none_or(|before| before < asked) {
            *known = (Some(asked), Arc::clone(&current));
            self.metrics.halts.set(i64::try_from(current.halts.len()).unwrap_or(i64::MAX));
        }
        Ok(current)
    }

    /// Makes the watch read at once.
    pub fn stir(&self) {
        self.stirred.notify_one();
    }

    /// The hold on a workflow's action, if it waits to start.
    pub fn held(&self, workflow: &Workflow) -> Option<Held> {
        workflow.queued().and_then(|_| self.would_hold(workflow))
    }

    /// The hold that a workflow's action would have if it was released now.
    pub fn would_hold(&self, workflow: &Workflow) -> Option<Held> {
        let (halts, suspended) = (self.known(), self.suspensions.last_known());
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: self.clock.now() };
        let now = self.clock.now();
        let is_excepted = |freeze: &Freeze, _: DateTime<Utc>| {
            let mut given = workflow.exceptions.iter().filter(|exception| now < exception.given.until);
            given.any(|exception| today.excepts(workflow, freeze, exception))
        };
        // For a plan, this checks the next step and the plan's listed target, which is all that the
        // queue knows.
        let targets = [workflow.next_target(), workflow.submission.target.as_ref()];
        targets.into_iter().find_map(|target| self.holds(&halts).on(&self.resolve(target), is_excepted))
    }

    /// Until when a freeze holds a workflow, if it does now.
    pub fn frozen_until(&self, workflow: &Workflow, freeze: &Freeze) -> Option<DateTime<Utc>> {
        let targets = [workflow.next_target(), workflow.submission.target.as_ref()];
        let covers = targets.into_iter().any(|target| freeze.covers(&self.resolve(target)));
        covers.then(|| freeze.holds_until(self.clock.now()))?
    }

    /// The database's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The hold on an action with this target now.
    pub fn held_at(&self, target: &Target) -> Option<Held> {
        let halts = self.known();
        self.holds(&halts).on(&self.resolve(Some(target)), |_, _| false)
    }

    /// Whether a queued action is held. If it has an exception, the gate checks that.
    pub fn holds_row(&self, row: &QueuedRow) -> bool {
        if self.is_quiet() {
            return false;
        }
        let halts = self.known();
        // Rows read before there was a hold go to the gate, which checks them.
        let Some(target) = row.target.as_deref() else { return false };
        let target = Target::read(target);
        self.holds(&halts).on(&self.resolve(target.as_ref()), |_, _| row.excepted).is_some()
    }

    /// Whether no hold is in force.
    pub fn is_quiet(&self) -> bool {
        let situation = self.situation();
        situation.halts.is_empty() && situation.freezes.is_empty()
    }

    /// What a commit of this workflow would begin, for the database to check.
    pub fn begins(&self, workflow: &Workflow) -> Begins {
        let target = self.resolve(workflow.next_target());
        let halts = self.known();
        let before = self.holds(&halts).next_freeze(&target);
        Begins { environment: target.environment, before }
    }

    fn resolve(&self, target: Option<&Target>) -> ResolvedTarget {
        self.configuration.rules.resolve(target)
    }

    fn holds<'a>(&'a self, known: &'a HaltState) -> Holds<'a> {
        Holds { halts: &known.halts, freezes: self.freezes(), now: self.clock.now() }
    }

    fn freezes(&self) -> &[Freeze] {
        &self.configuration.freezes
    }

    /// Waits until it is time for the next look.
    pub(super) async fn rest(&self) {
        let _ = tokio::time::timeout(LOOK, self.stirred.notified()).await;
    }

    pub(super) fn situation(&self) -> Situation {
        let (known, now) = (self.known(), self.clock.now());
        let frozen = self.freezes().iter().filter(|freeze| freeze.holds_until(now).is_some());
        Situation { halts: known.halts.iter().map(|halt| halt.id).collect(), freezes: frozen.map(|freeze| freeze.name.clone()).collect() }
    }
}
