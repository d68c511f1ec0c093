//! Each fault does what its description says: exactly where nothing is random, and in the mean
//! where chance is part of it.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, plan_of, rows_of, run_rows, simulate};
use seatrial::engine::SimTime;
use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::request::Status;
use seatrial::fleet::timeline::Note;
use seatrial::measure::Interval;
use seatrial::measure::interval::{bonferroni_t_limit, t_quantile};

const MS: u64 = 1_000_000;

fn fault(at_s: f64, for_s: f64, what: &str) -> String {
    format!("[[faults.timeline]]\nat_s = {at_s}\nfor_s = {for_s}\n{what}\n")
}

/// Requests like clockwork to one abstract pool.
fn clockwork(gap_ms: f64, requests: u64, pool: &str, more: &str) -> String {
    format!(
        "name = \"fault\"\n[run]\nhorizon_s = 1000\nwarmup_s = 0\n\
         [workload]\nmax_requests = {requests}\n\
         arrivals = {{ process = \"constant\", rate_per_s = {} }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\n{pool}\n{more}",
        1e3 / gap_ms
    )
}

const FIXED: &str = "service = { law = \"deterministic\", mean_ms = 100 }";
/// The only replica.
const IT: &str = "target = { pool = \"p\" }";

fn count(simulation: &Simulation, status: Status) -> u64 {
    simulation.world.meters.ended[status.index()]
}

// ---- probes ------------------------------------------------------------------------------------

/// When gateway 0 found a replica unwell, and well again.
fn judged(simulation: &Simulation, replica: u32) -> Vec<(SimTime, bool)> {
    let notes = simulation.world.meters.timeline.notes().0.iter();
    let judged = notes.filter_map(|(at, note)| match note {
        Note::Health(0, host, well) if host.0 == replica => Some((*at, *well)),
        _ => None,
    });
    judged.collect()
}

fn probed(kind: &str, replica: u32, rule: &str) -> Simulation {
    let what = format!("kind = \"{kind}\"\ntarget = {{ pool = \"p\", replica = {replica} }}");
    let pool = format!("replicas = 4\n{FIXED}");
    let more = format!(
        "[health]\nactive = {{ interval_s = 2, timeout_s = 0.3{rule} }}\n{}",
        fault(10.1, 9.9, &what)
    );
    simulate(&clockwork(50.0, 1_000, &pool, &more)).1
}

#[test]
fn probes_find_a_fault_when_they_are_set_to() {
    let at = |ms: u64| SimTime(ms * MS);
    for (replica, phase) in [(0, 0), (1, 500), (2, 1_000), (3, 1_500)] {
        // Four replicas are probed in turn over two seconds; the first probe after 10.1 s.
        let first = if phase < 100 { 12_000 } else { 10_000 + phase };
        // And the first after 20 s, when it is back, of which two in a row make it well.
        let back = if phase == 0 { 22_000 } else { 20_000 + phase };
        // A dead process refuses: three refusals.
        let crash = probed("crash", replica, "");
        let expected = [(at(first + 4_000), false), (at(back + 2_000), true)];
        assert_eq!(judged(&crash, replica), expected);
        // One that hangs says nothing for 0.3 s each time, and the next probe comes after that.
        let hang = probed("hang", replica, "");
        let expected = [(at(first + 4_900), false), (at(back + 2_000), true)];
        assert_eq!(judged(&hang, replica), expected);
        // Other thresholds, and a faster pace where something is wrong.
        let rule = ", unhealthy_threshold = 2, healthy_threshold = 1, \
                    unhealthy_edge_interval_s = 0.25";
        let hang = probed("hang", replica, rule);
        let expected = [(at(first + 850), false), (at(back), true)];
        assert_eq!(judged(&hang, replica), expected);
        // The others are never in doubt.
        for other in (0..4).filter(|other| *other != replica) {
            assert_eq!(judged(&hang, other), []);
        }
    }
}

#[test]
fn what_probes_have_found_gets_no_more_requests() {
    let simulation = probed("crash", 2, "");
    // Found at 15 s: for 4.9 s every fourth request, one each 50 ms, went to the dead one. The
    // router that counts finds it idle, and sends it more.
    let lost = count(&simulation, Status::FailedReplica);
    assert!(lost >= 24, "{lost}");
    let pool = format!("replicas = 4\n{FIXED}");
    let crash = fault(
        10.1,
        9.9,
        "kind = \"crash\"\ntarget = { pool = \"p\", replica = 2 }",
    );
    let more = format!("[health]\nactive = {{ interval_s = 2, timeout_s = 0.3 }}\n{crash}");
    let rows = simulate(&clockwork(50.0, 1_000, &pool, &more)).0;
    let late = |row: &&RequestRow| row.arrival_ns >= 15_000 * MS && row.arrival_ns < 23_000 * MS;
    let late: Vec<&RequestRow> = rows.iter().filter(late).collect();
    assert!(late.len() >= 160);
    assert!(late.iter().all(|row| row.status == "completed"));
    assert!(late.iter().all(|row| row.replica != Some(2)));
}

// ---- hanging -----------------------------------------------------------------------------------

