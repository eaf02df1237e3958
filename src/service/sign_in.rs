//! Signing in to the inbox with links.

use super::{Service, ServiceError};
use crate::actors::ports::{Mailer, SignInMail, Undelivered};
use crate::domain::policy::PrincipalKind;
use crate::identity::{self, NewLink};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use std::time::Duration;

/// The most sign-in mails that are being sent at once.
pub(super) const MAILS: usize = 32;
/// The pauses before each retry of a mail; after the last, the mail is given up.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];

impl Service {
    /// Makes a link that signs in the owner of this token. Its session ends when the token does.
    ///
    /// # Errors
    /// The token is not a valid token of a person, too many links are being made, or the database
    /// is unavailable.
    pub async fn link_by(&self, token: &str) -> Result<NewLink, ServiceError> {
        let holder = self.identity.holder(token).await?;
        if self.identity.principal(&holder).await?.kind != PrincipalKind::Person {
            return Err(ServiceError::NotPermitted("only people sign in to the inbox; agents use the API, and never decide".to_owned()));
        }
        let made = self.identity.link_by_token(&holder).await?;
        made.ok_or_else(|| ServiceError::too_much("too many links were made for you at this moment; try again"))
    }

    /// Whether people can request a link by mail.
    pub fn mails_links(&self) -> bool {
        self.mailer.is_some()
    }

    /// Mails a link to the person with this name, if that person exists and has an address. After
    /// signing in, the page leads to `next`. Nothing is looked up before this returns, so neither
    /// the answer nor its timing reveals whether the person exists. False if too many mails are
    /// being sent.
    #[expect(clippy::disallowed_methods, reason = "nobody waits for its result; if a mail is lost, the person asks for another one")]
    pub fn mail_link(&self, name: &str, next: &str) -> bool {
        let Some(mailer) = self.mailer.clone() else { return false };
        let Ok(slot) = Arc::clone(&self.mails).try_acquire_owned() else { return false };
        let (service, name, next) = (self.clone(), name.to_owned(), next.to_owned());
        tokio::spawn(async move {
            let turn = service.mail_turn.lock().await;
            let mail = service.link_to_mail(&name, &next).await;
            drop(turn);
            if let Some(mail) = mail {
                send(&*mailer, mail).await;
            }
            drop(slot);
        });
        true
    }

    /// The mail with a new link for this person; `None` if the person does not exist or should get
    /// no link.
    async fn link_to_mail(&self, name: &str, next: &str) -> Option<SignInMail> {
        let people = self.engine.configuration.policy.people();
        let (name, address) = people
            .iter()
            .find(|(listed, _)| listed.eq_ignore_ascii_case(name))
            .and_then(|(listed, person)| Some((listed.clone(), person.email.clone()?)))?;
        let path = match self.identity.link_to_mailbox(&name, &address).await {
            Ok(Some(made)) => made.path,
            Ok(None) => {
                tracing::info!(person = %name, "no sign-in link was mailed: three earlier links are still valid");
                return None;
            }
            Err(identity::Error::Unproved(why)) => {
                tracing::info!(person = %name, why, "no sign-in link was mailed");
                return None;
            }
            Err(error) => {
                tracing::warn!(person = %name, %error, "a sign-in link could not be made");
                return None;
            }
        };
        let next = if next == "/" { String::new() } else { format!("&next={}", utf8_percent_encode(next, NON_ALPHANUMERIC)) };
        let link = self.public_address(&format!("{path}{next}"))?;
        Some(SignInMail { name, address, link })
    }

    /// The full URL of a path on this server; `None` if `public_url` is not set.
    pub fn public_address(&self, path: &str) -> Option<String> {
        self.engine.configuration.notifications.public_url.as_ref().map(|base| format!("{base}{path}"))
    }
}

/// Sends a mail, and retries if the mail server is busy.
async fn send(mailer: &dyn Mailer, mail: SignInMail) {
    let mut pauses = PAUSES.into_iter();
    loop {
        let reason = match mailer.send_link(mail.clone()).await {
            Ok(()) => {
                tracing::info!(person = %mail.name, "a sign-in link was mailed");
                return;
            }
            Err(Undelivered::Later { reason, .. }) => match pauses.next() {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                None => reason,
            },
            Err(Undelivered::Refused { reason } | Undelivered::Gone { reason }) => reason,
        };
        tracing::warn!(person = %mail.name, reason, "a sign-in link could not be mailed");
        return;
    }
}
