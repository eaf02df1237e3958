//! Running an action once it may run.
//!
//! Parkbrake promises that what was approved is what runs, and that each attempt has one outcome. So a run is confined on all sides: it has an
//! argument vector and never a shell line, an environment in which each variable is named, output that can neither fill the memory nor
//! reveal a secret, and a process tree that is ended when its time is up. A call goes to the
//! address that an operator wrote, and where its answer is lost, nobody claims to know what became of it.

mod account;
mod artifacts;
mod environment;
mod output;
mod processes;
mod redactions;
pub mod run;
pub mod runbook;
mod shortage;
pub mod webhook;

pub use account::unusable as unusable_accounts;
pub use redactions::Redactions;

use crate::actors::ports::{Executor, Job, MayStart, Work};
use crate::domain::task::invocation::Invocation;
use crate::domain::workflow::Outcome;
use crate::execution::run::{Cancelling, Run};
use futures_util::future::BoxFuture;
use std::time::Duration;
use uuid::Uuid;

/// How long what is cancelled has to end by itself, where the settings say nothing else.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Runs actions on this machine, and calls webhooks from it.
#[derive(Clone)]
pub struct Local {
    redactions: Redactions,
    caller: webhook::Caller,
    grace: Duration,
}

impl Local {
    /// No output of what it runs shows any of these; webhooks are called by `caller`.
    pub fn new(redactions: Redactions, caller: webhook::Caller) -> Self {
        Self { redactions, caller, grace: CANCEL_GRACE }
    }

    /// What is cancelled has this long to end by itself.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }
}

impl Executor for Local {
    fn run(&self, job: Job, may_start: MayStart) -> BoxFuture<'static, Option<Outcome>> {
        let Self { redactions, caller, grace } = self.clone();
        Box::pin(async move {
            let Job { workflow_id, attempt, digest, work, cancelled } = &job;
            let cancelling = Cancelling { signal: cancelled.clone(), grace };
            match work {
                Work::Run(invocation) => {
                    let run = Run { workflow_id: *workflow_id, attempt: *attempt, digest, invocation };
                    runbook::run(run, &redactions, &*may_start, &cancelling).await
                }
                Work::Call { name, call, args } => {
                    let request = webhook::Request { workflow_id: *workflow_id, attempt: *attempt, digest, name, call, args };
                    webhook::call(request, &caller, &redactions, &*may_start, &cancelling).await
                }
            }
        })
    }

    fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>> {
        Box::pin(runbook::identify(invocation))
    }

    fn end_stragglers(&self, workflow_id: Uuid) -> BoxFuture<'static, ()> {
        Box::pin(runbook::end_stragglers(workflow_id))
    }
}
