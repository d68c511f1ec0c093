//! Pipeline parallelism: the layers are dealt out to stages, and several micro-batches are under
//! way, each in another stage.
//!
//! As in vLLM v1 nobody assigns sequences to micro-batches: a sequence joins the iteration that
//! computes its prompt, and goes round with it, since its next token can only be planned when the
//! last one has come out of the last stage. The micro-batches share queue and cache. There are as
//! many as stages; the chunks of one long prompt go through the stages behind one another. An engine
//! with something under way looks for new requests only when an iteration has come out, so that a
//! light load goes round in one micro-batch and leaves the other stages idle: the bubble is the
//! scheduler's, and `micro_batch_seqs` bounds it as other engines do.
//!
//! Stages serve first come first served and pass on in order. An iteration is therefore complete
//! when it is launched: it enters a stage when it has come and the one before it has left.
//!
//! **Cost.** Every iteration is an event, and takes time in proportion to the stages.

use super::endings::Endings;
use super::flights::{FlightView, view};
use super::plan::ROUNDING;
use super::{Chunk, Engine, EngineRules, Flight};
use crate::engine::{SimTime, Timer};
use crate::fleet::context::Context;
use crate::fleet::kv::Growth;
use crate::fleet::meters::PoolMeter;
use crate::fleet::request::Requests;
use crate::perf::StepTimes;

/// How busy a flight keeps the stages.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Work of all stages, nanoseconds.
    work_ns: u64,
    /// From the launch to the end, times the stages, nanoseconds; at least 1 once launched.
    stages_ns: u64,
}

impl Load {
    fn of(self, ns: u64) -> u128 {
        u128::from(ns) * u128::from(self.work_ns) / u128::from(self.stages_ns.max(1))
    }
}

/// What a micro-batch has of its own.
#[derive(Debug, Clone)]
struct Lane {
    flight: Flight,
    flight_start: SimTime,
    load: Load,
    boundary: Option<Timer>,
    iteration: u64,
    decodes: u32,
    context: u64,
    squares: u128,
    growth: Growth,
    chunks: Vec<Chunk>,
    endings: Endings,
}

/// The micro-batches that are not at hand, and when each stage is free.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    /// By number; what is at the place of the one at hand is meaningless.
    lanes: Vec<Lane>,
    /// The one at hand.
    here: u16,
    load: Load,
    engine_free: SimTime,
    stage_free: Vec<SimTime>,
    micro_batch_seqs: u32,
}

impl Pipeline {
    /// Idle stages as the rules have them, if they do.
    pub fn new(rules: &EngineRules) -> Option<Box<Pipeline>> {
        let rule = rules.pipeline.as_ref()?;
        let lane = Lane {
            flight: Flight::Idle,
            flight_start: SimTime::ZERO,
            load: Load::default(),
            boundary: None,
            iteration: 0,
            decodes: 0,
            context: 0,
            squares: 0,
            growth: Growth::new(rules.block_size),
            chunks: Vec::new(),
            endings: Endings::new(),
        };
        let stages = rule.layer_shares.len();
        Some(Box::new(Pipeline {
            lanes: vec![lane; stages],
            here: 0,
            load: Load::default(),
            engine_free: SimTime::ZERO,
            stage_free: vec![SimTime::ZERO; stages],
            micro_batch_seqs: rule.micro_batch_seqs,
        }))
    }

    /// What is under way in the micro-batches that are not at hand, for those who look on.
    pub fn flights(&self) -> Vec<FlightView> {
        let lanes = (0_u16..).zip(&self.lanes);
        lanes
            .filter(|(at, _)| *at != self.here)
            .filter_map(|(at, lane)| {
                let own = (at, lane.flight, lane.flight_start);
                view(own, lane.iteration, &lane.chunks, lane.decodes, None)
            })
            .collect()
    }

    fn others(&self) -> impl Iterator<Item = &Lane> {
        let here = usize::from(self.here);
        let lanes = self.lanes.iter().enumerate();
        lanes.filter_map(move |(at, lane)| (at != here).then_some(lane))
    }
}

impl Engine {
    /// The micro-batch at hand, or the engine's rank; 0 without either.
    pub(super) fn lane(&self) -> u16 {
        self.pipeline
            .as_ref()
            .map_or(self.rank, |pipeline| pipeline.here)
    }

