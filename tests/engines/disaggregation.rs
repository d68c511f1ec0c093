//! Prefill and decode pools: what a request takes from one to the other, by hand, and what must
//! hold whatever comes.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::sync::Arc;

use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::simulation::Hooks;
use seatrial::perf::{PrefillChunk, StepModel};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::schema::Scenario;
use seatrial::scenario::{Document, SourceText};

const HOP_NS: u64 = 250_000;
const GATEWAY_NS: u64 = 1_000_000;
/// When a request that arrives at 0 is with its replica.
const START: u64 = GATEWAY_NS + HOP_NS;
/// Llama-3.1-8B in bf16: 32 layers x 2 x 8 KV heads x 128 x 2 bytes.
const KV_BYTES: u64 = 131_072;

#[derive(Default)]
struct Fleet<'a> {
    /// `(arrival_ns, prompt, output)`.
    requests: &'a [(u64, u32, u32)],
    transfer: &'a str,
    prefill: &'a str,
    decode: &'a str,
}

impl Fleet<'_> {
    fn text(&self) -> String {
        let pool = |name: &str, more: &str| {
            format!(
                r#"
[[pools]]
name = "{name}"
engine = "llm"
role = "{name}"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
{more}
"#
            )
        };
        format!(
            r#"
name = "by-hand"
[run]
horizon_s = 60
[workload]
arrivals = {{ process = "trace", path = "trace.csv" }}
[network]
to_replica_ms = 0.25
from_replica_ms = 0.25
[gateway]
cost_ms = 1
[router]
policy = "round_robin"
[kv_transfer]
{}
{}
{}
"#,
            self.transfer,
            pool("prefill", self.prefill),
            pool("decode", self.decode)
        )
    }

    fn run(&self) -> Ran {
        let dir = tempfile::tempdir().unwrap();
        let mut trace = "arrival_ns,prompt_tokens,output_tokens\n".to_owned();
        for (arrival, prompt, output) in self.requests {
            trace.push_str(&format!("{arrival},{prompt},{output}\n"));
        }
        std::fs::write(dir.path().join("trace.csv"), trace).unwrap();
        let document = Document::parse(SourceText::new("by-hand.toml", self.text())).unwrap();
        let plan = resolve(&document, dir.path()).unwrap_or_else(|error| panic!("{error}"));
        let step = plan.llm[0].as_ref().unwrap().step.clone();
        let mut fleet = plan.fleet;
        fleet.record_requests = true;
        let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
        let mut rows = Vec::new();
        let mut hooks = Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut |new| rows.extend_from_slice(new),
            audit: &mut |_| {},
        };
        simulation.run(u64::MAX, &mut hooks);
        assert_eq!(simulation.check(), Ok(()));
        assert_eq!(simulation.world.in_flight(), 0);
        rows.sort_by_key(|row| row.id);
        // The parts are those of all completed requests, and sum to what these took.
        let e2e: u64 = rows
            .iter()
            .filter(|row| row.status == "completed")
            .map(|row| row.last_token_ns.unwrap() - row.arrival_ns)
            .sum();
        let budget = simulation.world.meters.budget.totals_ns();
        assert_eq!(budget.iter().sum::<u128>(), u128::from(e2e));
        Ran {
            rows,
            step,
            simulation,
            budget,
        }
    }
}

struct Ran {
    rows: Vec<RequestRow>,
    step: StepModel,
    simulation: Simulation,
    /// Sums of network, gateway, window, queue, prefill, decode and retry.
    budget: [u128; 7],
}

impl Ran {
    fn prefill_ns(&self, prompts: &[u32]) -> u64 {
        let chunk = |&tokens| PrefillChunk { tokens, context: 0 };
        let chunks: Vec<PrefillChunk> = prompts.iter().map(chunk).collect();
        self.step.step_ns(&chunks, 0, 0).round() as u64
    }

    /// Decode steps of one sequence from `context` on.
    fn decodes_ns(&self, context: u64, count: u64) -> u64 {
        let step = |i| self.step.step_ns(&[], 1, context + i);
        (0..count).map(step).sum::<f64>().round() as u64
    }
}

/// The time of the KV of so many tokens on a link of the default 50 GB/s.
fn wire_ns(tokens: u64) -> u64 {
    (tokens * KV_BYTES).div_ceil(50)
}

#[track_caller]
fn assert_within_1_ns(left: u64, right: u64) {
    assert!(left.abs_diff(right) <= 1, "{left} ns is not {right} ns");
}

