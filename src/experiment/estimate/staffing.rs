//! How many nodes theory asks for, before anything is simulated.

use crate::report::number::significant;
use crate::scenario::faults::GPU_H100_LLAMA3_MTBF_H;
use crate::scenario::resolve::Plan;
use crate::theory::sheet::ServiceKind;
use crate::theory::staffing::{
    Availability, beta_of, servers_for_sojourn, servers_for_wait, spare_nodes,
    square_root_staffing_for_wait, wait_tail,
};

use super::{Row, Sheet, row};
use crate::experiment::theory::queue_of;

/// Share of requests that may wait at all, for square-root staffing. A choice.
const MAY_WAIT: f64 = 0.1;
/// How sure it is to be that enough nodes are up. A choice.
const SURE: f64 = 0.999;
/// How long a node is gone that failed, hours. An assumption: published fleets restart by themselves
/// in nearly all cases.
const REPAIR_H: f64 = 1.0;

/// Nodes by closed forms, where the fleet is one pool of abstract servers.
pub(super) fn staffing(plan: &Plan) -> Option<Sheet> {
    let queue = queue_of(plan)?;
    if queue.input.processor_sharing {
        return None;
    }
    let per_node = queue.input.servers;
    let nodes = u64::from(queue.replicas);
    let lambda = queue.input.lambda_per_s * nodes as f64;
    let service_s = queue.input.mean_service_ms / 1e3;
    let load = lambda * service_s;
    let in_nodes = |servers: u64| servers.div_ceil(per_node.max(1));
    let mut rows = vec![row(
        "load offered to all nodes",
        "rate x mean service",
        format!(
            "{} x {} s",
            significant(Some(lambda)),
            significant(Some(service_s))
        ),
        Some(load),
        "servers",
    )];
    let mut needed = None;
    if let Ok(servers) = square_root_staffing_for_wait(load, MAY_WAIT) {
        rows.push(of_servers(
            "square-root staffing, 10 % wait",
            "R + beta sqrt(R)",
            servers,
            in_nodes(servers),
            "Halfin and Whitt 1981",
        ));
    }
    let slo = plan.fleet.tiers.iter().filter_map(|tier| tier.slo);
    let bounds = slo.filter_map(|slo| Some((slo.e2e_ms?, slo.target)));
    for (e2e_ms, target) in bounds {
        let name = format!("{} % within {e2e_ms} ms", significant(Some(100.0 * target)));
        let (mu, t) = (service_s.recip(), e2e_ms / 1e3);
        let fixed = queue.input.service == ServiceKind::Deterministic;
        let (formula, source, servers) = match fixed {
            true => (
                "least c with P(W > t - s) <= 1 - target, waits as of M/M/c",
                "Erlang C; waits of service that is always the same are shorter",
                servers_for_wait(lambda, mu, t - service_s, 1.0 - target),
            ),
            false => (
                "least c with P(T > t) <= 1 - target, M/M/c",
                "Erlang C; exponential service",
                servers_for_sojourn(lambda, mu, target, t),
            ),
        };
        match servers {
            Ok(servers) => {
                needed = needed.max(Some(in_nodes(servers)));
                rows.push(of_servers(
                    &name,
                    formula,
                    servers,
                    in_nodes(servers),
                    source,
                ));
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
        beta_of(servers, load),
        wait_tail(lambda, service_s.recip(), servers, 0.0),
    ) {
        rows.push(row(
            "beta of the fleet stated",
            "(c - R) / sqrt(R)",
            format!("({servers} - {}) / sqrt", significant(Some(load))),
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
    rows.extend(spares(plan, needed.unwrap_or(nodes)));
    Some(Sheet {
        title: "Staffing".to_owned(),
        note: Some(
            "all nodes as one queue with Poisson arrivals and exponential service: what a router \
             that sends each request to the node that is free next would need"
                .to_owned(),
        ),
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
