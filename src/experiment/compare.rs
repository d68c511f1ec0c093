//! Two results side by side: differences with their intervals, and a verdict.
//!
//! Replications of two designs share their random numbers, so that the difference is taken pair by
//! pair. All intervals together hold with the stated confidence (Bonferroni): of many figures some
//! would differ by chance otherwise.

pub mod figures;
pub mod side;

use serde::Serialize;

use self::figures::{Better, Figure, default_figures};
use self::side::Side;
use super::claims::no_evidence;
use super::metric::MetricError;
use crate::measure::Interval;

/// What is said of one figure of B, next to A's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// B's is better.
    Better,
    /// B's is worse.
    Worse,
    /// They differ, and neither way is better.
    Differs,
    /// They are the same.
    Same,
    /// No difference is shown.
    NotShown,
    /// A run is no evidence for it.
    NoEvidence,
}

/// One figure of both.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// The figure.
    #[serde(flatten)]
    pub figure: Figure,
    /// A's value.
    pub a: f64,
    /// B's.
    pub b: f64,
    /// B's less A's.
    pub difference: f64,
    /// That in percent of A's; none where A's is 0.
    pub percent: Option<f64>,
    /// The lower end of the difference's interval; none where there is no interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why there is no evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// How the differences are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing in either is random.
    Exact,
    /// Pairs of replications on the same random numbers.
    Paired,
    /// Pairs of replications on other random numbers each.
    Independent,
    /// One run each, or numbers of replications that differ: differences have no intervals.
    Single,
}

/// Two results side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// How the differences are known.
    pub basis: Basis,
    /// The probability with which all intervals hold together.
    pub confidence: f64,
    /// Pairs of replications.
    pub pairs: usize,
    /// The figures.
    pub figures: Vec<Compared>,
    /// The verdict on B.
    pub verdict: Overall,
}

/// What is said of B as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Better in something and worse in nothing.
    Better,
    /// Worse in something and better in nothing.
    Worse,
    /// Better in some and worse in others.
    Mixed,
    /// It differs in something of which neither way is better.
    Differs,
    /// Neither is shown.
    NotShown,
    /// All the same.
    Same,
}

/// Compares two results by the figures both have, and by those asked for.
///
/// # Errors
/// When a figure that was asked for has no value in one of them.
pub fn compare(a: &Side, b: &Side, asked: &[Figure]) -> Result<Comparison, MetricError> {
    let basis = match (a.replications.len(), b.replications.len()) {
        _ if a.exact && b.exact => Basis::Exact,
        (n, m) if n < 2 || n != m => Basis::Single,
        _ if a.seed() == b.seed() => Basis::Paired,
        _ => Basis::Independent,
    };
    let confidence = a.confidence.max(b.confidence);
    let figures: Vec<Figure> = match asked.is_empty() {
        true => default_figures(a, b),
        false => asked.to_vec(),
    };
    let values = figures.into_iter().map(|figure| {
        let value = |side: &Side| figure.metric.of_all(&side.document, &side.replications);
        Ok((value(a)?, value(b)?, figure))
    });
    let values = values.collect::<Result<Vec<(f64, f64, Figure)>, MetricError>>()?;
    // What is the same in every pair needs no test.
    let tested = values
        .iter()
        .filter(|(_, _, figure)| !figure.metric.is_of_extremes() && differs(a, b, figure))
        .count();
    let each = 1.0 - (1.0 - confidence) / tested.max(1) as f64;
    let figures: Vec<Compared> = values
        .into_iter()
        .map(|(of_a, of_b, figure)| {
            let interval = match basis {
                Basis::Paired | Basis::Independent => {
                    difference(a, b, &figure, (of_b - of_a, each))
                }
                Basis::Exact | Basis::Single => None,
            };
            judged(a, b, (of_a, of_b), figure, (basis, interval))
        })
        .collect();
    let any = |what: Verdict| figures.iter().any(|it| it.verdict == what);
    let verdict = match (any(Verdict::Better), any(Verdict::Worse)) {
        (true, true) => Overall::Mixed,
        (true, false) => Overall::Better,
        (false, true) => Overall::Worse,
        _ if any(Verdict::Differs) => Overall::Differs,
        _ if figures.iter().all(|it| it.verdict == Verdict::Same) => Overall::Same,
        _ => Overall::NotShown,
    };
    Ok(Comparison {
        basis,
        confidence,
        pairs: a.replications.len().min(b.replications.len()),
        figures,
        verdict,
    })
}

fn by_replication(side: &Side, figure: &Figure) -> Option<Vec<f64>> {
    let values = side
        .replications
        .iter()
        .map(|run| figure.metric.evaluate(run).ok());
    values.collect()
}

fn differs(a: &Side, b: &Side, figure: &Figure) -> bool {
    by_replication(a, figure) != by_replication(b, figure)
}

/// The interval of B's less A's, `whole` in all, by how pairs of replications differ.
fn difference(
    a: &Side,
    b: &Side,
    figure: &Figure,
    (whole, confidence): (f64, f64),
) -> Option<Interval> {
    if figure.metric.is_of_extremes() {
        return None;
    }
    let (of_a, of_b) = (by_replication(a, figure)?, by_replication(b, figure)?);
    let pairs = of_b.iter().zip(&of_a);
    let each: Vec<f64> = pairs.map(|(of_b, of_a)| of_b - of_a).collect();
    Interval::of_whole(whole, &each, confidence)
}

fn judged(
    a: &Side,
    b: &Side,
    (of_a, of_b): (f64, f64),
    figure: Figure,
    (basis, interval): (Basis, Option<Interval>),
) -> Compared {
    let doubt = no_evidence(&a.document, &figure.metric).map(|why| format!("A: {why}"));
    let of_b_doubt = || no_evidence(&b.document, &figure.metric).map(|why| format!("B: {why}"));
    let doubt = doubt.or_else(of_b_doubt);
    let change = of_b - of_a;
    // Beyond doubt above 0, or below it.
    let sign = match (basis, &interval) {
        (Basis::Exact, _) => change.partial_cmp(&0.0).map_or(0, |order| order as i32),
        (_, Some(interval)) if interval.low > 0.0 => 1,
        (_, Some(interval)) if interval.high < 0.0 => -1,
        _ => 0,
    };
    let same = change == 0.0 && !differs(a, b, &figure);
    let verdict = match (sign, figure.better) {
        _ if doubt.is_some() => Verdict::NoEvidence,
        _ if same => Verdict::Same,
        (0, _) => Verdict::NotShown,
        (-1, Better::Less) | (1, Better::More) => Verdict::Better,
        (_, Better::Neither) => Verdict::Differs,
        _ => Verdict::Worse,
    };
    Compared {
        a: of_a,
        b: of_b,
        difference: change,
        percent: (of_a != 0.0).then(|| 100.0 * change / of_a.abs()),
        low: interval.map(|it| it.low),
        high: interval.map(|it| it.high),
        verdict,
        doubt,
        figure,
    }
}
