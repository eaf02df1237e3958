//! `parkbrake token create|list|revoke`: who may call the API.

use crate::cli::terminal::{Page, complain};
use crate::cli::{Error, database_url};
use crate::config;
use crate::domain::digest::hex;
use crate::domain::duration;
use crate::domain::policy::is_principal_name;
use crate::storage::{self, NewToken, Storage, TokenHash};
use chrono::{DateTime, SecondsFormat, Utc};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use uuid::Uuid;

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token for a person or an agent; prints the token alone, this once
    Create {
        /// Whose token it is: a name of approval-policies.yaml, or any agent
        #[arg(value_parser = principal_name)]
        name: String,
        /// After how long it stops being good; never if not given
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expires: Option<Duration>,
        /// The folder of the configuration, to say what the name stands for
        #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR", default_value = "config")]
        config: PathBuf,
    },
    /// List the tokens, without showing any
    List,
    /// Revoke a token by its id, or every token of a name
    Revoke {
        /// The id that `token list` shows, or a name
        id_or_name: String,
    },
}

/// Makes, lists or revokes.
///
/// # Errors
/// No database, one that was not migrated, or nothing to revoke.
pub async fn run(command: Command) -> Result<ExitCode, Error> {
    let storage = Storage::connect(&database_url()?, 1).map_err(failed)?;
    let done = match command {
        Command::Create { name, expires, config } => create(&storage, &name, expires, &config).await,
        Command::List => list(&storage).await,
        Command::Revoke { id_or_name } => revoke(&storage, &id_or_name).await,
    };
    storage.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

fn principal_name(name: &str) -> Result<String, String> {
    if is_principal_name(name) {
        Ok(name.to_owned())
    } else {
        Err("use letters, digits and . _ @ - (at most 64, the first a letter or digit); `parkbrake` itself is taken".to_owned())
    }
}

async fn create(storage: &Storage, name: &str, expires_in: Option<Duration>, config: &std::path::Path) -> Result<(), Error> {
    let token = random_token()?;
    let new = NewToken { token_id: Uuid::now_v7(), hash: TokenHash::of(&token), principal: name, expires_in };
    storage.store_token(&new).await.map_err(failed)?;
    // On standard error, so that `TOKEN=$(parkbrake token create …)` holds the token alone.
    if let Ok(configuration) = config::load(config, config)
        && !configuration.policy.people().contains_key(name)
        && !configuration.policy.agents().contains_key(name)
    {
        complain(&format!("note: {name} is neither in people nor in agents of {}: it may submit, and decides nothing", config.display()));
    }
    let mut page = Page::stdout();
    page.line(token);
    page.print()
}

async fn list(storage: &Storage) -> Result<(), Error> {
    let mut page = Page::stdout();
    page.line(format_args!("{:<36}  {:<24}  {:<20}  {:<20}  STATE", "ID", "NAME", "CREATED", "EXPIRES"));
    for token in storage.tokens().await.map_err(failed)? {
        let state = if token.revoked_at.is_some() {
            "revoked"
        } else if token.is_expired {
            "expired"
        } else {
            "good"
        };
        let expires = token.expires_at.map_or_else(|| "never".to_owned(), moment);
        let created = moment(token.created_at);
        page.line(format_args!("{:<36}  {:<24}  {created:<20}  {expires:<20}  {state}", token.token_id, token.principal));
    }
    page.print()
}

async fn revoke(storage: &Storage, id_or_name: &str) -> Result<(), Error> {
    let revoked = storage.revoke_tokens(Uuid::try_parse(id_or_name).ok(), id_or_name).await.map_err(failed)?;
    if revoked == 0 {
        return Err(Error::Other(format!("there is no good token with the id or name `{id_or_name}`; `parkbrake token list` shows them")));
    }
    let mut page = Page::stdout();
    page.line(format_args!("revoked {revoked}; a running server refuses them within a few seconds"));
    page.print()
}

/// A new token: 256 random bits, with a prefix by which scanners for leaked secrets know it.
pub(super) fn random_token() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Other(format!("the system gives no random numbers: {error}")))?;
    Ok(format!("pbk_{}", hex(&bytes)))
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn failed(error: storage::Error) -> Error {
    let text = error.to_string();
    let hint = if text.contains("does not exist") { "; has the database been set up? `parkbrake migrate` does that" } else { "" };
    Error::Other(format!("{text}{hint}"))
}
