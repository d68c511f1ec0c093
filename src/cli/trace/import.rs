//! `seatrial trace import`.

use std::path::PathBuf;
use std::str::FromStr;

use super::super::{Failure, Finished, json_text};
use super::{lengths, page};
use crate::cli::ending::ends;
use crate::cli::spare::spare;
use crate::observed::prometheus::{ScrapeOptions, read_scrapes};
use crate::observed::series::{MINUTE_NS, MOST_BINS, SeriesBuilder};
use crate::observed::series_file::write_series;
use crate::observed::write::{ObservedWriter, TraceWriter};
use crate::observed::{ObservedFormat, ReadOptions, ReadReport, detect, read};
use crate::report::number::{count, significant};
use crate::trace::{ImportOptions, TraceFormat, import as import_bare};

/// Arguments of `trace import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Formats of logs: otlp, otel-flat, envoy, envoy-json, nginx, alb, litellm, aiperf, guidellm, \
                  vllm-bench, weka, requests (seatrial's own), prometheus (series only); of traces: azure-2023, \
                  azure-2024, azure-lmm, mooncake, burstgpt, vidur, seatrial. Plain, .gz and .zst are read."
)]
pub struct ImportArgs {
    /// The log or trace: its format is found from its content
    file: PathBuf,
    /// Where to write the trace: .csv, or .jsonl, which keeps the hashes of prompts; .gz compresses
    #[arg(long, short, value_name = "FILE", required_unless_present_any = ["observed", "series"])]
    out: Option<PathBuf>,
    /// Where to write the requests as observed: endings, latencies, tries; .csv, .csv.gz, .parquet
    #[arg(long, value_name = "FILE")]
    observed: Option<PathBuf>,
    /// Where to write counts and latencies by minute; .csv, .csv.gz or .parquet
    #[arg(long, value_name = "FILE")]
    series: Option<PathBuf>,
    /// Its format, instead of finding it from the content
    #[arg(long, value_parser = ObservedFormat::from_str)]
    format: Option<ObservedFormat>,
    /// Format string of an access log, as configured in Envoy (%DURATION%) or nginx ($request_time)
    #[arg(long, value_name = "STRING")]
    log_format: Option<String>,
    /// Keeps only lines whose path begins so (may be repeated)
    #[arg(long, value_name = "PREFIX")]
    path: Vec<String>,
    /// Infers lengths that a log does not have: bytes of a request or answer for each token
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    bytes_per_token: Option<f64>,
    /// The same for answers [default: as --bytes-per-token]
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    bytes_per_output_token: Option<f64>,
    /// Length of prompts that the log does not have: tokens, or a law as in a scenario
    #[arg(long, value_name = "LAW")]
    prompt_tokens: Option<String>,
    /// Length of answers that the log does not have: tokens, or a law as in a scenario
    #[arg(long, value_name = "LAW")]
    output_tokens: Option<String>,
    /// Where stamps without a zone were written, such as +02:00 [default: UTC]
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    utc_offset: Option<String>,
    /// How many ms the clock of a service is ahead (may be repeated)
    #[arg(long, value_name = "NAME=MS")]
    skew: Vec<String>,
    /// Seconds after a failed try within which the same id is its retry; 0 joins none [default: 60]
    #[arg(long, value_name = "SECONDS")]
    retry_window_s: Option<f64>,
    /// Seconds between conversations, where a log has only times within them [default: 60]
    #[arg(long, value_name = "SECONDS")]
    conversations_every_s: Option<f64>,
    /// Seconds between scrapes that have no stamp
    #[arg(long, value_name = "SECONDS")]
    scrape_interval_s: Option<f64>,
    /// Sorts the requests of a trace by arrival, on disk where they are many; logs always are
    #[arg(long)]
    sort: bool,
    /// Spreads requests of a trace with the same stamp evenly until the next one
    #[arg(long)]
    dejitter: bool,
    /// Prints one JSON document instead of text
    #[arg(long)]
    json: bool,
}

pub fn import(args: &ImportArgs) -> Result<Finished, Failure> {
    spare(
        &[&args.file],
        &[
            ("--out", args.out.as_deref()),
            ("--observed", args.observed.as_deref()),
            ("--series", args.series.as_deref()),
        ],
    )?;
    ends("--out", args.out.as_deref(), &page::TRACES)?;
    ends(
        "--observed",
        args.observed.as_deref(),
        &[".csv", ".csv.gz", ".parquet"],
    )?;
    ends(
        "--series",
        args.series.as_deref(),
        &[".csv", ".csv.gz", ".parquet"],
    )?;
    let options = options_of(args)?;
    let Some(format) = format_of(args, &options)? else {
        return import_trace(args, None);
    };
    check_used(args, format)?;
    match format {
        ObservedFormat::Prometheus => import_scrapes(args, options.rules.offset_s),
        ObservedFormat::Trace(bare) if !wants_observed(args) => import_trace(args, Some(bare)),
        _ => import_log(args, &options),
    }
}

