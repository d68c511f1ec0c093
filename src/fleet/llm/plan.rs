//! What comes next: blocks, chunks, admissions and preemptions.

use super::cached::Hit;
use super::origin::Origin;
use super::waiting::rank;
use super::{Chunk, Engine, EngineRules, Flight};
use crate::engine::SimTime;
use crate::fleet::context::Context;
use crate::fleet::request::Requests;
use crate::perf::{PrefillChunk, StepTimes};
use crate::scenario::fleet::{PromptBlocks, Scheduler, SchedulingPolicy};

/// A step may be this much below its physical floor: the rounding of sums in another order.
pub(super) const ROUNDING: f64 = 1.0 - 1e-9;

impl Engine {
    /// Gives the running sequences their blocks and the running prefills their chunks, preempting
    /// from the back where blocks are short. True when it preempted.
    pub(super) fn plan_running(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) -> bool {
        let mut preempted = self.plan_verifications(rules, ctx);
        while self.kv.needed_at(self.iteration) > self.kv.free() {
            if !self.preempt(false, rules, ctx) {
                break;
            }
            preempted = true;
        }
        self.kv.take(self.kv.needed_at(self.iteration));
        let mut budget = rules.max_num_batched_tokens - self.decodes * rules.rows();
        let mut index = 0;
        while let Some(&slot) = self.prefilling.get(index) {
            let request = ctx.requests.at(slot);
            let computed = request.work.computed + request.work.in_flight;
            let left = request.prompt_tokens + request.work.generated - computed;
            if left == 0 {
                // All of it is in the pipeline.
                index += 1;
                continue;
            }
            let tokens = rules.chunk(left, budget);
            if tokens == 0 {
                break;
            }
            if tokens == left && !self.may_join(ctx.requests) {
                index += 1;
                continue;
            }
            let blocks = self.blocks_to_grow(computed, tokens);
            while blocks > self.kv.free() && self.preempt(true, rules, ctx) {
                preempted = true;
            }
            if self.prefilling.get(index) != Some(&slot) {
                continue;
            }
            self.kv.take(blocks);
            self.name_planned(rules, ctx.requests, slot, computed + tokens);
            budget -= tokens;
            self.plan_chunk(ctx.requests, slot, tokens);
            index += 1;
        }
        preempted
    }

    /// Admits from the queue's head while there are tokens, seats and blocks.
    pub(super) fn admit(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) {
        let mut budget = self.budget(rules);
        while let Some(slot) = self.waiting.front() {
            let seats = self.running.len() < rules.max_num_seqs && self.room_in_lane() > 0;
            if !seats && self.makes_way(slot, true, rules, ctx) {
                budget = self.budget(rules);
                continue;
            }
            if budget == 0 || !seats {
                return;
            }
            if self.brings_kv(ctx.requests, slot) {
                if budget < rules.rows() {
                    return;
                }
                if !self.resume(slot, rules, ctx) {
                    if self.makes_way(slot, true, rules, ctx) {
                        budget = self.budget(rules);
                        continue;
                    }
                    return;
                }
                budget -= rules.rows();
                continue;
            }
            let request = ctx.requests.at(slot);
            let total = request.prompt_tokens + request.work.generated;
            let fresh = request.scheduled == SimTime::NEVER;
            if rules.async_scheduling && fresh && request.queued > self.cutoff {
                self.held_back = true;
                return;
            }
            let hit = self.hit(ctx, slot, total);
            let left = total - hit.found() * rules.block_size;
            if left > budget && !rules.chunks() {
                return;
            }
            let tokens = rules.chunk(left, budget);
            let Some(blocks) = self.room_for(total, tokens, hit, rules) else {
                if self.makes_way(slot, true, rules, ctx) {
                    budget = self.budget(rules);
                    continue;
                }
                return;
            };
            budget -= tokens;
            self.start_prompt(slot, tokens, blocks, hit, ctx);
            self.name_planned(rules, ctx.requests, slot, total - left + tokens);
        }
    }

    /// Tokens that the iteration being planned has room for.
    fn budget(&self, rules: &EngineRules) -> u32 {
        let planned: u32 = self.chunks.iter().map(|chunk| chunk.tokens).sum();
        rules.max_num_batched_tokens - self.decodes * rules.rows() - planned
    }

