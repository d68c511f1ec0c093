//! `seatrial calibrate lsm`: measures a log-structured store on the local disk.

use std::path::PathBuf;

use crate::calibrate::lsm::{Latency, LsmCalibration, LsmError, Shape, Workload, calibrate};
use crate::cli::{Failure, Finished, json_text};

/// Arguments of `calibrate lsm`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Runs puts, gets, deletes and compactions on the embedded store fjall, and the same \
                        writes on the simulated store. Needs Linux, which tells what a process writes."
)]
pub struct LsmArgs {
    /// A small workload, in some seconds
    #[arg(long)]
    quick: bool,
    /// The folder on whose disk to measure
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Writes the calibration to this file
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Prints one JSON document: the calibration
    #[arg(long)]
    json: bool,
}

pub fn lsm(args: &LsmArgs) -> Result<Finished, Failure> {
    let workload = if args.quick {
        Workload::quick()
    } else {
        Workload::full()
    };
    let calibration = calibrate(&workload, &args.dir).map_err(Failure::of)?;
    let page = json_text(&serde_json::to_value(&calibration).map_err(Failure::of)?);
    if let Some(out) = &args.out {
        let written = std::fs::write(out, &page);
        let written = written.map_err(|error| LsmError::Folder {
            path: out.display().to_string(),
            reason: error.to_string(),
        });
        written.map_err(Failure::of)?;
    }
    if args.json {
        return Ok(Finished::fine(page));
    }
    let mut text = render(&calibration);
    if let Some(out) = &args.out {
        text.push_str(&format!("{}: written\n", out.display()));
    }
    Ok(Finished::fine(text))
}

fn render(calibration: &LsmCalibration) -> String {
    let LsmCalibration {
        engine,
        machine,
        measured,
        simulated,
        ..
    } = calibration;
    let mut text = format!(
        "{engine} on {} ({} processors)\n\n{:<16}{:>12}{:>12}{:>12}{:>12}{:>12}\n",
        machine.processor, machine.processors, "", "count", "mean us", "p50 us", "p99 us", "max us"
    );
    for (name, latency) in [
        ("put", &measured.put),
        ("get, present", &measured.get_present),
        ("get, absent", &measured.get_absent),
        ("delete subject", &measured.delete_subject),
    ] {
        let Latency {
            count,
            mean_us,
            p50_us,
            p99_us,
            max_us,
        } = latency;
        text.push_str(&format!(
            "{name:<16}{count:>12}{mean_us:>12.2}{p50_us:>12.2}{p99_us:>12.2}{max_us:>12.2}\n"
        ));
    }
    text.push_str(&format!(
        "\n{:<16}{:>12}{:>12}{:>12}\n",
        "", "written x", "held x", "levels"
    ));
    let row = |name: &str, shape: &Shape| {
        let Shape {
            write_amplification,
            space_amplification,
            depth,
            ..
        } = shape;
        format!("{name:<16}{write_amplification:>12.2}{space_amplification:>12.3}{depth:>12}\n")
    };
    text.push_str(&row("measured", &measured.shape));
    text.push_str(&row("simulated", simulated));
    text
}
