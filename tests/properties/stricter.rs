//! Current rules can invalidate an approval; they never permit a start that the stored round did
//! not allow, and stricter rules never permit more than before.

use crate::principals::{Oracle, is_enough, yes};
use crate::world::{self, AGENTS, Dice, PEOPLE, ROLES, STRANGERS, World, after, cases, hold, parked, with_approvals};
use parkbrake::domain::policy::{Agent, ApprovalTerms};
use parkbrake::domain::workflow::today::{Standing, Today};
use parkbrake::domain::workflow::transition::{self, Answer};
use parkbrake::domain::workflow::{Event, Status, Workflow};
use std::collections::BTreeSet;
use std::fmt::Debug;

/// The result for a request if somebody approves it now.
fn released_by(world: &World, workflow: &Workflow, name: &str) -> Option<Workflow> {
    let (policy, suspended) = (world.policy(), world.suspensions());
    let answer = Today { policy: &policy, suspended: &suspended, now: chrono::DateTime::UNIX_EPOCH }.decide(workflow, &yes(world, name));
    let Ok(Answer::Commit { events, .. }) = answer else { return None };
    let then = events.into_iter().fold(workflow.clone(), |workflow, event| after(Some(workflow), event));
    (then.status() == Status::Queued).then_some(then)
}

/// Whether the released action may start.
fn may_start(world: &World, workflow: &Workflow) -> bool {
    let (policy, suspended) = (world.policy(), world.suspensions());
    Today { policy: &policy, suspended: &suspended, now: chrono::DateTime::UNIX_EPOCH }.standing(workflow, 1, chrono::DateTime::UNIX_EPOCH)
        == Standing::Holds
}

/// Whether the approvals of a workflow's round are enough by the terms of that round and by all
/// current rules.
fn is_allowed(world: &World, workflow: &Workflow, stored: &ApprovalTerms) -> bool {
    let oracle = Oracle::of(world);
    let today = (!world.auto_approve).then_some(&world.terms);
    let Some(round) = workflow.round() else { return world.auto_approve && oracle.has_rights(&workflow.submission.requested_by) };
    let any = |of: fn(&ApprovalTerms) -> bool| of(stored) || today.is_some_and(of);
    let people = round.approvals.iter().filter_map(|given| {
        let now = oracle.roles(&workflow.submission, round, &given.approver);
        let roles: BTreeSet<String> = now.into_iter().filter(|role| given.roles.contains(role)).collect();
        let says = !any(|terms| terms.require_justification) || given.justification.is_some();
        // Whether an approval included the digest is known only if the round required it.
        let named = !any(|terms| terms.require_digest) || round.terms.require_digest;
        (says && named && !roles.is_empty()).then_some(roles)
    });
    let people: Vec<BTreeSet<String>> = people.collect();
    let required = today.map_or(stored.required, |today| today.required.max(stored.required));
    oracle.has_rights(&workflow.submission.requested_by) && is_enough(any(|terms| terms.distinct_roles), required, &people)
}

/// A stored round, some of whose approvals may not count now.
fn stored(dice: &mut Dice, world: &World) -> (ApprovalTerms, Workflow) {
    let terms = if dice.percent(50) { world.terms.clone() } else { world::terms(dice) };
    let workflow = parked(dice, world, &terms);
    (terms, with_approvals(dice, workflow))
}

fn shown(parts: (&World, &Workflow)) -> Vec<Box<dyn Debug>> {
    vec![Box::new(parts.0.clone()), Box::new(parts.1.clone())]
}

fn nothing_starts_that_the_round_did_not_allow(dice: &mut Dice) -> usize {
    let world = World::draw(dice);
    let (terms, workflow) = stored(dice, &world);
    if workflow.status() == Status::Queued {
        hold(may_start(&world, &workflow) == is_allowed(&world, &workflow, &terms), "it starts exactly if both allow it", || {
            shown((&world, &workflow))
        });
        return 1;
    }
    let names = PEOPLE.into_iter().chain(AGENTS).chain(STRANGERS);
    names
        .map(|name| {
            let Some(then) = released_by(&world, &workflow, name) else { return };
            let case = || shown((&world, &workflow));
            hold(is_allowed(&world, &then, &terms), "what a yes releases is allowed by the stored terms and by today's", case);
            hold(may_start(&world, &then), "and may start, as long as nothing changes", case);
            let alone = transition::decide(&workflow, &yes(&world, name));
            let releases = |event: &Event| matches!(event, Event::Released { .. });
            let by_itself = matches!(alone, Ok(Answer::Commit { events, .. }) if events.iter().any(releases));
            hold(by_itself, "the stored terms alone would have released it as well", case);
        })
        .count()
}

/// The same configuration, but stricter in one respect; none if that respect is already as strict
/// as possible.
fn tightened(dice: &mut Dice, world: &World) -> Option<World> {
    let mut stricter = world.clone();
    let terms = &mut stricter.terms;
    match dice.below(11) {
        0 => drop(stricter.suspended.insert(dice.one(&PEOPLE).to_owned())),
        1 => drop(stricter.suspended.insert(dice.one(&AGENTS).to_owned())),
        2 => drop(stricter.people.remove(dice.one(&PEOPLE))),
        3 => drop(stricter.people.get_mut(dice.one(&PEOPLE))?.roles.remove(dice.one(&ROLES))),
        4 => {
            // One more person for whom an agent acts; the earlier name is still reached through
            // another.
            let agent = stricter.agents.get_mut(dice.one(&AGENTS))?;
            if agent.on_behalf_of.is_some() {
                return None;
            }
            *agent = Agent { on_behalf_of: Some(dice.one(&PEOPLE).to_owned()) };
        }
        5 => terms.required += 1,
        6 => terms.distinct_roles = true,
        7 => terms.require_justification = true,
        8 => terms.require_digest = true,
        9 => terms.separation_of_duties = true,
        _ if world.auto_approve => stricter.auto_approve = false,
        // A role that is no longer asked.
        _ => {
            let role = dice.one(&ROLES);
            terms.approvers.retain(|asked| asked != role);
            terms.escalation.iter_mut().for_each(|step| step.to.retain(|asked| asked != role));
        }
    }
    Some(stricter)
}

fn what_became_stricter_permits_no_more(dice: &mut Dice) -> usize {
    let world = World::draw(dice);
    let (_, workflow) = stored(dice, &world);
    let Some(stricter) = tightened(dice, &world) else { return 0 };
    let case = || -> Vec<Box<dyn Debug>> { vec![Box::new(world.clone()), Box::new(stricter.clone()), Box::new(workflow.clone())] };
    if workflow.status() == Status::Queued {
        hold(!may_start(&stricter, &workflow) || may_start(&world, &workflow), "what starts today would have started before", case);
        return 1;
    }
    let names = PEOPLE.into_iter().chain(AGENTS).chain(STRANGERS);
    names
        .map(|name| {
            let (now, before) = (released_by(&stricter, &workflow, name), released_by(&world, &workflow, name));
            hold(now.is_none() || before.is_some(), "what a yes releases today it would have released before", case);
        })
        .count()
}

#[test]
fn today_never_makes_startable_what_the_stored_round_did_not_allow() {
    cases(30_000, nothing_starts_that_the_round_did_not_allow);
}

#[test]
fn rules_that_become_stricter_never_permit_more() {
    cases(30_000, what_became_stricter_permits_no_more);
}
