//! Faults come in order of time, the same each time, and count up and down.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use seatrial::engine::{SimDuration, SimTime, Streams};
use seatrial::fleet::faults::{
    Cause, Change, Condition, Effect, FaultSchedule, FleetImpairments, Impairments, Peer, Scope,
    What,
};
use seatrial::fleet::geo::RegionIndex;
use seatrial::fleet::ids::PoolId;
use seatrial::scenario::SourceText;
use seatrial::scenario::faults::{Faults, GPU_H100_LLAMA3_MTBF_H, Layout, PoolPlace};

const STREAMS: Streams = Streams {
    seed: 7,
    replication: 0,
};

fn layout(replicas: u32, accelerators_per_replica: u32) -> Layout {
    let half = replicas / 2;
    let pool = |name: &str, first_replica, replicas, region| PoolPlace {
        name: name.to_owned(),
        first_replica,
        replicas,
        accelerators_per_replica,
        region: Some(region),
    };
    Layout {
        pools: vec![pool("a", 0, half, 0), pool("b", half, replicas - half, 1)],
        regions: vec!["us".to_owned(), "eu".to_owned()],
        populations: vec!["phones".to_owned(), "agents".to_owned()],
    }
}

fn at(seconds: f64) -> SimTime {
    SimTime((seconds * 1e9).round() as u64)
}

fn faults(text: &str) -> Faults {
    Faults::parse(SourceText::new("f.toml", text)).unwrap().1
}

fn schedule(text: &str, horizon_s: f64) -> FaultSchedule {
    FaultSchedule::new(&faults(text), &layout(20, 8), STREAMS, at(horizon_s)).unwrap()
}

fn all(mut schedule: FaultSchedule) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(next) = schedule.next_at() {
        let change = schedule.next_change().unwrap();
        assert_eq!(change.at, next);
        changes.push(change);
    }
    assert_eq!(schedule.next_change(), None);
    assert!(changes.windows(2).all(|pair| pair[0].at <= pair[1].at));
    changes
}

fn times(changes: &[Change]) -> Vec<(f64, What)> {
    let seconds = |change: &Change| (change.at.as_secs_f64(), change.what);
    changes.iter().map(seconds).collect()
}

#[test]
fn a_fault_begins_and_ends() {
    let text = "[[faults.timeline]]\nat_s = 10\nfor_s = 5\nkind = \"crash\"\n\
                target = { pool = \"b\", share = 0.25 }\n";
    let schedule = schedule(text, 100.0);
    let changes = all(schedule.clone());
    assert_eq!(
        times(&changes),
        [
            (10.0, What::Begin(Effect::Crash)),
            (15.0, What::End(Effect::Crash))
        ]
    );
    // A quarter of ten is three: rounded, the lowest numbers.
    let replicas: Vec<u32> = schedule.places().replicas(changes[0].scope).collect();
    assert_eq!(replicas, [10, 11, 12]);
    assert_eq!(changes[0].cause, Cause::Timeline(0));
}

#[test]
fn nothing_comes_at_or_after_the_horizon() {
    let text = "[[faults.timeline]]\nat_s = 10\nfor_s = 5\nkind = \"hang\"\n\
                target = { pool = \"a\" }\n";
    assert_eq!(all(schedule(text, 15.0)).len(), 1);
    assert_eq!(all(schedule(text, 10.0)).len(), 0);
    let ever = text.replace("for_s = 5\n", "");
    assert_eq!(all(schedule(&ever, 1e9)).len(), 1);
}

#[test]
fn a_drain_is_a_notice_and_then_a_crash() {
    let text = "[[faults.timeline]]\nat_s = 10\nuntil_s = 600\nkind = \"drain\"\nnotice_s = 30\n\
                target = { pool = \"a\", replica = 2 }\n";
    let draining = Effect::Draining { gone_at: at(40.0) };
    assert_eq!(
        times(&all(schedule(text, 1e4))),
        [
            (10.0, What::Begin(draining)),
            (40.0, What::Begin(Effect::Crash)),
            (600.0, What::End(Effect::Crash)),
            (600.0, What::End(draining)),
        ]
    );
}

