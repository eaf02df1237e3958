//! Signing in through an OpenID Connect provider.

use super::{Service, ServiceError};
use crate::openid::{Attempt, Error, new_secret};

impl Service {
    /// The host of the OpenID Connect provider; `None` if none is configured.
    pub fn openid_host(&self) -> Option<&str> {
        self.openid.as_ref()?;
        self.engine.configuration.sign_in.openid.as_ref().map(|settings| settings.host())
    }

    /// Begins a sign-in. Returns a secret for the browser to keep, and the address to redirect it
    /// to. With `again` the provider asks the person to sign in again.
    ///
    /// # Errors
    /// No provider is configured, or it does not answer.
    pub async fn begin_openid(&self, again: bool) -> Result<(String, String), ServiceError> {
        let provider = self.openid.as_ref().ok_or_else(none)?;
        let secret = new_secret().map_err(|error| {
            tracing::error!(%error, "the system provides no random numbers");
            ServiceError::internal()
        })?;
        let (attempt, secret) = if again { Attempt::again(&secret) } else { (Attempt::new(&secret), secret) };
        let address = provider.address(&attempt).await.map_err(refused)?;
        Ok((secret, address))
    }

    /// Whether the browser with this secret returns from the sign-in that it began.
    pub fn is_of_openid_attempt(&self, secret: &str, state: &str, issuer: Option<&str>) -> bool {
        let is_ours = |issuer: &str| self.engine.configuration.sign_in.openid.as_ref().is_some_and(|settings| settings.issuer == issuer);
        Attempt::new(secret).has_state(state) && issuer.is_none_or(is_ours)
    }

    /// Begins a session for the person whom the code identifies. The provider has given the code to
    /// the browser with this secret. Returns the person's name and the session's id.
    ///
    /// # Errors
    /// The code identifies nobody in the configuration, or the provider or the database does not
    /// answer.
    pub async fn sign_in_by_openid(&self, secret: &str, code: &str) -> Result<(String, String), ServiceError> {
        let provider = self.openid.as_ref().ok_or_else(none)?;
        let proven = provider.prove(code, &Attempt::new(secret)).await.map_err(refused)?;
        Ok(self.identity.begin_session_by_openid(proven).await?)
    }
}

fn none() -> ServiceError {
    ServiceError::NotPermitted("no sign-in provider is configured on this server; an operator can add one in sign-in.yaml".to_owned())
}

fn refused(error: Error) -> ServiceError {
    match error {
        Error::Provider(reason) => {
            tracing::warn!(reason, "the OpenID Connect provider cannot be used");
            let detail = "the sign-in provider does not answer correctly; try again in a moment, or sign in in another way";
            ServiceError::Unavailable(detail.to_owned())
        }
        Error::Code(reason) => {
            tracing::info!(reason, "the OpenID Connect provider did not accept a code");
            ServiceError::Unauthenticated("the provider did not confirm this sign-in; begin again".to_owned())
        }
        Error::Again(reason) => {
            tracing::warn!(reason, "the OpenID Connect provider does not confirm that a person has just signed in again");
            let detail = "the provider does not say that you have signed in again just now, so this does not count as a recent sign-in; \
                          sign in with your token or a link, and tell an operator, whose log has the reason";
            ServiceError::Unauthenticated(detail.to_owned())
        }
        Error::Token(reason) => {
            tracing::warn!(reason, "the ID token of the OpenID Connect provider identifies nobody in the configuration");
            let detail = "the provider's answer identifies nobody in the configuration; try again, or ask an operator, who finds the reason in the log";
            ServiceError::Unauthenticated(detail.to_owned())
        }
    }
}
