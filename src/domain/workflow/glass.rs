//! Breaking the glass, and reviewing that, by today's rules: who may, and that nobody does so for
//! their own side.

use crate::domain::policy::{Principal, Role};
use crate::domain::risk::level::Level;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition::{self, Answer};
use crate::domain::workflow::{Command, Refusal, Workflow};

impl Today<'_> {
    /// Decides a command to break the glass.
    pub(super) fn break_glass(self, workflow: &Workflow, by: &Principal, command: &Command) -> Result<Answer, Refusal> {
        let Command::BreakGlass { justification, digest, owner, .. } = command else { return transition::decide(workflow, command) };
        self.has_rights(by)?;
        self.separate(&workflow.submission, &by.name)?;
        self.requester_has_rights(workflow)?;
        let level = workflow.submission.level_of(workflow.open_round().and_then(|round| round.step));
        let (by, roles, owner) = (by.clone(), self.glass_roles(level, by), *owner);
        transition::decide(
            workflow,
            &Command::BreakGlass { by, roles, justification: justification.clone(), digest: digest.clone(), owner },
        )
    }

    /// Decides a command to review broken glass.
    pub(super) fn review_glass(self, workflow: &Workflow, by: &Principal, command: &Command) -> Result<Answer, Refusal> {
        let Command::Review { finding, .. } = command else { return transition::decide(workflow, command) };
        self.has_rights(by)?;
        if let Some(review) = workflow.reviews.last().filter(|review| review.broken_by != by.name) {
            self.separate(&workflow.submission, &by.name)?;
            self.separate_from(&review.broken_by, None, &by.name)?;
        }
        let terms = &self.policy.level(workflow.submission.assessment.level).terms;
        let deciders = terms.approvers.iter().chain(terms.escalation.iter().flat_map(|step| &step.to)).cloned().collect();
        transition::decide(workflow, &Command::Review { by: by.clone(), finding: finding.clone(), deciders })
    }

    /// The roles by which a principal may break the glass at a level today.
    pub(super) fn glass_roles(self, level: Level, by: &Principal) -> Vec<Role> {
        let policy = self.policy.level(level);
        by.roles.iter().filter(|role| policy.break_glass.contains(role)).cloned().collect()
    }
}
