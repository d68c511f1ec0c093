//! `seatrial calibrate gpu`: measures the kernels of a model on this machine's GPU.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::calibrate::gpu::capture::{Listener, Request, capture};
use crate::calibrate::gpu::operation::Operation;
use crate::calibrate::gpu::plan::{Asked, Effort, Plan, assumes_link, card_of, peak_us};
use crate::calibrate::gpu::record::Calibration;
use crate::calibrate::gpu::table::{render, render_plan};
use crate::cli::progress::Progress;
use crate::cli::{FAILURE, FINE, Failure, Finished, json_text};
use crate::perf::{AcceleratorCard, Dtype, ModelCard};
use crate::report::number::{WIDTH, wrap};

/// Arguments of `calibrate gpu`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs the NVIDIA driver, libcublasLt and libnvrtc, which are loaded when \
                        they are called; NCCL too where there are several GPUs."
)]
pub struct GpuArgs {
    /// Model card whose shapes are measured (may be repeated)
    #[arg(long, value_name = "CARD", default_value = "llama-3.1-70b")]
    model: Vec<String>,
    /// Tensor parallelisms whose shapes are measured
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    tp: Vec<u32>,
    /// Few shapes, in about half a minute (the default)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Many shapes, in about four minutes
    #[arg(long)]
    full: bool,
    /// Measures these operations only, by their names in the file
    #[arg(long, value_name = "OPERATION", value_delimiter = ',')]
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Operation::NAMES))]
    only: Vec<String>,
    /// The GPU to measure, by the driver's number
    #[arg(long, default_value_t = 0)]
    device: u32,
    /// Accelerator card whose peaks the rows are held against [default: the device's own; h100-sxm
    /// with --dry-run]
    #[arg(long, value_name = "CARD")]
    accelerator: Option<String>,
    /// Writes the calibration to this file, and each row as it is measured to FILE.journal
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Goes on with an interrupted capture, from the journal beside --out
    #[arg(long, requires = "out")]
    resume: bool,
    /// Lists what would be measured and for how long; needs no GPU
    #[arg(long)]
    dry_run: bool,
    /// GPUs that --dry-run plans for: from two on copies between them and all-reduces are listed, too
    #[arg(long, value_name = "N", requires = "dry_run", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    devices: u32,
    /// Prints one JSON document: the calibration, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

pub fn gpu(args: &GpuArgs) -> Result<Finished, Failure> {
    let here = Path::new("");
    let models = args.model.iter().map(|name| ModelCard::load(name, here));
    let models: Vec<ModelCard> = models.collect::<Result<_, _>>().map_err(Failure::of)?;
    let effort = if args.full {
        Effort::Full
    } else {
        Effort::Quick
    };
    if args.dry_run {
        return dry_run(args, &models, effort);
    }
    // What is wrong with it is told before minutes of measuring.
    let named = args.accelerator.as_deref();
    let named = named.map(|name| AcceleratorCard::load(name, here));
    let named = named.transpose().map_err(Failure::of)?;
    if let Some(out) = &args.out {
        writable(out)?;
    }
    let request = Request {
        models,
        tp: args.tp.clone(),
        effort,
        only: args.only.clone(),
        device: args.device,
        out: args.out.clone(),
        resume: args.resume,
    };
    let progress = Bar {
        progress: Progress::new("measuring"),
        anew: Cell::new(None),
    };
    let captured = capture(&request, &progress);
    progress.progress.finish();
    let calibration = captured.map_err(Failure::of)?;
    if calibration.rows.is_empty() {
        return Err(nothing(&calibration, args.out.as_deref()));
    }
    let wrong = wrong(&calibration);
    let code = if wrong.is_some() { FAILURE } else { FINE };
    if args.json {
        if let Some(wrong) = &wrong {
            say(wrong);
        }
        let text = calibration.to_text();
        return Ok(Finished { text, code });
    }
    let card = match named {
        Some(card) => Some(card),
        None => {
            let own = card_of(&calibration.device.name);
            let own = own.map(|name| AcceleratorCard::load(name, here));
            own.transpose().map_err(Failure::of)?
        }
    };
    let mut text = render(&calibration, card.as_ref());
    if let Some(journal) = progress.anew.take() {
        text.push_str(&format!(
            "there was no journal to go on with ({journal}): all was measured\n"
        ));
    }
    if let Some(out) = &args.out {
        text.push_str(&format!("{}: written\n", out.display()));
    }
    if let Some(wrong) = wrong {
        text.push_str(&format!("{}\n", wrap(&wrong, WIDTH, 2)));
    }
    Ok(Finished { text, code })
}

