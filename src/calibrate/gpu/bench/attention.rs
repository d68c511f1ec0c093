//! Attention of prompts and of decode steps.

use super::gemm::spots;
use super::{Launch, Ready};
use crate::calibrate::gpu::device::{Arg, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{Lab, WEIGHTS_SEED, passed};
use crate::calibrate::gpu::numbers::{filled, from_bf16};
use crate::calibrate::gpu::operation::{NumberType, Operation};
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::{attention, compare};
use crate::calibrate::gpu::sizes::{DecodeLayout, PAGE, Turns, up};

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

/// Causal attention of whole prompts.
pub fn prepare_prefill<'a>(lab: &'a Lab, operation: &Operation) -> Result<Ready<'a>, GpuError> {
    let blocks = match *operation {
        Operation::PrefillAttention {
            sequences,
            tokens,
            heads,
            ..
        } => heads * sequences * tokens.div_ceil(128),
        _ => 0,
    };
    // A multiprocessor holds two blocks of 128 queries: fewer than those leave it half idle.
    prefill_by(lab, operation, blocks >= lab.blocks(2))
}

/// The same by blocks of 128 queries, or of 64.
pub fn prefill_by<'a>(
    lab: &'a Lab,
    operation: &Operation,
    wide: bool,
) -> Result<Ready<'a>, GpuError> {
    let Operation::PrefillAttention {
        sequences,
        tokens,
        heads,
        kv_heads,
        head_dim,
    } = *operation
    else {
        return Err(GpuError::Unsupported(operation.text()));
    };
    let kernels = lab.kernels.attention(head_dim)?;
    let rows = sequences * tokens;
    let q = lab.inputs().part(0, rows * heads * head_dim * 2)?;
    let out = lab.outputs().part(0, q.bytes)?;
    let kv_bytes = rows * kv_heads * head_dim * 2;
    let k = lab.weights().part(0, kv_bytes)?;
    let v = lab.weights().part(up(kv_bytes), kv_bytes)?;
    let args = [
        Arg::At(q),
        Arg::At(k),
        Arg::At(v),
        Arg::At(out),
        Arg::Int(tokens as u32),
        Arg::Int(heads as u32),
        Arg::Int(kv_heads as u32),
        scale_log2(head_dim),
    ];
    let queries = if wide { 128 } else { 64 };
    let grid = [heads * sequences, tokens.div_ceil(queries), 1];
    let kernel = kernels.prefill[usize::from(wide)];
    let shared = kernels.prefill_shared[usize::from(wide)];
    let mut launch: Launch<'_> =
        Box::new(move |_| lab.device.launch(kernel, grid, 128, shared, &args));
    lab.poison(out)?;
    launch(0)?;
    lab.written(out)?;
    let kv_row = kv_heads * head_dim;
    let checked = check(
        lab,
        out,
        rows * heads,
        tokens * head_dim,
        head_dim,
        &|index| {
            let (row, head) = (index / heads, index % heads);
            let sequence = row / tokens;
            let place = move |key: u64, column: u64| {
                let kv_head = head / (heads / kv_heads);
                (sequence * tokens + key) * kv_row + kv_head * head_dim + column
            };
            let key = |key: u64, column: u64| weight(place(key, column));
            let value = |key: u64, column: u64| weight(up(kv_bytes) / 2 + place(key, column));
            let query: Vec<f64> = (0..head_dim)
                .map(|column| lab.input(BF16, index * head_dim + column))
                .collect();
            attention(&query, row % tokens + 1, scale(head_dim), &key, &value)
        },
    )?;
    // The product before has just written queries, keys and values: they stay where they are.
    Ok(Ready {
        launch,
        turns: Turns::one(2 * q.bytes + 2 * kv_bytes),
        checked: Some(checked),
    })
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

