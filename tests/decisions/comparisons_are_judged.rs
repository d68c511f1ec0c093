//! Two scenarios or results side by side: pairs on the same random numbers, and verdicts that luck
//! does not explain.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::sweeps;

use serde_json::Value;
use sweeps::{SCENARIO, command, fine, folder, refused};

const NONE: &str = "";

fn compared(arguments: &[&str]) -> Value {
    let dir = folder(NONE);
    let all = [&["compare", "s.toml", "s.toml", "--json"], arguments].concat();
    serde_json::from_str(&fine(dir.path(), &all)).unwrap()
}

fn figure<'a>(comparison: &'a Value, metric: &str) -> &'a Value {
    let figures = comparison["figures"].as_array().unwrap();
    figures.iter().find(|it| it["metric"] == metric).unwrap()
}

#[test]
fn a_design_next_to_itself_is_the_same() {
    let same = compared(&[]);
    assert_eq!(same["verdict"], "same");
    for figure in same["figures"].as_array().unwrap() {
        assert_eq!(figure["verdict"], "same", "{figure}");
        assert_eq!(figure["difference"], 0.0);
    }
    assert_eq!(same["a"]["digest"], same["b"]["digest"]);
}

#[test]
fn one_more_server_is_faster_and_dearer() {
    let more = compared(&[
        "--set-b",
        "pools.servers.servers=3",
        "--set-b",
        "pools.servers.accelerators_per_replica=3",
        "--set",
        "pools.servers.accelerators_per_replica=2",
        "--replications",
        "8",
    ]);
    assert_eq!(more["verdict"], "mixed", "{more}");
    assert_eq!(more["basis"], "paired");
    let p99 = figure(&more, "latency.e2e_ms.p99");
    assert_eq!(p99["verdict"], "better");
    assert!(p99["high"].as_f64().unwrap() < 0.0, "{p99}");
    assert_eq!(figure(&more, "cost.usd_per_year")["verdict"], "worse");
    let percent = figure(&more, "cost.usd_per_year")["percent"]
        .as_f64()
        .unwrap();
    assert!((percent - 50.0).abs() < 1e-6, "{percent}");
}

#[test]
fn pairs_show_what_single_runs_cannot() {
    // Two per cent faster servers: far less than one run of 20 s varies, beyond doubt on the same numbers.
    let change = [
        "--set-b",
        "pools.servers.service.mean_ms=19.6",
        "--replications",
        "8",
    ];
    let paired = compared(&change);
    assert_eq!(paired["verdict"], "better", "{paired}");
    let mean = figure(&paired, "latency.e2e_ms.mean");
    let width = mean["high"].as_f64().unwrap() - mean["low"].as_f64().unwrap();
    // On other random numbers each the same change drowns.
    let apart = compared(&[&change[..], &["--set-b", "run.seed=99"]].concat());
    assert_eq!(apart["basis"], "independent");
    let other = figure(&apart, "latency.e2e_ms.mean");
    let wider = other["high"].as_f64().unwrap() - other["low"].as_f64().unwrap();
    assert!(wider > 3.0 * width, "{wider} {width}");
    assert_eq!(other["verdict"], "not_shown");
    let single = compared(&[&change[..2], &["--replications", "1"]].concat());
    assert_eq!(
        (&single["basis"], &single["verdict"]),
        (&"single".into(), &"not_shown".into())
    );
}

#[test]
fn intervals_of_no_difference_rarely_exclude_it() {
    // The same design on other random numbers, 40 times: with 95 % for all figures together a verdict
    // should come about twice; seven or more have a probability of some 0.3 % (binomial).
    let dir = folder(NONE);
    let mut wrong = 0;
    for seed in 100..140 {
        let seed = format!("run.seed={seed}");
        let arguments = [
            "compare",
            "s.toml",
            "s.toml",
            "--json",
            "--replications",
            "6",
            "--set-b",
            &seed,
        ];
        let found: Value = serde_json::from_str(&fine(dir.path(), &arguments)).unwrap();
        wrong += usize::from(found["verdict"] != "not_shown");
    }
    assert!(wrong <= 6, "{wrong} of 40");
}

