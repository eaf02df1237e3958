//! The engine: the handle by which the rest of the program sees the actors, and all that they share.
//!
//! Nothing that it is asked to do depends on the asker staying: once a command is on its way it is decided and committed,
//! or refused, whether or not anybody waits for the answer.

use crate::actors::bell::Bell;
use crate::actors::courier::Pace;
use crate::actors::exchange::{Answered, Failure, Intake, Submitted};
use crate::actors::feed::Feed;
use crate::actors::gate::Gate;
use crate::actors::holds::HoldWatch;
use crate::actors::log_reader::LogReader;
use crate::actors::messages::{RegistryRef, Remembered, SupervisorRef, TimerRef, ToRegistry, ToSupervisor, ToTimer};
use crate::actors::metrics::Metrics;
use crate::actors::ports::{Channel, Executor};
use crate::actors::runner::{self, Runner};
use crate::actors::turns::TurnLimits;
use crate::actors::versions::Versions;
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::policy::Suspended;
use crate::domain::task::Task;
use crate::domain::workflow::transition;
use crate::domain::workflow::{AttemptId, Command, Outcome, Recorded, Workflow};
use crate::fence::Fence;
use crate::identity::Suspensions;
use crate::storage::{Error, Resent, Storage};
use ractor::rpc::CallResult;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a caller is kept waiting for an answer. What it asked for may still happen afterwards; asking again is safe.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often a command is sent because its actor failed before it came to it.
const ATTEMPTS: u32 = 3;
/// Between two looks at a workflow that somebody waits for; another server may have written.
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
    executor: Arc<dyn Executor>,
    pub suspensions: Arc<Suspensions>,
    pub holds: Arc<HoldWatch>,
    /// The channels by which notices leave, by their names.
    pub channels: BTreeMap<String, Arc<dyn Channel>>,
    pub pace: Pace,
    pub bell: Arc<Bell>,
    /// Of how many workflows the state stays in memory.
    pub max_resident: usize,
    /// This server; a fresh id for every start.
    pub owner: Uuid,
    /// Whether it may still act.
    pub fence: Arc<Fence>,
    crew: RwLock<Option<Crew>>,
}

/// The actors that the engine talks to, while there are any.
#[derive(Clone)]
pub struct Crew {
    pub supervisor: SupervisorRef,
    pub registry: RegistryRef,
    pub timer: TimerRef,
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
pub struct Story {
    pub workflow: Workflow,
    pub log: Vec<Recorded>,
}

impl Engine {
    /// An engine without a crew; the root gives it one.
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
        Arc::new_cyclic(|engine| Self {
            runner: Arc::new(Runner::new(runner::Parts {
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
                engine: Weak::clone(engine),
                owner,
                limits: parts.turns,
            })),
            executor: parts.executor,
            suspensions,
            holds,
            storage: parts.storage,
            logs,
            configuration: parts.configuration,
            clock: parts.clock,
            channels: parts.channels,
            pace: parts.pace,
            bell: Arc::default(),
            feed: Arc::new(Feed::new(Arc::clone(&versions))),
            versions,
            metrics,
            max_resident: parts.max_resident,
            owner,
            fence: parts.fence,
            crew: RwLock::new(None),
        })
    }

    /// Works with these from now on.
    pub(super) fn take_on(&self, crew: Crew) {
        *self.crew.write().unwrap_or_else(PoisonError::into_inner) = Some(crew);
    }

