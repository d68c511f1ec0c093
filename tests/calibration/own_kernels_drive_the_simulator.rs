//! A pool may name a file with its kernels: a capture, an import, or tables. Steps are then made of
//! them, the report says that they were measured, and what the file lacks stays with the roofline
//! and is named.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;
use std::sync::Arc;

use common::refusal;
use seatrial::calibrate::gpu::record::Calibration;
use seatrial::calibrate::tables;
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::perf::tables::{KernelBackend, KernelTables, TablesOrigin};
use seatrial::perf::{
    AcceleratorCard, Dtype, ModelCard, Overheads, Parallelism, PrefillChunk, StepModel,
};
use seatrial::scenario::{Document, SourceText};
use serde_json::Value;
use tempfile::TempDir;

const CAPTURE: &str = "calibration/measured/h100-sxm.json.gz";

fn scenario(pool: &str) -> String {
    format!(
        r#"
        name = "own-kernels"
        run = {{ horizon_s = 30 }}
        workload.arrivals = {{ process = "poisson", rate_per_s = 2 }}
        workload.prompt_tokens = {{ law = "constant", tokens = 700 }}
        workload.output_tokens = {{ law = "constant", tokens = 100 }}
        [[pools]]
        name = "llama"
        engine = "llm"
        model = "llama-3.1-8b"
        accelerator = "h100-sxm"
        {pool}
        "#
    )
}

/// The result of a run as JSON.
fn run(pool: &str) -> Value {
    let text = scenario(pool);
    let document = Document::parse(SourceText::new("own.toml", text.as_str())).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let outcome = run_scenario(&document, root, Control::default());
    serde_json::to_value(outcome.unwrap().result).unwrap()
}

fn tpot(result: &Value) -> f64 {
    result["latency"]["tpot_ms"]["p50"].as_f64().unwrap()
}

/// Where a figure of the pool comes from.
fn origin<'a>(result: &'a Value, name: &str) -> (&'a str, &'a str) {
    let figures = result["provenance"].as_array().unwrap();
    let wanted = format!("llama: {name}");
    let figure = figures.iter().find(|it| it["figure"] == wanted.as_str());
    let figure = figure.unwrap_or_else(|| panic!("no figure {wanted}"));
    (
        figure["value"].as_str().unwrap(),
        figure["origin"].as_str().unwrap(),
    )
}

#[test]
fn a_capture_drives_the_steps_and_is_named_as_measured() {
    let own = run(&format!("kernel_tables = {CAPTURE:?}"));
    let shipped = run("");
    let roofline = run("step_model = \"roofline\"");
    // The kernels of one card, measured twice: near each other, and not the same.
    let ratio = tpot(&own) / tpot(&shipped);
    assert!((0.8..1.2).contains(&ratio) && ratio != 1.0, "{ratio}");
    assert_ne!(tpot(&own), tpot(&roofline));
    let (value, from) = origin(&own, "kernels");
    assert!(
        value.contains("NVIDIA H100 80GB HBM3") && value.contains("h100-sxm.json.gz"),
        "{value}"
    );
    assert!(
        from.starts_with("measured: kernel_tables of the pool"),
        "{from}"
    );
    for part in [
        "gemm",
        "prefill_attention",
        "decode_attention",
        "norms",
        "activations",
        "rotations",
    ] {
        let (_, from) = origin(&own, &format!("kernels.{part}"));
        assert!(
            from.starts_with("measured: kernel_tables"),
            "{part}: {from}"
        );
    }
    let (value, _) = origin(&own, "kernels.small");
    assert!(value.starts_with("embedding: bytes at 0.8"), "{value}");
    // The same file and seed give the same run.
    assert_eq!(
        run(&format!("kernel_tables = {CAPTURE:?}"))["digest"],
        own["digest"]
    );
}

#[test]
fn what_a_file_lacks_stays_with_the_roofline_and_is_named() {
    // One device was captured, so that there is no all-reduce.
    let own = run(&format!("tp = 2\nkernel_tables = {CAPTURE:?}"));
    let (_, from) = origin(&own, "kernels.all_reduce");
    assert_eq!(
        from,
        "assumed: not in the pool's kernel_tables, by the roofline"
    );
    // Nor is there attention over a cache of 8 bits.
    let own = run(&format!("kv_dtype = \"fp8\"\nkernel_tables = {CAPTURE:?}"));
    let (value, from) = origin(&own, "kernels.decode_attention");
    assert_eq!(
        from,
        "assumed: not in the pool's kernel_tables, by the roofline"
    );
    assert!(
        value.contains("none for this attention with fp8 KV"),
        "{value}"
    );
    let (_, from) = origin(&own, "kernels.gemm");
    assert!(from.starts_with("measured"), "{from}");
}

