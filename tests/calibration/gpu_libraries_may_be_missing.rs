//! What is missing on the way to a GPU is said in one sentence: no driver, no device, an old
//! driver, no NVRTC, no cuBLASLt. Libraries that stand in for NVIDIA's are built from `tests/stubs`.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests; what is skipped is said

use crate::stubs;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Builds a library from a source of `tests/stubs`; false without a compiler.
fn build(folder: &Path, library: &str, source: &str, defines: &[&str]) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/stubs")
        .join(source);
    let mut command = Command::new("cc");
    command
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(folder.join(library))
        .args(defines)
        .arg(source);
    stubs::is_built(&mut command, "stub libraries")
}

/// All three libraries, the driver with defines.
fn stubs(driver: &[&str]) -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    let all = [
        ("libcuda.so", "cuda.c", driver),
        ("libnvrtc.so", "nvrtc.c", &[]),
        ("libcublasLt.so", "cublaslt.c", &[]),
    ];
    let built = all
        .iter()
        .all(|(library, source, defines)| build(folder.path(), library, source, defines));
    built.then_some(folder)
}

fn calibrate(libraries: &Path, words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(["calibrate", "gpu"])
        .args(words)
        .env("LD_LIBRARY_PATH", libraries)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// A failure is one line on standard error, exit code 2, and nothing of a panic.
fn refused(libraries: &Path, wanted: &[&str]) {
    let (code, page, said) = calibrate(libraries, &[]);
    assert_eq!(code, 2, "{said}");
    assert_eq!(page, "");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(
        said.starts_with("error: ") && !said.contains("panic"),
        "{said}"
    );
    for part in wanted {
        assert!(said.contains(part), "{said}");
    }
}

/// Whether this machine has the library itself, so that its lack cannot be tried.
fn machine_has(library: &str) -> bool {
    let listed = Command::new("ldconfig").arg("-p").output();
    let has = listed.is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).contains(library));
    if has {
        eprintln!("SKIPPED: this machine has {library}, so its lack cannot be tried");
    }
    has
}

#[test]
fn without_a_driver() {
    if machine_has("libcuda.so") {
        return;
    }
    let empty = TempDir::new().unwrap();
    refused(
        empty.path(),
        &["no NVIDIA driver", "libcuda.so.1", "--dry-run"],
    );
}

#[test]
fn with_a_driver_and_no_device() {
    for (defines, wanted) in [
        (["-DINIT=100"], "CUDA_ERROR_NO_DEVICE"),
        (["-DDEVICES=0"], "it counts none"),
    ] {
        let Some(folder) = stubs(&defines) else {
            return;
        };
        refused(
            folder.path(),
            &["finds no CUDA device", wanted, "nvidia-smi"],
        );
    }
}

/// Other answers of a driver that starts are of no device that is not there.
#[test]
fn with_a_driver_that_does_not_start() {
    for defines in ["-DINIT=3", "-DINIT=802", "-DINIT=999"] {
        let Some(folder) = stubs(&[defines]) else {
            return;
        };
        refused(
            folder.path(),
            &["does not start", "nvidia-smi", "same version"],
        );
        let (_, _, said) = calibrate(folder.path(), &[]);
        assert!(!said.contains("finds no CUDA device"), "{said}");
    }
}

/// The CUDA toolkit has a library of the driver's name that answers every call with error 34.
#[test]
fn with_the_toolkits_stub_before_the_driver() {
    let Some(folder) = stubs(&["-DSTUB=34"]) else {
        return;
    };
    refused(
        folder.path(),
        &["stub", "take", "`stubs` out of LD_LIBRARY_PATH"],
    );
}

#[test]
fn with_an_old_driver() {
    let Some(folder) = stubs(&["-DOLD"]) else {
        return;
    };
    refused(folder.path(), &["too old", "`cuLaunchKernel`", "12.8"]);
    let Some(folder) = stubs(&["-DVERSION=12020"]) else {
        return;
    };
    refused(folder.path(), &["too old", "it is for CUDA 12.2", "12.8"]);
}

