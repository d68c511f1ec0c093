//! The simulator, run on every model of a table of queueing reference values that a scenario can
//! express, against the exact value of each row.
//!
//! A row holds when the mean of independent replications lies within Student's t of the exact
//! value, the limit shared among all rows (Bonferroni): there is no tolerance to choose. A
//! quantile `x` at `q` is checked as the share of requests above `x`, whose mean is `1 - q` without
//! bias. `SEATRIAL_QUEUEING_REFERENCE` names another table in the same format.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use crate::common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use rayon::prelude::*;
use seatrial::fleet::plan::{EnginePlan, ServicePlan};
use seatrial::measure::Interval;
use seatrial::measure::interval::bonferroni_t_limit;

use common::{plan_of, run_rows};

/// Probability that any row is rejected though all are right.
const ALPHA: f64 = 1e-3;
/// Independent replications of a model.
const REPLICATIONS: u64 = 32;
/// Relaxation times measured, all replications together: they make the standard error of a mean
/// wait about 2 % ...
const RELAXATIONS: f64 = 9_000.0;
/// ... within these bounds on the requests measured ...
const REQUESTS: (f64, f64) = (600_000.0, 12_000_000.0);
/// ... and at least this many in each replication.
const LEAST_RELAXATIONS: f64 = 6.0;
/// Replicas of the smaller of two fleets from which an infinite fleet is extrapolated.
const FEW: u32 = 100;

const MUST_HAVE: [&str; 14] = [
    "M/M/1",
    "M/M/c",
    "M/M/c/K",
    "M/M/c/c (Erlang B)",
    "M/D/1",
    "M/D/c",
    "M/G/1",
    "M/H2/1",
    "M/M/1-PS",
    "M/G/1-PS",
    "M/M/c+M (Erlang A)",
    "M/M/1 retrial (classical)",
    "M/M/1 with breakdowns (fail busy or idle, exp)",
    "supermarket model JSQ(2), n->inf",
];

struct Row {
    family: String,
    params: String,
    metric: String,
    value: f64,
}

fn table() -> (Vec<Row>, bool) {
    let named = std::env::var_os("SEATRIAL_QUEUEING_REFERENCE");
    let shipped = named.is_none();
    let path = named.map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/queueing_reference.csv"),
        PathBuf::from,
    );
    let mut reader =
        csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = reader.deserialize::<BTreeMap<String, String>>();
    let rows = rows.map(|record| {
        let record = record.unwrap();
        Row {
            family: record["family"].clone(),
            params: record["params"].clone(),
            metric: record["metric"].clone(),
            value: record["value"].parse().unwrap(),
        }
    });
    (rows.collect(), shipped)
}

/// A model as a scenario. Times are in the table's unit, which lasts `unit_ms`.
#[derive(Clone)]
struct Queue {
    unit_ms: f64,
    arrivals: String,
    /// Requests per unit.
    rate: f64,
    servers: f64,
    /// Everything of the pool but its name and replicas.
    pool: String,
    top: String,
    replicas: u32,
    /// Time in which the number in system forgets where it began, units.
    relaxation: f64,
    /// How much more than a Markovian queue of that relaxation it fluctuates.
    variation: f64,
    /// Whether to run twice the replicas too, and extrapolate.
    extrapolate: bool,
}

struct Params(BTreeMap<String, String>);

