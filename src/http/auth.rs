//! Who is calling: a bearer token names a principal, and the configuration says what that principal is today.
//!
//! Where nothing is changed, the session of somebody who is signed in to the inbox is taken too, because a browser cannot send a token
//! along with a stream. A change through the API always takes a token: a cookie comes with whatever makes a browser send a request.

use crate::actors::engine::Engine;
use crate::domain::policy::Principal;
use crate::http::api::Api;
use crate::http::inbox::session;
use crate::http::problem::{Code, Problem};
use crate::storage::{Error, TokenHash};
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
pub struct Authenticator(Mutex<HashMap<TokenHash, Believed>>);

#[derive(Debug)]
struct Believed {
    name: String,
    until: Instant,
}

impl Authenticator {
    async fn holder(&self, engine: &Engine, token: &str) -> Result<Option<String>, Error> {
        let hash = TokenHash::of(token);
        if let Some(name) = self.remembered(hash) {
            return Ok(Some(name));
        }
        // Boxed, because it is rare: see `tasks::orchestrate`.
        let Some((name, left)) = Box::pin(engine.storage.token_holder(hash)).await? else { return Ok(None) };
        let until = Instant::now() + left.unwrap_or(BELIEVED).min(BELIEVED);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(hash, Believed { name: name.clone(), until });
        Ok(Some(name))
    }

    fn remembered(&self, hash: TokenHash) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&hash).filter(|believed| Instant::now() < believed.until).map(|believed| believed.name.clone())
    }
}

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
            Some(name) => Ok(Self(api.engine.configuration.policy.principal(&name))),
            None => Err(refused("this token is not known, was revoked, or has expired")),
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
