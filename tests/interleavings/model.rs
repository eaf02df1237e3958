//! One workflow and everybody who works on it, as a model that takes one step at a time. What is decided is decided by the real core:
//! `decide`, `apply`, `obligation`. What is modelled is who remembers what, which message is where, and what the database answers.
//!
//! The steps are those at which another step may come between: a read, a decision, a commit that is on its way, the moment at which
//! PostgreSQL carries it out, the answer, a process that starts.

use chrono::{DateTime, Utc};
use parkbrake::domain::transition::{self, Guard};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::{Event, Phase, Recorded, Workflow};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use uuid::Uuid;

pub const ID: Uuid = Uuid::from_u128(7);
/// The servers: the first one acts; the second one takes over.
pub const SERVERS: [Uuid; 2] = [Uuid::from_u128(0xa), Uuid::from_u128(0xb)];
/// Where actors of the workflow may be, and whose they are. The first server has two: one that leaves memory, and one that comes.
pub const PLACES: [usize; 3] = [0, 0, 1];

/// What is asked of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// By a person.
    Approve,
    Cancel,
    /// By the runner, with the token of its start.
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
    /// Read the log, and do what it obliges to.
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
    /// It does what its memory obliges to; then it goes on.
    Fulfil(Then),
    /// The log says that this server runs the attempt, and its runner did not know of it a moment ago.
    LookTwice(Then),
    /// Its commit is on its way: of a command, or of what its memory obliged it to.
    Commits {
        of: Then,
        is_answer: bool,
    },
}

/// What comes after an obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    Rest,
    Answer(Ask),
    /// The answer is known already: the state at this version.
    Reply(Ask, usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Actor {
    /// How much of the log it remembers; 0 is nothing.
    pub memory: usize,
    pub doing: Doing,
    pub mailbox: Vec<Ask>,
}

/// A turn of a runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Turn {
    None,
    /// The gate had no objection.
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
    /// Its processes were ended because the lease was about to lapse.
    Cut {
        attempt: u32,
        token: u32,
        is_sent: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub is_alive: bool,
    /// Whether it may act, by its own clock.
    pub fence: bool,
    /// Whether its crew is at work, which it is from its claim on.
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
    /// How often a server was said to run what its runner knows nothing of.
    pub alarms: usize,
    pub actors: [Option<Actor>; 3],
    pub servers: [Server; 2],
    /// The commit that each actor waits for.
    pub flights: [Option<Flight>; 3],
    /// Commits that nobody waits for any more, and that may still come through.
    pub adrift: Vec<Flight>,
    /// The server that acts, as the database has it, and whether its lease holds.
    pub holder: usize,
    pub lease: bool,
    pub runs: Vec<Run>,
    /// Every start of a process there ever was.
    pub starts: Vec<Run>,
    pub tokens: u32,
    /// The approval was answered with a yes.
    pub is_acknowledged: bool,
    /// Calls that people still make.
    pub calls: Vec<Ask>,
    /// Faults, and looks that nobody has to wait for, that may still happen.
    pub faults: usize,
    pub flaw: Flaw,
}

/// A mistake that the hands could make; the exploration has to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Each time the start is asked for, there is another token.
    MakesTokensAnew,
    /// It starts what it may start, and does not look whether it still may act.
    IgnoresTheFence,
    /// After it has read the log it answers, and does not do what the log obliges to; and the timer passes by what is queued.
    ForgetsItsObligation,
    /// The runner lets go of an attempt before its outcome is recorded.
    LetsGoTooEarly,
}

/// What may happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Call {
        place: usize,
    },
    Take(usize),
    Think(usize),
    /// PostgreSQL carries out what this actor waits for.
    Apply(usize),
    /// It carries out what nobody waits for any more.
    ApplyAdrift(usize),
    Hear(usize),
    Gate(usize),
    Begin(usize),
    Send {
        server: usize,
        place: usize,
    },
    Start(usize),
    End(usize),
    /// What runs is ended, because the fence has fallen.
    CutOff(usize),
    /// Whoever has lost the lease ends.
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
        place: usize,
    },
}

impl Step {
    pub fn is_fault(self) -> bool {
        matches!(self, Self::GiveUp(_) | Self::Evict(_) | Self::FenceFalls(_) | Self::Lapse | Self::Kill(_) | Self::Look { .. })
    }
}

pub fn token(number: u32) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

