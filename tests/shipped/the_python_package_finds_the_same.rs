//! The Python package finds what the command line finds, on one machine and on a Ray cluster with a
//! worker killed half-way. Its packages come from PyPI, by `python/check.sh`; without them nothing is
//! checked.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)] // helpers of tests; what is skipped is said

use std::path::Path;
use std::process::Command;

/// What the script ends with where the packages cannot be had.
const WITHOUT: i32 = 77;

#[test]
fn python_finds_what_the_command_line_finds() {
    let program = Path::new(env!("CARGO_BIN_EXE_seatrial"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/check.sh");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let mut command = Command::new("sh");
    command.arg(script).arg(program).arg(folder);
    // Its extension is built where the dependencies have been built already.
    if let Some(target) = program.parent().and_then(Path::parent) {
        command.env("CARGO_TARGET_DIR", target);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: the Python package is not checked ({error})");
            return;
        }
    };
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    if output.status.code() == Some(WITHOUT) {
        let last = told.lines().last().unwrap_or("no reason given");
        eprintln!("SKIPPED: the Python package is not checked ({last})");
        return;
    }
    assert!(output.status.success(), "{told}");
}
