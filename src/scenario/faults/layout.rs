//! What faults may name: pools, regions and populations of clients, and where they are.

use std::ops::Range;

use super::{Rack, Target};

/// The fleet's places. Replicas are numbered over all pools, those of a pool without a gap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// The pools, in the order of the scenario.
    pub pools: Vec<PoolPlace>,
    /// Names of the regions, in the order of the scenario.
    pub regions: Vec<String>,
    /// Names of the populations of clients, in the order of the scenario.
    pub populations: Vec<String>,
}

/// Where a pool is.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolPlace {
    /// Its name.
    pub name: String,
    /// The number of its first replica over all pools.
    pub first_replica: u32,
    /// How many replicas it has.
    pub replicas: u32,
    /// Accelerators of each.
    pub accelerators_per_replica: u32,
    /// The index of its region, where there are regions.
    pub region: Option<u16>,
}

impl PoolPlace {
    /// Its replicas.
    pub fn range(&self) -> Range<u32> {
        self.first_replica..self.first_replica + self.replicas
    }
}

impl Layout {
    /// Number of replicas over all pools.
    pub fn replicas(&self) -> u32 {
        let ends = self.pools.iter().map(|pool| pool.range().end);
        ends.max().unwrap_or(0)
    }

    /// The index of a pool.
    pub fn pool(&self, name: &str) -> Option<usize> {
        self.pools.iter().position(|pool| pool.name == name)
    }

    /// The index of a region.
    pub fn region(&self, name: &str) -> Option<u16> {
        index_of(&self.regions, name)
    }

    /// The index of a population of clients.
    pub fn population(&self, name: &str) -> Option<u16> {
        index_of(&self.populations, name)
    }

    /// Replicas of a region, a range for each of its pools.
    pub fn replicas_of_region(&self, region: u16) -> Vec<Range<u32>> {
        let here = self.pools.iter().filter(|pool| pool.region == Some(region));
        here.map(PoolPlace::range).collect()
    }

    /// Replicas that a target means, as ranges over all pools; none where it names what is not
    /// there, or clients.
    pub fn replicas_of(&self, target: &Target, racks: &[Rack]) -> Vec<Range<u32>> {
        if let Some(pool) = target.pool.as_deref().and_then(|name| self.pool(name)) {
            let all = self.pools[pool].range();
            let (first, count) = match (target.replica, target.share) {
                (Some(replica), _) if replica < self.pools[pool].replicas => (replica, 1),
                (Some(_), _) => return Vec::new(),
                (None, Some(share)) => (0, share_of(share, self.pools[pool].replicas)),
                (None, None) => (0, self.pools[pool].replicas),
            };
            let first = all.start + first;
            let replicas = first..first + count;
            return vec![replicas];
        }
        if let Some(region) = target.region.as_deref().and_then(|name| self.region(name)) {
            return self.replicas_of_region(region);
        }
        let rack = racks
            .iter()
            .find(|rack| Some(&rack.name) == target.rack.as_ref());
        let members = rack.map_or(&[][..], |rack| &rack.members);
        let ranges = members.iter().filter_map(|member| {
            let pool = &self.pools[self.pool(&member.pool)?];
            let first = pool
                .first_replica
                .saturating_add(member.first_replica)
                .min(pool.range().end);
            let end = first.saturating_add(member.replicas).min(pool.range().end);
            Some(first..end)
        });
        ranges.collect()
    }
}

/// A share of `replicas`, rounded, one at least.
fn share_of(share: f64, replicas: u32) -> u32 {
    ((share * f64::from(replicas)).round() as u32).clamp(1, replicas.max(1))
}

fn index_of(names: &[String], name: &str) -> Option<u16> {
    let index = names.iter().position(|other| other == name)?;
    u16::try_from(index).ok()
}
