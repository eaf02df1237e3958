//! The outbox: which notices follow from the events of a commit, who gets them, and when a failed
//! delivery is retried. Pure functions.
//!
//! Four rules decide who gets which notice:
//! 1. A level's `notify` decides whether notices are sent at all, the routes decide which channels
//!    carry a level, and the kind of a channel decides which notices it carries ([`Medium::says`]).
//!    GitHub asks and is answered, whatever these say.
//! 2. On a personal channel each person gets their own notice: the people who are asked ([`asked`])
//!    when somebody has to decide, and the people answerable for the request when something went
//!    wrong. A person who cannot be reached there, or does not want notices of the level, gets none
//!    ([`reach`]); for Web Push that is found out when the notice is sent.
//! 3. An escalation asks the people who were not asked before. The others are reminded.
//! 4. Each request has one chain of reminders for each channel and recipient. A reminder is written
//!    with the request, and the next one once that has been delivered. Reminders are not events,
//!    because no decision depends on them. The reminders of the goal and the warning before the
//!    expiry are written with the request as well, and sent once.

use crate::domain::notice::reach::{self, People};
use crate::domain::notice::{Kind, Medium, Notifications, Service};
use crate::domain::policy::{Goal, LevelPolicy, Person};
use crate::domain::risk::level::Level;
use crate::domain::workflow::approval;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::{ApprovalStatus, Event, Resolution, Verdict, Workflow};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// A notice to write together with its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub id: Uuid,
    /// The version of its event.
    pub version: u32,
    pub kind: Kind,
    /// The number of the reminder, or the percentage of the goal; 0 for every other notice.
    pub number: u32,
    pub level: Level,
    pub channel: String,
    pub recipient: Option<String>,
    /// How long after the commit it is due.
    pub due_after: Duration,
}

/// A commit: the state before it, if any, the state after it, and the events between them.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    pub before: Option<&'a Workflow>,
    pub after: &'a Workflow,
    pub events: &'a [Event],
}

/// The notices that follow from a commit, each with an id that `new_id` makes.
pub fn plan(commit: Commit<'_>, today: Today<'_>, notifications: &Notifications, mut new_id: impl FnMut() -> Uuid) -> Vec<Planned> {
    let level = commit.after.asked_level();
    let rules = today.policy.level(level);
    let said = said(commit);
    // Every channel carries broken glass, whatever the level's routes.
    let is_emergency = said.iter().any(|(_, kind)| *kind == Kind::GlassBroken);
    if notifications.channels.is_empty() {
        return Vec::new();
    }
    let later = later(commit, &said, rules);
    let asked = asked(commit.after, today);
    let is_covered = |name: &str| asked.iter().all(|(asked, _)| *asked != name);
    let mut planned = Vec::new();
    for (channel, settings) in &notifications.channels {
        let hears = match &settings.service {
            // The app that asked gets its answer at every level.
            Service::Github(app) => commit.after.submission.requested_by == app.agent,
            _ => rules.notify && notifications.heard_at(level).any(|(name, _)| name == channel),
        };
        if !hears && !is_emergency {
            continue;
        }
        let medium = settings.service.medium();
        for later in later.iter().filter(|later| hears && medium.says(later.kind) && (later.is_first || medium.is_personal())) {
            let asked = if later.is_first { Kind::Requested } else { Kind::Escalated };
            for recipient in if medium.is_personal() { recipients(commit, asked, medium, today) } else { vec![None] } {
                planned.push(Planned {
                    id: new_id(),
                    version: later.version,
                    kind: later.kind,
                    number: later.number,
                    level,
                    channel: channel.to_owned(),
                    recipient: recipient.map(str::to_owned),
                    due_after: later.due_after,
                });
            }
        }
        for (version, kind) in said.iter().copied().filter(|(_, kind)| medium.says(*kind) && (hears || *kind == Kind::GlassBroken)) {
            let recipients = if medium.is_personal() { recipients(commit, kind, medium, today) } else { vec![None] };
            // A newly asked person is reminded from then on; a shared channel has had its reminders
            // since the request.
            let reminders = medium.says(Kind::Reminded) && (kind == Kind::Requested || (kind == Kind::Escalated && medium.is_personal()));
            for recipient in recipients {
                let mut add = |kind, number, due_after| {
                    let (channel, recipient) = (channel.to_owned(), recipient.map(str::to_owned));
                    planned.push(Planned { id: new_id(), version, kind, number, level, channel, recipient, due_after });
                };
                if !(kind.asks() && recipient.is_some_and(is_covered)) {
                    add(kind, 0, Duration::ZERO);
                }
                if reminders {
                    add(Kind::Reminded, 1, rules.remind_every);
                }
            }
        }
    }
    planned
}