/// How much later each request is answered for a hang, nanoseconds.
fn later(text: &str, hang: &str) -> Vec<i128> {
    let answers = |text: &str| -> Vec<u64> {
        let rows = simulate(text).0;
        rows.iter().map(|row| row.last_token_ns.unwrap()).collect()
    };
    let (without, with) = (answers(text), answers(&format!("{text}{hang}")));
    let pairs = without.into_iter().zip(with);
    pairs.map(|(a, b)| i128::from(b) - i128::from(a)).collect()
}

#[test]
fn servers_that_hang_go_on_where_they_were() {
    let ms = i128::from(MS);
    let hang = fault(1.03, 0.5, &format!("kind = \"hang\"\n{IT}"));
    // More comes than is served: busy all the time. The first comes at 90 ms, so the tenth is
    // served from 990 to 1,090 ms and is the first to be hit.
    let busy = clockwork(90.0, 40, FIXED, "");
    let expected: Vec<i128> = (0..40)
        .map(|at| if at < 9 { 0 } else { 500 * ms })
        .collect();
    assert_eq!(later(&busy, &hang), expected);
    // Two hangs, the second while it makes up for the first, and one within another.
    let again = fault(1.55, 0.2, &format!("kind = \"hang\"\n{IT}"));
    let within = fault(1.1, 0.1, &format!("kind = \"hang\"\n{IT}"));
    let all = format!("{hang}{again}{within}");
    let expected: Vec<i128> = (0..40)
        .map(|at| if at < 9 { 0 } else { 700 * ms })
        .collect();
    assert_eq!(later(&busy, &all), expected);
    // Who comes to an idle server while it hangs is begun when that is over.
    let idle = clockwork(1_200.0, 2, FIXED, "");
    let expected = [330 * ms, 0];
    assert_eq!(later(&idle, &hang), expected);
    // Two servers.
    let two = clockwork(45.0, 80, &format!("servers = 2\n{FIXED}"), "");
    let done: Vec<u64> = simulate(&two)
        .0
        .iter()
        .map(|row| row.last_token_ns.unwrap())
        .collect();
    let hit = |ns: &u64| if *ns > 1_030 * MS { 500 * ms } else { 0 };
    assert_eq!(
        later(&two, &hang),
        done.iter().map(hit).collect::<Vec<i128>>()
    );
    // A batch.
    let batches = "batch_service = { fixed_ms = 100, per_item_ms = 0 }";
    let batches = clockwork(990.0, 1, batches, "");
    assert_eq!(later(&batches, &hang), [500 * ms]);
}

#[test]
fn sharing_that_hangs_goes_on_where_it_was() {
    let hang = fault(1.03, 0.5, &format!("kind = \"hang\"\n{IT}"));
    let shared = format!("discipline = \"processor_sharing\"\n{FIXED}");
    // Ten requests within a second to two servers, none of which is done by 1.03 s. Shares are
    // reckoned in parts of nanoseconds, and ends rounded up to whole ones.
    let shared = shared.replace("mean_ms = 100", "mean_ms = 2000");
    let text = clockwork(100.0, 10, &format!("servers = 2\n{shared}"), "");
    let shifts = later(&text, &hang);
    let exact = 500 * i128::from(MS);
    assert!(
        shifts.iter().all(|shift| (shift - exact).abs() <= 1),
        "{shifts:?}"
    );
}

/// A language model's pool with a burst of requests before a second has passed.
fn model(more: &str) -> String {
    format!(
        "name = \"model\"\n[run]\nhorizon_s = 100\nwarmup_s = 0\n\
         [workload]\nmax_requests = 12\n\
         arrivals = {{ process = \"constant\", rate_per_s = 40 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 300 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 400 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\n\
         accelerator = \"h100-sxm\"\n{more}\n"
    )
}

#[test]
fn engines_that_hang_go_on_where_they_were() {
    let hang = fault(1.03, 0.5, &format!("kind = \"hang\"\n{IT}"));
    for more in ["", "pp = 2\nmicro_batch_seqs = 8", "dp = 2"] {
        let text = model(more);
        let rows = simulate(&text).0;
        assert!(
            rows.iter()
                .all(|row| row.last_token_ns.unwrap() > 2_000 * MS)
        );
        let spent = |row: &RequestRow| row.last_token_ns.unwrap() - row.first_token_ns.unwrap();
        let step = rows.iter().map(spent).max().unwrap() / 399;
        // An iteration under way may end while it hangs, and its end is then seen when it goes on:
        // nothing is lost, and no more than that is gained.
        let (most, least) = (500 * MS, 500 * MS - 2 * step);
        let shifts = later(&text, &hang);
        let within = |shift: &i128| (i128::from(least)..=i128::from(most)).contains(shift);
        assert!(shifts.iter().all(within), "{more}: {shifts:?} {step}");
    }
}

#[test]
fn a_hang_is_the_same_step_by_step() {
    let hang = fault(1.03, 0.5, &format!("kind = \"hang\"\n{IT}"));
    let slow = fault(2.0, 0.5, &format!("kind = \"slow\"\nfactor = 3\n{IT}"));
    let [folded, stepped] = [false, true].map(|steps| {
        let text = model(&format!("step_by_step = {steps}"));
        simulate(&format!("{text}{hang}{slow}")).0
    });
    assert_eq!(folded, stepped);
}

