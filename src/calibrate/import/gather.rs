//! How measurements become rows: those of one shape and kernel are one, by their median, and of
//! several kernels the fastest is kept, as frameworks choose it.

use std::collections::BTreeMap;

use crate::calibrate::gpu::measure::quantile;
use crate::calibrate::gpu::operation::{NumberType, Operation};
use crate::calibrate::gpu::record::{ImportFacts, Row, Spread};

/// Fewer values than this have no percentiles worth the name.
const LEAST_FOR_PERCENTILES: usize = 10;

/// Why a measurement is left out that has no time.
pub const NO_TIME: &str = "without a time above 0";
/// Why one is left out that another kernel of the same shape beats.
const SLOWER: &str = "of a slower kernel of the same shape";
/// Why one is left out whose time or sizes cannot be.
const TOO_FAST: &str = "faster than any device (its unit or its sizes are wrong)";

/// The values of one shape and kernel, microseconds.
#[derive(Debug, Default)]
struct Values {
    us: Vec<f64>,
    /// What another tool tells of the samples behind the last value, and how many there were.
    spread: Option<Spread>,
    samples: Option<u32>,
}

/// Measurements on their way to rows.
#[derive(Debug, Default)]
pub struct Gather {
    cells: BTreeMap<(Operation, Option<NumberType>), BTreeMap<String, Values>>,
    read: u64,
    skipped: BTreeMap<String, u64>,
}

impl Gather {
    /// Adds a measurement, in microseconds; one without a time above 0 is counted as left out.
    pub fn add(
        &mut self,
        operation: Operation,
        dtype: Option<NumberType>,
        kernel: &str,
        us: f64,
        spread: Option<Spread>,
    ) {
        if !(us > 0.0 && us.is_finite()) {
            return self.skip(NO_TIME);
        }
        self.read += 1;
        let kernels = self.cells.entry((operation, dtype)).or_default();
        if !kernels.contains_key(kernel) {
            kernels.insert(kernel.to_owned(), Values::default());
        }
        if let Some(values) = kernels.get_mut(kernel) {
            values.us.push(us);
            values.spread = spread;
        }
    }

    /// Adds the median that another tool took of so many samples.
    pub fn add_median(&mut self, operation: Operation, us: f64, spread: Option<Spread>, of: u32) {
        let key = (operation.clone(), None);
        self.add(operation, None, "", us, spread);
        let values = self
            .cells
            .get_mut(&key)
            .and_then(|kernels| kernels.get_mut(""));
        if let Some(values) = values {
            values.samples = Some(of);
        }
    }

    /// Counts a measurement that is left out.
    pub fn skip(&mut self, why: &str) {
        self.read += 1;
        match self.skipped.get_mut(why) {
            Some(count) => *count += 1,
            None => {
                self.skipped.insert(why.to_owned(), 1);
            }
        }
    }

    /// Counts all measurements of another as left out.
    pub fn skip_all(&mut self, other: &Gather, why: &str) {
        if other.read > 0 {
            self.read += other.read;
            *self.skipped.entry(why.to_owned()).or_default() += other.read;
        }
    }

    /// The rows, sorted, and what is to be said of the import.
    pub fn finish(mut self, source: String, files: Vec<String>) -> (Vec<Row>, ImportFacts) {
        let cells = std::mem::take(&mut self.cells);
        let mut kept = 0;
        let mut rows = Vec::with_capacity(cells.len());
        for ((operation, dtype), kernels) in cells {
            let of_shape: u64 = kernels.values().map(|values| values.us.len() as u64).sum();
            let medians = kernels.into_iter().map(|(kernel, values)| {
                let median = median(&values.us);
                (median, kernel, values)
            });
            let Some((median_us, kernel, values)) =
                medians.reduce(|best, next| if next.0 < best.0 { next } else { best })
            else {
                continue;
            };
            let of_kernel = values.us.len() as u64;
            if of_shape > of_kernel {
                *self.skipped.entry(SLOWER.to_owned()).or_default() += of_shape - of_kernel;
            }
            let row = row(operation, dtype, (median_us, kernel), &values);
            if !row.is_possible() {
                *self.skipped.entry(TOO_FAST.to_owned()).or_default() += of_kernel;
                continue;
            }
            kept += of_kernel;
            rows.push(row);
        }
        let facts = ImportFacts {
            source,
            files,
            read: self.read,
            kept,
            skipped: self.skipped,
        };
        (rows, facts)
    }
}

fn row(
    operation: Operation,
    dtype: Option<NumberType>,
    (median_us, kernel): (f64, String),
    values: &Values,
) -> Row {
    let us = &values.us;
    let enough = us.len() >= LEAST_FOR_PERCENTILES;
    let rate = |work: f64, unit: f64| (work > 0.0).then(|| work / (median_us * unit));
    Row {
        tflop_per_s: rate(operation.flops(), 1e6).map(rounded),
        gb_per_s: rate(operation.bytes(dtype), 1e3).map(rounded),
        operation,
        dtype,
        used_for: Vec::new(),
        median_us,
        p10_us: enough.then(|| quantile(us, 0.1).min(median_us)),
        p90_us: enough.then(|| quantile(us, 0.9).max(median_us)),
        spread: match us.len() {
            1 => values.spread,
            _ => Some(spread(us)),
        },
        samples: match values.samples.filter(|_| us.len() == 1) {
            Some(told) => told,
            None => u32::try_from(us.len()).unwrap_or(u32::MAX),
        },
        launches_per_sample: None,
        buffers: None,
        footprint_bytes: None,
        graph: None,
        kernel: (!kernel.is_empty()).then_some(kernel),
        drifted: false,
        checked: None,
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[half - 1] + sorted[half]) / 2.0,
        _ => sorted[half],
    }
}

fn spread(values: &[f64]) -> Spread {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    Spread {
        min_us: values.iter().copied().reduce(f64::min),
        max_us: values.iter().copied().reduce(f64::max),
        mean_us: rounded(mean),
        std_us: rounded(square.sqrt()),
    }
}

/// Six significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