impl Params {
    fn new(text: &str) -> Params {
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        Params(
            pairs
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    fn f(&self, key: &str) -> Option<f64> {
        self.0.get(key)?.parse().ok()
    }

    fn or(&self, key: &str, default: f64) -> f64 {
        self.f(key).unwrap_or(default)
    }

    /// Mean service, from `ES` or from `mu`.
    fn mean(&self) -> f64 {
        self.f("ES").unwrap_or(1.0 / self.or("mu", 1.0))
    }
}

const UNIT_MS: f64 = 10.0;

/// The law of service written in a row, in milliseconds, and its squared variation.
fn law(params: &Params, mean: f64) -> Option<(String, f64)> {
    let text = params.0.get("law")?.as_str();
    let mean_ms = mean * UNIT_MS;
    let scv = params.f("scv");
    let named = |law: &str, rest: &str| format!("{{ law = \"{law}\", mean_ms = {mean_ms}{rest} }}");
    if let Some(bounds) = text.strip_prefix("U(").and_then(|t| t.strip_suffix(')')) {
        let (low, high) = bounds.split_once(',')?;
        let (low, high): (f64, f64) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
        let (low_ms, high_ms) = (low * UNIT_MS, high * UNIT_MS);
        let text = format!("{{ law = \"uniform\", low_ms = {low_ms}, high_ms = {high_ms} }}");
        return Some((text, scv?));
    }
    match text {
        "D" => Some((named("deterministic", ""), 0.0)),
        "M" => Some((named("exponential", ""), 1.0)),
        _ if text.contains("H2") => Some((
            named("hyperexponential", &format!(", scv = {}", scv?)),
            scv?,
        )),
        _ if text.starts_with("LogN") => {
            Some((named("lognormal", &format!(", scv = {}", scv?)), scv?))
        }
        _ => {
            let stages: u32 = text.strip_prefix('E')?.parse().ok()?;
            let text = named("erlang", &format!(", stages = {stages}"));
            Some((text, 1.0 / f64::from(stages)))
        }
    }
}

fn exponential(mean: f64) -> String {
    let mean_ms = mean * UNIT_MS;
    format!("{{ law = \"exponential\", mean_ms = {mean_ms} }}")
}

fn poisson(rate: f64, unit_ms: f64) -> String {
    let per_s = rate * 1e3 / unit_ms;
    format!("{{ process = \"poisson\", rate_per_s = {per_s} }}")
}

/// A queue with `servers` servers, Poisson arrivals and a mean service of `mean`.
fn open(rate: f64, servers: f64, mean: f64, service: &str, scv: f64) -> Queue {
    let rho = (rate * mean / servers).min(0.995);
    // Of the M/M/1 queue that a busy pool behaves as; at least the time to fill the servers.
    let queue = mean * (1.0 + scv) / 2.0 / servers / (1.0 - rho.sqrt()).powi(2);
    Queue {
        unit_ms: UNIT_MS,
        arrivals: poisson(rate, UNIT_MS),
        rate,
        servers,
        pool: format!("servers = {servers}\nservice = {service}"),
        top: String::new(),
        replicas: 1,
        relaxation: queue.max(2.0 * mean),
        variation: (1.0 + scv).powi(2) / 4.0,
        extrapolate: false,
    }
}

/// What a family is as a scenario; otherwise why it is none.
fn model(family: &str, params: &Params) -> Result<Queue, &'static str> {
    const MISSING: &str = "a parameter is missing or not understood";
    let mean = params.mean();
    let lam = params.f("lam");
    let need = |key: &str| params.f(key).ok_or(MISSING);
    let fixed = format!(
        "{{ law = \"deterministic\", mean_ms = {} }}",
        mean * UNIT_MS
    );
    Ok(match family {
        "M/M/1" => open(lam.ok_or(MISSING)?, 1.0, mean, &exponential(mean), 1.0),
        "M/M/c" => open(
            lam.ok_or(MISSING)?,
            need("c")?,
            mean,
            &exponential(mean),
            1.0,
        ),
        "M/D/1" => open(lam.ok_or(MISSING)?, 1.0, mean, &fixed, 0.0),
        "M/D/c" => open(lam.ok_or(MISSING)?, need("c")?, mean, &fixed, 0.0),
        "M/G/1" | "M/H2/1" => {
            let (service, scv) = law(params, mean).ok_or("the law of service is not understood")?;
            open(lam.ok_or(MISSING)?, 1.0, mean, &service, scv)
        }
        "M/M/c/K" | "M/M/c/c (Erlang B)" => {
            let servers = need("c")?;
            let rate = params.f("a").map(|a| a / mean).or(lam).ok_or(MISSING)?;
            let places = params.or("K", servers) - servers;
            let mut queue = open(rate, servers, mean, &exponential(mean), 1.0);
            let _ = write!(queue.pool, "\nqueue_capacity = {places}");
            // A full house is left, or filled, within the time to serve its places.
            let longest = 2.0 * (1.0 + places / servers) * mean * (1.0 + places).sqrt();
            queue.relaxation = queue.relaxation.min(longest.max(2.0 * mean));
            queue
        }
        "M/M/1-PS" => {
            let mut queue = open(lam.ok_or(MISSING)?, 1.0, mean, &exponential(mean), 1.0);
            queue.pool.push_str("\ndiscipline = \"processor_sharing\"");
            queue
        }
        "M/G/1-PS" => {
            // The response to a size does not depend on the law; this one has two sizes only.
            let size = need("size")?;
            let share = 0.5 * mean / mean.max(size);
            let other = (mean - share * size) / (1.0 - share);
            let (low, high) = (size.min(other) * UNIT_MS, size.max(other) * UNIT_MS);
            let at = if size <= other { share } else { 1.0 - share };
            let service = format!(
                "{{ law = \"quantiles\", knots_ms = [[0, {low}], [{at}, {low}], [{}, {high}], [1, {high}]] }}",
                at + 1e-12
            );
            let mut queue = open(lam.ok_or(MISSING)?, 1.0, mean, &service, 1.0);
            queue.pool.push_str("\ndiscipline = \"processor_sharing\"");
            queue
        }
        "JSQ 2 servers (exact)" => {
            let mut queue = open(lam.ok_or(MISSING)?, 2.0, mean, &exponential(mean), 1.0);
            queue.pool = format!("service = {}", exponential(mean));
            queue.replicas = params.or("n", 2.0) as u32;
            queue.top = "router = { policy = \"least_request\", choices = 0 }".to_owned();
            queue
        }
        "supermarket model JSQ(2), n->inf" => {
            let per_replica = lam.ok_or(MISSING)?;
            let rate = per_replica * f64::from(FEW);
            let choices = params.or("d", 2.0);
            let mut queue = open(rate, f64::from(FEW), mean, &exponential(mean), 1.0);
            queue.pool = format!("service = {}", exponential(mean));
            queue.replicas = FEW;
            queue.top = format!("router = {{ policy = \"least_request\", choices = {choices} }}");
            queue.relaxation = 2.0 * mean / (1.0 - per_replica * mean);
            queue.extrapolate = true;
            queue
        }
        "M/M[1,b]/1 bulk service" => {
            let (rate, most) = (lam.ok_or(MISSING)?, need("b")?);
            let mut queue = open(rate / most, 1.0, mean, "", 1.0);
            queue.arrivals = poisson(rate, UNIT_MS);
            queue.rate = rate;
            queue.pool = format!(
                "batch_service = {{ fixed_ms = {}, per_item_ms = 0, variability = {} }}",
                mean * UNIT_MS,
                exponential(mean)
            );
            queue.top = format!("batching = {{ window_ms = 0, max_batch = {most} }}");
            queue
        }
        "batching window (first-arrival timer, size cap, free server)" => {
            let (rate, window_s) = (lam.ok_or(MISSING)?, need("window_s")?);
            let (window_ms, most) = (window_s * 1e3, need("max_batch")?);
            let mut queue = open(rate, 1.0, 0.1 / rate, "", 1.0);
            queue.unit_ms = 1e3;
            queue.arrivals = poisson(rate, 1e3);
            // Many servers and next to no service: one is always free.
            queue.pool = format!(
                "servers = 4096\nbatch_service = {{ fixed_ms = {}, per_item_ms = 0 }}",
                window_ms / 10.0
            );
            queue.top = format!("batching = {{ window_ms = {window_ms}, max_batch = {most} }}");
            queue.relaxation = 2.0 * window_s;
            queue
        }
        "closed M/M/c//N (machine repair)" => {
            let (users, think, servers) = (need("N")?, need("Z")?, need("c")?);
            let mut queue = open(servers / mean, servers, mean, &exponential(mean), 1.0);
            queue.arrivals = format!(
                "{{ process = \"closed_loop\", users = {users}, think = {} }}",
                exponential(think)
            );
            queue.relaxation = (think + users / servers * mean).max(mean);
            queue
        }
        "M/M/c+M (Erlang A)" => {
            let (servers, theta) = (need("c")?, need("theta")?);
            let rate = lam.ok_or(MISSING)?;
            let mut queue = open(rate, servers, mean, &exponential(mean), 1.0);
            let patience = exponential(1.0 / theta);
            queue.top = format!(
                "clients = {{ propagate_cancel = true, \
                 patience = {{ after = {patience}, unless = \"scheduled\" }} }}"
            );
            // Whoever waits is served or leaves within so long.
            queue.relaxation = queue.relaxation.min(2.0 * (mean + 1.0 / theta));
            queue
        }
        "M/M/1 retrial (classical)" => {
            let (rate, theta) = (lam.ok_or(MISSING)?, need("theta")?);
            let mut queue = open(rate, 1.0, mean, &exponential(mean), 1.0);
            queue.pool.push_str("\nqueue_capacity = 0");
            queue.top = format!(
                "clients = {{ max_retries = 10000, backoff = {{ base_ms = {}, multiplier = 1, \
                 jitter = \"exponential\" }} }}",
                UNIT_MS / theta
            );
            // The orbit finds the idle server as slowly as it tries.
            queue.relaxation += 1.0 / (theta * (1.0 - rate * mean));
            queue
        }
        "M/M/1 with breakdowns (fail busy or idle, exp)" => {
            // A server that hangs goes on with what it had: none is lost.
            let (fail, repair) = (need("fail")?, need("repair")?);
            let rate = lam.ok_or(MISSING)?;
            let up = repair / (fail + repair);
            let mut queue = open(rate, 1.0, mean, &exponential(mean), 1.0);
            queue.top = format!(
                "[[faults.random]]\nname = \"breakdowns\"\ncomponent = \"node\"\n\
                 fault = {{ kind = \"hang\" }}\nmtbf_h = {}\nmttr = {}",
                UNIT_MS / fail / 3.6e6,
                exponential(1.0 / repair)
            );
            let slowed = open(rate / up, 1.0, mean, "", 1.0);
            queue.relaxation = slowed.relaxation + 1.0 / repair;
            // Work comes to a standstill for so long at a time.
            queue.variation = 1.0 + 2.0 * fail / (repair * repair);
            queue
        }
        "M/M/1 non-preemptive priority" => return Err("no priority discipline"),
        "M/M/1 multiple vacations" => return Err("servers take no vacations"),
        "M[k]/M/1 batch arrivals" => return Err("no process of batch arrivals"),
        "Jackson tandem" | "Jackson with feedback" => return Err("one station per request"),
        _ => return Err("a family this test does not know"),
    })
}

/// What one row asks of a replication.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    WaitMean,
    WaitSquare,
    WaitPositive,
    Orbit,
    SojournMean,
    SojournSquare,
    Present,
    Waiting,
    /// The share of all that came that did not begin at once.
    Delayed,
    Blocking,
    Throughput,
    Utilization,
    MeanBatch,
    ClosedBySize,
    WaitAbove(f64),
    SojournAbove(f64),
    SojournOfSize(f64),
}

