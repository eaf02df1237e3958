//! Which roles may decide a request, and the count of its quorum. `today.rs` decides who may today.

use crate::domain::policy::{ApprovalTerms, Principal, PrincipalKind, Role};
use crate::domain::text::says;
use crate::domain::workflow::{Refusal, Round, Submission, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeSet;

/// The roles that may decide now: those of the level, as configured, then those that were asked
/// since.
pub fn entitled_roles(round: &Round) -> Vec<&Role> {
    let asked = round.terms.escalation.iter().take(round.escalation_level as usize).flat_map(|step| &step.to);
    let mut roles: Vec<&Role> = Vec::new();
    for role in round.terms.approvers.iter().chain(asked) {
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    roles
}

/// Whether this principal may give this verdict on this request, and by which roles.
///
/// # Errors
/// `SelfApproval` for the requester and the person it acts for, `NotAnApprover` if none of the
/// caller's roles is asked.
pub fn may_decide(submission: &Submission, round: &Round, by: &Principal, verdict: Verdict) -> Result<Vec<Role>, Refusal> {
    // A rejection is always safe, so an entitled person may reject even their own request.
    if verdict == Verdict::Approved && round.terms.separation_of_duties {
        separate(submission, by)?;
    }
    roles_of_round(by, round, &entitled_roles(round))
}

/// Checks that the caller is neither the requester nor the person it acts for.
///
/// # Errors
/// `SelfApproval` if the caller is.
pub fn separate(submission: &Submission, by: &Principal) -> Result<(), Refusal> {
    if by.name == submission.requested_by || by.on_behalf_of.as_deref() == Some(submission.requested_by.as_str()) {
        return Err(Refusal::SelfApproval(format!("{} submitted this task; somebody else has to approve it", submission.requested_by)));
    }
    let person = submission.on_behalf_of.as_deref();
    if person.is_some() && (person == Some(by.name.as_str()) || person == by.on_behalf_of.as_deref()) {
        return Err(Refusal::SelfApproval(format!(
            "{} submitted this task on behalf of {}; somebody else has to approve it",
            submission.requested_by,
            person.unwrap_or_default()
        )));
    }
    Ok(())
}

/// The roles by which a principal may decide, if these are asked. `what` says in a refusal what
/// needs the roles.
///
/// # Errors
/// `NotAnApprover` for agents, and for people without any of them.
pub fn roles_of(by: &Principal, what: &str, entitled: &[&Role]) -> Result<Vec<Role>, Refusal> {
    let roles: Vec<Role> = by.roles.iter().filter(|role| entitled.contains(role)).cloned().collect();
    if by.kind == PrincipalKind::Person && !roles.is_empty() {
        return Ok(roles);
    }
    let who = match (by.kind, by.roles.is_empty()) {
        (PrincipalKind::Agent, _) => "an agent never decides".to_owned(),
        (PrincipalKind::Person, true) => "you have no role".to_owned(),
        (PrincipalKind::Person, false) => format!("you are {}", listed(by.roles.iter(), "and")),
    };
    Err(Refusal::NotAnApprover(format!("{what} needs {}; {who}", listed(entitled.iter().copied(), "or"))))
}

/// The same for a round of approval. A person who is asked later learns when.
///
/// # Errors
/// As [`roles_of`].
pub fn roles_of_round(by: &Principal, round: &Round, entitled: &[&Role]) -> Result<Vec<Role>, Refusal> {
    roles_of(by, "it", entitled).map_err(|refusal| match (refusal, asked_later(by, round)) {
        (Refusal::NotAnApprover(why), Some((role, at))) if by.kind == PrincipalKind::Person => {
            Refusal::NotAnApprover(format!("{why}; {role} is asked at {}", at.format("%Y-%m-%d %H:%M UTC")))
        }
        (refusal, _) => refusal,
    })
}

/// The first role of a principal that a later escalation asks, and when.
fn asked_later<'a>(by: &Principal, round: &'a Round) -> Option<(&'a Role, DateTime<Utc>)> {
    let mut later = round.terms.escalation.iter().skip(round.escalation_level as usize);
    let (role, after) = later.find_map(|step| Some((step.to.iter().find(|role| by.roles.contains(*role))?, step.after)))?;
    Some((role, round.opened_at.checked_add_signed(TimeDelta::from_std(after).ok()?)?))
}

/// Roles as a sentence lists them: `a`, `a or b`, `a, b or c`.
fn listed<'a>(roles: impl Iterator<Item = &'a Role>, word: &str) -> String {
    let roles: Vec<&str> = roles.map(String::as_str).collect();
    match roles.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} {word} {last}", before.join(", ")),
        _ => roles.concat(),
    }
}

