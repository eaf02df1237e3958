//! Resolves the policy from what two files say about the levels, and checks that people can satisfy
//! it.

use crate::config::approval_policies::ApprovalPolicies;
use crate::config::risk_rules::{AskedRole, LevelRules, RiskRules};
use crate::domain::duration;
use crate::domain::policy::{ApprovalTerms, EscalationStep, LevelPolicy, Person, Policy, Role, roles};
use crate::domain::risk::level::Level;
use crate::domain::workflow::approval;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Resolves the policy, and notes parts of it that can never happen.
pub fn resolve(rules: &RiskRules<'_>, approvals: &ApprovalPolicies<'_>, notes: &mut Vec<String>) -> Option<Policy> {
    let levels = &rules.levels;
    for (rules, level) in levels.iter().zip(Level::ALL) {
        if rules.as_ref().is_some_and(|rules| rules.auto_approve) {
            nobody_is_asked(level, approvals);
        }
    }
    if approvals.people.is_empty() && rules.asks_somebody() {
        if let Some(at) = &approvals.at {
            at.problem("names no people, so nobody could approve anything; name them under `people`");
        }
        return None;
    }
    let resolved: Vec<_> = Level::ALL.into_iter().filter_map(|level| level_policy(level, levels, approvals)).collect();
    let resolved: [LevelPolicy; 4] = resolved.try_into().ok()?;
    for (policy, level) in resolved.iter().zip(Level::ALL).filter(|(policy, _)| !policy.auto_approve) {
        satisfiable(level, &policy.terms, levels, approvals, notes);
    }
    notes_on_people(&resolved, approvals, notes);
    Some(Policy::new(resolved, approvals.people.clone(), approvals.agents.clone()))
}

fn nobody_is_asked(level: Level, approvals: &ApprovalPolicies<'_>) {
    let written = [
        approvals.policies.get(&level).filter(|terms| terms.is_of_decisions).map(|terms| &terms.entry),
        approvals.escalation.get(&level).map(|chain| &chain.at),
    ];
    for at in written.into_iter().flatten() {
        at.problem(format!(
            "has no effect, because {level} approves itself; leave it out, or set risk_levels.{level}.auto_approve to false"
        ));
    }
}