#[test]
fn a_request_takes_its_prefill_its_transfer_and_its_decodes() {
    let mut ran = Fleet {
        requests: &[(0, 700, 41)],
        transfer: "latency_ms = 3",
        ..Fleet::default()
    }
    .run();
    let row = &ran.rows[0];
    assert_eq!(row.scheduled_ns, Some(START));
    let first = START + ran.prefill_ns(&[700]);
    assert_eq!(row.first_token_ns, Some(first + HOP_NS));
    let moved = wire_ns(700) + 3_000_000;
    assert_within_1_ns(row.kv_arrived_ns.unwrap(), first + moved);
    assert_eq!(row.resumed_ns, row.kv_arrived_ns);
    let decodes = ran.decodes_ns(700, 40);
    assert_within_1_ns(row.last_token_ns.unwrap(), first + moved + decodes + HOP_NS);
    assert_eq!((row.prefill_replica, row.replica), (Some(0), Some(1)));
    let [network, gateway, window, queue, prefill, decode, retry] = ran.budget.map(|ns| ns as u64);
    assert_within_1_ns(network, 2 * HOP_NS + moved);
    assert_eq!(gateway, GATEWAY_NS);
    assert_eq!(prefill, first - START);
    assert_within_1_ns(decode, decodes);
    assert_eq!((window, queue, retry), (0, 0, 0));
    let now = ran.simulation.now();
    let meter = ran.simulation.world.pool_meter(0);
    assert_eq!((meter.prefill_tokens, meter.decode_tokens), (700, 0));
    assert_eq!((meter.completed, meter.links.transfers), (1, 1));
    // It is in the one pool until its KV has come, and in the other until its last token.
    assert_within_1_ns(meter.present_ns(now) as u64, first - START + moved);
    let meter = ran.simulation.world.pool_meter(1);
    assert_eq!((meter.prefill_tokens, meter.decode_tokens), (0, 40));
    assert_eq!((meter.completed, meter.batches), (1, 40));
    assert_within_1_ns(meter.present_ns(now) as u64, decodes);
}

#[test]
fn a_request_of_one_token_ends_where_its_prompt_was_computed() {
    let mut ran = Fleet {
        requests: &[(0, 300, 1)],
        // What it would not fit is not asked.
        decode: "kv_blocks = 4",
        ..Fleet::default()
    }
    .run();
    let done = START + ran.prefill_ns(&[300]) + HOP_NS;
    assert_eq!(ran.rows[0].last_token_ns, Some(done));
    assert_eq!(ran.rows[0].kv_arrived_ns, None);
    assert_eq!(ran.simulation.world.pool_meter(0).completed, 1);
    assert_eq!(ran.simulation.world.pool_meter(1).completed, 0);
}

#[test]
fn two_prompts_done_together_queue_for_one_link_in_order() {
    let requests = [(0, 400, 2), (0, 600, 2)];
    let ran = Fleet {
        requests: &requests,
        ..Fleet::default()
    }
    .run();
    let first = START + ran.prefill_ns(&[400, 600]);
    let arrived = |ran: &Ran, row: usize| ran.rows[row].kv_arrived_ns.unwrap();
    assert_within_1_ns(arrived(&ran, 0), first + wire_ns(400));
    assert_within_1_ns(arrived(&ran, 1), first + wire_ns(400) + wire_ns(600));
    // Two replicas have two links, which are free of one another ...
    let two = Fleet {
        requests: &requests,
        prefill: "replicas = 2",
        ..Fleet::default()
    };
    let ran = two.run();
    for (row, tokens) in [(0, 400), (1, 600)] {
        let first = START + ran.prefill_ns(&[tokens]);
        assert_within_1_ns(arrived(&ran, row), first + wire_ns(u64::from(tokens)));
    }
    // ... unless the pool has one between them.
    for shared_by in ["pool", "fleet"] {
        let transfer = format!("shared_by = \"{shared_by}\"\nbandwidth_gb_per_s = 0.5");
        let ran = Fleet {
            transfer: &transfer,
            ..two
        }
        .run();
        let first = START + ran.prefill_ns(&[400]);
        let alone = first + 400 * KV_BYTES * 2;
        assert_eq!(arrived(&ran, 0), alone);
        assert_eq!(arrived(&ran, 1), alone + 600 * KV_BYTES * 2);
    }
}

#[test]
fn transfer_latency_moves_every_last_token_by_as_much_where_nothing_queues() {
    let requests: Vec<(u64, u32, u32)> = (0..20)
        .map(|i| (i * 1_500_000_000, 100 + 37 * i as u32, 2 + 5 * i as u32))
        .collect();
    let last = |latency_ms: u64| -> Vec<u64> {
        let transfer = format!("latency_ms = {latency_ms}");
        let fleet = Fleet {
            requests: &requests,
            transfer: &transfer,
            ..Fleet::default()
        };
        let rows = fleet.run().rows;
        rows.iter().map(|row| row.last_token_ns.unwrap()).collect()
    };
    let (without, with) = (last(0), last(17));
    for (without, with) in without.iter().zip(with) {
        assert_eq!(with - without, 17_000_000);
    }
}