/// Says it beside a document for programs.
#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Refuses a file that could not be written once all is measured.
fn writable(out: &Path) -> Result<(), Failure> {
    let refused = |why: &str| {
        let out = out.display();
        Err(Failure::of(format!(
            "--out {out}: {why}; name a file that can be written"
        )))
    };
    if out.is_dir() || out.file_name().is_none() {
        return refused("is a folder");
    }
    if !out.exists() {
        // The journal beside it shows whether the folder can be written to.
        return Ok(());
    }
    match OpenOptions::new().append(true).open(out) {
        Ok(_) => Ok(()),
        Err(error) => refused(&format!("cannot be written ({error})")),
    }
}

/// What is to be said where kernels gave wrong results: such a device, or library, is not to be relied on.
fn wrong(calibration: &Calibration) -> Option<String> {
    let mut wrong = calibration.failures.iter().filter(|one| one.is_wrong());
    let first = wrong.next()?;
    Some(format!(
        "error: {} of {} operations gave wrong results and were left out, {} for one: see that the device, its \
         driver and its libraries are sound before the other rows are used",
        1 + wrong.count(),
        calibration.failures.len() + calibration.rows.len(),
        first.operation.text()
    ))
}

fn dry_run(args: &GpuArgs, models: &[ModelCard], effort: Effort) -> Result<Finished, Failure> {
    let name = args.accelerator.as_deref().unwrap_or("h100-sxm");
    let card = AcceleratorCard::load(name, Path::new("")).map_err(Failure::of)?;
    let plan = Plan::new(&Asked {
        models,
        tp: &args.tp,
        effort,
        devices: args.devices,
        fp8: card.has_rate(Dtype::Fp8),
        only: &args.only,
    })
    .map_err(Failure::of)?;
    if args.json {
        return Ok(Finished::fine(json_text(&plan_json(&plan, &card))));
    }
    Ok(Finished::fine(render_plan(&plan, &card)))
}

fn plan_json(plan: &Plan, card: &AcceleratorCard) -> Value {
    let rows = plan.rows.iter().map(|row| {
        json!({
            "operation": row.operation,
            "dtype": row.dtype,
            "used_for": row.used_for,
            "flops": row.operation.flops(),
            "bytes": row.operation.bytes(row.dtype),
            "at_peak_us": peak_us(row, card),
            "assumed_link": assumes_link(row, card),
        })
    });
    json!({
        "schema": 1,
        "plan": plan.facts(),
        "accelerator": card.name,
        "expected_s": plan.expected_s(card),
        "expected_is": "an estimate by the accelerator card's peaks, not a measurement",
        "left_out": plan.left_out,
        "rows": rows.collect::<Vec<_>>(),
    })
}

/// Nothing was measured: how many could not be, and why the first of them.
fn nothing(calibration: &Calibration, out: Option<&Path>) -> Failure {
    let failures = calibration.failures.len();
    let first = calibration.failures.first();
    let first = first.map_or_else(String::new, |failure| {
        format!(", {} for one: {}", failure.operation.text(), failure.reason)
    });
    let kept = match out {
        Some(out) => format!("{} has the reasons of all", out.display()),
        None => "`--out FILE` keeps the reasons of all".to_owned(),
    };
    Failure::of(format!(
        "nothing was measured: all {failures} operations failed{first}; {kept}"
    ))
}

/// The progress bar, as captures speak to it.
struct Bar {
    progress: Progress,
    /// The journal that was not there.
    anew: Cell<Option<String>>,
}

impl Listener for Bar {
    fn begins(&self, rows: u64) {
        self.progress.expect(rows);
    }

    fn row(&self) {
        self.progress.advance(1.0);
    }

    fn begins_anew(&self, journal: &Path) {
        self.anew.set(Some(journal.display().to_string()));
    }
}
