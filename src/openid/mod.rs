//! Signing in through an OpenID Connect provider: the authorization code flow with PKCE.
//!
//! A browser is sent to the provider and comes back with a code, which is exchanged for an ID
//! token. A secret in a cookie, which only this browser has, ties both halves together: the state,
//! the nonce and the code verifier are derived from it. So nothing is stored, and a code that was
//! given to another browser is worthless here.

mod claims;
mod http;

use crate::clock::Clock;
use crate::domain::policy::sign_in::{OpenIdSettings, Proven};
use crate::domain::task::digest::{Digest, hex};
use crate::outbound::secret::Secret;
use chrono::{DateTime, TimeDelta, Utc};
use claims::{Client, IdToken, IdTokenClaims};
use http::Http;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The path to which the provider sends browsers back, below the address of the server.
pub const CALLBACK: &str = "/sign-in/openid/callback";
/// How long the provider's metadata and keys are cached.
const BELIEVED: Duration = Duration::from_secs(300);
/// How far the provider's clock may differ from the database's.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// The signature algorithms that are accepted, all with public keys. Signatures with a shared
/// secret are refused.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The suffix of the secret of an attempt to sign in again. A browser that removes it returns with
/// a different state, which belongs to no attempt.
const AGAIN: &str = "-again";

/// Why nobody was signed in. No text shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the OpenID Connect provider cannot be used: {0}")]
    Provider(String),
    #[error("the OpenID Connect provider did not accept the code: {0}")]
    Code(String),
    #[error("the OpenID Connect provider's answer proves nobody's identity: {0}")]
    Token(String),
    /// The provider was asked to make the person sign in again.
    #[error("the OpenID Connect provider does not confirm that the person has signed in again: {0}")]
    Again(&'static str),
}

/// One browser's attempt to sign in: the way to the provider and back.
#[derive(Clone)]
pub struct Attempt(Secret);

impl Attempt {
    /// The attempt of the browser that has this secret, which nobody can guess.
    pub fn new(secret: &str) -> Self {
        Self(Secret::new(secret))
    }

    /// The same, and the provider asks the person to sign in again, even if it still has a session
    /// for them.
    pub fn again(secret: &str) -> (Self, String) {
        let secret = format!("{secret}{AGAIN}");
        (Self::new(&secret), secret)
    }

    fn is_again(&self) -> bool {
        self.0.expose().ends_with(AGAIN)
    }

    fn state(&self) -> String {
        self.made("state")
    }

    /// Whether a returning browser belongs to this attempt.
    pub fn has_state(&self, state: &str) -> bool {
        self.state() == state
    }

    fn nonce(&self) -> String {
        self.made("nonce")
    }

    fn verifier(&self) -> String {
        self.made("code verifier")
    }

    /// Derives one of three texts of 64 digits. None reveals another.
    fn made(&self, purpose: &str) -> String {
        let digest = Digest::of(format!("parkbrake sign-in {purpose}: {}", self.0.expose()).as_bytes());
        digest.as_str().trim_start_matches("sha256:").to_owned()
    }
}

/// A provider, and parkbrake's registration there.
pub struct Provider {
    settings: OpenIdSettings,
    secret: Option<Secret>,
    redirect: RedirectUrl,
    http: Http,
    clock: Arc<Clock>,
    known: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

impl Provider {
    /// A provider that sends browsers back to the server at `public_url`.
    ///
    /// # Errors
    /// An address is invalid, or TLS cannot be set up.
    pub fn new(settings: OpenIdSettings, secret: Option<Secret>, public_url: &str, clock: Arc<Clock>) -> Result<Self, String> {
        let redirect = RedirectUrl::new(format!("{public_url}{CALLBACK}")).map_err(|error| error.to_string())?;
        Ok(Self { settings, secret, redirect, http: Http::new()?, clock, known: Mutex::default() })
    }

