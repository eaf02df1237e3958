//! GitHub's deployment protection rules: reports to GitHub what people decided about a deployment.
//!
//! GitHub asks once, and waits for weeks. The answer follows from the events like every notice, so
//! it survives restarts and is retried for a day. Each attempt has its own token, which is valid
//! for one repository and only for deployments.

use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::clock::Clock;
use crate::domain::notice::Kind;
use crate::domain::task::plan::Document;
use crate::domain::text::{in_a_line, shown};
use crate::domain::workflow::{Status, Verdict, Workflow};
use crate::notify::http;
use crate::notify::message::cut;
use crate::outbound::client;
use crate::outbound::rs256::Rs256;
use futures_util::future::BoxFuture;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most characters of a comment.
const LONGEST_COMMENT: usize = 1_000;
/// The most bytes of an answer that are read.
const LONGEST_ANSWER: usize = 16 * 1024;
/// How long a token of the App itself is valid, in seconds: GitHub accepts at most ten minutes.
const GOOD_FOR: i64 = 9 * 60;
/// How far GitHub's clock may be behind, in seconds.
const BEHIND: i64 = 60;

/// The App whose rule asks.
pub struct Github {
    client: Client,
    api_url: String,
    app_id: String,
    key: Rs256,
    clock: Arc<Clock>,
}

/// What GitHub asked about, according to the document that people approved.
struct Deployment<'a> {
    repository: &'a str,
    run_id: u64,
    environment: &'a str,
    installation_id: u64,
}

impl<'a> Deployment<'a> {
    fn of(document: &'a Document) -> Option<Self> {
        let Document::Task(task) = document else { return None };
        let github = task.metadata.get("github")?;
        Some(Self {
            repository: github["repository"].as_str()?,
            run_id: github["run_id"].as_u64()?,
            environment: github["environment"].as_str()?,
            installation_id: github["installation_id"].as_u64()?,
        })
    }
}

impl Github {
    /// The App with this id and key, at GitHub or at an own server.
    ///
    /// # Errors
    /// TLS cannot be set up, or the text is not a key.
    pub fn new(api_url: &str, app_id: &str, private_key: &str, clock: Arc<Clock>) -> Result<Self, String> {
        let key = Rs256::of_pem(private_key).map_err(|why| format!("its private_key {why}"))?;
        Ok(Self { client: client::client(REQUEST_TIMEOUT)?, api_url: api_url.to_owned(), app_id: app_id.to_owned(), key, clock })
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Undelivered> {
        let Some((state, comment)) = answer(notice) else { return Ok(()) };
        let Some(deployment) = Deployment::of(&notice.document) else {
            return Err(Undelivered::Refused { reason: "the request does not say which run of which repository waits".to_owned() });
        };
        let token = self.token(&deployment).await?;
        let url = format!("{}/repos/{}/actions/runs/{}/deployment_protection_rule", self.api_url, deployment.repository, deployment.run_id);
        let body = json!({"environment_name": deployment.environment, "state": state, "comment": comment});
        let response = asked(self.client.post(url), &token).json(&body).send().await.map_err(|error| http::unanswered(&error))?;
        match response.status() {
            // The run was deleted, or it no longer waits.
            StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
                let said = http::body(response, LONGEST_ANSWER).await.unwrap_or_default();
                Err(Undelivered::Refused { reason: format!("GitHub does not accept the answer for this run: {}", complaint(&said)) })
            }
            _ => http::outcome(&response),
        }
    }

