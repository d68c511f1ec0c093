//! How many nodes theory asks for, before anything is simulated.

use crate::report::number::significant;
use crate::scenario::faults::GPU_H100_LLAMA3_MTBF_H;
use crate::scenario::resolve::Plan;
use crate::theory::sheet::ServiceKind;
use crate::theory::staffing::{
    Availability, StaffingError, beta_of, servers_for_sojourn, servers_for_wait, spare_nodes,
    square_root_staffing_for_wait, wait_tail,
};

use super::{Row, Sheet, row};
use crate::experiment::theory::{offered, peak_over_mean, queue_of};
use crate::fleet::plan::EnginePlan;
use crate::scenario::resolve::worth::speed_of;

/// Share of requests that may wait at all, for square-root staffing. A choice.
const MAY_WAIT: f64 = 0.1;
/// How sure it is to be that enough nodes are up. A choice.
const SURE: f64 = 0.999;
/// How long a node is gone that failed, hours. An assumption: published fleets restart by themselves
/// in nearly all cases.
const REPAIR_H: f64 = 1.0;

/// What a fleet of one pool has to do, at its peak.
struct Load {
    lambda: f64,
    service_s: f64,
    fixed: bool,
    per_node: u64,
    nodes: u64,
    /// The peak over the mean rate.
    peak: f64,
    /// Whether servers are the seats of language-model engines.
    seats: bool,
}

impl Load {
    fn of(plan: &Plan) -> Option<Load> {
        Load::of_servers(plan).or_else(|| Load::of_seats(plan))
    }

    fn of_servers(plan: &Plan) -> Option<Load> {
        let queue = queue_of(plan)?;
        if queue.input.processor_sharing {
            return None;
        }
        let nodes = u64::from(queue.replicas);
        let peak = peak_over_mean(plan);
        Some(Load {
            lambda: queue.input.lambda_per_s * nodes as f64 * peak,
            service_s: queue.input.mean_service_ms / 1e3,
            fixed: queue.input.service == ServiceKind::Deterministic,
            per_node: queue.input.servers.max(1),
            nodes,
            peak,
            seats: false,
        })
    }

    /// An engine with all its seats taken is as many servers, each as slow as that makes it.
    fn of_seats(plan: &Plan) -> Option<Load> {
        let [pool] = &plan.fleet.pools[..] else {
            return None;
        };
        if !matches!(pool.engine, EnginePlan::Llm { .. }) || pool.at_start == 0 {
            return None;
        }
        let (rate, _) = offered(plan)?;
        let peak = peak_over_mean(plan);
        let (seats, _, full_ns) = speed_of(plan, pool);
        Some(Load {
            lambda: rate * peak,
            service_s: full_ns / 1e9,
            fixed: false,
            per_node: u64::from(seats),
            nodes: u64::from(pool.at_start),
            peak,
            seats: true,
        })
    }

    fn erlangs(&self) -> f64 {
        self.lambda * self.service_s
    }

    fn in_nodes(&self, servers: u64) -> u64 {
        servers.div_ceil(self.per_node)
    }

    /// Servers so that a share `target` of the requests is over within `e2e_ms`.
    fn servers_for(&self, e2e_ms: f64, target: f64) -> Result<u64, StaffingError> {
        let (mu, t) = (self.service_s.recip(), e2e_ms / 1e3);
        match self.fixed {
            true => servers_for_wait(self.lambda, mu, t - self.service_s, 1.0 - target),
            false => servers_for_sojourn(self.lambda, mu, target, t),
        }
    }
}

/// The objectives that bound the whole of a request: its bound in milliseconds, and the share that
/// must meet it.
fn objectives(plan: &Plan) -> impl Iterator<Item = (f64, f64)> {
    let slo = plan.fleet.tiers.iter().filter_map(|tier| tier.slo);
    slo.filter_map(|slo| Some((slo.e2e_ms?, slo.target)))
}

/// Nodes that closed forms ask for so that all objectives are met at the peak; none where they do
/// not apply, or no number of nodes is enough.
pub fn nodes_by_theory(plan: &Plan) -> Option<u64> {
    let load = Load::of(plan)?;
    let servers: Result<Vec<u64>, StaffingError> = objectives(plan)
        .map(|(e2e_ms, target)| load.servers_for(e2e_ms, target))
        .collect();
    let most = servers.ok()?.into_iter().max()?;
    Some(load.in_nodes(most))
}

/// What requests are to have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// A response time of at most `ms` milliseconds for a share `level` of them, between 0 and 1.
    Response {
        /// Milliseconds.
        ms: f64,
        /// The share.
        level: f64,
    },
    /// A wait of at most `ms` milliseconds for a share `level`.
    Wait {
        /// Milliseconds.
        ms: f64,
        /// The share.
        level: f64,
    },
}

/// What closed forms ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Servers, or seats of engines.
    pub servers: u64,
    /// Nodes that have them.
    pub nodes: u64,
    /// The formula, and what it takes the fleet to be.
    pub basis: &'static str,
}

/// What closed forms ask for at the peak rate; none where they do not apply, or no number is enough.
pub fn demand(plan: &Plan, wanted: &Wanted) -> Option<Demand> {
    let load = Load::of(plan)?;
    let servers = match *wanted {
        Wanted::Response { ms, level } => load.servers_for(ms, level),
        Wanted::Wait { ms, level } => {
            let mu = load.service_s.recip();
            servers_for_wait(load.lambda, mu, ms / 1e3, 1.0 - level)
        }
    };
    let servers = servers.ok()?;
    Some(Demand {
        servers,
        nodes: load.in_nodes(servers),
        basis: match load.seats {
            false => "Erlang C, all nodes as one queue of exponential servers",
            true => "Erlang C, every seat of an engine as a server as slow as with all seats taken",
        },
    })
}

