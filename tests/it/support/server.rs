//! Servers: in this process, if nothing has to be killed, and otherwise as the real program.

use super::called;
use super::{Client, Config, Database, client};
use chrono::DateTime;
use parkbrake::app::{App, Pace, Resources, StartError};
use parkbrake::clock::Clock;
use parkbrake::domain::policy::PrincipalKind;
use parkbrake::execution::webhook::Caller;
use parkbrake::execution::{Launcher, Local, Redactions};
use parkbrake::fence::{Fence, FenceTime};
use parkbrake::secret_key::SecretKeys;
use parkbrake::settings::{LimitSettings, Settings};
use parkbrake::storage::{NewToken, Storage};
use rustix::process::{Pid, Signal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Everybody in the test configurations.
const EVERYBODY: [&str; 8] = ["alice", "tom", "tess", "cora", "nora", "deploy-bot", "other-bot", "lone-bot"];

/// The secret of every channel: a key that signs webhooks.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The secret key of every test server.
pub const SECRET_KEY: &str = "8f1d0c6a4be27935f0a1c2d3e4b5968778695a4b3c2d1e0ff1e2d3c4b5a69788";

/// That key, ready to use.
pub fn keys() -> SecretKeys {
    SecretKeys::parse(SECRET_KEY, "the tests").expect("a key")
}

/// What a server needs to know about the services that receive its notices, in addition to its
/// configuration.
#[derive(Clone, Default)]
pub struct Services {
    /// The variables of the environment that hold secrets.
    pub secrets: Vec<(&'static str, String)>,
    /// Where answers to buttons in Slack go.
    pub slack: Option<String>,
}

/// A server in this process.
pub struct TestApp {
    app: Option<App>,
    pub addr: SocketAddr,
    pub database: Database,
    pub config: Config,
    services: Services,
}

/// The fence of an engine without a lease: it holds for as long as any test runs.
pub fn fence() -> Arc<Fence> {
    let fence = Fence::new(Uuid::new_v4(), Duration::from_secs(3_600));
    fence.renewed(FenceTime::now());
    fence
}

pub fn settings(config: &Config) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        allow_hosts: Vec::new(),
        config: Some(config.path().to_owned()),
        strict: false,
        max_resident: 1_000,
        turns: 64,
        turns_per_requester: 16,
        connections: 5,
        drain: Duration::from_secs(5),
        cancel_grace: Duration::from_secs(2),
        limits: LimitSettings::default(),
        lease: Duration::from_secs(10),
    }
}

/// An executor that runs runbooks, and knows no webhook.
pub fn executor() -> Arc<Local> {
    Arc::new(local(Redactions::default()))
}

/// The same, with these secrets to mask.
#[track_caller]
pub fn local(redactions: Redactions) -> Local {
    let caller = Caller::new([], &|_| None, Arc::new(Clock::new(DateTime::UNIX_EPOCH))).unwrap_or_else(|problems| panic!("{problems:?}"));
    Local::new(redactions, caller, launcher())
}

/// The real program, because the test binary is not a launcher.
pub fn launcher() -> Launcher {
    Launcher::at(env!("CARGO_BIN_EXE_parkbrake")).expect("the program was built")
}

/// The kind of a name in the test configurations.
pub fn kind_of(name: &str) -> PrincipalKind {
    if name.ends_with("-bot") { PrincipalKind::Agent } else { PrincipalKind::Person }
}

/// Gives everybody a token.
#[track_caller]
pub fn hand_out_tokens(database: &Database) -> impl Future<Output = ()> {
    called(async move {
        let storage = Storage::connect(&database.url, 1).expect("a database").with_keys(keys());
        for name in EVERYBODY {
            let token = client::token(name);
            let new = NewToken { token_id: Uuid::new_v4(), token: &token, principal: name, kind: kind_of(name), expires_in: None };
            storage.store_token(&new).await.expect("a token");
        }
        storage.close().await;
    })
}

impl TestApp {
    /// A server with the usual configuration.
    pub async fn start() -> Self {
        Self::with(Config::new()).await
    }

    pub async fn with(config: Config) -> Self {
        let settings = settings(&config);
        Self::launch(config, &settings, Database::migrated().await).await
    }