    /// Whether a running sequence of lower priority was preempted for one that waits.
    fn makes_way(
        &mut self,
        slot: u32,
        planned: bool,
        rules: &EngineRules,
        ctx: &mut Context<'_>,
    ) -> bool {
        if !self.may_make_way(slot, rules, ctx.requests) {
            return false;
        }
        if self.comes_late(rules, ctx.requests) {
            self.held_back = true;
            return false;
        }
        self.preempt(planned, rules, ctx)
    }

    /// Whether the next victim is of lower priority than one that waits.
    pub(super) fn may_make_way(&self, slot: u32, rules: &EngineRules, requests: &Requests) -> bool {
        rules.preempts_running
            && self
                .victim(rules, requests)
                .is_some_and(|victim| requests.at(victim).rank > requests.at(slot).rank)
    }

    /// Admits whole prompts for an iteration of their own.
    pub(super) fn admit_prompts(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) {
        let (mut sum, mut longest) = (0, 0);
        while let Some(slot) = self.waiting.front() {
            if self.running.len() >= rules.max_num_seqs {
                if self.makes_way(slot, false, rules, ctx) {
                    continue;
                }
                return;
            }
            if self.brings_kv(ctx.requests, slot) {
                if !self.resume(slot, rules, ctx) && !self.makes_way(slot, false, rules, ctx) {
                    return;
                }
                continue;
            }
            let request = ctx.requests.at(slot);
            let total = request.prompt_tokens + request.work.generated;
            longest = total.max(longest);
            let batched = match rules.padded_budget {
                true => (self.chunks.len() as u64 + 1) * u64::from(longest),
                false => u64::from(sum) + u64::from(total),
            };
            if batched > u64::from(rules.max_num_batched_tokens) {
                return;
            }
            let hit = self.hit(ctx, slot, total);
            let left = total - hit.found() * rules.block_size;
            let Some(blocks) = self.room_for(total, left, hit, rules) else {
                if self.makes_way(slot, false, rules, ctx) {
                    continue;
                }
                return;
            };
            sum += total;
            self.start_prompt(slot, left, blocks, hit, ctx);
            self.name_planned(rules, ctx.requests, slot, total);
        }
    }

    /// The blocks that the next `tokens` of a prompt of `total` take beside what was found of it,
    /// if there is room for them.
    fn room_for(&self, total: u32, tokens: u32, hit: Hit, rules: &EngineRules) -> Option<u64> {
        let found = u64::from(hit.blocks);
        let computed = u64::from(hit.found()) * u64::from(rules.block_size);
        let next = computed + u64::from(tokens);
        let first = self.kv.blocks_for(next) - found;
        let whole = self.kv.blocks_for(u64::from(total)) - found;
        let (taken, wanted) = match rules.prompt_blocks {
            PromptBlocks::Chunk => (first, first),
            PromptBlocks::CheckWhole => (first, whole),
            PromptBlocks::ReserveWhole => (whole, whole),
        };
        (wanted + hit.free + rules.watermark_blocks <= self.kv.free()).then_some(taken)
    }

    fn start_prompt(
        &mut self,
        slot: u32,
        tokens: u32,
        blocks: u64,
        hit: Hit,
        ctx: &mut Context<'_>,
    ) {
        self.hold(ctx.requests, slot, hit);
        self.kv.take(blocks);
        self.waiting.remove(ctx.requests, slot);
        self.running.push_back(ctx.requests, slot);
        self.prefilling.push(slot);
        self.plan_chunk(ctx.requests, slot, tokens);
        let request = ctx.requests.at_mut(slot);
        if request.scheduled == SimTime::NEVER {
            request.scheduled = ctx.now;
            request.cached_tokens = request.work.computed;
            if ctx.meter.measures(ctx.now) {
                ctx.meter.cached_tokens += u64::from(request.work.computed);
                let size = u64::from(self.kv.block_size());
                ctx.meter.tier_tokens += u64::from(hit.loaded.blocks) * size;
            }
        }
    }

    /// Puts the next `tokens` tokens of a prompt into the iteration being planned.
    fn plan_chunk(&mut self, requests: &mut Requests, slot: u32, tokens: u32) {
        self.chunks.push(Chunk { slot, tokens });
        requests.at_mut(slot).work.in_flight += tokens;
    }

