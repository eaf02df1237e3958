//! The benchmark: how fast parkbrake parks and releases work, beside what the same PostgreSQL
//! allows in the same minutes.
//!
//! A figure of a disk and two cores that others use as well says nothing by itself. So every round
//! takes the references too, between the phases of parkbrake, and what counts is the ratio.
//! `README.md` beside this file says what each row means.
//!
//! This process is the load (`lanes.rs`). Nothing is asserted but that the answers are the
//! expected ones; whether a target is met is printed and left to the reader.

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

/// Measures parkbrake beside pgbench and a plain group commit
#[derive(Debug, Parser)]
pub struct Args {
    /// Seconds of each phase
    #[arg(long, default_value_t = 4)]
    pub seconds: u32,

    /// How often everything is measured; medians are over these
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,

    /// Callers at once; a list
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64])]
    pub callers: Vec<usize>,

    /// Also with many parked workflows: lists, restart, memory, bytes
    #[arg(long)]
    pub scale: bool,

    /// With a million parked workflows too
    #[arg(long, requires = "scale")]
    pub million: bool,

    /// Also with escalations that fall due within a minute, beside submits
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100000", value_parser = clap::value_parser!(u32).range(1_000..))]
    pub deadlines: Option<u32>,

    /// Also prune day after day, with so many workflows a day
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "100000", value_parser = clap::value_parser!(u32).range(1_000..=500_000))]
    pub retention: Option<u32>,

    /// Leave the throughput out
    #[arg(long, alias = "only-scale")]
    pub skip_throughput: bool,

    /// Draw support/bench/plots from target/bench/figures.json, where runs leave what they measured
    #[arg(long)]
    pub plots: bool,

    /// Where the database is kept meanwhile: on the disk that is to be measured [default:
    /// target/bench]
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
