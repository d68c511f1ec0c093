//! What erasures come to, as the result has it.

mod growth;
mod laws;
pub(super) mod warnings;

use serde_json::{Map, Value, json};

use crate::engine::{Ended, SimTime};
use crate::fleet::erasure::LogRow;
use crate::fleet::erasure::meters::{ErasureMeters, PlaceMeter};
use crate::fleet::erasure::plan::ErasurePlan;
use crate::fleet::simulation::Simulation;
use crate::measure::LatencyHistogram;
use crate::scenario::resolve::Plan;

use super::result::ratio;
use super::tally::Tally;

pub use self::growth::{growth_fields, growth_of};
pub use self::laws::{Laws, laws_of};

/// Erasures of one replication, or of several together.
#[derive(Debug, Clone)]
pub struct ErasureTally {
    /// Counts and times.
    pub meters: ErasureMeters,
    /// By log and region.
    pub logs: Vec<LogRow>,
    /// Erasures not done at the end.
    pub pending: u64,
    /// Records on their way between regions at the end.
    pub on_their_way: u64,
}

impl ErasureTally {
    /// Winds the erasures of a simulation that has ended up; up to when that is.
    pub fn wind_up(simulation: &mut Simulation, ended: Ended) -> SimTime {
        let plan = std::sync::Arc::clone(simulation.plan());
        let now = simulation.now();
        let now = match ended {
            // All that happens by the end of the run has happened.
            Ended::Drained | Ended::End => plan.end.max(now),
            _ => now,
        };
        // One that has not begun is asked for the fields of its result alone.
        if let (true, Some(erasure)) = (simulation.events() > 0, simulation.world.erasure_mut()) {
            erasure.wind_up(now);
        }
        now
    }

    /// Those of a simulation that has ended; none where it has none.
    pub fn of(simulation: &mut Simulation, ended: Ended) -> Option<ErasureTally> {
        let now = ErasureTally::wind_up(simulation, ended);
        let erasure = simulation.world.erasure_mut()?;
        Some(ErasureTally {
            meters: erasure.meters_at(now),
            logs: erasure.log_rows(),
            pending: erasure.pending(),
            on_their_way: erasure.on_their_way(),
        })
    }

    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &ErasureTally) {
        self.meters.merge(&other.meters);
        for (mine, theirs) in self.logs.iter_mut().zip(&other.logs) {
            mine.merge(theirs);
        }
        self.pending += other.pending;
        self.on_their_way += other.on_their_way;
    }
}

/// p50, p99, mean and greatest of `all`, in units of `unit_ns`. Those that are not done take longer than any
/// that is: a quantile that falls among them is not known, and neither are mean and greatest with any.
fn times(histogram: &LatencyHistogram, all: u64, unit_ns: f64) -> Value {
    let done = histogram.count();
    let of = |ns: Option<f64>| ns.map(|ns| ns / unit_ns);
    let quantile = |q: f64| {
        let rank = (q * all as f64).ceil();
        let known = done > 0 && rank <= done as f64;
        of(known
            .then(|| histogram.quantile(rank / done as f64))
            .flatten())
    };
    let whole = |ns: Option<f64>| of(ns.filter(|_| done >= all));
    json!({
        "count": done,
        "mean": whole(histogram.mean_ns()),
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "max": whole(histogram.max_ns().map(|ns| ns as f64)),
    })
}

/// The section; empty where the scenario has no erasures.
pub fn erasure_of(plan: &Plan, tally: &Tally) -> Value {
    let (Some(rules), Some(erasure)) = (&plan.fleet.erasure, &tally.erasure) else {
        return json!({});
    };
    let meters = &erasure.meters;
    let accepted = meters.requested - meters.rejected;
    // Pending and not late yet: nothing can be said of a share of all while there are any.
    let undecided = |decided: u64| accepted - decided;
    let share = |good: u64, decided: u64| {
        let all = ratio(good as f64, accepted as f64);
        all.filter(|_| decided == accepted)
    };
    let mut section = json!({
        "sample_one_in": rules.sample,
        "subjects": rules.subjects,
        "requested": meters.requested,
        "rejected": meters.rejected,
        "accepted": accepted,
        "done": meters.done,
        "pending": erasure.pending,
        "logical_ms": times(&meters.logical, accepted, 1e6),
        "physical_s": times(&meters.physical, accepted, 1e9),
        "deadline_days": rules.deadline.as_secs_f64() / 86_400.0,
        "deadline_misses": meters.deadline_misses,
        "undecided": undecided(meters.in_time + meters.deadline_misses),
        "in_time": share(meters.in_time, meters.in_time + meters.deadline_misses),
        "resurrected": meters.resurrected,
        "cancelled_requests": meters.cancelled,
        "records_on_their_way": erasure.on_their_way,
        "stores": stores(plan, rules, tally, erasure),
        "places": places(plan, meters),
    });
    if let (Some(slo), Some(fields)) = (rules.slo, section.as_object_mut()) {
        let missed = meters.slo_misses;
        let target = json!({
            "within_s": slo.as_secs_f64(),
            "misses": missed,
            "undecided": undecided(meters.within_slo + missed),
            "attained": share(meters.within_slo, meters.within_slo + missed),
        });
        fields.insert("slo".to_owned(), target);
    }
    section
}

