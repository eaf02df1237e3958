//! The approval registry: workflow id → actor. Every decision, cancel and result finds its workflow here, and a parked
//! workflow that is not in memory is woken by the first message for it.
//!
//! At most `max_resident` workflows stay in memory; those that were not asked for the longest leave first. Leaving loses
//! nothing: an actor is a cache of its log.

use crate::actors::exchange::{Answered, Failure};
use crate::actors::workflow::{self, WorkflowRef};
use crate::actors::workflow_supervisor::{self, SupervisorRef};
use crate::domain::workflow::Command;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, MessagingErr, RpcReplyPort};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

pub type RegistryRef = ActorRef<Msg>;

pub enum Msg {
    /// The supervisor, which starts after the registry.
    Supervisor(SupervisorRef),
    /// Take this to its workflow.
    Route {
        id: Uuid,
        command: Box<Command>,
        reply: RpcReplyPort<Result<Answered, Failure>>,
    },
    /// Have a workflow read its log, so that it does what its state obliges to; also one that is in memory, and may be behind.
    Wake {
        id: Uuid,
    },
    Resident {
        id: Uuid,
        actor: WorkflowRef,
    },
    /// An actor that has nothing left to do.
    Leaving {
        id: Uuid,
        actor: WorkflowRef,
    },
    Gone {
        id: Uuid,
        actor: ActorId,
    },
}

pub struct ApprovalRegistry {
    pub max_resident: usize,
}

#[derive(Default)]
pub struct State {
    supervisor: Option<SupervisorRef>,
    residents: HashMap<Uuid, Resident>,
    /// Who was asked when, the longest ago first.
    by_use: BTreeMap<u64, Uuid>,
    uses: u64,
}

struct Resident {
    actor: WorkflowRef,
    used: u64,
}

impl State {
    fn insert(&mut self, id: Uuid, actor: WorkflowRef) {
        self.remove(id);
        self.uses += 1;
        self.by_use.insert(self.uses, id);
        self.residents.insert(id, Resident { actor, used: self.uses });
    }

    fn remove(&mut self, id: Uuid) -> Option<WorkflowRef> {
        let resident = self.residents.remove(&id)?;
        self.by_use.remove(&resident.used);
        Some(resident.actor)
    }

    /// The actor of a workflow in memory, which counts as a use.
    fn touch(&mut self, id: Uuid) -> Option<WorkflowRef> {
        let actor = self.remove(id)?;
        self.insert(id, actor.clone());
        Some(actor)
    }

    /// Forgets this actor; another one of the same workflow stays.
    fn forget(&mut self, id: Uuid, actor: ActorId) {
        if self.residents.get(&id).is_some_and(|resident| resident.actor.get_id() == actor) {
            self.remove(id);
        }
    }

    fn evict(&mut self, max_resident: usize) {
        while self.residents.len() > max_resident {
            let Some((_, id)) = self.by_use.pop_first() else { return };
            if let Some(resident) = self.residents.remove(&id) {
                let _ = resident.actor.cast(workflow::Msg::Leave);
            }
        }
    }
}

impl ApprovalRegistry {
    async fn wake(&self, state: &mut State, id: Uuid) -> Result<WorkflowRef, Failure> {
        let supervisor = state.supervisor.as_ref().ok_or_else(|| Failure::Unavailable("the server is starting".to_owned()))?;
        let actor = match supervisor.call(|reply| workflow_supervisor::Msg::Wake { id, reply }, None).await {
            Ok(CallResult::Success(woken)) => woken?,
            _ => return Err(Failure::Unavailable("the workflow supervisor is being restarted".to_owned())),
        };
        state.insert(id, actor.clone());
        Ok(actor)
    }

    /// Sends a command to its workflow. An actor that has just failed does not take it: then the workflow is woken anew.
    async fn route(&self, state: &mut State, id: Uuid, command: Box<Command>, reply: RpcReplyPort<Result<Answered, Failure>>) {
        let mut message = workflow::Msg::Do(command, reply);
        if let Some(actor) = state.touch(id) {
            match actor.cast(message) {
                Ok(()) => return,
                Err(MessagingErr::SendErr(returned)) => message = returned,
                Err(_) => return,
            }
        }
        match self.wake(state, id).await {
            Ok(actor) => {
                let _ = actor.cast(message);
            }
            Err(failure) => {
                if let workflow::Msg::Do(_, reply) = message {
                    let _ = reply.send(Err(failure));
                }
            }
        }
    }
}

impl Actor for ApprovalRegistry {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Supervisor(supervisor) => state.supervisor = Some(supervisor),
            Msg::Route { id, command, reply } => self.route(state, id, command, reply).await,
            Msg::Wake { id } => {
                let is_told = state.residents.get(&id).is_some_and(|resident| resident.actor.cast(workflow::Msg::Look).is_ok());
                if !is_told {
                    // Whoever cannot be woken now is found again by the next sweep.
                    let _ = self.wake(state, id).await;
                }
            }
            Msg::Resident { id, actor } => {
                if state.residents.get(&id).is_none_or(|resident| resident.actor.get_id() != actor.get_id()) {
                    state.insert(id, actor);
                }
            }
            Msg::Leaving { id, actor } => {
                state.forget(id, actor.get_id());
                let _ = actor.cast(workflow::Msg::Leave);
            }
            Msg::Gone { id, actor } => state.forget(id, actor),
        }
        state.evict(self.max_resident);
        Ok(())
    }
}
