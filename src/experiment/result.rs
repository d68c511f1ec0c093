//! The result of a run: what `--json` prints and what claims are tested on.

mod pools;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::Digest;
use crate::engine::Ended;
use crate::fleet::calls::TryMeter;
use crate::fleet::event::Event;
use crate::fleet::outcome::{Counts, PartMeter};
use crate::fleet::request::{Outcome, Status};
use crate::measure::{BudgetRow, Interval, SloRow, Summary};
use crate::scenario::resolve::Plan;
use crate::workload::sessions::SessionCounts;

use self::pools::pool_rows;
use super::capacity::capacity_rows;
use super::claims::Judgement;
use super::cost::cost_of;
use super::erasure::erasure_of;
use super::physics;
use super::provenance::{Figure, provenance};
use super::roles::rate_matching;
use super::sizing::Sizing;
use super::tally::{LATENCIES, LatencyIntervals, QUANTILES, Tally};
use super::theory::theory_of;
use super::tiers::tier_rows;
use super::timeline::TimelineReport;
use super::warnings::warnings_of;

/// Version of the document's shape.
pub const SCHEMA: u32 = 1;

/// The result of a run. Durations are in milliseconds unless a name says otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// Seed.
    pub seed: u64,
    /// Independent replications; counts are of all of them together.
    pub replications: u32,
    /// Digest of the event streams.
    pub digest: String,
    /// Digest of what became of every request; the same however events are folded.
    pub outcome_digest: String,
    /// Why the result is partial, if it is.
    pub partial: Option<String>,
    /// About the simulation itself.
    pub sim: Sim,
    /// What makes these figures doubtful.
    pub warnings: Vec<String>,
    /// What the scenario assumes.
    pub assumptions: Vec<String>,
    /// Where each figure comes from.
    pub provenance: Vec<Figure>,
    /// What became of the requests.
    pub requests: Requests,
    /// Rates within the measured window.
    pub throughput: Throughput,
    /// Latencies, of requests that arrived in the measured window and completed.
    pub latency: Latency,
    /// Intervals of those.
    pub intervals: Value,
    /// Where E2E goes.
    pub budget: Vec<BudgetRow>,
    /// Objectives.
    pub slo: Vec<SloRow>,
    /// How many nodes closed forms ask for, and how far simulation moves that; not there where they
    /// do not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizing: Option<Sizing>,
    /// Tiers: their backlogs and deadlines.
    pub tiers: Vec<Value>,
    /// Pools.
    pub pools: Vec<Value>,
    /// How busy prefill and decode pools are, and which side limits; not there without roles.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub disaggregation: Value,
    /// Regions, with the tries that set out for each where there are several.
    pub regions: Vec<Value>,
    /// What became of the requests of each population of clients, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub populations: Vec<Value>,
    /// What became of the requests of each tenant, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<Value>,
    /// How old the loads were that routers went by, where they are told of them.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub signals: Value,
    /// What happened when, where anything can fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeline: Option<TimelineReport>,
    /// The nodes that were bought, and who asked for them; not there where all are there all the
    /// time.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub capacity: Value,
    /// Costs; empty when the scenario states no prices.
    pub cost: Value,
    /// Erasure traffic; empty where the scenario has none.
    pub erasure: Value,
    /// Closed forms that apply exactly, by name; empty when none does.
    pub theory: Value,
    /// What the hardware allows at most.
    pub physics: Value,
    /// Results of the scenario's variants.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: BTreeMap<String, RunResult>,
    /// Claims, judged.
    pub claims: Vec<Judgement>,
}

/// About the simulation itself.
#[derive(Debug, Clone, Serialize)]
pub struct Sim {
    /// Arrivals stopped here, seconds.
    pub horizon_s: f64,
    /// Requests before this were not measured, seconds.
    pub warmup_s: f64,
    /// Time of the last event, seconds.
    pub end_s: f64,
    /// Events run.
    pub events: u64,
    /// Events by kind.
    pub events_by_kind: Value,
    /// The most requests in flight at once.
    pub most_in_flight: u64,
    /// CPU time, seconds; absent when timing was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// Requests simulated per second of CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_cpu_s: Option<f64>,
    /// The most memory this process has held, MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_mb: Option<f64>,
}

