//! Covering for people who are away.

use super::*;
use crate::domain::policy::{Away, Cover};
use chrono::TimeDelta;

fn minute(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

/// Somebody is away for an hour.
fn away(setting: &mut Setting, name: &str, cover: &str) {
    setting.people.get_mut(name).unwrap().away = Some(Away { until: minute(60), cover: cover.to_owned() });
}

/// One approval is enough. Ann, a lead, is away for an hour, and dan, who has no role, covers for
/// her.
fn covered() -> Setting {
    Setting::first().changed(|s| {
        s.terms.required = 1;
        s.people.insert("dan".to_owned(), Person::default());
        s.people.insert("eve".to_owned(), Person::default());
        away(s, "ann", "dan");
    })
}

fn asks(setting: &Setting, workflow: &Workflow, name: &str) -> Result<Answer, Refusal> {
    setting.with(|today| today.decide(workflow, &yes(today, name, None)))
}

#[test]
fn a_cover_approves_and_rejects_with_the_roles_of_the_absent_person() {
    let (setting, workflow) = (covered(), parked(Some(covered().terms), None));
    let Ok(Answer::Commit { events, guard }) = asks(&setting, &workflow, "dan") else { panic!("dan covers for ann") };
    let [Event::Approved(approval), Event::Released { .. }] = events.as_slice() else { panic!("{events:?}") };
    let cover = vec![Cover { person: "ann".to_owned(), until: minute(60), roles: roles(&["lead"]) }];
    assert_eq!((approval.approver.as_str(), &approval.roles, &approval.cover), ("dan", &roles(&["lead"]), &cover));
    assert_eq!(cover[0].to_string(), "for ann (away until 1970-01-01 01:00 UTC)");
    let end = transition::expires_at(workflow.round().unwrap()).map(|end| end.min(minute(60)));
    assert_eq!(guard.not_after, end, "it is not committed after ann is back");
    let no = setting.with(|today| {
        let by = today.policy.principal("dan").unwrap();
        today.decide(&workflow, &Command::Reject { by, reason: Some("no".to_owned()), digest: None })
    });
    let Ok(Answer::Commit { events, .. }) = no else { panic!("{no:?}") };
    assert!(matches!(events.as_slice(), [Event::Rejected { cover: found, .. }] if *found == cover), "{events:?}");
    let ann = asks(&setting, &workflow, "ann");
    assert!(matches!(ann, Ok(Answer::Commit { .. })), "who is away may decide all the same: {ann:?}");
}

#[test]
fn covers_do_not_chain_expire_with_the_absence_and_exclude_the_requesters_side() {
    let first = covered();
    let workflow = parked(Some(first.terms.clone()), None);
    for (what, setting, name) in [
        ("a chain", first.changed(|s| away(s, "dan", "eve")), "eve"),
        ("ann is back", first.changed(|s| s.now = minute(60)), "dan"),
        ("ann is suspended", first.changed(|s| s.suspended.push("ann")), "dan"),
        ("somebody else covers", first.changed(|s| away(s, "ann", "eve")), "dan"),
        ("ann has lost the role", first.changed(|s| s.people.get_mut("ann").unwrap().roles.clear()), "dan"),
    ] {
        let answer = asks(&setting, &workflow, name);
        assert!(matches!(answer, Err(Refusal::NotAnApprover(_))), "{what}: {answer:?}");
    }
    // Whether or not people approve their own requests.
    for separated in [true, false] {
        let setting = first.changed(|s| s.terms.separation_of_duties = separated);
        for person in ["ann", "dan"] {
            let own = parked(Some(setting.terms.clone()), Some(person));
            let answer = asks(&setting, &own, "dan");
            assert!(answer.is_err(), "on behalf of {person}, separated: {separated}: {answer:?}");
        }
    }
}

#[test]
fn cover_is_checked_again_at_the_start() {
    let first = covered();
    let workflow = parked(Some(first.terms.clone()), None);
    let Ok(Answer::Commit { events, .. }) = asks(&first, &workflow, "dan") else { panic!("dan covers for ann") };
    let approved = events.into_iter().fold(workflow, |workflow, event| after(Some(workflow), event));
    assert_eq!(reason(&approved, &first), "holds");
    for (what, today) in [
        ("ann is back", first.changed(|s| s.now = minute(60))),
        ("nobody covers", first.changed(|s| s.people.get_mut("ann").unwrap().away = None)),
        ("somebody else covers", first.changed(|s| away(s, "ann", "eve"))),
        ("ann is suspended", first.changed(|s| s.suspended.push("ann"))),
    ] {
        assert!(reason(&approved, &today).contains("the approval of dan no longer counts"), "{what}: {}", reason(&approved, &today));
    }
    let own = first.changed(|s| {
        s.now = minute(60);
        s.people.get_mut("dan").unwrap().roles = roles(&["lead"]);
    });
    assert_eq!(reason(&approved, &own), "holds", "dan has the role himself");
    let attempt = AttemptId { step: 1, number: 1 };
    let start = Command::Start { attempt, owner: Uuid::nil(), token: Uuid::nil(), renewed: None };
    let Ok(Answer::Commit { guard, .. }) = first.with(|today| today.decide(&approved, &start)) else { panic!("it may start") };
    assert_eq!(guard.not_after, Some(minute(60)), "nor does it start by this after ann is back");
}

#[test]
fn a_covering_person_counts_as_one_approval() {
    let setting = covered().changed(|s| {
        s.terms.required = 2;
        s.people.get_mut("dan").unwrap().roles = roles(&["tech"]);
        away(s, "ben", "dan");
    });
    let (events, workflow) = {
        let workflow = parked(Some(setting.terms.clone()), None);
        let Ok(Answer::Commit { events, .. }) = asks(&setting, &workflow, "dan") else { panic!("dan may approve") };
        (events.clone(), events.into_iter().fold(workflow, |workflow, event| after(Some(workflow), event)))
    };
    assert!(matches!(events.as_slice(), [Event::Approved(approval)] if approval.remaining == 1 && approval.cover.len() == 2), "{events:?}");
    let again = asks(&setting, &workflow, "dan");
    assert!(matches!(again, Ok(Answer::Repeat(_))), "two people away are no second yes: {again:?}");
}
