//! Links that sign a person in once. Opening a link changes nothing, so a program that follows the
//! links in a mail does not spend it; the button on its page does.

use crate::domain::via::Via;
use crate::identity::{Caller, Error, Identity, random_hex, unproved};
use crate::storage::{GoodLink, Proof, SignIn, TokenHolder};
use chrono::{DateTime, Utc};

/// What every code begins with.
const PREFIX: &str = "pbl_";
/// Bytes of a code. Nobody can guess 128 bits within the minutes that a link is valid.
const BYTES: usize = 16;
/// The error for a link that does not sign anybody in.
const UNKNOWN: &str = "this link has been used, is older than 10 minutes, or was never made; ask for a new one";

/// A new link. Its code is a secret.
pub struct NewLink {
    /// The person whom it signs in.
    pub name: String,
    /// Its path on this server, with the code.
    pub path: String,
    pub expires_at: DateTime<Utc>,
}

/// A valid link, and the person whom it signs in.
pub struct Offer {
    pub person: Caller,
    link: GoodLink,
}

/// The path of links, below the address of the server.
const PATH: &str = "/sign-in/link";

impl Identity {
    /// Makes a link that signs in the holder of a token. `None` if that person already has too many
    /// valid links.
    ///
    /// # Errors
    /// The holder may not sign in today; the database is unavailable, or the system provides no
    /// random numbers.
    pub async fn link_by_token(&self, holder: &TokenHolder) -> Result<Option<NewLink>, Error> {
        self.make_link(&SignIn::by_token(holder)).await
    }

    /// Makes a link, to be mailed, that signs in the person with this name and mail address. `None`
    /// if too many have been sent.
    ///
    /// # Errors
    /// The person may not sign in today; the database is unavailable, or the system provides no
    /// random numbers.
    pub async fn link_to_mailbox(&self, name: &str, address: &str) -> Result<Option<NewLink>, Error> {
        self.make_link(&SignIn { name: name.to_owned(), proof: Proof::Mail(address.to_owned()) }).await
    }

    async fn make_link(&self, sign_in: &SignIn) -> Result<Option<NewLink>, Error> {
        let person = self.person(sign_in).await?;
        let code = format!("{PREFIX}{}", random_hex::<BYTES>()?);
        let expires_at = self.storage.make_sign_in_link(&code, sign_in).await?;
        if expires_at.is_some() {
            tracing::info!(person = %person.name, "a link for signing in was made");
        }
        Ok(expires_at.map(|expires_at| NewLink { name: person.name, path: format!("{PATH}?code={code}"), expires_at }))
    }

    /// The person whom a link signs in. Changes nothing.
    ///
    /// # Errors
    /// The link does not sign anybody in, or the database is unavailable.
    pub async fn offer(&self, code: &str) -> Result<Offer, Error> {
        let link = self.storage.sign_in_link(code).await?.ok_or_else(|| unproved(UNKNOWN))?;
        let person = self.person(&link.sign_in).await?;
        Ok(Offer { person: Caller::new(person, Via::Inbox), link })
    }

    /// Uses up a link and begins a session for the person whom it signs in. Returns the session's
    /// id.
    ///
    /// # Errors
    /// The link was used in the meantime; the database is unavailable, or the system provides no
    /// random numbers.
    pub async fn take(&self, offer: Offer) -> Result<String, Error> {
        let id = random_hex::<32>()?;
        if self.storage.spend_sign_in_link(offer.link, &id).await? { Ok(id) } else { Err(unproved(UNKNOWN)) }
    }
}
