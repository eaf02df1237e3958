//! GitHub's delivery about a waiting deployment, and the task that it becomes. Unknown fields are
//! ignored, because GitHub sends more and may add others.

use crate::domain::task::digest::Digest;
use crate::domain::text::in_a_line;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The most pull requests that the task names.
const MOST_PULL_REQUESTS: usize = 20;
/// GitHub's numbers have to be less than this, so that every JSON reader reads them the same.
const LARGEST: u64 = 1 << 53;

/// A delivery of the event `deployment_protection_rule`, as far as it matters here.
#[derive(Deserialize, ToSchema)]
#[schema(as = GithubDelivery)]
pub struct Requested {
    action: String,
    #[serde(default)]
    environment: Option<String>,
    /// The event that triggered the run.
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    deployment_callback_url: Option<String>,
    #[serde(default)]
    deployment: Option<Deployment>,
    #[serde(default)]
    pull_requests: Vec<PullRequest>,
    repository: Repository,
    sender: Account,
    #[serde(default)]
    installation: Option<Installation>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = GithubDeployment)]
struct Deployment {
    id: u64,
    sha: String,
    #[serde(rename = "ref")]
    reference: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = GithubPullRequest)]
struct PullRequest {
    number: u64,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = GithubRepository)]
struct Repository {
    id: u64,
    full_name: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = GithubAccount)]
struct Account {
    login: String,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = GithubInstallation)]
struct Installation {
    id: u64,
}

/// A waiting deployment, with everything that is needed to ask people and to answer GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub repository: String,
    pub run_id: u64,
    pub environment: String,
    pub deployment_id: u64,
    repository_id: u64,
    installation_id: u64,
    sha: String,
    reference: String,
    sender: String,
    event: Option<String>,
    pull_requests: Vec<u64>,
}

impl Requested {
    /// The waiting deployment.
    ///
    /// # Errors
    /// What is missing, or why the answer would not go to this API.
    pub fn waiting(self, api_url: &str) -> Result<Waiting, String> {
        if self.action != "requested" {
            return Err("the only supported action is `requested`".to_owned());
        }
        let missing = |name: &str| format!("`{name}` is missing; without it parkbrake can neither ask people nor answer GitHub");
        let environment = self.environment.filter(|name| !name.is_empty()).ok_or_else(|| missing("environment"))?;
        let deployment = self.deployment.ok_or_else(|| missing("deployment"))?;
        let installation = self.installation.ok_or_else(|| missing("installation"))?;
        let callback = self.deployment_callback_url.ok_or_else(|| missing("deployment_callback_url"))?;
        let repository = self.repository.full_name;
        let run_id = run(&callback, api_url, &repository).ok_or_else(|| {
            format!("`deployment_callback_url` does not belong to a run of this repository at {api_url}; check `api_url` of the channel")
        })?;
        let pull_requests = self.pull_requests.iter().map(|pull_request| pull_request.number).take(MOST_PULL_REQUESTS).collect();
        let waiting = Waiting {
            repository,
            run_id,
            environment,
            deployment_id: deployment.id,
            repository_id: self.repository.id,
            installation_id: installation.id,
            sha: deployment.sha,
            reference: deployment.reference,
            sender: self.sender.login,
            event: self.event,
            pull_requests,
        };
        let numbers = [waiting.run_id, waiting.deployment_id, waiting.repository_id, waiting.installation_id];
        if numbers.iter().chain(&waiting.pull_requests).any(|number| *number >= LARGEST) {
            return Err("a number is too large".to_owned());
        }
        Ok(waiting)
    }
}

/// The run that a callback is about, if it belongs to this repository at this API. The received
/// address is never called; the address of the answer is built from its parts.
fn run(callback: &str, api_url: &str, repository: &str) -> Option<u64> {
    let rest = callback.strip_prefix(api_url)?.strip_prefix("/repos/")?.strip_suffix("/deployment_protection_rule")?;
    let (named, run) = rest.split_once("/actions/runs/")?;
    let (owner, name) = repository.split_once('/')?;
    let is_word = |text: &str| {
        let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !text.is_empty() && !text.bytes().all(|byte| byte == b'.') && text.bytes().all(is_of_a_name)
    };
    let is_digits = !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_digit());
    (is_word(owner) && is_word(name) && named.eq_ignore_ascii_case(repository) && is_digits).then(|| run.parse().ok())?
}

