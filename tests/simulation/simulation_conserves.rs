//! What goes in comes out: every request is accounted for, the parts of a latency are the whole,
//! and time integrals are the sums over requests that they stand for.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{e2e_ns, simulate};
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::{Document, SourceText};

/// Every way to end: rate limit, full queue, too long a prompt, and answered.
const CROWDED: &str = r#"
name = "crowded"
router = { policy = "random" }
[run]
seed = 3
horizon_s = 60
warmup_s = 0
[workload]
arrivals = { process = "gamma", rate_per_s = 60, cv = 2 }
prompt_tokens = { law = "lognormal", mean_tokens = 900, cv = 2 }
output_tokens = { law = "exponential", mean_tokens = 60 }
[network]
to_replica_ms = 0.7
from_replica_ms = 1.3
[gateway]
cost_ms = 2
rate_limit = { requests_per_s = 50, burst = 20 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
queue_capacity = 5
service = { law = "exponential", mean_ms = 80 }
[[pools]]
name = "model"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
max_model_len = 3000
"#;

/// As many requests as end long before the horizon.
fn drained(top: &str, pool: &str) -> String {
    format!(
        "name = \"drained\"\n{top}\n[run]\nseed = 9\nhorizon_s = 4000\nwarmup_s = 0\n\
         [network]\nto_replica_ms = 3\nfrom_replica_ms = 5\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 45 }}\n\
         max_requests = 4000\n[[pools]]\nname = \"pool\"\n{pool}\n"
    )
}

const DRAINED: [(&str, &str); 6] = [
    (
        "",
        "engine = \"abstract\"\nservice = { law = \"exponential\", mean_ms = 20 }",
    ),
    (
        "",
        "engine = \"abstract\"\nservers = 3\nqueue_capacity = 2\n\
         service = { law = \"lognormal\", mean_ms = 80, scv = 3 }",
    ),
    (
        "",
        "engine = \"abstract\"\ndiscipline = \"processor_sharing\"\nreplicas = 2\n\
         service = { law = \"hyperexponential\", mean_ms = 35, scv = 4 }",
    ),
    (
        "batching = { window_ms = 30, max_batch = 8 }",
        "engine = \"abstract\"\nbatch_service = { fixed_ms = 50, per_item_ms = 5 }",
    ),
    (
        "batching = { window_ms = 30, max_batch = 8 }",
        "engine = \"abstract\"\nservers = 2\nservice = { law = \"exponential\", mean_ms = 30 }",
    ),
    (
        "",
        "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"",
    ),
];

#[test]
fn every_request_ends_once_and_in_one_way() {
    let (rows, simulation) = simulate(CROWDED);
    let mut ended: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row.id, index as u64);
        *ended.entry(row.status).or_default() += 1;
    }
    for status in [
        "completed",
        "rejected_rate_limit",
        "rejected_queue_full",
        "rejected_too_long",
    ] {
        assert!(ended.get(status).copied() > Some(20), "{ended:?}");
    }
    assert_eq!(rows.len() as u64, simulation.world.meters.arrived);
    let document = Document::parse(SourceText::new("crowded.toml", CROWDED)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
    let requests = &outcome.result.requests;
    let count = |status: &str| ended.get(status).copied().unwrap_or(0);
    assert_eq!(requests.arrived, rows.len() as u64);
    assert_eq!(requests.completed, count("completed"));
    assert_eq!(requests.in_flight, count("in_flight"));
    assert_eq!(
        requests.rejected_by.rate_limit,
        count("rejected_rate_limit")
    );
    assert_eq!(
        requests.rejected_by.queue_full,
        count("rejected_queue_full")
    );
    assert_eq!(requests.rejected_by.too_long, count("rejected_too_long"));
    assert_eq!(
        requests.arrived,
        requests.completed
            + requests.rejected
            + requests.shed
            + requests.timed_out
            + requests.failed
            + requests.cancelled
            + requests.in_flight
    );
}

#[test]
fn parts_of_the_budget_sum_to_the_latency() {
    let (rows, simulation) = simulate(CROWDED);
    let (to, from) = (700_000, 1_300_000);
    let mut sums = [0u128; 7];
    let mut whole = 0u128;
    let horizon = simulation.plan().horizon.0;
    for row in rows.iter().filter(|row| row.status == "completed") {
        assert!(row.arrival_ns < horizon);
        let stamps = [
            row.arrival_ns,
            row.gateway_ns.unwrap(),
            row.delivered_ns.unwrap(),
            row.queued_ns.unwrap(),
            row.scheduled_ns.unwrap(),
            row.first_token_ns.unwrap() - from,
            row.last_token_ns.unwrap() - from,
        ];
        let spans: Vec<u64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(spans[0], 2_000_000);
        assert_eq!(spans[1], to);
        let parts = [
            spans[1] + from,
            spans[0],
            spans[2],
            spans[3],
            spans[4],
            spans[5],
            0,
        ];
        assert_eq!(parts.iter().sum::<u64>(), e2e_ns(row));
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += u128::from(part);
        }
        whole += u128::from(e2e_ns(row));
    }
    assert_eq!(simulation.world.meters.budget.totals_ns(), sums);
    assert_eq!(sums.iter().sum::<u128>(), whole);
}

#[test]
fn number_present_integrates_to_the_sum_of_sojourns() {
    for (top, pool) in DRAINED {
        let (rows, mut simulation) = simulate(&drained(top, pool));
        assert_eq!((rows.len(), simulation.world.in_flight()), (4000, 0));
        let sojourns: u128 = rows
            .iter()
            .filter_map(|row| {
                let left = row.last_token_ns? - 5_000_000;
                Some(u128::from(left - row.delivered_ns.unwrap()))
            })
            .sum();
        let now = simulation.now();
        assert!(now < simulation.plan().horizon);
        let present = simulation.world.pool_meter(0).present_ns(now);
        assert_eq!(present, sojourns, "{pool}");
    }
}

#[test]
fn servers_are_busy_for_the_sum_of_services() {
    for (top, pool) in [DRAINED[0], DRAINED[1], DRAINED[4]] {
        let text = drained(top, pool);
        let (rows, mut simulation) = simulate(&text);
        let served = rows.iter().filter_map(|row| {
            let left = row.last_token_ns? - 5_000_000;
            Some(u128::from(left - row.scheduled_ns.unwrap()))
        });
        let served: u128 = served.sum();
        assert_eq!(simulation.world.pool_meter(0).busy_ns, served, "{pool}");
        // As a share of the servers' time: the utilization law, arrivals times service.
        let document = Document::parse(SourceText::new("drained.toml", text)).unwrap();
        let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
        let row = &outcome.document["pools"][0];
        let servers = row["servers"].as_f64().unwrap();
        let utilization = row["utilization"].as_f64().unwrap();
        let expected = served as f64 / 1e9 / 4000.0 / servers;
        assert!(
            (utilization / expected - 1.0).abs() < 1e-9,
            "{utilization} {expected}"
        );
    }
}
