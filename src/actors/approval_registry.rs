//! The approval registry: routes every decision, cancellation and result to its workflow.
//!
//! A workflow that is being acted upon has at most one actor that the registry knows of: jobs that
//! arrive meanwhile wait until it has ended. A parked workflow has no actor. The registry keeps the
//! last actor's state as plain data, so that the next one starts without reading anything. It
//! remembers at most `max_resident` workflows and evicts the least recently used first. Eviction
//! loses nothing, because the remembered state is a copy of what the log says.

use crate::actors::messages::{Job, RegistryRef, Remembered, Start, SupervisorRef, Ticket, ToRegistry, ToSupervisor};
use crate::actors::metrics::Metrics;
use crate::actors::protocol::Failure;
use hashlink::LruCache;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, MessagingErr, SpawnErr};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use uuid::Uuid;

pub struct ApprovalRegistry {
    pub max_resident: usize,
    pub metrics: Arc<Metrics>,
}

pub struct State {
    supervisor: Option<SupervisorRef>,
    working: HashMap<Uuid, Working>,
    parked: LruCache<Uuid, Remembered>,
    tickets: Ticket,
}

/// A workflow with an active actor.
struct Working {
    ticket: Ticket,
    /// The jobs for which the next actor is started.
    waiting: Vec<Job>,
}

impl ApprovalRegistry {
    pub async fn spawn(self, root: ActorCell) -> Result<RegistryRef, SpawnErr> {
        Ok(Actor::spawn_linked(None, self, (), root).await?.0)
    }
}

impl Actor for ApprovalRegistry {
    type Msg = ToRegistry;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<ToRegistry>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State { supervisor: None, working: HashMap::new(), parked: LruCache::new(self.max_resident), tickets: 0 })
    }

    async fn handle(&self, _: ActorRef<ToRegistry>, msg: ToRegistry, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            ToRegistry::Supervisor(supervisor) => state.supervisor = Some(supervisor),
            ToRegistry::Route { id, job } => self.do_next(state, id, job),
            ToRegistry::Wake { id } => self.do_next(state, id, Job::Look),
            ToRegistry::Remember(parked) => {
                for (id, remembered) in parked {
                    if self.has_room(state) && !state.working.contains_key(&id) {
                        self.park(state, id, Some(remembered));
                    }
                }
            }
            ToRegistry::Done { id, ticket, remembered } => self.end(state, id, ticket, remembered),
            ToRegistry::Gone { id, ticket } => self.end(state, id, Some(ticket), None),
        }
        self.metrics.remembered.set(i64::try_from(state.parked.len()).unwrap_or(i64::MAX));
        Ok(())
    }
}

impl ApprovalRegistry {
    /// Starts an actor for a job, or queues the job for the active actor.
    fn do_next(&self, state: &mut State, id: Uuid, job: Job) {
        match state.working.get_mut(&id) {
            Some(working) => working.waiting.push(job),
            None => {
                let remembered = state.parked.remove(&id);
                self.start(state, id, remembered, vec![job]);
            }
        }
    }

    fn start(&self, state: &mut State, id: Uuid, remembered: Option<Remembered>, jobs: Vec<Job>) {
        let Some(supervisor) = &state.supervisor else {
            return refuse(jobs, || Failure::Unavailable("the server is starting".to_owned()));
        };
        state.tickets += 1;
        let ticket = state.tickets;
        match supervisor.cast(ToSupervisor::Start(Start { id, ticket, remembered, jobs })) {
            Ok(()) => drop(state.working.insert(id, Working { ticket, waiting: Vec::new() })),
            Err(MessagingErr::SendErr(ToSupervisor::Start(start))) => {
                refuse(start.jobs, || Failure::Unavailable("the workflow supervisor is being restarted".to_owned()));
            }
            Err(_) => {}
        }
    }

    /// Notes that an actor has ended. If it was the active one, the next one is started if there is
    /// work for it.
    fn end(&self, state: &mut State, id: Uuid, ticket: Option<Ticket>, remembered: Option<Remembered>) {
        match state.working.entry(id) {
            Entry::Occupied(working) if Some(working.get().ticket) == ticket => {
                let waiting = working.remove().waiting;
                if waiting.is_empty() {
                    self.park(state, id, remembered);
                } else {
                    self.start(state, id, remembered, waiting);
                }
            }
            // Another actor is active, and reads the log on its own.
            Entry::Occupied(_) => {}
            Entry::Vacant(_) => self.park(state, id, remembered),
        }
    }

    fn park(&self, state: &mut State, id: Uuid, remembered: Option<Remembered>) {
        if let Some(remembered) = remembered
            && self.max_resident > 0
            && state.parked.peek(&id).is_none_or(|known| known.state.version() <= remembered.state.version())
        {
            state.parked.insert(id, remembered);
        }
    }

    fn has_room(&self, state: &State) -> bool {
        state.parked.len() < self.max_resident
    }
}

fn refuse(jobs: Vec<Job>, failure: impl Fn() -> Failure) {
    jobs.into_iter().for_each(|job| job.refuse(failure()));
}
