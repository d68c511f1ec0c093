//! What is billed, lent, given back and scaled, against what was worked out by hand.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::simulate;
use seatrial::experiment::runner::{Control, run_plan};
use seatrial::fleet::capacity::Capacity;
use serde_json::Value;

/// Nodes of eight servers, a second each, and few requests.
fn fleet(replicas: u32, horizon_s: u32, more: &str) -> String {
    format!(
        "name = \"nodes\"\n[run]\nhorizon_s = {horizon_s}\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"constant\", rate_per_s = 0.2 }}\n[clients]\n\
         [router]\npolicy = \"least_request\"\nchoices = 0\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = {replicas}\nservers = 8\n\
         accelerators_per_replica = 8\naccelerator = \"h100-sxm\"\n\
         service = {{ law = \"deterministic\", mean_ms = 1000 }}\n\
         [cost]\non_demand_usd_per_gpu_hour = 3.20\nspot_usd_per_gpu_hour = 1.20\n{more}"
    )
}

fn group(name: &str, more: &str) -> String {
    format!("[[capacity.groups]]\nname = \"{name}\"\npool = \"p\"\n{more}\n")
}

fn schedule(group: &str, at_s: u32, replicas: u32) -> String {
    format!(
        "[[capacity.scalers]]\ngroup = \"{group}\"\npolicy = {{ kind = \"scheduled\", repeats = false, \
         entries = [{{ at_s = {at_s}, replicas = {replicas} }}] }}\n"
    )
}

/// A start of phases that take exactly so long.
fn start(boot_s: u32, pull_s: u32, warm_s: u32) -> String {
    let law = |seconds: u32| {
        let ms = (f64::from(seconds) * 1e3).max(1e-3);
        format!("{{ law = \"deterministic\", mean_ms = {ms} }}")
    };
    format!(
        "start = {{ boot = {}, image_pull = {}, warm_up = {} }}\n",
        law(boot_s),
        law(pull_s),
        law(warm_s)
    )
}

/// A recording of nodes supplied by spans of 1,000 s.
fn recorded(supply: &[u32]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("supply.json");
    let text = format!("{{\"metadata\": {{\"gap_seconds\": 1000}}, \"data\": {supply:?}}}");
    std::fs::write(&file, text).unwrap();
    let rule = format!("interruption = {{ law = \"trace\", file = {file:?} }}\n");
    (folder, rule)
}

fn account(text: &str) -> Capacity {
    let capacity = simulate(text).1.world.capacity_at_end().unwrap();
    capacity.check().unwrap();
    capacity
}

fn node_hours(capacity: &Capacity, group: usize) -> f64 {
    capacity.groups[group].counts.billed_node_ns as f64 / 3.6e12
}

fn mean_ready(capacity: &Capacity, group: usize, horizon_s: f64) -> f64 {
    capacity.groups[group].counts.ready_ns as f64 / (horizon_s * 1e9)
}

fn close(a: f64, b: f64, by: f64) {
    assert!((a - b).abs() <= by, "{a} is not {b}");
}

#[test]
fn a_node_that_runs_is_billed_while_it_loads() {
    // AWS bills from running, before anything is loaded: 60 s after the request at 3,600 s.
    let priced = "max_nodes = 4\nprice = { provider = \"aws\", region = \"us-east-1\" }\n";
    let of = |change: &str| {
        let own = format!("{priced}{}", start(60, 600, 1200));
        node_hours(
            &account(&fleet(1, 7_200, &format!("{}{change}", group("g", &own)))),
            0,
        )
    };
    close(of(&schedule("g", 3_600, 2)), 2.0 + 3_540.0 / 3_600.0, 1e-9);
    // Given back at 5,400 s while it loads: until then.
    let back = "[[capacity.scalers]]\ngroup = \"g\"\npolicy = { kind = \"scheduled\", repeats = false, \
                entries = [{ at_s = 3600, replicas = 2 }, { at_s = 5400, replicas = 1 }] }\n";
    close(of(back), 2.0 + 1_740.0 / 3_600.0, 1e-9);
    // Given back while it boots: not at all.
    close(of(&back.replace("5400", "3630")), 2.0, 1e-9);
}