    /// Takes another micro-batch in hand.
    #[inline]
    pub(super) fn turn_to(&mut self, lane: u16) {
        if self.pipeline.is_some() {
            self.swap_with(lane);
        }
    }

    fn swap_with(&mut self, lane: u16) {
        use std::mem::swap;
        let Some(pipeline) = &mut self.pipeline else {
            return;
        };
        if lane == pipeline.here {
            return;
        }
        for at in [pipeline.here, lane] {
            let parked = &mut pipeline.lanes[usize::from(at)];
            swap(&mut pipeline.load, &mut parked.load);
            swap(&mut self.flight, &mut parked.flight);
            swap(&mut self.flight_start, &mut parked.flight_start);
            swap(&mut self.boundary, &mut parked.boundary);
            swap(&mut self.iteration, &mut parked.iteration);
            swap(&mut self.decodes, &mut parked.decodes);
            swap(&mut self.context, &mut parked.context);
            swap(&mut self.squares, &mut parked.squares);
            self.kv.swap_growth(&mut parked.growth);
            swap(&mut self.chunks, &mut parked.chunks);
            swap(&mut self.endings, &mut parked.endings);
        }
        pipeline.here = lane;
    }

    /// Iterations that a micro-batch has done.
    pub(super) fn iteration_of(&self, lane: u16) -> u64 {
        match &self.pipeline {
            Some(pipeline) if lane != pipeline.here => pipeline.lanes[usize::from(lane)].iteration,
            _ => self.iteration,
        }
    }

