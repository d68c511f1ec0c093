//! Where the end-to-end latency goes, on the mean and at the 99th percentile.

use serde::Serialize;

use super::buckets::bucket_of;
use super::histogram::round_ms;

/// A part of the end-to-end latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// On the wires.
    Network,
    /// In the gateway.
    Gateway,
    /// Held by a request window or limit.
    Window,
    /// In an engine's queue.
    Queue,
    /// Computing the prompt.
    Prefill,
    /// From the first token to the last.
    Decode,
    /// In attempts that failed, and in waiting to try again.
    Retry,
}

impl Part {
    /// How many parts there are.
    pub const COUNT: usize = 7;

    /// All parts in order.
    pub const ALL: [Part; Part::COUNT] = [
        Part::Network,
        Part::Gateway,
        Part::Window,
        Part::Queue,
        Part::Prefill,
        Part::Decode,
        Part::Retry,
    ];

    /// The name of the part in reports.
    pub fn name(self) -> &'static str {
        match self {
            Part::Network => "network",
            Part::Gateway => "gateway",
            Part::Window => "window",
            Part::Queue => "queue",
            Part::Prefill => "prefill",
            Part::Decode => "decode",
            Part::Retry => "retry",
        }
    }
}

/// The quantile at which the budget is split up.
const AT: f64 = 0.99;
/// Requests below which there is no budget at that quantile: none would lie beyond it.
const LEAST: u64 = 100;
/// Requests that the band about the quantile holds at least ...
const BAND: u64 = 20;
/// ... and one in so many of all requests.
const BAND_SHARE: u64 = 500;

/// Marks a bucket without requests.
const EMPTY: u16 = u16::MAX;

/// The parts of the requests whose latency lies in one bucket.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    count: u64,
    sums: [u128; Part::COUNT],
}

impl Cell {
    fn add(&mut self, other: &Cell) {
        self.count += other.count;
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum += more;
        }
    }

    fn mean_ms(&self, part: usize) -> Option<f64> {
        (self.count > 0).then(|| round_ms(self.sums[part] as f64 / self.count as f64))
    }
}

/// The latency budget of completed requests: how much of the end-to-end latency each part takes.
///
/// Sums of the parts are kept by bucket of the latency (under 0.8 % wide), for the buckets that
/// hold a request: 128 bytes each, 1 MB at most.
#[derive(Debug, Clone, Default)]
pub struct LatencyBudget {
    /// For each bucket, which cell it has.
    slots: Vec<u16>,
    cells: Vec<Cell>,
}

/// One part in a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetRow {
    /// Name of the part.
    pub part: &'static str,
    /// Mean over all requests in ms, to the nearest ns; none without requests.
    pub mean_ms: Option<f64>,
    /// Mean in ms over the requests whose latency lies about the 99th percentile; none with
    /// fewer than 100 requests.
    pub at_p99_ms: Option<f64>,
}

impl LatencyBudget {
    /// No requests.
    pub fn new() -> LatencyBudget {
        LatencyBudget::default()
    }

    /// Records a completed request: its end-to-end latency in ns, and its parts in ns in the
    /// order of [`Part::ALL`], which sum to it.
    #[inline]
    pub fn record(&mut self, e2e_ns: u64, parts_ns: &[u64; Part::COUNT]) {
        debug_assert_eq!(
            parts_ns.iter().map(|&part| u128::from(part)).sum::<u128>(),
            u128::from(e2e_ns),
            "parts do not sum to the latency"
        );
        let cell = self.cell(bucket_of(e2e_ns));
        cell.count += 1;
        for (sum, &part) in cell.sums.iter_mut().zip(parts_ns) {
            *sum += u128::from(part);
        }
    }

    /// Adds all that `other` holds: the same as recording its requests here.
    pub fn merge(&mut self, other: &LatencyBudget) {
        for (bucket, cell) in other.filled() {
            self.cell(bucket).add(cell);
        }
    }

    /// Requests recorded.
    pub fn count(&self) -> u64 {
        self.cells.iter().map(|cell| cell.count).sum()
    }

    /// Sums of the parts in ns over all requests, in the order of [`Part::ALL`].
    pub fn totals_ns(&self) -> [u128; Part::COUNT] {
        self.total().sums
    }

    /// The parts in the order of [`Part::ALL`].
    ///
    /// "At p99" is the mean over a band of latencies about the 99th percentile: its bucket, and
    /// the nearest ones on both sides until they hold 20 requests and 0.2 % of all.
    pub fn rows(&self) -> Vec<BudgetRow> {
        let total = self.total();
        let band = self.band(AT);
        Part::ALL
            .iter()
            .enumerate()
            .map(|(index, part)| BudgetRow {
                part: part.name(),
                mean_ms: total.mean_ms(index),
                at_p99_ms: band.as_ref().and_then(|band| band.mean_ms(index)),
            })
            .collect()
    }

    /// The parts about a quantile, 0 to 1, in the order of [`Part::ALL`]: means in milliseconds over
    /// the requests whose latency lies about it; none with fewer than 100 requests.
    pub fn at_ms(&self, quantile: f64) -> Option<[f64; Part::COUNT]> {
        let band = self.band(quantile)?;
        let mut means = [0.0; Part::COUNT];
        for (part, mean) in means.iter_mut().enumerate() {
            *mean = band.mean_ms(part)?;
        }
        Some(means)
    }