/// What became of the requests; `arrived` is the sum of the seven after it.
#[derive(Debug, Clone, Serialize)]
pub struct Requests {
    /// Came to the gateway.
    pub arrived: u64,
    /// Answered in full.
    pub completed: u64,
    /// Turned away, for one of the reasons in `rejected_by`.
    pub rejected: u64,
    /// Dropped to protect the fleet.
    pub shed: u64,
    /// Given up after a time limit.
    pub timed_out: u64,
    /// Lost to a failure.
    pub failed: u64,
    /// Given up by their users.
    pub cancelled: u64,
    /// Under way when the run ended.
    pub in_flight: u64,
    /// Of those that arrived: the ones that arrived in the measured window.
    pub measured: u64,
    /// Of the measured: the ones answered in full, which the latencies are of.
    pub measured_completed: u64,
    /// Of the measured: the ones still in flight when the run ended.
    pub measured_in_flight: u64,
    /// Rejected, by reason.
    pub rejected_by: RejectedBy,
    /// Failed, by reason; not there where nothing can fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_by: Option<FailedBy>,
    /// Shed, by reason; not there where nothing can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shed_by: Option<ShedBy>,
    /// What became of the tries; not there where every request is one try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tries: Option<Tries>,
    /// What became of sessions; not there without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionCounts>,
}

/// Rejections by reason.
#[derive(Debug, Clone, Serialize)]
pub struct RejectedBy {
    /// By the gateway's rate limit.
    pub rate_limit: u64,
    /// By a full queue.
    pub queue_full: u64,
    /// Longer than the KV cache or `max_model_len`.
    pub too_long: u64,
    /// Beyond the quota of a tenant or tier; not there where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
}

/// Failures by reason.
#[derive(Debug, Clone, Serialize)]
pub struct FailedBy {
    /// With the replica it was at, or was sent to.
    pub replica: u64,
    /// No replica could be chosen.
    pub no_replica: u64,
    /// With its gateway.
    pub gateway: u64,
    /// What it was sent to could not be reached.
    pub network: u64,
    /// Its client found no region.
    pub dns: u64,
    /// By a bad deployment.
    pub deploy: u64,
    /// The gateway waited long enough for the replica.
    pub timeout: u64,
}

/// Shed, by reason.
#[derive(Debug, Clone, Serialize)]
pub struct ShedBy {
    /// As many as allowed were under way at the gateway.
    pub limit: u64,
    /// The replicas were loaded, or failed too often.
    pub load: u64,
    /// They waited too long at the gateway.
    pub delay: u64,
    /// The gateway's waiting room was full.
    pub full: u64,
}

/// What became of the tries: `made` is the sum of those that ended, by how they ended, and of those
/// in flight. A try that was given up counts by how it ended at the fleet.
#[derive(Debug, Clone, Serialize)]
pub struct Tries {
    /// Tries made.
    pub made: u64,
    /// Tries made for each request.
    pub per_request: Option<f64>,
    /// Of the tries: made because another failed.
    pub retries: u64,
    /// Of the tries: made beside one that was slow.
    pub hedges: u64,
    /// Retries and hedges that the budget did not allow.
    pub refused_by_budget: u64,
    /// Tries given up while they were under way.
    pub given_up: u64,
    /// Of those: answered in full all the same.
    pub answered_for_nobody: u64,
    /// Output tokens that nobody got: made by tries that were given up or failed.
    pub wasted_output_tokens: u64,
    /// How they ended at the fleet.
    pub ended: BTreeMap<&'static str, u64>,
    /// Under way when the run ended.
    pub in_flight: u64,
}

impl Tries {
    fn of(meter: &TryMeter, in_flight: u64, requests: u64) -> Tries {
        let ended = Status::ALL.iter().zip(meter.ended);
        Tries {
            made: meter.made,
            per_request: ratio(meter.made as f64, requests as f64),
            retries: meter.retries,
            hedges: meter.hedges,
            refused_by_budget: meter.refused,
            given_up: meter.given_up,
            answered_for_nobody: meter.answered_for_nobody,
            wasted_output_tokens: meter.wasted_output_tokens,
            ended: ended
                .map(|(status, count)| (status.name(), count))
                .collect(),
            in_flight,
        }
    }
}

/// Rates within the measured window.
#[derive(Debug, Clone, Serialize)]
pub struct Throughput {
    /// Requests completed per second.
    pub requests_per_s: Option<f64>,
    /// Their prompt tokens per second.
    pub prompt_tokens_per_s: Option<f64>,
    /// Their output tokens per second.
    pub output_tokens_per_s: Option<f64>,
}

/// Latencies.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// Time to first token.
    pub ttft_ms: Summary,
    /// Mean time per output token after the first.
    pub tpot_ms: Summary,
    /// End to end.
    pub e2e_ms: Summary,
    /// Time in the engine's queue.
    pub queue_ms: Summary,
}

