//! Slack, through an incoming webhook: messages of blocks (Block Kit).
//!
//! Text from outside is put into `plain_text`, where Slack interprets no mentions, links or
//! emphasis. `mrkdwn` is used only for parkbrake's own words. A message has buttons that decide
//! only if the configuration lists the level, and if the message shows everything that the decision
//! covers. What a button may do is checked again when it is pressed (`src/slack`).

use crate::actors::ports::{Channel, Contact, Notice, Undelivered};
use crate::domain::notice::buttons::{self, LONGEST_TEXT, Word};
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use crate::notify::http;
use crate::notify::message::{Message, Said, cut, target_of};
use crate::notify::templates::{Shipped, Template};
use crate::outbound::client;
use crate::outbound::secret::Secret;
use futures_util::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most bytes of an answer that are read. Slack answers with one word.
const LONGEST_ANSWER: usize = 256;

/// Slack's limits, in characters.
const LONGEST_HEADER: usize = 150;
const LONGEST_FIELD: usize = 2000;
const LONGEST_CONFIRMATION: usize = 300;
/// How many requests of a group have a line of their own. A message has at most 50 blocks.
const MOST_LINES: usize = 40;
/// The most people who are mentioned in one message.
const MOST_MENTIONS: usize = 50;

/// A Slack channel, reached through its incoming webhook.
pub struct Slack {
    client: Client,
    webhook_url: Secret,
    /// The levels at which messages have buttons that decide.
    buttons: Vec<Level>,
    inbox: Option<String>,
    text: Template,
}

impl Slack {
    /// The Slack channel of a webhook. `inbox` is the address where people find all waiting
    /// requests.
    ///
    /// # Errors
    /// The address or the template is invalid. The address is a secret, so no error shows it.
    pub fn new(webhook_url: Secret, buttons: Vec<Level>, inbox: Option<String>, template: Option<&str>) -> Result<Self, String> {
        if reqwest::Url::parse(webhook_url.expose()).is_err() {
            return Err("the address of the webhook is not valid: Slack shows it as https://hooks.slack.com/services/…".to_owned());
        }
        Ok(Self { client: client::client(REQUEST_TIMEOUT)?, webhook_url, buttons, inbox, text: Template::new(Shipped::Slack, template)? })
    }

    async fn send(&self, notices: &[Notice]) -> Result<(), Undelivered> {
        let Some(message) = Message::of(notices) else { return Ok(()) };
        let blocks = match notices {
            [only] => self.single(only, &message),
            several => self.group(several, &message),
        };
        let body = json!({"text": buttons::mrkdwn(&cut(&message.title, LONGEST_HEADER)), "blocks": blocks});
        let request = self.client.post(self.webhook_url.expose()).json(&body);
        let response = request.send().await.map_err(|error| http::unanswered(&error))?;
        let status = response.status();
        let otherwise = http::outcome(&response);
        let answer = http::body(response, LONGEST_ANSWER).await.unwrap_or_default();
        judge(status, answer.trim(), otherwise)
    }

    fn single(&self, notice: &Notice, message: &Message) -> Vec<Value> {
        let said = &message.notice;
        let fields: Vec<Value> = said.facts.iter().map(|fact| plain(&format!("{}\n{}", fact.name, fact.value), LONGEST_FIELD)).collect();
        let text = self.text.render(message);
        let mut blocks = vec![header(&message.title), json!({"type": "section", "fields": fields})];
        if !text.trim().is_empty() {
            blocks.push(json!({"type": "section", "text": plain(&text, LONGEST_TEXT)}));
        }
        blocks.push(context(&format!("Workflow `{}`, {}", said.workflow_id, said.at), &notice.asked));
        let mut elements = Vec::new();
        if self.has_buttons(notice) {
            match covered(notice, message, &text) {
                Some(covered) => {
                    // Slack folds a long text, and people might decide without unfolding it.
                    blocks.push(json!({"type": "section", "expand": true, "text": plain(&covered, LONGEST_TEXT)}));
                    elements.extend(decisions(notice));
                }
                None => blocks.push(context("This is more than a message shows, so it is decided in the inbox.", &[])),
            }
        }
        elements.extend(said.link.as_deref().map(|link| link_button("See exactly what would run", link)));
        if !elements.is_empty() {
            blocks.push(json!({"type": "actions", "elements": elements}));
        }
        blocks
    }

    fn group(&self, notices: &[Notice], message: &Message) -> Vec<Value> {
        let mut asked: Vec<Contact> = Vec::new();
        for person in notices.iter().flat_map(|notice| &notice.asked) {
            if !asked.contains(person) {
                asked.push(person.clone());
            }
        }
        let mut blocks = vec![header(&message.title)];
        blocks.extend(message.notices.iter().take(MOST_LINES).map(line));
        let rest = message.count.saturating_sub(MOST_LINES);
        let more = if rest > 0 { format!("and {rest} more; ") } else { String::new() };
        blocks.push(context(&format!("{more}{} requests in all, at {}", message.count, message.notice.at), &asked));
        if let Some(inbox) = &self.inbox {
            blocks.push(json!({"type": "actions", "elements": [link_button("Open the inbox", inbox)]}));
        }
        blocks
    }

