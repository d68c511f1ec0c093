//! `seatrial trace synth` makes traces that are what their generator says: the same for the same
//! seed, of any length, and presets with the figures of their sources.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;
use std::path::Path;

use assert_cmd::Command;
use seatrial::engine::Streams;
use seatrial::scenario::resolve::{Traffic, traffic};
use seatrial::synthesis::clients::sizes;
use seatrial::synthesis::presets::{PRESETS, load, parse, preset};
use seatrial::synthesis::sample::Sample;
use seatrial::trace::{TraceSource, stats};

fn of_preset(name: &str) -> Traffic {
    traffic(&load(name).unwrap(), Path::new("")).unwrap()
}

fn drawn(traffic: &Traffic, span_s: f64) -> Sample {
    let streams = Streams {
        seed: 1,
        replication: 0,
    };
    Sample::draw(traffic, streams, span_s).unwrap()
}

fn seatrial(arguments: &[&str]) -> String {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn sorted(lengths: &[u32]) -> Vec<u32> {
    let mut lengths = lengths.to_vec();
    lengths.sort_unstable();
    lengths
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        let order = ["--requests", "3000", "--seed", seed, "--out", out];
        seatrial(&[&["trace", "synth", "mooncake-conv"][..], &order].concat());
        std::fs::read(out).unwrap()
    };
    for name in ["a.csv", "a.csv.gz", "a.jsonl", "a.jsonl.gz"] {
        let first = bytes(name, "3");
        assert_eq!(first, bytes(name, "3"), "{name}");
        assert_ne!(first, bytes(name, "4"), "{name}");
    }
}

#[test]
fn a_run_sees_the_requests_of_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.csv");
    let rows = folder.path().join("rows.csv");
    let generator = folder.path().join("generator.toml");
    std::fs::write(&generator, preset("azure-code-2023").unwrap().toml).unwrap();
    let generator = generator.to_str().unwrap();
    let trace = trace.to_str().unwrap();
    let length = ["--hours", "0.25", "--seed", "9"];
    seatrial(&[&["trace", "synth", generator, "--out", trace][..], &length].concat());
    let rows = rows.to_str().unwrap();
    let set = ["--set", "run.horizon_s=900", "--set", "run.warmup_s=0"];
    seatrial(
        &[
            &["run", generator, "--seed", "9", "--requests", rows][..],
            &set,
        ]
        .concat(),
    );
    let column = |path: &str, name: &str| {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let headers = reader.headers().unwrap().clone();
        let index = headers.iter().position(|header| header == name).unwrap();
        let rows = reader
            .records()
            .map(|row| row.unwrap()[index].parse::<u64>().unwrap());
        let mut rows: Vec<u64> = rows.collect();
        rows.sort_unstable();
        rows
    };
    for name in ["arrival_ns", "prompt_tokens", "output_tokens"] {
        assert_eq!(column(trace, name), column(rows, name), "{name}");
    }
}

#[test]
fn every_preset_runs_and_is_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    for preset in PRESETS {
        assert!(preset.toml.contains(&format!("name = \"{}\"", preset.name)));
        traffic(&parse(&preset).unwrap(), Path::new("")).unwrap();
        let path = folder.path().join(format!("{}.toml", preset.name));
        std::fs::write(&path, seatrial(&["trace", "presets", preset.name])).unwrap();
        let short = ["--set", "run.horizon_s=20", "--set", "run.warmup_s=1"];
        let fewer = ["--set", "workload.max_requests=2000"];
        seatrial(&[&["run", path.to_str().unwrap()][..], &short, &fewer].concat());
        let out = folder.path().join("trace.csv");
        let order = ["--requests", "500", "--out", out.to_str().unwrap()];
        seatrial(&[&["trace", "synth", preset.name][..], &order].concat());
        assert_eq!(stats(&TraceSource::open(&out).unwrap()).unwrap().count, 500);
    }
}

#[test]
fn rates_are_scaled_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, scale: &str| {
        let out = folder.path().join("trace.csv");
        let order = ["--hours", "1", "--rate-scale", scale, "--json"];
        let to = ["--out", out.to_str().unwrap()];
        let text = seatrial(&[&["trace", "synth", name][..], &order, &to].concat());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["requests"].as_f64().unwrap()
    };
    for name in ["azure-conv-2023", "azure-code-2023", "servegen-deepseek-r1"] {
        let ratio = made(name, "3") / made(name, "1");
        assert!((ratio / 3.0 - 1.0).abs() < 0.15, "{name}: {ratio}");
    }
}

