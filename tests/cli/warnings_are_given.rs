//! Runs whose figures are doubtful say so, and odd input ends in a report and not in a panic.

#![allow(clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use seatrial::experiment::result::RunResult;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::{Document, SourceText};

fn result(text: &str) -> RunResult {
    let document = Document::parse(SourceText::new("s.toml", text));
    let outcome =
        document.map(|document| run_scenario(&document, Path::new(""), Control::default()));
    match outcome {
        Ok(Ok(outcome)) => outcome.result,
        Ok(Err(error)) => panic!("{error}"),
        Err(error) => panic!("{error}"),
    }
}

fn scenario(run: &str, workload: &str, pools: &str) -> String {
    format!("name = \"w\"\n[run]\nwarmup_s = 0\n{run}\n[workload]\n{workload}\n{pools}\n")
}

const ONE: &str = "[[pools]]\nname = \"a\"\nengine = \"abstract\"\nservice = { law = \"exponential\", mean_ms = 100 }";

fn poisson(rate: f64) -> String {
    format!("arrivals = {{ process = \"poisson\", rate_per_s = {rate} }}")
}

#[track_caller]
fn warns(text: &str, word: &str) {
    let warnings = result(text).warnings;
    assert!(
        warnings.iter().any(|warning| warning.starts_with(word)),
        "{word}: {warnings:?}"
    );
}

#[track_caller]
fn is_calm(text: &str) {
    let warnings = result(text).warnings;
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_load_beyond_the_servers_is_told_whatever_they_are() {
    let run = "horizon_s = 100\ndrain_limit_s = 0";
    warns(&scenario(run, &poisson(12.0), ONE), "unstable");
    is_calm(&scenario(run, &poisson(5.0), ONE));
    let two = format!("{ONE}\n{}", ONE.replace("\"a\"", "\"b\""));
    warns(&scenario(run, &poisson(25.0), &two), "unstable");
    let batch = "[batching]\nmax_batch = 4\n[[pools]]\nname = \"a\"\nengine = \"abstract\"\nbatch_service = { fixed_ms = 1000, per_item_ms = 0 }";
    warns(&scenario(run, &poisson(20.0), batch), "unstable");
    warns(&scenario(run, &poisson(20.0), batch), "growing");
}

#[test]
fn a_spike_counts_for_as_long_as_it_lasts() {
    let spike = |seconds: f64| {
        let profile = format!(
            "profile = {{ shape = \"spike\", start_s = 0, duration_s = {seconds}, factor = 5 }}"
        );
        scenario(
            "horizon_s = 1000",
            &format!("{}\n{profile}", poisson(3.0)),
            ONE,
        )
    };
    // 3 requests/s, five times as many for a minute: 3.72/s on average of the 10/s there are.
    is_calm(&spike(60.0));
    // And for 900 s: 13.8/s.
    warns(&spike(900.0), "unstable");
}

#[test]
fn a_run_that_is_cut_short_is_never_busier_than_it_can_be() {
    let slow = ONE.replace("mean_ms = 100", "mean_ms = 100000");
    let cut = scenario("horizon_s = 1000\nmax_events = 100", &poisson(12.0), &slow);
    let result = result(&cut);
    assert!(result.partial.is_some());
    let busy = result.pools[0]["utilization"].as_f64().unwrap_or(2.0);
    assert!(busy <= 1.0, "{busy}");
}

#[test]
fn the_limit_of_requests_in_flight_ends_a_run_where_it_is_passed() {
    let limited = scenario("horizon_s = 1000\nmax_in_flight = 30", &poisson(100.0), ONE);
    let result = result(&limited);
    assert_eq!(result.requests.in_flight, 31);
    assert!(
        result
            .partial
            .is_some_and(|why| why.contains("max_in_flight"))
    );
}

#[test]
fn a_bounded_queue_is_not_said_to_be_busier_than_it_can_be() {
    let bounded = ONE.replace("exponential", "deterministic") + "\nqueue_capacity = 3";
    let result = result(&scenario("horizon_s = 100", &poisson(20.0), &bounded));
    assert!(
        result.theory.get("utilization").is_none(),
        "{}",
        result.theory
    );
}

#[test]
fn services_longer_than_time_end_in_a_report() {
    let batch = "[batching]\nmax_batch = 65536\nwindow_ms = 1000\n[[pools]]\nname = \"a\"\nengine = \"abstract\"\nbatch_service = { fixed_ms = 1e9, per_item_ms = 1e9 }";
    let arrivals = "arrivals = { process = \"constant\", rate_per_s = 200000 }";
    let result = result(&scenario("horizon_s = 1", arrivals, batch));
    assert_eq!(result.requests.in_flight, result.requests.arrived);
}

#[test]
fn a_horizon_beyond_the_trace_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.csv");
    std::fs::write(
        &path,
        "arrival_ns,prompt_tokens,output_tokens\n0,5,1\n9000000000,5,1\n",
    )
    .expect("written");
    let arrivals = format!(
        "arrivals = {{ process = \"trace\", path = \"{}\" }}",
        path.display()
    );
    warns(
        &scenario("horizon_s = 1000", &arrivals, ONE),
        "run.horizon_s",
    );
    is_calm(&scenario("", &arrivals, ONE));
}

