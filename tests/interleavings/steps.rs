//! The possible next steps of the model, and their effects.

use super::model::{ACTORS, Ask, Doing, Flaw, Run, Server, Step, Then, Turn, World};

impl World {
    /// Every possible next step.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (index, actor) in self.actors.iter().enumerate() {
            let server = &self.servers[ACTORS[index]];
            let may_be = server.is_alive && server.has_begun;
            if may_be && !self.calls.is_empty() {
                steps.push(Step::Call { index });
            }
            if self.faults > 0 && may_be {
                steps.push(Step::Look { index });
            }
            let Some(actor) = actor else { continue };
            match actor.doing {
                Doing::Rest if actor.mailbox.is_empty() => steps.extend((self.faults > 0).then_some(Step::Evict(index))),
                Doing::Rest => steps.push(Step::Take(index)),
                Doing::Commits { .. } => {
                    let is_written = self.flights[index].as_ref().is_some_and(|flight| flight.written.is_some());
                    steps.push(if is_written { Step::Hear(index) } else { Step::Apply(index) });
                    steps.extend((self.faults > 0).then_some(Step::GiveUp(index)));
                }
                _ => steps.push(Step::Think(index)),
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
                let actors = (0..ACTORS.len()).filter(|index| ACTORS[*index] == number);
                steps.extend(actors.map(|index| Step::Send { server: number, index }));
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
            // Somebody has to be left to go on.
            steps.extend((number == 0).then_some(Step::Kill(number)));
        }
    }

    /// Takes one step.
    #[track_caller]
    pub fn take(&mut self, step: Step) {
        self.faults -= usize::from(step.is_fault());
        match step {
            Step::Call { index } => {
                let ask = self.calls.remove(0);
                self.tell(index, ask);
            }
            Step::Look { index } => self.tell(index, Ask::Look),
            Step::Take(index) => {
                let length = self.length();
                let actor = self.actor(index);
                let ask = actor.mailbox.remove(0);
                actor.doing = match ask {
                    Ask::Look => Doing::Fulfill(Then::Rest),
                    ask => Doing::Answer { ask, is_current: false },
                };
                if ask == Ask::Look {
                    actor.memory = length;
                }
            }
            Step::Think(index) => self.think(index),
            Step::Apply(index) => {
                if let Some(flight) = self.flights[index].take() {
                    self.flights[index] = Some(self.apply(flight));
                }
            }
            Step::ApplyAdrift(number) => {
                let flight = self.adrift.remove(number);
                self.apply(flight);
            }
            Step::Hear(index) => self.hear(index),
            Step::GiveUp(index) => self.lose(index),
            Step::Evict(index) => self.actors[index] = None,
            Step::Kill(server) | Step::Halt(server) => {
                let is_halt = matches!(step, Step::Halt(_));
                // A server that ends on its own stops what it runs; one that is killed leaves it
                // behind.
                if let (true, Turn::Runs { attempt, token }) = (is_halt, self.servers[server].turn) {
                    self.runs.retain(|run| *run != Run { attempt, token });
                }
                for index in (0..ACTORS.len()).filter(|index| ACTORS[*index] == server) {
                    self.lose(index);
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
            Step::Gate(server) => match self.state().queued() {
                Some(attempt) => self.servers[server].turn = Turn::MayStart(attempt.number),
                None => self.servers[server].waits = false,
            },
            Step::Begin(server) => {
                if let Turn::MayStart(attempt) = self.servers[server].turn {
                    self.tokens += 1;
                    self.servers[server].turn = Turn::Starts { attempt, token: self.tokens, is_sent: false };
                }
            }
            Step::Send { server, index } => self.send(server, index),
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
}
