//! The report: tables in Markdown, on the terminal and in a file. Medians with the minimum and
//! maximum of the rounds.

use crate::deadlines::{Deadlines, Side};
use crate::plots::Chart;
use crate::retention::Retention;
use crate::scale::{KEPT, Scale, Scales};
use crate::throughput::{APPROVE, GROUP_CALLERS, MIXED, PLAIN_CLIENTS, Round, SUBMIT, Sample};
use crate::{Args, harness};
use std::fmt::Write as _;
use std::path::Path;

/// The median of some figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

fn spread(figures: &[f64], digits: usize) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.digits$} ({least:.digits$}..{greatest:.digits$})", median(figures))
}

/// The heading: the versions and settings.
pub fn heading(facts: &[(String, String)], args: &Args) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    let facts = facts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ");
    format!(
        "# parkbrake {}, {}\n\n{cores} cores for load, server and PostgreSQL together; load average at the start {load}. PostgreSQL: {facts}. \
         {} rounds, {} s a phase. Medians (least..greatest).\n",
        env!("CARGO_PKG_VERSION"),
        chrono::Utc::now().format("%Y-%m-%d %H:%M UTC"),
        args.rounds,
        args.seconds
    )
}

/// A figure of each round.
fn each(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> Vec<f64> {
    rounds.iter().map(figure).collect()
}

fn lone(round: &Round) -> f64 {
    f64::midpoint(round.lone[0].mean, round.lone[1].mean)
}

/// The samples of one phase, each with its round.
fn of<'a>(rounds: &'a [Round], what: &str, callers: usize) -> Vec<(&'a Round, &'a Sample)> {
    let found = |round: &'a Round| round.samples.iter().find(|sample| sample.what == what && sample.callers == callers);
    rounds.iter().filter_map(|round| Some((round, found(round)?))).collect()
}

/// Every phase of any round, in order.
fn phases(rounds: &[Round]) -> Vec<(&'static str, usize)> {
    let mut phases = Vec::new();
    for sample in rounds.iter().flat_map(|round| &round.samples) {
        if !phases.contains(&(sample.what, sample.callers)) {
            phases.push((sample.what, sample.callers));
        }
    }
    phases
}

/// The tables of the first part.
pub fn throughput(rounds: &[Round]) -> String {
    let mut text = "\n## Throughput and latency\n\n| | callers | per second | × A at 16 | p50 ms | p99 ms | p50 / mean of A at 1 |\n|---|---|---|---|---|---|---|\n".to_owned();
    let sync = spread(&each(rounds, |round| round.sync), 3);
    let _ = writeln!(text, "| one page written and synced | 1 | | | {sync} | | |");
    let rates: Vec<f64> = rounds.iter().flat_map(|round| round.lone.map(|lone| lone.rate)).collect();
    let means: Vec<f64> = rounds.iter().flat_map(|round| round.lone.map(|lone| lone.mean)).collect();
    let _ =
        writeln!(text, "| **A** pgbench, a transaction each (mean, not p50) | 1 | {} | | {} | | 1 |", spread(&rates, 0), spread(&means, 3));
    let rates: Vec<f64> = rounds.iter().flat_map(|round| round.plain.iter().map(|plain| plain.rate)).collect();
    let means: Vec<f64> = rounds.iter().flat_map(|round| round.plain.iter().map(|plain| plain.mean)).collect();
    let _ = writeln!(
        text,
        "| **A** pgbench, a transaction each (mean, not p50) | {PLAIN_CLIENTS} | {} | 1 | {} | | |",
        spread(&rates, 0),
        spread(&means, 3)
    );
    let groups: Vec<(&Round, &Sample)> = rounds.iter().map(|round| (round, &round.group)).collect();
    text += &row("**B** group commits of the same rows", GROUP_CALLERS, &groups);
    for (what, callers) in phases(rounds) {
        text += &row(what, callers, &of(rounds, what, callers));
    }
    text += "\n## Cost of one step\n\n| | callers | server CPU ms | load CPU ms | PostgreSQL CPU ms | cores busy | rows in a commit | WAL bytes | table and index bytes | approved workflows in memory |\n|---|---|---|---|---|---|---|---|---|---|\n";
    for (what, callers) in phases(rounds) {
        text += &cost(what, callers, &of(rounds, what, callers));
    }
    text + &targets(rounds)
}

