//! `seatrial calibrate import`: files of Vidur, LLMServingSim, Splitwise and vLLM's benchmarks, in
//! the units of each, with all that is left out counted; what is malformed is refused with line and
//! column, and nothing makes the program panic.
//!
//! `tests/data/import` has files in the form of these tools, with numbers made up here.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use seatrial::calibrate::gpu::operation::{NumberType, Operation, ServedLatency};
use seatrial::calibrate::gpu::record::{Calibration, Row};
use seatrial::calibrate::import::{Asked, ImportFormat, import};
use tempfile::TempDir;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/import")
        .join(name)
}

fn read(name: &str, asked: &Asked) -> Calibration {
    let calibration = import(&data(name), asked).unwrap();
    let facts = calibration.import.as_ref().unwrap();
    let left_out: u64 = facts.skipped.values().sum();
    assert_eq!(facts.read, facts.kept + left_out, "{name}");
    // What is written is what is read.
    let again = Calibration::parse("again.json", &calibration.to_text()).unwrap();
    assert_eq!(again, calibration, "{name}");
    calibration
}

fn row(calibration: &Calibration, operation: &Operation, dtype: Option<NumberType>) -> Row {
    let mut rows = calibration.rows.iter();
    let row = rows.find(|row| row.operation == *operation && row.dtype == dtype);
    row.unwrap_or_else(|| panic!("{operation:?} is not there"))
        .clone()
}

fn skipped(calibration: &Calibration) -> BTreeMap<String, u64> {
    calibration.import.as_ref().unwrap().skipped.clone()
}

const BF16: Option<NumberType> = Some(NumberType::Bf16);

fn gemm(m: u64, n: u64, k: u64) -> Operation {
    Operation::Gemm { m, n, k }
}

#[test]
fn profiles_of_vidur() {
    let calibration = read("vidur", &Asked::default());
    // Milliseconds: attn_pre_proj took 0.034. Queries, keys and values of 32 and 8 heads of 128.
    let qkv = row(&calibration, &gemm(8, 6144, 4096), BF16);
    assert_eq!(qkv.median_us, 34.0);
    let spread = qkv.spread.unwrap();
    let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 1e-12;
    assert!(
        near(spread.min_us.unwrap(), 33.32) && near(spread.std_us, 1.02),
        "{spread:?}"
    );
    // Two products of the feed-forward part in one, since it is gated; on two devices half of each.
    assert_eq!(
        row(&calibration, &gemm(8, 28672, 4096), BF16).median_us,
        147.0
    );
    let half = row(&calibration, &gemm(8, 14336, 4096), BF16).median_us;
    assert!(near(half, 80.85), "{half}");
    // What is in the cache, and the new token; heads are those of one of two devices.
    let decode = |sequences, context| Operation::DecodeAttention {
        sequences,
        context,
        heads: 32,
        kv_heads: 4,
        head_dim: 128,
        kv: None,
        window: 0,
    };
    let step = row(&calibration, &decode(16, 128), BF16);
    assert_eq!(step.median_us, 31.0);
    assert_eq!(
        step.kernel.as_deref(),
        Some("AttentionBackend.FLASH_ATTENTION")
    );
    // Bytes of 16-bit values.
    let reduce = Operation::AllReduce {
        devices: 2,
        values: 32_768,
    };
    assert_eq!(row(&calibration, &reduce, BF16).median_us, 24.0);
    let skipped = skipped(&calibration);
    assert_eq!(skipped["across nodes"], 1);
    assert_eq!(skipped["of prompt chunks after earlier context"], 1);
    assert_eq!(
        skipped["of norms without the residual, which are no operation here"],
        6
    );
    assert_eq!(calibration.import.unwrap().files.len(), 3);
}

