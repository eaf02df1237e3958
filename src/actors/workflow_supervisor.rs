//! The workflow supervisor: starts the actor of each workflow that is acted upon, and decides what
//! happens when one fails.
//!
//! A failed actor is restarted after a pause that doubles each time; the new one reads the log and
//! continues from there. A workflow whose actor keeps failing is put in quarantine, where people
//! see it, and the others continue. An outage of the database does not count as a failure of
//! an actor.

use crate::actors::messages::{SupervisorRef, Ticket, ToRegistry, ToSupervisor};
use crate::actors::protocol::Failure;
use crate::actors::restart::{RestartBudget, RestartPolicy, Verdict};
use crate::actors::workflow::{Dependencies, Stale, Work, WorkflowActor};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// After the sixth failure within a minute the workflow is put in quarantine.
const POLICY: RestartPolicy = RestartPolicy {
    limit: 5,
    window: Duration::from_secs(60),
    first_delay: Duration::from_millis(100),
    longest_delay: Duration::from_secs(5),
};

pub struct WorkflowSupervisor {
    pub deps: Arc<Dependencies>,
}

#[derive(Default)]
pub struct State {
    children: HashMap<ActorId, Child>,
    budgets: HashMap<Uuid, RestartBudget>,
    /// Workflows whose actor failed and may not be started before the pause is over.
    resting: HashSet<Uuid>,
    quarantined: HashSet<Uuid>,
}

/// An active actor.
struct Child {
    id: Uuid,
    /// `None` if the actor was started by a submit, which the registry does not know.
    ticket: Option<Ticket>,
}

impl State {
    /// Why a workflow's actor may not be started now.
    fn objection(&self, id: Uuid) -> Option<Failure> {
        if self.quarantined.contains(&id) {
            Some(Failure::Quarantined)
        } else if self.resting.contains(&id) {
            Some(Failure::Unavailable("this workflow's actor failed and is started again in a moment".to_owned()))
        } else {
            None
        }
    }
}

impl WorkflowSupervisor {
    pub async fn spawn(self, root: ActorCell) -> Result<SupervisorRef, SpawnErr> {
        Ok(Actor::spawn_linked(None, self, (), root).await?.0)
    }
}

impl Actor for WorkflowSupervisor {
    type Msg = ToSupervisor;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: SupervisorRef, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(&self, myself: SupervisorRef, msg: ToSupervisor, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            ToSupervisor::Submit { id, admitted, span, reply } => {
                self.start(&myself, state, Child { id, ticket: None }, Work::Submit { admitted, span, reply }).await;
            }
            ToSupervisor::Start(start) => {
                let child = Child { id: start.id, ticket: Some(start.ticket) };
                if state.objection(start.id).is_some() {
                    start.jobs.into_iter().for_each(|job| state.objection(child.id).map_or((), |failure| job.refuse(failure)));
                    self.tell_gone(&child);
                } else {
                    self.start(&myself, state, child, Work::Jobs(start)).await;
                }
            }
            ToSupervisor::Rested { id } => {
                state.resting.remove(&id);
                let _ = self.deps.registry.cast(ToRegistry::Wake { id });
            }
        }
        Ok(())
    }

    /// Handles every exit of a child; by default the supervisor would end with its first child.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ToSupervisor>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, failure) => {
                if let Some(child) = state.children.remove(&actor.get_id()) {
                    self.on_failure(&myself, state, &child, &failure);
                }
            }
            SupervisionEvent::ActorTerminated(actor, at_the_end, _) => {
                // An actor that was killed has no state at its end; every other one has told the
                // registry that it is done.
                if let Some(child) = state.children.remove(&actor.get_id())
                    && at_the_end.is_none()
                {
                    self.tell_gone(&child);
                }
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => return Ok(()),
        }
        self.count(state);
        Ok(())
    }
}

