//! How often a failed action is retried, and the pauses between the attempts.

use crate::domain::duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The longest pause between two attempts, however often the pause has doubled.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// The retry policy of an idempotent action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How many attempts may fail before the action counts as failed; at least 2.
    pub attempts: u32,
    /// The pause after the first failure. It doubles with each one after that, up to
    /// [`LONGEST_PAUSE`].
    #[serde(with = "duration::text")]
    pub backoff: Duration,
}

impl Retry {
    /// The pause after this many failures, counted from 1; `None` if there is no further attempt.
    /// It is the same for the same count, on every server.
    pub fn pause_after(&self, failures: u32) -> Option<Duration> {
        let doubled = || 1_u32.checked_shl(failures.saturating_sub(1)).and_then(|factor| self.backoff.checked_mul(factor));
        (failures < self.attempts).then(|| doubled().unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE))
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "up to {} attempts, the second one {} after the first has failed", self.attempts, duration::show(self.backoff))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit_and_the_last_failure_has_none() {
        let retry = Retry { attempts: 10, backoff: Duration::from_secs(60) };
        let pauses: Vec<_> = (1..=10).map(|failures| retry.pause_after(failures).map(|pause| pause.as_secs() / 60)).collect();
        assert_eq!(pauses[..4], [Some(1), Some(2), Some(4), Some(8)]);
        assert_eq!(pauses[6..], [Some(60), Some(60), Some(60), None]);
        let often = Retry { attempts: u32::MAX, backoff: LONGEST_PAUSE };
        assert_eq!(often.pause_after(u32::MAX - 1), Some(LONGEST_PAUSE));
    }
}
