//! Charts, drawn as SVG on the server: bars with axes and labels, and a description for screen
//! readers.
//!
//! A chart has no inline style, because the content security policy forbids it: colors come from
//! the classes `series-0` to `series-3`, everything else from attributes. The page shows the same
//! data as a table beside each chart.

use std::fmt::Write as _;

const WIDTH: f64 = 480.0;
/// Space for the labels to the left of the bars, and for the figures to the right.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 12.0;
/// Space for the labels below the axis.
const BOTTOM: f64 = 28.0;
/// The width of a character, about.
const CHARACTER: f64 = 7.5;
/// The longest label on an axis, in characters.
const LONGEST: usize = 14;

/// The contents of a chart.
pub struct Chart<'a> {
    /// The prefix that makes the chart's element ids unique in the page.
    pub id: &'a str,
    pub title: &'a str,
    /// The same in a sentence, for screen readers.
    pub description: &'a str,
    /// The names of the series. A single series gets no legend.
    pub series: &'a [&'a str],
    pub categories: Vec<Category>,
    pub unit: Unit,
    /// The goals, drawn as lines across the columns.
    pub goals: Vec<f64>,
}

impl Chart<'_> {
    /// Space above the bars, for the names of the series if there is more than one, and for the
    /// words above a goal that is as high as the chart.
    fn top(&self) -> f64 {
        match (self.series.len() > 1, self.goals.is_empty()) {
            (true, _) => 30.0,
            (false, false) => 22.0,
            (false, true) => 8.0,
        }
    }
}

/// One position on the axis, with a value for each series.
pub struct Category {
    pub label: String,
    pub values: Vec<f64>,
}

/// The unit of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
}

impl Unit {
    /// A value as it is shown.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Seconds => duration(value),
        }
    }

    /// The distances that an axis may have between its marks, the smallest first.
    fn steps(self) -> Vec<f64> {
        let decades = |from: f64| (0..12).flat_map(move |decade| [1.0, 2.0, 5.0].map(|digit| from * digit * 10_f64.powi(decade)));
        match self {
            Self::Count => decades(1.0).collect(),
            Self::Seconds => {
                let (minute, hour, day) = (60.0, 3_600.0, 86_400.0);
                let mut steps = vec![1.0, 2.0, 5.0, 10.0, 15.0, 30.0];
                steps.extend([1.0, 2.0, 5.0, 10.0, 15.0, 30.0].map(|count| count * minute));
                steps.extend([1.0, 2.0, 4.0, 6.0, 12.0].map(|count| count * hour));
                steps.extend(decades(day));
                steps
            }
        }
    }

    /// The marks of an axis that reaches beyond the largest value: zero, and at most five more.
    fn marks(self, largest: f64) -> Vec<f64> {
        let step = self.steps().into_iter().find(|step| largest <= step * 5.0).unwrap_or(largest.max(1.0));
        let count = (largest / step).ceil().clamp(1.0, 5.0);
        (0..=5).map(f64::from).take_while(|n| *n <= count).map(|n| n * step).collect()
    }
}

/// A duration in a suitable unit.
pub fn duration(seconds: f64) -> String {
    let (length, unit) = match seconds {
        seconds if seconds < 90.0 => (1.0, "s"),
        seconds if seconds < 5_400.0 => (60.0, "min"),
        seconds if seconds < 172_800.0 => (3_600.0, "h"),
        _ => (86_400.0, "d"),
    };
    let value = seconds / length;
    let digits = usize::from(value < 10.0 && (value - value.round()).abs() >= 0.05);
    format!("{value:.digits$} {unit}")
}

