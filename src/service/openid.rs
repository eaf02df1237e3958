//! Signing in through an OpenID Connect provider.

use super::{Service, ServiceError};
use crate::openid::{Attempt, Error, new_secret};

impl Service {
    /// The host of the provider through which people sign in; nothing where there is none.
    pub fn openid_host(&self) -> Option<&str> {
        self.openid.as_ref()?;
        self.engine.configuration.sign_in.openid.as_ref().map(|settings| settings.host())
    }

    /// Begins an attempt: a secret for the browser to keep, and where it is sent to. With `again`
    /// the provider has whoever comes sign in again.
    ///
    /// # Errors
    /// There is no provider, or it does not answer.
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

    /// Whether a browser that has this secret comes back from the attempt that it began.
    pub fn is_of_openid_attempt(&self, secret: &str, state: &str, issuer: Option<&str>) -> bool {
        let is_ours = |issuer: &str| self.engine.configuration.sign_in.openid.as_ref().is_some_and(|settings| settings.issuer == issuer);
        Attempt::new(secret).has_state(state) && issuer.is_none_or(is_ours)
    }

    /// Begins the session of whom a code proves that the provider has given to the browser with
    /// this secret: the person's name, and the session's id.
    ///
    /// # Errors
    /// The code proves nobody in the configuration, or the provider or the database does not
    /// answer.
    pub async fn sign_in_by_openid(&self, secret: &str, code: &str) -> Result<(String, String), ServiceError> {
        let provider = self.openid.as_ref().ok_or_else(none)?;
        let proven = provider.prove(code, &Attempt::new(secret)).await.map_err(refused)?;
        Ok(self.identity.begin_session_by_openid(proven).await?)
    }
}

fn none() -> ServiceError {
    ServiceError::NotPermitted("this server signs nobody in through a provider; an operator sets that up in sign-in.yaml".to_owned())
}

fn refused(error: Error) -> ServiceError {
    match error {
        Error::Provider(reason) => {
            tracing::warn!(reason, "the OpenID Connect provider cannot be used");
            let detail = "the provider for signing in does not answer as it should; try again in a moment, or sign in in another way";
            ServiceError::Unavailable(detail.to_owned())
        }
        Error::Code(reason) => {
            tracing::info!(reason, "the OpenID Connect provider did not take a code");
            ServiceError::Unauthenticated("the provider did not confirm this sign-in; begin again".to_owned())
        }
        Error::Again(reason) => {
            tracing::warn!(reason, "the OpenID Connect provider does not say that somebody has signed in again");
            let detail = "the provider does not say that you have signed in again just now, so this does not count as a recent sign-in; \
                          sign in with your token or a link, and tell an operator, whose log has the reason";
            ServiceError::Unauthenticated(detail.to_owned())
        }
        Error::Token(reason) => {
            tracing::warn!(reason, "what the OpenID Connect provider says proves nobody");
            let detail = "what the provider says proves nobody; begin again, and tell an operator, whose log has the reason";
            ServiceError::Unauthenticated(detail.to_owned())
        }
    }
}
