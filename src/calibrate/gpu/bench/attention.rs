//! Attention: what prompts and decode steps have in common.

mod decode;
mod prefill;

pub use decode::prepare as prepare_decode;
pub use prefill::{by as prefill_by, prepare as prepare_prefill};

use super::gemm::spots;
use crate::calibrate::gpu::device::{Arg, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{Lab, WEIGHTS_SEED, passed};
use crate::calibrate::gpu::numbers::{filled, from_bf16};
use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::compare;

const BF16: NumberType = NumberType::Bf16;
/// Weights and results have 8 bits of mantissa, the rounding of which is 0.002.
const TOLERANCE: f64 = 0.02;
/// Products of a key and a query that a check computes at the most, times the width.
const MOST_CHECKED: u64 = 3_000_000;
/// Queries are as if 4 times as large, so that some keys weigh more than others.
const SHARPNESS: f64 = 4.0;

/// What scores are multiplied by.
fn scale(head_dim: u64) -> f64 {
    SHARPNESS / (head_dim as f64).sqrt()
}

fn scale_log2(head_dim: u64) -> Arg {
    Arg::Float((scale(head_dim) * std::f64::consts::LOG2_E) as f32)
}

/// A key's or value's number by its place in the buffer of weights.
fn weight(place: u64) -> f64 {
    filled(BF16, place, WEIGHTS_SEED)
}

/// The numbers of a query by its place among the queries.
fn query(lab: &Lab, index: u64, head_dim: u64) -> Vec<f64> {
    (0..head_dim)
        .map(|column| lab.input(BF16, index * head_dim + column))
        .collect()
}

/// A vector of results.
fn results(lab: &Lab, of: Span, first: u64, width: u64) -> Result<Vec<f64>, GpuError> {
    let mut bits = vec![0_u16; width as usize];
    lab.device
        .download(of.part(first * 2, width * 2)?, &mut bits)?;
    Ok(bits
        .iter()
        .map(|bits| f64::from(from_bf16(*bits)))
        .collect())
}

/// Which of so many queries are compared: all where that is quick, else some.
fn chosen(count: u64, cost: u64) -> Vec<u64> {
    if count * cost <= MOST_CHECKED {
        return (0..count).collect();
    }
    let few = (MOST_CHECKED / cost.max(1)).clamp(1, 7) as usize;
    let all = spots(count);
    let step = all.len().div_ceil(few);
    // From the last back: of prompts it sees most keys.
    all.into_iter().rev().step_by(step).collect()
}

/// Compares some of `count` vectors of results, each of which costs so much to compute.
fn check(
    lab: &Lab,
    out: Span,
    count: u64,
    cost: u64,
    head_dim: u64,
    wanted: &dyn Fn(u64) -> Vec<f64>,
) -> Result<Checked, GpuError> {
    let mut pairs = Vec::new();
    for index in chosen(count, cost) {
        let got = results(lab, out, index * head_dim, head_dim)?;
        pairs.extend(got.into_iter().zip(wanted(index)));
    }
    passed(compare(&pairs, TOLERANCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_many_queries_are_chosen_and_the_last_among_them() {
        assert_eq!(chosen(10, 100), (0..10).collect::<Vec<_>>());
        assert_eq!(chosen(1_000_000, 2_000_000), [999_999]);
        let some = chosen(1_000_000, 500_000);
        assert!((4..=6).contains(&some.len()) && some.contains(&999_999));
    }
}
