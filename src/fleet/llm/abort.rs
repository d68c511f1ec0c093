//! Requests that an engine is to drop, and engines that die.

use super::{Engine, EngineRules, Flight, Ranks};
use crate::engine::SimTime;
use crate::fleet::context::Context;
use crate::fleet::ids::NONE;

/// What faults and cancellations have to do with an engine.
#[derive(Debug, Clone)]
pub(super) struct Upset {
    /// Running sequences to be dropped at the next boundary.
    aborts: Vec<u32>,
    /// How many times as long as it should an iteration takes.
    slowdown: f64,
    /// Whether the next run of decode iterations begins afresh, whatever was foreseen.
    afresh: bool,
    /// Since when it has stood still; none while it does not.
    stalled: Option<SimTime>,
}

impl Default for Upset {
    fn default() -> Self {
        Upset {
            aborts: Vec::new(),
            slowdown: 1.0,
            afresh: false,
            stalled: None,
        }
    }
}

impl Engine {
    /// How many times as long as it should an iteration takes.
    #[inline]
    pub(super) fn slowdown(&self) -> f64 {
        self.upset.as_ref().map_or(1.0, |upset| upset.slowdown)
    }

    /// Whether what was foreseen of a run of decode iterations may be wrong; asked once.
    #[inline]
    pub(super) fn begins_afresh(&mut self) -> bool {
        match &mut self.upset {
            Some(upset) => std::mem::take(&mut upset.afresh),
            None => false,
        }
    }

    fn upset(&mut self) -> &mut Upset {
        self.upset.get_or_insert_default()
    }

    /// Its iterations take `factor` (1 or more) times as long, from the next that is planned on.
    pub fn slow_down(&mut self, factor: f64, ctx: &mut Context<'_>) {
        self.upset().slowdown = factor;
        self.upset().afresh = true;
        self.interrupt(ctx);
    }

    /// It makes no progress for a while: the end of what is under way will come late.
    pub fn stall(&mut self, ctx: &mut Context<'_>) {
        self.upset().afresh = true;
        self.upset().stalled = Some(ctx.now);
        self.interrupt(ctx);
    }

    /// It goes on.
    pub fn go_on(&mut self) {
        self.upset().stalled = None;
    }

    /// Drops a request. True where that is done at once, since it waits. A sequence that runs is
    /// dropped where the next iteration is planned, as vLLM does, and then reported as done.
    pub fn abort(&mut self, slot: u32, rules: &EngineRules, ctx: &mut Context<'_>) -> bool {
        if self.runs(slot, ctx) {
            self.upset().aborts.push(slot);
            self.interrupt(ctx);
            return false;
        }
        let headed = self.waiting.front() == Some(slot);
        self.waiting.remove(ctx.requests, slot);
        // The one behind it may fit where it did not.
        if headed && !self.waiting.is_empty() && !self.others_fly() {
            match self.flight {
                Flight::Idle if self.ranks == 1 => self.wake(ctx),
                Flight::Decode { .. } if self.has_seats(rules) => self.interrupt(ctx),
                _ => {}
            }
        }
        true
    }

    fn runs(&self, slot: u32, ctx: &Context<'_>) -> bool {
        ctx.requests.at(slot).work.decoding || self.prefilling.contains(&slot)
    }

    /// Ends a run of decode iterations at the next boundary, so that what has changed is seen.
    fn interrupt(&mut self, ctx: &mut Context<'_>) {
        if let Flight::Decode { until } = self.flight {
            self.cut(until, 0, ctx);
        }
    }

    /// At a boundary: drops the running sequences that are to be dropped.
    pub(super) fn drop_aborted(&mut self, ctx: &mut Context<'_>) {
        let Some(upset) = &mut self.upset else { return };
        let mut aborts = std::mem::take(&mut upset.aborts);
        for slot in aborts.drain(..) {
            // It may have made its last token at this boundary.
            if self.runs(slot, ctx) {
                self.take_out(slot, false, ctx);
                ctx.done.push(slot);
            }
        }
        self.upset().aborts = aborts;
    }

    /// Notes with the running sequences how many tokens they have made by now.
    fn note_tokens(&self, ctx: &mut Context<'_>) {
        // No iteration has ended since it stood still.
        let stalled = self.upset.as_ref().and_then(|upset| upset.stalled);
        let last = stalled.unwrap_or(ctx.now);
        let folded = match (self.flight, self.origin) {
            (Flight::Decode { until }, Some(origin)) => {
                origin.boundaries_before(last, self.iteration, until)
            }
            _ => 0,
        };
        let mut next = self.running.front();
        while let Some(slot) = next {
            let request = ctx.requests.at_mut(slot);
            next = (request.next != NONE).then_some(request.next);
            let work = &mut request.work;
            if work.decoding {
                let steps = self.iteration_of(work.lane) - work.mark + folded;
                work.generated += steps as u32;
            }
        }
    }

    /// Dies: it forgets everything, and is as new. Whoever was in it is the caller's to find.
    pub fn crash(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) {
        ctx.meter.busy_ns += self.busy_under_way_ns(ctx.meter, ctx.now);
        self.note_tokens(ctx);
        for timer in self
            .boundary
            .take()
            .into_iter()
            .chain(self.take_boundaries())
        {
            ctx.queue.cancel(timer);
        }
        let upset = self.upset.take().map(|mut upset| {
            upset.aborts.clear();
            upset.stalled = None;
            upset
        });
        let (keeps_news, keeps_owners) = (self.keeps_news(), self.keeps_owners());
        // Random numbers go on where they were.
        let speculation = self.speculation.take();
        let fresh = Engine::empty(self.replica, rules, speculation);
        *self = Engine {
            rank: self.rank,
            ranks: self.ranks,
            hands_over: self.hands_over,
            upset,
            ..fresh
        };
        if keeps_news {
            self.keep_news();
        }
        if keeps_owners {
            self.keep_owners();
        }
    }
}

impl Ranks {
    /// See [`Engine::abort`].
    pub fn abort(&mut self, slot: u32, rules: &EngineRules, ctx: &mut Context<'_>) -> bool {
        let rank = usize::from(ctx.requests.at(slot).work.lane);
        let dropped = self.engines[rank].abort(slot, rules, ctx);
        if dropped && !self.engines[rank].waiting.is_empty() {
            self.wake(ctx);
        }
        dropped
    }

    /// See [`Engine::crash`].
    pub fn crash(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) {
        if let Some(timer) = self.boundary.take() {
            ctx.queue.cancel(timer);
        }
        for engine in &mut self.engines {
            engine.crash(rules, ctx);
        }
    }

    /// Its iterations take `factor` times as long from the next on.
    pub fn slow_down(&mut self, factor: f64) {
        self.slowdown = factor;
    }
}
