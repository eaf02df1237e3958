//! Lists of workflows and of decisions. An agent sees its own workflows; only people see decisions.

use crate::domain::page::{Cursor, Page};
use crate::domain::policy::{Principal, PrincipalKind, Role};
use crate::domain::risk::level::Level;
use crate::domain::risk::order::{ListPosition, Order};
use crate::domain::workflow::Status;
use crate::identity::Caller;
use crate::service::{About, Count, Decided, Finds, Listed, Service, ServiceError, Waiting};
use crate::storage::{Decider, MOST_COUNTED_OF_BUCKET, PendingFilter, SearchFilter, Visible};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A query for requests that wait for people.
#[derive(Debug, Default)]
pub struct PendingQuery {
    pub risk_level: Option<Level>,
    /// Only those that this role may decide.
    pub role: Option<Role>,
    /// Only those that the caller may decide.
    pub mine: bool,
    /// For people only; an agent's list is newest first.
    pub order: Order,
    pub after: Option<ListPosition>,
    pub limit: i64,
}

/// The number of waiting requests at each level.
#[derive(Debug, Default)]
pub struct PendingCounts(BTreeMap<String, i64>);

/// The highest count that is exact.
pub const MOST_COUNTED: i64 = MOST_COUNTED_OF_BUCKET - 1;

impl PendingCounts {
    /// The number of waiting requests at all levels.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// The number of waiting requests at this level.
    pub fn of(&self, level: Level) -> i64 {
        self.0.get(level.as_str()).copied().unwrap_or_default()
    }
}

/// A search for workflows.
#[derive(Debug, Default)]
pub struct Search {
    pub status: Option<Status>,
    pub risk_level: Option<Level>,
    pub requested_by: Option<String>,
    /// A person who approved, rejected, broke the glass, or withdrew an approval.
    pub approver: Option<String>,
    /// The name of the runbook, or of the runbook of any step of a plan.
    pub runbook: Option<String>,
    /// Submitted at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Submitted before this time.
    pub until: Option<DateTime<Utc>>,
    /// Text to find, ignoring case, in the description, the requester's own id, the resource or the
    /// action's name; or the workflow's id, or at least its last six characters.
    pub text: Option<String>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// Whether to count the matches.
    pub counts: bool,
    pub after: Option<Cursor>,
    pub limit: i64,
}

impl Service {
    /// The requests that wait for people.
    ///
    /// # Errors
    /// The database, which knows who is suspended, is unavailable.
    pub async fn pending(&self, by: &Caller, query: PendingQuery) -> Result<Page<Waiting, ListPosition>, ServiceError> {
        let page = self.engine.storage.pending(&pending_filter(by, query)).await?;
        let undecidable = self.engine.undecidable_among(&page.items).await?;
        Ok(page.map(|row| Waiting::of(row, &undecidable)))
    }

    /// The ids of the requests that wait for people, in the requested order.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn pending_ids(&self, by: &Caller, query: PendingQuery) -> Result<Vec<Uuid>, ServiceError> {
        only_people(by, "only people can list waiting requests")?;
        Ok(self.engine.storage.pending_ids(&pending_filter(by, query)).await?)
    }

    /// The number of requests that wait for people, on all pages.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn pending_counts(&self, by: &Caller, query: PendingQuery) -> Result<PendingCounts, ServiceError> {
        only_people(by, "only people can count waiting requests")?;
        Ok(PendingCounts(self.engine.storage.pending_counts(&pending_filter(by, query)).await?))
    }

    /// The workflows that the caller may see and that match the search.
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

    /// The decisions of one person, latest first.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn decisions_of(&self, by: &Caller, name: &str, after: Option<Cursor>, limit: i64) -> Result<Page<Decided>, ServiceError> {
        only_people(by, "only people can list decisions")?;
        Ok(self.engine.storage.decisions_of(name, after, limit).await?.map(Decided::from))
    }

    /// The targets of workflows, by id.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn targets(&self, by: &Caller, ids: &[Uuid]) -> Result<BTreeMap<Uuid, About>, ServiceError> {
        only_people(by, "only people can list what workflows act on")?;
        let targets = self.engine.storage.targets(ids).await?;
        Ok(targets.into_iter().map(|row| (row.workflow_id, row.into())).collect())
    }

    /// The principal with this name in the configuration, whether or not it is suspended.
    pub fn principal(&self, name: &str) -> Option<Principal> {
        self.engine.configuration.policy.principal(name)
    }

    /// Every role that may decide at some level.
    pub fn roles(&self) -> BTreeSet<&Role> {
        let policy = &self.engine.configuration.policy;
        let terms = Level::ALL.map(|level| &policy.level(level).terms);
        terms.into_iter().flat_map(|terms| terms.approvers.iter().chain(terms.escalation.iter().flat_map(|step| &step.to))).collect()
    }
}

/// The limit of what an agent sees; `None` for people, who see everything.
fn visible(by: &Caller) -> Option<Visible> {
    (by.kind == PrincipalKind::Agent).then(|| Visible { agent: by.name.clone(), on_behalf_of: by.on_behalf_of.clone() })
}

/// The filter of a query. Agents see only their own workflows.
///
/// # Errors
fn pending_filter(by: &Caller, query: PendingQuery) -> PendingFilter {
    let PendingQuery { risk_level, role, mine, order, after, limit } = query;
    // An agent has no roles and so decides nothing.
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
