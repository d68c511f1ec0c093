//! What became of the requests: counts, latencies, budget, objectives, and rows for a file.

use crate::engine::{Digest, SimDuration, SimTime};
use crate::measure::{BatchMeans, LatencyBudget, LatencyHistogram, SloMeter, SloTargets};
use crate::scenario::roles::Role;

use super::backlog::Backlog;
use super::calls::TryMeter;
use super::event::Event;
use super::ids::NONE;
use super::plan::{EnginePlan, FleetPlan};
use super::replica::Replica;
use super::request::{Request, Status};
use super::served::{Answerer, ServedMeter};
use super::timeline::Timeline;

/// How many began, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that began.
    pub began: u64,
    /// Those that ended, by how.
    pub ended: [u64; Status::COUNT],
}

impl Counts {
    /// Those that began and have not ended.
    pub fn under_way(&self) -> u64 {
        self.began.saturating_sub(self.ended.iter().sum())
    }

    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &Counts) {
        self.began += other.began;
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
    }
}

/// What became of the requests of a part of the traffic: of a population of clients, of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartMeter {
    /// Those that came, and by how they ended.
    pub counts: Counts,
    /// Of those that arrived within the measured window: those that ended.
    pub counted: u64,
    /// Of these: answered within their objective.
    pub good: u64,
    /// Tokens of those answered, prompts and answers.
    pub tokens: u64,
}

impl PartMeter {
    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &PartMeter) {
        self.counts.merge(&other.counts);
        self.counted += other.counted;
        self.good += other.good;
        self.tokens += other.tokens;
    }
}

/// A latency, as a histogram and as batches for its interval.
#[derive(Debug, Clone, Default)]
pub struct LatencyMeter {
    /// All samples.
    pub histogram: LatencyHistogram,
    /// The same in batches.
    pub batches: BatchMeans,
}

impl LatencyMeter {
    #[inline]
    fn record(&mut self, ns: u64) {
        self.histogram.record(ns);
        self.batches.record(ns);
    }
}

/// Numbers over all requests of a run. Counts are of the whole run; latencies, tokens and
/// objectives are of the requests that arrived within the measured window.
#[derive(Debug, Clone)]
pub struct FleetMeters {
    /// Requests that came to the gateway.
    pub arrived: u64,
    /// Requests by how they ended.
    pub ended: [u64; Status::COUNT],
    /// Requests that arrived within the measured window.
    pub arrived_measured: u64,
    /// Requests completed within the measured window, whenever they arrived.
    pub completed_measured: u64,
    /// Prompt and output tokens of the requests completed within the measured window.
    pub tokens_measured: (u64, u64),
    /// Time to first token.
    pub ttft: LatencyMeter,
    /// Mean time per output token after the first.
    pub tpot: LatencyMeter,
    /// End to end.
    pub e2e: LatencyMeter,
    /// Time in the engine's queue.
    pub queue: LatencyMeter,
    /// The least TTFT that the hardware allows for each request.
    pub ttft_floor: LatencyHistogram,
    /// The least E2E that the hardware allows for each request.
    pub e2e_floor: LatencyHistogram,
    /// Where E2E goes.
    pub budget: LatencyBudget,
    /// Objectives, one a tier.
    pub slo: Vec<SloMeter>,
    /// Requests that came, and by how they ended, by tier.
    pub tiers: Vec<Counts>,
    /// Tries that set out, and by how they ended, by region; those that found none come last. Only
    /// where calls make tries.
    pub regions: Vec<Counts>,
    /// What became of the requests, by population. Only where calls make tries.
    pub populations: Vec<PartMeter>,
    /// The same by tenant, where there are any.
    pub tenants: Vec<PartMeter>,
    /// Whether the two below are kept.
    keeps_account: bool,
    /// What was answered within the measured window, by whom and for whom.
    pub served: ServedMeter,
    /// The same until the horizon: what the bill is of.
    pub served_billed: ServedMeter,
    /// Requests that are not over, by tier.
    pub backlogs: Vec<Backlog>,
    /// What became of the tries, where calls make several.
    pub tries: TryMeter,
    /// What happened when, where anything can fail.
    pub timeline: Timeline,
    /// Events by kind.
    pub events_by_kind: [u64; Event::KINDS],
    /// A digest of every request's end, in order.
    pub outcomes: Digest,
    window: (SimTime, SimTime),
    /// Requests in flight at the last arrival before half of the measured window had passed, and
    /// at the last arrival of all.
    pub present: (u64, u64),
    /// E2E of each request in order of ending, when somebody asked for it (a pilot run).
    pub pilot: Option<crate::measure::Mser5>,
}

