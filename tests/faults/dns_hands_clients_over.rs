//! Population follow a region's health as caches, health checks and routes let them.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::common;

use std::collections::BTreeMap;

use common::rows_of;
use proptest::prelude::*;
use rand::RngExt;

use seatrial::engine::{SimTime, Streams};
use seatrial::fleet::geo::{
    Geo, NoAnswer, PopulationPlace, RegionIndex, expected_share_moved, expected_time_to_move_s,
};
use seatrial::scenario::regions::{Population, Region, RoundTrips, RttMatrix, RttTable};
use seatrial::scenario::steering::{AnswerPolicy, Anycast, Dns, HealthChecks, Steering};
use seatrial::scenario::{Document, Problems, SourceText};

const A: RegionIndex = RegionIndex(0);
const B: RegionIndex = RegionIndex(1);
const C: RegionIndex = RegionIndex(2);

fn at(seconds: f64) -> SimTime {
    SimTime((seconds * 1e9).round() as u64)
}

fn streams(replication: u64) -> Streams {
    Streams {
        seed: 3,
        replication,
    }
}

/// Three regions, one population: a is nearest, then b, then c.
fn geo_of(config: &Steering, replication: u64) -> Geo {
    let names = ["a", "b", "c"].map(str::to_owned);
    let region = |name: &String| Region {
        name: name.clone(),
        gateways: 1,
        place: None,
    };
    let regions: Vec<Region> = names.iter().map(region).collect();
    let times = [("a", 10.0), ("b", 50.0), ("c", 90.0)];
    let clients = Population {
        name: "all".to_owned(),
        region: None,
        rtt_ms: Some(times.map(|(name, rtt)| (name.to_owned(), rtt)).into()),
        access_rtt_ms: 0.0,
        share: 1.0,
        users: 1_000_000,
    };
    let pairs = [("a/b", 40.0), ("a/c", 80.0), ("b/c", 60.0)];
    let stated = RoundTrips {
        rtt_ms: pairs.map(|(pair, rtt)| (pair.to_owned(), rtt)).into(),
        ..RoundTrips::default()
    };
    let table = RttTable::shipped().unwrap();
    let rtt = RttMatrix::new(&regions, &[clients], &stated, &table).unwrap();
    let place = PopulationPlace {
        index: 0,
        share: 1.0,
    };
    Geo::new(config, &names, &rtt, &[place], streams(replication)).unwrap()
}

fn geo(dns: Dns) -> Geo {
    geo_of(&Steering::Dns(dns), 0)
}

/// Checks every 10 s, three of them; 30 s until a region counts as down.
fn health(fail_back_after_s: f64) -> HealthChecks {
    HealthChecks {
        interval_s: 10.0,
        fail_back_after_s,
        ..HealthChecks::default()
    }
}

fn dns() -> Dns {
    Dns {
        health: health(0.0),
        ..Dns::default()
    }
}

/// A number of resolvers that is as large as a scenario may have.
const MANY: u32 = 20_000;

/// Shares that have moved are binomial about their expectation.
#[track_caller]
fn near(share: f64, expected: f64, resolvers: u32) {
    let n = f64::from(resolvers);
    let sd = (expected * (1.0 - expected) / n).sqrt();
    assert!(
        (share - expected).abs() <= 4.5 * sd + 1e-12,
        "{share} for {expected}, sd {sd}"
    );
}

