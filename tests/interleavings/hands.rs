//! What the model's actors do with a message, and the results of their commits: the steps of
//! `actors/workflow.rs` and `actors/runner.rs`, one at a time.

use super::model::{ACTORS, Actor, Ask, Doing, Flaw, Flight, SERVERS, Then, Turn, World, Written, attempt, token};
use parkbrake::domain::policy::{Principal, PrincipalKind, SYSTEM, SignedIn};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Answer, Guard, Obligation};
use parkbrake::domain::workflow::{Command, Disowned, Event, Outcome, Workflow};
use uuid::Uuid;

fn person(name: &str, role: &str) -> Principal {
    Principal {
        name: name.to_owned(),
        kind: PrincipalKind::Person,
        roles: [role.to_owned()].into(),
        on_behalf_of: None,
        via: Via::Rest,
        signed_in: SignedIn::now(),
        covers: Vec::new(),
    }
}

/// The token of the running attempt.
pub fn runs_with(state: &Workflow) -> Option<Uuid> {
    state.steps.iter().find_map(|step| step.running()?.token)
}

/// The obligation of a server for the only step of the plan.
fn obligation(state: &Workflow, server: usize) -> Option<Obligation> {
    transition::obligations(state, SERVERS[server]).into_iter().next()
}

impl Ask {
    fn command(self, server: usize) -> Command {
        match self {
            Self::Approve => Command::Approve { by: person("alice", "lead"), justification: None, digest: None, owner: SERVERS[server] },
            Self::Cancel => Command::Cancel { by: person("cora", "admin"), reason: None },
            Self::Start { attempt: number, token: with } => {
                Command::Start { attempt: attempt(number), owner: SERVERS[server], token: token(with), renewed: None }
            }
            Self::Finish { attempt: number } => Command::Finish { attempt: attempt(number), outcome: Outcome::Succeeded { output: None } },
            Self::Disown { attempt: number, token: with } => {
                Command::Disown { attempt: attempt(number), token: Some(token(with)), cause: Disowned::LeaseLapsing }
            }
            Self::Look => Command::Recover { attempt: attempt(1), owner: SERVERS[server] },
        }
    }
}

impl World {
    pub fn think(&mut self, index: usize) {
        let server = ACTORS[index];
        let Actor { memory, doing, .. } = self.actor(index).clone();
        match doing {
            Doing::Answer { is_current: false, ask } if memory == 0 => self.look(index, Then::Answer(ask)),
            Doing::Answer { ask, is_current } => match transition::decide(self.state_at(memory), &ask.command(server)) {
                Ok(Answer::Commit { events, guard }) => self.commit(index, memory, events, guard, Then::Answer(ask), true),
                Err(_) | Ok(Answer::Nothing) if !is_current => self.look(index, Then::Answer(ask)),
                // Repeating the same person's same decision succeeds; so does a call that has
                // nothing to do.
                answer => {
                    self.reply(server, ask, answer.is_ok().then(|| self.state_at(memory).clone()).as_ref());
                    self.actor(index).doing = Doing::Rest;
                }
            },
            Doing::Fulfill(then) => match obligation(self.state_at(memory), server) {
                Some(Obligation::Queue { .. }) => {
                    self.servers[server].waits |= !self.knows(server);
                    self.go_on(index, then);
                }
                Some(Obligation::Attend { attempt, token } | Obligation::End { attempt, token }) if !self.holds(server, attempt, token) => {
                    self.actor(index).doing = Doing::LookTwice(then);
                }
                // The remains of a cancelled attempt are ended beside the actor, which then gets
                // the same request.
                Some(Obligation::Recover { attempt } | Obligation::Clear { attempt }) => {
                    self.oblige(index, memory, &Command::Recover { attempt, owner: SERVERS[server] }, then);
                }
                _ => self.go_on(index, then),
            },
            Doing::LookTwice(then) if self.length() != memory => self.look(index, then),
            Doing::LookTwice(then) => {
                if let Some(Obligation::Attend { attempt, token } | Obligation::End { attempt, token }) =
                    obligation(self.state_at(memory), server)
                {
                    self.alarms += 1;
                    self.oblige(index, memory, &Command::Disown { attempt, token, cause: Disowned::NotHere }, then);
                }
            }
            Doing::Rest | Doing::Commits { .. } => {}
        }
    }

    /// Reads the log, and fulfills its obligations before it goes on.
    fn look(&mut self, index: usize, then: Then) {
        let length = self.length();
        self.actor(index).memory = length;
        match self.flaw {
            Flaw::ForgetsItsObligation => self.go_on(index, then),
            _ => self.actor(index).doing = Doing::Fulfill(then),
        }
    }

    fn go_on(&mut self, index: usize, then: Then) {
        let doing = match then {
            Then::Rest => Doing::Rest,
            Then::Answer(ask) => Doing::Answer { ask, is_current: true },
            Then::Reply(ask, version) => {
                let state = self.state_at(version).clone();
                self.reply(ACTORS[index], ask, Some(&state));
                Doing::Rest
            }
        };
        self.actor(index).doing = doing;
    }

    fn oblige(&mut self, index: usize, memory: usize, command: &Command, then: Then) {
        match transition::decide(self.state_at(memory), command) {
            Ok(Answer::Commit { events, guard }) => self.commit(index, memory, events, guard, then, false),
            _ => self.go_on(index, then),
        }
    }

