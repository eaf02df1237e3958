//! A task that takes the place of an earlier request of its requester: the end of the one and the beginning of the other are one commit.
//!
//! The earlier request has an actor of its own, which knows nothing of this. The version is the fence between the two, as between two servers:
//! whoever writes the next event of the earlier request wins, and the other reads its log and decides anew.

use super::commit::call;
use super::{Stale, WorkflowActor};
use crate::actors::checkpointer;
use crate::actors::exchange::{Failure, Submitted};
use crate::actors::messages::ToRegistry;
use crate::domain::policy::Principal;
use crate::domain::workflow::transition::{self, Answer};
use crate::domain::workflow::{Command, Refusal, Workflow, commit};
use crate::storage::{Advance, Opening, Replacement, Written};
use uuid::Uuid;

/// How often it is decided anew because somebody else wrote the next event of the earlier request first.
const ATTEMPTS: u32 = 4;

impl WorkflowActor {
    pub(super) async fn take_the_place_of(&self, older: Uuid, by: &Principal, opening: Opening) -> Result<Submitted, Failure> {
        let mut replacement = opening;
        for _ in 0..ATTEMPTS {
            let earlier = self.earlier(older, by).await?;
            let command = Command::Supersede { by: by.clone(), successor: self.id };
            let decided = transition::decide(&earlier, &command);
            if decided.is_err() && self.was_keyed(&replacement).await? {
                // The same call was faster: its answer is this one's too.
                return Ok(Submitted::KeyUsed);
            }
            let ending = match decided? {
                Answer::Commit { events, guard } => {
                    let workflow = commit::follow(older, Some(earlier.clone()), &events, &by.name, by.via);
                    let workflow = workflow.map_err(|error| Failure::Internal(error.to_string()))?;
                    let notices = self.notices(Some(&earlier), &workflow, &events);
                    Advance {
                        expected: earlier.version,
                        workflow,
                        actor: by.name.clone(),
                        via: by.via,
                        events,
                        guard,
                        now: self.workshop.clock.now(),
                        begins: None,
                        notices,
                    }
                }
                // It was written, and the answer was lost.
                Answer::Nothing | Answer::Repeat(_) => return self.own().await?.ok_or(Failure::Busy),
            };
            let row = Box::new(Replacement { opening: replacement, ending });
            let (row, written) = call(&self.workshop.checkpointer, |reply| checkpointer::Msg::Replace(row, reply)).await?;
            // Whatever became of it, what is remembered of the earlier request may be behind its log.
            let _ = self.workshop.registry.cast(ToRegistry::Wake { id: older });
            match written {
                Written::Committed { at } => return Ok(self.accepted(row.opening, at)),
                Written::Duplicate => return Ok(Submitted::KeyUsed),
                // The sweep that is due writes that it has expired.
                Written::TooLate => return Err(Refusal::Expired.into()),
                // Halted a moment ago.
                Written::Held => {
                    replacement = match transition::queued_instead(None, &row.opening.events) {
                        Some(events) => *self.queued(Box::new(row.opening), events)?,
                        None => row.opening,
                    };
                    continue;
                }
                Written::Conflict | Written::TooEarly | Written::Fenced | Written::OwnerActs | Written::Busy => {
                    if let Some(own) = self.own().await? {
                        return Ok(own);
                    }
                }
            }
            replacement = row.opening;
        }
        Err(Failure::Unavailable("the request whose place the task is to take is being changed by others too quickly".to_owned()))
    }

    /// The earlier request, if the requester may see it. Its log is read, whatever is remembered of it.
    async fn earlier(&self, older: Uuid, by: &Principal) -> Result<Workflow, Failure> {
        let log = self.workshop.logs.read(older).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let earlier = transition::replay(older, log.iter()).map_err(|error| Failure::Internal(error.to_string()))?;
        let may_see = |earlier: &Workflow| by.may_see(&earlier.submission.requested_by, earlier.submission.on_behalf_of.as_deref());
        earlier.filter(may_see).ok_or(Failure::NotFound)
    }

    /// Whether the idempotency key of a task has been used meanwhile.
    async fn was_keyed(&self, opening: &Opening) -> Result<bool, Failure> {
        let Some(key) = &opening.key else { return Ok(false) };
        let first = self.workshop.storage.first_use(&opening.workflow.submission.requested_by, &key.key).await;
        Ok(first.map_err(|error| Failure::Unavailable(error.to_string()))?.is_some())
    }

    /// This workflow, if it has been written after all.
    async fn own(&self) -> Result<Option<Submitted>, Failure> {
        match self.load().await {
            Ok(workflow) => Ok(workflow.map(Submitted::Accepted)),
            Err(error @ (Stale::Unavailable(_) | Stale::Tampered(_) | Stale::Broken(_))) => Err(Failure::Unavailable(error.to_string())),
        }
    }
}
