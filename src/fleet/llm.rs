//! A language-model engine: continuous batching with chunked prefill, KV blocks, and preemption by
//! recompute.
//!
//! Three schedulers ([`Scheduler`](crate::scenario::fleet::Scheduler)): vLLM v1's (one token budget
//! for prefill and decode, running sequences before waiting ones, no admission in an iteration that
//! preempted), vLLM v0's (prompts first, in iterations of their own) and Sarathi's (as v1, with a
//! whole prompt's blocks reserved when it is admitted). First come first served, the sequence
//! admitted last is preempted first; or by priority.
//!
//! **Cost.** An iteration touches what *changed*: the prefill chunks in it, the sequences that
//! start or end. Decoding sequences all grow by one token, so their number and the sum of their
//! contexts are enough to time an iteration, and a run of iterations with the same sequences is
//! one segment: boundary `k` comes at `origin + S(k)` with `S` in closed form
//! (`Origin::boundary`). A segment is cut short at the next boundary when a request arrives that
//! could be admitted. With `step_by_step` an event is fired at every boundary; it evaluates the
//! same `S(k)`, so that both give the same stamps. Speculative decoding ([`SpeculativeRule`]) has
//! an event for every iteration, which walks its batch.

mod abort;
mod cached;
mod endings;
mod flights;
mod handover;
mod origin;
mod patience;
mod pipeline;
mod plan;
mod ranks;
mod rules;
mod settle;
mod signals;
mod speculative;
mod waiting;

use crate::engine::{SimTime, Streams, Timer};
use crate::perf::{PrefillChunk, StepTimes};
use crate::scenario::fleet::PromptBlocks;

use self::abort::Upset;
use self::endings::{Ending, Endings};
pub use self::flights::FlightView;
use self::origin::Origin;
use self::pipeline::Pipeline;
pub use self::ranks::Ranks;
pub use self::rules::{EngineRules, PipelineRule, SpeculativeRule};
use self::speculative::Speculation;
use self::waiting::Waiting;
use super::context::Context;
use super::event::Event;
use super::ids::ReplicaId;
use super::kv::KvBlocks;
use super::meters::PoolMeter;
use super::prefix::PrefixCache;
use super::request::{RequestList, Requests};

/// What is being computed.
#[derive(Debug, Clone, Copy)]
enum Flight {
    Idle,
    /// Woken, and about to plan.
    Waking,
    /// One iteration with prefill chunks in it, and the decoding sequences too unless the scheduler
    /// keeps the two apart.
    Mixed {
        decoding: bool,
    },
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

/// One replica's engine. What an arrival and the end of a run of decode iterations look at comes
/// first: in a fleet of thousands, an engine looked at is in no cache.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Engine {
    flight: Flight,
    /// Iterations done.
    iteration: u64,
    /// KV tokens they hold in all, before iteration `iteration`.
    context: u64,
    /// Running sequences that decode.
    decodes: u32,
    replica: ReplicaId,
    /// With pipeline parallelism: the other micro-batches, and the stages.
    pipeline: Option<Box<Pipeline>>,
    /// With speculative decoding: every flight is a mixed one, and no block is taken ahead.
    speculation: Option<Box<Speculation>>,
    /// With data-parallel attention: which rank it is, of how many. 0 and 1 without.
    rank: u16,
    ranks: u16,
    /// What is not as it should be, if anything is or was.
    upset: Option<Box<Upset>>,
    flight_start: SimTime,
    boundary: Option<Timer>,
    origin: Option<Origin>,
    endings: Endings,
    waiting: Waiting,
    running: RequestList,
    /// The sum of the squares of what each of them holds.
    squares: u128,
    kv: KvBlocks,
    /// Running sequences still in prefill, in order of admission.
    prefilling: Vec<u32>,
    chunks: Vec<Chunk>,
    prefill: Vec<PrefillChunk>,
    /// With asynchronous scheduling: when the iteration that has just ended began, which is when
    /// the one to be planned now was planned. Who came later is not in it.
    cutoff: SimTime,
    /// Nanoseconds to bring back blocks from the tiers for the iteration being planned.
    loading_ns: f64,
    /// Whether a prompt holds the blocks of all of it from its admission on.
    reserves: bool,
    /// Whether sequences are handed over once their first token was made.
    hands_over: bool,
    /// Whether somebody who could be admitted came after the cutoff.
    held_back: bool,
    /// Whether the plan of the iteration preempted somebody.
    preempted: bool,
    /// Sequences whose KV is being sent to another replica, in the order of their first tokens.
    sending: RequestList,
    /// Iterations done when a prompt was last computed, and when the queue's head began to wait for
    /// others, where prompts wait.
    looked: u64,
    waits_since: Option<u64>,
}

