//! How a replica is spread over devices.

use super::accelerator::AcceleratorCard;
use super::error::PerfError;
use super::model::ModelCard;

/// How a replica is spread over devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parallelism {
    /// Tensor-parallel devices of a stage: 1 or more, divides the model's `heads`, at most the
    /// accelerator's `scale_up_domain`.
    pub tp: u32,
    /// Pipeline stages: 1 or more, at most the model's `layers`.
    pub pp: u32,
    /// Ranks of data-parallel attention, `tp` devices each, that share the experts: 1 or more.
    pub dp: u32,
    /// Whether experts are dealt out whole to the `tp` x `dp` devices instead of each being split
    /// over all of them.
    pub ep: bool,
}

impl Parallelism {
    /// One stage on so many devices.
    #[must_use]
    pub fn tensor(tp: u32) -> Self {
        Self {
            tp,
            pp: 1,
            dp: 1,
            ep: false,
        }
    }

    /// Devices that share the experts of a layer.
    #[must_use]
    pub fn expert_devices(&self) -> u32 {
        self.tp * self.dp
    }
}

/// Checks that `tp` devices can share the model.
pub(crate) fn check_tp(
    model: &ModelCard,
    accelerator: &AcceleratorCard,
    tp: u32,
) -> Result<(), PerfError> {
    let fail = |allowed: String, remedy: String| {
        Err(PerfError::Field {
            file: format!("{} on {}", model.name, accelerator.name),
            field: "tp",
            value: tp.to_string(),
            allowed,
            remedy,
        })
    };
    let domain = accelerator.scale_up_domain;
    if tp == 0 || tp > domain {
        return fail(
            format!("1 to {domain}, the devices of a scale-up domain"),
            format!("lower `tp` to {domain} or less, or use more replicas"),
        );
    }
    if !model.heads.is_multiple_of(tp) {
        let divisor = (1..tp)
            .rev()
            .find(|d| model.heads.is_multiple_of(*d))
            .unwrap_or(1);
        return fail(
            format!("a divisor of the model's {} heads", model.heads),
            format!("the next lower one is {divisor}"),
        );
    }
    if tp > 1 && accelerator.scale_up_gb_per_s_per_direction.is_none() {
        return fail(
            "1, as the card gives no `scale_up_gb_per_s_per_direction`".into(),
            "lower `tp` to 1 or use a card of your own that gives the link's bandwidth".into(),
        );
    }
    Ok(())
}
