//! Who is calling: a bearer token names a principal, and the configuration says what that principal is today.
//!
//! Where nothing is changed, the session of somebody who is signed in to the inbox is taken too, because a browser cannot send a token
//! along with a stream. A change through the API always takes a token: a cookie comes with whatever makes a browser send a request.

use crate::actors::engine::Engine;
use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::today::{Barred, Today};
use crate::http::api::Api;
use crate::http::inbox::session;
use crate::http::problem::{Code, Problem};
use crate::secret_key::Seal;
use crate::storage::{Error, Presented, TokenHolder};
use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a token is believed without asking the database again; a revocation takes effect within this time.
const BELIEVED: Duration = Duration::from_secs(2);
/// How long a stream goes on whose caller could not be proved anew.
const UNPROVED: Duration = Duration::from_secs(60);
/// So many tokens are remembered at most.
const MOST: usize = 10_000;

/// Tokens that were good a moment ago, by their hashes.
#[derive(Debug, Default)]
pub struct Authenticator(Mutex<HashMap<Seal, Believed>>);

#[derive(Debug)]
struct Believed {
    holder: TokenHolder,
    until: Instant,
}

impl Authenticator {
    async fn holder(&self, engine: &Engine, token: &str) -> Result<Presented, Error> {
        let hash = engine.storage.token_hash(token)?;
        if let Some(holder) = self.remembered(hash) {
            return Ok(Presented::Good(holder));
        }
        // Boxed, because it is rare: see `tasks::orchestrate`.
        let presented = Box::pin(engine.storage.token_holder(token)).await?;
        if let Presented::Good(holder) = &presented {
            let until = Instant::now() + holder.left.unwrap_or(BELIEVED).min(BELIEVED);
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(hash, Believed { holder: holder.clone(), until });
        }
        Ok(presented)
    }

    fn remembered(&self, hash: Seal) -> Option<TokenHolder> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash).filter(|believed| Instant::now() < believed.until).map(|believed| believed.holder.clone())
    }
}

/// Who the holder of a token is today. A token is for a name as one kind: what was a person's is no agent's.
///
/// # Errors
/// The name has no rights today, or stands for something else than when the token was made.
pub async fn principal(api: &Api, holder: &TokenHolder) -> Result<Principal, Problem> {
    let name = &holder.name;
    let refused = |detail: String| Problem::new(Code::Unauthenticated, detail);
    let suspended = api.engine.suspended().await?;
    let today = Today { policy: &api.engine.configuration.policy, suspended: &suspended };
    let principal = today.principal(name).map_err(|barred| {
        refused(match barred {
            Barred::Suspended => format!("{name} is suspended, so this token has no rights until an operator restores {name}"),
            Barred::Unlisted => format!("{name} is neither a person nor an agent of the configuration, so this token has no rights"),
        })
    })?;
    if principal.kind != holder.kind {
        let kind = |kind| if kind == PrincipalKind::Person { "a person" } else { "an agent" };
        let (was, is) = (kind(holder.kind), kind(principal.kind));
        return Err(refused(format!("this token was made when {name} was {was}, and {name} is {is} now; ask for a new token")));
    }
    Ok(principal)
}

/// What is said of a token that nobody can use.
pub const UNKNOWN: &str = "this token is not known, was revoked, or has expired";
pub const VOID: &str = "this token was made before tokens were sealed with the secret key that the server has now; ask for a new one";

/// The caller of a request. A handler that takes it cannot be reached without a valid token.
pub struct Caller(pub Principal);

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let refused = |detail: &str| Problem::new(Code::Unauthenticated, detail);
        if parts.method.is_safe()
            && !parts.headers.contains_key(header::AUTHORIZATION)
            && let Some(session) = Box::pin(session::of(api, &parts.headers, false)).await?
        {
            return Ok(Self(session.person));
        }
        let written = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = written
            .and_then(|written| written.split_once(' '))
            .ok_or_else(|| refused("send `Authorization: Bearer pbk_…`; a token is made with `parkbrake token create NAME`"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused("only bearer tokens are taken"));
        }
        match api.authenticator.holder(&api.engine, token.trim()).await? {
            Presented::Good(holder) => Ok(Self(principal(api, &holder).await?)),
            Presented::Void => Err(refused(VOID)),
            Presented::Unknown => Err(refused(UNKNOWN)),
        }
    }
}

/// The caller of a request that is answered for a long time, who has to prove again and again to be the caller.
pub struct Standing {
    parts: Parts,
    proved: Instant,
}

impl FromRequestParts<Api> for Standing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        Ok(Self { parts: parts.clone(), proved: Instant::now() })
    }
}

impl Standing {
    /// Whether the caller may still be answered. Where nobody can say, because the database is away, that holds for a while.
    pub async fn holds(&mut self, api: &Api) -> bool {
        match Caller::from_request_parts(&mut self.parts, api).await {
            Ok(_) => {
                self.proved = Instant::now();
                true
            }
            Err(problem) => problem.code() == Code::Unavailable && self.proved.elapsed() < UNPROVED,
        }
    }
}