/// A notice that is sent once, some time after people were asked, if nobody has decided by then.
struct Later {
    version: u32,
    kind: Kind,
    /// For [`Kind::GoalNears`], the percentage of the goal; otherwise 0.
    number: u32,
    /// Whether everybody is asked for the first time, or more people in addition to the others.
    is_first: bool,
    due_after: Duration,
}

/// When the people whom a commit asks are reminded of the goal, and warned that the request will
/// expire. People whom an escalation asks get the notices that are still to come.
fn later(commit: Commit<'_>, said: &[(u32, Kind)], rules: &LevelPolicy) -> Vec<Later> {
    let asking = said.iter().copied().find(|(_, kind)| matches!(kind, Kind::Requested | Kind::Escalated));
    let (Some((version, asking)), Some(round)) = (asking, commit.after.open_round()) else { return Vec::new() };
    let is_first = asking == Kind::Requested;
    let taken = usize::try_from(round.escalation_level).unwrap_or(0).checked_sub(1).and_then(|last| round.terms.escalation.get(last));
    let passed = taken.filter(|_| !is_first).map(|step| step.after).unwrap_or_default();
    let warning = round.terms.expire_after.map(|expire_after| {
        let due = expire_after.saturating_sub(rules.warn_before.unwrap_or(expire_after / 4));
        Later { version, kind: Kind::Expiring, number: 0, is_first, due_after: due.saturating_sub(passed) }
    });
    let goal = rules.goal.iter().flat_map(Goal::moments).filter(|(_, due)| *due > passed);
    let goal = goal.map(|(number, due)| Later { version, kind: Kind::GoalNears, number, is_first, due_after: due - passed });
    goal.chain(warning).collect()
}

