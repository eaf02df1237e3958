//! The program: parses its arguments, and hands over to `cli`.

use clap::Parser;
use mimalloc::MiMalloc;
use parkbrake::cli::{Cli, Command, hook};
use std::process::ExitCode;

/// The system's allocator takes a third of the server's time under load, and never returns memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    if let Some(done) = parkbrake::cli::launched() {
        return done;
    }
    let cli = Cli::parse();
    // This runs before every tool call of an agent, so it takes only milliseconds and no runtime.
    if let Command::Hook(args) = &cli.command {
        return hook::run(args);
    }
    // Before there is any other thread, because this process may be replaced by a new one.
    match cli.harden() {
        Ok(()) => run(cli),
        Err(error) => error.report(),
    }
}

#[tokio::main]
async fn run(cli: Cli) -> ExitCode {
    cli.run().await
}
