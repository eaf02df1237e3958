//! Policy: who may decide at which level, how many of them, and who is asked when nobody answers.

pub mod quota;
pub mod sign_in;
mod signed_in;

pub use signed_in::{GroupRole, GroupRoles, SignedIn};

use crate::domain::duration;
use crate::domain::risk::level::Level;
use crate::domain::via::Via;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The name under which parkbrake itself acts; nobody else can have it.
pub const SYSTEM: &str = "parkbrake";

/// The name of a role.
pub type Role = String;

/// Roles of parkbrake's own.
pub mod roles {
    /// Cancels anything, sends notices again.
    pub const ADMIN: &str = "admin";
    /// Decides nothing; every person reads everything.
    pub const AUDITOR: &str = "auditor";
}

/// The whole of `approval-policies.yaml` and of `risk_levels`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    levels: [LevelPolicy; 4],
    people: BTreeMap<String, Person>,
    agents: BTreeMap<String, Agent>,
    group_roles: Option<GroupRoles>,
}

impl Policy {
    /// A policy of one entry for each level, the least dangerous first.
    pub fn new(levels: [LevelPolicy; 4], people: BTreeMap<String, Person>, agents: BTreeMap<String, Agent>) -> Self {
        Self { levels, people, agents, group_roles: None }
    }

    /// The same policy, where groups of a provider give roles.
    #[must_use]
    pub fn with_group_roles(self, group_roles: Option<GroupRoles>) -> Self {
        Self { group_roles, ..self }
    }

    /// Which roles the groups of a provider give, if they give any.
    pub fn group_roles(&self) -> Option<&GroupRoles> {
        self.group_roles.as_ref()
    }

    /// What holds at a level.
    pub fn level(&self, level: Level) -> &LevelPolicy {
        &self.levels[level as usize]
    }

    /// The lowest level above this one at which people are asked.
    pub fn asked_above(&self, level: Level) -> Option<Level> {
        Level::ALL.into_iter().find(|higher| *higher > level && !self.level(*higher).auto_approve)
    }

    /// Every role that decides at some level.
    pub fn deciders(&self) -> Vec<Role> {
        let roles: BTreeSet<&Role> = self.levels.iter().flat_map(|level| &level.terms.approvers).collect();
        roles.into_iter().cloned().collect()
    }

    /// The people, by name.
    pub fn people(&self) -> &BTreeMap<String, Person> {
        &self.people
    }

    /// The agents that are named in the configuration.
    pub fn agents(&self) -> &BTreeMap<String, Agent> {
        &self.agents
    }

    /// What a name stands for, in exactly this spelling; a name that is in neither list has no
    /// rights. Who is suspended is not known here: ask
    /// [`Today::principal`](crate::domain::workflow::today::Today::principal).
    pub fn principal(&self, name: &str) -> Option<Principal> {
        let principal = |kind, roles, on_behalf_of| Principal {
            name: name.to_owned(),
            kind,
            roles,
            on_behalf_of,
            via: Via::Rest,
            signed_in: SignedIn::default(),
        };
        match (self.people.get(name), self.agents.get(name)) {
            (Some(person), _) => Some(principal(PrincipalKind::Person, person.roles.clone(), None)),
            (None, Some(agent)) => Some(principal(PrincipalKind::Agent, BTreeSet::new(), agent.on_behalf_of.clone())),
            (None, None) => None,
        }
    }
}

/// What holds at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelPolicy {
    /// Runs at once; nobody is asked.
    pub auto_approve: bool,
    pub notify: bool,
    /// Shared with every workflow that is parked under them.
    pub terms: Arc<ApprovalTerms>,
    /// Whose role may break the glass: release an action alone, in an emergency.
    pub break_glass: Vec<Role>,
    /// How often those who may decide are reminded.
    pub remind_every: Duration,
    /// How long the requester of an external action has to report how it went.
    pub report_within: Duration,
    /// How long before a request expires those who may decide are warned; left out, a quarter of
    /// its time.
    pub warn_before: Option<Duration>,
    /// For how long the very same task of the same requester is not asked about again once it was
    /// rejected; zero is not at all.
    pub rejected_memory: Duration,
    /// Within what time people should decide.
    pub goal: Option<Goal>,
    /// How recently whoever says yes has to have signed in; left out, it does not matter.
    pub recent_sign_in: Option<Duration>,
}

