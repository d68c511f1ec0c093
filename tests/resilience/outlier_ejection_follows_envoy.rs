//! Outlier detection against Envoy's, with its arithmetic done by hand.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::engine::{SimRng, SimTime, Streams};
use seatrial::fleet::health::{Cause, Change, HostResult, OutlierDetector};
use seatrial::measure::interval::bonferroni_t_limit;
use seatrial::scenario::health::OutlierDetection;

const S: u64 = 1_000_000_000;

fn s(seconds: u64) -> SimTime {
    SimTime(seconds * S)
}

fn rng(id: u64) -> SimRng {
    let streams = Streams {
        seed: 3,
        replication: 0,
    };
    streams.stream("outlier test", id, "chance")
}

/// All may be ejected, so that a small cluster shows the rest.
fn config() -> OutlierDetection {
    OutlierDetection {
        max_ejection_pct: 100,
        ..OutlierDetection::default()
    }
}

struct Bench {
    detector: OutlierDetector,
    rng: SimRng,
}

impl Bench {
    fn new(config: &OutlierDetection, hosts: u32) -> Bench {
        Bench {
            detector: OutlierDetector::new(config, hosts, SimTime::ZERO),
            rng: rng(0),
        }
    }

    fn give(&mut self, host: u32, result: HostResult, times: u32, now: SimTime) -> Vec<Change> {
        (0..times)
            .filter_map(|_| self.detector.on_result(host, result, now, &mut self.rng))
            .collect()
    }

    /// The sweep at the instant it is due.
    fn sweep(&mut self) -> (SimTime, Vec<Change>) {
        let now = self.detector.next_interval();
        let mut changes = Vec::new();
        self.detector.on_interval(now, &mut self.rng, &mut changes);
        (now, changes)
    }

    /// Sweeps until a host comes back, and says when.
    fn until_back(&mut self, host: u32) -> SimTime {
        for _ in 0..1_000 {
            let (now, changes) = self.sweep();
            if changes.contains(&Change::Returned { host }) {
                return now;
            }
        }
        SimTime::NEVER
    }
}

fn ejected(host: u32, cause: Cause) -> Change {
    Change::Ejected { host, cause }
}

#[test]
fn defaults_are_envoys() {
    let read: OutlierDetection = toml::from_str("").unwrap();
    assert_eq!(read, OutlierDetection::default());
    assert_eq!(read.max_ejection_time_s(), 300.0);
    let long = OutlierDetection {
        base_ejection_time_s: 400.0,
        ..read
    };
    assert_eq!(long.max_ejection_time_s(), 400.0);
}

#[test]
fn five_errors_in_a_row_eject() {
    let mut bench = Bench::new(&config(), 3);
    assert!(bench.give(1, HostResult::ServerError, 4, s(1)).is_empty());
    // A success in between begins the row anew.
    bench.give(1, HostResult::Success, 1, s(1));
    assert!(bench.give(1, HostResult::ServerError, 4, s(1)).is_empty());
    assert_eq!(
        bench.give(1, HostResult::ServerError, 1, s(1)),
        [ejected(1, Cause::Consecutive5xx)]
    );
    assert!(bench.detector.is_ejected(1));
    assert!(!bench.detector.is_ejected(0));
    assert_eq!(bench.detector.ejected(), 1);
    // More errors of requests still under way change nothing.
    assert!(bench.give(1, HostResult::ServerError, 50, s(2)).is_empty());
    assert_eq!(bench.detector.ejections(), 1);
}

#[test]
fn gateway_errors_have_a_row_of_their_own() {
    // Errors of the gateway are errors: by default they eject by the row of all errors.
    let mut bench = Bench::new(&config(), 3);
    assert_eq!(
        bench.give(0, HostResult::GatewayError, 5, s(1)),
        [ejected(0, Cause::Consecutive5xx)]
    );
    // Enforced, their own row is looked at first; another error breaks it but not the other.
    let mut bench = Bench::new(
        &OutlierDetection {
            enforcing_consecutive_gateway_failure_pct: 100,
            consecutive_5xx: 100,
            ..config()
        },
        3,
    );
    bench.give(0, HostResult::GatewayError, 4, s(1));
    bench.give(0, HostResult::ServerError, 1, s(1));
    assert!(bench.give(0, HostResult::GatewayError, 4, s(1)).is_empty());
    assert_eq!(
        bench.give(0, HostResult::GatewayError, 1, s(1)),
        [ejected(0, Cause::ConsecutiveGatewayFailure)]
    );
}

