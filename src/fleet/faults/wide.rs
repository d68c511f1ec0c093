//! What the faults in force do beyond single replicas: to regions, clients and deployments.

use rand::RngExt;

use super::factors::Factors;
use super::{Cause, Change, Effect, Peer, Scope, What};
use crate::engine::{SimDuration, SimRng, SimTime};
use crate::fleet::geo::{RegionIndex, unit_of};
use crate::fleet::ids::PoolId;

/// Counts the faults in force that are not of single replicas.
#[derive(Debug, Clone)]
pub struct FleetImpairments {
    partitions: Vec<(RegionIndex, Peer)>,
    control_plane: Losses,
    launches: Losses,
    dns: Losses,
    traffic: Vec<Factors>,
    all_traffic: Factors,
    deploys: Vec<ActiveDeploy>,
}

/// Keeps the draws of a user's turns apart: a large odd number, of no meaning.
const TURNS: u64 = 0x9e37_79b9_7f4a_7c15;

/// A bad deployment in force.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActiveDeploy {
    /// Which fault.
    pub cause: Cause,
    /// A pool, a region or the fleet.
    pub scope: Scope,
    /// The share that is hit, 0 to 1.
    pub share: f64,
    /// Whether it is the same users each time.
    pub sticky: bool,
    /// How long they stay hit, or not; [`SimDuration::ZERO`]: for ever.
    pub sticky_for: SimDuration,
    /// Where they go; `None`: they fail.
    pub misroute_to: Option<PoolId>,
}

impl ActiveDeploy {
    /// Whether a request of a user is hit. Users hit at a small share are hit at every larger one;
    /// of two deployments each hits users of its own.
    pub fn hits(&self, user: u64, now: SimTime, rng: &mut SimRng) -> bool {
        if !self.sticky {
            return rng.random::<f64>() < self.share;
        }
        let salt = match self.cause {
            Cause::Timeline(entry) => u64::from(entry),
            Cause::Random { process, group } => (u64::from(process) << 32) | u64::from(group),
        };
        let salt = salt.wrapping_add(1);
        let turn = match self.sticky_for.0 {
            0 => 0,
            // Each user's turns end at instants of its own.
            length => {
                let phase = unit_of(user, salt ^ TURNS) * length as f64;
                now.0.saturating_add(phase as u64) / length
            }
        };
        unit_of(user, salt.wrapping_add(turn.wrapping_mul(TURNS))) < self.share
    }

    /// Whether it concerns requests to a pool in a region.
    pub fn concerns(&self, pool: PoolId, region: Option<RegionIndex>) -> bool {
        match self.scope {
            Scope::Pool(other) => other == pool,
            Scope::Region(other) => Some(other) == region,
            Scope::Fleet => true,
            Scope::Replicas { .. } | Scope::Rack(_) | Scope::Population(_) => false,
        }
    }
}

/// How many losses are in force, by index and everywhere.
#[derive(Debug, Clone)]
struct Losses {
    by_index: Vec<u32>,
    everywhere: u32,
}

impl Losses {
    fn new(count: usize) -> Losses {
        Losses {
            by_index: vec![0; count],
            everywhere: 0,
        }
    }

    fn change(&mut self, index: Option<u16>, begins: bool) {
        let count = match index {
            None => Some(&mut self.everywhere),
            Some(index) => self.by_index.get_mut(usize::from(index)),
        };
        if let Some(count) = count {
            *count = match begins {
                true => count.saturating_add(1),
                false => count.saturating_sub(1),
            };
        }
    }

    fn any(&self, index: u16) -> bool {
        let here = self.by_index.get(usize::from(index));
        self.everywhere > 0 || here.is_some_and(|count| *count > 0)
    }
}

impl FleetImpairments {
    /// So many regions and populations of clients, nothing in force.
    pub fn new(regions: usize, clients: usize) -> FleetImpairments {
        FleetImpairments {
            partitions: Vec::new(),
            control_plane: Losses::new(regions),
            launches: Losses::new(regions),
            dns: Losses::new(clients),
            traffic: vec![Factors::default(); clients],
            all_traffic: Factors::default(),
            deploys: Vec::new(),
        }
    }