impl Engine {
    /// An idle engine with an empty cache.
    pub fn new(replica: ReplicaId, rules: &EngineRules, streams: Streams) -> Engine {
        Engine::empty(replica, rules, Speculation::new(replica, rules, streams))
    }

    fn empty(
        replica: ReplicaId,
        rules: &EngineRules,
        speculation: Option<Box<Speculation>>,
    ) -> Engine {
        Engine {
            replica,
            waiting: Waiting::new(rules.policy),
            running: RequestList::default(),
            sending: RequestList::default(),
            hands_over: false,
            prefilling: Vec::new(),
            decodes: 0,
            context: 0,
            squares: 0,
            iteration: 0,
            kv: KvBlocks::new(
                rules.kv_blocks,
                rules.block_size,
                rules.prefix_caching,
                &rules.tiers,
            ),
            endings: Endings::new(),
            flight: Flight::Idle,
            flight_start: SimTime::ZERO,
            origin: None,
            boundary: None,
            chunks: Vec::new(),
            prefill: Vec::new(),
            reserves: rules.prompt_blocks == PromptBlocks::ReserveWhole,
            cutoff: SimTime::ZERO,
            held_back: false,
            preempted: false,
            speculation,
            upset: None,
            looked: 0,
            waits_since: None,
            loading_ns: 0.0,
            pipeline: Pipeline::new(rules),
            rank: 0,
            ranks: 1,
        }
    }

    /// Takes a request in. The caller has asked [`EngineRules::fits`].
    pub fn offer(&mut self, slot: u32, rules: &EngineRules, ctx: &mut Context<'_>) {
        self.waiting.push(ctx.requests, slot);
        let heads_queue = self.waiting.front() == Some(slot);
        match self.flight {
            // An engine looks for requests when an iteration has come out of the last stage.
            _ if self.others_fly() => {}
            Flight::Idle => self.wake(ctx),
            // Only the head of the queue can be admitted, and only where there is room for it.
            Flight::Decode { until }
                if heads_queue
                    && (self.has_seats(rules) || self.may_make_way(slot, rules, ctx.requests)) =>
            {
                self.cut(until, u64::from(rules.async_scheduling), ctx);
            }
            _ => {}
        }
    }

    /// Plans at this very instant, after its ordinary events.
    fn wake(&mut self, ctx: &mut Context<'_>) {
        self.flight = Flight::Waking;
        self.flight_start = ctx.now;
        self.schedule_boundary(ctx.now, ctx);
    }

    /// The boundary of an iteration: settles what was computed and plans what comes next.
    pub fn step(
        &mut self,
        lane: u16,
        rules: &EngineRules,
        model: &dyn StepTimes,
        ctx: &mut Context<'_>,
    ) {
        self.turn_to(lane);
        self.boundary = None;
        self.settle(ctx);
        self.drop_aborted(ctx);
        if self.plan(rules, ctx) {
            self.launch(rules, model, ctx);
            self.wake_another(rules, ctx);
        }
    }

    /// Requests waiting and running.
    pub fn present(&self) -> u32 {
        self.waiting.len() + self.running.len()
    }

    /// `(blocks held by the running sequences and those being sent, blocks the pool says are taken)` at an iteration
    /// boundary: equal in a correct engine.
    pub fn block_balance(&self, requests: &Requests) -> (u64, u64) {
        // Blocks with a name are held by several, and counted once.
        let own = self.running.iter(requests).map(|slot| {
            let work = &requests.at(slot).work;
            self.blocks_held(requests, slot) + u64::from(work.unnamed)
        });
        let sending = self.sending.iter(requests).map(|slot| {
            let work = &requests.at(slot).work;
            self.kv.blocks_for(u64::from(work.computed)) + u64::from(work.unnamed)
        });
        let running = self.running.iter(requests);
        let named: u64 = running
            .chain(self.sending.iter(requests))
            .map(|slot| u64::from(requests.at(slot).work.named))
            .sum();
        let shared = self.kv.cache().map_or(0, PrefixCache::held);
        // Blocks are named as soon as they are planned, and counted below as being ahead.
        let held = (own.chain(sending).sum::<u64>() + shared).wrapping_sub(named);
        // A segment under way has taken the blocks of its first iteration only.
        let here = match self.flight {
            Flight::Decode { .. } | Flight::Mixed { decoding: true } => {
                self.kv.needed_at(self.iteration)
            }
            Flight::Mixed { decoding: false } | Flight::Idle | Flight::Waking => 0,
        };
        let ahead = here + self.ahead_elsewhere();
        (held, self.kv.total() - self.kv.free() - ahead)
    }

