//! The resolvers of one population of clients, and what they have cached.

use rand::RngExt;

use super::answer::Picker;
use super::view::View;
use super::{RegionIndex, mix, unit_of};
use crate::engine::{SimDuration, SimRng, SimTime};
use crate::scenario::steering::Dns;

/// Resolvers and their caches.
#[derive(Debug, Clone)]
pub(super) struct Resolvers {
    cached: Vec<Cached>,
    /// The first so many never ask again, the next so many ignore the TTL.
    never: usize,
    ignore: usize,
    ttl: SimDuration,
    ignored_ttl: SimDuration,
    serve_stale: SimDuration,
    outage: bool,
    /// Tells the random choices of this population from those of others.
    salt: u64,
}

/// An answer and until when it is good.
#[derive(Debug, Clone, Copy)]
struct Cached {
    region: RegionIndex,
    expires: SimTime,
}

impl Resolvers {
    /// None, where nobody asks them.
    pub(super) fn none() -> Resolvers {
        Resolvers {
            cached: Vec::new(),
            never: 0,
            ignore: 0,
            ttl: SimDuration(1),
            ignored_ttl: SimDuration(1),
            serve_stale: SimDuration::ZERO,
            outage: false,
            salt: 0,
        }
    }

    /// All with an answer that was given when all was well, and expires at a time uniform over its
    /// life.
    pub(super) fn new(config: &Dns, view: &View, picker: &Picker, rng: &mut SimRng) -> Resolvers {
        let count = config.resolvers.max(1) as usize;
        let part = |share: f64| (share * count as f64).round() as usize;
        let never = part(config.never_refresh_share).min(count);
        let ttl = |seconds: f64| SimDuration::from_secs_f64(seconds).0.max(1);
        let mut resolvers = Resolvers {
            cached: Vec::with_capacity(count),
            never,
            ignore: part(config.ignore_ttl_share).min(count - never),
            ttl: SimDuration(ttl(config.ttl_s)),
            ignored_ttl: SimDuration(ttl(config.ignored_ttl_s)),
            serve_stale: SimDuration::from_secs_f64(config.serve_stale_s),
            outage: false,
            salt: rng.random(),
        };
        for resolver in 0..count {
            let region = picker.pick(view.now(), rng.random());
            let phase = rng.random_range(0..resolvers.ttl_of(resolver).0);
            let expires = match resolver < never {
                true => SimTime::NEVER,
                false => SimTime(phase),
            };
            resolvers.cached.push(Cached { region, expires });
        }
        resolvers
    }

    /// The resolver of a client.
    pub(super) fn of_client(&self, key: u64) -> usize {
        // The high half of the product is uniform over the resolvers.
        let product = u128::from(mix(key ^ self.salt)) * self.cached.len() as u128;
        (product >> 64) as usize
    }

    fn ttl_of(&self, resolver: usize) -> SimDuration {
        match resolver < self.never + self.ignore {
            true => self.ignored_ttl,
            false => self.ttl,
        }
    }

    /// The answer of a resolver, which asks the balancer as often as it has to.
    pub(super) fn ask(
        &mut self,
        resolver: usize,
        now: SimTime,
        view: &View,
        picker: &Picker,
    ) -> Option<RegionIndex> {
        let cached = *self.cached.get(resolver)?;
        if now < cached.expires {
            return Some(cached.region);
        }
        if self.outage {
            let stale_until = cached.expires + self.serve_stale;
            return (now < stale_until).then_some(cached.region);
        }
        // It has asked each time that its answer expired; only the last time matters.
        let ttl = self.ttl_of(resolver);
        let late = now.since(cached.expires).0;
        let asked = cached.expires + SimDuration(late - late % ttl.0);
        Some(self.refresh(resolver, asked, view, picker))
    }

    fn refresh(
        &mut self,
        resolver: usize,
        asked: SimTime,
        view: &View,
        picker: &Picker,
    ) -> RegionIndex {
        let unit = unit_of(resolver as u64 ^ self.salt, asked.0);
        let region = picker.pick(view.at(asked), unit);
        let expires = asked + self.ttl_of(resolver);
        self.cached[resolver] = Cached { region, expires };
        region
    }

    /// Whether they get answers.
    pub(super) fn set_outage(&mut self, out: bool, now: SimTime, view: &View, picker: &Picker) {
        if out == self.outage {
            return;
        }
        for resolver in 0..self.cached.len() {
            if out {
                // The last answer before the outage is what they keep.
                self.ask(resolver, now, view, picker);
            } else if self.cached[resolver].expires <= now {
                self.refresh(resolver, now, view, picker);
            }
        }
        self.outage = out;
    }

    /// The share of them whose answer is a region.
    pub(super) fn share_on(
        &mut self,
        region: RegionIndex,
        now: SimTime,
        view: &View,
        picker: &Picker,
    ) -> f64 {
        let all = 0..self.cached.len();
        let there = all
            .filter(|resolver| self.ask(*resolver, now, view, picker) == Some(region))
            .count();
        there as f64 / self.cached.len().max(1) as f64
    }
}