/// How many more approvals are needed, given the roles of those who have approved.
pub fn remaining(terms: &ApprovalTerms, approvals: &[&[Role]]) -> u32 {
    let counted = if terms.distinct_roles { assign_roles(approvals).into_iter().flatten().count() } else { approvals.len() };
    terms.required.saturating_sub(u32::try_from(counted).unwrap_or(u32::MAX))
}

/// Assigns a different role to as many approvals as possible: a maximum bipartite matching, earlier
/// approvals first.
///
/// A person with two roles may answer for either; the other approvals determine which.
pub fn assign_roles<'a>(approvals: &[&'a [Role]]) -> Vec<Option<&'a Role>> {
    fn augment<'a>(at: usize, approvals: &[&'a [Role]], taken: &mut Vec<(&'a Role, usize)>, seen: &mut BTreeSet<&'a Role>) -> bool {
        for role in approvals[at] {
            if !seen.insert(role) {
                continue;
            }
            match taken.iter().position(|(held, _)| *held == role) {
                None => {
                    taken.push((role, at));
                    return true;
                }
                Some(index) => {
                    let holder = taken[index].1;
                    if augment(holder, approvals, taken, seen) {
                        let index = taken.iter().position(|(held, by)| *held == role && *by == holder).unwrap_or(index);
                        taken[index].1 = at;
                        return true;
                    }
                }
            }
        }
        false
    }
    let mut taken: Vec<(&Role, usize)> = Vec::new();
    for at in 0..approvals.len() {
        augment(at, approvals, &mut taken, &mut BTreeSet::new());
    }
    (0..approvals.len()).map(|at| taken.iter().find(|(_, by)| *by == at).map(|(role, _)| *role)).collect()
}

/// The roles with which one more approval would count towards the quorum.
pub fn open_roles(round: &Round) -> Vec<Role> {
    let given: Vec<&[Role]> = round.approvals.iter().map(|approval| approval.roles.as_slice()).collect();
    let now = remaining(&round.terms, &given);
    entitled_roles(round)
        .into_iter()
        .filter(|role| {
            let one = std::slice::from_ref(*role);
            remaining(&round.terms, &given.iter().copied().chain([one]).collect::<Vec<_>>()) < now
        })
        .cloned()
        .collect()
}

/// A justification as it is stored; `None` for text that is empty without white space and invisible
/// characters.
pub fn justification(text: Option<&str>) -> Option<&str> {
    let text = text?.trim();
    says(text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(lists: &[&[&str]]) -> Vec<Vec<Role>> {
        lists.iter().map(|list| list.iter().map(|role| (*role).to_owned()).collect()).collect()
    }

    fn matched(lists: &[&[&str]]) -> usize {
        let lists = roles(lists);
        let views: Vec<&[Role]> = lists.iter().map(Vec::as_slice).collect();
        let given = assign_roles(&views);
        for (index, role) in given.iter().enumerate() {
            assert!(role.is_none_or(|role| lists[index].contains(role)), "nobody answers for a role that they lack");
        }
        let distinct: BTreeSet<_> = given.iter().flatten().collect();
        assert_eq!(distinct.len(), given.iter().flatten().count(), "no role is given twice");
        distinct.len()
    }

    #[test]
    fn a_person_with_two_roles_leaves_the_scarce_one_to_others() {
        assert_eq!(matched(&[&["cto", "tech_lead"], &["cto"]]), 2);
        assert_eq!(matched(&[&["cto", "tech_lead"], &["tech_lead"], &["cto"]]), 2);
        assert_eq!(matched(&[&["a", "b"], &["b", "c"], &["a"]]), 3);
        assert_eq!(matched(&[&["tech_lead"], &["tech_lead"]]), 1);
        assert_eq!(matched(&[]), 0);
    }

    #[test]
    fn a_justification_needs_visible_text() {
        for empty in ["", "  ", "\u{200b}\u{200b}", "\n\t", "\u{2060}\u{feff} ", "\u{1bca0}", "\u{fffc}\u{1d159}", "\u{a0}\u{2003}"] {
            assert_eq!(justification(Some(empty)), None, "{empty:?}");
        }
        assert_eq!(justification(Some(" agreed ")), Some("agreed"));
        assert_eq!(justification(None), None);
    }
}
