//! The root: starts the others in their order, and replaces the crew when one of them fails.
//!
//! Its members hold nothing that is not in the database, and they refer to each other; so when one of them fails all are
//! replaced by fresh ones. Meanwhile callers are told to come back in a moment. If that happens too often the root gives up,
//! the process ends, and whoever started it decides.

use crate::actors::approval_registry::ApprovalRegistry;
use crate::actors::checkpointer::Checkpointer;
use crate::actors::engine::{Crew, Engine};
use crate::actors::follower::Follower;
use crate::actors::messages::{ToRegistry, ToTimer};
use crate::actors::notifier::Notifier;
use crate::actors::restart::{RestartBudget, RestartPolicy, Verdict};
use crate::actors::timer::Timer;
use crate::actors::workflow::Workshop;
use crate::actors::workflow_supervisor::WorkflowSupervisor;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub type RootRef = ActorRef<Msg>;

const POLICY: RestartPolicy = RestartPolicy {
    limit: 5,
    window: Duration::from_secs(60),
    first_delay: Duration::from_millis(50),
    longest_delay: Duration::from_secs(5),
};
/// How long the members may take to finish what they are doing.
const DRAIN: Duration = Duration::from_secs(10);

pub enum Msg {
    /// Start a crew, after a failure.
    Muster,
    /// Let everybody finish, then end.
    Shutdown,
}

pub struct Root {
    pub engine: Arc<Engine>,
}

pub struct State {
    members: Vec<ActorCell>,
    budget: RestartBudget,
    ending: bool,
}

impl Root {
    async fn muster(&self, myself: &RootRef, state: &mut State) -> Result<(), ActorProcessingErr> {
        let engine = &self.engine;
        let cell = || myself.get_cell();
        let checkpointer = Checkpointer {
            storage: engine.storage.clone(),
            versions: Arc::clone(&engine.versions),
            feed: Arc::clone(&engine.feed),
            bell: Arc::clone(&engine.bell),
            metrics: Arc::clone(&engine.metrics),
        };
        let (checkpointer, _) = Actor::spawn_linked(None, checkpointer, (), cell()).await?;
        let timer = Timer {
            storage: engine.storage.clone(),
            clock: Arc::clone(&engine.clock),
            runner: Arc::clone(&engine.runner),
            metrics: Arc::clone(&engine.metrics),
        };
        let timer = timer.spawn(cell()).await?;
        let registry = ApprovalRegistry { max_resident: engine.max_resident, metrics: Arc::clone(&engine.metrics) };
        let registry = registry.spawn(cell()).await?;
        let workshop = Workshop {
            storage: engine.storage.clone(),
            logs: Arc::clone(&engine.logs),
            checkpointer: checkpointer.clone(),
            timer: timer.clone(),
            registry: registry.clone(),
            runner: Arc::clone(&engine.runner),
            configuration: Arc::clone(&engine.configuration),
            suspensions: Arc::clone(&engine.suspensions),
            holds: Arc::clone(&engine.holds),
            clock: Arc::clone(&engine.clock),
            metrics: Arc::clone(&engine.metrics),
            owner: engine.owner,
        };
        let supervisor = WorkflowSupervisor { workshop: Arc::new(workshop) };
        let supervisor = supervisor.spawn(cell()).await?;
        let (notifier, _) = Actor::spawn_linked(None, Notifier { engine: Arc::clone(engine) }, (), cell()).await?;
        let follower = Follower { feed: Arc::clone(&engine.feed), storage: engine.storage.clone() };
        let (follower, _) = Actor::spawn_linked(None, follower, (), cell()).await?;
        registry.cast(ToRegistry::Supervisor(supervisor.clone()))?;
        timer.cast(ToTimer::Registry(registry.clone()))?;
        state.members = vec![
            follower.get_cell(),
            notifier.get_cell(),
            supervisor.get_cell(),
            registry.get_cell(),
            timer.get_cell(),
            checkpointer.get_cell(),
        ];
        engine.take_on(Crew { supervisor, registry, timer });
        Ok(())
    }

    async fn dismiss(&self, state: &mut State) {
        self.engine.dismiss();
        for member in std::mem::take(&mut state.members) {
            member.drain_children_and_wait(Some(DRAIN)).await;
            let _ = member.drain_and_wait(Some(DRAIN)).await;
        }
    }

    /// A member of the crew is gone. One that was dismissed ends in its own time and is none any more.
    async fn on_exit(&self, myself: &RootRef, state: &mut State, who: ActorCell, why: String) {
        if state.ending {
            return;
        }
        if !state.members.iter().any(|member| member.get_id() == who.get_id()) {
            return;
        }
        match state.budget.record(Instant::now(), POLICY) {
            Verdict::RestartAfter(delay) => {
                tracing::error!(reason = why, "an actor of the crew failed, all are replaced");
                self.dismiss(state).await;
                myself.send_after(delay, || Msg::Muster);
            }
            Verdict::GiveUp => {
                tracing::error!(reason = why, "the crew keeps failing");
                myself.stop(Some("the crew keeps failing".to_owned()));
            }
        }
    }
}

impl Actor for Root {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        let mut state = State { members: Vec::new(), budget: RestartBudget::default(), ending: false };
        self.muster(&myself, &mut state).await?;
        Ok(state)
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Muster if state.members.is_empty() && !state.ending => self.muster(&myself, state).await?,
            Msg::Muster => {}
            Msg::Shutdown => {
                state.ending = true;
                self.dismiss(state).await;
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(who, failure) => self.on_exit(&myself, state, who, failure.to_string()).await,
            SupervisionEvent::ActorTerminated(who, _, reason) => {
                self.on_exit(&myself, state, who, reason.unwrap_or_else(|| "it ended".to_owned())).await;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}
