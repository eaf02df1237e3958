//! The engine: the handle through which the rest of the program reaches the actors, and everything
//! that they share.
//!
//! Nothing depends on the caller staying: a command in progress is decided and committed, or
//! refused, whether or not anybody waits for the answer.

use crate::actors::answering::{Afterwards, unanswered};
use crate::actors::dispatcher::{ANSWER_TIMEOUT, ActorRefs, Dispatcher};
use crate::actors::feed::Feed;
use crate::actors::gate::Gate;
use crate::actors::grants::GrantBook;
use crate::actors::holds::HoldWatch;
use crate::actors::log_reader::LogReader;
use crate::actors::messages::Remembered;
use crate::actors::metrics::Metrics;
use crate::actors::notifier::delivery_worker::Pace;
use crate::actors::parked_state::Kinds;
use crate::actors::ports::{Channel, Executor};
use crate::actors::precondition;
use crate::actors::protocol::{AdmittedTask, CommandOutcome, Failure, Submitted};
use crate::actors::runner::{self, Runner};
use crate::actors::trouble_watch::TroubleWatch;
use crate::actors::turns::TurnLimits;
use crate::actors::versions::Versions;
use crate::actors::wakeup::Wakeup;
use crate::clock::Clock;
use crate::config::{Configuration, manifests};
use crate::domain::policy::{Principal, Suspended};
use crate::domain::task::Task;
use crate::domain::workflow::live_output::{LiveOutput, ReadTo};
use crate::domain::workflow::transition;
use crate::domain::workflow::{Command, Recorded, Workflow};
use crate::fence::Fence;
use crate::identity::Suspensions;
use crate::storage::{Error, Resent, Storage};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often a workflow that a caller waits for is read again, because another server may have
/// written to it.
const LOOK: Duration = Duration::from_secs(2);

pub struct Engine {
    pub storage: Storage,
    pub(super) logs: Arc<LogReader>,
    pub configuration: Arc<Configuration>,
    pub clock: Arc<Clock>,
    pub versions: Arc<Versions>,
    pub feed: Arc<Feed>,
    pub metrics: Arc<Metrics>,
    pub runner: Arc<Runner>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) grants: Arc<GrantBook>,
    pub suspensions: Arc<Suspensions>,
    pub holds: Arc<HoldWatch>,
    /// The channels that deliver notices, by name.
    pub channels: BTreeMap<String, Arc<dyn Channel>>,
    pub pace: Pace,
    pub wakeup: Arc<Wakeup>,
    /// How many workflows may stay in memory.
    pub max_resident: usize,
    pub(super) kinds: Arc<Kinds>,
    /// This server; a new id for every start.
    pub owner: Uuid,
    /// Whether this server may still act.
    pub fence: Arc<Fence>,
    pub(super) troubles: TroubleWatch,
    dispatcher: Arc<Dispatcher>,
}

/// What an engine is made of.
pub struct Parts {
    pub storage: Storage,
    pub configuration: Arc<Configuration>,
    pub clock: Arc<Clock>,
    pub executor: Arc<dyn Executor>,
    pub channels: BTreeMap<String, Arc<dyn Channel>>,
    pub pace: Pace,
    pub max_resident: usize,
    pub turns: TurnLimits,
    pub fence: Arc<Fence>,
}

/// A workflow with its log.
#[derive(Debug)]
pub struct WorkflowHistory {
    pub workflow: Workflow,
    pub log: Vec<Recorded>,
}

impl Engine {
    /// The Kubernetes manifests in a YAML text, parsed by the configuration's YAML parser.
    pub fn manifests(&self, text: &str) -> Option<Vec<Map<String, Value>>> {
        manifests::read(text)
    }

