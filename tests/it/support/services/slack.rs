//! Slack: incoming webhooks, with the rules of Block Kit (docs.slack.dev/reference/block-kit), and
//! the address that accepts answers to buttons.

use super::http::{Call, Reply, Service, lock};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

const WEBHOOK: &str = "/services/T0/B0/secret";
const ANSWERS: &str = "/actions/T0/1/secret";

/// A workspace with one webhook.
pub struct Slack {
    pub service: Service,
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    messages: Mutex<Vec<Value>>,
    answers: Mutex<Vec<Value>>,
    complaints: Mutex<Vec<String>>,
}

impl Slack {
    pub async fn start() -> Self {
        let room = Arc::new(Room::default());
        let inside = Arc::clone(&room);
        Self { service: Service::start(move |call| inside.take(call)).await, room }
    }

    /// The address that has to stay secret.
    pub fn webhook_url(&self) -> String {
        format!("{}{WEBHOOK}", self.service.url)
    }

    pub fn response_url(&self) -> String {
        format!("{}{ANSWERS}", self.service.url)
    }

    /// The messages in the room.
    pub fn messages(&self) -> Vec<Value> {
        lock(&self.room.messages).clone()
    }

    /// The answers to buttons.
    pub fn answers(&self) -> Vec<Value> {
        lock(&self.room.answers).clone()
    }

    /// The refused messages, and the reasons.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.room.complaints).clone()
    }
}

impl Room {
    fn take(&self, call: &Call) -> Reply {
        let body = match call.json() {
            Ok(body) if call.method == "POST" => body,
            other => return self.complain("invalid_payload", format!("{} {other:?}", call.method)),
        };
        match call.path.as_str() {
            WEBHOOK => match message(&body) {
                Ok(()) => lock(&self.messages).push(body),
                Err(why) => return self.complain("invalid_blocks", why),
            },
            ANSWERS => match answer(&body) {
                Ok(()) => lock(&self.answers).push(body),
                Err(why) => return self.complain("invalid_payload", why),
            },
            _ => return Reply::new(404, "no_service"),
        }
        Reply::new(200, "ok")
    }

    fn complain(&self, word: &str, why: String) -> Reply {
        lock(&self.complaints).push(why);
        Reply::new(400, word)
    }
}

type Checked = Result<(), String>;

fn message(body: &Value) -> Checked {
    let fields = keys(body, &["text"], &["blocks"])?;
    fallback(&fields["text"])?;
    let blocks = list(&fields["blocks"], 1, 50)?;
    blocks.iter().try_for_each(block)
}

fn answer(body: &Value) -> Checked {
    let fields = keys(body, &["text", "replace_original"], &["response_type"])?;
    fallback(&fields["text"])?;
    if !fields["replace_original"].is_boolean() {
        return Err("replace_original is no boolean".to_owned());
    }
    match fields.get("response_type").map(|kind| kind.as_str().unwrap_or_default()) {
        None | Some("ephemeral" | "in_channel") => Ok(()),
        Some(other) => Err(format!("response_type is {other}")),
    }
}

/// Text in which Slack would interpret mentions and links, so it may contain none.
fn fallback(text: &Value) -> Checked {
    let text = text.as_str().filter(|text| !text.is_empty() && text.len() <= 40_000).ok_or("no text")?;
    if text.contains(['<', '>']) { Err(format!("Slack would read something in: {text}")) } else { Ok(()) }
}

fn block(block: &Value) -> Checked {
    match block["type"].as_str() {
        Some("header") => {
            let fields = keys(block, &["type", "text"], &["block_id"])?;
            text(&fields["text"], 150, false)
        }
        Some("section") => {
            let fields = keys(block, &["type"], &["text", "fields", "accessory", "block_id", "expand"])?;
            if fields.get("expand").is_some_and(|expand| !expand.is_boolean()) {
                return Err("expand is no boolean".to_owned());
            }
            if !fields.contains_key("text") && !fields.contains_key("fields") {
                return Err("a section without text and fields".to_owned());
            }
            fields.get("text").map_or(Ok(()), |one| text(one, 3000, false))?;
            fields.get("fields").map_or(Ok(()), |some| list(some, 1, 10)?.iter().try_for_each(|one| text(one, 2000, false)))?;
            fields.get("accessory").map_or(Ok(()), |one| buttons(std::slice::from_ref(one)))
        }
        Some("context") => {
            let fields = keys(block, &["type", "elements"], &["block_id"])?;
            list(&fields["elements"], 1, 10)?.iter().try_for_each(|one| text(one, 3000, true))
        }
        Some("actions") => {
            let fields = keys(block, &["type", "elements"], &["block_id"])?;
            buttons(list(&fields["elements"], 1, 25)?)
        }
        other => Err(format!("a block of type {other:?}")),
    }
}

