//! PagerDuty: the Events API v2, with the rules of its schema
//! (developer.pagerduty.com/docs/send-alert-event).

use super::http::{Call, Reply, Service, lock};
use super::slack::keys;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The key of the one service that exists.
pub const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// An account with one service.
pub struct PagerDuty {
    pub service: Service,
    account: Arc<Account>,
}

#[derive(Default)]
struct Account {
    /// Alerts by their keys: the last event of each, and whether it is open.
    alerts: Mutex<BTreeMap<String, (Value, bool)>>,
    complaints: Mutex<Vec<String>>,
}

impl PagerDuty {
    pub async fn start() -> Self {
        let account = Arc::new(Account::default());
        let inside = Arc::clone(&account);
        Self { service: Service::start(move |call| inside.take(call)).await, account }
    }

    pub fn api_url(&self) -> String {
        format!("{}/v2/enqueue", self.service.url)
    }

    /// The event that last triggered an alert; `None` if there is none or it is resolved.
    pub fn open(&self, key: &str) -> Option<Value> {
        lock(&self.account.alerts).get(key).filter(|(_, open)| *open).map(|(event, _)| event.clone())
    }

    pub fn alerts(&self) -> usize {
        lock(&self.account.alerts).len()
    }

    pub fn complaints(&self) -> Vec<String> {
        lock(&self.account.complaints).clone()
    }
}

impl Account {
    fn take(&self, call: &Call) -> Reply {
        if call.method != "POST" || call.path != "/v2/enqueue" {
            return Reply::new(404, "");
        }
        let checked = call.json().and_then(|event| event_is_valid(&event).map(|()| event));
        match checked {
            Ok(event) => {
                let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
                let mut alerts = lock(&self.alerts);
                if event["event_action"] == "trigger" {
                    alerts.insert(key.clone(), (event, true));
                } else if let Some(alert) = alerts.get_mut(&key) {
                    alert.1 = false;
                }
                Reply::new(202, json!({"status": "success", "message": "Event processed", "dedup_key": key}).to_string())
            }
            Err(why) => {
                lock(&self.complaints).push(why.clone());
                let body = json!({"status": "invalid event", "message": "Event object is invalid", "errors": [why]});
                Reply::new(400, body.to_string())
            }
        }
    }
}

fn event_is_valid(event: &Value) -> Result<(), String> {
    let fields = keys(event, &["routing_key", "event_action", "dedup_key"], &["payload", "images", "links", "client", "client_url"])?;
    if fields["routing_key"].as_str().map(str::len) != Some(32) {
        return Err("Length of 'routing_key' is incorrect (should be 32 characters)".to_owned());
    }
    if fields["routing_key"] != ROUTING_KEY {
        return Err("Invalid routing key".to_owned());
    }
    string(event, "dedup_key", 255)?;
    match fields["event_action"].as_str() {
        Some("trigger") => payload(fields.get("payload").ok_or("'payload' is missing")?)?,
        Some("resolve") => return if fields.len() == 3 { Ok(()) } else { Err("a resolve with more than its key".to_owned()) },
        other => return Err(format!("'event_action' is {other:?}")),
    }
    for link in event["links"].as_array().into_iter().flatten() {
        keys(link, &["href"], &["text"])?;
        url(&link["href"])?;
    }
    fields.get("client_url").map_or(Ok(()), url)
}

fn payload(payload: &Value) -> Result<(), String> {
    keys(payload, &["summary", "source", "severity"], &["timestamp", "component", "group", "class", "custom_details"])?;
    string(payload, "summary", 1024)?;
    for name in ["source", "component", "group", "class"] {
        if payload.get(name).is_some() {
            string(payload, name, 1024)?;
        }
    }
    if !["critical", "error", "warning", "info"].iter().any(|severity| payload["severity"] == *severity) {
        return Err(format!("'payload.severity' is {}", payload["severity"]));
    }
    let timestamp = payload["timestamp"].as_str().map(chrono::DateTime::parse_from_rfc3339);
    if timestamp.is_some_and(|parsed| parsed.is_err()) {
        return Err("'payload.timestamp' is no time of ISO 8601".to_owned());
    }
    if payload.get("custom_details").is_some_and(|details| !details.is_object()) {
        return Err("'payload.custom_details' is not an object".to_owned());
    }
    Ok(())
}

fn string(object: &Value, name: &str, most: usize) -> Result<(), String> {
    let length = object[name].as_str().map(|text| text.encode_utf16().count());
    if length.is_some_and(|length| (1..=most).contains(&length)) { Ok(()) } else { Err(format!("'{name}' has the length {length:?}")) }
}

fn url(value: &Value) -> Result<(), String> {
    let valid = value.as_str().and_then(|text| reqwest::Url::parse(text).ok()).is_some_and(|url| matches!(url.scheme(), "http" | "https"));
    if valid { Ok(()) } else { Err(format!("{value} is not an address")) }
}