#[test]
fn shares_of_a_deployment_follow_their_steps() {
    let text = "[[faults.timeline]]\nat_s = 10\nuntil_s = 40\nkind = \"bad_deploy\"\n\
                share = 0.008\nshare_steps = [[20, 0.05], [30, 0.16]]\nmisroute_to = \"b\"\n";
    let changes = all(schedule(text, 1e4));
    let mut wide = FleetImpairments::new(2, 2);
    let mut shares = Vec::new();
    for change in &changes {
        assert!(wide.apply(change));
        assert!(wide.deploys().len() <= 1);
        let share = wide.deploys().first().map_or(0.0, |deploy| deploy.share);
        shares.push((change.at.as_secs_f64(), share));
    }
    let steps = [
        (10.0, 0.008),
        (20.0, 0.0),
        (20.0, 0.05),
        (30.0, 0.0),
        (30.0, 0.16),
        (40.0, 0.0),
    ];
    assert_eq!(shares, steps);
}

#[test]
fn an_oscillating_fault_comes_and_goes_until_it_ends() {
    let text = "[[faults.timeline]]\nat_s = 100\nuntil_s = 1050\nkind = \"oscillating\"\n\
                period_s = 300\non_share = 0.4\ntarget = { region = \"us\" }\n\
                fault = { kind = \"slow\", factor = 3 }\n";
    let on = What::Begin(Effect::Slow { factor: 3.0 });
    let off = What::End(Effect::Slow { factor: 3.0 });
    let expected = [
        (100.0, on),
        (220.0, off),
        (400.0, on),
        (520.0, off),
        (700.0, on),
        (820.0, off),
        (1000.0, on),
        (1050.0, off),
    ];
    assert_eq!(times(&all(schedule(text, 1e6))), expected);
    // For ever, it is as lazy as it is long: nothing is made ahead.
    let ever = text.replace("until_s = 1050\n", "").replace("300", "0.01");
    let mut endless = schedule(&ever, 1e8);
    for _ in 0..10_000 {
        endless.next_change().unwrap();
    }
    assert!(endless.next_at().is_some());
}

#[test]
fn of_one_instant_what_begins_comes_first() {
    let text = "[[faults.timeline]]\nat_s = 0\nuntil_s = 10\nkind = \"crash\"\n\
                target = { pool = \"a\" }\n[[faults.timeline]]\nat_s = 10\nuntil_s = 20\n\
                kind = \"crash\"\ntarget = { pool = \"a\" }\n";
    let mut impairments = Impairments::new(20);
    let alive: Vec<bool> = all(schedule(text, 100.0))
        .iter()
        .map(|change| {
            impairments.apply(0, change.what);
            impairments.is_alive(0)
        })
        .collect();
    assert_eq!(alive, [false, false, false, true]);
}

const RANDOM: &str = r#"
[[faults.random]]
name = "gpus"
component = "gpu"
preset = "gpu_h100_llama3"
mttr_s = 600

[[faults.random]]
name = "switches"
component = "switch"
group_size = 3
mtbf_h = 100
mttr = { law = "exponential", mean_ms = 3600000 }
fault = { kind = "packet_loss", probability = 0.1 }
"#;

#[test]
fn the_same_seed_gives_the_same_faults_and_another_entry_moves_none() {
    let year = 365.0 * 86_400.0;
    let changes = all(schedule(RANDOM, year));
    assert_eq!(changes, all(schedule(RANDOM, year)));
    let switches = RANDOM
        .find("[[faults.random]]\nname = \"switches\"")
        .unwrap();
    let alone = all(schedule(&RANDOM[switches..], year));
    let of_switches = |change: &&Change| matches!(change.cause, Cause::Random { process: 1, .. });
    let among: Vec<_> = changes.iter().filter(of_switches).collect();
    assert!(alone.len() > 1000);
    assert_eq!(among.len(), alone.len());
    for (a, b) in among.iter().zip(&alone) {
        assert_eq!((a.at, a.scope, a.what), (b.at, b.scope, b.what));
    }
    let other = Streams { seed: 8, ..STREAMS };
    let moved = FaultSchedule::new(&faults(RANDOM), &layout(20, 8), other, at(year)).unwrap();
    assert_ne!(changes, all(moved));
}