impl FleetMeters {
    /// Meters that read nothing yet.
    pub fn new(plan: &FleetPlan) -> FleetMeters {
        let slo = plan.tiers.iter().map(|tier| {
            let slo = tier.slo;
            let targets = SloTargets {
                ttft_ms: slo.and_then(|slo| slo.ttft_ms),
                tpot_ms: slo.and_then(|slo| slo.tpot_ms),
                e2e_ms: slo.and_then(|slo| slo.e2e_ms),
            };
            SloMeter::new(targets, slo.map_or(1.0, |slo| slo.target))
                .with_availability(slo.and_then(|slo| slo.availability))
        });
        FleetMeters {
            arrived: 0,
            ended: [0; Status::COUNT],
            arrived_measured: 0,
            completed_measured: 0,
            tokens_measured: (0, 0),
            ttft: LatencyMeter::default(),
            tpot: LatencyMeter::default(),
            e2e: LatencyMeter::default(),
            queue: LatencyMeter::default(),
            ttft_floor: LatencyHistogram::default(),
            e2e_floor: LatencyHistogram::default(),
            budget: LatencyBudget::default(),
            slo: slo.collect(),
            tiers: vec![Counts::default(); plan.tiers.len()],
            regions: vec![Counts::default(); plan.topology.regions.len() + 1],
            populations: vec![PartMeter::default(); plan.topology.populations.len()],
            tenants: vec![PartMeter::default(); plan.tenants()],
            keeps_account: plan.keeps_account,
            served: ServedMeter::new(plan),
            served_billed: ServedMeter::new(plan),
            backlogs: {
                let window = (plan.warmup, plan.horizon);
                let tiers = plan.tiers.iter();
                tiers.map(|it| Backlog::new(window, it.deadline)).collect()
            },
            tries: TryMeter::default(),
            timeline: Timeline::new(
                plan.clients.is_some(),
                plan.horizon,
                plan.topology.regions.len(),
            ),
            events_by_kind: [0; Event::KINDS],
            outcomes: Digest::default(),
            window: (plan.warmup, plan.horizon),
            present: (0, 0),
            pilot: None,
        }
    }

    /// Notes an arrival.
    pub fn arrived(&mut self, request: &Request, plan: &FleetPlan) {
        self.arrived += 1;
        self.tiers[request.tier as usize].began += 1;
        if self.keeps_account {
            self.backlogs[request.tier as usize].came(request.arrival);
        }
        if !self.measures(request.arrival) {
            return;
        }
        self.arrived_measured += 1;
        if let Some((ttft_ns, e2e_ns)) = floor_ns(request, plan) {
            self.ttft_floor.record(ttft_ns as u64);
            self.e2e_floor.record(e2e_ns as u64);
        }
    }

    /// Notes how many requests are in flight when one arrives.
    #[inline]
    pub fn present_at_arrival(&mut self, now: SimTime, in_flight: u64) {
        let (start, end) = self.window;
        if now.0 < start.0 / 2 + end.0 / 2 {
            self.present.0 = in_flight;
        }
        self.present.1 = in_flight;
    }