    /// An engine without actors; the root starts them.
    pub fn new(parts: Parts) -> Arc<Self> {
        let metrics = Arc::new(Metrics::default());
        metrics.weaknesses.set(i64::try_from(parts.configuration.weaknesses.len()).unwrap_or(i64::MAX));
        let owner = parts.fence.server_id();
        let suspensions = Arc::new(Suspensions::new(parts.storage.clone()));
        let versions = Arc::<Versions>::default();
        let logs = Arc::new(LogReader::new(parts.storage.clone(), Arc::clone(&metrics)));
        let holds = Arc::new(HoldWatch::new(
            parts.storage.clone(),
            Arc::clone(&parts.configuration),
            Arc::clone(&parts.clock),
            Arc::clone(&metrics),
            Arc::clone(&suspensions),
        ));
        let dispatcher = Arc::<Dispatcher>::default();
        let runner = Runner::new(runner::Parts {
            executor: Arc::clone(&parts.executor),
            gate: Gate {
                storage: parts.storage.clone(),
                logs: Arc::clone(&logs),
                configuration: Arc::clone(&parts.configuration),
                executor: Arc::clone(&parts.executor),
                suspensions: Arc::clone(&suspensions),
                holds: Arc::clone(&holds),
                fence: Arc::clone(&parts.fence),
            },
            fence: Arc::clone(&parts.fence),
            metrics: Arc::clone(&metrics),
            dispatcher: Arc::downgrade(&dispatcher),
            owner,
            limits: parts.turns,
        });
        Arc::new(Self {
            runner: Arc::new(runner),
            grants: Arc::new(GrantBook::new(parts.storage.clone())),
            executor: parts.executor,
            suspensions,
            holds,
            storage: parts.storage,
            logs,
            configuration: parts.configuration,
            clock: parts.clock,
            channels: parts.channels,
            pace: parts.pace,
            wakeup: Arc::default(),
            feed: Arc::new(Feed::new(Arc::clone(&versions))),
            versions,
            metrics,
            max_resident: parts.max_resident,
            kinds: Arc::default(),
            owner,
            fence: parts.fence,
            troubles: TroubleWatch::default(),
            dispatcher,
        })
    }

    /// Sends work to these actors from now on.
    pub(super) fn install(&self, actors: ActorRefs) {
        self.dispatcher.install(actors);
    }

    /// Sends no work until actors are installed again.
    pub(super) fn uninstall(&self) {
        self.dispatcher.uninstall();
    }

    /// Whether actors are installed.
    pub fn is_ready(&self) -> bool {
        self.dispatcher.is_ready()
    }

    /// Resolves the files of a task's command on this machine and writes them into the task: real
    /// paths, and the digests of the program and the files. From then on they are part of what is
    /// approved.
    ///
    /// # Errors
    /// The reason: a file is missing or not safe.
    pub async fn identify(&self, task: &mut Task) -> Result<(), String> {
        if let Some(invocation) = task.action.runs.take() {
            task.action.runs = Some(self.executor.identify(invocation).await?);
        }
        Ok(())
    }

    /// Runs the precondition of a task, if its runbook has one, and writes its output into the
    /// task. From then on that is part of what is approved. The precondition runs to its end even
    /// if the caller does not stay, and `held` is held until then.
    ///
    /// # Errors
    /// The reason why there is no output.
    #[expect(clippy::disallowed_methods, reason = "it is awaited below, and continues without the caller")]
    pub async fn look_first(self: &Arc<Self>, task: &mut Task, held: impl Send + 'static) -> Result<(), String> {
        let Some(invocation) = task.action.runs.as_mut().filter(|runs| runs.precondition.is_some()) else { return Ok(()) };
        let (engine, looking) = (Arc::clone(self), invocation.clone());
        let look = tokio::spawn(async move {
            let printed = precondition::look_in_turn(&looking, &*engine.executor, &engine.fence).await;
            drop(held);
            printed
        });
        let printed = look.await.map_err(|_| "the precondition could not be run; the server's log says why".to_owned())??;
        if let Some(precondition) = &mut invocation.precondition {
            precondition.output = printed;
        }
        Ok(())
    }

    /// Assesses a task, and parks or starts it. The result is durable. The caller chooses the id.
    ///
    /// # Errors
    /// `Unavailable` if it is not known whether the task was stored.
    pub async fn submit(&self, id: Uuid, admitted: AdmittedTask) -> Result<Submitted, Failure> {
        self.dispatcher.submit(id, admitted, Afterwards::default()).await
    }

    /// Sends a command to its workflow, which is woken if necessary.
    ///
    /// # Errors
    /// The core refuses the command. `NotFound` also if the caller may not see the workflow.
    /// `Unavailable` if it is not known whether the command was stored.
    pub async fn command(&self, id: Uuid, command: Command) -> Result<CommandOutcome, Failure> {
        self.dispatcher.command(id, command, Some(ANSWER_TIMEOUT)).await
    }

    /// Submits a task for a client. The work continues to its end even if the client hangs up.
    /// `after` is called with the result, which may be long after the client got `Unavailable`;
    /// what `after` owns is held until then.
    ///
    /// # Errors
    /// As [`Self::submit`]; `Unavailable` also if the work does not end in time.
    pub async fn submit_for(
        &self,
        id: Uuid,
        admitted: AdmittedTask,
        after: impl FnOnce(&Result<Submitted, Failure>) + Send + 'static,
    ) -> Result<Submitted, Failure> {
        self.dispatcher.submit(id, admitted, Afterwards::new(after)).await
    }