#[test]
fn blocks_are_held_at_the_prefill_replica_until_the_kv_has_come() {
    // Room for one prompt at a time, and 100 ms on the way: the second is not even begun before.
    let mut ran = Fleet {
        requests: &[(0, 320, 2), (0, 320, 2)],
        transfer: "latency_ms = 100",
        prefill: "kv_blocks = 21",
        ..Fleet::default()
    }
    .run();
    assert_eq!(ran.rows[1].scheduled_ns, ran.rows[0].kv_arrived_ns);
    assert!(ran.rows[0].kv_arrived_ns.unwrap() > 100_000_000);
    assert_eq!(ran.simulation.world.pool_meter(0).kv_blocks_most, 20);
}

#[test]
fn a_decode_replica_without_memory_lets_requests_wait_in_order() {
    // 12 blocks of 16 tokens: the first two fill them as they come; the others wait.
    let requests = [(0, 90, 30), (0, 60, 30), (0, 90, 4), (0, 16, 4)];
    let ran = Fleet {
        requests: &requests,
        decode: "kv_blocks = 12",
        ..Fleet::default()
    }
    .run();
    let resumed: Vec<u64> = ran.rows.iter().map(|row| row.resumed_ns.unwrap()).collect();
    assert!(ran.rows.iter().all(|row| row.status == "completed"));
    assert_eq!(ran.rows[0].resumed_ns, ran.rows[0].kv_arrived_ns);
    assert!(resumed[2] > ran.rows[2].kv_arrived_ns.unwrap());
    // The last would fit, but who came first goes first.
    assert!(resumed[3] >= resumed[2]);
    assert!(ran.budget[3] > 0, "waiting there is time in a queue");
}

#[test]
fn seats_of_the_decode_replica_bound_who_decodes() {
    let requests = [(0, 16, 8); 5];
    let ran = Fleet {
        requests: &requests,
        decode: "max_num_seqs = 2",
        ..Fleet::default()
    }
    .run();
    let resumed: Vec<u64> = ran.rows.iter().map(|row| row.resumed_ns.unwrap()).collect();
    assert!(resumed[0] <= resumed[1] && resumed[1] < resumed[2]);
    assert!(resumed[2] <= resumed[3] && resumed[3] < resumed[4]);
}

#[test]
fn a_preempted_sequence_is_computed_again_where_it_decodes() {
    // Two sequences of 40 tokens fill the six blocks; when both want a seventh, the second goes.
    // It has come later than the first by its time on the link, so that the two are a token apart.
    let mut ran = Fleet {
        requests: &[(0, 40, 40), (0, 40, 40)],
        decode: "kv_blocks = 6",
        ..Fleet::default()
    }
    .run();
    assert!(ran.rows.iter().all(|row| row.status == "completed"));
    assert_eq!(ran.rows[0].preemptions, 0);
    assert_eq!(ran.rows[1].preemptions, 1);
    let prefill = ran.simulation.world.pool_meter(0);
    assert_eq!((prefill.prefill_tokens, prefill.preemptions), (80, 0));
    let decode = ran.simulation.world.pool_meter(1);
    assert_eq!(decode.preemptions, 1);
    // Prompt and what it had made by then, and no token is made twice.
    assert!(decode.prefill_tokens > 40 && decode.prefill_tokens < 80);
    assert_eq!(decode.decode_tokens, 39 + 38);
    assert_eq!(decode.kv_blocks_most, 6);
}

#[test]
fn a_storm_of_preemptions_ends() {
    let requests: Vec<(u64, u32, u32)> = (0..60).map(|i| (i * 1_000_000, 64, 60)).collect();
    for scheduler in ["vllm_v1", "vllm_v0", "sarathi"] {
        let decode = format!("kv_blocks = 16\nscheduler = \"{scheduler}\"");
        let mut ran = Fleet {
            requests: &requests,
            prefill: "kv_blocks = 12",
            decode: &decode,
            ..Fleet::default()
        }
        .run();
        assert!(ran.rows.iter().all(|row| row.status == "completed"));
        assert!(ran.simulation.world.pool_meter(1).preemptions > 10);
    }
}

#[test]
fn what_no_decode_replica_could_hold_is_turned_away_before_its_prompt_is_computed() {
    let mut ran = Fleet {
        requests: &[(0, 90, 8), (0, 90, 6)],
        decode: "kv_blocks = 6",
        ..Fleet::default()
    }
    .run();
    let status: Vec<&str> = ran.rows.iter().map(|row| row.status).collect();
    assert_eq!(status, ["rejected_too_long", "completed"]);
    assert_eq!(ran.simulation.world.pool_meter(0).prefill_tokens, 90);
}

