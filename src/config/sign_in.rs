//! `sign-in.yaml`: how people sign in to the inbox, apart from their tokens.

use crate::config::address;
use crate::config::names;
use crate::config::value::{At, from_env};
use crate::domain::duration;
use crate::domain::notice::{Medium, Notifications};
use crate::domain::policy::sign_in::{Groups, OpenIdSettings, SignInSettings};
use crate::domain::policy::{Policy, Role, roles};
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long groups give roles by default.
const LONGEST: Duration = Duration::from_secs(12 * 3_600);
/// How long a session lasts at most.
const SESSION: Duration = Duration::from_secs(7 * 86_400);

/// The values of the file, with their positions.
#[derive(Default)]
pub struct SignIn<'s> {
    mail: Option<(String, At<'s>)>,
    openid: Option<OpenId<'s>>,
}

/// The values for a provider.
struct OpenId<'s> {
    at: At<'s>,
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    /// The subject of each person, by name.
    people: Vec<(&'s str, String, At<'s>)>,
    match_email: bool,
    groups: Option<(Groups, Vec<(Role, At<'s>)>)>,
}

/// Reads the file.
pub fn read<'s>(file: &At<'s>) -> SignIn<'s> {
    let Some(fields) = file.fields(&["mail", "openid_connect"]) else { return SignIn::default() };
    SignIn {
        mail: fields.get("mail").and_then(|at| Some((at.text()?.to_owned(), at))),
        openid: fields.get("openid_connect").and_then(provider),
    }
}

fn provider(at: At<'_>) -> Option<OpenId<'_>> {
    let fields = at.fields(&["issuer", "client_id", "client_secret", "people", "match_email", "groups"])?;
    let issuer = fields.required("issuer", "write the address of the provider, exactly as it spells it").and_then(|at| at.parsed(issuer));
    let client_id = fields.required("client_id", "write the id under which parkbrake is registered there");
    let client_id = client_id.and_then(|at| at.text().map(str::to_owned));
    let client_secret = fields.get("client_secret").map(|at| {
        if at.is_text() {
            at.problem(
                "is a secret, and secrets come from the environment: write { from_env: NAME }, and replace the secret that was here",
            );
            return None;
        }
        from_env(&at)
    });
    let people = fields.get("people").map(|at| at.entries("people: a name and the subject of that person")).map(Option::unwrap_or_default);
    let people = people.unwrap_or_default().into_iter().filter_map(|(name, at)| Some((name, at.parsed(subject)?, at)));
    let people: Vec<_> = people.collect();
    let match_email = fields.get("match_email").and_then(|at| at.boolean()).unwrap_or(false);
    let groups = fields.get("groups").and_then(groups);
    let (issuer, client_id) = (issuer?, client_id?);
    if client_secret == Some(None) {
        return None;
    }
    Some(OpenId { at, issuer, client_id, client_secret: client_secret.flatten(), people, match_email, groups })
}

/// Which roles the groups of the provider give.
fn groups(at: At<'_>) -> Option<(Groups, Vec<(Role, At<'_>)>)> {
    let fields = at.fields(&["claim", "scope", "roles", "max_age"])?;
    let claim = fields.get("claim").map_or(Some("groups".to_owned()), |at| at.parsed(word));
    let scope = fields.get("scope").map(|at| at.parsed(word));
    let longest = fields.get("max_age").map_or(Some(LONGEST), |at| {
        let longest = at.duration()?;
        if longest > SESSION {
            at.problem("is longer than the 7 days that a session lasts; write at most 7d");
        }
        Some(longest)
    });
    let (mut roles, mut named) = (BTreeMap::<String, BTreeSet<Role>>::new(), Vec::new());
    let written = fields.required("roles", "write which roles each group gives, such as { sre-oncall: [sre] }")?;
    for (group, at) in written.entries("groups: the name of a group and a list of roles").unwrap_or_default() {
        for at in at.items("roles").unwrap_or_default() {
            let Some(role) = at.parsed(names::role) else { continue };
            roles.entry(group.to_owned()).or_default().insert(role.clone());
            named.push((role, at));
        }
    }
    Some((Groups { claim: claim?, scope: scope.map_or(Some(None), |scope| scope.map(Some))?, roles, longest: longest? }, named))
}

/// The name of a claim or a scope.
fn word(text: &str) -> Result<String, &'static str> {
    let valid = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if valid { Ok(text.to_owned()) } else { Err("is not a name: write it as the provider has it, without blanks and quotation marks") }
}

/// The address of a provider: over TLS, unless it is on this machine.
fn issuer(text: &str) -> Result<String, &'static str> {
    let valid = address::url(text)?;
    let host = valid.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    if host.is_some_and(|host| host != "localhost" && host != "127.0.0.1") {
        return Err("has to begin with https://: whoever can change what the provider says can sign in as anybody");
    }
    if valid.contains(['?', '#']) { Err("is the address of a provider, which has no `?` and no `#`") } else { Ok(valid) }
}

