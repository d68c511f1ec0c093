//! Routers that know the replicas' load by asking: how old it is, and what that does.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, plan_of, run_rows, simulate};
use seatrial::measure::Interval;
use seatrial::measure::interval::{bonferroni_t_limit, t_quantile};

/// Ten replicas of one server each that are 80 % busy.
fn fleet(more: &str) -> String {
    format!(
        "name = \"stale\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 800 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 10\n\
         service = {{ law = \"exponential\", mean_ms = 10 }}\n{more}"
    )
}

/// Clockwork: a request each millisecond, longer in service than the run.
fn clockwork(more: &str) -> String {
    format!(
        "name = \"clockwork\"\n[run]\nhorizon_s = 0.5\nwarmup_s = 0\ndrain_limit_s = 600\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 1000 }}\n\
         [router]\npolicy = \"least_request\"\nchoices = 0\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 7\nservers = 1000\n\
         service = {{ law = \"deterministic\", mean_ms = 100_000 }}\n{more}"
    )
}

fn mean_ms(text: &str) -> f64 {
    let rows = simulate(text).0;
    rows.iter().map(|row| e2e_ns(row) as f64).sum::<f64>() / rows.len() as f64 / 1e6
}

#[test]
fn between_two_answers_all_go_to_the_same_replica() {
    let text = clockwork("[signals]\nsource = \"reported\"\ninterval_ms = 10\n");
    let (rows, simulation) = simulate(&text);
    // Requests come at 0, 1, 2, ... ms. The question of 10 ms was scheduled at the first request, so
    // that it comes before the request of 10 ms.
    let ten = |row: &seatrial::fleet::outcome::RequestRow| row.arrival_ns / 10_000_000;
    let mut by_interval = vec![Vec::new(); 51];
    for row in &rows {
        by_interval[ten(row) as usize].push(row.replica.unwrap());
    }
    for (index, replicas) in by_interval.iter().enumerate().take(50) {
        assert!(
            replicas.iter().all(|replica| *replica == replicas[0]),
            "interval {index}: {replicas:?}"
        );
    }
    // Each interval's replica is the next: the ones before have ten more.
    let firsts: Vec<u32> = by_interval[..7].iter().map(|all| all[0]).collect();
    assert_eq!(firsts, [0, 1, 2, 3, 4, 5, 6]);
    // A question for each interval in which something came or went, and no more.
    let asked = simulation.world.meters.events_by_kind[10];
    assert!((50..=101).contains(&asked), "{asked}");
}

#[test]
fn an_answer_is_known_exactly_its_delay_later() {
    let text = clockwork("[signals]\nsource = \"reported\"\ninterval_ms = 10\ndelay_ms = 3.5\n");
    let rows = simulate(&text).0;
    // What was asked at 10 ms is known at 13.5 ms: requests of 10 to 13 ms still go to the first.
    for row in &rows[..30] {
        let known_ms = (row.arrival_ns as f64 / 1e6 - 3.5).max(0.0);
        let expected = (known_ms / 10.0) as u32;
        assert_eq!(row.replica, Some(expected), "{row:?}");
    }
}

#[test]
fn answers_that_are_lost_change_nothing() {
    let text = clockwork("[signals]\nsource = \"reported\"\ninterval_ms = 10\nloss = 1\n");
    let rows = simulate(&text).0;
    assert!(rows.iter().all(|row| row.replica == Some(0)));
}

#[test]
fn what_a_gateway_sent_since_keeps_it_from_herding() {
    let text =
        clockwork("[signals]\nsource = \"reported\"\ninterval_ms = 1000\ncount_own = true\n");
    let rows = simulate(&text).0;
    // With one gateway and nothing coming back, that is the whole truth.
    for row in &rows {
        assert_eq!(u64::from(row.replica.unwrap()), row.id % 7);
    }
}

#[test]
fn asking_all_the_time_is_as_good_as_counting() {
    let constant = |more: &str| {
        fleet(more).replace("process = \"poisson\"", "process = \"weibull\", cv = 0.8")
    };
    let router = "[router]\npolicy = \"least_request\"\nchoices = 0\n";
    let own = simulate(&constant(router)).1;
    let asked = constant(&format!(
        "{router}[signals]\nsource = \"reported\"\ninterval_ms = 0.001\n"
    ));
    let asked = simulate(&asked).1;
    let same = |a: u64, b: u64| (a as f64 / b as f64 - 1.0).abs() < 0.01;
    // Two events within the same microsecond see it differently: a few of 48,000.
    let [own, asked] = [own, asked].map(|simulation| {
        let histogram = &simulation.world.meters.e2e.histogram;
        histogram.mean_ns().unwrap() as u64
    });
    assert!(same(own, asked), "{own} {asked}");
}

