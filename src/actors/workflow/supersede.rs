//! Superseding: a task replaces an earlier request of its requester. The end of the one and the
//! beginning of the other are one commit.
//!
//! The earlier request has an actor of its own, which does not know about this. The version check
//! decides between the two, as between two servers: the first to commit the next event of the
//! earlier request wins, and the other reads its log and decides again.

use super::commit::call;
use super::{Stale, WorkflowActor};
use crate::actors::checkpointer;
use crate::actors::messages::ToRegistry;
use crate::actors::protocol::{Failure, Submitted};
use crate::domain::policy::Principal;
use crate::domain::workflow::transition::{self, Answer};
use crate::domain::workflow::{Command, Refusal, Workflow, commit};
use crate::storage::{Advance, Opening, Replacement, Written};
use uuid::Uuid;

/// How often this is decided again because another commit to the earlier request came first.
const ATTEMPTS: u32 = 4;

impl WorkflowActor {
    pub(super) async fn supersede(&self, older: Uuid, by: &Principal, opening: Opening) -> Result<Submitted, Failure> {
        let mut replacement = opening;
        for _ in 0..ATTEMPTS {
            let earlier = self.earlier(older, by).await?;
            let command = Command::Supersede { by: by.clone(), successor: self.id };
            let decided = transition::decide(&earlier, &command);
            if decided.is_err() && self.was_keyed(&replacement).await? {
                // The same call came first; its result is also the result of this one.
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
                        document: None,
                        guard,
                        now: self.deps.clock.now(),
                        begins: None,
                        notices,
                    }
                }
                // It was written, but the answer was lost.
                Answer::Nothing | Answer::Repeat(_) => return self.own().await?.ok_or(Failure::Busy),
            };
            let row = Box::new(Replacement { opening: replacement, ending });
            let (row, written) = call(&self.deps.checkpointer, |reply| checkpointer::Msg::Replace(row, reply)).await?;
            // Whatever the result, the remembered state of the earlier request may be behind its
            // log.
            let _ = self.deps.registry.cast(ToRegistry::Wake { id: older });
            match written {
                Written::Committed { at } => return Ok(self.accepted(row.opening, at)),
                Written::Duplicate => return Ok(Submitted::KeyUsed),
                // The next sweep commits the expiry.
                Written::TooLate => return Err(Refusal::Expired.into()),
                // Halted a moment ago.
                Written::Held => {
                    replacement = match transition::queued_instead(None, &row.opening.events) {
                        Some(events) => *self.queued(Box::new(row.opening), events)?,
                        None => row.opening,
                    };
                    continue;
                }
                Written::Conflict
                | Written::TooEarly
                | Written::NoLease
                | Written::OwnerActs
                | Written::Ungranted
                | Written::Unreviewed
                | Written::Busy => {
                    if let Some(own) = self.own().await? {
                        return Ok(own);
                    }
                }
            }
            replacement = row.opening;
        }
        Err(Failure::Unavailable("other changes to the superseded request keep coming first; try again in a moment".to_owned()))
    }

    /// The earlier request, if the requester may see it. This reads its log, because the remembered
    /// state may be behind it.
    async fn earlier(&self, older: Uuid, by: &Principal) -> Result<Workflow, Failure> {
        let log = self.deps.logs.read(older).await.map_err(|error| Failure::Unavailable(error.to_string()))?;
        let earlier = transition::replay(older, log.iter()).map_err(|error| Failure::Internal(error.to_string()))?;
        let may_see = |earlier: &Workflow| by.may_see(&earlier.submission.requested_by, earlier.submission.on_behalf_of.as_deref());
        earlier.filter(may_see).ok_or(Failure::NotFound)
    }

    /// Whether the idempotency key of a task has been used in the meantime.
    async fn was_keyed(&self, opening: &Opening) -> Result<bool, Failure> {
        let Some(key) = &opening.key else { return Ok(false) };
        let first = self.deps.storage.first_use(&opening.workflow.submission.requested_by, &key.key).await;
        Ok(first.map_err(|error| Failure::Unavailable(error.to_string()))?.is_some())
    }

    /// This workflow, if it was written after all.
    async fn own(&self) -> Result<Option<Submitted>, Failure> {
        match self.load().await {
            Ok(workflow) => Ok(workflow.map(Submitted::Accepted)),
            Err(error @ (Stale::Unavailable(_) | Stale::Tampered(_) | Stale::Broken(_))) => Err(Failure::Unavailable(error.to_string())),
        }
    }
}
