//! The actor of one workflow: a cache of its log which knows what to do next.
//!
//! It is started either with a task, which it assesses and checkpoints before anybody is answered, or with nothing but an
//! id, and then it reads the log. From there on both are the same: a command is decided by the pure core, the events are
//! committed, and only then the memory moves, the caller is answered, and what the new state obliges to is done.
//! Every time the log is read, what the state obliges to is done, whatever the caller is answered. A memory may be behind the
//! log, for another actor of the same workflow or another server may have written; so nothing is refused from memory alone.
//! `Err` from a handler means "my memory may differ from the database": the actor ends, and is read anew.

use crate::actors::approval_registry::{self, RegistryRef};
use crate::actors::checkpointer::{self, CheckpointerRef, CommitError};
use crate::actors::exchange::{Answered, Failure, Intake, Submitted};
use crate::actors::log_reader::LogReader;
use crate::actors::metrics::{LevelLabel, Metrics};
use crate::actors::runner::Runner;
use crate::actors::timer::{self, TimerRef};
use crate::actors::turns::Waiting;
use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::commit;
use crate::domain::digest::Digest;
use crate::domain::outbox::{self, Planned};
use crate::domain::policy::SYSTEM;
use crate::domain::task::ActionKind;
use crate::domain::today::Today;
use crate::domain::transition::{self, Answer, Guard, Obligation};
use crate::domain::via::Via;
use crate::domain::workflow::{AttemptId, Command, Disowned, Event, Submission, Workflow};
use crate::identity::Suspensions;
use crate::storage::{Advance, Error, Opening, Storage, Written};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub type WorkflowRef = ActorRef<Msg>;

/// How often a command is decided anew because somebody else wrote the next event first.
const ATTEMPTS: u32 = 4;
/// So long after it was read a memory is good enough for a tick, which is sent again as long as something is due.
const RECENT: Duration = Duration::from_secs(1);

/// What every workflow's actor works with.
pub struct Workshop {
    pub storage: Storage,
    pub logs: Arc<LogReader>,
    pub checkpointer: CheckpointerRef,
    pub timer: TimerRef,
    pub registry: RegistryRef,
    pub runner: Arc<Runner>,
    pub configuration: Arc<Configuration>,
    pub suspensions: Arc<Suspensions>,
    pub clock: Arc<Clock>,
    pub metrics: Arc<Metrics>,
    /// This process; a fresh id for every start of the server.
    pub owner: Uuid,
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

/// Why an actor ends itself: what it knows may not be what is stored.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    /// The database did not answer; that is not this workflow's fault.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Tampered(String),
    #[error("{0}")]
    Broken(String),
}

impl From<Error> for Stale {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(reason) => Self::Unavailable(reason),
            error @ Error::Tampered { .. } => Self::Tampered(error.to_string()),
            other => Self::Broken(other.to_string()),
        }
    }
}

pub enum Msg {
    /// The first message, from the actor to itself.
    Boot,
    Do(Box<Command>, RpcReplyPort<Result<Answered, Failure>>),
    /// Read the log, and do what it obliges to.
    Look,
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
    /// `None` before the boot, and where there was no such workflow.
    workflow: Option<Arc<Workflow>>,
    /// When the log was last read, or written to.
    read_at: Option<Instant>,
}

impl WorkflowActor {
    async fn boot(&self, myself: &WorkflowRef, state: &mut State, boot: Boot) -> Result<(), Stale> {
        let Boot::Submit(intake, reply) = boot else { return self.look(myself, state).await };
        match self.submit(*intake).await {
            Ok(Submitted::Accepted(workflow)) => {
                let _ = reply.send(Ok(Submitted::Accepted(Arc::clone(&workflow))));
                state.read_at = Some(Instant::now());
                state.workflow = Some(self.fulfil(myself, workflow).await?);
                Ok(())
            }
            // It may have been written all the same: by a commit that was sent twice, or whose answer was lost.
            other => {
                let _ = reply.send(other);
                self.look(myself, state).await
            }
        }
    }

