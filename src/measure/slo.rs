//! Service-level objectives: which share of the requests met every bound of theirs.

use serde::Serialize;

/// The bounds of an objective, milliseconds; a bound that is not stated is always met.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SloTargets {
    /// Most time to first token.
    pub ttft_ms: Option<f64>,
    /// Most mean time per output token after the first.
    pub tpot_ms: Option<f64>,
    /// Most end-to-end latency.
    pub e2e_ms: Option<f64>,
}

/// Counts the requests of one tier that met their objective.
#[derive(Debug, Clone)]
pub struct SloMeter {
    ttft_ns: u64,
    tpot_ns: u64,
    e2e_ns: u64,
    stated: bool,
    target: f64,
    availability: Option<f64>,
    count: u64,
    good: u64,
    answered: u64,
    undecided: u64,
}

/// One tier in a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SloRow {
    /// Name of the tier.
    pub tier: String,
    /// Share of the requests that met the objective; none without requests.
    pub attained: Option<f64>,
    /// Share that was asked for; none when the tier states no bound.
    pub target: Option<f64>,
    /// Whether it was attained; none without requests or without a bound.
    pub met: Option<bool>,
    /// Requests per second that met it.
    pub goodput_rps: Option<f64>,
    /// Requests counted.
    pub counted: u64,
    /// Share of the requests that were answered; not there unless one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered: Option<f64>,
    /// Share that was asked for; not there unless one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// Requests in flight at the end whose bounds were neither met nor missed yet; not counted.
    pub undecided: u64,
}

impl SloMeter {
    /// A meter for an objective that `target` (0 to 1) of the requests must meet.
    pub fn new(targets: SloTargets, target: f64) -> SloMeter {
        // Rounding down keeps a bound a bound; a bound that is not stated is above every latency.
        let ns = |ms: Option<f64>| ms.map_or(u64::MAX, |ms| (ms * 1e6).floor() as u64);
        SloMeter {
            ttft_ns: ns(targets.ttft_ms),
            tpot_ns: ns(targets.tpot_ms),
            e2e_ns: ns(targets.e2e_ms),
            stated: targets != SloTargets::default(),
            target,
            availability: None,
            count: 0,
            good: 0,
            answered: 0,
            undecided: 0,
        }
    }

    /// The same meter, of an objective that also asks for a share to be answered.
    pub fn with_availability(mut self, availability: Option<f64>) -> SloMeter {
        self.availability = availability;
        self
    }

    /// Counts a completed request; a request of one token has no TPOT and cannot miss it.
    #[inline]
    pub fn record(&mut self, ttft_ns: u64, tpot_ns: Option<u64>, e2e_ns: u64) {
        self.count += 1;
        self.answered += 1;
        self.good += u64::from(self.is_good(ttft_ns, tpot_ns, e2e_ns));
    }

    /// Whether a completed request meets every bound.
    #[inline]
    pub fn is_good(&self, ttft_ns: u64, tpot_ns: Option<u64>, e2e_ns: u64) -> bool {
        ttft_ns <= self.ttft_ns
            && tpot_ns.is_none_or(|ns| ns <= self.tpot_ns)
            && e2e_ns <= self.e2e_ns
    }

    /// Counts a request that was not answered: it misses any objective.
    #[inline]
    pub fn record_miss(&mut self) {
        self.count += 1;
    }

    /// When a request that is in flight has passed a bound, nanoseconds after its arrival; `u64::MAX`
    /// where it never does.
    pub fn late_after_ns(&self, has_first_token: bool) -> u64 {
        match has_first_token {
            true => self.e2e_ns,
            false => self.e2e_ns.min(self.ttft_ns),
        }
    }

    /// Counts a request still in flight `age_ns` after its arrival: a miss if a bound has passed
    /// already, and undecided otherwise.
    pub fn record_in_flight(&mut self, age_ns: u64, has_first_token: bool) {
        if age_ns > self.late_after_ns(has_first_token) {
            self.record_miss();
        } else {
            self.undecided += 1;
        }
    }

    /// Adds what another meter of the same objective counted.
    pub fn merge(&mut self, other: &SloMeter) {
        self.count += other.count;
        self.good += other.good;
        self.answered += other.answered;
        self.undecided += other.undecided;
    }

    /// Requests counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Share of the requests counted that met the objective; none when no bound is stated.
    pub fn attained(&self) -> Option<f64> {
        (self.stated && self.count > 0).then(|| self.good as f64 / self.count as f64)
    }

    /// Whether the target was attained; none without requests or without a bound, and when it
    /// depends on requests that are undecided.
    pub fn met(&self) -> Option<bool> {
        if !self.stated || self.count + self.undecided == 0 {
            return None;
        }
        let all = (self.count + self.undecided) as f64;
        let share = |count: u64| count as f64 / all;
        let met = |more: u64| {
            share(self.good + more) >= self.target
                && self
                    .availability
                    .is_none_or(|least| share(self.answered + more) >= least)
        };
        let (worst, best) = (met(0), met(self.undecided));
        (worst == best).then_some(worst)
    }

    /// Requests per second that met it, over `observed_s` seconds.
    pub fn goodput_rps(&self, observed_s: f64) -> Option<f64> {
        (observed_s > 0.0).then(|| self.good as f64 / observed_s)
    }

    /// The row of a report.
    pub fn row(&self, tier: &str, observed_s: f64) -> SloRow {
        SloRow {
            tier: tier.to_owned(),
            attained: self.attained(),
            target: self.stated.then_some(self.target),
            met: self.met(),
            goodput_rps: self.goodput_rps(observed_s),
            counted: self.count,
            answered: self
                .availability
                .and_then(|_| (self.count > 0).then(|| self.answered as f64 / self.count as f64)),
            availability: self.availability,
            undecided: self.undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_a_miss_counts() {
        let targets = SloTargets {
            ttft_ms: Some(1.0),
            ..SloTargets::default()
        };
        let mut meter = SloMeter::new(targets, 0.5);
        assert_eq!(meter.met(), None);
        meter.record(1_000_000, Some(u64::MAX), u64::MAX);
        meter.record(1_000_001, None, 0);
        assert_eq!(meter.attained(), Some(0.5));
        assert_eq!(meter.met(), Some(true));
        meter.record_miss();
        assert_eq!(meter.met(), Some(false));
        assert_eq!(meter.goodput_rps(2.0), Some(0.5));
    }

    #[test]
    fn what_is_in_flight_counts_once_it_is_late() {
        let targets = SloTargets {
            e2e_ms: Some(1.0),
            ..SloTargets::default()
        };
        let mut meter = SloMeter::new(targets, 0.5);
        meter.record(0, None, 0);
        meter.record_in_flight(1_000_000, false);
        assert_eq!((meter.count(), meter.met()), (1, Some(true)));
        meter.record_in_flight(1_000_000, false);
        assert_eq!(meter.met(), None);
        for _ in 0..4 {
            meter.record_in_flight(1_000_001, true);
        }
        assert_eq!(meter.met(), Some(false));
    }

    #[test]
    fn without_a_bound_nothing_is_met_or_missed() {
        let mut meter = SloMeter::new(SloTargets::default(), 1.0);
        meter.record(u64::MAX, None, u64::MAX);
        assert_eq!((meter.met(), meter.attained()), (None, None));
        assert_eq!(meter.row("default", 1.0).target, None);
    }
}