    /// Notes the end of a call at `now`, and the last of its tries.
    ///
    /// `beside` has how long that took from its client to its gateway, `who` answered it, if it
    /// was.
    pub fn ended(
        &mut self,
        request: &Request,
        ending: &Ending,
        status: Status,
        beside: Beside,
        who: Option<Answerer>,
        now: SimTime,
    ) {
        self.ended[status.index()] += 1;
        self.tiers[ending.tier as usize].ended[status.index()] += 1;
        for word in [
            ending.serial,
            status.index() as u64,
            request.scheduled.0,
            request.first_token.0,
            request.last_token.0,
        ] {
            self.outcomes.add(word);
        }
        let answered = status == Status::Completed;
        if self.keeps_account {
            self.backlogs[ending.tier as usize].went(ending.arrival, answered, now);
        }
        if !answered {
            if self.timeline.is_on() {
                self.timeline.ended(now, status, false);
                self.ended_of_parts(ending, status, false, 0);
            }
            if self.measures(ending.arrival) {
                self.slo[ending.tier as usize].record_miss();
            }
            return;
        }
        // It has just come back to the gateway.
        let before = request.arrival - ending.arrival;
        let back = now - request.last_token;
        let latencies = Latencies::of(request, back).after(before, beside);
        let counts = self.timeline.is_on() || self.keeps_account;
        let good = counts
            && self.slo[ending.tier as usize].is_good(
                latencies.ttft_ns,
                latencies.tpot_ns,
                latencies.e2e_ns,
            );
        if self.measures(now) {
            self.completed_measured += 1;
            self.tokens_measured.0 += u64::from(request.prompt_tokens);
            self.tokens_measured.1 += u64::from(request.output_tokens);
            if let Some(who) = who {
                self.served.answered(who, request, ending, good);
            }
        }
        if let Some(who) = who.filter(|_| now < self.window.1) {
            self.served_billed.answered(who, request, ending, good);
        }
        if self.timeline.is_on() {
            self.timeline.ended(now, status, good);
            let tokens = u64::from(request.prompt_tokens) + u64::from(request.output_tokens);
            self.ended_of_parts(ending, status, good, tokens);
        }
        if let Some(pilot) = &mut self.pilot {
            pilot.push(latencies.e2e_ns as f64);
        }
        if self.measures(ending.arrival) {
            self.record(ending.tier, &latencies);
        }
    }

    /// Notes that a call of a population and a tenant began.
    pub fn began(&mut self, population: u16, tenant: u32) {
        self.populations[usize::from(population)].counts.began += 1;
        if let Some(meter) = self.tenants.get_mut(tenant as usize) {
            meter.counts.began += 1;
        }
    }

    fn ended_of_parts(&mut self, ending: &Ending, status: Status, good: bool, tokens: u64) {
        let counted = self.measures(ending.arrival);
        let population = &mut self.populations[usize::from(ending.population)];
        let tenant = self.tenants.get_mut(ending.tenant as usize);
        for meter in [Some(population), tenant].into_iter().flatten() {
            meter.counts.ended[status.index()] += 1;
            meter.counted += u64::from(counted);
            meter.good += u64::from(counted && good);
            meter.tokens += tokens;
        }
    }

    fn record(&mut self, tier: u16, latencies: &Latencies) {
        self.ttft.record(latencies.ttft_ns);
        self.e2e.record(latencies.e2e_ns);
        self.queue.record(latencies.queue_ns());
        if let Some(tpot_ns) = latencies.tpot_ns {
            self.tpot.record(tpot_ns);
        }
        self.budget.record(latencies.e2e_ns, &latencies.parts_ns);
        self.slo[tier as usize].record(latencies.ttft_ns, latencies.tpot_ns, latencies.e2e_ns);
    }

    /// Whether requests that arrive at an instant are measured.
    pub fn measures(&self, at: SimTime) -> bool {
        at >= self.window.0 && at < self.window.1
    }
}

/// The least TTFT and E2E that any of the pools' hardware allows a request, nanoseconds; none when
/// a pool is abstract and says nothing of hardware.
fn floor_ns(request: &Request, plan: &FleetPlan) -> Option<(f64, f64)> {
    let mut least = (f64::INFINITY, f64::INFINITY);
    // The least times of the two parts where they are computed apart.
    let (mut prompt, mut rest) = (f64::INFINITY, f64::INFINITY);
    for pool in &plan.pools {
        let EnginePlan::Llm { step, rules } = &pool.engine else {
            return None;
        };
        // A prefix cache may hold all of a prompt but its last token.
        let tokens = match rules.prefix_caching {
            true => 1,
            false => request.prompt_tokens,
        };
        let (ttft, e2e) = step.request_floor_ns(tokens, request.output_tokens)?;
        match pool.role {
            Role::Mixed => least = (least.0.min(ttft), least.1.min(e2e)),
            Role::Prefill => prompt = prompt.min(ttft),
            Role::Decode => rest = rest.min(e2e - ttft),
        }
    }
    if let Some(transfer) = &plan.transfer {
        let moved = match request.output_tokens {
            0 | 1 => 0.0,
            _ => (transfer.on_the_link(request.prompt_tokens) + transfer.latency).0 as f64,
        };
        let apart = (prompt, prompt + moved + rest);
        least = (least.0.min(apart.0), least.1.min(apart.1));
    }
    Some(least)
}

