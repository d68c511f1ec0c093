//! Scrapes of vLLM's metrics, as series.
//!
//! A file holds one scrape after another: the stamp of a scrape is that of its samples, or of a
//! comment before it that ends in one (`# scrape 2026-03-01T12:00:00Z`), or they are a stated time
//! apart. Counters are taken from one scrape to the next, and one that falls began anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::envoy::each_line;
use super::error::ObservedError;
use super::infer::{Inference, Lengths};
use super::input::Input;
use super::intake::Intake;
use super::report::Skips;
use super::scrape::Sample;
use super::series::{MOST_BINS, ObservedBin, ObservedSeries, SeriesSource};
use super::stamp;

/// What reading scrapes found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapeReport {
    /// Scrapes read.
    pub scrapes: u64,
    /// Samples read, of any metric.
    pub samples: u64,
    /// Lines skipped, by reason.
    pub skipped: Skips,
    /// Times that a counter began anew: a replica restarted.
    pub restarts: u64,
    /// The series.
    pub series: ObservedSeries,
}

const TTFT: &str = "vllm:time_to_first_token_seconds";
const E2E: &str = "vllm:e2e_request_latency_seconds";
const SUCCESS: &str = "vllm:request_success_total";
const PROMPT: &str = "vllm:prompt_tokens_total";
const OUTPUT: &str = "vllm:generation_tokens_total";
const RUNNING: &str = "vllm:num_requests_running";
const WAITING: &str = "vllm:num_requests_waiting";
const KV: [&str; 2] = ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"];

/// Reads a file of scrapes into bins of `bin_ns`; scrapes without a stamp are `every_ns` apart.
///
/// # Errors
/// When the file cannot be read, or has fewer than two scrapes with a stamp.
pub fn read_scrapes(
    path: &Path,
    bin_ns: u64,
    every_ns: Option<u64>,
) -> Result<ScrapeReport, ObservedError> {
    read_scrapes_of(Input::open(path)?, bin_ns, every_ns)
}

/// As [`read_scrapes`], from an input that is open.
///
/// # Errors
/// As [`read_scrapes`].
pub fn read_scrapes_of(
    mut input: Input,
    bin_ns: u64,
    every_ns: Option<u64>,
) -> Result<ScrapeReport, ObservedError> {
    let mut reader = Reader::new(bin_ns.max(1), every_ns);
    let lengths = Lengths::new(Inference::default());
    let mut intake = Intake::new(input.place(), 1, lengths, Vec::new());
    each_line(&mut input, &mut intake, |line, intake| {
        if let Some(comment) = line.trim_start().strip_prefix('#') {
            reader.comment(comment, intake);
            return Ok(());
        }
        match Sample::of(line) {
            Some(sample) => reader.sample(&sample, intake),
            None => intake.skip("lines that are no sample", line),
        }
        Ok(())
    })?;
    reader.end_scrape(&mut intake);
    reader.finish(&input, intake)
}

/// Cumulative counts of one histogram of one replica, by upper edge in ns.
type Cumulative = BTreeMap<u64, f64>;

struct Reader {
    bin_ns: u64,
    every_ns: Option<u64>,
    scrapes: u64,
    samples: u64,
    restarts: u64,
    /// Stamp that a comment gave the scrape under way.
    stated_ns: Option<u64>,
    now: Scrape,
    before: Option<(u64, Scrape)>,
    bins: BTreeMap<u64, ObservedBin>,
    gauges: BTreeMap<u64, [(f64, u64); 4]>,
    timeless: u64,
    out_of_order: u64,
    edges_ns: BTreeSet<u64>,
}