// ---- slowness ----------------------------------------------------------------------------------

#[test]
fn a_slow_replica_takes_exactly_so_many_times_as_long() {
    for (what, factor) in [
        ("kind = \"slow\"\nfactor = 2.5", 2.5),
        ("kind = \"brown_out\"\nshare = 0.75", 4.0),
    ] {
        let slow = fault(1.03, 3.0, &format!("{what}\n{IT}"));
        let rows = simulate(&clockwork(500.0, 20, FIXED, &slow)).0;
        for row in &rows {
            let hit = (1_030 * MS..4_030 * MS).contains(&row.arrival_ns);
            let took = if hit { 1e8 * factor } else { 1e8 };
            assert_eq!(e2e_ns(row), took as u64, "{row:?}");
        }
        // Shared servers slow down at once: 30 of 100 ms are done, and 70 take longer.
        let shared = format!("discipline = \"processor_sharing\"\n{FIXED}");
        let rows = simulate(&clockwork(1_000.0, 1, &shared, &slow)).0;
        let took = 3e7 + 7e7 * factor;
        assert!((e2e_ns(&rows[0]) as f64 - took).abs() <= 1.0);
        // An engine's iterations: those that it plans from then on.
        let ever = fault(0.0, 100.0, &format!("{what}\n{IT}"));
        let [plain, slowed] = [model(""), format!("{}{ever}", model(""))].map(|text| {
            let text = text.replace("max_requests = 12", "max_requests = 1");
            e2e_ns(&simulate(&text).0[0])
        });
        // Each of 400 iterations is rounded to a nanosecond.
        let difference = slowed as f64 - factor * plain as f64;
        assert!(difference.abs() <= 400.0 * (factor + 1.0), "{difference}");
    }
}

// ---- messages ----------------------------------------------------------------------------------

/// z of a count of `n` that should be a share of `p`.
fn z_of_share(count: u64, n: u64, p: f64) -> f64 {
    let n = n as f64;
    (count as f64 - n * p) / (n * p * (1.0 - p)).sqrt()
}

#[test]
fn each_lost_message_is_sent_again_after_twice_the_time() {
    let loss = 0.3_f64;
    let requests = 40_000;
    let text = clockwork(
        1.0,
        requests,
        &format!("servers = 100000\n{FIXED}"),
        &format!(
            "[network]\nretransmit_ms = 50\n{}",
            fault(
                0.0,
                1e5,
                &format!("kind = \"packet_loss\"\nprobability = {loss}\n{IT}")
            )
        ),
    );
    let rows = simulate(&text).0;
    // So many losses make a message late by 50 ms times 2^n - 1. There and back: n and m.
    let lateness = |losses: u32| 50 * MS * ((1 << losses) - 1);
    let pairs = || (0..=15).flat_map(|n| (0..=n).map(move |m| (n, m)));
    let mut seen = std::collections::BTreeMap::new();
    for row in &rows {
        let late = e2e_ns(row) - 100 * MS;
        let found = pairs().find(|(n, m)| lateness(*n) + lateness(*m) == late);
        *seen
            .entry(found.unwrap_or_else(|| panic!("{row:?}")))
            .or_insert(0_u64) += 1;
    }
    let limit = bonferroni_t_limit(1e-3, 6, 1e9);
    for (n, m) in [(0_u32, 0_u32), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0)] {
        let ways = if n == m { 1.0 } else { 2.0 };
        let p = ways * (1.0 - loss).powi(2) * loss.powi((n + m).cast_signed());
        let z = z_of_share(seen[&(n, m)], requests, p);
        assert!(z.abs() < limit, "{n} {m}: z {z}");
    }
}

/// A region whose clients are 10 ms away.
fn region(more: &str) -> String {
    format!(
        "name = \"region\"\n[run]\nhorizon_s = 30\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 100 }}\n\
         [[regions]]\nname = \"us\"\n[network]\nconnect_timeout_ms = 700\n\
         [[populations]]\nname = \"all\"\nrtt_ms = {{ us = 20 }}\n\
         [[pools]]\nname = \"p\"\nregion = \"us\"\nengine = \"abstract\"\nservers = 1000\n\
         {FIXED}\n{more}"
    )
}