/// The asks of a row, and what their combination should be.
enum Aim {
    /// The mean over replications of one statistic.
    Mean(Ask, f64),
    /// The variance of sojourns.
    Variance(f64),
    /// The variance of a time average, times the time.
    Asymptotic(f64),
}

fn aim(row: &Row, params: &Params) -> Option<Aim> {
    let quantile = |name: &str| -> Option<f64> { row.metric.strip_prefix(name)?.parse().ok() };
    let value = row.value;
    if let Some(q) = quantile("Wq_q").filter(|_| value > 0.0) {
        return Some(Aim::Mean(Ask::WaitAbove(value), 1.0 - q));
    }
    if let Some(q) = quantile("W_q") {
        return Some(Aim::Mean(Ask::SojournAbove(value), 1.0 - q));
    }
    let ask = match row.metric.as_str() {
        "Wq" | "Wq_accepted" | "mean_wait_per_request_s" => Ask::WaitMean,
        "E[Wq^2]" => Ask::WaitSquare,
        // Who leaves the queue has waited too.
        "P(wait)" if row.family.contains("Erlang A") => Ask::Delayed,
        "P(wait)" | "ErlangC_P(wait)" => Ask::WaitPositive,
        // By Little's law, from the time between the first try and the last.
        "mean_orbit" => Ask::Orbit,
        "W" => Ask::SojournMean,
        "L" => Ask::Present,
        "Lq" => Ask::Waiting,
        "blocking" | "P(loss)" | "P(abandon)" => Ask::Blocking,
        "throughput" => Ask::Throughput,
        "utilization" | "P(busy)" => Ask::Utilization,
        "mean_batch" => Ask::MeanBatch,
        "P(close_by_size)" => Ask::ClosedBySize,
        "E[T(x)]" => Ask::SojournOfSize(params.f("size")?),
        "Var(W)" => return Some(Aim::Variance(value)),
        "AsymVar(L)" => return Some(Aim::Asymptotic(value)),
        _ => return None,
    };
    Some(Aim::Mean(ask, value))
}