#[test]
fn replicas_that_share_a_component_fail_together_and_no_group_spans_pools() {
    let schedule = schedule(RANDOM, 365.0 * 86_400.0);
    let mut seen = Vec::new();
    for change in all(schedule) {
        if let (Cause::Random { process: 1, .. }, Scope::Replicas { first, count }) =
            (change.cause, change.scope)
        {
            seen.push((first, count));
        }
    }
    seen.sort_unstable();
    seen.dedup();
    let groups = [
        (0, 3),
        (3, 3),
        (6, 3),
        (9, 1),
        (10, 3),
        (13, 3),
        (16, 3),
        (19, 1),
    ];
    assert_eq!(seen, groups);
}

#[test]
fn whole_regions_and_racks_are_components() {
    let text = "[[faults.random]]\nname = \"r\"\ncomponent = \"region\"\nmtbf_h = 100\n\
                mttr_s = 60\n[[faults.random]]\nname = \"k\"\ncomponent = \"rack\"\n\
                mtbf_h = 100\nmttr_s = 60\n[[faults.racks]]\nname = \"x\"\n\
                members = [{ pool = \"a\", replicas = 2 }]\n";
    let mut scopes: Vec<Scope> = all(schedule(text, 1e7)).iter().map(|it| it.scope).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let regions = [Scope::Region(RegionIndex(0)), Scope::Region(RegionIndex(1))];
    assert_eq!(scopes, [regions[0], regions[1], Scope::Rack(0)]);
}

/// Failures and up-time, over `replicas` replicas for `horizon_s`.
fn failures(text: &str, replicas: u32, accelerators: u32, horizon_s: f64) -> (u64, f64) {
    let layout = layout(replicas, accelerators);
    let mut schedule = FaultSchedule::new(&faults(text), &layout, STREAMS, at(horizon_s)).unwrap();
    let (mut count, mut down) = (0, 0.0);
    while let Some(change) = schedule.next_change() {
        match change.what {
            What::Begin(_) => {
                count += 1;
                down += horizon_s - change.at.as_secs_f64();
            }
            What::End(_) => down -= horizon_s - change.at.as_secs_f64(),
        }
    }
    (count, f64::from(replicas) * horizon_s - down)
}

#[test]
fn a_replica_of_eight_fails_eight_times_as_often_as_a_gpu() {
    let gpus = &RANDOM[..RANDOM
        .find("[[faults.random]]\nname = \"switches\"")
        .unwrap()];
    for accelerators in [1, 8] {
        let (count, up_s) = failures(gpus, 2_000, accelerators, 54.0 * 86_400.0);
        let rate_per_s = f64::from(accelerators) / (GPU_H100_LLAMA3_MTBF_H * 3_600.0);
        let expected = up_s * rate_per_s;
        // Poisson, given the time up.
        let z = (count as f64 - expected) / expected.sqrt();
        assert!(
            z.abs() < 4.0,
            "{accelerators}: {count} for {expected}, z = {z}"
        );
    }
}