    fn commit(&mut self, index: usize, expected: usize, events: Vec<Event>, guard: Guard, of: Then, is_answer: bool) {
        self.flights[index] = Some(Flight { expected, events, guard, written: None });
        self.actor(index).doing = Doing::Commits { of, is_answer };
    }

    /// PostgreSQL executes a commit, whether or not anybody still waits for it, if the version is
    /// the next one and the leases are valid.
    pub fn apply(&mut self, flight: Flight) -> Flight {
        let holds = |owner| self.lease && SERVERS[self.holder] == owner;
        let is_fenced = flight.events.iter().any(|event| match event {
            Event::ExecutionStarted { owner, token: Some(_), .. } => !holds(*owner),
            _ => false,
        });
        let written = if flight.expected != self.length() {
            Written::Conflict
        } else if is_fenced || flight.guard.lapsed.is_some_and(holds) {
            Written::Refused
        } else {
            Written::Committed
        };
        if written == Written::Committed {
            let by = match flight.events.first() {
                Some(Event::Approved(approval)) => approval.approver.clone(),
                Some(Event::Cancelled { .. } | Event::CancelRequested { .. }) => "cora".to_owned(),
                _ => SYSTEM.to_owned(),
            };
            self.write(flight.events.clone(), &by);
        }
        Flight { written: Some(written), ..flight }
    }

    pub fn hear(&mut self, index: usize) {
        let Doing::Commits { of, is_answer } = self.actor(index).doing else { return };
        let Some(Flight { expected, events, written, .. }) = self.flights[index].take() else { return };
        let version = expected + events.len();
        match (written, of) {
            (Some(Written::Committed), of) => {
                let then = match (is_answer, of) {
                    (true, Then::Answer(ask)) => Then::Reply(ask, version),
                    (_, of) => of,
                };
                let actor = self.actor(index);
                (actor.memory, actor.doing) = (version, Doing::Fulfill(then));
            }
            (Some(Written::Refused), Then::Answer(ask)) if is_answer => {
                self.reply(ACTORS[index], ask, None);
                self.actor(index).doing = Doing::Rest;
            }
            // The owner of the attempt acts again: there is nothing to take over.
            (Some(Written::Refused), of) => self.go_on(index, of),
            (_, of) => self.look(index, of),
        }
    }

    /// Answers the caller with the state, or with the fact that there is no answer.
    fn reply(&mut self, server: usize, ask: Ask, state: Option<&Workflow>) {
        let turn = &mut self.servers[server].turn;
        match (ask, *turn) {
            (Ask::Approve, _) => self.is_acknowledged |= state.is_some(),
            (Ask::Start { token: asked, .. }, Turn::Starts { attempt, token: number, .. }) if asked == number => {
                let is_mine = |state: &Workflow| runs_with(state) == Some(token(number));
                match state {
                    None => *turn = Turn::Starts { attempt, token: number, is_sent: false },
                    Some(state) if is_mine(state) => *turn = Turn::Owns { attempt, token: number },
                    Some(_) => self.forget(server),
                }
            }
            (Ask::Finish { .. }, Turn::Ended { attempt, token, .. }) => match state {
                None => *turn = Turn::Ended { attempt, token, is_sent: false },
                Some(_) => self.forget(server),
            },
            (Ask::Disown { .. }, Turn::Cut { attempt, token, .. }) => match state {
                None => *turn = Turn::Cut { attempt, token, is_sent: false },
                Some(_) => self.forget(server),
            },
            _ => {}
        }
    }

    /// The turn is over, and the runner forgets the workflow.
    fn forget(&mut self, server: usize) {
        (self.servers[server].turn, self.servers[server].waits) = (Turn::None, false);
    }

    /// An actor ends; its callers learn that there are no answers. Its commit may still succeed.
    pub fn lose(&mut self, index: usize) {
        let Some(actor) = self.actors[index].take() else { return };
        self.adrift.extend(self.flights[index].take().filter(|flight| flight.written.is_none()));
        let then = match actor.doing {
            Doing::Commits { of, .. } => of,
            Doing::Fulfill(then) | Doing::LookTwice(then) => then,
            Doing::Answer { ask, .. } => Then::Answer(ask),
            Doing::Rest => Then::Rest,
        };
        let asked = match then {
            Then::Answer(ask) | Then::Reply(ask, _) => Some(ask),
            Then::Rest => None,
        };
        for ask in asked.into_iter().chain(actor.mailbox) {
            self.reply(ACTORS[index], ask, None);
        }
    }

    pub fn send(&mut self, server: usize, index: usize) {
        let makes_new = self.flaw == Flaw::MakesNewTokens;
        let turn = &mut self.servers[server].turn;
        let ask = match *turn {
            Turn::Starts { attempt, token, .. } => {
                self.tokens += u32::from(makes_new);
                let token = if makes_new { self.tokens } else { token };
                *turn = Turn::Starts { attempt, token, is_sent: true };
                Ask::Start { attempt, token }
            }
            Turn::Ended { attempt, token, .. } => {
                *turn = Turn::Ended { attempt, token, is_sent: true };
                Ask::Finish { attempt }
            }
            Turn::Cut { attempt, token, .. } => {
                *turn = Turn::Cut { attempt, token, is_sent: true };
                Ask::Disown { attempt, token }
            }
            _ => return,
        };
        self.tell(index, ask);
    }
}
