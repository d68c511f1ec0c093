//! Two calibrations held against each other, operation by operation.

mod source;
mod table;

use serde::Serialize;

pub use source::{Found, How, Source, SourceError};
pub use table::render;

use super::gpu::measure::quantile;
use super::gpu::operation::{NumberType, Operation};

/// Version of the JSON document.
const SCHEMA: u32 = 1;
/// Ratios nearer to 1 are no difference to be listed: they are shown as 1.
const LEAST_DIFFERENCE: f64 = 5e-4;
/// How many pairs are listed as the worst.
const WORST: usize = 5;

/// An operation that both sides have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The operation with its shape.
    pub operation: Operation,
    /// Number type of its inputs.
    pub dtype: Option<NumberType>,
    /// Time on the first side, microseconds.
    pub a_us: f64,
    /// Time on the second side, microseconds.
    pub b_us: f64,
    /// Second over first.
    pub ratio: f64,
    /// How the time of the side that is looked up was found.
    pub how: How,
    /// Whether a side found in the device's second-level cache what it read: its launches touched
    /// less than twice as much as that holds.
    pub in_cache: bool,
}

/// The ratios of one operation and number type; pairs of which a side read from the second-level
/// cache are apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The operation's name.
    pub operation: &'static str,
    /// Number type of its inputs.
    pub dtype: Option<NumberType>,
    /// Whether a side of these pairs found in the second-level cache what it read.
    pub in_cache: bool,
    /// Pairs.
    pub count: usize,
    /// Of these, pairs of two measurements of the very shape.
    pub exact: usize,
    /// Pairs of which one was read between measurements.
    pub interpolated: usize,
    /// Pairs of which one was scaled from the nearest measurement.
    pub extrapolated: usize,
    /// 10th percentile of second over first.
    pub ratio_p10: f64,
    /// Median of second over first.
    pub ratio_median: f64,
    /// 90th percentile of second over first.
    pub ratio_p90: f64,
}

/// Two calibrations held against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Version of the document, 1.
    pub schema: u32,
    /// The first side: its file or tables, and what was measured with.
    pub a: String,
    /// The second side.
    pub b: String,
    /// By operation and number type, in the order of the first file.
    pub operations: Vec<Summary>,
    /// The pairs whose ratio is farthest from 1.
    pub worst: Vec<Pair>,
    /// Operations that only the first side has.
    pub only_a: usize,
    /// Operations that only the second side has (of kernel tables: not counted).
    pub only_b: usize,
}

impl Comparison {
    /// Compares two sides, one of which is a file at least.
    ///
    /// # Errors
    /// Both are kernel tables, which are no list of operations.
    pub fn of(a: &Source, b: &Source) -> Result<Comparison, SourceError> {
        let listed = match (a.rows(), b.rows()) {
            (Some(rows), _) | (None, Some(rows)) => rows,
            (None, None) => return Err(SourceError::TwoTables),
        };
        let pairs: Vec<Pair> = listed
            .iter()
            .filter_map(|row| pair(a, b, &row.operation, row.dtype))
            .collect();
        let missing = |side: &Source| side.rows().map_or(0, |rows| rows.len() - pairs.len());
        let differs = |pair: &&Pair| (pair.ratio - 1.0).abs() >= LEAST_DIFFERENCE;
        let mut worst: Vec<Pair> = pairs.iter().filter(differs).cloned().collect();
        worst.sort_by(|one, other| other.ratio.ln().abs().total_cmp(&one.ratio.ln().abs()));
        worst.truncate(WORST);
        Ok(Comparison {
            schema: SCHEMA,
            a: a.label(),
            b: b.label(),
            operations: summaries(&pairs),
            worst,
            only_a: missing(a),
            only_b: missing(b),
        })
    }
}

fn pair(a: &Source, b: &Source, operation: &Operation, dtype: Option<NumberType>) -> Option<Pair> {
    let (one, other) = (a.find(operation, dtype)?, b.find(operation, dtype)?);
    Some(Pair {
        operation: operation.clone(),
        dtype,
        a_us: one.us,
        b_us: other.us,
        ratio: other.us / one.us,
        how: one.how.max(other.how),
        in_cache: one.in_cache || other.in_cache,
    })
}

/// What pairs are summed up by.
type Kind = (&'static str, Option<NumberType>, bool);

fn kind(pair: &Pair) -> Kind {
    (pair.operation.name(), pair.dtype, pair.in_cache)
}

/// By operation and number type, in the order in which they come first; those from the cache after
/// the others of their operation.
fn summaries(pairs: &[Pair]) -> Vec<Summary> {
    let mut kinds: Vec<Kind> = Vec::new();
    for pair in pairs {
        let (operation, dtype, _) = kind(pair);
        if !kinds.iter().any(|own| (own.0, own.1) == (operation, dtype)) {
            kinds.extend([false, true].map(|in_cache| (operation, dtype, in_cache)));
        }
    }
    let found = kinds.into_iter().map(|kind| summary(pairs, kind));
    found.filter(|summary| summary.count > 0).collect()
}

fn summary(pairs: &[Pair], own: Kind) -> Summary {
    let of_kind: Vec<&Pair> = pairs.iter().filter(|pair| kind(pair) == own).collect();
    let ratios: Vec<f64> = of_kind.iter().map(|pair| pair.ratio).collect();
    let count = |how: How| of_kind.iter().filter(|pair| pair.how == how).count();
    let (operation, dtype, in_cache) = own;
    Summary {
        operation,
        dtype,
        in_cache,
        count: of_kind.len(),
        exact: count(How::Exact),
        interpolated: count(How::Interpolated),
        extrapolated: count(How::Extrapolated),
        ratio_p10: quantile(&ratios, 0.1),
        ratio_median: quantile(&ratios, 0.5),
        ratio_p90: quantile(&ratios, 0.9),
    }
}
