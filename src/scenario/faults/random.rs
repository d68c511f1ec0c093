//! `[[faults.random]]`: components that fail at random and are repaired.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::workload::Law;
use super::{FaultKind, Target};

/// Mean GPU-hours between unexpected stops, by the published record of training Llama 3: 419
/// unexpected stops in 54 days of 16,384 H100, which is 1.97e-5 per GPU-hour ("The Llama 3 Herd of
/// Models", 2024, table 5). That count has software and host maintenance in it; a replica of k
/// accelerators stops k times as often.
pub const GPU_H100_LLAMA3_MTBF_H: f64 = 16_384.0 * 54.0 * 24.0 / 419.0;

/// Components that fail, each at its own random times, and are repaired. A component is shared by
/// `group_size` replicas, which fail and come back together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RandomFaults {
    /// Name, unique; the random numbers go by it, so that entries may be added and removed without
    /// moving those of others.
    pub name: String,
    /// What fails.
    pub component: Component,
    /// Whose components: a pool, a rack or a region. Default: those of all pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// A published rate. Give this or `mtbf_h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<RandomPreset>,
    /// Mean time that one component is up between failures, hours. Give this or `preset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtbf_h: Option<f64>,
    /// Law of the time to repair. Give this or `mttr_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mttr: Option<Law>,
    /// Time to repair, the same each time, seconds. Give this or `mttr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mttr_s: Option<f64>,
    /// What a failure does: `crash`, `hang`, `slow`, `packet_loss` or `brown_out`. Default `crash`.
    #[serde(default = "crash")]
    pub fault: FaultKind,
    /// Replicas that share a component, consecutive in their pool, 1 or more; the last group may
    /// be smaller. 1 for `gpu`, and not given for `rack` with a rack as target and for `region`:
    /// all replicas of these. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_size: Option<u32>,
    /// Components of a group, any of which takes it down: the rate is as many times that of one,
    /// 1 to 100,000. Default: the accelerators of the replica for `gpu`, otherwise 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components_per_group: Option<u32>,
    /// Law of the time between failures. Default `exponential`.
    #[serde(default)]
    pub distribution: TimeBetweenFailures,
}

impl RandomFaults {
    /// Mean time that one component is up between failures, hours.
    pub fn mean_up_h(&self) -> Option<f64> {
        let preset = self.preset.map(|preset| match preset {
            RandomPreset::GpuH100Llama3 => GPU_H100_LLAMA3_MTBF_H,
        });
        self.mtbf_h.or(preset)
    }

    /// Whether whole regions, or whole racks of `[[faults.racks]]`, fail as one.
    pub fn takes_whole_places(&self) -> bool {
        self.group_size.is_none() && matches!(self.component, Component::Rack | Component::Region)
    }
}

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// An accelerator; any of a replica's takes the replica down.
    Gpu,
    /// A node.
    Node,
    /// A switch.
    Switch,
    /// A rack.
    Rack,
    /// A region.
    Region,
}

/// A published rate of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RandomPreset {
    /// Unexpected stops per H100 in the training of Llama 3: 419 in 54 days of 16,384 GPUs, 1.97e-5
    /// per GPU-hour. For `component = "gpu"`.
    #[serde(rename = "gpu_h100_llama3")]
    GpuH100Llama3,
}

/// The law of the time from a repair to the next failure; its mean is given elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeBetweenFailures {
    /// As likely at any time.
    Exponential {},
    /// Weibull: below shape 1 failures come in bursts after a repair, above 1 with age.
    Weibull {
        /// Shape, 0.1 to 20.
        shape: f64,
    },
}

impl Default for TimeBetweenFailures {
    fn default() -> Self {
        TimeBetweenFailures::Exponential {}
    }
}

fn crash() -> FaultKind {
    FaultKind::Crash {}
}
