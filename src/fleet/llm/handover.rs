//! Prompts computed at one replica and answered at another.

use super::cached::Hit;
use super::{Engine, EngineRules, Flight};
use crate::engine::SimTime;
use crate::fleet::context::Context;
use crate::fleet::request::Requests;
use crate::fleet::tiers::Loaded;
use crate::scenario::fleet::Scheduler;

impl Engine {
    /// The same engine, which makes the first token of each answer and leaves the rest to others.
    pub fn handing_over(mut self) -> Engine {
        self.hands_over = true;
        self
    }

    /// A sequence whose first token was made goes to another replica: it leaves the batch, and
    /// keeps its blocks until they are sent.
    pub(super) fn hold_for_transfer(&mut self, slot: u32, ctx: &mut Context<'_>) {
        self.running.remove(ctx.requests, slot);
        self.sending.push_back(ctx.requests, slot);
        ctx.done.push(slot);
    }

    /// The KV of a sequence has been sent: its blocks are free.
    pub fn sent(&mut self, slot: u32, ctx: &mut Context<'_>) {
        self.let_go_sent(slot, ctx);
        // Nothing runs, and who waits may have waited for these blocks.
        let idle = matches!(self.flight, Flight::Idle) && !self.others_fly();
        if idle && !self.waiting.is_empty() {
            self.wake(ctx);
        }
    }

    /// Frees the blocks of a sequence that was sent.
    pub(super) fn let_go_sent(&mut self, slot: u32, ctx: &mut Context<'_>) {
        self.sending.remove(ctx.requests, slot);
        let tokens = u64::from(ctx.requests.at(slot).work.computed);
        let blocks = self.kv.blocks_for(tokens);
        self.release(ctx.requests, slot, blocks, tokens);
    }

    /// Whether a waiting request has its KV with it: only what was computed elsewhere has any.
    pub(super) fn brings_kv(&self, requests: &Requests, slot: u32) -> bool {
        requests.at(slot).work.computed > 0
    }

    /// Lets the request at the queue's head, which has brought its KV, decode from this iteration
    /// on, if there is room for it. The caller has looked at tokens and seats.
    pub(super) fn resume(&mut self, slot: u32, rules: &EngineRules, ctx: &mut Context<'_>) -> bool {
        let request = ctx.requests.at(slot);
        // What was migrated has no stamp of its own.
        let came = request.kv_arrived;
        if rules.async_scheduling && came != SimTime::NEVER && came > self.cutoff {
            self.held_back = true;
            return false;
        }
        let tokens = request.work.computed;
        // What the cache has of it already takes no room; the rest came over the link, and is not
        // looked for in the tiers below.
        let hit = Hit {
            loaded: Loaded::default(),
            ..self.hit(ctx, slot, tokens + 1)
        };
        let found = u64::from(hit.blocks);
        let held = self.kv.blocks_for(u64::from(tokens)) - found;
        let ahead = u64::from(tokens) + u64::from(self.rows(tokens));
        let next = self.kv.blocks_for(ahead) - found;
        if next + hit.free + rules.watermark_blocks > self.kv.free() {
            return false;
        }
        self.hold(ctx.requests, slot, hit);
        // The iteration's own block was given to the others already, unless it is still to come.
        self.kv.take(match rules.scheduler {
            Scheduler::VllmV1 | Scheduler::Sarathi => next,
            Scheduler::VllmV0 => held,
        });
        self.waiting.remove(ctx.requests, slot);
        self.running.push_back(ctx.requests, slot);
        let request = ctx.requests.at_mut(slot);
        if came != SimTime::NEVER {
            request.resumed = ctx.now;
        }
        request.work.computed = tokens;
        if self.speculation.is_some() {
            request.work.lookahead = ahead as u32;
        }
        self.name_full(ctx.requests, slot, u64::from(tokens));
        self.begin_decoding(slot, ctx);
        self.origin = None;
        true
    }

    /// A running sequence whose KV is complete up to its last token decodes from this iteration on.
    pub(super) fn begin_decoding(&mut self, slot: u32, ctx: &mut Context<'_>) {
        let generation = ctx.requests.id(slot).generation;
        let request = ctx.requests.at_mut(slot);
        let tokens = u64::from(request.work.computed);
        let left = u64::from(request.output_tokens - request.work.generated);
        request.work.decoding = true;
        request.work.lane = self.lane();
        request.work.mark = self.iteration;
        self.count_in(tokens);
        if self.speculation.is_some() {
            return;
        }
        self.endings.push(self.iteration + left, slot, generation);
        self.kv.join(self.iteration, tokens);
    }
}
