//! Launches, and bytes that move within the device's memory.

use super::gemm::spots;
use super::{Launch, Moved, Ready, copies};
use crate::calibrate::gpu::device::{Arg, Device, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{INPUTS_SEED, Lab, WEIGHTS_SEED, passed};
use crate::calibrate::gpu::measure::{Budget, Timing, Way, drifts, time};
use crate::calibrate::gpu::numbers::{filled, from_bf16};
use crate::calibrate::gpu::operation::{LaunchWay, MemoryWay, NumberType, Operation};
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::compare;
use crate::calibrate::gpu::sizes::Turns;

/// Bytes that are compared at each place where a copy is checked.
const LOOK: u64 = 4096;
/// Blocks of 512 threads for each multiprocessor, which holds four at once.
const BLOCKS: u64 = 8;

/// The operations that are not timed as launches in a captured graph; none for the others.
///
/// # Errors
/// A call fails, or bytes arrive that were not sent.
pub fn alone(
    lab: &Lab,
    others: &[Device],
    operation: &Operation,
    budget: Budget,
) -> Result<Option<Moved>, GpuError> {
    match *operation {
        Operation::Launch { way } => launches(lab, way, budget).map(Some),
        Operation::HostToDevice { bytes } => copies::to_device(lab, bytes, budget).map(Some),
        Operation::DeviceToHost { bytes } => copies::to_host(lab, bytes, budget).map(Some),
        Operation::PeerCopy { bytes } => copies::to_peer(lab, others, bytes, budget).map(Some),
        Operation::AllReduce { devices, values } => {
            super::all_reduce::measure(lab, others, devices, values, budget).map(Some)
        }
        _ => Ok(None),
    }
}

fn launches(lab: &Lab, way: LaunchWay, budget: Budget) -> Result<Moved, GpuError> {
    let device = &lab.device;
    let mut launch = |_| device.launch(lab.kernels.empty, [1, 1, 1], 32, 0, &[]);
    let by = |graph| Way {
        graph,
        least_launches: 1,
    };
    let timing = match way {
        LaunchWay::Graph => time(device, budget, by(true), &mut launch)?,
        LaunchWay::Stream => time(device, budget, by(false), &mut launch)?,
        LaunchWay::RoundTrip => round_trips(device, budget, &mut || launch(0))?,
    };
    Ok(Moved {
        timing,
        turns: Turns::one(0),
        checked: None,
    })
}

/// From a launch to its end, as the host sees it.
#[allow(clippy::disallowed_methods)] // a measurement of the host's clock, no simulated result
fn round_trips(
    device: &Device,
    budget: Budget,
    launch: &mut dyn FnMut() -> Result<(), GpuError>,
) -> Result<Timing, GpuError> {
    const LEAST: u32 = 200;
    let mut samples_us = Vec::new();
    for _ in 0..LEAST.max(budget.least_samples) {
        let begin = std::time::Instant::now();
        launch()?;
        device.wait()?;
        samples_us.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    // The first ones warm up.
    samples_us.drain(..20);
    Ok(Timing {
        drifted: drifts(&samples_us),
        samples_us,
        launches: 1,
        graph: false,
    })
}

/// Bytes of the device's memory, in as many places in turn as the buffers have.
pub fn prepare<'a>(lab: &'a Lab, operation: &Operation) -> Result<Ready<'a>, GpuError> {
    let Operation::Memory { way, bytes } = *operation else {
        return Err(GpuError::Unsupported(operation.text()));
    };
    let [from, to] = [lab.weights(), lab.outputs()];
    let turns = match way {
        MemoryWay::Read => Turns::fitting(&[(bytes, from.bytes)]),
        MemoryWay::Write => Turns::fitting(&[(bytes, to.bytes)]),
        MemoryWay::Copy => Turns::fitting(&[(bytes, from.bytes), (bytes, to.bytes)]),
    };
    let launch = move |turn: u64| start(lab, way, turn * bytes, bytes);
    let last = turns.count - 1;
    let checked = match way {
        MemoryWay::Read => check_read(lab)?,
        MemoryWay::Write => {
            let place = to.part(last * bytes, bytes)?;
            lab.poison(place)?;
            launch(last)?;
            check_written(lab, place, last as u32)?
        }
        MemoryWay::Copy => {
            let place = to.part(last * bytes, bytes)?;
            lab.poison(place)?;
            launch(last)?;
            arrived(lab, place, last * bytes, WEIGHTS_SEED)?
        }
    };
    let launch: Launch<'a> = Box::new(move |index| launch(turns.of(index)));
    Ok(Ready {
        launch,
        turns,
        checked: Some(checked),
    })
}

