//! Who is let in at the gateway, who waits, in which order they go in, and who is turned away.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, simulate};
use seatrial::fleet::outcome::RequestRow;

/// One server of 100 ms, and requests of two tiers at twice what it can do.
fn overloaded(more: &str) -> String {
    format!(
        "name = \"gate\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 20 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 100 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 20 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\n\
         service = {{ law = \"deterministic\", mean_ms = 100 }}\n{more}"
    )
}

const TIERS: &str = "[[tiers]]\nname = \"first\"\npriority = 0\nweight = 3\n\
                     [[tiers]]\nname = \"last\"\npriority = 5\nweight = 1\n";

fn count(rows: &[RequestRow], status: &str) -> usize {
    rows.iter().filter(|row| row.status == status).count()
}

fn completed(rows: &[RequestRow], tier: u16) -> usize {
    let of_it = rows.iter().filter(|row| row.tier == tier);
    of_it.filter(|row| row.status == "completed").count()
}

#[test]
fn a_fixed_limit_lets_no_more_in_at_once() {
    let text = overloaded("[admission]\nconcurrency = { policy = \"fixed\", limit = 3 }\n");
    let rows = simulate(&text).0;
    assert_eq!(
        rows.len(),
        count(&rows, "completed") + count(&rows, "shed_limit")
    );
    // At most three at once: the third waits for two services at most.
    let slowest = rows.iter().filter(|row| row.status == "completed");
    let slowest = slowest.map(e2e_ns).max().unwrap();
    assert!(slowest > 200_000_000 && slowest <= 300_000_000, "{slowest}");
    // The server is hardly ever idle all the same.
    assert!(count(&rows, "completed") > 560, "{}", rows.len());
}

#[test]
fn the_waiting_room_is_bounded_and_in_order() {
    let text = overloaded(
        "[admission]\nconcurrency = { policy = \"fixed\", limit = 1 }\n\
         waiting_room = { bound = { requests = 4 } }\n",
    );
    let rows = simulate(&text).0;
    assert_eq!(
        rows.len(),
        count(&rows, "completed") + count(&rows, "shed_full")
    );
    let done: Vec<&RequestRow> = rows
        .iter()
        .filter(|row| row.status == "completed")
        .collect();
    assert!(
        done.windows(2)
            .all(|pair| pair[0].scheduled_ns < pair[1].scheduled_ns)
    );
    let slowest = done.iter().map(|row| e2e_ns(row)).max().unwrap();
    assert!(slowest > 400_000_000 && slowest <= 500_000_000, "{slowest}");
}

#[test]
fn priorities_go_first_and_aging_lets_the_others_in() {
    let with = |aging: &str| {
        let text = overloaded(&format!(
            "{TIERS}[admission]\nconcurrency = {{ policy = \"fixed\", limit = 1 }}\n\
             waiting_room = {{ order = {{ policy = \"priority\"{aging} }}, \
             tiers = [{{ tier = \"first\", requests = 20 }}, \
             {{ tier = \"last\", requests = 20 }}] }}\n"
        ));
        let rows = simulate(&text).0;
        (completed(&rows, 0), completed(&rows, 1))
    };
    // Half of the traffic is what the server can do: strictly, the last tier gets next to nothing.
    let (first, last) = with("");
    assert!(first > 530 && last < 70, "{first} {last}");
    let (first, last) = with(", aging_s = 0.2");
    assert!(last > 130, "{first} {last}");
}

#[test]
fn fair_shares_go_by_weight() {
    // Each tier asks for what the server can do; three of four go to the first.
    let text = overloaded(&format!(
        "{TIERS}[admission]\nconcurrency = {{ policy = \"fixed\", limit = 1 }}\n\
         waiting_room = {{ order = {{ policy = \"fair\", by_priority = false }}, \
         tiers = [{{ tier = \"first\", requests = 30 }}, {{ tier = \"last\", requests = 30 }}] }}\n"
    ));
    let rows = simulate(&text).0;
    let (first, last) = (completed(&rows, 0) as f64, completed(&rows, 1) as f64);
    // But for the beginning, and the room that is emptied at the end.
    let share = first / (first + last);
    assert!((share - 0.75).abs() < 0.06, "{first} {last}");
}

#[test]
fn tenants_draw_their_share_and_keep_to_their_quota() {
    let text = overloaded(
        "[admission]\ntenants = [\n{ name = \"big\", share = 3, \
         quotas = [{ of = \"requests\", amount = 120, window_s = 60, window = { kind = \"fixed\" } }] },\n\
         { name = \"small\", share = 1 }]\n",
    );
    let rows = simulate(&text).0;
    // Three quarters of 1,200 want in, and 120 may.
    let refused = count(&rows, "rejected_quota") as f64;
    let expected = 0.75 * rows.len() as f64 - 120.0;
    let deviation = (rows.len() as f64 * 0.75 * 0.25).sqrt();
    assert!(
        (refused - expected).abs() < 4.0 * deviation,
        "{refused} {expected}"
    );
}