#[test]
fn weeks_have_the_days_of_their_source() {
    for (name, per_minute, weekend, busiest, quietest, ratio) in [
        ("azure-code-2024", 1_667.0, 0.323, 19, 8, 2.23 / 0.23),
        ("azure-conv-2024", 2_709.0, 0.567, 14, 22, 1.34 / 0.69),
    ] {
        let mut traffic = of_preset(name);
        // A fortieth of the traffic: its shape is the same.
        if let seatrial::workload::source::SourcePlan::Drawn { arrivals, .. } = &mut traffic.source
        {
            use seatrial::workload::arrivals::{Arrivals, UnitGap};
            *arrivals = Arrivals::Renewal {
                mean_ns: 40.0 * 60e9 / per_minute,
                gap: UnitGap::Exponential,
                scv: 1.0,
            };
        }
        let sample = drawn(&traffic, 604_800.0);
        let hours = sample.counts(3_600.0);
        assert_eq!(hours.len(), 168);
        let sum = |hours: &[u32]| f64::from(hours.iter().sum::<u32>());
        let mean = sum(&hours) / (7.0 * 1_440.0) * 40.0;
        assert!((mean / per_minute - 1.0).abs() < 0.01, "{name}: {mean}");
        let (weekdays, ends) = (sum(&hours[..120]) / 5.0, sum(&hours[120..]) / 2.0);
        assert!((ends / weekdays - weekend).abs() < 0.01, "{name}");
        let of_hour = |hour: usize| {
            (0..5)
                .map(|day| f64::from(hours[day * 24 + hour]))
                .sum::<f64>()
        };
        let found = of_hour(busiest) / of_hour(quietest);
        assert!(
            (found / ratio - 1.0).abs() < 0.06,
            "{name}: {found} for {ratio}"
        );
    }
}

#[test]
fn weeks_have_the_lengths_of_their_source() {
    for (name, prompts, outputs) in [
        (
            "azure-code-2024",
            [(0.25, 922.0), (0.5, 1916.0), (0.75, 3326.0), (0.9, 6173.0)],
            [(0.8, 14.0), (0.9, 37.0), (0.95, 72.0), (0.99, 252.0)],
        ),
        (
            "azure-conv-2024",
            [(0.25, 541.0), (0.5, 914.0), (0.75, 2341.0), (0.9, 3785.0)],
            [(0.5, 31.0), (0.75, 98.0), (0.9, 333.0), (0.99, 673.0)],
        ),
    ] {
        let sample = drawn(&of_preset(name), 3_600.0);
        for (lengths, knots) in [(&sample.prompt, prompts), (&sample.output, outputs)] {
            let sorted = sorted(lengths);
            for (share, tokens) in knots {
                let (below, upto) = ranks(&sorted, tokens);
                let near = below < share + 0.006 && upto > share - 0.006;
                assert!(near, "{name}, {tokens} at {share}: {below} to {upto}");
            }
        }
    }
}

/// Shares of a sorted list below a number of tokens, and up to it.
fn ranks(sorted: &[u32], tokens: f64) -> (f64, f64) {
    let below = sorted.partition_point(|length| f64::from(*length) < tokens);
    let upto = sorted.partition_point(|length| f64::from(*length) <= tokens);
    let share = |count: usize| count as f64 / sorted.len() as f64;
    (share(below), share(upto))
}

