//! Attention of prompts.

use super::{check, query, scale, scale_log2, weight};
use crate::calibrate::gpu::bench::{Launch, Ready};
use crate::calibrate::gpu::device::{Arg, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::Lab;
use crate::calibrate::gpu::operation::Operation;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::attention;
use crate::calibrate::gpu::sizes::{Turns, up};

/// Whole prompts of one length.
#[derive(Debug, Clone, Copy)]
struct Shape {
    sequences: u64,
    tokens: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
}

impl Shape {
    fn of(operation: &Operation) -> Result<Shape, GpuError> {
        match *operation {
            Operation::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
                ..
            } => Ok(Shape {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
            }),
            _ => Err(GpuError::Unsupported(operation.text())),
        }
    }

    /// Bytes of all keys, and of all values.
    const fn kv_bytes(self) -> u64 {
        self.sequences * self.tokens * self.kv_heads * self.head_dim * 2
    }
}

/// Causal attention of whole prompts.
pub fn prepare<'a>(lab: &'a Lab, operation: &Operation) -> Result<Ready<'a>, GpuError> {
    let shape = Shape::of(operation)?;
    let blocks = shape.heads * shape.sequences * shape.tokens.div_ceil(128);
    // A multiprocessor holds two blocks of 128 queries: fewer than those leave it half idle.
    by(lab, operation, blocks >= lab.blocks(2))
}

/// The same by blocks of 128 queries, or of 64.
pub fn by<'a>(lab: &'a Lab, operation: &Operation, wide: bool) -> Result<Ready<'a>, GpuError> {
    let shape = Shape::of(operation)?;
    let Shape {
        sequences,
        tokens,
        heads,
        kv_heads,
        head_dim,
    } = shape;
    let kernels = lab.kernels.attention(head_dim)?;
    let (q_bytes, kv_bytes) = (sequences * tokens * heads * head_dim * 2, shape.kv_bytes());
    let [inputs, weights, outputs] = [lab.inputs(), lab.weights(), lab.outputs()];
    let turns = Turns::fitting(&[
        (q_bytes, inputs.bytes),
        (2 * up(kv_bytes), weights.bytes),
        (q_bytes, outputs.bytes),
    ]);
    let out = move |turn: u64| outputs.part(turn * up(q_bytes), q_bytes);
    let args = move |turn: u64| -> Result<[Arg; 8], GpuError> {
        let first = turn * 2 * up(kv_bytes);
        Ok([
            Arg::At(inputs.part(turn * up(q_bytes), q_bytes)?),
            Arg::At(weights.part(first, kv_bytes)?),
            Arg::At(weights.part(first + up(kv_bytes), kv_bytes)?),
            Arg::At(out(turn)?),
            Arg::Int(tokens as u32),
            Arg::Int(heads as u32),
            Arg::Int(kv_heads as u32),
            scale_log2(head_dim),
        ])
    };
    let queries = if wide { 128 } else { 64 };
    let grid = [heads * sequences, tokens.div_ceil(queries), 1];
    let kernel = kernels.prefill[usize::from(wide)];
    let shared = kernels.prefill_shared[usize::from(wide)];
    let mut launch: Launch<'_> = Box::new(move |index| {
        let args = args(turns.of(index))?;
        lab.device.launch(kernel, grid, 128, shared, &args)
    });
    let last = turns.count - 1;
    lab.poison(out(last)?)?;
    launch(last)?;
    lab.written(out(last)?)?;
    let checked = compared(lab, shape, out(last)?, last)?;
    Ok(Ready {
        launch,
        turns,
        checked: Some(checked),
    })
}

/// Results of a turn as they should be.
fn compared(lab: &Lab, shape: Shape, out: Span, turn: u64) -> Result<Checked, GpuError> {
    let Shape {
        sequences,
        tokens,
        heads,
        kv_heads,
        head_dim,
    } = shape;
    let kv_row = kv_heads * head_dim;
    let values = up(shape.kv_bytes()) / 2;
    let count = sequences * tokens * heads;
    // Turns begin at multiples of 128 values, which are whole heads of 64 or 128.
    let first_query = turn * up(count * head_dim * 2) / 2 / head_dim;
    let first_key = turn * 2 * values;
    check(lab, out, count, tokens * head_dim, head_dim, &|index| {
        let (row, head) = (index / heads, index % heads);
        let sequence = row / tokens;
        let place = move |key: u64, column: u64| {
            let kv_head = head / (heads / kv_heads);
            first_key + (sequence * tokens + key) * kv_row + kv_head * head_dim + column
        };
        let key = |key: u64, column: u64| weight(place(key, column));
        let value = |key: u64, column: u64| weight(values + place(key, column));
        let query = query(lab, first_query + index, head_dim);
        attention(&query, row % tokens + 1, scale(head_dim), &key, &value)
    })
}
