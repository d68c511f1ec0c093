//! What one replication measured, ready to be put together with others.

use crate::engine::{Ended, SimTime};
use crate::fleet::calls::TryMeter;
use crate::fleet::event::Event;
use crate::fleet::meters::LinkMeter;
use crate::fleet::outcome::{Counts, PartMeter};
use crate::fleet::plan::{EnginePlan, FleetPlan};
use crate::fleet::request::{Outcome, Status};
use crate::fleet::served::ServedMeter;
use crate::fleet::signals::SignalMeter;
use crate::fleet::simulation::Simulation;
use crate::measure::{Interval, LatencyBudget, LatencyHistogram, SloMeter};
use crate::workload::sessions::SessionCounts;

use super::capacity::CapacityTally;
use super::charts::SeriesReport;
use super::erasure::ErasureTally;
use super::tiers::BacklogTally;
use super::timeline::TimelineReport;

/// Names of the latencies, in the order of [`Tally::latencies`].
pub const LATENCIES: [&str; 4] = ["ttft_ms", "tpot_ms", "e2e_ms", "queue_ms"];

/// Quantiles that get an interval.
pub const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)];

/// What one replication measured, or several together.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Replications in it.
    pub replications: u32,
    /// Requests that came to the gateway.
    pub arrived: u64,
    /// Requests by how they ended.
    pub ended: [u64; Status::COUNT],
    /// Requests in flight at the end.
    pub in_flight: u64,
    /// Requests by tier, and tries by region, the last for those that found none.
    pub tiers: Vec<Counts>,
    /// See there.
    pub regions: Vec<Counts>,
    /// Requests by population.
    pub populations: Vec<PartMeter>,
    /// What became of the requests of each tenant, where there are any.
    pub tenants: Vec<PartMeter>,
    /// How old the loads were that routers went by, where they are told of them.
    pub signals: Option<SignalMeter>,
    /// What was answered, by whom and for whom.
    pub served: ServedMeter,
    /// The same until the horizon.
    pub served_billed: ServedMeter,
    /// Requests of each tier that were not over.
    pub backlogs: Vec<BacklogTally>,
    /// The nodes that were bought, and the bill, where any were.
    pub capacity: Option<CapacityTally>,
    /// Erasures, where there are any.
    pub erasure: Option<ErasureTally>,
    /// What happened when, in the first replication.
    pub timeline: Option<TimelineReport>,
    /// What is drawn over time, of the first replication, where that is wanted.
    pub series: Option<SeriesReport>,
    /// What became of their tries, and how many were under way at the end, where there may be
    /// several of one request.
    pub tries: Option<(TryMeter, u64)>,
    /// Requests that arrived in the measured window.
    pub arrived_measured: u64,
    /// Requests completed in the measured window.
    pub completed_measured: u64,
    /// Prompt and output tokens of those.
    pub tokens_measured: (u64, u64),
    /// TTFT, TPOT, E2E and time in the engine's queue.
    pub latencies: [LatencyHistogram; 4],
    /// Least TTFT and E2E that the hardware allows, of all requests measured.
    pub floors: [LatencyHistogram; 2],
    /// Where E2E goes.
    pub budget: LatencyBudget,
    /// Objectives by tier.
    pub slo: Vec<SloMeter>,
    /// By pool.
    pub pools: Vec<PoolTally>,
    /// Events by kind.
    pub events_by_kind: [u64; Event::KINDS],
    /// Digests of the event stream and of the outcomes, one of each a replication.
    pub digests: Vec<(u64, u64)>,
    /// Length of the measured window, summed over replications, seconds.
    pub measured_s: f64,
    /// When the last event came, the latest of the replications.
    pub end: SimTime,
    /// The most requests in flight at once.
    pub most_in_flight: u64,
    /// Requests in flight at half of the measured window and at the last arrival, summed.
    pub present: (u64, u64),
    /// What became of sessions, where there are any.
    pub sessions: Option<SessionCounts>,
    /// Requests measured that were still in flight at the end.
    pub undecided: u64,
    /// Why the replications ended, if one was cut short.
    pub cut_short: Option<Ended>,
    /// Replications that ran to their end.
    pub whole: u32,
}

