//! What there is more of, the larger a fleet is, by the names of figures.

use super::schema::Constraint;
use crate::experiment::metric::Metric;

/// Words of the last names of such figures.
const GROWS: [&str; 9] = [
    "replicas",
    "servers",
    "accelerators",
    "nodes",
    "hours",
    "idle",
    "kwh",
    "co2",
    "usd",
];
/// What requests see, of which a larger fleet has no less.
const SEEN: [&str; 4] = ["attained", "answered", "completed", "goodput_rps"];

/// The first and the last name of a path.
fn ends(path: &str) -> (&str, &str) {
    let mut names = path.split('.');
    let first = names.next().unwrap_or_default();
    (first, names.next_back().unwrap_or(first))
}

fn grows(path: &str) -> bool {
    let (first, last) = ends(path);
    ["cost", "energy"].contains(&first) || GROWS.iter().any(|word| last.contains(word))
}

fn is_any(metric: &str, is: impl Fn(&str) -> bool) -> bool {
    Metric::parse(metric).is_ok_and(|it| it.paths().iter().any(|path| is(path)))
}

/// Whether an objective grows with the fleet: of a latency, say, more servers have less.
pub fn objective_grows(objective: &str) -> bool {
    is_any(objective, grows)
}

/// Whether more of what is looked for by halves may do harm to a constraint: what must be used so much, and
/// what may cost so much. What requests see (their times, answers and objectives) more only helps.
pub fn may_be_overshot(constraint: &Constraint) -> bool {
    is_any(&constraint.metric, |path| match constraint.at_most {
        Some(_) => grows(path),
        None => {
            let (first, last) = ends(path);
            !SEEN.contains(&last) && !["slo", "throughput"].contains(&first)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_larger_fleet_may_overshoot_is_known_by_its_field() {
        let overshot = |metric: &str, at_most: bool| {
            may_be_overshot(&Constraint {
                name: "x".to_owned(),
                metric: metric.to_owned(),
                at_most: at_most.then_some(1.0),
                at_least: (!at_most).then_some(1.0),
            })
        };
        for (metric, at_most, expected) in [
            ("latency.e2e_ms.p99", true, false),
            ("pools.nodes.utilization", true, false),
            ("latency.queue_ms.p99 / latency.e2e_ms.p99", true, false),
            ("cost.usd_per_million_within_objective", true, true),
            ("pools.nodes.accelerators", true, true),
            ("pools.nodes.utilization", false, true),
            ("slo.default.attained", false, false),
            ("(slo.a.attained + slo.b.attained) / 2", false, false),
            ("populations.europe.attained", false, false),
            ("throughput.requests_per_s", false, false),
            ("requests.completed", false, false),
        ] {
            assert_eq!(overshot(metric, at_most), expected, "{metric}");
        }
    }

    #[test]
    fn objectives_that_grow_with_the_fleet_are_told_from_others() {
        for (objective, expected) in [
            ("cost.usd_per_year", true),
            ("scenario.pools.nodes.servers * 2", true),
            ("latency.queue_ms.mean", false),
            ("pools.nodes.utilization", false),
        ] {
            assert_eq!(objective_grows(objective), expected, "{objective}");
        }
    }
}