fn level_policy(level: Level, levels: &[Option<LevelRules<'_>>; 4], approvals: &ApprovalPolicies<'_>) -> Option<LevelPolicy> {
    let rules = levels[level as usize].as_ref()?;
    let terms = approvals.terms(level);
    let terms = Arc::new(ApprovalTerms {
        approvers: held(&rules.approvers, approvals),
        required: terms.required,
        distinct_roles: terms.distinct_roles,
        require_justification: rules.require_justification,
        require_digest: terms.require_digest,
        separation_of_duties: approvals.separation_of_duties,
        escalation: escalation(level, rules, levels, approvals),
        expire_after: terms.expires_after(),
    });
    let written = approvals.terms(level);
    Some(LevelPolicy {
        auto_approve: rules.auto_approve,
        notify: rules.notify,
        terms,
        break_glass: approvals.policies.get(&level).map(|written| held(&written.break_glass, approvals)).unwrap_or_default(),
        remind_every: approvals.remind_every,
        report_within: written.report_within,
        warn_before: written.warn_before,
        rejected_memory: written.rejected_memory,
        goal: written.goal,
        recent_sign_in: written.recent_sign_in,
    })
}

/// The names of these roles. A role that nobody has, and that is not built in, is a problem at the
/// value that names it.
pub(super) fn held(asked: &[AskedRole<'_>], approvals: &ApprovalPolicies<'_>) -> Vec<Role> {
    for AskedRole { role, at } in asked {
        if approvals.people_are_known && !is_known(role, &approvals.people) {
            let known: BTreeSet<_> = approvals.people.values().flat_map(|person| &person.roles).map(String::as_str).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            at.problem(format!("`{role}` is a role that nobody has; give it to somebody under `people`, or name one of: {known}"));
        }
    }
    asked.iter().map(|asked| asked.role.clone()).collect()
}

fn is_known(role: &str, people: &BTreeMap<String, Person>) -> bool {
    [roles::ADMIN, roles::AUDITOR].contains(&role) || people.values().any(|person| person.roles.contains(role))
}

/// The chain as written, or by default the next higher level after `escalate_after`.
fn escalation(
    level: Level,
    rules: &LevelRules<'_>,
    levels: &[Option<LevelRules<'_>>; 4],
    approvals: &ApprovalPolicies<'_>,
) -> Vec<EscalationStep> {
    let never_reached = |after| approvals.terms(level).expires_after().filter(|expires| *expires <= after).map(duration::show);
    if let Some(chain) = approvals.escalation.get(&level) {
        let resolved = chain.steps.iter().map(|step| {
            if let Some(expires) = never_reached(step.after) {
                step.at.problem(format!("is never reached, because requests of this level expire after {expires}; ask earlier"));
            }
            EscalationStep { after: step.after, to: held(&step.to, approvals) }
        });
        return resolved.collect();
    }
    let Some(after) = rules.escalate_after else { return Vec::new() };
    if let (Some(expires), Some(written)) = (never_reached(after), approvals.policies.get(&level)) {
        let after = duration::show(after);
        written.expiry.problem(format!(
            "is {expires}, but only after {after} (risk_levels.{level}.escalate_after) others are asked, so they never are; \
             let it expire later, or ask earlier with a chain under escalation.{level}"
        ));
    }
    let to = match Level::ALL.get(level as usize + 1).map(|next| levels[*next as usize].as_ref()) {
        Some(next) => next.map(|next| next.approvers.iter().map(|asked| asked.role.clone()).collect()).unwrap_or_default(),
        None => vec![roles::ADMIN.to_owned()],
    };
    vec![EscalationStep { after, to }]
}

/// Checks that enough people could approve at all; notes people whose own requests nobody could
/// approve.
fn satisfiable(
    level: Level,
    terms: &ApprovalTerms,
    levels: &[Option<LevelRules<'_>>; 4],
    approvals: &ApprovalPolicies<'_>,
    notes: &mut Vec<String>,
) {
    let people = &approvals.people;
    let asked: BTreeSet<&Role> = terms.approvers.iter().chain(terms.escalation.iter().flat_map(|step| &step.to)).collect();
    // A role that nobody has is reported where it is named; more would only repeat that.
    if asked.is_empty() || !approvals.people_are_known || asked.iter().any(|role| !is_known(role, people)) {
        return;
    }
    let how = if terms.distinct_roles { "people of different roles" } else { "people" };
    let most = most_approvals(terms, &asked, people, None);
    if most < terms.required {
        let at = approvals.policies.get(&level).map(|written| &written.at).or(levels[level as usize].as_ref().map(|rules| &rules.at));
        if let Some(at) = at {
            let asked = asked.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            at.problem(format!(
                "can never be satisfied: {level} needs the approval of {} {how} with one of the roles {asked}, and there could be {most} at \
                 most; give these roles to more people, ask more roles, or require fewer",
                terms.required
            ));
        }
        return;
    }
    if !terms.separation_of_duties {
        return;
    }
    for name in people.keys() {
        if most_approvals(terms, &asked, people, Some(name)) < terms.required {
            let agents: Vec<_> = approvals.agents.iter().filter(|(_, agent)| agent.on_behalf_of.as_ref() == Some(name)).collect();
            let agents: String = agents.into_iter().map(|(agent, _)| format!(" or {agent} on their behalf")).collect();
            notes.push(format!(
                "a {level} task that {name}{agents} submits can never be approved: without {name} there are too few {how} who are asked"
            ));
        }
    }
}

/// The most approvals that could be given if everybody who is ever asked, except for one person,
/// approves.
fn most_approvals(terms: &ApprovalTerms, asked: &BTreeSet<&Role>, people: &BTreeMap<String, Person>, without: Option<&String>) -> u32 {
    let entitled: Vec<Vec<Role>> = people
        .iter()
        .filter(|(name, _)| Some(*name) != without)
        .map(|(_, person)| person.roles.iter().filter(|role| asked.contains(role)).cloned().collect::<Vec<_>>())
        .filter(|roles| !roles.is_empty())
        .collect();
    let count = if terms.distinct_roles {
        let views: Vec<&[Role]> = entitled.iter().map(Vec::as_slice).collect();
        approval::assign_roles(&views).into_iter().flatten().count()
    } else {
        entitled.len()
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Notes about values that are valid but probably unintended.
fn notes_on_people(levels: &[LevelPolicy], approvals: &ApprovalPolicies<'_>, notes: &mut Vec<String>) {
    if levels.iter().all(|level| level.auto_approve) {
        notes.push("every level approves itself, so nothing ever waits for a human".to_owned());
        return;
    }
    for (level, name) in levels.iter().zip(Level::ALL).filter(|(level, _)| !level.break_glass.is_empty()) {
        let roles = level.break_glass.join(", ");
        notes.push(format!(
            "one person with the role {roles} may release what is of {name} risk alone (break_glass); somebody else reviews it afterwards"
        ));
    }
    let people = &approvals.people;
    if !people.values().any(|person| person.roles.contains(roles::ADMIN)) {
        notes.push("nobody has the role admin, so nobody can cancel for others or send a notice again".to_owned());
    }
    if !approvals.separation_of_duties {
        notes.push("separation_of_duties is off, so requesters may approve their own tasks".to_owned());
    }
    let steps = |level: &LevelPolicy| level.terms.escalation.iter().flat_map(|step| step.to.clone()).collect::<Vec<_>>();
    let asked: BTreeSet<Role> =
        levels.iter().flat_map(|level| level.terms.approvers.iter().chain(&level.break_glass).cloned().chain(steps(level))).collect();
    for role in people.values().flat_map(|person| &person.roles).collect::<BTreeSet<_>>() {
        if !asked.contains(role) && ![roles::ADMIN, roles::AUDITOR].contains(&role.as_str()) {
            notes.push(format!("the role {role} is asked at no level; whoever has only that role decides nothing"));
        }
    }
    same_address(people, notes);
}

/// Two names with one address may be one person, who could then approve twice.
fn same_address(people: &BTreeMap<String, Person>, notes: &mut Vec<String>) {
    let mut seen: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for (name, person) in people {
        for (kind, address) in [("email", &person.email), ("slack", &person.slack), ("linear", &person.linear)] {
            let Some(address) = address else { continue };
            if let Some(other) = seen.insert((kind, address.to_ascii_lowercase()), name) {
                notes.push(format!("{other} and {name} have the same {kind} address; one person with two names could approve twice"));
            }
        }
    }
}
