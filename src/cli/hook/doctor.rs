//! `parkbrake hook doctor`: proves that a client's hook fires and blocks, by having the real client
//! make one call.
//!
//! Correct settings prove nothing: a client silently skips hooks that nobody has trusted, that
//! another file turns off, or that it does not read at all. So the doctor starts the client as its
//! user does, with a stand-in model on this machine (`model.rs`) that asks for one harmless call,
//! the canary. The hook itself denies that call. If the canary was touched, or the denial never
//! came, the hook does not protect anybody.

mod model;

use crate::cli::Error;
use crate::cli::hook::ask::Server;
use crate::cli::hook::{Client, ShimArgs};
use crate::cli::terminal::Page;
use crate::domain::text::escaped;
use model::Model;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The text in the canary's command by which the hook recognizes it.
const CANARY: &str = "PARKBRAKE_CANARY=";
/// The hook's denial, by which the doctor recognizes that it was this hook.
pub const CANARY_DENIED: &str = "the canary is not allowed: this hook fires and blocks";
/// How long the client may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often to check whether the client has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Prove that a client's hook fires and blocks: the client itself makes one harmless call; the exit
/// status is 1 if it was not blocked
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which client
    client: Client,
    /// The client's program [default: claude or codex on the PATH]
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    #[command(flatten)]
    shim: ShimArgs,
}

/// Whether a call is the canary.
pub fn is_canary(call: &Value) -> bool {
    match &call["tool_input"]["command"] {
        Value::String(command) => command.starts_with(CANARY),
        _ => false,
    }
}

/// Runs the command.
///
/// # Errors
/// The hook does not protect, or that could not be checked.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut page = Page::stdout();
    let found = canary(args)?;
    page.line(match &found {
        Canary::Blocked => "the hook fires and blocks".to_owned(),
        Canary::Ran => "THE HOOK DOES NOT BLOCK: the client ran a call that the hook denies, or never called the hook".to_owned(),
        Canary::Unproved(why) => format!("nothing is proved: {}", escaped(why)),
    });
    let server = Server::of(&args.shim, args.shim.deadline).and_then(|server| server.check());
    page.line(match &server {
        Ok(()) => "the server answers, and knows the token".to_owned(),
        Err(why) => format!("the hook denies every call, because the server cannot be asked: {}", escaped(why)),
    });
    page.print()?;
    let is_well = matches!(found, Canary::Blocked) && server.is_ok();
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What happened to the canary.
enum Canary {
    Blocked,
    Ran,
    Unproved(String),
}

fn canary(args: &Args) -> Result<Canary, Error> {
    let failed = |what: &str, error: std::io::Error| Error::Other(format!("{what}: {error}"));
    let folder = std::env::temp_dir().join(format!("parkbrake-canary-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).map_err(|error| failed("cannot make a folder for the canary", error))?;
    let ran = folder.join("ran");
    let model = Model::start(args.client, format!("{CANARY}1 touch {}", ran.display())).map_err(|error| failed("cannot listen", error))?;
    let answer = with_client(args, &model, &folder, &ran);
    let _ = std::fs::remove_dir_all(&folder);
    answer
}

fn with_client(args: &Args, model: &Model, folder: &Path, ran: &Path) -> Result<Canary, Error> {
    let program = args.program.clone().unwrap_or_else(|| PathBuf::from(args.client.program()));
    let mut client = command(args.client, &program, model.port(), folder)
        .spawn()
        .map_err(|error| Error::Other(format!("cannot start {}: {error}; name it with --program", program.display())))?;
    let ended = wait(&mut client, model);
    let told = model.told();
    Ok(match told {
        _ if ran.exists() => Canary::Ran,
        Some(told) if told.contains(CANARY_DENIED) => Canary::Blocked,
        Some(told) => {
            Canary::Unproved(format!("something other than this hook kept the call from running; the client told its model: {told}"))
        }
        None if !ended => Canary::Unproved(format!("the client was still busy after {} s", PATIENCE.as_secs())),
        None => Canary::Unproved("the client did not make the call; perhaps its settings name a model of their own".to_owned()),
    })
}

/// Waits until the client has ended, or has reported the result of the call; then stops it. Returns
/// whether it was in time.
fn wait(client: &mut Child, model: &Model) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if matches!(client.try_wait(), Ok(Some(_)) | Err(_)) {
            return true;
        }
        if model.hears_within(LOOK) {
            // It gets a moment to end on its own, and to tidy up its files.
            let told = Instant::now();
            while told.elapsed() < Duration::from_secs(5) && matches!(client.try_wait(), Ok(None)) {
                model.hears_within(LOOK);
            }
            break;
        }
    }
    let in_time = began.elapsed() < PATIENCE;
    let _ = client.kill();
    let _ = client.wait();
    in_time
}

impl Client {
    fn program(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude",
            Self::Codex => "codex",
        }
    }
}

/// The client as its user starts it, but without anybody to ask, and with the model on this
/// machine.
#[expect(clippy::disallowed_methods, reason = "the client of the person who runs this command, and no action of a workflow")]
fn command(client: Client, program: &Path, port: u16, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy);
    }
    match client {
        Client::ClaudeCode => {
            command.args([
                "-p",
                "Parkbrake is checking whether its hook works.",
                "--model",
                "claude-sonnet-4-5",
                "--permission-mode",
                "bypassPermissions",
            ]);
            command.env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}")).env("ANTHROPIC_API_KEY", "none");
            command.env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1").env("DISABLE_AUTOUPDATER", "1").env("IS_SANDBOX", "1");
        }
        Client::Codex => {
            let provider =
                format!(r#"model_providers.parkbrake={{name="parkbrake",base_url="http://127.0.0.1:{port}/v1",wire_api="responses"}}"#);
            command.args([
                "exec",
                "--skip-git-repo-check",
                "-c",
                &provider,
                "-c",
                r#"model_provider="parkbrake""#,
                "-c",
                r#"model="gpt-5.1-codex""#,
            ]);
            command.args([
                "-c",
                r#"approval_policy="never""#,
                "-c",
                r#"sandbox_mode="danger-full-access""#,
                "Parkbrake is checking whether its hook works.",
            ]);
        }
    }
    command
}