    /// The address to which a browser is sent.
    ///
    /// # Errors
    /// The provider cannot be used.
    pub async fn address(&self, attempt: &Attempt) -> Result<String, Error> {
        let client = self.client(self.metadata(false).await?);
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let request =
            client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || CsrfToken::new(state), move || Nonce::new(nonce));
        let request = if self.settings.match_email { request.add_scope(Scope::new("email".to_owned())) } else { request };
        let request = if attempt.is_again() { request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO) } else { request };
        let scope = self.settings.groups.as_ref().and_then(|groups| groups.scope.clone());
        let request = if let Some(scope) = scope { request.add_scope(Scope::new(scope)) } else { request };
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(attempt.verifier()));
        let (url, _, _) = request.set_pkce_challenge(challenge).url();
        Ok(url.into())
    }

    /// The identity that the provider has proved, for a code that it gave to the browser of this
    /// attempt.
    ///
    /// # Errors
    /// The code proves nobody's identity, or the provider cannot be used.
    pub async fn prove(&self, code: &str, attempt: &Attempt) -> Result<Proven, Error> {
        let client = self.client(self.metadata(false).await?);
        let answer = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|error| Error::Provider(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier()))
            .request_async(&self.http)
            .await
            .map_err(|error| Error::Code(said(&error)))?;
        let token = answer.id_token().ok_or_else(|| Error::Token("there is no ID token".to_owned()))?;
        let proven = match self.claims(&client, token, attempt) {
            // The provider may have changed its keys since.
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                let client = self.client(self.metadata(true).await?);
                self.claims(&client, token, attempt).map(|claims| self.proven(claims))
            }
            other => other.map(|claims| self.proven(claims)),
        }
        .map_err(|error| Error::Token(error.to_string()))?;
        if attempt.is_again() {
            self.has_just_signed_in(&proven)?;
        }
        Ok(proven)
    }

    /// Checks that the person has just signed in at the provider.
    fn has_just_signed_in(&self, proven: &Proven) -> Result<(), Error> {
        match proven.signed_in_at {
            None => Err(Error::Again("its ID token has no auth_time, or one in the future")),
            Some(at) if self.clock.now() - at > SKEW => Err(Error::Again("according to its auth_time, the person did not sign in again")),
            Some(_) => Ok(()),
        }
    }

    fn claims<'t>(&self, client: &Client, token: &'t IdToken, attempt: &Attempt) -> Result<&'t IdTokenClaims, ClaimsVerificationError> {
        let (now, clock) = (self.clock.now(), Arc::clone(&self.clock));
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || clock.now())
            .set_issue_time_verifier_fn(move |issued| is_recent(issued, now));
        token.claims(&verifier, &Nonce::new(attempt.nonce()))
    }

    fn proven(&self, claims: &IdTokenClaims) -> Proven {
        let verified = claims.email_verified() == Some(true);
        let not_to_come = |at: &DateTime<Utc>| *at - self.clock.now() <= SKEW;
        Proven {
            issuer: self.settings.issuer.clone(),
            subject: claims.subject().as_str().to_owned(),
            email: claims.email().filter(|_| verified).map(|email| email.as_str().to_owned()),
            groups: self.settings.groups.as_ref().map(|groups| claims.additional_claims().texts(&groups.claim)).unwrap_or_default(),
            signed_in_at: claims.auth_time().filter(not_to_come),
        }
    }

    fn client(&self, metadata: CoreProviderMetadata) -> Client {
        // Basic, unless the provider says that it accepts the secret only in the body.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let secret = self.secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        Client::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), secret)
            .set_redirect_uri(self.redirect.clone())
            .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
    }

    /// The provider's metadata and keys; read again if `refresh` is set or the last answer is too
    /// old.
    async fn metadata(&self, refresh: bool) -> Result<CoreProviderMetadata, Error> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, metadata)) = known.filter(|(asked, _)| !refresh && asked.elapsed() < BELIEVED) {
            return Ok(metadata);
        }
        let asked = Instant::now();
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| Error::Provider(error.to_string()))?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &self.http).await.map_err(|error| Error::Provider(said(&error)))?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, metadata.clone()));
        Ok(metadata)
    }
}

/// A token issued long ago, or in the future, does not belong to this attempt.
fn is_recent(issued: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), String> {
    let age = now - issued;
    if age.abs() <= SKEW { Ok(()) } else { Err("it was not issued just now; check both clocks".to_owned()) }
}

/// An error with its causes. It never holds the provider's answer, which may have tokens in it.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut deeper = error.source();
    while let Some(source) = deeper {
        text = format!("{text}: {source}");
        deeper = source.source();
    }
    text
}

/// A secret for an attempt.
///
/// # Errors
/// The system provides no random numbers.
pub fn new_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}
