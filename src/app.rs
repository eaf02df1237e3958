//! The composition root: turns settings and a database into a running server, which is a value;
//! there are no globals, and several can run in one process.

mod github;
mod memory;
mod router;
mod secrets;
mod start_up;
mod tenure;
mod ways_in;

pub use crate::actors::notifier::delivery_worker::Pace;
pub use router::description;

use crate::actors::engine::{Engine, Parts};
use crate::actors::ports::Subscriptions;
use crate::actors::root::{self, Root, RootRef};
use crate::actors::turns::TurnLimits;
use crate::clock::Clock;
use crate::config::{self, Configuration, Problem};
use crate::domain::hosts::Hosts;
use crate::domain::notice::{Notifications, Service};
use crate::execution::webhook::Caller;
use crate::execution::{self, Launcher, Local};
use crate::fence::Fence;
use crate::http::ConnectionLimits;
use crate::http::server::{self, HttpServer, ServerRef};
use crate::notify;
use crate::notify::slack_answers::{Answers, SLACK};
use crate::secret_key::SecretKeys;
use crate::service::admission::Share;
use crate::service::{Limits, Service as UseCases, ServiceError};
use crate::settings::{LimitSettings, Settings};
use crate::slack::{Slack, SlackApp};
use crate::storage::{self, Holder, Sealing, ServerLease, Storage};
use ractor::{Actor, SpawnErr};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use start_up::patiently;
use tenure::Tenure;

/// The pause between two checks whether running actions have ended.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the processes of running actions may take to end after they were told to.
const ENDING: Duration = Duration::from_secs(8);
/// How long requests in progress may take when the server stops.
const HTTP_STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the configuration is not valid:\n{}", indented(.0))]
    Configuration(Vec<Problem>),
    #[error("the configuration is valid, but --strict refuses it:\n{}", indented(.0))]
    Weak(Vec<String>),
    #[error("the configuration is valid, but this machine cannot run some runbooks as configured:\n{}", indented(.0))]
    Runbooks(Vec<String>),
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error("{}", unsealed(*.0))]
    Sealing(Sealing),
    #[error(
        "another server works on this database ({} on {}, since {}): stop it first, or wait until it has stopped",
        .0.address,
        .0.host,
        .0.started_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )]
    Taken(Box<Holder>),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    #[error("the current folder cannot be read: {0}")]
    Folder(std::io::Error),
    #[error("notices could not be sent:\n{}", indented(.0))]
    Channels(Vec<String>),
    #[error("sign-in.yaml cannot be used:\n{}", indented(.0))]
    SignIn(Vec<String>),
    #[error("webhooks could not be called:\n{}", indented(.0))]
    Webhooks(Vec<String>),
    #[error("the actors could not be started: {0}")]
    Actors(#[from] SpawnErr),
}

/// What to do about a database that is not sealed with this server's key.
fn unsealed(sealing: Sealing) -> &'static str {
    match sealing {
        Sealing::Incomplete => {
            "this database contains workflows from before seals existed: check that they are yours, then seal them with `parkbrake rekey --yes`"
        }
        Sealing::OtherKey | Sealing::Sound => {
            "this database is sealed with another secret key: give that key; to replace it, give the new one and the old one, the new one first"
        }
    }
}

fn indented(problems: &[impl std::fmt::Display]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Reads an environment variable.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a server needs in addition to its settings.
pub struct Resources {
    pub database_url: String,
    /// The keys that seal tokens, sessions and the log.
    pub keys: SecretKeys,
    /// Whether the database is first migrated to this version.
    pub migrate: bool,
    /// The folder against which relative folders of runbooks are resolved; the current one if left
    /// out.
    pub base: Option<PathBuf>,
    /// Reads secrets, once: those of channels, to use them, and all that are configured, to mask
    /// them.
    pub environment: Environment,
    /// The program that starts runbooks.
    pub launcher: Launcher,
    /// How fast a failed delivery of a notice is tried again.
    pub pace: Pace,
    /// Where answers to buttons in Slack go in tests; if left out, to Slack.
    pub slack: Option<String>,
}

/// Why a server has ended.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error("another server has taken over this database; this one has stopped, and ended what it was running")]
    TakenOver,
    #[error("the server could not continue; its log says why")]
    Failed,
}

