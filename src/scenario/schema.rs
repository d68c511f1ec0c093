//! What a user writes: the whole scenario, and the parts that are not the fleet.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admission::{Admission, ConcurrencyLimit, Quota, RateLimits};
use super::capacity::Capacity;
use super::clock::Clock;
use super::cost::Cost;
use super::erasure::Erasure;
use super::faults::Faults;
use super::fleet::{Batching, Gateway, Network, Pool, Router};
use super::health::HealthRules;
use super::kv_store::KvStore;
use super::locality::Locality;
use super::regions::{Population, Region};
use super::roles::KvTransfer;
use super::routing::{Capability, SessionAffinity};
use super::signals::Signals;
use super::steering::Steering;
use super::tries::Clients;
use super::workload::Workload;

/// A scenario: one TOML file, readable from top to bottom as a description of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, for reports.
    pub name: String,
    /// What it is about, for people.
    #[serde(default)]
    pub description: String,
    /// What is assumed and not stated by the source: printed at the top of every report.
    #[serde(default)]
    pub assumptions: Vec<String>,
    /// Length, seed and replications.
    #[serde(default)]
    pub run: Run,
    /// The traffic.
    pub workload: Workload,
    /// Service levels and their shares of the traffic. Default: one tier named `default`.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// The objective of every tier that states none. Default: none.
    pub slo: Option<Slo>,
    /// What clients do about what fails. Default: they wait for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<Clients>,
    /// Where gateways and pools are. Default: in one region without a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Where clients are. Default: at the gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub populations: Vec<Population>,
    /// How clients find a region. Default, with populations: DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steering: Option<Steering>,
    /// Whether gateways use the replicas of other regions.
    #[serde(default, skip_serializing_if = "Locality::is_default")]
    pub locality: Locality,
    /// How gateways judge the replicas. Default: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthRules>,
    /// What breaks. Default: nothing.
    #[serde(default, skip_serializing_if = "Faults::is_empty")]
    pub faults: Faults,
    /// Where nodes come from, and who asks for more. Default: all replicas are there all the time.
    #[serde(default, skip_serializing_if = "Capacity::is_default")]
    pub capacity: Capacity,
    /// Fixed hops, and the way between regions.
    #[serde(default)]
    pub network: Network,
    /// The front door.
    #[serde(default)]
    pub gateway: Gateway,
    /// Who serves a request.
    #[serde(default)]
    pub router: Router,
    /// Who is let in at the gateways. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
    /// Whether sessions stay where they are. Default: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<SessionAffinity>,
    /// Whether routers look at what pools can serve. Default: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// What routers know of the replicas' load.
    #[serde(default, skip_serializing_if = "Signals::is_default")]
    pub signals: Signals,
    /// The dynamic-batching window.
    #[serde(default)]
    pub batching: Batching,
    /// The replicas.
    pub pools: Vec<Pool>,
    /// The way of KV from prefill pools to decode pools.
    #[serde(default, skip_serializing_if = "KvTransfer::is_default")]
    pub kv_transfer: KvTransfer,
    /// KV that replicas share. Default: each has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_store: Option<KvStore>,
    /// People who ask to be forgotten, and stores that hold something of them. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<Erasure>,
    /// Prices. Default: costs are not reported.
    pub cost: Option<Cost>,
    /// Other designs to run beside this one: `[variants.NAME]` maps paths to values. A claim may
    /// be about a variant, and metrics reach its result by `variants.NAME.`. Default: none.
    #[serde(default)]
    pub variants: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// Statements to test.
    #[serde(default)]
    pub claims: Vec<Claim>,
}

/// `[run]`: length, seed and replications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// Seed of every random stream. Default 1.
    pub seed: u64,
    /// Arrivals stop here, seconds. Default: the end of the trace with trace arrivals, else 600.
    pub horizon_s: Option<f64>,
    /// Requests that arrive before this are not measured: seconds, or `"auto"` for MSER-5 on a
    /// pilot run of the same seed. Default: 10 % of the horizon, and 0 with trace arrivals.
    pub warmup_s: Option<Warmup>,
    /// After the horizon the run goes on until every request has ended, but at most this much
    /// longer, seconds; what is left counts as in flight. Default: as long as the horizon, and
    /// at least 600.
    pub drain_limit_s: Option<f64>,
    /// The run ends after this many events, with a partial report. Default: 20 thousand million.
    pub max_events: u64,
    /// The run ends when more requests than this are in flight, with a partial report: a fleet
    /// that does not keep up fills the memory otherwise (about 130 bytes each). Default 20
    /// million.
    pub max_in_flight: u64,
    /// Independent replications; with two or more, intervals come from them. Default 1.
    pub replications: u32,
    /// Confidence of every interval, 0.5 to 0.9999. Default 0.95.
    pub confidence: f64,
    /// What the clock on the wall says, for accounts of what happened when. Default: they are in
    /// seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