fn row(what: &str, callers: usize, samples: &[(&Round, &Sample)]) -> String {
    let all = |figure: &dyn Fn(&Round, &Sample) -> f64| samples.iter().map(|(round, sample)| figure(round, sample)).collect::<Vec<f64>>();
    format!(
        "| {what} | {callers} | {} | {} | {} | {} | {} |\n",
        spread(&all(&|_, sample| sample.rate), 0),
        spread(&all(&|_, sample| sample.rate / sample.plain), 2),
        spread(&all(&|_, sample| sample.p50), 3),
        spread(&all(&|_, sample| sample.p99), 3),
        spread(&all(&|round, sample| sample.p50 / lone(round)), 2),
    )
}

fn cost(what: &str, callers: usize, samples: &[(&Round, &Sample)]) -> String {
    let middle = |figure: &dyn Fn(&Sample) -> f64| median(&samples.iter().map(|(_, sample)| figure(sample)).collect::<Vec<f64>>());
    let busy = |sample: &Sample| (sample.cost.server + sample.cost.client + sample.cost.postgres) / sample.seconds;
    let resident: Vec<f64> = samples.iter().filter_map(|(_, sample)| sample.resident).collect();
    let resident = if resident.is_empty() { String::new() } else { format!("{:.0} at most", median(&resident)) };
    format!(
        "| {what} | {callers} | {:.3} | {:.3} | {:.3} | {:.2} | {:.1} | {:.0} | {:.0} | {resident} |\n",
        middle(&|sample| sample.cost.server * 1e3 / sample.count),
        middle(&|sample| sample.cost.client * 1e3 / sample.count),
        middle(&|sample| sample.cost.postgres * 1e3 / sample.count),
        middle(&busy),
        middle(&|sample| sample.cost.rows / sample.cost.batches),
        middle(&|sample| sample.cost.wal / sample.count),
        middle(&|sample| sample.cost.store / sample.count),
    )
}

fn targets(rounds: &[Round]) -> String {
    let mut text = "\n## Targets\n\n| | target | measured |\n|---|---|---|\n".to_owned();
    let mut target = |name: &str, bound: &str, what: &str, callers: usize, digits: usize, figure: &dyn Fn(&Round, &Sample) -> f64| {
        let figures: Vec<f64> = of(rounds, what, callers).iter().map(|(round, sample)| figure(round, sample)).collect();
        if !figures.is_empty() {
            let _ = writeln!(text, "| {name} | {bound} | {} |", spread(&figures, digits));
        }
    };
    for (what, bound) in [(SUBMIT, "≥ 1.8"), (APPROVE, "≥ 2.0"), (MIXED, "≥ 1.8")] {
        target(&format!("{what}, 64 callers, × A at 16"), bound, what, 64, 2, &|_, sample| sample.rate / sample.plain);
    }
    for what in [SUBMIT, APPROVE] {
        target(&format!("{what}, p50 of 1 caller / mean of A at 1"), "≤ 1.5", what, 1, 2, &|round, sample| sample.p50 / lone(round));
    }
    target("table and index bytes of a parked workflow", "≤ 2400", SUBMIT, 64, 0, &|_, sample| sample.cost.store / sample.count);
    target("WAL bytes of a parked workflow", "≤ 2600", SUBMIT, 64, 0, &|_, sample| sample.cost.wal / sample.count);
    text
}

