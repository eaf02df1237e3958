//! From a row of the outbox to a notice, right before it is sent: what it says is read from the log, and whether it is still true
//! is asked once more.

use crate::actors::ports::{Contact, Notice};
use crate::config::Configuration;
use crate::domain::notice::outbox;
use crate::domain::notice::{Kind, Medium};
use crate::domain::policy::{Person, SYSTEM};
use crate::domain::task::Task;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition;
use crate::domain::workflow::{ApprovalStatus, Recorded, Workflow};
use crate::identity::Suspensions;
use crate::storage::{DueNotice, Error, Storage};
use std::sync::Arc;

/// What is kept of a request that was settled before its notice left.
const SETTLED: &str = "the request was settled first";

/// What becomes of a row.
pub enum Letter {
    Send(Box<Notice>),
    /// It is no longer true, or there is nobody to tell it to.
    Cancel(&'static str),
    /// It can never be told.
    GiveUp(String),
}

/// Makes notices for one channel.
pub struct Letters {
    pub channel: String,
    pub medium: Medium,
    pub storage: Storage,
    pub configuration: Arc<Configuration>,
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
        let suspended = self.suspensions.current().await?;
        let asked = outbox::asked(&now, Today { policy: &self.configuration.policy, suspended: &suspended });
        let recipient = match &row.recipient {
            None => None,
            Some(name) => {
                if row.kind.asks() && asked.iter().all(|(asked, _)| asked != name) {
                    return Ok(Letter::Cancel("this person is no longer asked"));
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
        let is_reminder = row.kind == Kind::Reminded;
        let until = log.iter().take_while(|recorded| recorded.version <= row.version);
        Ok(Letter::Send(Box::new(Notice {
            id: row.id,
            kind: row.kind,
            at: if is_reminder { row.first_due_at } else { event.at },
            number: row.number,
            actor: if is_reminder { SYSTEM.to_owned() } else { event.actor.clone() },
            // A reminder is about how things stand.
            workflow: if is_reminder { now.clone() } else { replayed(row, until)? },
            task,
            recipient,
            asked: if row.kind.asks() { asked.into_iter().map(|(name, person)| contact(name, person)).collect() } else { Vec::new() },
            link: self.link(row),
        })))
    }

    /// Whether a notice is the end of something that was asked: who was never asked does not hear of it. Programs hear of
    /// everything.
    fn follows_up(&self, kind: Kind) -> bool {
        self.medium != Medium::Webhook && matches!(kind, Kind::Decided | Kind::Expired | Kind::Cancelled)
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
