//! Which grants parkbrake proposes because people approve equal requests again and again. A
//! proposal grants nothing: a person decides.
//!
//! Equal requests have exactly the same requester, target and action, and parkbrake would run or
//! call the same for them. So a proposal has the narrowest possible pattern. Requests that it
//! matches beyond the approvals are those that nobody approved individually.

use super::pattern::Pattern;
use super::{Asking, GrantTerms};
use crate::domain::risk::level::Level;
use crate::domain::risk::target::Target;
use crate::domain::task::Task;
use uuid::Uuid;

/// A request of the past.
#[derive(Debug, Clone)]
pub struct Past {
    /// Ids are in the order of submission.
    pub workflow_id: Uuid,
    pub requester: String,
    pub level: Level,
    pub task: Task,
    pub target: Target,
    /// Whether it superseded another request. No grant releases such a request.
    pub supersedes: bool,
    pub answer: Answer,
}

/// What people decided about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// One person approved it alone, and was asked about this very request.
    Approved,
    Rejected,
    /// Anything else: it was released without a person, was cancelled, has expired, waits, or
    /// needed several people.
    Other,
}

/// A grant that somebody could give.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub pattern: Pattern,
    /// The highest level among the approvals.
    pub level: Level,
    /// The newest approval at that level. The proposed grant is a grant like this request.
    pub like: Uuid,
    /// The equal approvals, newest first.
    pub approved: Vec<Uuid>,
    /// The other requests that it would have released, newest first.
    pub others: Vec<Uuid>,
}

impl Past {
    /// Whether any grant could release it, whatever its pattern.
    fn is_grantable(&self) -> bool {
        !self.supersedes
            && self.level != Level::Critical
            && self.task.security_findings.is_empty()
            && self.task.evidence.is_none()
            && self.target.differs.is_empty()
    }

    fn is_equal(&self, other: &Self) -> bool {
        self.requester == other.requester && self.target == other.target && self.task.action == other.task.action
    }

    fn is_matched(&self, pattern: &Pattern) -> bool {
        pattern.matches(&self.requester, &self.target, &self.task.action)
    }

    fn is_covered(&self, terms: &GrantTerms) -> bool {
        let Self { requester, level, task, target, .. } = self;
        !self.supersedes && terms.cover(Asking { requester, level: *level, task, target, binding: None }).is_some()
    }
}

/// The grants to propose after this many equal approvals at these levels, those with the newest
/// approvals first. Kinds that match a rejected request are left out, and so are those for which
/// parkbrake would now run or call something different.
pub fn propose(mut past: Vec<Past>, after: u32, levels: &[Level]) -> Vec<Proposal> {
    past.sort_unstable_by_key(|past| std::cmp::Reverse(past.workflow_id));
    let mut equals: Vec<Vec<&Past>> = Vec::new();
    let counts = |past: &&Past| past.answer == Answer::Approved && past.is_grantable() && levels.contains(&past.level);
    for approved in past.iter().filter(counts) {
        match equals.iter_mut().find(|equals| equals.iter().any(|first| first.is_equal(approved))) {
            Some(equals) => equals.push(approved),
            None => equals.push(vec![approved]),
        }
    }
    let is_enough = |equals: &&Vec<&Past>| u32::try_from(equals.len()).is_ok_and(|count| count >= after);
    equals.iter().filter(is_enough).filter_map(|equals| of(equals, &past)).collect()
}

/// The proposal that equal approvals lead to, newest first, given everything known of the past.
fn of(equals: &[&Past], past: &[Past]) -> Option<Proposal> {
    let newest = equals.first()?;
    let pattern = Pattern::exactly(&newest.requester, &newest.target, &newest.task.action).ok()?;
    let mut matched = past.iter().filter(|past| past.is_matched(&pattern));
    // The runbook or the destination has changed since.
    if matched.next().is_none_or(|last| last.task.action != newest.task.action) {
        return None;
    }
    if past.iter().any(|past| past.answer == Answer::Rejected && past.is_matched(&pattern)) {
        return None;
    }
    let level = equals.iter().map(|equal| equal.level).max()?;
    let like = equals.iter().find(|equal| equal.level == level)?.workflow_id;
    let approved: Vec<Uuid> = equals.iter().map(|equal| equal.workflow_id).collect();
    let terms = GrantTerms { pattern, level, uses: 1, cost: None, binding: None };
    let others = past.iter().filter(|past| past.is_covered(&terms)).map(|past| past.workflow_id);
    let others = others.filter(|id| !approved.contains(id)).collect();
    Some(Proposal { pattern: terms.pattern, level, like, approved, others })
}
