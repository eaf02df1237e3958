//! `parkbrake person suspend|restore|sign-out|list`: who has rights now, regardless of the
//! configuration.

use crate::cli::terminal::Page;
use crate::cli::token::{failed, listed, policy, timestamp};
use crate::cli::{Error, database_url};
use crate::domain::policy::PrincipalKind;
use crate::storage::Storage;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do with people and agents.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Take all rights from a person or an agent, at once and on every channel; their approvals no
    /// longer count
    Suspend {
        /// A name under `people` or `agents` of approval-policies.yaml
        name: String,
        /// The reason; `person list` shows it
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        folder: Folder,
    },
    /// Give a suspended name its rights back
    Restore {
        /// The name
        name: String,
    },
    /// End all sessions of a person in the inbox, and invalidate their unused sign-in links; tokens
    /// stay valid
    SignOut {
        /// The name
        name: String,
    },
    /// List the people and agents of the configuration, and who is suspended
    List {
        #[command(flatten)]
        folder: Folder,
    },
}

/// The folder that lists the names.
#[derive(Debug, clap::Args)]
pub struct Folder {
    /// The folder of the configuration, which lists the names
    #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR", default_value = "config")]
    config: PathBuf,
}

/// Suspends, restores, signs out or lists.
///
/// # Errors
/// The database is unavailable or not migrated, or the name is not listed.
pub async fn run(command: Command) -> Result<ExitCode, Error> {
    let storage = Storage::connect(&database_url()?, 1).map_err(failed)?;
    let done = match command {
        Command::Suspend { name, reason, folder } => suspend(&storage, &name, reason.as_deref(), &folder.config).await,
        Command::Restore { name } => restore(&storage, &name).await,
        Command::SignOut { name } => sign_out(&storage, &name).await,
        Command::List { folder } => list(&storage, &folder.config).await,
    };
    storage.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn suspend(storage: &Storage, name: &str, reason: Option<&str>, config: &Path) -> Result<(), Error> {
    listed(config, name)?;
    let is_new = storage.suspend(name, reason).await.map_err(failed)?;
    let mut page = Page::stdout();
    page.line(match is_new {
        true => format!("{name} is suspended; every server refuses them within a second"),
        false => format!("{name} is already suspended"),
    });
    page.print()?;
    // Ends the sessions, so that none becomes valid again when the name is restored.
    storage.sign_out(name).await.map(drop).map_err(failed)
}

async fn restore(storage: &Storage, name: &str) -> Result<(), Error> {
    if !storage.restore(name).await.map_err(failed)? {
        return Err(Error::Other(format!("{name} is not suspended; `parkbrake person list` shows who is")));
    }
    let mut page = Page::stdout();
    page.line(format_args!("{name} has rights again"));
    page.print()
}

async fn sign_out(storage: &Storage, name: &str) -> Result<(), Error> {
    let ended = storage.sign_out(name).await.map_err(failed)?;
    let mut page = Page::stdout();
    page.line(match ended {
        0 => format!("{name} has no session"),
        1 => format!("1 session of {name} has ended"),
        many => format!("{many} sessions of {name} have ended"),
    });
    page.line(format_args!("{name} can sign in again; `parkbrake token revoke {name}` and `parkbrake person suspend {name}` do more"));
    page.print()
}

async fn list(storage: &Storage, config: &Path) -> Result<(), Error> {
    let policy = policy(config)?;
    let mut suspended = storage.suspensions().await.map_err(failed)?;
    let mut page = Page::stdout();
    page.line(format_args!("{:<24}  {:<6}  {:<40}  STATE", "NAME", "KIND", "ROLES, OR WHOM IT ACTS FOR"));
    for name in policy.people().keys().chain(policy.agents().keys()) {
        let Some(principal) = policy.principal(name) else { continue };
        let facts = match principal.kind {
            PrincipalKind::Person => principal.roles.into_iter().collect::<Vec<_>>().join(", "),
            PrincipalKind::Agent => principal.on_behalf_of.unwrap_or_default(),
        };
        let index = suspended.iter().position(|row| row.name.eq_ignore_ascii_case(name));
        let state = index.map_or_else(|| "good".to_owned(), |index| state(&suspended.remove(index)));
        page.line(format_args!("{name:<24}  {:<6}  {facts:<40}  {state}", principal.kind.as_str()));
    }
    for row in suspended {
        page.line(format_args!("{:<24}  {:<6}  {:<40}  {}", row.name, "-", "not in the configuration", state(&row)));
    }
    page.print()
}

fn state(row: &crate::storage::SuspensionRow) -> String {
    let reason = row.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("suspended since {}{reason}", timestamp(row.suspended_at))
}
