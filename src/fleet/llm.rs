//! A language-model engine: continuous batching with chunked prefill, KV blocks, and preemption by
//! recompute.
//!
//! The scheduler is vLLM v1's: one token budget for prefill and decode, running sequences before
//! waiting ones, no admission in an iteration that preempted, first come first served, and the
//! sequence that was admitted last is preempted first.
//!
//! **Cost.** An iteration touches what *changed*: the prefill chunks in it, the sequences that
//! start or end. Decoding sequences all grow by one token, so their number and the sum of their
//! contexts are enough to time an iteration, and a run of iterations with the same sequences is
//! one segment: boundary `k` comes at `origin + S(k)` with `S` in closed form
//! ([`Origin::boundary`]). A segment is cut short at the next boundary when a request arrives that
//! could be admitted. With `step_by_step` an event is fired at every boundary; it evaluates the
//! same `S(k)`, so that both give the same stamps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::{SimTime, Timer};
use crate::perf::{DecodePiece, PrefillChunk, StepModel};

use super::context::Context;
use super::event::Event;
use super::ids::ReplicaId;
use super::kv::KvBlocks;
use super::request::{RequestList, Requests};

/// A step may be this much below its physical floor: the rounding of sums in another order.
const ROUNDING: f64 = 1.0 - 1e-9;

/// What the engines of a pool have in common.
#[derive(Debug, Clone)]
pub struct EngineRules {
    /// Most sequences in one iteration.
    pub max_num_seqs: u32,
    /// Most tokens in one iteration; at least `max_num_seqs`.
    pub max_num_batched_tokens: u32,
    /// Whether a prompt may be computed over several iterations.
    pub chunked_prefill: bool,
    /// Longest prompt plus output, tokens.
    pub max_model_len: u64,
    /// Tokens of a KV block.
    pub block_size: u32,
    /// KV blocks of a replica.
    pub kv_blocks: u64,
    /// Blocks kept free when admitting.
    pub watermark_blocks: u64,
    /// An event for every iteration.
    pub step_by_step: bool,
}

impl EngineRules {
    /// Whether a request can ever be served.
    pub fn fits(&self, prompt_tokens: u32, output_tokens: u32) -> bool {
        let total = u64::from(prompt_tokens) + u64::from(output_tokens);
        let blocks = total.div_ceil(u64::from(self.block_size));
        let budget = u64::from(self.max_num_batched_tokens);
        total <= self.max_model_len
            && blocks + self.watermark_blocks <= self.kv_blocks
            // A preempted sequence is computed again with its output so far.
            && (self.chunked_prefill || total <= budget)
    }
}

/// The start of a run of decode iterations with the same sequences.
#[derive(Debug, Clone, Copy)]
struct Origin {
    start: SimTime,
    iteration: u64,
    context: u64,
    decodes: u32,
    piece: DecodePiece,
}

impl Origin {
    /// The instant after the iterations up to and excluding `iteration`:
    /// `S(k) = k base + per_context (k K + d k (k - 1) / 2)`.
    fn boundary(&self, iteration: u64) -> SimTime {
        let k = (iteration - self.iteration) as f64;
        let contexts = k * self.context as f64 + f64::from(self.decodes) * (k * (k - 1.0) / 2.0);
        let ns = k * self.piece.base_ns + self.piece.per_context_ns * contexts;
        SimTime(self.start.0 + ns.round() as u64)
    }

    /// The first boundary at or after `now`, as an iteration.
    fn iteration_at(&self, now: SimTime, at_most: u64) -> u64 {
        // Solve the quadratic for a guess, then settle it by the exact integers.
        let elapsed = now.since(self.start).0 as f64;
        let quadratic = self.piece.per_context_ns * f64::from(self.decodes) / 2.0;
        let linear =
            self.piece.base_ns + self.piece.per_context_ns * self.context as f64 - quadratic;
        let guess = 2.0 * elapsed / (linear + (linear * linear + 4.0 * quadratic * elapsed).sqrt());
        let mut iteration = (self.iteration + guess.max(1.0) as u64).min(at_most);
        while iteration > self.iteration + 1 && self.boundary(iteration - 1) >= now {
            iteration -= 1;
        }
        while iteration < at_most && self.boundary(iteration) < now {
            iteration += 1;
        }
        iteration
    }
}