#[test]
fn tokens_are_counted_as_expected_and_put_right() {
    // 100 prompt tokens and 128 expected; what was not used comes back: 120 each in the end.
    let text = overloaded("[admission]\nrate = { tokens = { per_s = 600, burst = 700 } }\n");
    let rows = simulate(&text).0;
    let in_60_s = 600.0 * 60.0 / 120.0;
    let done = count(&rows, "completed") as f64;
    assert!((done - in_60_s).abs() < 12.0, "{done} against {in_60_s}");
    assert_eq!(
        rows.len(),
        count(&rows, "completed") + count(&rows, "rejected_rate_limit")
    );
}

#[test]
fn deadlines_order_and_end_the_wait() {
    let with = |order: &str| {
        let text = overloaded(&format!(
            "[[tiers]]\nname = \"soon\"\ndeadline_ms = 300\n[[tiers]]\nname = \"late\"\n\
             deadline_ms = 3000\n[admission]\nconcurrency = {{ policy = \"fixed\", limit = 1 }}\n\
             waiting_room = {{ order = {{ policy = \"{order}\" }} }}\n"
        ));
        simulate(&text).0
    };
    let rows = with("earliest_deadline");
    assert_eq!(
        rows.len(),
        count(&rows, "completed") + count(&rows, "shed_delay")
    );
    // Nobody waited beyond the deadline: served within it and one service.
    for row in rows.iter().filter(|row| row.status == "completed") {
        let most = if row.tier == 0 { 300 } else { 3000 };
        assert!(e2e_ns(row) <= (most + 100) * 1_000_000, "{row:?}");
    }
    // In order of arrival those of a short deadline come to nothing behind the others.
    let in_turn = with("fcfs");
    assert!(completed(&in_turn, 0) < completed(&rows, 0) / 2);
}

#[test]
fn codel_keeps_the_wait_short_where_a_plain_queue_grows() {
    let with = |control: &str| {
        let text = overloaded(&format!(
            "[admission]\nconcurrency = {{ policy = \"fixed\", limit = 1 }}\n\
             waiting_room = {{ {control} }}\n"
        ));
        let rows = simulate(&text).0;
        let mut e2e: Vec<u64> = rows
            .iter()
            .filter(|row| row.status == "completed")
            .map(e2e_ns)
            .collect();
        e2e.sort_unstable();
        (e2e[e2e.len() / 2] / 1_000_000, e2e.len())
    };
    let (plain, _) = with("");
    let (codel, done) =
        with("control = { policy = \"codel\", target_ms = 100, interval_ms = 500 }");
    assert!(plain > 20_000, "{plain}");
    assert!(codel < plain / 3, "{codel}");
    assert!(done > 580, "{done}");
    let (short, _) = with(
        "order = { policy = \"adaptive_lifo\", lifo_above = 3 }, \
         control = { policy = \"controlled_delay\", target_ms = 200, interval_ms = 1000 }",
    );
    assert!(short < 1200, "{short}");
}

#[test]
fn limits_that_adapt_keep_latency_and_throughput() {
    // Ten servers of 100 ms at twice what they can do.
    for policy in [
        "{ policy = \"gradient\", update_interval_ms = 500, min_rtt_interval_s = 20 }",
        "{ policy = \"aimd\", timeout_ms = 300 }",
        "{ policy = \"vegas\" }",
    ] {
        let text = overloaded(&format!("[admission]\nconcurrency = {policy}\n"))
            .replace("rate_per_s = 20", "rate_per_s = 200")
            .replace(
                "engine = \"abstract\"",
                "engine = \"abstract\"\nservers = 10",
            );
        let rows = simulate(&text).0;
        let late: Vec<&RequestRow> = rows
            .iter()
            .filter(|row| row.status == "completed" && row.arrival_ns > 30_000_000_000)
            .collect();
        let mean_ms =
            late.iter().map(|row| e2e_ns(row)).sum::<u64>() / late.len() as u64 / 1_000_000;
        assert!(mean_ms < 700, "{policy}: {mean_ms} ms");
        assert!(late.len() > 2000, "{policy}: {}", late.len());
    }
}

