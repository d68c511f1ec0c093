//! KV-cache blocks of one replica, counted and not listed.
//!
//! A decoding sequence needs a new block whenever the tokens it holds fill its last one. All
//! decoding sequences grow by one token per iteration, so which iterations those are depends only
//! on a residue class: a sequence that holds `c` tokens before iteration `i` crosses a boundary at
//! every iteration congruent to `i - c` modulo the block size. Counting sequences per class gives
//! the blocks needed by any run of iterations without looking at the sequences.

use super::prefix::PrefixCache;
use super::tiers::{TierRule, Tiers};

/// The decoding sequences that advance together, as the blocks they will need.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Sequences by residue class.
    crossing: Vec<u32>,
    decoding: u64,
}

impl Growth {
    /// No sequences, with blocks of so many tokens (at least 1).
    pub fn new(block_size: u32) -> Growth {
        Growth {
            crossing: vec![0; block_size as usize],
            decoding: 0,
        }
    }

    /// Blocks they need in one iteration.
    #[inline]
    pub fn needed_at(&self, iteration: u64) -> u64 {
        u64::from(self.crossing[(iteration % self.crossing.len() as u64) as usize])
    }
}

/// The block pool of one replica.
#[derive(Debug, Clone)]
pub struct KvBlocks {
    block_size: u64,
    total: u64,
    free: u64,
    growth: Growth,
    /// With prefix caching: what is in the blocks.
    cache: Option<Box<PrefixCache>>,
    /// Where evicted blocks go.
    tiers: Tiers,
}

impl KvBlocks {
    /// `total` free blocks of `block_size` tokens (at least 1), with a prefix cache or without, and
    /// the tiers below it.
    pub fn new(total: u64, block_size: u32, prefix_caching: bool, tiers: &[TierRule]) -> KvBlocks {
        KvBlocks {
            block_size: u64::from(block_size),
            total,
            free: total,
            growth: Growth::new(block_size),
            cache: prefix_caching.then(|| Box::new(PrefixCache::new(total))),
            tiers: Tiers::new(tiers),
        }
    }

    /// The prefix cache, if there is one.
    pub fn cache(&self) -> Option<&PrefixCache> {
        self.cache.as_deref()
    }

    /// The tiers below the cache.
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// Notes that a block was brought back from a tier.
    pub fn loaded(&mut self, key: u64) {
        self.tiers.used(key);
    }

    /// The cache of prompts, to change.
    pub fn cache_mut(&mut self) -> Option<&mut PrefixCache> {
        self.cache.as_mut().map(AsMut::as_mut)
    }

    /// Forgets the blocks of some owners; the tiers below, which know no owners, forget all.
    pub fn forget(&mut self, whose: &dyn Fn(u64) -> bool) {
        if let Some(cache) = &mut self.cache {
            cache.forget(whose);
            self.tiers.clear();
        }
    }

    /// Tokens of a block.
    pub fn block_size(&self) -> u32 {
        self.block_size as u32
    }

    /// Holds a block that the cache has under that name.
    pub fn hold(&mut self, key: u64) {
        if let Some(cache) = &mut self.cache {
            let before = cache.held();
            cache.hold(key);
            self.free -= cache.held() - before;
        }
    }

    /// Names a block of `owner` that was taken; false when the cache has one of that name.
    pub fn name(&mut self, key: u64, owner: u64) -> bool {
        let Some(cache) = &mut self.cache else {
            return true;
        };
        let (before, found) = (cache.held(), cache.knows(key));
        let alone = cache.name(key, owner);
        // The other block of that name may have been a free one.
        if found {
            self.free -= cache.held() - before;
        }
        alone
    }

    /// Lets a named block go.
    pub fn let_go(&mut self, key: u64) {
        if let Some(cache) = &mut self.cache
            && cache.let_go(key)
        {
            self.free += 1;
        }
    }

    /// Blocks that `tokens` tokens of one sequence fill.
    #[inline]
    pub fn blocks_for(&self, tokens: u64) -> u64 {
        tokens.div_ceil(self.block_size)
    }

    /// Blocks nobody holds.
    pub fn free(&self) -> u64 {
        self.free
    }

    /// All blocks.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes blocks; the caller has looked at [`Self::free`].
    #[inline]
    pub fn take(&mut self, blocks: u64) {
        debug_assert!(blocks <= self.free, "more KV blocks taken than are free");
        self.free -= blocks;
        if let Some(cache) = &mut self.cache {
            cache.take(blocks, |key| self.tiers.take_in(key));
        }
    }

    /// Gives blocks back.
    #[inline]
    pub fn give(&mut self, blocks: u64) {
        self.free += blocks;
        if let Some(cache) = &mut self.cache {
            cache.free_unnamed(blocks);
        }
        debug_assert!(self.free <= self.total, "more KV blocks given than exist");
    }

    /// Exchanges the sequences that advance together for others.
    pub fn swap_growth(&mut self, other: &mut Growth) {
        std::mem::swap(&mut self.growth, other);
    }

    /// A sequence that holds `tokens` tokens decodes from iteration `iteration` on.
    pub fn join(&mut self, iteration: u64, tokens: u64) {
        let class = self.class(iteration, tokens);
        self.growth.crossing[class] += 1;
        self.growth.decoding += 1;
    }

    /// A sequence that holds `tokens` tokens before iteration `iteration` decodes no more.
    pub fn leave(&mut self, iteration: u64, tokens: u64) {
        let class = self.class(iteration, tokens);
        self.growth.crossing[class] -= 1;
        self.growth.decoding -= 1;
    }

    /// Blocks the decoding sequences need in one iteration.
    #[inline]
    pub fn needed_at(&self, iteration: u64) -> u64 {
        self.growth.needed_at(iteration)
    }

    /// Blocks they need in iterations `from .. from + count`.
    pub fn needed_over(&self, from: u64, count: u64) -> u64 {
        let rounds = count / self.block_size;
        let rest = count % self.block_size;
        let partial: u64 = (from..from + rest).map(|i| self.needed_at(i)).sum();
        rounds * self.growth.decoding + partial
    }

    /// The most iterations from `from` on, up to `limit`, whose needs the free blocks cover.
    pub fn iterations_covered(&self, from: u64, limit: u64) -> u64 {
        let decoding = self.growth.decoding;
        if decoding == 0 {
            return limit;
        }
        let rounds = self.free / decoding;
        if rounds > limit / self.block_size {
            return limit;
        }
        let mut left = self.free - rounds * decoding;
        let mut count = rounds * self.block_size;
        while count < limit {
            let needed = self.needed_at(from + count);
            if needed > left {
                break;
            }
            left -= needed;
            count += 1;
        }
        count.min(limit)
    }

    fn class(&self, iteration: u64, tokens: u64) -> usize {
        let behind = tokens % self.block_size;
        ((iteration + self.block_size - behind) % self.block_size) as usize
    }
}
