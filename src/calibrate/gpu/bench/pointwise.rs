//! The small kernels between the products. Launches go through as many inputs and results as
//! memory has room for, so that large ones come from memory; small ones fit the second-level
//! cache however many there are, where a layer finds them, too.

use super::gemm::spots;
use super::{Launch, Ready};
use crate::calibrate::gpu::device::{Arg, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{Lab, passed};
use crate::calibrate::gpu::numbers::{from_bf16, to_bf16};
use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::reference::{compare, rms_norm, rotate, silu_mul};
use crate::calibrate::gpu::sizes::{Turns, up};

/// Results have 8 bits of mantissa, the rounding of which is 0.002.
const TOLERANCE: f64 = 0.006;
const BF16: NumberType = NumberType::Bf16;

/// A row of results.
fn results(lab: &Lab, of: Span, row: u64, width: u64) -> Result<Vec<f64>, GpuError> {
    let mut bits = vec![0_u16; width as usize];
    lab.device
        .download(of.part(row * width * 2, width * 2)?, &mut bits)?;
    Ok(bits
        .iter()
        .map(|bits| f64::from(from_bf16(*bits)))
        .collect())
}

fn input_row(lab: &Lab, first: u64, width: u64) -> Vec<f64> {
    (first..first + width)
        .map(|at| lab.input(BF16, at))
        .collect()
}

/// The last launch of the turns run once and its results compared.
fn ready<'a>(
    lab: &'a Lab,
    turns: Turns,
    written: &[Span],
    mut launch: Launch<'a>,
    wanted: impl Fn() -> Result<Vec<(f64, f64)>, GpuError>,
) -> Result<Ready<'a>, GpuError> {
    for span in written {
        lab.poison(*span)?;
    }
    launch(turns.count - 1)?;
    for span in written {
        lab.written(*span)?;
    }
    let checked = passed(compare(&wanted()?, TOLERANCE))?;
    Ok(Ready {
        launch,
        turns,
        checked: Some(checked),
    })
}

/// `RMSNorm` with the residual added.
pub fn prepare_norm(lab: &Lab, rows: u64, width: u64) -> Result<Ready<'_>, GpuError> {
    let bytes = rows * width * 2;
    let step = 2 * up(bytes);
    let places = [(step, lab.inputs().bytes), (step, lab.outputs().bytes)];
    let turns = Turns::fitting(&places).and(width * 2);
    let halves = move |all: Span, turn: u64| -> Result<[Span; 2], GpuError> {
        let first = turn * step;
        Ok([all.part(first, bytes)?, all.part(first + up(bytes), bytes)?])
    };
    let weight = lab.weights().part(0, width * 2)?;
    let chunks = width / 8;
    let threads = chunks.div_ceil(2).next_multiple_of(32).clamp(32, 1024);
    if chunks > 4 * threads {
        return Err(GpuError::Unsupported(format!(
            "rows are {width} wide, but at most 32768 values fit a block of rms_norm"
        )));
    }
    let kernel = lab.kernels.rms_norm;
    let launch: Launch<'_> = Box::new(move |index| {
        let [x, residual] = halves(lab.inputs(), turns.of(index))?;
        let [sum, out] = halves(lab.outputs(), turns.of(index))?;
        let args = [
            Arg::At(x),
            Arg::At(residual),
            Arg::At(weight),
            Arg::At(sum),
            Arg::At(out),
            Arg::Int(chunks as u32),
        ];
        lab.device
            .launch(kernel, [rows, 1, 1], threads as u32, 0, &args)
    });
    let last = turns.count - 1;
    let [sum, out] = halves(lab.outputs(), last)?;
    ready(lab, turns, &[sum, out], launch, || {
        let mut pairs = Vec::new();
        let weights: Vec<f64> = (0..width).map(|at| lab.weight(BF16, at)).collect();
        for row in spots(rows) {
            let first = last * step / 2 + row * width;
            let both = input_row(lab, first, width).into_iter().zip(input_row(
                lab,
                up(bytes) / 2 + first,
                width,
            ));
            let sums: Vec<f64> = both
                .map(|(a, b)| f64::from(from_bf16(to_bf16((a + b) as f32))))
                .collect();
            pairs.extend(results(lab, sum, row, width)?.into_iter().zip(sums.clone()));
            pairs.extend(
                results(lab, out, row, width)?
                    .into_iter()
                    .zip(rms_norm(&sums, &weights)),
            );
        }
        Ok(pairs)
    })
}

