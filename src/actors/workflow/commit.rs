//! Handing events to the checkpointer, and reading its answer.

use super::{Dependencies, WorkflowActor};
use crate::actors::batch::{CommitError, Reply};
use crate::actors::checkpointer::{self, CheckpointerRef};
use crate::actors::protocol::Failure;
use crate::domain::notice::outbox::{self, Planned};
use crate::domain::via::Via;
use crate::domain::workflow::commit;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition::{self, Guard};
use crate::domain::workflow::{Event, Renewed, Workflow};
use crate::storage::{Advance, Written};
use ractor::rpc::CallResult;
use std::sync::Arc;

/// The result of a commit.
pub(super) enum Progress {
    Moved(Arc<Workflow>),
    Overtaken,
    TooEarly,
    TooLate,
    NoLease,
    /// A halt or a freeze holds the action that it would begin.
    Held,
    /// The person who breaks the glass has an open review.
    Unreviewed,
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Busy { is_uncertain: false } => Self::Busy,
            CommitError::Unavailable(_) | CommitError::Busy { .. } => Self::Unavailable(error.to_string()),
            CommitError::Refused(reason) => Self::Internal(reason),
        }
    }
}

impl WorkflowActor {
    /// Writes events, unless another commit came first. If an external action would begin with them
    /// and a halt or a freeze holds it, it is queued instead.
    pub(super) async fn commit(
        &self,
        workflow: &Workflow,
        actor: &str,
        via: Via,
        events: Vec<Event>,
        guard: Guard,
        renewed: Option<&Renewed>,
    ) -> Result<Progress, CommitError> {
        let instead = transition::queued_instead(Some(workflow), &events);
        match instead {
            None => self.write(workflow, actor, via, events, guard, renewed).await,
            Some(queued) if self.deps.holds.would_hold(workflow).is_some() => {
                self.write(workflow, actor, via, queued, guard, renewed).await
            }
            Some(queued) => match self.write(workflow, actor, via, events, guard, renewed).await? {
                Progress::Held => self.write(workflow, actor, via, queued, guard, renewed).await,
                progress => Ok(progress),
            },
        }
    }

    async fn write(
        &self,
        workflow: &Workflow,
        actor: &str,
        via: Via,
        events: Vec<Event>,
        guard: Guard,
        renewed: Option<&Renewed>,
    ) -> Result<Progress, CommitError> {
        let next = commit::follow(self.id, Some(workflow.clone()), &events, actor, via);
        let next = next.map_err(|error| CommitError::Refused(error.to_string()))?;
        let notices = self.notices(Some(workflow), &next, &events);
        let (actor, now) = (actor.to_owned(), self.deps.clock.now());
        let begins = transition::begins(&events).then(|| self.deps.holds.begins(workflow));
        let document = renewed.filter(|renewed| renewed.digest == *next.document()).map(|renewed| renewed.bytes.clone());
        let expected = workflow.version;
        let advance = Box::new(Advance { expected, workflow: next, actor, via, events, document, guard, now, begins, notices });
        let (advance, written) = call(&self.deps.checkpointer, |reply| checkpointer::Msg::Advance(advance, reply)).await?;
        Ok(match written {
            Written::Committed { at } => Progress::Moved(Arc::new(commit::dated(advance.workflow, at))),
            Written::Conflict | Written::Duplicate | Written::Ungranted | Written::Busy => Progress::Overtaken,
            Written::TooEarly | Written::OwnerActs => Progress::TooEarly,
            Written::TooLate => Progress::TooLate,
            Written::NoLease => Progress::NoLease,
            Written::Held => Progress::Held,
            Written::Unreviewed => Progress::Unreviewed,
        })
    }

    /// The notices about a commit, which are written with it.
    pub(super) fn notices(&self, before: Option<&Workflow>, after: &Workflow, events: &[Event]) -> Vec<Planned> {
        let Dependencies { configuration, clock, .. } = self.deps.as_ref();
        let commit = outbox::Commit { before, after, events };
        let suspended = self.deps.suspensions.last_known();
        let today = Today { policy: &configuration.policy, suspended: &suspended, now: clock.now() };
        outbox::plan(commit, today, &configuration.notifications, || clock.new_id())
    }
}

/// Asks the checkpointer, which always answers unless it is replaced.
pub(super) async fn call<R: Send + 'static>(
    checkpointer: &CheckpointerRef,
    msg: impl FnOnce(Reply<R>) -> checkpointer::Msg,
) -> Result<(Box<R>, Written), CommitError> {
    match checkpointer.call(msg, None).await {
        Ok(CallResult::Success(answer)) => answer,
        _ => Err(CommitError::Unavailable("the checkpointer is being restarted".to_owned())),
    }
}
