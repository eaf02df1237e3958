use clap::Parser;
use mimalloc::MiMalloc;
use parkbrake::cli::Cli;
use std::process::ExitCode;

/// The system's allocator takes a third of the server's time under load, and keeps what it was once given.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    Cli::parse().run().await
}
