//! A model of one workflow and all its participants, which takes one step at a time. The real core
//! makes the decisions: `decide`, `apply`, `obligation`. The model covers who remembers what, which
//! message is where, and what the database answers.
//!
//! The steps are the points at which another step can intervene: a read, a decision, a commit on
//! its way, its execution by PostgreSQL, the answer, and the start of a process.

use chrono::{DateTime, Utc};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Guard};
use parkbrake::domain::workflow::{AttemptId, Event, Recorded, Status, Workflow};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use uuid::Uuid;

pub const ID: Uuid = Uuid::from_u128(7);
/// The servers: the first one acts; the second one takes over.
pub const SERVERS: [Uuid; 2] = [Uuid::from_u128(0xa), Uuid::from_u128(0xb)];
/// The possible actors of the workflow, and their servers. The first server has two: one that is
/// being unloaded, and one that is being loaded.
pub const ACTORS: [usize; 3] = [0, 0, 1];

/// A request to an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// From a person.
    Approve,
    Cancel,
    /// From the runner, with the token of its start.
    Start {
        attempt: u32,
        token: u32,
    },
    Finish {
        attempt: u32,
    },
    Disown {
        attempt: u32,
        token: u32,
    },
    /// Read the log, and fulfill its obligations.
    Look,
}

/// What an actor is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doing {
    Rest,
    Answer {
        ask: Ask,
        is_current: bool,
    },
    /// It fulfills the obligations in its memory, and then goes on.
    Fulfill(Then),
    /// According to the log, this server runs the attempt, but a moment ago its runner did not know
    /// it.
    LookTwice(Then),
    /// Its commit is on its way: for a command, or for an obligation.
    Commits {
        of: Then,
        is_answer: bool,
    },
}

/// What follows an obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    Rest,
    Answer(Ask),
    /// The answer is already known: the state at this version.
    Reply(Ask, usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// How much of the log it remembers; 0 means nothing.
    pub memory: usize,
    pub doing: Doing,
    pub mailbox: Vec<Ask>,
}

/// A turn of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Turn {
    None,
    /// The gate has permitted the start.
    MayStart(u32),
    Starts {
        attempt: u32,
        token: u32,
        is_sent: bool,
    },
    /// Its token is in the log: the process may start.
    Owns {
        attempt: u32,
        token: u32,
    },
    Runs {
        attempt: u32,
        token: u32,
    },
    Ended {
        attempt: u32,
        token: u32,
        is_sent: bool,
    },
    /// Its processes were stopped because the lease was about to lapse.
    Cut {
        attempt: u32,
        token: u32,
        is_sent: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub is_alive: bool,
    /// Whether it may act, according to its own clock.
    pub fence: bool,
    /// Whether its actors are running, which they are from its claim on.
    pub has_begun: bool,
    pub waits: bool,
    pub turn: Turn,
}

/// A commit on its way.
#[derive(Debug, Clone)]
pub struct Flight {
    pub expected: usize,
    pub events: Vec<Event>,
    pub guard: Guard,
    /// What PostgreSQL has answered.
    pub written: Option<Written>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Written {
    Committed,
    Conflict,
    Refused,
}

/// A process of the runbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    pub attempt: u32,
    pub token: u32,
}

#[derive(Debug, Clone)]
pub struct World {
    log: Arc<Vec<(Recorded, Workflow)>>,
    /// How often a server ran something, according to the log, that its runner did not know.
    pub alarms: usize,
    pub actors: [Option<Actor>; 3],
    pub servers: [Server; 2],
    /// The commit that each actor waits for.
    pub flights: [Option<Flight>; 3],
    /// Commits that nobody waits for any more, and that may still succeed.
    pub adrift: Vec<Flight>,
    /// The acting server, according to the database, and whether its lease is valid.
    pub holder: usize,
    pub lease: bool,
    pub runs: Vec<Run>,
    /// Every process that was ever started.
    pub starts: Vec<Run>,
    pub tokens: u32,
    /// The approval was acknowledged.
    pub is_acknowledged: bool,
    /// Calls that people have yet to make.
    pub calls: Vec<Ask>,
    /// Faults, and optional reads, that may still happen.
    pub faults: usize,
    pub flaw: Flaw,
}

/// A possible mistake in the implementation; the exploration has to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Each request for a start has a new token.
    MakesNewTokens,
    /// It starts whatever it may start, and does not check whether it may still act.
    IgnoresTheFence,
    /// After reading the log it answers, and does not fulfill its obligations; and the timer skips
    /// what is queued.
    ForgetsItsObligation,
    /// The runner forgets an attempt before its outcome is recorded.
    LetsGoTooEarly,
}

/// A possible next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Call {
        index: usize,
    },
    Take(usize),
    Think(usize),
    /// PostgreSQL executes the commit that this actor waits for.
    Apply(usize),
    /// PostgreSQL executes a commit that nobody waits for any more.
    ApplyAdrift(usize),
    Hear(usize),
    Gate(usize),
    Begin(usize),
    Send {
        server: usize,
        index: usize,
    },
    Start(usize),
    End(usize),
    /// What runs is stopped, because the fence has fallen.
    CutOff(usize),
    /// A server that has lost the lease ends.
    Halt(usize),
    Renew(usize),
    Claim(usize),
    // Faults.
    GiveUp(usize),
    Evict(usize),
    FenceFalls(usize),
    Lapse,
    Kill(usize),
    Look {
        index: usize,
    },
}