#[test]
fn profiles_of_llmservingsim() {
    let calibration = read("servingsim", &Asked::default());
    assert_eq!(calibration.device.name, "NVIDIA GeForce RTX 4090");
    assert_eq!(calibration.device.driver_cuda, "12.8");
    assert_eq!(
        calibration.software.framework.as_deref(),
        Some("vllm 0.19.0")
    );
    assert_eq!(calibration.plan.models, ["llama-3.1-8b"]);
    // Microseconds; the shape is that of the card.
    assert_eq!(
        row(&calibration, &gemm(1, 6144, 4096), BF16).median_us,
        54.54
    );
    assert_eq!(
        row(&calibration, &gemm(8, 128_256, 4096), BF16).median_us,
        1105.0
    );
    // Both norms have one shape: the median of two.
    let norm = Operation::RmsNorm {
        rows: 1,
        width: 4096,
    };
    let norm = row(&calibration, &norm, BF16);
    assert_eq!((norm.median_us, norm.samples), ((3.03 + 3.232) / 2.0, 2));
    let prompt = Operation::PrefillAttention {
        sequences: 1,
        tokens: 128,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        kv: None,
        window: 0,
    };
    assert_eq!(row(&calibration, &prompt, BF16).median_us, 14.5);
    let skipped = skipped(&calibration);
    assert_eq!(
        skipped["of prompts and decoding sequences in one kernel"],
        1
    );
    assert_eq!(skipped["of sampler, which is no operation here"], 2);
    assert_eq!(skipped["of embedding, which is no operation here"], 3);
}

