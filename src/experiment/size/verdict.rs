//! What looks show: a constraint is met only where the whole interval is within its bound.

use serde::Serialize;

use super::look::{Figure, Look};
use super::schema::Constraint;
use crate::experiment::metric::Metric;
use crate::experiment::runner::Unsettled;
use crate::measure::Interval;

/// What a look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All constraints are met: every interval is wholly within its bound.
    Met,
    /// One is not: its interval is wholly beyond its bound.
    Missed,
    /// Neither is known.
    Unknown,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Missed => "missed",
            Verdict::Unknown => "not known",
        }
    }
}

/// A constraint at a design.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub constraint: String,
    /// Its metric.
    pub metric: String,
    /// `at_most` or `at_least`.
    pub relation: &'static str,
    /// Its bound.
    pub bound: f64,
    /// What was found; none where there is no such number.
    pub value: Option<f64>,
    /// The lower end of its interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Whether it is met.
    pub verdict: Verdict,
    /// From the bound to the end of the interval that is nearest to it or farthest beyond, in the unit of
    /// the metric; negative beyond the bound.
    pub margin: Option<f64>,
    /// That, percent of the bound (of what may be missed, for shares that must be at least so much).
    pub margin_pct: Option<f64>,
    /// Why it is not known, where no interval says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// All constraints at a design.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Of all together.
    pub verdict: Verdict,
    /// One by one.
    pub standings: Vec<Standing>,
}

/// Judges a look by intervals of that confidence each.
pub fn judge(look: &Look, constraints: &[Constraint], confidence: f64) -> Judged {
    let rows = constraints.iter().zip(&look.constraints);
    let standings: Vec<Standing> = rows
        .map(|(constraint, figure)| stand(look, constraint, figure, confidence))
        .collect();
    let has = |verdict| standings.iter().any(|it| it.verdict == verdict);
    let verdict = match (has(Verdict::Missed), has(Verdict::Unknown)) {
        (true, _) => Verdict::Missed,
        (_, true) => Verdict::Unknown,
        _ => Verdict::Met,
    };
    Judged { verdict, standings }
}

/// Whether a look is promising: the figures themselves are within the bounds, whatever their intervals.
pub fn promising(look: &Look, constraints: &[Constraint]) -> bool {
    let mut rows = constraints.iter().zip(&look.constraints);
    let within = |(constraint, figure): (&Constraint, &Figure)| {
        figure.value.is_some_and(|value| constraint.allows(value))
    };
    look.unsettled.is_none() && look.partial.is_none() && rows.all(within)
}

fn stand(look: &Look, constraint: &Constraint, figure: &Figure, confidence: f64) -> Standing {
    let metric = Metric::parse(&constraint.metric).ok();
    let span = span(look, figure, metric.as_ref(), confidence);
    let doubt = doubt(look, constraint, figure, confidence);
    let beyond = |it: f64| !constraint.allows(it);
    let verdict = match (look.unsettled, figure.value, span) {
        // It is beyond any bound in the long run, unless the figure is no latency at all.
        (Some(Unsettled::Overloaded), Some(value), _) if beyond(value) => Verdict::Missed,
        (_, Some(value), Some((low, high))) if beyond(value) && beyond(low) && beyond(high) => {
            Verdict::Missed
        }
        (_, Some(value), Some((low, high)))
            if doubt.is_none() && ![value, low, high].into_iter().any(beyond) =>
        {
            Verdict::Met
        }
        _ => Verdict::Unknown,
    };
    let ends = span.map(|(low, high)| [low, high]);
    let worst = |ends: [f64; 2]| constraint.margin(ends[0]).min(constraint.margin(ends[1]));
    let margin = ends.map(worst);
    Standing {
        constraint: constraint.name.clone(),
        metric: constraint.metric.clone(),
        relation: match constraint.at_most {
            Some(_) => "at_most",
            None => "at_least",
        },
        bound: constraint.bound(),
        value: figure.value,
        low: span.map(|it| it.0),
        high: span.map(|it| it.1),
        verdict,
        margin,
        margin_pct: margin.and_then(|margin| {
            let whole = scale(constraint);
            (whole > 0.0).then(|| 100.0 * margin / whole)
        }),
        doubt: doubt.filter(|_| verdict == Verdict::Unknown),
    }
}

/// What margins are compared with.
fn scale(constraint: &Constraint) -> f64 {
    match constraint.at_least {
        Some(least) if constraint.metric.starts_with("slo.") => 1.0 - least,
        _ => constraint.bound().abs(),
    }
}

/// The interval of a figure.
fn span(
    look: &Look,
    figure: &Figure,
    metric: Option<&Metric>,
    confidence: f64,
) -> Option<(f64, f64)> {
    let value = figure.value?;
    if look.exact {
        return Some((value, value));
    }
    let values: Option<Vec<f64>> = figure.replications.iter().copied().collect();
    let possible = metric.map_or((f64::NEG_INFINITY, f64::INFINITY), Metric::possible);
    let interval = Interval::of_whole(value, &values?, confidence)?.within(possible);
    Some((interval.low, interval.high))
}

