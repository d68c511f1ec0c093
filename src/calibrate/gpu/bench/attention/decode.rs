//! Attention of decode steps.

use super::{check, query, scale, scale_log2, weight};
use crate::calibrate::gpu::bench::{Launch, Ready};
use crate::calibrate::gpu::device::{Arg, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{AttentionKernels, Lab};
use crate::calibrate::gpu::operation::Operation;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::attention;
use crate::calibrate::gpu::sizes::{DecodeLayout, PAGE, Turns, up};

/// A decode step: its shape, and where everything lies.
#[derive(Debug, Clone, Copy)]
struct Step {
    sequences: u64,
    context: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    layout: DecodeLayout,
    q: Span,
    /// All pages of keys, and of values.
    cache: [Span; 2],
    /// Numbers of pages, a table for each set.
    tables: Span,
    out: Span,
    /// Sums of splits, and their marks.
    parts: [Span; 2],
}

impl Step {
    fn new(lab: &Lab, operation: &Operation) -> Result<Step, GpuError> {
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
                ..
            },
        ) = (layout, operation)
        else {
            return Err(GpuError::Unsupported(operation.text()));
        };
        let q = lab.inputs().part(0, sequences * heads * head_dim * 2)?;
        let parts = sequences * heads * layout.splits;
        let after = layout.table_bytes();
        let partial = lab.scratch().part(after, parts * head_dim * 4)?;
        let marks = lab.scratch().part(after + up(partial.bytes), parts * 8)?;
        Ok(Step {
            sequences,
            context,
            heads,
            kv_heads,
            head_dim,
            layout,
            q,
            cache: [
                lab.weights().part(0, half)?,
                lab.weights().part(half, half)?,
            ],
            tables: lab.scratch().part(0, after)?,
            out: lab.outputs().part(0, q.bytes)?,
            parts: [partial, marks],
        })
    }

    /// Numbers of pages of all sets: entries for each sequence of a set.
    const fn entries(&self) -> u64 {
        self.sequences * self.layout.pages
    }

    /// Starts the step over a set of pages.
    fn launch(&self, lab: &Lab, kernels: AttentionKernels, set: u64) -> Result<(), GpuError> {
        let [k, v] = self.cache.map(Arg::At);
        let [partial, marks] = self.parts.map(Arg::At);
        let set_bytes = self.entries() * 4;
        let args = [
            Arg::At(self.q),
            k,
            v,
            Arg::At(self.tables.part(set * set_bytes, set_bytes)?),
            Arg::At(self.out),
            partial,
            marks,
            Arg::Int(self.context as u32),
            Arg::Int(self.heads as u32),
            Arg::Int(self.kv_heads as u32),
            Arg::Int(self.layout.pages_per_split as u32),
            scale_log2(self.head_dim),
        ];
        let splits = self.layout.splits;
        let grid = [splits, self.kv_heads, self.sequences];
        let shared = kernels.decode_shared;
        lab.device
            .launch(kernels.decode, grid, 128, shared, &args)?;
        if splits == 1 {
            return Ok(());
        }
        let args = [
            partial,
            marks,
            Arg::At(self.out),
            Arg::Int(splits as u32),
            scale_log2(self.head_dim),
        ];
        let grid = [self.sequences * self.heads, 1, 1];
        lab.device
            .launch(kernels.combine, grid, self.head_dim as u32, 0, &args)
    }

    /// Results as they should be, over a set of pages.
    fn compared(&self, lab: &Lab, table: &[u32], set: u64) -> Result<Checked, GpuError> {
        let Step {
            context,
            heads,
            head_dim,
            layout,
            ..
        } = *self;
        let first = set * self.entries();
        let values = self.cache[0].bytes / 2;
        let count = self.sequences * heads;
        check(
            lab,
            self.out,
            count,
            context * head_dim,
            head_dim,
            &|index| {
                let (sequence, head) = (index / heads, index % heads);
                let kv_head = head / (heads / self.kv_heads);
                let place = |key: u64, column: u64| {
                    let entry = first + sequence * layout.pages + key / PAGE;
                    let page = u64::from(table[entry as usize]);
                    page * layout.page_values + (kv_head * PAGE + key % PAGE) * head_dim + column
                };
                let key = |key: u64, column: u64| weight(place(key, column));
                let value = |key: u64, column: u64| weight(values + place(key, column));
                let query = query(lab, index, head_dim);
                attention(&query, context, scale(head_dim), &key, &value)
            },
        )
    }
}

/// Attention of one new token per sequence.
pub fn prepare<'a>(lab: &'a Lab, operation: &Operation) -> Result<Ready<'a>, GpuError> {
    let step = Step::new(lab, operation)?;
    let kernels = lab.kernels.attention(step.head_dim)?;
    let layout = step.layout;
    let table = scattered(layout.sets * step.entries());
    lab.device.upload(step.tables, &table)?;
    lab.poison(step.out)?;
    let last = layout.sets - 1;
    step.launch(lab, kernels, last)?;
    lab.written(step.out)?;
    let checked = step.compared(lab, &table, last)?;
    let launch: Launch<'_> = Box::new(move |index| step.launch(lab, kernels, index % layout.sets));
    Ok(Ready {
        launch,
        turns: Turns {
            count: layout.sets,
            each: 2 * step.entries() * layout.page_values * 2,
            shared: 2 * step.q.bytes,
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
}
