//! `parkbrake token create|list|revoke`: who may call the API.

use crate::cli::key::KeyArgs;
use crate::cli::terminal::{Page, complain};
use crate::cli::{Error, database_url};
use crate::config;
use crate::domain::duration;
use crate::domain::policy::{Policy, Principal, is_principal_name};
use crate::domain::task::digest::hex;
use crate::storage::{self, NewToken, Storage};
use chrono::{DateTime, SecondsFormat, Utc};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use uuid::Uuid;

/// What to do with tokens.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token for a person or an agent of the configuration; prints only the token, and only
    /// this once
    Create {
        /// The holder: a name under `people` or `agents` of approval-policies.yaml, in the same
        /// spelling
        #[arg(value_parser = principal_name)]
        name: String,
        /// How long it is valid; without an end if left out
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expires: Option<Duration>,
        /// The folder of the configuration, which lists the names
        #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR", default_value = "config")]
        config: PathBuf,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// List the tokens, without showing any
    List,
    /// Revoke a token by its id, or all tokens of a name
    Revoke {
        /// The id that `token list` shows, or a name
        id_or_name: String,
    },
}

/// Makes, lists or revokes.
///
/// # Errors
/// The database is unavailable or not migrated, or there is nothing to revoke.
pub async fn run(command: Command) -> Result<ExitCode, Error> {
    let storage = Storage::connect(&database_url()?, 1).map_err(failed)?;
    let done = match command {
        Command::Create { name, expires, config, key } => create(&storage, &name, expires, &config, &key).await,
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

#[expect(clippy::disallowed_methods, reason = "no server runs here whose clock could be asked, and nothing is listed by this id")]
async fn create(storage: &Storage, name: &str, expires_in: Option<Duration>, config: &Path, key: &KeyArgs) -> Result<(), Error> {
    let principal = listed(config, name)?;
    let storage = storage.clone().with_keys(key.load()?);
    let token = random_token()?;
    let new = NewToken { token_id: Uuid::now_v7(), token: &token, principal: name, kind: principal.kind, expires_in };
    storage.store_token(&new).await.map_err(failed)?;
    if storage.suspended().await.map_err(failed)?.contains(name) {
        complain(&format!("note: {name} is suspended, so the token has no rights until `parkbrake person restore {name}`"));
    }
    let mut page = Page::stdout();
    page.line(token);
    page.print()
}

/// The principal with a name in the configuration.
///
/// # Errors
/// The configuration is invalid, or does not list the name in this spelling.
pub(super) fn listed(config: &Path, name: &str) -> Result<Principal, Error> {
    let policy = policy(config)?;
    policy.principal(name).ok_or_else(|| {
        let known = |names: Vec<&String>| {
            if names.is_empty() { "none".to_owned() } else { names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ") }
        };
        Error::Other(format!(
            "{name} is neither a person nor an agent of {}; people are: {}; agents are: {}. List the name there first, in the same spelling",
            config.join("hitl/approval-policies.yaml").display(),
            known(policy.people().keys().collect()),
            known(policy.agents().keys().collect())
        ))
    })
}

/// The policy of a configuration.
///
/// # Errors
/// The configuration is invalid.
pub(super) fn policy(config: &Path) -> Result<Policy, Error> {
    let invalid = |problems: Vec<config::Problem>| {
        let problems = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
        Error::Other(format!("the configuration in {} is not valid:{problems}", config.display()))
    };
    config::load(config, config).map(|configuration| configuration.policy).map_err(invalid)
}

async fn list(storage: &Storage) -> Result<(), Error> {
    let mut page = Page::stdout();
    page.line(format_args!("{:<36}  {:<24}  {:<6}  {:<20}  {:<20}  STATE", "ID", "NAME", "KIND", "CREATED", "EXPIRES"));
    for token in storage.tokens().await.map_err(failed)? {
        let state = if token.revoked_at.is_some() {
            "revoked"
        } else if token.is_expired {
            "expired"
        } else if token.kind.is_none() {
            "void"
        } else {
            "good"
        };
        let expires = token.expires_at.map_or_else(|| "never".to_owned(), timestamp);
        let (created, kind) = (timestamp(token.created_at), token.kind.as_deref().unwrap_or("-"));
        page.line(format_args!("{:<36}  {:<24}  {kind:<6}  {created:<20}  {expires:<20}  {state}", token.token_id, token.principal));
    }
    page.print()
}

async fn revoke(storage: &Storage, id_or_name: &str) -> Result<(), Error> {
    let revoked = storage.revoke_tokens(Uuid::try_parse(id_or_name).ok(), id_or_name).await.map_err(failed)?;
    if revoked == 0 {
        return Err(Error::Other(format!("there is no valid token with the id or name `{id_or_name}`; `parkbrake token list` shows them")));
    }
    let mut page = Page::stdout();
    page.line(format_args!("revoked {revoked}; a running server refuses them within a few seconds"));
    page.print()
}

/// A new token: 256 random bits, with a prefix by which secret scanners recognize it.
pub(super) fn random_token() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Other(format!("the system provides no random numbers: {error}")))?;
    Ok(format!("pbk_{}", hex(&bytes)))
}

pub(super) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn failed(error: storage::Error) -> Error {
    let text = error.to_string();
    let hint = if text.contains("does not exist") { "; has the database been set up? `parkbrake migrate` does that" } else { "" };
    Error::Other(format!("{text}{hint}"))
}