    /// Whether a message may have buttons that decide. If a justification is required, a button is
    /// not enough.
    fn has_buttons(&self, notice: &Notice) -> bool {
        let round = notice.workflow.round();
        let wordless = round.is_some_and(|round| !round.terms.require_justification);
        notice.kind.asks() && wordless && self.buttons.contains(&notice.workflow.asked_level())
    }
}

impl Channel for Slack {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move { self.send(&message).await })
    }
}

/// Everything that a decision covers, if nothing in the message had to be cut.
fn covered(notice: &Notice, message: &Message, text: &str) -> Option<String> {
    let is_whole = message.notice.is_whole
        && cut(&message.title, LONGEST_HEADER) == message.title
        && cut(text, LONGEST_TEXT) == *text
        && message.notice.facts.iter().all(|fact| cut(&fact.value, LONGEST_FIELD) == fact.value);
    buttons::covered(&notice.document).filter(|_| is_whole)
}

/// One request of a group.
fn line(said: &Said) -> Value {
    let called = said.called.as_deref().map(|called| format!("\n{called}")).unwrap_or_default();
    let text = format!("{}{called}\nRequested by {}, {}", said.title, said.requested_by, said.at);
    let mut block = json!({"type": "section", "text": plain(&text, LONGEST_TEXT)});
    if let Some(link) = &said.link {
        block["accessory"] = link_button("Open", link);
    }
    block
}

fn header(title: &str) -> Value {
    json!({"type": "header", "text": plain(title, LONGEST_HEADER)})
}

/// Text in which Slack interprets nothing.
fn plain(text: &str, most: usize) -> Value {
    json!({"type": "plain_text", "text": cut(text, most), "emoji": false})
}

/// The small print and the mentions: the only text that Slack interprets, and all of it is
/// parkbrake's own.
fn context(words: &str, asked: &[Contact]) -> Value {
    let mentions = asked.iter().filter_map(|person| person.slack.as_deref()).filter(|id| is_member_id(id)).take(MOST_MENTIONS);
    let mentions: Vec<String> = mentions.map(|id| format!("<@{id}>")).collect();
    let text = if mentions.is_empty() { words.to_owned() } else { format!("{words}\nAsked: {}", mentions.join(" ")) };
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

/// Whether this is the id of a member, and thus not `!channel`.
fn is_member_id(id: &str) -> bool {
    id.len() <= 30 && id.starts_with(['U', 'W']) && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn link_button(words: &str, link: &str) -> Value {
    json!({"type": "button", "text": plain(words, 75), "url": link, "action_id": buttons::OPEN})
}

/// The two buttons that decide. The value of each names the workflow and the digest of what was
/// shown.
fn decisions(notice: &Notice) -> [Value; 2] {
    let value = buttons::value(notice.workflow.id, notice.workflow.subject());
    let button = |action: Word, word: &str, style: &str, question: String| {
        json!({
            "type": "button", "action_id": buttons::action(action), "value": value, "style": style, "text": plain(word, 75),
            "confirm": {
                "title": plain(&format!("{word}?"), 100), "text": plain(&question, LONGEST_CONFIRMATION),
                "confirm": plain(word, 30), "deny": plain("Not now", 30),
            },
        })
    };
    let what = target_of(notice).headline();
    [
        button(Word::Approve, "Approve", "primary", format!("If yours is the last approval that is needed, it runs at once: {what}")),
        button(Word::Reject, "Reject", "danger", format!("It will not run: {what}")),
    ]
}

/// What Slack's answer means for the message.
fn judge(status: StatusCode, answer: &str, otherwise: Result<(), Undelivered>) -> Result<(), Undelivered> {
    let word = || shown(answer);
    match (status, answer) {
        (StatusCode::OK, "ok") => Ok(()),
        // The answer is not Slack's, perhaps a proxy's.
        (status, _) if status.is_success() => {
            Err(Undelivered::Later { reason: format!("Slack did not answer `ok` but `{}`", word()), after: None })
        }
        (
            _,
            "no_service" | "no_service_id" | "no_team" | "team_disabled" | "invalid_token" | "channel_not_found" | "channel_is_archived",
        ) => Err(Undelivered::Gone { reason: format!("Slack says `{}`: the webhook no longer exists", answer) }),
        (StatusCode::GONE, _) => otherwise,
        (StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::PAYLOAD_TOO_LARGE, _) => {
            Err(Undelivered::Refused { reason: format!("Slack refuses the message: `{}`", word()) })
        }
        _ => otherwise,
    }
}
