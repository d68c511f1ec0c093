//! `seatrial trace synth`: makes a trace from a generator.

use std::path::{Path, PathBuf};

use super::page::TRACES;
use crate::cli::ending::ends;
use crate::cli::spare::spare;
use crate::cli::{Failure, Finished, json_text};
use crate::report::number::{count, significant};
use crate::synthesis::presets::load;
use crate::synthesis::{Order, Span, make};

/// Arguments of `trace synth`.
#[derive(Debug, clap::Args)]
pub struct SynthArgs {
    /// The generator, a TOML file with a [workload] (any scenario), or a preset
    generator: String,
    /// Where to write: seatrial's own CSV, or Mooncake JSON lines for .jsonl; .gz is compressed
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Length of the trace, hours. Default: run.horizon_s of the generator
    #[arg(long, conflicts_with = "requests", allow_negative_numbers = true)]
    hours: Option<f64>,
    /// Number of requests, instead of a length
    #[arg(long)]
    requests: Option<u64>,
    /// Factor on all rates; bursts and hours last as long as before
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "FACTOR",
        allow_negative_numbers = true
    )]
    rate_scale: f64,
    /// Seed of every random stream
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints one JSON document instead of a line
    #[arg(long)]
    json: bool,
}

pub fn synthesise(args: &SynthArgs) -> Result<Finished, Failure> {
    spare(&[Path::new(&args.generator)], &[("--out", Some(&args.out))])?;
    ends("--out", Some(&args.out), &TRACES)?;
    let document = load(&args.generator).map_err(Failure::of)?;
    let span = match (args.hours, args.requests) {
        (Some(hours), _) => Span::Hours(hours),
        (None, Some(requests)) => Span::Requests(requests),
        (None, None) => Span::Own,
    };
    let order = Order {
        span,
        rate_scale: args.rate_scale,
        seed: args.seed,
    };
    let folder = Path::new(&args.generator).parent().unwrap_or(Path::new(""));
    let made = make(&document, folder, order, &args.out).map_err(Failure::of)?;
    if args.json {
        let value = serde_json::to_value(&made).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&value)));
    }
    let each = |tokens: u64| significant(Some(tokens as f64 / made.requests as f64));
    Ok(Finished::fine(format!(
        "{}: {} requests over {} s, {} prompt and {} output tokens on average (format {}{})\n",
        args.out.display(),
        count(made.requests),
        significant(Some(made.last_s)),
        each(made.prompt_tokens),
        each(made.output_tokens),
        made.format.name(),
        made.extra
            .map_or(String::new(), |extra| format!(", with {extra}")),
    )))
}
