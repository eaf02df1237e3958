//! One channel of `notifications.yaml`, with exactly the keys of its type.

use crate::config::address;
use crate::config::mail_address;
use crate::config::value::{At, Fields, from_env};
use crate::domain::duration;
use crate::domain::notice::{Buttons, ChannelSettings, GithubApp, Medium, SecretName, Service};
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use minijinja::Environment;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// How long requests are gathered by default.
const GROUP: Duration = Duration::from_secs(60);
/// The longest that they may be gathered: people should be notified while it matters.
const LONGEST_GROUP: Duration = Duration::from_secs(60 * 60);
/// How long a webhook may take to answer by default; Standard Webhooks recommends 15 s to 30 s.
const TIMEOUT: Duration = Duration::from_secs(20);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a template.
const LARGEST_TEMPLATE: usize = 64 * 1024;

const LINEAR: &str = "https://api.linear.app/graphql";
const GITHUB: &str = "https://api.github.com";
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Reads the keys of one type of channel.
type ReadService = fn(&Fields<'_>) -> Option<Service>;

/// Reads a channel. Its template is looked for in `dir`, the folder of the configuration.
pub fn read(at: &At<'_>, dir: &Path) -> Option<ChannelSettings> {
    // The type determines which keys are known, so it is read first.
    let kind = at.entries("a channel's settings")?.into_iter().find(|(name, _)| *name == "type");
    let Some((_, kind)) = kind else {
        at.problem("has no `type`: it has to be one of slack, email, linear, webhook, pagerduty, github, web_push");
        return None;
    };
    let (keys, service): (&[&str], ReadService) = match kind.text()? {
        "slack" => (&["type", "webhook_url", "buttons", "group", "template"], slack),
        "email" => (&["type", "smtp_url", "from", "group", "template"], email),
        "linear" => (&["type", "api_key", "team_id", "api_url", "done_state", "cancelled_state", "template"], linear),
        "webhook" => (&["type", "url", "secret", "timeout", "allow_private"], webhook),
        "pagerduty" => (&["type", "routing_key", "api_url", "template"], pagerduty),
        "github" => (&["type", "app_id", "private_key", "webhook_secret", "agent", "api_url"], github),
        "web_push" => (&["type", "private_key", "subject", "allow_private"], web_push),
        other => {
            kind.problem(format!("is `{}`, but has to be slack, email, linear, webhook, pagerduty, github or web_push", shown(other)));
            return None;
        }
    };
    let fields = at.fields(keys)?;
    let service = service(&fields);
    let group = fields.get("group").and_then(|at| group(&at));
    let template = fields.get("template").map(|at| template(&at, dir));
    let service = service?;
    let usual = if service.medium().groups() { GROUP } else { Duration::ZERO };
    Some(ChannelSettings { service, group_within: group.unwrap_or(usual), template: template.flatten() })
}

fn slack(fields: &Fields<'_>) -> Option<Service> {
    let webhook_url = secret(fields, "webhook_url", "the address of an incoming webhook, which is itself a secret");
    let buttons = match fields.get("buttons") {
        None => Some(None),
        Some(at) => buttons(&at).map(Some),
    };
    Some(Service::Slack { webhook_url: webhook_url?, buttons: buttons? })
}

fn buttons(at: &At<'_>) -> Option<Buttons> {
    let fields = at.fields(&["signing_secret", "levels", "team_id"])?;
    let signing_secret = secret(&fields, "signing_secret", "what Slack signs its calls with");
    let levels = fields.get("levels").map_or_else(|| Some(vec![Level::Medium]), |at| levels(&at));
    let team_id = match fields.get("team_id") {
        None => Some(None),
        Some(at) => identifier(&at).map(Some),
    };
    Some(Buttons { signing_secret: signing_secret?, levels: levels?, team_id: team_id? })
}

fn email(fields: &Fields<'_>) -> Option<Service> {
    let smtp_url = secret(fields, "smtp_url", "the address of the mail server, such as smtps://user:password@mail.example.com");
    let from = fields.required("from", "write the sender's address, such as parkbrake@example.com");
    Some(Service::Email { smtp_url: smtp_url?, from: from.and_then(|at| at.parsed(mail_address::parse))? })
}

fn linear(fields: &Fields<'_>) -> Option<Service> {
    let api_key = secret(fields, "api_key", "a key of Linear's API");
    let team_id = fields.required("team_id", "write the id of the team in which issues are created").and_then(|at| identifier(&at));
    let api_url = api_url(fields, LINEAR);
    let state = |name: &str| match fields.get(name) {
        None => Some(None),
        Some(at) => identifier(&at).map(Some),
    };
    let (done_state, cancelled_state) = (state("done_state"), state("cancelled_state"));
    Some(Service::Linear {
        api_key: api_key?,
        team_id: team_id?,
        api_url: api_url?,
        done_state: done_state?,
        cancelled_state: cancelled_state?,
    })
}

/// An id or a name in another system, which parkbrake only passes on.
fn identifier(at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    if text.trim().is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        at.problem("is not an id: write it exactly as that service shows it, in one line of at most 128 bytes");
        return None;
    }
    Some(text.to_owned())
}

