//! Tool calls of coding agents: an agent asks whether a call may run, right before it runs.
//!
//! A call is read into a task. If its level needs no approval, one commit records that it has
//! begun, and it may run. Otherwise it is parked like every other task, and the agent is told to
//! repeat the call later: the repeated call finds the same workflow and claims the approval. So
//! every call that runs has a start record of its own in the log, and one approval releases
//! one call.

mod words;

use crate::actors::protocol::{AdmittedTask, Failure, Submitted};
use crate::domain::policy::PrincipalKind;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::request::plan::{Admitted, AssessedCall};
use crate::domain::request::tool_call;
use crate::domain::risk::level::Level;
use crate::domain::task::digest::Digest;
use crate::domain::tools::{Client, ToolCall, ToolUse};
use crate::domain::via::Via;
use crate::domain::workflow::{Command, Outcome, Refusal, Status, StepState, Workflow};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::quotas::{Account, Quotas};
use crate::service::{Service, ServiceError, about};
use crate::storage::{call_key, use_key};
use chrono::TimeDelta;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a rejected call is not asked about again, unless its level says otherwise.
const REJECTED_MEMORY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an approval can be claimed. An older approval was about the files of another day.
const CLAIM_WITHIN: TimeDelta = TimeDelta::hours(24);
/// The advised pause before a parked call is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// How often the state is read again because another call of the same kind came first.
const ATTEMPTS: u32 = 8;

/// The verdict on a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may run now, once.
    Allow,
    /// It may not run.
    Deny,
    /// It waits for people; the agent may repeat the same call later.
    Parked,
}

/// The answer to a tool call, in words for the agent.
#[derive(Debug)]
pub struct ToolAnswer {
    pub verdict: Verdict,
    pub workflow_id: Option<Uuid>,
    pub reason: String,
    /// The advised pause before the call is repeated.
    pub retry_after: Option<Duration>,
}

/// A call as it was read, with its assessment.
struct Asked {
    by: Caller,
    used: ToolUse,
    identity: Digest,
    work: Admitted,
    level: Level,
    permit: Arc<Permit>,
    /// The turn that it has taken from its requester's quota per minute.
    turn: Option<Arc<Account>>,
}

/// The way in of a client.
fn way_in(client: Client) -> Via {
    match client {
        Client::ClaudeCode => Via::ClaudeCode,
        Client::Codex => Via::Codex,
        Client::Other => Via::Rest,
    }
}

impl Service {
    /// Whether a tool call may run. A permission is durable before it is returned, and it is
    /// returned again to the same call of the same session.
    ///
    /// # Errors
    /// Too many requests at once, or the answer is not known; the call must not run then.
    pub async fn tool_call(&self, by: &Caller, call: &ToolCall, permit: Arc<Permit>) -> Result<ToolAnswer, ServiceError> {
        let by = Caller::new(by.principal(), way_in(call.client));
        let Some(asked) = self.read_apart(by, call, permit).await? else {
            return Ok(ToolAnswer::deny(None, words::unread(call)));
        };
        let needs_nobody = self.engine.configuration.policy.level(asked.level).auto_approve;
        let answer = if needs_nobody { self.begin(asked).await } else { Box::pin(self.ask(asked)).await };
        match answer {
            Err(ServiceError::Halted(why)) => {
                Ok(ToolAnswer { retry_after: Some(RETRY_AFTER), ..ToolAnswer::deny(None, words::halted(&why)) })
            }
            answer => answer,
        }
    }

    /// Records the outcome of an allowed call.
    ///
    /// # Errors
    /// No such call was allowed, the core refuses the report, or the outcome is not known.
    pub async fn tool_result(
        &self,
        by: &Caller,
        client: Client,
        (session_id, tool_use_id): (&str, &str),
        outcome: Outcome,
        permit: Arc<Permit>,
    ) -> Result<Arc<Workflow>, ServiceError> {
        let by = Caller::new(by.principal(), way_in(client));
        let used = ToolUse::of(&by.name, session_id, tool_use_id);
        let first = self.engine.storage.first_use(&by.name, &use_key(&used)).await?.ok_or(ServiceError::WorkflowNotFound)?;
        self.report(&by, first.workflow_id, None, outcome, permit).await
    }