/// `silu(gate) * up`.
pub fn prepare_silu(lab: &Lab, rows: u64, width: u64) -> Result<Ready<'_>, GpuError> {
    let [taken, given] = [rows * width * 4, rows * width * 2];
    let turns = Turns::fitting(&[(taken, lab.inputs().bytes), (given, lab.outputs().bytes)]);
    let result = move |turn: u64| lab.outputs().part(turn * up(given), given);
    let chunks = width / 8;
    let kernel = lab.kernels.silu_mul;
    let grid = [chunks.div_ceil(256), rows, 1];
    let launch: Launch<'_> = Box::new(move |index| {
        let turn = turns.of(index);
        let x = lab.inputs().part(turn * up(taken), taken)?;
        let args = [Arg::At(x), Arg::At(result(turn)?), Arg::Int(chunks as u32)];
        lab.device.launch(kernel, grid, 256, 0, &args)
    });
    let last = turns.count - 1;
    let out = result(last)?;
    ready(lab, turns, &[out], launch, || {
        let mut pairs = Vec::new();
        for row in spots(rows) {
            let first = last * up(taken) / 2 + row * 2 * width;
            let gate = input_row(lab, first, width);
            let up = input_row(lab, first + width, width);
            let wanted = gate.iter().zip(&up).map(|(gate, up)| silu_mul(*gate, *up));
            pairs.extend(results(lab, out, row, width)?.into_iter().zip(wanted));
        }
        Ok(pairs)
    })
}

/// The angle of a pair at a position, for the base of 10,000.
fn angle(position: u64, pair: u64, head_dim: u64) -> f64 {
    position as f64 * 10_000_f64.powf(-2.0 * pair as f64 / head_dim as f64)
}

/// By position, the cosines of all pairs and then their sines.
fn cosines_and_sines(positions: u64, head_dim: u64) -> Vec<f32> {
    let steps: Vec<f64> = (0..head_dim / 2)
        .map(|pair| angle(1, pair, head_dim))
        .collect();
    let mut table = Vec::new();
    for position in 0..positions {
        let turned = steps.iter().map(|step| (position as f64 * step).sin_cos());
        table.extend(turned.clone().map(|(_, cosine)| cosine as f32));
        table.extend(turned.map(|(sine, _)| sine as f32));
    }
    table
}

/// Rotary positions.
pub fn prepare_rotary(
    lab: &Lab,
    rows: u64,
    heads: u64,
    head_dim: u64,
) -> Result<Ready<'_>, GpuError> {
    let bytes = rows * heads * head_dim * 2;
    // The angles are the same in every layer: they stay where they are.
    let places = [(bytes, lab.inputs().bytes), (bytes, lab.outputs().bytes)];
    let turns = Turns::fitting(&places).and(rows * head_dim * 4);
    let part = move |all: Span, turn: u64| all.part(turn * up(bytes), bytes);
    let angles = lab.scratch().part(0, rows * head_dim * 4)?;
    let half = head_dim / 2;
    lab.device
        .upload(angles, &cosines_and_sines(rows, head_dim))?;
    let kernel = lab.kernels.rotary;
    let grid = [(heads * head_dim / 16).div_ceil(256), rows, 1];
    let launch: Launch<'_> = Box::new(move |index| {
        let turn = turns.of(index);
        let args = [
            Arg::At(part(lab.inputs(), turn)?),
            Arg::At(angles),
            Arg::At(part(lab.outputs(), turn)?),
            Arg::Int(heads as u32),
            Arg::Int(head_dim as u32),
        ];
        lab.device.launch(kernel, grid, 256, 0, &args)
    });
    let last = turns.count - 1;
    let out = part(lab.outputs(), last)?;
    ready(lab, turns, &[out], launch, || {
        let width = heads * head_dim;
        let mut pairs = Vec::new();
        for row in spots(rows) {
            let input = input_row(lab, last * up(bytes) / 2 + row * width, width);
            let got = results(lab, out, row, width)?;
            for head in 0..heads {
                for pair in 0..half {
                    let first = (head * head_dim + pair) as usize;
                    let second = first + half as usize;
                    let turn = angle(row, pair, head_dim);
                    let [a, b] = rotate(input[first], input[second], turn);
                    pairs.extend([(got[first], a), (got[second], b)]);
                }
            }
        }
        Ok(pairs)
    })
}