/// The notices that a commit deserves, each with the version of its event. Several escalation steps
/// are one notice.
fn said(commit: Commit<'_>) -> Vec<(u32, Kind)> {
    let first = commit.after.version + 1 - u32::try_from(commit.events.len()).unwrap_or(0);
    let mut said: Vec<(u32, Kind)> = Vec::new();
    let is_granted = commit.events.iter().any(|event| matches!(event, Event::Granted(_)));
    for (version, event) in (first..).zip(commit.events) {
        let kind = match event {
            // Nobody is notified that something is queued, only that it starts.
            Event::Submitted(_) | Event::Released { .. } | Event::FreezeExcepted(_) => continue,
            // The notice of the event that follows covers it.
            Event::DocumentRenewed { .. } => continue,
            // The notice is sent when it has ended.
            Event::CancelRequested { .. } | Event::RetryScheduled { .. } | Event::Probed { .. } => continue,
            // An approval that does not complete the quorum decides nothing.
            Event::Approved(approval) if approval.remaining > 0 => continue,
            // It waits as before. Who gets a reminder is decided when the reminder is due.
            Event::Withdrawn { .. } => continue,
            // Nobody is asked if a grant has answered.
            Event::ApprovalRequested { .. } if is_granted => continue,
            Event::Granted(_) => Kind::Granted,
            Event::GlassBroken(_) => Kind::GlassBroken,
            Event::Reviewed { .. } => Kind::Reviewed,
            Event::ApprovalRequested { .. } => Kind::Requested,
            Event::Escalated { .. } => Kind::Escalated,
            Event::Approved(_) | Event::Rejected { .. } => Kind::Decided,
            Event::Expired { .. } => Kind::Expired,
            Event::Cancelled { .. } | Event::ExecutionCancelled { .. } => Kind::Cancelled,
            Event::Superseded { .. } => Kind::Superseded,
            Event::Commented { ask: true, .. } => Kind::Asked,
            Event::Commented { .. } if answers(commit) => Kind::Answered,
            // Comments are not sent; people who want them follow the workflow.
            Event::Commented { .. } => continue,
            Event::ExecutionStarted { .. } => Kind::Executing,
            Event::ExecutionSucceeded { .. } => Kind::Succeeded,
            Event::ExecutionFailed { .. } | Event::StartRefused { .. } => Kind::Failed,
            Event::ReportRequested { .. } => Kind::ReportOverdue,
            Event::OutcomeUnknown { .. } => Kind::OutcomeUnknown,
            Event::Resolved { outcome: Resolution::Succeeded, .. } => Kind::Succeeded,
            Event::Resolved { outcome: Resolution::Failed, .. } => Kind::Failed,
            // A new release is reported when it starts.
            Event::Resolved { outcome: Resolution::Retry, .. } => continue,
        };
        said.retain(|(_, before)| kind != Kind::Escalated || *before != Kind::Escalated);
        said.push((version, kind));
    }
    said
}

/// Whether the commit answered a question with a comment.
fn answers(commit: Commit<'_>) -> bool {
    let was_asked = commit.before.is_some_and(|before| before.discussion.question.is_some());
    was_asked && commit.after.discussion.question.is_none()
}

/// The people whom a request asks now: those who may decide it and whose approval is still needed,
/// except those who are away while a cover is asked. Sorted by name.
pub fn asked<'p>(workflow: &Workflow, today: Today<'p>) -> People<'p> {
    let entitled = entitled(workflow, today);
    let is_asked = |name: &str| entitled.iter().any(|(other, _)| *other == name);
    let is_away = |name: &str| today.policy.covered_by(name, today.now).is_some_and(is_asked);
    entitled.iter().copied().filter(|(name, _)| !is_away(name)).collect()
}

/// The people who may decide a request and whose approval is still needed, by name. Empty if
/// nothing waits for people.
///
/// These are left out: the requester and the person an agent acts for, people who have approved,
/// and people whose roles others have answered for.
fn entitled<'p>(workflow: &Workflow, today: Today<'p>) -> People<'p> {
    let Some(round) = workflow.round().filter(|_| workflow.approval_status() == ApprovalStatus::Pending) else { return Vec::new() };
    let open = approval::open_roles(round);
    let wanted = |name: &str| {
        let Ok(by) = today.principal(name).map(|by| today.deciding(&workflow.submission, &by)) else { return false };
        round.approvals.iter().all(|approval| approval.approver != name)
            && by.roles.iter().any(|role| open.contains(role))
            && today.may_decide(&workflow.submission, round, &by, Verdict::Approved).is_ok()
    };
    today.policy.people().iter().filter(|(name, _)| wanted(name)).map(|(name, person)| (name.as_str(), person)).collect()
}