/// Starts a kernel that moves so many bytes, from an offset of its buffers on.
fn start(lab: &Lab, way: MemoryWay, offset: u64, bytes: u64) -> Result<(), GpuError> {
    let grid = [lab.blocks(BLOCKS), 1, 1];
    let chunks = Arg::Long(bytes / 16);
    let kernels = &lab.kernels;
    let (kernel, args) = match way {
        MemoryWay::Read => {
            let from = lab.weights().part(offset, bytes)?;
            let marks = lab.scratch().part(0, LOOK)?;
            (kernels.read, [Arg::At(from), chunks, Arg::At(marks)])
        }
        MemoryWay::Write => {
            let to = lab.outputs().part(offset, bytes)?;
            let value = Arg::Int((offset / bytes) as u32);
            (kernels.write, [Arg::At(to), chunks, value])
        }
        MemoryWay::Copy => {
            let from = lab.weights().part(offset, bytes)?;
            let to = lab.outputs().part(offset, bytes)?;
            (kernels.copy, [Arg::At(from), chunks, Arg::At(to)])
        }
    };
    lab.device.launch(kernel, grid, 512, 0, &args)
}

/// Reads a mebibyte, of which the host knows the exclusive or of all words.
fn check_read(lab: &Lab) -> Result<Checked, GpuError> {
    const BYTES: u64 = 1 << 20;
    let marks = lab.scratch().part(0, LOOK)?;
    lab.device.set_bytes(marks, 0)?;
    start(lab, MemoryWay::Read, 0, BYTES)?;
    let mut got = vec![0_u32; (LOOK / 4) as usize];
    lab.device.download(marks, &mut got)?;
    let got = got.iter().fold(0, |all, mark| all ^ mark);
    let half = |index| {
        let value = filled(NumberType::Bf16, index, WEIGHTS_SEED) as f32;
        value.to_bits() >> 16
    };
    let words = (0..BYTES / 4).map(|word| half(2 * word) | half(2 * word + 1) << 16);
    let wanted = words.fold(0, |all, word| all ^ word);
    let pair = (f64::from(got), f64::from(wanted));
    passed(compare(&[pair], 0.0))
}

/// Compares what the writing kernel should have left, at several places.
fn check_written(lab: &Lab, place: Span, value: u32) -> Result<Checked, GpuError> {
    let mut pairs = Vec::new();
    for spot in spots(place.bytes / LOOK) {
        let mut got = vec![0_u32; (LOOK / 4) as usize];
        lab.device
            .download(place.part(spot * LOOK, LOOK)?, &mut got)?;
        for (chunk, four) in (spot * LOOK / 16..).zip(got.chunks(4)) {
            let wanted = [
                value,
                value ^ chunk as u32,
                value.wrapping_add(1),
                value ^ 0x5bd1_e995,
            ];
            let both = four.iter().zip(wanted);
            pairs.extend(both.map(|(got, wanted)| (f64::from(*got), f64::from(wanted))));
        }
    }
    passed(compare(&pairs, 0.0))
}

/// Compares bytes that were copied from an offset of a buffer filled with a seed, at several
/// places.
///
/// # Errors
/// Others arrived, or a call fails.
pub fn arrived(lab: &Lab, place: Span, offset: u64, seed: u32) -> Result<Checked, GpuError> {
    debug_assert!([WEIGHTS_SEED, INPUTS_SEED].contains(&seed));
    let look = LOOK.min(place.bytes);
    let mut pairs = Vec::new();
    for spot in spots(place.bytes / look) {
        let mut got = vec![0_u16; (look / 2) as usize];
        lab.device
            .download(place.part(spot * look, look)?, &mut got)?;
        let first = (offset + spot * look) / 2;
        pairs.extend(got.iter().zip(first..).map(|(bits, index)| {
            let wanted = filled(NumberType::Bf16, index, seed);
            (f64::from(from_bf16(*bits)), wanted)
        }));
    }
    passed(compare(&pairs, 0.0))
}