/// What is known of a call at its end beside its last try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Serial number.
    pub serial: u64,
    /// When it began.
    pub arrival: SimTime,
    /// Tier.
    pub tier: u16,
    /// Population of its client.
    pub population: u16,
    /// Its tenant.
    pub tenant: u32,
    /// Tries it made.
    pub tries: u16,
}

impl Ending {
    /// That of a call with this one try.
    pub fn of(request: &Request) -> Ending {
        Ending {
            serial: request.serial,
            arrival: request.arrival,
            tier: request.tier,
            population: 0,
            tenant: 0,
            tries: 1,
        }
    }
}

/// Times of a request's last try that its own stamps do not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// From its client to its gateway.
    pub outward: SimDuration,
    /// From its last token at its gateway until its record was on disk, where answers wait for that.
    pub logged: SimDuration,
}

impl Beside {
    /// None took any time.
    pub const NOTHING: Beside = Beside {
        outward: SimDuration::ZERO,
        logged: SimDuration::ZERO,
    };
}

/// The latencies of one completed request, as seen at the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies {
    /// Arrival to first token.
    pub ttft_ns: u64,
    /// Mean time per output token after the first; none with a single token.
    pub tpot_ns: Option<u64>,
    /// Arrival to last token.
    pub e2e_ns: u64,
    /// Parts of E2E in the order of [`crate::measure::Part::ALL`]; they sum to it. The way of KV
    /// from one replica to another (with the wait for its link) counts as network, the wait for
    /// the engine there as queue.
    pub parts_ns: [u64; 7],
}

impl Latencies {
    /// The latencies of a completed request whose tokens take `hop` back to the gateway.
    pub fn of(request: &Request, hop: SimDuration) -> Latencies {
        let decode_ns = (request.last_token - request.first_token).0;
        // What of it went to the way to another replica, and to the queue there.
        let (moved_ns, resumed_ns) = match request.resumed {
            SimTime::NEVER => (0, 0),
            resumed => (
                (request.kv_arrived - request.first_token).0,
                (resumed - request.kv_arrived).0,
            ),
        };
        let steps = u64::from(request.output_tokens.saturating_sub(1));
        let single_pass = decode_ns == 0;
        Latencies {
            ttft_ns: (request.first_token - request.arrival + hop).0,
            tpot_ns: (steps > 0 && !single_pass).then(|| (decode_ns + steps / 2) / steps),
            e2e_ns: (request.last_token - request.arrival + hop).0,
            parts_ns: [
                (request.delivered - request.gateway + hop).0 + moved_ns,
                (request.gateway - request.arrival).0,
                (request.queued - request.delivered).0,
                (request.scheduled - request.queued).0 + resumed_ns,
                (request.first_token - request.scheduled).0,
                decode_ns - moved_ns - resumed_ns,
                0,
            ],
        }
    }

    /// The same, of a call whose tries before this one began took `before`, and whose last took
    /// `outward` to its gateway: that is network, not gateway. What it waited for its record at the end is
    /// gateway, not network, and no token came later for it but the last.
    pub fn after(mut self, before: SimDuration, beside: Beside) -> Latencies {
        self.parts_ns[0] += beside.outward.0;
        self.parts_ns[1] -= beside.outward.0;
        self.parts_ns[0] -= beside.logged.0;
        self.parts_ns[1] += beside.logged.0;
        self.ttft_ns -= beside.logged.0;
        self.ttft_ns += before.0;
        self.e2e_ns += before.0;
        self.parts_ns[6] += before.0;
        self
    }