#[test]
fn a_row_not_enforced_is_found_again() {
    // With a chance of 0 nothing happens, however long the row.
    let mut bench = Bench::new(
        &OutlierDetection {
            enforcing_consecutive_5xx_pct: 0,
            ..config()
        },
        3,
    );
    assert!(
        bench
            .give(0, HostResult::ServerError, 1_000, s(1))
            .is_empty()
    );
    assert_eq!(bench.detector.overflows(), 0);
    // With a chance of 30 % every fifth error is asked.
    let hosts = 4_000;
    let mut bench = Bench::new(
        &OutlierDetection {
            enforcing_consecutive_5xx_pct: 30,
            ..config()
        },
        hosts,
    );
    let mut at_once = 0;
    for host in 0..hosts {
        at_once += bench.give(host, HostResult::ServerError, 5, s(1)).len();
    }
    let (n, p) = (f64::from(hosts), 0.3);
    let z = (at_once as f64 - n * p) / (n * p * (1.0 - p)).sqrt();
    assert!(z.abs() < bonferroni_t_limit(1e-6, 1, 1e9), "z {z}");
    assert_eq!(
        bench.give(0, HostResult::ServerError, 4, s(2)).len(),
        0,
        "the row begins anew after each five"
    );
}

#[test]
fn a_host_stays_away_for_base_times_ejections() {
    let mut bench = Bench::new(&config(), 3);
    // Ejected at 1 s for 30 s: the sweep at 30 s is too early, that at 40 s is not.
    bench.give(0, HostResult::ServerError, 5, s(1));
    assert_eq!(bench.until_back(0), s(40));
    assert!(!bench.detector.is_ejected(0));
    // The row was forgotten, and the multiplier is 2: 41 s and 60 s, so the sweep at 110 s.
    assert!(bench.give(0, HostResult::ServerError, 4, s(41)).is_empty());
    bench.give(0, HostResult::ServerError, 1, s(41));
    assert_eq!(bench.until_back(0), s(110));
    // A third time: 90 s from 111 s on.
    bench.give(0, HostResult::ServerError, 5, s(111));
    assert_eq!(bench.until_back(0), s(210));
}

#[test]
fn an_ejection_that_ends_at_a_sweep_ends_there() {
    let mut bench = Bench::new(&config(), 3);
    bench.give(0, HostResult::ServerError, 5, s(10));
    assert_eq!(bench.until_back(0), s(40));
}

#[test]
fn ejections_are_bounded() {
    let mut bench = Bench::new(
        &OutlierDetection {
            max_ejection_time_s: Some(70.0),
            ..config()
        },
        3,
    );
    // 30, 60, then 70 instead of 90 and so on.
    let mut at = SimTime::ZERO;
    for (length, back) in [(30, 30), (60, 90), (70, 160), (70, 230), (70, 300)] {
        bench.give(0, HostResult::ServerError, 5, at);
        let returned = bench.until_back(0);
        assert_eq!(returned, s(back), "{length}");
        at = returned;
    }
    // The multiplier stopped at 4 (30 x 3 = 90 is below 70 + 30, 120 is not): three sweeps take
    // one each, beginning an interval after the return, and leave 1, so that the next is of 60 s.
    for _ in 0..3 {
        bench.sweep();
    }
    let now = s(330);
    bench.give(0, HostResult::ServerError, 5, now);
    assert_eq!(bench.until_back(0), s(390));
}

#[test]
fn multipliers_go_down_while_a_host_is_healthy() {
    let mut bench = Bench::new(&config(), 3);
    bench.give(0, HostResult::ServerError, 5, s(0));
    bench.until_back(0);
    // Back at 30 s with a multiplier of 1; the sweep at 40 s, an interval later, takes it.
    let (now, _) = bench.sweep();
    assert_eq!(now, s(40));
    bench.give(0, HostResult::ServerError, 5, s(40));
    assert_eq!(bench.until_back(0), s(70));
    // Ejected again before that, it is 2.
    bench.give(0, HostResult::ServerError, 5, s(71));
    assert_eq!(bench.until_back(0), s(140));
}

