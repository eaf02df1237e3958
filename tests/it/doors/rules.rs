//! The rules that apply to every way in.

use super::door::What;

/// What has happened before somebody decides.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Parked,
    /// The digest is not that of the request.
    Stale,
    /// The same person has made the same decision, through the same way in.
    Said,
    /// The same person has approved.
    Approved,
    /// The same person has approved and withdrawn the approval.
    Withdrawn,
    Rejected,
    Cancelled,
    Expired,
    Released,
    Unknown,
    Suspended,
    /// It runs until somebody stops it.
    Running,
    /// Nora has broken the glass for it.
    Broken,
    /// Nora has broken the glass for another request.
    Owing,
    /// It is approved, and a freeze holds it.
    Frozen,
    /// The same person has approved an exception, through the same way in.
    Excepted,
    /// It is a plan whose steps are approved one by one, and its first step waits.
    AtAStep,
    /// The same, but the digest is that of the whole plan.
    AtAStepForThePlan,
    /// The person signed in too long ago.
    SignedInLongAgo,
}

/// A rule: what somebody tries, and what every way in answers and does.
pub struct Rule {
    pub name: &'static str,
    pub before: Before,
    pub who: &'static str,
    pub what: What,
    pub note: bool,
    /// The name in the decision itself.
    pub named: Option<&'static str>,
    /// Words of the refusal; none if it succeeds.
    pub refused: Option<&'static str>,
    /// The first event that it causes; none if the log stays unchanged.
    pub event: Option<&'static str>,
}

const fn rule(name: &'static str, before: Before, who: &'static str, what: What, refused: &'static str) -> Rule {
    Rule { name, before, who, what, note: true, named: None, refused: Some(refused), event: None }
}

const fn done(name: &'static str, before: Before, what: What, event: Option<&'static str>) -> Rule {
    Rule { name, before, who: "alice", what, note: true, named: None, refused: None, event }
}

/// The person that the requester acts for cancels it.
const fn by_tom(name: &'static str, before: Before, event: Option<&'static str>) -> Rule {
    Rule { name, before, who: "tom", what: What::Cancel, note: true, named: None, refused: None, event }
}

/// Alice decides, and names somebody in the decision.
const fn named(name: &'static str, named: &'static str, what: What, refused: Option<&'static str>) -> Rule {
    let event = match (refused, what) {
        (Some(_), _) => None,
        (None, What::Approve) => Some("approved"),
        (None, _) => Some("rejected"),
    };
    Rule { name, before: Before::Parked, who: "alice", what, note: true, named: Some(named), refused, event }
}

/// The rules with the usual terms.
pub const USUAL: &[Rule] = &[
    done("an approver approves", Before::Parked, What::Approve, Some("approved")),
    done("an approver rejects", Before::Parked, What::Reject, Some("rejected")),
    done("the same approval twice", Before::Said, What::Approve, None),
    done("the same rejection twice", Before::Said, What::Reject, None),
    rule("self-approval", Before::Parked, "tom", What::Approve, "somebody else has to approve it"),
    rule("the wrong role approves", Before::Parked, "nora", What::Approve, "it needs team_lead; you are auditor and sre"),
    rule("the wrong role rejects", Before::Parked, "nora", What::Reject, "it needs team_lead; you are auditor and sre"),
    rule("a stale digest", Before::Stale, "alice", What::Approve, "the decision is about another document"),
    rule("decided otherwise", Before::Rejected, "tess", What::Approve, "rejected by alice already"),
    rule("cancelled", Before::Cancelled, "alice", What::Approve, "its status is cancelled"),
    rule("cancelled, and rejected", Before::Cancelled, "alice", What::Reject, "its status is cancelled"),
    rule("no approval was needed", Before::Released, "alice", What::Approve, "this task needed no approval"),
    rule("no approval was needed, and rejected", Before::Released, "alice", What::Reject, "this task needed no approval"),
    rule("unknown", Before::Unknown, "alice", What::Approve, "no workflow with this id"),
    rule("unknown, and rejected", Before::Unknown, "alice", What::Reject, "no workflow with this id"),
    rule("hidden", Before::Parked, "other-bot", What::Approve, "no workflow with this id"),
    rule("hidden, and rejected", Before::Parked, "other-bot", What::Reject, "no workflow with this id"),
    rule("hidden, and released", Before::Released, "other-bot", What::Approve, "no workflow with this id"),
    named("in one's own name", "alice", What::Approve, None),
    named("in one's own name, and rejected", "alice", What::Reject, None),
    named("in somebody else's name", "cora", What::Approve, Some("names somebody else")),
    named("in somebody else's name, and rejected", "cora", What::Reject, Some("names somebody else")),
    rule("suspended", Before::Suspended, "tess", What::Approve, "suspended"),
];

/// The rules for two required approvals.
pub const PAIRED: &[Rule] = &[
    done("an approver withdraws an approval", Before::Approved, What::Withdraw, Some("withdrawn")),
    done("the same approval withdrawn twice", Before::Withdrawn, What::Withdraw, None),
    done("an approval after a withdrawn one", Before::Withdrawn, What::Approve, Some("approved")),
    rule("nothing to withdraw", Before::Parked, "tess", What::Withdraw, "nothing to withdraw"),
    rule("withdrawn after a rejection", Before::Rejected, "tess", What::Withdraw, "rejected by alice already"),
    rule("withdrawn, cancelled", Before::Cancelled, "alice", What::Withdraw, "its status is cancelled"),
    rule("withdrawn, unknown", Before::Unknown, "alice", What::Withdraw, "no workflow with this id"),
];

