//! Scrapes of vLLM's metrics, as series.
//!
//! A file holds one scrape after another: the stamp of a scrape is that of its samples, or of a
//! comment before it that ends in one (`# scrape 2026-03-01T12:00:00Z`), or they are a stated time
//! apart. Counters are taken from one scrape to the next, and one that falls began anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::envoy::each_line_and_end;
use super::error::ObservedError;
use super::infer::{Inference, Lengths};
use super::input::Input;
use super::intake::Intake;
use super::read::zone_of;
use super::report::Skips;
use super::rises::{rise, rises};
use super::scrape::Sample;
use super::series::{MOST_BINS, ObservedBin, ObservedSeries, SeriesSource, add};
use super::snapshot::{OUTPUT, PROMPT, SUCCESS_ABORTED, SUCCESS_FAILED, Snapshot, TTFT};
use super::sort::Sorter;
use super::stamp;
use crate::trace::error::Text;

/// How to read scrapes.
#[derive(Debug, Clone)]
pub struct ScrapeOptions {
    /// Width of a bin of the series, ns, 1 or more.
    pub bin_ns: u64,
    /// How far scrapes without a stamp are apart, ns; none leaves them out.
    pub every_ns: Option<u64>,
    /// Where stamps without a zone were written, s east of UTC.
    pub offset_s: i32,
}

/// What reading scrapes found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapeReport {
    /// Scrapes read.
    pub scrapes: u64,
    /// Samples read, of any metric.
    pub samples: u64,
    /// Lines and samples skipped, by reason.
    pub skipped: Skips,
    /// Values left out of scrapes that were kept, by reason.
    pub left_out: Skips,
    /// Times that a counter began anew: a replica restarted.
    pub restarts: u64,
    /// The series.
    pub series: ObservedSeries,
}

/// The most that one scrape may take in memory, bytes: some 200,000 series.
const MOST_SCRAPE_BYTES: usize = 64 << 20;
/// Stamps below this, of 12 January 1970, are those of a clock of their own.
const DATES_FROM_NS: u64 = 1_000_000_000_000_000;

/// Reads a file of scrapes into bins.
///
/// # Errors
/// When the file cannot be read, has fewer than two scrapes with a stamp, or one that does not fit
/// in memory.
pub fn read_scrapes(path: &Path, options: &ScrapeOptions) -> Result<ScrapeReport, ObservedError> {
    read_scrapes_of(Input::open(path)?, options)
}

/// As [`read_scrapes`], from an input that is open.
///
/// # Errors
/// As [`read_scrapes`].
pub fn read_scrapes_of(
    mut input: Input,
    options: &ScrapeOptions,
) -> Result<ScrapeReport, ObservedError> {
    let mut reader = Reader::new(input.name().clone(), options);
    let lengths = Lengths::new(Inference::default());
    let mut intake = Intake::new(input.place(), Sorter::new(1, 0), lengths, Vec::new());
    each_line_and_end(&mut input, &mut intake, |line, has_end, intake| {
        if !has_end {
            // The format demands one; without it, the value may be cut short.
            intake.skip("last lines without an end: they may be cut short", line);
            return Ok(());
        }
        if let Some(comment) = line.trim_start().strip_prefix('#') {
            return reader.comment(comment, intake);
        }
        match Sample::of(line) {
            Some(sample) => reader.sample(&sample, intake),
            None => {
                intake.skip("lines that are no sample", line);
                Ok(())
            }
        }
    })?;
    reader.end_scrape(&mut intake)?;
    reader.finish(intake)
}

struct Reader {
    name: Text,
    options: ScrapeOptions,
    scrapes: u64,
    samples: u64,
    restarts: u64,
    /// Stamp that a comment gave the scrape under way.
    stated_ns: Option<u64>,
    now: Snapshot,
    before: Option<(u64, Snapshot)>,
    bins: BTreeMap<u64, ObservedBin>,
    /// Running, waiting, KV usage and replicas of each bin: sums, and of how many scrapes.
    gauges: BTreeMap<u64, [(f64, u64); 4]>,
    timeless: u64,
    out_of_order: u64,
    told_twice: u64,
    /// Whether samples have stamps that are of no date.
    own_clock: bool,
    edges_ns: BTreeSet<u64>,
}