/// One replication: the answers to `asks`, in the table's units.
fn replicate(queue: &Queue, asks: &[Ask], replication: u64) -> Vec<f64> {
    let unit_s = queue.unit_ms / 1e3;
    let forgets = queue.relaxation * queue.rate;
    let wanted = (RELAXATIONS * queue.variation * forgets)
        .clamp(REQUESTS.0, REQUESTS.1)
        .max(REPLICATIONS as f64 * LEAST_RELAXATIONS * forgets);
    let warmup = 4.0 * queue.relaxation;
    let span = wanted / REPLICATIONS as f64 / queue.rate;
    let text = format!(
        "name = \"queue\"\n{}\n[run]\nseed = 20\nwarmup_s = {}\nhorizon_s = {}\n\
         [workload]\narrivals = {}\nprompt_tokens = {{ law = \"constant\", tokens = 1 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 1 }}\n\
         [[pools]]\nname = \"pool\"\nengine = \"abstract\"\nreplicas = {}\n{}\n",
        queue.top,
        warmup * unit_s,
        (warmup + span) * unit_s,
        queue.arrivals,
        queue.replicas,
        queue.pool
    );
    let plan = plan_of(&text);
    let unit_ns = unit_s * 1e9;
    let (from, to) = (plan.fleet.warmup.0, plan.fleet.horizon.0);
    // The sizes of requests, drawn again from the stream the pool draws them from.
    let sized = asks.iter().any(|ask| matches!(ask, Ask::SojournOfSize(_)));
    let mut sizes: Vec<u64> = Vec::new();
    let mut stream = {
        let mut streams = plan.fleet.streams;
        streams.replication = replication;
        streams.stream("pool", 0, "service")
    };
    let mut sums = vec![(0.0, 0u64); asks.len()];
    let (mut arrived, mut lost, mut left, mut at_once) = (0u64, 0u64, 0u64, 0u64);
    let mut simulation = run_rows(&plan, replication, |row| {
        let last = row.last_token_ns.unwrap_or(u64::MAX);
        left += u64::from(last >= from && last < to);
        if row.arrival_ns < from || row.arrival_ns >= to {
            return;
        }
        arrived += 1;
        let (Some(start), Some(end)) = (row.scheduled_ns, row.last_token_ns) else {
            lost += 1;
            return;
        };
        at_once += u64::from(start == row.arrival_ns);
        let wait = (start - row.arrival_ns) as f64 / unit_ns;
        let sojourn = (end - row.arrival_ns) as f64 / unit_ns;
        let mut size = f64::NAN;
        if let (true, EnginePlan::Abstract { service, .. }) = (sized, &plan.fleet.pools[0].engine)
            && let ServicePlan::Shared(law) = service
        {
            while sizes.len() <= row.id as usize {
                sizes.push(law.sample(&mut stream).0);
            }
            size = sizes[row.id as usize] as f64 / unit_ns;
        }
        for (ask, (sum, count)) in asks.iter().zip(&mut sums) {
            *count += 1;
            *sum += match *ask {
                Ask::WaitMean => wait,
                Ask::Orbit => wait * queue.rate,
                Ask::WaitSquare => wait * wait,
                Ask::WaitPositive => f64::from(u8::from(wait > 0.0)),
                Ask::SojournMean => sojourn,
                Ask::SojournSquare => sojourn * sojourn,
                Ask::WaitAbove(limit) => f64::from(u8::from(wait > limit)),
                Ask::SojournAbove(limit) => f64::from(u8::from(sojourn > limit)),
                Ask::SojournOfSize(x) if (size - x).abs() < 1e-6 * x => sojourn,
                Ask::SojournOfSize(_) => {
                    *count -= 1;
                    0.0
                }
                _ => 0.0,
            };
        }
    });
    // A client who gave up for want of retries would be none of the model's.
    let given_up = |ask: &Ask| matches!(ask, Ask::Blocking | Ask::Delayed);
    assert!(
        lost == 0 || !queue.top.contains("max_retries") || asks.iter().any(given_up),
        "{lost} gave up: {}",
        queue.top
    );
    let measured_ns = (to - from) as f64;
    let now = simulation.now().max(plan.fleet.horizon);
    let meter = simulation.world.pool_meter(0);
    let present = meter.present_ns(now) as f64 / measured_ns;
    let busy = meter.busy_ns as f64 / measured_ns;
    let batches = meter.batches as f64;
    let (batched, by_size) = (meter.batched as f64, meter.closed_by_size as f64);
    let answer = |(ask, &(sum, count)): (&Ask, &(f64, u64))| match ask {
        Ask::Present => present,
        Ask::Waiting => present - busy,
        Ask::Delayed => 1.0 - at_once as f64 / arrived as f64,
        Ask::Blocking => lost as f64 / arrived as f64,
        Ask::Throughput => left as f64 / (measured_ns / unit_ns),
        Ask::Utilization => busy / queue.servers,
        Ask::MeanBatch => batched / batches,
        Ask::ClosedBySize => by_size / batches,
        _ => sum / count as f64,
    };
    let mut answers: Vec<f64> = asks.iter().zip(&sums).map(answer).collect();
    answers.push(measured_ns / unit_ns);
    answers
}

