//! Where requests come from, and where they go as long as all is well.

use crate::experiment::theory::{offered, peak_over_mean};
use crate::fleet::plan::FleetPlan;
use crate::scenario::fleet::Router;
use crate::scenario::locality::Locality;
use crate::scenario::resolve::Plan;
use crate::scenario::steering::{AnswerPolicy, Steering};

/// Rates of requests along the way, on average over the run.
pub(super) struct Traffic {
    /// Offered in all, requests a second; none with a closed loop.
    pub(super) offered: Option<f64>,
    /// How many times that is at its peak.
    pub(super) peak: f64,
    /// By population: shares of its requests that go to each region.
    pub(super) steered: Vec<Vec<f64>>,
    /// By region: its share of all requests.
    pub(super) of_region: Vec<f64>,
    /// By region and pool: the share of all requests that its router sends there first.
    pub(super) of_pool: Vec<Vec<f64>>,
    /// Whether a router's choice is not simply by replicas and weight.
    pub(super) split_is_rough: bool,
}

impl Traffic {
    pub(super) fn of(plan: &Plan) -> Traffic {
        let fleet = &plan.fleet;
        let steered: Vec<Vec<f64>> = (0..fleet.topology.populations.len())
            .map(|population| steered(fleet, population))
            .collect();
        let mut of_region = vec![0.0; fleet.topology.regions.len()];
        for (population, shares) in fleet.topology.populations.iter().zip(&steered) {
            for (all, share) in of_region.iter_mut().zip(shares) {
                *all += share * population.share;
            }
        }
        let regions = (0_u16..).zip(&of_region);
        let of_pool = regions
            .map(|(region, share)| split(fleet, region, *share))
            .collect();
        Traffic {
            offered: offered(plan).map(|(rate, _)| rate * let_in(plan)),
            peak: peak_over_mean(plan),
            steered,
            of_region,
            of_pool,
            split_is_rough: is_rough(fleet),
        }
    }

    /// Requests a second of a share of all.
    pub(super) fn rate(&self, share: f64) -> Option<f64> {
        self.offered.map(|rate| rate * share)
    }
}

/// The part of the traffic that a fixed rate limit lets in at most.
fn let_in(plan: &Plan) -> f64 {
    match (plan.fleet.rate_limit, offered(plan)) {
        (Some((limit, _)), Some((rate, _))) if rate > limit => limit / rate,
        _ => 1.0,
    }
}

/// Which part of a population's requests goes to each region while all are well.
fn steered(fleet: &FleetPlan, population: usize) -> Vec<f64> {
    let topology = &fleet.topology;
    let one_way = &topology.populations[population].one_way;
    let mut shares = vec![0.0; topology.regions.len()];
    let nearest = (0..shares.len()).min_by_key(|&region| one_way.get(region).map(|way| way.0));
    let mut first = nearest.unwrap_or(0);
    if let Some(steering) = &topology.steering
        && let Steering::Dns(dns) = &steering.steering
    {
        let index = |name: &str| topology.regions.iter().position(|it| it.name == name);
        match &dns.answer {
            AnswerPolicy::Nearest {} | AnswerPolicy::SpillOver { .. } => {}
            AnswerPolicy::Standby { order } => {
                first = order.first().and_then(|name| index(name)).unwrap_or(first);
            }
            AnswerPolicy::Weighted { weights } => {
                let all: f64 = weights.values().sum();
                for (name, weight) in weights {
                    if let Some(region) = index(name).filter(|_| all > 0.0) {
                        shares[region] = weight / all;
                    }
                }
                return shares;
            }
        }
    }
    shares[first] = 1.0;
    shares
}

/// How the requests of a region are spread over pools: by replicas and weights, of those that may
/// serve each tier.
fn split(fleet: &FleetPlan, region: u16, share: f64) -> Vec<f64> {
    let mut shares = vec![0.0; fleet.pools.len()];
    let all: f64 = fleet.tiers.iter().map(|tier| tier.share).sum();
    for (tier, it) in (0_u16..).zip(&fleet.tiers) {
        let group = fleet.groups.of(tier, 0);
        let serves = |index: usize| fleet.groups.has(group, index);
        let part = share * it.share / all.max(f64::MIN_POSITIVE);
        let places = first_choice(fleet, region, &serves);
        let sum: f64 = places.iter().map(|(_, weight)| weight).sum();
        for (pool, weight) in places {
            shares[pool] += part * weight / sum;
        }
    }
    shares
}

/// Pools that a region's routers send to as long as all are well, with their weights: those of the
/// region, or where it has none, those of the nearest that has.
fn first_choice(
    fleet: &FleetPlan,
    region: u16,
    serves: &dyn Fn(usize) -> bool,
) -> Vec<(usize, f64)> {
    let of = |there: u16| -> Vec<(usize, f64)> {
        let pools = fleet.pools.iter().enumerate();
        let pools = pools.filter(|(index, pool)| {
            pool.region == there && pool.role.is_entry() && pool.at_start > 0 && serves(*index)
        });
        pools
            .map(|(index, pool)| (index, f64::from(pool.at_start) * f64::from(pool.weight)))
            .collect()
    };
    let near = fleet.topology.by_distance(region);
    let reach = match fleet.topology.locality {
        Locality::Local {} => 1,
        Locality::Failover {} | Locality::SpillOver { .. } => near.len(),
    };
    let found = near.into_iter().take(reach).map(of);
    found
        .into_iter()
        .find(|it| !it.is_empty())
        .unwrap_or_default()
}

/// Whether routers go by more than numbers of replicas and weights where they have several pools to
/// choose from.
fn is_rough(fleet: &FleetPlan) -> bool {
    let several = (0..fleet.topology.regions.len() as u16).any(|region| {
        let entries = fleet.pools.iter();
        let entries = entries.filter(|pool| pool.region == region && pool.role.is_entry());
        entries.count() > 1
    });
    let by_turns = matches!(
        fleet.router,
        Router::RoundRobin {} | Router::Random {} | Router::Weighted {}
    );
    several && !by_turns
}