    /// Work of the iterations under way at `now` that is not metered yet, nanoseconds within the
    /// measured window.
    pub fn busy_under_way_ns(&self, meter: &PoolMeter, now: SimTime) -> u128 {
        let here = match self.flight {
            Flight::Mixed { .. } | Flight::Decode { .. } => {
                self.busy_share(meter.overlap_ns(self.flight_start, now))
            }
            Flight::Idle | Flight::Waking => 0,
        };
        here + self.busy_elsewhere_ns(meter, now)
    }

    fn has_seats(&self, rules: &EngineRules) -> bool {
        self.running.len() < rules.max_num_seqs && self.decodes < rules.max_num_batched_tokens
    }

    /// Ends the run of decode iterations at the next boundary, or `lag` boundaries after it.
    fn cut(&mut self, until: u64, lag: u64, ctx: &mut Context<'_>) {
        let Some(origin) = self.origin else { return };
        let next = origin.iteration_at(ctx.now, until).max(self.iteration + 1) + lag;
        if next < until {
            self.flight = Flight::Decode { until: next };
            self.schedule_boundary(origin.boundary(next), ctx);
        }
    }

    fn schedule_boundary(&mut self, at: SimTime, ctx: &mut Context<'_>) {
        if let Some(timer) = self.boundary.take() {
            ctx.queue.cancel(timer);
        }
        let event = Event::Step(self.replica, self.lane());
        self.boundary = Some(ctx.queue.schedule_late(at, self.replica.0, event));
    }

    /// A sequence with that many tokens begins to decode.
    fn count_in(&mut self, tokens: u64) {
        self.decodes += 1;
        self.context += tokens;
        self.squares += u128::from(tokens) * u128::from(tokens);
    }

    /// A sequence with that many tokens decodes no more.
    fn count_out(&mut self, tokens: u64) {
        self.decodes -= 1;
        self.context -= tokens;
        self.squares -= u128::from(tokens) * u128::from(tokens);
    }

    /// All decoding sequences grow by `steps` tokens.
    fn count_on(&mut self, steps: u64) {
        // The sum of (c + s)^2 is that of c^2, plus 2 s times that of c, plus n s^2.
        let (n, s) = (u128::from(self.decodes), u128::from(steps));
        self.squares += 2 * s * u128::from(self.context) + n * s * s;
        self.context += steps * u64::from(self.decodes);
    }

    /// The standard deviation of the tokens that the decoding sequences hold.
    fn spread(&self) -> f64 {
        let (n, sum) = (f64::from(self.decodes), self.context as f64);
        if self.decodes == 0 {
            return 0.0;
        }
        (self.squares as f64 / n - (sum / n) * (sum / n))
            .max(0.0)
            .sqrt()
    }

    /// KV tokens a running sequence holds before iteration `self.iteration`.
    fn tokens_held(&self, requests: &Requests, slot: u32) -> u64 {
        let work = &requests.at(slot).work;
        let grown = if work.decoding {
            self.iteration_of(work.lane) - work.mark
        } else {
            0
        };
        u64::from(work.computed) + grown
    }

    /// KV blocks a running sequence holds.
    fn blocks_held(&self, requests: &Requests, slot: u32) -> u64 {
        let request = requests.at(slot);
        if self.reserves && !request.work.decoding {
            let whole = u64::from(request.prompt_tokens) + u64::from(request.work.generated);
            return self.kv.blocks_for(whole);
        }
        let tokens = self.tokens_held(requests, slot) + u64::from(request.work.in_flight);
        self.kv
            .blocks_for(tokens.max(u64::from(request.work.lookahead)))
    }

    /// Blocks that a prompt takes as it is computed further.
    fn blocks_to_grow(&self, computed: u32, tokens: u32) -> u64 {
        if self.reserves {
            return 0;
        }
        let after = u64::from(computed) + u64::from(tokens);
        self.kv.blocks_for(after) - self.kv.blocks_for(u64::from(computed))
    }

    /// The iteration at which the next sequence ends, `u64::MAX` if none decodes.
    fn next_end(&mut self, requests: &Requests) -> u64 {
        let here = (self.replica, self.lane());
        self.endings
            .first(|ending| is_current(requests, here, ending))
    }

    /// A sequence that has ended by now, taken off.
    fn next_ended(&mut self, requests: &Requests) -> Option<u32> {
        let here = (self.replica, self.lane());
        self.endings
            .pop(self.iteration, |ending| is_current(requests, here, ending))
    }
}

/// Whether an ending still speaks of a sequence that decodes at that replica and micro-batch.
fn is_current(requests: &Requests, here: (ReplicaId, u16), ending: Ending) -> bool {
    let (iteration, slot, generation) = ending;
    if requests.id(slot).generation != generation {
        return false;
    }
    let request = requests.at(slot);
    let left = u64::from(request.output_tokens.saturating_sub(request.work.generated));
    request.work.decoding
        && (request.replica, request.work.lane) == here
        && request.work.mark + left == iteration
}
