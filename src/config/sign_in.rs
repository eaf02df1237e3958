//! `sign-in.yaml`: how people sign in to the inbox, besides with their tokens.

use crate::config::value::At;
use crate::domain::notice::{Medium, Notifications};
use crate::domain::policy::Policy;
use crate::domain::policy::sign_in::SignInSettings;
use crate::domain::text::shown;
use serde_json::{Value, json};

/// What the file says, with where it says so.
#[derive(Default)]
pub struct SignIn<'s> {
    mail: Option<(String, At<'s>)>,
}

/// Reads the file.
pub fn read<'s>(file: &At<'s>) -> SignIn<'s> {
    let Some(fields) = file.fields(&["mail"]) else { return SignIn::default() };
    SignIn { mail: fields.get("mail").and_then(|at| Some((at.text()?.to_owned(), at))) }
}

/// What it says together with the channels and the people.
pub fn resolve(written: SignIn<'_>, notifications: &Notifications, policy: &Policy) -> SignInSettings {
    let mail = written.mail.and_then(|(name, at)| {
        let of_mail = |name: &str| notifications.channels.get(name).is_some_and(|channel| channel.service.medium() == Medium::Email);
        if !of_mail(&name) {
            let known: Vec<_> = notifications.channels.keys().map(String::as_str).filter(|name| of_mail(name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            at.problem(format!("`{}` is no channel of mail; notifications.yaml has of type email: {known}", shown(&name)));
            return None;
        }
        if notifications.public_url.is_none() {
            at.problem("needs the address that the links in the mails begin with; write public_url into notifications.yaml");
        }
        if policy.people().values().all(|person| person.email.is_none()) {
            at.problem("reaches nobody, because none of the people has an email; write one under `people` of approval-policies.yaml");
        }
        Some(name)
    });
    SignInSettings { mail }
}

/// The values as a document; nothing where there are none, so that a configuration without the file is what it was.
pub fn document(settings: &SignInSettings) -> Option<Value> {
    (*settings != SignInSettings::default()).then(|| json!({ "mail": settings.mail }))
}
