//! Rows of the same setting, measured several times: what they differ by is what no fit explains, and
//! a fit that has seen one of them has seen all.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;

use assert_cmd::Command;
use seatrial::calibrate::engine::judge::Asked;
use seatrial::calibrate::engine::measurement::{Measurement, Observed};
use seatrial::calibrate::engine::repeated::{Repeated, settings};
use seatrial::calibrate::engine::split::Split;
use seatrial::calibrate::regression::robust::Loss;

fn row(prompt: u32, users: u32, ttft_ms: f64, tpot_ms: f64) -> Measurement {
    Measurement {
        engine: Some("vllm".to_owned()),
        model: Some("llama-3.1-8b".to_owned()),
        accelerator: Some("h100-sxm".to_owned()),
        tp: Some(1),
        prompt_tokens: Some(prompt),
        output_tokens: Some(8),
        concurrency: Some(users),
        requests: Some(3 * users),
        ttft_ms: Some(ttft_ms),
        tpot_ms: Some(tpot_ms),
        ..Measurement::default()
    }
}

fn observed(rows: &[Measurement]) -> Vec<Observed> {
    let rows = rows.iter().enumerate();
    rows.map(|(at, row)| row.observed(format!("row {at}")).unwrap())
        .collect()
}

/// Two settings measured twice and three times, among others.
fn rows() -> Vec<Measurement> {
    vec![
        row(128, 1, 20.0, 10.0),
        row(128, 2, 22.0, 10.5),
        row(512, 1, 40.0, 10.2),
        row(128, 1, 22.0, 10.0),
        row(128, 4, 26.0, 11.0),
        row(128, 2, 22.0, 10.5),
        row(512, 4, 70.0, 12.0),
        row(128, 2, 22.0, 10.5),
    ]
}

#[test]
fn what_repeated_rows_differ_by_is_worked_out_by_hand() {
    let rows = observed(&rows());
    let all: Vec<usize> = (0..rows.len()).collect();
    assert_eq!(
        settings(&rows, &all),
        [vec![0, 3], vec![1, 5, 7], vec![2], vec![4], vec![6]]
    );
    let found = Repeated::of(&rows, &all).unwrap();
    assert_eq!((found.settings, found.rows), (2, 5));
    // 20 and 22 are 1/21 off their mean each; the other three are alike. 5 rows less 2 means.
    let wanted = 100.0 * (2.0 / (21.0_f64 * 21.0) / 3.0).sqrt();
    assert!((found.deviation_pct.0 - wanted).abs() < 1e-9, "{found:?}");
    assert_eq!(found.deviation_pct.1, 0.0);
    assert_eq!(Repeated::of(&rows, &[0, 1, 2]), None);
    let said = found.verdict((2.0 * wanted, 3.0));
    assert!(
        said.contains("TTFT 7.8 % against 3.9 %: as good as they allow")
            && said.contains("TPOT 3.0 % against none: the model lacks something"),
        "{said}"
    );
    let said = found.verdict((4.0 * wanted, 3.0));
    assert!(
        said.contains("4.0 times as much: the model lacks something"),
        "{said}"
    );
}

#[test]
fn rows_of_a_setting_are_left_out_together() {
    let rows = observed(&rows());
    let all: Vec<usize> = (0..rows.len()).collect();
    let asked = Asked {
        held: BTreeMap::new(),
        loss: Loss::Squares,
        folds: 4,
        by_row: true,
        changes: Vec::new(),
        source: "a test".to_owned(),
    };
    let split = Split::of(&rows, &all, &asked);
    assert_eq!((split.folds, split.together), (4, "settings"));
    let fold = |at: usize| split.fold_of[at];
    assert_eq!(fold(0), fold(3));
    assert!(fold(1) == fold(5) && fold(1) == fold(7));
    let alone = Split::of(&rows, &[0, 1, 2, 4], &asked);
    assert_eq!((alone.folds, alone.together), (4, "rows"));
}

#[test]
fn repeated_rows_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let fit = |rows: &[Measurement]| {
        let path = folder.path().join("rows.jsonl");
        let lines = rows.iter().map(|row| serde_json::to_string(row).unwrap());
        std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
        command.args(["calibrate", "fit"]).arg(&path);
        command.args([
            "--hold",
            "prefill_time_factor=1",
            "--hold",
            "decode_time_factor=1",
        ]);
        command.args(["--hold", "per_prompt_token_us=0", "--hold", "per_seq_us=10"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let page = fit(&rows());
    let told = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("repeated: 5 rows are of 2 settings that were measured several times"),
        "{page}"
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    assert!(!fit(&rows()[..3]).contains("repeated"));
}
