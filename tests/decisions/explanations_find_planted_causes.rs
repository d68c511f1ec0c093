//! A cause that was planted is the one that is found, its share is what is known of it, and all shares
//! add up.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::sweeps;

use serde_json::Value;
use sweeps::{fine, refused};

/// Prompt lengths whose longest are what the slowest requests are made of.
const LONG_TAILED: &str =
    "{ law = \"lognormal\", mean_tokens = 3000, cv = 3, max_tokens = 100000 }";

/// Four nodes of two servers at half load with nothing wrong.
const CALM: &str = r#"
name = "calm"
[run]
horizon_s = 60
warmup_s = 5
replications = 5
[workload]
arrivals = { process = "poisson", rate_per_s = 100 }
[router]
policy = "least_request"
choices = 0
[[pools]]
name = "nodes"
engine = "abstract"
replicas = 4
servers = 2
service = { law = "lognormal", mean_ms = 40, scv = 0.1 }
[cost]
on_demand_usd_per_gpu_hour = 2
"#;

/// An LLM engine with all the memory that it needs.
const LLM: &str = r#"
name = "llm"
[run]
horizon_s = 120
warmup_s = 10
replications = 4
[workload]
arrivals = { process = "poisson", rate_per_s = 4 }
prompt_tokens = { law = "constant", tokens = 600 }
output_tokens = { law = "constant", tokens = 120 }
[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
"#;

fn explained(scenario: &str, more: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
    let arguments = [&["explain", "s.toml", "--json"], more].concat();
    serde_json::from_str(&fine(dir.path(), &arguments)).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

fn part<'a>(found: &'a Value, name: &str) -> Option<&'a Value> {
    found["parts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["part"] == name)
}

/// The part that is responsible for most, which must be beyond doubt and be what was planted.
#[track_caller]
fn planted(found: &Value, name: &str) -> f64 {
    let first = &found["parts"][0];
    assert_eq!(first["part"], name, "{found}");
    assert!(number(&first["share"]["low"]) > 0.0, "{first}");
    let shares = found["parts"].as_array().unwrap().iter();
    let sum: f64 = shares.map(|row| number(&row["share"]["value"])).sum();
    let whole = number(&found["figure"]["value"]);
    let left = number(&found["left"]["value"]);
    assert!(
        (sum + left - whole).abs() < 1e-6 * whole,
        "{sum} + {left} is not {whole}"
    );
    number(&first["share"]["value"])
}

fn with(from: &str, to: &str) -> String {
    assert!(CALM.contains(from), "{from}");
    CALM.replacen(from, to, 1)
}

#[test]
fn a_slow_way_between_gateway_and_replicas() {
    let text = with(
        "[router]",
        "[network]\nto_replica_ms = 60\nfrom_replica_ms = 40\n[router]",
    );
    let share = planted(&explained(&text, &[]), "network");
    // Hops are added to whatever else there is, and what routers see is a little older for them.
    assert!((95.0..115.0).contains(&share), "{share}");
}

#[test]
fn a_slow_gateway() {
    let text = with("[router]", "[gateway]\ncost_ms = 80\n[router]");
    let share = planted(&explained(&text, &[]), "gateway");
    assert!((share - 80.0).abs() < 0.5, "{share}");
}

#[test]
fn a_window_that_is_too_long() {
    let text = with(
        "[router]",
        "[batching]\nwindow_ms = 150\nmax_batch = 64\n[router]",
    );
    let found = explained(&text, &[]);
    let share = planted(&found, "window");
    assert!((60.0..170.0).contains(&share), "{share}");
    // Without it is what helps.
    assert_eq!(
        found["remedies"][0]["remedy"]["text"], "no batching window",
        "{found}"
    );
}

#[test]
fn nodes_that_are_slow_for_a_while() {
    let text = with(
        "[cost]",
        "[[faults.timeline]]\nkind = \"brown_out\"\nshare = 0.8\n\
                               target = { pool = \"nodes\" }\nat_s = 20\nfor_s = 20\n[cost]",
    );
    planted(&explained(&text, &[]), "failures");
}

#[test]
fn a_router_that_does_not_look() {
    let text = with(
        "policy = \"least_request\"\nchoices = 0",
        "policy = \"random\"",
    );
    let text = text.replace("rate_per_s = 100", "rate_per_s = 150");
    let found = explained(&text, &[]);
    planted(&found, "routing");
    let texts: Vec<&str> = found["remedies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| number(&row["change"]["high"]) < 0.0)
        .map(|row| row["remedy"]["text"].as_str().unwrap())
        .collect();
    assert!(
        texts.contains(&"routing to the least loaded of all"),
        "{texts:?}"
    );
}

#[test]
fn arrivals_in_bursts() {
    let text = with(
        "process = \"poisson\", rate_per_s = 100",
        "process = \"on_off\", on_rate_per_s = 400, on_mean_s = 1, off_mean_s = 3",
    );
    let found = explained(&text, &[]);
    planted(&found, "bursts");
    // At the same mean rate, evenly spread, next to nobody waits.
    assert!(number(&part(&found, "bursts").unwrap()["alone"]["high"]) < 0.0);
}

#[test]
fn requests_of_very_unequal_length() {
    let text = with("mean_ms = 40, scv = 0.1", "mean_ms = 40, scv = 30");
    planted(&explained(&text, &[]), "variability");
}

/// A pool of even service beside one of very uneven.
const EVEN_AND_UNEVEN: &str = r#"
name = "even-and-uneven"
[run]
horizon_s = 60
warmup_s = 5
replications = 5
[workload]
arrivals = { process = "poisson", rate_per_s = 60 }
[[tiers]]
name = "big"
share = 0.5
model = "big"
[[tiers]]
name = "small"
share = 0.5
model = "small"
[[pools]]
name = "even"
engine = "abstract"
servers = 4
service = { law = "deterministic", mean_ms = 40 }
serves = ["big"]
[[pools]]
name = "uneven"
engine = "abstract"
servers = 4
service = { law = "lognormal", mean_ms = 40, scv = 20 }
serves = ["small"]
"#;

#[test]
fn the_pool_whose_requests_are_unequal_is_named() {
    let found = explained(EVEN_AND_UNEVEN, &[]);
    planted(&found, "variability");
    let uneven = part(&found, "variability").unwrap();
    let pools = uneven["pools"].as_array().unwrap();
    assert_eq!(pools.len(), 1, "{uneven}");
    assert_eq!(pools[0]["pool"], "uneven");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), EVEN_AND_UNEVEN).unwrap();
    let page = fine(dir.path(), &["explain", "s.toml"]);
    let page = page.split_whitespace().collect::<Vec<&str>>().join(" ");
    assert!(page.contains("in pool uneven most"), "{page}");
    // The sum is told beside its parts, which go by the names of `run`.
    assert!(page.contains("20 at least) take"), "{page}");
    assert!(
        page.contains("service") && !page.contains("prefill"),
        "{page}"
    );
    let mean = ["explain", "s.toml", "--metric", "latency.e2e_ms.mean"];
    let page = fine(dir.path(), &mean);
    assert!(!page.contains("closest to the E2E p99"), "{page}");
}