fn webhook(fields: &Fields<'_>) -> Option<Service> {
    let url = fields.required("url", "write where notices go, such as https://example.com/hook").and_then(|at| at.parsed(address::url));
    let secret = secret(fields, "secret", "the secret that notices are signed with, whsec_ and 24 to 64 bytes in base64");
    let timeout = fields.get("timeout").and_then(|at| {
        let fits = |timeout: &Duration| *timeout <= LONGEST_TIMEOUT;
        let found = at.duration()?;
        if !fits(&found) {
            at.problem(format!(
                "is more than {}; a receiver that needs longer should answer at once and do the work afterwards",
                duration::show(LONGEST_TIMEOUT)
            ));
        }
        Some(found).filter(fits)
    });
    Some(Service::Webhook { url: url?, secret: secret?, timeout: timeout.unwrap_or(TIMEOUT), allow_private: allow_private(fields) })
}

fn allow_private(fields: &Fields<'_>) -> bool {
    fields.get("allow_private").and_then(|at| at.boolean()).unwrap_or(false)
}

fn pagerduty(fields: &Fields<'_>) -> Option<Service> {
    let routing_key = secret(fields, "routing_key", "the integration key of a service, for the Events API v2");
    let api_url = api_url(fields, PAGERDUTY);
    Some(Service::PagerDuty { routing_key: routing_key?, api_url: api_url? })
}

fn github(fields: &Fields<'_>) -> Option<Service> {
    let app_id = fields.required("app_id", "write the App's id, or its client id");
    let app_id = app_id.and_then(|at| if at.is_text() { identifier(&at) } else { at.count().map(|id| id.to_string()) });
    let private_key = secret(fields, "private_key", "the private key of the App, the whole PEM file");
    let webhook_secret = secret(fields, "webhook_secret", "what GitHub signs its calls with");
    let agent = fields.required("agent", "name the agent in whose name deployments are requested").and_then(|at| identifier(&at));
    let api_url = fields.get("api_url").map_or_else(|| Some(GITHUB.to_owned()), |at| at.parsed(address::base));
    Some(Service::Github(GithubApp {
        app_id: app_id?,
        private_key: private_key?,
        webhook_secret: webhook_secret?,
        agent: agent?,
        api_url: api_url?,
    }))
}

fn web_push(fields: &Fields<'_>) -> Option<Service> {
    let private_key = secret(fields, "private_key", "a private key of the curve P-256, the whole PEM file");
    let how = "write whom a push service can ask about parkbrake, such as mailto:ops@example.com";
    let subject = fields.required("subject", how).and_then(|at| at.parsed(contact));
    Some(Service::WebPush { private_key: private_key?, subject: subject?, allow_private: allow_private(fields) })
}

/// Whom the operators of another service can ask.
fn contact(text: &str) -> Result<String, String> {
    if let Some(address) = text.strip_prefix("mailto:") {
        return mail_address::parse(address).map(|address| format!("mailto:{address}"));
    }
    let page = address::url(text).ok().filter(|page| page.starts_with("https://"));
    page.ok_or_else(|| "has to be an address: mailto:ops@example.com, or a page that begins with https://".to_owned())
}

fn api_url(fields: &Fields<'_>, usual: &str) -> Option<String> {
    fields.get("api_url").map_or_else(|| Some(usual.to_owned()), |at| at.parsed(address::url))
}

/// A secret. A configuration file only names its variable, because too many people can read the
/// file.
fn secret(fields: &Fields<'_>, name: &str, meaning: &str) -> Option<SecretName> {
    let at = fields.required(name, &format!("name the variable that holds {meaning}: {name}: {{ from_env: NAME }}"))?;
    if at.is_text() {
        at.problem("is a secret, and secrets come from the environment: write { from_env: NAME }, and replace the secret that was here");
        return None;
    }
    from_env(&at).map(SecretName)
}

