//! A store of KV that replicas share: what one has computed others can load, once it is there.
//!
//! Every block that is full goes to the store as soon as an engine has given it a name, and is there
//! a lag later; in other regions after a longer one, if at all. What is found there when a prompt is
//! admitted is loaded before its first iteration, as from the tiers of a replica. So a session that
//! has to go elsewhere pays for what has not arrived, not for all that was said.

use lru::LruCache;
use rustc_hash::FxBuildHasher;

use crate::engine::{SimDuration, SimTime};

use super::tiers::Loaded;

/// A store's size, speed and lag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoreRule {
    /// Blocks it holds at most, 1 or more.
    pub blocks: u64,
    /// Nanoseconds to load one block.
    pub block_ns: f64,
    /// Nanoseconds before the first comes.
    pub latency_ns: f64,
    /// From a block being named until others of its region can load it.
    pub lag: SimDuration,
    /// The same for other regions; none where they have stores of their own.
    pub region_lag: Option<SimDuration>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: SimTime,
    region: u16,
}

/// The store of a fleet.
#[derive(Debug, Clone)]
pub struct SharedStore {
    rule: StoreRule,
    held: LruCache<u64, Entry, FxBuildHasher>,
}

impl SharedStore {
    /// An empty store.
    pub fn new(rule: StoreRule) -> SharedStore {
        SharedStore {
            rule,
            held: LruCache::unbounded_with_hasher(FxBuildHasher),
        }
    }

    /// A replica of a region has computed a block. The one that was used longest ago makes room.
    pub fn put(&mut self, key: u64, region: u16, now: SimTime) {
        if self.held.promote(&key) {
            return;
        }
        self.held.push(key, Entry { at: now, region });
        if self.held.len() as u64 > self.rule.blocks {
            self.held.pop_lru();
        }
    }

    /// What replicas of a region can load of the blocks `from..most` without a gap.
    pub fn lookup(
        &self,
        key: impl Fn(u32) -> u64,
        from: u32,
        most: u32,
        (region, now): (u16, SimTime),
    ) -> Loaded {
        let there = |index: &u32| {
            let entry = self.held.peek(&key(*index));
            entry.is_some_and(|entry| self.arrives_at(entry, region) <= now)
        };
        let blocks = (from..most).take_while(there).count() as u32;
        let ns = match blocks {
            0 => 0.0,
            blocks => self.rule.latency_ns + f64::from(blocks) * self.rule.block_ns,
        };
        Loaded { blocks, ns }
    }

    fn arrives_at(&self, entry: &Entry, region: u16) -> SimTime {
        if entry.region == region {
            return entry.at + self.rule.lag;
        }
        match self.rule.region_lag {
            Some(lag) => entry.at + lag,
            None => SimTime::NEVER,
        }
    }

    /// A region is lost, and with it what has not arrived elsewhere.
    pub fn region_lost(&mut self, region: u16, now: SimTime) {
        let rule = self.rule;
        let arrived = |entry: &Entry| rule.region_lag.is_some_and(|lag| entry.at + lag <= now);
        let lost = self
            .held
            .iter()
            .filter_map(|(key, entry)| (entry.region == region && !arrived(entry)).then_some(*key));
        let lost: Vec<u64> = lost.collect();
        for key in lost {
            self.held.pop(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(region_lag: Option<u64>) -> SharedStore {
        SharedStore::new(StoreRule {
            blocks: 3,
            block_ns: 10.0,
            latency_ns: 5.0,
            lag: SimDuration(100),
            region_lag: region_lag.map(SimDuration),
        })
    }

    fn found(store: &SharedStore, region: u16, now: u64) -> u32 {
        let key = |index: u32| u64::from(index) + 1;
        store.lookup(key, 0, 9, (region, SimTime(now))).blocks
    }

    #[test]
    fn blocks_are_there_a_lag_later_and_elsewhere_a_longer_one() {
        let mut store = store(Some(1000));
        store.put(1, 0, SimTime(50));
        store.put(2, 0, SimTime(70));
        assert_eq!(
            [149, 150, 169, 170].map(|at| found(&store, 0, at)),
            [0, 1, 1, 2]
        );
        assert_eq!([1049, 1050, 1070].map(|at| found(&store, 1, at)), [0, 1, 2]);
        let key = |index: u32| u64::from(index) + 1;
        let loaded = store.lookup(key, 0, 9, (0, SimTime(500)));
        assert_eq!(loaded.ns, 25.0);
        // What was on its way when its region was lost never comes.
        store.region_lost(0, SimTime(1060));
        assert_eq!(found(&store, 1, 5000), 1);
    }

    #[test]
    fn a_full_store_drops_what_was_used_longest_ago_and_regions_may_be_apart() {
        let mut store = store(None);
        for key in 1..=3 {
            store.put(key, 0, SimTime(0));
        }
        store.put(1, 0, SimTime(10));
        store.put(4, 0, SimTime(20));
        // The second went: the first alone is there without a gap.
        assert_eq!(found(&store, 0, 1000), 1);
        assert_eq!(found(&store, 1, 1_000_000), 0);
    }
}
