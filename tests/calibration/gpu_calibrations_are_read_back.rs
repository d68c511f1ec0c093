//! The calibration format: what is written is read back equal, and what does not fit is refused
//! with file, row and field.

#![allow(clippy::unwrap_used)] // helpers of tests

use assert_cmd::Command;
use seatrial::calibrate::gpu::operation::{NumberType, Operation};
use seatrial::calibrate::gpu::record::{
    Calibration, Checked, DeviceFacts, PlanFacts, Row, SCHEMA, Software, Unmeasured,
};
use serde_json::{Value, json};

fn row(m: u64) -> Row {
    Row {
        operation: Operation::Gemm {
            m,
            n: 1280,
            k: 8192,
        },
        dtype: Some(NumberType::Fp8E4m3),
        used_for: vec!["llama-3.1-70b tp 8 qkv".to_owned()],
        median_us: 8.25,
        p10_us: Some(8.0),
        p90_us: Some(9.125),
        spread: None,
        samples: 40,
        launches_per_sample: Some(97),
        buffers: Some(51),
        footprint_bytes: Some(545_000_000),
        graph: Some(true),
        kernel: None,
        tflop_per_s: Some(325.5),
        gb_per_s: Some(1300.0),
        drifted: false,
        checked: Some(Checked {
            values: 49,
            max_error: 0.002,
            tolerance: 0.08,
        }),
    }
}

fn calibration() -> Calibration {
    Calibration {
        schema: SCHEMA,
        tool: "seatrial 0.1.0".to_owned(),
        provenance: "a test".to_owned(),
        device: DeviceFacts {
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            compute_capability: "9.0".to_owned(),
            multiprocessors: 132,
            clock_mhz: 1980,
            memory_clock_mhz: 2619,
            memory_bus_bits: 5120,
            memory_bytes: 85_000_000_000,
            l2_bytes: 52_428_800,
            shared_bytes_per_block: 232_448,
            ecc: Some(true),
            driver_cuda: "13.0".to_owned(),
            driver: Some("580.65.06".to_owned()),
        },
        software: Software {
            cublaslt: "13.0.2".to_owned(),
            nvrtc: "13.0".to_owned(),
            nccl: None,
            ..Software::default()
        },
        plan: PlanFacts {
            effort: "quick".to_owned(),
            models: vec!["llama-3.1-70b".to_owned()],
            tp: vec![8],
            only: Vec::new(),
        },
        import: None,
        rows: vec![row(1), row(16)],
        failures: vec![Unmeasured {
            operation: Operation::Rotary {
                rows: 1,
                heads: 9,
                head_dim: 128,
            },
            dtype: Some(NumberType::Bf16),
            reason: "wrong results".to_owned(),
        }],
    }
}

#[test]
fn what_is_written_is_read_back() {
    let written = calibration();
    let text = written.to_text();
    assert_eq!(Calibration::parse("a.json", &text).unwrap(), written);
    assert!(text.ends_with("}\n"));
    // The names are a contract.
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(page["schema"], 2);
    let operation = &page["rows"][0]["operation"];
    assert_eq!(
        *operation,
        json!({"what": "gemm", "m": 1, "n": 1280, "k": 8192})
    );
    assert_eq!(page["rows"][0]["dtype"], "fp8_e4m3");
    assert_eq!(page["device"]["l2_bytes"], 52_428_800);
}

/// The document with a change, and what is said of it.
fn refused(change: impl Fn(&mut Value)) -> String {
    let mut page = serde_json::to_value(calibration()).unwrap();
    change(&mut page);
    let error = Calibration::parse("h100.json", &page.to_string()).unwrap_err();
    error.to_string()
}

#[test]
fn what_does_not_fit_is_refused_by_file_row_and_field() {
    let said = refused(|page| page["rows"][1]["median_us"] = json!(-1.0));
    let parts = [
        "h100.json: rows[1] (gemm m 16 n 1280 k 8192) ",
        "`median_us` is -1",
        "above 0",
    ];
    for part in parts {
        assert!(said.contains(part), "{said}");
    }
    for (field, value, part) in [
        ("p10_us", json!(9.0), "from `p10_us` to `p90_us`"),
        ("samples", json!(0), "`samples` is 0"),
        ("gb_per_s", json!(0.0), "`gb_per_s` is 0"),
        ("medain_us", json!(1.0), "unknown field `medain_us`"),
        ("dtype", json!("bf17"), "unknown variant `bf17`"),
    ] {
        let said = refused(|page| page["rows"][0][field] = value.clone());
        assert!(
            said.starts_with("h100.json: ") && said.contains(part),
            "{said}"
        );
    }
    let said = refused(|page| page["rows"][0]["operation"]["m"] = json!(0));
    assert!(said.contains("`m` is 0"), "{said}");
    let said = refused(|page| page["rows"][0]["checked"]["max_error"] = json!(0.5));
    assert!(said.contains("`checked.max_error` is 0.5"), "{said}");
    let said = refused(|page| page["rows"][0]["dtype"] = json!(null));
    assert!(said.contains("`dtype` is null"), "{said}");
    let said = refused(|page| {
        page["rows"][0]["operation"] = json!({"what": "launch", "way": "graph"});
    });
    assert!(
        said.contains("`dtype` is fp8_e4m3, but it must be null for launches"),
        "{said}"
    );
    let said = refused(|page| page["rows"][1] = page["rows"][0].clone());
    assert!(said.contains("there twice"), "{said}");
    let attention = json!({"what": "decode_attention", "sequences": 1, "context": 64, "heads": 32,
        "kv_heads": 7, "head_dim": 128});
    let said = refused(|page| page["rows"][1]["operation"] = attention.clone());
    assert!(
        said.contains("`kv_heads` is 7, but it must be a divisor of `heads`"),
        "{said}"
    );
    let alone = json!({"what": "all_reduce", "devices": 1, "values": 64});
    let said = refused(|page| page["rows"][1]["operation"] = alone.clone());
    assert!(
        said.contains("`devices` is 1, but it must be 2 or more"),
        "{said}"
    );
    let said = refused(|page| {
        page["import"] =
            json!({"source": "x", "files": [], "read": 5, "kept": 2, "skipped": {"y": 2}});
    });
    assert!(
        said.contains("`import.read` is 5, but it must be `import.kept` and all counts"),
        "{said}"
    );
    let said = refused(|page| page["schema"] = json!(3));
    assert!(
        said.contains("`schema` is 3") && said.contains("must be 1 or 2"),
        "{said}"
    );
    let said = Calibration::parse("x.json", "{").unwrap_err().to_string();
    assert!(said.contains("not a calibration"), "{said}");
}

#[test]
fn the_schema_has_every_field() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let output = command
        .args(["schema", "--of", "calibration"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let properties = schema["$defs"]["Row"]["properties"].as_object().unwrap();
    let page = serde_json::to_value(row(1)).unwrap();
    for field in page.as_object().unwrap().keys() {
        assert!(properties.contains_key(field), "{field}");
    }
    assert_eq!(properties["median_us"]["type"], "number");
}
