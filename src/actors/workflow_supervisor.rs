//! The workflow supervisor: starts the actor of each workflow, and decides what happens when one fails.
//!
//! A failed actor is started again after a pause that doubles; it reads the log and goes on from there. One that keeps
//! failing is left alone, visibly, and its siblings go on. That the database is away is nobody's failure and is not counted.

use crate::actors::approval_registry;
use crate::actors::exchange::{Failure, Intake, Submitted};
use crate::actors::restart::{RestartBudget, RestartPolicy, Verdict};
use crate::actors::workflow::{Boot, Stale, WorkflowActor, WorkflowRef, Workshop};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub type SupervisorRef = ActorRef<Msg>;

/// Five failures within a minute are tried again; the sixth is one too many.
const POLICY: RestartPolicy = RestartPolicy {
    limit: 5,
    window: Duration::from_secs(60),
    first_delay: Duration::from_millis(100),
    longest_delay: Duration::from_secs(5),
};

pub enum Msg {
    /// A new workflow.
    Submit { id: Uuid, intake: Box<Intake>, reply: RpcReplyPort<Result<Submitted, Failure>> },
    /// The actor of a workflow that is not in memory.
    Wake { id: Uuid, reply: RpcReplyPort<Result<WorkflowRef, Failure>> },
    /// A failed one, after its pause.
    Respawn { id: Uuid },
}

pub struct WorkflowSupervisor {
    pub workshop: Arc<Workshop>,
}

#[derive(Default)]
pub struct State {
    children: HashMap<ActorId, Uuid>,
    budgets: HashMap<Uuid, RestartBudget>,
    /// Failed, and not to be started before their pause is over.
    resting: HashSet<Uuid>,
    quarantined: HashSet<Uuid>,
}

impl WorkflowSupervisor {
    async fn spawn(&self, myself: &SupervisorRef, state: &mut State, id: Uuid, boot: Boot) -> Result<WorkflowRef, Failure> {
        let actor = WorkflowActor { id, workshop: Arc::clone(&self.workshop) };
        // It does nothing before its first message, so a failure here is one of the runtime.
        let (child, _) = Actor::spawn_linked(None, actor, boot, myself.get_cell())
            .await
            .map_err(|error| Failure::Unavailable(format!("the workflow's actor could not be started: {error}")))?;
        state.children.insert(child.get_id(), id);
        self.workshop.metrics.resident.set(i64::try_from(state.children.len()).unwrap_or(i64::MAX));
        let _ = self.workshop.registry.cast(approval_registry::Msg::Resident { id, actor: child.clone() });
        Ok(child)
    }

    /// A child is gone: the registry hears of it, and a failure is dealt with.
    fn on_exit(&self, myself: &SupervisorRef, state: &mut State, child: ActorId, failure: Option<&ActorProcessingErr>) {
        let Some(id) = state.children.remove(&child) else { return };
        self.workshop.metrics.resident.set(i64::try_from(state.children.len()).unwrap_or(i64::MAX));
        let _ = self.workshop.registry.cast(approval_registry::Msg::Gone { id, actor: child });
        let Some(failure) = failure else {
            state.budgets.remove(&id);
            return;
        };
        if let Some(Stale::Unavailable(reason)) = failure.downcast_ref::<Stale>() {
            // It is read again when it is asked for, or when the timer finds that it has something to do.
            tracing::warn!(workflow.id = %id, reason, "a workflow has lost touch with the database");
            return;
        }
        if let Some(Stale::Tampered(reason)) = failure.downcast_ref::<Stale>() {
            // Reading it again would not make it the server's own.
            tracing::error!(workflow.id = %id, reason, "somebody else has written to a workflow's rows, and it is left alone");
            self.workshop.metrics.integrity_failures.inc();
            self.leave_alone(state, id, reason.clone(), 1);
            return;
        }
        self.workshop.metrics.actor_failures.inc();
        let budget = state.budgets.entry(id).or_default();
        match budget.record(Instant::now(), POLICY) {
            Verdict::RestartAfter(delay) => {
                tracing::error!(workflow.id = %id, reason = %failure, failures = budget.failures(), "a workflow's actor failed, it is started again");
                state.resting.insert(id);
                myself.send_after(delay, move || Msg::Respawn { id });
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
        state.quarantined.insert(id);
        self.workshop.metrics.quarantined.inc();
        self.record_quarantine(id, reason, failures);
    }

    /// Makes a quarantine visible to everybody. In memory it holds already.
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
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Submit { id, intake, reply } => {
                // A failure drops the reply's port with the boot, which the caller sees.
                let _ = self.spawn(&myself, state, id, Boot::Submit(intake, reply)).await;
            }
            Msg::Wake { id, reply } => {
                let woken = if state.quarantined.contains(&id) {
                    Err(Failure::Quarantined)
                } else if state.resting.contains(&id) {
                    Err(Failure::Unavailable("this workflow's actor failed and is started again in a moment".to_owned()))
                } else {
                    self.spawn(&myself, state, id, Boot::Load).await
                };
                let _ = reply.send(woken);
            }
            Msg::Respawn { id } => {
                state.resting.remove(&id);
                let _ = self.spawn(&myself, state, id, Boot::Load).await;
            }
        }
        Ok(())
    }

    /// Every exit is dealt with here; the default would end this supervisor with its first child.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(child, failure) => self.on_exit(&myself, state, child.get_id(), Some(&failure)),
            SupervisionEvent::ActorTerminated(child, ..) => self.on_exit(&myself, state, child.get_id(), None),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}
