//! Matrix products.

use super::{Launch, Ready};
use crate::calibrate::gpu::device::{SCALES, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{Lab, passed};
use crate::calibrate::gpu::numbers::from_bf16;
use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::compare;
use crate::calibrate::gpu::sizes::{Turns, up};

/// Rows and columns of which results are compared.
const SPOTS: u64 = 7;

/// Weights come from memory: launches go through as many as fit the buffer. Inputs and results
/// stay where they are, as they do between the layers of a model.
pub fn prepare(lab: &Lab, [m, n, k]: [u64; 3], dtype: NumberType) -> Result<Ready<'_>, GpuError> {
    let one = dtype.bytes();
    let product = lab.blas.prepare([m, n, k], dtype)?;
    let x = lab.inputs().part(0, m * k * one)?;
    let y = lab.outputs().part(0, m * n * 2)?;
    let step = up(n * k * one);
    let turns = Turns::fitting(&[(n * k * one, lab.weights().bytes)]).and(x.bytes + y.bytes);
    let weights = move |index: u64| lab.weights().part(turns.of(index) * step, n * k * one);

    lab.poison(y)?;
    let last = turns.count - 1;
    product.run(&lab.device, x, weights(last)?, y)?;
    lab.written(y)?;
    let checked = check(lab, [m, n, k], dtype, last * step / one, y)?;
    let launch: Launch<'_> = Box::new(move |index| product.run(&lab.device, x, weights(index)?, y));
    Ok(Ready {
        launch,
        turns,
        checked: Some(passed(checked)?),
    })
}

/// Compares some results: corners, edges and some in between.
fn check(
    lab: &Lab,
    [m, n, k]: [u64; 3],
    dtype: NumberType,
    first_weight: u64,
    y: Span,
) -> Result<Checked, GpuError> {
    let factor = match dtype {
        NumberType::Bf16 => 1.0,
        _ => f64::from(SCALES[0]) * f64::from(SCALES[1]),
    };
    let rows = spots(m);
    let columns = spots(n);
    let matrix = |first: u64, index: u64, value: &dyn Fn(u64) -> f64| -> Vec<f64> {
        (0..k).map(|at| value(first + index * k + at)).collect()
    };
    let weights: Vec<Vec<f64>> = columns
        .iter()
        .map(|column| matrix(first_weight, *column, &|at| lab.weight(dtype, at)))
        .collect();
    let mut pairs = Vec::new();
    for row in rows {
        let input = matrix(0, row, &|at| lab.input(dtype, at));
        for (column, weight) in columns.iter().zip(&weights) {
            let sum: f64 = input.iter().zip(weight).map(|(a, b)| a * b).sum();
            let mut got = [0_u16];
            let place = y.part((row * n + column) * 2, 2)?;
            lab.device.download(place, &mut got)?;
            pairs.push((f64::from(from_bf16(got[0])), sum * factor));
        }
    }
    Ok(compare(&pairs, tolerance(dtype)))
}

/// Results have 8 bits of mantissa, the rounding of which is 0.002. Sums of 8-bit products are
/// kept in 14 bits or so within Hopper's tensor cores, which adds up over long rows.
fn tolerance(dtype: NumberType) -> f64 {
    match dtype {
        NumberType::Bf16 => 0.01,
        _ => 0.08,
    }
}

/// The first, the last, and some between, as primes spread them.
pub fn spots(count: u64) -> Vec<u64> {
    let between = (1..SPOTS - 1).map(|step| step * 7919 * 31 % count);
    let mut all: Vec<u64> = [0, count - 1].into_iter().chain(between).collect();
    all.sort_unstable();
    all.dedup();
    all
}