    /// Takes the ends of the iterations under way in other micro-batches.
    pub(super) fn take_boundaries(&mut self) -> impl Iterator<Item = Timer> + use<'_> {
        let lanes = self
            .pipeline
            .iter_mut()
            .flat_map(|pipeline| &mut pipeline.lanes);
        lanes.filter_map(|lane| lane.boundary.take())
    }

    /// Whether another micro-batch than the one at hand is under way or about to be planned.
    pub(super) fn others_fly(&self) -> bool {
        let Some(pipeline) = &self.pipeline else {
            return false;
        };
        let mut others = pipeline.others();
        others.any(|lane| !matches!(lane.flight, Flight::Idle))
    }

    /// Blocks that the other micro-batches under way have taken for their iterations.
    pub(super) fn ahead_elsewhere(&self) -> u64 {
        let Some(pipeline) = &self.pipeline else {
            return 0;
        };
        let flying = pipeline
            .others()
            .filter(|lane| matches!(lane.flight, Flight::Mixed { .. }));
        flying
            .map(|lane| lane.growth.needed_at(lane.iteration))
            .sum()
    }

    /// Work within `ns` nanoseconds of the flight at hand: all of them, or with a pipeline what a
    /// stage works in them, averaged over the stages and the flight; a rank's share of the replica.
    pub(super) fn busy_share(&self, ns: u64) -> u128 {
        match &self.pipeline {
            Some(pipeline) => pipeline.load.of(ns),
            None => u128::from(ns / u64::from(self.ranks)),
        }
    }

    /// The same of the other micro-batches under way, within the measured window.
    pub(super) fn busy_elsewhere_ns(&self, meter: &PoolMeter, now: SimTime) -> u128 {
        let Some(pipeline) = &self.pipeline else {
            return 0;
        };
        let flying = pipeline
            .others()
            .filter(|lane| matches!(lane.flight, Flight::Mixed { .. }));
        flying
            .map(|lane| lane.load.of(meter.overlap_ns(lane.flight_start, now)))
            .sum()
    }

    /// Takes a prompt out of all iterations planned or under way.
    pub(super) fn drop_chunks(&mut self, slot: u32) {
        self.chunks.retain(|chunk| chunk.slot != slot);
        if let Some(pipeline) = &mut self.pipeline {
            for lane in &mut pipeline.lanes {
                lane.chunks.retain(|chunk| chunk.slot != slot);
            }
        }
    }

    /// Whether a prompt that the next chunk completes may stay in the micro-batch at hand, to
    /// decode in it. Another one takes it otherwise: it is woken for that.
    pub(super) fn may_join(&self, requests: &Requests) -> bool {
        let Some(pipeline) = &self.pipeline else {
            return true;
        };
        let joins = |chunk: &&Chunk| {
            let request = requests.at(chunk.slot);
            let work = &request.work;
            work.computed + work.in_flight >= request.prompt_tokens + work.generated
        };
        let members = self.decodes + self.chunks.iter().filter(joins).count() as u32;
        members < pipeline.micro_batch_seqs
    }

    /// Sequences that may yet join the micro-batch at hand.
    pub(super) fn room_in_lane(&self) -> u32 {
        match &self.pipeline {
            Some(pipeline) => {
                let members = self.decodes + self.chunks.len() as u32;
                pipeline.micro_batch_seqs.saturating_sub(members)
            }
            None => u32::MAX,
        }
    }

    /// After the micro-batch at hand was launched: plans another, if one is idle and there may be
    /// something for it.
    pub(super) fn wake_another(&mut self, rules: &EngineRules, ctx: &mut Context<'_>) {
        let Some(pipeline) = &self.pipeline else {
            return;
        };
        let launched = matches!(self.flight, Flight::Mixed { .. });
        let to_compute = |&slot: &u32| {
            let request = ctx.requests.at(slot);
            let work = &request.work;
            work.computed + work.in_flight < request.prompt_tokens + work.generated
        };
        let seats = self.running.len() < rules.max_num_seqs;
        let wanted = (seats && !self.waiting.is_empty()) || self.prefilling.iter().any(to_compute);
        if !launched || !wanted {
            return;
        }
        let here = pipeline.here;
        let idle =
            |at: usize, lane: &Lane| at != usize::from(here) && matches!(lane.flight, Flight::Idle);
        let mut lanes = pipeline.lanes.iter().enumerate();
        let Some((at, _)) = lanes.find(|(at, lane)| idle(*at, lane)) else {
            return;
        };
        self.turn_to(at as u16);
        self.wake(ctx);
        self.turn_to(here);
    }

    /// Sends what was planned through the stages.
    pub(super) fn launch_staged(
        &mut self,
        rules: &EngineRules,
        model: &dyn StepTimes,
        ctx: &mut Context<'_>,
    ) {
        self.list_prefill(ctx.requests);
        let (prefill, decodes, context) = (&self.prefill, self.decodes, self.context);
        let slowdown = self.slowdown();
        let parts = model.parts(prefill, decodes, context, self.spread());
        let floor = model.physical_floor_ns(prefill, decodes, context);
        ctx.meter.faster_than_physics += u64::from(parts.total_ns() < floor * ROUNDING);
        let rows: u32 = decodes + prefill.iter().map(|chunk| chunk.tokens).sum::<u32>();
        let loading_ns = std::mem::take(&mut self.loading_ns);
        let (Some(pipeline), Some(rule)) = (&mut self.pipeline, &rules.pipeline) else {
            return;
        };
        // The engine plans one iteration at a time, beside what the stages compute.
        let after = |from: SimTime, ns: f64| SimTime(from.0 + ns.round() as u64);
        pipeline.engine_free = after(pipeline.engine_free.max(ctx.now), parts.engine_ns);
        let mut at = after(pipeline.engine_free, loading_ns);
        let hop_ns = rule.hop_ns + f64::from(rows) * rule.hop_row_ns;
        let last = rule.layer_shares.len() - 1;
        let mut work_ns = 0;
        for (stage, (share, free)) in rule
            .layer_shares
            .iter()
            .zip(&mut pipeline.stage_free)
            .enumerate()
        {
            let mut ns = parts.layers_ns * share;
            if stage == last {
                ns += parts.last_ns;
            }
            ns *= slowdown;
            let enters = at.max(*free);
            *free = after(enters, ns);
            work_ns += free.since(enters).0;
            at = match stage == last {
                true => *free,
                false => after(*free, hop_ns),
            };
        }
        let end = at.max(SimTime(ctx.now.0 + 1));
        pipeline.load = Load {
            work_ns,
            stages_ns: end.since(ctx.now).0 * (last as u64 + 1),
        };
        self.flight = Flight::Mixed { decoding: true };
        self.schedule_boundary(end, ctx);
    }
}
