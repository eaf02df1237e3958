//! Holds keep a released action from starting. A [halt](Halt) is called by an admin and lasts until
//! an admin lifts it; a [freeze](Freeze) is written in the configuration and ends on its own.
//!
//! A hold reverses nothing: people still decide, and started actions continue. What it holds stays
//! queued.

mod freeze;
mod halt;

pub use freeze::Freeze;
pub use halt::Halt;

use crate::domain::risk::Rules;
use crate::domain::risk::target::Target;
use chrono::{DateTime, SecondsFormat, Utc};
use std::fmt;

/// Where an action acts and what it does, in the words of the configuration. An unknown part counts
/// as everything that it could be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedTarget {
    pub environment: Option<String>,
    pub operation: Option<String>,
}

impl Rules {
    /// The resolved target of a workflow's action. A word that is on no list could mean anything,
    /// so it counts as unknown.
    pub fn resolve(&self, target: Option<&Target>) -> ResolvedTarget {
        let Some(target) = target else { return ResolvedTarget::default() };
        let environment = target.environment.as_deref().and_then(|word| self.environments.resolve(word));
        ResolvedTarget {
            environment: environment.map(str::to_owned),
            operation: self.operations.resolve(&target.operation).map(str::to_owned),
        }
    }
}

/// The holds that may apply at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Holds<'a> {
    /// The halts in force.
    pub halts: &'a [Halt],
    /// Every configured freeze.
    pub freezes: &'a [Freeze],
    pub now: DateTime<Utc>,
}

/// Why a workflow is held, in the words that people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    Halted(Halt),
    Frozen {
        /// The name of the freeze.
        freeze: String,
        until: DateTime<Utc>,
        /// The roles that may approve an exception; empty if there are no exceptions.
        exception: Vec<String>,
    },
}

impl Holds<'_> {
    /// The hold on an action with this target now. Halts take precedence over freezes, because they
    /// allow no exceptions. Of several freezes, the one that ends last counts. `is_excepted` says
    /// whether an exception from a freeze that ends at this time has been approved.
    pub fn on(&self, target: &ResolvedTarget, is_excepted: impl Fn(&Freeze, DateTime<Utc>) -> bool) -> Option<Held> {
        if let Some(halt) = self.halts.iter().find(|halt| halt.covers(target.environment.as_deref())) {
            return Some(Held::Halted(halt.clone()));
        }
        let frozen = self.freezes.iter().filter(|freeze| freeze.covers(target));
        let frozen = frozen.filter_map(|freeze| Some((freeze.holds_until(self.now)?, freeze)));
        let frozen = frozen.filter(|(until, freeze)| !is_excepted(freeze, *until));
        let (until, freeze) = frozen.max_by_key(|(until, _)| *until)?;
        Some(Held::Frozen { freeze: freeze.name.clone(), until, exception: freeze.exception.clone() })
    }

    /// When the next freeze begins for this target. A start has to be committed before then.
    pub fn next_freeze(&self, target: &ResolvedTarget) -> Option<DateTime<Utc>> {
        self.freezes.iter().filter(|freeze| freeze.covers(target)).filter_map(|freeze| freeze.begins_after(self.now)).min()
    }
}

impl Held {
    /// The roles that may approve an exception.
    pub fn exception(&self) -> &[String] {
        match self {
            Self::Halted(_) => &[],
            Self::Frozen { exception, .. } => exception,
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halted(halt) => halt.fmt(f),
            Self::Frozen { freeze, until, exception } => {
                write!(f, "the freeze {freeze} holds it until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true))?;
                match exception.as_slice() {
                    [] => Ok(()),
                    roles => write!(f, ", unless an exception is approved by {}", roles.join(" or ")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hours::{Hours, Window};
    use crate::domain::via::Via;
    use uuid::Uuid;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn halt(environment: Option<&str>) -> Halt {
        Halt {
            id: Uuid::nil(),
            environment: environment.map(str::to_owned),
            by: "cora".to_owned(),
            via: Via::Rest,
            reason: "incident 7".to_owned(),
            since: at("2026-11-26T10:00:00Z"),
            is_drill: false,
        }
    }

    fn target(environment: Option<&str>) -> ResolvedTarget {
        ResolvedTarget { environment: environment.map(str::to_owned), operation: Some("deploy".to_owned()) }
    }

    fn freeze(name: &str, until: &str) -> Freeze {
        let day = |text: &str| format!("{text}T00:00:00").parse().unwrap();
        let window = Window::Between { from: day("2026-11-26"), until: day(until) };
        Freeze {
            name: name.to_owned(),
            hours: Hours { window, zone: chrono_tz::UTC },
            environments: None,
            operations: None,
            exception: vec!["cto".to_owned()],
        }
    }

    #[test]
    fn a_halt_of_one_environment_holds_that_one_and_what_is_not_known() {
        let (production, all) = (halt(Some("production")), halt(None));
        assert!(production.covers(Some("production")) && production.covers(None) && !production.covers(Some("staging")));
        assert!(all.covers(Some("staging")) && all.covers(None));
    }

    #[test]
    fn a_halt_goes_before_a_freeze_and_of_freezes_the_one_that_ends_last_holds() {
        let freezes = [freeze("short", "2026-11-28"), freeze("long", "2026-12-24")];
        let now = at("2026-11-27T12:00:00Z");
        let halts = [halt(Some("production"))];
        let holds = Holds { halts: &halts, freezes: &freezes, now };
        assert!(matches!(holds.on(&target(Some("production")), |_, _| true), Some(Held::Halted(_))), "nothing excepts from a halt");
        let name = |held: Option<Held>| match held {
            Some(Held::Frozen { freeze, .. }) => freeze,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(holds.on(&target(Some("staging")), |_, _| false)), "long");
        assert_eq!(name(holds.on(&target(Some("staging")), |freeze, _| freeze.name == "long")), "short", "each needs its own exception");
        assert_eq!(holds.on(&target(Some("staging")), |_, _| true), None);
    }

    #[test]
    fn a_hold_is_described_in_words() {
        assert_eq!(Held::Halted(halt(Some("production"))).to_string(), "cora has halted production since 2026-11-26T10:00:00Z: incident 7");
        let frozen = Held::Frozen { freeze: "weekend".to_owned(), until: at("2026-11-30T07:00:00Z"), exception: vec!["cto".to_owned()] };
        assert_eq!(frozen.to_string(), "the freeze weekend holds it until 2026-11-30T07:00:00Z, unless an exception is approved by cto");
    }
}