/// Within what time people should decide, and when they are reminded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    pub within: Duration,
    /// At which percents of that time those who may decide are reminded, each once, in rising
    /// order.
    pub remind: Vec<u32>,
}

impl Goal {
    /// The reminders: the percent of each, and how long after the request it is due.
    pub fn moments(&self) -> impl Iterator<Item = (u32, Duration)> {
        self.remind.iter().map(|percent| (*percent, self.within * *percent / 100))
    }

    /// Why the reminder at a percent is no longer worth telling so long after the request.
    pub fn is_past(&self, percent: u32, elapsed: Duration) -> Option<&'static str> {
        let latest = self.moments().filter(|(_, due)| *due <= elapsed).map(|(percent, _)| percent).max();
        if !self.remind.contains(&percent) {
            Some("the configuration no longer reminds at this share of the goal")
        } else if latest > Some(percent) {
            Some("a later share of the goal has passed as well")
        } else {
            None
        }
    }
}

/// Under what terms a request is decided. A parked workflow keeps the terms that it was parked
/// under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// Whose role may decide from the start.
    pub approvers: Vec<Role>,
    /// How many people have to approve.
    pub required: u32,
    /// Whether each of them has to answer for another role.
    pub distinct_roles: bool,
    pub require_justification: bool,
    /// Whether an approval has to name the digest that it is for.
    pub require_digest: bool,
    /// Whether the requester, and the person an agent acts for, may not approve.
    pub separation_of_duties: bool,
    /// Who is asked next, in the order of their times.
    pub escalation: Vec<EscalationStep>,
    /// When the request expires, counted from the request; `None` is never.
    #[serde(with = "duration::optional")]
    pub expire_after: Option<Duration>,
}

/// One step of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// Counted from the request.
    #[serde(with = "duration::text")]
    pub after: Duration,
    pub to: Vec<Role>,
}

/// A person who may decide, and where they are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    pub roles: BTreeSet<Role>,
    pub email: Option<String>,
    pub slack: Option<String>,
    pub linear: Option<String>,
    /// For the statistics.
    pub team: Option<String>,
}

/// An agent, and the person it acts for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agent {
    pub on_behalf_of: Option<String>,
}

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub name: String,
    pub kind: PrincipalKind,
    pub roles: BTreeSet<Role>,
    /// The person that an agent acts for.
    pub on_behalf_of: Option<String>,
    /// The door by which this call came.
    pub via: Via,
    /// How the caller proved who they are.
    pub signed_in: SignedIn,
}

impl Principal {
    /// The same caller, who came by another door.
    #[must_use]
    pub fn by(self, via: Via) -> Self {
        Self { via, ..self }
    }

    /// The caller, with the roles that groups give as well: as who approves and rejects.
    #[must_use]
    pub fn deciding(&self) -> Self {
        let mut deciding = self.clone();
        deciding.roles.extend(self.signed_in.roles.iter().map(|given| given.role.clone()));
        deciding
    }

    /// Whether the caller has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Whether the caller may see what this requester submitted: people see everything, an agent
    /// its own and what agents of the same person submitted.
    pub fn may_see(&self, requested_by: &str, on_behalf_of: Option<&str>) -> bool {
        match self.kind {
            PrincipalKind::Person => true,
            PrincipalKind::Agent => self.name == requested_by || (on_behalf_of.is_some() && self.on_behalf_of.as_deref() == on_behalf_of),
        }
    }
}

/// Whether this can be the name of a person or an agent.
pub fn is_principal_name(name: &str) -> bool {
    is_principal_spelling(name) && !name.eq_ignore_ascii_case(SYSTEM)
}

/// Whether this is spelled as names of people and agents are: letters, digits and `. _ @ -`, the
/// first a letter or a digit, at most 64.
pub fn is_principal_spelling(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-');
    (1..=64).contains(&name.len()) && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(sound)
}

/// Who has been suspended: their rights are gone, on every channel, until they are restored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suspended(BTreeSet<String>);

impl Suspended {
    /// Whether this name is suspended, whatever its case.
    pub fn contains(&self, name: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&name.to_ascii_lowercase())
    }
}

impl<S: AsRef<str>> FromIterator<S> for Suspended {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        Self(names.into_iter().map(|name| name.as_ref().to_ascii_lowercase()).collect())
    }
}

/// Only people decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    Person,
    Agent,
}

impl PrincipalKind {
    /// The word for it, as it is stored with a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Agent => "agent",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Person, Self::Agent].into_iter().find(|kind| kind.as_str() == text)
    }
}
