//! The shipped kernel tables are what importing the wheel gives, byte for byte; of a small wheel
//! made here what is kept, in which unit, and what is counted as left out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // helpers of tests; what is skipped is said

use crate::wheels;

use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::Command as Binary;
use proptest::prelude::*;
use seatrial::calibrate::gpu::operation::{ExpertSpread, NumberType, Operation};
use seatrial::calibrate::gpu::record::Calibration;
use seatrial::calibrate::import::wheel::Wheel;
use seatrial::calibrate::tables::{self, Digits, packed, text};
use seatrial::perf::tables::{KernelBackend, KernelDtype, KernelTables};
use tempfile::TempDir;

use wheels::small_wheel;

/// The wheel, installed from PyPI; none where it cannot be.
fn wheel() -> Option<PathBuf> {
    fetched("kernel-wheel", &[])
}

/// A folder of that name with what a requirement names, installed from PyPI; none where it cannot be.
fn fetched(name: &str, requirement: &[&str]) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration/fetch-wheel.sh");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new("sh")
        .arg(script)
        .arg(&folder)
        .args(requirement)
        .output();
    let said = match output {
        Ok(output) if output.status.success() => return Some(folder),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let last = said.lines().last().unwrap_or("no reason given");
    eprintln!(
        "SKIPPED: nothing is held against the wheel of {name}, for it cannot be had ({last})"
    );
    None
}

fn shipped(system: &str, backend: KernelBackend) -> Vec<u8> {
    let name = format!("calibration/kernels/{system}-{backend}.csv.gz");
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn the_wheel_makes_every_shipped_file_byte_for_byte() {
    let Some(folder) = wheel() else {
        return;
    };
    let wheel = Wheel::open(&folder).unwrap();
    let mut files = 0;
    for (system, backend) in Wheel::shipped() {
        let calibration = wheel.calibration(system, backend).unwrap();
        let made = text(&calibration, Digits::Thousandths);
        assert!(
            packed(&made).unwrap() == shipped(system, backend),
            "{system}-{backend}.csv.gz differs"
        );
        let facts = calibration.import.as_ref().unwrap();
        let left_out: u64 = facts.skipped.values().sum();
        assert_eq!(facts.read, facts.kept + left_out, "{system} {backend}");
        files += 1;
    }
    let folder =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration/kernels"));
    let packed = folder
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".csv.gz"));
    assert_eq!(
        files,
        packed.count(),
        "a shipped file is not made by the importer"
    );
    eprintln!("{files} files made anew, all equal");
}

fn small() -> (TempDir, Calibration) {
    let folder = TempDir::new().unwrap();
    small_wheel(folder.path());
    let wheel = Wheel::open(folder.path()).unwrap();
    let calibration = wheel.calibration("h100_sxm", KernelBackend::Vllm).unwrap();
    (folder, calibration)
}

#[test]
fn milliseconds_become_microseconds_and_medians_of_the_fastest_kernel() {
    let (_folder, calibration) = small();
    let find = |operation: Operation, dtype| {
        let mut rows = calibration.rows.iter();
        let row = rows.find(|row| row.operation == operation && row.dtype == Some(dtype));
        let row = row.unwrap_or_else(|| panic!("{operation:?} is not there"));
        (row.median_us, row.samples)
    };
    let gemm = |m, n, k| Operation::Gemm { m, n, k };
    let bf16 = NumberType::Bf16;
    assert_eq!(find(gemm(1, 256, 128), bf16), (4.0, 3));
    assert_eq!(find(gemm(16, 512, 256), NumberType::Fp8E4m3).0, 12.3456);
    // Messages are counted in values, and stay what they are.
    let reduce = Operation::AllReduce {
        devices: 2,
        values: 1024,
    };
    assert_eq!(find(reduce, bf16).0, 6.0);
    let gather = Operation::AllGather {
        devices: 4,
        values: 2048,
    };
    assert_eq!(find(gather, bf16).0, 12.5);
    // The context of a decode step is what was there and the new token.
    let decode = |kv| Operation::DecodeAttention {
        sequences: 4,
        context: 128,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        kv,
        window: 0,
    };
    assert_eq!(find(decode(None), bf16).0, 10.0);
    assert_eq!(find(decode(Some(NumberType::Fp8E4m3)), bf16).0, 20.0);
    let experts = Operation::Experts {
        tokens: 8,
        hidden: 2880,
        width: 2880,
        per_token: 4,
        experts: 128,
        tp: 1,
        ep: 4,
        spread: ExpertSpread::PowerLaw,
    };
    assert_eq!(find(experts, NumberType::Mxfp4).0, 100.0);
    assert_eq!(calibration.device.name, "NVIDIA H100 80GB HBM3");
    assert_eq!(
        calibration.software.framework.as_deref(),
        Some("vllm 0.24.0")
    );
}