/// What a pool did.
#[derive(Debug, Clone)]
pub struct PoolTally {
    /// Server-seconds (abstract) or engine-seconds (llm) at work.
    pub busy_s: f64,
    /// Server-seconds or engine-seconds there were.
    pub available_s: f64,
    /// Replica-seconds there were.
    pub replica_s: f64,
    /// Requests completed in the window.
    pub completed: u64,
    /// Batches or iterations.
    pub batches: u64,
    /// Requests in batches, sequences in iterations.
    pub batched: u64,
    /// Seconds from the beginning to the end of iterations, summed.
    pub iterations_s: f64,
    /// Batches sent by size.
    pub closed_by_size: u64,
    /// Batches sent by the window.
    pub closed_by_window: u64,
    /// Prompt tokens computed.
    pub prefill_tokens: u64,
    /// Prompt tokens found in a prefix cache.
    pub cached_tokens: u64,
    /// Of these: brought back from tiers.
    pub tier_tokens: u64,
    /// Output tokens made in decode steps.
    pub decode_tokens: u64,
    /// Sequences whose drafts were verified, counted once an iteration.
    pub verified: u64,
    /// Drafts accepted.
    pub accepted_drafts: u64,
    /// Preemptions.
    pub preemptions: u64,
    /// The most KV blocks in use at one replica.
    pub kv_blocks_most: u64,
    /// Request-seconds at the replicas.
    pub present_s: f64,
    /// What the links out of it did.
    pub links: LinkMeter,
    /// With roles: time that its completed requests waited in its engines' queue, summed, seconds.
    pub wait_s: f64,
    /// Replica-seconds that the completed requests need at peak FLOP/s and at peak bandwidth.
    pub least_s: (f64, f64),
}

impl Tally {
    /// What a simulation that has ended measured.
    pub fn of(simulation: &mut Simulation, ended: Ended) -> Tally {
        let plan = std::sync::Arc::clone(simulation.plan());
        // A run that was cut short has measured no more than it has run.
        let (now, measured_to) = match ended {
            Ended::Drained | Ended::End => (
                simulation.now().max(plan.horizon.min(plan.end)),
                plan.horizon,
            ),
            _ => (simulation.now(), plan.horizon.min(simulation.now())),
        };
        let measured_s = measured_to.since(plan.warmup).as_secs_f64();
        let pools = (0..plan.pools.len())
            .map(|index| PoolTally::of(simulation, &plan, index, measured_s, now))
            .collect();
        let digest = simulation.digest().value();
        let erasure = ErasureTally::of(simulation, ended);
        simulation.world.extend_series(simulation.now(), false);
        let meters = &simulation.world.meters;
        Tally {
            replications: 1,
            arrived: meters.arrived,
            ended: meters.ended,
            in_flight: simulation.world.in_flight(),
            tiers: meters.tiers.clone(),
            regions: meters.regions.clone(),
            populations: meters.populations.clone(),
            tenants: meters.tenants.clone(),
            signals: simulation.world.signal_meter(),
            served: meters.served.clone(),
            served_billed: meters.served_billed.clone(),
            backlogs: {
                let all = simulation.world.backlogs_with_in_flight(now);
                all.iter().map(|it| BacklogTally::of(it, now)).collect()
            },
            capacity: CapacityTally::of(simulation),
            erasure,
            timeline: {
                let timeline = simulation.world.timeline_with_in_flight(now);
                TimelineReport::of(&timeline, &plan, simulation.now())
            },
            series: meters.series.as_ref().map(|series| {
                let pools: Vec<&str> = plan.pools.iter().map(|it| it.name.as_str()).collect();
                SeriesReport::of(series, &pools)
            }),
            tries: plan
                .clients
                .as_ref()
                .map(|_| (meters.tries.clone(), simulation.world.tries_in_flight())),
            arrived_measured: meters.arrived_measured,
            completed_measured: meters.completed_measured,
            tokens_measured: meters.tokens_measured,
            latencies: [
                meters.ttft.histogram.clone(),
                meters.tpot.histogram.clone(),
                meters.e2e.histogram.clone(),
                meters.queue.histogram.clone(),
            ],
            floors: [meters.ttft_floor.clone(), meters.e2e_floor.clone()],
            budget: meters.budget.clone(),
            slo: simulation.world.slo_with_in_flight(simulation.now()),
            pools,
            events_by_kind: meters.events_by_kind,
            digests: vec![(digest, meters.outcomes.value())],
            measured_s,
            end: simulation.now(),
            most_in_flight: simulation.world.most_in_flight(),
            present: meters.present,
            sessions: simulation.world.session_counts(),
            undecided: simulation.world.measured_in_flight(),
            whole: u32::from(matches!(ended, Ended::Drained | Ended::End)),
            cut_short: (!matches!(ended, Ended::Drained | Ended::End)).then_some(ended),
        }
    }

