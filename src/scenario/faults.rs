//! `[faults]`: what breaks, when, and for how long.

mod check;
mod layout;
mod random;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::layout::{Layout, PoolPlace};
pub use self::random::{
    Component, GPU_H100_LLAMA3_MTBF_H, RandomFaults, RandomPreset, TimeBetweenFailures,
};
use super::error::ScenarioError;
use super::text::{Document, SourceText};

/// `[faults]`: what breaks. Default: nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// A TOML file with more of the same tables (`[[faults.timeline]]` and so on), relative to the
    /// scenario. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Faults at stated times. Default: none.
    pub timeline: Vec<TimedFault>,
    /// Faults at random times. Default: none.
    pub random: Vec<RandomFaults>,
    /// Replicas that share a rack. Default: none.
    pub racks: Vec<Rack>,
}

impl Faults {
    /// Whether nothing ever breaks.
    pub fn is_empty(&self) -> bool {
        self.file.is_none() && self.timeline.is_empty() && self.random.is_empty()
    }

    /// Reads a file of `[[faults.timeline]]`, `[[faults.random]]` and `[[faults.racks]]`: the text
    /// that a scenario may hold itself. Its values are checked with [`Faults::check`].
    pub fn load(path: &Path) -> Result<(Document, Faults), ScenarioError> {
        Faults::parse(SourceText::load(path)?)
    }

    /// As [`Faults::load`], from a text.
    pub fn parse(source: SourceText) -> Result<(Document, Faults), ScenarioError> {
        let document = Document::parse(source)?;
        let file: FaultsFile = document.parse_as()?;
        Ok((document, file.faults))
    }

    /// Adds the entries of another, after its own.
    pub fn extend(&mut self, other: Faults) {
        self.timeline.extend(other.timeline);
        self.random.extend(other.random);
        self.racks.extend(other.racks);
    }
}

/// A file of faults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultsFile {
    /// What it holds.
    pub faults: Faults,
}

/// One fault at a stated time.
// Unknown fields are refused by `FaultKind`, which is given all fields that are not named here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimedFault {
    /// When it begins, seconds from the start, 0 to 1e8.
    pub at_s: f64,
    /// How long it lasts, seconds. Give this or `until_s`. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
    /// When it ends, seconds from the start. Give this or `for_s`. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// What it befalls. Needed by most kinds; see each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What it does.
    #[serde(flatten)]
    pub fault: FaultKind,
}

impl TimedFault {
    /// When it ends, seconds from the start; `None` where it never does.
    pub fn end_s(&self) -> Option<f64> {
        self.until_s.or(self.for_s.map(|length| self.at_s + length))
    }
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// The target dies: its requests and its KV are lost. It is back when the fault ends.
    Crash {},
    /// The target takes requests in and answers none; what it held goes on when the fault ends.
    Hang {},
    /// Everything the target does takes longer.
    Slow {
        /// Factor on its service times, above 1, at most 10,000.
        factor: f64,
    },
    /// Requests and answers to and from the target are lost.
    PacketLoss {
        /// Probability that one is lost, above 0, at most 1.
        probability: f64,
    },
    /// Nothing passes between the target region and something else.
    Partition {
        /// The other side: `"gateways"` (of the region), `"clients"` (all of them), or
        /// `{ region = "name" }`.
        from: Peer,
    },
    /// A share of the target's capacity is lost.
    BrownOut {
        /// The share lost, above 0 and below 1.
        share: f64,
    },
    /// A share of the requests is failed or misrouted, as by a bad change that reaches more and
    /// more of a fleet. The target is a pool, a region, or nothing: the whole fleet.
    BadDeploy {
        /// The share from the beginning, 0 to 1.
        share: f64,
        /// Later shares: `[at_s, share]` pairs, seconds from the start of the run, rising, after
        /// `at_s` and before the end. Default: none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        share_steps: Vec<(f64, f64)>,
        /// Whether the same users are hit each time; those hit at a small share are also hit at a
        /// larger one. Default true.
        #[serde(default = "yes")]
        sticky: bool,
        /// How long a user who is hit, or not, stays so, seconds, 0.001 to 1e8: then it is drawn
        /// anew, at an instant of each user's own (a session that ends, a cache that expires). Only
        /// with `sticky`. Default: for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sticky_for_s: Option<f64>,
        /// The pool that requests are sent to by mistake. Default: none, they fail.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        misroute_to: Option<String>,
    },
    /// No launches, and no news: gateways go on with the health and the drains they know of, and
    /// where it is lost everywhere DNS and routes stay as they are. What runs goes on, and so do the
    /// faults of the scenario. The target is a region or nothing: everywhere.
    ControlPlaneLoss {},
    /// Requests for nodes are refused: scalers ask and get none, and what is lost is not replaced
    /// until it is over. What runs goes on. The target is a region or nothing: everywhere.
    LaunchRefusal {},
    /// Resolvers get no answer; what they have cached lasts for its TTL and while it may be served
    /// stale. The target is a population or nothing: all of them.
    DnsOutage {},
    /// Another fault that comes and goes: on for the first `on_share` of every period.
    Oscillating {
        /// The period, seconds, 0.001 to 1e8.
        period_s: f64,
        /// The share of a period for which it is on, above 0 and below 1.
        on_share: f64,
        /// The fault: any kind but `oscillating`, `drain` and a `bad_deploy` with steps.
        fault: Box<FaultKind>,
    },
    /// More arrivals. The target is a population or nothing: all of them.
    TrafficSpike {
        /// Factor on the arrival rate, 0 to 10,000. Below 1 is a lull.
        factor: f64,
    },
    /// The target is told to drain, and is gone after the notice. It is back when the fault ends.
    Drain {
        /// The notice, seconds, 0 or more. AWS gives 120, Google Cloud 30. Default 120.
        #[serde(default = "two_minutes")]
        notice_s: f64,
    },
}

