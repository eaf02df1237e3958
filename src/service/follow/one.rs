//! The stream of one workflow.

use super::{HEARTBEAT, PAUSE, Since, Sink, Slot};
use crate::actors::engine::WorkflowHistory;
use crate::domain::workflow::FeedEntry;
use crate::identity::{Caller, Reauthentication};
use crate::service::{Service, ServiceError};
use uuid::Uuid;

/// The answer to a client that wants to follow a workflow.
pub enum Opened {
    Following(Box<OneWorkflow>),
    /// The workflow has ended, and the client has received all of its events.
    Ended,
}

impl Service {
    /// Follows a workflow, from where the client was or from its beginning.
    ///
    /// # Errors
    /// There is none with this id that the caller may see, too many streams are open, or the
    /// database is unavailable.
    pub async fn follow(
        &self,
        by: &Caller,
        reauthentication: Reauthentication,
        id: Uuid,
        since: Option<Since<u32>>,
    ) -> Result<Opened, ServiceError> {
        let history = self.history(by, id).await?;
        if let Some(since) = since.filter(|since| since.id > history.workflow.version) {
            return Err(since.ahead());
        }
        let since = since.map_or(0, |since| since.id);
        if history.workflow.status().is_final() && history.workflow.version == since {
            return Ok(Opened::Ended);
        }
        let slot = Slot::take(self, &by.name)?;
        Ok(Opened::Following(Box::new(OneWorkflow { id, since, begun: false, reauthentication, _slot: slot, service: self.clone() })))
    }
}

/// The stream of one workflow.
pub struct OneWorkflow {
    service: Service,
    id: Uuid,
    /// The last version that was sent.
    since: u32,
    begun: bool,
    reauthentication: Reauthentication,
    _slot: Slot,
}

impl OneWorkflow {
    /// The next messages; `None` if nothing can follow or the caller has lost the right to the
    /// stream.
    pub async fn next<S: Sink>(&mut self) -> Option<S> {
        let mut messages = S::default();
        if !self.begun {
            self.begun = true;
            messages.opening(&self.since);
            return Some(messages);
        }
        loop {
            let since = self.since;
            let news =
                self.service.engine.wait(self.id, HEARTBEAT, move |workflow| workflow.version > since || workflow.status().is_final());
            match self.service.until_closing(news).await? {
                Ok(Some(history)) if history.workflow.version > since => {
                    self.tell(&mut messages, &history);
                    return Some(messages);
                }
                Ok(Some(history)) if history.workflow.status().is_final() => return None,
                Ok(Some(_)) => {
                    messages.heartbeat(&since);
                    return self.reauthentication.holds(&self.service.identity).await.then_some(messages);
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::debug!(%error, "an event stream waits for the database");
                    self.service.until_closing(tokio::time::sleep(PAUSE)).await?;
                    if !self.reauthentication.holds(&self.service.identity).await {
                        return None;
                    }
                }
            }
        }
    }

    fn tell(&mut self, messages: &mut impl Sink, history: &WorkflowHistory) {
        for recorded in history.log.iter().filter(|recorded| recorded.version > self.since) {
            let entry = FeedEntry::of(&history.workflow, recorded.version, &recorded.actor, recorded.at, &recorded.event);
            messages.event(&entry.version, &entry);
        }
        self.since = history.workflow.version;
    }
}