#[test]
fn weights_take_their_size_over_a_bandwidth_that_may_vary() {
    let own = |variability: &str| {
        let weights = format!("start = {{ weights = {{ gb = 140, gb_per_s = 2{variability} }},");
        let start = start(0, 0, 0).replace("start = {", &weights);
        let scaled = schedule("g", 100, 40);
        fleet(1, 7_200, &format!("{}{scaled}", group("g", &start)))
    };
    let counts = |text: &str| account(text).groups[0].counts;
    // 39 nodes of 70 s each.
    let fixed = counts(&own(""));
    assert_eq!(fixed.cold_starts, 39);
    close(fixed.cold_start_ns as f64 / 39e9, 70.0, 1e-3);
    // The same on average, of 39 draws whose factor has a standard deviation of a half.
    let drawn = counts(&own(
        ", variability = { law = \"lognormal\", mean_ms = 1, scv = 0.25 }",
    ));
    let mean_s = drawn.cold_start_ns as f64 / 39e9;
    close(mean_s, 70.0, 4.0 * 0.5 * 70.0 / 39_f64.sqrt());
    assert!((mean_s - 70.0).abs() > 0.01, "{mean_s}");
    // Each phase says where its length comes from.
    let provenance = result_of(&own(""))["provenance"].to_string();
    for phase in ["g: boot", "g: image pull", "g: weights", "g: warm-up"] {
        assert!(provenance.contains(phase), "{provenance}");
    }
}

#[test]
fn reserved_nodes_are_paid_for_as_many_as_are_committed_to() {
    let spot = group(
        "spot",
        "market = \"spot\"\nnodes = 10\ninterruption = { law = \"hazard\", per_node_hour = 0.1 }\n\
         on_loss = { fall_back_on = \"res\" }",
    );
    let reserved = group("res", "market = \"reserved\"");
    let text = fleet(
        20,
        36_000,
        &format!("{spot}{reserved}{}", schedule("res", 1_000, 9)),
    );
    close(node_hours(&account(&text), 1), 100.0, 1e-9);
    let more = text.replace(
        "market = \"reserved\"",
        "market = \"reserved\"\nmax_nodes = 40",
    );
    assert!(common::refusal(&more).contains("not the 10 nodes that are committed to"));
}

#[test]
fn what_is_lent_goes_back_when_it_is_not_needed() {
    // Ten spot nodes, of which the market leaves one from 5,000 s on; from 10,000 s two are wanted.
    let mut supply = vec![10; 5];
    supply.extend([1; 31]);
    let (_folder, rule) = recorded(&supply);
    let quick = start(1, 0, 0);
    let spot = format!(
        "market = \"spot\"\nshare = 1.0\n{rule}on_loss = {{ fall_back_on = \"od\", retry_s = 60 }}\n{quick}"
    );
    let groups = format!(
        "{}{}{}",
        group("spot", &spot),
        group("od", &format!("nodes = 0\n{quick}")),
        schedule("spot", 10_000, 2)
    );
    let capacity = account(&fleet(10, 36_000, &groups));
    // Nine for 5,000 s, then one.
    close(
        mean_ready(&capacity, 1, 36_000.0),
        (9.0 * 5_000.0 + 26_000.0) / 36_000.0,
        0.01,
    );
    // The lender has places for what the borrower may want beside the start, too.
    let scaled = groups.replace("at_s = 10000, replicas = 2", "at_s = 10000, replicas = 40");
    let capacity = account(&fleet(10, 36_000, &scaled));
    close(
        mean_ready(&capacity, 1, 36_000.0),
        (9.0 * 5_000.0 + 39.0 * 26_000.0) / 36_000.0,
        0.05,
    );
}

