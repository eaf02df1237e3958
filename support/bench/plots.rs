//! Plots: draws the figures as curves in SVG.
//!
//! A file keeps the figures between runs, so that one set of plots can show parts that were
//! measured in different runs.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::Path;

/// The figures of the plots.
#[derive(Default, Serialize, Deserialize)]
pub struct Figures {
    pub throughput: Option<Vec<Chart>>,
    pub scale: Option<Vec<Chart>>,
}

/// Curves over one axis.
#[derive(Serialize, Deserialize)]
pub struct Chart {
    /// The name of its file.
    pub name: String,
    pub title: String,
    /// The horizontal axis is logarithmic, the vertical one begins at zero.
    pub across: String,
    pub up: String,
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

impl Figures {
    /// The figures of earlier runs, if any.
    pub fn read(path: &Path) -> Self {
        std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub fn write(&self, path: &Path) {
        std::fs::write(path, serde_json::to_string_pretty(self).expect("figures")).expect("a file");
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// The area of the curves: left, right, top, bottom.
const FRAME: (f64, f64, f64, f64) = (70.0, 480.0, 50.0, 300.0);
/// Colors that color-blind readers can distinguish; every curve also has a label.
const COLORS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56605f"];

/// Draws every chart that has figures.
pub fn draw(figures: &Figures, folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    for chart in figures.throughput.iter().chain(&figures.scale).flatten() {
        std::fs::write(folder.join(format!("{}.svg", chart.name)), svg(chart)).expect("a plot");
    }
}

fn svg(chart: &Chart) -> String {
    let (left, right, top, bottom) = FRAME;
    let points = || chart.curves.iter().flat_map(|(_, points)| points);
    let mut across: Vec<f64> = points().map(|(x, _)| *x).collect();
    across.sort_by(f64::total_cmp);
    across.dedup();
    let (first, last) = (across.first().map_or(1.0, |x| x.ln()), across.last().map_or(2.0, |x| x.ln()));
    let step = round_step(points().map(|(_, y)| *y).fold(0.0, f64::max) / 5.0);
    let most = step * (points().map(|(_, y)| *y).fold(0.0, f64::max) / step).ceil().max(1.0);
    let x = |value: f64| left + (right - left) * (value.ln() - first) / (last - first).max(f64::MIN_POSITIVE);
    let y = |value: f64| bottom - (bottom - top) * value / most;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n<text x=\"{left}\" y=\"24\" font-size=\"16\">{0}</text>\n\
         <text x=\"{left}\" y=\"42\" fill=\"#56605f\">{1}</text>\n<text x=\"{2}\" y=\"{3}\" text-anchor=\"middle\" fill=\"#56605f\">{4}</text>\n",
        escaped(&chart.title),
        escaped(&chart.up),
        f64::midpoint(left, right),
        bottom + 40.0,
        escaped(&chart.across),
    );
    for line in 0..=(most / step).round() as u32 {
        let value = step * f64::from(line);
        let at = y(value);
        let _ = writeln!(
            text,
            "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            number(value)
        );
    }
    for value in &across {
        let _ = writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", x(*value), bottom + 20.0, number(*value));
    }
    for (index, (name, points)) in chart.curves.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let path: Vec<String> = points.iter().map(|(across, up)| format!("{:.1} {:.1}", x(*across), y(*up))).collect();
        let _ = writeln!(text, "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", path.join("L"));
        for (across, up) in points {
            let _ = writeln!(
                text,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{color}\"><title>{}: {}</title></circle>",
                x(*across),
                y(*up),
                escaped(name),
                number(*up)
            );
        }
        let at = top + 10.0 + 22.0 * index as f64;
        let _ = writeln!(
            text,
            "<circle cx=\"{:.1}\" cy=\"{at:.1}\" r=\"4\" fill=\"{color}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            right + 20.0,
            right + 30.0,
            at + 4.0,
            escaped(&shortened(name))
        );
    }
    text + "</svg>\n"
}

/// A step of 1, 2 or 5 times a power of ten, at least this.
fn round_step(least: f64) -> f64 {
    let least = least.max(1e-6);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least * 0.999).unwrap_or(10.0 * power)
}

/// A figure with few digits and thousands separators.
fn number(value: f64) -> String {
    if value >= 1_000.0 {
        let digits = format!("{value:.0}");
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
        return groups.join(",");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shortened(name: &str) -> String {
    name.split_once(" (").map_or_else(|| name.to_owned(), |(name, _)| name.to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