    /// The planned chunks with the context before each.
    pub(super) fn list_prefill(&mut self, requests: &Requests) {
        self.prefill.clear();
        for chunk in &self.chunks {
            // What of the prompt is in the pipeline already comes before.
            let work = &requests.at(chunk.slot).work;
            self.prefill.push(PrefillChunk {
                tokens: chunk.tokens,
                context: work.computed + work.in_flight - chunk.tokens,
            });
        }
    }

    /// Plans the next iteration; false when there is nothing to compute.
    pub(super) fn plan(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) -> bool {
        loop {
            self.held_back = false;
            self.preempted = match rules.scheduler {
                Scheduler::VllmV1 | Scheduler::Sarathi => {
                    let preempted = self.plan_running(rules, ctx);
                    if !preempted && !self.lets_wait(rules, ctx.requests) {
                        self.admit(rules, ctx);
                    }
                    preempted
                }
                // Prompts first, and the others only where there is none to compute.
                Scheduler::VllmV0 => {
                    if !self.lets_wait(rules, ctx.requests) {
                        self.admit_prompts(rules, ctx);
                    }
                    self.chunks.is_empty() && self.plan_running(rules, ctx)
                }
            };
            if !self.chunks.is_empty() || self.decodes > 0 {
                return true;
            }
            // Everything running was preempted, or nothing was left to run but somebody who came
            // after the cutoff: plan again, now with admission. What others have under way runs.
            self.cutoff = ctx.now;
            let again = (self.preempted || self.held_back) && !self.others_fly();
            if self.waiting.is_empty() || !again {
                return false;
            }
        }
    }

    /// Starts what was planned, which is something.
    pub(super) fn launch(
        &mut self,
        rules: &EngineRules,
        model: &dyn StepTimes,
        ctx: &mut Context<'_>,
    ) {
        self.flight_start = ctx.now;
        if self.pipeline.is_some() {
            self.launch_staged(rules, model, ctx);
        } else if self.speculation.is_some() {
            self.launch_verification(model, ctx);
        } else if !self.chunks.is_empty() {
            let decoding = rules.scheduler != Scheduler::VllmV0;
            self.launch_mixed(decoding, model, ctx);
        } else {
            self.launch_decodes(rules, model, ctx);
        }
    }

    /// An iteration with prompts begins, with the decoding sequences in it or not.
    pub(super) fn begin(&mut self, decoding: bool) {
        self.origin = None;
        self.looked = self.iteration + u64::from(decoding);
        self.waits_since = None;
        self.flight = Flight::Mixed { decoding };
    }

    fn launch_mixed(&mut self, decoding: bool, model: &dyn StepTimes, ctx: &mut Context<'_>) {
        self.list_prefill(ctx.requests);
        let (decodes, context, spread) = match decoding {
            true => (self.decodes, self.context, self.spread()),
            false => (0, 0, 0.0),
        };
        let ns = model.spread_step_ns(&self.prefill, decodes, context, spread);
        let floor = model.physical_floor_ns(&self.prefill, decodes, context);
        ctx.meter.faster_than_physics += u64::from(ns < floor * ROUNDING);
        let ns = ns * self.slowdown() + std::mem::take(&mut self.loading_ns);
        self.begin(decoding);
        self.schedule_boundary(SimTime(ctx.now.0 + (ns.round() as u64).max(1)), ctx);
    }

    fn launch_decodes(
        &mut self,
        rules: &EngineRules,
        model: &dyn StepTimes,
        ctx: &mut Context<'_>,
    ) {
        let fresh = self.begins_afresh()
            || self
                .origin
                .is_none_or(|origin| self.context >= origin.piece.until_context);
        if fresh {
            let mut piece = model.spread_piece(self.decodes, self.context, self.spread());
            piece.base_ns *= self.slowdown();
            piece.per_context_ns *= self.slowdown();
            self.origin = Some(Origin {
                start: ctx.now,
                iteration: self.iteration,
                context: self.context,
                decodes: self.decodes,
                piece,
            });
        }
        let Some(origin) = self.origin else { return };
        let waited_for = self.held_back || (self.preempted && !self.waiting.is_empty());
        let steps = if rules.step_by_step || waited_for {
            1
        } else {
            self.steps_ahead(&origin, ctx)
        };
        let until = self.iteration + steps;
        if fresh {
            // Both are affine in the context over the piece, or the floor is the lower at its ends.
            for context in [
                self.context,
                self.context + u64::from(self.decodes) * (steps - 1),
            ] {
                let ns = origin.piece.base_ns + origin.piece.per_context_ns * context as f64;
                let floor = model.physical_floor_ns(&[], self.decodes, context);
                ctx.meter.faster_than_physics += u64::from(ns < floor * ROUNDING);
            }
        }
        self.flight = Flight::Decode { until };
        self.schedule_boundary(origin.boundary(until), ctx);
    }

