//! How people sign in, apart from their tokens: by mailed links, and through a provider.

use crate::clock::Clock;
use crate::config::Configuration;
use crate::domain::notice::SecretName;
use crate::notify;
use crate::openid::Provider;
use crate::service::WaysIn;
use std::sync::Arc;

/// The ways to sign in that a configuration sets up. `read` returns the environment variables that
/// hold their secrets.
///
/// # Errors
/// Why one of them cannot be used. No text shows a secret.
pub fn ways_in(configuration: &Configuration, clock: &Arc<Clock>, read: &dyn Fn(&str) -> Option<String>) -> Result<WaysIn, Vec<String>> {
    let mailer = notify::mailer(&configuration.notifications, configuration.sign_in.mail.as_deref(), read)?;
    let openid =
        provider(configuration, clock, read).map_err(|problem| vec![format!("the OpenID Connect provider cannot be used: {problem}")])?;
    Ok(WaysIn { mailer, openid })
}

fn provider(configuration: &Configuration, clock: &Arc<Clock>, read: &dyn Fn(&str) -> Option<String>) -> Result<Option<Provider>, String> {
    let (Some(settings), Some(public_url)) = (&configuration.sign_in.openid, &configuration.notifications.public_url) else {
        return Ok(None);
    };
    let secret = settings.client_secret.as_ref().map(|name| notify::secret(&SecretName(name.clone()), read)).transpose()?;
    Provider::new(settings.clone(), secret, public_url, Arc::clone(clock)).map(Some)
}