/// A running server.
pub struct App {
    pub addr: SocketAddr,
    engine: Arc<Engine>,
    root: RootRef,
    root_task: JoinHandle<()>,
    server: ServerRef,
    server_task: JoinHandle<()>,
    closing: watch::Sender<bool>,
    tenure: Tenure,
    drain: Duration,
    service: UseCases,
}

impl App {
    /// Starts a server, which serves requests when this returns.
    ///
    /// # Errors
    /// The configuration is invalid, the database is unavailable, or the address is in use.
    pub async fn start(settings: &Settings, resources: Resources) -> Result<Self, StartError> {
        let configuration = Arc::new(load(settings, resources.base.clone(), &resources.launcher)?);
        // Bound first: a second server on the same address fails before it has changed anything.
        let listener = TcpListener::bind(settings.listen).await.map_err(|error| StartError::Listen(settings.listen, error))?;
        let addr = listener.local_addr().map_err(|error| StartError::Listen(settings.listen, error))?;
        let storage = start_up::open_storage(&resources.database_url, &resources.keys, resources.migrate, settings.connections).await?;
        let fence = Fence::new(Uuid::new_v4(), settings.lease);
        let mut lease = ServerLease::new(&resources.database_url, settings.lease)?;
        start_up::claim(&mut lease, &start_up::server(fence.server_id(), addr), &fence).await?;
        let tenure = Tenure::begin(lease, Arc::clone(&fence));
        match Self::serve(settings, resources, configuration, storage, fence, listener).await {
            Ok(Serving { engine, root, root_task, server, server_task, closing, service }) => {
                tracing::info!(%addr, server.id = %engine.owner, policy.version = %engine.configuration.version, "parkbrake is ready");
                Ok(Self { addr, engine, root, root_task, server, server_task, closing, tenure, drain: settings.drain, service })
            }
            Err(error) => {
                tenure.end().await;
                Err(error)
            }
        }
    }