/// The people who get their own notice.
fn recipients<'p>(commit: Commit<'_>, kind: Kind, medium: Medium, today: Today<'p>) -> Vec<Option<&'p str>> {
    let before: BTreeSet<&str> = match (kind, commit.before) {
        (Kind::Escalated, Some(before)) => entitled(before, today).into_iter().map(|(name, _)| name).collect(),
        _ => BTreeSet::new(),
    };
    let who = match kind {
        Kind::Asked => of(today, |name| commit.after.submission.is_of(name)),
        Kind::Answered => {
            let question = commit.before.and_then(|before| before.discussion.question.as_ref());
            of(today, |name| question.is_some_and(|question| question.by == name))
        }
        // The people who were skipped: their approval was needed and nobody waited for it.
        Kind::GlassBroken => {
            let by = commit.after.open_review().map(|review| review.broken_by.as_str());
            let skipped = commit.before.map(|before| asked(before, today)).unwrap_or_default();
            skipped.into_iter().filter(|(name, _)| Some(*name) != by).collect()
        }
        // A person who is away keeps their reminders, which rest until they are back.
        kind if kind.asks() => entitled(commit.after, today),
        kind => answerable(commit.after, kind, today),
    };
    let who: People<'_> = who.into_iter().filter(|(name, _)| !before.contains(name)).collect();
    // Whom a browser reaches is known only when the notice is sent, so everybody gets a row.
    let told = if medium == Medium::WebPush { who } else { reach::recipients(who, kind, commit.after.asked_level(), medium) };
    told.into_iter().map(|(name, _)| Some(name)).collect()
}

/// The matching people who have rights today.
fn of<'p>(today: Today<'p>, is_meant: impl Fn(&str) -> bool) -> People<'p> {
    let people = today.policy.people().iter().filter(|(name, _)| is_meant(name) && !today.suspended.contains(name));
    people.map(|(name, person)| (name.as_str(), person)).collect()
}

/// The people who are notified that an action went wrong: the person who asked for it and those who
/// approved it. If the outcome is unknown, also everybody who may decide at its level, because one
/// of them has to find out.
pub fn answerable<'p>(workflow: &Workflow, kind: Kind, today: Today<'p>) -> People<'p> {
    let submission = &workflow.submission;
    let round = workflow.round();
    let entitled =
        round.filter(|_| matches!(kind, Kind::ReportOverdue | Kind::OutcomeUnknown)).map(approval::entitled_roles).unwrap_or_default();
    let concerned = |name: &str, person: &Person| {
        submission.requested_by == name
            || submission.on_behalf_of.as_deref() == Some(name)
            || round.is_some_and(|round| round.approvals.iter().any(|approval| approval.approver == name))
            || person.roles.iter().any(|role| entitled.contains(&role))
    };
    let told = today.policy.people().iter().filter(|(name, person)| !today.suspended.contains(name) && concerned(name, person));
    told.map(|(name, person)| (name.as_str(), person)).collect()
}

/// How long the delivery of a notice is retried before parkbrake gives up, counted from when it was
/// first due.
pub const DELIVERY_RETRY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// The pauses of Standard Webhooks 1.0, each after the failure before it.
const WEBHOOK_PAUSES: [u64; 9] = [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];
/// The longest pause on a channel that people read: a request that arrives hours late is useless.
const LONGEST_PAUSE: u64 = 5 * 60;

/// The pause after this many failed attempts, plus up to a tenth, so that notices that failed
/// together are not retried together. It is the same for the same notice and attempt.
pub fn pause(medium: Medium, attempts: u32, id: Uuid) -> Duration {
    let failures = attempts.max(1) - 1;
    let seconds = match medium {
        Medium::Webhook => WEBHOOK_PAUSES[(failures as usize).min(WEBHOOK_PAUSES.len() - 1)],
        Medium::Slack | Medium::Email | Medium::Linear | Medium::PagerDuty | Medium::Github | Medium::WebPush => {
            1_u64.checked_shl(failures.min(16)).unwrap_or(u64::MAX).min(LONGEST_PAUSE)
        }
    };
    // The last bytes of an id are random. A prime varies them between attempts.
    let [.., high, low] = id.into_bytes();
    let share = (u32::from(u16::from_be_bytes([high, low])) + attempts.wrapping_mul(40_503)) % 1_000;
    Duration::from_secs(seconds) + Duration::from_millis(seconds * 100) * share / 1_000
}

#[cfg(test)]
mod tests;
