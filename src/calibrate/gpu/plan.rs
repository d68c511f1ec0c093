//! Which operations are measured, from model cards.

mod effort;
mod making;

pub use effort::Effort;

use making::{Making, ORDER};

use super::error::GpuError;
use super::operation::{NumberType, Operation};
use super::pace::Pace;
use super::record::PlanFacts;
use crate::perf::{AcceleratorCard, Dtype, ModelCard};

pub use crate::validate::cards::accelerator_card as card_of;

/// Time for one row beside its launches (preparation, checks, recording), seconds: an assumption.
pub const ROW_OVERHEAD_S: f64 = 0.025;
/// Time to open the device, compile the kernels and fill the buffers, seconds: an assumption.
const START_S: f64 = 6.0;
/// What an operation takes over its roofline, for the expected time: an assumption.
const OVER_ROOFLINE: f64 = 1.6;
/// The least time of a launch, for the expected time, microseconds: an assumption.
const LEAST_LAUNCH_US: f64 = 1.0;
/// Bandwidth of a link that no card tells of, 1e9 bytes a second: about what PCI Express of the fourth
/// generation moves on 16 lanes, an assumption.
pub const ASSUMED_LINK_GB_PER_S: f64 = 25.0;

/// An operation to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The operation with its shape.
    pub operation: Operation,
    /// Number type of its inputs, where it has one.
    pub dtype: Option<NumberType>,
    /// Where models use it.
    pub used_for: Vec<String>,
}

/// What is measured, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How much.
    pub effort: Effort,
    /// Names of the model cards.
    pub models: Vec<String>,
    /// Tensor parallelisms.
    pub tp: Vec<u32>,
    /// The only operations that are measured; all if empty.
    pub only: Vec<String>,
    /// The operations with their shapes.
    pub rows: Vec<Planned>,
    /// What the models would need and is left out, with why.
    pub left_out: Vec<String>,
}

/// What a plan is made of.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Model cards.
    pub models: &'a [ModelCard],
    /// Tensor parallelisms.
    pub tp: &'a [u32],
    /// How much.
    pub effort: Effort,
    /// Devices in the machine.
    pub devices: u32,
    /// Whether products of 8 bits are measured.
    pub fp8: bool,
    /// Names of the operations to measure; all if empty.
    pub only: &'a [String],
}

impl Plan {
    /// The plan for what is asked.
    ///
    /// # Errors
    /// Nothing is left to measure.
    pub fn new(asked: &Asked<'_>) -> Result<Plan, GpuError> {
        let mut making = Making::new(*asked);
        making.machine();
        for model in asked.models {
            for tp in asked.tp {
                making.model(model, *tp);
            }
        }
        let rows = making.rows();
        if rows.is_empty() {
            return Err(GpuError::Unsupported(nothing(asked.only, &making.left_out)));
        }
        Ok(Plan {
            effort: asked.effort,
            models: asked.models.iter().map(|m| m.name.clone()).collect(),
            tp: asked.tp.to_vec(),
            only: asked.only.to_vec(),
            rows,
            left_out: making.left_out,
        })
    }

    /// What was asked for, as files have it.
    #[must_use]
    pub fn facts(&self) -> PlanFacts {
        PlanFacts {
            effort: self.effort.name().to_owned(),
            models: self.models.clone(),
            tp: self.tp.clone(),
            only: self.only.clone(),
        }
    }

    /// How long all takes on a device with the peaks of a card, seconds: an estimate by roofline.
    #[must_use]
    pub fn expected_s(&self, card: &AcceleratorCard) -> f64 {
        let launches = f64::from(self.effort.least_samples() + 5);
        let budget = Pace::new(self.effort).budget(START_S, self.rows.len());
        let rows = self.rows.iter().map(|row| {
            let one = OVER_ROOFLINE * peak_us(row, card).max(LEAST_LAUNCH_US) * 1e-6;
            (one * launches).max(budget.samples_s) + ROW_OVERHEAD_S
        });
        START_S + rows.sum::<f64>()
    }
}

/// Why there is nothing to measure, and what to do.
fn nothing(only: &[String], left_out: &[String]) -> String {
    let measured = |name: &String| ORDER.contains(&name.as_str());
    if !only.is_empty() && !only.iter().any(measured) {
        return format!(
            "nothing is left to measure: {} is what imports alone have; name one of {} in `--only`",
            only.join(", "),
            ORDER.join(", ")
        );
    }
    let several = |name: &String| ["peer_copy", "all_reduce"].contains(&name.as_str());
    if !only.is_empty() && only.iter().all(several) {
        return format!(
            "nothing is left to measure: {} takes two GPUs at least; measure on a machine that has them \
             (from `--device 0` on), or list it by `--dry-run --devices 8`",
            only.join(", ")
        );
    }
    match left_out {
        [] => "nothing is left to measure; allow more operations in `--only`".to_owned(),
        some => format!(
            "nothing is left to measure, for these are left out: {}; give another `--tp` or `--model`",
            some.join("; ")
        ),
    }
}

/// The time that a card's peaks permit, microseconds; 0 of what neither computes nor moves bytes.
#[must_use]
pub fn peak_us(row: &Planned, card: &AcceleratorCard) -> f64 {
    let rate = card.peak_tflops(row.dtype.map_or(Dtype::Bf16, NumberType::rate));
    let bandwidth = match row.operation {
        _ if assumes_link(row, card) => ASSUMED_LINK_GB_PER_S,
        Operation::PeerCopy { .. } | Operation::AllReduce { .. } => card
            .scale_up_gb_per_s_per_direction
            .unwrap_or(ASSUMED_LINK_GB_PER_S),
        _ => card.bandwidth_gb_per_s,
    };
    let compute = row.operation.flops() / (rate * 1e6);
    let memory = row.operation.bytes(row.dtype) / (bandwidth * 1e3);
    compute.max(memory)
}

/// Whether that time goes by a bandwidth that no card has, [`ASSUMED_LINK_GB_PER_S`].
#[must_use]
pub fn assumes_link(row: &Planned, card: &AcceleratorCard) -> bool {
    match row.operation {
        Operation::HostToDevice { .. } | Operation::DeviceToHost { .. } => true,
        Operation::PeerCopy { .. } | Operation::AllReduce { .. } => {
            card.scale_up_gb_per_s_per_direction.is_none()
        }
        _ => false,
    }
}
