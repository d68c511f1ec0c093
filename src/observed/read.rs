//! Reading a log: from a file to requests by arrival.

use std::collections::BTreeMap;
use std::path::Path;

use super::access::Rules;
use super::attempt::Attempt;
use super::error::ObservedError;
use super::format::ObservedFormat;
use super::infer::{Inference, Lengths};
use super::input::Input;
use super::intake::{Intake, Skew};
use super::join::{Joiner, Limits};
use super::record::Observed;
use super::report::ReadReport;
use super::sort::Sorter;
use super::template::{ENVOY_DEFAULT, Template};
use super::{alb, bare, bench, envoy, litellm, otlp, rows, vllm_bench, weka};
use crate::trace::error::shorten;
use crate::trace::{RecordReader, TraceError};

/// How to read a log.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Its format, instead of finding it from the content.
    pub format: Option<ObservedFormat>,
    /// The format string of an access log, Envoy's or nginx's, instead of the default one.
    pub log_format: Option<String>,
    /// Which lines of an access log count, and where stamps without a zone were written.
    pub rules: Rules,
    /// Clocks that are known to be ahead or behind.
    pub skews: Vec<Skew>,
    /// How to infer lengths that the log does not have.
    pub inference: Inference,
    /// How long after a try ended another one of the same id is still its retry, ns; 0 joins none.
    pub retry_window_ns: u64,
    /// How long after a conversation the next one begins, where a format tells only times within
    /// conversations, ns.
    pub conversations_every_ns: u64,
    /// Records that are held in memory to be sorted; more are sorted on disk.
    pub most_held: usize,
    /// Bytes that they may take, near enough; as many are held of requests that are over and wait
    /// for one before them that is not, and more wait on disk.
    pub most_held_bytes: usize,
    /// Bytes of requests that are under way or wait for another try; a log with more at once is
    /// refused.
    pub most_open_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            format: None,
            log_format: None,
            rules: Rules::default(),
            skews: Vec::new(),
            inference: Inference::default(),
            retry_window_ns: 60_000_000_000,
            conversations_every_ns: 60_000_000_000,
            most_held: 50_000,
            most_held_bytes: 32 << 20,
            most_open_bytes: 256 << 20,
        }
    }
}

/// Reads a log and hands its requests to `sink` by arrival.
///
/// # Errors
/// [`ObservedError`]: the file cannot be read, is in no known format, holds no request, or has no
/// lengths while nothing says how to infer them. What is wrong with single records is counted in
/// the report instead. Errors of `sink` come back as they are.
pub fn read(
    path: &Path,
    options: &ReadOptions,
    sink: &mut dyn FnMut(Observed) -> Result<(), ObservedError>,
) -> Result<ReadReport, ObservedError> {
    read_input(Input::open(path)?, path, options, sink)
}

/// Reads all requests of a log, with what reading found.
///
/// # Errors
/// As [`read()`].
pub fn read_all(
    path: &Path,
    options: &ReadOptions,
) -> Result<(Vec<Observed>, ReadReport), ObservedError> {
    let mut all = Vec::new();
    let report = read(path, options, &mut |request| {
        all.push(request);
        Ok(())
    })?;
    Ok((all, report))
}

/// As [`read()`], from an input that is already open; `path` is opened again by formats that are
/// not read as a stream.
///
/// # Errors
/// As [`read()`].
pub fn read_input(
    mut input: Input,
    path: &Path,
    options: &ReadOptions,
    sink: &mut dyn FnMut(Observed) -> Result<(), ObservedError>,
) -> Result<ReadReport, ObservedError> {
    let format = format_of(&input, path, options)?;
    let lengths = Lengths::new(options.inference.clone());
    let skews = options.skews.clone();
    let sorter = Sorter::new(options.most_held, options.most_held_bytes);
    let mut intake = Intake::new(input.place(), sorter, lengths, skews);
    take_in(&mut input, path, format, options, &mut intake)?;
    intake.check_skews()?;
    hand_out(&input, format, options, intake, sink)
}

/// The format that a file is in: that of `options`, or what its content shows.
///
/// # Errors
/// When it cannot be read, or is in no known format.
pub fn detect(path: &Path, options: &ReadOptions) -> Result<ObservedFormat, ObservedError> {
    format_of(&Input::open(path)?, path, options)
}