    /// Reads a call on a thread that may block for a while, and only a few calls at once: whatever
    /// the calls contain, the lease is renewed and other callers are answered meanwhile.
    async fn read_apart(&self, by: Caller, call: &ToolCall, permit: Arc<Permit>) -> Result<Option<Asked>, ServiceError> {
        let turn = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| ServiceError::internal())?;
        let (service, call) = (self.clone(), call.clone());
        let read = tokio::task::spawn_blocking(move || {
            let read = service.read_call(by, &call, permit);
            // A caller that hangs up does not free its slot before the work is done.
            drop(turn);
            read
        });
        read.await.map_err(|_| ServiceError::internal())
    }

    /// Reads a call into a task, and assesses the whole call. `None` if some of it cannot be read
    /// and no level asks people.
    fn read_call(&self, by: Caller, call: &ToolCall, permit: Arc<Permit>) -> Option<Asked> {
        let configuration = &self.engine.configuration;
        let rules = (&configuration.rules, &configuration.policy);
        let (task, assessment) = tool_call::assess(&configuration.tools, call, rules, &by.name, self.now())?;
        let used = ToolUse::of(&by.name, &call.session_id, &call.tool_use_id);
        let level = assessment.level;
        let work = Admitted { call: Some(AssessedCall { token: used.token(), assessment }), ..(task, None).into() };
        Some(Asked { identity: call.identity(&by.name), by, used, work, level, permit, turn: None })
    }

    /// Records in one commit that a call which needs no approval has begun.
    async fn begin(&self, asked: Asked) -> Result<ToolAnswer, ServiceError> {
        let key = use_key(&asked.used);
        match self.open(&asked, key).await? {
            // It has not begun if people had to be asked after all, because the configuration or
            // the grants changed at this moment.
            Some(workflow) if asked.has_begun(&workflow) => Ok(ToolAnswer::allow(&workflow, words::allowed(&workflow))),
            Some(workflow) => Ok(self.parked(&workflow)),
            None => {
                let known = self.known_use(&asked).await?;
                known.ok_or(ServiceError::IdempotencyKeyInUse)
            }
        }
    }

    /// Parks a call that needs people, or claims an earlier approval.
    async fn ask(&self, mut asked: Asked) -> Result<ToolAnswer, ServiceError> {
        if asked.by.kind == PrincipalKind::Agent {
            asked.turn = Some(self.quotas.take(&self.engine, &asked.by.name)?);
        }
        if let Some(answer) = self.known_use(&asked).await? {
            return Ok(answer);
        }
        for _ in 0..ATTEMPTS {
            let latest = self.engine.storage.latest_call(&asked.by.name, &asked.identity).await?;
            let number = latest.as_ref().map_or(0, |latest| latest.number);
            let known = match latest {
                Some(latest) => self.again(&asked, latest.workflow_id).await?,
                None => Next::Park,
            };
            match known {
                Next::Answer(answer) => return Ok(answer),
                Next::Look => {}
                Next::Park => {
                    if let Some(workflow) = self.open(&asked, call_key(&asked.identity, number + 1)).await? {
                        return Ok(self.parked(&workflow));
                    }
                }
            }
        }
        Err(ServiceError::Busy("other calls of the same kind keep coming first; repeat the call in a moment".to_owned()))
    }

    /// The next step for a call that was asked about before.
    async fn again(&self, asked: &Asked, id: Uuid) -> Result<Next, ServiceError> {
        // The workflow has been pruned.
        let Some(history) = self.engine.history(id).await.map_err(about(id))? else { return Ok(Next::Park) };
        let workflow = history.workflow;
        match workflow.status() {
            Status::PendingApproval => Ok(Next::Answer(self.parked(&workflow))),
            Status::Queued => self.claim(asked, &workflow).await,
            Status::Executing if asked.has_begun(&workflow) => self.allow(asked, &workflow).await,
            // The approval has been used; the next call needs people again.
            Status::Executing | Status::Completed | Status::Failed | Status::OutcomeUnknown => Ok(Next::Park),
            Status::Rejected => {
                let policy = self.engine.configuration.policy.level(workflow.submission.assessment.level);
                let memory = if policy.rejected_memory.is_zero() { REJECTED_MEMORY } else { policy.rejected_memory };
                let decision = workflow.deciding().filter(|decision| (self.now() - decision.at).to_std().unwrap_or_default() < memory);
                Ok(match decision {
                    Some(decision) => Next::Answer(ToolAnswer::deny(Some(id), words::rejected(&workflow, decision))),
                    None => Next::Park,
                })
            }
            Status::Expired | Status::Cancelled | Status::Superseded => {
                let tells = self.engine.storage.tells(&asked.by.name, &asked.used, id).await?;
                Ok(if tells { Next::Answer(ToolAnswer::deny(Some(id), words::ended(&workflow))) } else { Next::Park })
            }
        }
    }

    /// Claims the approval, so that this call and no other may run.
    async fn claim(&self, asked: &Asked, workflow: &Workflow) -> Result<Next, ServiceError> {
        let id = workflow.id;
        self.is_about(asked, id).await?;
        let approved_at = workflow.deciding().map_or(workflow.updated_at, |decision| decision.at);
        if self.now() - approved_at > CLAIM_WITHIN {
            let reason = "not started: it was approved more than a day ago, and nobody has made the call since".to_owned();
            if let Some(attempt) = workflow.queued() {
                let refusal = Command::RefuseStart { attempt, reason };
                self.engine.command_for(id, refusal, Arc::clone(&asked.permit)).await.map_err(about(id))?;
            }
            return Ok(Next::Park);
        }
        let claimed = self.engine.claim_for(id, asked.by.principal(), asked.used.token(), Arc::clone(&asked.permit)).await;
        let workflow = match claimed {
            // Another call was faster.
            Err(Failure::Refused(Refusal::WrongState { .. })) => return Ok(Next::Look),
            claimed => claimed.map_err(about(id))?,
        };
        match workflow.status() {
            _ if asked.has_begun(&workflow) => self.allow(asked, &workflow).await,
            Status::Queued => {
                let held = self.engine.holds.would_hold(&workflow).map(|held| held.to_string());
                Err(ServiceError::Halted(held.unwrap_or_else(|| "a halt or a freeze has just come into force".to_owned())))
            }
            Status::Failed => Ok(Next::Answer(ToolAnswer::deny(Some(id), words::not_started(&workflow)))),
            _ => Ok(Next::Look),
        }
    }

    /// Checks that the workflow is about this call. A row links the two, but only the document,
    /// which is what people approved, proves it.
    async fn is_about(&self, asked: &Asked, id: Uuid) -> Result<(), ServiceError> {
        let document = self.engine.storage.last_document(id).await?.unwrap_or_default();
        let document: Value = serde_json::from_slice(&document).unwrap_or_default();
        if document.pointer("/metadata/tool_call/identity").and_then(Value::as_str) == Some(asked.identity.as_str()) {
            return Ok(());
        }
        tracing::error!(workflow.id = %id, "a row links a tool call to the workflow of another call; the call was not allowed");
        Err(ServiceError::internal())
    }

    /// Allows a call that has begun, and stores which workflow its result belongs to.
    async fn allow(&self, asked: &Asked, workflow: &Workflow) -> Result<Next, ServiceError> {
        self.engine.storage.keep_use(&asked.by.name, &asked.used, &asked.identity, workflow.id).await?;
        Ok(Next::Answer(ToolAnswer::allow(workflow, words::allowed(workflow))))
    }

    /// The earlier answer to this call, if it was allowed before: the same while it runs, and a
    /// denial after it has ended.
    async fn known_use(&self, asked: &Asked) -> Result<Option<ToolAnswer>, ServiceError> {
        let Some(first) = self.engine.storage.first_use(&asked.by.name, &use_key(&asked.used)).await? else { return Ok(None) };
        let id = first.workflow_id;
        if first.fingerprint != asked.identity.as_str() {
            return Ok(Some(ToolAnswer::deny(Some(id), words::REUSED.to_owned())));
        }
        let Some(history) = self.engine.history(id).await.map_err(about(id))? else { return Ok(None) };
        Ok(Some(match asked.has_begun(&history.workflow) {
            true => ToolAnswer::allow(&history.workflow, words::allowed(&history.workflow)),
            false => ToolAnswer::deny(Some(id), words::OVER.to_owned()),
        }))
    }

    /// Opens a workflow under a key; `None` if the key has been used.
    async fn open(&self, asked: &Asked, key: String) -> Result<Option<Arc<Workflow>>, ServiceError> {
        let reservation = match &asked.turn {
            // A call that has taken a turn needs people.
            Some(turn) => Quotas::admit_counted(&self.engine, &asked.by.name, Arc::clone(turn), || true).await?,
            None => self.reserve(&asked.by, &asked.work).await?,
        };
        let key = Some(IdempotencyKey { key, fingerprint: asked.identity.clone() });
        let admitted = AdmittedTask { by: asked.by.principal(), work: asked.work.clone(), supersedes: None, key };
        let permit = Arc::clone(&asked.permit);
        let after = move |answer: &_| {
            reservation.release(answer);
            drop(permit);
        };
        let id = self.engine.clock.new_id();
        match self.engine.submit_for(id, admitted, after).await.map_err(about(id))? {
            Submitted::Accepted(workflow) => Ok(Some(workflow)),
            Submitted::KeyUsed => Ok(None),
        }
    }

    fn parked(&self, workflow: &Workflow) -> ToolAnswer {
        let inbox = self.engine.configuration.notifications.public_url.as_deref();
        ToolAnswer {
            verdict: Verdict::Parked,
            workflow_id: Some(workflow.id),
            reason: words::parked(workflow, inbox, RETRY_AFTER),
            retry_after: Some(RETRY_AFTER),
        }
    }
}

/// The next step for a call.
enum Next {
    Answer(ToolAnswer),
    /// Park it again.
    Park,
    /// Another call came first; read the state again.
    Look,
}

impl Asked {
    /// Whether the log says that this call may run and has not ended.
    fn has_begun(&self, workflow: &Workflow) -> bool {
        let mut running = workflow.steps.iter().filter_map(StepState::running);
        running.any(|attempt| attempt.token == Some(self.used.token()))
    }
}

impl ToolAnswer {
    fn allow(workflow: &Workflow, reason: String) -> Self {
        Self { verdict: Verdict::Allow, workflow_id: Some(workflow.id), reason, retry_after: None }
    }

    fn deny(workflow_id: Option<Uuid>, reason: String) -> Self {
        Self { verdict: Verdict::Deny, workflow_id, reason, retry_after: None }
    }
}