impl Step {
    pub fn is_fault(self) -> bool {
        matches!(self, Self::GiveUp(_) | Self::Evict(_) | Self::FenceFalls(_) | Self::Lapse | Self::Kill(_) | Self::Look { .. })
    }
}

/// An attempt at the only step of the plan.
pub fn attempt(number: u32) -> AttemptId {
    AttemptId { step: 1, number }
}

pub fn token(number: u32) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

impl World {
    pub fn new(opening: Vec<Event>, requester: &str, calls: Vec<Ask>, faults: usize) -> Self {
        let server = |is_first: bool| Server { is_alive: true, fence: is_first, has_begun: is_first, waits: false, turn: Turn::None };
        let actor = Actor { memory: opening.len(), doing: Doing::Fulfill(Then::Rest), mailbox: Vec::new() };
        let mut world = Self {
            log: Arc::default(),
            alarms: 0,
            actors: [Some(actor), None, None],
            servers: [server(true), server(false)],
            flights: [None, None, None],
            adrift: Vec::new(),
            holder: 0,
            lease: true,
            runs: Vec::new(),
            starts: Vec::new(),
            tokens: 0,
            is_acknowledged: false,
            calls,
            faults,
            flaw: Flaw::None,
        };
        world.write(opening, requester);
        world
    }

    /// Two worlds with the same key have the same future.
    pub fn key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (recorded, _) in self.log.iter() {
            recorded.event.name().hash(&mut hasher);
            if let Event::ExecutionStarted { attempt, owner, token, .. } = &recorded.event {
                (attempt, owner, token).hash(&mut hasher);
            }
        }
        for flight in self.flights.iter().flatten().chain(&self.adrift) {
            (flight.expected, flight.written).hash(&mut hasher);
            flight.events.iter().for_each(|event| event.name().hash(&mut hasher));
        }
        (&self.actors, &self.servers, self.holder, self.lease, &self.runs, &self.starts).hash(&mut hasher);
        (self.tokens, self.is_acknowledged, &self.calls, self.faults).hash(&mut hasher);
        hasher.finish()
    }

    pub fn length(&self) -> usize {
        self.log.len()
    }

    /// The state after this many events.
    pub fn state_at(&self, length: usize) -> &Workflow {
        &self.log[length - 1].1
    }

    pub fn state(&self) -> &Workflow {
        self.state_at(self.log.len())
    }

    pub fn log(&self) -> Vec<Recorded> {
        self.log.iter().map(|(recorded, _)| recorded.clone()).collect()
    }

    pub fn write(&mut self, events: Vec<Event>, actor: &str) {
        let log = Arc::make_mut(&mut self.log);
        for event in events {
            let version = u32::try_from(log.len()).expect("few") + 1;
            let recorded = Recorded { version, at: DateTime::<Utc>::UNIX_EPOCH, actor: actor.to_owned(), via: Via::Rest, event };
            let next = transition::apply(ID, log.last().map(|(_, state)| state.clone()), &recorded).expect("an event that can follow");
            log.push((recorded, next));
        }
    }

    /// The timer's repeated work: it finds what waits, and what a server that has ended had begun.
    pub fn sweep(&mut self, server: usize) {
        if self.state().queued().is_some() {
            self.servers[server].waits |= self.flaw != Flaw::ForgetsItsObligation;
        } else if self.state().status() == Status::Executing && !self.knows(server) {
            let index = (0..ACTORS.len()).find(|index| ACTORS[*index] == server).expect("an actor");
            self.tell(index, Ask::Look);
        }
    }

    pub fn knows(&self, server: usize) -> bool {
        self.servers[server].waits || self.servers[server].turn != Turn::None
    }

    /// Whether the runner is starting, or has started, exactly this attempt.
    pub fn holds(&self, server: usize, of: AttemptId, with: Option<Uuid>) -> bool {
        match self.servers[server].turn {
            Turn::None | Turn::MayStart(_) => false,
            Turn::Ended { .. } if self.flaw == Flaw::LetsGoTooEarly => false,
            Turn::Starts { attempt, token: number, .. }
            | Turn::Owns { attempt, token: number }
            | Turn::Runs { attempt, token: number }
            | Turn::Ended { attempt, token: number, .. }
            | Turn::Cut { attempt, token: number, .. } => attempt == of.number && Some(token(number)) == with,
        }
    }

    pub fn actor(&mut self, index: usize) -> &mut Actor {
        self.actors[index].get_or_insert(Actor { memory: 0, doing: Doing::Rest, mailbox: Vec::new() })
    }

    pub fn tell(&mut self, index: usize, ask: Ask) {
        self.actor(index).mailbox.push(ask);
    }
}
