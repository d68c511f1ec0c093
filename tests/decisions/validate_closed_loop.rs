//! `seatrial validate --closed-loop` scores every row of a table or says why not, and never
//! depends on the number of threads.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::Read;
use std::path::Path;

use assert_cmd::Command;
use seatrial::calibrate::OverheadTable;
use serde_json::Value;

const HEADER: &str = "id,origin,system,backend,model_path,precision,mode,isl,osl,concurrency,\
                      tp_size,pp_size,attention_dp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms\n";

const ROWS: &str = "\
a,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,1024,256,8,2,1,1,1,120,15\n\
b,2026-04-06.csv,b200_sxm,trtllm,meta-llama/Llama-3.1-70B,fp4,agg,1024,256,16,1,1,1,1,150,14\n\
c,elsewhere.csv,h100_sxm,sglang,Qwen/Qwen3-32B,,agg,512,128,4,4,,,,90,10\n\
d,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,disagg,1024,256,8,2,1,1,1,120,15\n\
e,2026-04-06.csv,h200_sxm,vllm,acme/Unheard-Of-1T,fp8,agg,1024,256,8,2,1,1,1,120,15\n\
f,2026-04-06.csv,h200_sxm,vllm,nvidia/Llama-3.1-8B-Instruct-FP8,fp8,agg,1024,256,8,1,1,1,1,120,15\n\
g,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,int4,agg,1024,256,8,2,1,1,1,120,15\n\
h,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,1024,256,8,2,2,1,1,120,15\n\
i,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,1024,256,8,2,1,1,1,,15\n\
j,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,1024,256,0,2,1,1,1,120,15\n\
k,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,bf16,agg,1024,256,8,1,1,1,1,120,15\n\
l,2026-04-06.csv,abacus,vllm,meta-llama/Llama-3.1-70B,bf16,agg,1024,256,8,1,1,1,1,120,15\n\
m,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,4000000,256,8,2,1,1,1,120,15\n\
n,2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,1024,256,8,3,1,1,1,120,15\n\
o,2026-04-06.csv,h200_sxm,exllama,meta-llama/Llama-3.1-70B,fp8,agg,1024,256,8,2,1,1,1,120,15\n";

fn command(text: &str, arguments: &[&str], threads: &str) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command
        .args(["validate", "--closed-loop"])
        .arg(&path)
        .args(arguments);
    command.env("RAYON_NUM_THREADS", threads);
    (folder, command)
}

fn json_of(text: &str, threads: &str) -> Vec<u8> {
    let (_folder, mut command) = command(text, &["--json"], threads);
    command.assert().success().get_output().stdout.clone()
}

#[test]
fn every_row_is_scored_or_left_out_with_a_reason() {
    let out = json_of(&format!("{HEADER}{ROWS}"), "2");
    let scores: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        (scores["rows"].as_u64(), scores["scored"].as_u64()),
        (Some(15), Some(3))
    );
    let skipped = scores["skipped"].as_object().unwrap();
    assert_eq!(skipped.values().filter_map(Value::as_u64).sum::<u64>(), 12);
    for reason in [
        "prefill and decode on separate servers",
        "no model card: acme/Unheard-Of-1T",
        "mislabelled: twice what the hardware can do",
        "precision `int4`",
        "pipeline parallelism",
        "no measured TTFT",
        "no concurrency",
        "does not fit the memory, by the memory plan",
        "no accelerator card: abacus",
        "requests longer than the simulated KV cache or context",
        "tp_size does not divide the model's heads",
        "engine `exllama` is not known",
    ] {
        assert_eq!(
            skipped.get(reason).and_then(Value::as_u64),
            Some(1),
            "{reason}: {skipped:?}"
        );
    }
    for metric in ["ttft", "tpot"] {
        for error in ["median_abs_pct", "bias_pct"] {
            assert!(scores[metric][error].is_f64(), "{scores}");
            assert!(scores["by_origin"]["elsewhere.csv"][metric][error].is_f64());
            assert!(scores["by_system"]["b200_sxm"][metric][error].is_f64());
            assert!(scores["by_backend"]["vllm"][metric][error].is_f64());
        }
    }
    assert_eq!(scores["known_clients"]["scored"].as_u64(), Some(2));
}

#[test]
fn scores_do_not_depend_on_the_number_of_threads() {
    let text = format!("{HEADER}{ROWS}");
    assert_eq!(json_of(&text, "1"), json_of(&text, "4"));
}