    /// Works with nobody until there is a new crew.
    pub(super) fn dismiss(&self) {
        *self.crew.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn crew(&self) -> Result<Crew, Failure> {
        let crew = self.crew.read().unwrap_or_else(PoisonError::into_inner).clone();
        crew.ok_or_else(|| Failure::Unavailable("the server is starting or stopping".to_owned()))
    }

    /// Whether there is a crew at work.
    pub fn is_manned(&self) -> bool {
        self.crew().is_ok()
    }

    /// Finds on this machine what a task's command names, and writes it into the task: real paths, and the digests of the program
    /// and the files. From then on they are part of what is approved.
    ///
    /// # Errors
    /// What is missing or not safe.
    pub async fn identify(&self, task: &mut Task) -> Result<(), String> {
        if let Some(invocation) = task.action.runs.take() {
            task.action.runs = Some(self.executor.identify(invocation).await?);
        }
        Ok(())
    }

    /// Assesses a task and parks or starts it; the answer is durable. The id is the caller's choice.
    ///
    /// # Errors
    /// `Unavailable` where nobody can say whether it was stored.
    pub async fn submit(&self, id: Uuid, intake: Intake) -> Result<Submitted, Failure> {
        let intake = Box::new(intake);
        let answer = self.crew()?.supervisor.call(|reply| ToSupervisor::Submit { id, intake, reply }, None).await;
        match answer {
            Ok(CallResult::Success(answer)) => answer,
            _ => Err(unanswered()),
        }
    }

    /// Takes a command to its workflow, which is woken if need be.
    ///
    /// # Errors
    /// The refusal; `NotFound` also for what the caller may not see; `Unavailable` where nobody can say what became of it.
    pub async fn command(&self, id: Uuid, command: Command) -> Result<Answered, Failure> {
        self.deliver(id, command, Some(PATIENCE)).await
    }

    async fn deliver(&self, id: Uuid, command: Command, patience: Option<Duration>) -> Result<Answered, Failure> {
        let command = Arc::new(command);
        for _ in 0..ATTEMPTS {
            let command = Arc::clone(&command);
            let answer = self.crew()?.registry.call(|reply| ToRegistry::Route { id, command, reply }, patience).await;
            match answer {
                Ok(CallResult::Success(answer)) => return answer,
                // The actor ended before it came to this message; asking again is safe, and finds what was committed.
                Ok(CallResult::SenderError) => {}
                Ok(CallResult::Timeout) | Err(_) => break,
            }
        }
        Err(unanswered())
    }

    /// Submits a task for a client, who may hang up: it goes on to its end all the same. `after` hears of the end, which may come long
    /// after the client was told that nobody can say. What `after` holds is held until then.
    ///
    /// # Errors
    /// As [`Self::submit`]; `Unavailable` also where there is no end in time.
    pub async fn submit_for(
        self: &Arc<Self>,
        id: Uuid,
        intake: Intake,
        after: impl FnOnce(&Result<Submitted, Failure>) + Send + 'static,
    ) -> Result<Submitted, Failure> {
        let engine = Arc::clone(self);
        see_through(async move {
            let answer = engine.submit(id, intake).await;
            after(&answer);
            answer
        })
        .await
    }

    /// Takes a client's command to its workflow, whether or not the client stays; `held` is held until it has been answered or given up.
    ///
    /// # Errors
    /// As [`Self::command`]; `Unavailable` also where there is no end in time.
    pub async fn command_for(self: &Arc<Self>, id: Uuid, command: Command, held: impl Send + 'static) -> Result<Answered, Failure> {
        let engine = Arc::clone(self);
        see_through(async move {
            let answer = engine.deliver(id, command, None).await;
            drop(held);
            answer
        })
        .await
    }

    /// Has a workflow look at its log, and do what that obliges to. A hint: it is not awaited.
    pub fn wake(&self, id: Uuid) {
        if let Ok(crew) = self.crew() {
            let _ = crew.registry.cast(ToRegistry::Wake { id });
        }
    }

    /// Has the timer put what is queued in the database into the runner's queue. A hint: it is not awaited.
    pub(super) fn requeue(&self) {
        if let Ok(crew) = self.crew() {
            let _ = crew.timer.cast(ToTimer::Requeue);
        }
    }

    /// Has parked workflows kept in memory, as far as there is room.
    pub(super) fn remember(&self, parked: Vec<Remembered>) {
        if let Ok(crew) = self.crew() {
            let _ = crew.registry.cast(ToRegistry::Remember(parked));
        }
    }

    /// Records how an attempt went; `Ok` once it is durable, or once it no longer matters.
    ///
    /// # Errors
    /// Not recorded yet.
    pub async fn finished(&self, id: Uuid, attempt: AttemptId, outcome: Outcome) -> Result<(), Failure> {
        match self.command(id, Command::Finish { attempt, outcome }).await {
            Ok(_) | Err(Failure::NotFound | Failure::Refused(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Who is suspended, as of at most a second ago.
    ///
    /// # Errors
    /// No database.
    pub async fn suspended(&self) -> Result<Arc<Suspended>, Error> {
        self.suspensions.current().await
    }

    /// Has a notice sent once more, whether or not the client stays; `held` is held until that is done.
    ///
    /// # Errors
    /// No database.
    #[expect(clippy::disallowed_methods, reason = "it is awaited below, and goes on where the caller does not stay")]
    pub async fn resend_notice_for(self: &Arc<Self>, id: Uuid, held: impl Send + 'static) -> Result<Resent, Error> {
        let engine = Arc::clone(self);
        let work = tokio::spawn(async move {
            let resent = engine.storage.resend_notice(id).await;
            engine.bell.ring();
            drop(held);
            resent
        });
        work.await.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string())))
    }

    /// A workflow with its log, as it is stored.
    ///
    /// # Errors
    /// No database, or a log that cannot be read.
    pub async fn story(&self, id: Uuid) -> Result<Option<Story>, Error> {
        let log = self.storage.log(id).await?;
        let workflow = transition::replay(id, &log).map_err(|error| Error::Corrupt { workflow_id: id, detail: error.to_string() })?;
        Ok(workflow.map(|workflow| Story { workflow, log }))
    }

    /// Waits until a workflow has come to a state that is wanted, or until the time is up; gives what is stored then.
    ///
    /// # Errors
    /// No database, or a log that cannot be read.
    pub async fn wait(&self, id: Uuid, patience: Duration, wanted: impl Fn(&Workflow) -> bool + Send) -> Result<Option<Story>, Error> {
        let until = Instant::now() + patience;
        // Heard before looking, so that nothing is missed in between.
        let mut versions = self.versions.subscribe(id);
        loop {
            versions.look();
            let story = self.story(id).await?;
            let left = until.saturating_duration_since(Instant::now());
            if story.as_ref().is_none_or(|story| wanted(&story.workflow)) || left.is_zero() {
                return Ok(story);
            }
            let _ = tokio::time::timeout(left.min(LOOK), versions.changed()).await;
        }
    }
}

/// Sees work through to its end whether or not the caller stays, and keeps the caller waiting for [`PATIENCE`] at most.
#[expect(clippy::disallowed_methods, reason = "it is awaited below, and goes on where the caller does not stay")]
async fn see_through<T: Send + 'static>(work: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, tokio::spawn(work)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(unanswered()),
    }
}

fn unanswered() -> Failure {
    Failure::Unavailable("there was no answer in time; whether it was done is not known, and asking again is safe".to_owned())
}
