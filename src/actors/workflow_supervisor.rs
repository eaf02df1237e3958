//! The workflow supervisor: starts the actor of each workflow that is acted upon, and decides what happens when one fails.
//!
//! A failed actor is started again after a pause that doubles; it reads the log and goes on from there. One that keeps
//! failing is left alone, visibly, and its siblings go on. That the database is away is nobody's failure and is not counted.

use crate::actors::exchange::Failure;
use crate::actors::messages::{SupervisorRef, Ticket, ToRegistry, ToSupervisor};
use crate::actors::restart::{RestartBudget, RestartPolicy, Verdict};
use crate::actors::workflow::{Stale, Work, WorkflowActor, Workshop};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Five failures within a minute are tried again; the sixth is one too many.
const POLICY: RestartPolicy = RestartPolicy {
    limit: 5,
    window: Duration::from_secs(60),
    first_delay: Duration::from_millis(100),
    longest_delay: Duration::from_secs(5),
};

pub struct WorkflowSupervisor {
    pub workshop: Arc<Workshop>,
}

#[derive(Default)]
pub struct State {
    children: HashMap<ActorId, Child>,
    budgets: HashMap<Uuid, RestartBudget>,
    /// Failed, and not to be started before their pause is over.
    resting: HashSet<Uuid>,
    quarantined: HashSet<Uuid>,
}

/// An actor at work.
struct Child {
    id: Uuid,
    /// None where it was started by a submit, of which the registry knows nothing.
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

    /// Starts an actor for some work. If it cannot be started the work is dropped, and with it the ports of those who wait.
    async fn start(&self, myself: &SupervisorRef, state: &mut State, child: Child, work: Work) {
        let actor = WorkflowActor { id: child.id, workshop: Arc::clone(&self.workshop) };
        match Actor::spawn_linked(None, actor, work, myself.get_cell()).await {
            Ok((actor, _)) => {
                state.children.insert(actor.get_id(), child);
                self.count(state);
            }
            // It does nothing before it has started, so this is a failure of the runtime.
            Err(error) => {
                tracing::error!(workflow.id = %child.id, %error, "a workflow's actor could not be started");
                self.tell_gone(&child);
            }
        }
    }

    fn count(&self, state: &State) {
        self.workshop.metrics.resident.set(i64::try_from(state.children.len()).unwrap_or(i64::MAX));
    }

    fn tell_gone(&self, child: &Child) {
        if let Child { id, ticket: Some(ticket) } = *child {
            let _ = self.workshop.registry.cast(ToRegistry::Gone { id, ticket });
        }
    }

    /// An actor has failed: the registry hears of it, once it is settled whether another one may be started.
    fn on_failure(&self, myself: &SupervisorRef, state: &mut State, child: &Child, failure: &ActorProcessingErr) {
        self.weigh(myself, state, child.id, failure);
        self.tell_gone(child);
    }

    fn weigh(&self, myself: &SupervisorRef, state: &mut State, id: Uuid, failure: &ActorProcessingErr) {
        match failure.downcast_ref::<Stale>() {
            Some(Stale::Unavailable(reason)) => {
                // It is read again when it is asked for, or when the timer finds that it has something to do.
                tracing::warn!(workflow.id = %id, reason, "a workflow has lost touch with the database");
                return;
            }
            Some(Stale::Tampered(reason)) => {
                // Reading it again would not make it the server's own.
                tracing::error!(workflow.id = %id, reason, "somebody else has written to a workflow's rows, and it is left alone");
                self.workshop.metrics.integrity_failures.inc();
                return self.leave_alone(state, id, reason.clone(), 1);
            }
            Some(Stale::Broken(_)) | None => self.workshop.metrics.actor_failures.inc(),
        };
        let now = Instant::now();
        state.budgets.retain(|_, budget| budget.is_spent(now, POLICY));
        let budget = state.budgets.entry(id).or_default();
        match budget.record(now, POLICY) {
            Verdict::RestartAfter(delay) => {
                tracing::error!(workflow.id = %id, reason = %failure, failures = budget.failures(), "a workflow's actor failed, it is started again");
                state.resting.insert(id);
                myself.send_after(delay, move || ToSupervisor::Rested { id });
            }
            Verdict::GiveUp => {
                let failures = budget.failures();
                tracing::error!(workflow.id = %id, reason = %failure, failures, "a workflow keeps failing and is left alone");
                self.leave_alone(state, id, failure.to_string(), failures);
            }
        }
    }

    fn leave_alone(&self, state: &mut State, id: Uuid, reason: String, failures: usize) {
        state.budgets.remove(&id);
        if state.quarantined.insert(id) {
            self.workshop.metrics.quarantined.inc();
            self.record_quarantine(id, reason, failures);
        }
    }

    /// Makes a quarantine visible to everybody. In memory it holds already.
    #[expect(clippy::disallowed_methods, reason = "in memory the quarantine holds already, and the log tells when it could not be written")]
    fn record_quarantine(&self, id: Uuid, reason: String, failures: usize) {
        let storage = self.workshop.storage.clone();
        tokio::spawn(async move {
            let failures = i32::try_from(failures).unwrap_or(i32::MAX);
            if let Err(error) = storage.quarantine(id, &reason, failures).await {
                tracing::error!(workflow.id = %id, %error, "a quarantine could not be recorded");
            }
        });
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
            ToSupervisor::Submit { id, intake, reply } => {
                self.start(&myself, state, Child { id, ticket: None }, Work::Submit(intake, reply)).await;
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
                let _ = self.workshop.registry.cast(ToRegistry::Wake { id });
            }
        }
        Ok(())
    }

    /// Every exit is dealt with here; the default would end this supervisor with its first child.
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
                // Only one that was killed has no state at its end; any other has told the registry that it is done.
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