#[test]
fn malformed_tables_are_refused_with_line_and_column() {
    for (text, wanted) in [
        (String::new(), "line 1: there is no column `origin`"),
        (
            HEADER.replace("silicon_tpot_ms", "tpot"),
            "there is no column `silicon_tpot_ms`",
        ),
        (
            format!("{HEADER}{}", ROWS.replacen(",8,2,", ",eight,2,", 1)),
            "line 2, column `concurrency`: `eight`",
        ),
        (
            format!("{HEADER}{}", ROWS.replacen(",150,14", ",-150,14", 1)),
            "line 3, column `silicon_ttft_ms`: `-150`",
        ),
        (
            format!("{HEADER}{}", ROWS.replacen(",120,15", ",NaN,15", 1)),
            "line 2, column `silicon_ttft_ms`: `NaN`",
        ),
        (
            format!("{HEADER}a,b,c\n"),
            "line 2: 3 fields where the header has 16",
        ),
    ] {
        let (_folder, mut command) = command(&text, &[], "1");
        let output = command.assert().code(2).get_output().clone();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    // A table without rows is a table.
    let scores: Value = serde_json::from_slice(&json_of(HEADER, "1")).unwrap();
    assert_eq!(
        (scores["rows"].as_u64(), scores["scored"].as_u64()),
        (Some(0), Some(0))
    );
    assert!(scores["ttft"]["median_abs_pct"].is_null());
}

#[test]
fn fitted_overheads_can_be_written_and_used() {
    // Five servers, so that the group can be split; the measured figures are made up.
    let rows: String = (0..5)
        .map(|i| {
            format!(
                "{i},2026-04-06.csv,h200_sxm,vllm,meta-llama/Llama-3.1-70B,fp8,agg,{},64,{},2,1,1,1,{},{}\n",
                256 + 128 * i, 2 + i, 90 + 10 * i, 16 + i
            )
        })
        .collect();
    let text = format!("{HEADER}{rows}");
    let (folder, mut fitting) = command(&text, &["--fit", "--json", "--write-overheads"], "2");
    let written = folder.path().join("overheads.toml");
    let out = fitting
        .arg(&written)
        .assert()
        .success()
        .get_output()
        .stdout
        .clone();
    let fit: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(fit["out_of_fold"]["scored"].as_u64(), Some(5));
    let table = OverheadTable::parse("x", &std::fs::read_to_string(&written).unwrap()).unwrap();
    assert_eq!(table.overheads.len(), 2);
    let (_other, mut scoring) = command(&text, &["--json", "--overheads"], "2");
    scoring.arg(&written).assert().success();
}

#[test]
fn the_shipped_overheads_can_be_read() {
    let text = include_str!("../../calibration/overheads.toml");
    let table = OverheadTable::parse("calibration/overheads.toml", text).unwrap();
    let of = |model: &str| table.of("trtllm", "h200_sxm", model);
    assert!(of("deepseek-v3 fp8").per_request_ms > of("gpt-oss-120b fp4").per_request_ms);
    assert_eq!(
        of("unheard-of fp8").fixed_us,
        of("deepseek-v3 fp8").fixed_us
    );
}

/// The sample's text, or none where it is absent.
fn sample() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/silicon/silicon_sample_dev.csv.gz");
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: there is no ../shared/data/silicon/silicon_sample_dev.csv.gz");
        return None;
    };
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(file).read_to_string(&mut text);
    assert!(read.is_ok());
    Some(text)
}

fn median(scores: &Value, metric: &str) -> f64 {
    let median = scores[metric]["median_abs_pct"].as_f64().unwrap();
    println!("{metric}: {}", scores[metric]);
    median
}

/// In-sample: the shipped overheads were fitted to these rows.
#[test]
fn the_sample_of_real_servers_is_scored() {
    let Some(text) = sample() else { return };
    let scores: Value = serde_json::from_slice(&json_of(&text, "2")).unwrap();
    let skipped = scores["skipped"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64);
    let (rows, scored) = (scores["rows"].as_u64(), scores["scored"].as_u64().unwrap());
    assert_eq!(rows, Some(2_542));
    assert_eq!(skipped.sum::<u64>() + scored, 2_542);
    assert!(scored >= 840, "{scored}");
    let known = &scores["known_clients"];
    assert!(known["scored"].as_u64().unwrap() >= 540, "{known}");
    assert!(median(known, "ttft") < 12.0);
    assert!(median(known, "tpot") < 5.2);
}

/// Out of fold, on rows that are quick to simulate: eight users, short answers, vLLM on H100;
/// calibration/README.md has the figures over all.
#[test]
fn rows_that_a_fit_has_not_seen_are_met() {
    let Some(text) = sample() else { return };
    let mut lines = text.lines();
    let header = lines.next().unwrap();
    let names: Vec<&str> = header.split(',').collect();
    let at = |name: &str| names.iter().position(|one| *one == name).unwrap();
    let (users, mode, output) = (at("concurrency"), at("mode"), at("osl"));
    let (system, engine) = (at("system"), at("backend"));
    let few = lines.filter(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let whole = |at: usize| cells[at].parse::<u32>().ok();
        let is_quick = whole(users) == Some(8) && whole(output) <= Some(1_024);
        let is_known = cells[system] == "h100_sxm" && cells[engine] == "vllm";
        cells[mode] == "agg" && is_quick && is_known
    });
    let text: Vec<&str> = std::iter::once(header).chain(few).collect();
    let (_folder, mut fitting) = command(&text.join("\n"), &["--fit", "--json"], "2");
    let out = fitting.assert().success().get_output().stdout.clone();
    let fit: Value = serde_json::from_slice(&out).unwrap();
    let unseen = &fit["out_of_fold"];
    println!("{} rows", unseen["scored"]);
    assert!(unseen["scored"].as_u64().unwrap() >= 8, "{unseen}");
    assert!(median(unseen, "ttft") < 11.5);
    assert!(median(unseen, "tpot") < 6.0);
}