    /// A server whose channels have these secrets, and whose Slack accepts answers at an address of
    /// the test.
    pub async fn with_services(config: Config, services: Services) -> Self {
        let settings = settings(&config);
        Self::launch_with(config, &settings, Database::migrated().await, services).await
    }

    pub async fn launch(config: Config, settings: &Settings, database: Database) -> Self {
        Self::launch_with(config, settings, database, Services::default()).await
    }

    pub async fn launch_with(config: Config, settings: &Settings, database: Database, services: Services) -> Self {
        let app = Self::app(settings, &database, services.clone()).await;
        Self { addr: app.addr, app: Some(app), database, config, services }
    }

    #[track_caller]
    fn app(settings: &Settings, database: &Database, services: Services) -> impl Future<Output = App> {
        called(async move { Self::try_app(settings, database, services).await.unwrap_or_else(|error| panic!("{error}")) })
    }

    async fn try_app(settings: &Settings, database: &Database, services: Services) -> Result<App, StartError> {
        let secrets = services.secrets;
        let resources = Resources {
            database_url: database.url.clone(),
            keys: keys(),
            migrate: true,
            base: Some(PathBuf::from("/")),
            // By default every secret is the same, so that no test has to change the environment.
            environment: Box::new(move |name| {
                let said = secrets.iter().find(|(known, _)| *known == name).map(|(_, secret)| secret.clone());
                said.or_else(|| (name != "MISSING").then(|| SECRET.to_owned()))
            }),
            launcher: launcher(),
            pace: Pace(1_000),
            slack: services.slack,
        };
        App::start(settings, resources).await
    }

    /// Stops the server and starts another on the same database.
    pub async fn restart(&mut self) {
        self.stop().await;
        let app = Self::app(&settings(&self.config), &self.database, self.services.clone()).await;
        self.addr = app.addr;
        self.app = Some(app);
    }

    /// Starts another server on the same database, or returns why it does not start.
    pub async fn try_restart(&mut self) -> Result<(), StartError> {
        self.stop().await;
        let app = Self::try_app(&settings(&self.config), &self.database, self.services.clone()).await?;
        self.addr = app.addr;
        self.app = Some(app);
        Ok(())
    }

    pub async fn stop(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    /// A client of this server.
    pub fn client(&self, name: &str) -> Client {
        Client::new(self.addr, name)
    }
}

/// The real program, which can be killed.
pub struct Process {
    child: Child,
    pub addr: SocketAddr,
    log: JoinHandle<Vec<String>>,
}

impl Process {
    /// Starts `parkbrake serve` and waits until it reports that it is ready.
    pub async fn serve(config: &Config, database: &Database) -> Self {
        Self::serve_with(config, database, &[]).await
    }

    pub async fn serve_with(config: &Config, database: &Database, arguments: &[&str]) -> Self {
        Self::launch(config, database, arguments, None).await
    }

    /// Starts it with a filter for its log, such as `trace`.
    pub async fn serve_telling(config: &Config, database: &Database, filter: &str) -> Self {
        Self::launch(config, database, &[], Some(filter)).await
    }

    async fn launch(config: &Config, database: &Database, arguments: &[&str], filter: Option<&str>) -> Self {
        Self::launch_at(config.path(), &database.url, arguments, filter).await
    }

    async fn launch_at(config: &Path, url: &str, arguments: &[&str], filter: Option<&str>) -> Self {
        Self::ready(Self::command(config, url, arguments, filter)).await
    }

    #[track_caller]
    fn ready(mut command: Command) -> impl Future<Output = Self> {
        called(async move {
            let (child, mut log) = Self::spawn(&mut command);
            let mut said = Vec::new();
            let addr = loop {
                let line = log.next_line().await.expect("a log").unwrap_or_else(|| panic!("it did not start:\n{}", said.join("\n")));
                let addr = serde_json::from_str::<serde_json::Value>(&line).ok().and_then(|line| line["addr"].as_str()?.parse().ok());
                said.push(line);
                if let Some(addr) = addr {
                    break addr;
                }
            };
            // Keeps reading, so that the log never fills its pipe.
            let log = tokio::spawn(async move {
                while let Ok(Some(line)) = log.next_line().await {
                    said.push(line);
                }
                said
            });
            Self { child, addr, log }
        })
    }

