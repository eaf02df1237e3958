//! The actor of one workflow: a cache of its log which knows what to do next.
//!
//! It is started either with a task, which it assesses and checkpoints before anybody is answered, or with nothing but an
//! id, and then it reads the log. From there on both are the same: a command is decided by the pure core, the events are
//! committed, and only then the memory moves, the caller is answered, and what the new state obliges to is done.
//!
//! `Err` from a handler means "my memory may differ from the database": the actor ends, and is read anew.

use crate::actors::approval_registry::{self, RegistryRef};
use crate::actors::checkpointer::{self, CheckpointerRef, CommitError};
use crate::actors::engine::Engine;
use crate::actors::exchange::{Answered, Failure, Intake, Submitted};
use crate::actors::metrics::{LevelLabel, Metrics};
use crate::actors::runner::Runner;
use crate::actors::timer::{self, TimerRef};
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::commit;
use crate::domain::digest::Digest;
use crate::domain::outbox::{self, Planned};
use crate::domain::policy::{Principal, SYSTEM};
use crate::domain::transition::{self, Answer, Guard, Obligation};
use crate::domain::workflow::{Command, Event, Submission, Workflow};
use crate::storage::{Advance, Error, Opening, Storage, Written};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::{Arc, Weak};
use uuid::Uuid;

pub type WorkflowRef = ActorRef<Msg>;

/// How often a command is decided anew because somebody else wrote the next event first.
const ATTEMPTS: u32 = 4;

/// What every workflow's actor works with.
pub struct Workshop {
    pub storage: Storage,
    pub checkpointer: CheckpointerRef,
    pub timer: TimerRef,
    pub registry: RegistryRef,
    pub runner: Arc<Runner>,
    pub engine: Weak<Engine>,
    pub configuration: Arc<Configuration>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    /// This process; a fresh id for every start of the server.
    pub owner: Uuid,
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Unavailable(reason) => Self::Unavailable(reason),
            CommitError::Refused(reason) => Self::Internal(reason),
        }
    }
}

/// Why an actor ends itself: what it knows may not be what is stored.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The database did not answer; that is not this workflow's fault.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Broken(String),
}

impl From<Error> for Stale {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(reason) => Self::Unavailable(reason),
            other => Self::Broken(other.to_string()),
        }
    }
}

pub enum Msg {
    /// The first message, from the actor to itself.
    Boot,
    Do(Box<Command>, RpcReplyPort<Result<Answered, Failure>>),
    /// Leave memory. From the registry alone, which sends nothing afterwards.
    Leave,
}

pub enum Boot {
    Submit(Box<Intake>, RpcReplyPort<Result<Submitted, Failure>>),
    Load,
}

pub struct WorkflowActor {
    pub id: Uuid,
    pub workshop: Arc<Workshop>,
}

pub struct State {
    boot: Option<Boot>,
    /// `None` before the boot, and where there is no such workflow.
    workflow: Option<Arc<Workflow>>,
}

impl WorkflowActor {
    async fn boot(&self, myself: &WorkflowRef, boot: Boot) -> Result<Option<Arc<Workflow>>, Stale> {
        let workflow = match boot {
            Boot::Load => Box::pin(self.load()).await?,
            Boot::Submit(intake, reply) => match self.submit(*intake).await {
                Ok(Submitted::Accepted(workflow)) => {
                    let _ = reply.send(Ok(Submitted::Accepted(Arc::clone(&workflow))));
                    Some(workflow)
                }
                Ok(Submitted::KeyUsed) => {
                    let _ = reply.send(Ok(Submitted::KeyUsed));
                    None
                }
                // It may have been written all the same. Then it is found like everything else: by its deadline, by the look
                // at what was begun, or when somebody asks for it.
                Err(failure) => {
                    let _ = reply.send(Err(failure));
                    None
                }
            },
        };
        match workflow {
            Some(workflow) => self.fulfil(myself, workflow).await.map(Some),
            None => {
                self.ask_to_leave(myself);
                Ok(None)
            }
        }
    }

    async fn load(&self) -> Result<Option<Arc<Workflow>>, Stale> {
        let log = self.workshop.storage.log(self.id).await?;
        let workflow = transition::replay(self.id, &log).map_err(|error| Stale::Broken(error.to_string()))?;
        Ok(workflow.map(Arc::new))
    }

    /// Assesses a task, and says what is to be checkpointed.
    fn assess(&self, intake: Intake) -> Result<Box<Opening>, Failure> {
        let Intake { by, task, facts, key } = intake;
        let workshop = &self.workshop;
        let assessment = workshop.configuration.rules.assess(&task, facts.as_ref(), &by.name, workshop.clock.now());
        let policy = workshop.configuration.policy.level(assessment.level);
        let document = task.canonical();
        let submission = Submission {
            task_id: task.task_id,
            requested_by: by.name,
            on_behalf_of: by.on_behalf_of,
            digest: Digest::of(&document),
            assessment,
            action: task.action.kind,
            idempotent: task.action.runs.is_some_and(|invocation| invocation.idempotent),
        };
        let terms = (!policy.auto_approve).then(|| Arc::clone(&policy.terms));
        let actor = submission.requested_by.clone();
        let events = transition::open(submission, terms, workshop.owner);
        let workflow = commit::follow(self.id, None, &events, &actor).map_err(|error| Failure::Internal(error.to_string()))?;
        let notices = self.notices(None, &workflow, &events);
        Ok(Box::new(Opening { workflow, events, document, key, notices }))
    }