impl Default for Run {
    fn default() -> Self {
        Run {
            seed: 1,
            horizon_s: None,
            warmup_s: None,
            drain_limit_s: None,
            max_events: 20_000_000_000,
            max_in_flight: 20_000_000,
            replications: 1,
            confidence: 0.95,
            clock: None,
        }
    }
}

/// How much of the beginning is not measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Warmup {
    /// So many seconds.
    Seconds(f64),
    /// Found by MSER-5.
    Auto(Auto),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// Found by the program.
    Auto,
}

/// `[[tiers]]`: a service level and its share of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Name, unique.
    pub name: String,
    /// Share of the requests; shares are scaled to sum to 1. Default 1.
    #[serde(default = "one")]
    pub share: f64,
    /// Who is served first by pools whose `scheduling_policy` is `priority`: the lower number, as
    /// vLLM has it. Default 0.
    #[serde(default)]
    pub priority: i32,
    /// Its objective. Default: `[slo]`.
    pub slo: Option<Slo>,
    /// What it asks for: only pools that name it in `serves`, or name nothing, serve it. Default:
    /// any pool does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Token buckets of the tier at each gateway replica. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateLimits>,
    /// Most requests of the tier past each gateway replica at once. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyLimit>,
    /// What the tier may use of the service. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<Quota>,
    /// Its share of what a fair waiting room lets out, where no tenants are stated. Default 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
    /// When a request should be done, milliseconds after its first try began: a waiting room orders
    /// by it, and drops what has passed it. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<f64>,
    /// Accelerators that may serve it, as pools name them. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hardware: Vec<String>,
}

/// A service-level objective: the share of requests that must meet every bound stated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slo {
    /// Time to first token, milliseconds.
    pub ttft_ms: Option<f64>,
    /// Mean time per output token after the first, milliseconds.
    pub tpot_ms: Option<f64>,
    /// End-to-end latency, milliseconds.
    pub e2e_ms: Option<f64>,
    /// Share of requests that must be answered at all, 0 to 1. Default: as `target` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// Share of requests that must meet all of them, 0 to 1. Default 0.99.
    #[serde(default = "default_target")]
    pub target: f64,
}

/// `[[claims]]`: a statement to test.
///
/// Give exactly one of `at_most`, `at_least` and `equals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Identifier, unique.
    pub id: String,
    /// The statement, in words.
    pub text: String,
    /// A field of the result by its path (`latency.e2e_ms.p99`, `pools.nodes.utilization`), or
    /// an expression over such fields, with spaces around operators. What is made of counts
    /// (`requests.completed`) is of one replication, the mean of their own, and so are bounds on it; the
    /// result has their sums.
    pub metric: String,
    /// Holds when the metric is at most this: a number or an expression.
    pub at_most: Option<Bound>,
    /// Holds when the metric is at least this.
    pub at_least: Option<Bound>,
    /// Holds when the metric equals this, within `tolerance_pct`.
    pub equals: Option<Bound>,
    /// Tolerance of `equals`, percent of the expected value. Default 1.
    pub tolerance_pct: Option<f64>,
    /// The variant this claim is about. Default: the scenario itself.
    pub variant: Option<String>,
    /// Overrides for this claim (on top of its variant's): path to value.
    #[serde(default)]
    pub with: BTreeMap<String, serde_json::Value>,
    /// Overrides that make the counterfactual (on top of `with`), run on the same random numbers.
    pub versus: Option<BTreeMap<String, serde_json::Value>>,
    /// How the two compare. Default `percent_change`. Only with `versus`.
    pub compare: Option<Compare>,
}

/// How a metric compares with its counterfactual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// `100 (metric - counterfactual) / counterfactual`.
    PercentChange,
    /// `metric / counterfactual`.
    Ratio,
    /// `metric - counterfactual`.
    Difference,
}

/// A number, or an expression over the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// An expression over fields of the result.
    Expression(String),
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn one() -> f64 {
    1.0
}

fn default_target() -> f64 {
    0.99
}