    /// Applies a change; returns whether it was one of these.
    pub fn apply(&mut self, change: &Change) -> bool {
        let (begins, effect) = match change.what {
            What::Begin(effect) => (true, effect),
            What::End(effect) => (false, effect),
        };
        match (effect, change.scope) {
            (Effect::Partition { from }, Scope::Region(region)) => {
                add_or_remove(&mut self.partitions, ordered(region, from), begins);
            }
            (Effect::ControlPlaneLoss, Scope::Region(region)) => {
                self.control_plane.change(Some(region.0), begins);
            }
            (Effect::ControlPlaneLoss, _) => self.control_plane.change(None, begins),
            (Effect::LaunchRefusal, Scope::Region(region)) => {
                self.launches.change(Some(region.0), begins);
            }
            (Effect::LaunchRefusal, _) => self.launches.change(None, begins),
            (Effect::DnsOutage, Scope::Population(clients)) => {
                self.dns.change(Some(clients), begins);
            }
            (Effect::DnsOutage, _) => self.dns.change(None, begins),
            (Effect::TrafficSpike { factor }, scope) => self.spike(scope, factor, begins),
            (
                Effect::BadDeploy {
                    share,
                    sticky,
                    sticky_for,
                    misroute_to,
                },
                scope,
            ) => {
                let deploy = ActiveDeploy {
                    cause: change.cause,
                    scope,
                    share,
                    sticky,
                    sticky_for,
                    misroute_to,
                };
                add_or_remove(&mut self.deploys, deploy, begins);
            }
            _ => return false,
        }
        true
    }

    fn spike(&mut self, scope: Scope, factor: f64, begins: bool) {
        let factors = match scope {
            Scope::Population(clients) => self.traffic.get_mut(usize::from(clients)),
            _ => Some(&mut self.all_traffic),
        };
        match (factors, begins) {
            (Some(factors), true) => factors.add(factor),
            (Some(factors), false) => factors.remove(factor),
            (None, _) => {}
        }
    }

    /// Whether nothing passes between a region and a peer.
    pub fn is_cut_off(&self, region: RegionIndex, from: Peer) -> bool {
        self.partitions.contains(&ordered(region, from))
    }

    /// Whether the control plane of a region is lost.
    pub fn control_plane_is_lost(&self, region: RegionIndex) -> bool {
        self.control_plane.any(region.0)
    }

    /// Whether the control plane is lost everywhere.
    pub fn control_plane_is_lost_everywhere(&self) -> bool {
        self.control_plane.everywhere > 0
    }

    /// Whether requests for nodes of a region are refused.
    pub fn launches_are_refused(&self, region: RegionIndex) -> bool {
        self.launches.any(region.0)
    }

    /// Whether resolvers of a population of clients get no answer.
    pub fn dns_is_out(&self, clients: u16) -> bool {
        self.dns.any(clients)
    }

    /// Factor on the arrival rate of a population of clients: the product of those in force.
    pub fn traffic_factor(&self, clients: u16) -> f64 {
        let here = self.traffic.get(usize::from(clients));
        self.all_traffic.product() * here.map_or(1.0, Factors::product)
    }

    /// Bad deployments in force, oldest first.
    pub fn deploys(&self) -> &[ActiveDeploy] {
        &self.deploys
    }

    /// The first bad deployment that hits a request of a user to a pool.
    pub fn hit(
        &self,
        (pool, region): (PoolId, Option<RegionIndex>),
        user: u64,
        now: SimTime,
        rng: &mut SimRng,
    ) -> Option<ActiveDeploy> {
        let mut deploys = self.deploys.iter();
        let hit =
            deploys.find(|deploy| deploy.concerns(pool, region) && deploy.hits(user, now, rng));
        hit.copied()
    }
}

/// Two regions are cut off from one another whichever is named first.
fn ordered(region: RegionIndex, from: Peer) -> (RegionIndex, Peer) {
    match from {
        Peer::Region(other) if other < region => (other, Peer::Region(region)),
        _ => (region, from),
    }
}

fn add_or_remove<T: PartialEq>(list: &mut Vec<T>, item: T, begins: bool) {
    if begins {
        list.push(item);
    } else if let Some(at) = list.iter().position(|other| *other == item) {
        list.remove(at);
    }
}
