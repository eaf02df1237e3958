//! Quotas of agents: how many tasks one may submit per minute, and how many of its requests may
//! wait for people. Pure functions.

use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The quota of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub submits_per_minute: u32,
    /// Submits at once, after a quiet time.
    pub burst: u32,
    /// The most requests that may wait for people at once.
    pub pending: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self { submits_per_minute: 6_000, burst: 6_000, pending: 1_000 }
    }
}

/// The quotas of all agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    pub usual: Quota,
    /// The agents with quotas of their own.
    pub agents: BTreeMap<String, Quota>,
}

impl Quotas {
    /// The quota of an agent.
    pub fn of(&self, agent: &str) -> Quota {
        self.agents.get(agent).copied().unwrap_or(self.usual)
    }
}

/// A token bucket. It fills evenly, up to the burst, and each submit takes one token. Its time is
/// counted from its creation.
#[derive(Debug)]
pub struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn full(quota: Quota) -> Self {
        Self { tokens: f64::from(quota.burst), at: Duration::ZERO }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The time until a token is available.
    pub fn take(&mut self, quota: Quota, now: Duration) -> Result<(), Duration> {
        let rate = f64::from(quota.submits_per_minute) / MINUTE.as_secs_f64();
        let filled = self.tokens + now.saturating_sub(self.at).as_secs_f64() * rate;
        (self.tokens, self.at) = (filled.min(f64::from(quota.burst)), now.max(self.at));
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

/// How many requests of an agent wait for people, as far as it is known: never too few.
///
/// The database counts. Between two counts, requests admitted since the last one are added.
/// Decisions made in the meantime are noticed at the next count, which happens when there seems to
/// be no capacity. So the sum is exact when it matters, it survives a restart, and a request whose
/// answer was lost counts until the database has been asked.
#[derive(Debug, Default)]
pub struct Ledger {
    counted: Option<u32>,
    /// Admitted since the last count began, and parked or of unknown outcome.
    since: u32,
    /// The same, since the current count began.
    during: u32,
    /// Admitted, and not answered yet.
    under_way: u32,
}

impl Ledger {
    /// Admits one more; `false` if there may be no capacity, or nothing has been counted yet.
    pub fn admit(&mut self, most: u32) -> bool {
        let has_capacity = self.counted.is_some_and(|counted| counted.saturating_add(self.since).saturating_add(self.under_way) < most);
        self.under_way += u32::from(has_capacity);
        has_capacity
    }

    /// An admitted request has been answered. `may_wait` says whether it waits for people, or
    /// nobody knows.
    pub fn release(&mut self, may_wait: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        self.since = self.since.saturating_add(u32::from(may_wait));
        self.during = self.during.saturating_add(u32::from(may_wait));
    }

    /// A count begins.
    pub fn count(&mut self) {
        self.during = 0;
    }

    /// A count has ended.
    pub fn counted(&mut self, count: u32) {
        (self.counted, self.since) = (Some(count), self.during);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { submits_per_minute: 60, burst: 5, pending: 3 };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Duration::from_secs(1);
        let mut bucket = Bucket::full(QUOTA);
        for _ in 0..5 {
            assert_eq!(bucket.take(QUOTA, start), Ok(()));
        }
        assert_eq!(bucket.take(QUOTA, start), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(QUOTA, start + Duration::from_millis(500)), Err(Duration::from_millis(500)));
        assert_eq!(bucket.take(QUOTA, start + Duration::from_millis(1_001)), Ok(()));
        let later = start + Duration::from_secs(3_600);
        assert_eq!((0..10).filter(|_| bucket.take(QUOTA, later).is_ok()).count(), 5, "it never holds more than the burst");
        assert!(bucket.take(QUOTA, start).is_err(), "time that goes back fills nothing");
    }

    #[test]
    fn a_ledger_never_counts_too_few() {
        let mut ledger = Ledger::default();
        assert!(!ledger.admit(3), "nobody has counted");
        ledger.count();
        ledger.counted(1);
        assert!(ledger.admit(3) && ledger.admit(3) && !ledger.admit(3));
        // One runs at once, of the other nobody knows.
        ledger.release(false);
        ledger.release(true);
        assert!(ledger.admit(3) && !ledger.admit(3));
        // It is parked while a count goes on that may or may not have seen it, so that it may count
        // twice until the next one.
        ledger.count();
        ledger.release(true);
        ledger.counted(1);
        assert!(ledger.admit(3) && !ledger.admit(3));
        ledger.release(false);
        ledger.count();
        ledger.counted(0);
        assert!(ledger.admit(3) && ledger.admit(3) && ledger.admit(3) && !ledger.admit(3));
    }

    #[test]
    fn an_agent_has_the_usual_quota_unless_one_is_written() {
        let quotas = Quotas { usual: Quota::default(), agents: BTreeMap::from([("bot".to_owned(), QUOTA)]) };
        assert_eq!((quotas.of("bot"), quotas.of("other")), (QUOTA, Quota::default()));
    }
}
