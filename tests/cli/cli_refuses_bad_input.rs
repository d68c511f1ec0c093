//! Bad input is refused with exit code 2, nothing on standard output, and a message that says
//! where the fault is, what is allowed and what to do.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use insta::assert_snapshot;
use tempfile::TempDir;

const SMALL: &str = r#"name = "small"

[run]
horizon_s = 20
warmup_s = 2

[workload]
arrivals = { process = "poisson", rate_per_s = 50 }

[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 30 }
"#;

const MODEL: &str = r#"name = "small-llm"

[workload]
arrivals = { process = "poisson", rate_per_s = 4 }

[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
"#;

const TRACE: &str = "arrival_ns,prompt_tokens,output_tokens\n";

/// What `seatrial` says about arguments it refuses, run in `dir`.
fn refusal_in(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::cargo_bin("seatrial")
        .unwrap()
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(output.stdout.is_empty(), "{errors}");
    assert!(errors.starts_with("error: "), "{errors}");
    for word in ["panicked", "RUST_BACKTRACE", "0x5", "0x7", "Operator {"] {
        assert!(!errors.contains(word), "{errors}");
    }
    errors.trim_end().to_owned()
}

fn folder(scenario: impl AsRef<[u8]>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), scenario).unwrap();
    dir
}

/// What is said about a scenario in a file `s.toml`.
fn refusal(scenario: impl AsRef<[u8]>) -> String {
    refusal_in(folder(scenario).path(), &["run", "s.toml"])
}

/// The small scenario with a text replaced by another.
fn changed(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    refusal(SMALL.replace(from, to))
}

/// The small scenario of a language model with a text replaced by another.
fn model(from: &str, to: &str) -> String {
    assert!(MODEL.contains(from), "{from}");
    refusal(MODEL.replace(from, to))
}

/// The small scenario, run with more arguments.
fn arguments(more: &[&str]) -> String {
    refusal_in(folder(SMALL).path(), &[&["run", "s.toml"], more].concat())
}

/// The small scenario with one claim of these fields.
fn claim(fields: &str) -> String {
    refusal(format!(
        "{SMALL}\n[[claims]]\nid = \"c\"\ntext = \"t\"\n{fields}\n"
    ))
}

/// A scenario that replays the trace `name` next to it.
fn replay(name: &str) -> String {
    format!(
        "name = \"replay\"\n[workload]\narrivals = {{ process = \"trace\", path = \"{name}\" }}\n\
         [[pools]]\nname = \"one\"\nengine = \"abstract\"\n\
         service = {{ law = \"exponential\", mean_ms = 3 }}\n"
    )
}

/// What is said about a trace of these bytes.
fn trace(bytes: &[u8]) -> String {
    let dir = folder(replay("t.csv"));
    std::fs::write(dir.path().join("t.csv"), bytes).unwrap();
    refusal_in(dir.path(), &["run", "s.toml"])
}

#[track_caller]
fn says(message: &str, facts: &[&str]) {
    for fact in facts {
        assert!(message.contains(fact), "no `{fact}` in: {message}");
    }
}

#[test]
fn a_scenario_that_is_no_readable_file() {
    let dir = folder(SMALL);
    let run = |name: &str| refusal_in(dir.path(), &["run", name]);
    assert_snapshot!(run("nope.toml"), @"error: nope.toml: there is no such file; check the path and the working directory");
    assert_snapshot!(run("."), @"error: .: is a directory; give the path of a file in it");
    assert_snapshot!(refusal(""), @"error: s.toml: name: is missing; add `name`");
    assert_snapshot!(refusal(b"name = \"\xff\"\n"), @"error: s.toml: is not UTF-8 text: line 1, byte 9 of the line; save the file as UTF-8");
    assert_snapshot!(refusal("name = = 3\n"), @"error: s.toml:1:8: not valid TOML: extra `=`, expected nothing");
}

#[test]
fn estimates_refuse_the_same() {
    let dir = folder(SMALL.replace("servers = 2", "servers = 0"));
    let run = refusal_in(dir.path(), &["run", "s.toml"]);
    assert_eq!(refusal_in(dir.path(), &["estimate", "s.toml"]), run);
}

