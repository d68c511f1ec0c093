//! seatrial's command line: parse, run, exit code.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use seatrial::cli::{Cli, FAILURE, execute};
use seatrial::report::number::{WIDTH, wrap};

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    // clap itself exits with 2 on arguments it cannot read, and with 0 on --help.
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(finished) => {
            let mut out = std::io::stdout().lock();
            // A reader that has gone away (`| head`) is no failure of ours.
            let written = out
                .write_all(finished.text.as_bytes())
                .and_then(|()| out.flush());
            match written {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    eprintln!("error: cannot write to standard output: {error}");
                    ExitCode::from(FAILURE)
                }
                _ => ExitCode::from(finished.code),
            }
        }
        Err(failure) => {
            eprintln!("{}", for_people(&format!("error: {failure}")));
            ExitCode::from(FAILURE)
        }
    }
}

/// Long lines are wrapped for who reads them on a terminal; programs get them whole.
fn for_people(message: &str) -> String {
    if !std::io::stderr().is_terminal() {
        return message.to_owned();
    }
    let lines = message.lines().map(|line| {
        let begun = line.len() - line.trim_start().len();
        format!("{}{}", &line[..begun], wrap(line, WIDTH, begun + 2))
    });
    lines.collect::<Vec<_>>().join("\n")
}
