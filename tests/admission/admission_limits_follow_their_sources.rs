//! Limits on concurrency do, step by step, what Netflix's and Envoy's do.

use seatrial::engine::{SimDuration, SimRng, SimTime, Streams};
use seatrial::fleet::admission::{ConcurrencyLimit, Outcome, Permit};
use seatrial::scenario::admission::ConcurrencyLimit as Config;

const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;

fn rng() -> SimRng {
    let streams = Streams {
        seed: 1,
        replication: 0,
    };
    streams.stream("limit", 0, "jitter")
}

/// A limit beside its clock: requests end one after the other, as told.
struct Bench {
    limit: ConcurrencyLimit,
    rng: SimRng,
    now: u64,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let mut rng = rng();
        Bench {
            limit: ConcurrencyLimit::new(&config, &mut rng),
            rng,
            now: 1_000 * S,
        }
    }

    /// A request that met so many in flight ends now, after `latency_us`; then the limit.
    fn ends(&mut self, in_flight: u32, latency_us: u64, outcome: Outcome) -> u32 {
        let permit = Permit {
            started: SimTime(self.now - latency_us * 1_000),
            in_flight,
        };
        let now = SimTime(self.now);
        self.limit.release(now, permit, outcome, &mut self.rng);
        self.limit.limit(now)
    }
}

#[test]
fn no_more_than_the_limit_are_let_in() {
    let mut rng = rng();
    let mut limit = ConcurrencyLimit::new(&Config::Fixed { limit: 3 }, &mut rng);
    let now = SimTime::ZERO;
    let permits: Vec<_> = (0..5).filter_map(|_| limit.try_acquire(now)).collect();
    let met: Vec<u32> = permits.iter().map(|permit| permit.in_flight).collect();
    assert_eq!(met, [1, 2, 3]);
    for outcome in [Outcome::Answered, Outcome::Dropped, Outcome::Ignored] {
        limit.release(now, permits[0], outcome, &mut rng);
        assert_eq!(limit.in_flight(), 2);
        assert!(limit.try_acquire(now).is_some());
        assert!(limit.try_acquire(now).is_none());
    }
    assert_eq!(limit.next_change(), None);
}

fn aimd(initial: u32, min: u32, max: u32) -> Bench {
    Bench::new(Config::Aimd {
        initial,
        min,
        max,
        backoff_ratio: 0.9,
        timeout_ms: 100.0,
    })
}

#[test]
fn aimd_rises_by_one_and_falls_by_a_tenth() {
    let mut bench = aimd(20, 10, 25);
    let answered = Outcome::Answered;
    // Half the limit in flight is enough for one more.
    assert_eq!(bench.ends(9, 1_000, answered), 20);
    assert_eq!(bench.ends(10, 1_000, answered), 21);
    assert_eq!(bench.ends(10, 1_000, answered), 21, "20 < 21");
    assert_eq!(bench.ends(11, 1_000, answered), 22);
    // The timeout itself is in time; one nanosecond more is not: 22 * 0.9 = 19.8.
    assert_eq!(bench.ends(22, 100_000, answered), 23);
    assert_eq!(bench.ends(22, 100_001, answered), 20);
    assert_eq!(bench.ends(1, 1, Outcome::Dropped), 18);
    assert_eq!(bench.ends(20, 1_000_000, Outcome::Ignored), 18);
    // 18, 16.2, 14.4, 12.6, 10.8, 9: never below 10.
    let falls: Vec<u32> = (0..6).map(|_| bench.ends(1, 1, Outcome::Dropped)).collect();
    assert_eq!(falls, [16, 14, 12, 10, 10, 10]);
    let rises: Vec<u32> = (0..17).map(|_| bench.ends(25, 1, answered)).collect();
    let expected: Vec<u32> = (11..=25).chain([25, 25]).collect();
    assert_eq!(rises, expected);
}

/// A path that drops whatever goes beyond 40 makes a saw of 36 to 41.
#[test]
fn aimd_makes_a_saw() {
    let mut bench = aimd(20, 20, 200);
    let mut limits = Vec::new();
    let mut limit = 20;
    for _ in 0..60 {
        let outcome = if limit > 40 {
            Outcome::Dropped
        } else {
            Outcome::Answered
        };
        limit = bench.ends(limit, 1_000, outcome);
        limits.push(limit);
    }
    let tooth = [36, 37, 38, 39, 40, 41];
    assert_eq!(limits[20], 41);
    for (at, limit) in limits[21..].iter().enumerate() {
        assert_eq!(*limit, tooth[at % tooth.len()]);
    }
}

