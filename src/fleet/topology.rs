//! Where gateways, pools and clients are, and how far from one another.

use crate::engine::SimDuration;
use crate::scenario::locality::Locality;
use crate::scenario::regions::RttMatrix;
use crate::scenario::steering::Steering;

use super::geo::PopulationPlace;

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionPlan {
    /// Name; `default` where the scenario has no regions.
    pub name: String,
    /// Gateway replicas, at least one.
    pub gateways: u16,
}

/// A population of clients.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationPlan {
    /// Name.
    pub name: String,
    /// Its share of the requests, of 1.
    pub share: f64,
    /// Users.
    pub users: u32,
    /// One way to each region.
    pub one_way: Vec<SimDuration>,
}

/// How clients find a region.
#[derive(Debug, Clone, PartialEq)]
pub struct SteeringPlan {
    /// What the user wrote.
    pub steering: Steering,
    /// The times that answers are chosen by.
    pub matrix: RttMatrix,
    /// The populations in it.
    pub places: Vec<PopulationPlace>,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// At least one.
    pub regions: Vec<RegionPlan>,
    /// One way between two regions: that from `a` to `b` is at `a * regions + b`; none within one.
    pub between: Vec<SimDuration>,
    /// Whether gateways use the replicas of other regions.
    pub locality: Locality,
    /// At least one; one without a way where the scenario has none.
    pub populations: Vec<PopulationPlan>,
    /// How clients find a region; none where there is but one.
    pub steering: Option<SteeringPlan>,
}

impl Topology {
    /// One region, with the clients in it.
    pub fn single(gateways: u16) -> Topology {
        Topology {
            regions: vec![RegionPlan {
                name: "default".to_owned(),
                gateways,
            }],
            between: vec![SimDuration::ZERO],
            locality: Locality::default(),
            populations: vec![PopulationPlan {
                name: "default".to_owned(),
                share: 1.0,
                users: 1_000_000,
                one_way: vec![SimDuration::ZERO],
            }],
            steering: None,
        }
    }

    /// Gateway replicas of all regions.
    pub fn gateways(&self) -> u16 {
        self.regions.iter().map(|region| region.gateways).sum()
    }

    /// The region of each gateway replica, in order.
    pub fn region_of_gateways(&self) -> Vec<u16> {
        let regions = (0_u16..).zip(&self.regions);
        regions
            .flat_map(|(at, region)| std::iter::repeat_n(at, usize::from(region.gateways)))
            .collect()
    }

    /// One way from a region to another.
    pub fn between(&self, a: u16, b: u16) -> SimDuration {
        self.between[usize::from(a) * self.regions.len() + usize::from(b)]
    }

    /// The regions in the order in which gateways of one of them prefer them: by distance, itself
    /// first.
    pub fn by_distance(&self, from: u16) -> Vec<u16> {
        let mut regions: Vec<u16> = (0..self.regions.len() as u16).collect();
        regions.sort_by_key(|&to| (to != from, self.between(from, to), to));
        regions
    }
}
