//! Whatever people, agents, roles and suspensions there are: nobody decides their own requests or
//! those of an agent that acts for them; no agent decides; no suspended or unlisted person counts;
//! and roles that have to differ do.
//!
//! The permissions are derived a second time here, by brute force over small sets and without the
//! functions under test.

use crate::world::{self, AGENTS, Dice, PEOPLE, STRANGERS, World, after, cases, hold, parked};
use parkbrake::domain::policy::{ApprovalTerms, Principal, PrincipalKind, SignedIn};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::today::Today;
use parkbrake::domain::workflow::transition::Answer;
use parkbrake::domain::workflow::{Approval, Command, Event, Round, Status, Submission, Verdict, Workflow};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Who has rights, and who acts for whom.
pub struct Oracle<'a> {
    world: &'a World,
    /// Pairs of names in lower case: the first acts for the second, directly or through others.
    acts_for: BTreeSet<(String, String)>,
}

impl<'a> Oracle<'a> {
    pub fn of(world: &'a World) -> Self {
        let lower = str::to_ascii_lowercase;
        let mut acts_for: BTreeSet<(String, String)> =
            world.agents.iter().filter_map(|(agent, declared)| Some((lower(agent), lower(declared.on_behalf_of.as_deref()?)))).collect();
        // Paths of any length: one more step each time, until nothing is new.
        loop {
            let more: Vec<_> = acts_for
                .iter()
                .flat_map(|(one, two)| acts_for.iter().filter(move |(start, _)| start == two).map(|(_, end)| (one.clone(), end.clone())))
                .filter(|pair| !acts_for.contains(pair))
                .collect();
            if more.is_empty() {
                return Self { world, acts_for };
            }
            acts_for.extend(more);
        }
    }

    /// Whether a name has rights at all.
    pub fn has_rights(&self, name: &str) -> bool {
        let listed = self.world.people.contains_key(name) || self.world.agents.contains_key(name);
        listed && !self.world.suspended.iter().any(|suspended| suspended.eq_ignore_ascii_case(name))
    }

    /// Whether a person is the requester, acts for it or is acted for by it, or shares such a
    /// relation with it.
    fn is_related(&self, submission: &Submission, name: &str) -> bool {
        let side = |start: &str| -> BTreeSet<String> {
            let start = start.to_ascii_lowercase();
            let behind = self.acts_for.iter().filter(|(one, _)| *one == start).map(|(_, two)| two.clone());
            behind.chain([start.clone()]).collect()
        };
        let mut theirs = side(&submission.requested_by);
        if let Some(owner) = &submission.on_behalf_of {
            theirs.extend(side(owner));
        }
        !side(name).is_disjoint(&theirs)
    }

    /// The roles by which a person may approve a request now; none if they may not.
    pub fn roles(&self, submission: &Submission, round: &Round, name: &str) -> BTreeSet<String> {
        let today = (!self.world.auto_approve).then_some(&self.world.terms);
        let separate = round.terms.separation_of_duties || today.is_some_and(|today| today.separation_of_duties);
        let Some(person) = self.world.people.get(name).filter(|_| self.has_rights(name)) else { return BTreeSet::new() };
        if separate && self.is_related(submission, name) {
            return BTreeSet::new();
        }
        let ever = |terms: &ApprovalTerms, steps: usize| -> BTreeSet<String> {
            terms.approvers.iter().chain(terms.escalation.iter().take(steps).flat_map(|step| &step.to)).cloned().collect()
        };
        let asked_then = ever(&round.terms, round.escalation_level as usize);
        let asked_today = today.map(|today| ever(today, usize::MAX));
        let counts = |role: &&String| asked_then.contains(*role) && asked_today.as_ref().is_none_or(|asked| asked.contains(*role));
        person.roles.iter().filter(counts).cloned().collect()
    }
}

/// The most people that can each have a role of their own: by trying every combination.
pub fn most(people: &[BTreeSet<String>], taken: &BTreeSet<&str>) -> usize {
    let Some((first, rest)) = people.split_first() else { return 0 };
    let with = first.iter().filter(|role| !taken.contains(role.as_str())).map(|role| {
        let taken = taken.iter().copied().chain([role.as_str()]).collect();
        1 + most(rest, &taken)
    });
    with.max().unwrap_or_default().max(most(rest, taken))
}

/// Whether these approvals are enough.
pub fn is_enough(distinct_roles: bool, required: u32, people: &[BTreeSet<String>]) -> bool {
    let count = if distinct_roles { most(people, &BTreeSet::new()) } else { people.len() };
    count >= required as usize
}

/// An approval with everything that could be required, by whoever claims a name.
pub fn yes(world: &World, name: &str) -> Command {
    let kind = if world.people.contains_key(name) { PrincipalKind::Person } else { PrincipalKind::Agent };
    // An agent, or an unlisted person, claims every role.
    let everything = || world::ROLES.map(str::to_owned).into();
    let roles = world.people.get(name).map_or_else(everything, |person| person.roles.clone());
    let on_behalf_of = world.agents.get(name).and_then(|agent| agent.on_behalf_of.clone());
    Command::Approve {
        by: Principal { name: name.to_owned(), kind, roles, on_behalf_of, via: Via::Rest, signed_in: SignedIn::now(), covers: Vec::new() },
        justification: Some("I looked".to_owned()),
        digest: Some(world::digest().to_string()),
        owner: Uuid::nil(),
    }
}

