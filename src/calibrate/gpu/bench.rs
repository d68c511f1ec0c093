//! One file per family of operations: sets an operation up, checks its results, starts it.

mod all_reduce;
mod attention;
mod copies;
mod gemm;
mod movement;
mod pointwise;

use super::device::{Buffer, Device};
use super::error::GpuError;
use super::lab::Lab;
use super::measure::{Budget, Timing, Way, time};
use super::operation::{NumberType, Operation};
use super::plan::Planned;
use super::record::{Checked, Row};
use super::sizes::Turns;

/// Starts an operation; the number of the launch says which of its buffers to take.
type Launch<'a> = Box<dyn FnMut(u64) -> Result<(), GpuError> + 'a>;

/// An operation that is set up, checked and ready to be timed.
struct Ready<'a> {
    launch: Launch<'a>,
    /// Buffers that launches go through in turn.
    turns: Turns,
    /// How its results compare with the reference, where it has results.
    checked: Option<Checked>,
}

/// An operation that was timed apart, and checked after it.
struct Moved {
    timing: Timing,
    /// Buffers that launches went through in turn.
    turns: Turns,
    /// How its results compare with the reference, where it has results.
    checked: Option<Checked>,
}

/// Frees buffers of another device, whose context must be current for that.
fn free_on(other: &Device, buffers: Vec<Buffer>, own: &Device) -> Result<(), GpuError> {
    other.make_current()?;
    drop(buffers);
    own.make_current()
}

/// Checks an operation and times it.
///
/// # Errors
/// Its results are wrong, there is no kernel for it, or a call fails.
pub fn measure(
    lab: &Lab,
    others: &[Device],
    planned: &Planned,
    budget: Budget,
) -> Result<Row, GpuError> {
    let Planned {
        operation, dtype, ..
    } = planned;
    let dtype = dtype.unwrap_or(NumberType::Bf16);
    lab.fill(dtype)?;
    if let Some(moved) = movement::alone(lab, others, operation, budget)? {
        return Ok(row(planned, &moved.timing, moved.turns, moved.checked));
    }
    let mut ready = prepare(lab, operation, dtype)?;
    let way = Way {
        graph: true,
        least_launches: ready.turns.enough(&lab.facts),
    };
    let timing = time(&lab.device, budget, way, &mut ready.launch)?;
    Ok(row(planned, &timing, ready.turns, ready.checked))
}

/// Checks the kernels of an operation on small shapes with odd edges, all values of each.
///
/// # Errors
/// Results are wrong, or a call fails; with the shape.
pub fn check_small(lab: &Lab, name: &str) -> Result<(), Box<(Operation, GpuError)>> {
    let shapes = small_shapes();
    for operation in shapes.into_iter().filter(|shape| shape.name() == name) {
        check_one(lab, &operation).map_err(|error| Box::new((operation, error)))?;
    }
    Ok(())
}

fn check_one(lab: &Lab, operation: &Operation) -> Result<(), GpuError> {
    lab.fill(NumberType::Bf16)?;
    prepare(lab, operation, NumberType::Bf16)?;
    if matches!(operation, Operation::PrefillAttention { .. }) {
        // Small shapes would all take the one with small blocks.
        attention::prefill_by(lab, operation, true)?;
    }
    Ok(())
}

fn small_shapes() -> Vec<Operation> {
    let mut shapes = vec![
        Operation::Gemm {
            m: 3,
            n: 40,
            k: 264,
        },
        Operation::RmsNorm {
            rows: 3,
            width: 264,
        },
        Operation::SiluMul {
            rows: 3,
            width: 264,
        },
        Operation::Rotary {
            rows: 5,
            heads: 3,
            head_dim: 128,
        },
    ];
    for head_dim in super::lab::HEAD_DIMS {
        for (sequences, tokens, heads, kv_heads) in
            [(2, 1, 2, 1), (2, 65, 4, 2), (1, 200, 2, 2), (3, 128, 1, 1)]
        {
            shapes.push(Operation::DecodeAttention {
                sequences,
                context: tokens,
                heads,
                kv_heads,
                head_dim,
                kv: None,
                window: 0,
            });
            shapes.push(Operation::PrefillAttention {
                sequences,
                tokens,
                heads,
                kv_heads,
                head_dim,
                kv: None,
                window: 0,
            });
        }
        shapes.push(Operation::DecodeAttention {
            sequences: 2,
            context: 2_000,
            heads: 24,
            kv_heads: 2,
            head_dim,
            kv: None,
            window: 0,
        });
    }
    shapes
}

fn prepare<'a>(
    lab: &'a Lab,
    operation: &Operation,
    dtype: NumberType,
) -> Result<Ready<'a>, GpuError> {
    match *operation {
        Operation::Gemm { m, n, k } => gemm::prepare(lab, [m, n, k], dtype),
        Operation::PrefillAttention { .. } => attention::prepare_prefill(lab, operation),
        Operation::DecodeAttention { .. } => attention::prepare_decode(lab, operation),
        Operation::RmsNorm { rows, width } => pointwise::prepare_norm(lab, rows, width),
        Operation::SiluMul { rows, width } => pointwise::prepare_silu(lab, rows, width),
        Operation::Rotary {
            rows,
            heads,
            head_dim,
        } => pointwise::prepare_rotary(lab, rows, heads, head_dim),
        _ => movement::prepare(lab, operation),
    }
}

fn row(planned: &Planned, timing: &Timing, turns: Turns, checked: Option<Checked>) -> Row {
    let median_us = timing.quantile_us(0.5);
    let rate = |work: f64, unit: f64| (work > 0.0).then(|| work / (median_us * unit));
    Row {
        operation: planned.operation.clone(),
        dtype: planned.dtype,
        used_for: planned.used_for.clone(),
        median_us: rounded(median_us),
        p10_us: Some(rounded(timing.quantile_us(0.1))),
        p90_us: Some(rounded(timing.quantile_us(0.9))),
        spread: None,
        samples: timing.samples_us.len() as u32,
        launches_per_sample: Some(timing.launches),
        buffers: Some(turns.count.min(u64::from(timing.launches)) as u32),
        footprint_bytes: Some(turns.footprint(u64::from(timing.launches))),
        graph: Some(timing.graph),
        kernel: None,
        tflop_per_s: rate(planned.operation.flops(), 1e6).map(rounded),
        gb_per_s: rate(planned.operation.bytes(planned.dtype), 1e3).map(rounded),
        drifted: timing.drifted,
        checked: checked.map(|checked| Checked {
            max_error: rounded(checked.max_error),
            ..checked
        }),
    }
}

/// Six significant digits: no clock and no check knows more.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
