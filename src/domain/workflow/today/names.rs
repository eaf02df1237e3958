//! The principals behind names and Slack accounts today.

use super::Today;
use crate::domain::policy::Principal;

/// Why a name has no rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    Suspended,
    /// The configuration does not list it.
    Unlisted,
}

impl Barred {
    /// The words for it, to follow a name and `is`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Unlisted => "no longer one of the people and agents of the configuration",
        }
    }
}

/// Why the person who pressed a button in Slack cannot be identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InSlack {
    Nobody,
    Several,
    Barred(Barred),
}

impl Today<'_> {
    /// The principal with this name. Every way in calls this before it lets anybody do anything.
    ///
    /// # Errors
    /// The name has no rights today.
    pub fn principal(self, name: &str) -> Result<Principal, Barred> {
        if self.suspended.contains(name) {
            return Err(Barred::Suspended);
        }
        let principal = self.policy.principal(name).ok_or(Barred::Unlisted)?;
        Ok(Principal { covers: self.covers(name), ..principal })
    }

    /// The person with this Slack id. If two people have the same id, neither is accepted.
    ///
    /// # Errors
    /// The id belongs to nobody, to more than one person, or to somebody without rights today.
    pub fn in_slack(self, slack_id: &str) -> Result<Principal, InSlack> {
        let mut known = self.policy.people().iter().filter(|(_, person)| person.slack.as_deref() == Some(slack_id));
        match (known.next(), known.next()) {
            (Some((name, _)), None) => self.principal(name).map_err(InSlack::Barred),
            (None, _) => Err(InSlack::Nobody),
            (Some(_), Some(_)) => Err(InSlack::Several),
        }
    }
}