#[test]
fn jitter_is_added_once_for_an_ejection() {
    let jittered = OutlierDetection {
        interval_s: 0.001,
        max_ejection_time_jitter_s: 10.0,
        ..config()
    };
    let mut delays = Vec::new();
    for id in 0..200 {
        let mut detector = OutlierDetector::new(&jittered, 2, SimTime::ZERO);
        let mut rng = rng(id);
        for _ in 0..5 {
            detector.on_result(0, HostResult::ServerError, SimTime::ZERO, &mut rng);
        }
        // The first sweep at which it comes back, by halves: it takes no less than its time.
        let (mut early, mut late) = (30 * S - 1, 40 * S);
        while late - early > 1_000 {
            let middle = u64::midpoint(early, late);
            let mut changes = Vec::new();
            detector
                .clone()
                .on_interval(SimTime(middle), &mut rng.clone(), &mut changes);
            if changes.is_empty() {
                early = middle;
            } else {
                late = middle;
            }
        }
        delays.push((late as f64 / S as f64 - 30.0) / 10.0);
    }
    let n = delays.len() as f64;
    let mean = delays.iter().sum::<f64>() / n;
    let z = (mean - 0.5) / (1.0 / 12.0 / n).sqrt();
    assert!(z.abs() < bonferroni_t_limit(1e-6, 1, 1e9), "z {z}");
}

#[test]
fn the_share_after_an_ejection_is_what_counts() {
    // 10 %: none of 9 hosts, one of 10 and of 19, two of 20.
    for (hosts, allowed) in [(5, 0), (9, 0), (10, 1), (19, 1), (20, 2), (100, 10)] {
        let mut bench = Bench::new(&OutlierDetection::default(), hosts);
        for host in 0..hosts {
            bench.give(host, HostResult::ServerError, 5, s(1));
        }
        assert_eq!(bench.detector.ejected(), allowed, "{hosts} hosts");
        assert_eq!(bench.detector.overflows(), u64::from(hosts - allowed));
    }
    // `always_eject_one_host` lets the first go whatever the share.
    let mut bench = Bench::new(
        &OutlierDetection {
            always_eject_one_host: true,
            ..OutlierDetection::default()
        },
        5,
    );
    for host in 0..5 {
        bench.give(host, HostResult::ServerError, 5, s(1));
    }
    assert_eq!(bench.detector.ejected(), 1);
}

/// Gives a host so many requests of which so many succeed, without a row of errors.
fn serve(bench: &mut Bench, host: u32, requests: u32, succeed: u32) {
    for index in 0..requests {
        let done = u64::from(index + 1) * u64::from(succeed) / u64::from(requests);
        let before = u64::from(index) * u64::from(succeed) / u64::from(requests);
        let result = if done > before {
            HostResult::Success
        } else {
            HostResult::ServerError
        };
        let now = SimTime(bench.detector.next_interval().0 - S);
        assert!(bench.give(host, result, 1, now).is_empty());
    }
}

#[test]
fn success_rates_far_below_the_others_eject() {
    // Envoy's own example: 50, 100, 100, 100, 100 have mean 90 and standard deviation 20. At
    // 1.9 deviations the threshold is 52, and 50 is below.
    let rates = OutlierDetection {
        consecutive_5xx: 1_000_000,
        ..config()
    };
    let mut bench = Bench::new(&rates, 5);
    serve(&mut bench, 2, 100, 50);
    for host in [0, 1, 3, 4] {
        serve(&mut bench, host, 100, 100);
    }
    assert_eq!(bench.sweep().1, [ejected(2, Cause::SuccessRate)]);
    // A deviation factor of 2 makes the threshold 50, which 50 is not below.
    let mut bench = Bench::new(
        &OutlierDetection {
            success_rate_stdev_factor: 2_000,
            ..rates
        },
        5,
    );
    serve(&mut bench, 2, 100, 50);
    for host in [0, 1, 3, 4] {
        serve(&mut bench, host, 100, 100);
    }
    assert!(bench.sweep().1.is_empty());
    // What was served is forgotten after one sweep.
    assert!(bench.sweep().1.is_empty());
}

#[test]
fn success_rates_need_hosts_and_volume() {
    let rates = OutlierDetection {
        consecutive_5xx: 1_000_000,
        ..config()
    };
    // 99 requests of one host are too few: four hosts are left, and five are needed.
    let mut bench = Bench::new(&rates, 5);
    serve(&mut bench, 2, 100, 0);
    serve(&mut bench, 0, 99, 99);
    for host in [1, 3, 4] {
        serve(&mut bench, host, 100, 100);
    }
    assert!(bench.sweep().1.is_empty());
    // Six hosts, one of them with little volume and no success: it is neither compared nor
    // ejected.
    let mut bench = Bench::new(&rates, 6);
    serve(&mut bench, 5, 99, 0);
    serve(&mut bench, 2, 100, 0);
    for host in [0, 1, 3, 4] {
        serve(&mut bench, host, 100, 100);
    }
    assert_eq!(bench.sweep().1, [ejected(2, Cause::SuccessRate)]);
}