#[test]
fn an_unknown_field_with_the_nearest_known_one() {
    let top = changed("[run]", "[rum]");
    says(&top, &["s.toml:3: rum", "did you mean `run`?"]);
    let pool = changed("servers = 2", "serverz = 2");
    says(
        &pool,
        &[
            "s.toml:13: pools.servers.serverz = 2",
            "did you mean `servers`?",
        ],
    );
    assert_snapshot!(changed("rate_per_s = 50", "rate_per_sec = 50"), @"error: s.toml:8: workload.arrivals.rate_per_sec = 50: is not a field here; allowed are `rate_per_s`; did you mean `rate_per_s`?");
}

#[test]
fn an_unknown_word_with_the_nearest_known_one() {
    assert_snapshot!(changed("\"poisson\"", "\"poison\""), @r#"error: s.toml:8: workload.arrivals.process = "poison": is not one of `poisson`, `gamma`, `weibull`, `constant`, `on_off`, `mmpp`, `clients`, `closed_loop` and `trace`; did you mean `poisson`?"#);
    assert_snapshot!(changed("\"exponential\"", "\"exponental\""), @r#"error: s.toml:14: pools.servers.service.law = "exponental": is not one of `exponential`, `deterministic`, `erlang`, `hyperexponential`, `lognormal`, `uniform` and `quantiles`; did you mean `exponential`?"#);
    assert_snapshot!(changed("[[pools]]", "[router]\npolicy = \"least_requests\"\n[[pools]]"), @r#"error: s.toml:11: router.policy = "least_requests": is not one of `round_robin`, `random`, `least_request`, `least_tokens`, `weighted`, `ring_hash`, `maglev`, `cheapest`, `fastest` and `scored`; did you mean `least_request`?"#);
    assert_snapshot!(changed("\"abstract\"", "\"abstrct\""), @r#"error: s.toml:12: pools.servers.engine = "abstrct": is not one of `abstract` and `llm`; did you mean `abstract`?"#);
}

#[test]
fn a_rate_that_is_no_rate() {
    for value in ["-5", "0", "nan", "inf", "-inf", "1e300"] {
        let message = changed("rate_per_s = 50", &format!("rate_per_s = {value}"));
        says(
            &message,
            &[
                &format!("s.toml:8: workload.arrivals.rate_per_s = {value}: "),
                "must be above 0 and at most 1,000,000,000; ",
            ],
        );
    }
    assert_snapshot!(changed("rate_per_s = 50", "rate_per_s = nan"), @"error: s.toml:8: workload.arrivals.rate_per_s = nan: must be above 0 and at most 1,000,000,000; give a finite number");
}

#[test]
fn a_fleet_without_anything_in_it() {
    let rare = "{ process = \"mmpp\", states = [{ rate_per_s = 1e-6, mean_s = 1e-6 }, { rate_per_s = 0, mean_s = 1e-6 }] }";
    let poisson = "{ process = \"poisson\", rate_per_s = 50 }";
    assert_snapshot!(changed(poisson, rare), @"error: s.toml:8: workload.arrivals.states = 2: gives one arrival in 2.000e12 stays; at most 10,000 are simulated; raise the rates or let the states last longer");
    let rare =
        "{ process = \"on_off\", on_rate_per_s = 1e-6, on_mean_s = 1e-3, off_mean_s = 1e-3 }";
    assert_snapshot!(changed(poisson, rare), @"error: s.toml:8: workload.arrivals.on_rate_per_s = 0.000001: gives one arrival in 2.000e9 stays; at most 10,000 are simulated; raise the rates or let the states last longer");
    assert_snapshot!(changed("\"small\"", "\"\""), @r#"error: s.toml:1: name = "": must be 1 to 100 characters without control characters; rename it"#);
    assert_snapshot!(changed("servers = 2", "servers = 0"), @"error: s.toml:13: pools.servers.servers = 0: must be 1 to 10,000,000; change it to a value in this range");
    assert_snapshot!(changed("servers = 2", "replicas = 0"), @"error: s.toml:13: pools.servers.replicas = 0: must be 1 to 1,000,000; change it to a value in this range");
    let (head, _) = SMALL.split_once("[[pools]]").unwrap();
    assert_snapshot!(refusal(head), @"error: s.toml: pools: is missing; add `pools`");
    let empty = format!("pools = []\n{head}");
    assert_snapshot!(refusal(empty), @"error: s.toml:1: pools = []: must hold at least one pool; add a [[pools]] table");
}

#[test]
fn two_pools_of_one_name() {
    let second = "\n[[pools]]\nname = \"servers\"\nengine = \"abstract\"\n\
                  service = { law = \"exponential\", mean_ms = 30 }\n";
    assert_snapshot!(refusal(format!("{SMALL}{second}")), @r#"error: s.toml:17: pools.1.name = "servers": is already the name of `pools.0` (s.toml:11); rename one of them"#);
}

#[test]
fn a_run_that_would_measure_nothing() {
    assert_snapshot!(changed("warmup_s = 2", "warmup_s = 30"), @"error: s.toml:5: run.warmup_s = 30: must be before run.horizon_s; shorten the warm-up or run for longer: nothing would be measured");
}

#[test]
fn users_who_would_come_back_at_once_for_ever() {
    let closed = SMALL.replace("\"poisson\", rate_per_s = 50", "\"closed_loop\", users = 3");
    let message = refusal(format!("{closed}queue_capacity = 1\n"));
    says(
        &message,
        &[
            "s.toml:15: pools.servers.queue_capacity",
            "cannot turn away closed-loop users who do not think",
            "give workload.arrivals.think a law",
        ],
    );
}

#[test]
fn a_trace_that_is_no_trace() {
    let dir = folder(replay("nope.csv"));
    assert_snapshot!(refusal_in(dir.path(), &["run", "s.toml"]), @"error: s.toml:3: workload.arrivals.path: trace `nope.csv` does not exist; check the path");
    says(&trace(b""), &["s.toml:3", "t.csv", "holds no requests"]);
    says(&trace(TRACE.as_bytes()), &["holds no requests"]);
    assert_snapshot!(trace(format!("{TRACE}5,1,1\n3,1,1\n").as_bytes()), @"error: s.toml:3: workload.arrivals.path: trace `t.csv`, line 3: stamp `3` comes before `5` of the line above; allowed: stamps in order: sort them with `seatrial trace import --sort`");
    assert_snapshot!(trace(&[TRACE.as_bytes(), b"5,\xff,1\n"].concat()), @"error: s.toml:3: workload.arrivals.path: trace `t.csv`, line 2, byte 3: 0xFF is not valid UTF-8, the only encoding allowed; convert the file (`iconv -t utf-8`)");
}

#[test]
fn a_compressed_trace_that_ends_early() {
    let whole = std::fs::read(shipped("traces/azure-2023-code.csv.gz")).unwrap();
    let dir = folder(replay("t.csv.gz"));
    std::fs::write(dir.path().join("t.csv.gz"), &whole[..whole.len() / 2]).unwrap();
    let message = refusal_in(dir.path(), &["run", "s.toml"]);
    says(
        &message,
        &["s.toml:3", "t.csv.gz", "truncated", "copy or download"],
    );
}

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

// How long it takes is what is tested.
#[allow(clippy::disallowed_methods)]
#[test]
fn a_trace_with_a_line_of_ten_gigabytes_without_reading_it() {
    let dir = folder(replay("t.csv"));
    let mut file = File::create(dir.path().join("t.csv")).unwrap();
    file.write_all(TRACE.as_bytes()).unwrap();
    // A hole: it takes no space on the disk.
    file.set_len(10_000_000_000).unwrap();
    let begun = Instant::now();
    let message = refusal_in(dir.path(), &["run", "s.toml"]);
    // Reading all of it would take far longer, and holding it far more memory than there is.
    assert!(begun.elapsed() < Duration::from_secs(2), "{message}");
    says(
        &message,
        &["s.toml:3", "t.csv`, line 2", "longer than 1048576 bytes"],
    );
}

#[test]
fn a_card_that_is_not_there_with_the_nearest_that_is() {
    let message = model("llama-3.1-8b", "llama-3.1-9b");
    says(
        &message,
        &[
            "s.toml:9: pools.llama.model = \"llama-3.1-9b\"",
            "did you mean `llama-3.1-8b`?",
            "give its path",
        ],
    );
    let message = model("h100-sxm", "h100-smx");
    says(
        &message,
        &[
            "s.toml:10: pools.llama.accelerator = \"h100-smx\"",
            "did you mean `h100-sxm`?",
        ],
    );
}

#[test]
fn a_model_that_does_not_fit_with_what_would() {
    assert_snapshot!(model("llama-3.1-8b", "llama-3.1-70b"), @r#"error: s.toml:9: pools.llama.model = "llama-3.1-70b": llama-3.1-70b with bf16 weights at tp 1 does not fit on h100-sxm: it needs 144.8 GB per device (141.1 weights + 2.1 activations + 1.5 reserve + KV cache) and 77.3 GB are available (1 GB = 1e9 bytes); the smallest tp that fits is 2, or use fp8 weights at tp 1"#);
}

#[test]
fn a_split_or_number_type_that_cannot_be() {
    assert_snapshot!(refusal(format!("{MODEL}kv_blocks = 1000000\n")), @"error: s.toml:11: pools.llama.kv_blocks = 1000000: must be at most 33,302, the blocks that fit beside the weights; give the block count that the engine prints, or leave it out");
    let tp = refusal(format!("{MODEL}tp = 3\n"));
    says(
        &tp,
        &["s.toml:11: pools.llama.tp = 3: ", "divisor", "32 heads"],
    );
    assert_snapshot!(refusal(format!("{MODEL}weight_dtype = \"bf17\"\n")), @r#"error: s.toml:11: pools.llama.weight_dtype = "bf17": `bf17` is not a number type (did you mean `bf16`?); allowed: bf16, fp16, fp8, fp4, int8"#);
}

#[test]
fn an_override_that_cannot_be_made() {
    let set = |change: &str| arguments(&["--set", change]);
    assert_snapshot!(set("nothing"), @"error: --set nothing: must be PATH=VALUE, such as pools.nodes.replicas=8");
    says(
        &set("run.horizon=3"),
        &["--set run.horizon", "did you mean `horizon_s`?"],
    );
    assert_snapshot!(set("pools.nope.servers=3"), @"error: --set pools.nope.servers: no element is named `nope`: there are `servers`; use one of these or the index");
    assert_snapshot!(set("workload.arrivals.rate_per_s=abc"), @r#"error: --set workload.arrivals.rate_per_s = "abc": must be a number; write it without quotes"#);
    assert_snapshot!(set("pools.servers.servers=0"), @"error: --set pools.servers.servers = 0: must be 1 to 10,000,000; change it to a value in this range");
}

#[test]
fn a_claim_that_cannot_be_judged() {
    let metric = "metric = \"throughput.requests_per_s\"\n";
    assert_snapshot!(claim(metric), @"error: s.toml:16: claims.c: must state exactly one of at_most, at_least and equals; write, for example, at_most = 30");
    assert_snapshot!(claim(&format!("{metric}at_most = 3\nat_least = 2")), @"error: s.toml:16: claims.c: must state exactly one of at_most, at_least and equals; write, for example, at_most = 30");
    assert_snapshot!(claim(&format!("{metric}at_most = 3\nvariant = \"x\"")), @r#"error: s.toml:21: claims.c.variant = "x": must be the name of a [variants] table; add a [variants.x] table"#);
    assert_snapshot!(claim("metric = \"latency.e2e_ms.p99 + * 2\"\nat_most = 3"), @r#"error: s.toml:19: claims.c.metric = "latency.e2e_ms.p99 + * 2": cannot read the expression `latency.e2e_ms.p99 + * 2`: a binary operator cannot be on the right of another operator; write spaces around operators"#);
    assert_snapshot!(claim(&format!("{metric}at_most = \"3 +\"")), @r#"error: s.toml:20: claims.c.at_most = "3 +": cannot read the expression `3 +`: the last element cannot be an operator; write spaces around operators"#);
}

#[test]
fn an_override_of_a_part_of_what_has_no_effect() {
    assert_snapshot!(arguments(&["--set", "steering.via=dns"]), @"error: --set steering.via: `steering` has no effect without regions; add [[regions]], or take it away");
    assert_snapshot!(arguments(&["--set", "steering={}"]), @"error: --set steering: steering.via: is missing; add `via` to `steering`");
    assert_snapshot!(arguments(&["--set", "slo.target=0.9"]), @"error: --set slo.target: `slo` must bound something; state ttft_ms, tpot_ms or e2e_ms");
}

#[test]
fn overrides_of_a_claim_that_are_not_valid() {
    let metric = "metric = \"throughput.requests_per_s\"\nat_most = 3\n";
    assert_snapshot!(claim(&format!("{metric}with = {{ \"pools.servers.servers\" = 0 }}")), @r#"error: s.toml:21: claims.c, with {"pools.servers.servers":0}: --set pools.servers.servers = 0: must be 1 to 10,000,000; change it to a value in this range"#);
    let versus = claim(&format!(
        "{metric}versus = {{ \"pools.servers.srvers\" = 1 }}"
    ));
    says(
        &versus,
        &[
            "s.toml:21: claims.c",
            "pools.servers.srvers",
            "did you mean `servers`?",
        ],
    );
    let variant = refusal(format!("{SMALL}\n[variants.v]\n\"run.horizon_s\" = -1\n"));
    says(
        &variant,
        &["variants.v", "run.horizon_s = -1", "must be above 0"],
    );
}

#[test]
fn a_request_file_that_cannot_be_written() {
    assert_snapshot!(arguments(&["--requests", "x.csv", "--replications", "2"]), @"error: --requests x.csv: needs one replication, but run.replications is 2; set it to 1");
    assert_snapshot!(arguments(&["--requests", "x.txt"]), @"error: x.txt: a request file must end in .csv, .csv.gz or .parquet; rename it");
    let message = arguments(&["--requests", "none/x.csv"]);
    says(&message, &["none/x.csv: cannot write", "check the folder"]);
}

#[test]
fn a_request_file_that_is_the_trace_to_be_replayed() {
    let dir = folder(replay("t.csv"));
    let rows = format!("{TRACE}5,1,1\n");
    std::fs::write(dir.path().join("t.csv"), &rows).unwrap();
    let message = refusal_in(dir.path(), &["run", "s.toml", "--requests", "./t.csv"]);
    says(
        &message,
        &["--requests ./t.csv", "the trace", "give another name"],
    );
    let kept = std::fs::read_to_string(dir.path().join("t.csv")).unwrap();
    assert_eq!(kept, rows);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let message = arguments(&["--out", "s.toml"]);
    says(&message, &["s.toml: cannot write", "given with --out"]);
}

#[test]
fn no_file_that_is_read_is_written_over_and_none_is_written_twice() {
    let dir = folder(SMALL);
    let trace = format!("{TRACE}0,10,5\n1000000,20,5\n");
    std::fs::write(dir.path().join("t.csv"), &trace).unwrap();
    for (arguments, read, text) in [
        (
            "trace export t.csv --to otlp --out t.csv",
            "t.csv",
            trace.as_str(),
        ),
        ("trace fit t.csv --out t.csv", "t.csv", &trace),
        ("trace import t.csv --out ./t.csv", "t.csv", &trace),
        (
            "trace synth s.toml --requests 5 --out s.toml",
            "s.toml",
            SMALL,
        ),
        ("diagram s.toml --out s.toml", "s.toml", SMALL),
        ("run s.toml --requests s.toml", "s.toml", SMALL),
    ] {
        let words: Vec<&str> = arguments.split(' ').collect();
        let told = refusal_in(dir.path(), &words);
        assert!(
            told.contains("is the file that is read; give another name"),
            "{told}"
        );
        let now = std::fs::read_to_string(dir.path().join(read)).unwrap();
        assert_eq!(now, text, "{arguments}");
    }
    let twice = [
        "run",
        "s.toml",
        "--requests",
        "b.csv",
        "--series",
        "./b.csv",
    ];
    assert_snapshot!(
        refusal_in(dir.path(), &twice),
        @"error: --series ./b.csv: is what --requests writes, too; give another name"
    );
}
