//! GitHub's protection rule, as a way in for agents: an App asks for each deployment in the name of
//! the agent that its channel names.

use super::{Door, Heard, What, heard_of};
use crate::github::{delivery, post, sign};
use crate::support::services::github::{APP_ID, PRIVATE_KEY};
use crate::support::{Answer, TestApp, eventually, services};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Each agent has its own App, which signs with its own secret.
const APPS: [(&str, &str); 3] = [("deploy-bot", "HOOK_DEPLOY"), ("other-bot", "HOOK_OTHER"), ("lone-bot", "HOOK_LONE")];

/// The Apps in `notifications.yaml`.
pub fn channels(github: &services::Github) -> String {
    let mut text = "public_url: https://parkbrake.example.com\nchannels:\n".to_owned();
    for (agent, variable) in APPS {
        let _ = writeln!(
            text,
            "  {agent}: {{ type: github, app_id: {APP_ID}, private_key: {{ from_env: KEY }}, webhook_secret: {{ from_env: {variable} }}, \
             agent: {agent}, api_url: \"{}\" }}",
            github.service.url
        );
    }
    text
}

/// The secrets of the Apps.
pub fn secrets() -> Vec<(&'static str, String)> {
    let hooks = APPS.iter().map(|(agent, variable)| (*variable, secret(agent)));
    hooks.chain([("KEY", PRIVATE_KEY.to_owned())]).collect()
}

fn secret(agent: &str) -> String {
    format!("the secret of {agent}'s webhook")
}

pub struct GitHub<'a>(pub &'a TestApp, pub &'a services::Github);

impl GitHub<'_> {
    /// The run of a request: for harmless ones, a run for each key; for dangerous ones, always the
    /// same run, because another run would be a different request.
    fn run(what: What, key: &str) -> u64 {
        if what == What::Dangerous { 7_000 } else { 7_000 + u64::from(key.as_bytes()[0]) }
    }

    fn environment(what: What) -> &'static str {
        if what == What::Dangerous { "production" } else { "development" }
    }

    async fn send(&self, who: &str, event: &str, body: &Value) -> Answer {
        let body = body.to_string();
        post(self.0.addr, event, &body, &sign(&secret(who), &body)).await
    }

    /// GitHub received one answer about a run.
    async fn told(&self, run: u64) -> Value {
        eventually("an answer", || async { self.1.answers(run).first().cloned() }).await
    }
}

impl Door for GitHub<'_> {
    fn via(&self) -> &'static str {
        "github"
    }

    fn ask<'a>(&'a self, who: &'a str, what: What, key: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let (run, environment) = (Self::run(what, key), Self::environment(what));
            self.1.waits(run, environment);
            let mut body = delivery(self.1, run, 9_001);
            body["environment"] = json!(environment);
            let answer = self.send(who, "deployment_protection_rule", &body).await;
            if !answer.status.is_success() {
                return Heard::Refused(answer.text);
            }
            match heard_of(answer.body["status"].as_str().unwrap()) {
                // GitHub lets a run through, or stops it, only after an answer.
                Heard::Runs if self.told(run).await["state"] == "approved" => Heard::Runs,
                Heard::Waits if self.1.answers(run).is_empty() => Heard::Waits,
                Heard::Refused(_) if self.told(run).await["state"] == "rejected" => {
                    Heard::Refused(self.told(run).await["comment"].as_str().unwrap().to_owned())
                }
                heard => panic!("{heard:?}, and GitHub was told {:?}", self.1.answers(run)),
            }
        })
    }

    /// A delivery has no other way to approve than to claim that it did.
    fn approve<'a>(&'a self, who: &'a str, _: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let mut body = delivery(self.1, Self::run(What::Dangerous, ""), 9_001);
            body["action"] = json!("approved");
            let answer = self.send(who, "deployment_protection_rule", &body).await;
            if answer.status.is_success() { Heard::Runs } else { Heard::Refused(answer.text) }
        })
    }

    fn touch<'a>(&'a self, who: &'a str, _: &'a str, key: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let run = Self::run(What::Harmless, key);
            let body = json!({"action": "created", "deployment_status": {"id": 1, "state": "success", "environment": "development"},
                "deployment": {"id": 9_001}, "repository": {"id": 5_001, "full_name": "example/shop"}, "workflow_run": {"id": run}});
            let answer = self.send(who, "deployment_status", &body).await;
            match answer.body["workflow_id"].as_str() {
                Some(_) if answer.status.is_success() => Heard::Runs,
                _ => Heard::Refused(format!("no workflow: {}", answer.text)),
            }
        })
    }
}
