//! What breaks, when: the changes of a run, in order, and what they add up to.
//!
//! [`FaultSchedule`] yields every [`Change`] in order of time, from stated faults and random ones.
//! [`Impairments`] counts them per replica, [`FleetImpairments`] for regions, clients and
//! deployments: a target is well again only when every fault that befell it has ended.

mod factors;
mod impairments;
mod places;
mod random;
mod schedule;
mod timed;
mod wide;

pub use self::impairments::{Condition, Impairments};
pub use self::places::{Places, Scope, scope_of};
pub use self::random::{Shared, shared_of};
pub use self::schedule::FaultSchedule;
pub use self::timed::effect_of;
pub use self::wide::{ActiveDeploy, FleetImpairments};
use super::geo::RegionIndex;
use super::ids::PoolId;
use crate::engine::{SimDuration, SimTime};

/// One change: a fault begins or ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// When.
    pub at: SimTime,
    /// Which fault.
    pub cause: Cause,
    /// What it befalls.
    pub scope: Scope,
    /// What happens.
    pub what: What,
}

/// Begin or end. Everything that begins ends with the very same effect, or never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    /// The effect begins.
    Begin(Effect),
    /// The effect ends.
    End(Effect),
}

/// Which fault a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// An entry of `[[faults.timeline]]`.
    Timeline(u32),
    /// A group of replicas of an entry of `[[faults.random]]`.
    Random {
        /// The entry.
        process: u32,
        /// The group.
        group: u32,
    },
}

/// What a fault does while it lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// Dead; requests and KV are lost.
    Crash,
    /// Takes requests in and answers none.
    Hang,
    /// Service takes longer by this factor, above 1.
    Slow {
        /// The factor.
        factor: f64,
    },
    /// Each message is lost with this probability.
    PacketLoss {
        /// The probability, 0 to 1.
        probability: f64,
    },
    /// Nothing passes between the region and the peer, in either direction.
    Partition {
        /// The other side.
        from: Peer,
    },
    /// This share of the capacity is lost.
    BrownOut {
        /// The share, 0 to 1.
        share: f64,
    },
    /// Requests of this share of users fail, or go to a wrong pool.
    BadDeploy {
        /// The share, 0 to 1.
        share: f64,
        /// Whether it is the same users each time.
        sticky: bool,
        /// How long users stay hit, or not; [`SimDuration::ZERO`]: for ever.
        sticky_for: SimDuration,
        /// Where they go; `None`: they fail.
        misroute_to: Option<PoolId>,
    },
    /// No launches, no changes of configuration, no updates of health.
    ControlPlaneLoss,
    /// Requests for nodes are refused.
    LaunchRefusal,
    /// Resolvers get no answer.
    DnsOutage,
    /// The arrival rate is multiplied.
    TrafficSpike {
        /// The factor.
        factor: f64,
    },
    /// Takes no new requests. A [`Effect::Crash`] follows when the notice is over.
    Draining {
        /// When the notice is over.
        gone_at: SimTime,
    },
}

/// The other side of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The region's own gateways.
    Gateways,
    /// All clients.
    Clients,
    /// Another region.
    Region(RegionIndex),
}