#[test]
fn too_few_nodes() {
    let text = with("rate_per_s = 100", "rate_per_s = 190");
    let found = explained(&text, &[]);
    let share = planted(&found, "contention");
    let best = &found["remedies"][0];
    assert_eq!(best["remedy"]["text"], "1 more replica of nodes");
    assert!(number(&best["change"]["high"]) < 0.0, "{best}");
    // $2 an hour for each of them.
    assert!(
        (number(&best["usd_per_year"]) - 2.0 * 8_760.0).abs() < 1.0,
        "{best}"
    );
    assert!(share > 20.0, "{share}");
}

#[test]
fn kv_memory_that_runs_out() {
    // Four requests of 720 tokens fit it, and four are there at once on average.
    let found = explained(&format!("{LLM}kv_blocks = 190\n"), &[]);
    planted(&found, "kv_memory");
    // With the memory that the cards have it is of no account.
    let plenty = explained(LLM, &[]);
    let share = &part(&plenty, "kv_memory").unwrap()["share"];
    assert!(
        number(&share["value"]).abs() < 0.01 * number(&plenty["figure"]["value"]),
        "{share}"
    );
}

#[test]
fn nothing_planted_is_nothing_found() {
    let found = explained(CALM, &[]);
    assert!(
        part(&found, "network").is_none() && part(&found, "failures").is_none(),
        "{found}"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), CALM).unwrap();
    let told = refused(
        dir.path(),
        &["explain", "s.toml", "--metric", "latency.e2e_ms.p98"],
    );
    assert!(told.contains("is not a field of the result"), "{told}");
    // What no run decides, and what is better the more there is, is refused.
    for (metric, part) in [
        ("7", "no figure that a run decides"),
        (
            "scenario.pools.nodes.replicas",
            "no figure that a run decides",
        ),
        (
            "throughput.requests_per_s",
            "'1 - throughput.requests_per_s'",
        ),
    ] {
        let told = refused(dir.path(), &["explain", "s.toml", "--metric", metric]);
        assert!(told.contains(part), "{told}");
    }
    // Ten times the replicas are no cause of what a fleet costs.
    let found = explained(
        CALM,
        &["--metric", "cost.usd_per_year", "--replications", "2"],
    );
    assert!(part(&found, "contention").is_none(), "{found}");
    // What has no value without a part says without which.
    let ratio = "latency.e2e_ms.mean / latency.queue_ms.mean";
    let told = refused(dir.path(), &["explain", "s.toml", "--metric", ratio]);
    assert!(
        told.contains("--metric latency.e2e_ms.mean / latency.queue_ms.mean: without ")
            && told.contains("name a metric that all runs have"),
        "{told}"
    );
}

