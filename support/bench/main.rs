//! The benchmark: how fast parkbrake parks and releases work, compared with the limits of the same
//! PostgreSQL at the same time.
//!
//! Absolute figures of a shared disk and processor mean little. So every round also measures the
//! references, between the phases of parkbrake, and the ratio counts.
//! `README.md` beside this file says what each row means.
//!
//! This process is the load (`lanes.rs`). It asserts only that the responses are the expected ones;
//! the report shows targets and figures, and the reader judges.

mod deadlines;
mod fill;
mod harness;
mod lanes;
mod load;
mod meters;
mod plots;
mod references;
mod report;
mod retention;
mod scale;
mod throughput;

use clap::Parser;
use harness::Harness;
use plots::Figures;
use std::path::{Path, PathBuf};

/// Compares parkbrake with pgbench and a plain group commit
#[derive(Debug, Parser)]
pub struct Args {
    /// Seconds of each phase
    #[arg(long, default_value_t = 4)]
    pub seconds: u32,

    /// Rounds; the report shows medians
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,

    /// Numbers of concurrent callers
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64])]
    pub callers: Vec<usize>,

    /// Also measure with many parked workflows: lists, restart, memory
    #[arg(long)]
    pub scale: bool,

    /// Also measure with a million parked workflows
    #[arg(long, requires = "scale")]
    pub million: bool,

    /// Also measure escalations that fall due within a minute, during submits
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100000", value_parser = clap::value_parser!(u32).range(1_000..))]
    pub deadlines: Option<u32>,

    /// Also prune day after day, with this many workflows a day
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100000", value_parser = clap::value_parser!(u32).range(1_000..=500_000))]
    pub retention: Option<u32>,

    /// Skip throughput
    #[arg(long, alias = "only-scale")]
    pub skip_throughput: bool,

    /// Draw support/bench/plots from target/bench/figures.json, which has the figures of all runs
    #[arg(long)]
    pub plots: bool,

    /// Folder for the database, on the disk to be measured [default: target/bench]
    #[arg(long)]
    pub folder: Option<PathBuf>,

    /// Set by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The folder of the reports.
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
    let harness = Harness::set(&folder).await;
    let facts = harness.facts().await;
    let mut text = report::heading(&facts, args);
    let mut figures = Figures::read(&output.join("figures.json"));
    if !args.skip_throughput {
        let rounds = throughput::measure(&harness, args).await;
        text += &report::throughput(&rounds);
        figures.throughput = Some(report::throughput_figures(&rounds));
    }
    if args.scale {
        let scales = scale::measure(&harness, args).await;
        text += &report::scale(&scales);
        figures.scale = Some(report::scale_figures(&scales));
    }
    if let Some(count) = args.deadlines {
        text += &report::deadlines(&deadlines::measure(&harness, count).await);
    }
    if let Some(count) = args.retention {
        text += &report::retention(&retention::measure(&harness, count).await);
    }
    figures.write(&output.join("figures.json"));
    if args.plots {
        plots::draw(&figures, &Path::new(env!("CARGO_MANIFEST_DIR")).join("support/bench/plots"));
    }
    report::publish(&text, &output.join("report.md"));
    harness.strike().await;
}
