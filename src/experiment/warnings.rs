//! What makes the figures of a run doubtful.

use std::path::Path;

use crate::calibrate::gpu::plan::card_of;
use crate::fleet::plan::{EnginePlan, ServicePlan};
use crate::fleet::request::Status;
use crate::fleet::world::handover::ceiling;
use crate::measure::Interval;
use crate::perf::AcceleratorCard;
use crate::report::number::count;
use crate::scenario::faults::{FaultKind, Target};
use crate::scenario::fleet::Pool;
use crate::scenario::resolve::{LlmFacts, Plan};
use crate::workload::sessions::SessionCounts;

use super::erasure::warnings::erasure_warnings;
use super::idle::settings_without_effect;
use super::result::ratio;
use super::roles::through;
use super::tally::{LATENCIES, QUANTILES, Statistics, Tally};
use super::theory::{least_tokens, offered, queue_of};

/// The share of sessions cut at the end of a run from which on it does not stand for whole ones. By
/// choice: sessions then last about as large a share of the run.
const MOST_CUT: f64 = 0.2;

/// Where a few replications decide what all of them say together: a latency of all is beyond what chance
/// makes of the mean of the replications' own.
pub fn few_dominate(whole: &Statistics, each: &[Statistics], confidence: f64) -> Option<String> {
    let names = std::iter::once("mean").chain(QUANTILES.map(|(name, _)| name));
    let all = (0..LATENCIES.len()).flat_map(|latency| {
        let names = names.clone().enumerate();
        names.map(move |(at, name)| (latency, at, name))
    });
    let beyond: Vec<String> = all
        .filter_map(|(latency, at, name)| {
            let values: Vec<f64> = each.iter().filter_map(|it| it[latency][at]).collect();
            let interval = Interval::from_replications(&values, confidence)?;
            let whole = whole[latency][at]?;
            // Rounding of what all replications agree on is no difference.
            let beyond =
                (whole - interval.estimate).abs() > interval.half_width + 0.01 * whole.abs();
            beyond.then(|| format!("latency.{}.{name}", LATENCIES[latency]))
        })
        .collect();
    (!beyond.is_empty()).then(|| {
        format!(
            "a few replications have most of the slow requests ({} of all together is beyond the \
             {} % interval of the replications' mean): their intervals are too narrow; run for longer, \
             or more replications",
            beyond.join(", "),
            100.0 * confidence
        )
    })
}

/// Warnings about a run, each with what to do.
pub fn warnings_of(plan: &Plan, tally: &Tally) -> Vec<String> {
    let mut warnings = Vec::new();
    if is_unstable(plan, tally) {
        warnings.push(
            "unstable: more work is offered than the servers can do, so the queue grows for as \
             long as the run lasts and latencies say more about its length than about the fleet; \
             add servers or lower the rate"
                .to_owned(),
        );
    }
    if all_alike(tally) {
        warnings.push(
            "all replications are alike, since nothing in this scenario is random: they are one \
             run, and give no interval"
                .to_owned(),
        );
    }
    warnings.extend(erasure_warnings(plan, tally));
    if plan.scenario.workload.max_requests.is_some_and(|most| {
        tally.arrived == most * u64::from(tally.replications) && tally.cut_short.is_none()
    }) {
        warnings.push(format!(
            "workload.max_requests ended the arrivals early: rates and utilisation are still over \
             the whole measured window, {} s to {} s; set run.horizon_s to what you mean to measure",
            plan.fleet.warmup.as_secs_f64(),
            plan.fleet.horizon.as_secs_f64()
        ));
    }
    if tally.arrived == 0 {
        warnings.push(
            "no request arrived: there is nothing to measure; raise the rate or run.horizon_s"
                .to_owned(),
        );
    }
    for (pool, facts) in plan.scenario.pools.iter().zip(&plan.llm) {
        if let (Pool::Llm(pool), Some(facts)) = (pool, facts)
            && let Some(longest) = pool
                .max_model_len
                .filter(|most| *most > facts.model.max_context)
        {
            warnings.push(format!(
                "{}: max_model_len is {longest}, but {} was made for {} tokens of context: what it \
                 would answer beyond is not known; lower max_model_len, or name a card that states \
                 the longer context",
                pool.name, facts.model.name, facts.model.max_context
            ));
        }
    }
    warnings.extend(kernels_of_another_device(plan));
    let homeless = tally.ended_as(Status::FailedNoReplica);
    if plan.fleet.capacity.is_some() && homeless > 0 {
        warnings.push(format!(
            "{} requests failed because no node could be chosen for them: none was ready; keep more \
             nodes, let clients try again, or state admission.waiting_room",
            count(homeless)
        ));
    }
    if none_answered(tally) {
        warnings.push(
            "no request was answered: all were turned away, for the reasons given below".to_owned(),
        );
    }
    if let Some((half, end)) = growing(tally) {
        warnings.push(format!(
            "growing: {half} requests were in flight half way through the measured window and {end} \
             at the last arrival: if that goes on the fleet does not keep up, and latencies say more \
             about the length of the run than about the fleet; add replicas or lower the rate"
        ));
    }
    if let Some(counts) = &tally.sessions
        && cut_often(counts)
    {
        warnings.push(format!(
            "sessions: {} of {} were cut by the end of arrivals, so that late turns, which have the \
             longest prompts, are too few, and the rate is below that of whole sessions; make \
             run.horizon_s (and run.warmup_s) longer than sessions last, and raise \
             workload.max_requests if it is set",
            counts.cut, counts.started
        ));
    }
    let pools = plan.scenario.pools.iter().zip(&plan.llm);
    warnings.extend(pools.filter_map(|(pool, facts)| other_model(pool, facts.as_ref()?)));
    warnings.extend(warnings_of_faults(plan));
    warnings.extend(settings_without_effect(plan));
    if let Some(trace) = &plan.trace
        && plan.fleet.horizon.as_secs_f64() > 1.05 * trace.span_s + 1.0
    {
        warnings.push(format!(
            "run.horizon_s is {} s but the trace ends after {:.3} s: rates, utilisation and costs \
             are averages over a time most of which has no traffic; shorten the horizon",
            plan.fleet.horizon.as_secs_f64(),
            trace.span_s
        ));
    }
    warnings
}

