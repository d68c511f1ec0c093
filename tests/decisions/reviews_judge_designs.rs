//! The design card says what is known of designs whose strengths and faults were planted, is the same
//! whatever the threads, and goes by the criteria that it is given.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::sweeps;

use std::path::Path;

use seatrial::experiment::metric::Metric;
use seatrial::experiment::review::criteria::{Better, Criteria, SHIPPED};
use serde_json::Value;
use sweeps::{fine, refused, seatrial};

/// Four servers of 10 ms, one request at a time, at 150 a second with nothing random: two are needed,
/// and 400 a second are the most.
const EXACT: &str = r#"
name = "exact"
[run]
horizon_s = 20
warmup_s = 0
[workload]
arrivals = { process = "constant", rate_per_s = 150 }
[router]
policy = "round_robin"
[slo]
e2e_ms = 10.5
target = 0.99
[[pools]]
name = "nodes"
engine = "abstract"
replicas = 4
servers = 1
service = { law = "deterministic", mean_ms = 10 }
[cost]
on_demand_usd_per_gpu_hour = 2
"#;

fn folder(scenario: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
    dir
}

fn card(dir: &Path, more: &[&str]) -> Value {
    let output = seatrial(dir, &[&["review", "s.toml", "--json"], more].concat());
    assert!(
        output.status.code().is_some_and(|code| code < 2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn criterion<'a>(card: &'a Value, id: &str) -> &'a Value {
    let dimensions = card["dimensions"].as_array().unwrap().iter();
    let mut rows = dimensions.flat_map(|it| it["criteria"].as_array().unwrap());
    rows.find(|row| row["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {card}"))
}

#[track_caller]
fn value(card: &Value, id: &str) -> f64 {
    let row = criterion(card, id);
    row["value"]
        .as_f64()
        .unwrap_or_else(|| panic!("no value: {row}"))
}

#[test]
fn what_is_known_of_a_fleet_without_chance_is_on_its_card() {
    let dir = folder(EXACT);
    let card = card(dir.path(), &[]);
    // 400 / 150 is 2.667, and the next factor that is looked at is 5 % above 1.05^20 = 2.653.
    assert!((value(&card, "headroom") - 1.05_f64.powi(20)).abs() < 1e-9);
    assert_eq!(criterion(&card, "headroom")["score"], 5);
    assert_eq!(value(&card, "objective"), 0.0);
    assert_eq!(value(&card, "cheapest"), 2.0);
    assert_eq!(criterion(&card, "cheapest")["score"], 2);
    // From a tenth of the run on a quarter of the requests is lost, for each hundredth that may be.
    let lost = value(&card, "node-lost");
    assert!((lost - 0.9 * 0.25 / 0.01).abs() < 0.1, "{lost}");
    // A rack of 32 accelerators holds all four nodes, and so does the only region.
    let answered = value(&card, "region-lost");
    assert!((answered - 0.1).abs() < 0.001, "{answered}");
    assert!((value(&card, "rack-lost") - 90.0).abs() < 0.1);
    assert_eq!(card["objectives_met"], true);
}

#[test]
fn a_probe_is_the_scenario_with_that_change() {
    let dir = folder(&EXACT.replace("replicas = 4", "replicas = 2"));
    let card = card(dir.path(), &[]);
    let set = "workload.arrivals.rate_per_s=300";
    let doubled = seatrial(dir.path(), &["run", "s.toml", "--json", "--set", set]);
    let doubled: Value = serde_json::from_slice(&doubled.stdout).unwrap();
    let attained = doubled["slo"][0]["attained"].as_f64().unwrap();
    let used = (1.0 - attained) / (1.0 - 0.99);
    let shown = value(&card, "twice-the-traffic");
    assert!((shown - used).abs() < 1e-9 * used, "{shown} {used}");
    assert!(used > 20.0, "{used}");
    assert_eq!(criterion(&card, "twice-the-traffic")["score"], 1);
}

#[test]
fn a_weakness_that_is_mended_scores_higher() {
    let bare = folder(EXACT);
    // Gateways that stop sending to what fails, and clients that try again.
    let mended = format!(
        "{EXACT}\n[health.outlier]\nconsecutive_5xx = 3\nmax_ejection_pct = 50\n[clients]\nmax_retries = 2\n"
    );
    let mended = folder(&mended);
    let [bare, mended] = [&bare, &mended].map(|dir| card(dir.path(), &[]));
    assert!(value(&mended, "node-lost") < value(&bare, "node-lost") / 2.0);
    let score = |card: &Value| {
        let rows = card["dimensions"].as_array().unwrap();
        let row = rows.iter().find(|row| row["dimension"] == "reliability");
        row.unwrap()["score"].as_f64().unwrap()
    };
    assert!(score(&mended) > score(&bare), "{mended}");
}

#[test]
fn what_a_scenario_says_nothing_of_scores_one_and_says_so() {
    let dir = folder(EXACT);
    let card = card(dir.path(), &[]);
    let privacy = &card["dimensions"].as_array().unwrap()[3];
    assert_eq!(privacy["dimension"], "privacy");
    assert_eq!(privacy["score"], 1.0);
    let why = criterion(&card, "erased-in-time")["why"].as_str().unwrap();
    assert!(why.contains("erasure"), "{why}");
    // What it need not have does not count.
    assert_eq!(criterion(&card, "window")["score"], Value::Null);
    assert_eq!(criterion(&card, "kv-memory")["score"], Value::Null);
}

#[test]
fn without_an_objective_that_is_the_reason() {
    let dir = folder(&EXACT.replace("[slo]\ne2e_ms = 10.5\ntarget = 0.99\n", ""));
    let output = seatrial(dir.path(), &["review", "s.toml", "--json"]);
    let card: Value = serde_json::from_slice(&output.stdout).unwrap();
    for id in [
        "objective",
        "node-lost",
        "rack-lost",
        "twice-the-traffic",
        "headroom",
    ] {
        let why = criterion(&card, id)["why"].as_str().unwrap();
        assert_eq!(why, "the scenario states no objective", "{id}");
    }
}

#[test]
fn the_most_memory_is_the_most_of_all_replications() {
    let llm = r#"
name = "llm"
[run]
horizon_s = 60
warmup_s = 5
replications = 3
[workload]
arrivals = { process = "poisson", rate_per_s = 2 }
prompt_tokens = { law = "exponential", mean_tokens = 500 }
output_tokens = { law = "exponential", mean_tokens = 100 }
[[pools]]
name = "nodes"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
"#;
    let dir = folder(llm);
    let (head, criteria) = SHIPPED.split_once("[[criteria]]").unwrap();
    let mut criteria = criteria.split("[[criteria]]");
    let memory = criteria.find(|it| it.contains("card.kv_peak_share"));
    let file = format!("{head}[[criteria]]{}", memory.unwrap());
    std::fs::write(dir.path().join("c.toml"), file).unwrap();
    let card = card(dir.path(), &["--criteria", "c.toml"]);
    sweeps::fine(dir.path(), &["run", "s.toml", "--out", "o"]);
    let runs = std::fs::read_to_string(dir.path().join("o/replications.json")).unwrap();
    let runs: Value = serde_json::from_str(&runs).unwrap();
    let runs = runs["replications"].as_array().unwrap().iter();
    let each: Vec<f64> = runs
        .map(|run| run["pools"][0]["kv_peak_share"].as_f64().unwrap())
        .collect();
    assert!(each.iter().any(|it| *it != each[0]), "{each:?}");
    let most = each.into_iter().reduce(f64::max);
    let row = criterion(&card, "kv-memory");
    assert_eq!(row["value"].as_f64(), most);
    // No other run of these has more: an interval would say so.
    assert!(row["high"].is_null(), "{row}");
}

#[test]
fn a_fleet_that_misses_its_objective_is_told_what_would_do() {
    let dir = folder(&EXACT.replace("replicas = 4", "replicas = 1"));
    let output = seatrial(dir.path(), &["review", "s.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("NOT met as written"), "{page}");
    assert!(page.contains("nodes x 2"), "{page}");
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
}

#[test]
fn a_score_is_of_the_worse_end_of_an_interval() {
    let random = EXACT
        .replace("\"constant\"", "\"poisson\"")
        .replace("e2e_ms = 10.5", "e2e_ms = 40")
        .replace("warmup_s = 0", "warmup_s = 2");
    let dir = folder(&random);
    let card = card(dir.path(), &["--replications", "4"]);
    let mut spans = 0;
    for dimension in card["dimensions"].as_array().unwrap() {
        for row in dimension["criteria"].as_array().unwrap() {
            let (Some(low), Some(high)) = (row["low"].as_f64(), row["high"].as_f64()) else {
                continue;
            };
            spans += 1;
            let cuts: Vec<f64> = row["cuts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_f64().unwrap())
                .collect();
            let reached = |value: f64| {
                let more = row["better"] == "more";
                1 + cuts
                    .iter()
                    .filter(|cut| if more { value >= **cut } else { value <= **cut })
                    .count()
            };
            let worse = reached(low).min(reached(high)) as u64;
            assert_eq!(row["score"], worse, "{row}");
            assert!(
                low <= row["value"].as_f64().unwrap() && row["value"].as_f64().unwrap() <= high
            );
        }
    }
    assert!(spans >= 5, "{card}");
}

#[test]
fn what_is_lost_is_lost_while_there_is_traffic() {
    // Arrivals end at a tenth of the horizon.
    let short = EXACT.replace("[workload]\n", "[workload]\nmax_requests = 300\n");
    let dir = folder(&short);
    let card = card(dir.path(), &[]);
    assert!(value(&card, "node-lost") > 20.0, "{card}");
}

#[test]
fn a_fleet_that_cannot_be_smaller_is_not_called_the_cheapest() {
    // A rack that names all four nodes.
    let rack = format!(
        "{EXACT}\n[[faults.racks]]\nname = \"r\"\nmembers = [{{ pool = \"nodes\", replicas = 4 }}]\n"
    );
    let dir = folder(&rack);
    let card = card(dir.path(), &[]);
    let row = criterion(&card, "cheapest");
    assert_eq!(row["value"], Value::Null, "{row}");
    assert!(
        row["why"].as_str().unwrap().contains("no valid scenario"),
        "{row}"
    );
}

#[test]
fn a_card_is_the_same_whatever_the_threads() {
    let dir = folder(&EXACT.replace("\"constant\"", "\"poisson\""));
    let one = seatrial(
        dir.path(),
        &["review", "s.toml", "--json", "--threads", "1"],
    );
    let two = seatrial(
        dir.path(),
        &["review", "s.toml", "--json", "--threads", "2"],
    );
    assert_eq!(one.stdout, two.stdout);
    assert!(one.stdout.len() > 1_000);
}

#[test]
fn criteria_of_a_users_own_are_gone_by() {
    let dir = folder(EXACT);
    let own = r#"
        name = "own"
        [weights]
        capacity = 3
        cost = 1
        [[criteria]]
        id = "rate"
        dimension = "capacity"
        text = "requests a second"
        metric = "throughput.requests_per_s"
        better = "more"
        cuts = [1, 2, 3, 4]
        [[criteria]]
        id = "window-of-5"
        dimension = "cost"
        text = "p50 with a window of 5 ms"
        probe = { kind = "set", set = { "batching.window_ms" = 5, "batching.max_batch" = 100 } }
        metric = "latency.e2e_ms.p50 - as_written.latency.e2e_ms.p50"
        better = "less"
        cuts = [100, 50, 20, 1]
    "#;
    std::fs::write(dir.path().join("own.toml"), own).unwrap();
    let card = card(dir.path(), &["--criteria", "own.toml"]);
    assert_eq!(criterion(&card, "rate")["score"], 5);
    let window = criterion(&card, "window-of-5");
    assert!(window["value"].as_f64().unwrap() > 1.0, "{window}");
    let second = window["score"].as_f64().unwrap();
    let whole = card["score"].as_f64().unwrap();
    assert!((whole - (3.0 * 5.0 + second) / 4.0).abs() < 1e-9);
}

#[test]
fn what_is_wrong_with_criteria_is_said_before_anything_runs() {
    let dir = folder(EXACT);
    let with = |text: &str| {
        std::fs::write(dir.path().join("c.toml"), text).unwrap();
        refused(dir.path(), &["review", "s.toml", "--criteria", "c.toml"])
    };
    let unordered = with(&SHIPPED.replace("cuts = [2, 1, 0.5, 0.1]", "cuts = [1, 2, 0.5, 0.1]"));
    assert!(
        unordered.contains("criteria.0.cuts") || unordered.contains("cuts"),
        "{unordered}"
    );
    assert!(
        unordered.contains("must be four finite numbers that fall"),
        "{unordered}"
    );
    let unknown = with(&SHIPPED.replace("better = \"less\"", "beter = \"less\""));
    assert!(
        unknown.contains("beter") && unknown.contains("better"),
        "{unknown}"
    );
    let factor = with(&SHIPPED.replace("factor = 2", "factor = -2"));
    assert!(
        factor.contains("factor") && factor.contains("-2"),
        "{factor}"
    );
    let figure = with(&SHIPPED.replace("\"card.error_budget_used\"", "\"card.error_budget\""));
    assert!(
        figure.contains("objective") && figure.contains("card.error_budget"),
        "{figure}"
    );
    let latency = with(&SHIPPED.replace(
        "as_written.latency.e2e_ms.p99 /",
        "as_written.latency.e2e_ms.p98 /",
    ));
    assert!(latency.contains("p98"), "{latency}");
    let part = with(&SHIPPED.replace("field = \"erasure\"", "field = \"erasur\""));
    assert!(
        part.contains("erasur") && part.contains("no field of a scenario"),
        "{part}"
    );
    let probe = |probe: &str| {
        let lines = "[[criteria]]\nid = \"a\"\ndimension = \"cost\"\ntext = \"t\"\n\
                     metric = \"latency.e2e_ms.p50\"\nbetter = \"less\"\ncuts = [4, 3, 2, 1]\n";
        with(&format!("name = \"x\"\n{lines}probe = {probe}\n"))
    };
    for (set, expected) in [
        (
            "\"batching.windw_ms\" = 1",
            "c.toml:2: criteria.a.probe.set: batching.windw_ms = 1: is not a field here",
        ),
        (
            "\"batching.window_ms\" = nan",
            "`batching.window_ms` is, or holds, no finite number",
        ),
        (
            "\"batching.window_ms\" = \"long\"",
            "criteria.a.probe.set: batching.window_ms = \"long\": must be a number",
        ),
        (
            "\"batching.window_ms\" = -1",
            "criteria.a.probe.set: batching.window_ms = -1: must be 0 to",
        ),
        ("\"nonsense.field\" = 1", "no field of a scenario"),
    ] {
        let told = probe(&format!("{{ kind = \"set\", set = {{ {set} }} }}"));
        assert!(told.contains(expected), "{set}: {told}");
    }
    for (kind, more) in [
        ("as_written", "bogus = 1"),
        ("headroom", "factor = 2"),
        ("cheapest", "set = {}"),
    ] {
        let told = probe(&format!("{{ kind = \"{kind}\", {more} }}"));
        let field = more.split(' ').next().unwrap();
        assert!(
            told.contains(field) && told.contains("not a field"),
            "{kind}: {told}"
        );
    }
    let flat = with(&SHIPPED.replace("cuts = [2, 1, 0.5, 0.1]", "cuts = [2, 2, 0.5, 0.1]"));
    assert!(
        flat.contains("must be four finite numbers that fall"),
        "{flat}"
    );
    let pools = probe("{ kind = \"without\", field = \"pools\" }");
    assert!(pools.contains("no scenario is without"), "{pools}");
    let without = probe("{ kind = \"without\", field = \"batching.windw_ms\" }");
    assert!(without.contains("did you mean `window_ms`?"), "{without}");
    let lines = "[weights]\ncapacity = 0\n[[criteria]]\nid = \"a\"\ndimension = \"capacity\"\ntext = \"t\"\n\
                 metric = \"latency.e2e_ms.p50\"\nbetter = \"less\"\ncuts = [4, 3, 2, 1]\n";
    let weightless = with(&format!("name = \"x\"\n{lines}"));
    assert!(
        weightless.contains("must not be 0 for all dimensions that have criteria"),
        "{weightless}"
    );
    let node = probe("{ kind = \"loss\", of = \"node\", accelerators = 4 }");
    assert!(node.contains("is the size of a rack"), "{node}");
    let unfound = with(&SHIPPED.replace("probe = { kind = \"headroom\" }\n", ""));
    assert!(
        unfound.contains("`card.headroom` is found by probe = { kind = \"headroom\" } alone"),
        "{unfound}"
    );
    let absent = refused(dir.path(), &["review", "s.toml", "--criteria", "nope.toml"]);
    assert!(absent.contains("nope.toml"), "{absent}");
    let none = refused(dir.path(), &["review", "gone.toml"]);
    assert!(none.contains("gone.toml"), "{none}");
}

#[test]
fn objectives_that_luck_may_have_met_are_not_said_to_be_met() {
    // Half of the requests take longer than the median, give or take.
    let text = "name = \"s\"\n[run]\nhorizon_s = 20\nwarmup_s = 2\nreplications = 6\n[workload]\n\
                arrivals = { process = \"poisson\", rate_per_s = 80 }\n[slo]\ne2e_ms = 35\ntarget = TARGET\n\
                [[pools]]\nname = \"a\"\nengine = \"abstract\"\n\
                service = { law = \"exponential\", mean_ms = 10 }\n";
    let own = "name = \"own\"\n[[criteria]]\nid = \"a\"\ndimension = \"cost\"\ntext = \"t\"\n\
               metric = \"slo.default.attained\"\nbetter = \"more\"\ncuts = [0.1, 0.2, 0.3, 0.4]\n";
    let judged = |target: f64| {
        let dir = folder(&text.replace("TARGET", &target.to_string()));
        std::fs::write(dir.path().join("own.toml"), own).unwrap();
        let arguments = ["review", "s.toml", "--criteria", "own.toml", "--json"];
        let output = seatrial(dir.path(), &arguments);
        let card: Value = serde_json::from_slice(&output.stdout).unwrap();
        (card, output.status.code())
    };
    let (far, code) = judged(0.3);
    assert_eq!(far["objectives_shown"], true);
    assert_eq!(code, Some(0));
    // Just below what was attained, which other runs like it would miss.
    let attained = criterion(&far, "a")["value"].as_f64().unwrap();
    let (near, code) = judged(attained - 1e-4);
    assert_eq!(near["objectives_met"], true, "{near}");
    assert_eq!(near["objectives_shown"], false);
    assert_eq!(code, Some(1));
}

/// The ratio of two quantiles of all replications is not the mean of their ratios.
#[test]
fn a_ratio_beside_the_scenario_as_written_is_of_all_replications() {
    let whole = serde_json::json!({ "a": 6.0, "b": 10.0, "n": 30 });
    let each = [(1.0, 1.0, 10), (9.0, 10.0, 20)];
    let each = each.map(|(a, b, n)| serde_json::json!({ "a": a, "b": b, "n": n }));
    let value = |text: &str| Metric::parse(text).unwrap().of_all(&whole, &each).unwrap();
    assert_eq!(value("a"), 6.0);
    assert_eq!(value("n"), 15.0);
    // None of the replications has a ratio near it: 1, and 0.9.
    assert_eq!(value("a / b"), 0.6);
    assert_eq!(value("a * n"), 90.0);
}

#[test]
fn what_a_scenario_is_not_made_for_is_told_on_the_card() {
    let dir = folder(EXACT);
    let own = r#"
        name = "own"
        [[criteria]]
        id = "other-policy"
        dimension = "data_flow"
        text = "p50 with more choices"
        probe = { kind = "set", set = { "router" = { policy = "round_robin" }, "pools.elsewhere.replicas" = 5 } }
        metric = "latency.e2e_ms.p50"
        better = "less"
        cuts = [100, 50, 20, 1]
    "#;
    std::fs::write(dir.path().join("own.toml"), own).unwrap();
    let card = card(dir.path(), &["--criteria", "own.toml"]);
    let scored = criterion(&card, "other-policy");
    assert_eq!(scored["score"], 1, "{scored}");
    assert!(
        scored["why"].as_str().unwrap().contains("elsewhere"),
        "{scored}"
    );
}

#[test]
fn the_shipped_criteria_are_printed_and_are_valid() {
    let dir = folder(EXACT);
    assert_eq!(fine(dir.path(), &["review", "--print-criteria"]), SHIPPED);
    let criteria = Criteria::shipped().unwrap();
    for dimension in ["capacity", "data_flow", "reliability", "privacy", "cost"] {
        let of = criteria
            .criteria
            .iter()
            .filter(|it| serde_json::to_value(it.dimension).unwrap() == dimension);
        assert!(of.count() > 0, "{dimension}");
    }
    assert!(criteria.criteria.iter().any(|it| it.better == Better::More));
}
