//! `seatrial calibrate gpu` as a whole, on a device whose driver and compiler are stubs and whose
//! kernels are run by the emulator: where a capture lays its inputs, tables and results, and what it
//! expects of them, is what the kernels read and write.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests; what is skipped is said

use crate::stubs;

use std::path::Path;
use std::process::Command;

use seatrial::calibrate::gpu::lab::{HEAD_DIMS, sources};
use serde_json::Value;
use tempfile::TempDir;

const EMULATOR: &str = include_str!("../kernels/emulator.hpp");
const DEVICE: &str = include_str!("../kernels/device.cpp");

/// Defines of the kernel files, which the next one may define anew.
const DEFINED: [&str; 9] = [
    "D",
    "HALVES",
    "QUERIES",
    "KEYS",
    "ROW_BYTES",
    "CHUNKS",
    "PAGE",
    "WARPS",
    "STAGES",
];

/// The kernels of every module that is loaded, each in a namespace, and the list of them.
fn kernels() -> String {
    let mut text = EMULATOR.to_owned();
    let mut list = String::new();
    let mut add = |file: &str, defines: &[(&str, u64)], names: &[&str]| {
        let all = sources();
        let (_, source) = all.iter().find(|(name, _)| *name == file).unwrap();
        let mut module = file.to_owned();
        let mut space = file.replace('.', "_");
        for name in DEFINED {
            text.push_str(&format!("\n#undef {name}"));
        }
        for (name, value) in defines {
            module.push_str(&format!(" -D{name}={value}"));
            space.push_str(&format!("_{value}"));
            text.push_str(&format!("\n#define {name} {value}"));
        }
        // Functions of that linkage are one and the same in all namespaces.
        let source = source.replace("extern \"C\"", "static");
        text.push_str(&format!("\nnamespace {space} {{\n{source}\n}}\n"));
        for name in names {
            list.push_str(&format!("KERNEL(\"{module}: {name}\", {space}::{name}) "));
        }
    };
    add("pointwise.cu", &[], &["rms_norm", "silu_mul", "rotary"]);
    for width in HEAD_DIMS {
        for halves in [1, 2] {
            add(
                "prefill.cu",
                &[("D", width), ("HALVES", halves)],
                &["prefill"],
            );
        }
        let both = ["decode", "decode_combine"];
        add("decode.cu", &[("D", width), ("HALVES", 1)], &both);
    }
    format!("{text}\n#define KERNELS {list}\n{DEVICE}")
}

/// Compiles a source of this folder; false without a compiler.
fn build(compiler: &str, words: &[&str], source: &Path, to: &Path) -> bool {
    let mut command = Command::new(compiler);
    command
        .args(["-fPIC", "-w", "-fno-strict-aliasing"])
        .args(words)
        .arg("-o")
        .args([to, source]);
    stubs::is_built(&mut command, "emulated device")
}

/// Driver, compiler and library of products in a folder.
fn libraries(folder: &Path) -> bool {
    let stubs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stubs");
    let main = folder.join("device.cpp");
    std::fs::write(&main, kernels()).unwrap();
    let driver = folder.join("cuda.o");
    let driver_path = driver.to_str().unwrap();
    build("cc", &["-c", "-DEMULATOR"], &stubs.join("cuda.c"), &driver)
        && build(
            "c++",
            &["-std=c++17", "-O1", "-shared", driver_path],
            &main,
            &folder.join("libcuda.so"),
        )
        && build(
            "cc",
            &["-shared"],
            &stubs.join("nvrtc.c"),
            &folder.join("libnvrtc.so"),
        )
        && build(
            "cc",
            &["-shared"],
            &stubs.join("cublaslt.c"),
            &folder.join("libcublasLt.so"),
        )
}

#[test]
fn captures_expect_what_kernels_give() {
    let folder = TempDir::new().unwrap();
    if !libraries(folder.path()) {
        return;
    }
    let only = "rms_norm,silu_mul,rotary,decode_attention,prefill_attention";
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args([
            "calibrate",
            "gpu",
            "--model",
            "llama-3.1-8b",
            "--tp",
            "8",
            "--json",
        ])
        .args(["--only", only])
        .env("LD_LIBRARY_PATH", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    // The smaller shapes are measured, all of them checked; the larger ones the stub refuses.
    let rows = page["rows"].as_array().unwrap();
    for name in only.split(',') {
        let row = rows.iter().find(|row| row["operation"]["what"] == name);
        let row = row.unwrap_or_else(|| panic!("{name}: {}", page["failures"]));
        assert!(row["checked"]["values"].as_u64().unwrap() >= 128, "{row}");
        // One row of `rotary` is at position 0, which is not turned at all.
        let exact = row["checked"]["max_error"] == 0.0;
        assert!(!exact || name == "rotary", "{row}");
    }
    // Buffers are gone through in turn, the last of which is the one that is checked: so many that a
    // sample touches twice the second-level cache, or as many as a sample has launches at the most.
    let enough = 2 * page["device"]["l2_bytes"].as_u64().unwrap();
    for row in rows {
        let number = |field: &str| row[field].as_u64().unwrap();
        let all = number("buffers") == number("launches_per_sample");
        let most = number("launches_per_sample") == 2_048;
        assert!(number("footprint_bytes") >= enough || all && most, "{row}");
    }
    let least = |name: &str| {
        let own = rows.iter().filter(|row| row["operation"]["what"] == name);
        own.map(|row| row["buffers"].as_u64().unwrap())
            .min()
            .unwrap()
    };
    assert!(least("prefill_attention") > 1 && least("rms_norm") > 100);
    for failure in page["failures"].as_array().unwrap() {
        let reason = failure["reason"].as_str().unwrap();
        assert!(reason.contains("cuLaunchKernel"), "{failure}");
    }
}
