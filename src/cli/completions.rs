//! `parkbrake completions` and `parkbrake man`: shell completions and manual pages, generated from
//! the commands.

use crate::cli::terminal::{complain, write_out};
use crate::cli::{Cli, Error};
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints the completions of a shell:
/// `parkbrake completions bash > /etc/bash_completion.d/parkbrake`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the manual page of `parkbrake`, or writes a page for it and for each of its commands.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Write every page into this folder, which has to exist:
    /// `parkbrake man --dir /usr/local/share/man/man1`
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints the completions of a shell.
///
/// # Errors
/// The reader has closed the pipe.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "parkbrake", &mut text);
    write_out(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes the manual pages.
///
/// # Errors
/// They cannot be written.
pub fn man(args: &ManArgs) -> Result<ExitCode, Error> {
    match &args.dir {
        Some(dir) => write_pages(dir)?,
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(Error::Output)?;
            write_out(&String::from_utf8_lossy(&text))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_pages(dir: &Path) -> Result<(), Error> {
    let shown = dir.display();
    clap_mangen::generate_to(Cli::command(), dir)
        .map_err(|error| Error::Other(format!("cannot write manual pages into {shown}: {error}; name a folder that exists")))?;
    complain(&format!("parkbrake: wrote the manual pages into {shown}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_manual_page() {
        let folder = tempfile::tempdir().unwrap();
        write_pages(folder.path()).unwrap();
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = std::fs::read_to_string(folder.path().join(format!("parkbrake-{}.1", command.get_name())));
            assert!(page.is_ok_and(|page| page.contains(".SH SYNOPSIS")), "{}", command.get_name());
        }
        assert!(write_pages(&folder.path().join("no/such/folder")).is_err());
    }
}
