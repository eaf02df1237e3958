//! What a notice says: the same facts for every channel, with every text from outside made fit to
//! be shown.
//!
//! Nothing here knows a format. Each channel puts the words into its own format, and keeps text
//! from outside from being read as markup. Characters that are invisible, or that would reorder the
//! text around them, are replaced by their numbers here.

mod actions;
mod changes;

use crate::actors::ports::Notice;
use crate::domain::notice::Kind;
use crate::domain::policy::away;
use crate::domain::risk::Reason;
use crate::domain::risk::level::Level;
use crate::domain::risk::target::{self, DIFFERS, Target};
use crate::domain::task::plan::Document;
use crate::domain::text::{escaped, shown};
use crate::domain::workflow::approval;
use crate::domain::workflow::transition;
use crate::domain::workflow::{ApprovalStatus, Decision, Round, Submission, Verdict, Workflow};
use actions::actions;
use changes::instead;
use chrono::{DateTime, Utc};
use serde::Serialize;

/// The most characters of a value from outside, such as a resource or a command.
const LONGEST_VALUE: usize = 500;
/// The most characters of the requester's own words.
const LONGEST_DESCRIPTION: usize = 4 * 1024;
/// How many reasons are listed. The link leads to all of them.
const MOST_REASONS: usize = 10;

/// One message, as templates see it.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// The whole message in one line.
    pub title: String,
    /// How many notices it consists of.
    pub count: usize,
    /// The highest level among them.
    pub worst: Level,
    /// The first notice. It is the only one unless the message is a group.
    pub notice: Said,
    /// All notices.
    pub notices: Vec<Said>,
}

/// One notice in words.
#[derive(Debug, Clone, Serialize)]
pub struct Said {
    pub id: String,
    /// What happened: the event type, such as `approval.requested`.
    pub kind: &'static str,
    /// The notice in one line.
    pub title: String,
    /// The same as a sentence, without the task.
    pub sentence: String,
    pub at: String,
    /// Which reminder it is, from 1, or the percent of the goal that has passed; 0 for everything
    /// else.
    pub number: u32,
    /// Who caused it.
    pub actor: String,
    /// Where people read it and decide.
    pub link: Option<String>,
    pub workflow_id: String,
    pub status: &'static str,
    pub risk: Level,
    pub digest: String,
    pub requested_by: String,
    pub on_behalf_of: Option<String>,
    /// The requester's own words, which nobody has checked.
    pub description: String,
    pub task_id: Option<String>,
    /// A sentence about the difference, if the requester called the target something other than
    /// what parkbrake knows.
    pub called: Option<String>,
    pub operation: String,
    pub environment: Option<String>,
    pub resource: Option<String>,
    pub resource_type: Option<String>,
    pub estimated_cost: Option<String>,
    /// What would run, in words.
    pub action: String,
    /// Why the level is what it is, the worst first.
    pub reasons: Vec<Why>,
    /// The facts worth knowing at a glance, each with its name.
    pub facts: Vec<Fact>,
    /// The people who are asked now.
    pub asked: Vec<String>,
    /// The roles that may decide.
    pub approvers: Vec<String>,
    pub required: u32,
    pub approvals: usize,
    pub expires_at: Option<String>,
    /// The question or the answer, if the notice is about that.
    pub comment: Option<String>,
    /// The decision, if the notice is about a decision.
    pub decision: Option<Answer>,
    /// Whether every text is complete. If something was cut, nobody can have read everything that
    /// they decide about.
    #[serde(skip)]
    pub is_whole: bool,
}

/// One reason of an assessment.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// A level, or `warning` if the requester and parkbrake disagree.
    pub level: &'static str,
    pub trigger: String,
    pub detail: String,
}

/// A fact worth knowing at a glance.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
}

/// A person's decision.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    pub by: String,
    pub verdict: &'static str,
    pub justification: Option<String>,
    /// How many more approvals were needed after it.
    pub remaining: u32,
}