impl Origin {
    /// How many of the boundaries of the iterations `from + 1 ..= until` come before `at`.
    fn boundaries_before(&self, at: SimTime, from: u64, until: u64) -> u64 {
        if self.boundary(until) < at {
            return until - from;
        }
        if self.boundary(from + 1) >= at {
            return 0;
        }
        // The first boundary at or after `at` lies between the two.
        self.iteration_at(at, until) - 1 - from
    }
}

/// What is being computed.
#[derive(Debug, Clone, Copy)]
enum Flight {
    Idle,
    /// Woken, and about to plan.
    Waking,
    /// One iteration with prefill chunks in it.
    Mixed,
    /// Decode iterations up to `until`.
    Decode {
        until: u64,
    },
}

/// A prefill chunk of the iteration under way.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    slot: u32,
    tokens: u32,
}

/// One replica's engine.
#[derive(Debug, Clone)]
pub struct Engine {
    replica: ReplicaId,
    waiting: RequestList,
    running: RequestList,
    /// Running sequences still in prefill, in order of admission.
    prefilling: Vec<u32>,
    /// Running sequences that decode.
    decodes: u32,
    /// KV tokens they hold in all, before iteration `iteration`.
    context: u64,
    /// Iterations done.
    iteration: u64,
    kv: KvBlocks,
    /// `(iteration at which it ends, slot, generation)`, with entries of preempted ones left in.
    finishing: BinaryHeap<Reverse<(u64, u32, u32)>>,
    flight: Flight,
    flight_start: SimTime,
    origin: Option<Origin>,
    boundary: Option<Timer>,
    chunks: Vec<Chunk>,
    prefill: Vec<PrefillChunk>,
}

impl Engine {
    /// An idle engine with an empty cache.
    pub fn new(replica: ReplicaId, rules: &EngineRules) -> Engine {
        Engine {
            replica,
            waiting: RequestList::default(),
            running: RequestList::default(),
            prefilling: Vec::new(),
            decodes: 0,
            context: 0,
            iteration: 0,
            kv: KvBlocks::new(rules.kv_blocks, rules.block_size),
            finishing: BinaryHeap::new(),
            flight: Flight::Idle,
            flight_start: SimTime::ZERO,
            origin: None,
            boundary: None,
            chunks: Vec::new(),
            prefill: Vec::new(),
        }
    }

    /// Takes a request in. The caller has asked [`EngineRules::fits`].
    pub fn offer(&mut self, slot: u32, rules: &EngineRules, ctx: &mut Context<'_>) {
        let heads_queue = self.waiting.is_empty();
        self.waiting.push_back(ctx.requests, slot);
        match self.flight {
            Flight::Idle => {
                self.flight = Flight::Waking;
                self.flight_start = ctx.now;
                self.schedule_boundary(ctx.now, ctx);
            }
            // Only the head of the queue can be admitted, and only where there is room for it.
            Flight::Decode { until } if heads_queue && self.has_seats(rules) => {
                self.cut(until, ctx);
            }
            _ => {}
        }
    }

    /// The boundary of an iteration: settles what was computed and plans what comes next.
    pub fn step(&mut self, rules: &EngineRules, model: &StepModel, ctx: &mut Context<'_>) {
        self.boundary = None;
        self.settle(ctx);
        loop {
            let preempted = self.plan_running(rules, ctx);
            if !preempted {
                self.admit(rules, ctx);
            }
            if self.launch(preempted, rules, model, ctx) {
                return;
            }
        }
    }

    /// Requests waiting and running.
    pub fn present(&self) -> u32 {
        self.waiting.len() + self.running.len()
    }

    /// `(blocks held by the running sequences, blocks the pool says are taken)` at an iteration
    /// boundary: equal in a correct engine.
    pub fn block_balance(&self, requests: &Requests) -> (u64, u64) {
        let held = self
            .running
            .iter(requests)
            .map(|slot| self.kv.blocks_for(self.tokens_held(requests, slot)))
            .sum();
        // A segment under way has taken the blocks of its first iteration only.
        let ahead = match self.flight {
            Flight::Decode { .. } => self.kv.needed_at(self.iteration),
            Flight::Mixed => {
                let chunks = self.chunks.iter().map(|chunk| {
                    let before = u64::from(requests.at(chunk.slot).work.computed);
                    let after = before + u64::from(chunk.tokens);
                    self.kv.blocks_for(after) - self.kv.blocks_for(before)
                });
                self.kv.needed_at(self.iteration) + chunks.sum::<u64>()
            }
            Flight::Idle | Flight::Waking => 0,
        };
        (held, self.kv.total() - self.kv.free() - ahead)
    }

