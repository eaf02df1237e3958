//! Runs an action once it is released.
//!
//! Parkbrake promises that what was approved is what runs, and that each attempt has one outcome.
//! So a run is confined on all sides: it has an argument vector and never a shell line, an
//! environment in which each variable is named, output that can neither fill the memory nor reveal
//! a secret, and a process tree that is killed when its time is up. A webhook call goes to the URL
//! that an operator wrote, and if its response is lost, the outcome is recorded as unknown.

mod account;
mod artifacts;
mod environment;
mod launcher;
mod live;
mod output;
mod output_file;
mod processes;
mod redactions;
pub mod run;
pub mod runbook;
mod shortage;
pub mod webhook;

pub use launcher::{Launcher, launched};
pub use redactions::Redactions;

use crate::actors::ports::{Executor, Job, MayStart, Work};
use crate::domain::request::runbook::Runbook;
use crate::domain::task::invocation::Invocation;
use crate::domain::workflow::Outcome;
use crate::domain::workflow::live_output::{LiveOutput, ReadTo};
use crate::execution::artifacts::search_path;
use crate::execution::environment::Environment;
use crate::execution::live::Board;
use crate::execution::run::{Cancelling, Run};
use crate::hardening;
use futures_util::future::BoxFuture;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a cancelled action has to end on its own, unless the settings say otherwise.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// Reads an environment variable's current value.
type Variables = Arc<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Runs actions on this machine, and calls webhooks from it.
#[derive(Clone)]
pub struct Local {
    redactions: Redactions,
    caller: webhook::Caller,
    grace: Duration,
    launcher: Launcher,
    variables: Variables,
    board: Board,
}

impl Local {
    /// No output shows any of these `redactions`; `caller` calls webhooks, and `launcher` starts
    /// commands.
    pub fn new(redactions: Redactions, caller: webhook::Caller, launcher: Launcher) -> Self {
        Self { redactions, caller, grace: CANCEL_GRACE, launcher, variables: Arc::new(hardening::variable), board: Board::default() }
    }

    /// A cancelled action has this long to end on its own.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Reads the server's environment, for commands, through this function.
    #[must_use]
    pub fn reading(self, variables: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        Self { variables: Arc::new(variables), ..self }
    }
}

/// Why this process cannot run runbooks as their accounts, in their sandboxes or within their
/// limits on this machine: a sentence for each.
pub fn unusable<'a>(runbooks: impl IntoIterator<Item = &'a Runbook> + Clone, launcher: &Launcher) -> Vec<String> {
    let path = search_path(hardening::variable("PATH").as_deref());
    let mut problems = account::unusable(runbooks.clone());
    problems.extend(launcher::unusable(runbooks, launcher, &path));
    problems
}

impl Executor for Local {
    fn run(&self, job: Job, may_start: MayStart) -> BoxFuture<'static, Option<Outcome>> {
        let Self { redactions, caller, grace, launcher, variables, board } = self.clone();
        Box::pin(async move {
            let Job { workflow_id, attempt, digest, work, cancelled } = &job;
            let cancelling = Cancelling { signal: cancelled.clone(), grace };
            match work {
                Work::Run(invocation) => {
                    let run = Run { workflow_id: *workflow_id, attempt: *attempt, digest, invocation };
                    match Environment::of(&run, &redactions, &*variables) {
                        Ok(environment) => runbook::run(run, &launcher, environment, &*may_start, &cancelling, &board).await,
                        Err(missing) => Some(runbook::not_started(run.invocation, &missing.to_string())),
                    }
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

    fn output(&self, workflow_id: Uuid, read_to: Option<ReadTo>) -> Option<LiveOutput> {
        self.board.read(workflow_id, read_to)
    }

    fn end_stragglers(&self, workflow_id: Uuid) -> BoxFuture<'static, ()> {
        Box::pin(runbook::end_stragglers(workflow_id))
    }
}
