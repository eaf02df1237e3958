//! What keeps released actions from starting now, as this server knows it: halts, which it reads
//! several times a second, and the freezes of its configuration.
//!
//! What is known here only keeps the queue at rest. That nothing held is ever started is for the
//! database to see to, with each commit that begins something.

use crate::actors::metrics::Metrics;
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::hold::{Freeze, Held, Holds, Place};
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

/// Between two looks: every server knows of a halt well within a second.
const LOOK: Duration = Duration::from_millis(250);

pub struct HoldWatch {
    storage: Storage,
    configuration: Arc<Configuration>,
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    suspensions: Arc<Suspensions>,
    /// When the database was last asked, and what it said.
    known: RwLock<(Option<Instant>, Arc<HaltState>)>,
    /// Something was halted or resumed here: time for a look.
    stirred: Notify,
}

/// What holds anything at all: when this changes, the queue is put in order anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Situation {
    halts: BTreeSet<Uuid>,
    freezes: BTreeSet<String>,
}

impl Situation {
    /// Whether nothing is halted or frozen.
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

    /// What is halted, as it was last known: at most a moment ago while the database answers.
    pub fn known(&self) -> Arc<HaltState> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Asks the database now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn refresh(&self) -> Result<Arc<HaltState>, Error> {
        // From before the question on: an answer that comes late is not taken for a newer one.
        let asked = Instant::now();
        let current = Arc::new(self.storage.halts().await?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.0.is_none_or(|before| before < asked) {
            *known = (Some(asked), Arc::clone(&current));
            self.metrics.halts.set(i64::try_from(current.halts.len()).unwrap_or(i64::MAX));
        }
        Ok(current)
    }

    /// Has the watch look at once.
    pub fn stir(&self) {
        self.stirred.notify_one();
    }

    /// What holds a workflow's action now, if it waits to start.
    pub fn held(&self, workflow: &Workflow) -> Option<Held> {
        workflow.queued().and_then(|_| self.would_hold(workflow))
    }

    /// What would hold a workflow's action, if it was released now.
    pub fn would_hold(&self, workflow: &Workflow) -> Option<Held> {
        let (halts, suspended) = (self.known(), self.suspensions.last_known());
        let today = Today { policy: &self.configuration.policy, suspended: &suspended };
        let now = self.clock.now();
        let is_excepted = |freeze: &Freeze, _: DateTime<Utc>| {
            let mut given = workflow.exceptions.iter().filter(|exception| now < exception.given.until);
            given.any(|exception| today.excepts(workflow, freeze, exception))
        };
        // Of a plan the step that is next, and the plan as it is listed: the queue knows only that.
        let targets = [workflow.next_target(), workflow.submission.target.as_ref()];
        targets.into_iter().find_map(|target| self.holds(&halts).on(&self.place(target), is_excepted))
    }

    /// Until when a freeze holds a workflow, if it does now.
    pub fn frozen_until(&self, workflow: &Workflow, freeze: &Freeze) -> Option<DateTime<Utc>> {
        let targets = [workflow.next_target(), workflow.submission.target.as_ref()];
        let covers = targets.into_iter().any(|target| freeze.covers(&self.place(target)));
        covers.then(|| freeze.holds_until(self.clock.now()))?
    }

    /// The database's time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// What holds an action with this target now.
    pub fn held_at(&self, target: &Target) -> Option<Held> {
        let halts = self.known();
        self.holds(&halts).on(&self.place(Some(target)), |_, _| false)
    }

    /// Whether what waits in the queue is held. Of one from which an exception was made the gate
    /// finds out.
    pub fn holds_row(&self, row: &QueuedRow) -> bool {
        if self.is_quiet() {
            return false;
        }
        let halts = self.known();
        // What was read before anything was held goes to the gate, which finds out.
        let Some(target) = row.target.as_deref() else { return false };
        let target = Target::read(target);
        self.holds(&halts).on(&self.place(target.as_ref()), |_, _| row.excepted).is_some()
    }

    /// Whether nothing is halted or frozen.
    pub fn is_quiet(&self) -> bool {
        let situation = self.situation();
        situation.halts.is_empty() && situation.freezes.is_empty()
    }

    /// What a commit of this workflow's would begin, as the database is to judge it.
    pub fn begins(&self, workflow: &Workflow) -> Begins {
        let place = self.place(workflow.next_target());
        let halts = self.known();
        let before = self.holds(&halts).next_freeze(&place);
        Begins { environment: place.environment, before }
    }

    fn place(&self, target: Option<&Target>) -> Place {
        self.configuration.rules.place(target)
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