/// Attention of one new token per sequence.
pub fn prepare_decode<'a>(lab: &'a Lab, operation: &Operation) -> Result<Ready<'a>, GpuError> {
    let multiprocessors = u64::from(lab.facts.multiprocessors);
    let half = lab.weights().bytes / 2 / 256 * 256;
    let layout = DecodeLayout::of(operation, half * 2, multiprocessors);
    let (
        Some(layout),
        &Operation::DecodeAttention {
            sequences,
            context,
            heads,
            kv_heads,
            head_dim,
        },
    ) = (layout, operation)
    else {
        return Err(GpuError::Unsupported(operation.text()));
    };
    let kernels = lab.kernels.attention(head_dim)?;
    let q = lab.inputs().part(0, sequences * heads * head_dim * 2)?;
    let out = lab.outputs().part(0, q.bytes)?;
    let k = lab.weights().part(0, half)?;
    let v = lab.weights().part(half, half)?;
    let table = scattered(layout.sets * sequences * layout.pages);
    let tables = lab.scratch().part(0, layout.table_bytes())?;
    lab.device.upload(tables, &table)?;
    let parts = sequences * heads * layout.splits;
    let partial = lab
        .scratch()
        .part(layout.table_bytes(), parts * head_dim * 4)?;
    let marks = lab
        .scratch()
        .part(layout.table_bytes() + up(partial.bytes), parts * 8)?;
    let set_bytes = sequences * layout.pages * 4;
    let mut launch: Launch<'_> = Box::new(move |index| {
        let pages = tables.part(index % layout.sets * set_bytes, set_bytes)?;
        let args = [
            Arg::At(q),
            Arg::At(k),
            Arg::At(v),
            Arg::At(pages),
            Arg::At(out),
            Arg::At(partial),
            Arg::At(marks),
            Arg::Int(context as u32),
            Arg::Int(heads as u32),
            Arg::Int(kv_heads as u32),
            Arg::Int(layout.pages_per_split as u32),
            scale_log2(head_dim),
        ];
        let grid = [layout.splits, kv_heads, sequences];
        let shared = kernels.decode_shared;
        lab.device
            .launch(kernels.decode, grid, 128, shared, &args)?;
        if layout.splits == 1 {
            return Ok(());
        }
        let args = [
            Arg::At(partial),
            Arg::At(marks),
            Arg::At(out),
            Arg::Int(layout.splits as u32),
            scale_log2(head_dim),
        ];
        let grid = [sequences * heads, 1, 1];
        lab.device
            .launch(kernels.combine, grid, head_dim as u32, 0, &args)
    });
    lab.poison(out)?;
    let last = layout.sets - 1;
    launch(last)?;
    lab.written(out)?;
    let first_page = last * sequences * layout.pages;
    let count = sequences * heads;
    let checked = check(lab, out, count, context * head_dim, head_dim, &|index| {
        let (sequence, head) = (index / heads, index % heads);
        let kv_head = head / (heads / kv_heads);
        let place = |key: u64, column: u64| {
            let entry = first_page + sequence * layout.pages + key / PAGE;
            let page = u64::from(table[entry as usize]);
            page * layout.page_values + (kv_head * PAGE + key % PAGE) * head_dim + column
        };
        let key = |key: u64, column: u64| weight(place(key, column));
        let value = |key: u64, column: u64| weight(half / 2 + place(key, column));
        let query: Vec<f64> = (0..head_dim)
            .map(|column| lab.input(BF16, index * head_dim + column))
            .collect();
        attention(&query, context, scale(head_dim), &key, &value)
    })?;
    Ok(Ready {
        launch,
        turns: Turns {
            count: layout.sets,
            each: 2 * layout.pages * sequences * layout.page_values * 2,
            shared: 2 * q.bytes,
        },
        checked: Some(checked),
    })
}

/// The numbers below `count`, each once, in a scattered order (Fisher-Yates with a fixed seed).
fn scattered(count: u64) -> Vec<u32> {
    let mut all: Vec<u32> = (0..count as u32).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for end in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = (state % (end as u64 + 1)) as usize;
        all.swap(end, other);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_scattered_and_each_is_there_once() {
        let table = scattered(1_000);
        let mut sorted = table.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().zip(0..).all(|(page, index)| *page == index));
        let neighbours = table.windows(2).filter(|w| w[1] == w[0] + 1).count();
        assert!(neighbours < 20, "{neighbours}");
    }

    #[test]
    fn few_of_many_queries_are_chosen_and_the_last_among_them() {
        assert_eq!(chosen(10, 100), (0..10).collect::<Vec<_>>());
        assert_eq!(chosen(1_000_000, 2_000_000), [999_999]);
        let some = chosen(1_000_000, 500_000);
        assert!((4..=6).contains(&some.len()) && some.contains(&999_999));
    }
}