/// A list of levels, at least one.
pub fn levels(at: &At<'_>) -> Option<Vec<Level>> {
    let items = at.items("levels")?;
    if items.is_empty() {
        at.problem("is empty; name levels: low, medium, high, critical");
        return None;
    }
    items.iter().map(At::level).collect()
}

/// How long requests are gathered; `0s` means not at all.
fn group(at: &At<'_>) -> Option<Duration> {
    if at.is_text() && at.text() == Some("0s") {
        return Some(Duration::ZERO);
    }
    let group = at.duration()?;
    if group > LONGEST_GROUP {
        at.problem(format!("is more than {}: people would hear of a request too late", duration::show(LONGEST_GROUP)));
        return None;
    }
    Some(group)
}

/// The text of a template, which has to be valid.
fn template(at: &At<'_>, dir: &Path) -> Option<String> {
    let name = at.text()?;
    let mut text = String::new();
    // One byte more than allowed, so that an endless file is refused instead of read.
    let read = std::fs::File::open(dir.join(name)).and_then(|file| file.take(LARGEST_TEMPLATE as u64 + 1).read_to_string(&mut text));
    if let Err(error) = read {
        at.problem(format!("names the file `{}` in the configuration's folder, which cannot be read: {error}", shown(name)));
        return None;
    }
    if text.len() > LARGEST_TEMPLATE {
        at.problem(format!("names a file of more than {LARGEST_TEMPLATE} bytes"));
        return None;
    }
    match Environment::new().template_from_str(&text).map(drop) {
        Ok(()) => Some(text),
        Err(error) => {
            let line = error.line().map_or_else(String::new, |line| format!(" in line {line}"));
            let why = error.detail().unwrap_or("it cannot be read");
            at.problem(format!("names the file `{}`, which is not a valid template{line}: {}", shown(name), shown(why)));
            None
        }
    }
}

/// The values of a channel as a document, with defaults filled in.
pub fn document(channel: &ChannelSettings) -> Value {
    let from_env = |name: &SecretName| json!({ "from_env": name.0 });
    let show = |duration: Duration| if duration.is_zero() { "0s".to_owned() } else { duration::show(duration).to_string() };
    let mut document = match &channel.service {
        Service::Slack { webhook_url, buttons } => json!({
            "type": "slack",
            "webhook_url": from_env(webhook_url),
            "buttons": buttons.as_ref().map(|buttons| json!({
                "signing_secret": from_env(&buttons.signing_secret),
                "levels": buttons.levels.iter().map(|level| level.as_str()).collect::<Vec<_>>(),
                "team_id": buttons.team_id,
            })),
        }),
        Service::Email { smtp_url, from } => json!({ "type": "email", "smtp_url": from_env(smtp_url), "from": from }),
        Service::Linear { api_key, team_id, api_url, done_state, cancelled_state } => json!({
            "type": "linear",
            "api_key": from_env(api_key),
            "team_id": team_id,
            "api_url": api_url,
            "done_state": done_state,
            "cancelled_state": cancelled_state,
        }),
        Service::Webhook { url, secret, timeout, allow_private } => json!({
            "type": "webhook",
            "url": url,
            "secret": from_env(secret),
            "timeout": show(*timeout),
            "allow_private": allow_private,
        }),
        Service::Github(app) => json!({
            "type": "github",
            "app_id": app.app_id,
            "private_key": from_env(&app.private_key),
            "webhook_secret": from_env(&app.webhook_secret),
            "agent": app.agent,
            "api_url": app.api_url,
        }),
        Service::PagerDuty { routing_key, api_url } => {
            json!({ "type": "pagerduty", "routing_key": from_env(routing_key), "api_url": api_url })
        }
        Service::WebPush { private_key, subject, allow_private } => {
            json!({ "type": "web_push", "private_key": from_env(private_key), "subject": subject, "allow_private": allow_private })
        }
    };
    let medium = channel.service.medium();
    if medium.groups() {
        document["group"] = json!(show(channel.group_within));
    }
    if !matches!(medium, Medium::Webhook | Medium::Github | Medium::WebPush) {
        document["template"] = json!(channel.template);
    }
    document
}
