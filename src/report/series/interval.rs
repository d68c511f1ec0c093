//! What is counted of the requests that ended in an interval.

use crate::fleet::outcome::RequestRow;
use crate::fleet::request::{Outcome, Status};
use crate::measure::{LatencyHistogram, SloMeter};

/// The requests that ended in an interval, of a part of the fleet.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    ended: [u64; Status::COUNT],
    good: u64,
    tokens: (u64, u64),
    ttft: LatencyHistogram,
    tpot: LatencyHistogram,
    e2e: LatencyHistogram,
}

/// The latencies of an answered request, nanoseconds, as a result has them.
struct Times {
    ttft: u64,
    tpot: Option<u64>,
    e2e: u64,
}

fn times(row: &RequestRow) -> Option<Times> {
    let (first, last) = (row.first_token_ns?, row.last_token_ns?);
    let decode = last.saturating_sub(first);
    let steps = u64::from(row.output_tokens.saturating_sub(1));
    Some(Times {
        ttft: first.saturating_sub(row.arrival_ns),
        // The tokens of a single pass have no time between them.
        tpot: (steps > 0 && decode > 0).then(|| (decode + steps / 2) / steps),
        e2e: last.saturating_sub(row.arrival_ns),
    })
}

fn status_of(row: &RequestRow) -> Option<Status> {
    Status::ALL
        .into_iter()
        .find(|status| status.name() == row.status)
}

/// Whether a request was answered within the objective of its tier.
pub(super) fn good(slo: &[SloMeter], row: &RequestRow) -> bool {
    let answered = status_of(row) == Some(Status::Completed);
    let times = times(row).filter(|_| answered);
    let meter = slo.get(usize::from(row.tier));
    meter
        .zip(times)
        .is_some_and(|(meter, it)| meter.is_good(it.ttft, it.tpot, it.e2e))
}

impl Tally {
    /// A request ended.
    pub(super) fn add(&mut self, row: &RequestRow, good: bool) {
        let Some(status) = status_of(row) else { return };
        self.ended[status.index()] += 1;
        self.good += u64::from(good);
        if status != Status::Completed {
            return;
        }
        self.tokens.0 += u64::from(row.prompt_tokens);
        self.tokens.1 += u64::from(row.output_tokens);
        let Some(times) = times(row) else { return };
        self.ttft.record(times.ttft);
        self.e2e.record(times.e2e);
        if let Some(tpot) = times.tpot {
            self.tpot.record(tpot);
        }
    }

    /// Forgets everything, keeping the memory.
    pub(super) fn clear(&mut self) {
        self.ended = [0; Status::COUNT];
        self.good = 0;
        self.tokens = (0, 0);
        for histogram in [&mut self.ttft, &mut self.tpot, &mut self.e2e] {
            if histogram.count() > 0 {
                histogram.clear();
            }
        }
    }

    /// Metrics and their values; quantiles only of what there was.
    pub(super) fn figures(&self, length_s: f64) -> Vec<(&'static str, f64)> {
        let ended = |outcome: Outcome| -> f64 {
            let all = Status::ALL.iter().zip(self.ended);
            let own = all.filter(|(status, _)| status.outcome() == outcome);
            own.map(|(_, count)| count as f64).sum()
        };
        let mut figures = vec![
            ("completed", ended(Outcome::Completed)),
            ("rejected", ended(Outcome::Rejected)),
            ("shed", ended(Outcome::Shed)),
            ("timed_out", ended(Outcome::TimedOut)),
            ("failed", ended(Outcome::Failed)),
            ("cancelled", ended(Outcome::Cancelled)),
            ("good", self.good as f64),
            ("goodput_per_s", self.good as f64 / length_s),
            ("prompt_tokens", self.tokens.0 as f64),
            ("output_tokens", self.tokens.1 as f64),
        ];
        for (histogram, names) in [
            (
                &self.ttft,
                ["ttft_mean_ms", "ttft_p50_ms", "ttft_p90_ms", "ttft_p99_ms"],
            ),
            (
                &self.tpot,
                ["tpot_mean_ms", "tpot_p50_ms", "tpot_p90_ms", "tpot_p99_ms"],
            ),
            (
                &self.e2e,
                ["e2e_mean_ms", "e2e_p50_ms", "e2e_p90_ms", "e2e_p99_ms"],
            ),
        ] {
            let [mean, rest @ ..] = names;
            let ms = |ns: f64| ns / 1e6;
            figures.extend(histogram.mean_ns().map(|ns| (mean, ms(ns))));
            for (name, q) in rest.into_iter().zip([0.5, 0.9, 0.99]) {
                figures.extend(histogram.quantile(q).map(|ns| (name, ms(ns))));
            }
        }
        figures
    }
}