#[test]
fn lenders_borrow_in_turn_and_never_in_a_circle() {
    // All of `a` are lost at 1,000 s, and `b` can have 12 in all: `c` lends the rest.
    let (_one, gone) = recorded(&[10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let (_two, few) = recorded(&[12; 10]);
    let quick = start(1, 0, 0);
    let spot = |name: &str, rule: &str, lender: &str| {
        group(
            name,
            &format!(
                "market = \"spot\"\nnodes = 10\n{rule}\
                 on_loss = {{ fall_back_on = \"{lender}\", retry_s = 60 }}\n{quick}"
            ),
        )
    };
    let text = fleet(
        20,
        10_000,
        &format!(
            "{}{}{}",
            spot("a", &gone, "b"),
            spot("b", &few, "c"),
            group("c", &format!("nodes = 0\nmax_nodes = 40\n{quick}"))
        ),
    );
    let capacity = account(&text);
    close(mean_ready(&capacity, 1, 10_000.0), 10.0 + 2.0 * 0.9, 0.01);
    close(mean_ready(&capacity, 2, 10_000.0), 8.0 * 0.9, 0.01);
    let circle = text.replace(
        "nodes = 0\nmax_nodes = 40",
        "nodes = 0\nmax_nodes = 40\non_loss = { fall_back_on = \"a\" }",
    );
    assert!(common::refusal(&circle).contains("a -> b -> c -> a"));
}

#[test]
fn nothing_is_given_in_place_of_nodes_that_would_be_taken_too() {
    // Four of eight are held, and two are supplied from 2,000 s on. Told 120 s before, the lender is
    // asked 120 s before.
    let (_folder, rule) = recorded(&[8, 8, 2, 8, 8]);
    let of = |notice_s: u32| {
        let quick = start(10, 0, 0);
        let spot = format!(
            "market = \"spot\"\n{rule}notice = {{ notice_s = {notice_s} }}\n\
             on_loss = {{ fall_back_on = \"od\", retry_s = 60 }}\n{quick}"
        );
        let groups = format!(
            "{}{}",
            group("spot", &spot),
            group("od", &format!("nodes = 0\n{quick}"))
        );
        let capacity = account(&fleet(4, 5_000, &groups));
        let counts = capacity.groups[0].counts;
        (
            counts.lost,
            counts.most_lost_at_once,
            mean_ready(&capacity, 1, 5_000.0) * 5_000.0,
        )
    };
    for notice_s in [0, 30, 120] {
        let (lost, at_once, lent_s) = of(notice_s);
        assert_eq!((lost, at_once), (2, 2), "{notice_s}");
        // Two of them until others of its own are ready at 3,000 s, a little later.
        let least = 2.0 * f64::from(1_000 + notice_s);
        assert!(
            (least - 30.0..least + 200.0).contains(&lent_s),
            "{notice_s}: {lent_s}"
        );
    }
}

#[test]
fn prefill_nodes_that_are_given_back_go_when_they_are_done() {
    let pool = |name: &str, role: &str, replicas: u32| {
        format!(
            "[[pools]]\nname = \"{name}\"\nengine = \"llm\"\nrole = \"{role}\"\nreplicas = {replicas}\n\
             model = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n"
        )
    };
    let text = format!(
        "name = \"pd\"\n[run]\nhorizon_s = 3600\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 10 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 2000 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 100 }}\n[clients]\n\
         [kv_transfer]\nbandwidth_gb_per_s = 10\nlatency_ms = 1\n{}{}\
         [cost]\non_demand_usd_per_gpu_hour = 3.2\n\
         [[capacity.groups]]\nname = \"pre\"\npool = \"pre\"\n{}",
        pool("pre", "prefill", 6),
        pool("dec", "decode", 2),
        schedule("pre", 600, 3)
    );
    // Six for 600 s, then three.
    close(node_hours(&account(&text), 0), 1.0 + 2.5, 0.01);
    // Requests that are under way between two nodes cannot be handed over.
    let refused = text.replace(
        "pool = \"pre\"\n[[capacity.scalers]]",
        "pool = \"pre\"\nmarket = \"spot\"\ninterruption = { law = \"hazard\", per_node_hour = 1 }\n\
         on_notice = { policy = \"hand_over\" }\n[[capacity.scalers]]",
    );
    assert!(common::refusal(&refused).contains("on_notice.policy"));
}

#[test]
fn what_is_handed_over_is_answered_no_faster_than_physics_allows() {
    let text = format!(
        "name = \"tpot\"\n[run]\nhorizon_s = 600\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 4 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 500 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 1000 }}\n[clients]\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n\
         replicas = 4\n[cost]\non_demand_usd_per_gpu_hour = 3.2\nspot_usd_per_gpu_hour = 1.2\n\
         [[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nshare = 0.5\n\
         interruption = {{ law = \"hazard\", per_node_hour = 60 }}\nnotice = {{ notice_s = 10 }}\n\
         on_notice = {{ policy = \"hand_over\" }}\n{}[[capacity.groups]]\nname = \"od\"\npool = \"p\"\n",
        start(1, 1, 1)
    );
    let (rows, simulation) = simulate(&text);
    let counts = simulation.world.capacity_at_end().unwrap().groups[0].counts;
    assert!(counts.handed_over > 50, "{counts:?}");
    for row in rows.iter().filter(|row| row.status == "completed") {
        let tokens = f64::from(row.output_tokens - 1);
        let tpot_ms =
            (row.last_token_ns.unwrap() - row.first_token_ns.unwrap()) as f64 / 1e6 / tokens;
        // The weights alone take 16 GB / 3.35 TB/s.
        assert!(tpot_ms > 4.7, "{row:?}");
    }
}

#[test]
fn a_forecast_of_what_never_changes_changes_nothing() {
    for (forecaster, forecasts) in [
        // 120 buckets, of which the first ten are the season that was seen, and the last is over
        // after the last look.
        ("{ method = \"seasonal_naive\", season = 10 }", 109..=110),
        ("{ method = \"holt_winters\", season = 10 }", 90..=110),
    ] {
        let text = fleet(
            2,
            7_200,
            &format!(
                "{}[[capacity.scalers]]\ngroup = \"g\"\npolicy = {{ kind = \"predictive\", \
                 forecaster = {forecaster}, bucket_s = 60, lead_s = 60, per_replica_per_s = 0.11, \
                 headroom = 0, max = 10, scale_down_delay_s = 0 }}\n",
                group("g", "max_nodes = 10")
            ),
        );
        let result = result_of(&text);
        let scaler = &result["capacity"]["scalers"][0];
        assert_eq!(scaler["changes"], 0, "{scaler}");
        let count = scaler["forecast"]["count"].as_u64().unwrap();
        assert!(forecasts.contains(&count), "{scaler}");
        assert!(
            scaler["forecast"]["mae_per_s"].as_f64().unwrap() < 1e-3,
            "{scaler}"
        );
    }
}

#[test]
fn keda_looks_as_often_as_it_is_told() {
    // Traffic comes at 1,000 s, and KEDA looks every half hour.
    let woken = |poll_s: u32| {
        let text = fleet(
            1,
            7_200,
            &format!(
                "{}[[capacity.scalers]]\ngroup = \"g\"\nsignal = \"backlog\"\nscrape_delay_s = 0\n\
                 policy = {{ kind = \"keda\", poll_s = {poll_s}, max = 10, cooldown_s = 0, \
                 hpa = {{ target = 4, sync_s = 15 }} }}\n",
                group("g", &start(1, 0, 0))
            ),
        )
        .replace(
            "[clients]\n",
            "[workload.profile]\nshape = \"points\"\npoints = [[0, 0.0001], [999, 0.0001], [1000, 10]]\n\
             [clients]\nmax_retries = 50\nbackoff = { base_ms = 5000, max_ms = 60000 }\n",
        );
        let rows = simulate(&text).0;
        let late = rows.iter().filter(|row| row.arrival_ns > 1_000_000_000_000);
        late.filter_map(|row| row.last_token_ns).min().unwrap() as f64 / 1e9
    };
    let (often, seldom) = (woken(30), woken(1_800));
    assert!((1_000.0..1_100.0).contains(&often), "{often}");
    assert!((1_800.0..1_900.0).contains(&seldom), "{seldom}");
}

#[test]
fn nodes_are_scaled_and_billed_until_the_horizon_whether_anybody_comes_or_not() {
    // All requests come in the first second; the schedule takes nodes away at half time.
    let text = fleet(
        4,
        7_200,
        &format!("{}{}", group("g", ""), schedule("g", 3_600, 1)),
    )
    .replace("rate_per_s = 0.2 }", "rate_per_s = 10 }\nmax_requests = 10");
    close(node_hours(&account(&text), 0), 4.0 + 1.0, 1e-9);
}

fn result_of(text: &str) -> Value {
    let outcome = run_plan(common::plan_of(text), Control::default()).unwrap();
    outcome.result.to_json()
}

#[test]
fn what_a_million_costs_is_of_all_that_was_billed() {
    // Two nodes in the warm-up hour and ten in the next: 12 node-hours at 25.6, 72,000 requests.
    let text = fleet(
        2,
        7_200,
        &format!(
            "{}{}",
            group("g", &format!("max_nodes = 20\n{}", start(0, 0, 0))),
            schedule("g", 3_600, 10)
        ),
    )
    .replace("rate_per_s = 0.2", "rate_per_s = 10")
    .replace("warmup_s = 0", "warmup_s = 3600");
    let cost = &result_of(&text)["cost"];
    let usd = cost["usd_per_million_requests"].as_f64().unwrap();
    close(usd, 12.0 * 25.6 / 72_000.0 * 1e6, 5.0);
}

#[test]
fn numbers_beyond_reason_are_refused() {
    let refused = |more: &str, what: &str| {
        let error = common::refusal(&fleet(2, 100, &format!("{}{more}", group("g", ""))));
        assert!(error.contains(what), "{error}");
    };
    refused(&schedule("g", 10, 4_000_000_000), "replicas");
    refused(
        &schedule("g", 100_000, 1).replace("repeats = false, ", ""),
        "before the end of the period",
    );
    let target = |more: &str| {
        format!(
            "[[capacity.scalers]]\ngroup = \"g\"\npolicy = {{ kind = \"target\", measure = \"total\", \
             target = 1, max = 2, {more} }}\n"
        )
    };
    refused(&target("scale_up_cooldown_s = -10"), "scale_up_cooldown_s");
    refused(
        &target("scale_down_cooldown_s = nan"),
        "scale_down_cooldown_s",
    );
    let energy = fleet(2, 100, "energy = { busy_w_by_part = { h100-sxmm = 3 } }\n");
    assert!(common::refusal(&energy).contains("h100-sxmm"));
}