#[test]
fn a_partition_holds_answers_until_it_ends() {
    let cut = |from: &str| {
        let target = "target = { region = \"us\" }";
        let what = format!("kind = \"partition\"\nfrom = \"{from}\"\n{target}");
        simulate(&region(&fault(5.005, 2.0, &what)))
    };
    let is_cut = |at: u64| (5_005 * MS..7_005 * MS).contains(&at);
    // Between gateways and replicas: requests want to pass 10 ms after they came, answers 110 ms.
    let (mut held, mut failed) = (0, 0);
    let (rows, simulation) = cut("gateways");
    for row in &rows {
        let [there, back] = [10, 110].map(|ms| row.arrival_ns + ms * MS);
        if is_cut(there) {
            assert_eq!(row.status, "failed_network", "{row:?}");
            failed += 1;
        } else if is_cut(back) {
            assert_eq!(row.last_token_ns, Some(7_005 * MS), "{row:?}");
            held += 1;
        } else {
            assert_eq!(row.last_token_ns, Some(back), "{row:?}");
        }
    }
    assert_eq!((held, failed), (10, 200));
    // The first that is held would have come at 5,010 ms; it is another 10 ms to its client.
    let longest = |simulation: &Simulation| simulation.world.meters.e2e.histogram.max_ns().unwrap();
    assert_eq!(longest(&simulation), (7_015 - 4_900) * MS);
    // Between clients and gateways: answers that set out 110 ms after their requests came wait
    // before their last way, and then have it before them.
    let (rows, simulation) = cut("clients");
    for row in &rows {
        let lost = row.status == "failed_network";
        assert_eq!(lost, is_cut(row.arrival_ns), "{row:?}");
        assert!(lost || row.status == "completed", "{row:?}");
    }
    assert_eq!(longest(&simulation), (7_015 - 4_900) * MS);
}

#[test]
fn a_region_that_dies_takes_with_it_what_is_under_way() {
    let crash = fault(5.005, 2.0, "kind = \"crash\"\ntarget = { region = \"us\" }");
    let (rows, simulation) = simulate(&region(&crash));
    let lost = |row: &&RequestRow| row.status == "failed_gateway";
    let lost: Vec<u64> = rows.iter().filter(lost).map(|row| row.id).collect();
    // From a request's beginning until its answer has come, 120 ms later, its connection is open,
    // and breaks.
    let under_way = rows
        .iter()
        .filter(|row| (4_886..=5_004).contains(&(row.arrival_ns / MS)));
    let under_way: Vec<u64> = under_way.map(|row| row.id).collect();
    assert_eq!(lost, under_way);
    assert_eq!(lost.len(), 12);
    // Those who come while it is gone cannot connect.
    assert_eq!(count(&simulation, Status::FailedNetwork), 200);
    let done = count(&simulation, Status::Completed);
    assert_eq!(done + 200 + lost.len() as u64, rows.len() as u64);
}

/// Two regions; all clients are near the first, whose replicas are numbers 0 to 3.
fn near_the_first(faults: &str) -> String {
    let pool = |region: &str| {
        format!(
            "[[pools]]\nname = \"{region}\"\nregion = \"{region}\"\nengine = \"abstract\"\n\
             replicas = 4\nservers = 10\n{FIXED}\n"
        )
    };
    format!(
        "name = \"two\"\n[run]\nhorizon_s = 100\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 10 }}\n\
         [network]\nconnect_timeout_ms = 100\n[network.rtt_ms]\n\"a/b\" = 20\n\
         [[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n\
         [[populations]]\nname = \"x\"\nregion = \"a\"\n\
         [steering]\nvia = \"dns\"\nttl_s = 1\n\
         health = {{ interval_s = 1, failures = 3, successes = 3 }}\n{}{}{faults}",
        pool("a"),
        pool("b"),
    )
}

