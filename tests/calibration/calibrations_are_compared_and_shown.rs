//! `seatrial calibrate diff`: ratios worked out by hand, of files and of the kernel tables that come
//! with the program. `seatrial calibrate show`: the rows of an operation, and their picture.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use seatrial::perf::tables::{KernelBackend, KernelDtype, KernelTables};
use serde_json::{Value, json};
use tempfile::TempDir;

fn row(operation: &Value, dtype: &Value, us: f64) -> Value {
    json!({
        "operation": operation, "dtype": dtype, "used_for": [],
        "median_us": us, "p10_us": us, "p90_us": us,
        "samples": 10, "launches_per_sample": 10, "buffers": 10, "footprint_bytes": 200_000_000,
        "graph": true, "drifted": false,
    })
}

fn gemm(m: u64, us: f64) -> Value {
    let operation = json!({"what": "gemm", "m": m, "n": 1024, "k": 4096});
    row(&operation, &json!("bf16"), us)
}

fn launch(us: f64) -> Value {
    row(&json!({"what": "launch", "way": "graph"}), &Value::Null, us)
}

/// Writes a calibration with some rows, and gives its path.
fn file(folder: &Path, name: &str, rows: &[Value]) -> String {
    let page = json!({
        "schema": 1, "tool": "seatrial 0.1.0", "provenance": "a test",
        "device": {
            "name": "A GPU", "compute_capability": "9.0", "multiprocessors": 132,
            "clock_mhz": 1980, "memory_clock_mhz": 2619, "memory_bus_bits": 5120,
            "memory_bytes": 85_000_000_000_u64, "l2_bytes": 52_428_800,
            "shared_bytes_per_block": 232_448, "ecc": true, "driver_cuda": "13.0",
        },
        "software": {"cublaslt": "13.1.0", "nvrtc": "13.0"},
        "plan": {"effort": "quick", "models": ["a"], "tp": [1]},
        "rows": rows,
    });
    let path = folder.join(name);
    std::fs::write(&path, page.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn diff(words: &[&str]) -> (i32, String, String) {
    calibrate(&[&["diff"], words].concat())
}

fn calibrate(words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let output = command.arg("calibrate").args(words).output();
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

fn diff_json(a: &str, b: &str) -> Value {
    let (code, page, said) = diff(&[a, b, "--json"]);
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&page).unwrap()
}

#[test]
fn ratios_of_two_files() {
    let folder = TempDir::new().unwrap();
    let a = [
        gemm(1, 10.0),
        gemm(2, 20.0),
        gemm(4, 40.0),
        gemm(8, 80.0),
        launch(2.0),
        gemm(9, 1.0),
    ];
    let b = [
        launch(1.0),
        gemm(8, 160.0),
        gemm(4, 40.0),
        gemm(2, 18.0),
        gemm(1, 11.0),
    ];
    let a = file(folder.path(), "a.json", &a);
    let b = file(folder.path(), "b.json", &b);
    let page = diff_json(&a, &b);
    // 1.1, 0.9, 1 and 2: by the nearest rank the 1st, 2nd and 4th of four are the 10th, 50th and
    // 90th percentile.
    let expected = json!({
        "operation": "gemm", "dtype": "bf16", "in_cache": false, "count": 4,
        "exact": 4, "interpolated": 0, "extrapolated": 0,
        "ratio_p10": 0.9, "ratio_median": 1.0, "ratio_p90": 2.0,
    });
    assert_eq!(page["operations"][0], expected);
    assert_eq!(page["operations"][1]["operation"], "launch");
    assert_eq!(page["operations"][1]["dtype"], Value::Null);
    assert_eq!(page["operations"][1]["ratio_median"], 0.5);
    // Twice and half are equally far from 1; then come 0.9 and 1.1, and 1 is no difference.
    let worst = page["worst"].as_array().unwrap();
    let ratios: Vec<f64> = worst
        .iter()
        .map(|pair| pair["ratio"].as_f64().unwrap())
        .collect();
    assert_eq!(ratios, [2.0, 0.5, 0.9, 1.1]);
    assert_eq!(worst[0]["operation"]["m"], 8);
    assert_eq!((&page["only_a"], &page["only_b"]), (&json!(1), &json!(0)));

    let (code, text, _) = diff(&[&a, &b]);
    assert_eq!(code, 0);
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert!(
        text.contains("gemm m 8 n 1024 k 4096 bf16: 80 us, 160 us, ratio 2.000"),
        "{text}"
    );
    // Columns stand under their heads.
    let lines: Vec<&str> = text.lines().collect();
    let head = lines
        .iter()
        .position(|line| line.contains("median"))
        .unwrap();
    assert!(
        lines[head].ends_with("p90") && lines[head + 1].ends_with("2.000"),
        "{text}"
    );
    assert_eq!(lines[head].len(), lines[head + 1].len());
    assert_eq!(
        lines[head].find("median").unwrap() + 6,
        lines[head + 1].find("1.000").unwrap() + 5
    );
    assert!(text.contains("in another shape: 1 of A, 0 of B."), "{text}");
}

#[test]
fn what_was_read_from_the_cache_is_compared_apart() {
    let folder = TempDir::new().unwrap();
    // Of 50 MiB of cache: 104,857,600 bytes are twice as much, one less is not.
    let of = |m: u64, us: f64, bytes: u64| {
        let mut row = gemm(m, us);
        row["footprint_bytes"] = json!(bytes);
        row
    };
    let a = [
        of(1, 10.0, 104_857_600),
        of(2, 10.0, 104_857_599),
        of(4, 10.0, 200_000_000),
    ];
    let b = [
        of(1, 20.0, 104_857_600),
        of(2, 40.0, 104_857_600),
        of(4, 80.0, 1_000),
    ];
    let mut untold = of(8, 10.0, 1);
    untold.as_object_mut().unwrap().remove("footprint_bytes");
    let a = file(
        folder.path(),
        "a.json",
        &[&a[..], &[untold.clone()]].concat(),
    );
    let b = file(folder.path(), "b.json", &[&b[..], &[untold]].concat());
    let page = diff_json(&a, &b);
    let operations = page["operations"].as_array().unwrap();
    let told: Vec<_> = operations
        .iter()
        .map(|one| {
            (
                one["in_cache"].as_bool().unwrap(),
                one["count"].as_u64().unwrap(),
            )
        })
        .collect();
    // Either side's cache sets a pair apart; what is not told does not.
    assert_eq!(told, [(false, 2), (true, 2)], "{page}");
    assert_eq!(operations[0]["ratio_p90"], 2.0);
    assert_eq!(operations[1]["ratio_p10"], 4.0);
    let (_, page, _) = diff(&[&a, &b]);
    let marked = page.lines().filter(|line| line.starts_with("gemm*"));
    assert_eq!(marked.count(), 1, "{page}");
    assert!(page.contains("* apart: pairs of which a side"), "{page}");
    let (_, page, _) = calibrate(&["show", &a]);
    let marked = page.lines().filter(|line| line.ends_with('*'));
    assert_eq!(marked.count(), 1, "{page}");
}

#[test]
fn a_file_with_nothing_in_common() {
    let folder = TempDir::new().unwrap();
    let a = file(folder.path(), "a.json", &[launch(2.0)]);
    let b = file(folder.path(), "b.json", &[gemm(1, 2.0)]);
    let (code, text, _) = diff(&[&a, &b]);
    assert_eq!(code, 0);
    assert!(text.contains("No operation is on both sides"), "{text}");
}

#[test]
fn kernel_tables_are_looked_up() {
    let tables = KernelTables::builtin("h100_sxm", KernelBackend::Vllm).unwrap();
    let measured = tables.gemm.measurements();
    let mut measured = measured.filter(|row| row.0 == KernelDtype::Bf16);
    let (_, m, n, k, us) = measured.find(|row| row.1 == 64).unwrap();
    let of = |m: u32, n: u32| json!({"what": "gemm", "m": m, "n": n, "k": k});
    let bf16 = json!("bf16");
    let norm = json!({"what": "rms_norm", "rows": 1, "width": 4096});
    let rows = [
        row(&of(m, n), &bf16, us * 2.0),
        row(&of(m - 1, n), &bf16, us), // between row counts
        row(&of(m, 8), &bf16, us),     // narrower than all
        row(&norm, &bf16, 3.0),        // not in the tables
    ];
    let folder = TempDir::new().unwrap();
    let a = file(folder.path(), "a.json", &rows);
    let page = diff_json(&a, "tables:h100_sxm/vllm");
    let products = &page["operations"][0];
    let counts = ["count", "exact", "interpolated", "extrapolated"].map(|name| &products[name]);
    assert_eq!(counts, [&json!(3), &json!(1), &json!(1), &json!(1)]);
    assert_eq!(page["only_a"], 1);
    let worst = page["worst"].as_array().unwrap();
    let exact = worst.iter().find(|pair| pair["how"] == "exact").unwrap();
    assert!((exact["ratio"].as_f64().unwrap() - 0.5).abs() < 1e-12);
    // The other way round, ratios are inverted.
    let page = diff_json("tables:h100_sxm/vllm", &a);
    let worst = page["worst"].as_array().unwrap();
    let exact = worst.iter().find(|pair| pair["how"] == "exact").unwrap();
    assert!((exact["ratio"].as_f64().unwrap() - 2.0).abs() < 1e-12);
    assert_eq!(page["only_b"], 1);
}

#[test]
fn attention_is_looked_up_by_heads() {
    let tables = KernelTables::builtin("h100_sxm", KernelBackend::Vllm).unwrap();
    let kinds = [
        ("prefill_attention", "tokens", &tables.prefill),
        ("decode_attention", "context", &tables.decode),
    ];
    let mut rows = Vec::new();
    for (what, length, table) in kinds {
        let key = table.keys().find(|key| {
            (key.head_dim, key.window) == (128, 0)
                && (key.query, key.kv) == (KernelDtype::Bf16, KernelDtype::Bf16)
        });
        let key = key.unwrap();
        let lengths = [512, 1024, 2048, 4096];
        let at = |length| table.measured_us(key, 1, length);
        let (tokens, us) = lengths.iter().find_map(|t| Some((*t, at(*t)?))).unwrap();
        for (heads, tokens) in [
            (key.heads, tokens),
            (key.heads, tokens + 8),
            (key.heads * 64, 8),
        ] {
            let mut operation = json!({
                "what": what, "sequences": 1, "heads": heads, "kv_heads": key.kv_heads,
                "head_dim": 128,
            });
            operation[length] = json!(tokens);
            rows.push(row(&operation, &json!("bf16"), us));
        }
    }
    let folder = TempDir::new().unwrap();
    let a = file(folder.path(), "a.json", &rows);
    let page = diff_json(&a, "tables:h100_sxm/vllm");
    for operation in page["operations"].as_array().unwrap() {
        for name in ["exact", "interpolated", "extrapolated"] {
            assert_eq!(operation[name], 1, "{operation}");
        }
        // A little longer takes a little longer; the measured one is itself.
        let median = operation["ratio_median"].as_f64().unwrap();
        assert!((0.9..1.2).contains(&median), "{operation}");
    }
    assert_eq!(page["operations"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_measured_is_compared_as_it_was() {
    let tables = KernelTables::builtin("h100_sxm", KernelBackend::Vllm).unwrap();
    let (mut rows, mut dips) = (Vec::new(), 0);
    for key in tables.decode.keys() {
        let plain = (key.head_dim, key.window) == (128, 0);
        if !plain || (key.query, key.kv) != (KernelDtype::Bf16, KernelDtype::Bf16) {
            continue;
        }
        for sequences in [1, 2, 4, 8, 16, 32, 64, 128, 256] {
            let mut before = 0.0;
            for context in 1..40_000 {
                let Some(us) = tables.decode.measured_us(key, sequences, context) else {
                    continue;
                };
                // A longer context that took less: steps read it raised to what came before.
                dips += u32::from(us < before);
                before = us;
                let operation = json!({
                    "what": "decode_attention", "sequences": sequences, "context": context,
                    "heads": key.heads, "kv_heads": key.kv_heads, "head_dim": 128,
                });
                rows.push(row(&operation, &json!("bf16"), us));
            }
        }
    }
    assert!(dips > 0, "no row could be raised");
    let folder = TempDir::new().unwrap();
    let a = file(folder.path(), "a.json", &rows);
    let page = diff_json(&a, "tables:h100_sxm/vllm");
    assert_eq!(page["operations"][0]["exact"], rows.len());
    // The farthest from 1 of them all is 1.
    assert_eq!(page["worst"], json!([]));
    let (_, text, _) = diff(&[&a, "tables:h100_sxm/vllm"]);
    assert!(text.contains("No pair differs by a thousandth."), "{text}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let folder = TempDir::new().unwrap();
    let a = file(folder.path(), "a.json", &[launch(2.0)]);
    let missing = folder.path().join("missing.json");
    for (words, parts) in [
        (["tables:h100/vllm", &a], ["`tables:h100/vllm`", "h100_sxm"]),
        (
            [&a, "tables:h100_sxm/tgi"],
            ["tables:h100_sxm/tgi", "sglang"],
        ),
        (
            ["tables:h100_sxm/vllm", "tables:h200_sxm/vllm"],
            ["both sides", "calibration file"],
        ),
        (
            [&a, missing.to_str().unwrap()],
            ["missing.json", "cannot be read"],
        ),
    ] {
        let (code, page, said) = diff(&words);
        assert_eq!((code, page.as_str()), (2, ""), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

/// A product with its rates.
fn rated(m: u64, dtype: &str, us: f64) -> Value {
    let operation = json!({"what": "gemm", "m": m, "n": 1024, "k": 4096});
    let mut row = row(&operation, &json!(dtype), us);
    row["tflop_per_s"] = json!(2.0 * 1024.0 * 4096.0 * m as f64 / us / 1e6);
    row["gb_per_s"] = json!(1000.0);
    row
}

#[test]
fn one_operation_is_shown_and_drawn() {
    let folder = TempDir::new().unwrap();
    let mut copy = row(
        &json!({"what": "memory", "way": "read", "bytes": 4096}),
        &Value::Null,
        1.0,
    );
    copy["gb_per_s"] = json!(4.096);
    let rows = [
        launch(2.0),
        copy,
        rated(1, "bf16", 4.0),
        rated(64, "bf16", 5.0),
        rated(64, "fp8_e4m3", 3.0),
    ];
    let file = file(folder.path(), "a.json", &rows);
    let (code, text, _) = calibrate(&["show", &file]);
    assert_eq!(code, 0);
    assert!(
        text.contains("launch graph") && text.contains("gemm m 64"),
        "{text}"
    );

    let svg = folder.path().join("gemm.svg");
    let svg = svg.to_str().unwrap();
    let words = [
        "show",
        &file,
        "--operation",
        "gemm",
        "--svg",
        svg,
        "--accelerator",
        "h100-sxm",
    ];
    let (code, text, said) = calibrate(&words);
    assert_eq!(code, 0, "{said}");
    assert!(
        !text.contains("launch graph") && text.contains("gemm.svg: written"),
        "{text}"
    );
    let drawn = std::fs::read_to_string(svg).unwrap();
    // Three points and two in the legend; the peaks of both number types.
    assert_eq!(drawn.matches("<circle").count(), 5);
    for part in [
        "<svg",
        "TFLOP/s",
        "gemm on A GPU",
        "fp8 peak of h100-sxm",
        "</svg>",
    ] {
        assert!(drawn.contains(part), "{part}");
    }
    let words = [
        "show",
        &file,
        "--operation",
        "memory",
        "--svg",
        svg,
        "--accelerator",
        "h100-sxm",
    ];
    assert_eq!(calibrate(&words).0, 0);
    let drawn = std::fs::read_to_string(svg).unwrap();
    assert!(drawn.contains("GB/s") && drawn.contains("memory of h100-sxm"));

    let (_, page, _) = calibrate(&["show", &file, "--operation", "gemm", "--json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["rows"].as_array().unwrap().len(), 3);

    // A profile has no kernels.
    let profile = folder.path().join("engine.toml");
    std::fs::write(&profile, "").unwrap();
    let profile = profile.to_str().unwrap();
    for words in [&["--svg", svg][..], &["--svg", svg, "--operation", "gemm"]] {
        let (code, _, said) = calibrate(&[&["show", profile], words].concat());
        assert_eq!(code, 2);
        assert!(
            said.contains("--svg: ") && said.contains("leave it out (`calibrate fit"),
            "{said}"
        );
    }
    let (code, _, said) = calibrate(&["show", profile]);
    assert_eq!(code, 2);
    assert!(said.contains("has no [[overheads]]"), "{said}");

    // Launches have no rate, and there are no norms.
    for (words, parts) in [
        (
            ["--operation", "launch", "--svg", svg, "--svg-rows", "0"],
            ["no row has a rate", "`--svg-rows 0`"],
        ),
        (
            ["--operation", "rms_norm", "--svg", svg, "--svg-rows", "9"],
            [
                "no row of it",
                "give one of those it has: gemm, launch, memory",
            ],
        ),
    ] {
        let (code, _, said) = calibrate(&[&["show", &file], &words[..]].concat());
        assert_eq!(code, 2);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

/// Other tools tell the least and the greatest, or the deviation alone, and each is marked as what it is.
#[test]
fn spreads_that_are_no_percentiles_are_shown_and_marked() {
    let folder = TempDir::new().unwrap();
    let with = |m: u64, spread: Value| {
        let mut row = gemm(m, 10.0);
        for field in ["p10_us", "p90_us"] {
            row.as_object_mut().unwrap().remove(field);
        }
        row["spread"] = spread;
        row
    };
    let rows = [
        with(
            1,
            json!({"min_us": 9.0, "max_us": 12.0, "mean_us": 10.0, "std_us": 0.5}),
        ),
        with(2, json!({"mean_us": 10.0, "std_us": 0.5})),
    ];
    let path = file(folder.path(), "a.json", &rows);
    let (code, text, said) = calibrate(&["show", &path]);
    assert_eq!(code, 0, "{said}");
    for part in ["30.0 %r", "10.0 %d", "from the least to the greatest (r)"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let plain = file(folder.path(), "b.json", &[gemm(1, 10.0)]);
    let (_, text, _) = calibrate(&["show", &plain]);
    assert!(!text.contains("(r)"), "{text}");
    // What no samples can have is refused.
    let wrong = [with(
        1,
        json!({"min_us": 11.0, "max_us": 12.0, "mean_us": 11.5, "std_us": 0.5}),
    )];
    let path = file(folder.path(), "c.json", &wrong);
    let (code, _, said) = calibrate(&["show", &path]);
    assert_eq!(code, 2);
    assert!(
        said.contains("rows[0] (gemm m 1 n 1024 k 4096) `median_us` is 10"),
        "{said}"
    );
}
