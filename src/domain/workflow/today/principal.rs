//! Who a name or a Slack account is today.

use super::Today;
use crate::domain::policy::Principal;

/// Why a name has no rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    Suspended,
    /// It is in neither list of the configuration.
    Unlisted,
}

impl Barred {
    /// The words for it, after a name and `is`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Unlisted => "no longer one of the people and agents of the configuration",
        }
    }
}

/// Why nobody of ours pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InSlack {
    Nobody,
    Several,
    Barred(Barred),
}

impl Today<'_> {
    /// What a name stands for: the one question that every way in asks before it lets anybody do
    /// anything.
    ///
    /// # Errors
    /// The name has no rights today.
    pub fn principal(self, name: &str) -> Result<Principal, Barred> {
        if self.suspended.contains(name) {
            return Err(Barred::Suspended);
        }
        self.policy.principal(name).ok_or(Barred::Unlisted)
    }

    /// The person who is reached in Slack by this id. Two people with one id are nobody.
    ///
    /// # Errors
    /// Nobody, more than one, or somebody without rights: what to tell them.
    pub fn in_slack(self, slack_id: &str) -> Result<Principal, InSlack> {
        let mut known = self.policy.people().iter().filter(|(_, person)| person.slack.as_deref() == Some(slack_id));
        match (known.next(), known.next()) {
            (Some((name, _)), None) => self.principal(name).map_err(InSlack::Barred),
            (None, _) => Err(InSlack::Nobody),
            (Some(_), Some(_)) => Err(InSlack::Several),
        }
    }
}