impl Reader {
    fn new(name: Text, options: &ScrapeOptions) -> Reader {
        Reader {
            name,
            options: ScrapeOptions {
                bin_ns: options.bin_ns.max(1),
                ..options.clone()
            },
            scrapes: 0,
            samples: 0,
            restarts: 0,
            stated_ns: None,
            now: Snapshot::default(),
            before: None,
            bins: BTreeMap::new(),
            gauges: BTreeMap::new(),
            timeless: 0,
            out_of_order: 0,
            told_twice: 0,
            own_clock: false,
            edges_ns: BTreeSet::new(),
        }
    }

    /// A comment may end a scrape, and may say when the next one was: `# scrape 1772366400`, or any
    /// that ends in a date and time.
    fn comment(&mut self, comment: &str, intake: &mut Intake) -> Result<(), ObservedError> {
        let comment = comment.trim();
        if comment.starts_with("HELP") || comment.starts_with("TYPE") {
            return Ok(());
        }
        let last = comment.split_whitespace().next_back().unwrap_or("");
        let stated = match stamp::iso(last, self.options.offset_s) {
            Ok((ns, zoned)) => {
                intake.saw_zone(zoned);
                Some(ns)
            }
            Err(_) if comment.starts_with("scrape") => {
                let stated = stamp::number(last, 9).ok().filter(|ns| *ns > 0);
                if stated.is_none() && last != "scrape" {
                    intake.leave_out("stamps of scrapes that are no time", last);
                }
                stated
            }
            Err(_) => None,
        };
        if comment == "EOF" || stated.is_some() {
            self.end_scrape(intake)?;
        }
        if stated.is_some() {
            self.stated_ns = stated;
        }
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>, intake: &mut Intake) -> Result<(), ObservedError> {
        if self.now.knows(sample) {
            // The same series again: the next scrape.
            self.end_scrape(intake)?;
            self.now.knows(sample);
        }
        if self.now.bytes > MOST_SCRAPE_BYTES {
            return Err(ObservedError::TooLarge {
                path: self.name.clone(),
                line: intake.place_now().line,
                what: "scrape",
                limit: "64 MiB of series",
                remedy: "keep only vLLM's metrics (grep '^vllm:'), or begin each scrape with \
                         `# scrape` and its time",
            });
        }
        self.samples += 1;
        self.own_clock |= sample.at_ns.is_some_and(|ns| ns < DATES_FROM_NS);
        self.now.at_ns = sample.at_ns.or(self.now.at_ns);
        if let Err(reason) = self.now.take(sample) {
            intake.skip(reason, &format!("{} {}", sample.name, sample.value));
        }
        Ok(())
    }

    /// Puts what the scrape has into its bin.
    fn end_scrape(&mut self, intake: &mut Intake) -> Result<(), ObservedError> {
        if self.now.is_empty() {
            return Ok(());
        }
        let now = std::mem::take(&mut self.now);
        let stated = self.stated_ns.take();
        let every = self.options.every_ns;
        let counted = every.and_then(|every| every.checked_mul(self.scrapes));
        let Some(at_ns) = now.at_ns.or(stated).or(counted) else {
            self.timeless += 1;
            intake.skip("scrapes without a stamp", "");
            return Ok(());
        };
        self.scrapes += 1;
        self.told_twice += u64::from(now.told_twice);
        let [running, waiting] = now.gauges.map(|(sum, of)| (of > 0).then_some(sum));
        let replicas = Some(now.replicas() as f64).filter(|it| *it > 0.0);
        let told = [running, waiting, now.kv_usage(), replicas];
        let gauges = self.gauges.entry(at_ns / self.options.bin_ns).or_default();
        for (kept, told) in gauges.iter_mut().zip(told) {
            if let Some(told) = told {
                kept.0 += told;
                kept.1 += 1;
            }
        }
        match self.before.take() {
            Some((then_ns, before)) if then_ns < at_ns => {
                self.between(&before, &now, at_ns, intake);
            }
            Some(_) => self.out_of_order += 1,
            None => {}
        }
        self.before = Some((at_ns, now));
        match self.gauges.len().max(self.bins.len()) > MOST_BINS {
            true => Err(self.too_long()),
            false => Ok(()),
        }
    }