    fn queue_ns(&self) -> u64 {
        self.parts_ns[3]
    }
}

/// One request of a request file. Stamps are nanoseconds since the start; those of tokens are
/// when the gateway has them. A stamp that never happened is `None`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RequestRow {
    /// Serial number.
    pub id: u64,
    /// Index of the region that its last try set out for; none where it found none.
    pub region: Option<u16>,
    /// Index of the tier.
    pub tier: u16,
    /// Index of the pool.
    pub pool: Option<u16>,
    /// Index of the replica over all pools.
    pub replica: Option<u32>,
    /// Arrival at the gateway.
    pub arrival_ns: u64,
    /// Left the gateway.
    pub gateway_ns: Option<u64>,
    /// Joined the engine's queue.
    pub queued_ns: Option<u64>,
    /// First scheduled.
    pub scheduled_ns: Option<u64>,
    /// First token at the gateway.
    pub first_token_ns: Option<u64>,
    /// Last token at the gateway.
    pub last_token_ns: Option<u64>,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// Output tokens.
    pub output_tokens: u32,
    /// Prompt tokens found in a cache.
    pub cached_tokens: u32,
    /// Preemptions.
    pub preemptions: u16,
    /// Attempts.
    pub attempts: u16,
    /// How it ended.
    pub status: &'static str,
    /// Reached the replica.
    pub delivered_ns: Option<u64>,
    /// The replica that computed its prompt for the one above.
    pub prefill_replica: Option<u32>,
    /// Its KV had come from there.
    pub kv_arrived_ns: Option<u64>,
    /// First scheduled where its KV went.
    pub resumed_ns: Option<u64>,
    /// Index of the population of its client.
    pub population: u16,
    /// Index of its tenant; none where none are stated.
    pub tenant: Option<u32>,
    /// It was over for its client, however it ended.
    pub ended_ns: Option<u64>,
}

impl RequestRow {
    /// The row of a call, whose last try is `request`.
    pub fn new(
        request: &Request,
        ending: &Ending,
        status: &'static str,
        plan: &FleetPlan,
        replicas: &[Replica],
    ) -> RequestRow {
        let stamp = |time: SimTime| (time != SimTime::NEVER).then_some(time.0);
        let routed = request.replica.0 != NONE;
        let pool = routed.then(|| replicas[request.replica.0 as usize].pool.0);
        let region = plan.region_of_gateway(request.gateway_replica);
        let hop = pool.map_or(0, |pool| plan.hop_back(region, usize::from(pool)).0);
        let token = |time: SimTime| stamp(time).map(|ns| ns + hop);
        RequestRow {
            id: ending.serial,
            region: Some(region),
            tier: ending.tier,
            pool,
            replica: routed.then_some(request.replica.0),
            arrival_ns: ending.arrival.0,
            gateway_ns: stamp(request.gateway),
            queued_ns: stamp(request.queued),
            scheduled_ns: stamp(request.scheduled),
            first_token_ns: token(request.first_token),
            last_token_ns: token(request.last_token),
            prompt_tokens: request.prompt_tokens,
            output_tokens: request.output_tokens,
            cached_tokens: request.cached_tokens,
            preemptions: request.preemptions,
            attempts: ending.tries,
            status,
            delivered_ns: stamp(request.delivered),
            prefill_replica: (request.prefill_replica.0 != NONE)
                .then_some(request.prefill_replica.0),
            kv_arrived_ns: stamp(request.kv_arrived),
            resumed_ns: stamp(request.resumed),
            population: ending.population,
            tenant: Some(ending.tenant).filter(|_| plan.tenants() > 0),
            ended_ns: None,
        }
    }

    /// Its last token came to the gateway then, and its first as much later than it should have:
    /// messages may have been lost or held up.
    pub fn last_token_came(&mut self, at: SimTime) {
        let late = self.last_token_ns.map_or(0, |ns| at.0 - ns);
        for token in [&mut self.first_token_ns, &mut self.last_token_ns] {
            *token = token.map(|ns| ns + late);
        }
    }
}
