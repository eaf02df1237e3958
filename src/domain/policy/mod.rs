//! Policy: who may decide at each level, how many people have to, and who is asked when nobody
//! answers.

mod attention;
pub mod away;
pub mod quota;
pub mod sign_in;
mod signed_in;

pub use attention::{Attention, Quiet};
pub use away::{Away, Cover};
pub use signed_in::{GroupRole, GroupRoles, SignedIn};

use crate::domain::duration;
use crate::domain::risk::level::Level;
use crate::domain::via::Via;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The name under which parkbrake itself acts. Nobody else can have it.
pub const SYSTEM: &str = "parkbrake";

/// The name of a role.
pub type Role = String;

/// Roles that parkbrake defines.
pub mod roles {
    /// May cancel any task, and send notices again.
    pub const ADMIN: &str = "admin";
    /// Decides nothing. It exists because every person may read everything.
    pub const AUDITOR: &str = "auditor";
}

/// `approval-policies.yaml` and `risk_levels`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    levels: [LevelPolicy; 4],
    people: BTreeMap<String, Person>,
    agents: BTreeMap<String, Agent>,
    group_roles: Option<GroupRoles>,
}

impl Policy {
    /// A policy with one entry for each level, the least dangerous first.
    pub fn new(levels: [LevelPolicy; 4], people: BTreeMap<String, Person>, agents: BTreeMap<String, Agent>) -> Self {
        Self { levels, people, agents, group_roles: None }
    }

    /// The same policy with roles for groups of a provider.
    #[must_use]
    pub fn with_group_roles(self, group_roles: Option<GroupRoles>) -> Self {
        Self { group_roles, ..self }
    }

    /// The roles that groups of a provider give, if any.
    pub fn group_roles(&self) -> Option<&GroupRoles> {
        self.group_roles.as_ref()
    }

    /// The policy of a level.
    pub fn level(&self, level: Level) -> &LevelPolicy {
        &self.levels[level as usize]
    }

    /// The lowest level above this one at which people are asked.
    pub fn asked_above(&self, level: Level) -> Option<Level> {
        Level::ALL.into_iter().find(|higher| *higher > level && !self.level(*higher).auto_approve)
    }

    /// Every role that may decide at some level.
    pub fn deciders(&self) -> Vec<Role> {
        let roles: BTreeSet<&Role> = self.levels.iter().flat_map(|level| &level.terms.approvers).collect();
        roles.into_iter().cloned().collect()
    }

    /// The people, by name.
    pub fn people(&self) -> &BTreeMap<String, Person> {
        &self.people
    }

    /// The agents in the configuration, by name.
    pub fn agents(&self) -> &BTreeMap<String, Agent> {
        &self.agents
    }

    /// The principal with this name, in exactly this spelling. A name that is in neither list has
    /// no rights. Suspensions are not considered here: use
    /// [`Today::principal`](crate::domain::workflow::today::Today::principal) for that.
    pub fn principal(&self, name: &str) -> Option<Principal> {
        let principal = |kind, roles, on_behalf_of| Principal {
            name: name.to_owned(),
            kind,
            roles,
            on_behalf_of,
            via: Via::Rest,
            signed_in: SignedIn::default(),
            covers: Vec::new(),
        };
        match (self.people.get(name), self.agents.get(name)) {
            (Some(person), _) => Some(principal(PrincipalKind::Person, person.roles.clone(), None)),
            (None, Some(agent)) => Some(principal(PrincipalKind::Agent, BTreeSet::new(), agent.on_behalf_of.clone())),
            (None, None) => None,
        }
    }
}

/// The policy of one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelPolicy {
    /// Whether tasks run at once and nobody is asked.
    pub auto_approve: bool,
    pub notify: bool,
    /// The approval terms, shared with every workflow that is parked under them.
    pub terms: Arc<ApprovalTerms>,
    /// The roles that may break the glass: release an action alone, in an emergency.
    pub break_glass: Vec<Role>,
    /// How often the people who may decide are reminded.
    pub remind_every: Duration,
    /// How long the requester of an external action has to report how it went.
    pub report_within: Duration,
    /// How long before a request expires the people who may decide are warned. Default: a quarter
    /// of its time.
    pub warn_before: Option<Duration>,
    /// How long a rejected task is not asked about again if the same requester submits the same
    /// task; zero turns this off.
    pub rejected_memory: Duration,
    /// The time within which people should decide, if there is a goal.
    pub goal: Option<Goal>,
    /// How recently the approver has to have signed in; `None` means any time.
    pub recent_sign_in: Option<Duration>,
}

/// The time within which people should decide, and when they are reminded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    pub within: Duration,
    /// The percentages of that time at which the people who may decide are reminded, each once, in
    /// ascending order.
    pub remind: Vec<u32>,
}

impl Goal {
    /// The reminders: the percentage of each, and how long after the request it is due.
    pub fn moments(&self) -> impl Iterator<Item = (u32, Duration)> {
        self.remind.iter().map(|percent| (*percent, self.within * *percent / 100))
    }

    /// Why the reminder at this percentage is outdated this long after the request; `None` if it is
    /// not.
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

/// The terms under which people decide a request. A parked workflow keeps the terms that it was
/// parked under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalTerms {
    /// The roles that may decide from the start.
    pub approvers: Vec<Role>,
    /// How many people have to approve.
    pub required: u32,
    /// Whether each of them has to answer for a different role.
    pub distinct_roles: bool,
    pub require_justification: bool,
    /// Whether an approval has to name the digest of what it approves.
    pub require_digest: bool,
    /// Whether the requester, and the person an agent acts for, may not approve.
    pub separation_of_duties: bool,
    /// Who is asked later, in the order of their times.
    pub escalation: Vec<EscalationStep>,
    /// When the request expires, counted from its submission; `None` is never.
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

/// A person who may decide, and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    pub roles: BTreeSet<Role>,
    pub email: Option<String>,
    pub slack: Option<String>,
    pub linear: Option<String>,
    /// The person's team, for the statistics.
    pub team: Option<String>,
    pub notify: Attention,
    /// Only if the configuration allows it.
    pub away: Option<Away>,
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
    /// The way in by which this call came.
    pub via: Via,
    /// How the caller proved who they are.
    pub signed_in: SignedIn,
    /// The people for whom the caller covers now.
    pub covers: Vec<Cover>,
}

impl Principal {
    /// The same caller with this way in.
    #[must_use]
    pub fn by(self, via: Via) -> Self {
        Self { via, ..self }
    }

    /// The caller, with roles from groups added. They count for approving and rejecting.
    #[must_use]
    pub fn deciding(&self) -> Self {
        let mut deciding = self.clone();
        deciding.roles.extend(self.signed_in.roles.iter().map(|given| given.role.clone()));
        deciding.roles.extend(self.covers.iter().flat_map(|cover| cover.roles.clone()));
        deciding
    }

    /// Whether the caller has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Whether the caller may see what this requester submitted. People see everything; an agent
    /// sees its own tasks and those of agents of the same person.
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

/// Whether this is spelled like the name of a person or an agent: letters, digits and `. _ @ -`,
/// first a letter or a digit, at most 64 characters.
pub fn is_principal_spelling(name: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-');
    (1..=64).contains(&name.len()) && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(valid)
}

/// The suspended principals. They have no rights, by any way in, until they are restored.
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

/// The kind of a principal. Only people decide.
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
