//! Launches, and bytes that move.

use super::{Launch, Ready};
use crate::calibrate::gpu::device::{AllReduce, Arg, Buffer, Device, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::Lab;
use crate::calibrate::gpu::measure::{Budget, Timing, drifts, time};
use crate::calibrate::gpu::operation::{LaunchWay, MemoryWay, Operation};

/// The operations that are not timed as launches in a captured graph, with their buffers; none
/// for the others.
///
/// # Errors
/// A call fails.
pub fn alone(
    lab: &Lab,
    others: &[Device],
    operation: &Operation,
    budget: Budget,
) -> Result<Option<(Timing, u64)>, GpuError> {
    let device = &lab.device;
    match *operation {
        Operation::Launch { way } => {
            let mut launch = |_| device.launch(lab.kernels.empty, [1, 1, 1], 32, 0, &[]);
            let timing = match way {
                LaunchWay::Graph => time(device, budget, true, &mut launch)?,
                LaunchWay::Stream => time(device, budget, false, &mut launch)?,
                LaunchWay::RoundTrip => round_trips(device, budget, &mut || launch(0))?,
            };
            Ok(Some((timing, 1)))
        }
        Operation::HostToDevice { bytes } => {
            let host = device.host_buffer(bytes)?;
            let to = lab.outputs().part(0, bytes)?;
            let mut launch = |_| device.copy_in(to, &host);
            let timing = time(device, budget, false, &mut launch);
            device.wait()?;
            Ok(Some((timing?, 1)))
        }
        Operation::DeviceToHost { bytes } => {
            let host = device.host_buffer(bytes)?;
            let from = lab.inputs().part(0, bytes)?;
            let mut launch = |_| device.copy_out(&host, from);
            let timing = time(device, budget, false, &mut launch);
            device.wait()?;
            Ok(Some((timing?, 1)))
        }
        Operation::PeerCopy { bytes } => peer_copy(lab, others, bytes, budget).map(Some),
        Operation::AllReduce { devices, values } => {
            all_reduce(lab, others, devices, values, budget).map(Some)
        }
        _ => Ok(None),
    }
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

fn peer_copy(
    lab: &Lab,
    others: &[Device],
    bytes: u64,
    budget: Budget,
) -> Result<(Timing, u64), GpuError> {
    let Some(other) = others.first() else {
        return Err(GpuError::Unsupported(
            "a copy between devices needs two of them".to_owned(),
        ));
    };
    lab.device.reach(other)?;
    other.make_current()?;
    let to = other.buffer(bytes)?;
    lab.device.make_current()?;
    let from = lab.inputs().part(0, bytes)?;
    let mut launch = |_| lab.device.copy_to_peer(other, to.all(), from);
    let timing = time(&lab.device, budget, false, &mut launch);
    lab.device.wait()?;
    free_on(other, vec![to], &lab.device)?;
    Ok((timing?, 1))
}

/// Frees buffers of another device, whose context must be current for that.
fn free_on(other: &Device, buffers: Vec<Buffer>, own: &Device) -> Result<(), GpuError> {
    other.make_current()?;
    drop(buffers);
    own.make_current()
}

/// The devices are the one measured and those after it, so it must be the machine's first.
fn all_reduce(
    lab: &Lab,
    others: &[Device],
    devices: u32,
    values: u64,
    budget: Budget,
) -> Result<(Timing, u64), GpuError> {
    let group = AllReduce::open(devices)?;
    let mut members: Vec<&Device> = vec![&lab.device];
    members.extend(others.iter().take(devices as usize - 1));
    let mut buffers = Vec::new();
    for other in &members[1..] {
        other.make_current()?;
        let buffer = other.buffer(values * 2)?;
        // Zeros stay zeros however often they are summed; the links carry them like any others.
        other.set_bytes(buffer.all(), 0)?;
        other.wait()?;
        buffers.push(buffer);
    }
    lab.device.make_current()?;
    let own = lab.outputs().part(0, values * 2)?;
    lab.device.set_bytes(own, 0)?;
    let spans: Vec<Span> = std::iter::once(own)
        .chain(buffers.iter().map(Buffer::all))
        .collect();
    let mut launch = |_| group.run(&members, &spans, values);
    let timing = time(&lab.device, budget, false, &mut launch);
    lab.device.wait()?;
    for (other, buffer) in members[1..].iter().zip(buffers) {
        other.make_current()?;
        other.wait()?;
        drop(buffer);
    }
    lab.device.make_current()?;
    Ok((timing?, 1))
}

/// Bytes of the device's memory, in as many places in turn as the buffers have.
pub fn prepare<'a>(lab: &'a Lab, operation: &Operation) -> Result<Ready<'a>, GpuError> {
    let Operation::Memory { way, bytes } = *operation else {
        return Err(GpuError::Unsupported(operation.text()));
    };
    let places = |all: Span| (all.bytes / bytes).max(1);
    let buffers = match way {
        MemoryWay::Read => places(lab.weights()),
        MemoryWay::Write => places(lab.outputs()),
        MemoryWay::Copy => places(lab.weights()).min(places(lab.outputs())),
    };
    let part = move |all: Span, index: u64| all.part(index % buffers * bytes, bytes);
    let marks = lab.scratch().part(0, 4096)?;
    let grid = [lab.blocks(8), 1, 1];
    let launch: Launch<'a> = Box::new(move |index| match way {
        MemoryWay::Read => {
            let from = part(lab.weights(), index)?;
            let args = [Arg::At(from), Arg::Long(bytes / 16), Arg::At(marks)];
            lab.device.launch(lab.kernels.read, grid, 512, 0, &args)
        }
        MemoryWay::Write => {
            let to = part(lab.outputs(), index)?;
            let args = [Arg::At(to), Arg::Long(bytes / 16), Arg::Int(index as u32)];
            lab.device.launch(lab.kernels.write, grid, 512, 0, &args)
        }
        MemoryWay::Copy => lab
            .device
            .copy(part(lab.outputs(), index)?, part(lab.weights(), index)?),
    });
    Ok(Ready {
        launch,
        buffers,
        checked: None,
    })
}
