//! The stricter of the terms under which a request was parked and those of today.

use super::Today;
use crate::domain::policy::{ApprovalTerms, EscalationStep, Role};
use crate::domain::workflow::{Round, Submission};

impl Today<'_> {
    /// The stricter of a round's terms and today's, and where they are stricter than the round's.
    pub(super) fn stricter(self, submission: &Submission, round: &Round) -> (ApprovalTerms, Vec<String>) {
        let level = submission.level_of(round.step);
        let (then, mut changes) = (round.terms.as_ref(), Vec::new());
        let policy = self.policy.level(level);
        let now = (!policy.auto_approve).then_some(policy.terms.as_ref());
        let more = |of: fn(&ApprovalTerms) -> bool, what: &str, changes: &mut Vec<String>| {
            let is_new = !of(then) && now.is_some_and(of);
            if is_new {
                changes.push(format!("{level} risk now {what}"));
            }
            is_new || of(then)
        };
        let required = now.map_or(then.required, |now| now.required.max(then.required));
        if required > then.required {
            changes.push(format!("{level} risk now needs {required} approvals, not {}", then.required));
        }
        let asked = self.asked(level);
        let still = |role: &&Role| asked.as_ref().is_none_or(|asked| asked.contains(role));
        let steps = then.escalation.iter().skip(round.escalation_level as usize);
        let steps = steps.map(|step| EscalationStep { after: step.after, to: step.to.iter().filter(still).cloned().collect() });
        let terms = ApprovalTerms {
            approvers: self.entitled(submission, round).into_iter().cloned().collect(),
            required,
            distinct_roles: more(|terms| terms.distinct_roles, "needs approvals of different roles", &mut changes),
            require_justification: more(|terms| terms.require_justification, "needs a justification", &mut changes),
            require_digest: more(|terms| terms.require_digest, "needs the digest of what was read", &mut changes),
            separation_of_duties: more(|terms| terms.separation_of_duties, "is not approved by its requester", &mut changes),
            escalation: steps.filter(|step| !step.to.is_empty()).collect(),
            expire_after: [then.expire_after, now.and_then(|now| now.expire_after)].into_iter().flatten().min(),
        };
        (terms, changes)
    }
}
