//! Counting blocks by residue class gives what listing the sequences gives.

use proptest::prelude::*;
use seatrial::fleet::kv::KvBlocks;

/// Decoding sequences as a list: `(iteration at which it joined, tokens it held then)`.
#[derive(Debug, Clone)]
struct Listed {
    block_size: u64,
    sequences: Vec<(u64, u64)>,
}

impl Listed {
    fn tokens_at(&self, (joined, tokens): (u64, u64), iteration: u64) -> u64 {
        tokens + (iteration - joined)
    }

    /// Blocks taken by iteration `iteration`, in which every sequence grows by one token.
    fn needed_at(&self, iteration: u64) -> u64 {
        let grows = |&sequence: &(u64, u64)| {
            let before = self.tokens_at(sequence, iteration);
            (before + 1).div_ceil(self.block_size) - before.div_ceil(self.block_size)
        };
        self.sequences.iter().map(grows).sum()
    }

    fn needed_over(&self, from: u64, count: u64) -> u64 {
        (from..from + count).map(|at| self.needed_at(at)).sum()
    }

    fn covered(&self, free: u64, from: u64, limit: u64) -> u64 {
        (1..=limit)
            .take_while(|&count| self.needed_over(from, count) <= free)
            .count() as u64
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counted_blocks_are_listed_blocks(
        block_size in prop_oneof![1u32..5, Just(16u32), Just(32u32)],
        total in 0u64..400,
        turns in prop::collection::vec(
            (0u64..40, 0u64..200, any::<prop::sample::Index>(), any::<bool>()),
            1..40,
        ),
        count in 0u64..120,
    ) {
        let mut kv = KvBlocks::new(total, block_size, false, &[]);
        let mut listed = Listed { block_size: u64::from(block_size), sequences: Vec::new() };
        let mut iteration = 0;
        for (passed, tokens, which, joins) in turns {
            iteration += passed;
            if joins || listed.sequences.is_empty() {
                kv.join(iteration, tokens);
                listed.sequences.push((iteration, tokens));
            } else {
                let at = which.index(listed.sequences.len());
                let sequence = listed.sequences.swap_remove(at);
                kv.leave(iteration, listed.tokens_at(sequence, iteration));
            }
            prop_assert_eq!(kv.needed_at(iteration), listed.needed_at(iteration));
            prop_assert_eq!(
                kv.needed_over(iteration, count),
                listed.needed_over(iteration, count)
            );
            prop_assert_eq!(
                kv.iterations_covered(iteration, count),
                listed.covered(kv.free(), iteration, count)
            );
        }
    }

    #[test]
    fn blocks_cover_tokens_with_less_than_one_block_to_spare(
        block_size in 1u32..300,
        tokens in 0u64..1_000_000,
    ) {
        let blocks = KvBlocks::new(0, block_size, false, &[]).blocks_for(tokens);
        let size = u64::from(block_size);
        prop_assert!(blocks * size >= tokens && blocks * size < tokens + size);
    }

    #[test]
    fn what_is_taken_and_given_adds_up(total in 1u64..1_000, share in 0.0f64..1.0) {
        let mut kv = KvBlocks::new(total, 16, false, &[]);
        let taken = (total as f64 * share) as u64;
        kv.take(taken);
        prop_assert_eq!(kv.free(), total - taken);
        kv.give(taken);
        prop_assert_eq!((kv.free(), kv.total()), (total, total));
    }
}

#[test]
fn a_full_last_block_needs_the_next_one_at_once() {
    let mut kv = KvBlocks::new(100, 16, false, &[]);
    kv.join(7, 32);
    let needed: Vec<u64> = (7..7 + 17)
        .map(|iteration| kv.needed_at(iteration))
        .collect();
    assert_eq!((needed[0], needed[16]), (1, 1));
    assert_eq!(needed[1..16], [0; 15]);
}

#[test]
fn without_sequences_any_number_of_iterations_is_covered() {
    assert_eq!(
        KvBlocks::new(0, 16, false, &[]).iterations_covered(3, u64::MAX),
        u64::MAX
    );
}
