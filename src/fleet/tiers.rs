//! Where KV blocks go that the accelerators' memory has no room for: host memory, disks, a store
//! over the network.
//!
//! A block that is evicted goes to the first tier; the one a tier has used least recently goes to
//! the next, and from the last it is gone. What is found in a tier is copied back before the
//! prompt's first iteration, which it lengthens by the latency and the bytes over the bandwidth of
//! each tier asked; the copy in the tier stays. Writing down is taken to go on beside everything
//! else and to cost nothing.

use lru::LruCache;
use rustc_hash::FxBuildHasher;

/// A tier's size and speed.
#[derive(Debug, Clone, PartialEq)]
pub struct TierRule {
    /// Blocks it holds at most.
    pub blocks: u64,
    /// Nanoseconds to bring one block back.
    pub block_ns: f64,
    /// Nanoseconds before the first comes.
    pub latency_ns: f64,
}

/// What is found in the tiers of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loaded {
    /// Blocks to bring back.
    pub blocks: u32,
    /// How long that takes, nanoseconds.
    pub ns: f64,
}

#[derive(Debug, Clone)]
struct Tier {
    rule: TierRule,
    held: LruCache<u64, (), FxBuildHasher>,
}

/// The tiers of a replica, fastest first.
#[derive(Debug, Clone)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// Empty tiers.
    pub fn new(rules: &[TierRule]) -> Tiers {
        let tier = |rule: &TierRule| Tier {
            rule: rule.clone(),
            held: LruCache::unbounded_with_hasher(FxBuildHasher),
        };
        Tiers(rules.iter().map(tier).collect())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for tier in &mut self.0 {
            tier.held.clear();
        }
    }

    /// Takes in the name of an evicted block.
    pub fn take_in(&mut self, mut key: u64) {
        for tier in &mut self.0 {
            tier.held.push(key, ());
            if tier.held.len() as u64 <= tier.rule.blocks {
                return;
            }
            match tier.held.pop_lru() {
                Some((oldest, ())) => key = oldest,
                None => return,
            }
        }
    }

    /// What the tiers hold of the blocks `from..most` without a gap, and how long it takes to bring
    /// it back; each block comes from the fastest tier that has it.
    pub fn lookup(&self, key: impl Fn(u32) -> u64, from: u32, most: u32) -> Loaded {
        let mut found = Loaded::default();
        let mut asked = vec![false; self.0.len()];
        for index in from..most {
            let key = key(index);
            let Some(which) = self.0.iter().position(|tier| tier.held.contains(&key)) else {
                break;
            };
            let rule = &self.0[which].rule;
            found.blocks += 1;
            found.ns += rule.block_ns;
            if !std::mem::replace(&mut asked[which], true) {
                found.ns += rule.latency_ns;
            }
        }
        found
    }

    /// Notes that a block was brought back: it is the one used last in its tier.
    pub fn used(&mut self, key: u64) {
        for tier in &mut self.0 {
            if tier.held.promote(&key) {
                return;
            }
        }
    }
}
