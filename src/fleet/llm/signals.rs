//! What an engine says of itself when it is asked.

use super::{Engine, Flight, Ranks};
use crate::engine::SimTime;
use crate::fleet::balance::Signals;
use crate::fleet::prefix::PrefixCache;
use crate::fleet::request::Requests;

impl Engine {
    /// Who waits and who runs, how full the cache is, and the tokens of both, at `now`.
    pub fn signals(&self, requests: &Requests, now: SimTime) -> Signals {
        // Within a run of decode iterations blocks are counted at its end: here, up to now.
        let done = match (self.flight, &self.origin) {
            (Flight::Decode { until }, Some(origin)) => {
                origin.boundaries_before(now, self.iteration, until)
            }
            _ => 0,
        };
        let more = self.kv.needed_over(self.iteration + 1, done);
        let used = self.kv.total() - self.kv.free() + more;
        let prefilling = self.prefilling.iter().map(|&slot| {
            let request = requests.at(slot);
            let whole = u64::from(request.prompt_tokens) + u64::from(request.work.generated);
            whole - u64::from(request.work.computed)
        });
        Signals {
            waiting: self.waiting.len(),
            running: self.running.len(),
            kv_usage: used as f64 / self.kv.total().max(1) as f64,
            prefill_tokens: self.waiting.prompt_tokens(requests) + prefilling.sum::<u64>(),
            decode_tokens: self.context + done * u64::from(self.decodes),
        }
    }

    /// Requests that wait to be admitted.
    pub fn waiting(&self) -> u32 {
        self.waiting.len()
    }

    /// See [`PrefixCache::keep_news`].
    pub fn keep_news(&mut self) {
        if let Some(cache) = self.kv.cache_mut() {
            cache.keep_news();
        }
    }

    /// See [`PrefixCache::drain_news`].
    pub fn drain_blocks(&mut self, each: impl FnMut(u64, bool)) {
        if let Some(cache) = self.kv.cache_mut() {
            cache.drain_news(each);
        }
    }

    /// See [`PrefixCache::keep_owners`].
    pub fn keep_owners(&mut self) {
        if let Some(cache) = self.kv.cache_mut() {
            cache.keep_owners();
        }
    }

    /// Whether its cache does.
    pub(super) fn keeps_owners(&self) -> bool {
        self.kv.cache().is_some_and(PrefixCache::keeps_owners)
    }

    /// See [`PrefixCache::forget`]. The tiers below know no owners: they are emptied.
    pub fn forget_blocks(&mut self, whose: &dyn Fn(u64) -> bool) {
        self.kv.forget(whose);
    }

    /// See [`PrefixCache::holds_doomed`].
    pub fn holds_doomed_blocks(&self, whose: &dyn Fn(u64) -> bool) -> bool {
        let cache = self.kv.cache();
        cache.is_some_and(|cache| cache.holds_doomed(whose))
    }

    /// Whether its cache keeps news.
    pub(super) fn keeps_news(&self) -> bool {
        self.kv.cache().is_some_and(PrefixCache::keeps_news)
    }
}

impl Ranks {
    /// The same over all ranks; the cache as the fullest of them.
    pub fn signals(&self, requests: &Requests, now: SimTime) -> Signals {
        let ranks = self.engines.iter();
        ranks.fold(Signals::default(), |sum, rank| {
            let own = rank.signals(requests, now);
            Signals {
                waiting: sum.waiting + own.waiting,
                running: sum.running + own.running,
                kv_usage: sum.kv_usage.max(own.kv_usage),
                prefill_tokens: sum.prefill_tokens + own.prefill_tokens,
                decode_tokens: sum.decode_tokens + own.decode_tokens,
            }
        })
    }

    /// Requests that wait to be admitted at any of them.
    pub fn waiting(&self) -> u32 {
        self.engines.iter().map(Engine::waiting).sum()
    }

    /// See [`PrefixCache::keep_owners`].
    pub fn keep_owners(&mut self) {
        self.engines.iter_mut().for_each(Engine::keep_owners);
    }

    /// See [`Engine::forget_blocks`].
    pub fn forget_blocks(&mut self, whose: &dyn Fn(u64) -> bool) {
        for rank in &mut self.engines {
            rank.forget_blocks(whose);
        }
    }

    /// See [`PrefixCache::holds_doomed`].
    pub fn holds_doomed_blocks(&self, whose: &dyn Fn(u64) -> bool) -> bool {
        self.engines
            .iter()
            .any(|rank| rank.holds_doomed_blocks(whose))
    }

    /// See [`PrefixCache::keep_news`].
    pub fn keep_news(&mut self) {
        self.engines.iter_mut().for_each(Engine::keep_news);
    }

    /// See [`PrefixCache::drain_news`].
    pub fn drain_blocks(&mut self, mut each: impl FnMut(u64, bool)) {
        for rank in &mut self.engines {
            rank.drain_blocks(&mut each);
        }
    }
}
