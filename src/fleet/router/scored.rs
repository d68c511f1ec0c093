//! Routers that score every member, and what they keep for that.

use crate::engine::SimRng;
use crate::fleet::balance::{Asked, PrefixIndex, Scorer, Signals};
use crate::scenario::balance::{PrefixIndex as PrefixConfig, Scorers};

use super::{Loads, Wanted};

/// What a scoring router knows of its members.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    scorer: Scorer,
    signals: Vec<Signals>,
    /// What members hold of prompts; without, nobody holds anything.
    index: PrefixIndex,
    /// Whether it remembers itself what it sent.
    remembers: bool,
    /// Whether it is told what engines store.
    is_told: bool,
    most_blocks: u32,
    /// Tokens that a request counts while it decodes, beside or instead of its prompt.
    expected_output: u64,
    /// Whether decoding requests count their context, not what is to come.
    counts_context: bool,
}

impl Scored {
    pub fn new(
        scorers: &Scorers,
        index: Option<&PrefixConfig>,
        expected_output_tokens: u32,
        members: u32,
    ) -> Scored {
        let unstated = PrefixConfig::Precise { block_size: 16 };
        let config = index.unwrap_or(&unstated);
        let most_blocks = match config {
            PrefixConfig::Approximate {
                max_prompt_blocks, ..
            } => *max_prompt_blocks,
            PrefixConfig::Precise { .. } => u32::MAX,
        };
        Scored {
            scorer: Scorer::new(scorers),
            signals: vec![Signals::default(); members as usize],
            index: PrefixIndex::new(config, members),
            remembers: matches!(index, Some(PrefixConfig::Approximate { .. })),
            is_told: matches!(index, Some(PrefixConfig::Precise { .. })),
            most_blocks: if index.is_some() { most_blocks } else { 0 },
            expected_output: u64::from(expected_output_tokens),
            counts_context: matches!(scorers, Scorers::KvCost { .. }),
        }
    }

    pub fn choose(
        &mut self,
        wanted: &Wanted<'_>,
        eligible: impl Fn(u32) -> bool,
        rng: &mut SimRng,
    ) -> Option<u32> {
        let size = self.index.block_size();
        let blocks = (wanted.prompt_tokens / size).min(self.most_blocks);
        let asked = Asked {
            prompt_tokens: wanted.prompt_tokens,
            block_size: size,
            matches: self
                .index
                .lookup(|block| wanted.prefix.key(block, size), blocks),
        };
        self.scorer.choose(&self.signals, &asked, eligible, rng)
    }

    pub fn remember(&mut self, member: u32, wanted: &Wanted<'_>) {
        if self.remembers {
            let size = self.index.block_size();
            let blocks = (wanted.prompt_tokens / size).min(self.most_blocks);
            let key = |block| wanted.prefix.key(block, size);
            self.index.sent(member, key, blocks);
        }
    }

    /// What a member stores or evicts, where it is told of that.
    pub fn block(&mut self, member: u32, key: u64, stored: bool) {
        match (self.is_told, stored) {
            (false, _) => {}
            (true, true) => self.index.stored(member, key),
            (true, false) => self.index.evicted(member, key),
        }
    }

    /// A member has nothing any more; who is not told goes on to believe otherwise.
    pub fn forget(&mut self, member: u32) {
        if self.is_told {
            self.index.drop_member(member);
        }
    }

    pub fn told(&mut self, member: u32, signals: &Signals) {
        self.signals[member as usize] = *signals;
    }

    fn decoding(&self, prompt_tokens: u32) -> u64 {
        match self.counts_context {
            true => u64::from(prompt_tokens),
            false => self.expected_output,
        }
    }

    pub fn sent(&mut self, member: u32, prompt_tokens: u32, source: Loads) {
        if source != (Loads::Told { and_own: false }) {
            let signals = &mut self.signals[member as usize];
            signals.running += 1;
            signals.prefill_tokens += u64::from(prompt_tokens);
        }
    }

    pub fn first_token(&mut self, member: u32, prompt_tokens: u32, source: Loads) {
        if source == Loads::Own {
            let decoding = self.decoding(prompt_tokens);
            let signals = &mut self.signals[member as usize];
            signals.prefill_tokens -= u64::from(prompt_tokens);
            signals.decode_tokens += decoding;
        }
    }

    pub fn returned(&mut self, member: u32, prompt_tokens: u32, begun: bool, source: Loads) {
        if source != Loads::Own {
            return;
        }
        let decoding = self.decoding(prompt_tokens);
        let signals = &mut self.signals[member as usize];
        signals.running -= 1;
        match begun {
            true => signals.decode_tokens -= decoding,
            false => signals.prefill_tokens -= u64::from(prompt_tokens),
        }
    }
}
