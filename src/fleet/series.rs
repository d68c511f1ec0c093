//! What a report draws over time: counts, latencies and the state of each pool, in stretches of
//! equal length. Kept only where somebody is to draw it; nothing that is simulated depends on it.

use crate::engine::{SimDuration, SimTime};
use crate::measure::LatencySketch;

/// Stretches that the time of arrivals is divided into at first.
const FIRST: u64 = 300;
/// Most stretches: when a run is longer, two become one.
const MOST: usize = 600;

/// What a pool was found to do when a stretch began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PoolState {
    /// Work done since time 0, as far as it is measured, server-nanoseconds.
    pub busy_ns: u128,
    /// How long that has been measured, nanoseconds.
    pub measured_ns: u64,
    /// Servers of the replicas that are there.
    pub servers: u64,
    /// Replicas that are there and answer.
    pub replicas: u64,
    /// Requests that wait at them.
    pub waiting: u64,
    /// Shares of their KV blocks in use, summed over `kv_replicas`.
    pub kv_usage: f64,
    /// Replicas that have KV blocks.
    pub kv_replicas: u64,
}

/// What a pool did in a stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PoolStretch {
    /// Work done, server-nanoseconds.
    pub busy_ns: u128,
    /// Work that its servers could have done, server-nanoseconds.
    pub possible_ns: u128,
    /// Replicas that were there and answered, requests that waited, shares of KV in use and the
    /// replicas these are of: sums over `samples`.
    pub replicas: u64,
    /// See there.
    pub waiting: u64,
    /// See there.
    pub kv_usage: f64,
    /// See there.
    pub kv_replicas: u64,
    /// How often it was looked at.
    pub samples: u64,
}

impl PoolStretch {
    fn add(&mut self, other: &PoolStretch) {
        self.busy_ns += other.busy_ns;
        self.possible_ns += other.possible_ns;
        self.replicas += other.replicas;
        self.waiting += other.waiting;
        self.kv_usage += other.kv_usage;
        self.kv_replicas += other.kv_replicas;
        self.samples += other.samples;
    }

    /// The share of its servers' time that was work; none where nothing was measured.
    pub fn utilization(&self) -> Option<f64> {
        (self.possible_ns > 0).then(|| self.busy_ns as f64 / self.possible_ns as f64)
    }

    /// The share of KV blocks in use, of the replicas that have any.
    pub fn kv_share(&self) -> Option<f64> {
        (self.kv_replicas > 0).then(|| self.kv_usage / self.kv_replicas as f64)
    }

    /// A sum over samples as a mean; none without any.
    pub fn mean(&self, sum: u64) -> Option<f64> {
        (self.samples > 0).then(|| sum as f64 / self.samples as f64)
    }
}

/// One stretch of time.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// Requests that arrived.
    pub arrived: u64,
    /// Requests answered in full.
    pub completed: u64,
    /// Of these: within their objective; all where none is stated.
    pub good: u64,
    /// Requests that ended without an answer.
    pub unanswered: u64,
    /// The most requests in flight at an arrival.
    pub in_flight: u64,
    /// Time to first token of the requests answered.
    pub ttft: LatencySketch,
    /// Their end-to-end latency.
    pub e2e: LatencySketch,
}

impl Stretch {
    fn add(&mut self, other: &Stretch) {
        self.arrived += other.arrived;
        self.completed += other.completed;
        self.good += other.good;
        self.unanswered += other.unanswered;
        self.in_flight = self.in_flight.max(other.in_flight);
        self.ttft.merge(&other.ttft);
        self.e2e.merge(&other.e2e);
    }
}

/// Stretches from time 0 on, a bounded number of them.
#[derive(Debug, Clone)]
pub struct Series {
    width: SimDuration,
    stretches: Vec<Stretch>,
    /// By stretch and pool.
    pools: Vec<PoolStretch>,
    /// By pool, as last seen.
    seen: Vec<PoolState>,
    /// The first stretch whose beginning nobody has looked at.
    next: usize,
}

impl Series {
    /// Nothing yet, of arrivals up to `horizon` at so many pools.
    pub fn new(horizon: SimTime, pools: usize) -> Series {
        // Whole tenths of a second, so that times are easy to read, unless the run is that short.
        let tenth = 100_000_000;
        let least = (horizon.0 / FIRST).max(1);
        let width = match least < tenth / 10 {
            true => least,
            false => least.next_multiple_of(tenth),
        };
        Series {
            width: SimDuration(width),
            stretches: Vec::new(),
            pools: Vec::new(),
            seen: vec![PoolState::default(); pools],
            next: 0,
        }
    }

    /// The length of a stretch.
    pub fn width(&self) -> SimDuration {
        self.width
    }

    /// The stretches, each with what its pools did.
    pub fn rows(&self) -> impl Iterator<Item = (&Stretch, &[PoolStretch])> {
        let pools = self.pools.chunks(self.seen.len().max(1));
        self.stretches.iter().zip(pools)
    }