/// A subject: up to 255 ASCII characters, as the specification requires.
fn subject(text: &str) -> Result<String, &'static str> {
    let valid = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') && text.trim() == text;
    if valid { Ok(text.to_owned()) } else { Err("is not a subject: write it as the provider has it, at most 255 characters of ASCII") }
}

/// Combines and checks the file together with the channels and the people.
pub fn resolve(written: SignIn<'_>, notifications: &Notifications, policy: &Policy) -> SignInSettings {
    let mail = written.mail.and_then(|(name, at)| {
        let of_mail = |name: &str| notifications.channels.get(name).is_some_and(|channel| channel.service.medium() == Medium::Email);
        if !of_mail(&name) {
            let known: Vec<_> = notifications.channels.keys().map(String::as_str).filter(|name| of_mail(name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            at.problem(format!("`{}` is not a mail channel; the channels of type email in notifications.yaml are: {known}", shown(&name)));
            return None;
        }
        if notifications.public_url.is_none() {
            at.problem("needs the address that the links in the mails begin with; write public_url into notifications.yaml");
        }
        if policy.people().values().all(|person| person.email.is_none()) {
            at.problem("reaches nobody, because nobody has an email address; add one under `people` of approval-policies.yaml");
        }
        Some(name)
    });
    SignInSettings { mail, openid: written.openid.map(|openid| of_provider(openid, notifications, policy)) }
}

fn of_provider(written: OpenId<'_>, notifications: &Notifications, policy: &Policy) -> OpenIdSettings {
    let OpenId { at, issuer, client_id, client_secret, people, match_email, groups } = written;
    if notifications.public_url.is_none() {
        at.problem("needs the address that the provider sends people back to; write public_url into notifications.yaml");
    }
    if people.is_empty() && !match_email {
        at.problem("signs nobody in; write the subjects of people under `people`, or match_email: true");
    }
    let mut subjects = BTreeMap::new();
    for (name, subject, at) in people {
        if !policy.people().contains_key(name) {
            at.problem(format!("`{}` is not one of the people of approval-policies.yaml, in this spelling", shown(name)));
        }
        if let Some(other) = subjects.insert(subject, name.to_owned()) {
            at.problem(format!("is the subject of {other}, too; each person has one of their own"));
        }
    }
    if match_email {
        let mut seen = BTreeSet::new();
        let addresses = policy.people().values().filter_map(|person| person.email.as_ref());
        if let Some(twice) = addresses.map(|address| address.to_ascii_lowercase()).find(|address| !seen.insert(address.clone())) {
            at.problem(format!("matches people by mail address, and more than one of them has {}", shown(&twice)));
        }
    }
    let groups = groups.map(|(groups, named)| {
        for (role, at) in named {
            decides(&role, &at, policy);
        }
        groups
    });
    OpenIdSettings { issuer, client_id, client_secret, subjects, match_email, groups }
}

/// Notes a role that groups cannot give, because it is for more than deciding requests.
fn decides(role: &Role, at: &At<'_>, policy: &Policy) {
    if [roles::ADMIN, roles::AUDITOR].contains(&role.as_str()) {
        at.problem(format!(
            "`{role}` is a role of parkbrake's own, which no group gives; write it under `people` of approval-policies.yaml"
        ));
        return;
    }
    let levels = || Level::ALL.into_iter().map(|level| &policy.level(level).terms);
    let asked: BTreeSet<&Role> =
        levels().flat_map(|terms| terms.approvers.iter().chain(terms.escalation.iter().flat_map(|step| &step.to))).collect();
    if !asked.contains(role) {
        let known = asked.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        at.problem(format!("`{role}` is asked at no level, so the group gives nothing by it; name one of: {known}"));
    }
}

/// The values as a document; nothing if there are none, so that configurations without the file
/// keep their version.
pub fn document(settings: &SignInSettings) -> Option<Value> {
    let of_provider = |openid: &OpenIdSettings| {
        json!({
            "issuer": openid.issuer,
            "client_id": openid.client_id,
            "client_secret": openid.client_secret.as_ref().map(|name| json!({ "from_env": name })),
            "subjects": openid.subjects,
            "match_email": openid.match_email,
        })
    };
    let of_provider = |openid: &OpenIdSettings| {
        let mut document = of_provider(openid);
        if let Some(Groups { claim, scope, roles, longest }) = &openid.groups {
            document["groups"] = json!({ "claim": claim, "scope": scope, "roles": roles, "max_age": duration::show(*longest).to_string() });
        }
        document
    };
    let document = || json!({ "mail": settings.mail, "openid_connect": settings.openid.as_ref().map(of_provider) });
    (*settings != SignInSettings::default()).then(document)
}