/// Of a pool whose engine profile was fitted to other models than the one it serves.
fn other_model(pool: &Pool, facts: &LlmFacts) -> Option<String> {
    let Pool::Llm(pool) = pool else { return None };
    let fitted = &pool.profile_models;
    if fitted.is_empty() || fitted.contains(&facts.model.name) {
        return None;
    }
    Some(format!(
        "pool `{}`: its engine_profile was fitted to {}, and the pool serves {}: what an engine takes for a \
         sequence or a prompt's token, and the factors of kernels, may differ; fit to rows of this model \
         (seatrial calibrate endpoint, or calibrate fit)",
        pool.name,
        fitted.join(", "),
        facts.model.name
    ))
}

/// What is missing for a fleet in which something breaks to find out, or to go on.
fn warnings_of_faults(plan: &Plan) -> Vec<String> {
    let Some(faults) = &plan.fleet.faults else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    let timed = faults.faults.timeline.iter().map(|fault| &fault.fault);
    let random = faults.faults.random.iter().map(|random| &random.fault);
    let kinds: Vec<&FaultKind> = timed.chain(random).map(innermost).collect();
    let dies = |kind: &FaultKind| matches!(kind, FaultKind::Crash {} | FaultKind::Hang {});
    // A region goes with its gateways.
    let of_region = |target: Option<&Target>| target.is_some_and(|it| it.region.is_some());
    let timed = faults.faults.timeline.iter();
    let timed = timed.map(|fault| (&fault.fault, fault.target.as_ref()));
    let random = faults.faults.random.iter();
    let random = random.map(|random| (&random.fault, random.target.as_ref()));
    let mut each = timed.chain(random);
    let replicas_die = each.any(|(kind, target)| dies(innermost(kind)) && !of_region(target));
    if replicas_die && plan.fleet.health.is_none() {
        warnings.push(
            "replicas die or hang, and no gateway looks at their health: requests go on to them \
             all the same; state [health] with active checks, outlier detection or a breaker"
                .to_owned(),
        );
    }
    let silent =
        |kind: &&FaultKind| matches!(kind, FaultKind::Hang {} | FaultKind::Partition { .. });
    let waits = plan.fleet.clients.as_ref();
    let for_ever = waits.is_none_or(|clients| {
        clients.timeout.is_none()
            && clients.try_timeout.is_none()
            && clients.first_token_timeout.is_none()
    }) && plan.fleet.gateway_timeout.is_none();
    if kinds.iter().any(silent) && for_ever {
        warnings.push(
            "something hangs or is cut off, and nobody waits for a limited time: requests to it \
             stay in flight until it goes on; state clients.timeout_ms, clients.try_timeout_ms or \
             gateway.timeout_ms"
                .to_owned(),
        );
    }
    warnings
}

/// What comes and goes, where it does.
fn innermost(kind: &FaultKind) -> &FaultKind {
    match kind {
        FaultKind::Oscillating { fault, .. } => fault,
        kind => kind,
    }
}

/// Whether all that came was turned away.
fn none_answered(tally: &Tally) -> bool {
    tally.arrived > 0 && tally.ended_as(Status::Completed) == 0 && tally.in_flight == 0
}

/// Whether a pool had no more time to give while requests queued: on average one for each busy
/// replica. A language model is busy with one sequence as with many, so that busy alone says little.
fn is_overrun(tally: &Tally) -> bool {
    let [.., queued] = &tally.latencies;
    let queued_s = queued.sum_ns() as f64 / 1e9;
    let mut pools = tally.pools.iter();
    pools.any(|pool| {
        let busy = pool.available_s > 0.0 && pool.busy_s >= 0.98 * pool.available_s;
        busy && queued_s >= pool.busy_s
    })
}

/// Whether so many sessions were cut by the end of arrivals that the rest does not stand for all.
fn cut_often(counts: &SessionCounts) -> bool {
    counts.cut as f64 > MOST_CUT * counts.started as f64
}

