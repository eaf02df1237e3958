//! From a row of the outbox to a notice, right before it is sent: what it says is read from the log, and whether it is still true
//! is asked once more.

use crate::actors::ports::{Contact, Notice};
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::notice::outbox;
use crate::domain::notice::{Kind, Medium};
use crate::domain::policy::{Person, SYSTEM};
use crate::domain::task::Task;
use crate::domain::task::difference::{self, Difference};
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition;
use crate::domain::workflow::{ApprovalStatus, Event, Recorded, Workflow};
use crate::identity::Suspensions;
use crate::storage::{DueNotice, Error, Storage};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What is kept of a request that was settled before its notice left.
const SETTLED: &str = "the request was settled first";

/// How soon it is looked again whether a question was answered.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What becomes of a row.
pub enum Letter {
    Send(Box<Notice>),
    /// It is no longer true, or there is nobody to tell it to.
    Cancel(&'static str),
    /// It is not to be told now, and may be later.
    Rest(Duration),
    /// It can never be told.
    GiveUp(String),
}

/// Makes notices for one channel.
pub struct Letters {
    pub channel: String,
    pub medium: Medium,
    pub storage: Storage,
    pub configuration: Arc<Configuration>,
    pub clock: Arc<Clock>,
    pub suspensions: Arc<Suspensions>,
}

impl Letters {
    /// The notice of a row.
    ///
    /// # Errors
    /// No database.
    pub async fn write(&self, row: &DueNotice) -> Result<Letter, Error> {
        match self.try_write(row).await {
            Err(error @ Error::Corrupt { .. }) => Ok(Letter::GiveUp(error.to_string())),
            other => other,
        }
    }

    async fn try_write(&self, row: &DueNotice) -> Result<Letter, Error> {
        let log = self.storage.log(row.workflow_id).await?;
        let now = replayed(row, &log)?;
        if row.kind.asks() && now.approval_status() != ApprovalStatus::Pending {
            return Ok(Letter::Cancel(SETTLED));
        }
        if row.kind == Kind::Reminded
            && let Some(rest) = self.rest(&now)
        {
            return Ok(Letter::Rest(rest));
        }
        let suspended = self.suspensions.current().await?;
        let asked = outbox::asked(&now, Today { policy: &self.configuration.policy, suspended: &suspended });
        let recipient = match &row.recipient {
            None => None,
            Some(name) => {
                if row.kind.asks() && asked.iter().all(|(asked, _)| asked != name) {
                    // Somebody's yes answers for this person, and may be taken back: the chain of reminders goes on.
                    let pause = self.configuration.policy.level(row.level).remind_every;
                    let is_reminder = row.kind == Kind::Reminded;
                    return Ok(if is_reminder { Letter::Rest(pause) } else { Letter::Cancel("this person is no longer asked") });
                }
                let Some(person) = self.configuration.policy.people().get(name).filter(|person| outbox::is_reached(person, self.medium))
                else {
                    return Ok(Letter::Cancel("this person is not reached by this channel any more"));
                };
                Some(contact(name, person))
            }
        };
        if self.follows_up(row.kind) && !row.resent {
            let asked = self.storage.was_asked(row.workflow_id, &self.channel, row.recipient.as_deref()).await?;
            if !asked {
                return Ok(Letter::Cancel("nobody was asked here, so there is nothing to follow up"));
            }
        }
        let document = self.storage.document(row.workflow_id).await?.unwrap_or_default();
        let task: Task = serde_json::from_slice(&document).map_err(|error| corrupt(row, format!("its document: {error}")))?;
        let event = log.iter().find(|recorded| recorded.version == row.version).ok_or_else(|| corrupt(row, "its event is missing"))?;
        let is_of_its_moment = row.kind.is_of_its_moment();
        let until = log.iter().take_while(|recorded| recorded.version <= row.version);
        Ok(Letter::Send(Box::new(Notice {
            id: row.id,
            kind: row.kind,
            at: if is_of_its_moment { row.first_due_at } else { event.at },
            number: row.number,
            actor: if is_of_its_moment { SYSTEM.to_owned() } else { event.actor.clone() },
            // It is about how things stand.
            workflow: if is_of_its_moment { now.clone() } else { replayed(row, until)? },
            comment: match &event.event {
                Event::Commented { text, .. } => Some(text.clone()),
                _ => None,
            },
            differences: self.differences(row, &now, &document).await?,
            task,
            recipient,
            asked: if row.kind.asks() { asked.into_iter().map(|(name, person)| contact(name, person)).collect() } else { Vec::new() },
            link: self.link(row),
        })))
    }

    /// How long a reminder rests because the requester was asked something: then it is looked at again, for the answer may come.
    fn rest(&self, workflow: &Workflow) -> Option<Duration> {
        let until = workflow.discussion.question.as_ref()?.rests_until();
        let left = (until - self.clock.now()).to_std().ok().filter(|left| !left.is_zero())?;
        Some(left.min(LOOK_AGAIN))
    }

    /// What a request that asks has otherwise than the one whose place it has taken.
    async fn differences(&self, row: &DueNotice, workflow: &Workflow, document: &[u8]) -> Result<Vec<Difference>, Error> {
        let Some(earlier) = workflow.submission.supersedes.filter(|_| row.kind.asks()) else { return Ok(Vec::new()) };
        let Some(before) = self.storage.document(earlier).await? else { return Ok(Vec::new()) };
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        Ok(difference::between(&read(&before), &read(document)))
    }

    /// Whether a notice is the end of something that was asked: who was never asked does not hear of it. Programs hear of
    /// everything.
    fn follows_up(&self, kind: Kind) -> bool {
        self.medium != Medium::Webhook && kind.ends()
    }

    fn link(&self, row: &DueNotice) -> Option<String> {
        let base = self.configuration.notifications.public_url.as_ref()?;
        Some(format!("{base}/inbox/workflows/{}", row.workflow_id))
    }
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