#[test]
fn results_of_earlier_runs_compare_like_their_scenarios() {
    let dir = folder(NONE);
    for (out, servers) in [("a", "2"), ("b", "3")] {
        let set = format!("pools.servers.servers={servers}");
        let mut run = command(dir.path(), &["run", "s.toml", "--out", out, "--set", &set]);
        assert!(matches!(run.output().unwrap().status.code(), Some(0 | 1)));
    }
    let read: Value =
        serde_json::from_str(&fine(dir.path(), &["compare", "a", "b", "--json"])).unwrap();
    let run = [
        "compare",
        "s.toml",
        "s.toml",
        "--json",
        "--set-b",
        "pools.servers.servers=3",
    ];
    let run: Value = serde_json::from_str(&fine(dir.path(), &run)).unwrap();
    assert_eq!(read["figures"], run["figures"]);
    assert_eq!(read["verdict"], run["verdict"]);
    // A result with a scenario: the scenario of the folder itself is the same run.
    let mixed = ["compare", "a", "a/scenario.toml", "--json"];
    let mixed: Value = serde_json::from_str(&fine(dir.path(), &mixed)).unwrap();
    assert_eq!(mixed["verdict"], "same");
    let told = refused(dir.path(), &["compare", "a", "b", "--set-b", "run.seed=2"]);
    assert!(told.contains("which cannot be changed"), "{told}");
    std::fs::copy(
        dir.path().join("b/replications.json"),
        dir.path().join("a/replications.json"),
    )
    .unwrap();
    let told = refused(dir.path(), &["compare", "a", "b"]);
    assert!(
        told.contains("is not of the run that result.json is of"),
        "{told}"
    );
}