    /// When the iterations under way began, if any are.
    pub fn flight_start(&self) -> Option<SimTime> {
        match self.flight {
            Flight::Mixed | Flight::Decode { .. } => Some(self.flight_start),
            Flight::Idle | Flight::Waking => None,
        }
    }

    fn has_seats(&self, rules: &EngineRules) -> bool {
        self.running.len() < rules.max_num_seqs && self.decodes < rules.max_num_batched_tokens
    }

    /// Ends the run of decode iterations at the next boundary.
    fn cut(&mut self, until: u64, ctx: &mut Context<'_>) {
        let Some(origin) = self.origin else { return };
        let next = origin.iteration_at(ctx.now, until).max(self.iteration + 1);
        if next < until {
            self.flight = Flight::Decode { until: next };
            self.schedule_boundary(origin.boundary(next), ctx);
        }
    }

    fn schedule_boundary(&mut self, at: SimTime, ctx: &mut Context<'_>) {
        if let Some(timer) = self.boundary.take() {
            ctx.queue.cancel(timer);
        }
        let event = Event::Step(self.replica);
        self.boundary = Some(ctx.queue.schedule_late(at, self.replica.0, event));
    }

    // ---- what was computed -------------------------------------------------------------------

    fn settle(&mut self, ctx: &mut Context<'_>) {
        let flight = std::mem::replace(&mut self.flight, Flight::Idle);
        let steps = match flight {
            Flight::Idle | Flight::Waking => return,
            Flight::Mixed => 1,
            Flight::Decode { until } => until - self.iteration,
        };
        self.meter_flight(flight, ctx);
        // The blocks of the first iteration were taken when it was planned.
        self.kv
            .take(self.kv.needed_over(self.iteration + 1, steps - 1));
        self.iteration += steps;
        self.context += steps * u64::from(self.decodes);
        // Blocks only grow until the boundary, so the most of the flight is held now.
        let held = self.kv.total() - self.kv.free();
        ctx.meter.kv_blocks_most = ctx.meter.kv_blocks_most.max(held);
        self.end_decodes(ctx);
        if matches!(flight, Flight::Mixed) {
            self.end_chunks(ctx);
        }
    }

    /// Meters the work of the flight that ends now. Iterations count when they end within the
    /// measured window, whether an event was fired at their end or not.
    fn meter_flight(&mut self, flight: Flight, ctx: &mut Context<'_>) {
        ctx.meter.busy(self.flight_start, ctx.now);
        let steps = match (flight, self.origin) {
            (Flight::Decode { until }, Some(origin)) => {
                let (start, end) = ctx.meter.window();
                origin.boundaries_before(end, self.iteration, until)
                    - origin.boundaries_before(start, self.iteration, until)
            }
            _ => u64::from(ctx.meter.measures(ctx.now)),
        };
        if steps > 0 {
            let decodes = u64::from(self.decodes);
            let chunk_tokens: u64 = self
                .chunks
                .iter()
                .map(|chunk| u64::from(chunk.tokens))
                .sum();
            let sequences = decodes + self.chunks.len() as u64;
            ctx.meter.batches += steps;
            ctx.meter.batched += steps * sequences;
            ctx.meter.prefill_tokens += chunk_tokens;
            ctx.meter.decode_tokens += steps * decodes;
        }
    }

    /// Lets go of the decoding sequences that have made their last token.
    fn end_decodes(&mut self, ctx: &mut Context<'_>) {
        while let Some(&Reverse((iteration, slot, generation))) = self.finishing.peek() {
            if iteration > self.iteration {
                break;
            }
            self.finishing.pop();
            if !self.is_current(ctx.requests, slot, generation, iteration) {
                continue;
            }
            self.origin = None;
            let tokens = self.tokens_held(ctx.requests, slot);
            self.kv.leave(self.iteration, tokens);
            self.decodes -= 1;
            self.context -= tokens;
            self.finish(slot, tokens, ctx);
        }
    }

