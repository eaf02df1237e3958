//! Who is calling. Bearer tokens and sessions prove a name, and the current configuration says who
//! has that name.
//!
//! For reading, the API also accepts the session of a person who is signed in to the inbox, because
//! a browser cannot send a token with an event stream. A change through the API always needs a
//! token, because a browser sends the cookie with any request, whoever caused it.

mod links;
mod openid;
mod reauthentication;
mod session;
mod suspensions;
mod tokens;

pub use links::{NewLink, Offer};
pub use reauthentication::Reauthentication;
pub use session::{Session, begun, cookie, ended};
pub use suspensions::Suspensions;

use crate::config::Configuration;
use crate::domain::policy::{Principal, PrincipalKind, SignedIn};
use crate::domain::task::digest::hex;
use crate::domain::via::Via;
use crate::domain::workflow::today::{Barred, InSlack, Today};
use crate::storage::{self, Presented, Proof, SignIn, Storage, TokenHolder};
use axum::http::{HeaderMap, Method, header};
use chrono::{DateTime, Utc};
use std::ops::Deref;
use std::sync::Arc;
use tokens::Tokens;

/// The error for a token that nobody can use.
const UNKNOWN: &str = "this token is not known, was revoked, or has expired";
const VOID: &str = "this token was made before tokens were sealed with the secret key that the server has now; ask for a new one";

/// A person or agent whose name was proved, and the way in that they used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(Arc<Principal>);

impl Caller {
    /// A caller who used this way in.
    pub fn new(principal: Principal, via: Via) -> Self {
        Self(Arc::new(principal.by(via)))
    }

    /// The principal, as commands carry it: with the way in.
    pub fn principal(&self) -> Principal {
        Principal::clone(&self.0)
    }
}

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

/// Why a caller is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name was not proved, or has no rights now.
    #[error("{0}")]
    Unproved(String),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("the system provides no random numbers: {0}")]
    NoRandomNumbers(getrandom::Error),
}

fn unproved(why: impl Into<String>) -> Error {
    Error::Unproved(why.into())
}

/// Tells the time by the database's clock.
pub type Now = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Proves who is calling.
pub struct Identity {
    storage: Storage,
    configuration: Arc<Configuration>,
    suspensions: Arc<Suspensions>,
    now: Now,
    tokens: Tokens,
}

impl Identity {
    /// Proves names by this storage, and looks them up in this configuration.
    pub fn new(storage: Storage, configuration: Arc<Configuration>, suspensions: Arc<Suspensions>, now: Now) -> Self {
        Self { storage, configuration, suspensions, now, tokens: Tokens::default() }
    }

    /// The caller of a request to the API.
    ///
    /// # Errors
    /// The request has no valid token, or the database is unavailable.
    pub async fn caller(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, Error> {
        if method.is_safe()
            && !headers.contains_key(header::AUTHORIZATION)
            && let Some(session) = Box::pin(self.session(headers, false)).await?
        {
            return Ok(session.person);
        }
        let holder = known(self.tokens.holder(&self.storage, bearer(headers)?).await?)?;
        // A token proves who calls with each call.
        Ok(Caller::new(Principal { signed_in: SignedIn::now(), ..self.principal(&holder).await? }, Via::Rest))
    }

    /// The person behind a member of a Slack workspace; Slack has signed the button press.
    ///
    /// # Errors
    /// The database is unavailable. The answer itself says why the member is nobody with rights
    /// now.
    pub async fn in_slack(&self, slack_id: &str) -> Result<Result<Caller, InSlack>, Error> {
        let suspended = self.suspensions.current().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: (self.now)() };
        Ok(today.in_slack(slack_id).map(|person| Caller::new(person, Via::Slack)))
    }