#[test]
fn weibull_gaps_have_their_mean_and_spread() {
    for shape in [0.7, 2.0] {
        let text = format!(
            "[[faults.random]]\nname = \"n\"\ncomponent = \"node\"\nmtbf_h = 1\nmttr_s = 1\n\
             distribution = {{ law = \"weibull\", shape = {shape} }}\n"
        );
        let one = Layout {
            pools: vec![PoolPlace {
                name: "a".to_owned(),
                first_replica: 0,
                replicas: 1,
                accelerators_per_replica: 1,
                region: None,
            }],
            ..Layout::default()
        };
        let mut schedule = FaultSchedule::new(&faults(&text), &one, STREAMS, at(9e7)).unwrap();
        let (mut up_since, mut gaps) = (SimTime::ZERO, Vec::new());
        while let Some(change) = schedule.next_change() {
            match change.what {
                What::Begin(_) => gaps.push(change.at.since(up_since).as_secs_f64() / 3600.0),
                What::End(_) => up_since = change.at,
            }
        }
        let n = gaps.len() as f64;
        assert!(n > 20_000.0);
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let z = (mean - 1.0) / (variance / n).sqrt();
        assert!(z.abs() < 4.0, "shape {shape}: mean {mean}, z = {z}");
        // P(gap > its mean) = exp(-G(1 + 1/k)^k): .7 -> G = 1.26582, 2 -> G = 0.886227.
        let gamma: f64 = if shape < 1.0 {
            1.265_823_5
        } else {
            0.886_226_9
        };
        let tail = (-gamma.powf(shape)).exp();
        let above = gaps.iter().filter(|gap| **gap > 1.0).count() as f64;
        let z = (above - n * tail) / (n * tail * (1.0 - tail)).sqrt();
        assert!(z.abs() < 4.0, "shape {shape}: tail {}, z = {z}", above / n);
    }
}

#[test]
fn down_times_have_the_mean_of_their_law() {
    let text = "[[faults.random]]\nname = \"n\"\ncomponent = \"node\"\nmtbf_h = 1\n\
                mttr = { law = \"exponential\", mean_ms = 600000 }\n";
    let mut schedule = FaultSchedule::new(&faults(text), &layout(20, 1), STREAMS, at(1e7)).unwrap();
    let (mut begun, mut n, mut sum) = ([SimTime::ZERO; 20], 0.0_f64, 0.0);
    while let Some(change) = schedule.next_change() {
        let Scope::Replicas { first, .. } = change.scope else {
            panic!("{change:?}");
        };
        match change.what {
            What::Begin(_) => begun[first as usize] = change.at,
            What::End(_) => {
                n += 1.0;
                sum += change.at.since(begun[first as usize]).as_secs_f64();
            }
        }
    }
    let z = (sum / n - 600.0) / (600.0 / n.sqrt());
    assert!(z.abs() < 4.0, "{} of {n}, z = {z}", sum / n);
}

fn effect() -> impl Strategy<Value = Effect> {
    // Few values, so that equal ones overlap.
    let share = prop::sample::select(vec![0.1, 0.25, 0.5]);
    prop_oneof![
        Just(Effect::Crash),
        Just(Effect::Hang),
        Just(Effect::Draining { gone_at: at(1.0) }),
        prop::sample::select(vec![1.5, 2.0, 3.3]).prop_map(|factor| Effect::Slow { factor }),
        share
            .clone()
            .prop_map(|probability| Effect::PacketLoss { probability }),
        share.prop_map(|share| Effect::BrownOut { share }),
        Just(Effect::DnsOutage),
    ]
}

/// What is in force, from the list of all that began and did not end.
fn naive(in_force: &[Effect]) -> Condition {
    let mut sorted = in_force.to_vec();
    let size = |effect: &Effect| match *effect {
        Effect::Slow { factor } => factor,
        Effect::PacketLoss { probability } => 1.0 - probability,
        Effect::BrownOut { share } => 1.0 - share,
        _ => 0.0,
    };
    sorted.sort_by(|a, b| size(a).total_cmp(&size(b)));
    let (mut condition, mut passes) = (Condition::WELL, 1.0);
    for effect in sorted {
        match effect {
            Effect::Crash => condition.alive = false,
            Effect::Hang => condition.hung = true,
            Effect::Draining { .. } => condition.draining = true,
            Effect::Slow { factor } => condition.slow_factor *= factor,
            Effect::PacketLoss { probability } => passes *= 1.0 - probability,
            Effect::BrownOut { share } => condition.capacity_share *= 1.0 - share,
            _ => {}
        }
    }
    condition.loss_probability = 1.0 - passes;
    condition
}

