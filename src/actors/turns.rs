//! Turns: which action may start next. Pure functions.
//!
//! Requesters take turns, however many actions each has waiting. Some turns are reserved for
//! actions that people approved, and those go first. For each of the two kinds, no requester has
//! more than its share of turns.

use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// How many actions run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    pub at_once: usize,
    /// The most turns of each requester at once, for actions that people approved and, separately,
    /// for those that needed no approval.
    pub per_requester: usize,
}

impl TurnLimits {
    /// The most turns for actions that needed no approval: a quarter, and at least one, is reserved
    /// for those that people approved.
    fn unapproved(self) -> usize {
        if self.at_once < 2 { self.at_once } else { self.at_once - (self.at_once / 4).max(1) }
    }
}

/// A released action that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub workflow_id: Uuid,
    pub requested_by: String,
    /// Whether people approved it. Otherwise it needed no approval.
    pub approved: bool,
}

/// The most actions of one requester and kind that are kept here. Further ones stay in the
/// database, where the timer finds them again.
const LONGEST_QUEUE: usize = 1_000;

/// The actions that wait, and the turns that are taken.
#[derive(Debug)]
pub struct Turns {
    limits: TurnLimits,
    approved: Kind,
    unapproved: Kind,
}

#[derive(Debug, Default)]
struct Kind {
    /// The requesters that have actions waiting, in the order of their turns.
    order: VecDeque<String>,
    queues: BTreeMap<String, VecDeque<Uuid>>,
    taken: BTreeMap<String, usize>,
    count: usize,
}

impl Turns {
    pub fn new(limits: TurnLimits) -> Self {
        Self { limits, approved: Kind::default(), unapproved: Kind::default() }
    }

    /// Puts an action at the end of its requester's queue. Returns `false` if the queue is too
    /// long.
    pub fn push(&mut self, waiting: Waiting) -> bool {
        let Waiting { workflow_id, requested_by, approved } = waiting;
        let kind = self.kind(approved);
        let queue = kind.queues.entry(requested_by.clone()).or_default();
        if queue.len() >= LONGEST_QUEUE {
            return false;
        }
        queue.push_back(workflow_id);
        if queue.len() == 1 {
            kind.order.push_back(requested_by);
        }
        true
    }

    /// Takes the next action that may have a turn, and gives it one.
    pub fn take(&mut self) -> Option<Waiting> {
        let TurnLimits { at_once, per_requester } = self.limits;
        if self.approved.count + self.unapproved.count >= at_once {
            return None;
        }
        let next = self.approved.take(per_requester).map(|next| (true, next)).or_else(|| {
            let has_capacity = self.unapproved.count < self.limits.unapproved();
            has_capacity.then(|| self.unapproved.take(per_requester)).flatten().map(|next| (false, next))
        });
        next.map(|(approved, (requested_by, workflow_id))| Waiting { workflow_id, requested_by, approved })
    }

    /// Gives the turn of an action back.
    pub fn give_back(&mut self, waiting: &Waiting) {
        let kind = self.kind(waiting.approved);
        kind.count = kind.count.saturating_sub(1);
        if let Some(taken) = kind.taken.get_mut(&waiting.requested_by) {
            *taken -= 1;
            if *taken == 0 {
                kind.taken.remove(&waiting.requested_by);
            }
        }
    }

    /// Empties every queue, and returns the workflows that waited there. Turns that are taken stay
    /// taken.
    pub fn clear(&mut self) -> Vec<Uuid> {
        let queues = |kind: &mut Kind| {
            kind.order.clear();
            std::mem::take(&mut kind.queues).into_values().flatten()
        };
        queues(&mut self.approved).chain(queues(&mut self.unapproved)).collect()
    }

    /// How many actions wait here.
    pub fn waiting(&self) -> usize {
        let count = |kind: &Kind| kind.queues.values().map(VecDeque::len).sum::<usize>();
        count(&self.approved) + count(&self.unapproved)
    }

    fn kind(&mut self, approved: bool) -> &mut Kind {
        if approved { &mut self.approved } else { &mut self.unapproved }
    }
}

