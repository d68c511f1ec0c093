//! Closed forms for a scenario: which queue it is, if it is one that theory knows.

use serde_json::{Map, Value, json};

use crate::fleet::plan::{EnginePlan, FleetPlan, ServicePlan};
use crate::scenario::fleet::{Pool, Router};
use crate::scenario::resolve::Plan;
use crate::scenario::workload::{Law, PrefixSharing};
use crate::theory::sheet::{QueueingInput, ServiceKind};
use crate::theory::{Md1, Mdc, Mg1, Mmc, Mmck, TheoryError, mmc_ps_mean_sojourn, ps_mean_sojourn};
use crate::trace::TraceFormat;
use crate::workload::arrivals::Arrivals;
use crate::workload::source::SourcePlan;

/// The queue one replica of a pool is, and whether the scenario is exactly that queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The queue.
    pub input: QueueingInput,
    /// Replicas that are each such a queue.
    pub replicas: u32,
    /// Why closed forms for it do not hold exactly, if they do not.
    pub inexact: Option<&'static str>,
}

/// The arrival rate per second and the squared coefficient of variation of the gaps, with open
/// arrivals. The latter is none where it is not known in closed form.
pub fn offered(plan: &Plan) -> Option<(f64, Option<f64>)> {
    match &plan.fleet.source {
        SourcePlan::Drawn {
            arrivals, clock, ..
        } => {
            let horizon_ns = plan.fleet.horizon.0 as f64;
            let factor = clock
                .as_ref()
                .map_or(1.0, |clock| clock.mean_factor(horizon_ns));
            let scv = match clock {
                None => arrivals.gap_scv(),
                Some(_) => None,
            };
            let rate = arrivals.mean_rate_per_s() * factor;
            Some(match &plan.session_means {
                // All turns of all sessions.
                Some(sessions) => (rate * sessions.turns, None),
                None => (rate, scv),
            })
        }
        SourcePlan::Trace { .. } => {
            let scan = plan.trace.as_ref()?;
            (scan.span_s > 0.0).then(|| (scan.requests as f64 / scan.span_s, None))
        }
        SourcePlan::ClosedLoop { .. } | SourcePlan::Observed(_) => None,
    }
}

/// How many times the mean rate of the run the rate at its peak is; 1 where it stays the same.
pub fn peak_over_mean(plan: &Plan) -> f64 {
    match &plan.fleet.source {
        SourcePlan::Drawn {
            clock: Some(clock), ..
        } => clock.peak_factor() / clock.mean_factor(plan.fleet.horizon.0 as f64),
        _ => 1.0,
    }
}

/// Mean prompt and output tokens of a request.
pub fn mean_tokens(plan: &Plan) -> Option<(f64, f64)> {
    plan.mean_tokens()
}

/// Mean prompt tokens that a pool must compute for a request, and its mean output tokens: for
/// bounds. A prefix cache may find all that was said before in sessions, all that a group has in
/// common, and of prompts that are repeated, or hashed in a trace, all but a token.
pub fn least_tokens(plan: &Plan, pool: usize) -> Option<(f64, f64)> {
    let (prompt, output) = mean_tokens(plan)?;
    let caches = match &plan.fleet.pools[pool].engine {
        EnginePlan::Llm { rules, .. } => rules.prefix_caching,
        EnginePlan::Abstract { .. } => false,
    };
    match (&plan.fleet.source, &plan.session_means) {
        (_, Some(sessions)) if caches => Some((sessions.new_tokens.max(1.0), output)),
        (source, _) if caches => {
            let shared = match (&plan.fleet.prefix, source) {
                (Some(PrefixSharing::Groups { tokens, .. }), _) => f64::from(*tokens),
                (Some(PrefixSharing::Repeated { .. } | PrefixSharing::Reuse(_)), _) => prompt,
                (None, SourcePlan::Trace { source, .. })
                    if source.format == TraceFormat::Mooncake =>
                {
                    prompt
                }
                _ => 0.0,
            };
            Some(((prompt - shared).max(1.0), output))
        }
        _ => Some((prompt, output)),
    }
}

/// The queue that each replica of the only pool is; none when the scenario is no such thing.
pub fn queue_of(plan: &Plan) -> Option<Queue> {
    let ([pool], [Pool::Abstract(written)]) = (&plan.fleet.pools[..], &plan.scenario.pools[..])
    else {
        return None;
    };
    let EnginePlan::Abstract {
        servers,
        capacity,
        service,
    } = &pool.engine
    else {
        return None;
    };
    let (law, processor_sharing) = match service {
        ServicePlan::Single(law) => (law, false),
        ServicePlan::Shared(law) => (law, true),
        ServicePlan::Batch(_) => return None,
    };
    if pool.at_start == 0 {
        return None;
    }
    let (rate, scv) = offered(plan)?;
    let kind = match written.service {
        Some(Law::Exponential { .. }) => ServiceKind::Exponential,
        Some(Law::Deterministic { .. }) => ServiceKind::Deterministic,
        _ => ServiceKind::Other,
    };
    Some(Queue {
        input: QueueingInput {
            lambda_per_s: rate / f64::from(pool.at_start),
            servers: u64::from(*servers),
            mean_service_ms: law.mean_ns() / 1e6,
            ca2: scv,
            cs2: law.scv(),
            service: kind,
            queue_capacity: (*capacity != u32::MAX).then(|| u64::from(*capacity)),
            processor_sharing,
        },
        replicas: pool.at_start,
        inexact: inexact(&plan.fleet, pool.at_start, scv),
    })
}

