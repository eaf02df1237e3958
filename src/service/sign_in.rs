//! Signing in to the inbox by links.

use super::{Service, ServiceError};
use crate::actors::ports::{Mailer, SignInMail, Undelivered};
use crate::domain::policy::PrincipalKind;
use crate::identity::{self, NewLink};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use std::time::Duration;

/// So many mails with links may be on their way at once.
pub(super) const MAILS: usize = 32;
/// How long the next attempt to send one waits, as long as there is one.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(15)];

impl Service {
    /// Makes a link that signs in the person whose token this is. What it opens ends with the
    /// token.
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

    /// Whether people can have a link sent to them by mail.
    pub fn mails_links(&self) -> bool {
        self.mailer.is_some()
    }

    /// Sends a link by mail to the person with this name, if there is one who has an address; its
    /// page leads on to `next`. Nothing is looked up before this returns, so that neither the
    /// answer nor its time says whether there is such a person. False where too many mails are on
    /// their way.
    #[expect(clippy::disallowed_methods, reason = "nobody is told what becomes of it; a mail that is lost is asked for again")]
    pub fn mail_link(&self, name: &str, next: &str) -> bool {
        let Some(mailer) = self.mailer.clone() else { return false };
        let Ok(place) = Arc::clone(&self.mails).try_acquire_owned() else { return false };
        let (service, name, next) = (self.clone(), name.to_owned(), next.to_owned());
        tokio::spawn(async move {
            let turn = service.mail_turn.lock().await;
            let mail = service.link_to_mail(&name, &next).await;
            drop(turn);
            if let Some(mail) = mail {
                send(&*mailer, mail).await;
            }
            drop(place);
        });
        true
    }

    /// The mail with a new link for the person with this name; nothing where there is none, or
    /// where none is to be sent.
    async fn link_to_mail(&self, name: &str, next: &str) -> Option<SignInMail> {
        let people = self.engine.configuration.policy.people();
        let (name, address) = people
            .iter()
            .find(|(listed, _)| listed.eq_ignore_ascii_case(name))
            .and_then(|(listed, person)| Some((listed.clone(), person.email.clone()?)))?;
        let path = match self.identity.link_to_mailbox(&name, &address).await {
            Ok(Some(made)) => made.path,
            Ok(None) => {
                tracing::info!(person = %name, "no further link for signing in is sent by mail: three are good");
                return None;
            }
            Err(identity::Error::Unproved(why)) => {
                tracing::info!(person = %name, why, "no link for signing in is sent by mail");
                return None;
            }
            Err(error) => {
                tracing::warn!(person = %name, %error, "no link for signing in could be made");
                return None;
            }
        };
        let next = if next == "/" { String::new() } else { format!("&next={}", utf8_percent_encode(next, NON_ALPHANUMERIC)) };
        let link = self.public_address(&format!("{path}{next}"))?;
        Some(SignInMail { name, address, link })
    }

    /// The whole address of a place on this server, where people reach it; nothing where
    /// `public_url` is not set.
    pub fn public_address(&self, path: &str) -> Option<String> {
        self.engine.configuration.notifications.public_url.as_ref().map(|base| format!("{base}{path}"))
    }
}

/// Sends a mail, and tries again where the mail server is busy.
async fn send(mailer: &dyn Mailer, mail: SignInMail) {
    let mut pauses = PAUSES.into_iter();
    loop {
        let reason = match mailer.send_link(mail.clone()).await {
            Ok(()) => {
                tracing::info!(person = %mail.name, "a link for signing in was sent by mail");
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
        tracing::warn!(person = %mail.name, reason, "a link for signing in could not be sent by mail");
        return;
    }
}