    /// Assesses a task and checkpoints what follows from it.
    async fn submit(&self, intake: Intake) -> Result<Submitted, Failure> {
        let opening = self.assess(intake)?;
        let (opening, written) = call(&self.workshop.checkpointer, |reply| checkpointer::Msg::Open(opening, reply)).await?;
        match written {
            Written::Committed { at } => {
                let level = opening.workflow.submission.assessment.level.as_str();
                self.workshop.metrics.submitted.get_or_create(&LevelLabel { risk_level: level }).inc();
                Ok(Submitted::Accepted(Arc::new(commit::dated(opening.workflow, at))))
            }
            Written::Duplicate => Ok(Submitted::KeyUsed),
            // Nobody else can have this id: the commit was sent twice, and the first time was enough.
            Written::Conflict | Written::TooEarly | Written::TooLate => match Box::pin(self.load()).await {
                Ok(Some(workflow)) => Ok(Submitted::Accepted(workflow)),
                Ok(None) => Err(Failure::Internal("a commit conflicted with nothing".to_owned())),
                Err(error) => Err(Failure::Unavailable(error.to_string())),
            },
        }
    }

    /// Decides a command, commits what follows, and answers; the outer error means that the memory cannot be trusted.
    async fn answer(&self, myself: &WorkflowRef, state: &mut State, command: Command) -> Result<Result<Answered, Failure>, Stale> {
        for _ in 0..ATTEMPTS {
            let Some(workflow) = &state.workflow else { return Ok(Err(Failure::NotFound)) };
            if let Some(by) = caller(&command)
                && !by.may_see(&workflow.submission.requested_by, workflow.submission.on_behalf_of.as_deref())
            {
                return Ok(Err(Failure::NotFound));
            }
            let (events, guard) = match transition::decide(workflow, &command) {
                Err(refusal) => return Ok(Err(refusal.into())),
                Ok(Answer::Nothing) => return Ok(Ok(Answered { workflow: Arc::clone(workflow), decision: None })),
                Ok(Answer::Repeat(decision)) => return Ok(Ok(Answered { workflow: Arc::clone(workflow), decision: Some(decision) })),
                Ok(Answer::Commit { events, guard }) => (events, guard),
            };
            let actor = caller(&command).map_or(SYSTEM, |by| &by.name).to_owned();
            match self.commit(workflow, &actor, events, guard).await {
                Ok(Progress::Moved(workflow)) => {
                    let decision = workflow.decisions.last().filter(|_| is_decision(&command)).cloned();
                    state.workflow = Some(self.fulfil(myself, Arc::clone(&workflow)).await?);
                    return Ok(Ok(Answered { workflow, decision }));
                }
                Ok(Progress::Overtaken) => state.workflow = Box::pin(self.load()).await?,
                Ok(Progress::TooLate) => Box::pin(self.expire(state, guard)).await?,
                Ok(Progress::TooEarly) => return Ok(Ok(Answered { workflow: Arc::clone(workflow), decision: None })),
                Err(CommitError::Refused(reason)) => return Ok(Err(Failure::Internal(reason))),
                Err(CommitError::Unavailable(reason)) => return Err(Stale::Unavailable(reason)),
            }
        }
        Ok(Err(Failure::Unavailable("this workflow is being changed by others too quickly".to_owned())))
    }

    /// The database says that the deadline has passed: that is written before anybody is told.
    async fn expire(&self, state: &mut State, guard: Guard) -> Result<(), Stale> {
        let (Some(workflow), Some(deadline)) = (&state.workflow, guard.not_after) else { return Ok(()) };
        let Ok(Answer::Commit { events, guard }) = transition::decide(workflow, &Command::Tick { now: deadline }) else { return Ok(()) };
        match self.commit(workflow, SYSTEM, events, guard).await {
            Ok(Progress::Moved(workflow)) => state.workflow = Some(workflow),
            Ok(_) => state.workflow = self.load().await?,
            Err(error) => return Err(Stale::Unavailable(error.to_string())),
        }
        Ok(())
    }

    async fn commit(&self, workflow: &Workflow, actor: &str, events: Vec<Event>, guard: Guard) -> Result<Progress, CommitError> {
        let next = commit::follow(self.id, Some(workflow.clone()), &events, actor);
        let next = next.map_err(|error| CommitError::Refused(error.to_string()))?;
        let notices = self.notices(Some(workflow), &next, &events);
        let actor = actor.to_owned();
        let advance = Box::new(Advance { expected: workflow.version, workflow: next, actor, events, guard, notices });
        let (advance, written) = call(&self.workshop.checkpointer, |reply| checkpointer::Msg::Advance(advance, reply)).await?;
        Ok(match written {
            Written::Committed { at } => Progress::Moved(Arc::new(commit::dated(advance.workflow, at))),
            Written::Conflict | Written::Duplicate => Progress::Overtaken,
            Written::TooEarly => Progress::TooEarly,
            Written::TooLate => Progress::TooLate,
        })
    }

