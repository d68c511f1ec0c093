//! What a fault befalls, as ranges of replicas.

use std::ops::Range;

use crate::fleet::geo::RegionIndex;
use crate::fleet::ids::PoolId;
use crate::scenario::faults::{Layout, PoolPlace, Rack, Target};

/// What a change befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Consecutive replicas of one pool, numbered over all pools.
    Replicas {
        /// The first.
        first: u32,
        /// How many.
        count: u32,
    },
    /// All replicas of a pool.
    Pool(PoolId),
    /// A region: its gateways and all its replicas.
    Region(RegionIndex),
    /// A rack of `[[faults.racks]]`, by its index.
    Rack(u32),
    /// A population of clients, by its index.
    Population(u16),
    /// Everything.
    Fleet,
}

/// The replicas of every scope.
#[derive(Debug, Clone)]
pub struct Places {
    pools: Vec<Range<u32>>,
    regions: Vec<Vec<Range<u32>>>,
    racks: Vec<Vec<Range<u32>>>,
    accelerators: Vec<u32>,
}

impl Places {
    pub(super) fn new(layout: &Layout, racks: &[Rack]) -> Places {
        let regions = 0..u16::try_from(layout.regions.len()).unwrap_or(u16::MAX);
        let of_rack = |rack: &Rack| {
            let target = Target {
                rack: Some(rack.name.clone()),
                ..Target::default()
            };
            layout.replicas_of(&target, racks)
        };
        Places {
            pools: layout.pools.iter().map(PoolPlace::range).collect(),
            regions: regions
                .map(|region| layout.replicas_of_region(region))
                .collect(),
            racks: racks.iter().map(of_rack).collect(),
            accelerators: layout
                .pools
                .iter()
                .map(|pool| pool.accelerators_per_replica)
                .collect(),
        }
    }

    /// The replicas of a scope, as ranges; none of `Clients`.
    pub fn ranges(&self, scope: Scope) -> impl Iterator<Item = Range<u32>> + '_ {
        let (one, many): (Option<Range<u32>>, &[Range<u32>]) = match scope {
            Scope::Replicas { first, count } => (Some(first..first.saturating_add(count)), &[]),
            Scope::Pool(pool) => (self.pools.get(usize::from(pool.0)).cloned(), &[]),
            Scope::Region(region) => (None, list_of(&self.regions, usize::from(region.0))),
            Scope::Rack(rack) => (None, list_of(&self.racks, rack as usize)),
            Scope::Population(_) => (None, &[]),
            Scope::Fleet => (None, &self.pools),
        };
        one.into_iter().chain(many.iter().cloned())
    }

    /// The replicas of a scope, one by one.
    pub fn replicas(&self, scope: Scope) -> impl Iterator<Item = u32> + '_ {
        self.ranges(scope).flatten()
    }

    /// Number of regions.
    pub(super) fn regions(&self) -> usize {
        self.regions.len()
    }

    /// Number of racks.
    pub(super) fn racks(&self) -> usize {
        self.racks.len()
    }

    /// Accelerators of a replica.
    pub(super) fn accelerators_of(&self, replica: u32) -> u32 {
        let pool = self.pools.iter().position(|pool| pool.contains(&replica));
        pool.map_or(1, |pool| self.accelerators[pool])
    }
}

fn list_of(lists: &[Vec<Range<u32>>], index: usize) -> &[Range<u32>] {
    lists.get(index).map_or(&[], Vec::as_slice)
}

/// The scope of a target; `None` where it names what is not there.
pub fn scope_of(target: Option<&Target>, layout: &Layout, racks: &[Rack]) -> Option<Scope> {
    let Some(target) = target else {
        return Some(Scope::Fleet);
    };
    if let Some(name) = &target.pool {
        let pool = layout.pool(name)?;
        if target.replica.is_none() && target.share.is_none() {
            return Some(Scope::Pool(PoolId(u16::try_from(pool).ok()?)));
        }
        let range = layout.replicas_of(target, racks).into_iter().next()?;
        return Some(Scope::Replicas {
            first: range.start,
            count: range.end - range.start,
        });
    }
    if let Some(name) = &target.region {
        return layout.region(name).map(RegionIndex).map(Scope::Region);
    }
    if let Some(name) = &target.population {
        return layout.population(name).map(Scope::Population);
    }
    let rack = racks
        .iter()
        .position(|rack| Some(&rack.name) == target.rack.as_ref())?;
    Some(Scope::Rack(u32::try_from(rack).ok()?))
}