#[test]
fn a_law_for_prompts_moves_no_output_length_of_a_trace() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.csv");
    let mut trace = "arrival_ns,prompt_tokens,output_tokens\n".to_owned();
    for i in 0..50 {
        trace.push_str(&format!("{},7,9\n", i * 1_000_000));
    }
    std::fs::write(&path, trace).expect("written");
    let run = |more: &str| {
        let workload = format!(
            "arrivals = {{ process = \"trace\", path = \"{}\" }}\noutput_tokens = {{ law = \"exponential\", mean_tokens = 100 }}\n{more}",
            path.display()
        );
        let rows = common::rows_of(&scenario("", &workload, ONE));
        let outputs: Vec<u32> = rows.iter().map(|row| row.output_tokens).collect();
        outputs
    };
    let drawn = "prompt_tokens = { law = \"exponential\", mean_tokens = 50 }";
    assert_eq!(run(""), run(drawn));
}

#[test]
fn what_a_cache_may_find_is_no_load() {
    // Prompts of 6,000 tokens, of which all but a few are the same: computed whole they would be
    // several times what the device can do.
    let workload = |sharing: &str| {
        format!(
            "{}\nprompt_tokens = {{ law = \"constant\", tokens = 6000 }}\n\
             output_tokens = {{ law = \"constant\", tokens = 4 }}\n{sharing}",
            poisson(30.0)
        )
    };
    let pool = |caching: bool| {
        format!(
            "[[pools]]\nname = \"a\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
             accelerator = \"h100-sxm\"\nprefix_caching = {caching}\n"
        )
    };
    let run = "horizon_s = 30";
    for sharing in [
        "prefix = { sharing = \"groups\", groups = 2, tokens = 5950 }",
        "prefix = { sharing = \"repeated\", distinct = 3 }",
    ] {
        is_calm(&scenario(run, &workload(sharing), &pool(true)));
    }
    warns(&scenario(run, &workload(""), &pool(false)), "unstable");
}

#[test]
fn nothing_to_measure_is_told_and_is_no_overload() {
    let run = "horizon_s = 10";
    warns(&scenario(run, &poisson(1e-9), ONE), "no request arrived");
    let llm = |more: &str| {
        format!(
            "[[pools]]\nname = \"m\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
             accelerator = \"h100-sxm\"\n{more}"
        )
    };
    // Longer than the engine takes, and at a rate that it could not serve.
    let long = format!(
        "{}\noutput_tokens = {{ law = \"constant\", tokens = 200000 }}",
        poisson(50.0)
    );
    let warnings = result(&scenario(run, &long, &llm(""))).warnings;
    let says = |word: &str| warnings.iter().any(|warning| warning.starts_with(word));
    assert!(says("no request was answered"), "{warnings:?}");
    assert!(!says("unstable"), "{warnings:?}");
    let longer = llm("max_model_len = 131073");
    warns(
        &scenario(run, &poisson(1.0), &longer),
        "m: max_model_len is 131073",
    );
    is_calm(&scenario(
        run,
        &poisson(1.0),
        &llm("max_model_len = 131072"),
    ));
}

