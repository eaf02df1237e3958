//! Renders a row of the outbox as a notice, right before it is sent: reads its contents from the
//! log, and checks again that it is still true.

use crate::actors::ports::{Contact, Notice};
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::notice::outbox;
use crate::domain::notice::reach::{self, People};
use crate::domain::notice::{Kind, Medium};
use crate::domain::policy::{Person, SYSTEM};
use crate::domain::task::difference::{self, Difference};
use crate::domain::task::plan::Document;
use crate::domain::via::Via;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition;
use crate::domain::workflow::{ApprovalStatus, Event, Recorded, Workflow};
use crate::identity::Suspensions;
use crate::storage::{DueNotice, Error, Storage};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Recorded for a notice whose request was settled before the notice was sent.
const SETTLED: &str = "the request was settled first";

/// How soon a resting reminder is checked again, because the question may have been answered.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What to do with a row.
pub enum Rendered {
    Send(Box<Notice>),
    /// The notice is outdated, or nobody is left to receive it.
    Cancel(&'static str),
    /// The notice must not be sent now, and may be sent later.
    Rest(Duration),
    /// Its recipient has quiet hours until then.
    Wait(DateTime<Utc>),
    /// The notice can never be rendered.
    GiveUp(String),
}

/// Renders the notices of one channel.
pub struct NoticeRenderer {
    pub channel: String,
    pub medium: Medium,
    pub storage: Storage,
    pub configuration: Arc<Configuration>,
    pub clock: Arc<Clock>,
    pub suspensions: Arc<Suspensions>,
}

impl NoticeRenderer {
    /// Renders a row.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn render(&self, row: &DueNotice) -> Result<Rendered, Error> {
        match self.try_render(row).await {
            Err(error @ Error::Corrupt { .. }) => Ok(Rendered::GiveUp(error.to_string())),
            other => other,
        }
    }