    /// What happened between two scrapes counts at the later one.
    fn between(&mut self, before: &Snapshot, now: &Snapshot, at_ns: u64, intake: &mut Intake) {
        let place = (at_ns - 1) / self.options.bin_ns;
        let bin = self.bins.entry(place).or_default();
        for (key, value) in &now.counters {
            let Some(then) = before.counters.get(key) else {
                continue;
            };
            self.restarts += u64::from(value < then);
            let count = rise(*then, *value).round() as u64;
            match key.0 {
                PROMPT => add(&mut bin.prompt_tokens, count),
                OUTPUT => add(&mut bin.output_tokens, count),
                SUCCESS_ABORTED => add(&mut bin.ended[5], count),
                SUCCESS_FAILED => add(&mut bin.ended[4], count),
                _ => add(&mut bin.ended[0], count),
            }
        }
        for (key, edges) in &now.histograms {
            let Some(then) = before.histograms.get(key) else {
                continue;
            };
            let latencies = match key.0 {
                TTFT => &mut bin.ttft,
                _ => &mut bin.e2e,
            };
            rises(latencies, then, edges, &mut self.edges_ns, intake);
            if let (Some(sum), Some(then)) = (now.sums.get(key), before.sums.get(key)) {
                latencies.sum_ns += rise(*then, *sum) * 1e9;
            }
        }
    }

    /// Why there is no series of them; in the words of any command that reads scrapes.
    fn refuse(&self, detail: String, remedy: &'static str) -> ObservedError {
        ObservedError::Scrapes {
            path: self.name.clone(),
            detail: detail.into(),
            remedy,
        }
    }

    fn too_long(&self) -> ObservedError {
        let bin_s = self.options.bin_ns as f64 / 1e9;
        self.refuse(
            format!("they span more than {MOST_BINS} bins of {bin_s} s, the most that are kept"),
            "check their stamps, or give a shorter part of them",
        )
    }

    fn finish(self, intake: Intake) -> Result<ScrapeReport, ObservedError> {
        let places = self.bins.keys().chain(self.gauges.keys());
        let (first, last) = (places.clone().min(), places.max());
        let count = first.zip(last).map(|(first, last)| last - first + 1);
        let (Some(first), Some(count), true) = (first, count, self.scrapes > 1) else {
            let (scrapes, timeless) = (self.scrapes, self.timeless);
            return Err(self.refuse(
                format!(
                    "two scrapes of vLLM's metrics with a time are needed: there are {scrapes}, and \
                     {timeless} without a time"
                ),
                "give samples stamps, put `# scrape 2026-03-01T12:00:00Z` before each scrape, or \
                 state the seconds between them to `trace import --series FILE --scrape-interval-s \
                 SECONDS`",
            ));
        };
        if count > MOST_BINS as u64 {
            return Err(self.too_long());
        }
        let mut bins = vec![ObservedBin::default(); count as usize];
        for (place, bin) in &self.bins {
            bins[(place - first) as usize] = bin.clone();
        }
        for (place, gauges) in &self.gauges {
            let bin = &mut bins[(place - first) as usize];
            let mean = |(sum, count): (f64, u64)| (count > 0).then(|| sum / count as f64);
            bin.running = mean(gauges[0]);
            bin.waiting = mean(gauges[1]);
            bin.kv_usage = mean(gauges[2]);
            bin.replicas = mean(gauges[3]);
        }
        let start_ns = first * self.options.bin_ns;
        let mut notes = self.notes();
        if self.own_clock {
            notes.push(
                "stamps of samples are of no date: those without a fraction are taken for ms, \
                 others for s"
                    .to_owned(),
            );
        }
        if intake.zones[1] > 0 {
            notes.push(zone_of(intake.zones, self.options.offset_s));
        }
        Ok(ScrapeReport {
            scrapes: self.scrapes,
            samples: self.samples,
            skipped: intake.skipped,
            left_out: intake.left_out,
            restarts: self.restarts,
            series: ObservedSeries {
                source: SeriesSource::Scrapes,
                start_ns,
                bin_ns: self.options.bin_ns,
                bins,
                notes,
            },
        })
    }

    /// What may not be read from these series.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "scrapes tell no arrivals, and of errors only what vLLM aborted: requests that never \
             came to it are in no counter"
                .to_owned(),
            "what happened between two scrapes is counted at the later one".to_owned(),
        ];
        let least = self.edges_ns.iter().find(|edge| **edge > 0);
        if let Some(least) = least {
            notes.push(format!(
                "a quantile lies only between two edges of the histogram; the first is {} ms, so \
                 nothing shorter can be told apart",
                *least as f64 / 1e6
            ));
        }
        if self.told_twice > 0 {
            notes.push(format!(
                "{} scrapes tell the use of the KV cache by both of its names: the newer one counts",
                self.told_twice
            ));
        }
        if self.out_of_order > 0 {
            notes.push(format!(
                "{} scrapes are not after the one before: nothing is counted between them",
                self.out_of_order
            ));
        }
        notes
    }
}
