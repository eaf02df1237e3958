//! Standing grants: a person releases a narrow kind of request in advance, for a while, so that
//! nobody is asked about each one.
//!
//! A grant is an approval given in advance. It counts for a request only if its giver could approve
//! that very request at that moment, alone, and it is checked again right before the request
//! starts. The checks are in `workflow/granted.rs`.

pub mod binding;
pub mod pattern;
pub mod proposal;

use crate::domain::policy::Role;
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use chrono::{DateTime, Utc};
use pattern::Pattern;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// The limits of grants, from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantLimits {
    /// The levels at which grants may be given; never critical.
    pub levels: Vec<Level>,
    /// The longest time that a grant may last.
    pub longest: Duration,
    /// The most requests that one grant may release.
    pub most_uses: u32,
    /// The number of equal approvals after which a grant is proposed.
    pub propose_after: u32,
}

impl Default for GrantLimits {
    fn default() -> Self {
        let levels = vec![Level::Low, Level::Medium, Level::High];
        Self { levels, longest: Duration::from_secs(8 * 60 * 60), most_uses: 100, propose_after: 5 }
    }
}

/// Millionths of a US dollar, so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    const IN_A_DOLLAR: f64 = 1e6;
    /// The largest accepted sum: a trillion dollars.
    const HIGHEST: f64 = 1e12;

    /// An amount in dollars, rounded up; `None` if it is not a valid amount.
    pub fn of_dollars(dollars: f64) -> Option<Self> {
        let is_sum = dollars.is_finite() && (0.0..=Self::HIGHEST).contains(&dollars);
        #[expect(clippy::cast_possible_truncation, reason = "10^18 is less than the largest number")]
        is_sum.then(|| Self((dollars * Self::IN_A_DOLLAR).ceil() as i64))
    }

    /// In dollars.
    pub fn dollars(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "it is for people; sums are made of the whole numbers")]
        let micros = self.0 as f64;
        micros / Self::IN_A_DOLLAR
    }
}

/// What a grant releases. It never changes once it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantTerms {
    pub pattern: Pattern,
    /// The highest level that it releases.
    pub level: Level,
    /// How many requests it releases.
    pub uses: u32,
    /// The most that they may cost together, by their estimates. If this is set, a request without
    /// an estimate is not released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
    /// What parkbrake itself would run or call, as it was when the grant was given; `None` for what
    /// the requester does itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Digest>,
}

/// A grant and its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    pub id: Uuid,
    pub terms: GrantTerms,
    pub given_by: String,
    /// The roles that entitled this person when the grant was given.
    pub roles: Vec<Role>,
    pub via: Via,
    pub justification: String,
    pub given_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// How many requests have passed, and what they cost together.
    pub used: u32,
    pub spent: Micros,
    pub revoked: Option<Revoked>,
}

/// Who revoked a grant, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    pub by: String,
    pub via: Via,
    pub reason: Option<String>,
    pub at: DateTime<Utc>,
}

/// The status of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantStatus {
    /// It releases requests.
    Live,
    Expired,
    /// It has released the maximum number of requests, or the whole sum has been spent.
    UsedUp,
    Revoked,
}

impl GrantStatus {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Expired, Self::UsedUp, Self::Revoked];

    /// The word for it, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::UsedUp => "used_up",
            Self::Revoked => "revoked",
        }
    }
}

/// A request that a grant might release.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    pub requester: &'a str,
    pub level: Level,
    pub task: &'a Task,
    /// The target of the request, as far as it is known.
    pub target: &'a Target,
    /// What parkbrake itself would run or call for it now.
    pub binding: Option<&'a Digest>,
}

impl Grant {
    /// The status of the grant at this moment.
    pub fn status(&self, now: DateTime<Utc>) -> GrantStatus {
        if self.revoked.is_some() {
            GrantStatus::Revoked
        } else if self.expires_at <= now {
            GrantStatus::Expired
        } else if self.used >= self.terms.uses || self.terms.cost.is_some_and(|cost| self.spent >= cost && cost > Micros(0)) {
            GrantStatus::UsedUp
        } else {
            GrantStatus::Live
        }
    }
}

impl GrantTerms {
    /// If these terms cover the request, the amount that it adds to the sum.
    pub fn cover(&self, asking: Asking<'_>) -> Option<Micros> {
        let Asking { requester, level, task, target, binding } = asking;
        let cost = task.estimated_cost.map(Micros::of_dollars);
        let cost = match (self.cost, cost) {
            (_, Some(None)) | (Some(_), None) => return None,
            (Some(most), Some(Some(cost))) => (cost <= most).then_some(cost)?,
            (None, cost) => cost.flatten().unwrap_or_default(),
        };
        let fits = level != Level::Critical
            && level <= self.level
            && self.binding.as_ref() == binding
            // People have to see new findings and false claims.
            && task.security_findings.is_empty()
            && target.differs.is_empty()
            // No pattern says what a plan may do.
            && task.evidence.is_none()
            && self.pattern.matches(requester, target, &task.action);
        fits.then_some(cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_exact_and_never_rounded_down() {
        assert_eq!(Micros::of_dollars(0.1), Some(Micros(100_000)));
        assert_eq!(Micros::of_dollars(0.000_000_1), Some(Micros(1)));
        assert_eq!(Micros::of_dollars(0.0), Some(Micros(0)));
        assert_eq!(Micros::of_dollars(1e12), Some(Micros(1_000_000_000_000_000_000)));
        for no_sum in [-0.01, 1.1e12, f64::NAN, f64::INFINITY] {
            assert_eq!(Micros::of_dollars(no_sum), None, "{no_sum}");
        }
    }
}
