//! How well a value is known, and the verdict that follows.

use serde_json::Value;

use super::{Verdict, short};
use crate::measure::{BATCH_MEANS, Interval};

/// How well a value is known.
pub(super) enum Certainty {
    /// Nothing in the runs is random. What the interval says is of other times like these.
    Exact(Option<Interval>),
    /// To an interval.
    Within(Interval),
    /// One value of something that has no interval here: a count, a share, a comparison.
    Single,
    /// The most of all of so many replications, which no interval bounds.
    Most(usize),
    /// The run is too short to say.
    Unbounded,
}

/// The share of samples beyond a statistic of a latency.
pub(super) fn beyond(statistic: &str) -> f64 {
    match statistic {
        "p50" => 0.5,
        "p90" => 0.1,
        "p95" => 0.05,
        "p99" | "mean" => 0.01,
        "p999" => 0.001,
        _ => 0.0,
    }
}

/// The words for an interval.
pub(super) fn span(interval: &Interval) -> String {
    format!(
        "{}% interval {} to {}",
        short(100.0 * interval.confidence),
        short(interval.low),
        short(interval.high)
    )
}

/// A verdict from a value, how well it is known, and the range that is fine.
pub(super) fn weigh(
    observed: f64,
    certainty: &Certainty,
    low: f64,
    high: f64,
) -> (Verdict, String) {
    let fine = observed >= low && observed <= high;
    let plain = if fine { Verdict::Holds } else { Verdict::Fails };
    let interval = match certainty {
        Certainty::Single => return (plain, "a single value, without an interval".to_owned()),
        Certainty::Most(runs) if *runs > 1 => {
            return (
                plain,
                format!("the most of all {runs} replications, which no interval bounds"),
            );
        }
        Certainty::Most(_) => return (plain, "the most of this one run".to_owned()),
        Certainty::Exact(None) => {
            return (plain, "exact: nothing in these runs is random".to_owned());
        }
        Certainty::Exact(Some(interval)) => {
            let why = format!(
                "exact: nothing in this run is random (for other times like it: {})",
                span(interval)
            );
            return (plain, why);
        }
        Certainty::Unbounded => {
            let why = "the run is too short to bound this: run for longer or replicate";
            return (Verdict::Untested, why.to_owned());
        }
        Certainty::Within(interval)
            if interval.high <= interval.low && interval.method != BATCH_MEANS =>
        {
            return (plain, "the same in every replication".to_owned());
        }
        Certainty::Within(interval) => interval,
    };
    let span = span(interval);
    let two_sided = low.is_finite() && high.is_finite();
    let inside = interval.low >= low && interval.high <= high;
    let outside = interval.high < low || interval.low > high;
    match (fine, two_sided) {
        (true, true) => (Verdict::Holds, span),
        (true, false) if inside => (Verdict::Holds, span),
        (false, _) if outside => (Verdict::Fails, span),
        _ => (
            Verdict::Untested,
            format!("the {span} reaches across the bound: run for longer or replicate more"),
        ),
    }
}

/// The batch-means interval that the run itself has for a latency.
pub(super) fn own_interval(document: &Value, path: &str) -> Option<Interval> {
    let mut here = document.get("intervals")?;
    for segment in path.strip_prefix("latency.")?.split('.') {
        here = here.get(segment)?;
    }
    let number = |key: &str| here.get(key).and_then(Value::as_f64);
    Some(Interval {
        estimate: number("estimate")?,
        half_width: number("half_width")?,
        low: number("low")?,
        high: number("high")?,
        confidence: number("confidence")?,
        n: here.get("n")?.as_u64()? as usize,
        method: BATCH_MEANS,
    })
}

/// Whether a path is a quantile that its own summary calls thin.
pub(super) fn is_thin(document: &Value, path: &str) -> bool {
    let Some((group, statistic)) = path.rsplit_once('.') else {
        return false;
    };
    let mut here = Some(document);
    for segment in group.split('.') {
        here = here.and_then(|value| value.get(segment));
    }
    let thin = here
        .and_then(|value| value.get("thin"))
        .and_then(Value::as_array);
    thin.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(statistic)))
}