/// One scrape.
#[derive(Debug, Default)]
struct Scrape {
    at_ns: Option<u64>,
    seen: BTreeSet<String>,
    /// Counters by metric and labels.
    counters: BTreeMap<(&'static str, String), f64>,
    histograms: BTreeMap<(&'static str, String), Cumulative>,
    sums: BTreeMap<(&'static str, String), f64>,
    /// Gauges: running, waiting, KV usage; sums and numbers of replicas.
    gauges: [(f64, u64); 3],
}

impl Reader {
    fn new(bin_ns: u64, every_ns: Option<u64>) -> Reader {
        Reader {
            bin_ns,
            every_ns,
            scrapes: 0,
            samples: 0,
            restarts: 0,
            stated_ns: None,
            now: Scrape::default(),
            before: None,
            bins: BTreeMap::new(),
            gauges: BTreeMap::new(),
            timeless: 0,
            out_of_order: 0,
            edges_ns: BTreeSet::new(),
        }
    }

    /// A comment may end a scrape, and may say when the next one was.
    fn comment(&mut self, comment: &str, intake: &mut Intake) {
        let comment = comment.trim();
        if comment.starts_with("HELP") || comment.starts_with("TYPE") {
            return;
        }
        let last = comment.split_whitespace().next_back().unwrap_or("");
        let stated = match stamp::iso(last, 0) {
            Ok((ns, _)) => Some(ns),
            Err(_) => stamp::number(last, 9).ok().filter(|ns| *ns > 0),
        };
        if comment == "EOF" || stated.is_some() {
            self.end_scrape(intake);
        }
        if stated.is_some() {
            self.stated_ns = stated;
        }
    }

    fn sample(&mut self, sample: &Sample<'_>, intake: &mut Intake) {
        let identity = format!("{}{{{}}}", sample.name, sample.labels);
        if self.now.seen.contains(&identity) {
            // The same series again: the next scrape.
            self.end_scrape(intake);
        }
        self.now.seen.insert(identity);
        self.samples += 1;
        if let Some(ms) = sample.at_ms {
            self.now.at_ns = ms.checked_mul(1_000_000);
        }
        self.now.take(sample);
    }

    /// Puts what the scrape has into its bin.
    fn end_scrape(&mut self, intake: &mut Intake) {
        if self.now.seen.is_empty() {
            return;
        }
        let now = std::mem::take(&mut self.now);
        let stated = self.stated_ns.take();
        let counted = self
            .every_ns
            .map(|every| every.saturating_mul(self.scrapes));
        let Some(at_ns) = now.at_ns.or(stated).or(counted) else {
            self.timeless += 1;
            intake.skip("scrapes without a stamp", "");
            return;
        };
        self.scrapes += 1;
        let gauges = self.gauges.entry(at_ns / self.bin_ns).or_default();
        for (kept, (sum, replicas)) in gauges.iter_mut().zip(now.gauges) {
            if replicas > 0 {
                kept.0 += sum;
                kept.1 += 1;
            }
        }
        let replicas = now.gauges[0].1.max(now.gauges[2].1);
        if replicas > 0 {
            gauges[3].0 += replicas as f64;
            gauges[3].1 += 1;
        }
        // The share of a cache in use is of each replica: the mean, not the sum.
        if now.gauges[2].1 > 1 {
            gauges[2].0 -= now.gauges[2].0 * (1.0 - 1.0 / now.gauges[2].1 as f64);
        }
        match self.before.take() {
            Some((then_ns, before)) if then_ns < at_ns => {
                self.between(&before, &now, at_ns);
            }
            Some(_) => self.out_of_order += 1,
            None => {}
        }
        self.before = Some((at_ns, now));
    }

    /// What happened between two scrapes counts at the later one.
    fn between(&mut self, before: &Scrape, now: &Scrape, at_ns: u64) {
        let bin = self.bins.entry((at_ns - 1) / self.bin_ns).or_default();
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
            let mut below = (0, 0.0);
            let began_anew = edges
                .iter()
                .any(|(edge, count)| then.get(edge).is_some_and(|it| it > count));
            for (edge, count) in edges {
                let then = then.get(edge).filter(|_| !began_anew);
                let within = count - then.copied().unwrap_or(0.0);
                latencies.add(below.0, *edge, (within - below.1).max(0.0).round() as u64);
                below = (*edge, within);
            }
            self.edges_ns.extend(edges.keys());
            if let (Some(sum), Some(then)) = (now.sums.get(key), before.sums.get(key)) {
                latencies.sum_ns += rise(*then, *sum) * 1e9;
            }
        }
    }

    fn finish(self, input: &Input, intake: Intake) -> Result<ScrapeReport, ObservedError> {
        let places = self.bins.keys().chain(self.gauges.keys());
        let (first, last) = (places.clone().min(), places.max());
        let count = first.zip(last).map(|(first, last)| last - first + 1);
        let fits = count.is_some_and(|it| it <= MOST_BINS as u64);
        let (Some(first), Some(count), true) = (first, count, fits && self.scrapes > 1) else {
            let why = match self.timeless {
                0 => "needs two scrapes of vLLM's metrics with stamps not years apart".to_owned(),
                n => format!("{n} scrapes have no stamp"),
            };
            return Err(ObservedError::Option {
                option: "--scrape-interval",
                value: input.name().clone(),
                why: why.into(),
                remedy: "give samples stamps, put `# scrape 2026-03-01T12:00:00Z` before each \
                         scrape, or state the seconds between them"
                    .into(),
            });
        };
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
        let start_ns = first * self.bin_ns;
        let notes = self.notes();
        Ok(ScrapeReport {
            scrapes: self.scrapes,
            samples: self.samples,
            skipped: intake.skipped,
            restarts: self.restarts,
            series: ObservedSeries {
                source: SeriesSource::Scrapes,
                start_ns,
                bin_ns: self.bin_ns,
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
        if self.out_of_order > 0 {
            notes.push(format!(
                "{} scrapes are not after the one before: nothing is counted between them",
                self.out_of_order
            ));
        }
        notes
    }
}

/// The part of [`SUCCESS`] that was aborted, as a counter of its own.
const SUCCESS_ABORTED: &str = "aborted";
const SUCCESS_FAILED: &str = "failed";

impl Scrape {
    fn take(&mut self, sample: &Sample<'_>) {
        let labels = || sample.labels.to_owned();
        let value = sample.value;
        if !value.is_finite() {
            return;
        }
        match sample.name {
            SUCCESS => {
                let name = match sample.label("finished_reason") {
                    Some("abort") => SUCCESS_ABORTED,
                    Some("error") => SUCCESS_FAILED,
                    _ => SUCCESS,
                };
                self.counters.insert((name, labels()), value);
            }
            PROMPT => {
                self.counters.insert((PROMPT, labels()), value);
            }
            OUTPUT => {
                self.counters.insert((OUTPUT, labels()), value);
            }
            RUNNING => self.gauge(0, value),
            WAITING => self.gauge(1, value),
            name if KV.contains(&name) => self.gauge(2, value),
            name => self.histogram(name, sample),
        }
    }

    fn gauge(&mut self, which: usize, value: f64) {
        self.gauges[which].0 += value;
        self.gauges[which].1 += 1;
    }

    fn histogram(&mut self, name: &str, sample: &Sample<'_>) {
        for metric in [TTFT, E2E] {
            match name.strip_prefix(metric) {
                Some("_bucket") => {
                    let Some(edge) = sample.label("le").and_then(edge_ns) else {
                        return;
                    };
                    let key = (metric, sample.labels_without("le"));
                    let edges = self.histograms.entry(key).or_default();
                    edges.insert(edge, sample.value);
                }
                Some("_sum") => {
                    let key = (metric, sample.labels_without("le"));
                    self.sums.insert(key, sample.value);
                }
                _ => {}
            }
        }
    }
}

/// An upper edge in s, as ns; that of the last bucket is unbounded.
fn edge_ns(text: &str) -> Option<u64> {
    match text {
        "+Inf" => Some(u64::MAX),
        text => stamp::number(text, 9).ok(),
    }
}

/// Adds to a count; what a hostile scrape says is beyond all counts stays at the greatest.
fn add(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}

/// By how much a counter rose; one that fell began anew.
fn rise(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}