/// A place as the audit log names it: the store, and its region where there are several.
pub fn place_name(plan: &Plan, place: &PlaceMeter) -> String {
    let regions = &plan.fleet.topology.regions;
    match place.region.filter(|_| regions.len() > 1) {
        Some(region) => format!("{}-{}", place.store, regions[usize::from(region)].name),
        None => place.store.clone(),
    }
}

fn places(plan: &Plan, meters: &ErasureMeters) -> Vec<Value> {
    let rows = meters.places.iter().map(|place| {
        json!({
            "name": place_name(plan, place),
            "store": place.store,
            "begun": place.begun,
            "done": place.done,
            "pending": place.begun - place.done,
            "logical_ms": times(&place.logical, place.begun, 1e6),
            "physical_s": times(&place.physical, place.begun, 1e9),
        })
    });
    rows.collect()
}

/// The stores, each over all of its regions, and requests under way.
fn stores(plan: &Plan, rules: &ErasurePlan, tally: &Tally, erasure: &ErasureTally) -> Vec<Value> {
    let mut together: Vec<PlaceMeter> = Vec::new();
    for place in &erasure.meters.places {
        match together.iter_mut().find(|it| it.store == place.store) {
            Some(known) => {
                known.begun += place.begun;
                known.done += place.done;
                known.logical.merge(&place.logical);
                known.physical.merge(&place.physical);
            }
            None => together.push(place.clone()),
        }
    }
    let rows = together.iter().map(|place| {
        let mut row = json!({
            "name": place.store,
            "kind": kind_of(rules, &place.store),
            "begun": place.begun,
            "done": place.done,
            "pending": place.begun - place.done,
            "logical_ms": times(&place.logical, place.begun, 1e6),
            "physical_s": times(&place.physical, place.begun, 1e9),
        });
        if let (Some(fields), Some(log)) = (row.as_object_mut(), log_of(erasure, &place.store)) {
            let facts = rules.logs.iter().find(|it| it.name == place.store);
            if let Some(facts) = facts {
                let laws = laws_of(facts, &log, plan);
                fields.extend(log_fields(&log, tally, &laws));
                let rule = serde_json::to_value(facts.rule).unwrap_or(Value::Null);
                fields.insert("lsm".to_owned(), rule);
            }
        }
        row
    });
    rows.collect()
}

fn kind_of(rules: &ErasurePlan, store: &str) -> &'static str {
    if rules.logs.iter().any(|it| it.name == store) {
        "request_log"
    } else if rules.kv.iter().any(|it| it.name == store) {
        "prefix_cache"
    } else if rules.caches.iter().any(|it| it.name == store) {
        "cache"
    } else if rules.backups.iter().any(|it| it.name == store) {
        "backup"
    } else {
        "requests"
    }
}

/// A log over all of its regions and replicas.
fn log_of(erasure: &ErasureTally, store: &str) -> Option<LogRow> {
    let mut rows = erasure.logs.iter().filter(|row| row.store == store);
    let mut sum = rows.next()?.clone();
    rows.for_each(|row| sum.merge(row));
    Some(sum)
}

fn log_fields(log: &LogRow, tally: &Tally, laws: &Laws) -> Map<String, Value> {
    let meters = &log.meters;
    let per_log = |sum: u64| ratio(sum as f64, log.logs as f64);
    let purges = &log.purges;
    let per_purge = |sum: u64| ratio(sum as f64, purges.done as f64);
    let simulated_s = tally.end.as_secs_f64() * log.logs as f64;
    let busy = (meters.foreground + meters.background).as_secs_f64();
    let deadline = meters.by_deadline.read + meters.by_deadline.written;
    let fields = json!({
        "logs": log.logs,
        "records": meters.taken.records,
        "live_bytes": meters.live.bytes,
        "shadowed_bytes": meters.shadowed.bytes,
        "reclaimed_bytes": meters.reclaimed.bytes,
        "tombstone_bytes": meters.tombstones.bytes,
        "held_bytes": meters.held_bytes(),
        "levels": per_log(log.depth),
        "runs": per_log(log.runs),
        "level_bytes": log.level_bytes,
        "write_amplification": meters.write_amplification(),
        "space_amplification": meters.space_amplification(),
        "read_amplification": meters.read_amplification(),
        "dropped_late": meters.dropped_late.records,
        "dropped_replicas": meters.dropped_replicas,
        "resurrected": log.resurrected,
        "estimated_splits": meters.estimated_splits,
        "stalls": meters.stalls,
        "compaction": {
            "by_size": compacted(&meters.by_size),
            "by_deadline": compacted(&meters.by_deadline),
            "flushed_bytes": meters.flushed_bytes,
            "moves": meters.moves,
        },
        "disk_share": ratio(busy, simulated_s),
        "erasure_mb_per_s": ratio(deadline as f64 / 1e6, simulated_s),
        "purge": {
            "done": purges.done,
            "pending": log.pending,
            "records_in_log": per_purge(purges.log_records),
            "longest_s": purges.longest.as_secs_f64(),
            "records": per_purge(purges.records),
            "runs_searched": per_purge(purges.probed),
            "jobs": per_purge(purges.jobs),
            "work_bytes": per_purge(purges.work_bytes),
        },
        "theory": laws.to_json(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn compacted(of: &crate::fleet::lsm::Compacted) -> Value {
    json!({"jobs": of.jobs, "read_bytes": of.read, "written_bytes": of.written})
}
