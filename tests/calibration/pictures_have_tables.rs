//! The pictures of `calibrate show --svg`: a table of rows, for a slide, beside the rates of one
//! operation. Files that are read are no pictures' to write over.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

fn calibrate(words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let output = command.arg("calibrate").args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// A product of so many rows that takes so long, with what `show` tells of it.
fn gemm(m: u64, us: f64) -> Value {
    json!({
        "operation": {"what": "gemm", "m": m, "n": 1024, "k": 4096}, "dtype": "bf16",
        "median_us": us, "p10_us": us, "p90_us": 1.5 * us, "samples": 10,
        "footprint_bytes": 1_000, "tflop_per_s": 20.5, "gb_per_s": 950.5, "drifted": m == 1,
    })
}

fn launch(way: &str, us: f64) -> Value {
    json!({
        "operation": {"what": "launch", "way": way}, "dtype": null, "median_us": us, "samples": 10,
    })
}

fn file(folder: &Path, rows: &[Value]) -> String {
    let page = json!({
        "schema": 2, "tool": "seatrial 0.1.0", "provenance": "a test",
        "device": {
            "name": "A <GPU>", "compute_capability": "9.0", "multiprocessors": 132,
            "clock_mhz": 1980, "memory_clock_mhz": 2619, "memory_bus_bits": 5120,
            "memory_bytes": 85_000_000_000_u64, "l2_bytes": 52_428_800,
            "shared_bytes_per_block": 232_448, "driver_cuda": "13.0",
        },
        "software": {},
        "plan": {"effort": "quick", "models": ["a"], "tp": [1]},
        "rows": rows,
    });
    let path = folder.join("a.json");
    std::fs::write(&path, page.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The texts of a picture, in order.
fn texts(picture: &str) -> Vec<String> {
    let parts = picture.split("<text").skip(1);
    let inside = parts.map(|part| {
        let text = &part[part.find('>').unwrap() + 1..part.find("</text>").unwrap()];
        text.trim().to_owned()
    });
    inside.collect()
}

#[test]
fn a_picture_has_the_table() {
    let folder = TempDir::new().unwrap();
    let mut rows: Vec<Value> = (1..=40).map(|m| gemm(m, 10.0 + m as f64)).collect();
    rows.extend([launch("stream", 2.25), launch("graph", 1.75)]);
    let path = file(folder.path(), &rows);
    let svg = folder.path().join("a.svg");
    let svg = svg.to_str().unwrap();
    let draw = |words: &[&str]| {
        let all = [&["show", &path, "--svg", svg], words].concat();
        let (code, page, said) = calibrate(&all);
        assert_eq!(code, 0, "{said}");
        assert!(page.contains("a.svg: written"), "{page}");
        std::fs::read_to_string(svg).unwrap()
    };
    let words = ["--operation", "gemm", "--accelerator", "h100-sxm"];
    let picture = draw(&[&words[..], &["--svg-rows", "5"]].concat());
    assert!(
        picture.contains("<title>gemm on A &lt;GPU&gt;</title>"),
        "{picture}"
    );
    let all = texts(&picture);
    let has = |text: &str| all.iter().any(|it| it == text);
    // A chart of all rows, and a table of five, from the least work to the most.
    assert!(
        has("least FLOP per byte") && has("bf16 peak of h100-sxm"),
        "{all:?}"
    );
    let shapes: Vec<&String> = all
        .iter()
        .filter(|text| text.starts_with("gemm m "))
        .collect();
    let wanted = [1, 10, 20, 30, 40].map(|m| format!("gemm m {m} n 1024 k 4096"));
    assert_eq!(shapes, wanted.iter().collect::<Vec<_>>(), "{all:?}");
    for text in [
        "median us",
        "spread",
        "TFLOP/s",
        "GB/s",
        "of peak",
        "950.5",
        "20.5",
        "50",
    ] {
        assert!(has(text), "{text}: {all:?}");
    }
    // What drifted and what was in the cache is marked, and the marks are told.
    assert!(
        has("50.0 % ~") && all.iter().any(|text| text.ends_with(" %*")),
        "{all:?}"
    );
    let notes = all.join(" ");
    for part in [
        "5 of 40 rows, spread evenly from the least work to the most.",
        "~: halves of the samples differ by more than 3 %",
        "*: inputs were in the second-level cache.",
        "Peaks: those of h100-sxm.",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    // All of them, where there is room.
    let all = texts(&draw(&[&words[..], &["--svg-rows", "100"]].concat()));
    assert!(
        all.join(" ")
            .contains("40 rows, from the least work to the most.")
    );
    assert_eq!(
        all.iter()
            .filter(|text| text.starts_with("gemm m "))
            .count(),
        40
    );
}

#[test]
fn several_operations_are_a_table_alone() {
    let folder = TempDir::new().unwrap();
    let mut rows: Vec<Value> = (1..=40).map(|m| gemm(m, 10.0 + m as f64)).collect();
    rows.extend([launch("stream", 2.25), launch("graph", 1.75)]);
    let path = file(folder.path(), &rows);
    let svg = folder.path().join("a.svg");
    let svg = svg.to_str().unwrap();
    let (code, _, said) = calibrate(&["show", &path, "--svg", svg, "--svg-rows", "6"]);
    assert_eq!(code, 0, "{said}");
    let picture = std::fs::read_to_string(svg).unwrap();
    assert!(!picture.contains("<circle"), "{picture}");
    // Each operation has its share, however few rows it has; launches go by their time.
    let all = texts(&picture);
    let first = all
        .iter()
        .position(|text| text == "gemm m 1 n 1024 k 4096")
        .unwrap();
    assert!(all[first..].contains(&"launch graph".to_owned()), "{all:?}");
    assert!(all.join(" ").contains("6 of 42 rows"), "{all:?}");
    // Of an operation without rates there is the table.
    let (code, _, said) = calibrate(&["show", &path, "--svg", svg, "--operation", "launch"]);
    assert_eq!(code, 0, "{said}");
    let all = texts(&std::fs::read_to_string(svg).unwrap());
    assert!(
        all.contains(&"1.75".to_owned()) && all.contains(&"2.25".to_owned()),
        "{all:?}"
    );
}

#[test]
fn what_is_read_is_not_written_over() {
    let folder = TempDir::new().unwrap();
    let path = file(folder.path(), &[gemm(1, 10.0)]);
    let rows = folder.path().join("rows.csv");
    std::fs::write(&rows, "engine,model\nvllm,llama-3.1-8b\n").unwrap();
    let rows = rows.to_str().unwrap();
    let profile = folder.path().join("profile");
    std::fs::create_dir(&profile).unwrap();
    for name in ["mlp.csv", "attention.csv", "all_reduce.csv"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import/vidur");
        std::fs::copy(from.join(name), profile.join(name)).unwrap();
    }
    let own = profile.join("mlp.csv");
    let (profile, own) = (profile.to_str().unwrap(), own.to_str().unwrap());
    for (words, file) in [
        (vec!["show", &path, "--svg", &path], path.as_str()),
        (vec!["fit", rows, "--svg", rows], rows),
        (vec!["fit", rows, "--out", rows], rows),
        (vec!["import", profile, "--device", "a", "--out", own], own),
        (vec!["import", own, "--device", "a", "--out", own], own),
    ] {
        let before = std::fs::read(file).unwrap();
        let (code, page, said) = calibrate(&words);
        assert_eq!((code, page.as_str()), (2, ""), "{words:?}: {said}");
        assert!(
            said.contains("is the file that is read"),
            "{words:?}: {said}"
        );
        assert_eq!(std::fs::read(file).unwrap(), before, "{words:?}");
    }
    let twice = folder.path().join("twice");
    let twice = twice.to_str().unwrap();
    let (code, _, said) = calibrate(&["fit", rows, "--out", twice, "--svg", twice]);
    assert_eq!(code, 2);
    assert!(said.contains("is what --out writes, too"), "{said}");
}

#[test]
fn a_calibration_where_another_file_is_wanted_is_told_as_one() {
    let folder = TempDir::new().unwrap();
    let path = file(folder.path(), &[gemm(1, 10.0)]);
    for (words, part) in [
        (
            ["import", path.as_str()],
            "is a calibration already; `calibrate show`",
        ),
        (
            ["fit", path.as_str()],
            "it is a calibration, which has the times of kernels",
        ),
    ] {
        let (code, _, said) = calibrate(&words);
        assert_eq!(code, 2);
        assert!(said.contains(part), "{said}");
    }
    let list = folder.path().join("list.json");
    std::fs::write(&list, "[]").unwrap();
    let (code, _, said) = calibrate(&["show", list.to_str().unwrap()]);
    assert_eq!(code, 2);
    assert!(said.contains("an object with a field `schema`"), "{said}");
}