impl Message {
    /// What a message says; `None` if there is no notice.
    pub fn of(notices: &[Notice]) -> Option<Self> {
        let said: Vec<Said> = notices.iter().map(Said::of).collect();
        let (first, worst) = (said.first()?.clone(), said.iter().map(|one| one.risk).max()?);
        let title = match said.len() {
            1 => first.title.clone(),
            count => format!("{count} requests wait for approval, the worst of them {worst}"),
        };
        Some(Self { title, count: said.len(), worst, notice: first, notices: said })
    }
}

impl Said {
    /// One notice in words.
    pub fn of(notice: &Notice) -> Self {
        let (workflow, document) = (&notice.workflow, &notice.document);
        let submission = &workflow.submission;
        let round = workflow.round();
        let reasons = submission.assessment.reasons.iter().take(MOST_REASONS);
        let last = workflow.decisions.last().filter(|_| notice.kind == Kind::Decided);
        let decision = last.map(|last| Answer {
            by: shown(&last.approver),
            verdict: last.verdict.as_str(),
            justification: last.justification.as_deref().map(|text| lines(text, LONGEST_DESCRIPTION)),
            remaining: last.remaining,
        });
        let (headline, target) = (headline(notice), target_of(notice));
        Self {
            id: notice.id.to_string(),
            kind: notice.kind.as_str(),
            title: format!("{headline}: {}", target.headline()),
            sentence: sentence(notice, &headline),
            at: time(notice.at),
            number: notice.number,
            actor: shown(&notice.actor),
            link: notice.link.clone(),
            workflow_id: workflow.id.to_string(),
            status: workflow.status().as_str(),
            risk: workflow.asked_level(),
            digest: workflow.subject().to_string(),
            requested_by: shown(&submission.requested_by),
            on_behalf_of: submission.on_behalf_of.as_deref().map(shown),
            description: lines(document.description(), LONGEST_DESCRIPTION),
            task_id: document.task_id().map(value),
            called: target.called(),
            operation: value(&target.operation),
            environment: target.environment.as_deref().map(value),
            resource: target.resource.as_deref().map(value),
            resource_type: target.resource_type.as_deref().map(value),
            estimated_cost: document.estimated_cost().map(|cost| format!("{cost} US dollars")),
            action: actions(notice),
            reasons: reasons.map(why).collect(),
            facts: facts(notice),
            asked: notice.asked.iter().map(|person| shown(&person.name)).collect(),
            approvers: round.map(|round| approval::entitled_roles(round).into_iter().map(|role| shown(role)).collect()).unwrap_or_default(),
            required: round.map_or(0, |round| round.terms.required),
            approvals: round.map_or(0, |round| round.approvals.len()),
            expires_at: round.and_then(transition::expires_at).map(time),
            comment: notice.comment.as_deref().map(|text| lines(text, LONGEST_DESCRIPTION)),
            decision,
            is_whole: is_whole(document, submission, &target),
        }
    }
}

/// The target of a notice: what parkbrake knows, or the claim if the request was made before that
/// was recorded.
pub fn target_of(notice: &Notice) -> Target {
    notice.workflow.asked_target().cloned().unwrap_or_else(|| notice.document.single().map(Target::claimed).unwrap_or_default())
}

fn why(reason: &Reason) -> Why {
    let level = if target::is_warning(&reason.trigger) { "warning" } else { reason.level.as_str() };
    Why { level, trigger: value(&reason.trigger), detail: value(&reason.detail) }
}

