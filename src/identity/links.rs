//! Links that sign a person in, once. Opening one changes nothing, so that a program that follows
//! the links of a mail spends none; the press of a button on its page does.

use crate::domain::via::Via;
use crate::identity::{Caller, Error, Identity, random_hex, unproved};
use crate::storage::{GoodLink, Proof, SignIn, TokenHolder};
use chrono::{DateTime, Utc};

/// What every code begins with.
const PREFIX: &str = "pbl_";
/// Bytes of a code: 128 bits, which nobody guesses within the minutes that it is good.
const BYTES: usize = 16;
/// What is said of a link that signs nobody in.
const UNKNOWN: &str = "this link has been used, is older than 10 minutes, or was never made; ask for a new one";

/// A link that was just made. Its code is a secret.
pub struct NewLink {
    /// Whom it signs in.
    pub name: String,
    /// Where it leads on this server, with the code.
    pub path: String,
    pub expires_at: DateTime<Utc>,
}

/// A link that is good, and whom it signs in.
pub struct Offer {
    pub person: Caller,
    link: GoodLink,
}

/// Where links lead to, below the address of the server.
const PLACE: &str = "/sign-in/link";

impl Identity {
    /// Makes a link that signs in the holder of a token; nothing where too many of that person's
    /// are good.
    ///
    /// # Errors
    /// The holder may not sign in today; the database is unavailable, or the system provides no
    /// random numbers.
    pub async fn link_by_token(&self, holder: &TokenHolder) -> Result<Option<NewLink>, Error> {
        self.make_link(&SignIn::by_token(holder)).await
    }

    /// Makes a link that signs in the person with this name and mail address, to be sent there;
    /// nothing where too many have been sent.
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
        Ok(expires_at.map(|expires_at| NewLink { name: person.name, path: format!("{PLACE}?code={code}"), expires_at }))
    }

    /// Whom a link signs in. Nothing is changed.
    ///
    /// # Errors
    /// The link signs nobody in, or the database is unavailable.
    pub async fn offer(&self, code: &str) -> Result<Offer, Error> {
        let link = self.storage.sign_in_link(code).await?.ok_or_else(|| unproved(UNKNOWN))?;
        let person = self.person(&link.sign_in).await?;
        Ok(Offer { person: Caller::new(person, Via::Inbox), link })
    }

    /// Spends a link and begins the session of whom it signs in; gives the session's id.
    ///
    /// # Errors
    /// Somebody else was faster; the database is unavailable, or the system provides no random
    /// numbers.
    pub async fn take(&self, offer: Offer) -> Result<String, Error> {
        let id = random_hex::<32>()?;
        if self.storage.spend_sign_in_link(offer.link, &id).await? { Ok(id) } else { Err(unproved(UNKNOWN)) }
    }
}
