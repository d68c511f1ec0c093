//! The prefix cache finds what it should, evicts in vLLM's order, and never changes what is said of
//! a run that has nothing in common.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::collections::{BTreeMap, VecDeque};

use common::{e2e_ns, rows_of, simulate};
use proptest::prelude::*;
use seatrial::fleet::prefix::{Prefix, PrefixCache};

/// A cache that lists every block: the queue of free blocks with the name each has, if any, and how
/// many hold each name.
#[derive(Default)]
struct Model {
    free: VecDeque<Option<u64>>,
    held: BTreeMap<u64, u32>,
    /// Blocks that are to go for good with the last who holds them: how many hold each, by the name they had.
    doomed: BTreeMap<u64, VecDeque<u32>>,
}

impl Model {
    fn knows(&self, key: u64) -> bool {
        self.held.contains_key(&key) || self.free.contains(&Some(key))
    }

    fn hold(&mut self, key: u64) {
        self.free.retain(|block| *block != Some(key));
        *self.held.entry(key).or_default() += 1;
    }

    /// Blocks of an owner: a key's is its remainder by 3.
    fn forget(&mut self, owner: u64) {
        for block in &mut self.free {
            *block = block.filter(|key| key % 3 != owner);
        }
        let held = self.held.iter().filter(|(key, _)| *key % 3 == owner);
        let held: Vec<(u64, u32)> = held.map(|(key, count)| (*key, *count)).collect();
        for (key, count) in held {
            self.held.remove(&key);
            self.doomed.entry(key).or_default().push_back(count);
        }
    }

    fn let_go(&mut self, key: u64) {
        if let Some(counts) = self.doomed.get_mut(&key) {
            counts[0] -= 1;
            if counts[0] == 0 {
                counts.pop_front();
                self.free.push_back(None);
            }
            if counts.is_empty() {
                self.doomed.remove(&key);
            }
            return;
        }
        let count = self.held.get_mut(&key).unwrap();
        *count -= 1;
        if *count == 0 {
            self.held.remove(&key);
            self.free.push_back(Some(key));
        }
    }

    /// Blocks that somebody holds.
    fn blocks_held(&self) -> u64 {
        let doomed = self.doomed.values().map(VecDeque::len).sum::<usize>();
        (self.held.len() + doomed) as u64
    }
}

