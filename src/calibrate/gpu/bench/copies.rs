//! Copies between the host and the device, and from one device to the next.

use super::gemm::spots;
use super::movement::arrived;
use super::{Moved, free_on};
use crate::calibrate::gpu::device::{Device, HostBuffer, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{INPUTS_SEED, Lab, passed};
use crate::calibrate::gpu::measure::{Budget, Way, time};
use crate::calibrate::gpu::numbers::{filled, from_bf16};
use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::compare;
use crate::calibrate::gpu::sizes::{Turns, up};

/// Bytes that are compared at each place.
const LOOK: u64 = 4096;

/// From pinned memory of the host.
pub fn to_device(lab: &Lab, bytes: u64, budget: Budget) -> Result<Moved, GpuError> {
    let device = &lab.device;
    let host = device.host_buffer(bytes)?;
    let turns = Turns::fitting(&[(bytes, lab.outputs().bytes)]).no_more_than(&lab.facts);
    let to = |turn: u64| lab.outputs().part(turn * up(bytes), bytes);
    let last = to(turns.count - 1)?;
    lab.poison(last)?;
    let mut launch = |index| device.copy_in(to(turns.of(index))?, &host);
    let timing = time(device, budget, from_the_host(lab, turns), &mut launch);
    device.wait()?;
    Ok(Moved {
        timing: timing?,
        turns,
        checked: Some(same_as_host(device, last, &host)?),
    })
}

/// One after another, through all buffers.
fn from_the_host(lab: &Lab, turns: Turns) -> Way {
    Way {
        graph: false,
        least_launches: turns.enough(&lab.facts),
    }
}

/// Compares the device's bytes with the host's, at several places.
fn same_as_host(device: &Device, place: Span, host: &HostBuffer) -> Result<Checked, GpuError> {
    let look = LOOK.min(place.bytes);
    let mut pairs = Vec::new();
    for spot in spots(place.bytes / look) {
        let mut got = vec![0_u8; look as usize];
        device.download(place.part(spot * look, look)?, &mut got)?;
        let wanted = host.bytes(device)?.iter().skip((spot * look) as usize);
        let both = got.iter().zip(wanted);
        pairs.extend(both.map(|(got, wanted)| (f64::from(*got), f64::from(*wanted))));
    }
    passed(compare(&pairs, 0.0))
}

/// To pinned memory of the host.
pub fn to_host(lab: &Lab, bytes: u64, budget: Budget) -> Result<Moved, GpuError> {
    let device = &lab.device;
    let mut host = device.host_buffer(bytes)?;
    let turns = Turns::fitting(&[(bytes, lab.inputs().bytes)]).no_more_than(&lab.facts);
    let from = |turn: u64| lab.inputs().part(turn * up(bytes), bytes);
    let mut launch = |index| device.copy_out(&mut host, from(turns.of(index))?);
    let timing = time(device, budget, from_the_host(lab, turns), &mut launch);
    // What is compared is the last part's, whichever came last.
    let last = turns.count - 1;
    device.copy_out(&mut host, from(last)?)?;
    device.wait()?;
    let first = last * up(bytes) / 2;
    let look = LOOK.min(bytes);
    let mut pairs = Vec::new();
    for spot in spots(bytes / look) {
        let values = host.bytes(device)?.iter().skip((spot * look) as usize);
        let values: Vec<u8> = values.take(look as usize).copied().collect();
        for (pair, index) in values.chunks_exact(2).zip(spot * look / 2..) {
            let got = from_bf16(u16::from_le_bytes([pair[0], pair[1]]));
            let wanted = filled(NumberType::Bf16, first + index, INPUTS_SEED);
            pairs.push((f64::from(got), wanted));
        }
    }
    Ok(Moved {
        timing: timing?,
        turns,
        checked: Some(passed(compare(&pairs, 0.0))?),
    })
}

/// From the device to the next one.
pub fn to_peer(
    lab: &Lab,
    others: &[Device],
    bytes: u64,
    budget: Budget,
) -> Result<Moved, GpuError> {
    let Some(other) = others.first() else {
        return Err(GpuError::Unsupported(
            "a copy between devices needs two of them".to_owned(),
        ));
    };
    lab.device.reach(other)?;
    other.make_current()?;
    let step = up(bytes);
    let turns = Turns::fitting(&[(bytes, lab.inputs().bytes)]).no_more_than(&lab.facts);
    let buffer = other.buffer(turns.count * step)?;
    lab.device.make_current()?;
    let places = |turn: u64| -> Result<[Span; 2], GpuError> {
        let to = buffer.all().part(turn * step, bytes)?;
        Ok([lab.inputs().part(turn * step, bytes)?, to])
    };
    let mut launch = |index| {
        let [from, to] = places(turns.of(index))?;
        lab.device.copy_to_peer(other, to, from)
    };
    let timing = time(&lab.device, budget, from_the_host(lab, turns), &mut launch);
    lab.device.wait()?;
    let last = turns.count - 1;
    let [_, sent] = places(last)?;
    // Back to where the check finds them, over what was there.
    let back = lab.outputs().part(0, bytes)?;
    let checked = lab
        .poison(back)
        .and_then(|()| other.copy_to_peer(&lab.device, back, sent))
        .and_then(|()| other.wait())
        .and_then(|()| arrived(lab, back, last * step, INPUTS_SEED));
    free_on(other, vec![buffer], &lab.device)?;
    Ok(Moved {
        timing: timing?,
        turns: Turns {
            each: 2 * bytes,
            ..turns
        },
        checked: Some(checked?),
    })
}