#[test]
fn several_causes_at_once_are_told_apart() {
    let text = with(
        "[router]\npolicy = \"least_request\"\nchoices = 0",
        "[network]\nto_replica_ms = 60\n[gateway]\ncost_ms = 25\n[batching]\nwindow_ms = 4\n\
         [router]\npolicy = \"random\"",
    );
    let text = text.replace(
        "[cost]",
        "[[faults.timeline]]\nkind = \"brown_out\"\nshare = 0.3\ntarget = { pool = \"nodes\" }\n\
         at_s = 20\nfor_s = 5\n[cost]",
    );
    let found = explained(&text, &["--replications", "3"]);
    assert_eq!(found["parts"].as_array().unwrap().len(), 8);
    // Five that could be built otherwise, three that are capacity and traffic: 32 + 7 sets, and three
    // alone.
    assert_eq!(found["counterfactuals"], 42);
    for (name, known) in [("network", 60.0), ("gateway", 25.0)] {
        let share = number(&part(&found, name).unwrap()["share"]["value"]);
        assert!((share - known).abs() < 5.0, "{name}: {share}");
    }
    planted(&found, found["parts"][0]["part"].as_str().unwrap());
}

#[test]
fn the_page_says_it_in_words_that_the_numbers_bear_out() {
    let text = with(
        "[router]",
        "[network]\nto_replica_ms = 60\nfrom_replica_ms = 40\n[router]",
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), text).unwrap();
    let page = fine(dir.path(), &["explain", "s.toml", "--threads", "1"]);
    let again = fine(dir.path(), &["explain", "s.toml", "--threads", "2"]);
    assert_eq!(page, again);
    assert!(
        page.contains("is the hops between gateway and replicas"),
        "{page}"
    );
    assert!(
        page.contains("is left when all parts below are ideal"),
        "{page}"
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
}

/// A pool with few seats beside one with plenty.
const TWO_POOLS: &str = r#"
name = "two-pools"
[run]
horizon_s = 60
warmup_s = 5
replications = 3
[workload]
arrivals = { process = "poisson", rate_per_s = 20 }
prompt_tokens = { law = "constant", tokens = 500 }
output_tokens = { law = "constant", tokens = 100 }
[[tiers]]
name = "big"
share = 0.7
model = "big"
[[tiers]]
name = "small"
share = 0.3
model = "small"
[[pools]]
name = "wide"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
replicas = 4
serves = ["big"]
[[pools]]
name = "narrow"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
max_num_seqs = 4
replicas = 1
serves = ["small"]
"#;

#[test]
fn the_pool_that_is_short_is_named_and_so_is_what_it_is_short_of() {
    let found = explained(TWO_POOLS, &[]);
    planted(&found, "kv_memory");
    let pools = found["parts"][0]["pools"].as_array().unwrap();
    assert_eq!(pools[0]["pool"], "narrow", "{found}");
    assert_eq!(pools.len(), 2);
    // All of it is there, and none in the other pool.
    let alone = number(&found["parts"][0]["alone"]["value"]);
    assert!((number(&pools[0]["alone"]["value"]) - alone).abs() < 1e-6 * alone.abs());
    assert!(number(&pools[1]["alone"]["value"]).abs() < 1e-6 * alone.abs());
    let remedies = found["remedies"].as_array().unwrap();
    let seats = remedies
        .iter()
        .find(|row| row["remedy"]["text"] == "8 seats (max_num_seqs) in narrow")
        .unwrap();
    assert!(number(&seats["change"]["high"]) < 0.0, "{seats}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), TWO_POOLS).unwrap();
    let page = fine(dir.path(), &["explain", "s.toml"]);
    assert!(page.contains("in pool narrow most"), "{page}");
}

#[test]
fn every_command_says_the_same_of_the_same_runs() {
    // Prompts of very unequal length: the replications' own p99 are far from that of all together.
    let text = LLM
        .replace("{ law = \"constant\", tokens = 600 }", LONG_TAILED)
        .replace("rate_per_s = 4", "rate_per_s = 9");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), &text).unwrap();
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&fine(dir.path(), arguments)).unwrap()
    };
    let run = json(&["run", "s.toml", "--json"]);
    let value = number(&run["latency"]["e2e_ms"]["p99"]);
    let interval = &run["intervals"]["e2e_ms"]["p99"];
    let span = (number(&interval["low"]), number(&interval["high"]));
    assert!(span.0 < value && value < span.1, "{interval}");
    let explained = explained(&text, &[]);
    let figure = &explained["figure"];
    let same = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * value, "{a} for {b}");
    same(number(&figure["value"]), value);
    same(number(&figure["low"]), span.0);
    same(number(&figure["high"]), span.1);
    let arguments = [
        "compare",
        "s.toml",
        "s.toml",
        "--set-b",
        "workload.arrivals.rate_per_s=6",
        "--json",
    ];
    let compared = json(&arguments);
    let rows = compared["figures"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["metric"] == "latency.e2e_ms.p99");
    let row = row.unwrap_or_else(|| panic!("{compared}"));
    same(number(&row["a"]), value);
    let (low, high) = (number(&row["low"]), number(&row["high"]));
    let difference = number(&row["b"]) - number(&row["a"]);
    assert!(low < difference && difference < high, "{row}");
    same((low + high) / 2.0, difference);
}
