//! Comments on a workflow, and questions to its requester. They decide nothing and invalidate
//! nothing.

use super::{Answer, Guard};
use crate::domain::policy::Principal;
use crate::domain::workflow::{Event, MOST_COMMENTS, Refusal, Workflow};

/// Everybody who may see the workflow may comment on it, as long as it is kept.
pub(super) fn comment(workflow: &Workflow, by: &Principal, text: &str, ask: bool) -> Result<Answer, Refusal> {
    if ask && workflow.submission.is_from(by) {
        return Err(Refusal::NotPermitted("a question goes to the requester, and that is you: send it as a comment".to_owned()));
    }
    if workflow.discussion.repeats(&by.name, text, ask).is_some() {
        return Ok(Answer::Nothing);
    }
    if workflow.discussion.comments >= MOST_COMMENTS {
        let detail = format!("it has {MOST_COMMENTS} comments, which is the maximum: continue elsewhere");
        return Err(Refusal::WrongState { current: workflow.status(), detail });
    }
    Ok(Answer::Commit { events: vec![Event::Commented { text: text.to_owned(), ask }], guard: Guard::default() })
}
