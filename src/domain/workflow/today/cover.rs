//! Covering for people who are away: a cover has their roles for approving and rejecting, in
//! addition to their own, and for nothing else.
//!
//! A cover never crosses the separation of duties, even if that is off: nobody on the requester's
//! side decides by the roles of others, and nobody decides by the roles of somebody on the
//! requester's side. This is checked at the commit of the decision and at that of the start, like
//! roles.

use super::Today;
use crate::domain::policy::{Cover, Principal, away};
use crate::domain::workflow::transition::Answer;
use crate::domain::workflow::{Command, Event, Submission, Workflow};
use chrono::{DateTime, Utc};

impl Today<'_> {
    /// The people for whom a person covers now; empty if the person is suspended.
    pub(super) fn covers(self, name: &str) -> Vec<Cover> {
        let mut covers = self.policy.covers(name, self.now);
        covers.retain(|cover| !self.suspended.contains(&cover.person));
        covers
    }

    /// The caller with every role by which they may decide about this request: their own, those
    /// that groups give, and those of the people for whom they cover.
    pub fn deciding(self, submission: &Submission, by: &Principal) -> Principal {
        let mut deciding = by.clone();
        deciding.roles.extend(by.signed_in.roles.iter().map(|given| given.role.clone()));
        let is_apart = |name: &str| self.separate(submission, name).is_ok();
        let covers = if is_apart(&by.name) { self.covers(&by.name) } else { Vec::new() };
        let covers = covers.into_iter().filter(|cover| is_apart(&cover.person));
        deciding.covers = covers.filter_map(|cover| away::beyond(cover, &deciding.roles)).collect();
        deciding.roles.extend(deciding.covers.iter().flat_map(|cover| cover.roles.clone()));
        deciding
    }

    /// A decision with every role of its author; `None` for every other command.
    pub(super) fn widened(self, workflow: &Workflow, command: &Command) -> Option<Command> {
        let mut widened = command.clone();
        let (Command::Approve { by, .. } | Command::Reject { by, .. } | Command::Withdraw { by, .. }) = &mut widened else { return None };
        *by = self.deciding(&workflow.submission, by);
        Some(widened)
    }

    /// The same answer, committed only while the covers that it depends on last.
    pub(super) fn while_covers_last(self, workflow: &Workflow, command: &Command, answer: Answer) -> Answer {
        let Answer::Commit { events, mut guard } = answer else { return answer };
        let decided = events.iter().filter_map(|event| match event {
            Event::Approved(approval) => Some(&approval.cover),
            Event::Rejected { cover, .. } => Some(cover),
            _ => None,
        });
        let ends = decided.flatten().map(|cover| cover.until).chain(self.covers_of_a_start(workflow, command)).min();
        guard.not_after = [guard.not_after, ends].into_iter().flatten().min();
        Answer::Commit { events, guard }
    }

    /// When the covers end on which the approvals of a starting step depend.
    fn covers_of_a_start(self, workflow: &Workflow, command: &Command) -> Option<DateTime<Utc>> {
        let Command::Start { attempt, .. } = command else { return None };
        let given = workflow.round_of(attempt.step)?.approvals.iter().filter(|approval| !approval.cover.is_empty());
        let standing = given.flat_map(|approval| {
            let covers = |cover: &Cover| approval.cover.iter().any(|given| given.person == cover.person);
            self.covers(&approval.approver).into_iter().filter(covers)
        });
        standing.map(|cover| cover.until).min()
    }
}
