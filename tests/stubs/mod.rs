//! Stand-ins for libraries, built by the compiler of the machine.

#![allow(clippy::print_stderr)] // what is skipped is said

use std::process::Command;

/// Whether something was built; says that it is skipped where there is no such compiler.
pub fn is_built(command: &mut Command, what: &str) -> bool {
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
            true
        }
        Err(error) => {
            let compiler = command.get_program().display();
            eprintln!("SKIPPED: no {what}, for there is no {compiler} ({error})");
            false
        }
    }
}