    /// A new token of the installation, only for this repository and for deployments.
    async fn token(&self, deployment: &Deployment<'_>) -> Result<String, Undelivered> {
        let now = self.clock.now().timestamp();
        let claims = json!({"iss": self.app_id, "iat": now - BEHIND, "exp": now + GOOD_FOR});
        let later = |reason: String| Undelivered::Later { reason, after: None };
        let own = self.key.token(&claims).map_err(later)?;
        let name = deployment.repository.rsplit('/').next().unwrap_or_default();
        let body = json!({"repositories": [name], "permissions": {"deployments": "write"}});
        let url = format!("{}/app/installations/{}/access_tokens", self.api_url, deployment.installation_id);
        let response = asked(self.client.post(url), &own).json(&body).send().await.map_err(|error| http::unanswered(&error))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(later("GitHub does not know the App: check app_id and private_key".to_owned()));
        }
        http::outcome(&response)?;
        let answer: Value = serde_json::from_str(&http::body(response, LONGEST_ANSWER).await?).unwrap_or_default();
        answer["token"].as_str().map(str::to_owned).ok_or_else(|| later("GitHub answered without a token".to_owned()))
    }
}

/// An API request in the form that GitHub requires.
fn asked(request: RequestBuilder, token: &str) -> RequestBuilder {
    request.bearer_auth(token).header("Accept", "application/vnd.github+json").header("X-GitHub-Api-Version", "2022-11-28")
}

impl Channel for Github {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move {
            for notice in &message {
                self.tell(notice).await?;
            }
            Ok(())
        })
    }
}

/// The answer for GitHub; `None` if the notice is not an answer. Only an attempt that has begun
/// counts as approved: a released workflow that a halt or a freeze holds goes on waiting.
fn answer(notice: &Notice) -> Option<(&'static str, String)> {
    let workflow = &notice.workflow;
    let (state, words) = match notice.kind {
        Kind::Executing => ("approved", approved(workflow)),
        Kind::Decided if workflow.status() == Status::Rejected => ("rejected", rejected(workflow)),
        Kind::Expired if workflow.status() == Status::Expired => {
            ("rejected", "Nobody decided in time, so the request has expired. Run the job again to ask again.".to_owned())
        }
        Kind::Cancelled => ("rejected", format!("The request was cancelled by {}.", shown(&notice.actor))),
        Kind::Superseded => ("rejected", "Another request has superseded this one.".to_owned()),
        Kind::Failed if workflow.started() == 0 => ("rejected", "It may not start any more; parkbrake says why.".to_owned()),
        Kind::Requested
        | Kind::Reminded
        | Kind::Escalated
        | Kind::GoalNears
        | Kind::Expiring
        | Kind::Decided
        | Kind::Granted
        | Kind::GlassBroken
        | Kind::Reviewed
        | Kind::Expired
        | Kind::Asked
        | Kind::Answered
        | Kind::Succeeded
        | Kind::Failed
        | Kind::ReportOverdue
        | Kind::OutcomeUnknown => return None,
    };
    let link = notice.link.as_ref().map(|link| format!(" {link}")).unwrap_or_default();
    Some((state, format!("{}{link}", cut(&in_a_line(&words), LONGEST_COMMENT.saturating_sub(link.len())))))
}

fn approved(workflow: &Workflow) -> String {
    let counted = workflow.decisions.iter().filter(|decision| decision.verdict == Verdict::Approved);
    let given: Vec<String> = counted.map(|decision| said(&decision.approver, decision.justification.as_deref())).collect();
    if given.is_empty() {
        format!("Its risk is {}, so nobody has to approve it.", workflow.submission.assessment.level)
    } else {
        format!("Approved by {}.", given.join(", and by "))
    }
}

fn rejected(workflow: &Workflow) -> String {
    let no = workflow.decisions.iter().rfind(|decision| decision.verdict == Verdict::Rejected);
    no.map_or_else(|| "Rejected.".to_owned(), |no| format!("Rejected by {}.", said(&no.approver, no.justification.as_deref())))
}

fn said(name: &str, words: Option<&str>) -> String {
    words.map_or_else(|| name.to_owned(), |words| format!("{name} ({words})"))
}

/// The error in GitHub's answer.
fn complaint(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    answer["message"].as_str().map_or_else(|| "it does not say why".to_owned(), shown)
}