impl FaultKind {
    /// The name used in scenarios.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Crash {} => "crash",
            FaultKind::Hang {} => "hang",
            FaultKind::Slow { .. } => "slow",
            FaultKind::PacketLoss { .. } => "packet_loss",
            FaultKind::Partition { .. } => "partition",
            FaultKind::BrownOut { .. } => "brown_out",
            FaultKind::BadDeploy { .. } => "bad_deploy",
            FaultKind::ControlPlaneLoss {} => "control_plane_loss",
            FaultKind::LaunchRefusal {} => "launch_refusal",
            FaultKind::DnsOutage {} => "dns_outage",
            FaultKind::Oscillating { .. } => "oscillating",
            FaultKind::TrafficSpike { .. } => "traffic_spike",
            FaultKind::Drain { .. } => "drain",
        }
    }
}

/// The other side of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// The region's own gateways: its replicas are up and cannot be reached.
    Gateways,
    /// All clients: they cannot reach the region.
    Clients,
    /// Another region.
    Region(String),
}

/// What a fault befalls: `{ pool = "h100" }`, `{ pool = "h100", replica = 3 }`,
/// `{ pool = "h100", share = 0.3 }`, `{ region = "eu" }`, `{ rack = "r1" }` or
/// `{ population = "phones" }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// All replicas of a pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// One replica of the pool, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<u32>,
    /// A share of the pool's replicas, above 0 and at most 1: those with the lowest numbers,
    /// rounded to whole replicas, one at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// A region: its gateways and the replicas of all its pools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A rack of `[[faults.racks]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// A population of `[[populations]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub population: Option<String>,
}

impl Target {
    /// All replicas of a pool.
    pub fn pool(name: impl Into<String>) -> Target {
        Target {
            pool: Some(name.into()),
            ..Target::default()
        }
    }

    /// One replica of a pool.
    pub fn replica(pool: impl Into<String>, replica: u32) -> Target {
        Target {
            replica: Some(replica),
            ..Target::pool(pool)
        }
    }
}

/// Replicas that share a rack: its power, its switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rack {
    /// Name, unique.
    pub name: String,
    /// What it holds.
    pub members: Vec<RackMembers>,
}

/// Consecutive replicas of a pool in a rack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RackMembers {
    /// The pool.
    pub pool: String,
    /// The first of its replicas, counted from 0. Default 0.
    #[serde(default)]
    pub first_replica: u32,
    /// How many, 1 or more.
    pub replicas: u32,
}

fn yes() -> bool {
    true
}
fn two_minutes() -> f64 {
    120.0
}