/// The rules of cancelling a task.
pub const CANCELLING: &[Rule] = &[
    by_tom("a task is cancelled for its requester", Before::Parked, Some("cancelled")),
    by_tom("cancelled twice", Before::Cancelled, None),
    by_tom("what runs is ended", Before::Running, Some("cancel_requested")),
    rule("cancelled by somebody else", Before::Parked, "alice", What::Cancel, "cancelled by its requester or by an admin"),
    rule("what runs, by somebody else", Before::Running, "alice", What::Cancel, "cancelled by its requester or by an admin"),
    rule("what its requester does", Before::Released, "tom", What::Cancel, "its requester carries the action out"),
    rule("cancelled after a rejection", Before::Rejected, "tom", What::Cancel, "nothing left to cancel"),
    rule("cancelling an unknown task", Before::Unknown, "tom", What::Cancel, "no workflow with this id"),
    rule("cancelling a hidden task", Before::Parked, "other-bot", What::Cancel, "no workflow with this id"),
];

/// The rules of cover. The requester acts for tom.
pub const COVERED: &[Rule] = &[
    Rule { who: "nora", ..done("whoever covers approves", Before::Parked, What::Approve, Some("approved")) },
    Rule { who: "nora", ..done("whoever covers rejects", Before::Parked, What::Reject, Some("rejected")) },
    done("whoever is away approves", Before::Parked, What::Approve, Some("approved")),
    rule("a chain of covers, and the cover of the requester's side", Before::Parked, "cora", What::Approve, "it needs team_lead; you are"),
    rule("the same, and rejected", Before::Parked, "cora", What::Reject, "it needs team_lead; you are"),
    rule("self-approval of whoever is away", Before::Parked, "tom", What::Approve, "somebody else has to approve it"),
];

pub const FOR_EVER: &str = "
runbooks:
  for-ever: { operation: read, environment: development, command: [sleep, '600'], timeout: 10m }
";

/// The rules for plans in which each step is approved separately.
pub const STEPWISE: &[Rule] = &[
    done("an approver approves a step", Before::AtAStep, What::Approve, Some("approved")),
    done("an approver rejects a step", Before::AtAStep, What::Reject, Some("rejected")),
    rule("the whole plan instead of a step", Before::AtAStepForThePlan, "alice", What::Approve, "the decision is about another document"),
    rule("a step of one's own plan", Before::AtAStep, "tom", What::Approve, "somebody else has to approve it"),
    rule("a step, by the wrong role", Before::AtAStep, "nora", What::Approve, "it needs team_lead; you are auditor and sre"),
];

pub const HASTY: &[Rule] = &[
    rule("expired", Before::Expired, "alice", What::Approve, "expired"),
    rule("expired, and rejected", Before::Expired, "alice", What::Reject, "expired"),
];

/// The rules for approvals that need a recent sign-in. A token counts as a sign-in with each call;
/// a button in Slack never proves one.
pub const RECENT: &[Rule] = &[
    Rule {
        refused: Some("sign-in within the last 1s"),
        ..done("an approval long after the sign-in", Before::SignedInLongAgo, What::Approve, Some("approved"))
    },
    done("a rejection long after the sign-in", Before::SignedInLongAgo, What::Reject, Some("rejected")),
    rule("the wrong role, long after the sign-in", Before::SignedInLongAgo, "nora", What::Approve, "it needs team_lead"),
];

pub const WORDY: &[Rule] = &[Rule {
    name: "no justification",
    before: Before::Parked,
    who: "alice",
    what: What::Approve,
    note: false,
    named: None,
    refused: Some("justification"),
    event: None,
}];

pub const FROZEN: &[Rule] = &[
    done("an exception from a freeze", Before::Frozen, What::Approve, Some("freeze_excepted")),
    done("the same exception twice", Before::Excepted, What::Approve, None),
    rule(
        "an exception by the wrong role",
        Before::Frozen,
        "nora",
        What::Approve,
        "an exception from the freeze works needs team_lead; you are auditor and sre",
    ),
    rule("an exception for one's own request", Before::Frozen, "tom", What::Approve, "somebody else has to approve it"),
    Rule {
        name: "an exception without a word",
        before: Before::Frozen,
        who: "alice",
        what: What::Approve,
        note: false,
        refused: Some("justification"),
        event: None,
        named: None,
    },
    rule("an exception for what is parked", Before::Parked, "alice", What::Approve, "only what is released and has not started"),
];

/// The rules of an emergency, in which nora may release alone what otherwise needs two approvals.
pub const GLASS: &[Rule] = &[
    Rule { who: "nora", ..done("the glass is broken", Before::Parked, What::BreakGlass, Some("glass_broken")) },
    Rule { who: "nora", ..done("the same break twice", Before::Broken, What::BreakGlass, None) },
    rule("broken without the role", Before::Parked, "alice", What::BreakGlass, "no role that may break the glass"),
    rule("broken for one's own request", Before::Parked, "tom", What::BreakGlass, "somebody else has to approve it"),
    rule("broken for another document", Before::Stale, "nora", What::BreakGlass, "the decision is about another document"),
    Rule { note: false, ..rule("broken without a word", Before::Parked, "nora", What::BreakGlass, "justification") },
    rule("broken before the last one is reviewed", Before::Owing, "nora", What::BreakGlass, "nobody has reviewed that yet"),
    done("a review", Before::Broken, What::Review, Some("reviewed")),
    rule("a review of one's own", Before::Broken, "nora", What::Review, "somebody else has to review that"),
    rule("a review on the requester's side", Before::Broken, "tom", What::Review, "somebody else has to approve it"),
    Rule { note: false, ..rule("a review that says nothing", Before::Broken, "alice", What::Review, "justification") },
    rule("a review of what nobody broke", Before::Parked, "alice", What::Review, "nothing to review"),
];