impl Kind {
    fn take(&mut self, per_requester: usize) -> Option<(String, Uuid)> {
        for _ in 0..self.order.len() {
            let requester = self.order.pop_front()?;
            let taken = self.taken.get(&requester).copied().unwrap_or_default();
            let queue = if taken < per_requester { self.queues.get_mut(&requester) } else { None };
            let Some(queue) = queue else {
                self.order.push_back(requester);
                continue;
            };
            let next = queue.pop_front();
            if queue.is_empty() {
                self.queues.remove(&requester);
            } else {
                self.order.push_back(requester.clone());
            }
            let Some(next) = next else { continue };
            *self.taken.entry(requester.clone()).or_default() += 1;
            self.count += 1;
            return Some((requester, next));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(at_once: usize, per_requester: usize) -> Turns {
        Turns::new(TurnLimits { at_once, per_requester })
    }

    fn push(turns: &mut Turns, requested_by: &str, approved: bool, count: usize) {
        for _ in 0..count {
            let waiting = Waiting { workflow_id: Uuid::new_v4(), requested_by: requested_by.to_owned(), approved };
            assert!(turns.push(waiting));
        }
    }

    fn take_all(turns: &mut Turns) -> Vec<Waiting> {
        std::iter::from_fn(|| turns.take()).collect()
    }

    #[test]
    fn requesters_take_turns_however_much_each_has_waiting() {
        let mut turns = turns(100, 100);
        push(&mut turns, "a", false, 50);
        push(&mut turns, "b", false, 2);
        push(&mut turns, "c", false, 1);
        let first: Vec<String> = take_all(&mut turns).into_iter().take(6).map(|next| next.requested_by).collect();
        assert_eq!(first, ["a", "b", "c", "a", "b", "a"]);
    }

    #[test]
    fn work_of_one_requester_starts_in_order() {
        let mut turns = turns(8, 8);
        let ids: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
        for id in &ids {
            turns.push(Waiting { workflow_id: *id, requested_by: "a".to_owned(), approved: true });
        }
        assert_eq!(take_all(&mut turns).into_iter().map(|next| next.workflow_id).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn turns_are_kept_for_what_people_approved() {
        let mut turns = turns(64, 64);
        push(&mut turns, "a", false, 800);
        assert_eq!(take_all(&mut turns).len(), 48);
        push(&mut turns, "a", true, 20);
        let approved = take_all(&mut turns);
        assert_eq!((approved.len(), approved.iter().all(|next| next.approved)), (16, true));
        assert_eq!(turns.waiting(), 800 - 48 + 20 - 16);
    }

    #[test]
    fn no_requester_has_more_than_its_share_and_gets_the_next_one_when_it_gives_one_back() {
        let mut turns = turns(64, 4);
        push(&mut turns, "a", false, 10);
        push(&mut turns, "b", false, 1);
        let taken = take_all(&mut turns);
        assert_eq!(taken.iter().filter(|next| next.requested_by == "a").count(), 4);
        assert_eq!(taken.len(), 5);
        let one = taken.iter().find(|next| next.requested_by == "a").unwrap();
        turns.give_back(one);
        assert_eq!(take_all(&mut turns).len(), 1);
    }

    #[test]
    fn a_single_turn_serves_approved_and_unapproved_work() {
        let mut turns = turns(1, 1);
        push(&mut turns, "a", false, 1);
        assert!(turns.take().is_some());
        assert!(turns.take().is_none());
    }

    #[test]
    fn cleared_queues_fill_again_and_taken_turns_still_count() {
        let mut turns = turns(2, 2);
        push(&mut turns, "a", false, 3);
        push(&mut turns, "a", true, 1);
        let taken = take_all(&mut turns);
        assert_eq!((taken.len(), turns.clear().len(), turns.waiting()), (2, 2, 0));
        push(&mut turns, "a", true, 1);
        assert!(turns.take().is_none(), "both turns are taken");
        turns.give_back(&taken[0]);
        assert!(turns.take().is_some());
    }

    #[test]
    fn a_line_that_is_too_long_takes_no_more() {
        let mut turns = turns(1, 1);
        push(&mut turns, "a", false, LONGEST_QUEUE);
        let one_more = |requested_by: &str| Waiting { workflow_id: Uuid::new_v4(), requested_by: requested_by.to_owned(), approved: false };
        assert!(!turns.push(one_more("a")));
        assert!(turns.push(one_more("b")), "the others' queues are their own");
    }
}