proptest! {
    #[test]
    fn overlapping_faults_count_as_a_list_of_them_does(
        steps in prop::collection::vec(
            (0_u32..4, effect(), any::<prop::sample::Index>(), any::<bool>()), 1..200),
    ) {
        let mut impairments = Impairments::new(4);
        let mut lists: Vec<Vec<Effect>> = vec![Vec::new(); 4];
        for (replica, effect, which, ends) in steps {
            let list = &mut lists[replica as usize];
            let before = impairments.condition(replica);
            let what = if ends && !list.is_empty() {
                What::End(list.swap_remove(which.index(list.len())))
            } else {
                list.push(effect);
                What::Begin(effect)
            };
            let (was, is) = impairments.apply(replica, what);
            prop_assert_eq!(was, before);
            prop_assert_eq!(is, impairments.condition(replica));
            for (replica, list) in (0..).zip(&lists) {
                prop_assert_eq!(impairments.condition(replica), naive(list));
            }
        }
        for (replica, list) in (0..).zip(lists) {
            for effect in list {
                impairments.apply(replica, What::End(effect));
            }
            prop_assert_eq!(impairments.condition(replica), Condition::WELL);
        }
    }
}

#[test]
fn two_crashes_that_overlap_are_over_when_both_are() {
    let mut impairments = Impairments::new(2);
    impairments.apply(1, What::Begin(Effect::Crash));
    let (was, is) = impairments.apply(1, What::Begin(Effect::Crash));
    assert!(!was.alive && !is.alive);
    assert!(!impairments.apply(1, What::End(Effect::Crash)).1.alive);
    assert!(impairments.apply(1, What::End(Effect::Crash)).1.alive);
    // What never began cannot end.
    let (was, is) = impairments.apply(1, What::End(Effect::Crash));
    assert_eq!((was, is), (Condition::WELL, Condition::WELL));
    assert_eq!(impairments.condition(77), Condition::WELL);
    impairments.grow(100);
    impairments.apply(77, What::Begin(Effect::Hang));
    assert!(!impairments.condition(77).answers());
}

fn change(scope: Scope, what: What) -> Change {
    Change {
        at: SimTime::ZERO,
        cause: Cause::Timeline(0),
        scope,
        what,
    }
}

#[test]
fn regions_and_clients_count_too() {
    let mut wide = FleetImpairments::new(2, 2);
    let (us, eu) = (RegionIndex(0), RegionIndex(1));
    let cut = Effect::Partition {
        from: Peer::Region(us),
    };
    wide.apply(&change(Scope::Region(eu), What::Begin(cut)));
    assert!(wide.is_cut_off(us, Peer::Region(eu)) && wide.is_cut_off(eu, Peer::Region(us)));
    assert!(!wide.is_cut_off(us, Peer::Clients));
    wide.apply(&change(Scope::Region(eu), What::End(cut)));
    assert!(!wide.is_cut_off(us, Peer::Region(eu)));

    wide.apply(&change(Scope::Fleet, What::Begin(Effect::DnsOutage)));
    wide.apply(&change(
        Scope::Population(1),
        What::Begin(Effect::DnsOutage),
    ));
    assert!(wide.dns_is_out(0) && wide.dns_is_out(1));
    wide.apply(&change(Scope::Fleet, What::End(Effect::DnsOutage)));
    assert!(!wide.dns_is_out(0) && wide.dns_is_out(1));

    let spike = Effect::TrafficSpike { factor: 3.0 };
    wide.apply(&change(Scope::Fleet, What::Begin(spike)));
    wide.apply(&change(Scope::Population(0), What::Begin(spike)));
    assert_eq!((wide.traffic_factor(0), wide.traffic_factor(1)), (9.0, 3.0));

    wide.apply(&change(
        Scope::Region(us),
        What::Begin(Effect::ControlPlaneLoss),
    ));
    assert!(wide.control_plane_is_lost(us) && !wide.control_plane_is_lost(eu));
    assert!(!wide.apply(&change(Scope::Fleet, What::Begin(Effect::Crash))));
}

