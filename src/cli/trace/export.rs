//! `seatrial trace export`.

use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{Failure, Finished};
use crate::cli::ending::ends;
use crate::cli::spare::spare;
use crate::observed::export::{ExportFormat, ExportOptions, Exporter};
use crate::observed::write::Whole;
use crate::observed::{DATED_NS, ObservedError, ReadOptions, read};
use crate::report::number::count;

/// Arguments of `trace export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// Requests of a run (`run --requests`), or observed ones (`trace import --observed`), or a log
    file: PathBuf,
    /// What to write: otlp (spans as OTLP/JSON lines, to the ns), envoy (access log, to the ms) or
    /// nginx (access log, to the s by $time_local, to the ms by $msec)
    #[arg(long, value_parser = ExportFormat::from_str)]
    to: ExportFormat,
    /// Where to write: .jsonl or .json (otlp), .log or .txt (envoy, nginx; .jsonl for a format string of JSON);
    /// .gz compresses
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// When the run began, of requests whose times count from it [default: 2026-01-01T00:00:00Z]
    #[arg(long, value_name = "RFC3339")]
    start: Option<String>,
    /// Format string of Envoy (%DURATION%) or nginx ($request_time), instead of the default one
    #[arg(long, value_name = "STRING")]
    log_format: Option<String>,
    /// Bytes that a token has in an access log, which has no tokens [default: 4]
    #[arg(long, value_name = "BYTES")]
    bytes_per_token: Option<u32>,
}

/// Bytes of a token where nobody says so: those of English text.
const BYTES: u32 = 4;
/// When a run began that does not say it.
const START: &str = "2026-01-01T00:00:00Z";

/// Refuses another start of requests that have dates of their own.
fn dated(args: &ExportArgs) -> Result<(), ObservedError> {
    match &args.start {
        None => Ok(()),
        Some(start) => Err(ObservedError::Option {
            option: "--start",
            value: start.as_str().into(),
            why: "is for requests whose times count from 0, and these have dates".into(),
            remedy: "leave it out".into(),
        }),
    }
}

/// An instant, ns since 1970, as text.
fn moment(ns: u64) -> Option<String> {
    let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns)).ok()?;
    instant.format(&Rfc3339).ok()
}

/// Endings of what is written: lines of text, gzipped or not.
fn endings(to: ExportFormat) -> [&'static str; 6] {
    match to {
        ExportFormat::Otlp => [
            ".jsonl",
            ".jsonl.gz",
            ".json",
            ".json.gz",
            ".ndjson",
            ".ndjson.gz",
        ],
        ExportFormat::Envoy | ExportFormat::Nginx => {
            [".log", ".log.gz", ".txt", ".txt.gz", ".jsonl", ".jsonl.gz"]
        }
    }
}

pub fn export(args: &ExportArgs) -> Result<Finished, Failure> {
    spare(&[&args.file], &[("--out", Some(&args.out))])?;
    let stated = args.start.as_deref().unwrap_or(START);
    let start = OffsetDateTime::parse(stated, &Rfc3339).ok();
    let start_ns = start.and_then(|it| u64::try_from(it.unix_timestamp_nanos()).ok());
    let start_ns = start_ns.ok_or_else(|| {
        Failure::of(format!(
            "--start {stated}: must be an RFC 3339 time from 1970 on; write, for example, \
             2026-03-01T12:00:00Z"
        ))
    })?;
    let bytes_per_token = args.bytes_per_token.unwrap_or(BYTES);
    if bytes_per_token == 0 {
        return Err(Failure::of(
            "--bytes-per-token 0: must be 1 or more; English text has some 4",
        ));
    }
    let of_lines = [
        ("--log-format", args.log_format.is_some()),
        ("--bytes-per-token", args.bytes_per_token.is_some()),
    ];
    let idle = of_lines.into_iter().find(|it| it.1);
    if let (ExportFormat::Otlp, Some((option, _))) = (args.to, idle) {
        return Err(Failure::of(format!(
            "{option}: does nothing with --to otlp; remove it"
        )));
    }
    let mut exporter = Exporter::new(ExportOptions {
        format: args.to,
        start_ns,
        log_format: args.log_format.clone(),
        bytes_per_token,
    })
    .map_err(Failure::of)?;
    ends("--out", Some(&args.out), &endings(args.to))?;
    let mut out = Whole::create(&args.out).map_err(Failure::of)?;
    let name = args.out.display().to_string();
    let mut first_ns = None;
    let report = read(&args.file, &ReadOptions::default(), &mut |request| {
        if *first_ns.get_or_insert(request.t_ns) >= DATED_NS {
            dated(args)?;
            exporter.count_from_1970();
        }
        let text = exporter.add(&request)?;
        out.write_all(text.as_bytes())
            .map_err(|fault| ObservedError::write(&name, &fault))
    })
    .map_err(Failure::of)?;
    out.write_all(exporter.finish().as_bytes())
        .map_err(|fault| Failure::of(ObservedError::write(&name, &fault)))?;
    out.finish().map_err(Failure::of)?;
    let lost = match args.to {
        ExportFormat::Otlp => {
            "stamps to the ns; an answer that failed has no tokens in it".to_owned()
        }
        ExportFormat::Envoy => format!(
            "stamps and durations to the ms before; {bytes_per_token} bytes stand for a token, and what \
             the format string has no command for is lost"
        ),
        ExportFormat::Nginx => format!(
            "ends to the s before by $time_local and $time_iso8601, to the ms by $msec, durations \
             to the ms before; {bytes_per_token} bytes stand for a token; what was shed is a 503 like what was \
             rejected, and what the format string has no variable for is lost"
        ),
    };
    let mut text = format!(
        "{}: {} requests as {}, by arrival from {}; {lost}\n",
        args.out.display(),
        count(report.requests),
        args.to.name(),
        first_ns
            .filter(|first_ns| *first_ns >= DATED_NS)
            .and_then(moment)
            .unwrap_or_else(|| stated.to_owned())
    );
    let endless = report.requests - report.with_e2e;
    if endless > 0 {
        let (are, them) = if endless == 1 {
            ("request has", "it")
        } else {
            ("requests have", "them")
        };
        text.push_str(&format!(
            "  {} {are} no duration: none is written for {them}\n",
            count(endless)
        ));
    }
    for (reason, it) in &report.skipped.0 {
        text.push_str(&format!("  left out: {} {reason}\n", count(it.count)));
    }
    Ok(Finished::fine(text))
}