#[test]
fn vegas_follows_its_queue() {
    let mut bench = Bench::new(Config::Vegas {
        initial: 20,
        max: 1_000,
        smoothing: 1.0,
        probe_multiplier: 1_000_000,
    });
    let answered = Outcome::Answered;
    // The first latency is the idle one; so is a shorter one. Neither changes the limit.
    assert_eq!(bench.ends(20, 11_000, answered), 20);
    assert_eq!(bench.ends(20, 10_000, answered), 20);
    // Nobody queues: 6 log10 more.
    assert_eq!(bench.ends(20, 10_000, answered), 26);
    // ceil(26 * (1 - 10 / 10.5)) = 2 queue: one more.
    assert_eq!(bench.ends(26, 10_500, answered), 27);
    // ceil(27 * (1 - 10 / 12)) = 5: about right.
    assert_eq!(bench.ends(26, 12_000, answered), 27);
    // ceil(27 / 2) = 14: too many.
    assert_eq!(bench.ends(26, 20_000, answered), 26);
    assert_eq!(bench.ends(1, 20_000, Outcome::Dropped), 25);
    // Far from the limit nothing can be told of it.
    assert_eq!(bench.ends(12, 10_000, answered), 25);
    assert_eq!(bench.ends(13, 10_000, answered), 31);
    assert_eq!(bench.ends(31, 1, Outcome::Ignored), 31);
}

#[test]
fn vegas_steps_by_its_logarithm_and_smooths() {
    let vegas = |smoothing| {
        Bench::new(Config::Vegas {
            initial: 150,
            max: 160,
            smoothing,
            probe_multiplier: 1_000_000,
        })
    };
    for (smoothing, risen, fallen) in [(1.0, 160, 158), (0.5, 155, 154)] {
        let mut bench = vegas(smoothing);
        bench.ends(150, 10_000, Outcome::Answered);
        // log10 is 2: 12 more, no more than 160 in all, then 2 less.
        assert_eq!(bench.ends(150, 10_000, Outcome::Answered), risen);
        assert_eq!(bench.ends(150, 90_000, Outcome::Answered), fallen);
    }
}

#[test]
fn vegas_forgets_the_idle_latency_in_time() {
    let mut bench = Bench::new(Config::Vegas {
        initial: 20,
        max: 20,
        smoothing: 1.0,
        probe_multiplier: 10,
    });
    bench.ends(20, 1_000, Outcome::Answered);
    // Latency is ten times the idle one until that is measured anew, after 100 to 200 requests
    // while the limit is 20; it falls meanwhile, and the probe comes earlier.
    let limits: Vec<u32> = (0..200)
        .map(|_| bench.ends(20, 10_000, Outcome::Answered))
        .collect();
    // ceil(6 * 0.9) = 6 that queue are about right, ceil(7 * 0.9) = 7 are too many.
    assert_eq!(*limits.iter().min().unwrap(), 6);
    assert_eq!(limits[199], 20, "the new idle latency is the present one");
}

fn gradient(min_rtt_interval_s: f64, jitter: f64, requests: u32) -> Bench {
    let mut bench = Bench::new(Config::Gradient {
        update_interval_ms: 100.0,
        min_rtt_interval_s,
        min_rtt_requests: requests,
        min_rtt_jitter_pct: jitter,
        min_rtt_buffer_pct: 25.0,
        min_concurrency: 3,
        max_limit: 1_000,
        percentile: 50.0,
    });
    bench.now = 10 * S;
    bench
}

#[test]
fn the_gradient_is_that_of_envoy() {
    let mut bench = gradient(60.0, 0.0, 50);
    assert_eq!(bench.limit.next_change(), None, "measures the idle latency");
    for _ in 0..49 {
        assert_eq!(bench.ends(3, 10_000, Outcome::Answered), 3);
        assert_eq!(bench.limit.next_change(), None);
    }
    // Every response is a sample, an error too.
    assert_eq!(bench.ends(3, 10_000, Outcome::Dropped), 3);
    let mut ends = bench.now + 100 * MS;
    assert_eq!(bench.limit.next_change(), Some(SimTime(ends)));
    // gradient 10 * 1.25 / latency within 0.5 and 2; limit * gradient + its root, rounded down.
    let steps = [
        (10_000, 5),   // 3 * 1.25 = 3.75, + 1.94
        (10_000, 8),   // 6.25 + 2.5
        (6_000, 20),   // 2.08 is 2: 16 + 4
        (12_500, 24),  // 1: 20 + 4.47
        (20_000, 18),  // 0.625: 15 + 3.87
        (100_000, 12), // 0.125 is 0.5: 9 + 3
        (50_000, 8),   // 6 + 2.4
        (50_000, 6),   // 4 + 2
        (50_000, 4),   // 3 + 1.7
        (50_000, 3),   // 2 + 1.4
        (50_000, 3),   // 1.5 + 1.2 = 2.7: never below 3
    ];
    for (latency, limit) in steps {
        let before = bench.limit.limit(SimTime(bench.now));
        bench.now = ends - 1;
        for outlier in [1, latency, latency, latency, 3_000_000] {
            assert_eq!(bench.ends(3, outlier, Outcome::Answered), before);
        }
        assert_eq!(bench.ends(3, latency, Outcome::Ignored), before);
        bench.now = ends;
        assert_eq!(bench.limit.limit(SimTime(ends)), limit, "at {latency} us");
        ends += 100 * MS;
    }
}