#[derive(Debug, Clone)]
enum Action {
    /// Take a block and name it.
    Name(u64),
    /// Take blocks that stay without a name.
    Take(u64),
    Hold(u64),
    LetGo(usize),
    Free(u64),
    /// Forget the blocks of an owner.
    Forget(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let one = prop_oneof![
        (0u64..40).prop_map(Action::Name),
        (1u64..6).prop_map(Action::Take),
        (0u64..40).prop_map(Action::Hold),
        any::<usize>().prop_map(Action::LetGo),
        (1u64..6).prop_map(Action::Free),
        (0u64..3).prop_map(Action::Forget),
    ];
    prop::collection::vec(one, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cache_is_a_queue_of_all_its_blocks(actions in actions()) {
        const TOTAL: u64 = 30;
        let mut cache = PrefixCache::new(TOTAL);
        cache.keep_owners();
        let mut model = Model { free: (0..TOTAL).map(|_| None).collect(), ..Model::default() };
        // Blocks taken that have no name, and names held, in order.
        let (mut unnamed, mut names) = (0, Vec::new());
        for action in actions {
            match action {
                Action::Name(key) => {
                    let mut gone = Vec::new();
                    if model.free.is_empty() || model.held.contains_key(&key) {
                        continue;
                    }
                    cache.take(1, |key| gone.push(key));
                    let popped = model.free.pop_front().unwrap();
                    prop_assert_eq!(gone, popped.into_iter().collect::<Vec<_>>());
                    let fresh = cache.name(key, key % 3);
                    prop_assert_eq!(fresh, !model.knows(key));
                    if !fresh {
                        unnamed += 1;
                    }
                    model.hold(key);
                    names.push(key);
                }
                Action::Take(count) => {
                    let count = count.min(model.free.len() as u64);
                    let mut gone = Vec::new();
                    cache.take(count, |key| gone.push(key));
                    let popped: Vec<u64> = model.free.drain(..count as usize).flatten().collect();
                    prop_assert_eq!(gone, popped);
                    unnamed += count;
                }
                Action::Hold(key) => {
                    prop_assert_eq!(cache.knows(key), model.knows(key));
                    if model.knows(key) {
                        cache.hold(key);
                        model.hold(key);
                        names.push(key);
                    }
                }
                Action::LetGo(which) => {
                    if !names.is_empty() {
                        let key = names.swap_remove(which % names.len());
                        cache.let_go(key);
                        model.let_go(key);
                    }
                }
                Action::Forget(_) => {}
                Action::Free(count) => {
                    let count = count.min(unnamed);
                    cache.free_unnamed(count);
                    model.free.extend((0..count).map(|_| None));
                    unnamed -= count;
                }
            }
            if let Action::Forget(owner) = action {
                cache.forget(|other| other == owner);
                model.forget(owner);
            }
            prop_assert_eq!(cache.held(), model.blocks_held());
            for owner in 0..3 {
                let doomed = model.doomed.keys().any(|key| key % 3 == owner);
                prop_assert_eq!(cache.holds_doomed(|other| other == owner), doomed);
            }
        }
        for key in 0..40 {
            let here = cache.lookup(|_| key, 1);
            let free = u64::from(model.free.contains(&Some(key)));
            prop_assert_eq!(here, (u32::from(model.knows(key)), free));
        }
    }
}

#[test]
fn blocks_are_named_by_all_the_tokens_up_to_their_end() {
    let group = |shared, own| Prefix::Group {
        shared,
        shared_tokens: 40,
        own,
    };
    let (a, b, other) = (group(1, 10), group(1, 11), group(2, 10));
    // Of 16-token blocks two lie in the 40 tokens shared, the third goes beyond.
    for index in 0..2 {
        assert_eq!(a.key(index, 16), b.key(index, 16));
        assert_ne!(a.key(index, 16), other.key(index, 16));
    }
    assert_ne!(a.key(2, 16), b.key(2, 16));
    let hashes = |ids: &[u64]| Prefix::Hashes {
        hashes: ids.to_vec().into(),
        stretch_tokens: 32,
        own: 1,
    };
    let (long, short) = (hashes(&[5, 6, 7]), hashes(&[5, 6]));
    assert_eq!(long.key(3, 16), short.key(3, 16));
    assert_ne!(long.key(4, 16), short.key(4, 16));
    assert_ne!(long.key(0, 16), long.key(1, 16));
}

fn scenario(workload: &str, pool: &str) -> String {
    format!(
        r#"
name = "prefix"
[run]
horizon_s = 100
warmup_s = 0
drain_limit_s = 100000
[workload]
arrivals = {{ process = "constant", rate_per_s = 0.5 }}
prompt_tokens = {{ law = "constant", tokens = 4000 }}
output_tokens = {{ law = "constant", tokens = 8 }}
{workload}
[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
{pool}
"#
    )
}

const ON: &str = "prefix_caching = true";

#[test]
fn a_prompt_that_comes_again_is_found_but_for_its_last_block() {
    let again = scenario("prefix = { sharing = \"repeated\", distinct = 3 }", ON);
    let rows = rows_of(&again);
    let cached: Vec<u32> = rows.iter().map(|row| row.cached_tokens).collect();
    assert_eq!(cached[..3], [0, 0, 0]);
    // 4,000 tokens are 250 blocks of 16; the last token is computed, so its block is too.
    assert!(
        cached[3..].iter().all(|&tokens| tokens == 249 * 16),
        "{cached:?}"
    );
    assert!(e2e_ns(&rows[3]) < e2e_ns(&rows[0]) * 2 / 3);
}

#[test]
fn a_group_shares_its_first_tokens() {
    let groups = "prefix = { sharing = \"groups\", groups = 1, tokens = 1000 }";
    let rows = rows_of(&scenario(groups, ON));
    assert_eq!(rows[0].cached_tokens, 0);
    assert!(rows[1..].iter().all(|row| row.cached_tokens == 62 * 16));
}

#[test]
fn a_cache_too_small_for_what_comes_between_finds_nothing() {
    // 300 blocks: a prompt takes 251 of them, and the next one evicts it.
    let small = format!("{ON}\nkv_blocks = 300");
    let repeated = "prefix = { sharing = \"repeated\", distinct = 3 }";
    let rows = rows_of(&scenario(repeated, &small));
    // Its head, which was freed last, is still there when it comes again; not so its tail.
    let cached: Vec<u32> = rows.iter().map(|row| row.cached_tokens).collect();
    assert!(cached.iter().all(|&tokens| tokens == 0), "{cached:?}");
    let one = "prefix = { sharing = \"repeated\", distinct = 1 }";
    let rows = rows_of(&scenario(one, &small));
    assert!(rows[1..].iter().all(|row| row.cached_tokens == 249 * 16));
}

#[test]
fn heads_of_prompts_outlive_their_tails() {
    // Two prompts of 250 blocks in 420: the second takes the 170 blocks that were never used, then
    // 80 of the first one's, from its tail on. So of its 250 blocks the first 169 are found.
    let pool = format!("{ON}\nkv_blocks = 420");
    let rows = rows_of(&scenario(
        "prefix = { sharing = \"repeated\", distinct = 2 }",
        &pool,
    ));
    let blocks = rows[2].cached_tokens / 16;
    assert!((165..=171).contains(&blocks), "{blocks}");
}

#[test]
fn without_anything_in_common_caching_changes_no_stamp() {
    let stamps = |pool: &str| -> Vec<_> {
        let rows = rows_of(&scenario("", pool));
        rows.iter()
            .map(|row| (row.scheduled_ns, row.first_token_ns, row.last_token_ns))
            .collect()
    };
    assert_eq!(stamps(ON), stamps(""));
}

#[test]
fn a_preempted_sequence_finds_its_own_blocks_again() {
    let storm = |caching: bool| {
        let text = scenario("", &format!("kv_blocks = 600\nprefix_caching = {caching}"))
            .replace("rate_per_s = 0.5", "rate_per_s = 20")
            .replace("tokens = 4000", "tokens = 1000")
            .replace("tokens = 8 }", "tokens = 900 }");
        simulate(&text).0
    };
    let (with, without) = (storm(true), storm(false));
    let preempted = |rows: &[seatrial::fleet::outcome::RequestRow]| -> u32 {
        rows.iter().map(|row| u32::from(row.preemptions)).sum()
    };
    assert!(preempted(&without) > 100);
    // All are answered, and sooner.
    for rows in [&with, &without] {
        assert!(rows.iter().all(|row| row.status == "completed"));
    }
    let last = |rows: &[seatrial::fleet::outcome::RequestRow]| {
        rows.iter().map(|row| row.last_token_ns.unwrap()).max()
    };
    assert!(last(&with) < last(&without));
}

/// A store beside the accelerators that holds everything.
const TIER: &str =
    "kv_tiers = [{ name = \"dram\", capacity_gb = 100, bandwidth_gb_per_s = 50, latency_ms = 3 }]";

#[test]
fn what_was_evicted_is_brought_back_at_the_speed_of_its_tier() {
    // As above: the accelerator's own 300 blocks never hold a prompt until it comes again.
    let repeated = "prefix = { sharing = \"repeated\", distinct = 3 }";
    let tiered = rows_of(&scenario(
        repeated,
        &format!("{ON}\nkv_blocks = 300\n{TIER}"),
    ));
    let roomy = rows_of(&scenario(repeated, ON));
    assert!(tiered[3..].iter().all(|row| row.cached_tokens == 249 * 16));
    // 249 blocks of 16 tokens of 131,072 bytes at 50 GB/s, and the latency, beside the same
    // prompt found in the accelerator's own memory.
    let more_ns = (249.0 * 16.0 * 131_072.0 / 50.0_f64 + 3e6).round() as u64;
    for (tiered, roomy) in tiered[3..].iter().zip(&roomy[3..]) {
        assert_eq!(e2e_ns(tiered), e2e_ns(roomy) + more_ns);
    }
}

#[test]
fn a_tier_that_is_full_forgets_what_it_used_least_recently() {
    // Room for 100 of a prompt's 250 blocks: never the first ones of a prompt that came before.
    let small = TIER.replace("capacity_gb = 100", "capacity_gb = 0.21");
    let repeated = "prefix = { sharing = \"repeated\", distinct = 3 }";
    let rows = rows_of(&scenario(
        repeated,
        &format!("{ON}\nkv_blocks = 300\n{small}"),
    ));
    assert!(rows.iter().all(|row| row.cached_tokens == 0));
}

#[test]
fn tiers_without_reuse_change_no_stamp() {
    let stamps = |pool: &str| -> Vec<_> {
        let rows = rows_of(&scenario("", pool));
        rows.iter()
            .map(|row| (row.first_token_ns, row.last_token_ns))
            .collect()
    };
    assert_eq!(stamps(&format!("{ON}\n{TIER}")), stamps(""));
}