    /// What is said to the outside of a commit, which is written with it.
    fn notices(&self, before: Option<&Workflow>, after: &Workflow, events: &[Event]) -> Vec<Planned> {
        let Workshop { configuration, clock, .. } = self.workshop.as_ref();
        let commit = outbox::Commit { before, after, events };
        outbox::plan(commit, &configuration.policy, &configuration.notifications, || clock.new_id())
    }

    /// Does what the state obliges to. The same after a commit and after a restart.
    async fn fulfil(&self, myself: &WorkflowRef, workflow: Arc<Workflow>) -> Result<Arc<Workflow>, Stale> {
        match transition::obligation(&workflow, self.workshop.owner) {
            Obligation::Park { deadline } => {
                if let Some(deadline) = deadline {
                    let _ = self.workshop.timer.cast(timer::Msg::Arm { deadline });
                }
                Ok(workflow)
            }
            Obligation::Run { attempt } => {
                let digest = workflow.submission.digest.clone();
                self.workshop.runner.ensure(Weak::clone(&self.workshop.engine), self.id, attempt, digest);
                Ok(workflow)
            }
            Obligation::Recover => Box::pin(self.recover(myself, workflow)).await,
            Obligation::AwaitReport => Ok(workflow),
            Obligation::Nothing => {
                self.ask_to_leave(myself);
                Ok(workflow)
            }
        }
    }

    /// Takes over, or gives up, an action that another process had begun.
    async fn recover(&self, myself: &WorkflowRef, workflow: Arc<Workflow>) -> Result<Arc<Workflow>, Stale> {
        let command = Command::Recover { owner: self.workshop.owner };
        let Ok(Answer::Commit { events, guard }) = transition::decide(&workflow, &command) else { return Ok(workflow) };
        let workflow = match self.commit(&workflow, SYSTEM, events, guard).await {
            Ok(Progress::Moved(workflow)) => workflow,
            Ok(_) => self.load().await?.ok_or_else(|| Stale::Broken("its log has vanished".to_owned()))?,
            Err(error) => return Err(Stale::Unavailable(error.to_string())),
        };
        tracing::warn!(workflow.id = %self.id, status = %workflow.status(), "an interrupted action was taken up");
        match transition::obligation(&workflow, self.workshop.owner) {
            // Somebody else is faster at this; what they write will be read when it is asked for.
            Obligation::Recover => Ok(workflow),
            _ => Box::pin(self.fulfil(myself, workflow)).await,
        }
    }

    /// Asks to leave memory. The registry forgets this actor first and then says `Leave`, which is the last message that it
    /// sends: so nothing that was routed here is lost.
    fn ask_to_leave(&self, myself: &WorkflowRef) {
        let _ = self.workshop.registry.cast(approval_registry::Msg::Leaving { id: self.id, actor: myself.clone() });
    }
}

/// What became of a commit.
enum Progress {
    Moved(Arc<Workflow>),
    Overtaken,
    TooEarly,
    TooLate,
}

fn caller(command: &Command) -> Option<&Principal> {
    match command {
        Command::Approve { by, .. } | Command::Reject { by, .. } | Command::Cancel { by, .. } | Command::Report { by, .. } => Some(by),
        Command::Finish { .. } | Command::Recover { .. } | Command::Tick { .. } => None,
    }
}

fn is_decision(command: &Command) -> bool {
    matches!(command, Command::Approve { .. } | Command::Reject { .. })
}

/// Asks the checkpointer, which always answers unless it ends.
async fn call<R: Send + 'static>(
    checkpointer: &CheckpointerRef,
    msg: impl FnOnce(checkpointer::Reply<R>) -> checkpointer::Msg,
) -> Result<(Box<R>, Written), CommitError> {
    match checkpointer.call(msg, None).await {
        Ok(CallResult::Success(answer)) => answer,
        _ => Err(CommitError::Unavailable("the checkpointer is being restarted".to_owned())),
    }
}

impl Actor for WorkflowActor {
    type Msg = Msg;
    type State = State;
    type Arguments = Boot;

    /// Does no I/O: whoever starts an actor never waits for the database, and a failure to read is supervised.
    async fn pre_start(&self, myself: ActorRef<Msg>, boot: Boot) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Boot)?;
        Ok(State { boot: Some(boot), workflow: None })
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Boot => {
                if let Some(boot) = state.boot.take() {
                    // Boxed, here and below: what a handler needs while it works must not be part of an actor that rests.
                    state.workflow = Box::pin(self.boot(&myself, boot)).await?;
                }
            }
            Msg::Do(command, reply) => match Box::pin(self.answer(&myself, state, *command)).await {
                Ok(answer) => {
                    let _ = reply.send(answer);
                }
                Err(stale) => {
                    let _ = reply.send(Err(Failure::Unavailable(stale.to_string())));
                    return Err(stale.into());
                }
            },
            Msg::Leave => myself.stop(None),
        }
        Ok(())
    }
}