/// The tables of the second part.
pub fn scale(scales: &Scales) -> String {
    let steps = &scales.steps;
    let columns = steps.iter().map(|step| format!(" {} |", step.parked)).collect::<String>();
    let mut text = format!("\n## With many parked\n\n| parked |{columns}\n|---|{}\n", "---|".repeat(steps.len()));
    let mut line = |name: &str, figure: &dyn Fn(&Scale) -> String| {
        let cells = steps.iter().map(|step| format!(" {} |", figure(step))).collect::<String>();
        let _ = writeln!(text, "| {name} |{cells}");
    };
    let thousand = steps.iter().find(|step| step.parked == 1_000);
    for (index, (name, _)) in steps.first().map_or(&[][..], |step| &step.lists).iter().enumerate() {
        line(&format!("list: {name}, ms (× its time at 1,000)"), &|step| {
            let time = step.lists[index].1;
            let ratio = thousand.map_or(f64::NAN, |thousand| time / thousand.lists[index].1);
            format!("{time:.2} ({ratio:.1})")
        });
    }
    line("restart until the first approve is answered, s", &|step| spread(&step.restarts, 3));
    line("memory of the server, MB", &|step| format!("{:.1}", step.memory / 1e6));
    text += &scale_targets(scales, thousand);
    text
}

fn scale_targets(scales: &Scales, thousand: Option<&Scale>) -> String {
    let mut text = "\n| | target | measured |\n|---|---|---|\n".to_owned();
    let (Some(few), Some(many), Some(thousand)) = (scales.steps.first(), scales.steps.last(), thousand) else { return text };
    for (index, (name, _)) in thousand.lists.iter().enumerate() {
        let sizes = scales.steps.iter().filter(|step| step.parked >= thousand.parked);
        let slowest = sizes.map(|step| step.lists[index].1).fold(0.0, f64::max);
        let _ = writeln!(text, "| list: {name}, slowest from 1,000 to {} parked | ≤ 5 ms | {slowest:.2} ms |", many.parked);
    }
    for (parked, bound) in [(10_000, 60), (1_000_000, 200)] {
        if let Some(step) = scales.steps.iter().find(|step| step.parked == parked) {
            let _ = writeln!(text, "| memory with {parked} parked | ≤ {bound} MB | {:.1} MB |", step.memory / 1e6);
        }
    }
    let later = median(&many.restarts) - median(&few.restarts);
    let _ = writeln!(text, "| restart: {} parked, beyond 10 parked | ≤ 2 s | {later:.3} s |", many.parked);
    if let Some(full) = scales.steps.iter().find(|step| step.parked >= KEPT).filter(|full| full.parked < many.parked) {
        let each = (many.memory - full.memory) / f64::from(many.parked - full.parked);
        let _ = writeln!(text, "| memory of each beyond {}, after a restart | ≤ 100 bytes | {each:.0} bytes |", full.parked);
    }
    let _ = writeln!(text, "| memory of each beyond {KEPT}, parked one after the other | ≤ 100 bytes | {:.0} bytes |", scales.beyond);
    text
}

/// The tables of the third part.
pub fn deadlines(seen: &Deadlines) -> String {
    let mut text = format!(
        "\n## {} deadlines within a minute\n\n| submits meanwhile | per second | p99 ms | server CPU, cores | PostgreSQL CPU, cores | cores busy |\n|---|---|---|---|---|---|\n",
        seen.count
    );
    let mut line = |name: &str, side: &Side| {
        let Side { rate, p99, seconds, cost } = side;
        let (server, postgres) = (cost.server / seconds, cost.postgres / seconds);
        let busy = server + postgres + cost.client / seconds;
        let _ = writeln!(text, "| {name} | {rate:.0} | {p99:.1} | {server:.2} | {postgres:.2} | {busy:.2} |");
    };
    line("before any was due", &seen.before);
    line("while they fell due", &seen.during);
    line("once all were handled", &seen.after);
    let [middle, most, last] = seen.late;
    let share = seen.during.rate / f64::midpoint(seen.before.rate, seen.after.rate);
    text += "\n| | target | measured |\n|---|---|---|\n";
    let _ = writeln!(text, "| the longest delay | ≤ 10 s | {last:.2} s |");
    let _ = writeln!(text, "| delays, p50 and p99 | | {middle:.3} s, {most:.3} s |");
    let _ = writeln!(text, "| submits meanwhile / the mean before and afterwards | ≥ 0.5 | {share:.2} |");
    text
}

