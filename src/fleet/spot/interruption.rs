//! The laws by which a spot pool takes nodes back.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fleet::spot::errors::{RuleError, check_range};
use crate::fleet::spot::recording::{AfterEnd, RowOrder, TraceOptions};

/// Highest accepted rate, per hour (one a second). A choice of this crate;
/// rates above it are a unit mistake: the pools of SkyPilot's public traces lose
/// at most 1.4 nodes per node-hour.
pub const MAX_RATE_PER_HOUR: f64 = 3600.0;
/// Accepted mean life, hours (1 s to about 114 years). A choice of this crate.
pub const MEAN_H_RANGE: (f64, f64) = (1.0 / 3600.0, 1e6);
/// Accepted Weibull shape. A choice of this crate: below 0.1 the mean is made by
/// lives rarer than any run meets, above 10 lives hardly vary.
pub const SHAPE_RANGE: (f64, f64) = (0.1, 10.0);
/// Accepted nodes per recorded node. A choice of this crate.
pub const SCALE_RANGE: (f64, f64) = (1e-3, 1e4);

/// How a pool of spot nodes loses nodes. In configuration files the field `law`
/// names the variant in snake case.
///
/// A life starts when the node starts, and ends strictly later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum Interruption {
    /// No node is ever taken back.
    None {},
    /// Every node is taken back independently, at a rate that does not depend
    /// on its age: exponential lives.
    Hazard {
        /// Losses per hour of one held node, 0 to 3600; 0 is never.
        per_node_hour: f64,
    },
    /// Every node is taken back independently, at a rate that depends on its
    /// age: Weibull lives.
    Weibull {
        /// Mean life, hours, 1/3600 to 1,000,000.
        mean_h: f64,
        /// Shape, 0.1 to 10. Below 1 young nodes are lost most often and lives
        /// are heavy-tailed, as the up-times of SkyPilot's public traces are
        /// (mean 2 to 9 times the median); 1 is `hazard`; above 1 nodes wear out.
        shape: f64,
    },
    /// Events that strike the whole pool at once, over an independent hazard.
    /// One node's rate of loss is `per_hour * share + per_node_hour`.
    PoolLoss {
        /// Events per hour, exponential gaps, 0 to 3600; 0 is never.
        per_hour: f64,
        /// Probability that an event takes a given node held before it, each
        /// node drawn independently, 0 to 1; 1 takes the whole pool.
        share: f64,
        /// Further losses per hour of one held node, 0 to 3600.
        per_node_hour: f64,
    },
    /// The pool supplies what a recording says: a node is refused beyond it, and
    /// when it drops below what is held the excess is lost at that tick.
    Trace {
        /// Recording: SkyPilot's JSON, rows of membership events, or rows of counts; the forms and
        /// their units are in `calibration/README.md`.
        file: PathBuf,
        /// Most nodes supplied whatever the recording says, nodes, at least 1;
        /// absent for no cap. Applied after `scale`.
        #[serde(default)]
        max_nodes: Option<u32>,
        /// Nodes supplied per recorded node, 0.001 to 10,000, rounded down to
        /// whole nodes. Default 1.
        #[serde(default = "one")]
        scale: f64,
        /// What follows the recording's end. Default `hold`.
        #[serde(default)]
        after_end: AfterEnd,
        /// Simulated seconds per recorded second, 0.001 to 10. Default 1.
        #[serde(default = "one")]
        time_scale: f64,
        /// Recorded second at which the simulation starts. Default 0.
        #[serde(default)]
        offset_s: f64,
        /// What to do with rows out of order. Default `strict`.
        #[serde(default)]
        order: RowOrder,
    },
}

/// The default of the factors.
fn one() -> f64 {
    1.0
}

impl Interruption {
    /// Checks every setting against its range. The recording's own options are
    /// checked when it is read.
    ///
    /// # Errors
    /// `RuleError` for the first setting out of range.
    pub fn check(&self) -> Result<(), RuleError> {
        let rate = |field, value| {
            let allowed = "0 to 3600 per hour";
            check_range(field, value, (0.0, MAX_RATE_PER_HOUR), allowed)
        };
        match self {
            Self::None {} => Ok(()),
            Self::Hazard { per_node_hour } => rate("per_node_hour", *per_node_hour),
            Self::Weibull { mean_h, shape } => {
                check_range("mean_h", *mean_h, MEAN_H_RANGE, "1/3600 to 1,000,000 hours")?;
                check_range("shape", *shape, SHAPE_RANGE, "0.1 to 10")
            }
            Self::PoolLoss {
                per_hour,
                share,
                per_node_hour,
            } => {
                rate("per_hour", *per_hour)?;
                check_range("share", *share, (0.0, 1.0), "0 to 1")?;
                rate("per_node_hour", *per_node_hour)
            }
            Self::Trace {
                max_nodes, scale, ..
            } => {
                if *max_nodes == Some(0) {
                    return Err(RuleError {
                        field: "max_nodes",
                        value: String::from("0"),
                        allowed: "at least 1 node",
                        remedy: "leave it out for no cap, or use no spot nodes",
                    });
                }
                check_range("scale", *scale, SCALE_RANGE, "0.001 to 10,000")
            }
        }
    }

    /// How to read the recording of a `trace` law; `None` for the other laws.
    #[must_use]
    pub fn trace_options(&self) -> Option<TraceOptions> {
        match self {
            Self::Trace {
                after_end,
                time_scale,
                offset_s,
                order,
                ..
            } => Some(TraceOptions {
                time_scale: *time_scale,
                offset_s: *offset_s,
                after_end: *after_end,
                order: *order,
            }),
            _ => None,
        }
    }

    /// Nodes supplied when the recording counts `recorded` nodes; `None` when
    /// the law sets no limit.
    #[must_use]
    pub fn capacity(&self, recorded: u32) -> Option<u32> {
        /// Relative error of a factor written as a quotient of node counts,
        /// which must not cost a whole node when rounding down.
        const SLACK: f64 = 1e-9;
        match self {
            Self::Trace {
                max_nodes, scale, ..
            } => {
                let nodes = (f64::from(recorded) * scale * (1.0 + SLACK)).floor();
                // A float-to-integer cast saturates at both ends.
                Some((nodes as u32).min(max_nodes.unwrap_or(u32::MAX)))
            }
            _ => None,
        }
    }
}