/// A text object. `mrkdwn` may contain only mentions of members and words without markup.
fn text(object: &Value, most: usize, may_be_mrkdwn: bool) -> Checked {
    let own = if object["type"] == "mrkdwn" && may_be_mrkdwn { "verbatim" } else { "emoji" };
    let fields = keys(object, &["type", "text"], &[own])?;
    if object["type"] != "plain_text" && own == "emoji" {
        return Err(format!("text of type {} here", object["type"]));
    }
    if fields.get(own).is_some_and(|value| !value.is_boolean()) {
        return Err(format!("{own} is no boolean"));
    }
    let text = fields["text"].as_str().ok_or("text that is none")?;
    let length = text.encode_utf16().count();
    if length == 0 || length > most {
        return Err(format!("text of {length} characters, where {most} is the most"));
    }
    if object["type"] == "mrkdwn" {
        let mention = regex::Regex::new("<@[UW][A-Z0-9]+>").expect("a pattern");
        if mention.replace_all(text, "").contains(['<', '>']) {
            return Err(format!("Slack would read more than mentions in: {text}"));
        }
    }
    Ok(())
}

fn buttons(elements: &[Value]) -> Checked {
    let mut seen = BTreeSet::new();
    for element in elements {
        let fields = keys(element, &["type", "text", "action_id"], &["url", "value", "style", "confirm", "accessibility_label"])?;
        if fields["type"] != "button" {
            return Err(format!("an element of type {}", fields["type"]));
        }
        text(&fields["text"], 75, false)?;
        let short = |name: &str, most: usize| match fields.get(name).map(Value::as_str) {
            None => Ok(()),
            Some(Some(text)) if !text.is_empty() && text.len() <= most => Ok(()),
            Some(other) => Err(format!("{name} is {other:?}")),
        };
        short("action_id", 255)?;
        short("url", 3000)?;
        short("value", 2000)?;
        if let Some(url) = fields.get("url").and_then(Value::as_str) {
            let valid = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            if !valid {
                return Err(format!("url is {url}"));
            }
        }
        if fields.get("style").is_some_and(|style| style != "primary" && style != "danger") {
            return Err(format!("style is {}", fields["style"]));
        }
        if let Some(confirm) = fields.get("confirm") {
            let fields = keys(confirm, &["title", "text", "confirm", "deny"], &["style"])?;
            [("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)]
                .into_iter()
                .try_for_each(|(name, most)| text(&fields[name], most, false))?;
        }
        if !seen.insert(fields["action_id"].to_string()) {
            return Err(format!("the action {} appears twice in a block", fields["action_id"]));
        }
    }
    Ok(())
}

/// The fields of an object that has all required ones, perhaps optional ones, and no others.
pub fn keys<'a>(value: &'a Value, required: &[&str], optional: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let fields = value.as_object().ok_or_else(|| format!("{value} is not an object"))?;
    if let Some(missing) = required.iter().find(|name| !fields.contains_key(**name)) {
        return Err(format!("`{missing}` is missing in {value}"));
    }
    match fields.keys().find(|name| !required.contains(&name.as_str()) && !optional.contains(&name.as_str())) {
        Some(unknown) => Err(format!("`{unknown}` is not known in {value}")),
        None => Ok(fields),
    }
}

fn list(value: &Value, least: usize, most: usize) -> Result<&[Value], String> {
    let list = value.as_array().ok_or_else(|| format!("{value} is no list"))?;
    if (least..=most).contains(&list.len()) { Ok(list) } else { Err(format!("a list of {}, where {most} is the most", list.len())) }
}
