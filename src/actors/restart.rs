//! How often a failing thing may be restarted, and after which delay. Pure functions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A limit on restarts within a window of time, with a delay that doubles.
#[derive(Debug, Clone, Copy)]
pub struct RestartPolicy {
    /// How many failures within the window are tolerated. The next one is too many.
    pub limit: usize,
    pub window: Duration,
    pub first_delay: Duration,
    pub longest_delay: Duration,
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    RestartAfter(Duration),
    GiveUp,
}

/// The recent failures of one supervised thing.
#[derive(Debug, Default)]
pub struct RestartBudget {
    failures: VecDeque<Instant>,
}

impl RestartBudget {
    /// Records a failure, and says what to do about it.
    pub fn record(&mut self, now: Instant, policy: RestartPolicy) -> Verdict {
        while self.failures.front().is_some_and(|at| now.duration_since(*at) > policy.window) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        if self.failures.len() > policy.limit {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(self.failures.len() - 1).unwrap_or(u32::MAX).min(16);
        Verdict::RestartAfter((policy.first_delay * 2_u32.pow(doublings)).min(policy.longest_delay))
    }

    /// Whether there was a failure within the window. If not, the budget may be forgotten.
    pub fn is_spent(&self, now: Instant, policy: RestartPolicy) -> bool {
        self.failures.back().is_some_and(|at| now.duration_since(*at) <= policy.window)
    }

    /// How many failures were within the window.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        limit: 3,
        window: Duration::from_secs(60),
        first_delay: Duration::from_millis(200),
        longest_delay: Duration::from_millis(500),
    };

    #[test]
    fn the_delay_doubles_up_to_a_limit_and_then_it_gives_up() {
        let mut budget = RestartBudget::default();
        let start = Instant::now();
        let verdicts: Vec<_> = (0..4).map(|second| budget.record(start + Duration::from_secs(second), POLICY)).collect();
        let after = |millis| Verdict::RestartAfter(Duration::from_millis(millis));
        assert_eq!(verdicts, [after(200), after(400), after(500), Verdict::GiveUp]);
        assert_eq!(budget.failures(), 4);
    }

    #[test]
    fn old_failures_are_forgiven() {
        let mut budget = RestartBudget::default();
        let start = Instant::now();
        for minutes in 0..10 {
            let verdict = budget.record(start + Duration::from_secs(61 * minutes), POLICY);
            assert_eq!(verdict, Verdict::RestartAfter(Duration::from_millis(200)));
        }
    }
}