#[test]
fn tiers_are_shed_by_the_load_of_the_replicas() {
    let text = format!(
        "name = \"shed\"\n[run]\nhorizon_s = 30\nwarmup_s = 0\n{TIERS}[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 60 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 1000 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 200 }}\n\
         [signals]\nsource = \"reported\"\n[admission]\nshedding = {{ policy = \"by_tier\", \
         tiers = [{{ tier = \"last\", above = 0.5, all_from = 0.9 }}] }}\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\nkv_blocks = 2000\nreplicas = 2\n"
    );
    let rows = simulate(&text).0;
    let shed = |tier: u16| {
        let of_it = rows.iter().filter(|row| row.tier == tier);
        of_it.filter(|row| row.status == "shed_load").count()
    };
    assert_eq!(shed(0), 0);
    assert!(shed(1) > 100, "{}", shed(1));
    // Replicas that are not loaded shed nobody.
    let calm = simulate(&text.replace("rate_per_s = 60", "rate_per_s = 5")).0;
    assert_eq!(count(&calm, "shed_load"), 0);
}

#[test]
fn each_gateway_replica_admits_by_itself() {
    let text = overloaded(
        "[gateway]\nreplicas = 4\n[admission]\nconcurrency = { policy = \"fixed\", limit = 2 }\n",
    );
    let rows = simulate(&text).0;
    let slowest = rows.iter().filter(|row| row.status == "completed");
    let slowest = slowest.map(e2e_ns).max().unwrap();
    // Eight at once in all.
    assert!(slowest > 600_000_000 && slowest <= 800_000_000, "{slowest}");
}

#[test]
fn a_tier_at_its_own_limit_holds_up_no_other() {
    for order in [
        "fcfs",
        "adaptive_lifo",
        "priority",
        "earliest_deadline",
        "fair",
    ] {
        let more = match order {
            "adaptive_lifo" => ", lifo_above = 5",
            _ => "",
        };
        let tiers = TIERS.replace(
            "weight = 1\n",
            "weight = 1\ndeadline_ms = 60000\nconcurrency = { policy = \"fixed\", limit = 1 }\n",
        );
        let text = overloaded(&format!(
            "{tiers}[admission]\nwaiting_room = {{ order = {{ policy = \"{order}\"{more} }} }}\n"
        ));
        let rows = simulate(&text).0;
        let last = rows.iter().filter(|row| row.tier == 1);
        let waited = last.filter(|row| row.gateway_ns.is_some_and(|at| at > row.arrival_ns));
        assert!(waited.count() > 100, "{order}: its own tier waits");
        let first = rows.iter().filter(|row| row.tier == 0);
        assert!(
            first.clone().count() > 500
                && first
                    .clone()
                    .all(|row| row.gateway_ns == Some(row.arrival_ns)),
            "{order}: and no other"
        );
    }
}

#[test]
fn limits_that_change_while_others_are_full_wake_nobody_for_ever() {
    for all in [
        "policy = \"fixed\", limit = 1",
        "policy = \"vegas\"",
        "policy = \"gradient\", update_interval_ms = 100, min_rtt_interval_s = 5",
    ] {
        let tiers = TIERS.replace(
            "weight = 1\n",
            "weight = 1\nconcurrency = { policy = \"gradient\", update_interval_ms = 30, \
             min_rtt_interval_s = 5, min_rtt_requests = 5 }\n",
        );
        let text = overloaded(&format!(
            "{tiers}[admission]\nwaiting_room = {{}}\nconcurrency = {{ {all} }}\n"
        ));
        let text = text.replace("horizon_s = 60", "horizon_s = 60\nmax_events = 200000");
        let (rows, simulation) = simulate(&text);
        assert!(
            simulation.now().as_secs_f64() >= 59.0,
            "{all}: {}",
            simulation.now()
        );
        assert!(count(&rows, "completed") > 500, "{all}: {}", rows.len());
    }
}

#[test]
fn a_tier_that_is_held_up_is_judged_by_itself() {
    // The last tier waits for ever at its own limit; CoDel sees nothing of that in the first, which
    // the server can take with ease.
    let tiers = TIERS
        .replace("priority = 0\nweight = 3\n", "priority = 0\nshare = 1\n")
        .replace(
            "priority = 5\nweight = 1\n",
            "priority = 5\nshare = 3\nconcurrency = { policy = \"fixed\", limit = 1 }\n",
        );
    for control in ["codel", "controlled_delay", "slough"] {
        let text = overloaded(&format!(
            "{tiers}[admission]\nconcurrency = {{ policy = \"fixed\", limit = 3 }}\n\
             waiting_room = {{ order = {{ policy = \"priority\" }}, \
             control = {{ policy = \"{control}\", target_ms = 90, interval_ms = 400 }} }}\n"
        ));
        let rows = simulate(&text).0;
        let shed = |tier: u16| {
            let of_it = rows.iter().filter(|row| row.tier == tier);
            of_it.filter(|row| row.status == "shed_delay").count()
        };
        assert!(shed(1) > 50, "{control}: {}", shed(1));
        assert!(shed(0) < 10, "{control}: {}", shed(0));
    }
}