    /// Applies the prefill chunks: a sequence whose prompt is complete has made its first token.
    fn end_chunks(&mut self, ctx: &mut Context<'_>) {
        let chunks = std::mem::take(&mut self.chunks);
        for chunk in &chunks {
            let request = ctx.requests.at_mut(chunk.slot);
            request.work.computed += chunk.tokens;
            if request.work.computed < request.prompt_tokens + request.work.generated {
                continue;
            }
            self.prefilling.retain(|&slot| slot != chunk.slot);
            request.work.generated += 1;
            if request.first_token == SimTime::NEVER {
                request.first_token = ctx.now;
            }
            let tokens = u64::from(request.work.computed);
            if request.work.generated >= request.output_tokens {
                self.finish(chunk.slot, tokens, ctx);
                continue;
            }
            request.work.decoding = true;
            request.work.joined_iteration = self.iteration;
            let left = u64::from(request.output_tokens - request.work.generated);
            let generation = ctx.requests.id(chunk.slot).generation;
            self.finishing
                .push(Reverse((self.iteration + left, chunk.slot, generation)));
            self.kv.join(self.iteration, tokens);
            self.decodes += 1;
            self.context += tokens;
        }
        self.chunks = chunks;
        self.chunks.clear();
    }

    fn finish(&mut self, slot: u32, tokens: u64, ctx: &mut Context<'_>) {
        self.running.remove(ctx.requests, slot);
        self.kv.give(self.kv.blocks_for(tokens));
        ctx.requests.at_mut(slot).work.decoding = false;
        ctx.done.push(slot);
    }

    /// KV tokens a running sequence holds before iteration `self.iteration`.
    fn tokens_held(&self, requests: &Requests, slot: u32) -> u64 {
        let work = &requests.at(slot).work;
        let grown = if work.decoding {
            self.iteration - work.joined_iteration
        } else {
            0
        };
        u64::from(work.computed) + grown
    }

    /// Whether an entry of `finishing` still speaks of a sequence that decodes here.
    fn is_current(&self, requests: &Requests, slot: u32, generation: u32, iteration: u64) -> bool {
        if requests.id(slot).generation != generation {
            return false;
        }
        let request = requests.at(slot);
        let left = u64::from(request.output_tokens.saturating_sub(request.work.generated));
        request.work.decoding
            && request.replica == self.replica
            && request.work.joined_iteration + left == iteration
    }

    // ---- what comes next ---------------------------------------------------------------------

    /// Gives the running sequences their blocks and the running prefills their chunks, preempting
    /// from the back where blocks are short. True when it preempted.
    fn plan_running(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) -> bool {
        let mut preempted = false;
        while self.kv.needed_at(self.iteration) > self.kv.free() {
            if !self.preempt_last(ctx) {
                break;
            }
            preempted = true;
        }
        self.kv.take(self.kv.needed_at(self.iteration));
        let mut budget = rules.max_num_batched_tokens - self.decodes;
        let mut index = 0;
        while let Some(&slot) = self.prefilling.get(index) {
            let request = ctx.requests.at(slot);
            let computed = request.work.computed;
            let left = request.prompt_tokens + request.work.generated - computed;
            let tokens = left.min(budget);
            if tokens == 0 {
                break;
            }
            let blocks = self.blocks_to_grow(computed, tokens);
            while blocks > self.kv.free() && self.preempt_planned(ctx) {
                preempted = true;
            }
            if self.prefilling.get(index) != Some(&slot) {
                continue;
            }
            self.kv.take(blocks);
            budget -= tokens;
            self.chunks.push(Chunk { slot, tokens });
            index += 1;
        }
        preempted
    }

    /// Admits from the queue's head while there are tokens, seats and blocks.
    fn admit(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) {
        let planned: u32 = self.chunks.iter().map(|chunk| chunk.tokens).sum();
        let mut budget = rules.max_num_batched_tokens - self.decodes - planned;
        while let Some(slot) = self.waiting.front() {
            if budget == 0 || self.running.len() >= rules.max_num_seqs {
                return;
            }
            let request = ctx.requests.at(slot);
            let total = request.prompt_tokens + request.work.generated;
            if total > budget && !rules.chunked_prefill {
                return;
            }
            let tokens = total.min(budget);
            let blocks = self.kv.blocks_for(u64::from(tokens));
            if blocks + rules.watermark_blocks > self.kv.free() {
                return;
            }
            self.kv.take(blocks);
            budget -= tokens;
            self.waiting.remove(ctx.requests, slot);
            self.running.push_back(ctx.requests, slot);
            self.prefilling.push(slot);
            self.chunks.push(Chunk { slot, tokens });
            let request = ctx.requests.at_mut(slot);
            if request.scheduled == SimTime::NEVER {
                request.scheduled = ctx.now;
            }
        }
    }

