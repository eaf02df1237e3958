//! Sessions: who is signed in, by a cookie that only this origin can set and read over a secure
//! connection.
//!
//! `__Host-` and `Secure` tie the cookie to this host and to TLS (browsers treat `localhost` as
//! secure); `HttpOnly` keeps it from scripts; `SameSite=Lax` lets a link in a notice open the
//! inbox, and keeps other sites' forms out. The id is 256 random bits; the database has only its
//! hash.

use crate::domain::policy::{GroupRole, Principal, SignedIn};
use crate::domain::via::Via;
use crate::identity::{Caller, Error, Identity, random_hex};
use crate::storage::{GoodSession, Proof, SignIn, TokenHolder};
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};

/// The cookie that holds a session's id.
const COOKIE: &str = "__Host-parkbrake";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Somebody who is signed in.
pub struct Session {
    pub person: Caller,
    /// Whether a provider has proved the identity.
    pub by_provider: bool,
    /// The secret in the cookie; it goes nowhere else.
    id: String,
}

impl Session {
    /// The secret, from which other values are derived that only this session can know.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Identity {
    /// The session of a request, if it is valid and its holder is listed as a person now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn session(&self, headers: &HeaderMap, by_hand: bool) -> Result<Option<Session>, Error> {
        let Some(id) = id_in(headers) else { return Ok(None) };
        let Some(GoodSession { sign_in, begun_at, now }) = self.storage.session(id, by_hand).await? else { return Ok(None) };
        match self.person(&sign_in).await {
            Ok(person) => {
                let roles = self.roles_of_groups(&sign_in.proof, &person, begun_at, now);
                let signed_in =
                    SignedIn { roles, ago: signed_in_at(&sign_in.proof, begun_at).map(|at| (now - at).to_std().unwrap_or_default()) };
                let by_provider = matches!(sign_in.proof, Proof::OpenId { .. } | Proof::OpenIdMail { .. });
                let person = Caller::new(Principal { signed_in, ..person }, Via::Inbox);
                Ok(Some(Session { person, by_provider, id: id.to_owned() }))
            }
            // The next sign-in explains the reason.
            Err(Error::Unproved(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The roles that groups give the holder of a session, in addition to the listed ones.
    fn roles_of_groups(&self, proof: &Proof, person: &Principal, begun_at: DateTime<Utc>, now: DateTime<Utc>) -> Vec<GroupRole> {
        let (Proof::OpenId { said, .. } | Proof::OpenIdMail { said, .. }, Some(group_roles)) =
            (proof, self.configuration.policy.group_roles())
        else {
            return Vec::new();
        };
        group_roles.given(&said.groups, begun_at, now, &person.roles)
    }

    /// Begins a session for a person who has shown a token, and returns its id. The session lasts
    /// no longer than the token.
    ///
    /// # Errors
    /// The database is unavailable, or the system provides no random numbers.
    pub async fn begin_session(&self, holder: &TokenHolder) -> Result<String, Error> {
        let id = random_hex::<32>()?;
        self.storage.begin_session(&id, &SignIn::by_token(holder)).await?;
        Ok(id)
    }

    /// Ends the session of a request, if it has one.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn end_session(&self, headers: &HeaderMap) -> Result<(), Error> {
        if let Some(id) = id_in(headers) {
            self.storage.end_session(id).await?;
        }
        Ok(())
    }
}

/// When the holder of a session proved who they are; `None` if that is unknown. A time after the
/// beginning of the session can only come from a wrong clock of the provider.
fn signed_in_at(proof: &Proof, begun_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match proof {
        Proof::Token(_) | Proof::Mail(_) => Some(begun_at),
        Proof::OpenId { said, .. } | Proof::OpenIdMail { said, .. } => said.signed_in_at.map(|at| at.min(begun_at)),
    }
}

/// The cookie for a new session.
pub fn begun(id: &str) -> String {
    format!("{COOKIE}={id}; {ATTRIBUTES}")
}

/// The cookie that deletes the cookie of a session.
pub fn ended() -> String {
    format!("{COOKIE}=; {ATTRIBUTES}; Max-Age=0")
}

/// The id in the cookie.
fn id_in(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, COOKIE)
}

/// The value of one of our cookies. A second cookie with the same name can only be an attack, so
/// neither is accepted.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut found = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(known, _)| *known == name).map(|(_, held)| held);
    match (found.next(), found.next()) {
        (Some(held), None) if !held.is_empty() => Some(held),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_session_cookie_is_accepted_and_two_are_refused() {
        let with = |text: &str| [(header::COOKIE, text.parse().unwrap())].into_iter().collect::<HeaderMap>();
        assert_eq!(id_in(&with("a=b; __Host-parkbrake=x; c=d")), Some("x"));
        for other in ["", "a=b", "__Host-parkbrake=", "parkbrake=x", "__Host-parkbrake=x; __Host-parkbrake=y"] {
            assert_eq!(id_in(&with(other)), None, "{other}");
        }
    }
}