/// Mean and standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let t = seatrial::measure::interval::t_quantile(0.975, values.len() as f64 - 1.0);
    let interval = Interval::from_replications(values, 0.95).unwrap();
    (interval.estimate, interval.half_width / t)
}

struct Checked<'a> {
    row: &'a Row,
    estimate: f64,
    error: f64,
    /// Distance from the exact value in standard errors, and the degrees of freedom of its law.
    z: f64,
    dof: f64,
}

/// Simulates one model and checks its rows.
fn check<'a>(queue: &Queue, rows: &[(&'a Row, Aim)]) -> Vec<Checked<'a>> {
    let mut asks = vec![Ask::SojournMean, Ask::SojournSquare, Ask::Present];
    asks.extend(rows.iter().filter_map(|(_, aim)| match aim {
        Aim::Mean(ask, _) => Some(*ask),
        _ => None,
    }));
    let run = |queue: &Queue, first: u64| -> Vec<Vec<f64>> {
        (first..first + REPLICATIONS)
            .into_par_iter()
            .map(|replication| replicate(queue, &asks, replication))
            .collect()
    };
    let mut answers = run(queue, 0);
    if queue.extrapolate {
        // The difference from the limit falls as 1/n: twice the larger fleet less the smaller.
        let mut twice = queue.clone();
        twice.replicas *= 2;
        twice.rate *= 2.0;
        twice.arrivals = poisson(twice.rate, twice.unit_ms);
        for (few, many) in answers.iter_mut().zip(run(&twice, REPLICATIONS)) {
            for (few, many) in few.iter_mut().zip(many) {
                *few = 2.0 * many - *few;
            }
        }
    }
    let column = |index: usize| -> Vec<f64> { answers.iter().map(|row| row[index]).collect() };
    let dof = REPLICATIONS as f64 - 1.0;
    let mut next = 3;
    let checked = rows.iter().map(|(row, aim)| {
        let (values, exact) = match aim {
            Aim::Mean(_, exact) => {
                next += 1;
                (column(next - 1), *exact)
            }
            Aim::Variance(exact) => {
                // About the mean of all replications, so that the bias is of theirs together.
                let (mean, _) = mean_and_error(&column(0));
                let of = |(first, second): (f64, f64)| second - 2.0 * mean * first + mean * mean;
                (
                    column(0).into_iter().zip(column(1)).map(of).collect(),
                    *exact,
                )
            }
            Aim::Asymptotic(exact) => {
                // Chi-square, made normal by Wilson and Hilferty.
                let (_, error) = mean_and_error(&column(2));
                let span = column(asks.len())[0];
                let estimate = error * error * REPLICATIONS as f64 * span;
                let spread = 2.0 / (9.0 * dof);
                let z = ((estimate / exact).cbrt() - (1.0 - spread)) / spread.sqrt();
                let error = exact * (2.0 / dof).sqrt();
                let dof = 1e9;
                return Checked {
                    row,
                    estimate,
                    error,
                    z,
                    dof,
                };
            }
        };
        let (estimate, error) = mean_and_error(&values);
        let z = if estimate == exact {
            0.0
        } else {
            (estimate - exact) / error
        };
        Checked {
            row,
            estimate,
            error,
            z,
            dof,
        }
    });
    checked.collect()
}