    /// Adds what another replication measured. Replications are to be added in their order.
    pub fn merge(&mut self, other: &Tally) {
        self.replications += other.replications;
        self.arrived += other.arrived;
        add_each(&mut self.ended, &other.ended);
        self.in_flight += other.in_flight;
        for (mine, theirs) in self.tiers.iter_mut().zip(&other.tiers) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.regions.iter_mut().zip(&other.regions) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.populations.iter_mut().zip(&other.populations) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.tenants.iter_mut().zip(&other.tenants) {
            mine.merge(theirs);
        }
        self.served.merge(&other.served);
        self.served_billed.merge(&other.served_billed);
        for (mine, theirs) in self.backlogs.iter_mut().zip(&other.backlogs) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.capacity, &other.capacity) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.erasure, &other.erasure) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.signals, &other.signals) {
            mine.merge(theirs);
        }
        if let (Some(mine), Some(theirs)) = (&mut self.tries, &other.tries) {
            mine.0.merge(&theirs.0);
            mine.1 += theirs.1;
        }
        self.arrived_measured += other.arrived_measured;
        self.completed_measured += other.completed_measured;
        self.tokens_measured.0 += other.tokens_measured.0;
        self.tokens_measured.1 += other.tokens_measured.1;
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.floors.iter_mut().zip(&other.floors) {
            mine.merge(theirs);
        }
        self.budget.merge(&other.budget);
        for (mine, theirs) in self.slo.iter_mut().zip(&other.slo) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.pools.iter_mut().zip(&other.pools) {
            mine.merge(theirs);
        }
        add_each(&mut self.events_by_kind, &other.events_by_kind);
        self.digests.extend(&other.digests);
        self.measured_s += other.measured_s;
        self.end = self.end.max(other.end);
        self.most_in_flight = self.most_in_flight.max(other.most_in_flight);
        self.whole += other.whole;
        self.present.0 += other.present.0;
        self.present.1 += other.present.1;
        self.undecided += other.undecided;
        if let (Some(mine), Some(theirs)) = (&mut self.sessions, &other.sessions) {
            mine.merge(theirs);
        }
        self.cut_short = self.cut_short.or(other.cut_short);
    }

    /// Events run.
    pub fn events(&self) -> u64 {
        self.events_by_kind.iter().sum()
    }

    /// Requests that ended in that way.
    pub fn ended_in(&self, outcome: Outcome) -> u64 {
        let ended = Status::ALL.iter().zip(self.ended);
        let of_it = ended.filter(|(status, _)| status.outcome() == outcome);
        of_it.map(|(_, count)| count).sum()
    }

    /// Requests that ended in one way.
    pub fn ended_as(&self, status: Status) -> u64 {
        self.ended[status.index()]
    }
}