/// The tables of the fourth part.
pub fn retention(seen: &Retention) -> String {
    let mut text = format!(
        "\n## Retention, {} workflows a day\n\n| day | tables MB | indexes MB | pruning the oldest day, s | workflows a second |\n|---|---|---|---|---|\n",
        seen.count
    );
    for (day, figures) in seen.days.iter().enumerate() {
        let took = figures.pruned.map_or_else(|| "| | |".to_owned(), |took| format!("| {took:.1} | {:.0} |", f64::from(seen.count) / took));
        let _ = writeln!(text, "| {} | {:.1} | {:.1} {took}", day + 1, figures.tables / 1e6, figures.indexes / 1e6);
    }
    let beside = &seen.beside;
    let _ = writeln!(text, "\n| 64 callers submit | per second | p99 ms |\n|---|---|---|");
    let _ = writeln!(text, "| alone | {:.0} | {:.1} |", beside.without, beside.p99_without);
    let _ = writeln!(text, "| while a day is pruned, which takes {:.1} s | {:.0} | {:.1} |", beside.seconds, beside.with, beside.p99_with);
    text
}

/// The curves of the first part.
pub fn throughput_figures(rounds: &[Round]) -> Vec<Chart> {
    let curve = |name: &str, what: &str, figure: &dyn Fn(&Sample) -> f64| {
        let points = phases(rounds).into_iter().filter(|(phase, _)| *phase == what).map(|(_, callers)| {
            let figures: Vec<f64> = of(rounds, what, callers).iter().map(|(_, sample)| figure(sample)).collect();
            (callers as f64, median(&figures))
        });
        (name.to_owned(), points.collect::<Vec<_>>())
    };
    let reference = |figure: &dyn Fn(&crate::references::Plain) -> f64| {
        let middle = |plains: &dyn Fn(&Round) -> &[crate::references::Plain]| {
            median(&rounds.iter().flat_map(plains).map(figure).collect::<Vec<_>>())
        };
        ("A: pgbench".to_owned(), vec![(1.0, middle(&|round| &round.lone)), (PLAIN_CLIENTS as f64, middle(&|round| &round.plain))])
    };
    let chart = |name: &str, title: &str, unit: &str, curves| Chart {
        name: name.to_owned(),
        title: title.to_owned(),
        across: "callers".to_owned(),
        up: unit.to_owned(),
        curves,
    };
    let rate = |sample: &Sample| sample.rate;
    let middle = |sample: &Sample| sample.p50;
    vec![
        chart(
            "throughput",
            "Steps a second",
            "per second",
            vec![curve(SUBMIT, SUBMIT, &rate), curve(APPROVE, APPROVE, &rate), reference(&|plain| plain.rate)],
        ),
        chart(
            "latency",
            "Latency of a step (A: the mean)",
            "p50, ms",
            vec![curve(SUBMIT, SUBMIT, &middle), curve(APPROVE, APPROVE, &middle), reference(&|plain| plain.mean)],
        ),
    ]
}

/// The curves of the second part.
pub fn scale_figures(scales: &Scales) -> Vec<Chart> {
    let curve = |name: &str, figure: &dyn Fn(&Scale) -> f64| {
        (name.to_owned(), scales.steps.iter().map(|step| (f64::from(step.parked), figure(step))).collect::<Vec<_>>())
    };
    let names: Vec<&str> = scales.steps.first().map_or_else(Vec::new, |step| step.lists.iter().map(|(name, _)| *name).collect());
    let lists = names.iter().enumerate().map(|(index, name)| curve(&name.replace('`', ""), &|step| step.lists[index].1)).collect();
    let chart = |name: &str, title: &str, unit: &str, curves| Chart {
        name: name.to_owned(),
        title: title.to_owned(),
        across: "parked workflows".to_owned(),
        up: unit.to_owned(),
        curves,
    };
    vec![
        chart("lists", "Latency of a list of 50", "ms", lists),
        chart("restart", "Restart until the first approval is answered", "s", vec![curve("restart", &|step| median(&step.restarts))]),
        chart("memory", "Memory of the server", "MB", vec![curve("VmRSS, once settled", &|step| step.memory / 1e6)]),
    ]
}

/// Prints the report, and writes it to a file.
#[expect(clippy::print_stdout, reason = "this is a program for a terminal")]
pub fn publish(text: &str, path: &Path) {
    println!("{text}");
    std::fs::write(path, text).expect("a report");
    harness::note(&format!("this is also in {}", path.display()));
}
