//! Numbers that no measurement has, 300 digits and more among them, in every file that calibrations are
//! read from: each is refused with its file, its place, what it is and what is allowed, in a few lines.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use assert_cmd::Command;
use proptest::prelude::*;
use seatrial::calibrate::gpu::record::Calibration;
use seatrial::perf::tables::KernelTables;
use tempfile::TempDir;

/// A number of so many digits.
fn digits(count: usize) -> String {
    "9".repeat(count)
}

/// A calibration with one row, in which a field's value is another text.
fn calibration(field: &str, value: &str) -> String {
    let text = r#"{
  "schema": 2, "tool": "seatrial 0.1.0", "provenance": "a test",
  "device": {
    "name": "A GPU", "compute_capability": "9.0", "multiprocessors": 132, "clock_mhz": 1980,
    "memory_clock_mhz": 2619, "memory_bus_bits": 5120, "memory_bytes": 85000000000,
    "l2_bytes": 52428800, "shared_bytes_per_block": 232448, "driver_cuda": "13.0"
  },
  "software": {},
  "plan": {"effort": "quick", "models": ["a"], "tp": [1]},
  "rows": [
    {"operation": {"what": "gemm", "m": 16, "n": 1024, "k": 4096}, "dtype": "bf16",
     "median_us": 5.5, "p90_us": 6.5, "samples": 10, "footprint_bytes": 200000000,
     "spread": {"mean_us": 5.5, "std_us": 0.5}, "tflop_per_s": 20.5}
  ]
}"#;
    let begin = text.find(&format!("\"{field}\": ")).unwrap() + field.len() + 4;
    let length = text[begin..].find([',', '}', '\n']).unwrap();
    format!("{}{value}{}", &text[..begin], &text[begin + length..])
}

fn said_of(field: &str, value: &str) -> String {
    let error = Calibration::parse("a.json", &calibration(field, value)).unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("a.json: "), "{said}");
    assert!(said.len() < 400, "{field} {value}: {said}");
    said
}

#[test]
fn calibrations_name_the_row_and_the_field() {
    Calibration::parse("a.json", &calibration("m", "16")).unwrap();
    let row = "rows[0] (gemm m 16 n 1024 k 4096) ";
    for (field, value, parts) in [
        ("median_us", digits(300), [row, "`median_us` is 1e300"]),
        (
            "p90_us",
            "1e13".to_owned(),
            [row, "`p90_us` is 10000000000000"],
        ),
        ("std_us", digits(300), [row, "`spread.std_us` is 1e300"]),
        ("tflop_per_s", digits(20), [row, "`tflop_per_s` is 1e20"]),
        (
            "tflop_per_s",
            "123456".to_owned(),
            ["`tflop_per_s` is 123456", "at most 100,000"],
        ),
        (
            "l2_bytes",
            "0".to_owned(),
            ["`device.l2_bytes` is 0", "1 or more"],
        ),
        // A product of 134 MFLOP in a tenth of a nanosecond.
        (
            "median_us",
            "0.0001".to_owned(),
            [row, "`median_us` is 0.0001, but it must be so long"],
        ),
        (
            "m",
            digits(300),
            ["`rows[0].operation.m` is 1e+300", "from 0 to 4,294,967,295"],
        ),
        (
            "m",
            "4294967296".to_owned(),
            ["`m` is 4294967296", "from 1 to 4,294,967,295"],
        ),
        (
            "k",
            "-4096".to_owned(),
            ["`rows[0].operation.k` is -4096", "a whole number"],
        ),
        (
            "n",
            "1024.5".to_owned(),
            ["`rows[0].operation.n` is 1024.5", "a whole number"],
        ),
        (
            "samples",
            "5000000000".to_owned(),
            ["`rows[0].samples` is 5000000000", "4,294,967,295"],
        ),
        (
            "footprint_bytes",
            digits(30),
            ["`rows[0].footprint_bytes` is 1e+30", "18,446,744,073,709"],
        ),
        (
            "multiprocessors",
            digits(300),
            ["`device.multiprocessors` is 1e+300", "4,294,967,295"],
        ),
        (
            "median_us",
            "\"x\"".to_owned(),
            ["`rows[0].median_us`", "invalid type: string \"x\""],
        ),
        (
            "multiprocessors",
            "0".to_owned(),
            ["`device.multiprocessors` is 0", "1 or more"],
        ),
        (
            "name",
            "\"\"".to_owned(),
            ["`device.name` is \"\"", "characters that can be shown"],
        ),
        (
            "name",
            "\"a \\u001b[31mGPU\"".to_owned(),
            ["`device.name` is \"a \\u{1b}[31mGPU\"", "can be shown"],
        ),
        ("schema", digits(300), ["not a calibration", "line 2"]),
        // More than a number of 64 bits can be: its line and column are what is known.
        (
            "median_us",
            digits(400),
            ["number out of range", "line 12 column"],
        ),
        ("m", digits(400), ["number out of range", "line 11 column"]),
    ] {
        let said = said_of(field, &value);
        for part in parts {
            // How a large number is written is the library's own business.
            let alike = |text: &str| text.replace("e+", "e");
            assert!(alike(&said).contains(&alike(part)), "{part}: {said}");
        }
    }
}