/// The format, as stated or as found; none for a trace out of a pipe, which is read only once.
fn format_of(args: &ImportArgs, options: &ReadOptions) -> Result<Option<ObservedFormat>, Failure> {
    if args.format.is_some() {
        return Ok(args.format);
    }
    let pipe = std::fs::metadata(&args.file).is_ok_and(|it| !it.is_file() && !it.is_dir());
    if pipe && args.log_format.is_none() {
        return match wants_observed(args) {
            false => Ok(None),
            true => Err(Failure::of(format!(
                "{}: a pipe is read only once, so its format cannot be found first; state it with \
                 --format",
                args.file.display()
            ))),
        };
    }
    detect(&args.file, options).map(Some).map_err(Failure::of)
}

/// Options that would do nothing are refused.
fn check_used(args: &ImportArgs, format: ObservedFormat) -> Result<(), Failure> {
    use ObservedFormat as F;
    let text = matches!(format, F::Envoy | F::Nginx);
    let access = text || matches!(format, F::EnvoyJson | F::Alb);
    let bare = matches!(format, F::Trace(_)) && !wants_observed(args);
    let requests = format != F::Prometheus && !bare;
    let checks = [
        ("--log-format", args.log_format.is_some(), text),
        ("--path", !args.path.is_empty(), access),
        ("--bytes-per-token", args.bytes_per_token.is_some(), access),
        (
            "--bytes-per-output-token",
            args.bytes_per_output_token.is_some(),
            access,
        ),
        ("--prompt-tokens", args.prompt_tokens.is_some(), requests),
        ("--output-tokens", args.output_tokens.is_some(), requests),
        (
            "--utc-offset",
            args.utc_offset.is_some(),
            access || matches!(format, F::OtelFlat | F::LiteLlm | F::Prometheus),
        ),
        (
            "--skew",
            !args.skew.is_empty(),
            matches!(format, F::Otlp | F::OtelFlat),
        ),
        ("--retry-window-s", args.retry_window_s.is_some(), requests),
        (
            "--conversations-every-s",
            args.conversations_every_s.is_some(),
            format == F::Weka,
        ),
        (
            "--scrape-interval-s",
            args.scrape_interval_s.is_some(),
            format == F::Prometheus,
        ),
        ("--sort", args.sort, bare),
        ("--dejitter", args.dejitter, bare),
    ];
    match checks.into_iter().find(|(_, given, used)| *given && !used) {
        Some((option @ ("--sort" | "--dejitter"), ..)) if matches!(format, F::Trace(_)) => {
            Err(Failure::of(only_as_trace(option, args)))
        }
        Some((option, ..)) => Err(Failure::of(format!(
            "{option}: does nothing with {} (read as {format}); remove it, or name another format \
             with --format",
            args.file.display()
        ))),
        None => Ok(()),
    }
}

/// Why an option for traces does nothing where a trace is read as a log is.
fn only_as_trace(option: &str, args: &ImportArgs) -> String {
    let others = [
        ("--observed", args.observed.is_some()),
        ("--series", args.series.is_some()),
    ];
    let other = others.into_iter().find(|(_, given)| *given);
    let other = other.map_or("--out with a name in .jsonl", |(other, _)| other);
    let why = match option {
        "--sort" => "a trace is always sorted there",
        _ => "stamps are left as they are there",
    };
    format!(
        "{option}: is for a trace that is written to --out as .csv alone, and does nothing with {other} ({why}); \
         remove it, or write a .csv first and import that"
    )
}

/// Whether anything was asked for that a bare trace has only as a log.
fn wants_observed(args: &ImportArgs) -> bool {
    let jsonl = args
        .out
        .as_ref()
        .is_some_and(|out| page::is_jsonl(&out.display().to_string()));
    args.observed.is_some() || args.series.is_some() || jsonl
}

fn options_of(args: &ImportArgs) -> Result<ReadOptions, Failure> {
    let default = ReadOptions::default();
    let seconds = |option: &str, value: Option<f64>, default: u64| match value {
        None => Ok(default),
        Some(s) if (0.0..=1e8).contains(&s) => Ok((s * 1e9).round() as u64),
        Some(s) => Err(Failure::of(format!(
            "{option} {s}: must be from 0 to 100,000,000; give seconds"
        ))),
    };
    Ok(ReadOptions {
        format: args.format,
        log_format: args.log_format.clone(),
        rules: lengths::rules(&args.path, args.utc_offset.as_deref())?,
        skews: lengths::skews(&args.skew)?,
        inference: lengths::inference(
            args.bytes_per_token,
            args.bytes_per_output_token,
            args.prompt_tokens.as_deref(),
            args.output_tokens.as_deref(),
        )?,
        retry_window_ns: seconds(
            "--retry-window-s",
            args.retry_window_s,
            default.retry_window_ns,
        )?,
        conversations_every_ns: seconds(
            "--conversations-every-s",
            args.conversations_every_s,
            default.conversations_every_ns,
        )?,
        ..default
    })
}