#[test]
fn splitwises_performance_model() {
    let asked = Asked {
        device: Some("h100-80gb".to_owned()),
        ..Asked::default()
    };
    let calibration = read("splitwise-perf_model.csv", &asked);
    let prompt = Operation::PromptStep {
        model: "llama2-70b".to_owned(),
        tp: 8,
        sequences: 1,
        tokens: 512,
    };
    // Milliseconds, the median of three.
    let prompt = row(&calibration, &prompt, None);
    assert_eq!((prompt.median_us, prompt.samples), (61_000.0, 3));
    let decode = Operation::DecodeStep {
        model: "llama2-70b".to_owned(),
        tp: 8,
        sequences: 8,
        prompt_tokens: 512,
        output_tokens: 128,
    };
    assert_eq!(row(&calibration, &decode, None).median_us, 25_250.0);
    assert_eq!(skipped(&calibration)["of other hardware"], 6);
    let said = import(&data("splitwise-perf_model.csv"), &Asked::default()).unwrap_err();
    let said = said.to_string();
    for part in ["--device", "a100-80gb, h100-80gb", "give one of these"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn results_of_vllm_bench() {
    let asked = Asked {
        model: Some("llama-3.1-8b".to_owned()),
        tp: Some(1),
        sequences: Some(8),
        prompt_tokens: Some(1024),
        output_tokens: Some(128),
        ..Asked::default()
    };
    let calibration = read("vllm-bench-latency.json", &asked);
    let batch = Operation::Batch {
        model: "llama-3.1-8b".to_owned(),
        tp: 1,
        sequences: 8,
        prompt_tokens: 1024,
        output_tokens: 128,
    };
    // Seconds. Ten iterations have percentiles, too.
    let batch = row(&calibration, &batch, None);
    assert_eq!((batch.median_us, batch.samples), (2_510_000.0, 10));
    assert_eq!(batch.p10_us, Some(2_490_000.0));
    let said = import(&data("vllm-bench-latency.json"), &Asked::default());
    assert!(said.unwrap_err().to_string().starts_with("--model: "));

    let served = |latency| Operation::Served {
        model: "meta-llama/Llama-3.1-8B-Instruct".to_owned(),
        tp: None,
        latency,
        load: "all at once, at most 2 under way".to_owned(),
        requests: 3,
        prompt_tokens: 100,
        output_tokens: 4,
    };
    let detailed = read("vllm-bench-serve-detailed.json", &Asked::default());
    let summed_up = read("vllm-bench-serve.json", &Asked::default());
    for latency in [ServedLatency::Ttft, ServedLatency::Tpot, ServedLatency::Itl] {
        let [one, other] = [&detailed, &summed_up].map(|it| row(it, &served(latency), None));
        // What the benchmark sums up in milliseconds is what its seconds give.
        assert!(
            (one.median_us / other.median_us - 1.0).abs() < 1e-9,
            "{latency:?}"
        );
        assert_eq!(other.samples, 3);
    }
    let gaps = row(&detailed, &served(ServedLatency::Itl), None);
    assert_eq!(gaps.samples, 9);
    let whole = row(&detailed, &served(ServedLatency::E2e), None);
    assert!(
        (whole.median_us - 100_000.0).abs() < 1e-6,
        "{}",
        whole.median_us
    );
}

/// The files of all formats, with what each needs to be told.
fn samples() -> Vec<(&'static str, ImportFormat, Asked)> {
    let bench = Asked {
        model: Some("a".to_owned()),
        tp: Some(1),
        sequences: Some(8),
        prompt_tokens: Some(1024),
        output_tokens: Some(128),
        ..Asked::default()
    };
    let device = Asked {
        device: Some("h100-80gb".to_owned()),
        ..Asked::default()
    };
    let none = Asked::default;
    vec![
        ("vidur/mlp.csv", ImportFormat::Vidur, none()),
        ("vidur/attention.csv", ImportFormat::Vidur, none()),
        ("vidur/all_reduce.csv", ImportFormat::Vidur, none()),
        ("splitwise-perf_model.csv", ImportFormat::Splitwise, device),
        ("vllm-bench-latency.json", ImportFormat::BenchLatency, bench),
        ("vllm-bench-serve.json", ImportFormat::BenchServe, none()),
        (
            "vllm-bench-serve-detailed.json",
            ImportFormat::BenchServe,
            none(),
        ),
    ]
}

#[test]
fn formats_are_told_apart_gzipped_or_not() {
    let folder = TempDir::new().unwrap();
    for (name, format, asked) in samples() {
        assert_eq!(ImportFormat::of(&data(name)).unwrap(), format, "{name}");
        let plain = import(&data(name), &asked).unwrap();
        let path = folder.path().join(name.replace('/', "-") + ".gz");
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer
            .write_all(&std::fs::read(data(name)).unwrap())
            .unwrap();
        std::fs::write(&path, packer.finish().unwrap()).unwrap();
        assert_eq!(import(&path, &asked).unwrap().rows, plain.rows, "{name}");
    }
    assert_eq!(
        ImportFormat::of(&data("servingsim")).unwrap(),
        ImportFormat::ServingSim
    );
    assert_eq!(
        ImportFormat::of(&data("vidur")).unwrap(),
        ImportFormat::Vidur
    );
    let said = ImportFormat::of(&data("servingsim/meta.yaml")).unwrap_err();
    assert!(
        said.to_string()
            .contains("is none of wheel, vidur, servingsim")
    );
}

/// What is said of a file with one text in place of another.
fn refused(name: &str, from: &str, to: &str, asked: &Asked) -> String {
    let folder = TempDir::new().unwrap();
    let text = std::fs::read_to_string(data(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    let path = folder.path().join(Path::new(name).file_name().unwrap());
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    import(&path, asked).unwrap_err().to_string()
}

#[test]
fn malformed_files_are_refused_by_line_and_column() {
    let none = Asked::default();
    let device = Asked {
        device: Some("h100-80gb".to_owned()),
        ..Asked::default()
    };
    let said = refused("vidur/all_reduce.csv", "0.024,0.024", "0.024,x", &none);
    assert!(
        said.contains("all_reduce.csv:3: column 5 (`time_stats.all_reduce.median`) is `x`"),
        "{said}"
    );
    let said = refused("vidur/mlp.csv", ",True,16,1", ",perhaps,16,1", &none);
    assert!(
        said.contains("mlp.csv:3: column 56 (`use_gated_mlp`) is `perhaps`"),
        "{said}"
    );
    let said = refused("vidur/mlp.csv", ",num_tokens,", ",tokens,", &none);
    assert!(
        said.contains("has no column `num_tokens`, which a profile of Vidur has"),
        "{said}"
    );
    let said = refused(
        "splitwise-perf_model.csv",
        "512,8,128",
        "512,0,128",
        &device,
    );
    assert!(
        said.contains("splitwise-perf_model.csv:7: column 4 (`batch_size`) is `0`"),
        "{said}"
    );
    let said = refused(
        "splitwise-perf_model.csv",
        "llama2-70b,a100",
        "llama2-70b,1,a100",
        &device,
    );
    assert!(
        said.contains(":2: has 12 cells where the first line has 11"),
        "{said}"
    );
    let said = refused("vllm-bench-serve-detailed.json", "0.045", "-1", &none);
    assert!(
        said.contains("`ttfts[1]` is -1, but it must be a number from 0 to 1e12"),
        "{said}"
    );
    let said = refused(
        "vllm-bench-serve.json",
        "\"completed\": 3",
        "\"completed\": 0",
        &none,
    );
    assert!(
        said.contains("`completed` is 0, but it must be 1 or more"),
        "{said}"
    );
    let said = refused("vidur/all_reduce.csv", ",rank,", ",size,", &none);
    assert!(
        said.contains("all_reduce.csv:1: column 9 has the name `size` of another"),
        "{said}"
    );
    for (from, to, said_of) in [
        (
            "\"inf\"",
            "-2",
            "`request_rate` is -2, but it must be a number above 0, or \"inf\"",
        ),
        ("\"inf\"", "\"fast\"", "`request_rate` is \"fast\""),
        (
            "\"max_concurrency\": 2",
            "\"max_concurrency\": 0",
            "`max_concurrency` is 0",
        ),
        (
            "\"completed\": 3",
            "\"completed\": 2.5",
            "`completed` is 2.5, but it must be a whole number",
        ),
        (
            "\"completed\": 3",
            "\"completed\": 5",
            "`ttfts` is a list of 3",
        ),
        (
            "\"total_input_tokens\": 300",
            "\"total_input_tokens\": 999",
            "what the lengths of the requests add up to",
        ),
        (
            "\"total_output_tokens\": 12",
            "\"total_output_tokens\": 8",
            "`total_output_tokens` is 8",
        ),
    ] {
        let said = refused("vllm-bench-serve-detailed.json", from, to, &none);
        assert!(said.contains(said_of), "{said}");
    }
    // Lines that end in two characters are counted as they are.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mlp.csv");
    let text = std::fs::read_to_string(data("vidur/mlp.csv")).unwrap();
    let text = text.replacen(",True,16,1", ",perhaps,16,1", 1);
    std::fs::write(&path, text.replace('\n', "\r\n")).unwrap();
    let said = import(&path, &none).unwrap_err().to_string();
    assert!(said.contains("mlp.csv:3: column 56"), "{said}");
    // All that there is was left out: nothing is made, and the reason is told.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("all_reduce.csv");
    let text = std::fs::read_to_string(data("vidur/all_reduce.csv")).unwrap();
    std::fs::write(
        &path,
        text.replace(",2,8\n", ",1,8\n").replace(",4,8\n", ",1,8\n"),
    )
    .unwrap();
    let said = import(&path, &none).unwrap_err().to_string();
    assert!(
        said.contains("4 measurements read, left out: 4 across nodes"),
        "{said}"
    );
}

/// The text of a sample with one text in place of another, imported.
fn changed(name: &str, from: &str, to: &str) -> Calibration {
    let folder = TempDir::new().unwrap();
    let text = std::fs::read_to_string(data(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    let path = folder.path().join(Path::new(name).file_name().unwrap());
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    import(&path, &Asked::default()).unwrap()
}

/// No shape is made up: what cannot be split as a line says is left out and counted, and so is what no
/// sample of one kernel can be.
#[test]
fn what_cannot_be_is_left_out_and_counted() {
    let name = "vidur/mlp.csv";
    let own = |calibration: &Calibration| {
        let kept = calibration.rows.iter().map(|row| row.operation.clone());
        kept.collect::<Vec<_>>()
    };
    let plain = import(&data(name), &Asked::default()).unwrap();
    let line = "32,8,4096,14336,128256,True,8,1";
    for (to, why) in [
        (
            "32,8,4096,14336,128256,True,8,7",
            "of heads that cannot be split evenly over the devices",
        ),
        (
            "33,8,4096,14336,128256,True,8,1",
            "of a hidden size that is no multiple of the heads",
        ),
        (
            "32,5,4096,14336,128256,True,8,2",
            "of key-value heads that query heads do not share evenly",
        ),
        (
            "32,64,4096,14336,128256,True,8,1",
            "of key-value heads that query heads do not share evenly",
        ),
        (
            "48,8,4608,14400,128256,True,8,12",
            "of key-value heads that can neither be split evenly over the devices nor be copied to them",
        ),
        (
            "32,8,4096,14337,128256,True,8,2",
            "of a feed-forward part that cannot be split evenly over the devices",
        ),
    ] {
        let calibration = changed(name, line, to);
        // Ten kernels of the line: as many as there are measurements of it.
        assert_eq!(skipped(&calibration)[why], 10, "{why}");
        let all = own(&plain);
        assert!(own(&calibration).iter().all(|it| all.contains(it)), "{why}");
    }
    // The least of 34 us was 33.32.
    let calibration = changed(
        name,
        "0.03332,0.0374,0.03434,0.034",
        "9,0.0001,0.03434,0.034",
    );
    let why = "whose median or mean is not between least and greatest time";
    assert_eq!(skipped(&calibration)[why], 1);

    let name = "vidur/all_reduce.csv";
    for (from, to, why) in [
        (
            "0,2,2048,",
            "0,1,2048,",
            "over one device, which has nothing to exchange",
        ),
        (
            "0,2,2048,",
            "0,2,2047,",
            "of an odd number of bytes, which is no number of 16-bit values",
        ),
    ] {
        assert_eq!(skipped(&changed(name, from, to))[why], 1, "{why}");
    }

    // Tokens that take no time are no kernel's.
    let calibration = changed(
        "vidur/mlp.csv",
        ",0.14406,0.1617,0.14847,0.147,0.00441,",
        ",1e-7,1e-7,1e-7,1e-7,0,",
    );
    let why = "faster than any device (its unit or its sizes are wrong)";
    assert_eq!(skipped(&calibration)[why], 1);

    // A batch that was over before its prompts were.
    let asked = Asked {
        device: Some("h100-80gb".to_owned()),
        ..Asked::default()
    };
    let text = std::fs::read_to_string(data("splitwise-perf_model.csv")).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("perf_model.csv");
    std::fs::write(&path, text.replacen(",2918.0,", ",29.18,", 1)).unwrap();
    let calibration = import(&path, &asked).unwrap();
    let why = "whose whole time is less than that of its prompts";
    assert_eq!(skipped(&calibration)[why], 3);
    std::fs::write(&path, text.replacen(",2918.0,", ",2918000.0,", 1)).unwrap();
    let calibration = import(&path, &asked).unwrap();
    let why = "whose whole time is many times that of its prompts and tokens";
    assert_eq!(skipped(&calibration)[why], 3);

    let served = "vllm-bench-serve.json";
    let text = std::fs::read_to_string(data(served)).unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("served.json");
    let mut page: serde_json::Value = serde_json::from_str(&text).unwrap();
    page["total_input_tokens"] = 0.into();
    std::fs::write(&path, page.to_string()).unwrap();
    let said = import(&path, &Asked::default()).unwrap_err().to_string();
    assert!(
        said.contains("left out") && said.contains("without a prompt (total_input_tokens is 0)"),
        "{said}"
    );
}

/// What is in the way of reading is told as what it is.
#[test]
fn what_cannot_be_read_is_told_as_what_it_is() {
    let folder = TempDir::new().unwrap();
    let said = |name: &str| {
        ImportFormat::of(&folder.path().join(name))
            .unwrap_err()
            .to_string()
    };
    std::fs::create_dir(folder.path().join("nothing")).unwrap();
    assert!(said("nothing").contains("is an empty folder"));
    std::fs::write(folder.path().join("empty.csv"), " \n").unwrap();
    assert!(said("empty.csv").contains("is empty"));
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer
        .write_all(&std::fs::read(data("vidur/mlp.csv")).unwrap())
        .unwrap();
    let packed = packer.finish().unwrap();
    let half = &packed[..packed.len() / 2];
    std::fs::write(folder.path().join("half.csv.gz"), half).unwrap();
    let told = said("half.csv.gz");
    assert!(
        told.contains("cut off or damaged") && told.contains("again"),
        "{told}"
    );
    // In a folder, too, where others of its kind might be.
    std::fs::create_dir(folder.path().join("vidur")).unwrap();
    std::fs::write(folder.path().join("vidur/mlp.csv.gz"), half).unwrap();
    assert!(said("vidur").contains("mlp.csv.gz: is gzipped, and cut off"));
    std::fs::write(folder.path().join("latin.csv"), b"caf\xe9,1\n").unwrap();
    assert!(said("latin.csv").contains("no text in UTF-8 (byte 4)"));
    std::fs::write(folder.path().join("broken.json"), "{\"avg_latency\": ").unwrap();
    assert!(said("broken.json").contains("begins as a JSON document"));
    assert!(said("nowhere.csv").contains("cannot be read"));
    std::fs::write(
        folder.path().join("names.csv"),
        "model,hardware,prompt_size,batch_size,token_size,tensor_parallel,prompt_time,token_time,e2e_time\n",
    )
    .unwrap();
    let told = import(&folder.path().join("names.csv"), &Asked::default());
    let told = told.unwrap_err().to_string();
    assert!(told.contains("no line below them"), "{told}");
}

/// Profiles of a version that nobody has looked at may have other columns and units.
#[test]
fn profiles_of_llmservingsim_are_of_a_known_version_and_model() {
    let folder = TempDir::new().unwrap();
    let into = folder.path().join("tp1");
    std::fs::create_dir(&into).unwrap();
    for name in ["attention.csv.gz", "dense.csv", "per_sequence.csv"] {
        let from = data("servingsim/tp1").join(name);
        std::fs::copy(from, into.join(name)).unwrap();
    }
    let meta = std::fs::read_to_string(data("servingsim/meta.yaml")).unwrap();
    let with = |text: &str| {
        std::fs::write(folder.path().join("meta.yaml"), text).unwrap();
        import(folder.path(), &Asked::default()).map_err(|error| error.to_string())
    };
    assert!(with(&meta).is_ok());
    let said = with(&meta.replace("profiler_version: 1.0.0", "profiler_version: 9.0.0"));
    let said = said.unwrap_err();
    assert!(
        said.contains("`profiler_version` is 9.0.0, but it must be 1.x"),
        "{said}"
    );
    let said = with(&meta.replace("model:", "model")).unwrap_err();
    assert!(
        said.contains("meta.yaml has no line `model: NAME`"),
        "{said}"
    );
    std::fs::remove_file(folder.path().join("meta.yaml")).unwrap();
    let said = import(folder.path(), &Asked::default());
    let said = said.unwrap_err().to_string();
    assert!(said.contains("there is no meta.yaml"), "{said}");
    // A card whose heads cannot be shared by so many.
    let asked = Asked {
        model: Some("llama-3.1-8b".to_owned()),
        tp: Some(7),
        ..Asked::default()
    };
    let said = import(folder.path(), &asked).unwrap_err().to_string();
    assert!(
        said.contains("--tp 7: llama-3.1-8b would be of heads that cannot be split evenly"),
        "{said}"
    );
}

#[test]
fn a_device_that_is_told_is_not_renamed_to_another() {
    let as_device = |name: &str| Asked {
        device: Some(name.to_owned()),
        ..Asked::default()
    };
    // Its card's own name is another name of the same.
    let calibration = read("servingsim", &as_device("rtx-4090"));
    assert_eq!(calibration.device.name, "rtx-4090");
    for other in ["h100-sxm", "NVIDIA H200", "mine"] {
        let said = import(&data("servingsim"), &as_device(other))
            .unwrap_err()
            .to_string();
        for part in [
            &format!("--device {other}: the files say that it was NVIDIA GeForce RTX 4090"),
            "leave it out, or give that card's name, rtx-4090",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
    // Of what does not tell, any name is taken.
    assert_eq!(read("vidur", &as_device("mine")).device.name, "mine");
}

#[test]
fn long_shapes_do_not_widen_the_table() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("served.json");
    let calibrate = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
        let output = command.arg("calibrate").args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let results = data("vllm-bench-serve.json");
    let (results, out) = (results.to_str().unwrap(), out.to_str().unwrap());
    calibrate(&["import", results, "--device", "h100-sxm", "--out", out]);
    let page = calibrate(&["show", out]);
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    let lines: Vec<&str> = page.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with("ttft of "))
        .unwrap();
    assert!(
        lines[at + 1].starts_with(' ') && lines[at + 1].contains("45,000"),
        "{page}"
    );
}

#[test]
fn the_command_tells_what_it_kept_and_left_out() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("vidur.json.gz");
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let command = command.args(["calibrate", "import"]).arg(data("vidur"));
    let output = command
        .arg("--out")
        .arg(&out)
        .args(["--device", "A100"])
        .output()
        .unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    for part in [
        "files: mlp.csv, attention.csv, all_reduce.csv",
        "device: A100",
        "41 measurements read, 27 kept in 27 rows, 14 left out:",
        "  1 across nodes",
        "  6 of norms without the residual, which are no operation here",
        "vidur.json.gz: written",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    assert!(page.lines().all(|line| line.len() <= 100), "{page}");
    // It is shown as any calibration is.
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    let output = command
        .args(["calibrate", "show"])
        .arg(&out)
        .output()
        .unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(
        page.contains("A100, sarathi or vllm") && page.contains("imported from"),
        "{page}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A file that was damaged is refused or read, and never makes the program panic.
    #[test]
    fn damaged_files_never_panic(
        which in 0_usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        numbers in prop::collection::vec(
            (any::<prop::sample::Index>(), "-?[0-9]{1,22}(\\.[0-9]{0,3})?(e[0-9]{1,3})?"),
            0..3,
        ),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (name, format, asked) = samples().swap_remove(which);
        let mut bytes = std::fs::read(data(name)).unwrap();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        // Numbers of any size where there were some.
        for (place, number) in numbers {
            let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
            let at = digits[place.index(digits.len())];
            bytes.splice(at..=at, number.into_bytes());
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let asked = Asked { format: Some(format), ..asked };
        let _ = import(&path, &asked);
        let _ = ImportFormat::of(&path);
    }

    /// Any text at all, taken for any format.
    #[test]
    fn any_text_never_panics(text in "\\PC{0,200}", which in 0_usize..6) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, text).unwrap();
        let format = Some(ImportFormat::ALL[which]);
        let _ = import(&path, &Asked { format, ..Asked::default() });
    }
}
