//! Counters of one pool.

use crate::engine::SimTime;
use crate::perf::NodeCeiling;

/// What the links out of a prefill pool did within the measured window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkMeter {
    /// Prompts whose KV was given to a link.
    pub transfers: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Time they waited for the link, nanoseconds, summed.
    pub wait_ns: u128,
    /// Time the links were busy, nanoseconds, summed.
    pub busy_ns: u128,
}

impl LinkMeter {
    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &LinkMeter) {
        self.transfers += other.transfers;
        self.tokens += other.tokens;
        self.wait_ns += other.wait_ns;
        self.busy_ns += other.busy_ns;
    }
}

/// What the replicas of a pool did within the measured window.
#[derive(Debug, Clone)]
pub struct PoolMeter {
    window: (SimTime, SimTime),
    /// Time servers (abstract) or engines (llm) were at work, nanoseconds, summed.
    pub busy_ns: u128,
    /// Requests completed.
    pub completed: u64,
    /// Batches served, or iterations run.
    pub batches: u64,
    /// Requests in those batches, or sequences in those iterations.
    pub batched: u64,
    /// Time from the beginning to the end of iterations, nanoseconds, summed: more than the engines
    /// were at work where several are under way at once.
    pub iterations_ns: u128,
    /// Batches that went because they were full or of a preferred size.
    pub closed_by_size: u64,
    /// Batches that went because the window was over.
    pub closed_by_window: u64,
    /// Prompt tokens computed (again after a preemption).
    pub prefill_tokens: u64,
    /// Prompt tokens found in a prefix cache.
    pub cached_tokens: u64,
    /// Of these: brought back from the tiers below the accelerators' memory.
    pub tier_tokens: u64,
    /// Output tokens made by decode steps.
    pub decode_tokens: u64,
    /// Sequences whose drafts were verified, counted once an iteration.
    pub verified: u64,
    /// Drafts accepted, those beyond the end of an answer included (as vLLM counts them).
    pub accepted_drafts: u64,
    /// Requests preempted.
    pub preemptions: u64,
    /// Integral of the number of requests at the replicas over time, request-nanoseconds.
    present_ns: u128,
    present: u64,
    present_since: SimTime,
    /// Servers at work, and since when their time has not been counted.
    at_work: (u64, SimTime),
    /// The most KV blocks in use at one replica.
    pub kv_blocks_most: u64,
    /// Replica-seconds at peak FLOP/s, and at peak bandwidth, that the completed requests need at
    /// least.
    pub least_s: (f64, f64),
    /// What the links out of the pool did.
    pub links: LinkMeter,
    /// With roles: time that the completed requests waited in the queue of the pool's engines,
    /// nanoseconds, summed.
    pub wait_ns: u128,
    /// Iterations that were given less time than the hardware needs: 0 in a correct program.
    pub faster_than_physics: u64,
}

impl PoolMeter {
    /// Meters that count between two instants.
    pub fn new(start: SimTime, end: SimTime) -> PoolMeter {
        PoolMeter {
            window: (start, end),
            busy_ns: 0,
            completed: 0,
            batches: 0,
            batched: 0,
            iterations_ns: 0,
            closed_by_size: 0,
            closed_by_window: 0,
            prefill_tokens: 0,
            cached_tokens: 0,
            tier_tokens: 0,
            decode_tokens: 0,
            verified: 0,
            accepted_drafts: 0,
            preemptions: 0,
            present_ns: 0,
            present: 0,
            present_since: SimTime::ZERO,
            at_work: (0, SimTime::ZERO),
            kv_blocks_most: 0,
            least_s: (0.0, 0.0),
            links: LinkMeter::default(),
            wait_ns: 0,
            faster_than_physics: 0,
        }
    }

    /// The measured window: its start and its end, the latter exclusive.
    pub fn window(&self) -> (SimTime, SimTime) {
        self.window
    }

    /// Whether an instant is measured.
    #[inline]
    pub fn measures(&self, at: SimTime) -> bool {
        at >= self.window.0 && at < self.window.1
    }

    /// How much of `[from, to)` is measured, nanoseconds.
    #[inline]
    pub fn overlap_ns(&self, from: SimTime, to: SimTime) -> u64 {
        let (start, end) = self.window;
        to.min(end).since(from.max(start)).0
    }

    /// Notes that the KV of a prompt is given to a link at `now`, which sends it in `[start, sent)`.
    pub fn sent(&mut self, now: SimTime, start: SimTime, sent: SimTime, tokens: u32) {
        self.links.busy_ns += u128::from(self.overlap_ns(start, sent));
        if self.measures(now) {
            self.links.transfers += 1;
            self.links.tokens += u64::from(tokens);
            self.links.wait_ns += u128::from(start.since(now).0);
        }
    }

    /// Notes a request completed within the measured window, on hardware that can do `ceiling`
    /// of its like per second.
    pub fn completed_on(&mut self, ceiling: &NodeCeiling) {
        self.least_s.0 += 1.0 / ceiling.by_compute_rps;
        self.least_s.1 += ceiling.by_bandwidth_rps.map_or(0.0, f64::recip);
    }

    /// Notes that a server begins to work.
    #[inline]
    pub fn began(&mut self, now: SimTime) {
        self.count_work(now);
        self.at_work.0 += 1;
    }

    /// Notes that one ceases to.
    #[inline]
    pub fn ceased(&mut self, now: SimTime) {
        self.count_work(now);
        self.at_work.0 -= 1;
    }

    /// Counts the work of servers up to `now`.
    #[inline]
    pub fn count_work(&mut self, now: SimTime) {
        let (servers, since) = self.at_work;
        self.busy_ns += u128::from(self.overlap_ns(since, now)) * u128::from(servers);
        self.at_work.1 = now;
    }

    /// The work done up to `now`, server-nanoseconds, but for what is under way and not noted here.
    pub fn busy_ns_at(&self, now: SimTime) -> u128 {
        let (servers, since) = self.at_work;
        self.busy_ns + u128::from(self.overlap_ns(since, now)) * u128::from(servers)
    }

    /// Notes that a request came to a replica of the pool.
    #[inline]
    pub fn came(&mut self, now: SimTime) {
        self.settle(now);
        self.present += 1;
    }

    /// Notes that one left.
    #[inline]
    pub fn left(&mut self, now: SimTime) {
        self.settle(now);
        self.present -= 1;
    }

    /// The integral of the number present up to `now`, request-nanoseconds.
    pub fn present_ns(&mut self, now: SimTime) -> u128 {
        self.settle(now);
        self.present_ns
    }

    #[inline]
    fn settle(&mut self, now: SimTime) {
        let ns = self.overlap_ns(self.present_since, now);
        self.present_ns += u128::from(ns) * u128::from(self.present);
        self.present_since = now;
    }
}
