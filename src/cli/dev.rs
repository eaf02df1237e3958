//! `parkbrake dev`: everything that is needed to try parkbrake out. It stops everything that it has
//! started.

use crate::app::{App, Pace, Resources};
use crate::cli::dev_home::{self, Identity, Kind};
use crate::cli::terminal::{Page, shell_word};
use crate::cli::{Error, launcher, login, serve, token, variable};
use crate::config;
use crate::domain::policy::{Policy, PrincipalKind};
use crate::postgres::{Cluster, Options, Programs};
use crate::secret_key::SecretKeys;
use crate::settings::Settings;
use crate::storage::{NewToken, Storage};
use crate::telemetry;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use uuid::Uuid;

const DATABASE: &str = "parkbrake";

/// The scripts that the shipped runbooks run.
const RUNBOOK_SCRIPTS: [(&str, &str); 2] = [
    ("support/runbooks/deploy.sh", include_str!("../../support/runbooks/deploy.sh")),
    ("support/runbooks/disk-usage.sh", include_str!("../../support/runbooks/disk-usage.sh")),
];

/// Run a server to try parkbrake out: with its own PostgreSQL, demo people and their tokens, on
/// loopback only.
///
/// It keeps its data between runs in PARKBRAKE_DEV_HOME (/var/lib/parkbrake for root,
/// ~/.local/state/parkbrake for others). Without --config it uses the folder `config` here, or, if
/// there is none, the configuration that parkbrake ships.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
}

/// Serves until Ctrl-C, and stops everything that it started.
///
/// # Errors
/// PostgreSQL is not installed on this machine, the address is in use, or the configuration is
/// invalid.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    if !args.settings.listen.ip().is_loopback() {
        return Err(Error::Other(format!(
            "{} can be reached from outside: `parkbrake dev` creates demo tokens, so it listens on loopback only; use `parkbrake serve`",
            args.settings.listen
        )));
    }
    telemetry::start();
    let told_to_stop = serve::told_to_stop()?;
    let home = dev_home::folder()?;
    let (settings, base) = with_configuration(args.settings, &home)?;
    let keys = SecretKeys::load_or_create(&home.join("secret-key")).map_err(other)?;
    let programs = Programs::find().map_err(|error| Error::Other(error.to_string()))?;
    let cluster = Cluster::start(&programs, &home.join("postgres"), Options::default()).await.map_err(other)?;
    let served = serve(&settings, base, &home, keys, &cluster, told_to_stop).await;
    let stopped = cluster.stop().await.map_err(other);
    served.and_then(|code| stopped.map(|()| code))
}

async fn serve(
    settings: &Settings,
    base: Option<PathBuf>,
    home: &Path,
    keys: SecretKeys,
    cluster: &Cluster,
    told_to_stop: impl Future<Output = ()>,
) -> Result<ExitCode, Error> {
    cluster.create_database(DATABASE).await.map_err(other)?;
    let database_url = cluster.url(DATABASE);
    let resources = Resources {
        database_url: database_url.clone(),
        keys: keys.clone(),
        migrate: true,
        base,
        environment: Box::new(variable),
        launcher: launcher()?,
        pace: Pace::default(),
        slack: None,
    };
    let app = App::start(settings, resources).await.map_err(other)?;
    if let Err(error) = offer_sign_in(&app, home, &keys, &database_url).await {
        app.stop().await;
        return Err(error);
    }
    app.run_until(told_to_stop).await.map_err(other)?;
    Ok(ExitCode::SUCCESS)
}

async fn offer_sign_in(app: &App, home: &Path, keys: &SecretKeys, database_url: &str) -> Result<(), Error> {
    let policy = &app.configuration().policy;
    let (tokens, identities) = create_tokens(home, keys, policy, database_url).await?;
    let mut links = Vec::new();
    for person in identities.iter().filter(|identity| identity.kind == Kind::Person) {
        let path = app.sign_in_path(&person.token).await.map_err(other)?;
        links.push((person.name.as_str(), login::below(&format!("http://{}", app.addr), &path)));
    }
    welcome(app, policy, &links, &tokens, database_url)
}