    fn at(&mut self, now: SimTime) -> &mut Stretch {
        let mut index = (now.0 / self.width.0) as usize;
        while index >= MOST {
            self.halve();
            index = (now.0 / self.width.0) as usize;
        }
        if index >= self.stretches.len() {
            self.stretches.resize(index + 1, Stretch::default());
            let cells = (index + 1) * self.seen.len();
            self.pools.resize(cells, PoolStretch::default());
        }
        &mut self.stretches[index]
    }

    /// Two stretches become one.
    fn halve(&mut self) {
        self.width = SimDuration(self.width.0.saturating_mul(2));
        let mut halved: Vec<Stretch> = Vec::with_capacity(MOST / 2 + 1);
        let each = self.seen.len();
        let mut pools = vec![PoolStretch::default(); self.stretches.len().div_ceil(2) * each];
        for (index, stretch) in self.stretches.iter().enumerate() {
            match halved.get_mut(index / 2) {
                Some(first) => first.add(stretch),
                None => halved.push(stretch.clone()),
            }
            for pool in 0..each {
                pools[index / 2 * each + pool].add(&self.pools[index * each + pool]);
            }
        }
        self.stretches = halved;
        self.pools = pools;
        self.next = self.next.div_ceil(2);
    }

    /// Whether `now` is in a stretch whose pools nobody has looked at.
    #[inline]
    pub fn is_new(&self, now: SimTime) -> bool {
        (now.0 / self.width.0) as usize >= self.next
    }

    /// What the pools are found to do at `now`: what they did since they were last looked at counts
    /// to the stretch in which that was.
    pub fn sample(&mut self, now: SimTime, states: &[PoolState]) {
        self.at(now);
        let each = self.seen.len();
        let here = (now.0 / self.width.0) as usize;
        let before = self.next.saturating_sub(1);
        for (pool, state) in states.iter().enumerate() {
            let seen = &mut self.seen[pool];
            let past = &mut self.pools[before * each + pool];
            let servers = seen.servers.max(state.servers.min(1));
            past.busy_ns += state.busy_ns - seen.busy_ns;
            past.possible_ns +=
                u128::from(state.measured_ns - seen.measured_ns) * u128::from(servers);
            let present = &mut self.pools[here * each + pool];
            present.replicas += state.replicas;
            present.waiting += state.waiting;
            present.kv_usage += state.kv_usage;
            present.kv_replicas += state.kv_replicas;
            present.samples += 1;
            *seen = *state;
        }
        self.next = here + 1;
    }

    /// A request arrived, and so many are in flight.
    #[inline]
    pub fn arrived(&mut self, now: SimTime, in_flight: u64) {
        let stretch = self.at(now);
        stretch.arrived += 1;
        stretch.in_flight = stretch.in_flight.max(in_flight);
    }

    /// A request was answered, in such times.
    pub fn answered(&mut self, now: SimTime, ttft_ns: u64, e2e_ns: u64, good: bool) {
        let stretch = self.at(now);
        stretch.completed += 1;
        stretch.good += u64::from(good);
        stretch.ttft.record(ttft_ns);
        stretch.e2e.record(e2e_ns);
    }

    /// A request ended without an answer.
    pub fn unanswered(&mut self, now: SimTime) {
        self.at(now).unanswered += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(busy_ns: u128, measured_ns: u64) -> PoolState {
        PoolState {
            busy_ns,
            measured_ns,
            servers: 2,
            replicas: 2,
            ..PoolState::default()
        }
    }

    #[test]
    fn work_counts_to_the_stretch_in_which_it_was_done() {
        let second = 1_000_000_000;
        let mut series = Series::new(SimTime(300 * second), 1);
        assert_eq!(series.width(), SimDuration(second));
        assert!(series.is_new(SimTime(0)));
        series.sample(SimTime(0), &[state(0, 0)]);
        assert!(!series.is_new(SimTime(second - 1)));
        series.sample(SimTime(second), &[state(u128::from(second), second)]);
        series.sample(
            SimTime(2 * second),
            &[state(3 * u128::from(second), 2 * second)],
        );
        let found: Vec<Option<f64>> = series.rows().map(|(_, it)| it[0].utilization()).collect();
        assert_eq!(found, [Some(0.5), Some(1.0), None]);
    }

    #[test]
    fn longer_runs_have_longer_stretches() {
        let second = 1_000_000_000;
        let mut series = Series::new(SimTime(300 * second), 1);
        for at in 0..5_000 {
            let now = SimTime(at * second);
            if series.is_new(now) {
                series.sample(now, &[state(u128::from(at * second), at * second)]);
            }
            series.arrived(now, at);
        }
        let arrived: u64 = series.rows().map(|(stretch, _)| stretch.arrived).sum();
        assert_eq!(arrived, 5_000);
        assert_eq!(series.width(), SimDuration(16 * second));
        assert!(series.rows().count() <= MOST);
        let known = series.rows().filter_map(|(_, it)| it[0].utilization());
        let known: Vec<f64> = known.collect();
        assert!(known.len() > 300);
        for utilization in known {
            assert!((utilization - 0.5).abs() < 0.3, "{utilization}");
        }
    }
}
