//! What the prefix cache has to do with a request: blocks found, named and let go.

use super::{Engine, EngineRules};
use crate::fleet::context::Context;
use crate::fleet::request::Requests;
use crate::fleet::tiers::Loaded;
use crate::scenario::fleet::SchedulingPolicy;

/// Blocks of a prompt that are in the cache.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hit {
    /// How many, from the first on.
    pub blocks: u32,
    /// How many of them nobody holds: they count against the free ones.
    pub free: u64,
    /// What of the rest is in the tiers below.
    pub loaded: Loaded,
}

impl Hit {
    /// Blocks found, wherever.
    pub fn found(&self) -> u32 {
        self.blocks + self.loaded.blocks
    }
}

impl Engine {
    /// What of a prompt of `total` tokens is in the cache. The last token is always computed, since
    /// it gives the next one.
    pub(super) fn hit(&self, ctx: &Context<'_>, slot: u32, total: u32) -> Hit {
        let Some(cache) = self.kv.cache() else {
            return Hit::default();
        };
        let size = self.kv.block_size();
        let prefix = &ctx.requests.at(slot).prefix;
        let most = total.saturating_sub(1) / size;
        let key = |index| prefix.key(index, size);
        let (blocks, free) = cache.lookup(key, most);
        let mut loaded = self.kv.tiers().lookup(key, blocks, most);
        if let Some(store) = ctx.store {
            let from = blocks + loaded.blocks;
            let shared = store.lookup(key, from, most, (ctx.region, ctx.now));
            loaded.blocks += shared.blocks;
            loaded.ns += shared.ns;
        }
        Hit {
            blocks,
            free,
            loaded,
        }
    }

    /// Holds what was found.
    pub(super) fn hold(&mut self, requests: &mut Requests, slot: u32, hit: Hit) {
        if hit.found() == 0 {
            return;
        }
        let size = self.kv.block_size();
        let request = requests.at_mut(slot);
        for index in 0..hit.blocks {
            self.kv.hold(request.prefix.key(index, size));
        }
        for index in hit.blocks..hit.found() {
            self.kv.loaded(request.prefix.key(index, size));
        }
        request.work.computed = hit.found() * size;
        request.work.named = hit.blocks;
        self.loading_ns += hit.loaded.ns;
    }

    /// Names the blocks that are full once `tokens` tokens are in them. A request planned in the
    /// same iteration finds them already, as in vLLM; by priority, where a prompt that was planned
    /// may yet be preempted, they are named when they are computed.
    pub(super) fn name_planned(
        &mut self,
        rules: &EngineRules,
        requests: &mut Requests,
        slot: u32,
        tokens: u32,
    ) {
        if rules.policy == SchedulingPolicy::Fcfs {
            self.name_full(requests, slot, u64::from(tokens));
        }
    }

    /// Names the blocks that `tokens` computed tokens fill.
    pub(super) fn name_full(&mut self, requests: &mut Requests, slot: u32, tokens: u64) {
        if self.kv.cache().is_none() {
            return;
        }
        let size = self.kv.block_size();
        let full = (tokens / u64::from(size)) as u32;
        let request = requests.at_mut(slot);
        for index in request.work.named..full {
            let prefix = &request.prefix;
            if !self
                .kv
                .name(prefix.key(index, size), prefix.owner(index, size))
            {
                request.work.unnamed += 1;
            }
        }
        request.work.named = request.work.named.max(full);
    }

    /// Lets go of all `blocks` blocks of a request with `tokens` tokens in them: those without a
    /// name first, then the named ones, the last first.
    pub(super) fn release(&mut self, requests: &mut Requests, slot: u32, blocks: u64, tokens: u64) {
        self.name_full(requests, slot, tokens);
        let size = self.kv.block_size();
        let request = requests.at_mut(slot);
        let (named, unnamed) = (request.work.named, request.work.unnamed);
        self.kv.give(blocks - u64::from(named) + u64::from(unnamed));
        for index in (0..named).rev() {
            self.kv.let_go(request.prefix.key(index, size));
        }
        request.work.named = 0;
        request.work.unnamed = 0;
    }
}