#[test]
fn users_of_a_deployment_are_drawn_anew_when_their_time_is_over() {
    let mut wide = FleetImpairments::new(1, 1);
    let effect = Effect::BadDeploy {
        share: 0.1,
        sticky: true,
        sticky_for: SimDuration::from_secs_f64(100.0),
        misroute_to: None,
    };
    wide.apply(&change(Scope::Pool(PoolId(0)), What::Begin(effect)));
    let mut rng = STREAMS.stream("test", 0, "users");
    let mut hit = |user: u64, at_s: u64| {
        let now = SimTime(at_s * 1_000_000_000);
        wide.hit((PoolId(0), None), user, now, &mut rng).is_some()
    };
    let users = 20_000_u64;
    let (mut changes, mut first, mut ever) = (0_u64, 0_u64, 0_u64);
    for user in 0..users {
        let states: Vec<bool> = (0..1_000).step_by(5).map(|at_s| hit(user, at_s)).collect();
        changes += states.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
        first += u64::from(states[0]);
        ever += u64::from(states.contains(&true));
    }
    let share = |count: u64| count as f64 / users as f64;
    assert!((share(first) - 0.1).abs() < 0.01, "{}", share(first));
    // Ten turns end within the time, at instants of each user's own: eleven draws, or ten.
    let expected = 1.0 - 0.9_f64.powf(10.95);
    assert!(
        (share(ever) - expected).abs() < 0.02,
        "{} {expected}",
        share(ever)
    );
    assert!(
        (share(changes) - 10.0 * 0.18).abs() < 0.1,
        "{}",
        share(changes)
    );
}

#[test]
fn a_sticky_deployment_hits_the_same_users_and_more_as_it_grows() {
    let deploy = |share, sticky| {
        let mut wide = FleetImpairments::new(1, 1);
        let effect = Effect::BadDeploy {
            share,
            sticky,
            sticky_for: SimDuration::ZERO,
            misroute_to: Some(PoolId(1)),
        };
        wide.apply(&change(Scope::Pool(PoolId(0)), What::Begin(effect)));
        wide
    };
    let mut rng = STREAMS.stream("test", 0, "users");
    let place = (PoolId(0), None);
    let mut hits =
        |wide: &FleetImpairments, user| wide.hit(place, user, SimTime::ZERO, &mut rng).is_some();
    let (few, many, random) = (deploy(0.008, true), deploy(0.16, true), deploy(0.16, false));
    let users = 100_000_u64;
    let (mut hit_few, mut hit_many, mut hit_random, mut hit_twice) = (0.0, 0.0, 0.0, 0.0);
    for user in 0..users {
        let (is_few, is_many) = (hits(&few, user), hits(&many, user));
        assert_eq!(is_many, hits(&many, user));
        assert!(is_many || !is_few);
        hit_few += f64::from(u8::from(is_few));
        hit_many += f64::from(u8::from(is_many));
        let once = hits(&random, user);
        hit_random += f64::from(u8::from(once));
        hit_twice += f64::from(u8::from(once && hits(&random, user)));
    }
    let z = |count: f64, share: f64| {
        let n = users as f64;
        (count - n * share) / (n * share * (1.0 - share)).sqrt()
    };
    for (count, share) in [
        (hit_few, 0.008),
        (hit_many, 0.16),
        (hit_random, 0.16),
        (hit_twice, 0.16 * 0.16),
    ] {
        assert!(z(count, share).abs() < 4.0, "{count} for {share}");
    }
    let elsewhere = (PoolId(1), None);
    assert!((0..users).all(|user| many.hit(elsewhere, user, SimTime::ZERO, &mut rng).is_none()));
}
