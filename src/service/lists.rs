//! Lists of workflows and of decisions. An agent sees its own; the decisions of people are for
//! people.

use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Principal, PrincipalKind, Role};
use crate::domain::risk::level::Level;
use crate::domain::risk::order::{Order, Place};
use crate::domain::workflow::Status;
use crate::identity::Caller;
use crate::service::{About, Count, Decided, Finds, Listed, Service, ServiceError, Waiting};
use crate::storage::{Decider, MOST_COUNTED_OF_PLACE, PendingFilter, SearchFilter, Visible};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Which of the requests that wait are asked for.
#[derive(Debug, Default)]
pub struct PendingQuery {
    pub risk_level: Option<Level>,
    /// Only those that this role may decide.
    pub role: Option<Role>,
    /// Only those that the caller may decide.
    pub mine: bool,
    /// For people; an agent's list has the newest first.
    pub order: Order,
    pub after: Option<Place>,
    pub limit: i64,
}

/// How many requests wait, by their level.
#[derive(Debug, Default)]
pub struct PendingCounts(BTreeMap<String, i64>);

/// Beyond this many, what waits is said to be more.
pub const MOST_COUNTED: i64 = MOST_COUNTED_OF_PLACE - 1;

impl PendingCounts {
    /// How many wait in all.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// How many wait at this level.
    pub fn of(&self, level: Level) -> i64 {
        self.0.get(level.as_str()).copied().unwrap_or_default()
    }
}

/// Which workflows are asked for.
#[derive(Debug, Default)]
pub struct Search {
    pub status: Option<Status>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<String>,
    /// This person has approved or rejected it, broken the glass, or taken a yes back.
    pub approver: Option<String>,
    /// The name of the runbook, of a plan that of any step.
    pub runbook: Option<String>,
    /// Submitted at this moment or later.
    pub from: Option<DateTime<Utc>>,
    /// Submitted before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Words that stand, as they are but for capitals, in the description, the requester's own id,
    /// the resource or the action's name; or the workflow's id, or at least the last six characters
    /// of it.
    pub text: Option<String>,
    /// The oldest first, and not the newest.
    pub oldest_first: bool,
    /// Whether to count what there is.
    pub counts: bool,
    pub after: Option<Cursor>,
    pub limit: i64,
}

impl Service {
    /// What waits for people.
    ///
    /// # Errors
    /// The database is unavailable, so it is not known who is suspended.
    pub async fn pending(&self, by: &Caller, query: PendingQuery) -> Result<Page<Waiting, Place>, ServiceError> {
        let page = self.engine.storage.pending(&pending_filter(by, query)).await?;
        let undecidable = self.engine.undecidable_among(&page.items).await?;
        Ok(page.map(|row| Waiting::of(row, &undecidable)))
    }

    /// The ids of what waits for people, in the order that is asked for.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn pending_ids(&self, by: &Caller, query: PendingQuery) -> Result<Vec<Uuid>, ServiceError> {
        only_people(by, "what waits is gone through by people")?;
        Ok(self.engine.storage.pending_ids(&pending_filter(by, query)).await?)
    }

    /// How much waits for people, whatever page is asked for.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn pending_counts(&self, by: &Caller, query: PendingQuery) -> Result<PendingCounts, ServiceError> {
        only_people(by, "what waits is counted for people")?;
        Ok(PendingCounts(self.engine.storage.pending_counts(&pending_filter(by, query)).await?))
    }

    /// Workflows: all that the caller may see, or those of them that are looked for.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn list(&self, by: &Caller, search: Search) -> Result<Finds, ServiceError> {
        let Search { status, risk_level, requested_by, approver, runbook, from, until, text, oldest_first, counts, after, limit } = search;
        let visible_to = visible(by);
        let filter =
            SearchFilter { status, risk_level, requested_by, approver, runbook, from, until, text, visible_to, oldest_first, after, limit };
        let finds = self.engine.storage.search(&filter).await?;
        let count = if counts { Some(self.engine.storage.count(&filter).await?) } else { None };
        let page = finds.page.map(Listed::from).map(|line| Listed { held: self.held_in_list(&line), ..line });
        Ok(Finds { page, is_cut: finds.is_cut, count: count.map(|(found, is_cut)| Count { found, is_cut }) })
    }

    /// What one person decided, the latest first.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn decisions_of(&self, by: &Caller, name: &str, after: Option<Cursor>, limit: i64) -> Result<Page<Decided>, ServiceError> {
        only_people(by, "the decisions of people are for people to look at")?;
        Ok(self.engine.storage.decisions_of(name, after, limit).await?.map(Decided::from))
    }

    /// What workflows are about, by their ids.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn targets(&self, by: &Caller, ids: &[Uuid]) -> Result<BTreeMap<Uuid, About>, ServiceError> {
        only_people(by, "what workflows are about is listed for people")?;
        let targets = self.engine.storage.targets(ids).await?;
        Ok(targets.into_iter().map(|row| (row.workflow_id, row.into())).collect())
    }

    /// What a name stands for in the configuration, whether or not it is suspended.
    pub fn principal(&self, name: &str) -> Option<Principal> {
        self.engine.configuration.policy.principal(name)
    }

    /// Every role that the configuration asks for a decision at some level.
    pub fn roles(&self) -> BTreeSet<&Role> {
        let policy = &self.engine.configuration.policy;
        let terms = Level::ALL.map(|level| &policy.level(level).terms);
        terms.into_iter().flat_map(|terms| terms.approvers.iter().chain(terms.escalation.iter().flat_map(|step| &step.to))).collect()
    }
}

/// What an agent is limited to; people see everything.
fn visible(by: &Caller) -> Option<Visible> {
    (by.kind == PrincipalKind::Agent).then(|| Visible { agent: by.name.clone(), on_behalf_of: by.on_behalf_of.clone() })
}

/// Agents learn of their own workflows only.
///
/// # Errors
fn pending_filter(by: &Caller, query: PendingQuery) -> PendingFilter {
    let PendingQuery { risk_level, role, mine, order, after, limit } = query;
    // An agent has no roles, and so decides nothing.
    let decidable_by = mine.then(|| Decider { name: by.name.clone(), roles: by.deciding().roles.into_iter().collect() });
    PendingFilter { risk_level, role, decidable_by, visible_to: visible(by), order, after, limit }
}

/// The caller is an agent.
pub(super) fn only_people(by: &Caller, why: &str) -> Result<(), ServiceError> {
    match by.kind {
        PrincipalKind::Person => Ok(()),
        PrincipalKind::Agent => Err(ServiceError::NotPermitted(why.to_owned())),
    }
}