#[test]
fn the_successor_is_read_by_its_own_name() {
    let (folder, wanted) = small();
    // aisimulate 0.13 has the same tables in a package of another name, beside one without tables.
    let site = folder.path();
    let rename = |from: &str, to: &str| std::fs::rename(site.join(from), site.join(to)).unwrap();
    rename("aiconfigurator_core", "aisimulate_core");
    rename(
        "aiconfigurator_core-0.12.0.dist-info",
        "aisimulate-0.13.0.dist-info",
    );
    std::fs::create_dir(site.join("aisimulate")).unwrap();
    for path in [site.to_owned(), site.join("aisimulate_core/systems/data")] {
        let wheel = Wheel::open(&path).unwrap();
        let found = wheel.calibration("h100_sxm", KernelBackend::Vllm).unwrap();
        assert_eq!(found.import.unwrap().source, "aisimulate 0.13.0, h100_sxm");
        assert_eq!(found.rows, wanted.rows);
    }
}

#[test]
fn the_successors_wheel_makes_the_files_whose_tables_it_has_not_changed() {
    let version = "0.13.0.dev202610270000000085";
    let requirement = format!("aisimulate=={version}");
    let Some(folder) = fetched("successor-wheel", &[&requirement]) else {
        return;
    };
    let wheel = Wheel::open(&folder).unwrap();
    for backend in KernelBackend::ALL {
        let found = wheel.calibration("h100_sxm", backend).unwrap();
        let facts = found.import.as_ref().unwrap();
        assert_eq!(facts.source, format!("aisimulate {version}, h100_sxm"));
        assert_eq!(facts.read, facts.kept + facts.skipped.values().sum::<u64>());
        let made = packed(&text(&found, Digits::Thousandths)).unwrap();
        // It lacks vLLM's products in blocks, which 0.12 has.
        let same = made == shipped("h100_sxm", backend);
        assert_eq!(same, backend != KernelBackend::Vllm, "{backend}");
    }
}

#[test]
fn what_is_left_out_is_counted_with_its_reason() {
    let (_folder, calibration) = small();
    let facts = calibration.import.unwrap();
    let of = |why: &str| facts.skipped.get(why).copied().unwrap_or(0);
    assert_eq!(facts.source, "aiconfigurator-core 0.12.0, h100_sxm");
    assert_eq!(of("of a slower kernel of the same shape"), 1);
    assert_eq!(of("at other numbers of rows"), 1);
    assert_eq!(of("of other number types"), 2);
    assert_eq!(of("launched outside of a captured graph"), 1);
    assert_eq!(of("of other numbers of devices"), 1);
    assert_eq!(of("of other ways in which tokens fall on experts"), 1);
    // NCCL's table is read for either operation.
    assert_eq!(of("of other collective operations"), 3);
    // A product of 64 columns, and attention of 33 heads or without KV heads (those are the heads').
    assert_eq!(of("of shapes that no model card has"), 3);
    assert_eq!(of("of more than 1,024 sequences"), 2);
    let left_out: u64 = facts.skipped.values().sum();
    assert_eq!(facts.read, facts.kept + left_out);
    assert_eq!(facts.read, 8 + 4 + 4 + 3 + 3 + 3 + 3);
}