fn inexact(fleet: &FleetPlan, replicas: u32, scv: Option<f64>) -> Option<&'static str> {
    let poisson = matches!(
        &fleet.source,
        SourcePlan::Drawn {
            arrivals: Arrivals::Renewal { .. },
            clock: None,
            ..
        }
    ) && scv == Some(1.0);
    if !poisson {
        return Some("arrivals are not Poisson at a constant rate");
    }
    if fleet.clients.is_some() {
        return Some("clients may give up or try again, and requests may fail or be turned away");
    }
    if !fleet.window.passes_through() {
        return Some("a batching window holds requests back");
    }
    if fleet.rate_limit.is_some() {
        return Some("the gateway's rate limit thins the arrivals");
    }
    if replicas > 1 && !matches!(fleet.router, Router::Random {}) {
        return Some("the router depends on the state of several queues");
    }
    None
}

/// The exact figures of the scenario's queue by name; empty when none is known.
pub fn theory_of(plan: &Plan) -> Value {
    let Some(queue) = queue_of(plan).filter(|queue| queue.inexact.is_none()) else {
        return json!({});
    };
    // Figures that do not exist (an unstable queue) are simply not there.
    match figures(&queue.input) {
        Ok(fields) => Value::Object(fields),
        Err(_) => json!({}),
    }
}

fn figures(input: &QueueingInput) -> Result<Map<String, Value>, TheoryError> {
    let (lambda, c) = (input.lambda_per_s / 1e3, input.servers);
    let mean = input.mean_service_ms;
    let mut fields = Map::new();
    let mut put = |name: &str, value: f64| {
        fields.insert(name.to_owned(), json!(value));
    };
    put("offered_load_erlangs", lambda * mean);
    match (input.service, input.queue_capacity, input.processor_sharing) {
        (_, None, true) => {
            put("utilization", lambda * mean / c as f64);
            let sojourn = match c {
                1 => ps_mean_sojourn(lambda, mean)?,
                _ => mmc_ps_mean_sojourn(lambda, 1.0 / mean, c)?,
            };
            if c == 1 || input.service == ServiceKind::Exponential {
                put("mean_sojourn_ms", sojourn);
            }
        }
        (ServiceKind::Exponential, Some(places), false) => {
            let queue = Mmck::new(lambda, 1.0 / mean, c, c + places)?;
            put("p_loss", queue.p_loss());
            put("utilization", queue.utilization());
            put("mean_wait_ms", queue.mean_wait());
            put("mean_sojourn_ms", queue.mean_sojourn());
        }
        (ServiceKind::Exponential, None, false) => {
            let queue = Mmc::new(lambda, 1.0 / mean, c)?;
            put("utilization", queue.utilization());
            put("p_wait", queue.p_wait());
            put("mean_wait_ms", queue.mean_wait());
            put("mean_sojourn_ms", queue.mean_sojourn());
            for (name, level) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
                put(&format!("wait_{name}_ms"), queue.wait_quantile(level)?);
                put(
                    &format!("sojourn_{name}_ms"),
                    queue.sojourn_quantile(level)?,
                );
            }
        }
        (ServiceKind::Deterministic, None, false) if c == 1 => {
            let queue = Md1::new(lambda, mean)?;
            put("utilization", queue.utilization());
            put("mean_wait_ms", queue.mean_wait());
            put("mean_sojourn_ms", queue.mean_sojourn());
            put("wait_p99_ms", queue.wait_quantile(0.99)?);
            put("sojourn_p99_ms", queue.sojourn_quantile(0.99)?);
        }
        (ServiceKind::Deterministic, None, false) => {
            let queue = Mdc::new(lambda, mean, c)?;
            put("utilization", queue.utilization());
            put("mean_wait_ms", queue.mean_wait());
            put("mean_sojourn_ms", queue.mean_sojourn());
            put("wait_p99_ms", queue.wait_quantile(0.99)?);
            put("sojourn_p99_ms", queue.sojourn_quantile(0.99)?);
        }
        (ServiceKind::Other, None, false) if c == 1 => {
            let queue = Mg1::new(lambda, mean, input.cs2)?;
            put("utilization", lambda * mean);
            put("mean_wait_ms", queue.mean_wait());
            put("mean_sojourn_ms", queue.mean_sojourn());
        }
        // Without places to wait the loss does not depend on the law of service.
        (_, Some(0), false) => {
            let queue = Mmck::new(lambda, 1.0 / mean, c, c)?;
            put("p_loss", queue.p_loss());
            put("utilization", queue.utilization());
        }
        // What a bound on the queue lets through is not known for other laws.
        (_, Some(_), _) => {}
        (_, None, _) => put("utilization", lambda * mean / c as f64),
    }
    Ok(fields)
}
