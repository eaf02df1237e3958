//! Which notices of a channel go into one message, and when that message is sent. Pure functions.
//!
//! On a channel that groups, notices that ask the same recipient are collected for a window of
//! time, counted from the oldest, so that fifty requests in a minute become one message. A critical
//! request closes the window at once, but no sooner than one window after the last message, so that
//! a flood of critical requests is grouped as well. A notice that asks nobody goes alone.
//!
//! On every channel, what has waited for the end of somebody's quiet hours is one message.

use crate::domain::risk::level::Level;
use crate::storage::DueNotice;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// The most notices in one message; the rest go into the next.
pub const LARGEST: usize = 100;

/// When the last group was sent to each recipient of a channel.
pub type Sent = BTreeMap<Option<String>, DateTime<Utc>>;

/// The messages to send now, and how long until the first of the windows that are still open
/// closes.
#[derive(Debug, Default)]
pub struct Batched {
    pub messages: Vec<Vec<DueNotice>>,
    pub wait: Option<Duration>,
}

/// Puts the notices that are due into messages. Without a window, each notice is a message, unless
/// it has waited for the end of quiet hours.
pub fn batch(due: Vec<DueNotice>, window: Duration, now: DateTime<Utc>, sent: &Sent) -> Batched {
    let mut batched = Batched::default();
    let mut groups: BTreeMap<Option<String>, Vec<DueNotice>> = BTreeMap::new();
    for notice in due {
        if notice.kind.asks() && (notice.waited || !window.is_zero()) {
            groups.entry(notice.recipient.clone()).or_default().push(notice);
        } else {
            batched.messages.push(vec![notice]);
        }
    }
    for (recipient, mut group) in groups {
        let closes = closes_at(&group, window, sent.get(&recipient));
        if closes > now {
            let wait = (closes - now).to_std().unwrap_or_default();
            batched.wait = Some(batched.wait.map_or(wait, |least| least.min(wait)));
            continue;
        }
        while !group.is_empty() {
            let rest = group.split_off(group.len().min(LARGEST));
            batched.messages.push(std::mem::replace(&mut group, rest));
        }
    }
    batched
}

/// When the window of a group closes.
fn closes_at(group: &[DueNotice], window: Duration, last: Option<&DateTime<Utc>>) -> DateTime<Utc> {
    let window = TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX);
    let after = |from: DateTime<Utc>| from.checked_add_signed(window).unwrap_or(DateTime::<Utc>::MAX_UTC);
    // A notice that was tried before, or is due at the end of quiet hours, has waited already.
    if group.iter().any(|notice| notice.attempts > 0 || notice.waited) {
        return DateTime::<Utc>::MIN_UTC;
    }
    let usual = group.iter().map(|notice| after(notice.first_due_at)).min().unwrap_or(DateTime::<Utc>::MIN_UTC);
    if group.iter().any(|notice| notice.level == Level::Critical) {
        return usual.min(last.map_or(DateTime::<Utc>::MIN_UTC, |last| after(*last)));
    }
    usual
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notice::Kind;
    use uuid::Uuid;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    fn notice(kind: Kind, level: Level, recipient: Option<&str>, due: i64) -> DueNotice {
        DueNotice {
            id: Uuid::from_u128(u128::from(due.unsigned_abs())),
            workflow_id: Uuid::nil(),
            version: 2,
            kind,
            number: 0,
            level,
            recipient: recipient.map(str::to_owned),
            attempts: 0,
            first_due_at: at(due),
            resent: false,
            waited: false,
        }
    }

    fn asks(level: Level, due: i64) -> DueNotice {
        notice(Kind::Requested, level, None, due)
    }

    /// The sizes of the messages, and the seconds to wait.
    fn sizes(due: Vec<DueNotice>, now: i64, sent: &Sent) -> (Vec<usize>, Option<u64>) {
        let batched = batch(due, WINDOW, at(now), sent);
        (batched.messages.iter().map(Vec::len).collect(), batched.wait.map(|wait| wait.as_secs()))
    }

    #[test]
    fn requests_are_gathered_from_the_oldest_on() {
        let due = || vec![asks(Level::High, 0), asks(Level::Medium, 10), asks(Level::High, 59)];
        assert_eq!(sizes(due(), 59, &Sent::new()), (vec![], Some(1)));
        assert_eq!(sizes(due(), 60, &Sent::new()), (vec![3], None));
    }

    #[test]
    fn a_critical_request_closes_the_window_but_not_more_often_than_once() {
        let due = || vec![asks(Level::High, 50), asks(Level::Critical, 59)];
        assert_eq!(sizes(due(), 59, &Sent::new()), (vec![2], None));
        let sent = Sent::from([(None, at(40))]);
        assert_eq!(sizes(due(), 59, &sent), (vec![], Some(41)));
        assert_eq!(sizes(due(), 100, &sent), (vec![2], None));
    }

    #[test]
    fn notices_that_ask_nobody_are_sent_alone_and_at_once() {
        let due = vec![asks(Level::High, 0), notice(Kind::Decided, Level::High, None, 1), notice(Kind::Failed, Level::High, None, 1)];
        assert_eq!(sizes(due, 1, &Sent::new()), (vec![1, 1], Some(59)));
    }

    #[test]
    fn each_recipient_has_a_message_of_their_own() {
        let mail = |name: &str, due| notice(Kind::Escalated, Level::High, Some(name), due);
        let due = vec![mail("ann", 0), mail("ben", 30), mail("ann", 20)];
        assert_eq!(sizes(due.clone(), 60, &Sent::new()), (vec![2], Some(30)));
        assert_eq!(sizes(due, 90, &Sent::new()), (vec![2, 1], None));
    }

    #[test]
    fn a_message_is_bounded_and_one_that_failed_waits_for_no_window() {
        let due = (0..250).map(|_| asks(Level::High, 0)).collect();
        assert_eq!(sizes(due, 60, &Sent::new()), (vec![100, 100, 50], None));
        let failed = DueNotice { attempts: 1, ..asks(Level::High, 0) };
        assert_eq!(sizes(vec![failed, asks(Level::High, 5)], 5, &Sent::new()), (vec![2], None));
    }

    #[test]
    fn requests_from_quiet_hours_become_one_message_per_recipient() {
        let waited = |name: &str, kind| DueNotice { waited: true, ..notice(kind, Level::High, Some(name), 0) };
        let due = || {
            vec![waited("ann", Kind::Requested), waited("ben", Kind::Reminded), waited("ann", Kind::Reminded), waited("ann", Kind::Failed)]
        };
        for window in [Duration::ZERO, WINDOW] {
            let batched = batch(due(), window, at(0), &Sent::new());
            assert_eq!(batched.messages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1], "what asks nobody goes alone");
        }
    }

    #[test]
    fn without_a_window_each_is_a_message() {
        let batched = batch(vec![asks(Level::High, 0), asks(Level::High, 0)], Duration::ZERO, at(0), &Sent::new());
        assert_eq!((batched.messages.len(), batched.wait), (2, None));
    }
}
