//! How much warning comes before a spot node is taken back.

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::SimRng;
use crate::engine::SimTime;
use crate::fleet::spot::errors::{RuleError, check_range};

/// Notice before an Amazon EC2 Spot interruption, seconds ("Spot Instance
/// interruption notices", Amazon EC2 user guide: two minutes).
pub const AWS_NOTICE_S: f64 = 120.0;
/// Time between the ACPI soft-off signal and mechanical off of a Google Cloud
/// Spot VM, seconds (Compute Engine documentation: 30 seconds; 120 for standard
/// VMs).
pub const GCP_NOTICE_S: f64 = 30.0;
/// Longest accepted notice and lead, seconds (a day). A choice of this crate.
const MAX_LEAD_S: f64 = 86_400.0;
/// Nanoseconds in a second.
const NS_PER_SECOND: f64 = 1e9;

/// An early signal that a node is at risk, such as EC2's rebalance
/// recommendation: best effort, and possibly no earlier than the notice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rebalance {
    /// How long before the notice it comes, seconds, 0 to 86,400; 0 is with the
    /// notice. No provider publishes a figure.
    pub lead_s: f64,
    /// Probability that it comes at all, 0 to 1, drawn for each loss of a node.
    /// No provider publishes a figure.
    pub probability: f64,
}

/// A provider's warnings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoticeRule {
    /// How long before the loss the notice comes, seconds, 0 to 86,400; 0 is no
    /// warning.
    pub notice_s: f64,
    /// The earlier signal; absent if the provider has none.
    #[serde(default)]
    pub rebalance: Option<Rebalance>,
}

/// When the warnings of one loss of one node come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warnings {
    /// When the early signal comes, never after the notice; `None` when none
    /// comes.
    pub rebalance_at: Option<SimTime>,
    /// When the notice comes: shorter before the loss than the rule says, or
    /// even at or after it, if the loss became known, or the node started, late.
    pub notice_at: SimTime,
}

impl NoticeRule {
    /// EC2's two minutes, without rebalance recommendations.
    #[must_use]
    pub fn aws() -> Self {
        Self {
            notice_s: AWS_NOTICE_S,
            rebalance: None,
        }
    }

    /// Google Cloud's 30 seconds.
    #[must_use]
    pub fn gcp() -> Self {
        Self {
            notice_s: GCP_NOTICE_S,
            rebalance: None,
        }
    }

    /// Checks every setting against its range.
    ///
    /// # Errors
    /// `RuleError` for the first setting out of range.
    pub fn check(&self) -> Result<(), RuleError> {
        let lead = |field, value| {
            let allowed = "0 to 86,400 seconds";
            check_range(field, value, (0.0, MAX_LEAD_S), allowed)
        };
        lead("notice_s", self.notice_s)?;
        if let Some(rebalance) = self.rebalance {
            lead("lead_s", rebalance.lead_s)?;
            check_range("probability", rebalance.probability, (0.0, 1.0), "0 to 1")?;
        }
        Ok(())
    }

    /// When the warnings of a loss at `loss_at` come to a node started at
    /// `started`, if the loss is known from `now` on: each as long before as the
    /// rule says, but neither before `now` nor before the node's start.
    ///
    /// Draws exactly one number from `rng` when there is a rebalance signal,
    /// whatever its probability, so that rules can be compared draw by draw.
    pub fn warnings(
        &self,
        loss_at: SimTime,
        started: SimTime,
        now: SimTime,
        rng: &mut SimRng,
    ) -> Warnings {
        let earliest = started.max(now);
        let before = |lead_s: f64| {
            // The cast saturates, and a lead longer than the past ends at 0.
            let lead_ns = (lead_s * NS_PER_SECOND).round() as u64;
            SimTime(loss_at.0.saturating_sub(lead_ns)).max(earliest)
        };
        let rebalance_at = self.rebalance.and_then(|rebalance| {
            let comes = rng.random::<f64>() < rebalance.probability;
            comes.then(|| before(self.notice_s + rebalance.lead_s))
        });
        Warnings {
            rebalance_at,
            notice_at: before(self.notice_s),
        }
    }
}
