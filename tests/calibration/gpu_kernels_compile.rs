//! The kernel sources compile by NVRTC for the devices they are meant for, in every variant that is
//! loaded. The compiler comes from PyPI, by `tests/kernels/nvrtc.sh`; without it nothing is checked.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests; what is skipped is said

use std::path::Path;
use std::process::Command;

use seatrial::calibrate::gpu::device::{compile, compiler_version};
use seatrial::calibrate::gpu::lab::{HEAD_DIMS, sources};

/// What tells the test that is run anew where the compiler lies on its library path.
const INNER: &str = "SEATRIAL_TEST_HAS_NVRTC";

/// Where NVRTC lies; none where it cannot be installed.
fn nvrtc() -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels/nvrtc.sh");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nvrtc");
    let output = Command::new("sh").arg(script).arg(folder).output();
    let said = match output {
        Ok(output) if output.status.success() => {
            return Some(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let last = said.lines().last().unwrap_or("no reason given");
    eprintln!("SKIPPED: kernels are not compiled, for NVRTC cannot be installed ({last})");
    None
}

/// A library path is read when a program starts, so that this program is started anew.
#[test]
fn kernels_compile_for_ampere_and_hopper() {
    if std::env::var_os(INNER).is_some() {
        return compile_all();
    }
    let Some(folder) = nvrtc() else {
        return;
    };
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "gpu_kernels_compile::kernels_compile_for_ampere_and_hopper",
            "--nocapture",
        ])
        .env(INNER, "1")
        .env("LD_LIBRARY_PATH", folder)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("compiled 14 times"), "{said}");
}

fn compile_all() {
    let mut count = 0;
    for capability in [80, 90] {
        for (file, text) in sources() {
            for defines in variants(file) {
                let code = compile(file, &text, capability, &defines).unwrap();
                // Code for the very device is an ELF file.
                assert!(code.starts_with(b"\x7fELF"), "{file} {defines:?}");
                count += 1;
            }
        }
    }
    eprintln!(
        "compiled {count} times by NVRTC {}",
        compiler_version().unwrap()
    );
    // The compiler's own words are handed on.
    let error = compile("wrong.cu", "__global__ void f() { g(); }", 90, &[]).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("wrong.cu does not compile for sm_90") && said.contains("\"g\""),
        "{said}"
    );
}

/// The defines that a file is loaded with.
fn variants(file: &str) -> Vec<Vec<String>> {
    let halves: &[u64] = match file {
        "pointwise.cu" => return vec![Vec::new()],
        "prefill.cu" => &[1, 2],
        _ => &[1],
    };
    let of_width = |width: u64| {
        let all = halves.iter();
        all.map(move |half| vec![format!("-DD={width}"), format!("-DHALVES={half}")])
    };
    let mut variants: Vec<_> = HEAD_DIMS.into_iter().flat_map(of_width).collect();
    variants.sort();
    variants
}
