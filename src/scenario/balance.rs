//! How one of many replicas is chosen: hashing, weights, session affinity, prefix records, scores.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::{Problems, grouped};

/// Largest ring (Envoy, `ring_hash.proto`): 8 Mi points.
pub const MOST_RING_SIZE: u64 = 8 << 20;
/// Largest Maglev table (Envoy, `maglev.proto`).
pub const MOST_TABLE_SIZE: u64 = 5_000_011;
/// Highest `hash_balance_factor_pct`: beyond this a bound binds nobody.
const MOST_BALANCE_FACTOR_PCT: u64 = 100_000;
/// Longest time in seconds.
const MOST_S: f64 = 1e8;
/// Most entries of a table.
const MOST_ENTRIES: u64 = 1 << 30;

/// Ring (consistent) hashing: a key belongs to the next point of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RingHash {
    /// Points of the whole ring at least, 1 to 8,388,608. Default 1024 (Envoy).
    pub min_ring_size: u32,
    /// Points of the whole ring at most, `min_ring_size` to 8,388,608. Default 8,388,608 (Envoy).
    pub max_ring_size: u32,
    /// Most load of a member, in percent of the mean over the eligible members by weight; 100 or
    /// more. Default: no bound.
    pub hash_balance_factor_pct: Option<u32>,
}

impl Default for RingHash {
    fn default() -> Self {
        RingHash {
            min_ring_size: 1024,
            max_ring_size: MOST_RING_SIZE as u32,
            hash_balance_factor_pct: None,
        }
    }
}

impl RingHash {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let (least, most) = (self.min_ring_size, self.max_ring_size);
        let path = format!("{at}.min_ring_size");
        if problems.int_in_range(&path, u64::from(least), 1, MOST_RING_SIZE) {
            let path = format!("{at}.max_ring_size");
            problems.int_in_range(&path, u64::from(most), u64::from(least), MOST_RING_SIZE);
        }
        check_factor(self.hash_balance_factor_pct, at, problems);
    }
}

/// Maglev hashing: a key belongs to one place of a table that its members fill in turns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Maglev {
    /// Places of the table, a prime up to 5,000,011. Default 65,537 (Envoy).
    pub table_size: u32,
    /// Most load of a member, in percent of the mean over the eligible members by weight; 100 or
    /// more. Default: no bound.
    pub hash_balance_factor_pct: Option<u32>,
}

impl Default for Maglev {
    fn default() -> Self {
        Maglev {
            table_size: 65_537,
            hash_balance_factor_pct: None,
        }
    }
}

impl Maglev {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = format!("{at}.table_size");
        let size = self.table_size;
        if problems.int_in_range(&path, u64::from(size), 2, MOST_TABLE_SIZE) && !is_prime(size) {
            let allowed = "must be a prime, so that every member's steps reach every place";
            let prime = (size..).find(|number| is_prime(*number)).unwrap_or(65_537);
            let remedy = format!("the next prime is {}", grouped(u64::from(prime)));
            problems.push(&path, grouped(u64::from(size)), allowed, &remedy);
        }
        check_factor(self.hash_balance_factor_pct, at, problems);
    }
}

/// Least request of some sampled at random, or by weights (Envoy, `least_request.proto`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeastRequest {
    /// Members sampled, with replacement, when all weights are equal; 2 to 1,000. Default 2.
    pub choices: u32,
    /// How much outstanding requests take from a weight when weights differ: the weight counts
    /// `weight / (active + 1)^active_request_bias`, 0 to 100. Default 1.
    pub active_request_bias: f64,
}

impl Default for LeastRequest {
    fn default() -> Self {
        LeastRequest {
            choices: 2,
            active_request_bias: 1.0,
        }
    }
}

impl LeastRequest {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let choices = u64::from(self.choices);
        problems.int_in_range(&format!("{at}.choices"), choices, 2, 1_000);
        let path = format!("{at}.active_request_bias");
        problems.non_negative(&path, self.active_request_bias, 100.0);
    }
}

