//! Lanes: which actions may not run at the same time. Pure functions.
//!
//! A runbook's `concurrency` puts its actions into a lane, by a key that its arguments fill. As
//! many run at once as the limit allows. The others wait in order of arrival, without a turn, so
//! that they block nobody else. A freed slot is promised to the first of them, so that later
//! arrivals cannot overtake it.

use crate::actors::turns::Waiting;
use crate::domain::task::invocation::Concurrency;
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// The most actions that wait here in one lane. Further ones stay in the database, where the timer
/// finds them again.
const LONGEST_LANE: usize = 1_000;

/// The lanes with running or waiting actions.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: HashMap<String, Lane>,
    /// The actions to which a slot was promised, each with the key of its lane.
    promised: HashMap<Uuid, String>,
}

#[derive(Debug, Default)]
struct Lane {
    /// The slots that are taken or promised.
    taken: u32,
    waiting: VecDeque<(Waiting, u32)>,
}

/// The result of asking for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It has one, and [leaves](Lanes::leave) it when it has ended.
    Entered,
    /// It waits here, and asks again when a slot is promised to it.
    Waits,
    /// The lane is too long to wait here.
    Full,
}

impl Lanes {
    /// Asks for a slot.
    pub fn enter(&mut self, concurrency: &Concurrency, waiting: &Waiting) -> Entry {
        if self.promised.get(&waiting.workflow_id) == Some(&concurrency.key) {
            self.promised.remove(&waiting.workflow_id);
            return Entry::Entered;
        }
        let lane = self.lanes.entry(concurrency.key.clone()).or_default();
        if lane.waiting.is_empty() && lane.taken < concurrency.limit {
            lane.taken += 1;
            return Entry::Entered;
        }
        if lane.waiting.len() >= LONGEST_LANE {
            return Entry::Full;
        }
        lane.waiting.push_back((waiting.clone(), concurrency.limit));
        Entry::Waits
    }

    /// Gives a slot back. Returns the actions that get a turn, because slots are promised to
    /// them.
    pub fn leave(&mut self, key: &str) -> Vec<Waiting> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        lane.taken = lane.taken.saturating_sub(1);
        let mut next = Vec::new();
        while lane.waiting.front().is_some_and(|(_, limit)| lane.taken < *limit) {
            let Some((waiting, _)) = lane.waiting.pop_front() else { break };
            lane.taken += 1;
            self.promised.insert(waiting.workflow_id, key.to_owned());
            next.push(waiting);
        }
        if lane.taken == 0 && lane.waiting.is_empty() {
            self.lanes.remove(key);
        }
        next
    }

    /// The same for an action that did not start although a slot was promised to it; does nothing
    /// for any other action.
    pub fn renounce(&mut self, workflow_id: Uuid) -> Vec<Waiting> {
        self.promised.remove(&workflow_id).map(|key| self.leave(&key)).unwrap_or_default()
    }

    /// Forgets the actions that wait here or have a promised slot, and returns those that waited.
    /// Actions with a slot keep it.
    pub fn clear(&mut self) -> Vec<Uuid> {
        for (_, key) in self.promised.drain() {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.taken = lane.taken.saturating_sub(1);
            }
        }
        let waiting = self.lanes.values_mut().flat_map(|lane| lane.waiting.drain(..)).map(|(waiting, _)| waiting.workflow_id).collect();
        self.lanes.retain(|_, lane| lane.taken > 0);
        waiting
    }

    /// How many actions wait here.
    pub fn waiting(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: u128) -> Waiting {
        Waiting { workflow_id: Uuid::from_u128(number), requested_by: "deploy-bot".to_owned(), approved: true }
    }

    fn lane(key: &str, limit: u32) -> Concurrency {
        Concurrency { key: key.to_owned(), limit }
    }

    fn numbers(waiting: &[Waiting]) -> Vec<u128> {
        waiting.iter().map(|one| one.workflow_id.as_u128()).collect()
    }

    #[test]
    fn no_more_run_at_once_than_the_limit_and_the_others_follow_in_order() {
        let mut lanes = Lanes::default();
        assert_eq!(
            [1, 2, 3, 4].map(|number| lanes.enter(&lane("api", 2), &one(number))),
            [Entry::Entered, Entry::Entered, Entry::Waits, Entry::Waits]
        );
        assert_eq!(lanes.enter(&lane("web", 1), &one(5)), Entry::Entered, "another lane is another lane");
        assert_eq!(numbers(&lanes.leave("api")), [3]);
        // The slot is promised: nobody overtakes before it is taken.
        assert_eq!(lanes.enter(&lane("api", 2), &one(6)), Entry::Waits);
        assert_eq!(lanes.enter(&lane("api", 2), &one(3)), Entry::Entered);
        assert_eq!((numbers(&lanes.leave("api")), numbers(&lanes.leave("api"))), (vec![4], vec![6]));
    }

    #[test]
    fn a_slot_that_is_not_taken_goes_to_the_next() {
        let mut lanes = Lanes::default();
        for number in 1..=3 {
            lanes.enter(&lane("api", 1), &one(number));
        }
        assert_eq!(numbers(&lanes.leave("api")), [2]);
        assert_eq!(numbers(&lanes.renounce(one(2).workflow_id)), [3], "it was cancelled meanwhile");
        assert_eq!(lanes.renounce(one(2).workflow_id), []);
        assert_eq!(lanes.enter(&lane("api", 1), &one(3)), Entry::Entered);
        assert_eq!(lanes.leave("api"), []);
        assert!(lanes.lanes.is_empty() && lanes.promised.is_empty(), "nothing is left behind: {lanes:?}");
    }

    #[test]
    fn clearing_the_lanes_drops_waiting_work_and_keeps_running_work() {
        let mut lanes = Lanes::default();
        for number in 1..=4 {
            lanes.enter(&lane("api", 2), &one(number));
        }
        lanes.leave("api");
        assert_eq!(lanes.clear(), [one(4).workflow_id], "the third has a promise, the second its slot");
        assert_eq!(lanes.enter(&lane("api", 2), &one(4)), Entry::Entered);
        assert_eq!(lanes.enter(&lane("api", 2), &one(3)), Entry::Waits);
        assert_eq!((numbers(&lanes.leave("api")), lanes.clear().len()), (vec![3], 0));
        assert_eq!(lanes.leave("api"), []);
        assert!(lanes.lanes.is_empty() && lanes.promised.is_empty(), "nothing is left behind: {lanes:?}");
    }

    #[test]
    fn a_lane_that_is_too_long_is_left_to_the_database() {
        let mut lanes = Lanes::default();
        let entries: Vec<_> = (0..LONGEST_LANE as u128 + 2).map(|number| lanes.enter(&lane("api", 1), &one(number))).collect();
        assert_eq!((entries[0], entries[1], entries[LONGEST_LANE + 1]), (Entry::Entered, Entry::Waits, Entry::Full));
        assert_eq!(lanes.waiting(), LONGEST_LANE);
    }
}
