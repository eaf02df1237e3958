//! Proposed grants: after this many equal approvals, the narrowest grant is proposed, and never one
//! that matches a rejected request.

use super::grants::{CHANGES, Request, request};
use parkbrake::domain::grant::pattern::Pattern;
use parkbrake::domain::grant::proposal::{Answer, Past, Proposal, propose};
use parkbrake::domain::risk::level::Level;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

const LEVELS: [Level; 3] = [Level::Low, Level::Medium, Level::High];
const ANSWERS: [Answer; 3] = [Answer::Approved, Answer::Rejected, Answer::Other];

impl Request {
    fn past(&self, number: u128, answer: Answer) -> Past {
        let Self { requester, level, task, target, .. } = self.clone();
        Past { workflow_id: Uuid::from_u128(number), requester, level, task, target, supersedes: false, answer }
    }

    fn pattern(&self) -> Option<Pattern> {
        Pattern::exactly(&self.requester, &self.target, &self.task.action).ok()
    }
}

fn equal(request: &Request, count: u32) -> Vec<Past> {
    (1..=u128::from(count)).map(|number| request.past(number, Answer::Approved)).collect()
}

/// A few requests, some of them changed in one way, each with a decision.
fn past() -> impl Strategy<Value = Vec<Past>> {
    let kinds = prop::collection::vec((request(), prop::option::of(any::<Index>())), 1..4);
    kinds.prop_flat_map(|kinds| {
        let kinds: Vec<Request> = kinds
            .into_iter()
            .flat_map(|(request, change)| {
                let mut changed = request.clone();
                if let Some(change) = change {
                    CHANGES[change.index(CHANGES.len())].1(&mut changed);
                }
                [request, changed]
            })
            .collect();
        let one = (any::<Index>(), select(&ANSWERS[..]), prop::bool::weighted(0.1));
        prop::collection::vec(one, 0..24).prop_map(move |seen| {
            (1..)
                .zip(seen)
                .map(|(number, (kind, answer, supersedes))| Past { supersedes, ..kinds[kind.index(kinds.len())].past(number, answer) })
                .collect()
        })
    })
}

fn matches(proposal: &Proposal, past: &Past) -> bool {
    proposal.pattern.matches(&past.requester, &past.target, &past.task.action)
}

proptest! {
    #[test]
    fn each_proposal_is_of_enough_approvals_and_matches_nothing_that_was_rejected(past in past(), after in 1..5_u32) {
        let proposals = propose(past.clone(), after, &LEVELS);
        for proposal in &proposals {
            prop_assert!(proposal.approved.len() >= usize::try_from(after).unwrap());
            prop_assert!(proposal.approved.contains(&proposal.like));
            for past in &past {
                let (is_approved, is_other) = (proposal.approved.contains(&past.workflow_id), proposal.others.contains(&past.workflow_id));
                prop_assert!(!(is_approved && is_other));
                if is_approved || is_other {
                    prop_assert!(matches(proposal, past) && past.level <= proposal.level && past.level != Level::Critical);
                    prop_assert!(!past.supersedes && past.task.security_findings.is_empty() && past.target.differs.is_empty());
                }
                prop_assert!(!is_approved || past.answer == Answer::Approved);
                prop_assert!(past.answer != Answer::Rejected || !matches(proposal, past), "{past:?}");
            }
        }
        for (number, one) in proposals.iter().enumerate() {
            prop_assert!(proposals.iter().skip(number + 1).all(|other| other.pattern != one.pattern), "a pattern is proposed once");
        }
    }

    #[test]
    fn equal_approvals_propose_the_narrowest_pattern_and_one_fewer_nothing(request in request(), after in 1..6_u32) {
        let proposals = propose(equal(&request, after), after, &LEVELS);
        prop_assert_eq!(proposals.len(), 1);
        prop_assert_eq!(Some(proposals[0].pattern.clone()), request.pattern());
        prop_assert_eq!((proposals[0].level, proposals[0].others.len()), (request.level, 0));
        prop_assert!(propose(equal(&request, after - 1), after, &LEVELS).is_empty());
        let other_levels: Vec<Level> = LEVELS.into_iter().filter(|level| *level != request.level).collect();
        prop_assert!(propose(equal(&request, after), after, &other_levels).is_empty(), "at a level that has no grants");
    }

    #[test]
    fn one_rejection_of_the_same_ends_it_whenever_and_at_whatever_level(request in request(), number in select(vec![0_u128, 100]), supersedes: bool) {
        let mut past = equal(&request, 3);
        past.push(Past { level: Level::Critical, supersedes, ..request.past(number, Answer::Rejected) });
        prop_assert!(propose(past, 3, &LEVELS).is_empty());
    }

    #[test]
    fn unequal_requests_do_not_count(request in request(), change in any::<Index>()) {
        let (name, change) = CHANGES[change.index(CHANGES.len())];
        // The cost, and the program that its grant binds to, are not in the request's kind.
        prop_assume!(!["another program", "a cost that is none"].contains(&name));
        let mut changed = request.clone();
        change(&mut changed);
        let mut past = equal(&request, 2);
        past.push(changed.past(100, Answer::Approved));
        prop_assert!(propose(past.clone(), 3, &LEVELS).is_empty(), "{name}");
        past.push(Past { supersedes: true, ..request.past(101, Answer::Approved) });
        prop_assert!(propose(past.clone(), 3, &LEVELS).is_empty(), "what supersedes another does not count");
        past.push(request.past(102, Answer::Other));
        prop_assert!(propose(past.clone(), 3, &LEVELS).is_empty(), "what nobody approved does not count");
        past.push(request.past(103, Answer::Approved));
        let proposals = propose(past, 3, &LEVELS);
        prop_assert_eq!(proposals.len(), 1, "{}", name);
        prop_assert_eq!(&proposals[0].others, &[Uuid::from_u128(102)]);
    }
}
