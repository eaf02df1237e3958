//! How long people let requests wait, as figures: the mean, the median, the 90th percentile, and
//! the share within the goal.

/// One decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The time from the request to the decision.
    pub seconds: f64,
    /// The goal of its level, in seconds; `None` if the level has no goal.
    pub goal: Option<f64>,
}

/// How long decisions took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Times {
    pub decided: usize,
    /// In seconds.
    pub mean: f64,
    pub median: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The share, from 0 to 1, of the decisions with a goal that met it; `None` if none has a goal.
    pub within_goal: Option<f64>,
}

/// The figures of these decisions; `None` if there are none.
pub fn times(samples: impl IntoIterator<Item = Sample>) -> Option<Times> {
    let samples: Vec<Sample> = samples.into_iter().collect();
    let mut seconds: Vec<f64> = samples.iter().map(|sample| sample.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let with_goal: Vec<bool> = samples.iter().filter_map(|sample| Some(sample.seconds <= sample.goal?)).collect();
    let within = with_goal.iter().filter(|is_within| **is_within).count();
    Some(Times {
        decided: seconds.len(),
        mean: seconds.iter().sum::<f64>() / count(seconds.len()),
        median: percentile(&seconds, 0.5)?,
        p90: percentile(&seconds, 0.9)?,
        within_goal: (!with_goal.is_empty()).then(|| count(within) / count(with_goal.len())),
    })
}

/// A percentile of sorted values, interpolated as PostgreSQL's `percentile_cont` does.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = share * count(sorted.len().checked_sub(1)?);
    let (lower, upper) = (rank.floor(), rank.ceil());
    let value = |rank: f64| sorted.iter().copied().zip(0_u32..).find(|(_, n)| f64::from(*n) >= rank).map(|(value, _)| value);
    let (low, high) = (value(lower)?, value(upper)?);
    Some((high - low).mul_add(rank - lower, low))
}

/// A histogram: how many values are at most each of these ends and above the one before; the last
/// count is of the values above all of them.
pub fn histogram<const N: usize>(ends: [f64; N], values: impl IntoIterator<Item = f64>) -> Vec<usize> {
    let mut counts = vec![0; N + 1];
    for value in values {
        counts[ends.iter().position(|end| value <= *end).unwrap_or(N)] += 1;
    }
    counts
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: &[f64], goal: Option<f64>) -> Times {
        times(seconds.iter().map(|seconds| Sample { seconds: *seconds, goal })).unwrap()
    }

    #[test]
    fn figures_are_those_of_a_spreadsheet() {
        let found = of(&[40.0, 10.0, 20.0, 30.0, 900.0], Some(30.0));
        assert_eq!((found.decided, found.mean, found.median), (5, 200.0, 30.0));
        assert!((found.p90 - 556.0).abs() < 1e-9, "{found:?}");
        assert_eq!(found.within_goal, Some(0.6));
        let two = of(&[10.0, 20.0], None);
        assert_eq!((two.median, two.p90, two.within_goal), (15.0, 19.0, None));
        assert_eq!(of(&[7.0], Some(6.9)).within_goal, Some(0.0));
        assert_eq!(times([]), None);
    }

    #[test]
    fn a_decision_without_a_goal_is_neither_within_it_nor_beyond() {
        let sample = |seconds, goal| Sample { seconds, goal };
        let found = times([sample(1.0, None), sample(5.0, Some(10.0)), sample(50.0, Some(10.0))]).unwrap();
        assert_eq!((found.decided, found.within_goal), (3, Some(0.5)));
    }

    #[test]
    fn every_value_is_in_one_bucket() {
        assert_eq!(histogram([60.0, 300.0], [0.0, 60.0, 60.1, 300.0, 301.0, 9e9]), [2, 2, 2]);
    }
}