/// Twenty servers of 10 ms: with `n` in flight a request takes 10 ms * max(1, n / 20). The limit
/// that keeps is 20 * 1.25 + sqrt(25) = 30, whatever demand there is.
#[test]
fn the_gradient_settles_where_latency_is_little_above_idle() {
    let mut bench = gradient(1e6, 0.0, 50);
    for _ in 0..50 {
        bench.ends(3, 10_000, Outcome::Answered);
    }
    let mut limit = 3;
    let mut limits = Vec::new();
    for _ in 0..200 {
        bench.now += 99 * MS;
        let latency = 10_000 * u64::from(limit.max(20)) / 20;
        for _ in 0..limit {
            bench.ends(limit, latency, Outcome::Answered);
        }
        bench.now += MS;
        limit = bench.limit.limit(SimTime(bench.now));
        limits.push(limit);
    }
    // Rounding down may leave it one short.
    assert!(limits[20..].iter().all(|limit| (29..=30).contains(limit)));
}

#[test]
fn the_idle_latency_is_measured_again_at_the_least_limit() {
    let mut bench = gradient(1.0, 0.0, 2);
    bench.ends(3, 10_000, Outcome::Answered);
    bench.ends(3, 10_000, Outcome::Answered);
    let measured = bench.now;
    bench.now = measured + 50 * MS;
    bench.ends(3, 10_000, Outcome::Answered);
    // Windows without a sample leave the limit as it is.
    let settled = |bench: &mut Bench, at| bench.limit.limit(SimTime(at));
    assert_eq!(settled(&mut bench, measured + 100 * MS), 5);
    assert_eq!(settled(&mut bench, measured + S - 1), 5);
    assert_eq!(settled(&mut bench, measured + S), 3);
    assert_eq!(bench.limit.next_change(), None);
    // Requests of before do not tell the idle latency; two of after do.
    bench.now = measured + S + 30 * MS;
    assert_eq!(bench.ends(5, 30_001, Outcome::Answered), 3);
    assert_eq!(bench.ends(5, 40_000, Outcome::Answered), 3);
    assert_eq!(bench.ends(3, 20_000, Outcome::Answered), 3);
    assert_eq!(bench.ends(3, 20_000, Outcome::Answered), 5, "as before");
    bench.now += 50 * MS;
    // 20 * 1.25 / 20 * 5 = 6.25, + 2.5.
    bench.ends(3, 20_000, Outcome::Answered);
    let ends = bench.now + 50 * MS;
    assert_eq!(settled(&mut bench, ends), 8);
}

#[test]
fn five_windows_at_the_least_limit_measure_the_idle_latency_again() {
    let mut bench = gradient(1e6, 0.0, 1);
    bench.ends(3, 10_000, Outcome::Answered);
    let start = bench.now;
    for window in 1..=5 {
        bench.now = start + window * 100 * MS - 1;
        assert_ne!(bench.limit.next_change(), None);
        assert_eq!(bench.ends(3, 90_000, Outcome::Answered), 3);
    }
    bench.now += 1;
    assert_eq!(bench.limit.limit(SimTime(bench.now)), 3);
    assert_eq!(bench.limit.next_change(), None, "being measured");
    bench.now += 100 * MS;
    bench.ends(3, 90_000, Outcome::Answered);
    bench.now += 50 * MS;
    bench.ends(3, 90_000, Outcome::Answered);
    let limit = bench.limit.limit(SimTime(bench.now + 50 * MS));
    assert_eq!(limit, 5, "90 ms is idle now");
}

#[test]
fn the_jitter_adds_up_to_its_share() {
    let interval = 10_000 * MS;
    let mut extras = Vec::new();
    let mut bench = gradient(10.0, 15.0, 1);
    for _ in 0..300 {
        bench.ends(3, 10_000, Outcome::Answered);
        let measured = bench.now;
        let mut next = bench.limit.next_change().unwrap();
        while bench.limit.next_change().is_some() {
            next = bench.limit.next_change().unwrap();
            bench.limit.limit(next);
        }
        let waited = next.since(SimTime(measured));
        assert!(waited >= SimDuration(interval));
        extras.push(waited.0 - interval);
        bench.now = next.0 + 20 * MS;
    }
    assert!(
        extras
            .iter()
            .all(|&extra| extra < 1_500 * MS && extra % MS == 0)
    );
    // Of 300 even draws from 1,500 values the chance to miss an end tenth is 0.9^300.
    assert!(extras.iter().any(|&extra| extra < 150 * MS));
    assert!(extras.iter().any(|&extra| extra >= 1_350 * MS));
}
