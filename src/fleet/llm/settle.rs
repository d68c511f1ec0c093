//! The end of iterations: tokens made, sequences that end.

use super::{Engine, Flight};
use crate::engine::SimTime;
use crate::fleet::context::Context;

impl Engine {
    /// Applies what was computed up to now.
    pub(super) fn settle(&mut self, ctx: &mut Context<'_>) {
        let flight = std::mem::replace(&mut self.flight, Flight::Idle);
        self.cutoff = ctx.now;
        let steps = match flight {
            Flight::Idle | Flight::Waking => return,
            Flight::Mixed { decoding } => u64::from(decoding),
            Flight::Decode { until } => until - self.iteration,
        };
        self.cutoff = match (flight, self.origin) {
            (Flight::Decode { until }, Some(origin)) => origin.boundary(until - 1),
            _ => self.flight_start,
        };
        self.meter_flight(flight, ctx);
        if self.speculation.is_some() {
            ctx.meter.kv_blocks_most = ctx
                .meter
                .kv_blocks_most
                .max(self.kv.total() - self.kv.free());
            self.settle_verification(ctx);
            self.end_chunks(ctx);
            return;
        }
        // The blocks of the first iteration were taken when it was planned.
        let more = steps.saturating_sub(1);
        self.kv.take(self.kv.needed_over(self.iteration + 1, more));
        self.iteration += steps;
        self.count_on(steps);
        // Blocks only grow until the boundary, so the most of the flight is held now.
        let held = self.kv.total() - self.kv.free();
        ctx.meter.kv_blocks_most = ctx.meter.kv_blocks_most.max(held);
        self.end_decodes(ctx);
        if matches!(flight, Flight::Mixed { .. }) {
            self.end_chunks(ctx);
        }
    }

    /// Meters the work of the flight that ends now. Iterations count when they end within the
    /// measured window, whether an event was fired at their end or not.
    fn meter_flight(&mut self, flight: Flight, ctx: &mut Context<'_>) {
        let ns = ctx.meter.overlap_ns(self.flight_start, ctx.now);
        ctx.meter.busy_ns += self.busy_share(ns);
        ctx.meter.iterations_ns += u128::from(ns);
        let steps = match (flight, self.origin) {
            (Flight::Decode { until }, Some(origin)) => {
                let (start, end) = ctx.meter.window();
                origin.boundaries_before(end, self.iteration, until)
                    - origin.boundaries_before(start, self.iteration, until)
            }
            _ => u64::from(ctx.meter.measures(ctx.now)),
        };
        if steps > 0 {
            let decodes = match flight {
                Flight::Mixed { decoding: false } => 0,
                _ => u64::from(self.decodes),
            };
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
        while let Some(slot) = self.next_ended(ctx.requests) {
            self.origin = None;
            let tokens = self.tokens_held(ctx.requests, slot);
            self.kv.leave(self.iteration, tokens);
            self.count_out(tokens);
            self.finish(slot, tokens, ctx);
        }
    }

    /// Applies the prefill chunks: a sequence whose prompt is complete has made its first token.
    fn end_chunks(&mut self, ctx: &mut Context<'_>) {
        let chunks = std::mem::take(&mut self.chunks);
        for chunk in &chunks {
            let request = ctx.requests.at_mut(chunk.slot);
            request.work.computed += chunk.tokens;
            request.work.in_flight -= chunk.tokens;
            let computed = u64::from(request.work.computed);
            self.name_full(ctx.requests, chunk.slot, computed);
            let request = ctx.requests.at_mut(chunk.slot);
            if request.work.computed < request.prompt_tokens + request.work.generated {
                continue;
            }
            self.prefilling.retain(|&slot| slot != chunk.slot);
            request.work.generated += 1;
            if request.first_token == SimTime::NEVER {
                request.first_token = ctx.now;
                if let Some(firsts) = &mut ctx.firsts {
                    firsts.push(chunk.slot);
                }
            }
            let tokens = u64::from(request.work.computed);
            if request.work.generated >= request.output_tokens {
                self.finish(chunk.slot, tokens, ctx);
                continue;
            }
            match self.hands_over {
                true => self.hold_for_transfer(chunk.slot, ctx),
                false => self.begin_decoding(chunk.slot, ctx),
            }
        }
        self.chunks = chunks;
        self.chunks.clear();
    }

    pub(super) fn finish(&mut self, slot: u32, tokens: u64, ctx: &mut Context<'_>) {
        self.running.remove(ctx.requests, slot);
        let lookahead = u64::from(ctx.requests.at(slot).work.lookahead);
        let blocks = self.kv.blocks_for(tokens.max(lookahead));
        self.release(ctx.requests, slot, blocks, tokens);
        let request = ctx.requests.at_mut(slot);
        request.work.decoding = false;
        // Whoever gives it up now has wasted all of it.
        request.work.generated = request.output_tokens;
        ctx.done.push(slot);
    }
}