/// Slow start: the weight of a member that has just come rises over a window (Envoy,
/// `SlowStartConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowStart {
    /// Time until the full weight, seconds.
    pub window_s: f64,
    /// Bend of the rise: 1 is a straight line, more is faster at first. Above 0. Default 1.
    #[serde(default = "one")]
    pub aggression: f64,
    /// Least share of the weight, percent, 0 to 100. Default 10.
    #[serde(default = "ten")]
    pub min_weight_pct: f64,
}

impl SlowStart {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        problems.positive(&format!("{at}.window_s"), self.window_s, MOST_S);
        problems.positive(&format!("{at}.aggression"), self.aggression, 1_000.0);
        problems.in_range(
            &format!("{at}.min_weight_pct"),
            self.min_weight_pct,
            0.0,
            100.0,
        );
    }
}

/// Session affinity: requests with the same key go to the same member while an entry lives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Affinity {
    /// How long an entry lives, seconds.
    pub ttl_s: f64,
    /// Most entries; the one used longest ago goes first. Default 1,000,000.
    #[serde(default = "one_million")]
    pub max_entries: u32,
    /// Whether every request starts the time anew; if not, it runs from the first. Default true.
    #[serde(default = "yes")]
    pub sliding: bool,
}

impl Affinity {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        problems.positive(&format!("{at}.ttl_s"), self.ttl_s, MOST_S);
        let path = format!("{at}.max_entries");
        problems.int_in_range(&path, u64::from(self.max_entries), 1, MOST_ENTRIES);
    }
}

/// What the router knows of the prefixes that members hold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum PrefixIndex {
    /// It remembers what it sent where (llm-d, `prefix-cache-scorer`).
    Approximate {
        /// Tokens of a block. Default 16.
        #[serde(default = "sixteen")]
        block_size: u32,
        /// Most blocks of a prompt that are looked at and remembered. Default 256.
        #[serde(default = "default_prompt_blocks")]
        max_prompt_blocks: u32,
        /// Most blocks remembered of a member; the one used longest ago goes first. Default
        /// 31,250.
        #[serde(default = "default_member_blocks")]
        blocks_per_member: u32,
        /// Whether blocks behind a gap count too, as in llm-d. Default true.
        #[serde(default = "yes")]
        count_behind_gaps: bool,
    },
    /// Engines tell it of every block they store and evict.
    Precise {
        /// Tokens of a block: that of the engines. Default 16.
        #[serde(default = "sixteen")]
        block_size: u32,
    },
}

impl PrefixIndex {
    /// Tokens of a block.
    pub fn block_size(&self) -> u32 {
        match *self {
            PrefixIndex::Approximate { block_size, .. } => block_size,
            PrefixIndex::Precise { block_size } => block_size,
        }
    }

    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let size = u64::from(self.block_size());
        problems.int_in_range(&format!("{at}.block_size"), size, 1, 65_536);
        if let PrefixIndex::Approximate {
            max_prompt_blocks,
            blocks_per_member,
            ..
        } = *self
        {
            let path = format!("{at}.max_prompt_blocks");
            problems.int_in_range(&path, u64::from(max_prompt_blocks), 1, 1 << 24);
            let path = format!("{at}.blocks_per_member");
            problems.int_in_range(&path, u64::from(blocks_per_member), 1, MOST_ENTRIES);
        }
    }
}

