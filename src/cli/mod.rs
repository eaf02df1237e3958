//! The command line: one file per command, and what they share.
//!
//! Every command is `run(args) -> Result<ExitCode, Error>`. Its output goes to standard output
//! through [`terminal`]; its error says why it failed, and only [`Cli::run`] prints it. Exit status
//! 0: done, 1: refused or failed, 2: wrong usage, 3: rejected, 4: expired, 5: the server cannot be
//! reached, 6: not permitted.

pub mod approve;
pub mod cancel;
pub mod check;
pub mod client;
pub mod comment;
mod completions;
mod consent;
pub mod dev;
pub mod dev_home;
pub mod digest;
pub mod error;
mod exit;
pub mod explain;
mod export;
mod facts;
pub mod grant;
mod halt;
pub mod hook;
mod id;
pub mod key;
mod live;
pub mod login;
pub mod mcp;
pub mod migrate;
pub mod pending;
pub mod person;
pub mod problem;
pub mod prune;
pub mod reject;
pub mod rekey;
pub mod resolve;
mod review;
mod rules;
pub mod serve;
mod show;
pub mod status;
pub mod submit;
mod table;
mod task_flags;
pub mod terminal;
mod terraform;
mod times;
pub mod token;
pub mod verify_plan;
pub mod watch;
mod whoami;
pub mod withdraw;

pub use crate::execution::launched;
pub use error::Error;

use crate::execution::Launcher;
use crate::hardening;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

/// The parking brake of autonomous DevOps agents: risky work waits, durably, for the right human.
#[derive(Debug, Parser)]
#[command(name = "parkbrake", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server; needs DATABASE_URL
    Serve(serve::Args),
    /// Run a server to try parkbrake out, with its own PostgreSQL, demo people and tokens; loopback
    /// only
    Dev(dev::Args),
    /// Check a configuration
    Check(check::Args),
    /// Show how a changed configuration would have assessed past requests
    #[command(subcommand)]
    Rules(rules::Command),
    /// Show how parkbrake interprets a tool call of a coding agent, why, and which level it gets
    Explain(explain::Args),
    /// Migrate the database to this version; needs DATABASE_URL
    Migrate(migrate::Args),
    /// Remove workflows that ended long ago, or list what would be removed; needs DATABASE_URL
    Prune(prune::Args),
    /// Make a secret key, which `serve` and `token` need
    #[command(subcommand)]
    Key(key::Command),
    /// Seal the stored data with the current secret key, or list what would be sealed; needs
    /// DATABASE_URL
    Rekey(rekey::Args),
    /// Make, list and revoke tokens; needs DATABASE_URL and the secret key
    #[command(subcommand)]
    Token(token::Command),
    /// Print a link that signs you in to the inbox, once
    Login(login::Args),
    /// Suspend and restore people and agents, end their sessions, and list them; needs DATABASE_URL
    #[command(subcommand)]
    Person(person::Command),
    /// Submit a task, from a file, from standard input or from flags
    Submit(Box<submit::Args>),
    /// List the requests that wait for a human, the most dangerous first
    Pending(pending::Args),
    /// Write every workflow of a period into a file, for audits
    Export(export::Args),
    /// Show what a request would run, and approve exactly that
    Approve(approve::Args),
    /// Reject a request
    Reject(reject::Args),
    /// Withdraw your approval while more approvals are needed
    Withdraw(withdraw::Args),
    /// Comment on a workflow, or ask its requester a question
    Comment(comment::Args),
    /// Show the status of a workflow
    Status(status::Args),
    /// Follow a workflow until it has ended; exit status 0 if it completed, 3 if it was rejected, 4
    /// if it expired, 1 otherwise
    Watch(watch::Args),
    /// Decide waiting requests on a full screen; with an id, close the review of a workflow for
    /// which somebody broke the glass
    Review(review::Args),
    /// List the open reviews of broken glass
    Reviews(review::ListArgs),
    /// State the outcome of an action whose outcome is unknown
    Resolve(resolve::Args),
    /// Cancel a task, and stop what it runs
    Cancel(cancel::Args),
    /// Halt: nothing new starts to run, everywhere or in one environment
    Halt(halt::Args),
    /// Lift a halt
    Resume(halt::ResumeArgs),
    /// List the halts in force, and the log of earlier ones
    Halts(halt::ListArgs),
    /// Release requests of a narrow kind for a limited time; list and revoke grants
    #[command(subcommand)]
    Grant(grant::Command),
    /// Serve the Model Context Protocol on standard input and output, for the agent with this token
    Mcp(mcp::Args),
    /// Control the tool calls of coding agents: the hooks of their clients, and their installation
    Hook(hook::Args),
    /// Check, before it is applied, whether a Terraform plan is the one that was approved
    VerifyPlan(verify_plan::Args),
    /// Print the digest of a document, to compare it with the one that was approved
    Digest(digest::Args),
    /// Show whose token this is, and which roles that person has
    Whoami(whoami::Args),
    /// Print the completions of these commands for a shell
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    Man(completions::ManArgs),
}

