//! `notifications.yaml`: the channels for notices, and which levels go to which of them.

use crate::config::channels;
use crate::config::value::At;
use crate::config::{address, names};
use crate::domain::notice::{ChannelSettings, Medium, Notifications, Route, Service};
use crate::domain::policy::Policy;
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Reads the file. Files that it names are looked up in `dir`, the folder of the configuration.
pub fn read(file: &At<'_>, dir: &Path) -> Notifications {
    let mut found = Notifications::default();
    let Some(fields) = file.fields(&["public_url", "channels", "routes"]) else { return found };
    found.public_url = fields.get("public_url").and_then(|at| at.parsed(address::base));
    // Unreadable channels count as well, so that a route is not blamed for them.
    let mut named = BTreeSet::new();
    let mut all_named = true;
    if let Some(at) = fields.get("channels") {
        let entries = at.entries("channels: a name and { type: ... }");
        all_named = entries.is_some();
        for (name, at) in entries.unwrap_or_default() {
            named.insert(name);
            if let Err(error) = names::channel(name) {
                at.problem(error);
            } else if let Some(channel) = channels::read(&at, dir) {
                if channel.service.medium() == Medium::WebPush && found.web_push().is_some() {
                    at.problem("is a second channel of the type web_push, but a browser subscribes with one key: remove one of them");
                }
                found.channels.insert(name.to_owned(), channel);
            }
        }
    }
    let routes = fields.get("routes").and_then(|at| at.items("routes, such as { levels: [high], channels: [ops] }")).unwrap_or_default();
    found.routes = routes.iter().filter_map(|at| route(at, all_named.then_some(&named))).collect();
    found
}

fn route(at: &At<'_>, known: Option<&BTreeSet<&str>>) -> Option<Route> {
    let fields = at.fields(&["levels", "channels"])?;
    let levels = fields.required("levels", "name the levels of the notices, such as [high, critical]").and_then(|at| channels::levels(&at));
    let channels = fields.required("channels", "name the channels that receive them").and_then(|at| {
        let items = at.items("channels")?;
        if items.is_empty() {
            at.problem("is empty; name channels, or leave the route out");
        }
        let name = |at: &At<'_>| {
            at.parsed(|text| match known {
                Some(known) if !known.contains(text) => Err(unknown(text, known)),
                _ => Ok(text.to_owned()),
            })
        };
        items.iter().map(name).collect::<Option<Vec<_>>>()
    });
    Some(Route { levels: levels?, channels: channels? })
}

fn unknown(name: &str, known: &BTreeSet<&str>) -> String {
    let known: Vec<_> = known.iter().copied().collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("`{}` is not a channel; under `channels` there is: {known}", shown(name))
}

/// Checks the agents in the file. Each App requests in the name of its own agent, so that answers
/// go to the right deployments.
pub fn check_agents(file: &At<'_>, notifications: &Notifications, policy: &Policy) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, app) in notifications.github_apps() {
        let agent = app.agent.as_str();
        let problem = if !policy.agents().contains_key(agent) {
            Some(format!("`{}` is not an agent: list it under `agents` in hitl/approval-policies.yaml", shown(agent)))
        } else {
            taken
                .insert(agent, name)
                .map(|other| format!("the channel {other} asks in the name of {agent} already; give each App an agent of its own"))
        };
        let Some(problem) = problem else { continue };
        let at = under(file, "channels").and_then(|at| under(&at, name)).and_then(|at| under(&at, "agent"));
        at.unwrap_or_else(|| file.clone()).problem(problem);
    }
}

fn under<'s>(at: &At<'s>, key: &str) -> Option<At<'s>> {
    at.entries("keys").unwrap_or_default().into_iter().find(|(found, _)| *found == key).map(|(_, at)| at)
}

/// The values as a document, with defaults filled in.
pub fn document(notifications: &Notifications) -> Value {
    let channels: Map<_, _> = notifications.channels.iter().map(|(name, channel)| (name.clone(), channels::document(channel))).collect();
    // What matters is what a channel receives, not by which route, so equivalent spellings are
    // equal.
    let routes: BTreeMap<&str, Vec<&str>> =
        Level::ALL.into_iter().map(|level| (level.as_str(), notifications.heard_at(level).map(|(name, _)| name).collect())).collect();
    json!({ "public_url": notifications.public_url, "channels": channels, "routes": routes })
}

/// Notes about values that are valid but probably unintended.
pub fn notes(notifications: &Notifications, policy: &Policy) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, channel) in &notifications.channels {
        if !matches!(channel.service, Service::Github(_)) && !notifications.routes.iter().any(|route| route.channels.contains(name)) {
            notes.push(format!("the channel {name} is named by no route, so nothing is sent there"));
        }
    }
    let routed: BTreeSet<Level> = notifications.routes.iter().flat_map(|route| route.levels.iter().copied()).collect();
    for level in routed.into_iter().filter(|level| !policy.level(*level).notify) {
        notes.push(format!("a route names {level}, but risk_levels.{level}.notify is false, so nobody is notified of such tasks"));
    }
    if notifications.public_url.is_none() && !notifications.channels.is_empty() {
        notes.push("public_url is not set, so messages have no links".to_owned());
    }
    if let Some((name, ChannelSettings { service: Service::WebPush { allow_private: true, .. }, .. })) = notifications.web_push() {
        notes.push(format!("the channel {name} allows private addresses, so everybody who signs in can make the server call some"));
    }
    if notifications.channels.values().any(|channel| matches!(channel.service, Service::Email { .. })) {
        let unreachable = policy.people().iter().filter(|(_, person)| !person.roles.is_empty() && person.email.is_none());
        let unreachable: Vec<_> = unreachable.map(|(name, _)| name.as_str()).collect();
        if !unreachable.is_empty() {
            notes.push(format!("these people have no email, so no mail reaches them: {}", unreachable.join(", ")));
        }
    }
    notes
}