/// Whether no text about a request had to be cut.
fn is_whole(document: &Document, submission: &Submission, target: &Target) -> bool {
    let reasons = &submission.assessment.reasons;
    let fits = |text: &str| value(text) == escaped(text);
    let tasks = || document.steps().into_iter().map(|(_, task)| task);
    let named = [Some(&target.operation), target.resource.as_ref(), target.environment.as_ref(), target.resource_type.as_ref()];
    let differs = target.differs.iter().flat_map(|one| [one.claimed.as_ref(), Some(&one.known)]);
    reasons.len() <= MOST_REASONS
        && reasons.iter().all(|reason| fits(&reason.trigger) && fits(&reason.detail))
        && lines(document.description(), LONGEST_DESCRIPTION) == lines(document.description(), usize::MAX)
        && document.task_id().is_none_or(fits)
        && tasks().all(|task| task.action.name.as_deref().is_none_or(|name| shown(name) == escaped(name)))
        && named.into_iter().chain(differs).flatten().all(|name| shown(name) == escaped(name))
        && tasks().all(|task| task.action.runs.as_ref().is_none_or(|runs| fits(&serde_json::json!(runs.command).to_string())))
        // For a Terraform plan, the message has only the counts.
        && tasks().all(|task| task.evidence.is_none())
        // The steps of a plan share one text.
        && document.single().is_some()
}

/// What happened, in a few words.
fn headline(notice: &Notice) -> String {
    let (risk, actor) = (notice.workflow.asked_level(), shown(&notice.actor));
    match notice.kind {
        Kind::Requested => format!("Approval needed ({risk} risk)"),
        Kind::Reminded => format!("Still waiting for approval ({risk} risk, reminder {})", notice.number),
        Kind::Escalated => format!("Escalated ({risk} risk)"),
        Kind::GoalNears => format!("Still waiting for approval ({risk} risk, {}% of the time for it has passed)", notice.number),
        Kind::Expiring => format!("About to expire ({risk} risk)"),
        Kind::Decided => decided(&notice.workflow, &actor),
        Kind::Granted => granted(&notice.workflow),
        Kind::GlassBroken => format!("{actor} broke the glass and approved it alone ({risk} risk)"),
        Kind::Reviewed => format!("{actor} reviewed the broken glass"),
        Kind::Expired => "Expired, because nobody decided in time".to_owned(),
        Kind::Cancelled => format!("Cancelled by {actor}"),
        Kind::Superseded => format!("Superseded by another request of {actor}"),
        Kind::Asked => format!("Question from {actor} to the requester"),
        Kind::Answered => format!("Answer from {actor}"),
        Kind::Executing => "Running".to_owned(),
        Kind::Succeeded => "Succeeded".to_owned(),
        Kind::Failed => "Failed".to_owned(),
        Kind::ReportOverdue => "Not reported".to_owned(),
        Kind::OutcomeUnknown => "Outcome unknown".to_owned(),
    }
}

fn decided(workflow: &Workflow, actor: &str) -> String {
    match workflow.decisions.last() {
        Some(last) if last.verdict == Verdict::Rejected => format!("Rejected by {}", decider(last)),
        Some(last) if last.remaining > 0 => format!("Approved by {}, {} more needed", decider(last), last.remaining),
        Some(last) => format!("Approved by {}", decider(last)),
        None => format!("Decided by {actor}"),
    }
}

/// Who decided, and for whom they covered.
fn decider(decision: &Decision) -> String {
    format!("{}{}", shown(&decision.approver), away::in_words(&decision.cover))
}

fn granted(workflow: &Workflow) -> String {
    match workflow.decisions.last() {
        Some(Decision { approver, grant: Some(grant), .. }) => format!("Released by grant {grant} of {}", shown(approver)),
        _ => "Released by a grant".to_owned(),
    }
}