    /// Starts it with additional environment variables.
    pub async fn serve_with_variables(config: &Config, database: &Database, variables: &[(&str, &str)]) -> Self {
        let mut command = Self::command(config.path(), &database.url, &[], None);
        command.envs(variables.iter().copied());
        Self::ready(command).await
    }

    /// Starts it from a shell with this umask.
    pub async fn serve_with_umask(config: &Config, database: &Database, umask: &str) -> Self {
        Self::serve_from_shell(config, database, &format!("umask {umask}"), &[]).await
    }

    /// Starts it from a shell after this command.
    pub async fn serve_from_shell(config: &Config, database: &Database, before: &str, arguments: &[&str]) -> Self {
        let direct = Self::command(config.path(), &database.url, arguments, None);
        let direct = direct.as_std();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{before}; exec \"$0\" \"$@\"")).arg(direct.get_program()).args(direct.get_args());
        for (name, value) in direct.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        Self::ready(command).await
    }

    /// Starts it as the user `nobody`, if this process may do that.
    pub async fn serve_as_nobody(config: &Config, database: &Database) -> Self {
        let mut command = Self::command(config.path(), &database.url, &[], None);
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        Self::ready(command).await
    }

    /// Starts it without waiting, for a server that has to wait for another one. It ends with the
    /// test.
    pub fn started(config: &Config, database: &Database, arguments: &[&str]) -> JoinHandle<Self> {
        let (url, arguments) = (database.url.clone(), arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
        let config = config.path().to_owned();
        tokio::spawn(async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Self::launch_at(&config, &url, &arguments, None).await
        })
    }

    /// Starts it in a way that fails, and returns its exit status and its errors.
    #[track_caller]
    pub fn refused(config: &Config, database: &Database, arguments: &[&str]) -> impl Future<Output = (Option<i32>, Vec<String>)> {
        called(async move {
            let (mut child, mut log) = Self::spawn(&mut Self::command(config.path(), &database.url, arguments, None));
            let mut said = Vec::new();
            while let Some(line) = log.next_line().await.expect("a log") {
                said.push(line);
            }
            (child.wait().await.expect("its end").code(), said)
        })
    }

    /// The command that starts it.
    pub fn command(config: &Path, url: &str, arguments: &[&str], filter: Option<&str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .args(arguments)
            .env("DATABASE_URL", url)
            .env("HOOK_SECRET", SECRET)
            .env("PARKBRAKE_SECRET_KEY", SECRET_KEY)
            .env_remove("PARKBRAKE_LOG")
            .envs(filter.map(|filter| ("PARKBRAKE_LOG", filter)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts it, and returns the lines of its log.
    pub fn spawn(command: &mut Command) -> (Child, Lines<BufReader<ChildStderr>>) {
        let mut child = command.spawn().expect("the program");
        let log = BufReader::new(child.stderr.take().expect("a log")).lines();
        (child, log)
    }

    pub fn client(&self, name: &str) -> Client {
        Client::new(self.addr, name)
    }

    /// SIGKILL: it has no chance to do anything.
    #[track_caller]
    pub fn kill(mut self) -> impl Future<Output = ()> {
        called(async move {
            self.child.kill().await.expect("a process to kill");
        })
    }

    /// Stops it, and returns its whole log.
    #[track_caller]
    pub fn log(mut self) -> impl Future<Output = Vec<String>> {
        called(async move {
            self.signal_end();
            self.child.wait().await.expect("its end");
            self.log.await.expect("its log")
        })
    }

    /// Waits until it ends on its own, and returns its exit status.
    #[track_caller]
    pub fn ended(mut self) -> impl Future<Output = Option<i32>> {
        called(async move { self.child.wait().await.expect("its end").code() })
    }

    /// SIGTERM, as in a deployment; returns whether it ended successfully.
    #[track_caller]
    pub fn terminate(mut self) -> impl Future<Output = bool> {
        called(async move {
            self.signal_end();
            self.child.wait().await.expect("its end").success()
        })
    }

    /// Waits until it ends on its own, and returns its exit status and its whole log.
    #[track_caller]
    pub fn ended_with_log(mut self) -> impl Future<Output = (Option<i32>, Vec<String>)> {
        called(async move {
            let status = self.child.wait().await.expect("its end").code();
            (status, self.log.await.expect("its log"))
        })
    }

    fn signal_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("a process")
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("a signal");
    }
}
