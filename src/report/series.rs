//! What happened in each interval of a run, as a file in long format: a row for each interval, part of
//! the fleet, and metric.
//!
//! What is held in memory is one interval, whatever the length of the run.

mod file;
mod interval;

use std::path::Path;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::observer::Observer;
use crate::fleet::outcome::RequestRow;
use crate::fleet::plan::{EnginePlan, PoolPlan, TierPlan};
use crate::fleet::world::World;
use crate::measure::{SloMeter, SloTargets};
use crate::scenario::resolve::Plan;

use self::file::SeriesRow;
pub use self::file::{COLUMNS, SeriesError, SeriesFile};
use self::interval::{Tally, good};
use super::requests::Names;

/// Intervals that a run is divided into when nobody says how long one is, at most.
const USUAL_INTERVALS: f64 = 1_000.0;
/// Most intervals.
const MOST_INTERVALS: f64 = 10_000_000.0;
/// Shortest interval, seconds.
const SHORTEST_S: f64 = 0.001;

/// A part of the fleet that rows are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Fleet,
    /// A tier, by index.
    Tier(usize),
    /// A region, by index.
    Region(usize),
    /// A pool, by index.
    Pool(usize),
}

/// The name of each metric and what it is, in the order in which they are written.
pub const METRICS: [(&str, &str); 30] = [
    ("arrived", "requests that arrived"),
    ("tries", "tries that set out for the region"),
    ("completed", "requests that were answered in full"),
    ("rejected", "requests that were turned away"),
    ("shed", "requests that were shed"),
    ("timed_out", "requests given up after a time limit"),
    ("failed", "requests lost to a failure"),
    ("cancelled", "requests given up by their users"),
    (
        "good",
        "of those completed: within the objective of their tier",
    ),
    ("goodput_per_s", "the same, requests a second"),
    ("prompt_tokens", "prompt tokens of those completed"),
    ("output_tokens", "output tokens of those completed"),
    (
        "ttft_mean_ms",
        "time to first token of those completed, milliseconds",
    ),
    ("ttft_p50_ms", "its median"),
    ("ttft_p90_ms", "its 90th percentile"),
    ("ttft_p99_ms", "its 99th percentile"),
    (
        "tpot_mean_ms",
        "mean time per output token after the first, milliseconds",
    ),
    ("tpot_p50_ms", "its median"),
    ("tpot_p90_ms", "its 90th percentile"),
    ("tpot_p99_ms", "its 99th percentile"),
    ("e2e_mean_ms", "end to end, milliseconds"),
    ("e2e_p50_ms", "its median"),
    ("e2e_p90_ms", "its 90th percentile"),
    ("e2e_p99_ms", "its 99th percentile"),
    ("in_flight", "requests in flight when the interval ended"),
    ("waiting", "requests that waited when it ended"),
    ("running", "requests that ran when it ended"),
    ("replicas_up", "replicas that answered when it ended"),
    (
        "kv_usage",
        "share of the KV blocks in use when it ended, on average over those replicas",
    ),
    (
        "utilization",
        "share of the interval that the replicas that were up were at work",
    ),
];

/// How long an interval is when nobody says: whole seconds (tenths below ten minutes) of which a run
/// has 1,000 at most before arrivals stop.
pub fn usual_interval_s(plan: &Plan) -> f64 {
    let least = plan.fleet.horizon.as_secs_f64() / USUAL_INTERVALS;
    match least > 0.6 {
        true => least.ceil(),
        false => ((least * 10.0).ceil() / 10.0).max(0.1),
    }
}

/// Writes a file of intervals while a fleet is simulated.
pub struct Series {
    file: SeriesFile,
    failed: Option<SeriesError>,
    interval: SimDuration,
    /// Where the interval under way began, how many came before it, and how long it was when it ended.
    from: SimTime,
    index: u64,
    length_s: f64,
    names: Names,
    slo: Vec<SloMeter>,
    all: Tally,
    tiers: Vec<Tally>,
    regions: Vec<Tally>,
    pools: Vec<PoolTally>,
    before: Before,
}