fn shuffled(dice: &mut Dice) -> Vec<&'static str> {
    let mut names: Vec<&str> = PEOPLE.into_iter().chain(AGENTS).chain(STRANGERS).collect();
    for index in (1..names.len()).rev() {
        names.swap(index, dice.below(index + 1));
    }
    names
}

fn approvals(events: &[Event]) -> Vec<&Approval> {
    events.iter().filter_map(|event| if let Event::Approved(approval) = event { Some(approval) } else { None }).collect()
}

/// Everybody approves, one after the other, a request that is parked under current or other terms;
/// each is one case.
fn everybody_approves(dice: &mut Dice) -> usize {
    let world = World::draw(dice);
    let terms = if dice.percent(60) { world.terms.clone() } else { world::terms(dice) };
    let mut workflow = parked(dice, &world, &terms);
    let first = workflow.round().expect("a round").clone();
    let (policy, suspended, oracle) = (world.policy(), world.suspensions(), Oracle::of(&world));
    let today = Today { policy: &policy, suspended: &suspended, now: chrono::DateTime::UNIX_EPOCH };
    let names = shuffled(dice);
    for name in &names {
        let case = |workflow: &Workflow| -> Vec<Box<dyn std::fmt::Debug>> {
            vec![Box::new((*name).to_owned()), Box::new(world.clone()), Box::new(workflow.clone())]
        };
        hold(today.principal(name).is_ok() == oracle.has_rights(name), "rights are those of the lists and the suspensions", || {
            case(&workflow)
        });
        if workflow.status() != Status::PendingApproval {
            continue;
        }
        let round = workflow.round().expect("a round").clone();
        let submission = workflow.submission.clone();
        let roles = oracle.roles(&submission, &round, name);
        let Command::Approve { by, .. } = yes(&world, name) else { unreachable!("a yes") };
        let may = today.may_decide(&submission, &round, &by, Verdict::Approved);
        hold(may.clone().is_ok() != roles.is_empty(), "who may approve is who the rules entitle", || case(&workflow));
        if let Ok(found) = &may {
            hold(found.iter().cloned().collect::<BTreeSet<_>>() == roles, "and by the roles that are asked, then and today", || {
                case(&workflow)
            });
        }
        let Ok(Answer::Commit { events, .. }) = today.decide(&workflow, &yes(&world, name)) else { continue };
        for approval in approvals(&events) {
            hold(approval.approver == *name && !roles.is_empty(), "an approval is of whoever may give it", || case(&workflow));
        }
        hold(oracle.has_rights(&submission.requested_by), "what nobody with rights asked for is not approved", || case(&workflow));
        let before = workflow.clone();
        workflow = events.into_iter().fold(workflow, |workflow, event| after(Some(workflow), event));
        let again = today.decide(&workflow, &yes(&world, name));
        hold(matches!(again, Ok(Answer::Repeat(_))), "the same yes once more changes nothing", || case(&before));
        if workflow.status() == Status::Queued {
            let round = workflow.round().expect("a round");
            let people: Vec<_> = round.approvals.iter().map(|given| oracle.roles(&submission, round, &given.approver)).collect();
            let (required, distinct) = strictest(&world, &terms);
            let different: BTreeSet<_> = round.approvals.iter().map(|given| given.approver.to_ascii_lowercase()).collect();
            hold(different.len() == people.len(), "nobody counts twice", || case(&before));
            hold(people.iter().all(|roles| !roles.is_empty()), "everybody who counts may", || case(&before));
            hold(is_enough(distinct, required, &people), "what is released has as many approvals as it needs", || case(&before));
        }
    }
    // Nobody who may approve is refused: with everybody willing it is released exactly if that is
    // possible.
    let could = oracle.has_rights(&workflow.submission.requested_by) && {
        let (required, distinct) = strictest(&world, &terms);
        let people: Vec<_> =
            names.iter().map(|name| oracle.roles(&workflow.submission, &first, name)).filter(|roles| !roles.is_empty()).collect();
        is_enough(distinct, required, &people)
    };
    hold((workflow.status() == Status::Queued) == could, "it is released exactly if enough people may approve it", || {
        vec![Box::new(world.clone()), Box::new(workflow.clone())]
    });
    names.len()
}

/// The stricter of a request's terms and the current ones, if anybody is asked now.
fn strictest(world: &World, terms: &ApprovalTerms) -> (u32, bool) {
    let today = (!world.auto_approve).then_some(&world.terms);
    let required = today.map_or(terms.required, |today| today.required.max(terms.required));
    (required, terms.distinct_roles || today.is_some_and(|today| today.distinct_roles))
}

#[test]
fn nobody_decides_what_is_their_own_and_only_people_with_rights_and_roles_count() {
    cases(60_000, everybody_approves);
}