#[test]
fn kernels_twice_as_slow_make_steps_twice_as_slow() {
    let folder = TempDir::new().unwrap();
    let mut slow = Calibration::load(Path::new(CAPTURE)).unwrap();
    for row in &mut slow.rows {
        let all = [
            Some(&mut row.median_us),
            row.p10_us.as_mut(),
            row.p90_us.as_mut(),
        ];
        all.into_iter().flatten().for_each(|us| *us *= 2.0);
    }
    let path = folder.path().join("slow.json");
    std::fs::write(&path, slow.to_text()).unwrap();
    let bare = "overhead_fixed_us = 0\noverhead_per_seq_us = 0\nkernel_tables = ";
    let once = run(&format!("{bare}{CAPTURE:?}"));
    let twice = run(&format!("{bare}{:?}", path.to_str().unwrap()));
    let ratio = tpot(&twice) / tpot(&once);
    // All but the embedding; batches are larger where steps are longer.
    assert!((1.9..2.6).contains(&ratio), "{ratio}");
}

#[test]
fn tables_from_a_file_give_the_steps_of_those_that_are_shipped() {
    let shipped = KernelTables::builtin("h100_sxm", KernelBackend::Vllm).unwrap();
    let mut loaded = tables::load(Path::new("calibration/kernels/h100_sxm-vllm.csv.gz")).unwrap();
    assert!(matches!(loaded.origin, TablesOrigin::Imported { .. }));
    loaded.origin = TablesOrigin::Shipped;
    // What was not measured is no number, so that the words are compared.
    assert!(format!("{loaded:?}") == format!("{shipped:?}"));
    let card = |name: &str| AcceleratorCard::load(name, Path::new("")).unwrap();
    let model = ModelCard::load("llama-3.1-70b", Path::new("")).unwrap();
    let bare = || {
        let spread = Parallelism::tensor(8);
        let (bf16, none) = (Dtype::Bf16, Overheads::default());
        StepModel::new(&model, &card("h100-sxm"), &spread, bf16, bf16, none).unwrap()
    };
    let one = bare().with_tables(Some(KernelBackend::Vllm)).unwrap();
    let other = bare().with_kernel_tables(Arc::new(loaded));
    let chunk = PrefillChunk {
        tokens: 900,
        context: 300,
    };
    for (chunks, decodes, context) in [(&[][..], 7, 9_000), (&[chunk][..], 31, 70_000)] {
        let [one, other] = [&one, &other].map(|step| step.step_ns(chunks, decodes, context));
        assert_eq!(one, other);
    }
}

#[test]
fn what_does_not_go_with_it_is_refused() {
    let with = |pool: &str| refusal(&scenario(&format!("{pool}\nkernel_tables = {CAPTURE:?}")));
    for (pool, part) in [
        (
            "step_model = \"roofline\"",
            "must be left out with step_model = \"roofline\"",
        ),
        (
            "kernel_backend = \"vllm\"",
            "must be left out with `kernel_backend`",
        ),
        ("profile = \"p\"", "must be left out with `profile`"),
    ] {
        let said = with(pool);
        assert!(
            said.contains("pools.llama.kernel_tables") && said.contains(part),
            "{said}"
        );
    }
    let said = refusal(&scenario("kernel_tables = \"nowhere.json\""));
    assert!(said.contains("nowhere.json: cannot be read"), "{said}");
    let said = refusal(&scenario("kernel_tables = \"Cargo.toml\""));
    assert!(said.contains("Cargo.toml: not a calibration"), "{said}");
}

/// The warnings of a run whose pool has an H100.
fn warnings(kernel_tables: &str) -> String {
    let text = scenario(&format!("kernel_tables = {kernel_tables:?}"));
    let document = Document::parse(SourceText::new("own.toml", text.as_str())).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default()).unwrap();
    let result = serde_json::to_value(outcome.result).unwrap();
    result["warnings"].to_string()
}

#[test]
fn kernels_of_another_device_are_warned_of() {
    let said = warnings("calibration/measured/h200-sxm.json.gz");
    assert!(
        said.contains("llama: kernel_tables were measured on h200-sxm"),
        "{said}"
    );
    let said = warnings("calibration/kernels/h200_sxm-vllm.csv.gz");
    assert!(
        said.contains("llama: kernel_tables were measured on h200-sxm"),
        "{said}"
    );
    // Of a device that is no card's nobody knows.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("own.json");
    let mut capture = Calibration::load(Path::new(CAPTURE)).unwrap();
    for (name, part) in [
        (
            "Some GPU",
            "measured on `Some GPU`, which is no accelerator that is known",
        ),
        ("h200-sxm", "kernel_tables were measured on h200-sxm"),
    ] {
        name.clone_into(&mut capture.device.name);
        std::fs::write(&path, capture.to_text()).unwrap();
        let said = warnings(path.to_str().unwrap());
        assert!(said.contains(part), "{said}");
    }
    for own in [CAPTURE, "calibration/kernels/h100_sxm-vllm.csv.gz"] {
        let said = warnings(own);
        assert!(!said.contains("kernel_tables"), "{said}");
    }
}
