//! The doors by which somebody decides, each as a real client uses it.

use crate::slack::{press, sign};
use crate::support::client::token;
use crate::support::{Browser, Client, TestApp, services};
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::process::Command;

pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// What somebody wants to decide.
pub struct Act<'a> {
    pub who: &'a str,
    pub id: &'a str,
    pub digest: &'a str,
    pub approves: bool,
    pub note: Option<&'a str>,
}

/// What a door answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Done,
    Refused(String),
}

/// One way in. A new one is one more implementation, and one more column of the matrix.
pub trait Door {
    fn name(&self) -> &'static str;
    /// The word that the log has for it.
    fn via(&self) -> &'static str;
    /// Whether a decision by this door can carry a note.
    fn takes_notes(&self) -> bool {
        true
    }
    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard>;
}

/// REST, with a bearer token.
pub struct Rest<'a>(pub &'a TestApp);

impl Door for Rest<'_> {
    fn name(&self) -> &'static str {
        "REST"
    }

    fn via(&self) -> &'static str {
        "rest"
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let (verb, note) = if act.approves { ("approve", "justification") } else { ("reject", "reason") };
            let mut body = json!({"digest": act.digest});
            if let Some(text) = act.note {
                body[note] = json!(text);
            }
            let answer = self.0.client(act.who).post(&format!("/workflows/{}/{verb}", act.id), body).await;
            if answer.status.is_success() { Heard::Done } else { Heard::Refused(answer.body["detail"].as_str().unwrap().to_owned()) }
        })
    }
}

/// The forms of the inbox, in the browsers of people who signed in beforehand.
pub struct Inbox(BTreeMap<String, (Browser, String)>);

impl Inbox {
    pub async fn signed_in(app: &TestApp, people: &[&str]) -> Self {
        let mut browsers = BTreeMap::new();
        for name in people {
            let browser = Browser::of(app.addr, name).await;
            let form_token = browser.get("/").await.expect(200).hidden("/sign-out")[0].1.clone();
            browsers.insert((*name).to_owned(), (browser, form_token));
        }
        Self(browsers)
    }
}

impl Door for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    fn via(&self) -> &'static str {
        "inbox"
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let (browser, form_token) = &self.0[act.who];
            let (verb, note) = if act.approves { ("approve", "justification") } else { ("reject", "reason") };
            let mut fields = vec![("form_token", form_token.as_str()), ("digest", act.digest)];
            fields.extend(act.note.map(|text| (note, text)));
            let page = browser.post(&format!("/inbox/workflows/{}/{verb}", act.id), &fields).await;
            match page.headers.get("location").map(|place| place.to_str().unwrap()) {
                Some(place) if place.contains("done=") => Heard::Done,
                // Who is sent to sign in learns there why.
                Some(_) => Heard::Refused(browser.post("/sign-in", &[("token", &token(act.who))]).await.html),
                None => Heard::Refused(page.html),
            }
        })
    }
}

/// Buttons in Slack.
pub struct Buttons<'a> {
    pub app: &'a TestApp,
    pub slack: &'a services::Slack,
    pub members: &'a [(&'a str, &'a str)],
}

impl Door for Buttons<'_> {
    fn name(&self) -> &'static str {
        "Slack"
    }

    fn via(&self) -> &'static str {
        "slack"
    }

    fn takes_notes(&self) -> bool {
        false
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let (_, user) = self.members.iter().find(|(name, _)| *name == act.who).expect("a member");
            let action = if act.approves { "parkbrake_approve" } else { "parkbrake_reject" };
            let body = press(user, action, &format!("{} {}", act.id, act.digest), &self.slack.response_url());
            let now = chrono::Utc::now().timestamp().to_string();
            let client = Client::with_token(self.app.addr, "none");
            let request = client.request(Method::POST, "/slack/interactions").header("content-type", "application/x-www-form-urlencoded");
            let request = request.header("x-slack-request-timestamp", &now).header("x-slack-signature", sign(SIGNING_SECRET, &now, &body));
            let before = self.slack.answers().len();
            assert!(client.send(request.body(body)).await.status.is_success());
            let said = crate::support::eventually("an answer in Slack", || async { self.slack.answers().get(before).cloned() }).await;
            let text = said["text"].as_str().unwrap().to_owned();
            if said["response_type"] == "ephemeral" { Heard::Refused(text) } else { Heard::Done }
        })
    }
}

/// The command line, as a process of its own.
pub struct Cli<'a>(pub &'a TestApp);

impl Door for Cli<'_> {
    fn name(&self) -> &'static str {
        "CLI"
    }

    /// It goes through the API.
    fn via(&self) -> &'static str {
        "rest"
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
            command
                .env("PARKBRAKE_URL", format!("http://{}", self.0.addr))
                .env("PARKBRAKE_TOKEN", token(act.who))
                .env_remove("PARKBRAKE_AS");
            if act.approves {
                command.args(["approve", act.id, "--yes", "--digest", act.digest]);
                command.args(act.note.map(|text| ["--justification", text]).into_iter().flatten());
            } else {
                command.args(["reject", act.id, "--reason", act.note.unwrap_or("not today")]);
            }
            let ran = command.output().await.expect("the program");
            if ran.status.success() { Heard::Done } else { Heard::Refused(String::from_utf8_lossy(&ran.stderr).into_owned()) }
        })
    }
}