#[test]
fn figures_asked_for_are_judged_as_asked() {
    let metric = "less:pools.servers.utilization";
    let asked = compared(&["--metric", metric, "--set-b", "pools.servers.servers=3"]);
    let figures = asked["figures"].as_array().unwrap();
    assert_eq!(figures.len(), 1);
    assert_eq!(figures[0]["verdict"], "better");
    let neither = compared(&[
        "--metric",
        "pools.servers.utilization",
        "--set-b",
        "pools.servers.servers=3",
    ]);
    assert_eq!(neither["figures"][0]["verdict"], "differs");
    assert_eq!(neither["verdict"], "differs");
    let dir = folder(NONE);
    let told = refused(
        dir.path(),
        &[
            "compare",
            "s.toml",
            "s.toml",
            "--metric",
            "latency.e2e_ms.p98",
        ],
    );
    assert!(told.contains("is not a field of the result"), "{told}");
    let both = ["--metric", "less:more:latency.e2e_ms.p99"];
    let told = refused(
        dir.path(),
        &[&["compare", "s.toml", "s.toml"][..], &both].concat(),
    );
    assert!(
        told.contains("`less:more:` before `latency.e2e_ms.p99`"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_b_is_told_of_its_own_flag() {
    let dir = folder(NONE);
    let told = |flag: &str, change: &str| {
        refused(dir.path(), &["compare", "s.toml", "s.toml", flag, change])
    };
    let of_b = told("--set-b", "workload.arrivals.rate_per_s=nan");
    assert!(
        of_b.contains("--set-b workload.arrivals.rate_per_s = nan"),
        "{of_b}"
    );
    let of_both = told("--set", "workload.arrivals.rate_per_s=nan");
    assert!(
        of_both.contains("--set workload.arrivals.rate_per_s = nan"),
        "{of_both}"
    );
}

#[test]
fn large_numbers_are_shortened_where_a_line_would_be_longer_than_a_page() {
    let dir = folder(NONE);
    let metric = "less:1234567891234 * latency.e2e_ms.p99";
    let flags = ["--replications", "3", "--metric", metric];
    let change = ["--set-b", "pools.servers.servers=3"];
    let page = fine(
        dir.path(),
        &[&["compare", "s.toml", "s.toml"][..], &flags, &change].concat(),
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    assert!(page.contains(" T"), "{page}");
}

#[test]
fn the_most_of_several_runs_has_no_interval() {
    let asked = [
        "--metric",
        "latency.e2e_ms.max",
        "--replications",
        "4",
        "--set-b",
        "pools.servers.servers=3",
    ];
    let most = compared(&asked);
    let figure = figure(&most, "latency.e2e_ms.max");
    assert!(
        figure["low"].is_null() && figure["high"].is_null(),
        "{figure}"
    );
    assert_eq!(figure["verdict"], "not_shown");
    // More replications would not change that.
    let dir = folder(NONE);
    let page = fine(
        dir.path(),
        &[&["compare", "s.toml", "s.toml"], &asked[..]].concat(),
    );
    assert!(
        page.contains("compare a quantile") && !page.contains("more replications"),
        "{page}"
    );
}

#[test]
fn the_page_says_what_the_figures_say() {
    let dir = folder(NONE);
    std::fs::write(
        dir.path().join("b.toml"),
        SCENARIO.replace("servers = 2", "servers = 3"),
    )
    .unwrap();
    let page = fine(
        dir.path(),
        &["compare", "s.toml", "b.toml", "--replications", "8"],
    );
    assert!(
        page.contains("8 pairs of replications on the same random numbers"),
        "{page}"
    );
    assert!(page.contains("Verdict\n  B is better"), "{page}");
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
}

#[test]
fn replications_that_make_no_pairs_are_told_from_single_runs() {
    let dir = folder(NONE);
    for (out, replications) in [("a", "8"), ("b", "4")] {
        let set = format!("run.replications={replications}");
        fine(dir.path(), &["run", "s.toml", "--set", &set, "--out", out]);
    }
    let page = fine(dir.path(), &["compare", "a", "b"]);
    assert!(
        page.contains("8 and 4 replications make no pairs"),
        "{page}"
    );
    assert!(page.contains("--replications 8"), "{page}");
    assert!(!page.contains("single runs"), "{page}");
}

#[test]
fn what_is_no_result_and_no_metric_is_told_in_words() {
    let dir = folder(NONE);
    let here = dir.path();
    fine(here, &["run", "s.toml", "--out", "a"]);
    let told = refused(here, &["compare", "a/result.json", "a"]);
    assert!(
        told.contains("a/result.json: is a file of a result") && told.contains("(a)"),
        "{told}"
    );
    let told = refused(
        here,
        &[
            "compare",
            "s.toml",
            "s.toml",
            "--metric",
            "wrong:latency.e2e_ms.p99",
        ],
    );
    assert!(
        told.contains("`wrong:` before `latency.e2e_ms.p99`") && told.contains("`less:`"),
        "{told}"
    );
    let told = refused(
        here,
        &[
            "compare",
            "s.toml",
            "s.toml",
            "--metric",
            "latency.e2e_ms.p99 ~ 2",
        ],
    );
    assert!(!told.contains("v000"), "{told}");
    let replications = std::fs::read_to_string(here.join("a/replications.json")).unwrap();
    let mut fewer: Value = serde_json::from_str(&replications).unwrap();
    fewer["replications"].as_array_mut().unwrap().pop();
    let fewer = fewer.to_string();
    for (file, text, said) in [
        (
            "replications.json",
            fewer.as_str(),
            "and result.json is of another number of them; run",
        ),
        (
            "replications.json",
            "[]",
            "replications.json: is not of a result of this version; run",
        ),
        (
            "replications.json",
            "{\"schema\"",
            "replications.json: is cut off or damaged at line 1; run",
        ),
        (
            "result.json",
            "{}",
            "result.json: is no result: it has no digest; run",
        ),
        (
            "result.json",
            "{\"digest\": \"00\", \"schema\": 9}",
            "result.json: its schema is 9, and 1 is read here",
        ),
    ] {
        std::fs::write(here.join("a/replications.json"), &replications).unwrap();
        std::fs::write(here.join("a").join(file), text).unwrap();
        let told = refused(here, &["compare", "a", "a"]);
        assert!(told.contains(said), "{told}");
    }
}
