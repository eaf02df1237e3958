//! `parkbrake hook`: the program that a coding agent's client runs before and after every tool
//! call.
//!
//! It takes a few milliseconds, and has no runtime and no start-up work, because it runs before
//! every call. If anything goes wrong in it, the tool does not run: see `shim.rs`.

mod answer;
mod ask;
mod call;
mod defer;
mod doctor;
mod install;
mod repository;
mod shim;

use clap::ValueEnum;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Answers the hooks of a coding agent's client: asks the server whether a tool call may run, and
/// reports its result
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Answer a hook of Claude Code on standard input
    ClaudeCode {
        #[command(flatten)]
        shim: ShimArgs,
        #[command(flatten)]
        defer: DeferArgs,
    },
    /// Answer a hook of Codex on standard input
    Codex(ShimArgs),
    Install(install::Args),
    Doctor(doctor::Args),
}

/// The supported clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    ClaudeCode,
    Codex,
}

impl Client {
    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
        }
    }

    /// Its name on the wire.
    fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude_code",
            Self::Codex => "codex",
        }
    }
}

/// The server's address, and the caller.
#[derive(Debug, Clone, clap::Args)]
pub struct ShimArgs {
    /// Where the server is: https, or http on this machine [env: PARKBRAKE_URL] [default:
    /// http://127.0.0.1:8001]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file with the agent's token, which nobody else may read [env: PARKBRAKE_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How long the answer may take; at most half of the hook's own timeout
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = seconds)]
    deadline: Duration,
}

/// What is said to a call that waits for approval.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct DeferArgs {
    /// Let `claude -p` end its turn at a call that waits for approval, so that `claude -p --resume`
    /// goes on with that call; every other run of Claude Code is denied the call as without this
    #[arg(long)]
    defer: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let limit = Duration::from_secs(1)..=Duration::from_secs(300);
    let read = crate::domain::duration::parse(text).map_err(|error| error.to_string())?;
    if limit.contains(&read) { Ok(read) } else { Err("write 1s to 5m".to_owned()) }
}

/// Runs the command. No runtime has been started.
pub fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::ClaudeCode { shim, defer } => shim::run(Client::ClaudeCode, shim, defer.defer && defer::is_possible()),
        Command::Codex(args) => shim::run(Client::Codex, args, false),
        Command::Install(args) => install::run(args).unwrap_or_else(|error| error.report()),
        Command::Doctor(args) => doctor::run(args).unwrap_or_else(|error| error.report()),
    }
}