/// Nodes by closed forms, where the fleet is one pool.
pub(super) fn staffing(plan: &Plan) -> Option<Sheet> {
    let load = Load::of(plan)?;
    let (nodes, per_node) = (load.nodes, load.per_node);
    let (lambda, service_s, erlangs) = (load.lambda, load.service_s, load.erlangs());
    let numbers = format!(
        "{} x {} s",
        significant(Some(lambda)),
        significant(Some(service_s))
    );
    let mut rows = Vec::new();
    if load.peak > 1.0 {
        let formula = "rate at the peak of workload.profile / mean rate of the run";
        let numbers = String::new();
        rows.push(row(
            "peak over mean",
            formula,
            numbers,
            Some(load.peak),
            "1",
        ));
    }
    rows.push(row(
        "load offered to all nodes",
        "rate x mean service",
        numbers,
        Some(erlangs),
        "servers",
    ));
    if let Ok(servers) = square_root_staffing_for_wait(erlangs, MAY_WAIT) {
        rows.push(of_servers(
            "square-root staffing, 10 % wait",
            "R + beta sqrt(R)",
            servers,
            load.in_nodes(servers),
            "Halfin and Whitt 1981",
        ));
    }
    for (e2e_ms, target) in objectives(plan) {
        let name = format!("{} % within {e2e_ms} ms", significant(Some(100.0 * target)));
        let (formula, source) = match load.fixed {
            true => (
                "least c with P(W > t - s) <= 1 - target, waits as of M/M/c",
                "Erlang C; waits of service that is always the same are shorter",
            ),
            false => (
                "least c with P(T > t) <= 1 - target, M/M/c",
                "Erlang C; exponential service",
            ),
        };
        match load.servers_for(e2e_ms, target) {
            Ok(servers) => {
                let nodes = load.in_nodes(servers);
                rows.push(of_servers(&name, formula, servers, nodes, source));
            }
            Err(error) => {
                let mut none = row(&name, formula, String::new(), None, "nodes");
                none.note = Some(error.to_string());
                rows.push(none);
            }
        }
    }
    let servers = nodes * per_node;
    if let (Ok(beta), Ok(waits)) = (
        beta_of(servers, erlangs),
        wait_tail(lambda, service_s.recip(), servers, 0.0),
    ) {
        rows.push(row(
            "beta of the fleet stated",
            "(c - R) / sqrt(R)",
            {
                let erlangs = significant(Some(erlangs));
                format!("({servers} - {erlangs}) / sqrt({erlangs})")
            },
            Some(beta),
            "1",
        ));
        let formula = "Erlang C, all nodes as one queue";
        rows.push(row(
            "its share that waits",
            formula,
            String::new(),
            Some(waits),
            "1",
        ));
    }
    rows.extend(spares(plan, nodes_by_theory(plan).unwrap_or(nodes)));
    let mut note = "all nodes as one queue with Poisson arrivals and exponential service: what a \
                    router that sends each request to the node that is free next would need"
        .to_owned();
    if load.seats {
        note.push_str(
            "; an engine counts as a server for each of its seats (sequences that its limits and its \
             KV cache allow), all as slow as with all seats taken: a bound from above, for requests \
             of mean lengths",
        );
    }
    if load.peak > 1.0 {
        note.push_str("; at the peak of the profile, as if it lasted");
    }
    Some(Sheet {
        title: "Staffing".to_owned(),
        note: Some(note),
        rows,
    })
}

fn of_servers(name: &str, formula: &str, servers: u64, nodes: u64, source: &str) -> Row {
    let numbers = format!("{servers} servers");
    let mut row = row(name, formula, numbers, Some(nodes as f64), "nodes");
    row.source = source.to_owned();
    row
}

/// Nodes beside those that are needed, so that enough are up.
fn spares(plan: &Plan, needed: u64) -> Vec<Row> {
    let Some(pool) = plan.fleet.pools.first() else {
        return Vec::new();
    };
    let accelerators = f64::from(pool.accelerators_per_replica.max(1));
    let mtbf_h = GPU_H100_LLAMA3_MTBF_H / accelerators;
    let plan = Availability::from_mtbf(mtbf_h, REPAIR_H)
        .and_then(|up| Ok((up, spare_nodes(needed, up, SURE)?)));
    let Ok((up, plan)) = plan else {
        return Vec::new();
    };
    let numbers = format!(
        "MTBF {} h a node, {REPAIR_H} h to repair: up {} %",
        significant(Some(mtbf_h)),
        significant(Some(100.0 * up.up()))
    );
    let name = format!("with spares for {} %", 100.0 * SURE);
    let formula = "least n with P(at least k of n up) >= 0.999";
    let mut all = row(&name, formula, numbers, Some(plan.nodes as f64), "nodes");
    all.source = "419 unexpected stops in 54 days of 16,384 GPUs (Llama 3); binomial".to_owned();
    let mut one = row(
        "N + 1",
        "k + 1",
        format!("{needed} + 1"),
        Some((needed + 1) as f64),
        "nodes",
    );
    one.source = "any one node lost".to_owned();
    vec![one, all]
}