impl Cli {
    /// Removes the secrets of a server from its environment, and protects its memory.
    ///
    /// # Errors
    /// The system refuses.
    pub fn harden(&self) -> Result<(), Error> {
        if !matches!(self.command, Command::Serve(_) | Command::Dev(_)) {
            return Ok(());
        }
        hardening::harden(&plain_variables()).map_err(|error| Error::Other(error.to_string()))
    }

    /// Runs the command and, if it failed, reports the reason on standard error.
    pub async fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Dev(args) => dev::run(args).await,
            Command::Check(args) => check::run(&args),
            Command::Rules(command) => rules::run(command).await,
            Command::Explain(args) => explain::run(&args),
            Command::Migrate(args) => migrate::run(args).await,
            Command::Prune(args) => prune::run(args).await,
            Command::Key(command) => key::run(&command),
            Command::Rekey(args) => rekey::run(args).await,
            Command::Token(command) => token::run(command).await,
            Command::Login(args) => login::run(args).await,
            Command::Person(command) => person::run(command).await,
            Command::Submit(args) => submit::run(*args).await,
            Command::Pending(args) => pending::run(args).await,
            Command::Export(args) => export::run(args).await,
            Command::Approve(args) => approve::run(args).await,
            Command::Reject(args) => reject::run(args).await,
            Command::Withdraw(args) => withdraw::run(args).await,
            Command::Comment(args) => comment::run(args).await,
            Command::Status(args) => status::run(args).await,
            Command::Watch(args) => watch::run(args).await,
            Command::Review(args) => review::run(args).await,
            Command::Reviews(args) => review::show(args).await,
            Command::Resolve(args) => resolve::run(args).await,
            Command::Cancel(args) => cancel::run(args).await,
            Command::Halt(args) => halt::run(args).await,
            Command::Resume(args) => halt::resume(args).await,
            Command::Halts(args) => halt::show(args).await,
            Command::Grant(command) => grant::run(command).await,
            Command::Mcp(args) => mcp::run(args).await,
            // `main` handles it before a runtime is started.
            Command::Hook(args) => Ok(hook::run(&args)),
            Command::VerifyPlan(args) => verify_plan::run(args).await,
            Command::Digest(args) => digest::run(&args),
            Command::Whoami(args) => whoami::run(args).await,
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => completions::man(&args),
        };
        done.unwrap_or_else(|error| error.report())
    }
}

/// The variables that the commands read through their flags. A secret is never a flag.
fn plain_variables() -> Vec<String> {
    let command = Cli::command();
    let flags = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let of_flags = flags.filter_map(|flag| flag.get_env()?.to_str().map(str::to_owned));
    of_flags.chain(["PARKBRAKE_LOG", "PARKBRAKE_POSTGRES_BIN", "PARKBRAKE_DEV_HOME"].map(str::to_owned)).collect()
}

/// The program that starts runbooks, which is this program itself.
fn launcher() -> Result<Launcher, Error> {
    Launcher::own().map_err(|error| Error::Other(format!("this program cannot open its own file, which starts runbooks: {error}")))
}

/// A variable of the environment.
fn variable(name: &str) -> Option<String> {
    hardening::variable(name)?.into_string().ok()
}

/// The address of the database. It is read only from the environment, because everybody on the
/// machine can read a command line.
fn database_url() -> Result<String, Error> {
    let url = variable("DATABASE_URL").filter(|url| !url.is_empty()).ok_or_else(|| {
        Error::Other("DATABASE_URL is not set: say where PostgreSQL is, as in postgres://USER:PASSWORD@HOST/DATABASE".to_owned())
    })?;
    Ok(with_password(url, variable("PGPASSWORD")))
}

/// Adds the password that PostgreSQL's own tools read from the environment, if the address has
/// none.
fn with_password(url: String, password: Option<String>) -> String {
    let (Some(password), Ok(mut parsed)) = (password, reqwest::Url::parse(&url)) else { return url };
    if parsed.password().is_some() || parsed.query_pairs().any(|(name, _)| name == "password") {
        return url;
    }
    parsed.query_pairs_mut().append_pair("password", &password);
    parsed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_of_the_environment_counts_where_the_address_has_none() {
        let with = |url: &str| with_password(url.to_owned(), Some("p&ss w".to_owned()));
        assert_eq!(with("postgres://u@h/d"), "postgres://u@h/d?password=p%26ss+w");
        assert_eq!(with("postgres:///d?host=/run"), "postgres:///d?host=/run&password=p%26ss+w");
        for has_one in ["postgres://u:own@h/d", "postgres://u@h/d?password=own"] {
            assert_eq!(with(has_one), has_one);
        }
        assert_eq!(with_password("postgres://u@h/d".to_owned(), None), "postgres://u@h/d");
    }

    #[test]
    fn the_variables_of_flags_stay_where_flags_are_read() {
        let plain = plain_variables();
        for name in ["PARKBRAKE_LISTEN", "PARKBRAKE_CONFIG", "PARKBRAKE_LEASE", "PARKBRAKE_LOG", "PARKBRAKE_SECRET_KEY_FILE"] {
            assert!(plain.iter().any(|plain| plain == name), "{name} in {plain:?}");
        }
        for secret in ["DATABASE_URL", "PARKBRAKE_SECRET_KEY", "PARKBRAKE_TOKEN"] {
            assert!(!plain.iter().any(|plain| plain == secret), "{secret} in {plain:?}");
        }
    }
}