/// What the notice means for the reader.
fn sentence(notice: &Notice, headline: &str) -> String {
    let waiting = match (notice.kind.asks(), notice.workflow.round()) {
        (true, Some(Round { step: Some(step), .. })) => {
            let title = shown(&notice.workflow.submission.step_title(*step));
            let needed = notice.workflow.round().map(needed).unwrap_or_default();
            format!(" This is about {title} of the plan alone: it runs only after {needed}.")
        }
        (true, Some(round)) => format!(" It runs only after {}.", needed(round)),
        _ => String::new(),
    };
    let then = match notice.kind {
        Kind::Decided => match notice.workflow.approval_status() {
            ApprovalStatus::Approved => " It has been released.",
            ApprovalStatus::Rejected => " It will not run.",
            _ => " It still waits.",
        },
        Kind::Granted => " Nobody was asked, and it has been released.",
        Kind::GlassBroken => " It has been released without the other approvers. Somebody else has to review that.",
        Kind::Expired | Kind::Cancelled => " It will not run.",
        Kind::Superseded => " It will not run; the request that superseded it needs its own approval.",
        Kind::Asked => " Reminders pause until the requester answers, for an hour at most; deadlines do not.",
        Kind::ReportOverdue => " The requester may have acted, and has not reported the result: ask, or find out.",
        Kind::OutcomeUnknown => " Nobody knows whether the action happened: find out what it did before anybody repeats it.",
        _ => "",
    };
    let said = notice.comment.as_deref().map(|text| format!(" \u{201c}{}\u{201d}", value(text))).unwrap_or_default();
    let expires = notice.workflow.round().and_then(transition::expires_at).filter(|_| notice.kind == Kind::Expiring);
    let expires = expires.map(|at| format!(" If nobody decides, it expires at {}, and will not run.", time(at))).unwrap_or_default();
    format!("{headline}.{said}{waiting}{expires}{then}{}", instead(notice))
}

fn needed(round: &Round) -> String {
    let roles = approval::entitled_roles(round).into_iter().map(|role| shown(role)).collect::<Vec<_>>().join(" or ");
    match (round.terms.required, round.approvals.len()) {
        (1, _) => format!("one person who is {roles} has approved it"),
        (required, 0) => format!("{required} people who are {roles} have approved it"),
        (required, given) => format!("{required} people who are {roles} have approved it ({given} so far)"),
    }
}

/// At most nine facts, so that they fit everywhere.
fn facts(notice: &Notice) -> Vec<Fact> {
    let workflow = &notice.workflow;
    let submission = &workflow.submission;
    let requester = match &submission.on_behalf_of {
        Some(person) => format!("{} for {}", shown(&submission.requested_by), shown(person)),
        None => shown(&submission.requested_by),
    };
    let target = target_of(notice);
    let waits = notice.kind.asks().then(|| workflow.round()).flatten();
    [
        ("Risk", Some(workflow.asked_level().to_string())),
        (DIFFERS, target.called()),
        ("Operation", Some(value(&target.operation))),
        ("Resource", target.resource.as_deref().map(value)),
        ("Environment", target.environment.as_deref().map(value)),
        ("Estimated cost", notice.document.estimated_cost().map(|cost| format!("{cost} US dollars"))),
        ("Would run", Some(actions(notice))),
        ("Requested by", Some(requester)),
        ("Expires", waits.and_then(transition::expires_at).map(time)),
    ]
    .into_iter()
    .filter_map(|(name, value)| value.map(|value| Fact { name, value }))
    .collect()
}

/// A time as people read it.
fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A value from outside, on one line.
fn value(text: &str) -> String {
    cut(&escaped(&cut(text, LONGEST_VALUE)), LONGEST_VALUE)
}

/// Text from outside that may have several lines.
fn lines(text: &str, most: usize) -> String {
    let text = text.replace("\r\n", "\n");
    cut(&text.split('\n').map(escaped).collect::<Vec<_>>().join("\n"), most)
}

/// Cuts a text to at most this many UTF-16 units, and replaces what is cut by an ellipsis. Services
/// that limit the number of characters count them in UTF-16 units.
pub fn cut(text: &str, most: usize) -> String {
    if text.encode_utf16().count() <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(1);
    let fits = |character: &char| {
        let fits = character.len_utf16() <= left;
        left = left.saturating_sub(character.len_utf16());
        fits
    };
    let mut shorter: String = text.chars().take_while(fits).collect();
    shorter.push('…');
    shorter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        assert_eq!(cut("🚀🚀🚀", 5), "🚀🚀…");
        assert_eq!(cut("🚀🚀🚀🚀", 6), "🚀🚀…");
        assert_eq!(cut("ab", 1), "…");
    }

    #[test]
    fn lines_stay_and_what_cannot_be_seen_is_shown() {
        assert_eq!(lines("one\r\ntwo\u{202e}\rthree", 100), "one\ntwo<U+202E><U+000D>three");
    }
}