#[test]
fn rates_are_such_as_a_device_may_have() {
    let with = |rates: &str| {
        let text = calibration("tflop_per_s", &format!("20.5, {rates}"));
        Calibration::parse("a.json", &text)
    };
    with("\"gb_per_s\": 1000000").unwrap();
    let said = with("\"gb_per_s\": 1000001").unwrap_err().to_string();
    assert!(said.contains("`gb_per_s` is 1000001, but it must be above 0 and at most 1,000,000"));
    let most = calibration("tflop_per_s", "100000");
    Calibration::parse("a.json", &most).unwrap();
    // What an import does not tell is 0.
    let facts = r#"{"source": "a test", "files": [], "read": 1, "kept": 1, "skipped": {}}"#;
    let import = format!("\"import\": {facts},\n  \"software\"");
    let told = calibration("l2_bytes", "0").replace("\"software\"", &import);
    Calibration::parse("a.json", &told).unwrap();
}

#[test]
fn tables_name_the_line_and_the_cell() {
    let table = |time: &str| {
        format!("table,1\nmeta,a,b,c,d,e\naxis,gemm,1,2\ngemm,bf16,64,64,{time},2.5\n")
    };
    KernelTables::parse(&table("1.5")).unwrap();
    for (text, part) in [
        (table(&digits(300)), "line 4: cell 5: `9999"),
        (
            table("-1"),
            "line 4: cell 5: `-1` must be a number above 0, at most 1e12",
        ),
        (table("1e13"), "line 4: cell 5: `1e13`"),
        (table("1,2"), "line 4: 3 times for 2 places"),
        (
            format!("table,1\naxis,gemm,1,{}\n", digits(300)),
            "line 2: cell 4: `9999",
        ),
        (
            format!("table,1\naxis,gemm,1,2\ngemm,bf16,{},64,1\n", digits(300)),
            "line 3: cell 3: `9999",
        ),
    ] {
        let said = KernelTables::parse(&text).unwrap_err();
        assert!(said.contains(part) && said.len() < 200, "{part}: {said}");
    }
}

/// What a command says of a file that it refuses: the exit code is 2.
fn refused(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let output = command.arg("calibrate").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(
        !said.contains("panicked") && said.len() < 600,
        "{words:?}: {said}"
    );
    said
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn files_of_other_tools_name_the_line_and_the_column() {
    let folder = TempDir::new().unwrap();
    let head = "model,hardware,prompt_size,batch_size,token_size,tensor_parallel,prompt_time,token_time,e2e_time";
    for (name, line, part) in [
        (
            "time",
            format!("m,a100,512,1,128,8,{},20.5,9.5", digits(300)),
            "`prompt_time`",
        ),
        (
            "infinite",
            format!("m,a100,512,1,128,8,{},20.5,9.5", digits(400)),
            "`prompt_time`",
        ),
        (
            "size",
            format!("m,a100,{},1,128,8,100.5,20.5,9.5", digits(300)),
            "`prompt_size`",
        ),
        (
            "below",
            "m,a100,512,1,128,8,-1,20.5,9.5".to_owned(),
            "`prompt_time`",
        ),
    ] {
        let path = written(
            folder.path(),
            &format!("{name}.csv"),
            &format!("{head}\n{line}\n"),
        );
        let said = refused(&["import", &path, "--format", "splitwise"]);
        assert!(
            said.contains(".csv:2: column") && said.contains(part),
            "{said}"
        );
    }
}

#[test]
fn rows_that_are_fitted_name_the_line_and_the_field() {
    let folder = TempDir::new().unwrap();
    let row = |field: &str, value: &str| {
        let text = r#"{"engine":"vllm","model":"llama-3.1-8b","accelerator":"h100-sxm","tp":1,"prompt_tokens":128,"output_tokens":8,"concurrency":2,"ttft_ms":30.5,"tpot_ms":9.5}"#;
        let begin = text.find(&format!("\"{field}\":")).unwrap() + field.len() + 3;
        let length = text[begin..].find([',', '}']).unwrap();
        format!("{}{value}{}\n", &text[..begin], &text[begin + length..])
    };
    for (field, value) in [
        ("ttft_ms", digits(300)),
        ("tpot_ms", "-1".to_owned()),
        ("tpot_ms", digits(400)),
        ("concurrency", digits(300)),
        ("prompt_tokens", "4000001".to_owned()),
        ("tp", "0".to_owned()),
    ] {
        let path = written(folder.path(), "rows.jsonl", &row(field, &value));
        let said = refused(&["fit", &path]);
        assert!(said.contains("line 1"), "{field}: {said}");
    }
}

/// The least number there is has 324 digits after the point.
#[test]
fn numbers_that_are_very_small_are_told_in_few_letters() {
    let refused = Calibration::parse("a.json", &calibration("median_us", "5e-324"));
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("`median_us` is 5e-324, but"), "{said}");
    assert!(said.len() < 500, "{said}");
}

proptest! {
    /// Whatever number stands in a field: it is read or refused, and nothing else.
    #[test]
    fn any_number_is_read_or_refused(
        field in prop::sample::select(vec!["m", "median_us", "p90_us", "samples", "std_us", "l2_bytes"]),
        number in "-?[0-9]{1,330}(\\.[0-9]{1,9})?(e-?[0-9]{1,4})?",
    ) {
        let text = calibration(field, &number);
        match Calibration::parse("a.json", &text) {
            Ok(calibration) => prop_assert!(calibration.rows[0].median_us <= 1e12),
            Err(error) => {
                let said = error.to_string();
                prop_assert!(said.starts_with("a.json: ") && said.len() < 500, "{}", said);
            }
        }
    }
}
