//! Sums over devices.

use super::{Moved, free_on};
use crate::calibrate::gpu::device::{AllReduce, Buffer, Device, Span};
use crate::calibrate::gpu::error::GpuError;
use crate::calibrate::gpu::lab::{Lab, passed};
use crate::calibrate::gpu::measure::{Budget, Way, time};
use crate::calibrate::gpu::numbers::from_bf16;
use crate::calibrate::gpu::operation::NumberType;
use crate::calibrate::gpu::record::Checked;
use crate::calibrate::gpu::reference::compare;
use crate::calibrate::gpu::sizes::{ALL_REDUCE_SHIFT, Turns, up};

use super::gemm::spots;

/// Each step of a sum rounds to 8 bits of mantissa, which is 0.004 at the most.
const TOLERANCE: f64 = 0.03;
/// Values that are compared at each place.
const LOOK: u64 = 512;

/// What a device gives and what it gets.
struct Member<'a> {
    device: &'a Device,
    buffers: Vec<Buffer>,
    from: Span,
    to: Span,
}

/// The devices are the one measured and those after it, so it must be the machine's first. What
/// they give is random, of each another part of the inputs; sums go elsewhere, so that they stay
/// as large as they are.
///
/// # Errors
/// NCCL is missing, sums are wrong, or a call fails.
pub fn measure(
    lab: &Lab,
    others: &[Device],
    devices: u32,
    values: u64,
    budget: Budget,
) -> Result<Moved, GpuError> {
    let group = AllReduce::open(devices)?;
    // Each device's part of the inputs begins after that of the one before.
    let inputs = lab.inputs().bytes - u64::from(devices) * ALL_REDUCE_SHIFT;
    let places = [(values * 2, inputs), (values * 2, lab.outputs().bytes)];
    let turns = Turns::fitting(&places).no_more_than(&lab.facts);
    let (step, last) = (up(values * 2), turns.count - 1);
    let all_bytes = last * step + values * 2;
    let mut members = vec![Member {
        device: &lab.device,
        buffers: Vec::new(),
        from: lab.inputs().part(0, all_bytes)?,
        to: lab.outputs().part(0, all_bytes)?,
    }];
    for (other, index) in others.iter().take(devices as usize - 1).zip(1..) {
        members.push(member(lab, other, index, all_bytes)?);
    }
    let mut turned = Vec::new();
    for turn in 0..turns.count {
        let part = |span: Span| span.part(turn * step, values * 2);
        let mut all = Vec::new();
        for member in &members {
            all.push((member.device, [part(member.from)?, part(member.to)?]));
        }
        turned.push(all);
    }
    lab.poison(lab.outputs().part(last * step, values * 2)?)?;
    let mut launch = |index| group.run(&turned[turns.of(index) as usize], values);
    let way = Way {
        graph: false,
        least_launches: turns.enough(&lab.facts),
    };
    let timing = time(&lab.device, budget, way, &mut launch);
    for member in &members {
        member.device.make_current()?;
        member.device.wait()?;
    }
    lab.device.make_current()?;
    let checked = check(lab, devices, values, last * step);
    for member in members.into_iter().skip(1) {
        free_on(member.device, member.buffers, &lab.device)?;
    }
    Ok(Moved {
        timing: timing?,
        turns,
        checked: Some(checked?),
    })
}

/// Another device, with its part of the inputs.
fn member<'a>(
    lab: &Lab,
    other: &'a Device,
    index: u64,
    bytes: u64,
) -> Result<Member<'a>, GpuError> {
    lab.device.reach(other)?;
    other.make_current()?;
    let buffers = vec![other.buffer(bytes)?, other.buffer(bytes)?];
    lab.device.make_current()?;
    let [from, to] = [buffers[0].all(), buffers[1].all()];
    let part = lab.inputs().part(index * ALL_REDUCE_SHIFT, bytes)?;
    lab.device.copy_to_peer(other, from, part)?;
    lab.device.wait()?;
    Ok(Member {
        device: other,
        buffers,
        from,
        to,
    })
}

/// Compares the first device's sums that begin at an offset of its results, at several places.
fn check(lab: &Lab, devices: u32, values: u64, offset: u64) -> Result<Checked, GpuError> {
    let look = LOOK.min(values);
    let mut pairs = Vec::new();
    for spot in spots(values / look) {
        let mut got = vec![0_u16; look as usize];
        let place = lab.outputs().part(offset + spot * look * 2, look * 2)?;
        lab.device.download(place, &mut got)?;
        for (bits, index) in got.iter().zip(offset / 2 + spot * look..) {
            let given = (0..u64::from(devices)).map(|device| {
                let shift = device * ALL_REDUCE_SHIFT / 2;
                lab.input(NumberType::Bf16, index + shift)
            });
            pairs.push((f64::from(from_bf16(*bits)), given.sum()));
        }
    }
    passed(compare(&pairs, TOLERANCE))
}