impl World {
    pub fn new(opening: Vec<Event>, requester: &str, calls: Vec<Ask>, faults: usize) -> Self {
        let server = |is_first: bool| Server { is_alive: true, fence: is_first, has_begun: is_first, waits: false, turn: Turn::None };
        let actor = Actor { memory: opening.len(), doing: Doing::Fulfil(Then::Rest), mailbox: Vec::new() };
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

    /// The state after so many events.
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

    /// Everything that may happen next.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (place, actor) in self.actors.iter().enumerate() {
            let server = &self.servers[PLACES[place]];
            let may_be = server.is_alive && server.has_begun;
            if may_be && !self.calls.is_empty() {
                steps.push(Step::Call { place });
            }
            if self.faults > 0 && may_be {
                steps.push(Step::Look { place });
            }
            let Some(actor) = actor else { continue };
            match actor.doing {
                Doing::Rest if actor.mailbox.is_empty() => steps.extend((self.faults > 0).then_some(Step::Evict(place))),
                Doing::Rest => steps.push(Step::Take(place)),
                Doing::Commits { .. } => {
                    let is_written = self.flights[place].as_ref().is_some_and(|flight| flight.written.is_some());
                    steps.push(if is_written { Step::Hear(place) } else { Step::Apply(place) });
                    steps.extend((self.faults > 0).then_some(Step::GiveUp(place)));
                }
                _ => steps.push(Step::Think(place)),
            }
        }
        steps.extend((0..self.adrift.len()).map(Step::ApplyAdrift));
        for (number, server) in self.servers.iter().enumerate() {
            self.steps_of(number, server, &mut steps);
        }
        if self.faults > 0 && self.lease && !self.servers[self.holder].fence && self.servers[self.holder].is_alive {
            steps.push(Step::Lapse);
        }
        steps
    }

    fn steps_of(&self, number: usize, server: &Server, steps: &mut Vec<Step>) {
        let holds = self.holder == number;
        if !server.is_alive {
            return;
        }
        let may_claim = !holds && !server.has_begun && (!self.lease || !self.servers[self.holder].is_alive);
        steps.extend(may_claim.then_some(Step::Claim(number)));
        if !server.has_begun {
            return;
        }
        match server.turn {
            Turn::None if server.waits && server.fence => steps.push(Step::Gate(number)),
            Turn::None => {}
            Turn::MayStart(_) => steps.push(Step::Begin(number)),
            Turn::Owns { .. } if server.fence || self.flaw == Flaw::IgnoresTheFence => steps.push(Step::Start(number)),
            Turn::Runs { .. } => steps.push(if server.fence { Step::End(number) } else { Step::CutOff(number) }),
            Turn::Cut { is_sent: false, .. } if !server.fence => {}
            Turn::Starts { is_sent: false, .. } | Turn::Ended { is_sent: false, .. } | Turn::Cut { is_sent: false, .. } => {
                let places = (0..PLACES.len()).filter(|place| PLACES[*place] == number);
                steps.extend(places.map(|place| Step::Send { server: number, place }));
            }
            Turn::Owns { .. } | Turn::Starts { .. } | Turn::Ended { .. } | Turn::Cut { .. } => {}
        }
        if !holds {
            steps.push(Step::Halt(number));
        } else if !server.fence || !self.lease {
            steps.push(Step::Renew(number));
        }
        if self.faults > 0 {
            steps.extend((server.fence && holds).then_some(Step::FenceFalls(number)));
            // Somebody has to be left who goes on.
            steps.extend((number == 0).then_some(Step::Kill(number)));
        }
    }

    /// Does one step.
    pub fn take(&mut self, step: Step) {
        self.faults -= usize::from(step.is_fault());
        match step {
            Step::Call { place } => {
                let ask = self.calls.remove(0);
                self.tell(place, ask);
            }
            Step::Look { place } => self.tell(place, Ask::Look),
            Step::Take(place) => {
                let length = self.length();
                let actor = self.actor(place);
                let ask = actor.mailbox.remove(0);
                actor.doing = match ask {
                    Ask::Look => Doing::Fulfil(Then::Rest),
                    ask => Doing::Answer { ask, is_current: false },
                };
                if ask == Ask::Look {
                    actor.memory = length;
                }
            }
            Step::Think(place) => self.think(place),
            Step::Apply(place) => {
                if let Some(flight) = self.flights[place].take() {
                    self.flights[place] = Some(self.apply(flight));
                }
            }
            Step::ApplyAdrift(number) => {
                let flight = self.adrift.remove(number);
                self.apply(flight);
            }
            Step::Hear(place) => self.hear(place),
            Step::GiveUp(place) => self.lose(place),
            Step::Evict(place) => self.actors[place] = None,
            Step::Kill(server) | Step::Halt(server) => {
                let is_halt = matches!(step, Step::Halt(_));
                // A server that ends by itself ends what it runs; one that is killed leaves it behind.
                if let (true, Turn::Runs { attempt, token }) = (is_halt, self.servers[server].turn) {
                    self.runs.retain(|run| *run != Run { attempt, token });
                }
                for place in (0..PLACES.len()).filter(|place| PLACES[*place] == server) {
                    self.lose(place);
                }
                self.servers[server] = Server { is_alive: false, fence: false, has_begun: false, waits: false, turn: Turn::None };
            }
            Step::FenceFalls(server) => self.servers[server].fence = false,
            Step::Lapse => self.lease = false,
            Step::Renew(server) => (self.lease, self.servers[server].fence) = (true, true),
            Step::Claim(server) => {
                assert!(!self.servers[self.holder].fence, "the fence falls before the lease does");
                (self.holder, self.lease) = (server, true);
                self.servers[server].fence = true;
                self.servers[server].has_begun = true;
                self.sweep(server);
            }
            Step::Gate(server) => match self.state().phase {
                Phase::Queued { attempt, .. } => self.servers[server].turn = Turn::MayStart(attempt),
                _ => self.servers[server].waits = false,
            },
            Step::Begin(server) => {
                if let Turn::MayStart(attempt) = self.servers[server].turn {
                    self.tokens += 1;
                    self.servers[server].turn = Turn::Starts { attempt, token: self.tokens, is_sent: false };
                }
            }
            Step::Send { server, place } => self.send(server, place),
            Step::Start(server) => {
                if let Turn::Owns { attempt, token } = self.servers[server].turn {
                    if attempt > 1 {
                        self.runs.clear();
                    }
                    self.runs.push(Run { attempt, token });
                    self.starts.push(Run { attempt, token });
                    self.servers[server].turn = Turn::Runs { attempt, token };
                }
            }
            Step::End(server) | Step::CutOff(server) => {
                if let Turn::Runs { attempt, token } = self.servers[server].turn {
                    self.runs.retain(|run| *run != Run { attempt, token });
                    let is_cut = matches!(step, Step::CutOff(_));
                    let is_sent = false;
                    self.servers[server].turn =
                        if is_cut { Turn::Cut { attempt, token, is_sent } } else { Turn::Ended { attempt, token, is_sent } };
                }
            }
        }
    }

    /// What the timer does again and again: it finds what waits, and what was begun by somebody who is gone.
    pub fn sweep(&mut self, server: usize) {
        match self.state().phase {
            Phase::Queued { .. } => self.servers[server].waits |= self.flaw != Flaw::ForgetsItsObligation,
            Phase::Executing { .. } if !self.knows(server) => {
                let place = (0..PLACES.len()).find(|place| PLACES[*place] == server).expect("a place");
                self.tell(place, Ask::Look);
            }
            _ => {}
        }
    }

    pub fn knows(&self, server: usize) -> bool {
        self.servers[server].waits || self.servers[server].turn != Turn::None
    }

    /// Whether the runner starts, or has started, this very attempt.
    pub fn holds(&self, server: usize, of: u32, with: Option<Uuid>) -> bool {
        match self.servers[server].turn {
            Turn::None | Turn::MayStart(_) => false,
            Turn::Ended { .. } if self.flaw == Flaw::LetsGoTooEarly => false,
            Turn::Starts { attempt, token: number, .. }
            | Turn::Owns { attempt, token: number }
            | Turn::Runs { attempt, token: number }
            | Turn::Ended { attempt, token: number, .. }
            | Turn::Cut { attempt, token: number, .. } => attempt == of && Some(token(number)) == with,
        }
    }

    pub fn actor(&mut self, place: usize) -> &mut Actor {
        self.actors[place].get_or_insert(Actor { memory: 0, doing: Doing::Rest, mailbox: Vec::new() })
    }

    pub fn tell(&mut self, place: usize, ask: Ask) {
        self.actor(place).mailbox.push(ask);
    }
}
