//! The GitHub Apps whose deployment protection rules call parkbrake, with the secrets that verify
//! GitHub's signatures.

use crate::domain::notice::Notifications;
use crate::github::GithubApp;
use crate::notify;

/// The Apps of a configuration. `read` returns the environment variables that hold their secrets.
///
/// # Errors
/// Every reason why one cannot be used, one per line. No line shows a secret.
pub(super) fn apps(notifications: &Notifications, read: &dyn Fn(&str) -> Option<String>) -> Result<Vec<GithubApp>, Vec<String>> {
    let (mut apps, mut problems) = (Vec::new(), Vec::new());
    for (name, app) in notifications.github_apps() {
        match notify::secret(&app.webhook_secret, read) {
            Ok(secret) => {
                apps.push(GithubApp { webhook_secret: secret.expose().to_owned(), agent: app.agent.clone(), api_url: app.api_url.clone() })
            }
            Err(problem) => problems.push(format!("calls from GitHub to the channel {name} cannot be verified: {problem}")),
        }
    }
    if problems.is_empty() { Ok(apps) } else { Err(problems) }
}