/// Name, requests/s, shares of the top 1, 5, 10 and 20 clients, median prompt and output.
type Mix = (&'static str, f64, [f64; 4], f64, f64);

#[test]
fn clients_are_as_unequal_as_those_of_their_source() {
    const MIXES: [Mix; 5] = [
        (
            "servegen-m-large",
            195.844,
            [0.16, 0.43, 0.63, 0.78],
            601.0,
            53.0,
        ),
        (
            "servegen-m-mid",
            1_790.06,
            [0.52, 0.67, 0.79, 0.89],
            173.0,
            34.0,
        ),
        (
            "servegen-m-small",
            1_174.4,
            [0.30, 0.77, 0.93, 0.99],
            40.0,
            3.0,
        ),
        (
            "servegen-deepseek-r1",
            16.0147,
            [0.29, 0.53, 0.68, 0.86],
            208.0,
            792.0,
        ),
        (
            "servegen-mm-image",
            9.474_65,
            [0.14, 0.56, 0.83, 0.96],
            106.0,
            100.0,
        ),
    ];
    for (name, rate, shares, prompt, output) in MIXES {
        let mut traffic = of_preset(name);
        let seatrial::scenario::workload::Arrivals::Clients(mut mix) =
            traffic.workload.arrivals.clone()
        else {
            panic!("{name}");
        };
        assert_eq!(mix.rate_per_s, rate);
        // The shares themselves: those of a sample are of its bursts, too.
        let clients = seatrial::workload::clients::Clients::new(&mix).unwrap();
        for (n, share) in [1usize, 5, 10, 20].into_iter().zip(shares) {
            let top: f64 = clients.shares().iter().take(n).sum();
            assert!(
                (top - share).abs() < 0.006,
                "{name}, top {n}: {top} for {share}"
            );
        }
        // About 170,000 requests in two days.
        mix.rate_per_s = 1.0;
        let clients = seatrial::workload::clients::Clients::new(&mix).unwrap();
        if let seatrial::workload::source::SourcePlan::Drawn { arrivals, .. } = &mut traffic.source
        {
            *arrivals = seatrial::workload::arrivals::Arrivals::Clients(Box::new(clients));
        }
        let sample = drawn(&traffic, 2.0 * 86_400.0);
        let found = sizes(&sample.clients);
        println!(
            "{name}: {} requests, largest {:?}",
            sample.len(),
            &found[..3.min(found.len())]
        );
        for (lengths, tokens) in [(&sample.prompt, prompt), (&sample.output, output)] {
            // By rank: where two kinds of clients meet, a median may move far by a little.
            let sorted = sorted(lengths);
            let (below, upto) = ranks(&sorted, tokens);
            assert!(below < 0.6 && upto > 0.4, "{name}: {below} to {upto}");
        }
    }
}

#[test]
fn clients_are_as_bursty_as_those_of_their_source() {
    // Rate-weighted median of the coefficient of variation of a client in a window.
    for (name, hours, cv) in [
        ("servegen-m-large", 1.0, 1.19),
        ("servegen-deepseek-r1", 6.0, 1.02),
        ("servegen-mm-image", 6.0, 1.01),
    ] {
        let sample = drawn(&of_preset(name), hours * 3_600.0);
        let found = typical_cv(&sample);
        assert!((found - cv).abs() < 0.4, "{name}: {found} for {cv}");
    }
}

/// Median over requests of the coefficient of variation of their client's gaps in their window of
/// ten minutes, where that has enough of them.
fn typical_cv(sample: &Sample) -> f64 {
    let mut windows: BTreeMap<(u32, u64), Vec<u64>> = BTreeMap::new();
    for (t_ns, client) in sample.t_ns.iter().zip(&sample.clients) {
        let window = (*client, t_ns / 600_000_000_000);
        windows.entry(window).or_default().push(*t_ns);
    }
    let full = windows.values().filter(|stamps| stamps.len() > 50);
    let mut each: Vec<(f64, usize)> = full
        .map(|stamps| {
            let gaps: Vec<f64> = stamps
                .windows(2)
                .map(|pair| (pair[1] - pair[0]) as f64)
                .collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let squares = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
            ((squares / gaps.len() as f64).sqrt() / mean, stamps.len())
        })
        .collect();
    each.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = each.iter().map(|it| it.1).sum::<usize>() / 2;
    let mut upto = 0;
    let middle = each.iter().find(|it| {
        upto += it.1;
        upto >= half
    });
    middle.unwrap().0
}

#[test]
fn what_is_no_open_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.toml");
    let out = folder.path().join("out.csv");
    let refused = |workload: &str, more: &[&str]| {
        std::fs::write(&path, format!("[workload]\n{workload}\n")).unwrap();
        let base = [
            "trace",
            "synth",
            path.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ];
        let run = Command::cargo_bin("seatrial")
            .unwrap()
            .args([&base[..], more].concat())
            .output();
        let run = run.unwrap();
        assert_eq!(run.status.code(), Some(2));
        assert!(!out.exists());
        String::from_utf8(run.stderr).unwrap()
    };
    let poisson = "arrivals = { process = \"poisson\", rate_per_s = 1 }";
    let closed = "arrivals = { process = \"closed_loop\", users = 3 }";
    assert!(refused(closed, &[]).contains("closed loop"));
    let turns = "sessions = { turns = { law = \"constant\", turns = 2 }, think = { law = \"exponential\", mean_ms = 1 } }";
    assert!(refused(&format!("{poisson}\n{turns}"), &[]).contains("sessions"));
    assert!(refused(poisson, &["--hours", "-1"]).contains("--hours"));
    assert!(refused(poisson, &["--requests", "0"]).contains("--requests"));
    assert!(refused(poisson, &["--rate-scale", "0"]).contains("--rate-scale"));
    assert!(refused(poisson, &["--hours", "0.0000001"]).contains("no request"));
    let mix = |more: &str| {
        let text =
            format!("arrivals = {{ process = \"clients\", rate_per_s = 1, clients = 3, {more} }}");
        refused(&text, &[])
    };
    assert!(mix("shares = [[1, 0.5], [2, 0.4]]").contains("must rise"));
    assert!(mix("shares = [[1, 0.5], [9, 1.0]]").contains("more than the 3"));
    assert!(mix("cv = [[0, 1], [1, 900]]").contains("cv"));
    let states = "arrivals = { process = \"mmpp\", states = [{ rate_per_s = 1, mean_s = 1, next = [0, 1] }, { rate_per_s = 2, mean_s = 1 }] }";
    assert!(refused(states, &[]).contains("next"));
}

#[test]
fn an_unknown_name_is_answered_with_those_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    let run = Command::cargo_bin("seatrial")
        .unwrap()
        .args([
            "trace",
            "synth",
            "azure-2025",
            "--out",
            out.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(
        said.contains("azure-conv-2024") && said.contains("servegen-m-large"),
        "{said}"
    );
}
