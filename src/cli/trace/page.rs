//! What `trace import` says of a log.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::observed::ReadReport;
use crate::observed::prometheus::ScrapeReport;
use crate::observed::report::{LengthSources, Skips};
use crate::report::number::{count, significant};

/// Whether a name is that of a file of JSON lines.
pub(super) fn is_jsonl(name: &str) -> bool {
    name.ends_with(".jsonl") || name.ends_with(".jsonl.gz")
}

/// An instant, where it can be one: logs without dates count from their own zero.
fn instant(ns: u64) -> String {
    // Before 1971 it is no date but a time since some zero.
    const YEAR_NS: u64 = 31_536_000_000_000_000;
    let when = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns));
    match when.map(|it| it.format(&Rfc3339)) {
        Ok(Ok(text)) if ns >= YEAR_NS => text,
        _ => format!("{} s of the log's clock", ns as f64 / 1e9),
    }
}

/// Counts by name: `3 completed, 1 failed`.
fn listed<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let all: Vec<String> = counts
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{} {name}", count(n)))
        .collect();
    all.join(", ")
}

fn sources(what: &str, from: &LengthSources) -> String {
    let parts = [
        ("logged", from.logged),
        ("inferred from bytes", from.from_bytes),
        ("inferred from the stated law", from.from_law),
        (
            "inferred from other requests of the log (those that failed have no answer to count)",
            from.from_others,
        ),
    ];
    format!("{what}: {}", listed(parts.into_iter()))
}

fn reasons(out: &mut String, title: &str, skips: &Skips) {
    for (reason, it) in &skips.0 {
        let _ = writeln!(out, "  {title} {} {reason}", count(it.count));
        let _ = writeln!(out, "    the first: {}", it.first);
    }
}

/// The report of a log. Writing to a text cannot fail.
pub(super) fn of_log(report: &ReadReport, outputs: &[&PathBuf]) -> String {
    let mut out = String::new();
    let names: Vec<String> = outputs.iter().map(|it| it.display().to_string()).collect();
    let span = (report.last_ns - report.first_ns) as f64 / 1e9;
    let _ = writeln!(
        out,
        "{}: {} requests over {} s from {} records (read as {}, stamps to {})",
        names.join(", "),
        count(report.requests),
        significant(Some(span)),
        count(report.read),
        report.format.name(),
        report.resolution
    );
    let _ = writeln!(out, "  from {}", instant(report.first_ns));
    let _ = writeln!(out, "  to   {}", instant(report.last_ns));
    let endings = report.endings.iter().map(|(name, n)| (*name, *n));
    let _ = writeln!(out, "  {}", listed(endings));
    for (code, (ending, n)) in &report.codes {
        let _ = writeln!(
            out,
            "    {code}: {}, taken for {}",
            count(*n),
            ending.name()
        );
    }
    let _ = writeln!(out, "  {}", sources("prompt tokens", &report.prompt));
    let _ = writeln!(out, "  {}", sources("output tokens", &report.output));
    let _ = writeln!(
        out,
        "  {} with a time to first token, {} with a duration",
        count(report.with_ttft),
        count(report.with_e2e)
    );
    let _ = writeln!(out, "  {}", report.zone);
    joined(&mut out, report);
    reasons(&mut out, "skipped:", &report.skipped);
    reasons(&mut out, "left out:", &report.left_out);
    out
}

fn joined(out: &mut String, report: &ReadReport) {
    let joined = &report.joined;
    if joined.retries > 0 {
        let _ = writeln!(
            out,
            "  {} requests were tried again, {} tries in all beyond the first",
            count(joined.requests),
            count(joined.retries)
        );
    }
    if joined.within > 0 {
        let _ = writeln!(
            out,
            "  {} spans lie within another and are a view of the same request",
            count(joined.within)
        );
    }
    for skew in &report.skew {
        let _ = writeln!(
            out,
            "  the clock of {} is {} ms ahead of that of {} (median of {} pairs of spans, {} of \
             them impossible as logged); --skew {}={:.3} takes it out",
            skew.of,
            significant(Some(skew.lead_ms)),
            skew.against,
            count(skew.pairs),
            count(skew.impossible),
            skew.of,
            skew.lead_ms
        );
    }
    if report.out_of_order > 0 {
        let _ = writeln!(
            out,
            "  {} records stood after one that began later: sorted{}",
            count(report.out_of_order),
            match report.runs_on_disk {
                0 => String::new(),
                runs => format!(" on disk, in {} runs", count(runs)),
            }
        );
    }
}

/// The report of scrapes. Writing to a text cannot fail.
pub(super) fn of_scrapes(report: &ScrapeReport, file: &Path) -> String {
    let mut out = String::new();
    let series = &report.series;
    let _ = writeln!(
        out,
        "{}: {} minutes from {} scrapes of {} samples, from {}",
        file.display(),
        count(series.bins.len() as u64),
        count(report.scrapes),
        count(report.samples),
        instant(series.start_ns)
    );
    if report.restarts > 0 {
        let _ = writeln!(
            out,
            "  counters began anew {} times: a replica restarted",
            count(report.restarts)
        );
    }
    for note in &series.notes {
        let _ = writeln!(out, "  {note}");
    }
    reasons(&mut out, "skipped:", &report.skipped);
    out
}