impl RunResult {
    /// Puts a result together, without claims and without timing.
    pub fn new(plan: &Plan, tally: &Tally, intervals: &[LatencyIntervals; 4]) -> RunResult {
        let [ttft_ms, tpot_ms, e2e_ms, queue_ms] =
            [0, 1, 2, 3].map(|index| tally.latencies[index].summary_ms());
        let mut streams = Digest::default();
        let mut outcomes = Digest::default();
        for (stream, outcome) in &tally.digests {
            streams.add(*stream);
            outcomes.add(*outcome);
        }
        let per_s = |count: u64| ratio(count as f64, tally.measured_s);
        let measured_s = tally.measured_s;
        let slo = plan.fleet.tiers.iter().zip(&tally.slo);
        let rows = slo.map(|(tier, meter)| meter.row(&tier.name, measured_s));
        let pools = pool_rows(plan, tally);
        let mut result = RunResult {
            schema: SCHEMA,
            scenario: plan.scenario.name.clone(),
            seed: plan.scenario.run.seed,
            replications: tally.replications,
            digest: streams.hex(),
            outcome_digest: outcomes.hex(),
            partial: tally.cut_short.map(|ended| reason(ended, tally)),
            sim: sim(plan, tally),
            warnings: warnings_of(plan, tally),
            assumptions: plan.scenario.assumptions.clone(),
            provenance: provenance(plan),
            requests: requests(tally),
            throughput: Throughput {
                requests_per_s: per_s(tally.completed_measured),
                prompt_tokens_per_s: per_s(tally.tokens_measured.0),
                output_tokens_per_s: per_s(tally.tokens_measured.1),
            },
            latency: Latency {
                ttft_ms,
                tpot_ms,
                e2e_ms,
                queue_ms,
            },
            intervals: intervals_json(intervals),
            budget: tally.budget.rows(),
            slo: rows.collect(),
            sizing: Sizing::by_theory(plan),
            tiers: tier_rows(plan, tally),
            disaggregation: rate_matching(plan, tally),
            regions: region_rows(plan, tally),
            populations: population_rows(plan, tally),
            tenants: tenant_rows(plan, tally),
            signals: signals(tally),
            timeline: tally.timeline.clone(),
            pools,
            capacity: capacity_rows(plan, tally),
            cost: json!({}),
            erasure: erasure_of(plan, tally),
            theory: theory_of(plan),
            physics: Value::Null,
            variants: BTreeMap::new(),
            claims: Vec::new(),
        };
        result.cost = cost_of(plan, tally);
        result.physics = physics::physics_of(plan, tally);
        result
    }