/// Horizontal bars: a group for each category, a bar for each series.
pub fn bar_chart(chart: &Chart<'_>) -> String {
    let (bar, gap, above) = (14.0, 12.0, chart.top());
    let group = bar * count(chart.series.len()) + gap;
    let height = above + group * count(chart.categories.len()) + BOTTOM;
    let marks = chart.unit.marks(largest(chart.categories.iter().flat_map(|category| category.values.iter().copied())));
    let scale = (WIDTH - LEFT - RIGHT - 52.0) / marks.last().copied().unwrap_or(1.0);
    let mut svg = opening(chart, height);
    for mark in &marks {
        let x = LEFT + mark * scale;
        let _ = write!(svg, r#"<line class="grid" x1="{x:.1}" y1="{above}" x2="{x:.1}" y2="{:.1}"/>"#, height - BOTTOM);
        text(&mut svg, x, height - BOTTOM + 17.0, "middle", &chart.unit.show(*mark));
    }
    for (index, category) in chart.categories.iter().enumerate() {
        let top = above + group * count(index) + gap / 2.0;
        text(&mut svg, LEFT - 8.0, top + (group - gap) / 2.0 + 5.0, "end", &short(&category.label));
        for (series, value) in category.values.iter().enumerate() {
            let (y, width) = (top + bar * count(series), value * scale);
            rectangle(&mut svg, chart, category, series, [LEFT, y, width, bar - 1.0]);
            text(&mut svg, LEFT + width + 6.0, y + 11.5, "start", &chart.unit.show(*value));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Columns: one for each category, with the series stacked.
pub fn column_chart(chart: &Chart<'_>) -> String {
    let height = 240.0;
    let columns = chart.categories.iter().map(|category| category.values.iter().sum());
    let marks = chart.unit.marks(largest(columns.chain(chart.goals.iter().copied())));
    let longest = marks.iter().map(|mark| chart.unit.show(*mark).chars().count()).max().unwrap_or_default();
    let left = (10.0 + CHARACTER * count(longest)).max(48.0);
    let scale = (height - chart.top() - BOTTOM) / marks.last().copied().unwrap_or(1.0);
    let column = (WIDTH - left - RIGHT) / count(chart.categories.len().max(1));
    let width = (column * 0.8).min(48.0);
    let mut svg = opening(chart, height);
    for mark in &marks {
        let y = height - BOTTOM - mark * scale;
        let _ = write!(svg, r#"<line class="grid" x1="{left}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/>"#, WIDTH - RIGHT);
        text(&mut svg, left - 8.0, y + 4.5, "end", &chart.unit.show(*mark));
    }
    // As many labels as fit, and always the last one.
    let every = (70.0 / column).ceil().max(1.0);
    for (index, category) in chart.categories.iter().enumerate() {
        let middle = left + column * (count(index) + 0.5);
        if count(chart.categories.len() - 1 - index) % every == 0.0 {
            text(&mut svg, middle.clamp(left, WIDTH - 24.0), height - BOTTOM + 17.0, "middle", &short(&category.label));
        }
        let mut y = height - BOTTOM;
        for (series, value) in category.values.iter().enumerate() {
            y -= value * scale;
            rectangle(&mut svg, chart, category, series, [middle - width / 2.0, y, width, value * scale]);
        }
    }
    for goal in &chart.goals {
        let (y, words) = (height - BOTTOM - goal * scale, format!("goal: {}", chart.unit.show(*goal)));
        let _ = write!(
            svg,
            r#"<line class="goal" x1="{left}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"><title>{words}</title></line>"#,
            WIDTH - RIGHT
        );
        text(&mut svg, WIDTH - RIGHT, y - 5.0, "end", &words);
    }
    svg.push_str("</svg>");
    svg
}

fn opening(chart: &Chart<'_>, height: f64) -> String {
    let (id, title, description) = (escaped(chart.id), escaped(chart.title), escaped(chart.description));
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-labelledby="{id}-title {id}-description" font-size="13"><title id="{id}-title">{title}</title><desc id="{id}-description">{description}</desc>"#
    );
    if chart.series.len() > 1 {
        let mut x = LEFT;
        for (index, name) in chart.series.iter().enumerate() {
            let _ = write!(svg, r#"<rect class="series-{index}" x="{x:.1}" y="8" width="11" height="11"/>"#);
            text(&mut svg, x + 16.0, 18.0, "start", name);
            x += 32.0 + CHARACTER * count(name.chars().count());
        }
    }
    svg
}

/// A bar, large enough that any value above zero is visible. Its tooltip shows the value.
fn rectangle(svg: &mut String, chart: &Chart<'_>, category: &Category, series: usize, [x, y, width, height]: [f64; 4]) {
    let value = category.values[series];
    if value <= 0.0 {
        return;
    }
    let name = chart.series.get(series).filter(|_| chart.series.len() > 1).map(|name| format!(", {name}")).unwrap_or_default();
    let words = escaped(&format!("{}{name}: {}", category.label, chart.unit.show(value)));
    let (width, height) = (width.max(1.0), height.max(1.0));
    let _ = write!(
        svg,
        r#"<rect class="series-{series}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"><title>{words}</title></rect>"#
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = write!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(words));
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn short(words: &str) -> String {
    if words.chars().count() <= LONGEST {
        return words.to_owned();
    }
    words.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart<'a>(series: &'a [&'a str], categories: &[(&str, &[f64])], unit: Unit) -> Chart<'a> {
        let categories =
            categories.iter().map(|(label, values)| Category { label: (*label).to_owned(), values: values.to_vec() }).collect();
        Chart { id: "test", title: "A title", description: "A description", series, categories, unit, goals: Vec::new() }
    }

    /// The values of an attribute of the bars, in order.
    fn bars(svg: &str, attribute: &str) -> Vec<f64> {
        let bars = svg.split("<rect ").skip(1).filter(|rest| rest.split('>').next().is_some_and(|tag| !tag.ends_with('/')));
        let value = |bar: &str| bar.split(&format!(" {attribute}=\"")).nth(1)?.split('"').next()?.parse().ok();
        bars.filter_map(value).collect()
    }

    #[test]
    fn a_goal_is_a_line_that_fits_into_the_chart() {
        let chart = Chart { goals: vec![300.0], ..chart(&["median"], &[("1 Nov", &[20.0])], Unit::Seconds) };
        let svg = column_chart(&chart);
        assert!(svg.contains("<line class=\"goal\"") && svg.contains("goal: 5 min"), "{svg}");
        let y: f64 =
            svg.split("class=\"goal\"").nth(1).and_then(|line| line.split("y1=\"").nth(1)?.split('"').next()?.parse().ok()).unwrap();
        assert!((0.0..240.0 - BOTTOM).contains(&y), "{y}");
    }

    #[test]
    fn no_words_are_cut_off_at_the_edge_of_a_chart() {
        let goals = vec![900.0, 300.0];
        let svg = column_chart(&Chart { goals, ..chart(&["median"], &[("1 Nov", &[20.0])], Unit::Seconds) });
        assert!(svg.contains(">15 min</text>") && svg.contains(">goal: 15 min</text>"), "{svg}");
        for words in svg.split("<text ").skip(1) {
            let number =
                |name: &str| -> f64 { words.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap() };
            let said = words.split(['>', '<']).nth(1).unwrap();
            let before = if words.contains("\"end\"") { CHARACTER * count(said.chars().count()) } else { 0.0 };
            assert!(number("x") >= before && number("y") >= 13.0, "{words}");
        }
    }

    #[test]
    fn marks_are_round_and_reach_beyond_the_largest() {
        assert_eq!(Unit::Count.marks(0.0), [0.0, 1.0]);
        assert_eq!(Unit::Count.marks(3.0), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(Unit::Count.marks(7.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(Unit::Count.marks(41_000.0), [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0, 50_000.0]);
        assert_eq!(Unit::Seconds.marks(100.0), [0.0, 30.0, 60.0, 90.0, 120.0]);
        assert_eq!(Unit::Seconds.marks(30_000.0), [0.0, 7_200.0, 14_400.0, 21_600.0, 28_800.0, 36_000.0]);
        for unit in [Unit::Count, Unit::Seconds] {
            for largest in [0.4, 1.0, 9.0, 59.0, 3_601.0, 90_000.0, 4e9, 3e13] {
                let marks = unit.marks(largest);
                assert!((2..=6).contains(&marks.len()) && *marks.last().unwrap() >= largest, "{unit:?} {largest}: {marks:?}");
            }
        }
    }

    #[test]
    fn durations_are_read_in_the_unit_that_suits_them() {
        let said = [0.0, 2.4, 59.6, 90.0, 150.0, 3_600.0, 5_400.0, 100_000.0, 172_800.0, 900_000.0].map(duration);
        assert_eq!(said, ["0 s", "2.4 s", "60 s", "1.5 min", "2.5 min", "60 min", "1.5 h", "28 h", "2 d", "10 d"]);
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let svg = bar_chart(&chart(&["one", "two"], &[("a", &[10.0, 20.0]), ("b", &[40.0, 0.0])], Unit::Count));
        let widths = bars(&svg, "width");
        assert_eq!(widths.len(), 3, "nothing is drawn for nothing");
        assert!((widths[1] / widths[0] - 2.0).abs() < 0.01 && (widths[2] / widths[0] - 4.0).abs() < 0.01, "{widths:?}");
        assert!(svg.contains("<title>a, two: 20</title>"), "{svg}");
    }

    #[test]
    fn columns_are_stacked() {
        let svg = column_chart(&chart(&["one", "two"], &[("a", &[10.0, 30.0]), ("b", &[5.0, 5.0])], Unit::Count));
        let (y, height) = (bars(&svg, "y"), bars(&svg, "height"));
        assert!((y[0] - (y[1] + height[1])).abs() < 0.2, "the second stands on the first: {y:?} {height:?}");
        assert!((height[1] / height[0] - 3.0).abs() < 0.05);
        assert!(y.iter().all(|y| *y >= 29.9), "{y:?}");
    }

    #[test]
    fn chart_labels_are_escaped() {
        let hostile = "</text><script>\"&";
        let mut chart = chart(&["one"], &[(hostile, &[1.0])], Unit::Count);
        (chart.title, chart.description) = (hostile, hostile);
        for svg in [bar_chart(&chart), column_chart(&chart)] {
            assert!(!svg.contains("<script") && !svg.contains("</text><s"), "{svg}");
            assert!(svg.contains("&lt;/text&gt;&lt;script&gt;&quot;&amp;</title>"), "{svg}");
            assert!(!svg.contains("style="), "a page may hold no style");
        }
        let none = super::tests::chart(&["one"], &[], Unit::Seconds);
        assert!(column_chart(&none).ends_with("</svg>") && bar_chart(&none).ends_with("</svg>"));
    }

    #[test]
    fn many_columns_keep_apart_and_their_words_too() {
        let days: Vec<(String, [f64; 1])> = (0..90).map(|day| (format!("{day} Nov"), [1.0])).collect();
        let days: Vec<(&str, &[f64])> = days.iter().map(|(label, values)| (label.as_str(), &values[..])).collect();
        let svg = column_chart(&chart(&["one"], &days, Unit::Count));
        assert_eq!(bars(&svg, "x").len(), 90);
        let words = svg.matches("Nov</text>").count();
        assert!((4..=7).contains(&words), "{words}");
        assert!(svg.contains("89 Nov</text>"), "the last day is always named");
    }
}
