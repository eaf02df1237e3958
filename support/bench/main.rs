//! The benchmark: how fast parkbrake parks and releases work, beside what the same PostgreSQL allows in the same minutes.
//!
//! A figure of a disk and two cores that others use as well says nothing by itself. So every round takes the references too,
//! between the phases of parkbrake, and what counts is the ratio. `README.md` beside this file says what each row means.
//!
//! This process is the load: one thread, one connection for each caller. Nothing is asserted but that the answers are the
//! expected ones; whether a target is met is printed and left to the reader.

mod fill;
mod load;
mod meters;
mod references;
mod report;
mod scale;
mod stage;
mod throughput;

use clap::Parser;
use stage::Stage;
use std::path::{Path, PathBuf};

/// Measures parkbrake beside pgbench and a plain group commit
#[derive(Debug, Parser)]
pub struct Args {
    /// Seconds of each phase
    #[arg(long, default_value_t = 4)]
    pub seconds: u32,

    /// How often everything is measured; medians are over these
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,

    /// Callers at once; a list
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    pub callers: Vec<usize>,

    /// Also with many parked workflows: lists, restart, memory, bytes
    #[arg(long)]
    pub scale: bool,

    /// With a million parked workflows too
    #[arg(long, requires = "scale")]
    pub million: bool,

    /// Leave the throughput out
    #[arg(long, requires = "scale")]
    pub only_scale: bool,

    /// Where the database is kept meanwhile: on the disk that is to be measured [default: target/bench]
    #[arg(long)]
    pub folder: Option<PathBuf>,

    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Where reports go.
fn output() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench")
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(&args));
}

async fn run(args: &Args) {
    let output = output();
    std::fs::create_dir_all(&output).expect("a folder for the report");
    let folder = args.folder.clone().unwrap_or_else(|| output.clone());
    let stage = Stage::set(&folder).await;
    let mut text = report::heading(&stage.facts().await, args);
    if !args.only_scale {
        let rounds = throughput::measure(&stage, args).await;
        text += &report::throughput(&rounds);
    }
    if args.scale {
        let steps = scale::measure(&stage, args).await;
        text += &report::scale(&steps);
    }
    report::publish(&text, &output.join("report.md"));
    stage.strike().await;
}