#[test]
fn settings_that_change_nothing_are_named() {
    let base = scenario(
        "horizon_s = 20",
        &poisson(2.0),
        &format!("{ONE}\nreplicas = 2"),
    );
    is_calm(&base);
    let tiers = |more: &str| format!("[[tiers]]\nname = \"a\"\n[[tiers]]\nname = \"b\"\n{more}\n");
    let fault = |more: &str| format!("[[faults.timeline]]\nat_s = 5\nfor_s = 1\n{more}\n");
    let room = "[admission]\nconcurrency = { policy = \"fixed\", limit = 5 }\n";
    for (more, path) in [
        (
            "[clients]\nbackoff = { base_ms = 5 }\n".into(),
            "clients.backoff",
        ),
        (
            "[clients]\nretry_on = [\"shed\"]\n".into(),
            "clients.retry_on",
        ),
        (
            "[clients]\npropagate_cancel = true\n".into(),
            "clients.propagate_cancel",
        ),
        (
            "[clients]\ntimeout_ms = 10000\ntry_timeout_ms = 10000\n".into(),
            "clients.try_timeout_ms",
        ),
        (
            "[clients]\ntry_timeout_ms = 10000\nhedge = { after_ms = 20000 }\n".into(),
            "clients.hedge",
        ),
        (tiers("weight = 2"), "tiers.1.weight"),
        (tiers("priority = 2"), "tiers.1.priority"),
        (
            format!("{room}tenants = [{{ name = \"t\", weight = 2 }}]\n"),
            "admission.tenants.0.weight",
        ),
        (
            format!("{room}waiting_room = {{ order = {{ policy = \"earliest_deadline\" }} }}\n"),
            "admission.waiting_room.order",
        ),
        (
            format!("{room}waiting_room = {{ order = {{ policy = \"priority\" }} }}\n"),
            "admission.waiting_room.order",
        ),
        (
            format!("{room}waiting_room = {{ order = {{ policy = \"fair\" }} }}\n"),
            "admission.waiting_room.order",
        ),
        (
            "[router]\npolicy = \"ring_hash\"\n".into(),
            "router.hash_on",
        ),
        (
            "[router]\npolicy = \"ring_hash\"\nhash_on = \"prefix\"\n".into(),
            "router.hash_on",
        ),
        ("[affinity]\nttl_s = 10\n".into(), "affinity.key"),
        (
            "[health]\nlimits = { max_requests = 9 }\nslow_start = { window_s = 5 }\n".into(),
            "health.slow_start",
        ),
        (fault("kind = \"dns_outage\""), "faults.timeline.0"),
        (fault("kind = \"control_plane_loss\""), "faults.timeline.0"),
        (fault("kind = \"launch_refusal\""), "faults.timeline.0"),
        (
            fault("kind = \"bad_deploy\"\nshare = 0"),
            "faults.timeline.0",
        ),
        (
            fault("kind = \"traffic_spike\"\nfactor = 2").replace("at_s = 5", "at_s = 620"),
            "faults.timeline.0",
        ),
    ] {
        warns(&format!("{base}{more}"), &format!("{path} has no effect: "));
    }
    let deaf = "[signals]\nsource = \"reported\"\nloss = 1\n";
    warns(&format!("{base}{deaf}"), "signals.loss is 1: ");
    let blind = "[health]\noutlier = {}\n";
    warns(&format!("{base}{blind}"), "health.outlier has no effect: ");
    let weighed = base.replace("replicas = 2", "weight = 2");
    let policy = "[router]\npolicy = \"random\"\n";
    warns(
        &format!("{weighed}{policy}"),
        "pools.0.weight has no effect: ",
    );
}

