//! A store of KV that replicas share: what one has computed others can load, once it is there.
//!
//! Every block that is full goes to the store as soon as an engine has given it a name, and is there
//! a lag later; in other regions after a longer one, if at all. What is found there when a prompt is
//! admitted is loaded before its first iteration, as from the tiers of a replica. So a session that
//! has to go elsewhere pays for what has not arrived, not for all that was said.

use lru::LruCache;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use crate::engine::{SimDuration, SimTime};

use super::tiers::Loaded;

/// A store's size, speed and lag.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoreRule {
    /// Blocks it holds at most, 1 or more; each of them where regions have stores of their own.
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

/// A block that a replica of a region has written.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: SimTime,
    region: u16,
}

/// Who has written a block, by region in order of time: the first is seldom followed by others, who
/// computed it before they could find it.
type Writers = SmallVec<[Written; 1]>;

type Held = LruCache<u64, Writers, FxBuildHasher>;

/// The store of a fleet.
#[derive(Debug, Clone)]
pub struct SharedStore {
    rule: StoreRule,
    /// One for all, or that of each region that has written something.
    held: Vec<Held>,
}

impl SharedStore {
    /// An empty store.
    pub fn new(rule: StoreRule) -> SharedStore {
        SharedStore {
            rule,
            held: Vec::new(),
        }
    }

    /// Where the store of a region is in the list.
    fn place(&self, region: u16) -> usize {
        match self.rule.region_lag {
            Some(_) => 0,
            None => usize::from(region),
        }
    }

    /// A replica of a region has computed a block. The one that was used longest ago makes room.
    pub fn put(&mut self, key: u64, region: u16, now: SimTime) {
        let (rule, place) = (self.rule, self.place(region));
        while self.held.len() <= place {
            self.held
                .push(LruCache::unbounded_with_hasher(FxBuildHasher));
        }
        let held = &mut self.held[place];
        let written = Written { at: now, region };
        if let Some(writers) = held.get_mut(&key) {
            let known = writers.iter().any(|writer| writer.region == region);
            if !known && !rule.is_there(writers, (region, now)) {
                writers.push(written);
            }
            return;
        }
        held.push(key, SmallVec::from_buf([written]));
        if held.len() as u64 > rule.blocks {
            held.pop_lru();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.held.iter_mut().for_each(LruCache::clear);
    }

    /// What replicas of a region can load of the blocks `from..most` without a gap.
    pub fn lookup(
        &self,
        key: impl Fn(u32) -> u64,
        from: u32,
        most: u32,
        (region, now): (u16, SimTime),
    ) -> Loaded {
        let held = self.held.get(self.place(region));
        let there = |index: &u32| {
            let writers = held.and_then(|held| held.peek(&key(*index)));
            writers.is_some_and(|writers| self.rule.is_there(writers, (region, now)))
        };
        let blocks = (from..most).take_while(there).count() as u32;
        let ns = match blocks {
            0 => 0.0,
            blocks => self.rule.latency_ns + f64::from(blocks) * self.rule.block_ns,
        };
        Loaded { blocks, ns }
    }

    /// A region is lost, and with it what has not arrived elsewhere.
    pub fn region_lost(&mut self, region: u16, now: SimTime) {
        let (rule, place) = (self.rule, self.place(region));
        let Some(held) = self.held.get_mut(place) else {
            return;
        };
        let arrived = |writer: &Written| rule.region_lag.is_some_and(|lag| writer.at + lag <= now);
        let mut lost = Vec::new();
        for (key, writers) in held.iter_mut() {
            writers.retain(|writer| writer.region != region || arrived(writer));
            if writers.is_empty() {
                lost.push(*key);
            }
        }
        for key in lost {
            held.pop(&key);
        }
    }
}

impl StoreRule {
    /// Whether replicas of a region find by now what was written: each writer's copy comes to the
    /// others on its own.
    fn is_there(&self, writers: &Writers, (region, now): (u16, SimTime)) -> bool {
        writers.iter().any(|writer| {
            let lag = match writer.region == region {
                true => Some(self.lag),
                false => self.region_lag,
            };
            lag.is_some_and(|lag| writer.at + lag <= now)
        })
    }
}