/// Routers that score every member.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "policy", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scorers {
    /// llm-d's weighted scorers; the highest sum is taken, any of several at random.
    Weighted {
        /// Weight of the waiting queue's score. Default 2.
        #[serde(default = "two")]
        queue: f64,
        /// Weight of the free KV cache's score. Default 2.
        #[serde(default = "two")]
        kv_cache_utilization: f64,
        /// Weight of the matched prefix's score. Default 3.
        #[serde(default = "three")]
        prefix_cache: f64,
    },
    /// `SGLang`'s `cache_aware`: the longest match where it is worth it and loads are balanced.
    CacheAware {
        /// Share of the prompt that must match, 0 to 1. Default 0.3.
        #[serde(default = "default_cache_threshold")]
        cache_threshold: f64,
        /// Loads are unbalanced when the most and the least differ by more than this (and by
        /// `balance_rel_threshold`). Default 64.
        #[serde(default = "default_balance_abs_threshold")]
        balance_abs_threshold: u64,
        /// And the most is more than this times the least, at least 1. Default 1.5.
        #[serde(default = "default_balance_rel_threshold")]
        balance_rel_threshold: f64,
    },
    /// Dynamo's cost: blocks to prefill and blocks decoding; the lowest is taken.
    KvCost {
        /// Weight of a block to prefill against one decoding. Default 1.
        #[serde(default = "one")]
        overlap_weight: f64,
        /// 0 takes the lowest; above, members are drawn by a softmax over costs scaled to their
        /// range. Default 0.
        #[serde(default)]
        temperature: f64,
    },
    /// Outstanding tokens: prefill plus `decode_weight` times decode; the lowest is taken.
    TokenCost {
        /// Weight of an outstanding output token against a prompt token. Default 1.
        #[serde(default = "one")]
        decode_weight: f64,
    },
}

impl Scorers {
    /// Notes every value out of range.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        match *self {
            Scorers::Weighted {
                queue,
                kv_cache_utilization,
                prefix_cache,
            } => {
                problems.non_negative(&path("queue"), queue, 1e6);
                let kv = kv_cache_utilization;
                problems.non_negative(&path("kv_cache_utilization"), kv, 1e6);
                problems.non_negative(&path("prefix_cache"), prefix_cache, 1e6);
            }
            Scorers::CacheAware {
                cache_threshold,
                balance_rel_threshold,
                ..
            } => {
                problems.in_range(&path("cache_threshold"), cache_threshold, 0.0, 1.0);
                let relative = balance_rel_threshold;
                problems.in_range(&path("balance_rel_threshold"), relative, 1.0, 1e6);
            }
            Scorers::KvCost {
                overlap_weight,
                temperature,
            } => {
                problems.non_negative(&path("overlap_weight"), overlap_weight, 1e6);
                problems.non_negative(&path("temperature"), temperature, 1e6);
            }
            Scorers::TokenCost { decode_weight } => {
                problems.non_negative(&path("decode_weight"), decode_weight, 1e6);
            }
        }
    }
}

fn check_factor(factor: Option<u32>, at: &str, problems: &mut Problems<'_>) {
    if let Some(factor) = factor {
        let path = format!("{at}.hash_balance_factor_pct");
        // Below 100 % the bounds together are less than the load.
        problems.int_in_range(&path, u64::from(factor), 100, MOST_BALANCE_FACTOR_PCT);
    }
}

/// Whether a number is prime, by trial division: at most 1,118 steps for a table's largest size.
fn is_prime(number: u32) -> bool {
    let tried = (2..).take_while(|divisor: &u32| divisor.pow(2) <= number);
    number > 1 && !tried.into_iter().any(|by| number.is_multiple_of(by))
}

fn one() -> f64 {
    1.0
}
fn two() -> f64 {
    2.0
}
fn three() -> f64 {
    3.0
}
fn ten() -> f64 {
    10.0
}
fn yes() -> bool {
    true
}
fn one_million() -> u32 {
    1_000_000
}
fn sixteen() -> u32 {
    16
}
fn default_prompt_blocks() -> u32 {
    256
}
fn default_member_blocks() -> u32 {
    31_250
}
fn default_cache_threshold() -> f64 {
    0.3
}
fn default_balance_abs_threshold() -> u64 {
    64
}
fn default_balance_rel_threshold() -> f64 {
    1.5
}

#[cfg(test)]
mod tests {
    use super::is_prime;

    #[test]
    fn primes_are_told_from_others() {
        let small: Vec<u32> = (0..30).filter(|number| is_prime(*number)).collect();
        assert_eq!(small, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && is_prime(5_000_011));
        assert!(!is_prime(65_536) && !is_prime(65_539 * 3) && !is_prime(2_209));
    }
}