    /// Sends a client's command to its workflow, whether or not the client stays. `held` is held
    /// until the command has been answered or abandoned.
    ///
    /// # Errors
    /// As [`Self::command`]; `Unavailable` also if the work does not end in time.
    pub async fn command_for(self: &Arc<Self>, id: Uuid, command: Command, held: impl Send + 'static) -> Result<CommandOutcome, Failure> {
        let engine = Arc::clone(self);
        complete_or_time_out(async move {
            let answer = engine.dispatcher.command(id, command, None).await;
            drop(held);
            answer
        })
        .await
    }

    /// Lets a tool call claim what was released for it, if the gate allows it, whether or not the
    /// client stays. `held` is held until then.
    ///
    /// # Errors
    /// As [`Self::command`]; `Held` if a halt or a freeze holds it.
    pub async fn claim_for(
        self: &Arc<Self>,
        id: Uuid,
        by: Principal,
        token: Uuid,
        held: impl Send + 'static,
    ) -> Result<Arc<Workflow>, Failure> {
        let engine = Arc::clone(self);
        complete_or_time_out(async move {
            let answer = engine.runner.claim(id, by, token).await;
            drop(held);
            answer
        })
        .await
    }

    /// Makes a workflow's actor read its log and fulfill its obligations. Returns at once; a lost
    /// wake costs only time.
    pub fn wake(&self, id: Uuid) {
        self.dispatcher.wake(id);
    }

    /// Makes the timer put the actions queued in the database into the runner's queue. Returns at
    /// once.
    pub(super) fn requeue(&self) {
        self.dispatcher.requeue();
    }

    /// Keeps parked workflows in memory, up to the limit.
    pub(super) fn remember(&self, parked: Vec<(Uuid, Remembered)>) {
        self.dispatcher.remember(parked);
    }

    /// Who is suspended, as of at most a second ago.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn suspended(&self) -> Result<Arc<Suspended>, Error> {
        self.suspensions.current().await
    }

    /// Sends a notice again, whether or not the client stays; `held` is held until that is done.
    ///
    /// # Errors
    /// The database does not answer.
    #[expect(clippy::disallowed_methods, reason = "it is awaited below, and continues without the caller")]
    pub async fn resend_notice_for(self: &Arc<Self>, id: Uuid, held: impl Send + 'static) -> Result<Resent, Error> {
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move {
            let resent = engine.storage.resend_notice(id).await;
            engine.wakeup.wake();
            drop(held);
            resent
        });
        work.await.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string())))
    }

    /// A workflow with its log, as stored.
    ///
    /// # Errors
    /// The database does not answer, or the log cannot be read.
    pub async fn history(&self, id: Uuid) -> Result<Option<WorkflowHistory>, Error> {
        let log = self.storage.log(id).await?;
        let workflow = transition::replay(id, &log).map_err(|error| Error::Corrupt { workflow_id: id, detail: error.to_string() })?;
        Ok(workflow.map(|workflow| WorkflowHistory { workflow, log }))
    }

    /// The output, beyond what was read, of an attempt that runs on this server or has just ended
    /// on it.
    pub fn output(&self, id: Uuid, read_to: Option<ReadTo>) -> Option<LiveOutput> {
        self.executor.output(id, read_to)
    }

    /// Waits until a workflow satisfies a condition, or until the timeout. Returns what is stored
    /// then.
    ///
    /// # Errors
    /// The database does not answer, or the log cannot be read.
    pub async fn wait(
        &self,
        id: Uuid,
        timeout: Duration,
        wanted: impl Fn(&Workflow) -> bool + Send,
    ) -> Result<Option<WorkflowHistory>, Error> {
        let until = Instant::now() + timeout;
        // Subscribed before the first read, so that nothing is missed in between.
        let mut versions = self.versions.subscribe(id);
        loop {
            versions.look();
            let history = self.history(id).await?;
            let left = until.saturating_duration_since(Instant::now());
            if history.as_ref().is_none_or(|history| wanted(&history.workflow)) || left.is_zero() {
                return Ok(history);
            }
            let _ = tokio::time::timeout(left.min(LOOK), versions.changed()).await;
        }
    }
}

/// Completes work whether or not the caller stays. The caller waits for [`ANSWER_TIMEOUT`] at most.
#[expect(clippy::disallowed_methods, reason = "it is awaited below, and continues without the caller")]
async fn complete_or_time_out<T: Send + 'static>(work: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_TIMEOUT, tokio::spawn(work)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(unanswered()),
    }
}