#[test]
fn a_mixed_pool_beside_them_takes_its_share_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut trace = "arrival_ns,prompt_tokens,output_tokens\n".to_owned();
    (0..8).for_each(|i| trace.push_str(&format!("{},100,5\n", i * 1_000_000)));
    std::fs::write(dir.path().join("trace.csv"), trace).unwrap();
    let text = Fleet::default().text()
        + r#"
[[pools]]
name = "both"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
"#;
    let document = Document::parse(SourceText::new("mixed.toml", text)).unwrap();
    let plan = resolve(&document, dir.path()).unwrap_or_else(|error| panic!("{error}"));
    let mut simulation = Simulation::new(Arc::new(plan.fleet)).unwrap();
    let mut hooks = Hooks {
        stop: None,
        progress: &mut |_| {},
        rows: &mut |_| {},
        audit: &mut |_| {},
    };
    simulation.run(u64::MAX, &mut hooks);
    assert_eq!(simulation.check(), Ok(()));
    let completed = [0, 1, 2].map(|pool| simulation.world.pool_meter(pool).completed);
    assert_eq!(completed, [4, 4, 4]);
}

#[track_caller]
fn refused(from: &str, to: &str, parts: &[&str]) {
    let text = Fleet {
        prefill: "# prefill",
        decode: "# decode",
        ..Fleet::default()
    }
    .text();
    assert!(text.contains(from), "{from} in {text}");
    let document = Document::parse(SourceText::new("s.toml", text.replace(from, to))).unwrap();
    let message = resolve(&document, Path::new("")).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn roles_that_do_not_go_together_are_refused() {
    refused(
        "role = \"decode\"",
        "",
        &[
            "s.toml:",
            "pools.prefill.role = \"prefill\": needs a pool with role = \"decode\"",
            "; add one, or take the role away",
        ],
    );
    refused(
        "role = \"prefill\"",
        "",
        &["pools.decode.role = \"decode\": needs a pool with role = \"prefill\""],
    );
    refused(
        "# decode",
        "kv_dtype = \"fp8\"",
        &["pools.decode.kv_dtype = \"fp8\": must be \"bf16\" as in pool prefill"],
    );
    refused(
        "role = \"decode\"\nmodel = \"llama-3.1-8b\"",
        "role = \"decode\"\nmodel = \"qwen3-32b\"",
        &["pools.decode.model = \"qwen3-32b\": must be \"llama-3.1-8b\" as in pool prefill"],
    );
    refused(
        "[kv_transfer]",
        "[kv_transfer]\nbandwidth_gb_per_s = 0",
        &["kv_transfer.bandwidth_gb_per_s = 0: must be 0.001 to "],
    );
    refused(
        "[kv_transfer]",
        "[kv_transfer]\nlatency_ms = -1",
        &["kv_transfer.latency_ms = -1: must be 0 to "],
    );
}

fn json_of(more: &[&str], code: i32) -> serde_json::Value {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/disaggregation.toml");
    let output = assert_cmd::Command::cargo_bin("seatrial")
        .unwrap()
        .arg("run")
        .arg(scenario)
        .args(["--json", "--omit-timing"])
        .args(more)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_result_says_which_side_limits() {
    let result = json_of(&[], 0);
    let limits = |result: &serde_json::Value| result["disaggregation"]["limits"].clone();
    assert_eq!(limits(&result), "prefill");
    let variants = &result["variants"];
    assert_eq!(limits(&variants["slow-link"]), "link");
    // Without roles there is nothing of the kind.
    let aggregated = &variants["aggregated"];
    assert!(aggregated.get("disaggregation").is_none());
    assert!(aggregated["pools"][0].get("role").is_none());
    let pool = &result["pools"][0];
    assert_eq!(pool["role"], "prefill");
    let utilization = |side: &str| result["disaggregation"][side].as_f64().unwrap();
    assert_eq!(pool["utilization"], utilization("prefill_utilization"));
    assert!(utilization("decode_utilization") > utilization("prefill_utilization"));
    assert_eq!(result["pools"][1]["role"], "decode");
    // Few seats where answers are made, and that side limits (and the objective is missed).
    let seats = [
        "--set",
        "pools.node-2.max_num_seqs=15",
        "--set",
        "claims=[]",
    ];
    assert_eq!(limits(&json_of(&seats, 1)), "decode");
}

#[test]
fn a_scenario_without_roles_is_written_out_as_before() {
    let text = Fleet::default()
        .text()
        .replace("role = \"prefill\"", "")
        .replace("role = \"decode\"", "")
        .replace("[kv_transfer]", "");
    let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
    let scenario: Scenario = document.parse_as().unwrap();
    let written = serde_json::to_value(&scenario).unwrap().to_string();
    assert!(
        !written.contains("role") && !written.contains("kv_transfer"),
        "{written}"
    );
}