/// The format that was asked for, or that the content shows.
fn format_of(
    input: &Input,
    path: &Path,
    options: &ReadOptions,
) -> Result<ObservedFormat, ObservedError> {
    let stated = options.log_format.as_deref().map(|text| {
        if text.contains('%') {
            ObservedFormat::Envoy
        } else {
            ObservedFormat::Nginx
        }
    });
    let found = options.format.or(stated);
    let found = found.or_else(|| ObservedFormat::of_head(input.head()));
    if let Some(found) = found {
        return Ok(found);
    }
    let json = input.head().trim_ascii_start().first();
    let json = json.is_some_and(|byte| matches!(byte, b'{' | b'['));
    match RecordReader::open(path, None) {
        // It takes all JSON for the one format of traces that is JSON.
        Ok(_) if json => {}
        Ok(reader) => return Ok(ObservedFormat::Trace(reader.format())),
        Err(TraceError::UnknownFormat { .. } | TraceError::NotFound { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let text = String::from_utf8_lossy(input.head());
    let first = text.lines().find(|line| !line.trim().is_empty());
    Err(ObservedError::UnknownFormat {
        path: input.name().clone(),
        first: shorten(first.unwrap_or("")),
        known: ObservedFormat::known().into(),
    })
}

/// Reads all records.
fn take_in(
    input: &mut Input,
    path: &Path,
    format: ObservedFormat,
    options: &ReadOptions,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    use ObservedFormat as F;
    let rules = &options.rules;
    match format {
        F::Otlp => otlp::read(input, intake),
        F::OtelFlat => otlp::read_flat(input, rules.offset_s, intake),
        F::Envoy | F::Nginx => {
            let default = match format {
                F::Envoy => ENVOY_DEFAULT,
                _ => envoy::nginx_template(input.head()),
            };
            let text = options.log_format.as_deref().unwrap_or(default);
            let template = Template::new(text).map_err(|why| ObservedError::Option {
                option: "--log-format",
                value: shorten(text),
                why: why.into(),
                remedy: "write it as in the configuration of Envoy or nginx".into(),
            })?;
            if !template.tells_first_byte() {
                intake.note(envoy::NO_FIRST_TOKEN);
            }
            if !template.tells_ending() {
                intake.note(envoy::NO_ENDING);
            }
            if format == F::Nginx {
                intake.resolution = Some(template.resolution_of_ends());
            }
            envoy::read(input, &template, rules, intake)
        }
        F::EnvoyJson => envoy::read_json(input, rules, intake),
        F::Alb => {
            intake.note(envoy::NO_FIRST_TOKEN);
            alb::read(input, rules, intake)
        }
        F::LiteLlm => litellm::read(input, rules.offset_s, intake),
        F::AiPerf => bench::read_aiperf(input, intake),
        F::GuideLlm => bench::read_guidellm(input, intake),
        F::VllmBench => vllm_bench::read(input, intake),
        F::Weka => weka::read(input, options.conversations_every_ns, intake),
        F::Requests => rows::read(input, path, intake),
        F::Trace(format) => bare::read(path, Some(format), intake),
        F::Prometheus => Err(ObservedError::Scrapes {
            path: input.name().clone(),
            detail: "they have counts, not requests".into(),
            remedy: "give a log of requests; what a monitor saw is read by `trace import --series FILE` and \
                     `replay --observed-series FILE`",
        }),
    }
}

/// Joins, infers and hands over.
fn hand_out(
    input: &Input,
    format: ObservedFormat,
    options: &ReadOptions,
    intake: Intake,
    sink: &mut dyn FnMut(Observed) -> Result<(), ObservedError>,
) -> Result<ReadReport, ObservedError> {
    let zone = zone_of(intake.zones, options.rules.offset_s);
    let numbers = intake.zones == [0; 2];
    let Intake {
        read,
        skipped,
        left_out,
        codes,
        out_of_order,
        sorter,
        lengths,
        notes,
        resolution,
        ..
    } = intake;
    let mut out = Out {
        report: ReadReport {
            format,
            resolution: resolution.unwrap_or_else(|| format.resolution()),
            read,
            requests: 0,
            skipped,
            left_out,
            endings: BTreeMap::new(),
            codes,
            prompt: lengths.prompt,
            output: lengths.output,
            with_ttft: 0,
            with_e2e: 0,
            zone,
            notes,
            joined: super::report::Joined::default(),
            skew: Vec::new(),
            out_of_order,
            runs_on_disk: sorter.written,
            first_ns: 0,
            last_ns: 0,
        },
        numbers,
        lengths,
        sink,
    };
    let limits = Limits {
        held: options.most_held,
        held_bytes: options.most_held_bytes,
        open_bytes: options.most_open_bytes,
    };
    let mut joiner = Joiner::new(input.name().clone(), options.retry_window_ns, limits);
    for attempt in sorter.finish()? {
        joiner.push(attempt?)?;
        while let Some(request) = joiner.pop()? {
            out.give(request)?;
        }
    }
    joiner.finish()?;
    while let Some(request) = joiner.pop()? {
        out.give(request)?;
    }
    out.finish(input, &joiner)
}

/// Requests on their way out.
struct Out<'a> {
    report: ReadReport,
    /// Whether all stamps are numbers.
    numbers: bool,
    lengths: Lengths,
    sink: &'a mut dyn FnMut(Observed) -> Result<(), ObservedError>,
}

impl Out<'_> {
    fn give(&mut self, attempt: Attempt) -> Result<(), ObservedError> {
        let (prompt, output) = (self.lengths.prompt(&attempt), self.lengths.output(&attempt));
        let since = |ns: Option<u64>| ns.and_then(|ns| ns.checked_sub(attempt.start_ns));
        let (ttft_ns, e2e_ns) = (since(attempt.first_token_ns), since(attempt.end_ns));
        let report = &mut self.report;
        if report.requests == 0 {
            report.first_ns = attempt.start_ns;
        }
        report.last_ns = attempt.start_ns;
        report.requests += 1;
        report.with_ttft += u64::from(ttft_ns.is_some());
        report.with_e2e += u64::from(e2e_ns.is_some());
        *report.endings.entry(attempt.ending.name()).or_default() += 1;
        // Without lengths there is no request to offer; the count of them ends the reading.
        if prompt.count == 0 || output.count == 0 {
            return Ok(());
        }
        (self.sink)(Observed {
            t_ns: attempt.start_ns,
            ending: attempt.ending,
            prompt,
            output,
            cached_tokens: attempt.cached,
            ttft_ns,
            e2e_ns,
            // Tries that were joined are told, whatever their records say.
            attempts: (attempt.attempts_told || attempt.attempts > 1).then_some(attempt.attempts),
            tenant: attempt.tenant.map(String::from),
            session: attempt.session.map(String::from),
            model: attempt.model.map(String::from),
            blocks: attempt.blocks,
        })
    }

    fn finish(mut self, input: &Input, joiner: &Joiner) -> Result<ReadReport, ObservedError> {
        let path = input.name().clone();
        if self.report.requests == 0 {
            let reasons = match self.report.read {
                0 => ": there is none".to_owned(),
                _ => format!(", all skipped ({})", self.report.skipped.told()),
            };
            return Err(ObservedError::Nothing {
                path,
                format: self.report.format.name(),
                records: self.report.read,
                reasons: reasons.into(),
            });
        }
        let kinds = [
            ("prompt", "--prompt-tokens LAW"),
            ("output", "--output-tokens LAW"),
        ];
        let missing = self.lengths.missing.into_iter().zip(self.lengths.saw_bytes);
        for ((what, option), (count, saw_bytes)) in kinds.into_iter().zip(missing) {
            if count > 0 {
                return Err(ObservedError::NoTokens {
                    path,
                    what,
                    count,
                    // Only an access log has bytes to count, and not each of both sides.
                    remedy: match saw_bytes {
                        true => "--bytes-per-token BYTES, or ",
                        false => "",
                    },
                    option,
                });
            }
        }
        self.report.prompt = self.lengths.prompt;
        self.report.output = self.lengths.output;
        // Before 1971, a number is the time since some zero.
        const YEAR_NS: u64 = 31_536_000_000_000_000;
        if self.numbers && self.report.first_ns < YEAR_NS {
            self.report.zone = "stamps are numbers of the log's own clock".to_owned();
        }
        self.report.joined = joiner.joined;
        self.report.skew = joiner.skews.estimates();
        if joiner.alike > 0 {
            self.report.notes.push(format!(
                "{} records are just like one before, with times to the second: they count as \
                 tries; an id of each line would tell which of them were delivered twice \
                 ($request_id, or $msec for the time)",
                joiner.alike
            ));
        }
        if joiner.skews.uncompared > 0 {
            self.report.notes.push(format!(
                "{} pairs of spans are of services beyond the first 256 pairs of them: their \
                 clocks are not compared",
                joiner.skews.uncompared
            ));
        }
        Ok(self.report)
    }
}

/// How stamps were taken for UTC.
pub(super) fn zone_of([zoned, zoneless]: [u64; 2], offset_s: i32) -> String {
    let sign = if offset_s < 0 { '-' } else { '+' };
    let minutes = offset_s.abs() / 60;
    let offset = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    match (zoned, zoneless) {
        (0, 0) => "stamps are numbers, in UTC".to_owned(),
        (_, 0) => "stamps have a zone".to_owned(),
        _ => format!(
            "stamps without a zone: {zoneless}, taken for {offset} (`trace import --utc-offset`)"
        ),
    }
}
