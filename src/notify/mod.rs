//! The channels that deliver notices, one file for each kind. They implement the actors' port
//! `Channel`.

pub mod email;
pub mod github;
pub mod http;
pub mod linear;
mod linear_api;
pub mod message;
pub mod pagerduty;
mod sign_in_mail;
pub mod slack;
pub mod slack_answers;
pub mod templates;
pub mod web_push;
pub mod webhook;

use crate::actors::ports::{Channel, Mailer, Subscribing, Subscriptions};
use crate::clock::Clock;
use crate::domain::notice::{ChannelSettings, Notifications, SecretName, Service};
use crate::outbound::secret::Secret;
use email::Email;
use github::Github;
use linear::Linear;
use pagerduty::PagerDuty;
use slack::Slack;
use std::collections::BTreeMap;
use std::sync::Arc;
use web_push::{Invitation, WebPush};
use webhook::Webhook;

/// The channels of a configuration, by name. `read` returns the environment variables that hold
/// their secrets; `subscriptions` are the browsers that people have subscribed.
///
/// # Errors
/// Every reason why a channel cannot be used, one per line. No line shows a secret.
pub fn channels(
    notifications: &Notifications,
    clock: &Arc<Clock>,
    subscriptions: &Arc<dyn Subscriptions>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Arc<dyn Channel>>, Vec<String>> {
    let (mut channels, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, settings) in &notifications.channels {
        match channel(name, settings, notifications.public_url.as_deref(), clock, subscriptions, read) {
            Ok(channel) => drop(channels.insert(name.clone(), channel)),
            Err(problem) => problems.push(format!("the channel {name} cannot be used: {problem}")),
        }
    }
    if problems.is_empty() { Ok(channels) } else { Err(problems) }
}

/// The mailer for sign-in links, which uses the channel with this name; `None` if no channel is
/// named.
///
/// # Errors
/// Why the channel cannot be used. The text shows no secret.
pub fn mailer(
    notifications: &Notifications,
    channel: Option<&str>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Arc<dyn Mailer>>, Vec<String>> {
    let Some((name, Service::Email { smtp_url, from })) = channel.and_then(|name| Some((name, &notifications.channels.get(name)?.service)))
    else {
        return Ok(None);
    };
    let made = secret(smtp_url, read).and_then(|url| Email::new(&url, from, None));
    let email = made.map_err(|problem| vec![format!("the channel {name} cannot send sign-in links: {problem}")])?;
    Ok(Some(Arc::new(email)))
}

/// What browsers need to subscribe; `None` if there is no channel to them.
///
/// # Errors
/// Why the channel cannot be used. The text shows no secret.
pub fn subscribing(
    notifications: &Notifications,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Arc<dyn Subscribing>>, Vec<String>> {
    let Some((name, Service::WebPush { private_key, allow_private, .. })) =
        notifications.web_push().map(|(name, channel)| (name, &channel.service))
    else {
        return Ok(None);
    };
    let made = secret(private_key, read).and_then(|key| Invitation::new(&key, *allow_private));
    let invitation = made.map_err(|problem| vec![format!("the channel {name} cannot be used: {problem}")])?;
    Ok(Some(Arc::new(invitation)))
}

/// Reads a secret from the environment.
///
/// # Errors
/// Its variable is not set.
pub fn secret(name: &SecretName, read: &dyn Fn(&str) -> Option<String>) -> Result<Secret, String> {
    let found = read(&name.0).filter(|value| !value.trim().is_empty());
    found.map(Secret::new).ok_or_else(|| format!("{} is not set in the server's environment, and its secret is read from it", name.0))
}

fn channel(
    name: &str,
    settings: &ChannelSettings,
    public_url: Option<&str>,
    clock: &Arc<Clock>,
    subscriptions: &Arc<dyn Subscriptions>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<Arc<dyn Channel>, String> {
    let template = settings.template.as_deref();
    Ok(match &settings.service {
        Service::Slack { webhook_url, buttons } => {
            let levels = buttons.as_ref().map(|buttons| buttons.levels.clone()).unwrap_or_default();
            Arc::new(Slack::new(secret(webhook_url, read)?, levels, public_url.map(str::to_owned), template)?)
        }
        Service::Email { smtp_url, from } => Arc::new(Email::new(&secret(smtp_url, read)?, from, template)?),
        Service::Linear { api_key, team_id, api_url, done_state, cancelled_state } => {
            let settings = linear::Settings {
                channel: name.to_owned(),
                api_url: api_url.clone(),
                team_id: team_id.clone(),
                done_state: done_state.clone(),
                cancelled_state: cancelled_state.clone(),
            };
            Arc::new(Linear::new(&secret(api_key, read)?, settings, template)?)
        }
        Service::Webhook { url, secret: name, timeout, allow_private } => {
            let settings = webhook::Settings { url: url.clone(), timeout: *timeout, allow_private: *allow_private };
            Arc::new(Webhook::new(&settings, name, &secret(name, read)?, Arc::clone(clock))?)
        }
        Service::Github(app) => {
            let key = secret(&app.private_key, read)?;
            Arc::new(Github::new(&app.api_url, &app.app_id, key.expose(), Arc::clone(clock))?)
        }
        Service::WebPush { private_key, subject, allow_private } => {
            let settings = web_push::Settings { subject: subject.clone(), allow_private: *allow_private };
            Arc::new(WebPush::new(&secret(private_key, read)?, settings, Arc::clone(clock), Arc::clone(subscriptions))?)
        }
        Service::PagerDuty { routing_key, api_url } => Arc::new(PagerDuty::new(secret(routing_key, read)?, api_url, template)?),
    })
}