#[test]
fn without_a_compiler_or_products() {
    for (library, wheel) in [
        ("libnvrtc.so", "nvidia-cuda-nvrtc"),
        ("libcublasLt.so", "nvidia-cublas"),
    ] {
        let Some(folder) = stubs(&[]) else {
            return;
        };
        if machine_has(library) {
            continue;
        }
        std::fs::remove_file(folder.path().join(library)).unwrap();
        refused(
            folder.path(),
            &[library, "cannot be loaded", wheel, "LD_LIBRARY_PATH"],
        );
        // A library of that name that lacks what is called.
        assert!(build(folder.path(), library, "empty.c", &[]));
        refused(folder.path(), &[library, "too old", "it has no function `"]);
    }
}

#[test]
fn with_a_device_that_is_not_there() {
    let Some(folder) = stubs(&["-DDEVICES=2"]) else {
        return;
    };
    let (code, _, said) = calibrate(folder.path(), &["--device", "2"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("--device is 2") && said.contains("below 2"),
        "{said}"
    );
}

const SMALL: [&str; 6] = [
    "--model",
    "llama-3.1-8b",
    "--tp",
    "8",
    "--only",
    "launch,rms_norm",
];

/// Kernels that do nothing are found out: none of them is measured, and the reason is given.
#[test]
fn wrong_results_are_never_measured() {
    let Some(folder) = stubs(&[]) else {
        return;
    };
    let (code, page, said) = calibrate(folder.path(), &SMALL);
    assert_eq!(code, 2, "{said}");
    assert!(
        page.contains("error: 3 of 6 operations gave wrong results and were left out"),
        "{page}"
    );
    let (code, page, said) = calibrate(folder.path(), &[&SMALL[..], &["--json"]].concat());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("gave wrong results"), "{said}");
    let page: Value = serde_json::from_str(&page).unwrap();
    let rows = page["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["operation"]["what"] == "launch"));
    let failures = page["failures"].as_array().unwrap();
    assert!(failures.iter().all(|row| {
        let reason = row["reason"].as_str().unwrap();
        row["operation"]["what"] == "rms_norm" && reason.contains("wrong results")
    }));
    assert_eq!(failures.len(), 3);
}

/// The rows and failures of a capture of these operations over two devices.
fn measured(driver: &[&str], nccl: &[&str], only: &str) -> Option<[Vec<Value>; 2]> {
    let folder = stubs(&[&["-DDEVICES=2"], driver].concat())?;
    assert!(build(folder.path(), "libnccl.so", "nccl.c", nccl));
    let out = folder.path().join("gpu.json");
    let words = ["--only", only, "--out", out.to_str().unwrap()];
    let (code, page, said) = calibrate(folder.path(), &[&SMALL[..4], &words].concat());
    let written: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    let found = ["rows", "failures"].map(|name| written[name].as_array().cloned());
    let [rows, failures] = found.map(Option::unwrap_or_default);
    // Where nothing was measured that is said, and no page shows an empty table.
    if rows.is_empty() {
        assert_eq!((code, page.as_str()), (2, ""));
        let count = format!(
            "nothing was measured: all {} operations failed",
            failures.len()
        );
        assert!(
            said.contains(&count) && said.contains("wrong results"),
            "{said}"
        );
    } else {
        assert_eq!(code, 0, "{said}");
    }
    Some([rows, failures])
}

/// Copies are checked against what was sent: those that do not arrive are not measured.
#[test]
fn copies_are_checked() {
    let only = "host_to_device,device_to_host,peer_copy";
    let Some([rows, failures]) = measured(&[], &[], only) else {
        return;
    };
    assert_eq!((rows.len(), failures.len()), (12, 0), "{failures:?}");
    for row in rows {
        assert_eq!(row["dtype"], Value::Null);
        assert_eq!(row["checked"]["max_error"], 0.0);
        assert!(row["checked"]["values"].as_u64().unwrap() >= 2048);
    }
    let [rows, failures] = measured(&["-DLOSE"], &[], only).unwrap();
    assert_eq!((rows.len(), failures.len()), (0, 12));
    for failure in failures {
        let reason = failure["reason"].as_str().unwrap();
        assert!(reason.contains("wrong results"), "{failure}");
    }
}

/// Sums over devices are of random numbers, of each device others, and are checked.
#[test]
fn sums_over_devices_are_checked() {
    let Some([rows, failures]) = measured(&[], &[], "all_reduce") else {
        return;
    };
    assert_eq!((rows.len(), failures.len()), (6, 0), "{failures:?}");
    for row in rows {
        assert_eq!(row["operation"]["devices"], 2);
        assert!(row["checked"]["max_error"].as_f64().unwrap() < 0.01);
    }
    // One that leaves a device out is wrong.
    let [rows, failures] = measured(&[], &["-DSKIPPED=1"], "all_reduce").unwrap();
    assert_eq!((rows.len(), failures.len()), (0, 6));
}

/// A device that gives up ends the capture; `--resume` goes on after the row that it gave up at,
/// and neither another plan nor another driver may go on with the journal.
#[test]
fn an_interrupted_capture_is_gone_on_with() {
    let Some(folder) = stubs(&["-DCRASH"]) else {
        return;
    };
    let out = folder.path().join("gpu.json");
    let journal = folder.path().join("gpu.json.journal");
    let out = out.to_str().unwrap();
    let words = [&SMALL[..], &["--out", out]].concat();
    let (code, _, said) = calibrate(folder.path(), &words);
    assert_eq!(code, 2);
    assert!(
        said.contains("answers no more") && said.contains("--resume"),
        "{said}"
    );
    let begun = std::fs::read_to_string(&journal).unwrap();
    assert!(begun.lines().count() >= 2, "{begun}");
    // A line that is there twice would be a row that is there twice.
    let twice = format!("{begun}{}\n", begun.lines().nth(1).unwrap());
    std::fs::write(&journal, twice).unwrap();
    let (code, _, said) = calibrate(folder.path(), &[&words[..], &["--resume"]].concat());
    assert_eq!(code, 2);
    assert!(
        said.contains("is damaged") && said.contains("is in line 2 already"),
        "{said}"
    );
    std::fs::write(&journal, &begun).unwrap();

    let (code, _, said) = calibrate(folder.path(), &words);
    assert_eq!(code, 2);
    assert!(
        said.contains("was interrupted") && said.contains("--resume"),
        "{said}"
    );

    let resumed = [&words[..], &["--resume"]].concat();
    let (code, _, said) = calibrate(folder.path(), &[&resumed[..], &["--full"]].concat());
    assert_eq!(code, 2);
    assert!(said.contains("another plan"), "{said}");

    assert!(build(
        folder.path(),
        "libcuda.so",
        "cuda.c",
        &["-DVERSION=13010"]
    ));
    let (code, _, said) = calibrate(folder.path(), &resumed);
    assert_eq!(code, 2);
    assert!(said.contains("another device or driver"), "{said}");

    assert!(build(folder.path(), "libcuda.so", "cuda.c", &[]));
    let (code, page, said) = calibrate(folder.path(), &resumed);
    assert_eq!(code, 0, "{said}");
    assert!(page.contains("launch stream"), "{page}");
    assert!(!journal.exists());
    let written: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    // What was in the journal is there as it was.
    let first: Value = serde_json::from_str(begun.lines().nth(1).unwrap()).unwrap();
    let rows = written["rows"].as_array().unwrap();
    assert!(rows.iter().any(|row| *row == first["row"]), "{begun}");

    // What is finished is not measured anew by a word that says to go on.
    let before = std::fs::read_to_string(out).unwrap();
    let (code, _, said) = calibrate(folder.path(), &resumed);
    assert_eq!(code, 2);
    assert!(
        said.contains("is a finished calibration") && said.contains("leave `--resume` out"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(out).unwrap(), before);
    // And where there is neither, that all is measured is said.
    let other = folder.path().join("other.json");
    let launches = ["--only", "launch"];
    let words = ["--resume", "--out", other.to_str().unwrap()];
    let words = [&SMALL[..SMALL.len() - 2], &launches, &words].concat();
    let (code, page, said) = calibrate(folder.path(), &words);
    assert_eq!(code, 0, "{said}");
    assert!(
        page.contains("there was no journal to go on with"),
        "{page}"
    );
    let (_, page, _) = calibrate(folder.path(), &SMALL);
    assert!(!page.contains("no journal"), "{page}");
}

#[test]
fn what_leaves_nothing_to_measure_is_said() {
    let empty = TempDir::new().unwrap();
    for (words, part) in [
        (
            ["--tp", "3"],
            "its 64 heads cannot be split evenly; give another `--tp`",
        ),
        (["--only", "experts"], "experts is what imports alone have"),
        (
            ["--only", "all_reduce,peer_copy"],
            "takes two GPUs at least; measure on a machine that has them",
        ),
    ] {
        let only = match words[0] {
            "--tp" => &["--dry-run", "--only", "gemm"][..],
            _ => &["--dry-run"],
        };
        let (code, page, said) = calibrate(empty.path(), &[only, &words].concat());
        assert_eq!((code, page.as_str()), (2, ""));
        assert!(said.contains(part), "{said}");
    }
}

/// What could not be written once all is measured is told before.
#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_measured() {
    let nowhere = TempDir::new().unwrap();
    let here = nowhere.path().to_str().unwrap();
    for out in [here, ".."] {
        let (code, page, said) = calibrate(nowhere.path(), &["--out", out]);
        assert_eq!((code, page.as_str()), (2, ""));
        assert!(said.contains("is a folder; name a file"), "{said}");
    }
}

#[test]
fn a_card_that_is_not_known_is_told_before_anything_is_measured() {
    let nowhere = TempDir::new().unwrap();
    let (code, page, said) = calibrate(nowhere.path(), &["--accelerator", "h1000"]);
    assert_eq!((code, page.as_str()), (2, ""));
    assert!(
        said.contains("no accelerator card is named `h1000`"),
        "{said}"
    );
}

#[test]
fn a_dry_run_needs_no_device() {
    let empty = TempDir::new().unwrap();
    let (code, page, said) = calibrate(empty.path(), &["--dry-run"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        page.contains("estimates for h100-sxm by its card"),
        "{page}"
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    assert!(page.contains("assumed: a link of 25 GB/s"), "{page}");
    let copies = page
        .lines()
        .filter(|line| line.starts_with("host_to_device"));
    let copies: Vec<&str> = copies.collect();
    assert!(
        !copies.is_empty() && copies.iter().all(|line| line.contains("assumed")),
        "{page}"
    );
    assert!(page.contains(" <1 "), "{page}");
    // What several GPUs do with each other is listed for as many as are named.
    assert!(
        !page.contains("all_reduce") && !page.contains("peer_copy"),
        "{page}"
    );
    let (code, page, said) = calibrate(empty.path(), &["--dry-run", "--devices", "8"]);
    assert_eq!(code, 0, "{said}");
    for part in ["peer_copy", "all_reduce 2 x ", "all_reduce 8 x "] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (code, _, said) = calibrate(empty.path(), &["--devices", "8"]);
    assert_eq!(code, 2);
    assert!(said.contains("--dry-run"), "{said}");
    let (_, page, _) = calibrate(empty.path(), &["--dry-run", "--json", "--full"]);
    let plan: Value = serde_json::from_str(&page).unwrap();
    let expected_s = plan["expected_s"].as_f64().unwrap();
    assert!((120.0..400.0).contains(&expected_s), "{expected_s}");
    let rows = plan["rows"].as_array().unwrap();
    // Llama 3.1 70B at tp 8: (64 + 2 x 8) / 8 heads of width 128, from 8192.
    let qkv = rows.iter().find(|row| {
        let operation = &row["operation"];
        operation["what"] == "gemm" && operation["n"] == 1280 && operation["m"] == 4096
    });
    let qkv = qkv.unwrap();
    assert_eq!(qkv["operation"]["k"], 8192);
    assert_eq!(qkv["flops"], 2.0 * 4096.0 * 1280.0 * 8192.0);
    assert_eq!(qkv["used_for"][0], "llama-3.1-70b tp 8 qkv");
}
