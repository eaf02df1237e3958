//! The channels by which notices leave: one file for each kind, behind the port of the actors.

pub mod http;
pub mod secret;
pub mod webhook;

use crate::actors::ports::Channel;
use crate::clock::Clock;
use crate::domain::notice::{ChannelSettings, Notifications, SecretName, Service};
use secret::Secret;
use std::collections::BTreeMap;
use std::sync::Arc;
use webhook::Webhook;

/// The channels of a configuration, by their names. `read` finds the variables of the environment that hold their secrets.
///
/// # Errors
/// Everything that keeps a channel from being used, in a line each; no line shows a secret.
pub fn channels(
    notifications: &Notifications,
    clock: &Arc<Clock>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Arc<dyn Channel>>, Vec<String>> {
    let (mut channels, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, settings) in &notifications.channels {
        match channel(settings, clock, read) {
            Ok(channel) => drop(channels.insert(name.clone(), channel)),
            Err(problem) => problems.push(format!("the channel {name} cannot be used: {problem}")),
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(problems) }
}

fn channel(settings: &ChannelSettings, clock: &Arc<Clock>, read: &dyn Fn(&str) -> Option<String>) -> Result<Arc<dyn Channel>, String> {
    let secret = |name: &SecretName| {
        let found = read(&name.0).filter(|value| !value.trim().is_empty());
        found.map(Secret::new).ok_or_else(|| format!("{} is not set in the server's environment, and its secret is read from it", name.0))
    };
    let not_here = || Err("this build has no channels of its type".to_owned());
    match &settings.service {
        Service::Slack { .. } => not_here(),
        Service::Email { .. } => not_here(),
        Service::Linear { .. } => not_here(),
        Service::Webhook { url, secret: name, timeout, allow_private } => {
            let settings = webhook::Settings { url: url.clone(), timeout: *timeout, allow_private: *allow_private };
            Ok(Arc::new(Webhook::new(&settings, name, &secret(name)?, Arc::clone(clock))?))
        }
        Service::PagerDuty { .. } => not_here(),
    }
}