#[test]
fn the_share_moved_grows_by_the_ttl_after_detection() {
    let config = Dns {
        resolvers: MANY,
        ..dns()
    };
    // Whether anybody asks in between is of no account.
    for asks in [false, true] {
        let mut geo = geo(config.clone());
        geo.region_down(A, at(1_000.0));
        for second in 1_000..1_100 {
            let now = at(f64::from(second));
            if asks {
                for client in 0..200 {
                    geo.choose(0, client, now).unwrap();
                }
            }
            let since = f64::from(second) - 1_000.0;
            let moved = geo.share_of_resolvers_on(B, now);
            let expected = ((since - 30.0) / 60.0).clamp(0.0, 1.0);
            near(moved, expected, MANY);
            assert_eq!(expected_share_moved(&config, since), expected);
            let stay = geo.share_of_resolvers_on(A, now);
            assert!((stay + moved - 1.0).abs() < 1e-12);
        }
    }
    let nine_in_ten = expected_time_to_move_s(&config, 0.9).unwrap();
    assert!((nine_in_ten - 84.0).abs() < 1e-9);
}

#[test]
fn some_resolvers_ignore_the_ttl_and_some_never_ask() {
    let config = Dns {
        resolvers: MANY,
        ignore_ttl_share: 0.2,
        ignored_ttl_s: 600.0,
        never_refresh_share: 0.05,
        ..dns()
    };
    let mut geo = geo(config.clone());
    geo.region_down(A, at(2_000.0));
    for since in [
        0.0, 29.0, 31.0, 60.0, 90.0, 200.0, 400.0, 629.0, 630.0, 5_000.0,
    ] {
        let moved = geo.share_of_resolvers_on(B, at(2_000.0 + since));
        near(moved, expected_share_moved(&config, since), MANY);
    }
    let left = geo.share_of_resolvers_on(A, at(9_000.0));
    assert!((left - 0.05).abs() < 1e-12, "{left}");
    assert_eq!(expected_time_to_move_s(&config, 0.96), None);
}

#[test]
fn clients_move_with_their_resolvers() {
    let config = Dns {
        resolvers: 500,
        ..dns()
    };
    let mut geo = geo(config);
    geo.region_down(A, at(100.0));
    let now = at(160.0);
    let clients = 50_000_u64;
    let moved = (0..clients)
        .filter(|client| geo.choose(0, *client, now) == Ok(B))
        .count() as f64;
    let share = geo.share_of_resolvers_on(B, now);
    near(moved / clients as f64, share, clients as u32);
    // A client keeps to its answer while it is good.
    let chosen: Vec<_> = (0..500).map(|client| geo.choose(0, client, now)).collect();
    let again: Vec<_> = (0..500).map(|client| geo.choose(0, client, now)).collect();
    assert_eq!(chosen, again);
}

