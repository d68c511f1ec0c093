//! What `trace import` says of a log.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::observed::ReadReport;
use crate::observed::intake::Skew;
use crate::observed::prometheus::ScrapeReport;
use crate::observed::report::{LengthSources, SkewEstimate, Skips};
use crate::report::number::{WIDTH, count, significant, wrap};

/// Endings of the traces that are written.
pub(super) const TRACES: [&str; 4] = [".csv", ".csv.gz", ".jsonl", ".jsonl.gz"];

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
            "inferred from other requests of the log (those that failed, or whose answers have no bytes, have no answer to count)",
            from.from_others,
        ),
        ("inferred by an earlier import", from.before),
    ];
    format!("{what}: {}", listed(parts.into_iter()))
}

/// A line of the page, wrapped to its width.
fn say(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "  {}", wrap(text, WIDTH - 2, 4));
}

/// `1 request`, `2 requests`.
fn plural(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {one}{ending}", count(number))
}

fn reasons(out: &mut String, title: &str, skips: &Skips) {
    for (reason, it) in &skips.0 {
        say(
            out,
            &format!(
                "{title} {} {reason}; the first: {}",
                count(it.count),
                it.first
            ),
        );
    }
}

/// The report of a log; `skews` were stated, and taken out of it.
pub(super) fn of_log(report: &ReadReport, outputs: &[&PathBuf], skews: &[Skew]) -> String {
    let mut out = String::new();
    let names: Vec<String> = outputs.iter().map(|it| it.display().to_string()).collect();
    let span = (report.last_ns - report.first_ns) as f64 / 1e9;
    let head = format!(
        "{}: {} over {} s from {} (read as {}; resolution {})",
        names.join(", "),
        plural(report.requests, "request"),
        significant(Some(span)),
        plural(report.read, "record"),
        report.format.name(),
        report.resolution
    );
    let _ = writeln!(out, "{}", wrap(&head, WIDTH, 4));
    say(
        &mut out,
        &format!(
            "from {} to {}",
            instant(report.first_ns),
            instant(report.last_ns)
        ),
    );
    say(
        &mut out,
        &listed(report.endings.iter().map(|(name, n)| (*name, *n))),
    );
    for (code, (ending, n)) in &report.codes {
        say(
            &mut out,
            &format!("  {} of {code}, taken for {}", count(*n), ending.name()),
        );
    }
    say(&mut out, &sources("prompt tokens", &report.prompt));
    say(&mut out, &sources("output tokens", &report.output));
    say(
        &mut out,
        &format!(
            "{} with a time to first token, {} with a duration",
            count(report.with_ttft),
            count(report.with_e2e)
        ),
    );
    say(&mut out, &report.zone);
    for note in &report.notes {
        say(&mut out, note);
    }
    joined(&mut out, report);
    for skew in &report.skew {
        say(&mut out, &clocks(skew, skews));
    }
    out_of_order(&mut out, report);
    reasons(&mut out, "skipped:", &report.skipped);
    reasons(&mut out, "left out:", &report.left_out);
    out
}

fn joined(out: &mut String, report: &ReadReport) {
    let joined = &report.joined;
    if joined.retries > 0 {
        say(
            out,
            &format!(
                "{} tried again, {} beyond the first in all",
                plural(joined.requests, "request"),
                plural(joined.retries, "try").replace("trys", "tries")
            ),
        );
    }
    if joined.twice > 0 {
        say(
            out,
            &format!(
                "{} delivered more than once, each counted once",
                plural(joined.twice, "record")
            ),
        );
    }
    if joined.put_aside > 0 {
        say(
            out,
            &format!(
                "{} put aside until the end of the log: one before was still under way",
                plural(joined.put_aside, "request")
            ),
        );
    }
    if joined.within > 0 {
        say(
            out,
            &format!(
                "{} within another: a view of the same request",
                plural(joined.within, "span")
            ),
        );
    }
}

/// Clocks nearer to one another than this are taken to agree, ms.
const AGREE_MS: f64 = 1.0;

/// How far two clocks are apart, and what to state: all of what a clock is ahead, with what was stated.
fn clocks(skew: &SkewEstimate, stated: &[Skew]) -> String {
    let stated = stated.iter().find(|it| it.logger == skew.of);
    let stated_ms = stated.map_or(0.0, |it| it.lead_ns as f64 / 1e6);
    let pairs = plural(skew.pairs, "pair");
    let impossible = count(skew.impossible);
    let (of, against) = (&skew.of, &skew.against);
    if stated.is_some() && skew.lead_ms.abs() < AGREE_MS {
        return format!(
            "with --skew {of}={stated_ms} taken out, the clocks of {of} and {against} agree to within \
             {AGREE_MS} ms (median of {pairs} of spans, {impossible} of them impossible)"
        );
    }
    let (before, still, all) = match stated {
        Some(_) => (
            format!("with --skew {of}={stated_ms} taken out, "),
            "still ",
            "all ",
        ),
        None => (String::new(), "", ""),
    };
    format!(
        "{before}the clock of {of} is {still}{} ms ahead of that of {against} (median of {pairs} of spans, \
         {impossible} of them impossible as logged), if the way there takes as long as the way back; --skew \
         {of}={} takes {all}{}",
        significant(Some(skew.lead_ms)),
        stated_ms + skew.lead_ms,
        if all.is_empty() {
            "it out"
        } else {
            "of it out"
        },
    )
}

fn out_of_order(out: &mut String, report: &ReadReport) {
    if report.out_of_order > 0 {
        let on_disk = match report.runs_on_disk {
            0 => String::new(),
            runs => format!(" on disk, in {}", plural(runs, "run")),
        };
        say(
            out,
            &format!(
                "{} stood after one that began later: sorted{on_disk}",
                plural(report.out_of_order, "record")
            ),
        );
    }
}

/// The report of scrapes.
pub(super) fn of_scrapes(report: &ScrapeReport, file: &Path) -> String {
    let mut out = String::new();
    let series = &report.series;
    let head = format!(
        "{}: {} from {} of {}, from {}",
        file.display(),
        plural(series.bins.len() as u64, "minute"),
        plural(report.scrapes, "scrape"),
        plural(report.samples, "sample"),
        instant(series.start_ns)
    );
    let _ = writeln!(out, "{}", wrap(&head, WIDTH, 4));
    if report.restarts > 0 {
        let text = format!(
            "{} fell, and so began anew: a replica restarted",
            plural(report.restarts, "counter")
        );
        say(&mut out, &text);
    }
    for note in &series.notes {
        say(&mut out, note);
    }
    reasons(&mut out, "skipped:", &report.skipped);
    reasons(&mut out, "left out:", &report.left_out);
    out
}
