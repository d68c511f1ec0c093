//! Where nodes come from, in the simulator's own units.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::spot::availability::Availability;
use crate::fleet::spot::interruption::Interruption;
use crate::fleet::spot::notice::NoticeRule;
use crate::fleet::spot::prices::Prices;
use crate::fleet::transfer::TransferPlan;
use crate::money::bill::{BillingRule, HourlyRate, Nanodollars};
use crate::scenario::capacity::{Market, OnNotice};
use crate::scenario::scaling::Scaler;
use crate::workload::Sampler;

/// Groups of nodes and who asks for them.
#[derive(Debug, Clone, Default)]
pub struct CapacityPlan {
    /// The groups.
    pub groups: Vec<GroupPlan>,
    /// Who asks for nodes: the rule, and the group.
    pub scalers: Vec<ScalerPlan>,
    /// Bounds on what they may ask for together.
    pub limits: Vec<LimitPlan>,
}

/// Who asks for nodes of a group.
#[derive(Debug, Clone)]
pub struct ScalerPlan {
    /// How.
    pub rule: Scaler,
    /// Of which groups, and what part each has of the nodes wanted; the rest comes last.
    pub parts: Vec<(u16, Part)>,
    /// Whose requests count, by tier.
    pub tiers: Vec<u16>,
}

/// What part of the nodes of a scaler a group has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// So many.
    Fixed(u32),
    /// That share, rounded to whole nodes.
    Share(f64),
    /// What the others leave.
    Rest,
}

impl Part {
    /// Nodes of `all`; all of them where the rest is meant.
    pub fn of(self, all: u32) -> u32 {
        match self {
            Part::Fixed(nodes) => nodes,
            Part::Share(share) => (share * f64::from(all)).round() as u32,
            Part::Rest => all,
        }
    }
}

impl ScalerPlan {
    /// What each group has of so many nodes, in the order of `parts`.
    pub fn split(&self, all: u32) -> Vec<(u16, u32)> {
        let mut left = all;
        let parts = self.parts.iter().map(|(group, part)| {
            let nodes = match part {
                Part::Rest => left,
                other => other.of(all).min(left),
            };
            left -= nodes;
            (*group, nodes)
        });
        parts.collect()
    }
}

/// How many nodes scalers may ask for in all of some groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitPlan {
    /// The groups.
    pub groups: Vec<u16>,
    /// Nodes at least and at most.
    pub min: u32,
    /// See there.
    pub max: u32,
}

impl CapacityPlan {
    /// So many nodes of the groups of a scaler as the limits allow, where others of each limit's
    /// groups are to have as many as `others` says.
    pub fn limited(&self, scaler: &ScalerPlan, wanted: u32, others: impl Fn(u16) -> u32) -> u32 {
        let is_own = |group: &u16| scaler.parts.iter().any(|(own, _)| own == group);
        let own = self.limits.iter();
        let own = own.filter(|limit| limit.groups.iter().any(is_own));
        let rest = |limit: &LimitPlan| -> u32 {
            let rest = limit.groups.iter().filter(|other| !is_own(other));
            rest.map(|other| others(*other))
                .fold(0, u32::saturating_add)
        };
        let least = own
            .clone()
            .map(|limit| limit.min.saturating_sub(rest(limit)));
        let most = own.map(|limit| limit.max.saturating_sub(rest(limit)));
        let wanted = wanted.max(least.max().unwrap_or(0));
        wanted.min(most.min().unwrap_or(u32::MAX))
    }
}

/// Nodes that are bought, lost and replaced alike.
#[derive(Debug, Clone)]
pub struct GroupPlan {
    /// Name.
    pub name: String,
    /// Its pool, by index.
    pub pool: u16,
    /// The pool's region.
    pub region: u16,
    /// How they are bought.
    pub market: Market,
    /// The first of its replicas, over all pools.
    pub first: u32,
    /// Nodes at most.
    pub slots: u32,
    /// Nodes at the start.
    pub at_start: u32,
    /// Price of a node.
    pub price: NodePrice,
    /// Where that price comes from.
    pub price_source: String,
    /// What a lifetime is billed as.
    pub billing: BillingRule,
    /// How nodes are taken away.
    pub interruption: Interruption,
    /// How many can be had, where a trace says so.
    pub availability: Option<Arc<Availability>>,
    /// What is told before.
    pub notice: NoticeRule,
    /// What is done then.
    pub on_notice: OnNotice,
    /// How long before it goes a node begins with that; none: as soon as it is told.
    pub drain: Option<SimDuration>,
    /// The link that KV leaves a node by, where it is migrated.
    pub link: Option<TransferPlan>,
    /// The group that lends nodes.
    pub fall_back_on: Option<u16>,
    /// How long until a node is asked for again.
    pub retry: SimDuration,
    /// Whether what is lost is not replaced.
    pub never: bool,
    /// Probability that a request for a node is refused.
    pub refusal_probability: f64,
    /// How a node starts.
    pub start: StartPlan,
}

/// What a node costs.
#[derive(Debug, Clone)]
pub enum NodePrice {
    /// The same all the time.
    Fixed(HourlyRate),
    /// As a file says, instant by instant.
    Series(Arc<Prices>),
}

impl NodePrice {
    /// US dollars an hour at the beginning.
    pub fn usd_per_hour_at_start(&self) -> f64 {
        match self {
            NodePrice::Fixed(rate) => rate.as_usd_per_hour(),
            NodePrice::Series(prices) => prices.at(SimTime::ZERO),
        }
    }

    /// What one node costs that is billed for so long from an instant on.
    pub fn cost(&self, from: SimTime, billed: SimDuration) -> Nanodollars {
        match self {
            NodePrice::Fixed(rate) => rate.cost(billed),
            NodePrice::Series(prices) => {
                let until = from.saturating_add(billed);
                Nanodollars(i128::from(prices.cost_nano_usd(from, until)))
            }
        }
    }
}

/// How a node starts.
#[derive(Debug, Clone)]
pub struct StartPlan {
    /// Until it boots.
    pub provision: Option<Sampler>,
    /// From there until the provider counts it as running.
    pub boot: Sampler,
    /// From there until it is ready, one after the other.
    pub phases: Vec<Sampler>,
    /// The weights.
    pub weights: SimDuration,
    /// A law whose draws, over its mean, are a factor on that.
    pub variability: Option<Sampler>,
}

impl GroupPlan {
    /// Its places among the replicas.
    pub fn replicas(&self) -> Range<u32> {
        self.first..self.first + self.slots
    }

    /// Whether its nodes are paid for whether they are used or not.
    pub fn is_paid_ahead(&self) -> bool {
        self.market == Market::Reserved
    }
}