#[test]
fn failure_shares_eject_at_their_threshold() {
    let shares = OutlierDetection {
        consecutive_5xx: 1_000_000,
        enforcing_success_rate_pct: 0,
        enforcing_failure_percentage_pct: 100,
        ..config()
    };
    // Of 100 requests 84 failures are too few and 85 are enough; 49 requests do not count.
    let mut bench = Bench::new(&shares, 7);
    for (host, requests, succeed) in [
        (0, 100, 16),
        (1, 100, 15),
        (2, 49, 0),
        (3, 50, 50),
        (4, 50, 50),
        (5, 60, 0),
        (6, 50, 50),
    ] {
        serve(&mut bench, host, requests, succeed);
    }
    let found = [1, 5].map(|host| ejected(host, Cause::FailurePercentage));
    assert_eq!(bench.sweep().1, found);
    // Not enforced, as by default, it does nothing.
    let mut bench = Bench::new(
        &OutlierDetection {
            enforcing_failure_percentage_pct: 0,
            ..shares
        },
        5,
    );
    for host in 0..5 {
        serve(&mut bench, host, 50, 0);
    }
    assert!(bench.sweep().1.is_empty());
}

#[test]
fn an_active_check_brings_a_host_back() {
    let mut bench = Bench::new(&config(), 2);
    bench.give(1, HostResult::ServerError, 5, s(1));
    let back = bench.detector.bring_back(1, s(2));
    assert_eq!(back, Some(Change::Returned { host: 1 }));
    assert_eq!(bench.detector.bring_back(1, s(2)), None);
    assert_eq!(bench.detector.ejected(), 0);
}

#[test]
fn hosts_come_and_go() {
    let mut bench = Bench::new(&OutlierDetection::default(), 10);
    bench.give(3, HostResult::ServerError, 5, s(1));
    assert_eq!(bench.detector.ejected(), 1);
    // It leaves; of nine hosts none may be ejected.
    bench.detector.set_member(3, false);
    assert_eq!((bench.detector.ejected(), bench.detector.members()), (0, 9));
    assert!(bench.give(4, HostResult::ServerError, 5, s(1)).is_empty());
    // It comes back as one never seen, under its index or another.
    bench.detector.set_member(3, true);
    bench.detector.set_member(12, true);
    assert_eq!(bench.detector.members(), 11);
    assert!(!bench.detector.is_ejected(3));
    assert!(bench.give(11, HostResult::ServerError, 5, s(1)).is_empty());
    assert_eq!(bench.give(12, HostResult::ServerError, 5, s(1)).len(), 1);
}

proptest! {
    /// The share ejected never exceeds its limit (one host apart where that is asked for), and is
    /// that of the changes told.
    #[test]
    fn the_share_ejected_never_exceeds_its_limit(
        hosts in 1_u32..60,
        max_ejection_pct in 0_u32..=100,
        always_eject_one_host in any::<bool>(),
        by_share in any::<bool>(),
        steps in prop::collection::vec((any::<u32>(), 0_u8..4, 0_u64..4_000), 1..600),
    ) {
        let config = OutlierDetection {
            consecutive_5xx: 2,
            base_ejection_time_s: 12.0,
            max_ejection_pct,
            always_eject_one_host,
            success_rate_request_volume: 1,
            failure_percentage_request_volume: 1,
            enforcing_failure_percentage_pct: if by_share { 100 } else { 40 },
            ..OutlierDetection::default()
        };
        let mut bench = Bench::new(&config, hosts);
        let mut away = vec![false; hosts as usize];
        let mut now = SimTime::ZERO;
        for (host, kind, gap_ms) in steps {
            now = SimTime(now.0 + gap_ms * 1_000_000);
            let mut changes = Vec::new();
            while bench.detector.next_interval() <= now {
                changes.extend(bench.sweep().1);
            }
            let result = match kind {
                0 => HostResult::Success,
                1 => HostResult::GatewayError,
                _ => HostResult::ServerError,
            };
            changes.extend(bench.give(host % hosts, result, 1, now));
            for change in changes {
                let (host, is_away) = match change {
                    Change::Ejected { host, .. } => (host, true),
                    Change::Returned { host } => (host, false),
                };
                prop_assert_eq!(away[host as usize], !is_away);
                away[host as usize] = is_away;
            }
            let count = away.iter().filter(|away| **away).count() as u32;
            prop_assert_eq!(bench.detector.ejected(), count);
            let one = always_eject_one_host && count == 1;
            prop_assert!(one || 100 * count <= max_ejection_pct * hosts);
            for (host, away) in away.iter().enumerate() {
                prop_assert_eq!(bench.detector.is_ejected(host as u32), *away);
            }
        }
    }
}