    /// Reads the log, and does what it obliges to.
    async fn look(&self, myself: &WorkflowRef, state: &mut State) -> Result<(), Stale> {
        state.workflow = Box::pin(self.load()).await?;
        state.read_at = Some(Instant::now());
        match state.workflow.take() {
            Some(workflow) => state.workflow = Some(Box::pin(self.fulfil(myself, workflow)).await?),
            None => self.ask_to_leave(myself),
        }
        Ok(())
    }

    async fn load(&self) -> Result<Option<Arc<Workflow>>, Stale> {
        let log = self.workshop.logs.read(self.id).await?;
        let workflow = transition::replay(self.id, log.iter()).map_err(|error| Stale::Broken(error.to_string()))?;
        Ok(workflow.map(Arc::new))
    }

    /// Assesses a task, and says what is to be checkpointed.
    fn assess(&self, intake: Intake) -> Result<Box<Opening>, Failure> {
        let Intake { by, task, facts, key } = intake;
        let workshop = &self.workshop;
        let rules = &workshop.configuration.rules;
        let assessment = rules.assess(&task, facts.as_ref(), &by.name, workshop.clock.now());
        let target = rules.target(&task, facts.as_ref());
        let via = by.via;
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
            report_within: (task.action.kind == ActionKind::External).then_some(policy.report_within),
            target: Some(target),
        };
        let terms = (!policy.auto_approve).then(|| Arc::clone(&policy.terms));
        let actor = submission.requested_by.clone();
        let events = transition::open(submission, terms, workshop.owner);
        let workflow = commit::follow(self.id, None, &events, &actor, via).map_err(|error| Failure::Internal(error.to_string()))?;
        let notices = self.notices(None, &workflow, &events);
        Ok(Box::new(Opening { workflow, events, via, document, key, notices }))
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
            _ => match Box::pin(self.load()).await {
                Ok(Some(workflow)) => Ok(Submitted::Accepted(workflow)),
                Ok(None) => Err(Failure::Internal("a commit conflicted with nothing".to_owned())),
                Err(error) => Err(Failure::Unavailable(error.to_string())),
            },
        }
    }

    /// Decides a command, commits what follows, and answers; the outer error means that the memory cannot be trusted.
    async fn answer(&self, myself: &WorkflowRef, state: &mut State, command: Command) -> Result<Result<Answered, Failure>, Stale> {
        // What was committed is certain; what was not done may have been done by somebody else meanwhile.
        let mut is_current = matches!(command, Command::Tick { .. }) && state.read_at.is_some_and(|at| at.elapsed() < RECENT);
        for _ in 0..ATTEMPTS {
            let Some(workflow) = state.workflow.clone() else {
                if is_current {
                    return Ok(Err(Failure::NotFound));
                }
                self.look(myself, state).await?;
                is_current = true;
                continue;
            };
            if let Some(by) = command.caller()
                && !by.may_see(&workflow.submission.requested_by, workflow.submission.on_behalf_of.as_deref())
            {
                return Ok(Err(Failure::NotFound));
            }
            let suspended = if command.is_decision() { self.workshop.suspensions.current().await? } else { Arc::default() };
            let today = Today { policy: &self.workshop.configuration.policy, suspended: &suspended };
            let (events, guard) = match today.decide(&workflow, &command) {
                Err(_) | Ok(Answer::Nothing) if !is_current => {
                    self.look(myself, state).await?;
                    is_current = true;
                    continue;
                }
                Err(refusal) => return Ok(Err(refusal.into())),
                Ok(Answer::Nothing) => return Ok(Ok(Answered { workflow, decision: None })),
                Ok(Answer::Repeat(decision)) => return Ok(Ok(Answered { workflow, decision: Some(decision) })),
                Ok(Answer::Commit { events, guard }) => (events, guard),
            };
            let (actor, via) = command.caller().map_or((SYSTEM, Via::System), |by| (by.name.as_str(), by.via));
            match self.commit(&workflow, actor, via, events, guard).await {
                Ok(Progress::Moved(workflow)) => {
                    let decision = workflow.decisions.last().filter(|_| command.is_decision()).cloned();
                    state.read_at = Some(Instant::now());
                    state.workflow = Some(Box::pin(self.fulfil(myself, Arc::clone(&workflow))).await?);
                    return Ok(Ok(Answered { workflow, decision }));
                }
                Ok(Progress::Overtaken) => {
                    // By somebody else's event, or because somebody whom it rests on has been suspended.
                    self.workshop.suspensions.refresh().await?;
                    self.look(myself, state).await?;
                    is_current = true;
                    let is_the_same = state.workflow.as_ref().is_some_and(|now| now.version == workflow.version);
                    if is_the_same && matches!(command, Command::Start { .. }) {
                        // It stays in the queue, and the gate says why it does not start.
                        return Ok(Ok(Answered { workflow, decision: None }));
                    }
                }
                Ok(Progress::TooLate) => {
                    Box::pin(self.expire(myself, state, guard)).await?;
                    is_current = true;
                }
                Ok(Progress::Fenced) => return Ok(Err(Failure::Unavailable("this server's lease is not renewed".to_owned()))),
                Ok(Progress::TooEarly) => return Ok(Ok(Answered { workflow, decision: None })),
                Err(CommitError::Refused(reason)) => return Ok(Err(Failure::Internal(reason))),
                Err(CommitError::Busy { is_uncertain: false }) => return Ok(Err(Failure::Busy)),
                Err(error) => return Err(Stale::Unavailable(error.to_string())),
            }
        }
        Ok(Err(Failure::Unavailable("this workflow is being changed by others too quickly".to_owned())))
    }

    /// The database says that the deadline has passed: that is written before anybody is told.
    async fn expire(&self, myself: &WorkflowRef, state: &mut State, guard: Guard) -> Result<(), Stale> {
        let (Some(workflow), Some(deadline)) = (&state.workflow, guard.not_after) else { return Ok(()) };
        let Ok(Answer::Commit { events, guard }) = transition::decide(workflow, &Command::Tick { now: deadline }) else { return Ok(()) };
        match self.commit(workflow, SYSTEM, Via::System, events, guard).await {
            Ok(Progress::Moved(workflow)) => state.workflow = Some(Box::pin(self.fulfil(myself, workflow)).await?),
            Ok(_) => self.look(myself, state).await?,
            Err(error) => return Err(Stale::Unavailable(error.to_string())),
        }
        Ok(())
    }

    async fn commit(&self, workflow: &Workflow, actor: &str, via: Via, events: Vec<Event>, guard: Guard) -> Result<Progress, CommitError> {
        let next = commit::follow(self.id, Some(workflow.clone()), &events, actor, via);
        let next = next.map_err(|error| CommitError::Refused(error.to_string()))?;
        let notices = self.notices(Some(workflow), &next, &events);
        let actor = actor.to_owned();
        let advance = Box::new(Advance { expected: workflow.version, workflow: next, actor, via, events, guard, notices });
        let (advance, written) = call(&self.workshop.checkpointer, |reply| checkpointer::Msg::Advance(advance, reply)).await?;
        Ok(match written {
            Written::Committed { at } => Progress::Moved(Arc::new(commit::dated(advance.workflow, at))),
            Written::Conflict | Written::Duplicate | Written::Busy => Progress::Overtaken,
            Written::TooEarly | Written::OwnerActs => Progress::TooEarly,
            Written::TooLate => Progress::TooLate,
            Written::Fenced => Progress::Fenced,
        })
    }

    /// What is said to the outside of a commit, which is written with it.
    fn notices(&self, before: Option<&Workflow>, after: &Workflow, events: &[Event]) -> Vec<Planned> {
        let Workshop { configuration, clock, .. } = self.workshop.as_ref();
        let commit = outbox::Commit { before, after, events };
        let suspended = self.workshop.suspensions.last_known();
        let today = Today { policy: &configuration.policy, suspended: &suspended };
        outbox::plan(commit, today, &configuration.notifications, || clock.new_id())
    }

    /// Does what the state obliges to. The same after a commit and after a restart. Nothing is started here.
    async fn fulfil(&self, myself: &WorkflowRef, mut workflow: Arc<Workflow>) -> Result<Arc<Workflow>, Stale> {
        for _ in 0..ATTEMPTS {
            let obligations = transition::obligations(&workflow, self.workshop.owner);
            if obligations.is_empty() {
                self.ask_to_leave(myself);
            }
            // Each is seen to, also where one of them has something written; then the state is another, and they are looked at again.
            let commands: Vec<_> = obligations.into_iter().filter_map(|obligation| self.attend_to(&workflow, obligation)).collect();
            let Some(command) = commands.into_iter().next() else { return Ok(workflow) };
            if let Command::Disown { attempt, .. } = command {
                // The runner lets go of an attempt once its outcome is in the log, which may have happened since it was read.
                let before = workflow.version;
                workflow = self.reload().await?;
                if workflow.version != before {
                    continue;
                }
                self.alarm(attempt);
            }
            let Ok(Answer::Commit { events, guard }) = transition::decide(&workflow, &command) else { return Ok(workflow) };
            workflow = match self.commit(&workflow, SYSTEM, Via::System, events, guard).await {
                Ok(Progress::Moved(workflow)) => {
                    tracing::warn!(workflow.id = %self.id, status = %workflow.status(), "an interrupted action was taken up");
                    workflow
                }
                Ok(_) => self.reload().await?,
                Err(error) => return Err(Stale::Unavailable(error.to_string())),
            };
        }
        // Somebody else is faster at this; what they write is read by the next look.
        Ok(workflow)
    }

    /// Sees to one obligation; the command that has to follow, where something has to be written.
    fn attend_to(&self, workflow: &Workflow, obligation: Obligation) -> Option<Command> {
        match obligation {
            Obligation::Park { deadline: Some(deadline) } | Obligation::AwaitReport { deadline, .. } => {
                let _ = self.workshop.timer.cast(timer::Msg::Arm { deadline });
                None
            }
            Obligation::Park { deadline: None } => None,
            Obligation::Queue { .. } => {
                let (requested_by, approved) = (workflow.submission.requested_by.clone(), workflow.round().is_some());
                self.workshop.runner.enqueue(Waiting { workflow_id: self.id, requested_by, approved });
                None
            }
            Obligation::Attend { attempt, token } if self.workshop.runner.holds(self.id, attempt, token) => None,
            Obligation::Attend { attempt, token } => Some(Command::Disown { attempt, token, cause: Disowned::NotHere }),
            Obligation::Recover { attempt } => Some(Command::Recover { attempt, owner: self.workshop.owner }),
        }
    }

    async fn reload(&self) -> Result<Arc<Workflow>, Stale> {
        self.load().await?.ok_or_else(|| Stale::Broken("its log has vanished".to_owned()))
    }

    /// The log says that this process runs an attempt which its runner knows nothing of.
    fn alarm(&self, attempt: AttemptId) {
        tracing::error!(
            workflow.id = %self.id,
            step = attempt.step,
            attempt = attempt.number,
            "this server is said to run an action of which it knows nothing: look at its log before this line; the attempt is given up"
        );
        self.workshop.metrics.executing_without_attempt.inc();
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
    Fenced,
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
        Ok(State { boot: Some(boot), workflow: None, read_at: None })
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Boot => {
                if let Some(boot) = state.boot.take() {
                    // Boxed, here and below: what a handler needs while it works must not be part of an actor that rests.
                    Box::pin(self.boot(&myself, state, boot)).await?;
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
            Msg::Look => Box::pin(self.look(&myself, state)).await?,
            Msg::Leave => myself.stop(None),
        }
        Ok(())
    }
}