impl WorkflowSupervisor {
    /// Starts an actor for some work. If that fails, the work is dropped, and with it the reply
    /// ports of those who wait.
    async fn start(&self, myself: &SupervisorRef, state: &mut State, child: Child, work: Work) {
        let actor = WorkflowActor { id: child.id, deps: Arc::clone(&self.deps) };
        match Actor::spawn_linked(None, actor, work, myself.get_cell()).await {
            Ok((actor, _)) => {
                state.children.insert(actor.get_id(), child);
                self.count(state);
            }
            // An actor does nothing before it has started, so this is a failure of the runtime.
            Err(error) => {
                tracing::error!(workflow.id = %child.id, %error, "a workflow's actor could not be started");
                self.tell_gone(&child);
            }
        }
    }

    fn count(&self, state: &State) {
        self.deps.metrics.resident.set(i64::try_from(state.children.len()).unwrap_or(i64::MAX));
    }

    fn tell_gone(&self, child: &Child) {
        if let Child { id, ticket: Some(ticket) } = *child {
            let _ = self.deps.registry.cast(ToRegistry::Gone { id, ticket });
        }
    }

    /// Decides whether another actor may be started after a failure, and only then tells the
    /// registry.
    fn on_failure(&self, myself: &SupervisorRef, state: &mut State, child: &Child, failure: &ActorProcessingErr) {
        self.weigh(myself, state, child.id, failure);
        self.tell_gone(child);
    }

    /// Makes the workflow rest after a failure, or puts it in quarantine.
    fn weigh(&self, myself: &SupervisorRef, state: &mut State, id: Uuid, failure: &ActorProcessingErr) {
        match failure.downcast_ref::<Stale>() {
            Some(Stale::Unavailable(reason)) => {
                // The workflow is read again when somebody asks for it, or when the timer finds
                // that it is due.
                tracing::warn!(workflow.id = %id, reason, "a workflow's actor could not reach the database and has ended");
                return;
            }
            Some(Stale::Tampered(reason)) => {
                // Reading the log again would not change what is in it.
                tracing::error!(workflow.id = %id, reason, "a workflow's rows were written by something else; it is put in quarantine");
                self.deps.metrics.integrity_failures.inc();
                return self.quarantine(state, id, reason.clone(), 1);
            }
            Some(Stale::Broken(_)) | None => self.deps.metrics.actor_failures.inc(),
        };
        let now = Instant::now();
        state.budgets.retain(|_, budget| budget.is_spent(now, POLICY));
        let budget = state.budgets.entry(id).or_default();
        match budget.record(now, POLICY) {
            Verdict::RestartAfter(delay) => {
                tracing::error!(workflow.id = %id, reason = %failure, failures = budget.failures(), "a workflow's actor failed; it is started again");
                state.resting.insert(id);
                myself.send_after(delay, move || ToSupervisor::Rested { id });
            }
            Verdict::GiveUp => {
                let failures = budget.failures();
                tracing::error!(workflow.id = %id, reason = %failure, failures, "a workflow keeps failing and is put in quarantine");
                self.quarantine(state, id, failure.to_string(), failures);
            }
        }
    }

    fn quarantine(&self, state: &mut State, id: Uuid, reason: String, failures: usize) {
        state.budgets.remove(&id);
        if state.quarantined.insert(id) {
            self.deps.metrics.quarantined.inc();
            self.record_quarantine(id, reason, failures);
        }
    }

    /// Records a quarantine in the database, where everyone can see it. In memory it already holds.
    #[expect(clippy::disallowed_methods, reason = "the quarantine is already in memory; a failed write is logged")]
    fn record_quarantine(&self, id: Uuid, reason: String, failures: usize) {
        let storage = self.deps.storage.clone();
        tokio::spawn(async move {
            let failures = i32::try_from(failures).unwrap_or(i32::MAX);
            if let Err(error) = storage.quarantine(id, &reason, failures).await {
                tracing::error!(workflow.id = %id, %error, "a quarantine could not be recorded in the database");
            }
        });
    }
}
