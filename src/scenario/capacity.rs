//! `[capacity]`: where nodes come from, what they cost, how they are lost, and who asks for more.

mod check;
mod limit;
mod start;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::start::{NodeStart, Weights};
use super::scaling::Scaler;
use crate::fleet::spot::interruption::Interruption;
use crate::fleet::spot::notice::NoticeRule;
use crate::money::book::Upfront;

/// `[capacity]`: a node is a replica of a pool. Without it all replicas are there all the time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capacity {
    /// Where the nodes of pools come from; a pool without any is there all the time, bought as
    /// `[cost]` says.
    pub groups: Vec<NodeGroup>,
    /// Who asks for more nodes, and gives them back. Default: nobody.
    pub scalers: Vec<Scaler>,
    /// Bounds on what scalers may ask for in all, by pool or by tier. Default: none but their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<NodeLimit>,
}

/// `[[capacity.limits]]`: how many nodes scalers may ask for in all, for a pool or for the pools that
/// may serve a tier. Nodes that stand in for lost ones are not asked for by scalers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeLimit {
    /// The pool. Give this or `tier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The tier: all pools that may serve it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Nodes at least. Default 0.
    #[serde(default)]
    pub min_nodes: u32,
    /// Nodes at most, at least `min_nodes`: it goes before `min_nodes` of other limits.
    pub max_nodes: u32,
}

impl Capacity {
    /// Whether nothing was stated.
    pub fn is_default(&self) -> bool {
        *self == Capacity::default()
    }
}

/// How nodes are bought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// By the hour, for as long as they are wanted.
    #[default]
    OnDemand,
    /// Cheaper, and taken back at any time.
    Spot,
    /// Paid for whether they are used or not.
    Reserved,
}

impl Market {
    /// The name used in scenarios and results.
    pub fn name(self) -> &'static str {
        match self {
            Market::OnDemand => "on_demand",
            Market::Spot => "spot",
            Market::Reserved => "reserved",
        }
    }

    /// All of them, in the order of their indices in results.
    pub const ALL: [Market; 3] = [Market::OnDemand, Market::Spot, Market::Reserved];
}

/// `[[capacity.groups]]`: nodes of one pool that are bought, lost and replaced alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeGroup {
    /// Name, unique.
    pub name: String,
    /// The pool whose replicas they are.
    pub pool: String,
    /// How they are bought. Default `on_demand`.
    #[serde(default)]
    pub market: Market,
    /// Nodes at the start: a share of `pools.replicas`, 0 to 1, rounded to whole nodes. Give this,
    /// `nodes`, or neither: one group of a pool may take what the others leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Nodes at the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
    /// Nodes at most, those on their way out among them. Default: those at the start, those of the
    /// groups that fall back on it, or the most its scaler may want; twice as many where nodes come
    /// and go, so that one may start while another drains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    /// Price of an accelerator, US dollars per hour. Default: what the price book has for `price`,
    /// else what `[cost]` says of its market.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_gpu_hour: Option<f64>,
    /// Where its price is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceOf>,
    /// A file of what one node costs as time goes by, for spot markets: rows of
    /// `seconds,usd_per_hour`, each of which holds until the next. A node pays what holds at each
    /// instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_series: Option<PathBuf>,
    /// How its nodes are taken back. Default: never.
    #[serde(default = "never")]
    pub interruption: Interruption,
    /// What is told before. Default: nothing.
    #[serde(default = "no_notice")]
    pub notice: NoticeRule,
    /// What is done about a node that is told to go. Default: it takes no new requests.
    #[serde(default)]
    pub on_notice: OnNotice,
    /// How long before it goes a node that is told begins with that, seconds, 0 or more: until then it
    /// works on as before. Default: as soon as it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_s: Option<f64>,
    /// What is done when a node is lost, or none can be had. Default: another of the same group.
    #[serde(default)]
    pub on_loss: OnLoss,
    /// Probability that a request for a node is refused, beside what `interruption` says, 0 to 1.
    /// Default 0.
    #[serde(default)]
    pub refusal_probability: f64,
    /// What a node does before it takes requests. Those of the start are ready.
    #[serde(default)]
    pub start: NodeStart,
}

/// What the price book is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceOf {
    /// Provider, as the book has it.
    pub provider: String,
    /// Part. Default: the accelerator of the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Region, as the provider names it.
    pub region: String,
    /// Years committed to, of `market = "reserved"`. Default 1; none for what is owned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term_years: Option<u32>,
    /// How that is paid for: `none`, `partial` or `all` upfront, or `owned`. Default `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upfront: Option<Upfront>,
}

/// What is done about a node that is told to go.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum OnNotice {
    /// It takes no new requests, and finishes those that it can.
    Drain {},
    /// It takes no new requests, and those that it has go to other nodes at once: what was computed
    /// of them is computed again there.
    HandOver {},
    /// The same, and the KV of those that are being answered goes with them, one after the other
    /// over a link of the node: nothing of them is computed again. What would not be over before the
    /// node goes, and prompts that are still being computed, go as by `hand_over`. Of
    /// language-model pools whose models and KV are alike. The time on the way counts as decoding.
    Migrate {
        /// Bandwidth of the node's link, GB (10^9 bytes) a second, 0.001 or more. Default 50, one
        /// port of 400 Gbit/s: an assumption.
        #[serde(default = "fifty")]
        bandwidth_gb_per_s: f64,
        /// Time that each takes on top, milliseconds. Default 0.
        #[serde(default)]
        latency_ms: f64,
    },
    /// Nothing: it works on, and what it has when it goes is lost.
    Ignore {},
}

impl Default for OnNotice {
    fn default() -> Self {
        OnNotice::Drain {}
    }
}

/// What is done when a node is lost, or none can be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OnLoss {
    /// The group that lends a node as long as none can be had of its own: of this or another pool,
    /// which is another zone, region or part. Its own market is asked first, and again every
    /// `retry_s`; what was lent is given back once its own are ready. A lender that is refused falls
    /// back in turn. Default: none; the group waits for a node of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fall_back_on: Option<String>,
    /// How long until a node is asked for again that could not be had, seconds, 0.001 or more.
    /// Default 30.
    pub retry_s: f64,
    /// Whether nothing is done at all: what is lost is not replaced. Default false.
    pub never: bool,
}

impl Default for OnLoss {
    fn default() -> Self {
        OnLoss {
            fall_back_on: None,
            retry_s: 30.0,
            never: false,
        }
    }
}

fn fifty() -> f64 {
    50.0
}
fn never() -> Interruption {
    Interruption::None {}
}
fn no_notice() -> NoticeRule {
    NoticeRule {
        notice_s: 0.0,
        rebalance: None,
    }
}