/// A trace of nothing but arrivals and lengths.
fn import_trace(args: &ImportArgs, format: Option<TraceFormat>) -> Result<Finished, Failure> {
    let options = ImportOptions {
        sort: args.sort,
        dejitter: args.dejitter,
    };
    let Some(out) = &args.out else {
        return Err(Failure::of("--out is missing"));
    };
    let report = import_bare(&args.file, format, out, options).map_err(Failure::of)?;
    if args.json {
        let value = serde_json::to_value(report).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&value)));
    }
    Ok(Finished::fine(format!(
        "{}: {} of {} requests written over {} s (read as {}); {} have no answer and will be \
         skipped by a replay, {} with an empty prompt were left out\n",
        out.display(),
        count(report.written),
        count(report.read),
        significant(Some(report.span_s)),
        report.format.name(),
        count(report.no_answer),
        count(report.empty_prompt)
    )))
}

/// A log.
fn import_log(args: &ImportArgs, options: &ReadOptions) -> Result<Finished, Failure> {
    let mut trace = args.out.as_deref().map(TraceWriter::create).transpose();
    let trace = trace.as_mut().map_err(|error| Failure::of(&*error))?;
    let mut observed = args
        .observed
        .as_deref()
        .map(ObservedWriter::create)
        .transpose();
    let observed = observed.as_mut().map_err(|error| Failure::of(&*error))?;
    let mut series = SeriesBuilder::new(MINUTE_NS);
    let report = read(&args.file, options, &mut |request| {
        if let Some(trace) = trace {
            trace.write(&request)?;
        }
        if args.series.is_some() {
            series.add(&request);
        }
        match observed {
            Some(observed) => observed.write(&request),
            None => Ok(()),
        }
    })
    .map_err(Failure::of)?;
    if let Some(trace) = trace.take() {
        trace.finish().map_err(Failure::of)?;
    }
    if let Some(observed) = observed.take() {
        observed.finish().map_err(Failure::of)?;
    }
    if let Some(path) = &args.series {
        let series = series.finish().ok_or_else(|| too_many_bins(&report))?;
        write_series(path, &series).map_err(Failure::of)?;
    }
    if args.json {
        let value = serde_json::to_value(&report).map_err(Failure::of)?;
        return Ok(Finished::fine(json_text(&value)));
    }
    let outputs = [&args.out, &args.observed, &args.series];
    let outputs: Vec<&PathBuf> = outputs.into_iter().flatten().collect();
    Ok(Finished::fine(page::of_log(
        &report,
        &outputs,
        &options.skews,
    )))
}

fn too_many_bins(report: &ReadReport) -> Failure {
    Failure::of(format!(
        "--series: the requests span {} s, more than {} minutes: one of their stamps is wrong",
        (report.last_ns - report.first_ns) / 1_000_000_000,
        count(MOST_BINS as u64)
    ))
}

/// Scrapes of a monitor, which have no requests.
fn import_scrapes(args: &ImportArgs, offset_s: i32) -> Result<Finished, Failure> {
    if args.out.is_some() || args.observed.is_some() {
        return Err(Failure::of(format!(
            "{}: scrapes have counts, not requests, so there is no trace in them; write their \
             series with --series FILE",
            args.file.display()
        )));
    }
    let Some(out) = &args.series else {
        return Err(Failure::of("--series is missing"));
    };
    let every = match args.scrape_interval_s {
        None => None,
        Some(s) if s > 0.0 && s <= 1e8 => Some((s * 1e9).round() as u64),
        Some(s) => {
            return Err(Failure::of(format!(
                "--scrape-interval-s {s}: must be above 0 and at most 100,000,000; give seconds"
            )));
        }
    };
    let options = ScrapeOptions {
        bin_ns: MINUTE_NS,
        every_ns: every,
        offset_s,
    };
    let report = read_scrapes(&args.file, &options).map_err(Failure::of)?;
    write_series(out, &report.series).map_err(Failure::of)?;
    if args.json {
        let mut value = serde_json::to_value(&report.series).map_err(Failure::of)?;
        if let Some(document) = value.as_object_mut() {
            let skipped = serde_json::to_value(&report.skipped).map_err(Failure::of)?;
            let left_out = serde_json::to_value(&report.left_out).map_err(Failure::of)?;
            document.insert("scrapes".to_owned(), report.scrapes.into());
            document.insert("samples".to_owned(), report.samples.into());
            document.insert("restarts".to_owned(), report.restarts.into());
            document.insert("skipped".to_owned(), skipped);
            document.insert("left_out".to_owned(), left_out);
        }
        return Ok(Finished::fine(json_text(&value)));
    }
    Ok(Finished::fine(page::of_scrapes(&report, out)))
}
