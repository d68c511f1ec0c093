//! Speculative decoding, as in vLLM v1: every iteration verifies the drafts of each decoding
//! sequence, in as many rows as there are drafts and one more.
//!
//! Drafts are kept up to the first that is not accepted, and the verification itself gives one
//! token more; what goes beyond the end of an answer is thrown away. A sequence holds blocks for
//! its tokens and all rows of an iteration, and keeps them when drafts are rejected: they are its
//! next tokens' then. Near `max_model_len` fewer tokens are drafted, so that a sequence never needs
//! more blocks than there are.
//!
//! **Cost.** Sequences no longer grow alike, so that neither blocks nor step times can be had for a
//! run of iterations: each is an event, and walks its batch. Whether drafts are accepted is drawn
//! from one stream of random numbers a replica, one number a sequence and iteration, whatever the
//! acceptance.

use rand::RngExt;

use super::plan::ROUNDING;
use super::{Engine, EngineRules, Flight, SpeculativeRule};
use crate::engine::{SimRng, SimTime, Streams};
use crate::fleet::context::Context;
use crate::fleet::ids::ReplicaId;
use crate::perf::{PrefillChunk, StepTimes};

/// What a replica that speculates keeps.
#[derive(Debug, Clone)]
pub(super) struct Speculation {
    rule: SpeculativeRule,
    max_model_len: u64,
    rng: SimRng,
    /// Decoding sequences of the iteration at hand, in the order they run.
    slots: Vec<u32>,
}

impl Speculation {
    /// Drafts as the rules have them, if they do.
    pub fn new(replica: ReplicaId, rules: &EngineRules, streams: Streams) -> Option<Box<Self>> {
        let rule = rules.speculative?;
        Some(Box::new(Speculation {
            rule,
            max_model_len: rules.max_model_len,
            rng: streams.stream("speculation", u64::from(replica.0), "acceptance"),
            slots: Vec::new(),
        }))
    }

    /// Rows that verify the drafts of a sequence with `tokens` tokens in the KV cache.
    fn rows(&self, tokens: u32) -> u32 {
        let room = self.max_model_len.saturating_sub(u64::from(tokens) + 1);
        let most = u64::from(self.rule.draft_tokens) + 1;
        most.min(room).max(1) as u32
    }

    /// How many of `drafts` drafts are accepted: `j` of them with probability `a^j (1 - a)`, all
    /// of them with `a^drafts`.
    fn accepted(&mut self, drafts: u32) -> u32 {
        let drawn: f64 = self.rng.random();
        let (mut accepted, mut chance) = (0, self.rule.acceptance);
        while accepted < drafts && drawn < chance {
            accepted += 1;
            chance *= self.rule.acceptance;
        }
        accepted
    }
}

impl Engine {
    /// Rows of an iteration that a sequence with `tokens` tokens in the KV cache takes.
    pub(super) fn rows(&self, tokens: u32) -> u32 {
        self.speculation.as_ref().map_or(1, |s| s.rows(tokens))
    }

    /// Gives the decoding sequences their blocks in the order they run, preempting where blocks
    /// are short. True when it preempted.
    pub(super) fn plan_verifications(
        &mut self,
        rules: &EngineRules,
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(slots) = self.decoding_slots(ctx) else {
            return false;
        };
        let mut preempted = false;
        for &slot in &slots {
            loop {
                let work = ctx.requests.at(slot).work;
                let Some(speculation) = self.speculation.as_ref().filter(|_| work.decoding) else {
                    break;
                };
                let tokens = u64::from(work.computed) + u64::from(speculation.rows(work.computed));
                let held = self.blocks_held(ctx.requests, slot);
                let blocks = self.kv.blocks_for(tokens).saturating_sub(held);
                if blocks <= self.kv.free() {
                    self.kv.take(blocks);
                    let lookahead = &mut ctx.requests.at_mut(slot).work.lookahead;
                    *lookahead = (tokens as u32).max(*lookahead);
                    break;
                }
                if !self.preempt(true, rules, ctx) {
                    break;
                }
                preempted = true;
            }
        }
        self.give_back(slots);
        preempted
    }

    /// Starts an iteration of the prompts planned and of all decoding sequences.
    pub(super) fn launch_verification(&mut self, model: &dyn StepTimes, ctx: &mut Context<'_>) {
        let Some(slots) = self.decoding_slots(ctx) else {
            return;
        };
        self.list_prefill(ctx.requests);
        let prompts = self.prefill.len();
        for &slot in &slots {
            let context = ctx.requests.at(slot).work.computed;
            let rows = self.rows(context);
            self.prefill.push(PrefillChunk {
                tokens: rows,
                context,
            });
        }
        self.give_back(slots);
        let ns = model.verify_ns(&self.prefill, prompts, self.spread());
        let ns = ns * self.slowdown() + std::mem::take(&mut self.loading_ns);
        let floor = model.physical_floor_ns(&self.prefill, 0, 0);
        ctx.meter.faster_than_physics += u64::from(ns < floor * ROUNDING);
        self.flight = Flight::Mixed { decoding: true };
        self.schedule_boundary(SimTime(ctx.now.0 + (ns.round() as u64).max(1)), ctx);
    }

    /// Applies an iteration: the tokens that each sequence has gained, and who has made its last.
    pub(super) fn settle_verification(&mut self, ctx: &mut Context<'_>) {
        let Some(slots) = self.decoding_slots(ctx) else {
            return;
        };
        let measured = ctx.meter.measures(ctx.now);
        self.iteration += 1;
        for &slot in &slots {
            let work = &ctx.requests.at(slot).work;
            let before = work.computed;
            let left = ctx.requests.at(slot).output_tokens - work.generated;
            let accepted = match &mut self.speculation {
                Some(speculation) => {
                    let drafts = speculation.rows(before) - 1;
                    speculation.accepted(drafts)
                }
                None => 0,
            };
            let gained = (accepted + 1).min(left);
            if measured {
                ctx.meter.verified += 1;
                ctx.meter.accepted_drafts += u64::from(accepted);
                // One a sequence is counted already.
                ctx.meter.decode_tokens += u64::from(gained) - 1;
            }
            let work = &mut ctx.requests.at_mut(slot).work;
            work.computed += gained;
            work.generated += gained;
            work.mark = self.iteration;
            let tokens = u64::from(work.computed);
            self.count_out(u64::from(before));
            if gained < left {
                self.count_in(tokens);
            } else {
                self.finish(slot, tokens, ctx);
            }
        }
        self.give_back(slots);
    }

    /// The decoding sequences in the order they run, in a list to be given back.
    fn decoding_slots(&mut self, ctx: &Context<'_>) -> Option<Vec<u32>> {
        let speculation = self.speculation.as_mut()?;
        let mut slots = std::mem::take(&mut speculation.slots);
        slots.clear();
        let running = self.running.iter(ctx.requests);
        slots.extend(running.filter(|&slot| ctx.requests.at(slot).work.decoding));
        Some(slots)
    }

    fn give_back(&mut self, slots: Vec<u32>) {
        if let Some(speculation) = &mut self.speculation {
            speculation.slots = slots;
        }
    }
}