/// What a pool did in the interval, and how many of its replicas were up at its beginning.
struct PoolTally {
    tally: Tally,
    servers: f64,
    busy_ns: u128,
    up: u32,
}

/// Counters as they were when the interval began.
#[derive(Default)]
struct Before {
    arrived: u64,
    tiers: Vec<u64>,
    regions: Vec<u64>,
}

impl Series {
    /// Opens a file; its extension says which kind. Intervals are `interval_s` long, 0.001 s or more.
    ///
    /// # Errors
    /// [`SeriesError`]: when the extension is no known one, the interval is too short, or the file
    /// cannot be written.
    pub fn create(path: &Path, plan: &Plan, interval_s: f64) -> Result<Series, SeriesError> {
        let span_s = plan.fleet.end.as_secs_f64();
        if !(interval_s >= SHORTEST_S && span_s / interval_s <= MOST_INTERVALS) {
            let least_s = (span_s / MOST_INTERVALS).max(SHORTEST_S);
            return Err(SeriesError::Interval {
                interval_s,
                least_s,
            });
        }
        let interval = SimDuration::from_secs_f64(interval_s);
        let names = Names::of(plan);
        let (tiers, regions) = (names.tiers.len(), names.regions.len());
        Ok(Series {
            file: SeriesFile::create(path)?,
            failed: None,
            interval,
            from: SimTime::ZERO,
            index: 0,
            length_s: 0.0,
            slo: plan.fleet.tiers.iter().map(objective_of).collect(),
            all: Tally::default(),
            tiers: vec![Tally::default(); tiers],
            regions: vec![Tally::default(); regions],
            pools: plan.fleet.pools.iter().map(PoolTally::of).collect(),
            before: Before {
                arrived: 0,
                tiers: vec![0; tiers],
                regions: vec![0; regions],
            },
            names,
        })
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// [`SeriesError::Write`].
    pub fn finish(self) -> Result<(), SeriesError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.file.finish(),
        }
    }

    /// How long an interval is, seconds.
    pub fn interval_s(&self) -> f64 {
        self.interval.as_secs_f64()
    }

    fn close(&mut self, world: &mut World, at: SimTime) {
        if at > self.from {
            let length_s = (at - self.from).as_secs_f64();
            self.length_s = length_s;
            self.fleet_rows(world, length_s);
            self.tier_rows(world, length_s);
            self.region_rows(world, length_s);
            self.pool_rows(world, at, length_s);
        }
        self.all.clear();
        for tally in self.tiers.iter_mut().chain(&mut self.regions) {
            tally.clear();
        }
        self.pools.iter_mut().for_each(|pool| pool.tally.clear());
    }

    fn put(&mut self, part: Part, metric: &'static str, value: f64) {
        if self.failed.is_some() {
            return;
        }
        let (scope, name) = match part {
            Part::Fleet => ("fleet", "all"),
            Part::Tier(index) => ("tier", self.names.tiers[index].as_str()),
            Part::Region(index) => ("region", self.names.regions[index].as_str()),
            Part::Pool(index) => ("pool", self.names.pools[index].as_str()),
        };
        let row = SeriesRow {
            t_s: self.from.as_secs_f64(),
            interval_s: self.length_s,
            scope,
            name,
            metric,
            value,
        };
        if let Err(error) = self.file.row(&row) {
            self.failed = Some(error);
        }
    }

    fn put_ended(&mut self, part: Part, length_s: f64) {
        let tally = match part {
            Part::Fleet => &self.all,
            Part::Tier(index) => &self.tiers[index],
            Part::Region(index) => &self.regions[index],
            Part::Pool(index) => &self.pools[index].tally,
        };
        for (metric, value) in tally.figures(length_s) {
            self.put(part, metric, value);
        }
    }

    fn fleet_rows(&mut self, world: &World, length_s: f64) {
        let arrived = world.meters.arrived;
        let came = arrived - std::mem::replace(&mut self.before.arrived, arrived);
        self.put(Part::Fleet, "arrived", came as f64);
        self.put_ended(Part::Fleet, length_s);
        self.put(Part::Fleet, "in_flight", world.in_flight() as f64);
        self.put(Part::Fleet, "waiting", world.waiting() as f64);
    }

    fn tier_rows(&mut self, world: &World, length_s: f64) {
        for index in 0..self.tiers.len() {
            let began = world.meters.tiers[index].began;
            let came = began - std::mem::replace(&mut self.before.tiers[index], began);
            self.put(Part::Tier(index), "arrived", came as f64);
            self.put_ended(Part::Tier(index), length_s);
        }
    }

    fn region_rows(&mut self, world: &World, length_s: f64) {
        for index in 0..self.regions.len() {
            // Counted only where requests are made of tries.
            if world.meters.timeline.is_on()
                && let Some(counts) = world.meters.regions.get(index)
            {
                let began = counts.began;
                let came = began - std::mem::replace(&mut self.before.regions[index], began);
                self.put(Part::Region(index), "tries", came as f64);
            }
            self.put_ended(Part::Region(index), length_s);
        }
    }

    fn pool_rows(&mut self, world: &mut World, at: SimTime, length_s: f64) {
        for index in 0..self.pools.len() {
            let part = Part::Pool(index);
            self.put_ended(part, length_s);
            let view = world.pool_view(index as u16, at);
            self.put(part, "waiting", view.waiting as f64);
            self.put(part, "running", view.running as f64);
            self.put(part, "replicas_up", f64::from(view.up));
            self.put(part, "kv_usage", view.kv_usage);
            let under_way_ns = world.busy_under_way_ns(index, at);
            let meter = world.pool_meter(index);
            meter.count_work(at);
            let busy_ns = meter.busy_ns + under_way_ns;
            let (start, end) = meter.window();
            let pool = &mut self.pools[index];
            let worked_ns = busy_ns.saturating_sub(std::mem::replace(&mut pool.busy_ns, busy_ns));
            let up = f64::midpoint(f64::from(pool.up), f64::from(view.up));
            pool.up = view.up;
            let there_s = length_s * up * pool.servers;
            // Work is metered between warm-up and horizon.
            if self.from >= start && at <= end && there_s > 0.0 {
                self.put(part, "utilization", worked_ns as f64 / 1e9 / there_s);
            }
        }
    }
}