impl Waiting {
    /// The task that people are asked about. All of it is GitHub's claim.
    pub fn task(&self) -> Value {
        let Self { repository, environment, sha, reference, sender, run_id, .. } = self;
        let short: String = sha.chars().take(10).collect();
        let description = format!("Deploy {repository} ({reference}, {short}) to {environment}, by {sender} in run {run_id}");
        // A name that could be read in two ways is left out. The deployment is then assessed as a
        // deployment to any environment.
        let word = environment.trim();
        let claimed = (word.len() <= 128 && word.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')).then_some(word);
        json!({
            "description": in_a_line(&description).chars().take(1_000).collect::<String>(),
            "operation": "deploy",
            "environment": claimed,
            "resource": repository,
            "resource_type": "code",
            "metadata": {"github": {
                "repository": repository,
                "repository_id": self.repository_id,
                "environment": environment,
                "ref": reference,
                "sha": sha,
                "sender": sender,
                "event": self.event,
                "run_id": run_id,
                "deployment_id": self.deployment_id,
                "installation_id": self.installation_id,
                "pull_requests": self.pull_requests,
            }},
        })
    }

    /// The idempotency key for all deliveries about this run and environment.
    pub fn key(&self) -> String {
        key(self.repository_id, self.run_id, &self.environment)
    }

    /// The idempotency key for all deliveries about this deployment.
    pub fn key_of_its_own(&self) -> String {
        key_of_its_own(&self.key(), self.deployment_id)
    }
}

/// The key of the first request of a run and an environment.
pub fn key(repository_id: u64, run_id: u64, environment: &str) -> String {
    format!("github/{}", Digest::of(json!([repository_id, run_id, environment]).to_string().as_bytes()))
}

/// The key of a later deployment of the same run and environment.
pub fn key_of_its_own(key: &str, deployment_id: u64) -> String {
    format!("{key}/{deployment_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "https://api.github.com";

    fn delivery(change: impl FnOnce(&mut Value)) -> Result<Waiting, String> {
        let mut body: Value = serde_json::from_str(include_str!("../../tests/fixtures/github/requested.json")).unwrap();
        change(&mut body);
        serde_json::from_value::<Requested>(body).map_err(|error| error.to_string())?.waiting(API)
    }

    #[test]
    fn a_waiting_deployment_becomes_a_complete_task() {
        let task = delivery(|_| {}).unwrap().task();
        assert_eq!(task["description"], "Deploy example/shop (main, 0123456789) to production, by mona in run 7001");
        assert_eq!(
            (&task["operation"], &task["environment"], &task["resource"]),
            (&json!("deploy"), &json!("production"), &json!("example/shop"))
        );
        assert_eq!(task["metadata"]["github"]["pull_requests"], json!([12]));
        assert_eq!(task["metadata"]["github"]["deployment_id"], 9001);
    }

    #[test]
    fn an_environment_with_lookalike_characters_is_no_claim() {
        let task = delivery(|body| body["environment"] = json!("prоduction")).unwrap().task();
        assert_eq!((&task["environment"], &task["metadata"]["github"]["environment"]), (&Value::Null, &json!("prоduction")));
    }

    #[test]
    fn deliveries_about_one_run_and_environment_have_one_key() {
        let first = delivery(|_| {}).unwrap();
        let job = delivery(|body| body["deployment"]["id"] = json!(9002)).unwrap();
        assert_eq!(first.key(), job.key());
        assert_ne!(first.key_of_its_own(), job.key_of_its_own());
        let others: [fn(&mut Value); 3] = [
            |body| body["environment"] = json!("staging"),
            |body| body["repository"]["id"] = json!(1),
            |body| {
                body["deployment_callback_url"] = json!(format!("{API}/repos/example/shop/actions/runs/7002/deployment_protection_rule"))
            },
        ];
        for other in others {
            assert_ne!(first.key(), delivery(other).unwrap().key());
        }
    }

    #[test]
    fn an_answer_goes_to_a_run_of_this_repository_at_this_api_and_nowhere_else() {
        for callback in [
            "https://api.github.com.evil.example/repos/example/shop/actions/runs/7001/deployment_protection_rule",
            "https://evil.example/repos/example/shop/actions/runs/7001/deployment_protection_rule",
            "https://api.github.com/repos/example/other/actions/runs/7001/deployment_protection_rule",
            "https://api.github.com/repos/example/shop/actions/runs/7001/../8/deployment_protection_rule",
            "https://api.github.com/repos/example/shop/actions/runs/+7001/deployment_protection_rule",
            "https://api.github.com/repos/example/shop/actions/runs//deployment_protection_rule",
            "https://api.github.com/repos/example/shop/actions/runs/7001/cancel",
            "https://api.github.com/repos/example/shop/actions/runs/7001/deployment_protection_rule?x=1",
            "",
        ] {
            assert!(delivery(|body| body["deployment_callback_url"] = json!(callback)).is_err(), "{callback}");
        }
        for name in ["..", "example", "example/..", "example/shop/x", "/shop", "exa mple/shop"] {
            let callback = format!("{API}/repos/{name}/actions/runs/7001/deployment_protection_rule");
            let refused = delivery(|body| {
                body["repository"]["full_name"] = json!(name);
                body["deployment_callback_url"] = json!(callback);
            });
            assert!(refused.is_err(), "{name}");
        }
    }

    #[test]
    fn a_delivery_without_a_required_field_is_refused_by_name() {
        for name in ["environment", "deployment", "installation", "deployment_callback_url"] {
            let refused = delivery(|body| drop(body.as_object_mut().unwrap().remove(name))).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
        assert!(delivery(|body| body["action"] = json!("approved")).unwrap_err().contains("requested"));
        assert!(delivery(|body| body["deployment"]["id"] = json!(1_u64 << 53)).is_err());
    }
}