#[test]
fn settings_that_do_something_are_not_named() {
    let base = scenario("horizon_s = 20", &poisson(2.0), ONE);
    let fault = |more: &str| format!("[[faults.timeline]]\nat_s = 21\nfor_s = 1\n{more}\n");
    for more in [
        // Gateways give up as well as clients.
        "[gateway]\ntimeout_ms = 50\n[clients]\npropagate_cancel = true\n".to_owned(),
        // A hedge goes before the end of its try.
        "[clients]\ntry_timeout_ms = 500\nhedge = { after_ms = 500 }\n".to_owned(),
        // What is under way when arrivals are over is hit all the same.
        fault("kind = \"slow\"\nfactor = 2\ntarget = { pool = \"a\" }"),
        // Names are asked for where there are regions, one or many.
        format!(
            "[[regions]]\nname = \"r\"\n{}",
            fault("kind = \"dns_outage\"")
        ),
        // Drains are news.
        format!(
            "{}{}",
            fault("kind = \"drain\"\nnotice_s = 0.5\ntarget = { pool = \"a\" }"),
            fault("kind = \"control_plane_loss\"")
        ),
    ] {
        let warnings = result(&format!("{base}{more}")).warnings;
        let idle = warnings.iter().find(|it| it.contains("has no effect"));
        assert_eq!(idle, None, "{more}");
    }
}

#[test]
fn settings_of_nodes_without_effect_are_named() {
    let base = scenario("horizon_s = 20", &poisson(2.0), ONE);
    let group = |more: &str| {
        format!("[[capacity.groups]]\nname = \"g\"\npool = \"a\"\nusd_per_gpu_hour = 1\n{more}\n")
    };
    let spot = |more: &str| {
        group(&format!(
            "market = \"spot\"\ninterruption = {{ law = \"hazard\", per_node_hour = 1 }}\n{more}"
        ))
    };
    let scaler = |policy: &str| {
        format!("[[capacity.scalers]]\ngroup = \"g\"\nsignal = \"queue\"\npolicy = {policy}\n")
    };
    let schedule = "{ kind = \"scheduled\", entries = [{ at_s = 10, replicas = 1 }] }";
    let cases = [
        (group("notice = { notice_s = 30 }"), Some("groups.0.notice")),
        (
            group("on_notice = { policy = \"ignore\" }"),
            Some("groups.0.on_notice"),
        ),
        (
            spot("on_notice = { policy = \"ignore\" }"),
            Some("groups.0.on_notice"),
        ),
        (
            spot("notice = { notice_s = 30 }\non_notice = { policy = \"ignore\" }"),
            None,
        ),
        (group("on_loss = { retry_s = 5 }"), Some("groups.0.on_loss")),
        (spot("on_loss = { retry_s = 5 }"), None),
        (
            group("refusal_probability = 0.5"),
            Some("groups.0.refusal_probability"),
        ),
        (
            group("start = { weights = { gb = 5 } }"),
            Some("groups.0.start"),
        ),
        (spot("start = { weights = { gb = 5 } }"), None),
        (
            format!("{}{}", group("refusal_probability = 0.5"), scaler(schedule)),
            Some("scalers.0.signal"),
        ),
        (
            format!(
                "{}[[capacity.limits]]\npool = \"a\"\nmax_nodes = 5\n",
                group("")
            ),
            Some("limits.0"),
        ),
    ];
    for (more, path) in cases {
        let warnings = result(&format!("{base}{more}")).warnings;
        let idle = warnings.iter().find(|it| it.contains("has no effect"));
        match (idle, path) {
            (None, None) => {}
            (Some(idle), Some(path)) => {
                assert!(idle.starts_with(&format!("capacity.{path} ")), "{idle}");
            }
            other => panic!("{other:?}: {more}"),
        }
    }
    for (more, path) in [
        (
            "[cost]\non_demand_usd_per_gpu_hour = 2\nspot_usd_per_gpu_hour = 1\n".to_owned(),
            "spot_usd_per_gpu_hour",
        ),
        (
            format!(
                "{}[cost]\non_demand_usd_per_gpu_hour = 2\nspot_usd_per_gpu_hour = 1\nspot_share = 0.5\n",
                group("")
            ),
            "spot_share",
        ),
        (
            "[cost.egress]\nprovider = \"aws\"\nto_clients = false\n".to_owned(),
            "egress",
        ),
    ] {
        let warnings = result(&format!("{base}{more}")).warnings;
        let named = warnings
            .iter()
            .any(|it| it.starts_with(&format!("cost.{path} has no effect")));
        assert!(named, "{more}: {warnings:?}");
    }
}