/// One queue and what the rows of the table ask of it.
type Asked<'a> = (Queue, Vec<(&'a Row, Aim)>);

#[test]
fn simulated_queues_have_the_exact_values() {
    let (rows, shipped) = table();
    let mut models: BTreeMap<(String, String), Asked<'_>> = BTreeMap::new();
    let mut left_out: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in &rows {
        let params = Params::new(&row.params);
        let found = model(&row.family, &params).map_err(str::to_owned);
        let found = found.and_then(|queue| {
            let aim = aim(row, &params).ok_or(format!("metric {} unknown", row.metric))?;
            Ok((queue, aim))
        });
        match found {
            Ok((queue, aim)) => models
                .entry((row.family.clone(), row.params.clone()))
                .or_insert_with(|| (queue, Vec::new()))
                .1
                .push((row, aim)),
            Err(reason) => *left_out.entry((row.family.clone(), reason)).or_default() += 1,
        }
    }
    let models: Vec<_> = models.into_values().collect();
    let checked: Vec<Checked<'_>> = models
        .par_iter()
        .flat_map_iter(|(queue, rows)| check(queue, rows))
        .collect();

    let mut families: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    let mut failures = String::new();
    let (mut means, mut noticed) = (0, 0);
    for one in &checked {
        let limit = bonferroni_t_limit(ALPHA, checked.len(), one.dof);
        let family = families.entry(&one.row.family).or_default();
        family.0 += 1;
        family.1 = family.1.max(one.z.abs() / limit);
        let told = format!(
            "{:<22} {:<40.40} {:<16} exact {:<10.6} found {:<10.6} +- {:<9.6} z {:+.2} of {limit:.2}",
            one.row.family,
            one.row.params,
            one.row.metric,
            one.row.value,
            one.estimate,
            one.error,
            one.z
        );
        println!("{told}");
        if one.z.is_nan() || one.z.abs() > limit {
            let _ = writeln!(failures, "{told}");
        }
        if matches!(
            one.row.metric.as_str(),
            "Wq" | "Wq_accepted" | "W" | "mean_wait_per_request_s"
        ) {
            means += 1;
            let wrong = 1.1 * one.row.value;
            noticed += usize::from((one.estimate - wrong).abs() / one.error > limit);
        }
    }
    for (family, (count, worst)) in &families {
        println!("{family}: {count} rows, at most {worst:.2} of the limit");
    }
    for ((family, reason), count) in &left_out {
        println!("{family}: {count} rows not expressible: {reason}");
    }
    println!("{noticed} of {means} mean waits would reject a value 10 % off");
    assert!(failures.is_empty(), "rows beyond the limit:\n{failures}");
    assert!(!checked.is_empty(), "no row could be simulated");
    if shipped {
        let found: BTreeSet<&str> = families.keys().copied().collect();
        for family in MUST_HAVE {
            assert!(found.contains(family), "no row of {family} was simulated");
        }
        assert!(
            noticed * 10 >= means * 6,
            "{noticed} of {means} notice 10 %"
        );
    }
}
