//! The root: starts the other actors in order, and replaces all of them when one fails.
//!
//! They have no state that is not in the database, and they refer to each other; so when one of
//! them fails, all are replaced. Meanwhile callers are told to try again in a moment. If that
//! happens too often, the root gives up and the process ends; whatever started the process decides
//! what follows.

use crate::actors::approval_registry::ApprovalRegistry;
use crate::actors::checkpointer::Checkpointer;
use crate::actors::dispatcher::ActorRefs;
use crate::actors::engine::Engine;
use crate::actors::follower::Follower;
use crate::actors::messages::{ToRegistry, ToTimer};
use crate::actors::notifier::Notifier;
use crate::actors::restart::{RestartBudget, RestartPolicy, Verdict};
use crate::actors::timer::Timer;
use crate::actors::workflow::Dependencies;
use crate::actors::workflow_supervisor::WorkflowSupervisor;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub type RootRef = ActorRef<Msg>;

pub enum Msg {
    /// From the root to itself, after the pause that follows a failure: the children are started
    /// again.
    StartChildren,
    /// The children finish what they are doing; then the root ends.
    Shutdown,
}

const POLICY: RestartPolicy = RestartPolicy {
    limit: 5,
    window: Duration::from_secs(60),
    first_delay: Duration::from_millis(50),
    longest_delay: Duration::from_secs(5),
};
/// How long each child may take to finish what it is doing.
const DRAIN: Duration = Duration::from_secs(10);

pub struct Root {
    pub engine: Arc<Engine>,
}

pub struct State {
    children: Vec<ActorCell>,
    budget: RestartBudget,
    ending: bool,
}

impl Root {
    /// Starts the root and its children. The task ends when the root does.
    ///
    /// # Errors
    /// One of the children could not be started.
    pub async fn spawn(engine: Arc<Engine>) -> Result<(RootRef, JoinHandle<()>), SpawnErr> {
        Actor::spawn(None, Self { engine }, ()).await
    }
}

impl Actor for Root {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: RootRef, (): ()) -> Result<State, ActorProcessingErr> {
        let mut state = State { children: Vec::new(), budget: RestartBudget::default(), ending: false };
        self.start_children(&myself, &mut state).await?;
        Ok(state)
    }

    async fn handle(&self, myself: RootRef, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::StartChildren if state.children.is_empty() && !state.ending => self.start_children(&myself, state).await?,
            Msg::StartChildren => {}
            Msg::Shutdown => {
                state.ending = true;
                self.stop_children(state).await;
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(&self, myself: RootRef, event: SupervisionEvent, state: &mut State) -> Result<(), ActorProcessingErr> {
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

impl Root {
    async fn start_children(&self, myself: &RootRef, state: &mut State) -> Result<(), ActorProcessingErr> {
        let engine = &self.engine;
        let cell = || myself.get_cell();
        let checkpointer = Checkpointer {
            storage: engine.storage.clone(),
            versions: Arc::clone(&engine.versions),
            feed: Arc::clone(&engine.feed),
            wakeup: Arc::clone(&engine.wakeup),
            metrics: Arc::clone(&engine.metrics),
        };
        let checkpointer = checkpointer.spawn(cell()).await?;
        let timer = Timer {
            storage: engine.storage.clone(),
            clock: Arc::clone(&engine.clock),
            runner: Arc::clone(&engine.runner),
            metrics: Arc::clone(&engine.metrics),
        };
        let timer = timer.spawn(cell()).await?;
        let registry = ApprovalRegistry { max_resident: engine.max_resident, metrics: Arc::clone(&engine.metrics) };
        let registry = registry.spawn(cell()).await?;
        let deps = Dependencies {
            storage: engine.storage.clone(),
            logs: Arc::clone(&engine.logs),
            checkpointer: checkpointer.clone(),
            timer: timer.clone(),
            registry: registry.clone(),
            runner: Arc::clone(&engine.runner),
            configuration: Arc::clone(&engine.configuration),
            suspensions: Arc::clone(&engine.suspensions),
            holds: Arc::clone(&engine.holds),
            grants: Arc::clone(&engine.grants),
            clock: Arc::clone(&engine.clock),
            metrics: Arc::clone(&engine.metrics),
            kinds: Arc::clone(&engine.kinds),
            owner: engine.owner,
        };
        let supervisor = WorkflowSupervisor { deps: Arc::new(deps) }.spawn(cell()).await?;
        let notifier = Notifier { engine: Arc::clone(engine) }.spawn(cell()).await?;
        let follower = Follower { feed: Arc::clone(&engine.feed), storage: engine.storage.clone() }.spawn(cell()).await?;
        registry.cast(ToRegistry::Supervisor(supervisor.clone()))?;
        timer.cast(ToTimer::Registry(registry.clone()))?;
        // In the order in which they are stopped.
        state.children = vec![
            follower.get_cell(),
            notifier.get_cell(),
            supervisor.get_cell(),
            registry.get_cell(),
            timer.get_cell(),
            checkpointer.get_cell(),
        ];
        engine.install(ActorRefs { supervisor, registry, timer });
        Ok(())
    }

    async fn stop_children(&self, state: &mut State) {
        self.engine.uninstall();
        for child in std::mem::take(&mut state.children) {
            child.drain_children_and_wait(Some(DRAIN)).await;
            let _ = child.drain_and_wait(Some(DRAIN)).await;
        }
    }

    /// Replaces all children because one of them has ended. One that was replaced before may end
    /// later; that is ignored.
    async fn on_exit(&self, myself: &RootRef, state: &mut State, who: ActorCell, why: String) {
        if state.ending || !state.children.iter().any(|child| child.get_id() == who.get_id()) {
            return;
        }
        match state.budget.record(Instant::now(), POLICY) {
            Verdict::RestartAfter(delay) => {
                tracing::error!(reason = why, "one of the root's actors failed; all are replaced");
                self.stop_children(state).await;
                myself.send_after(delay, || Msg::StartChildren);
            }
            Verdict::GiveUp => {
                tracing::error!(reason = why, "the root's actors keep failing; the server ends");
                myself.stop(Some("its actors keep failing".to_owned()));
            }
        }
    }
}
