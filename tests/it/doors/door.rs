//! The ways in for decisions, each as a real client uses it.

use crate::slack::{press, sign};
use crate::support::called;
use crate::support::client::token;
use crate::support::{Browser, Client, TestApp, services};
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::process::Command;

pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// A decision that somebody wants to make.
pub struct Act<'a> {
    pub who: &'a str,
    pub id: &'a str,
    pub digest: &'a str,
    pub what: What,
    pub note: Option<&'a str>,
    /// The name in the decision itself.
    pub named: Option<&'a str>,
    /// The freeze from which an exception is approved.
    pub exception: Option<&'a str>,
}

/// The names of a decision's parts on the wire.
struct Said {
    verb: &'static str,
    note: &'static str,
    name: &'static str,
}

impl Said {
    fn of(act: &Act<'_>) -> Self {
        match act.what {
            What::Approve => Self { verb: "approve", note: "justification", name: "approved_by" },
            What::Reject => Self { verb: "reject", note: "reason", name: "rejected_by" },
            What::Withdraw => Self { verb: "withdraw", note: "reason", name: "withdrawn_by" },
            What::BreakGlass => Self { verb: "approve", note: "justification", name: "approved_by" },
            What::Review => Self { verb: "review", note: "finding", name: "reviewed_by" },
            What::Cancel => Self { verb: "cancel", note: "reason", name: "cancelled_by" },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Approve,
    Reject,
    /// Withdraw an approval.
    Withdraw,
    /// Cancel the task.
    Cancel,
    /// Release it alone.
    BreakGlass,
    /// Record a finding after somebody broke the glass.
    Review,
}

/// The answer of a way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Done,
    Refused(String),
}

/// A way in. A new one is one more implementation, and one more column of the matrix.
pub trait Door {
    fn name(&self) -> &'static str;
    /// Its name in the log.
    fn via(&self) -> &'static str;
    /// Whether a decision through it can carry a note.
    fn takes_notes(&self) -> bool {
        true
    }
    /// Whether a decision through it can name the person.
    fn takes_names(&self) -> bool {
        false
    }
    /// Whether its callers authenticate with each call.
    fn proves_each_time(&self) -> bool {
        false
    }
    /// The answer to an agent, if this way in is only for people.
    fn tells_agents(&self) -> Option<&'static str> {
        None
    }
    /// Whether this way in supports this decision.
    fn is_for(&self, _: What) -> bool {
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

    fn proves_each_time(&self) -> bool {
        true
    }

    fn takes_names(&self) -> bool {
        true
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let Said { verb, note, name } = Said::of(act);
            let mut body =
                if matches!(act.what, What::Withdraw | What::Cancel | What::Review) { json!({}) } else { json!({"digest": act.digest}) };
            for (field, text) in [(note, act.note), (name, act.named)] {
                if let Some(text) = text {
                    body[field] = json!(text);
                }
            }
            if let Some(freeze) = act.exception {
                body["exception"] = json!(freeze);
            }
            if act.what == What::BreakGlass {
                body["break_glass"] = json!(true);
            }
            let answer = self.0.client(act.who).post(&format!("/workflows/{}/{verb}", act.id), body).await;
            if answer.status.is_success() { Heard::Done } else { Heard::Refused(answer.body["detail"].as_str().unwrap().to_owned()) }
        })
    }
}

/// The forms of the inbox, in the browsers of people who signed in before.
pub struct Inbox {
    addr: SocketAddr,
    browsers: BTreeMap<String, (Browser, String)>,
}

impl Inbox {
    #[track_caller]
    pub fn signed_in(app: &TestApp, people: &[&str]) -> impl Future<Output = Self> {
        called(async move {
            let mut browsers = BTreeMap::new();
            for name in people {
                let browser = Browser::of(app.addr, name).await;
                let form_token = browser.get("/").await.expect(200).hidden("/sign-out")[0].1.clone();
                browsers.insert((*name).to_owned(), (browser, form_token));
            }
            Self { addr: app.addr, browsers }
        })
    }
}

impl Door for Inbox {
    fn name(&self) -> &'static str {
        "inbox"
    }

    fn via(&self) -> &'static str {
        "inbox"
    }

    fn takes_names(&self) -> bool {
        true
    }

    fn tells_agents(&self) -> Option<&'static str> {
        Some("The inbox is for people")
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let Some((browser, form_token)) = self.browsers.get(act.who) else {
                return Heard::Refused(Browser::new(self.addr).post("/sign-in", &[("token", &token(act.who))]).await.html);
            };
            let Said { verb, note, name } = Said::of(act);
            let mut fields = vec![("form_token", form_token.as_str()), ("digest", act.digest)];
            fields.extend(act.note.map(|text| (note, text)));
            fields.extend(act.named.map(|text| (name, text)));
            fields.extend(act.exception.map(|freeze| ("exception", freeze)));
            fields.extend((act.what == What::BreakGlass).then_some(("break_glass", "yes")));
            let page = browser.post(&format!("/inbox/workflows/{}/{verb}", act.id), &fields).await;
            match page.headers.get("location").map(|address| address.to_str().unwrap()) {
                Some(address) if address.contains("done=") => Heard::Done,
                // The sign-in page tells the reason.
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

    /// A message has only buttons for approving and rejecting.
    fn is_for(&self, what: What) -> bool {
        matches!(what, What::Approve | What::Reject)
    }

    fn tells_agents(&self) -> Option<&'static str> {
        Some("does not know you")
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let user = self.members.iter().find(|(name, _)| *name == act.who).map_or("U99", |(_, user)| user);
            let action = if act.what == What::Approve { "parkbrake_approve" } else { "parkbrake_reject" };
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

/// The command line, as a separate process.
pub struct Cli<'a>(pub &'a TestApp);

impl Door for Cli<'_> {
    fn name(&self) -> &'static str {
        "CLI"
    }

    /// It goes through the API.
    fn via(&self) -> &'static str {
        "rest"
    }

    fn proves_each_time(&self) -> bool {
        true
    }

    fn decide<'a>(&'a self, act: &'a Act<'a>) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
            command
                .env("PARKBRAKE_URL", format!("http://{}", self.0.addr))
                .env("PARKBRAKE_TOKEN", token(act.who))
                .env_remove("PARKBRAKE_AS");
            match act.what {
                What::Approve => {
                    command.args(["approve", act.id, "--yes", "--digest", act.digest]);
                    command.args(act.note.map(|text| ["--justification", text]).into_iter().flatten());
                    command.args(act.exception.map(|freeze| ["--exception", freeze]).into_iter().flatten());
                }
                What::BreakGlass => {
                    command.args(["approve", act.id, "--yes", "--break-glass", "--digest", act.digest]);
                    command.args(act.note.map(|text| ["--justification", text]).into_iter().flatten());
                }
                What::Review => drop(command.args(["review", act.id, "--finding", act.note.unwrap_or(" ")])),
                What::Reject => drop(command.args(["reject", act.id, "--reason", act.note.unwrap_or("not today")])),
                What::Cancel => drop(command.args(["cancel", act.id, "--reason", act.note.unwrap_or("not today")])),
                What::Withdraw => drop(command.args(["withdraw", act.id, "--reason", act.note.unwrap_or("not today")])),
            }
            let ran = command.output().await.expect("the program");
            if ran.status.success() { Heard::Done } else { Heard::Refused(String::from_utf8_lossy(&ran.stderr).into_owned()) }
        })
    }
}