    #[inline]
    fn cell(&mut self, bucket: u16) -> &mut Cell {
        let bucket = usize::from(bucket);
        if bucket >= self.slots.len() {
            self.slots.resize(bucket + 1, EMPTY);
        }
        if self.slots[bucket] == EMPTY {
            // There are fewer buckets than slots have values.
            self.slots[bucket] = self.cells.len() as u16;
            self.cells.push(Cell::default());
        }
        &mut self.cells[usize::from(self.slots[bucket])]
    }

    /// Buckets that hold a request, in order, with their cells.
    fn filled(&self) -> impl Iterator<Item = (u16, &Cell)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|&(_, &slot)| slot != EMPTY)
            .map(|(bucket, &slot)| (bucket as u16, &self.cells[usize::from(slot)]))
    }

    fn total(&self) -> Cell {
        let mut total = Cell::default();
        for cell in &self.cells {
            total.add(cell);
        }
        total
    }

    /// All requests in the band about a quantile.
    fn band(&self, quantile: f64) -> Option<Cell> {
        let count = self.count();
        if count < LEAST {
            return None;
        }
        let filled: Vec<(u16, &Cell)> = self.filled().collect();
        let rank = (quantile * count as f64 * (1.0 - 1e-13)).ceil() as u64;
        let mut reached = 0;
        let at = filled.iter().position(|(_, cell)| {
            reached += cell.count;
            reached >= rank
        })?;
        let wanted = BAND.max(count.div_ceil(BAND_SHARE));
        let centre = filled[at].0;
        let mut band = *filled[at].1;
        let mut below = filled[..at].iter().rev().peekable();
        let mut above = filled[at + 1..].iter().peekable();
        while band.count < wanted {
            let down = below.peek().map(|(bucket, _)| centre - bucket);
            let up = above.peek().map(|(bucket, _)| bucket - centre);
            let next = match (down, up) {
                (Some(down), Some(up)) if down < up => below.next(),
                (Some(_), None) => below.next(),
                _ => above.next(),
            };
            band.add(next?.1);
        }
        Some(band)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at_p99(budget: &LatencyBudget, part: Part) -> f64 {
        budget.rows()[part as usize].at_p99_ms.unwrap()
    }

    #[test]
    fn parts_are_named_in_order() {
        let names: Vec<&str> = Part::ALL.iter().map(|part| part.name()).collect();
        assert_eq!(
            names,
            [
                "network", "gateway", "window", "queue", "prefill", "decode", "retry"
            ]
        );
        for (index, part) in Part::ALL.iter().enumerate() {
            assert_eq!(*part as usize, index);
        }
    }

    #[test]
    fn nothing_recorded_says_nothing() {
        let budget = LatencyBudget::new();
        assert_eq!(budget.rows().len(), 7);
        assert!(budget.rows().iter().all(|row| row.mean_ms.is_none()));
        assert_eq!(budget.totals_ns(), [0; 7]);
    }

    #[test]
    fn the_tail_has_its_own_budget() {
        let mut budget = LatencyBudget::new();
        // 97 % are all decode; 3 % wait nine times as long in the queue.
        for i in 0..10_000_u64 {
            if i % 100 < 97 {
                budget.record(100 * MS, &[0, 0, 0, 0, 0, 100 * MS, 0]);
            } else {
                budget.record(1000 * MS, &[0, 0, 0, 900 * MS, 0, 100 * MS, 0]);
            }
        }
        assert_eq!(at_p99(&budget, Part::Queue), 900.0);
        assert_eq!(at_p99(&budget, Part::Decode), 100.0);
        let rows = budget.rows();
        assert_eq!(rows[Part::Queue as usize].mean_ms, Some(27.0));
        assert_eq!(rows[Part::Decode as usize].mean_ms, Some(100.0));
        assert_eq!(budget.totals_ns()[5], 10_000 * u128::from(100 * MS));
    }

    #[test]
    fn the_band_is_about_the_quantile_only() {
        let mut budget = LatencyBudget::new();
        for i in 1..=100_000_u64 {
            budget.record(i * 10_000, &[0, 0, 0, i * 10_000, 0, 0, 0]);
        }
        let p99 = at_p99(&budget, Part::Queue);
        assert!((p99 / 990.0 - 1.0).abs() < 0.01, "{p99}");
    }

    #[test]
    fn a_sparse_tail_widens_the_band() {
        let mut budget = LatencyBudget::new();
        for i in 0..100_u64 {
            let ns = MS << (i / 5);
            budget.record(ns, &[ns, 0, 0, 0, 0, 0, 0]);
        }
        assert_eq!(budget.band(AT).unwrap().count, 20);
        let mut few = LatencyBudget::new();
        few.record(0, &[0; 7]);
        assert_eq!(few.rows()[0].mean_ms, Some(0.0));
        assert_eq!(few.rows()[0].at_p99_ms, None);
    }
}