/// What a tier's requests are held against.
fn objective_of(tier: &TierPlan) -> SloMeter {
    let slo = tier.slo.as_ref();
    let targets = SloTargets {
        ttft_ms: slo.and_then(|slo| slo.ttft_ms),
        tpot_ms: slo.and_then(|slo| slo.tpot_ms),
        e2e_ms: slo.and_then(|slo| slo.e2e_ms),
    };
    SloMeter::new(targets, slo.map_or(1.0, |slo| slo.target))
}

impl PoolTally {
    fn of(pool: &PoolPlan) -> PoolTally {
        PoolTally {
            tally: Tally::default(),
            servers: match &pool.engine {
                EnginePlan::Abstract { servers, .. } => f64::from(*servers),
                EnginePlan::Llm { .. } => 1.0,
            },
            busy_ns: 0,
            up: pool.at_start,
        }
    }
}

impl Observer for Series {
    fn next_look(&self) -> Option<SimTime> {
        let at = self.interval.0.checked_mul(self.index + 1)?;
        Some(SimTime(at))
    }

    fn look(&mut self, world: &mut World, at: SimTime) {
        self.close(world, at);
        self.from = at;
        self.index += 1;
    }

    fn rows(&mut self, rows: &[RequestRow]) {
        for row in rows {
            let good = good(&self.slo, row);
            self.all.add(row, good);
            self.tiers[usize::from(row.tier)].add(row, good);
            if let Some(tally) = row
                .region
                .and_then(|it| self.regions.get_mut(usize::from(it)))
            {
                tally.add(row, good);
            }
            if let Some(pool) = row.pool.and_then(|it| self.pools.get_mut(usize::from(it))) {
                pool.tally.add(row, good);
            }
        }
    }

    fn over(&mut self, world: &mut World, at: SimTime) {
        // The last event may have been at the very beginning of an interval.
        self.close(world, SimTime(at.0.saturating_add(1)));
    }
}