/// Which configuration is used: the named one, the one in this folder, or the shipped one.
fn with_configuration(mut settings: Settings, home: &Path) -> Result<(Settings, Option<PathBuf>), Error> {
    if settings.config.is_some() || settings.config_dir().join("hitl").is_dir() {
        return Ok((settings, None));
    }
    for (path, contents) in config::shipped() {
        unpack(&home.join("config").join(path), contents, 0o644)?;
    }
    for (path, contents) in RUNBOOK_SCRIPTS {
        unpack(&home.join(path), contents, 0o755)?;
    }
    settings.config = Some(home.join("config"));
    Ok((settings, Some(home.to_owned())))
}

fn unpack(path: &Path, contents: &str, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, contents));
    written
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .map_err(|error| Error::Other(format!("cannot write {}: {error}", path.display())))
}

/// Gives everybody in the configuration a token. Tokens of earlier runs stay valid.
#[expect(clippy::disallowed_methods, reason = "no server runs yet whose clock could be asked, and nothing is listed by this id")]
async fn create_tokens(home: &Path, keys: &SecretKeys, policy: &Policy, database_url: &str) -> Result<(PathBuf, Vec<Identity>), Error> {
    let earlier = dev_home::read(home).unwrap_or_default();
    let people = policy.people().keys().map(|name| (Kind::Person, PrincipalKind::Person, name));
    let agents = policy.agents().keys().map(|name| (Kind::Agent, PrincipalKind::Agent, name));
    let storage = Storage::connect(database_url, 1).map_err(other)?.with_keys(keys.clone());
    let mut identities = Vec::new();
    for (kind, principal_kind, name) in people.chain(agents) {
        let token = match earlier.iter().find(|identity| identity.name == *name) {
            Some(identity) => identity.token.clone(),
            None => token::random_token()?,
        };
        let new = NewToken { token_id: Uuid::now_v7(), token: &token, principal: name, kind: principal_kind, expires_in: None };
        storage.store_token(&new).await.map_err(other)?;
        identities.push(Identity { kind, name: name.clone(), token });
    }
    storage.close().await;
    Ok((dev_home::write(home, &identities)?, identities))
}

/// Prints where everything is and what to type next.
fn welcome(app: &App, policy: &Policy, links: &[(&str, String)], tokens: &Path, database_url: &str) -> Result<(), Error> {
    let url = format!("http://{}", app.addr);
    let people = policy
        .people()
        .iter()
        .map(|(name, person)| format!("{name} ({})", person.roles.iter().map(String::as_str).collect::<Vec<_>>().join(", ")));
    let agents = policy.agents().iter().map(|(name, agent)| match &agent.on_behalf_of {
        Some(person) => format!("{name} (for {person})"),
        None => name.clone(),
    });
    let at_another_address = (app.addr.port() != 8001).then(|| format!("export PARKBRAKE_URL={url}\n    "));
    let in_another_home = dev_home::named().map(|home| format!("export PARKBRAKE_DEV_HOME={}\n    ", shell_word(&home.to_string_lossy())));
    let elsewhere = [at_another_address, in_another_home].into_iter().flatten().collect::<String>();
    let mut page = Page::stdout();
    page.line(format_args!("parkbrake is ready at {url}  (open one of these links in a browser; each signs in once, within 10 minutes)"));
    let width = links.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, link) in links {
        page.line(format_args!("    {name:<width$}  {link}"));
    }
    page.fact("people", people.collect::<Vec<_>>().join(", "));
    page.fact("agents", agents.collect::<Vec<_>>().join(", "));
    page.fact("tokens", tokens.display());
    page.fact("database", database_url);
    page.line(format_args!(
        "
  In another terminal:
    {elsewhere}parkbrake submit --operation deploy --environment production --resource-type code --description \"Deploy api 1.4.2\"
    parkbrake pending
    parkbrake approve WORKFLOW_ID          (as the first of the people; --as NAME for another)
    parkbrake watch WORKFLOW_ID
    parkbrake login                        (another link to the inbox)

  From a checkout, `cargo run --quiet --` stands for `parkbrake`. Ctrl-C stops everything that was started."
    ));
    page.print()
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}