    /// How many iterations can pass before anything changes by itself: a sequence ends, blocks
    /// run out, or the step time leaves its affine piece.
    fn steps_ahead(&mut self, origin: &Origin, ctx: &Context<'_>) -> u64 {
        let to_end = match self.next_end(ctx.requests) {
            u64::MAX => 1,
            end => end - self.iteration,
        };
        let in_piece = (origin.piece.until_context.saturating_sub(self.context))
            .div_ceil(u64::from(self.decodes))
            .max(1);
        let limit = to_end.min(in_piece);
        1 + self.kv.iterations_covered(self.iteration + 1, limit - 1)
    }

    /// Who is preempted next: the sequence admitted last, or the one of the least priority that
    /// came last.
    pub(super) fn victim(&self, rules: &EngineRules, requests: &Requests) -> Option<u32> {
        match rules.policy {
            SchedulingPolicy::Fcfs => self.running.back(),
            SchedulingPolicy::Priority => {
                let running = self.running.iter(requests);
                running.min_by_key(|&slot| rank(requests, slot))
            }
        }
    }

    /// Preempts the next victim; false when nobody runs. `planned` says whether the iteration being
    /// planned has given out the blocks of the decoding sequences: those of the victim come back.
    pub(super) fn preempt(
        &mut self,
        planned: bool,
        rules: &EngineRules,
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(slot) = self.victim(rules, ctx.requests) else {
            return false;
        };
        self.take_out(slot, planned, ctx);
        let request = ctx.requests.at_mut(slot);
        request.preemptions = request.preemptions.saturating_add(1);
        if ctx.meter.measures(ctx.now) {
            ctx.meter.preemptions += 1;
        }
        self.waiting.push_again(ctx.requests, slot);
        true
    }

    /// Takes a running sequence out of its batch, and its blocks back.
    pub(super) fn take_out(&mut self, slot: u32, planned: bool, ctx: &mut Context<'_>) {
        // A micro-batch under way has its blocks.
        let here = self.lane();
        let work = ctx.requests.at(slot).work;
        let planned = planned || (work.decoding && work.lane != here);
        if work.decoding {
            self.turn_to(work.lane);
            self.preempt_decoding(slot, planned, ctx);
            self.turn_to(here);
        } else {
            self.preempt_prompt(slot, ctx);
        }
        self.running.remove(ctx.requests, slot);
        let work = &mut ctx.requests.at_mut(slot).work;
        work.computed = 0;
        work.lookahead = 0;
    }

    /// Takes a decoding sequence out of its micro-batch.
    fn preempt_decoding(&mut self, slot: u32, planned: bool, ctx: &mut Context<'_>) {
        let tokens = self.tokens_held(ctx.requests, slot);
        let folds = self.speculation.is_none();
        if planned && folds && self.kv.blocks_for(tokens + 1) > self.kv.blocks_for(tokens) {
            self.kv.give(1);
        }
        let blocks = self.blocks_held(ctx.requests, slot);
        self.release(ctx.requests, slot, blocks, tokens);
        self.origin = None;
        if folds {
            self.endings.preempted();
            self.kv.leave(self.iteration, tokens);
        }
        self.count_out(tokens);
        let work = &mut ctx.requests.at_mut(slot).work;
        work.generated += (self.iteration - work.mark) as u32;
        work.decoding = false;
    }

    /// Takes a sequence still in prefill out of all iterations that it is part of.
    fn preempt_prompt(&mut self, slot: u32, ctx: &mut Context<'_>) {
        let blocks = self.blocks_held(ctx.requests, slot);
        let computed = u64::from(ctx.requests.at(slot).work.computed);
        self.release(ctx.requests, slot, blocks, computed);
        self.origin = None;
        self.prefilling.retain(|&prefilling| prefilling != slot);
        self.drop_chunks(slot);
        ctx.requests.at_mut(slot).work.in_flight = 0;
    }
}