    /// The work that a server begins once it may act.
    #[expect(
        clippy::disallowed_methods,
        reason = "both end with the engine; what they fail to do is retried on the next request, or a minute later"
    )]
    async fn serve(
        settings: &Settings,
        resources: Resources,
        configuration: Arc<Configuration>,
        storage: Storage,
        fence: Arc<Fence>,
        listener: TcpListener,
    ) -> Result<Serving, StartError> {
        let sealing = patiently(|| storage.sealing()).await?;
        if sealing != Sealing::Sound {
            return Err(StartError::Sealing(sealing));
        }
        patiently(|| storage.keep_policy(&configuration.version, &configuration.document)).await?;
        // Before the first event of this server: after a restore, a new event must not get the
        // position of a lost one.
        patiently(|| storage.feed_restart()).await?;
        let released = patiently(|| storage.clear_quarantine()).await?;
        if released > 0 {
            tracing::info!(workflows = released, "quarantined workflows are tried again");
        }
        let clock = Arc::new(Clock::new(patiently(|| storage.now()).await?));
        let subscriptions: Arc<dyn Subscriptions> = Arc::new(storage.clone());
        let read = &*resources.environment;
        let channels = notify::channels(&configuration.notifications, &clock, &subscriptions, read).map_err(StartError::Channels)?;
        let subscribing = notify::subscribing(&configuration.notifications, read).map_err(StartError::Channels)?;
        let answers = resources.slack.as_deref().unwrap_or(SLACK);
        let caller =
            Caller::new(configuration.webhooks.values(), &*resources.environment, Arc::clone(&clock)).map_err(StartError::Webhooks)?;
        let slack = buttons(&configuration.notifications, &*resources.environment, answers).map_err(StartError::Channels)?;
        let masked = secrets::gather(&configuration, &resources.database_url, &resources.keys, &*resources.environment);
        let github = github::apps(&configuration.notifications, &*resources.environment).map_err(StartError::Channels)?;
        let executor = Arc::new(Local::new(masked, caller, resources.launcher).with_grace(settings.cancel_grace));
        let ways_in = ways_in::ways_in(&configuration, &clock, &*resources.environment).map_err(StartError::SignIn)?;
        let pace = resources.pace;
        let turns = TurnLimits { at_once: settings.turns.into(), per_requester: settings.turns_per_requester.into() };
        let parts = Parts { storage, configuration, clock, executor, channels, pace, max_resident: settings.max_resident, turns, fence };
        let engine = Engine::new(parts);
        let (root, root_task) = Root::spawn(Arc::clone(&engine)).await?;
        let (closing, closed) = watch::channel(false);
        let public_url = engine.configuration.notifications.public_url.clone();
        let hosts = Hosts::new(public_url.as_deref(), &settings.allow_hosts);
        let service = UseCases::new(Arc::clone(&engine), limits(&settings.limits), closed, ways_in, subscribing);
        let routes = router::router(&service, slack, github, hosts, public_url);
        let (most, most_each) = connections(&settings.limits).connections();
        let arguments = server::Arguments { listener: Arc::new(listener), router: routes, most, most_each };
        let (server, server_task) = Actor::spawn_linked(None, HttpServer, arguments, root.get_cell()).await?;
        let rehydrated = Arc::clone(&engine);
        tokio::spawn(async move { rehydrated.rehydrate().await });
        tokio::spawn(Engine::watch_for_undecidable(Arc::downgrade(&engine)));
        tokio::spawn(Engine::watch_for_trouble(Arc::downgrade(&engine)));
        tokio::spawn(Engine::watch_holds(Arc::downgrade(&engine)));
        Ok(Serving { engine, root, root_task, server, server_task, closing, service })
    }

    /// The configuration in force.
    pub fn configuration(&self) -> &Configuration {
        &self.engine.configuration
    }

    /// The path of a link that signs the holder of this token in, once.
    ///
    /// # Errors
    /// The token is not a valid token of a person, or the database is unavailable.
    pub async fn sign_in_path(&self, token: &str) -> Result<String, ServiceError> {
        Ok(self.service.link_by(token).await?.path)
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// The server could not continue.
    pub async fn run_until(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Stopped> {
        let stopped = tokio::select! {
            () = shutdown => {
                self.stop().await;
                return Ok(());
            }
            () = self.tenure.lost() => Stopped::TakenOver,
            _ = &mut self.root_task => Stopped::Failed,
            _ = &mut self.server_task => Stopped::Failed,
            never = memory::give_back() => match never {},
        };
        tracing::error!(reason = %stopped, "parkbrake ends");
        self.halt().await;
        Err(stopped)
    }

    /// Stops: accepts no more requests, answers those in progress, gives running actions time to
    /// end, and releases the lease.
    pub async fn stop(self) {
        tracing::info!("parkbrake is stopping");
        self.closing.send_replace(true);
        let _ = self.server.call(|reply| server::Msg::Stop { within: HTTP_STOP_TIMEOUT, reply }, Some(HTTP_STOP_TIMEOUT * 2)).await;
        self.drain().await;
        self.end_actions().await;
        let _ = self.root.cast(root::Msg::Shutdown);
        let _ = tokio::time::timeout(HTTP_STOP_TIMEOUT, self.root_task).await;
        self.engine.storage.close().await;
        // Last, so that the next server finds no work still running.
        self.tenure.end().await;
    }

    /// Ends at once: without actors, or without the lease, the server can serve nobody and record
    /// no outcome.
    async fn halt(self) {
        self.closing.send_replace(true);
        self.engine.runner.close();
        self.end_actions().await;
        self.root.kill();
        self.engine.storage.close().await;
        self.tenure.end().await;
    }

    /// Ends the actions that still run, so that they do not overlap with those of the next server.
    async fn end_actions(&self) {
        self.engine.fence.lose();
        if tokio::time::timeout(ENDING, self.engine.fence.idle()).await.is_err() {
            tracing::error!("processes of actions could not be ended");
        }
    }

    async fn drain(&self) {
        self.engine.runner.close();
        let began = Instant::now();
        while self.engine.runner.count() > 0 && began.elapsed() < self.drain {
            tokio::time::sleep(PAUSE).await;
        }
        match self.engine.runner.count() {
            0 => {}
            cut_off => tracing::warn!(actions = cut_off, "actions are still running and are cut off; the next start continues with them"),
        }
    }
}

/// The parts of a running server.
struct Serving {
    engine: Arc<Engine>,
    root: RootRef,
    root_task: JoinHandle<()>,
    server: ServerRef,
    server_task: JoinHandle<()>,
    closing: watch::Sender<bool>,
    service: UseCases,
}

fn load(settings: &Settings, base: Option<PathBuf>, launcher: &Launcher) -> Result<Configuration, StartError> {
    let base = base.map_or_else(std::env::current_dir, Ok).map_err(StartError::Folder)?;
    let configuration = config::load(settings.config_dir(), &base).map_err(StartError::Configuration)?;
    if settings.strict && !configuration.weaknesses.is_empty() {
        return Err(StartError::Weak(configuration.weaknesses));
    }
    // Reported now, rather than after somebody has approved.
    let unusable = execution::unusable(configuration.runbooks.values(), launcher);
    if !unusable.is_empty() {
        return Err(StartError::Runbooks(unusable));
    }
    for note in configuration.weaknesses.iter().chain(&configuration.notes) {
        tracing::warn!("{note}");
    }
    Ok(configuration)
}

fn limits(settings: &LimitSettings) -> Limits {
    let share = |requests, mib: u64| Share { requests, bytes: usize::try_from(mib << 20).unwrap_or(usize::MAX) };
    Limits {
        each: share(settings.max_requests_each, settings.max_body_mib_each),
        all: share(settings.max_requests, settings.max_body_mib),
        waits_each: settings.max_waits_each,
    }
}

fn connections(settings: &LimitSettings) -> ConnectionLimits {
    ConnectionLimits { clients: settings.max_clients, clients_each: settings.max_clients_each }
}

/// The buttons of the Slack channels that have some; `None` if no channel has.
fn buttons(notifications: &Notifications, read: &dyn Fn(&str) -> Option<String>, answers: &str) -> Result<Option<Slack>, Vec<String>> {
    let found = notifications.channels.iter().filter_map(|(name, settings)| match &settings.service {
        Service::Slack { buttons: Some(buttons), .. } => Some((name, buttons)),
        _ => None,
    });
    let (mut apps, mut problems) = (Vec::new(), Vec::new());
    for (name, buttons) in found {
        match notify::secret(&buttons.signing_secret, read) {
            Ok(secret) => apps.push(SlackApp {
                signing_secret: secret.expose().to_owned(),
                levels: buttons.levels.clone(),
                team_id: buttons.team_id.clone(),
            }),
            Err(problem) => problems.push(format!("the buttons of the channel {name} cannot be used: {problem}")),
        }
    }
    if !problems.is_empty() || apps.is_empty() {
        return if problems.is_empty() { Ok(None) } else { Err(problems) };
    }
    let answers = Answers::new(answers).map_err(|problem| vec![problem])?;
    let answer = Arc::new(move |address: &str, answer| answers.send(address, answer));
    Ok(Some(Slack { apps, inbox: notifications.public_url.clone(), answer }))
}
