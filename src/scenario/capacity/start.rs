//! What a node does before it takes requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::problems::Problems;
use crate::scenario::validate::{MOST_S, check_law};
use crate::scenario::workload::Law;

/// The phases of a node from being asked for to being ready, one after the other. Nobody has
/// published a measured distribution of all of them; the defaults span what is published, and are
/// assumptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeStart {
    /// From the request until the machine boots. Default: none.
    pub provision: Option<Law>,
    /// The machine boots. Default: uniform, 30 to 90 s; no source was found.
    pub boot: Law,
    /// The container image is pulled. Default: uniform, 30 to 180 s: published estimates are 30 to
    /// 60 s and 60 to 180 s.
    pub image_pull: Law,
    /// The weights come over a network or from a disk, and into the accelerators' memory.
    pub weights: Weights,
    /// Kernels are compiled and graphs captured. Default: uniform, 10 to 60 s; an assumption.
    pub warm_up: Law,
}

/// Weights take their size over a bandwidth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Weights {
    /// Size, GB (10^9 bytes). Default: those of the pool's model; 0 for abstract pools.
    pub gb: Option<f64>,
    /// Bandwidth, GB/s. Default 1, as published estimates for 140 GB take (140 s).
    pub gb_per_s: f64,
    /// A random factor on the time, given as a law of any mean (the mean is divided out). Default:
    /// none, it takes size over bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variability: Option<Law>,
}

impl Default for Weights {
    fn default() -> Self {
        Weights {
            gb: None,
            gb_per_s: 1.0,
            variability: None,
        }
    }
}

impl Default for NodeStart {
    fn default() -> Self {
        let uniform = |low_s: f64, high_s: f64| Law::Uniform {
            low_ms: low_s * 1e3,
            high_ms: high_s * 1e3,
        };
        NodeStart {
            provision: None,
            boot: uniform(30.0, 90.0),
            image_pull: uniform(30.0, 180.0),
            weights: Weights::default(),
            warm_up: uniform(10.0, 60.0),
        }
    }
}

impl NodeStart {
    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let laws = [
            ("provision", self.provision.as_ref()),
            ("boot", Some(&self.boot)),
            ("image_pull", Some(&self.image_pull)),
            ("warm_up", Some(&self.warm_up)),
            ("weights.variability", self.weights.variability.as_ref()),
        ];
        for (field, law) in laws {
            if let Some(law) = law {
                check_law(law, &format!("{at}.{field}"), problems);
            }
        }
        if let Some(gb) = self.weights.gb {
            problems.non_negative(&format!("{at}.weights.gb"), gb, 1e6);
        }
        let path = format!("{at}.weights.gb_per_s");
        problems.positive(&path, self.weights.gb_per_s, MOST_S);
    }
}
