//! Counts and latencies by minute: of requests, or of what a monitor scraped.
//!
//! Everything is counted when it happened, as a monitor sees it: an arrival when it came, a first
//! token when it came, an ending and its duration when it ended. A latency is kept as counts
//! between edges, so that a quantile is a bracket: within 0.8 % from requests, and only between the
//! edges of the monitor's buckets from scrapes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::{Ending, Observed};

/// What series were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeriesSource {
    /// Requests of a log or of a run.
    Requests,
    /// Scrapes of a monitor: the edges of its histograms limit what can be said.
    Scrapes,
}

/// Counts of latencies between edges, ns.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// By upper edge, the lower edge and the count; the upper edge `u64::MAX` is unbounded.
    #[serde(serialize_with = "as_rows")]
    buckets: BTreeMap<u64, (u64, u64)>,
    /// All of them.
    pub count: u64,
    /// Their sum, ns, where known.
    pub sum_ns: f64,
}

/// A quantile between two edges, ns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bracket {
    /// It is at least this.
    pub low_ns: u64,
    /// It is at most this; none where the bucket has no upper edge.
    pub high_ns: Option<u64>,
}

impl Latencies {
    /// Counts one latency, in a bucket at most 1/128 wide.
    pub fn record(&mut self, ns: u64) {
        let (low, high) = edges(ns);
        self.add(low, high, 1);
        self.sum_ns += ns as f64;
    }

    /// Counts so many between two edges.
    pub fn add(&mut self, low_ns: u64, high_ns: u64, count: u64) {
        if count == 0 {
            return;
        }
        let bucket = &mut self.buckets.entry(high_ns).or_insert((low_ns, 0)).1;
        *bucket = bucket.saturating_add(count);
        self.count = self.count.saturating_add(count);
    }

    /// Adds all that others hold.
    pub fn merge(&mut self, other: &Latencies) {
        for (high, (low, count)) in &other.buckets {
            self.add(*low, *high, *count);
        }
        self.sum_ns += other.sum_ns;
    }

    /// The bucket that holds the sample of rank `⌈q·n⌉`; none without samples.
    pub fn quantile(&self, q: f64) -> Option<Bracket> {
        let rank = (q.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0);
        let mut below = 0_u64;
        for (high, (low, count)) in &self.buckets {
            below = below.saturating_add(*count);
            if below as f64 >= rank {
                return Some(Bracket {
                    low_ns: *low,
                    high_ns: (*high < u64::MAX).then_some(*high),
                });
            }
        }
        None
    }

    /// The mean, ns, where the sum is known.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0 && self.sum_ns > 0.0).then(|| self.sum_ns / self.count as f64)
    }

    /// Lower edge, upper edge and count of each bucket that holds something.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        self.buckets
            .iter()
            .map(|(high, (low, n))| (*low, *high, *n))
    }
}

fn as_rows<S: serde::Serializer>(
    buckets: &BTreeMap<u64, (u64, u64)>,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.collect_seq(
        buckets
            .iter()
            .map(|(high, (low, count))| (low, high, count)),
    )
}

/// The edges of the bucket that holds a value: one for each integer below 128, then 128 for each
/// doubling.
fn edges(ns: u64) -> (u64, u64) {
    if ns < 128 {
        return (ns, ns);
    }
    let shift = 63 - ns.leading_zeros() - 7;
    let low = (ns >> shift) << shift;
    (low, low + ((1 << shift) - 1))
}

/// What happened within one bin.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ObservedBin {
    /// Requests that came; none where a monitor does not tell.
    pub arrived: Option<u64>,
    /// Requests that ended, by how, in the order of [`Ending::ALL`]; none where a monitor does not tell.
    pub ended: [Option<u64>; 6],
    /// Tries beyond the first, of the requests that ended; none where nothing tells.
    pub retries: Option<u64>,
    /// Prompt tokens of those that came (of scrapes: that were computed, none where that is not told).
    pub prompt_tokens: Option<u64>,
    /// Output tokens of those that completed (of scrapes: that were generated, none where that is not told).
    pub output_tokens: Option<u64>,
    /// Times to first token, of those that came here.
    pub ttft: Latencies,
    /// Durations of those that completed here.
    pub e2e: Latencies,
    /// Requests being run, mean of the gauge.
    pub running: Option<f64>,
    /// Requests waiting, mean of the gauge.
    pub waiting: Option<f64>,
    /// Share of the KV cache in use, mean of the gauge.
    pub kv_usage: Option<f64>,
    /// Replicas that were scraped.
    pub replicas: Option<f64>,
}

impl ObservedBin {
    /// How many ended so.
    pub fn ended_as(&self, ending: Ending) -> Option<u64> {
        let place = Ending::ALL.iter().position(|it| *it == ending)?;
        self.ended[place]
    }

    /// What requests do not tell of in this bin did not happen in it.
    fn fill(&mut self, with_tries: bool) {
        let counts = [
            &mut self.arrived,
            &mut self.prompt_tokens,
            &mut self.output_tokens,
        ];
        for count in counts.into_iter().chain(&mut self.ended) {
            count.get_or_insert(0);
        }
        if with_tries {
            self.retries.get_or_insert(0);
        }
    }
}

/// Adds to a count, which is told by that. One sample of a scrape is 2^53 at most: no file has enough of
/// them to come to the greatest.
pub(super) fn add(count: &mut Option<u64>, more: u64) {
    *count = Some(count.unwrap_or(0).saturating_add(more));
}