#[test]
fn clients_come_back_when_all_that_keeps_them_away_is_over() {
    let target = "target = { region = \"a\" }";
    let crash = format!("kind = \"crash\"\n{target}");
    let cut = format!("kind = \"partition\"\nfrom = \"clients\"\n{target}");
    // Whichever ends first, the region is away from 20 s to 70 s.
    let cases = [
        fault(20.0, 50.0, &crash),
        fault(20.0, 50.0, &crash) + &fault(21.0, 20.0, &cut),
        fault(20.0, 50.0, &cut) + &fault(21.0, 20.0, &crash),
        fault(20.0, 50.0, &cut) + &fault(21.0, 20.0, &cut),
        fault(20.0, 30.0, &crash) + &fault(21.0, 49.0, &cut),
    ];
    let first = |row: &RequestRow| row.replica.is_some_and(|replica| replica < 4);
    for faults in cases {
        for row in rows_of(&near_the_first(&faults)) {
            // 3 s until it counts as down or up, and 1 s until the last resolver has asked.
            match row.arrival_ns / MS {
                0..20_000 | 74_100.. => assert!(first(&row), "{faults}{row:?}"),
                24_100..70_000 => assert!(!first(&row), "{faults}{row:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_fault_ends_though_each_request_fails_at_once() {
    // Nothing is in flight between two requests while the only replica is dead. The request of 5 s
    // dies with it.
    let crash = fault(5.005, 2.0, &format!("kind = \"crash\"\n{IT}"));
    let (rows, simulation) = simulate(&clockwork(200.0, 100, FIXED, &crash));
    for row in &rows {
        let dead = (5_000 * MS..7_005 * MS).contains(&row.arrival_ns);
        let status = if dead { "failed_replica" } else { "completed" };
        assert_eq!(row.status, status, "{row:?}");
    }
    assert_eq!(count(&simulation, Status::FailedReplica), 11);
}

// ---- drains ------------------------------------------------------------------------------------

#[test]
fn a_drain_loses_nothing_that_ends_within_its_notice() {
    let with = |notice_s: f64, health: &str| {
        let drain = fault(
            5.005,
            15.0,
            &format!(
                "kind = \"drain\"\nnotice_s = {notice_s}\ntarget = {{ pool = \"p\", replica = 0 }}"
            ),
        );
        let pool = "replicas = 2\nservers = 1000\n\
                    service = { law = \"deterministic\", mean_ms = 1000 }";
        let more = format!("[router]\npolicy = \"round_robin\"\n{health}{drain}");
        simulate(&clockwork(10.0, 3_000, pool, &more))
    };
    // It is announced, so that gateways know whether they look for what nobody tells them or not.
    for health in ["", "[health]\n"] {
        let (rows, simulation) = with(1.0, health);
        assert_eq!(count(&simulation, Status::Completed), 3_000, "{health}");
        let to_first = |row: &&RequestRow| row.replica == Some(0);
        let while_away = |row: &&RequestRow| (5_005 * MS..20_005 * MS).contains(&row.arrival_ns);
        assert_eq!(rows.iter().filter(while_away).filter(to_first).count(), 0);
        assert!(rows.iter().filter(to_first).count() > 500);
        // Half of the second's work is lost with half a second's notice: every other request.
        let (_, simulation) = with(0.5, health);
        assert_eq!(count(&simulation, Status::FailedReplica), 25);
        assert_eq!(count(&simulation, Status::Completed), 2_975);
    }
}

// ---- traffic and deployments -------------------------------------------------------------------

#[test]
fn a_spike_gives_so_many_times_the_arrivals() {
    let factors = [0.4, 1.0, 2.0, 3.7];
    let replications = 30_u64;
    let limit = bonferroni_t_limit(1e-3, factors.len(), replications as f64 - 1.0);
    for factor in factors {
        let text = format!(
            "name = \"spike\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 100 }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 1000\n{FIXED}\n{}",
            fault(
                9.0,
                41.0,
                &format!("kind = \"traffic_spike\"\nfactor = {factor}")
            )
        );
        let plan = plan_of(&text);
        let counts: Vec<f64> = (0..replications)
            .map(|replication| {
                let mut arrived = 0.0;
                run_rows(&plan, replication, |row| {
                    // What is beside the arrival process comes within a second of it.
                    let within = (10_000 * MS..50_000 * MS).contains(&row.arrival_ns);
                    arrived += f64::from(u8::from(within));
                });
                arrived / 4_000.0
            })
            .collect();
        let interval = Interval::from_replications(&counts, 0.95).unwrap();
        let error = interval.half_width / t_quantile(0.975, replications as f64 - 1.0);
        let z = (interval.estimate - factor) / error;
        assert!(z.abs() < limit, "{factor}: {} z {z}", interval.estimate);
    }
}

#[test]
fn what_a_spike_adds_are_sessions_with_all_their_turns() {
    let sessions = |faults: &str| {
        let prompt = "prompt_tokens = { law = \"constant\", tokens = 160 }";
        simulate(&format!(
            "name = \"talks\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n\
             [workload]\narrivals = {{ process = \"constant\", rate_per_s = 1 }}\n{prompt}\n\
             output_tokens = {{ law = \"constant\", tokens = 4 }}\n\
             [workload.sessions]\nturns = {{ law = \"constant\", turns = 4 }}\n\
             think = {{ law = \"deterministic\", mean_ms = 3000 }}\n{prompt}\n\
             [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
             accelerator = \"h100-sxm\"\nreplicas = 2\nprefix_caching = true\n{faults}"
        ))
    };
    let spike = |factor: f64| {
        let what = format!("kind = \"traffic_spike\"\nfactor = {factor}");
        sessions(&fault(9.5, 20.0, &what))
    };
    let turns_of = |rows: &[RequestRow]| {
        [0, 1, 2, 3].map(|turn| {
            let it = |row: &&RequestRow| row.prompt_tokens == 160 + turn * 164;
            rows.iter().filter(it).count()
        })
    };
    let plain = turns_of(&sessions("").0);
    let (rows, simulation) = spike(2.0);
    assert_eq!(turns_of(&rows), plain.map(|turns| turns + 20));
    assert!(simulation.world.session_counts().unwrap().balances());
    // Those that do not come have no turns, and have not begun.
    let (rows, simulation) = spike(0.0);
    assert_eq!(turns_of(&rows), plain.map(|turns| turns - 20));
    let counts = simulation.world.session_counts().unwrap();
    assert_eq!((counts.started, counts.open), (plain[0] as u64 - 20, 0));
}

#[test]
fn a_bad_deployment_hits_its_share() {
    let (requests, share) = (40_000, 0.3);
    let run = |sticky: bool, users: u64| {
        let deploy = fault(
            0.0,
            1e5,
            &format!("kind = \"bad_deploy\"\nshare = {share}\nsticky = {sticky}\n{IT}"),
        );
        let there = format!(
            "[[regions]]\nname = \"us\"\n[[populations]]\nname = \"all\"\nregion = \"us\"\n\
             users = {users}\n[clients]\nmax_retries = 1\n"
        );
        let pool = format!("region = \"us\"\nservers = 100000\n{FIXED}");
        simulate(&clockwork(
            1.0,
            requests,
            &pool,
            &format!("{there}{deploy}"),
        ))
    };
    let limit = bonferroni_t_limit(1e-3, 4, 1e9);
    // Each try on its own.
    let (_, simulation) = run(false, 1_000);
    let tries = &simulation.world.meters.tries;
    let z = z_of_share(tries.ended[Status::FailedDeploy.index()], tries.made, share);
    assert!(z.abs() < limit, "tries: z {z}");
    let z = z_of_share(
        count(&simulation, Status::FailedDeploy),
        requests,
        share * share,
    );
    assert!(z.abs() < limit, "requests: z {z}");
    // By user: who is hit is hit each time, and to try again is of no use.
    let (_, simulation) = run(true, 1_000);
    let hit = simulation.world.meters.timeline.users_hit();
    let z = z_of_share(hit, 1_000, share);
    assert!(z.abs() < limit, "users: z {z}");
    let failed = count(&simulation, Status::FailedDeploy);
    let tries = &simulation.world.meters.tries;
    assert_eq!(tries.ended[Status::FailedDeploy.index()], 2 * failed);
    let z = z_of_share(failed, requests, hit as f64 / 1_000.0);
    assert!(z.abs() < limit, "requests of users: z {z}");
}

// ---- regions -----------------------------------------------------------------------------------

#[test]
fn a_region_that_takes_over_holds_only_with_capacity_to_spare() {
    // Both regions have 60 requests a second, and servers for 90 or 180.
    let with = |servers: u32, crash: bool| {
        let crash = match crash {
            true => {
                "[[faults.timeline]]\nat_s = 60\nkind = \"crash\"\n\
                     target = { region = \"us\" }\n"
            }
            false => "",
        };
        let text = format!(
            "name = \"failover\"\n[run]\nhorizon_s = 300\nwarmup_s = 0\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 120 }}\n\
             [[regions]]\nname = \"us\"\n[[regions]]\nname = \"eu\"\n\
             [network]\nrtt_ms = {{ \"us/eu\" = 80 }}\nconnect_timeout_ms = 500\n\
             [[populations]]\nname = \"americans\"\nregion = \"us\"\n\
             [[populations]]\nname = \"europeans\"\nregion = \"eu\"\n\
             [steering]\nvia = \"dns\"\nttl_s = 5\nhealth = {{ interval_s = 2 }}\n\
             [clients]\ntimeout_ms = 2000\n\
             [[pools]]\nname = \"us\"\nregion = \"us\"\nengine = \"abstract\"\nservers = 9\n\
             service = {{ law = \"erlang\", mean_ms = 100, stages = 4 }}\n\
             [[pools]]\nname = \"eu\"\nregion = \"eu\"\nengine = \"abstract\"\n\
             servers = {servers}\n\
             service = {{ law = \"erlang\", mean_ms = 100, stages = 4 }}\n{crash}"
        );
        let (rows, _) = simulate(&text);
        // Of those who come before, and well after all have moved: arrived and answered.
        [(0, 55), (150, 300)].map(|(from_s, until_s)| {
            let within = |row: &&RequestRow| {
                (from_s * 1_000 * MS..until_s * 1_000 * MS).contains(&row.arrival_ns)
            };
            let arrived = rows.iter().filter(within);
            let done = arrived.clone().filter(|row| row.status == "completed");
            (arrived.count(), done.count())
        })
    };
    for servers in [9, 18] {
        for (arrived, done) in with(servers, false) {
            assert!(arrived > 6_000);
            assert_eq!(done, arrived);
        }
    }
    let [before, after] = with(18, true);
    assert_eq!(before.0, before.1);
    assert_eq!(after.0, after.1, "all are served by the second");
    // Without it fails its own clients, too: nobody at all is answered in time.
    let [before, after] = with(9, true);
    assert_eq!(before.0, before.1);
    assert!(after.0 > 16_000);
    assert_eq!(after.1, 0);
}

/// Prompts are computed by one pool, and answers made by another.
fn apart(back_ms: f64, more: &str) -> String {
    let pool = |name: &str, role: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nengine = \"llm\"\nrole = \"{role}\"\n\
             model = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\nreplicas = 2\n"
        )
    };
    format!(
        "name = \"apart\"\n[run]\nhorizon_s = 40\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"constant\", rate_per_s = 10 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 1600 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 8 }}\n\
         [network]\nto_replica_ms = 0.2\nfrom_replica_ms = {back_ms}\n\
         [kv_transfer]\nbandwidth_gb_per_s = 3\nlatency_ms = 1\n{}{}{more}",
        pool("prompts", "prefill"),
        pool("answers", "decode")
    )
}

/// Of the requests that arrived after that, how many were answered, and how many there were.
fn answered_after(text: &str, after_s: u64) -> (usize, usize) {
    let rows = simulate(text).0;
    let late = rows
        .iter()
        .filter(|row| row.arrival_ns > after_s * 1_000_000_000);
    let done = late.clone().filter(|row| row.status == "completed");
    (done.count(), late.count())
}

#[test]
fn kv_of_a_replica_that_died_is_not_taken_over() {
    // The news of its death takes longer than the KV.
    for at in [5.03, 5.05, 5.07, 5.09] {
        let crash = "kind = \"crash\"\ntarget = { pool = \"prompts\" }";
        let text = apart(200.0, &fault(at, 5.0, crash));
        let rows = simulate(&text).0;
        let lost = rows.iter().filter(|row| row.status == "failed_replica");
        assert!(lost.count() >= 50, "{at}");
    }
}

#[test]
fn breakers_of_both_hear_of_what_they_let_through() {
    for pool in ["prompts", "answers"] {
        let breaker = "[health]\nbreaker = { minimum_calls = 2, window_size = 4, \
                       wait_in_open_s = 1, permitted_calls_in_half_open = 2 }\n";
        let crash = format!("kind = \"crash\"\ntarget = {{ pool = \"{pool}\" }}");
        let text = apart(0.2, &format!("{breaker}{}", fault(5.0, 2.0, &crash)));
        let (done, all) = answered_after(&text, 12);
        assert!(done == all && all > 250, "{pool}: {done} of {all}");
    }
}

#[test]
fn places_are_given_back_where_nobody_can_make_the_answer() {
    let drain = "kind = \"drain\"\nnotice_s = 1\ntarget = { pool = \"answers\" }";
    let limits = "[health]\nlimits = { max_requests = 20 }\n";
    let text = apart(0.2, &format!("{limits}{}", fault(5.0, 5.0, drain)));
    let (done, all) = answered_after(&text, 12);
    assert!(done == all && all > 250, "{done} of {all}");
}

#[test]
fn a_trial_call_that_is_misrouted_is_no_trial() {
    let pool = |name: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nserves = [\"{name}\"]\nengine = \"abstract\"\n\
             replicas = 2\nservers = 10\nservice = {{ law = \"deterministic\", mean_ms = 50 }}\n"
        )
    };
    let text = format!(
        "name = \"trials\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"constant\", rate_per_s = 40 }}\n\
         [router]\npolicy = \"round_robin\"\n[[tiers]]\nname = \"t\"\nmodel = \"a\"\n\
         [health]\nbreaker = {{ minimum_calls = 4, window_size = 4, wait_in_open_s = 5, \
         permitted_calls_in_half_open = 4 }}\n{}{}{}{}",
        pool("a"),
        pool("b"),
        fault(10.0, 2.0, "kind = \"crash\"\ntarget = { pool = \"a\" }"),
        fault(
            13.0,
            10.0,
            "kind = \"bad_deploy\"\nshare = 1.0\nmisroute_to = \"b\"\ntarget = { pool = \"a\" }"
        ),
    );
    let (done, all) = answered_after(&text, 30);
    assert!(done == all && all > 1_000, "{done} of {all}");
}

#[test]
fn the_nearest_region_that_can_serve_a_request_does() {
    let policies = [
        "policy = \"failover\"",
        "policy = \"spill_over\"\nfull_at = 0.5",
    ];
    for locality in policies {
        for router in ["least_tokens", "round_robin", "ring_hash", "random"] {
            let text = format!(
                "name = \"elsewhere\"\n[run]\nhorizon_s = 20\nwarmup_s = 0\n[workload]\n\
                 arrivals = {{ process = \"constant\", rate_per_s = 100 }}\n\
                 [network.rtt_ms]\n\"a/b\" = 20\n[router]\npolicy = \"{router}\"\n\
                 [locality]\n{locality}\n[[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n\
                 [[populations]]\nname = \"x\"\nregion = \"a\"\n\
                 [[tiers]]\nname = \"small\"\nmodel = \"s\"\n\
                 [[tiers]]\nname = \"big\"\nmodel = \"b\"\n\
                 [[pools]]\nname = \"p\"\nregion = \"a\"\nserves = [\"s\"]\n\
                 engine = \"abstract\"\nreplicas = 2\nservers = 10\n\
                 service = {{ law = \"deterministic\", mean_ms = 50 }}\n\
                 [[pools]]\nname = \"q\"\nregion = \"b\"\nserves = [\"b\"]\n\
                 engine = \"abstract\"\nreplicas = 2\nservers = 10\n\
                 service = {{ law = \"deterministic\", mean_ms = 50 }}\n"
            );
            let (done, all) = answered_after(&text, 0);
            assert!(
                done == all && all > 1_900,
                "{locality} {router}: {done} of {all}"
            );
        }
    }
}

#[test]
fn without_its_control_plane_a_gateway_goes_by_what_it_sees_itself() {
    let failed = |active: &str| {
        let text = format!(
            "name = \"alone\"\n[run]\nhorizon_s = 100\nwarmup_s = 0\n[workload]\n\
             arrivals = {{ process = \"constant\", rate_per_s = 40 }}\n\
             [router]\npolicy = \"round_robin\"\n[health]\n{active}\
             breaker = {{ minimum_calls = 5, window_size = 10, wait_in_open_s = 5, \
             permitted_calls_in_half_open = 5 }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 4\nservers = 10\n\
             service = {{ law = \"deterministic\", mean_ms = 50 }}\n{}{}",
            fault(5.0, 94.0, "kind = \"control_plane_loss\""),
            fault(
                20.0,
                70.0,
                "kind = \"crash\"\ntarget = { pool = \"p\", replica = 0 }"
            ),
        );
        let rows = simulate(&text).0;
        rows.iter().filter(|row| row.status != "completed").count()
    };
    // Trial calls fail every five seconds, whatever its probes would say.
    let seen = failed("");
    assert!(seen > 30, "{seen}");
    assert_eq!(
        failed("active = { interval_s = 1, timeout_s = 0.1 }\n"),
        seen
    );
}

// ---- what a crash wastes -----------------------------------------------------------------------

/// One request of 400 tokens to one replica of a language model that dies at `crash_s`: the output
/// tokens wasted. Maybe with another one, half a second later.
fn wasted_at(crash_s: f64, beside: bool) -> u64 {
    let text = format!(
        "name = \"fault\"\n[run]\nhorizon_s = 100\nwarmup_s = 0\n\
         [workload]\nmax_requests = {}\n\
         arrivals = {{ process = \"constant\", rate_per_s = 2 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 64 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 400 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\n{}",
        1 + u64::from(beside),
        fault(crash_s, 5.0, &format!("kind = \"crash\"\n{IT}"))
    );
    let simulation = simulate(&text).1;
    simulation.world.meters.tries.wasted_output_tokens
}

#[test]
fn a_crash_wastes_what_was_made_until_then() {
    // The request comes at 0.5 s. A token is made every few milliseconds, one like the other.
    let made: Vec<u64> = (0..=8)
        .map(|step| wasted_at(0.6 + 0.1 * f64::from(step), false))
        .collect();
    assert!(made[0] > 5, "{made:?}");
    for pair in made.windows(2) {
        let gap = (made[8] - made[0]) as f64 / 8.0;
        assert!(((pair[1] - pair[0]) as f64 - gap).abs() <= 1.5, "{made:?}");
    }
    // Who comes beside it cuts its run of iterations short, and takes nothing from it: until then it
    // has made as much, and both make tokens from there on.
    assert_eq!(wasted_at(0.999, true), wasted_at(0.999, false));
    let (alone, both) = (wasted_at(1.3, false), wasted_at(1.3, true));
    assert!(both > alone + 20 && both < 2 * alone, "{alone} {both}");
}

#[test]
fn whoever_hangs_for_ever_is_late_on_the_timeline_too() {
    let text = clockwork(
        50.0,
        400,
        "replicas = 2\nservice = { law = \"deterministic\", mean_ms = 20 }",
        "[slo]\ne2e_ms = 500\n[router]\npolicy = \"round_robin\"\n[clients]\n\
             [[faults.timeline]]\nat_s = 10\nkind = \"hang\"\n\
             target = { pool = \"p\", replica = 0 }\n",
    );
    let (_, simulation) = simulate(&text.replace("horizon_s = 1000", "horizon_s = 21"));
    let timeline = simulation.world.timeline_with_in_flight(simulation.now());
    let overdue: u64 = timeline.buckets().iter().map(|bucket| bucket.overdue).sum();
    // Every second of the 200 requests from 10 s on hangs.
    assert!((90..=101).contains(&overdue), "{overdue}");
    let late = timeline
        .buckets()
        .iter()
        .position(|bucket| bucket.overdue > 0);
    let first_s = late.unwrap() as f64 * timeline.width().as_secs_f64();
    assert!((10.0..=10.6).contains(&first_s), "{first_s}");
}

#[test]
fn without_a_control_plane_nobody_is_sent_elsewhere() {
    let failed = |more: &str| {
        let text = format!(
            "name = \"cp\"\n[run]\nhorizon_s = 900\nwarmup_s = 0\n[workload]\n\
             arrivals = {{ process = \"constant\", rate_per_s = 10 }}\n\
             [[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n\
             [[populations]]\nname = \"u\"\nrtt_ms = {{ a = 5, b = 40 }}\n\
             [network]\nrtt_ms = {{ \"a/b\" = 40 }}\nconnect_timeout_ms = 100\n\
             [steering]\nvia = \"anycast\"\nconvergence_s = 0\nhealth = {{ interval_s = 10 }}\n\
             [[pools]]\nname = \"pa\"\nregion = \"a\"\nengine = \"abstract\"\nservers = 9\n\
             service = {{ law = \"deterministic\", mean_ms = 10 }}\n\
             [[pools]]\nname = \"pb\"\nregion = \"b\"\nengine = \"abstract\"\nservers = 9\n\
             service = {{ law = \"deterministic\", mean_ms = 10 }}\n{}{more}",
            fault(
                300.0,
                300.0,
                "kind = \"crash\"\ntarget = { region = \"a\" }"
            )
        );
        let rows = rows_of(&text);
        rows.iter().filter(|row| row.status != "completed").count()
    };
    // Three checks of 10 s each.
    let with = failed("");
    assert!((295..=305).contains(&with), "{with}");
    // It is lost until after the region is back: nobody ever heard.
    let lost = failed(&fault(200.0, 500.0, "kind = \"control_plane_loss\""));
    assert!((2_995..=3_005).contains(&lost), "{lost}");
    // It comes back half way: the news comes then, and checks begin.
    let late = failed(&fault(200.0, 250.0, "kind = \"control_plane_loss\""));
    assert!((1_795..=1_805).contains(&late), "{late}");
}