    /// As a JSON document.
    pub fn to_json(&self) -> Value {
        // Serialising plain structs of numbers and texts into a `Value` cannot fail.
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// The regions; with the tries that set out for each, where there are several.
fn region_rows(plan: &Plan, tally: &Tally) -> Vec<Value> {
    let regions = &plan.fleet.topology.regions;
    let rows = regions.iter().enumerate().map(|(index, region)| {
        let pools = plan.fleet.pools.iter();
        let here = pools
            .filter(|pool| usize::from(pool.region) == index)
            .count();
        if plan.fleet.clients.is_none() {
            return json!({"name": region.name, "pools": here});
        }
        let counts = &tally.regions[index];
        let timeline = tally.timeline.as_ref();
        let handed_over_s = timeline.and_then(|it| it.handed_over_s.get(index).copied());
        json!({
            "name": region.name,
            "pools": here,
            "tries": by_status(counts),
            "handed_over_s": handed_over_s.flatten(),
        })
    });
    rows.collect()
}

/// The populations: their requests, and the share of those measured that met their objective.
fn population_rows(plan: &Plan, tally: &Tally) -> Vec<Value> {
    let populations = &plan.fleet.topology.populations;
    if plan.scenario.populations.is_empty() {
        return Vec::new();
    }
    let rows = populations.iter().zip(&tally.populations);
    let rows = rows.map(|(population, meter)| part_row(&population.name, meter, tally));
    rows.collect()
}

/// The same by tenant.
fn tenant_rows(plan: &Plan, tally: &Tally) -> Vec<Value> {
    let admission = plan.scenario.admission.iter();
    let tenants = admission.flat_map(|admission| &admission.tenants);
    let rows = tenants.zip(&tally.tenants);
    let rows = rows.map(|(tenant, meter)| part_row(&tenant.name, meter, tally));
    rows.collect()
}

fn part_row(name: &str, meter: &PartMeter, tally: &Tally) -> Value {
    let (good, counted) = (meter.good as f64, meter.counted as f64);
    json!({
        "name": name,
        "requests": by_status(&meter.counts),
        "attained": ratio(good, counted),
        "goodput_rps": ratio(good, tally.measured_s),
    })
}

/// How old the loads were that routers went by, where they are told of them.
fn signals(tally: &Tally) -> Value {
    let Some(meter) = &tally.signals else {
        return Value::Null;
    };
    let (choices, stale) = (meter.choices as f64, meter.stale as f64);
    json!({
        "choices": meter.choices,
        "stale_share": ratio(stale, choices),
        "mean_age_ms": ratio(meter.age_ns as f64 / 1e6, stale),
        "reports": meter.reports,
        "reports_lost": meter.lost,
    })
}

/// Those that began, by how they ended, and those under way. Every way is there, those in which
/// none ended among them, so that a claim can name it.
fn by_status(counts: &Counts) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert("made".to_owned(), json!(counts.began));
    for (status, count) in Status::ALL.iter().zip(counts.ended) {
        fields.insert(status.name().to_owned(), json!(count));
    }
    fields.insert("in_flight".to_owned(), json!(counts.under_way()));
    Value::Object(fields)
}

/// `a / b`, none when `b` is 0.
pub fn ratio(a: f64, b: f64) -> Option<f64> {
    (b > 0.0).then(|| a / b)
}

fn reason(ended: Ended, tally: &Tally) -> String {
    let at = tally.end.as_secs_f64();
    let finished = match tally.replications {
        1 => String::new(),
        all => format!("; {} of {all} replications ran to their end", tally.whole),
    };
    let text = match ended {
        Ended::InFlightLimit => format!(
            "more than run.max_in_flight requests were in flight at {at:.3} s: raise it, or add \
             replicas if the fleet does not keep up"
        ),
        Ended::EventBudget => format!("the event budget (run.max_events) was used up at {at:.3} s"),
        Ended::Interrupted => format!("interrupted at {at:.3} s of simulated time"),
        _ => format!("ended early at {at:.3} s of simulated time"),
    };
    text + &finished
}

fn sim(plan: &Plan, tally: &Tally) -> Sim {
    let kinds = Event::KIND_NAMES.iter().zip(&tally.events_by_kind);
    let by_kind: serde_json::Map<String, Value> = kinds
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect();
    Sim {
        horizon_s: plan.fleet.horizon.as_secs_f64(),
        warmup_s: plan.fleet.warmup.as_secs_f64(),
        end_s: tally.end.as_secs_f64(),
        events: tally.events(),
        events_by_kind: Value::Object(by_kind),
        most_in_flight: tally.most_in_flight,
        cpu_s: None,
        requests_per_cpu_s: None,
        peak_rss_mb: None,
    }
}

fn requests(tally: &Tally) -> Requests {
    let rejected_by = RejectedBy {
        rate_limit: tally.ended_as(Status::RejectedRateLimit),
        queue_full: tally.ended_as(Status::RejectedQueueFull),
        too_long: tally.ended_as(Status::RejectedTooLong),
        quota: tally
            .tries
            .as_ref()
            .map(|_| tally.ended_as(Status::RejectedQuota)),
    };
    let failed_by = FailedBy {
        replica: tally.ended_as(Status::FailedReplica),
        no_replica: tally.ended_as(Status::FailedNoReplica),
        gateway: tally.ended_as(Status::FailedGateway),
        network: tally.ended_as(Status::FailedNetwork),
        dns: tally.ended_as(Status::FailedDns),
        deploy: tally.ended_as(Status::FailedDeploy),
        timeout: tally.ended_as(Status::FailedTimeout),
    };
    let shed_by = ShedBy {
        limit: tally.ended_as(Status::ShedLimit),
        load: tally.ended_as(Status::ShedLoad),
        delay: tally.ended_as(Status::ShedDelay),
        full: tally.ended_as(Status::ShedFull),
    };
    let tries = tally.tries.as_ref();
    Requests {
        arrived: tally.arrived,
        completed: tally.ended_as(Status::Completed),
        rejected: tally.ended_in(Outcome::Rejected),
        shed: tally.ended_in(Outcome::Shed),
        timed_out: tally.ended_in(Outcome::TimedOut),
        failed: tally.ended_in(Outcome::Failed),
        cancelled: tally.ended_in(Outcome::Cancelled),
        in_flight: tally.in_flight,
        measured: tally.arrived_measured,
        measured_completed: tally.latencies[2].count(),
        measured_in_flight: tally.undecided,
        rejected_by,
        failed_by: tries.map(|_| failed_by),
        shed_by: tries.map(|_| shed_by),
        tries: tries.map(|(meter, under_way)| Tries::of(meter, *under_way, tally.arrived)),
        sessions: tally.sessions,
    }
}

fn intervals_json(intervals: &[LatencyIntervals; 4]) -> Value {
    let statistics = |row: &LatencyIntervals| -> Value {
        let names = std::iter::once("mean").chain(QUANTILES.iter().map(|quantile| quantile.0));
        let fields = names
            .zip(row)
            .map(|(name, interval): (&str, &Option<Interval>)| {
                let value = serde_json::to_value(interval).unwrap_or(Value::Null);
                (name.to_owned(), value)
            });
        Value::Object(fields.collect())
    };
    let fields = LATENCIES
        .iter()
        .zip(intervals)
        .map(|(name, row)| ((*name).to_owned(), statistics(row)));
    Value::Object(fields.collect())
}