/// Why a figure cannot show that its constraint is met, whatever its interval.
fn doubt(look: &Look, constraint: &Constraint, figure: &Figure, confidence: f64) -> Option<String> {
    if let Some(partial) = &look.partial {
        return Some(format!("the run is partial: {partial}"));
    }
    match look.unsettled {
        Some(Unsettled::Overloaded) => {
            return Some("more work is offered than can be done".to_owned());
        }
        Some(Unsettled::Growing) => {
            return Some(
                "requests in flight grew until the last arrival: run for longer".to_owned(),
            );
        }
        None => {}
    }
    if let Some(doubt) = &figure.doubt {
        return Some(doubt.clone());
    }
    // Where no request missed, replications do not differ, and their interval is no width at all.
    let (counted, least) = (figure.counted?, constraint.at_least?);
    let all = figure.replications.iter().all(|it| *it == Some(1.0));
    if !all || look.exact || !(0.0..1.0).contains(&least) {
        return None;
    }
    let none_missed = least.powf(counted as f64);
    (none_missed > 1.0 - confidence).then(|| {
        format!("none of {counted} requests missed it, which is too few to tell: run for longer")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(values: &[f64]) -> Look {
        let figure = Figure {
            value: Some(values.iter().sum::<f64>() / values.len() as f64),
            replications: values.iter().copied().map(Some).collect(),
            counted: None,
            doubt: None,
        };
        Look {
            events: 1,
            digest: String::new(),
            exact: false,
            unsettled: None,
            partial: None,
            objective: figure.clone(),
            constraints: vec![figure],
        }
    }

    fn at_most(most: f64) -> Vec<Constraint> {
        vec![Constraint {
            name: "p99".to_owned(),
            metric: "latency.e2e_ms.p99".to_owned(),
            at_most: Some(most),
            at_least: None,
        }]
    }

    #[test]
    fn an_interval_that_crosses_the_bound_shows_nothing() {
        // 3 with 1.963 to either side at 95 % (Student's t with 4 degrees of freedom).
        let look = look(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        for (bound, verdict) in [
            (4.97, Verdict::Met),
            (4.95, Verdict::Unknown),
            (3.0, Verdict::Unknown),
            (1.05, Verdict::Unknown),
            (1.03, Verdict::Missed),
        ] {
            let judged = judge(&look, &at_most(bound), 0.95);
            assert_eq!(judged.verdict, verdict, "{bound}");
            let margin = judged.standings[0].margin.unwrap();
            assert!((margin - (bound - 4.963)).abs() < 1e-3);
        }
        // Surer intervals are wider.
        assert_eq!(judge(&look, &at_most(4.97), 0.99).verdict, Verdict::Unknown);
    }

    #[test]
    fn what_is_in_doubt_is_never_met() {
        let fine = look(&[1.0, 1.1, 0.9]);
        assert_eq!(judge(&fine, &at_most(50.0), 0.95).verdict, Verdict::Met);
        let mut growing = fine.clone();
        growing.unsettled = Some(Unsettled::Growing);
        let mut cut = fine.clone();
        cut.partial = Some("stopped".to_owned());
        let mut thin = fine.clone();
        thin.constraints[0].doubt = Some("thin".to_owned());
        let mut missing = fine.clone();
        missing.constraints[0].replications[1] = None;
        for look in [growing, cut, thin, missing] {
            let judged = judge(&look, &at_most(50.0), 0.95);
            assert_eq!(judged.verdict, Verdict::Unknown, "{look:?}");
        }
        let mut overloaded = fine;
        overloaded.unsettled = Some(Unsettled::Overloaded);
        assert_eq!(
            judge(&overloaded, &at_most(0.5), 0.95).verdict,
            Verdict::Missed
        );
        assert_eq!(
            judge(&overloaded, &at_most(50.0), 0.95).verdict,
            Verdict::Unknown
        );
    }

    #[test]
    fn that_none_missed_is_evidence_only_where_many_could_have() {
        let mut look = look(&[1.0, 1.0, 1.0]);
        let share = vec![Constraint {
            name: "in time".to_owned(),
            metric: "slo.default.attained".to_owned(),
            at_most: None,
            at_least: Some(0.99),
        }];
        // 0.99^298 = 0.050, 0.99^299 = 0.0495.
        look.constraints[0].counted = Some(298);
        assert_eq!(judge(&look, &share, 0.95).verdict, Verdict::Unknown);
        look.constraints[0].counted = Some(299);
        let judged = judge(&look, &share, 0.95);
        assert_eq!(judged.verdict, Verdict::Met);
        // All of the one per cent that may be late is left.
        assert!((judged.standings[0].margin_pct.unwrap() - 100.0).abs() < 1e-9);
    }
}