fn add_each(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

/// Whether a replica has several iterations under way at once.
fn several_at_once(engine: &EnginePlan) -> bool {
    match engine {
        EnginePlan::Llm { rules, .. } => rules.pipeline.is_some() || rules.data_parallel > 1,
        EnginePlan::Abstract { .. } => false,
    }
}

impl PoolTally {
    fn of(
        simulation: &mut Simulation,
        plan: &FleetPlan,
        index: usize,
        measured_s: f64,
        now: SimTime,
    ) -> PoolTally {
        let pool = &plan.pools[index];
        let servers = match &pool.engine {
            EnginePlan::Abstract { servers, .. } => f64::from(*servers),
            EnginePlan::Llm { .. } => 1.0,
        };
        let capacity = simulation.world.capacity_at_end();
        let ready_s = capacity.and_then(|it| it.ready_measured_s(plan, index as u16));
        let replica_s = ready_s.unwrap_or(measured_s * f64::from(pool.replicas));
        let under_way_ns = simulation.world.busy_under_way_ns(index, now);
        let meter = simulation.world.pool_meter(index);
        meter.count_work(now);
        let busy_s = (meter.busy_ns + under_way_ns) as f64 / 1e9;
        PoolTally {
            busy_s,
            // With one at a time both are the same, and what is under way counts.
            iterations_s: match several_at_once(&pool.engine) {
                true => meter.iterations_ns as f64 / 1e9,
                false => busy_s,
            },
            available_s: replica_s * servers,
            replica_s,
            completed: meter.completed,
            batches: meter.batches,
            batched: meter.batched,
            closed_by_size: meter.closed_by_size,
            closed_by_window: meter.closed_by_window,
            prefill_tokens: meter.prefill_tokens,
            cached_tokens: meter.cached_tokens,
            tier_tokens: meter.tier_tokens,
            decode_tokens: meter.decode_tokens,
            verified: meter.verified,
            accepted_drafts: meter.accepted_drafts,
            preemptions: meter.preemptions,
            kv_blocks_most: meter.kv_blocks_most,
            present_s: meter.present_ns(now) as f64 / 1e9,
            links: meter.links,
            wait_s: meter.wait_ns as f64 / 1e9,
            least_s: meter.least_s,
        }
    }

    fn merge(&mut self, other: &PoolTally) {
        self.busy_s += other.busy_s;
        self.available_s += other.available_s;
        self.replica_s += other.replica_s;
        self.completed += other.completed;
        self.batches += other.batches;
        self.batched += other.batched;
        self.iterations_s += other.iterations_s;
        self.closed_by_size += other.closed_by_size;
        self.closed_by_window += other.closed_by_window;
        self.prefill_tokens += other.prefill_tokens;
        self.cached_tokens += other.cached_tokens;
        self.tier_tokens += other.tier_tokens;
        self.decode_tokens += other.decode_tokens;
        self.verified += other.verified;
        self.accepted_drafts += other.accepted_drafts;
        self.preemptions += other.preemptions;
        self.kv_blocks_most = self.kv_blocks_most.max(other.kv_blocks_most);
        self.present_s += other.present_s;
        self.links.merge(&other.links);
        self.wait_s += other.wait_s;
        self.least_s.0 += other.least_s.0;
        self.least_s.1 += other.least_s.1;
    }
}

/// Intervals of one latency: its mean and the [`QUANTILES`], milliseconds.
pub type LatencyIntervals = [Option<Interval>; 5];

/// Mean and [`QUANTILES`] of each of the [`LATENCIES`], milliseconds.
pub type Statistics = [[Option<f64>; 5]; 4];

/// Intervals within one run, by batch means.
pub fn intervals_within(simulation: &Simulation, confidence: f64) -> [LatencyIntervals; 4] {
    let meters = &simulation.world.meters;
    let all = [&meters.ttft, &meters.tpot, &meters.e2e, &meters.queue];
    all.map(|meter| {
        let of = |interval: Option<Interval>| interval.map(|interval| interval.scaled(1e-6));
        let mut found = [None; 5];
        found[0] = of(meter.batches.mean_interval(confidence));
        for (slot, (_, q)) in found[1..].iter_mut().zip(QUANTILES) {
            *slot = of(meter.batches.quantile_interval(q, confidence));
        }
        found
    })
}

/// Intervals of what independent replications (two or more) say together, `whole`, by how each differs.
pub fn intervals_between(
    whole: &Statistics,
    tallies: &[Statistics],
    confidence: f64,
) -> [LatencyIntervals; 4] {
    let mut found = [[None; 5]; 4];
    for (latency, row) in found.iter_mut().enumerate() {
        for (statistic, slot) in row.iter_mut().enumerate() {
            let values: Vec<f64> = tallies
                .iter()
                .filter_map(|tally| tally[latency][statistic])
                .collect();
            *slot = whole[latency][statistic]
                .and_then(|whole| Interval::of_whole(whole, &values, confidence))
                .map(|it| it.within((0.0, f64::INFINITY)));
        }
    }
    found
}

/// Mean and [`QUANTILES`] of the four latencies, milliseconds.
pub fn statistics(tally: &Tally) -> Statistics {
    let mut found = [[None; 5]; 4];
    for (histogram, row) in tally.latencies.iter().zip(found.iter_mut()) {
        row[0] = histogram.mean_ns().map(|ns| ns / 1e6);
        for (slot, (_, q)) in row[1..].iter_mut().zip(QUANTILES) {
            *slot = histogram.quantile(q).map(|ns| ns / 1e6);
        }
    }
    found
}
