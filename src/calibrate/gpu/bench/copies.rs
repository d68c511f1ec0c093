//! Copies between the host and the device, and from one device to the next.

use super::gemm::spots;
use super::movement::arrived;
use super::{Moved, free_on};
use crate::calibrate::gpu::device::{Device, HostBuffer, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{INPUTS_SEED, Lab, passed};
use crate::calibrate::gpu::measure::{Budget, time};
use crate::calibrate::gpu::numbers::{filled, from_bf16};
use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::compare;
use crate::calibrate::gpu::sizes::Turns;

/// Bytes that are compared at each place.
const LOOK: u64 = 4096;

/// From pinned memory of the host.
pub fn to_device(lab: &Lab, bytes: u64, budget: Budget) -> Result<Moved, GpuError> {
    let device = &lab.device;
    let host = device.host_buffer(bytes)?;
    let to = lab.outputs().part(0, bytes)?;
    lab.poison(to)?;
    let mut launch = |_| device.copy_in(to, &host);
    let timing = time(device, budget, false, &mut launch);
    device.wait()?;
    Ok(Moved {
        timing: timing?,
        turns: Turns::one(bytes),
        checked: Some(same_as_host(device, to, &host)?),
    })
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
    let from = lab.inputs().part(0, bytes)?;
    let mut launch = |_| device.copy_out(&mut host, from);
    let timing = time(device, budget, false, &mut launch);
    device.wait()?;
    let look = LOOK.min(bytes);
    let mut pairs = Vec::new();
    for spot in spots(bytes / look) {
        let values = host.bytes(device)?.iter().skip((spot * look) as usize);
        let values: Vec<u8> = values.take(look as usize).copied().collect();
        for (pair, index) in values.chunks_exact(2).zip(spot * look / 2..) {
            let got = from_bf16(u16::from_le_bytes([pair[0], pair[1]]));
            let wanted = filled(NumberType::Bf16, index, INPUTS_SEED);
            pairs.push((f64::from(got), wanted));
        }
    }
    Ok(Moved {
        timing: timing?,
        turns: Turns::one(bytes),
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
    let buffer = other.buffer(bytes)?;
    lab.device.make_current()?;
    let from = lab.inputs().part(0, bytes)?;
    let mut launch = |_| lab.device.copy_to_peer(other, buffer.all(), from);
    let timing = time(&lab.device, budget, false, &mut launch);
    lab.device.wait()?;
    // Back to where the check finds them, over what was there.
    let back = lab.outputs().part(0, bytes)?;
    let checked = lab
        .poison(back)
        .and_then(|()| other.copy_to_peer(&lab.device, back, buffer.all()))
        .and_then(|()| other.wait())
        .and_then(|()| arrived(lab, back, 0, INPUTS_SEED));
    free_on(other, vec![buffer], &lab.device)?;
    Ok(Moved {
        timing: timing?,
        turns: Turns::one(2 * bytes),
        checked: Some(checked?),
    })
}