/// Requests in flight half way and at the last arrival, a replication, where the latter are so
/// many more that it cannot well be chance: half as many again, and twenty, and five times the
/// square root of both.
pub fn growing(tally: &Tally) -> Option<(u64, u64)> {
    let each = |count: u64| count / u64::from(tally.replications.max(1));
    let (half, end) = (each(tally.present.0), each(tally.present.1));
    let more = end.saturating_sub(half) as f64;
    // Chance averages out over replications.
    let replications = f64::from(tally.replications.max(1));
    let noise = (20.0 + 5.0 * ((half + end) as f64).sqrt()) / replications.sqrt();
    (end as f64 > 1.5 * half as f64 && more > noise).then_some((half, end))
}

/// Whether a fleet without bound is offered more work than it can do. Not known of sessions some
/// of which a turn turned away has ended, or the end of the run where nobody was busy throughout:
/// they offer less than all their turns.
pub fn is_unstable(plan: &Plan, tally: &Tally) -> bool {
    if let Some(counts) = &tally.sessions
        && (counts.broken > 0 || (cut_often(counts) && !is_overrun(tally)))
    {
        return false;
    }
    // What was turned away is no load.
    let limited = plan.fleet.gate.is_some()
        || plan
            .fleet
            .health
            .is_some_and(|health| health.limits.is_some());
    if limited || none_answered(tally) {
        return false;
    }
    if let Some(queue) = queue_of(plan) {
        let input = queue.input;
        let work = input.lambda_per_s * input.mean_service_ms / 1e3;
        return input.queue_capacity.is_none() && work >= input.servers as f64;
    }
    let Some((rate, _)) = offered(plan) else {
        return false;
    };
    let most = through(plan, |index| most_per_s(plan, tally, index));
    most.is_some_and(|most| rate >= most)
}

/// The most requests a second that a pool can do: at full batches, or at the hardware's peak. None
/// for a pool that turns away what it cannot do.
fn most_per_s(plan: &Plan, tally: &Tally, index: usize) -> Option<f64> {
    let pool = &plan.fleet.pools[index];
    // Nodes may come and go.
    let replicas = match plan.fleet.capacity.is_some() {
        true => ratio(tally.pools[index].replica_s, tally.measured_s)?,
        false => f64::from(pool.at_start),
    };
    let each = match &pool.engine {
        EnginePlan::Abstract { capacity, .. } if *capacity != u32::MAX => return None,
        EnginePlan::Abstract {
            servers, service, ..
        } => {
            let per_server = match service {
                ServicePlan::Single(law) | ServicePlan::Shared(law) => 1e9 / law.mean_ns(),
                ServicePlan::Batch(time) => {
                    let size = f64::from(plan.fleet.window.max_batch);
                    1e9 * size / time.mean_ns(size)
                }
            };
            f64::from(*servers) * per_server
        }
        EnginePlan::Llm { .. } => {
            let (prompt, output) = least_tokens(plan, index)?;
            let (prompt, output) = (prompt.round() as u32, output.round() as u32);
            ceiling(&plan.fleet, index, prompt, output)?.by_compute_rps
        }
    };
    Some(each * replicas)
}

/// Whether several replications did exactly the same.
pub fn all_alike(tally: &Tally) -> bool {
    let first = tally.digests.first();
    tally.digests.len() > 1 && tally.digests.iter().all(|digest| Some(digest) == first)
}

/// Pools whose kernels were measured on another accelerator than theirs.
fn kernels_of_another_device(plan: &Plan) -> Vec<String> {
    let pools = plan.scenario.pools.iter().zip(&plan.llm);
    let warning = |(pool, facts): (&Pool, &Option<LlmFacts>)| {
        let facts = facts.as_ref()?;
        let tables = facts.kernel_tables.as_ref()?;
        let accelerator = &facts.accelerator;
        let own = accelerator.kernels.as_deref() == Some(tables.system.as_str());
        if own {
            return None;
        }
        let Some(measured) = card_of(&tables.system).or_else(|| card_of_system(&tables.system))
        else {
            return Some(format!(
                "{}: kernel_tables were measured on `{}`, which is no accelerator that is known: it \
                 cannot be told whether it is the pool's {}, and times may be of another; measure or \
                 import them with the name of a card (`calibrate import --device {}`)",
                pool.name(),
                tables.system,
                accelerator.name,
                accelerator.name
            ));
        };
        (measured != accelerator.name).then(|| {
            format!(
                "{}: kernel_tables were measured on {measured}, and the pool has {}: no kernel is \
                 taken to beat its peaks, but times are of the other; name that accelerator, or \
                 kernels of this one",
                pool.name(),
                accelerator.name
            )
        })
    };
    pools.filter_map(warning).collect()
}

/// The card whose measured kernels are a system's.
fn card_of_system(system: &str) -> Option<&'static str> {
    AcceleratorCard::names().find(|name| {
        let card = AcceleratorCard::load(name, Path::new(""));
        card.is_ok_and(|card| card.kernels.as_deref() == Some(system))
    })
}