    /// The agent with this name, for a signed call of a service that the configuration trusts with
    /// this agent.
    ///
    /// # Errors
    /// The database is unavailable. The answer itself says why the agent has no rights now.
    pub async fn for_service(&self, name: &str, via: Via) -> Result<Result<Caller, Barred>, Error> {
        let suspended = self.suspensions.current().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: (self.now)() };
        Ok(today.principal(name).map(|agent| Caller::new(agent, via)))
    }

    /// Looks up in the database whose token this is.
    ///
    /// # Errors
    /// The token is not valid, or the database is unavailable.
    pub async fn holder(&self, token: &str) -> Result<TokenHolder, Error> {
        known(self.storage.token_holder(token).await?)
    }

    /// The principal who holds a token, according to the current configuration. A token is valid
    /// for a name of one kind only: a person's token never becomes an agent's.
    ///
    /// # Errors
    /// The name has no rights now, or its kind has changed since the token was made.
    pub async fn principal(&self, holder: &TokenHolder) -> Result<Principal, Error> {
        let name = &holder.name;
        let principal = self.named(name, "token").await?;
        if principal.kind != holder.kind {
            let kind = |kind| if kind == PrincipalKind::Person { "a person" } else { "an agent" };
            let (was, is) = (kind(holder.kind), kind(principal.kind));
            return Err(unproved(format!("this token was made when {name} was {was}, and {name} is {is} now; ask for a new token")));
        }
        Ok(principal)
    }

    /// The person who signs in, or has signed in, if the proof is still valid. The database has
    /// already checked whether a token is still valid.
    ///
    /// # Errors
    /// The name has no rights now or is not a person's, or the proof is no longer valid.
    pub async fn person(&self, sign_in: &SignIn) -> Result<Principal, Error> {
        let name = &sign_in.name;
        let principal = self.named(name, "sign-in").await?;
        if principal.kind != PrincipalKind::Person {
            return Err(unproved(format!("{name} is an agent of the configuration, and only people sign in")));
        }
        match &sign_in.proof {
            Proof::Token(_) => {}
            Proof::Mail(address) => {
                if self.configuration.policy.people().get(name).and_then(|person| person.email.as_ref()) != Some(address) {
                    return Err(unproved(format!(
                        "{name} has another mail address now, so what was sent to the earlier one has no rights"
                    )));
                }
            }
            Proof::OpenId { .. } | Proof::OpenIdMail { .. } => {
                if !self.is_proved_by_openid(sign_in) {
                    return Err(unproved(format!(
                        "the configuration no longer gives {name} the identity that the OpenID Connect provider has proved"
                    )));
                }
            }
        }
        Ok(principal)
    }

    /// The principal with this name now; `what` is the kind of proof that the caller has shown.
    async fn named(&self, name: &str, what: &str) -> Result<Principal, Error> {
        let suspended = self.suspensions.current().await?;
        let today = Today { policy: &self.configuration.policy, suspended: &suspended, now: (self.now)() };
        today.principal(name).map_err(|barred| {
            unproved(match barred {
                Barred::Suspended => format!("{name} is suspended, so this {what} has no rights until an operator restores {name}"),
                Barred::Unlisted => format!("{name} is neither a person nor an agent of the configuration, so this {what} has no rights"),
            })
        })
    }
}

/// The token in a request.
///
/// # Errors
/// The request has no bearer token.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let written = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = written
        .and_then(|written| written.split_once(' '))
        .ok_or_else(|| unproved("send `Authorization: Bearer pbk_…`; a token is made with `parkbrake token create NAME`"))?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(unproved("only bearer tokens are accepted")) }
}

/// This many random bytes, in hexadecimal.
fn random_hex<const BYTES: usize>() -> Result<String, Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(Error::NoRandomNumbers)?;
    Ok(hex(&bytes))
}

/// The holder of a valid token.
fn known(presented: Presented) -> Result<TokenHolder, Error> {
    match presented {
        Presented::Good(holder) => Ok(holder),
        Presented::Void => Err(unproved(VOID)),
        Presented::Unknown => Err(unproved(UNKNOWN)),
    }
}
