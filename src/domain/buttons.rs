//! Buttons in Slack: what whoever makes them and whoever hears of a press have to agree on.

use crate::domain::digest::Digest;
use crate::domain::workflow::Verdict;
use uuid::Uuid;

/// A link, of whose press Slack tells as well; nothing follows from it.
pub const OPEN: &str = "parkbrake_open";
const APPROVE: &str = "parkbrake_approve";
const REJECT: &str = "parkbrake_reject";

/// What a button that decides is about: the workflow, and the digest of what was shown beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub workflow_id: Uuid,
    pub digest: String,
    pub verdict: Verdict,
}

/// The name of the action of a button.
pub fn action(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => APPROVE,
        Verdict::Rejected => REJECT,
    }
}

/// The value of a button.
pub fn value(workflow_id: Uuid, digest: &Digest) -> String {
    format!("{workflow_id} {digest}")
}

/// What was pressed; `None` for what is no button that decides.
pub fn question(action: &str, value: &str) -> Option<Question> {
    let verdict = match action {
        APPROVE => Verdict::Approved,
        REJECT => Verdict::Rejected,
        _ => return None,
    };
    let (id, digest) = value.split_once(' ')?;
    Some(Question { workflow_id: Uuid::try_parse(id).ok()?, digest: digest.to_owned(), verdict })
}

/// Text in a place where Slack reads `mrkdwn`: nothing in it is a mention or a link.
pub fn mrkdwn(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_button_comes_out_of_it() {
        let (id, digest) = (Uuid::new_v4(), Digest::of(b"document"));
        for verdict in [Verdict::Approved, Verdict::Rejected] {
            let question = question(action(verdict), &value(id, &digest));
            assert_eq!(question, Some(Question { workflow_id: id, digest: digest.to_string(), verdict }));
        }
        assert_eq!(question(OPEN, &value(id, &digest)), None);
        assert_eq!(question(APPROVE, "no value of ours"), None);
    }
}