    async fn try_render(&self, row: &DueNotice) -> Result<Rendered, Error> {
        let log = self.storage.log(row.workflow_id).await?;
        let now = replayed(row, &log)?;
        // A task that only names a GitHub run, and came from elsewhere, must not answer for a
        // deployment.
        if self.medium == Medium::Github && log.first().is_none_or(|first| first.via != Via::Github) {
            return Ok(Rendered::Cancel("GitHub did not ask about it"));
        }
        if row.kind.asks() && now.approval_status() != ApprovalStatus::Pending {
            return Ok(Rendered::Cancel(SETTLED));
        }
        if let Some(round) = now.open_round().filter(|_| row.kind == Kind::GoalNears) {
            let elapsed = (self.clock.now() - round.opened_at).to_std().unwrap_or_default();
            let gone = "the configuration no longer has a goal for this level";
            let goal = self.configuration.policy.level(row.level).goal.as_ref();
            if let Some(why) = goal.map_or(Some(gone), |goal| goal.is_past(row.number, elapsed)) {
                return Ok(Rendered::Cancel(why));
            }
        }
        if row.kind.rests()
            && let Some(rest) = self.rest(&now)
        {
            return Ok(Rendered::Rest(rest));
        }
        let suspended = self.suspensions.current().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: self.clock.now() };
        let asked = outbox::asked(&now, today);
        let recipient = match &row.recipient {
            None => None,
            Some(name) => {
                if row.kind.asks() && asked.iter().all(|(asked, _)| asked != name) {
                    // Another person's approval may stand in for theirs, and may be withdrawn; so
                    // the reminders continue.
                    let pause = self.configuration.policy.level(row.level).remind_every;
                    let is_reminder = row.kind == Kind::Reminded;
                    return Ok(if is_reminder { Rendered::Rest(pause) } else { Rendered::Cancel("this person is no longer asked") });
                }
                let Some(person) = self.configuration.policy.people().get(name).filter(|person| reach::is_reached(person, self.medium))
                else {
                    return Ok(Rendered::Cancel("this person is not reached by this channel any more"));
                };
                if suspended.contains(name) {
                    return Ok(Rendered::Cancel("this person is suspended"));
                }
                let mut concerned = if row.kind.asks() { asked.clone() } else { outbox::answerable(&now, row.kind, today) };
                if self.medium == Medium::WebPush {
                    concerned.push((name, person));
                    concerned = self.subscribed(concerned).await?;
                    if let Some(why) = unreached(row, name, &concerned) {
                        return Ok(Rendered::Cancel(why));
                    }
                }
                if let Some(until) = self.waits(row, name, person, concerned).filter(|_| !row.resent) {
                    return Ok(Rendered::Wait(until));
                }
                Some(contact(name, person))
            }
        };
        if self.follows_up(row.kind) && !row.resent {
            let asked = self.storage.was_asked(row.workflow_id, &self.channel, row.recipient.as_deref()).await?;
            if !asked {
                return Ok(Rendered::Cancel("nobody was asked here, so there is nothing to follow up"));
            }
        }
        let is_of_its_moment = row.kind.is_of_its_moment();
        let until = log.iter().take_while(|recorded| recorded.version <= row.version);
        // A reminder is about the current state.
        let workflow = if is_of_its_moment { now.clone() } else { replayed(row, until)? };
        let bytes = self.storage.document(row.workflow_id, workflow.document_number()).await?.unwrap_or_default();
        let document = Document::read(&bytes).map_err(|error| corrupt(row, format!("its document: {error}")))?;
        let event = log.iter().find(|recorded| recorded.version == row.version).ok_or_else(|| corrupt(row, "its event is missing"))?;
        let differences = self.differences(row, &workflow, &bytes).await?;
        Ok(Rendered::Send(Box::new(Notice {
            id: row.id,
            kind: row.kind,
            at: if is_of_its_moment { row.first_due_at } else { event.at },
            number: row.number,
            actor: if is_of_its_moment { SYSTEM.to_owned() } else { event.actor.clone() },
            workflow,
            comment: match &event.event {
                Event::Commented { text, .. } => Some(text.clone()),
                _ => None,
            },
            differences,
            document,
            recipient,
            asked: if row.kind.asks() { self.contacts(row, &asked) } else { Vec::new() },
            link: self.link(row),
        })))
    }

    /// Those of these people who have subscribed a browser.
    async fn subscribed<'p>(&self, people: People<'p>) -> Result<People<'p>, Error> {
        let names: Vec<String> = people.iter().map(|(name, _)| (*name).to_owned()).collect();
        let subscribed = self.storage.push_subscribers(&names).await?;
        Ok(people.into_iter().filter(|(name, _)| subscribed.contains(*name)).collect())
    }

    /// Until when a notice to this person waits because of quiet hours. A notice that has waited is
    /// due at their very end.
    fn waits(&self, row: &DueNotice, name: &str, person: &Person, concerned: People<'_>) -> Option<DateTime<Utc>> {
        let now = self.clock.now().max(row.first_due_at);
        let told = reach::recipients(concerned, row.kind, row.level, self.medium);
        reach::waits_until(name, person, row.kind, row.level, &told, now)
    }

    /// The people who are asked, as a shared channel names them. It mentions nobody who would not
    /// get their own notice now.
    fn contacts(&self, row: &DueNotice, asked: &People<'_>) -> Vec<Contact> {
        let told = reach::recipients(asked.clone(), row.kind, row.level, self.medium);
        let is_disturbed = |name: &str, person: &Person| {
            told.iter().any(|(told, _)| *told == name) && self.waits(row, name, person, asked.clone()).is_none()
        };
        let one = |(name, person): &(&str, &Person)| {
            let mentioned = self.medium != Medium::Slack || is_disturbed(name, person);
            let contact = contact(name, person);
            Contact { slack: contact.slack.filter(|_| mentioned), ..contact }
        };
        asked.iter().map(one).collect()
    }

    /// How long a reminder rests because the requester was asked something. Then it is checked
    /// again, because the answer may have come.
    fn rest(&self, workflow: &Workflow) -> Option<Duration> {
        let until = workflow.discussion.question.as_ref()?.rests_until();
        let left = (until - self.clock.now()).to_std().ok().filter(|left| !left.is_zero())?;
        Some(left.min(LOOK_AGAIN))
    }

    /// For a notice that asks: how the task differs from what people were asked about before, or
    /// from the request that it supersedes.
    async fn differences(&self, row: &DueNotice, workflow: &Workflow, document: &[u8]) -> Result<Vec<Difference>, Error> {
        if let Some(renewal) = workflow.open_round().and_then(|round| workflow.renewal_of(round)).filter(|_| row.kind.asks()) {
            return Ok(renewal.changes.clone());
        }
        let Some(earlier) = workflow.submission.supersedes.filter(|_| row.kind.asks()) else { return Ok(Vec::new()) };
        let Some(before) = self.storage.last_document(earlier).await? else { return Ok(Vec::new()) };
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        Ok(difference::between(&read(&before), &read(document)))
    }

    /// Whether a notice only follows up on a question: people who were never asked do not get it,
    /// while programs get everything.
    fn follows_up(&self, kind: Kind) -> bool {
        !matches!(self.medium, Medium::Webhook | Medium::Github) && kind.ends()
    }

    fn link(&self, row: &DueNotice) -> Option<String> {
        let base = self.configuration.notifications.public_url.as_ref()?;
        Some(format!("{base}/inbox/workflows/{}", row.workflow_id))
    }
}

/// Why a notice does not go to the browsers of this person, of those who have subscribed some.
fn unreached(row: &DueNotice, name: &str, subscribed: &People<'_>) -> Option<&'static str> {
    let is_in = |people: &People<'_>| people.iter().any(|(other, _)| *other == name);
    if !is_in(subscribed) {
        return Some("this person has subscribed no browser");
    }
    let told = reach::recipients(subscribed.clone(), row.kind, row.level, Medium::WebPush);
    (!is_in(&told) && !row.resent).then_some("this person does not want notices of this level")
}

fn replayed<'a>(row: &DueNotice, log: impl IntoIterator<Item = &'a Recorded>) -> Result<Workflow, Error> {
    let workflow = transition::replay(row.workflow_id, log).map_err(|error| corrupt(row, error.to_string()))?;
    workflow.ok_or_else(|| corrupt(row, "its log is empty"))
}

fn corrupt(row: &DueNotice, detail: impl Into<String>) -> Error {
    Error::Corrupt { workflow_id: row.workflow_id, detail: detail.into() }
}

fn contact(name: &str, person: &Person) -> Contact {
    Contact { name: name.to_owned(), email: person.email.clone(), slack: person.slack.clone(), linear: person.linear.clone() }
}