#[test]
fn the_older_the_news_the_worse_the_herd() {
    let with = |choices: u32, interval_ms: f64| {
        mean_ms(&fleet(&format!(
            "[router]\npolicy = \"least_request\"\nchoices = {choices}\n\
             [signals]\nsource = \"reported\"\ninterval_ms = {interval_ms}\n"
        )))
    };
    let random = mean_ms(&fleet("[router]\npolicy = \"random\"\n"));
    let all: Vec<f64> = [1.0, 20.0, 200.0].map(|ms| with(0, ms)).to_vec();
    assert!(all[0] < all[1] && all[1] < all[2], "{all:?}");
    // News of twenty services' age sends all to one replica: far worse than knowing nothing
    // (Mitzenmacher, How Useful Is Old Information?, 2000); two choices suffer less.
    assert!(all[0] < 0.6 * random, "{all:?} {random}");
    assert!(all[2] > 2.0 * random, "{all:?} {random}");
    assert!(with(2, 200.0) < 0.8 * all[2], "{all:?}");
}

#[test]
fn gateways_that_count_for_themselves_know_less_the_more_they_are() {
    let with = |gateways: u32| {
        mean_ms(&fleet(&format!(
            "[router]\npolicy = \"least_request\"\nchoices = 0\n\
             [gateway]\nreplicas = {gateways}\n"
        )))
    };
    let means: Vec<f64> = [1, 4, 100].map(with).to_vec();
    let random = mean_ms(&fleet("[router]\npolicy = \"random\"\n"));
    assert!(means[0] < means[1] && means[1] < means[2], "{means:?}");
    assert!(means[2] < random * 1.05, "{means:?} {random}");
}

/// Mean end-to-end latencies of some replications, milliseconds.
fn means_ms(text: &str, replications: u64) -> Vec<f64> {
    let plan = plan_of(text);
    let means = (0..replications).map(|replication| {
        let (mut sum, mut count) = (0.0, 0.0);
        run_rows(&plan, replication, |row| {
            sum += e2e_ns(row) as f64 / 1e6;
            count += 1.0;
        });
        sum / count
    });
    means.collect()
}

#[test]
fn gateways_that_ask_at_their_own_times_do_not_herd_together() {
    let with = |gateways: u32, count_own: bool| {
        let text = fleet(&format!(
            "[router]\npolicy = \"least_request\"\nchoices = 0\n\
             [gateway]\nreplicas = {gateways}\n[signals]\nsource = \"reported\"\n\
             interval_ms = 50\ncount_own = {count_own}\n"
        ));
        means_ms(&text.replace("horizon_s = 60", "horizon_s = 10"), 8)
    };
    let (one, ten) = (with(1, false), with(10, false));
    let (one_counting, ten_counting) = (with(1, true), with(10, true));
    // Ten herds, each of a tenth of the traffic and towards another replica, are less bad than one.
    // What a gateway sent itself is all that one alone need know, and a tenth of what ten need.
    let limit = bonferroni_t_limit(1e-3, 4, 7.0);
    for (what, worse, better) in [
        ("one herd and ten", &one, &ten),
        ("ten herds and ten that count", &ten, &ten_counting),
        ("ten that count and one", &ten_counting, &one_counting),
        ("one herd and one that counts", &one, &one_counting),
    ] {
        let less = Interval::paired_difference(worse, better, 0.95).unwrap();
        let error = less.half_width / t_quantile(0.975, 7.0);
        assert!(
            less.estimate > limit * error,
            "{what}: {worse:?} {better:?}"
        );
    }
}

#[test]
fn a_run_with_reports_ends_and_repeats() {
    let text = fleet(
        "[router]\npolicy = \"least_request\"\n[gateway]\nreplicas = 3\n[signals]\n\
         source = \"reported\"\ninterval_ms = 5\ndelay_ms = 2\nloss = 0.3\ncount_own = true\n",
    );
    let plan = plan_of(&text);
    let first = run_rows(&plan, 0, |_| {});
    assert_eq!(first.world.in_flight(), 0);
    assert_eq!(first.digest(), run_rows(&plan, 0, |_| {}).digest());
}

#[test]
fn a_load_is_as_stale_as_the_last_that_was_reported() {
    let result = |rate: f64, interval_ms: f64| {
        let text = format!(
            "name = \"age\"\n[run]\nhorizon_s = 2000\n[workload]\n\
             arrivals = {{ process = \"poisson\", rate_per_s = {rate} }}\n\
             [router]\npolicy = \"least_request\"\nchoices = 0\n\
             [signals]\nsource = \"reported\"\ninterval_ms = {interval_ms}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 4\nservers = 8\n\
             service = {{ law = \"exponential\", mean_ms = 20 }}\n"
        );
        common::simulate(&text).1.world.signal_meter().unwrap()
    };
    // Idle nearly all the time: nothing is stale, and what is has been so for half an interval.
    let idle = result(0.3, 100.0);
    assert!(idle.stale * 20 < idle.choices, "{idle:?}");
    let busy = result(200.0, 100.0);
    let age_ms = busy.age_ns as f64 / 1e6 / busy.stale as f64;
    assert!(busy.stale * 10 > busy.choices * 9, "{busy:?}");
    assert!(age_ms > 30.0 && age_ms < 70.0, "{age_ms}");
}
