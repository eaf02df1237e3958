//! `parkbrake check`: checks a configuration.

use crate::cli::terminal::Page;
use crate::cli::{Error, launcher};
use crate::config;
use crate::execution;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check a configuration; the exit status is 0 if it is valid, and 1 if it is not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the configuration
    #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// Refuse settings that are weaker than in the shipped configuration, or that let a requester
    /// do more than it seems
    #[arg(long)]
    strict: bool,
    /// Print the level for each combination of operation, environment and type of resource,
    /// including those that are left out
    #[arg(long)]
    matrix: bool,
}

/// Reads the configuration as a server would, and reports everything that is wrong with it.
///
/// # Errors
/// The configuration is invalid.
#[expect(clippy::disallowed_methods, reason = "this command is not a server: it asks whether the secrets are there")]
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let base = std::env::current_dir().map_err(|error| Error::Other(format!("the current folder cannot be read: {error}")))?;
    let configuration = config::load(&args.config, &base).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::Other(format!("{} is not valid:\n{}", args.config.display(), lines.join("\n")))
    })?;
    if args.strict && !configuration.weaknesses.is_empty() {
        let lines: Vec<String> = configuration.weaknesses.iter().map(|weakness| format!("  {weakness}")).collect();
        return Err(Error::Other(format!("{} is valid, but --strict refuses it:\n{}", args.config.display(), lines.join("\n"))));
    }
    let mut page = Page::stdout();
    page.line(format_args!("{} is valid", args.config.display()));
    for note in configuration.weaknesses.iter().chain(&configuration.notes) {
        page.line(format_args!("note: {note}"));
    }
    for (name, channel) in &configuration.notifications.channels {
        for secret in channel.service.secrets().into_iter().filter(|secret| std::env::var_os(&secret.0).is_none()) {
            let variable = &secret.0;
            page.line(format_args!(
                "note: {variable} is not set here; a server does not start without it, because the channel {name} needs it"
            ));
        }
    }
    for unusable in execution::unusable(configuration.runbooks.values(), &launcher()?) {
        page.line(format_args!("note: a server started here, as this user, would not start: {unusable}"));
    }
    page.fact("triggers", configuration.rules.triggers.len());
    page.fact("people", configuration.policy.people().len());
    page.fact("agents", configuration.policy.agents().len());
    page.fact("runbooks", configuration.runbooks.len());
    page.fact(
        "tool calls",
        format_args!("{} entries of your own, {} shipped", configuration.tools.own.len(), configuration.tools.shipped.len()),
    );
    page.fact("channels", configuration.notifications.channels.len());
    page.fact("version", &configuration.version);
    if args.matrix {
        page.line("\nlevels of actions of the requester itself, without a resource, findings, costs or metadata:\n");
        page.line(configuration.rules.matrix());
    }
    page.print()?;
    Ok(ExitCode::SUCCESS)
}
