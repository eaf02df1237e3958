//! The program: parses its arguments, and hands over to `cli`.

use clap::Parser;
use mimalloc::MiMalloc;
use parkbrake::cli::{Cli, Command, hook};
use std::process::ExitCode;

/// The system's allocator takes a third of the server's time under load, and keeps what it was once
/// given.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if let Some(done) = parkbrake::cli::launched() {
        return done;
    }
    let cli = Cli::parse();
    // Before every tool call of an agent: in a few milliseconds, without a runtime.
    if let Command::Hook(args) = &cli.command {
        return hook::run(args);
    }
    // Before there is any other thread: this process may be replaced by a fresh one.
    match cli.harden() {
        Ok(()) => run(cli),
        Err(error) => error.report(),
    }
}

#[tokio::main]
async fn run(cli: Cli) -> ExitCode {
    cli.run().await
}