    /// Starts what was planned; false when nothing was, though something waits.
    fn launch(
        &mut self,
        preempted: bool,
        rules: &EngineRules,
        model: &StepModel,
        ctx: &mut Context<'_>,
    ) -> bool {
        self.flight_start = ctx.now;
        if !self.chunks.is_empty() {
            self.launch_mixed(model, ctx);
        } else if self.decodes > 0 {
            self.launch_decodes(preempted, rules, model, ctx);
        } else if !self.waiting.is_empty() {
            // Everything running was preempted: plan again, now with admission.
            return !preempted;
        }
        true
    }

    fn launch_mixed(&mut self, model: &StepModel, ctx: &mut Context<'_>) {
        self.origin = None;
        self.prefill.clear();
        for chunk in &self.chunks {
            self.prefill.push(PrefillChunk {
                tokens: chunk.tokens,
                context: ctx.requests.at(chunk.slot).work.computed,
            });
        }
        let ns = model.step_ns(&self.prefill, self.decodes, self.context);
        let floor = model.physical_floor_ns(&self.prefill, self.decodes, self.context);
        ctx.meter.faster_than_physics += u64::from(ns < floor * ROUNDING);
        self.flight = Flight::Mixed;
        self.schedule_boundary(SimTime(ctx.now.0 + (ns.round() as u64).max(1)), ctx);
    }

    fn launch_decodes(
        &mut self,
        preempted: bool,
        rules: &EngineRules,
        model: &StepModel,
        ctx: &mut Context<'_>,
    ) {
        let fresh = self
            .origin
            .is_none_or(|origin| self.context >= origin.piece.until_context);
        if fresh {
            self.origin = Some(Origin {
                start: ctx.now,
                iteration: self.iteration,
                context: self.context,
                decodes: self.decodes,
                piece: model.decode_piece(self.decodes, self.context),
            });
        }
        let Some(origin) = self.origin else { return };
        let steps = if rules.step_by_step || (preempted && !self.waiting.is_empty()) {
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
        let mut to_end = 1;
        while let Some(&Reverse((iteration, slot, generation))) = self.finishing.peek() {
            if self.is_current(ctx.requests, slot, generation, iteration) {
                to_end = iteration - self.iteration;
                break;
            }
            self.finishing.pop();
        }
        let in_piece = (origin.piece.until_context.saturating_sub(self.context))
            .div_ceil(u64::from(self.decodes))
            .max(1);
        let limit = to_end.min(in_piece);
        1 + self.kv.iterations_covered(self.iteration + 1, limit - 1)
    }

    fn blocks_to_grow(&self, computed: u32, tokens: u32) -> u64 {
        let after = u64::from(computed) + u64::from(tokens);
        self.kv.blocks_for(after) - self.kv.blocks_for(u64::from(computed))
    }

    /// Preempts the sequence admitted last, before blocks were given out in this iteration.
    fn preempt_last(&mut self, ctx: &mut Context<'_>) -> bool {
        let Some(slot) = self.running.back() else {
            return false;
        };
        let tokens = self.tokens_held(ctx.requests, slot);
        self.running.remove(ctx.requests, slot);
        self.kv.give(self.kv.blocks_for(tokens));
        self.origin = None;
        let iteration = self.iteration;
        let work = &mut ctx.requests.at_mut(slot).work;
        if work.decoding {
            self.kv.leave(iteration, tokens);
            self.decodes -= 1;
            self.context -= tokens;
            work.generated += (iteration - work.joined_iteration) as u32;
            work.decoding = false;
        } else {
            self.prefilling.retain(|&prefilling| prefilling != slot);
        }
        work.computed = 0;
        let request = ctx.requests.at_mut(slot);
        request.preemptions = request.preemptions.saturating_add(1);
        if ctx.meter.measures(ctx.now) {
            ctx.meter.preemptions += 1;
        }
        self.waiting.push_front(ctx.requests, slot);
        true
    }

    /// Preempts the sequence admitted last, taking back what this iteration gave it.
    fn preempt_planned(&mut self, ctx: &mut Context<'_>) -> bool {
        let Some(slot) = self.running.back() else {
            return false;
        };
        let decoding = ctx.requests.at(slot).work.decoding;
        if decoding {
            let tokens = self.tokens_held(ctx.requests, slot);
            if self.kv.blocks_for(tokens + 1) > self.kv.blocks_for(tokens) {
                self.kv.give(1);
            }
        } else if let Some(at) = self.chunks.iter().position(|chunk| chunk.slot == slot) {
            let chunk = self.chunks.remove(at);
            let computed = ctx.requests.at(slot).work.computed;
            self.kv.give(self.blocks_to_grow(computed, chunk.tokens));
        }
        self.preempt_last(ctx)
    }
}