#[test]
fn the_tables_of_a_calibration_are_its_rows() {
    let (_folder, calibration) = small();
    let again = Calibration::parse("a.json", &calibration.to_text()).unwrap();
    assert_eq!(again, calibration);
    let tables = tables::of(&again).unwrap();
    assert_eq!(
        tables.gemm.measured_us(KernelDtype::Bf16, 1, 256, 128),
        Some(4.0)
    );
    assert_eq!(tables.allreduce.measured_us(2, 1024), Some(6.0));
    let told = [&tables.system, &tables.backend, &tables.version];
    assert_eq!(told, ["h100_sxm", "vllm", "0.24.0"]);
    assert!(tables.joins_attention(KernelDtype::Bf16));
    // The text rounds to thousandths of a microsecond.
    let page = text(&calibration, Digits::Thousandths);
    assert!(page.contains("\ngemm,fp8,512,256,,12.346\n"), "{page}");
    let parsed = KernelTables::parse(&page).unwrap();
    assert_eq!(
        parsed.gemm.measured_us(KernelDtype::Fp8, 16, 512, 256),
        Some(12.346)
    );
}

fn seatrial(words: &[&str]) -> (i32, String, String) {
    let mut command = Binary::new(env!("CARGO_BIN_EXE_seatrial"));
    let output = command
        .args(["calibrate", "import"])
        .args(words)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The first file of that name at or below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => path.ends_with(name).then_some(path),
    })
}

#[test]
fn the_command_writes_tables_and_calibrations() {
    let (folder, calibration) = small();
    let path = folder.path().to_str().unwrap();
    let out = folder.path().join("out");
    let into = out.to_str().unwrap();
    let only = ["--system", "h100_sxm", "--framework", "vllm"];
    let (code, page, said) = seatrial(&[&[path, "--tables", into], &only[..]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(
        page.contains("1 of a slower kernel of the same shape"),
        "{page}"
    );
    let written = std::fs::read(out.join("h100_sxm-vllm.csv.gz")).unwrap();
    assert_eq!(
        written,
        packed(&text(&calibration, Digits::Thousandths)).unwrap()
    );

    // A wheel without a table that every iteration needs makes none of the files.
    let (other, _) = small();
    let gone = find(other.path(), "gemm_perf.parquet").unwrap();
    std::fs::remove_file(gone).unwrap();
    let (from, into) = (other.path().to_str().unwrap(), other.path().join("out"));
    let words = [from, "--tables", into.to_str().unwrap()];
    let (code, page, said) = seatrial(&[&words[..], &only[..]].concat());
    assert_eq!((code, page.as_str()), (2, ""));
    assert!(said.contains("has no gemm of h100_sxm with vllm"), "{said}");
    assert!(!into.join("h100_sxm-vllm.csv.gz").exists());
    let words = [from, "--out", into.to_str().unwrap()];
    std::fs::remove_dir(&into).unwrap();
    let (code, page, said) = seatrial(&[&words[..], &only[..]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(
        page.contains("beware: the wheel has no rows of gemm"),
        "{page}"
    );

    let file = folder.path().join("h100.json.gz");
    let file = file.to_str().unwrap();
    let (code, page, said) = seatrial(&[&[path, "--out", file], &only[..]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(
        page.contains("28 measurements read, 13 kept in 11 rows, 15 left out:"),
        "{page}"
    );
    assert_eq!(Calibration::load(Path::new(file)).unwrap(), calibration);

    for (words, parts) in [
        (
            vec![path],
            ["--system: a calibration is of one", "h100_sxm"],
        ),
        (
            vec![path, "--system", "h10_sxm", "--framework", "vllm"],
            ["--system h10_sxm", "did you mean `h100_sxm`?"],
        ),
        (
            vec![
                path,
                "--system",
                "h100_sxm",
                "--framework",
                "vllm",
                "--tp",
                "2",
            ],
            ["--tp 2: does nothing with the format wheel", "take it away"],
        ),
        (vec!["/nowhere"], ["/nowhere", "cannot be read"]),
    ] {
        let (code, _, said) = seatrial(&words);
        assert_eq!(code, 2, "{said}");
        for part in parts {
            assert!(said.contains(part), "{said}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// A table that was damaged is refused or read, and never makes the program panic.
    #[test]
    fn damaged_tables_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let folder = TempDir::new().unwrap();
        small_wheel(folder.path());
        let data = "aiconfigurator_core/systems/data/h100_sxm/gemm/vllm/0.24.0/gemm_perf.parquet";
        let path = folder.path().join(data);
        let mut bytes = std::fs::read(&path).unwrap();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        std::fs::write(&path, bytes).unwrap();
        let wheel = Wheel::open(folder.path()).unwrap();
        let _ = wheel.calibration("h100_sxm", KernelBackend::Vllm);
    }
}