#[test]
fn who_asks_when_changes_nothing() {
    let script = |asks: u64| {
        let mut geo = geo(dns());
        let mut rng = streams(0).stream("test", asks, "asks");
        let events: [(f64, RegionIndex, bool); 4] = [
            (100.0, A, false),
            (400.0, B, false),
            (500.0, A, true),
            (900.0, B, true),
        ];
        let mut next = 0;
        for tenth in 0..12_000_u32 {
            let now = at(f64::from(tenth) / 10.0);
            if let Some((when, region, up)) = events.get(next)
                && at(*when) <= now
            {
                next += 1;
                match up {
                    true => geo.region_up(*region, now),
                    false => geo.region_down(*region, now),
                }
            }
            for _ in 0..asks {
                geo.choose(0, rng.random_range(0..1_000_000), now).unwrap();
            }
        }
        let now = at(1_200.0);
        (0..2_000)
            .map(|client| geo.choose(0, client, now).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(script(0), script(3));
}

#[test]
fn traffic_returns_after_it_has_been_well_for_a_while() {
    let mut geo = geo(Dns {
        ttl_s: 1.0,
        health: health(300.0),
        ..Dns::default()
    });
    geo.region_down(A, at(100.0));
    assert_eq!(geo.next_turn(), Some(at(130.0)));
    assert_eq!(geo.share_of_resolvers_on(A, at(129.9)), 1.0);
    assert_eq!(geo.share_of_resolvers_on(B, at(131.0)), 1.0);
    geo.region_up(A, at(200.0));
    // Three checks, then 300 s.
    assert_eq!(geo.next_turn(), Some(at(530.0)));
    assert_eq!(geo.share_of_resolvers_on(B, at(529.9)), 1.0);
    assert!(!geo.counts_as_up(A, at(529.9)));
    assert_eq!(geo.share_of_resolvers_on(A, at(531.0)), 1.0);
    assert!(geo.counts_as_up(A, at(531.0)));
    assert_eq!(geo.next_turn(), None);
}

#[test]
fn a_region_that_comes_and_goes_is_seen_as_its_checks_see_it() {
    // Down for 20 s of every 60 s: three checks in a row never fail.
    let mut blinks = geo(dns());
    // Down for 40 s of every 60 s: it is noticed, and is never well for 300 s.
    let mut flaps = geo(Dns {
        health: health(300.0),
        ..dns()
    });
    for period in 0..50 {
        let begin = 60.0 * f64::from(period);
        blinks.region_down(A, at(begin));
        flaps.region_down(A, at(begin));
        assert!(blinks.counts_as_up(A, at(begin + 15.0)));
        blinks.region_up(A, at(begin + 20.0));
        flaps.region_up(A, at(begin + 40.0));
        assert!(!flaps.counts_as_up(A, at(begin + 59.0)), "period {period}");
    }
    let now = at(3_000.0);
    assert_eq!(blinks.share_of_resolvers_on(A, now), 1.0);
    assert_eq!(flaps.share_of_resolvers_on(A, now), 0.0);
}

#[test]
fn an_answer_that_expires_in_an_outage_is_served_stale_and_then_fails() {
    let config = Dns {
        resolvers: MANY,
        serve_stale_s: 100.0,
        ..dns()
    };
    let mut geo = geo(config);
    geo.set_dns_outage(0, true, at(1_000.0));
    // The region goes down, and resolvers cannot know.
    geo.region_down(A, at(1_000.0));
    assert_eq!(geo.share_of_resolvers_on(A, at(1_099.9)), 1.0);
    let answered = geo.share_of_resolvers_on(A, at(1_130.0));
    near(answered, 0.5, MANY);
    assert_eq!(geo.share_of_resolvers_on(B, at(1_130.0)), 0.0);
    assert_eq!(geo.share_of_resolvers_on(A, at(1_161.0)), 0.0);
    assert_eq!(geo.choose(0, 1, at(1_161.0)), Err(NoAnswer));
    // When it is over all ask at once, and then again all at once.
    geo.set_dns_outage(0, false, at(1_200.0));
    assert_eq!(geo.share_of_resolvers_on(B, at(1_200.0)), 1.0);
    geo.region_up(A, at(1_205.0));
    assert_eq!(geo.share_of_resolvers_on(B, at(1_259.9)), 1.0);
    assert_eq!(geo.share_of_resolvers_on(A, at(1_260.0)), 1.0);
}

#[test]
fn a_short_outage_is_felt_by_those_whose_answer_expires_in_it() {
    let mut geo = geo(Dns {
        resolvers: MANY,
        ..dns()
    });
    geo.set_dns_outage(0, true, at(500.0));
    near(geo.share_of_resolvers_on(A, at(515.0)), 0.75, MANY);
    geo.set_dns_outage(0, false, at(515.0));
    assert_eq!(geo.share_of_resolvers_on(A, at(515.0)), 1.0);
    geo.region_down(A, at(520.0));
    // It counts as down from 550 s: those who ask until 560 s move. The others have asked since
    // 515 s; a quarter did at that very moment, and asks again at 575 s.
    near(geo.share_of_resolvers_on(B, at(574.9)), 10.0 / 60.0, MANY);
    near(geo.share_of_resolvers_on(B, at(575.0)), 25.0 / 60.0, MANY);
}

#[test]
fn where_none_is_up_answers_name_what_they_named() {
    let mut geo = geo(dns());
    for region in [A, B, C] {
        geo.region_down(region, at(10.0));
    }
    assert_eq!(geo.share_of_resolvers_on(A, at(1_000.0)), 1.0);
    geo.region_up(C, at(1_000.0));
    assert_eq!(geo.share_of_resolvers_on(C, at(1_091.0)), 1.0);
}

#[test]
fn weights_are_kept_among_those_that_are_up() {
    let weights = [("a", 6.0), ("b", 3.0), ("c", 1.0)];
    let mut geo = geo(Dns {
        resolvers: MANY,
        answer: AnswerPolicy::Weighted {
            weights: weights
                .map(|(name, weight)| (name.to_owned(), weight))
                .into(),
        },
        ..dns()
    });
    for now in [0.0, 500.0] {
        for (region, share) in [(A, 0.6), (B, 0.3), (C, 0.1)] {
            near(geo.share_of_resolvers_on(region, at(now)), share, MANY);
        }
    }
    geo.region_down(A, at(500.0));
    for (region, share) in [(A, 0.0), (B, 0.75), (C, 0.25)] {
        near(geo.share_of_resolvers_on(region, at(600.0)), share, MANY);
    }
}

#[test]
fn a_standby_gets_traffic_only_while_the_primary_is_down() {
    let mut geo = geo(Dns {
        answer: AnswerPolicy::Standby {
            order: ["c", "a", "b"].map(str::to_owned).into(),
        },
        ..dns()
    });
    assert_eq!(geo.share_of_resolvers_on(C, at(10.0)), 1.0);
    geo.region_down(C, at(10.0));
    assert_eq!(geo.share_of_resolvers_on(A, at(101.0)), 1.0);
    geo.region_up(C, at(200.0));
    assert_eq!(geo.share_of_resolvers_on(C, at(291.0)), 1.0);
}

#[test]
fn a_saturated_region_spills_over_until_it_is_free_again() {
    let mut geo = geo(Dns {
        answer: AnswerPolicy::SpillOver {
            full_at: 0.9,
            free_below: 0.7,
        },
        ..dns()
    });
    let on = |geo: &mut Geo, region, now| geo.share_of_resolvers_on(region, at(now));
    geo.report_load(A, 0.89, at(100.0));
    assert_eq!(on(&mut geo, A, 190.0), 1.0);
    geo.report_load(A, 0.9, at(200.0));
    assert_eq!(on(&mut geo, B, 260.0), 1.0);
    // Not yet free: between the two it stays as it was.
    geo.report_load(A, 0.75, at(300.0));
    assert_eq!(on(&mut geo, B, 400.0), 1.0);
    geo.report_load(B, 1.0, at(400.0));
    assert_eq!(on(&mut geo, C, 460.0), 1.0);
    geo.report_load(C, 1.0, at(500.0));
    // All are full: the nearest.
    assert_eq!(on(&mut geo, A, 560.0), 1.0);
    geo.report_load(B, 0.69, at(600.0));
    assert_eq!(on(&mut geo, B, 660.0), 1.0);
    geo.region_down(B, at(700.0));
    assert_eq!(on(&mut geo, A, 791.0), 1.0);
}

#[test]
fn a_fleet_tells_how_full_its_regions_are() {
    let pool = |region: &str, servers: u32, ms: u32| {
        format!(
            "[[pools]]\nname = \"{region}\"\nregion = \"{region}\"\nengine = \"abstract\"\n\
             servers = {servers}\nservice = {{ law = \"deterministic\", mean_ms = {ms} }}\n"
        )
    };
    let pools_of = |answer: &str| {
        let rows = rows_of(&format!(
            "name = \"full\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n[workload]\n\
             arrivals = {{ process = \"constant\", rate_per_s = 10 }}\n\
             [network.rtt_ms]\n\"a/b\" = 20\n[[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n\
             [[populations]]\nname = \"x\"\nregion = \"a\"\n[steering]\nvia = \"dns\"\nttl_s = 1\n\
             health = {{ interval_s = 1 }}\nanswer = {{ policy = \"{answer} }}\n{}{}",
            pool("a", 1, 1000),
            pool("b", 100, 100),
        ));
        let pools = rows
            .iter()
            .map(|row| (row.arrival_ns / 1_000_000, row.pool));
        pools.collect::<Vec<_>>()
    };
    let in_a = |(_, pool): &(u64, Option<u16>)| *pool == Some(0);
    assert!(pools_of("nearest\"").iter().all(in_a));
    let pools = pools_of("spill_over\", full_at = 2, free_below = 1");
    let within = |from: u64, to: u64| {
        let there = pools.iter().filter(move |(at, _)| (from..to).contains(at));
        there.map(in_a).collect::<Vec<bool>>()
    };
    // The balancer hears of it with the check at 1 s, and the last resolver a second later.
    assert!(within(0, 1000).iter().all(|in_a| *in_a));
    assert!(within(2100, 10_000).iter().all(|in_a| !in_a));
    // What waited in the first second or two is served in some twenty: it is free again.
    assert!(within(10_000, 30_000).iter().any(|in_a| *in_a));
}

#[test]
fn anycast_moves_all_at_once() {
    let config = Steering::Anycast(Anycast {
        convergence_s: 45.0,
        health: health(0.0),
    });
    let mut geo = geo_of(&config, 0);
    geo.region_down(A, at(100.0));
    assert_eq!(geo.choose(0, 1, at(174.9)), Ok(A));
    assert_eq!(geo.share_of_resolvers_on(A, at(174.9)), 1.0);
    assert_eq!(geo.choose(0, 1, at(175.0)), Ok(B));
    assert_eq!(geo.share_of_resolvers_on(B, at(175.0)), 1.0);
    geo.region_down(B, at(200.0));
    geo.region_down(C, at(200.0));
    assert_eq!(geo.choose(0, 1, at(275.0)), Err(NoAnswer));
    geo.region_up(A, at(300.0));
    assert_eq!(geo.choose(0, 1, at(375.0)), Ok(A));
    assert_eq!(
        geo.choose(1, 1, at(375.0)),
        Err(NoAnswer),
        "no such population"
    );
}

proptest! {
    #[test]
    fn a_clone_goes_on_alike_and_no_client_is_without_an_answer(
        turns in prop::collection::vec((0_u16..3, any::<bool>(), 0.0_f64..200.0), 1..40),
        ttl_s in 1.0_f64..200.0,
    ) {
        let mut geo = geo(Dns { ttl_s, resolvers: 50, ..dns() });
        let mut now = 0.0;
        for (region, up, wait) in turns {
            now += wait;
            match up {
                true => geo.region_up(RegionIndex(region), at(now)),
                false => geo.region_down(RegionIndex(region), at(now)),
            }
            let mut fork = geo.clone();
            let later = at(now + wait);
            for client in 0..20 {
                prop_assert!(fork.choose(0, client, later).is_ok());
            }
            let mut again = geo.clone();
            for client in (0..20).rev() {
                prop_assert_eq!(again.choose(0, client, later), fork.choose(0, client, later));
            }
            let all: f64 = [A, B, C].iter().map(|region| fork.share_of_resolvers_on(*region, later)).sum();
            prop_assert!((all - 1.0).abs() < 1e-9);
        }
    }

    /// One resolver against a walk through every refresh.
    #[test]
    fn a_resolver_is_as_if_it_asked_at_every_expiry(
        turns in prop::collection::vec((any::<bool>(), 1.0_f64..300.0), 1..30),
        ttl_s in 5.0_f64..100.0,
        asks in prop::collection::vec(any::<bool>(), 30),
    ) {
        let mut geo = geo(Dns { ttl_s, resolvers: 1, ..dns() });
        // Its first expiry is where a region that went down at 0 lets it go: found by bisection.
        let mut probe = geo.clone();
        probe.region_down(A, at(0.0));
        let mut first = 30.0;
        while probe.choose(0, 0, at(first)) == Ok(A) {
            first += 0.001;
        }
        let mut expires = first % ttl_s;
        // (from, believed up), as the checks see it.
        let mut beliefs = vec![(0.0, true)];
        let (mut now, mut up, mut pending) = (0.0, true, None::<(f64, bool)>);
        for ((turn, wait), ask) in turns.into_iter().zip(asks) {
            now += wait;
            if let Some((when, belief)) = pending && when <= now {
                beliefs.push((when, belief));
                pending = None;
            }
            if turn != up {
                up = turn;
                let believed = beliefs.last().is_none_or(|belief| belief.1);
                pending = (believed != up).then_some((now + 30.0, up));
            }
            match turn {
                true => geo.region_up(A, at(now)),
                false => geo.region_down(A, at(now)),
            }
            if !ask {
                continue;
            }
            let mut asked = expires - ttl_s;
            while expires + 0.01 < now {
                asked = expires;
                expires += ttl_s;
            }
            // Too near to an expiry, or to a change of belief, for the bisection.
            let belief_at = |time: f64| {
                beliefs.iter().rev().find(|belief| belief.0 <= time).is_none_or(|belief| belief.1)
            };
            let clear = (expires - now).abs() > 0.02
                && (now - asked).abs() > 0.02
                && belief_at(asked - 0.02) == belief_at(asked + 0.02);
            if clear {
                let expected = if asked < 0.0 || belief_at(asked) { A } else { B };
                prop_assert_eq!(geo.choose(0, 0, at(now)), Ok(expected), "at {}", now);
            }
        }
    }
}

fn problems(text: &str) -> String {
    let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
    let parsed: BTreeMap<String, Steering> = match document.parse_as() {
        Ok(parsed) => parsed,
        Err(error) => return error.to_string(),
    };
    let mut problems = Problems::new(&document);
    parsed["steering"].check("steering", &["a", "b", "c"], &mut problems);
    problems
        .finish()
        .err()
        .map_or(String::new(), |error| error.to_string())
}

#[test]
fn what_a_user_writes_is_checked() {
    let dns = |rest: &str| problems(&format!("[steering]\nvia = \"dns\"\n{rest}\n"));
    assert_eq!(dns(""), "");
    assert_eq!(
        dns(
            "ttl_s = 300\nignore_ttl_share = 0.1\nanswer = { policy = \"spill_over\" }\n\
             health = { interval_s = 10, fail_back_after_s = 600 }"
        ),
        ""
    );
    assert_eq!(
        problems("[steering]\nvia = \"anycast\"\nconvergence_s = 5\n"),
        ""
    );
    for (rest, part) in [
        ("ttl_s = 0", "ttl_s"),
        ("ttl = 5", "`ttl_s`"),
        ("resolvers = 0", "resolvers"),
        (
            "ignore_ttl_share = 0.6\nnever_refresh_share = 0.6",
            "at most 1 together",
        ),
        (
            "ignore_ttl_share = 0.6\nignored_ttl_s = 10",
            "at least ttl_s",
        ),
        ("serve_stale_s = -1", "serve_stale_s"),
        ("health = { failures = 0 }", "failures"),
        (
            "answer = { policy = \"weighted\", weights = { d = 1 } }",
            "is of a region that is not there",
        ),
        (
            "answer = { policy = \"weighted\", weights = { a = 0 } }",
            "a weight above 0",
        ),
        (
            "answer = { policy = \"standby\", order = [\"a\", \"b\"] }",
            "\"c\" is not in it",
        ),
        (
            "answer = { policy = \"spill_over\", free_below = 0.95 }",
            "at most full_at",
        ),
    ] {
        let message = dns(rest);
        assert!(message.contains(part), "{rest}: {message}");
    }
}