/// Bins of equal width, one after another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservedSeries {
    /// What it was made of.
    pub source: SeriesSource,
    /// When the first bin begins, ns (since 1970 where the log has dates): a multiple of the width.
    pub start_ns: u64,
    /// Width of a bin, ns.
    pub bin_ns: u64,
    /// The bins; none that is empty at the ends.
    pub bins: Vec<ObservedBin>,
    /// What may not be read from it.
    pub notes: Vec<String>,
}

/// The most bins: a minute each, over two years. A log that spans more has a stamp that is wrong.
pub const MOST_BINS: usize = 1 << 20;

/// A minute, ns.
pub const MINUTE_NS: u64 = 60_000_000_000;

/// Makes series of requests as they come, in any order.
#[derive(Debug)]
pub struct SeriesBuilder {
    bin_ns: u64,
    bins: BTreeMap<u64, ObservedBin>,
    with_ttft: u64,
    without_ttft: u64,
    unended: u64,
    /// Requests of which it is told how often they were tried.
    with_tries: u64,
    /// What comes when there are too many bins: it counts for nothing, as there will be no series.
    beyond: Option<ObservedBin>,
}

impl SeriesBuilder {
    /// Bins of this width, ns, 1 or more.
    pub fn new(bin_ns: u64) -> SeriesBuilder {
        SeriesBuilder {
            bin_ns: bin_ns.max(1),
            bins: BTreeMap::new(),
            with_ttft: 0,
            without_ttft: 0,
            unended: 0,
            with_tries: 0,
            beyond: None,
        }
    }

    fn bin(&mut self, ns: u64) -> &mut ObservedBin {
        let place = ns / self.bin_ns;
        if self.bins.len() >= MOST_BINS && !self.bins.contains_key(&place) {
            return self.beyond.insert(ObservedBin::default());
        }
        self.bins.entry(place).or_default()
    }

    /// Counts a request.
    pub fn add(&mut self, request: &Observed) {
        let came = self.bin(request.t_ns);
        add(&mut came.arrived, 1);
        add(&mut came.prompt_tokens, request.prompt.count.into());
        let completed = request.ending == Ending::Completed;
        if let Some(ttft) = request.ttft_ns {
            self.with_ttft += 1;
            self.bin(request.t_ns.saturating_add(ttft))
                .ttft
                .record(ttft);
        } else if completed {
            self.without_ttft += 1;
        }
        if request.e2e_ns.is_none() {
            self.unended += 1;
        }
        self.with_tries += u64::from(request.attempts.is_some());
        let e2e = request.e2e_ns.unwrap_or(0);
        let ended = self.bin(request.t_ns.saturating_add(e2e));
        if let Some(place) = Ending::ALL.iter().position(|it| *it == request.ending) {
            add(&mut ended.ended[place], 1);
        }
        if let Some(attempts) = request.attempts {
            add(&mut ended.retries, attempts.saturating_sub(1).into());
        }
        if completed {
            add(&mut ended.output_tokens, request.output.count.into());
            if request.e2e_ns.is_some() {
                ended.e2e.record(e2e);
            }
        }
    }

    /// The series; none where nothing was counted, or where they would have more than
    /// [`MOST_BINS`].
    pub fn finish(self) -> Option<ObservedSeries> {
        let first = *self.bins.keys().next()?;
        let last = *self.bins.keys().next_back()?;
        let count = usize::try_from(last - first + 1).ok()?;
        if count > MOST_BINS || self.beyond.is_some() {
            return None;
        }
        let mut bins = vec![ObservedBin::default(); count];
        for (place, bin) in self.bins {
            bins[(place - first) as usize] = bin;
        }
        for bin in &mut bins {
            bin.fill(self.with_tries > 0);
        }
        let mut notes = Vec::new();
        if self.without_ttft > 0 {
            notes.push(format!(
                "{} of {} completed requests have no time to first token",
                self.without_ttft,
                self.without_ttft + self.with_ttft
            ));
        }
        if self.unended > 0 {
            notes.push(format!(
                "{} requests have no duration: they are taken to end when they came",
                self.unended
            ));
        }
        Some(ObservedSeries {
            source: SeriesSource::Requests,
            start_ns: first * self.bin_ns,
            bin_ns: self.bin_ns,
            bins,
            notes,
        })
    }
}

impl ObservedSeries {
    /// Series of requests in bins of this width, ns; none where there are none, or where the
    /// bins would be more than [`MOST_BINS`].
    pub fn of_requests<'a>(
        requests: impl IntoIterator<Item = &'a Observed>,
        bin_ns: u64,
    ) -> Option<ObservedSeries> {
        let mut builder = SeriesBuilder::new(bin_ns);
        for request in requests {
            builder.add(request);
        }
        builder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_brackets_that_hold_the_sample() {
        let mut latencies = Latencies::default();
        for ns in (1..=1000_u64).map(|it| it * 1_000_003) {
            latencies.record(ns);
        }
        for (q, rank) in [(0.0, 1_u64), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let ns = rank * 1_000_003;
            let at = latencies.quantile(q).unwrap();
            assert!(at.low_ns <= ns && ns <= at.high_ns.unwrap(), "{q}");
            assert!(at.high_ns.unwrap() as f64 <= at.low_ns as f64 * 1.008);
        }
        assert_eq!(edges(127), (127, 127));
        assert_eq!(edges(u64::MAX).1, u64::MAX);
        assert!(Latencies::default().quantile(0.5).is_none());
    }
}
