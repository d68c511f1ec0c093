//! Nodes that are bought, lost, replaced and scaled: nothing is lost with them silently, and every
//! nanosecond of them is billed once.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::simulate;
use proptest::prelude::*;
use seatrial::fleet::capacity::Capacity;
use seatrial::fleet::simulation::Simulation;

/// Ten nodes that take 100 ms a request, and requests like clockwork: `more` says where nodes come
/// from.
fn fleet(rate: f64, horizon_s: f64, more: &str) -> String {
    format!(
        "name = \"nodes\"\n[run]\nhorizon_s = {horizon_s}\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"constant\", rate_per_s = {rate} }}\n[clients]\n\
         [router]\npolicy = \"round_robin\"\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 10\n\
         accelerators_per_replica = 8\n\
         service = {{ law = \"deterministic\", mean_ms = 100 }}\n\
         [cost]\non_demand_usd_per_gpu_hour = 3.20\nspot_usd_per_gpu_hour = 1.20\n{more}"
    )
}

/// A start that takes exactly so long.
fn start(seconds: f64) -> String {
    let nothing = "{ law = \"uniform\", low_ms = 0, high_ms = 0.000001 }";
    format!(
        "start = {{ boot = {{ law = \"deterministic\", mean_ms = {} }}, image_pull = {nothing}, \
         warm_up = {nothing} }}\n",
        seconds * 1e3
    )
}

fn account(simulation: &Simulation) -> Capacity {
    let capacity = simulation.world.capacity_at_end().unwrap();
    capacity.check().unwrap();
    capacity
}

#[test]
fn nodes_that_stay_cost_what_the_price_says() {
    let text = fleet(
        1.0,
        36_000.0,
        "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nshare = 0.6\n\
         [[capacity.groups]]\nname = \"rest\"\npool = \"p\"\n",
    );
    let capacity = account(&simulate(&text).1);
    // Six nodes of 8 at 1.20, four at 3.20, for ten hours.
    let usd = 10.0 * 8.0 * (6.0 * 1.20 + 4.0 * 3.20);
    assert!((capacity.bill.total().cost.as_usd() - usd).abs() < 1e-9);
    assert_eq!(
        capacity.bill.total().billed_node_ns,
        100 * 3_600_000_000_000
    );
    assert_eq!(capacity.bill.total().nodes, 10);
}

#[test]
fn a_lost_node_is_told_drains_and_is_replaced() {
    // All nodes are lost at once and none is refused: what they had is answered within the notice.
    let text = fleet(
        20.0,
        40_000.0,
        &format!(
            "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\n\
             interruption = {{ law = \"pool_loss\", per_hour = 0.3, share = 1, per_node_hour = 0 }}\n\
             notice = {{ notice_s = 30 }}\n{}",
            start(10.0)
        ),
    );
    let (rows, simulation) = simulate(&text);
    let capacity = account(&simulation);
    let counts = capacity.groups[0].counts;
    assert!(counts.lost >= 20, "{counts:?}");
    assert_eq!(counts.most_lost_at_once, 10, "{counts:?}");
    // Nobody can be chosen from the notice until others are ready; those are lost with the first,
    // which were to be there for 30 s more, and asked for again then: 40 s of 20 requests each.
    let failed = rows.iter().filter(|row| row.status != "completed");
    let reasons: Vec<&str> = failed.map(|row| row.status).collect();
    assert!(reasons.iter().all(|status| *status == "failed_no_replica"));
    assert!(counts.launched >= counts.lost, "{counts:?}");
}

#[test]
fn without_a_notice_what_a_node_has_fails_and_is_counted() {
    let with = |notice: &str| {
        let text = fleet(
            90.0,
            20_000.0,
            &format!(
                "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\n\
                 interruption = {{ law = \"hazard\", per_node_hour = 2 }}\n{notice}\n{}",
                start(1.0)
            ),
        );
        let (rows, simulation) = simulate(&text);
        let lost = account(&simulation).groups[0].counts.lost as usize;
        let failed = rows.iter().filter(|row| row.status == "failed_replica");
        (
            failed.count(),
            lost,
            account(&simulation).groups[0].counts.handed_over,
        )
    };
    let (failed, lost, _) = with("");
    // Nine of ten nodes are busy at any time.
    assert!(failed > lost / 2 && failed < 2 * lost, "{failed} {lost}");
    let (failed, lost, _) = with("notice = { notice_s = 1 }");
    assert!(lost > 50 && failed == 0, "{failed} {lost}");
    let (failed, _, moved) =
        with("notice = { notice_s = 0.01 }\non_notice = { policy = \"hand_over\" }");
    assert!(failed < 5 && moved > 50, "{failed} {moved}");
    let (failed, lost, _) = with("notice = { notice_s = 1 }\non_notice = { policy = \"ignore\" }");
    assert!(failed > lost / 2, "{failed} {lost}");
}

#[test]
fn another_group_lends_nodes_and_gets_them_back() {
    // Spot nodes are refused half of the time; on-demand nodes stand in for them.
    let text = fleet(
        20.0,
        200_000.0,
        &format!(
            "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nshare = 0.6\n\
             interruption = {{ law = \"hazard\", per_node_hour = 0.5 }}\nnotice = {{ notice_s = 120 }}\n\
             refusal_probability = 0.5\non_loss = {{ fall_back_on = \"rest\", retry_s = 600 }}\n{}\
             [[capacity.groups]]\nname = \"rest\"\npool = \"p\"\n{}",
            start(60.0),
            start(60.0)
        ),
    );
    let (rows, simulation) = simulate(&text);
    let capacity = account(&simulation);
    let (spot, rest) = (&capacity.groups[0], &capacity.groups[1]);
    assert!(spot.counts.refused > 20 && rest.counts.launched > 20);
    // Together there were ten nearly all the time, since notices are longer than starts.
    let mean =
        |group: &seatrial::fleet::capacity::group::Group| group.counts.ready_ns as f64 / 200_000e9;
    let both = mean(spot) + mean(rest);
    assert!((9.9..10.4).contains(&both), "{both}");
    assert!(
        mean(rest) > 4.05 && mean(spot) < 5.98,
        "{} {}",
        mean(rest),
        mean(spot)
    );
    assert!(spot.borrowed == rest.lent && spot.borrowed <= 6);
    assert!(rows.iter().all(|row| row.status == "completed"));
}

#[test]
fn what_is_lost_is_not_replaced_where_nobody_wants_that() {
    let text = fleet(
        1.0,
        100_000.0,
        &format!(
            "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\n\
             interruption = {{ law = \"hazard\", per_node_hour = 1 }}\nnotice = {{ notice_s = 30 }}\n\
             on_loss = {{ never = true }}\n{}",
            start(10.0)
        ),
    );
    let capacity = account(&simulate(&text).1);
    let group = &capacity.groups[0];
    // All ten are gone after a day, each after an hour on average, and none came.
    assert_eq!((group.counts.lost, group.counts.launched), (10, 0));
    assert_eq!((group.counts.requested, group.wanted), (0, 0));
}

#[test]
fn the_pod_autoscaler_follows_a_step_of_traffic() {
    // 60 requests are in flight, then 180 from 2,000 to 4,000 s: 6 nodes at 10 a node, then 18.
    let text = fleet(
        60.0,
        6_000.0,
        &format!(
            "[[capacity.groups]]\nname = \"all\"\npool = \"p\"\nmax_nodes = 30\n{}\
             [[capacity.scalers]]\ngroup = \"all\"\nsignal = \"in_flight\"\nscrape_delay_s = 15\n\
             policy = {{ kind = \"hpa\", target = 10, max = 30 }}\n\
             [[faults.timeline]]\nat_s = 2000\nfor_s = 2000\nkind = \"traffic_spike\"\nfactor = 3\n",
            start(30.0)
        ),
    );
    let text = text.replace(
        "service = { law = \"deterministic\", mean_ms = 100 }",
        "servers = 30\nservice = { law = \"exponential\", mean_ms = 1000 }",
    );
    let (rows, simulation) = simulate(&text);
    let capacity = account(&simulation);
    let counts = capacity.groups[0].counts;
    // 6, 18 and 6 again, with five minutes on the way down.
    let mean = counts.ready_ns as f64 / 6_000e9;
    assert!((9.5..13.5).contains(&mean), "{mean} {counts:?}");
    assert!(counts.launched >= 8, "{counts:?}");
    let wanted = capacity.groups[0].wanted;
    assert!((6..=9).contains(&wanted), "{wanted}");
    assert!(rows.iter().all(|row| row.status == "completed"));
}

#[test]
fn a_schedule_and_a_control_plane_that_is_lost() {
    let nodes = |more: &str| {
        let text = fleet(
            5.0,
            4_000.0,
            &format!(
                "[[capacity.groups]]\nname = \"all\"\npool = \"p\"\nmax_nodes = 20\n{}\
                 [[capacity.scalers]]\ngroup = \"all\"\nscrape_delay_s = 0\n\
                 policy = {{ kind = \"scheduled\", repeats = false, entries = [\
                 {{ at_s = 1000, replicas = 20 }}, {{ at_s = 3000, replicas = 5 }}] }}\n{more}",
                start(0.001)
            ),
        );
        let capacity = account(&simulate(&text).1);
        capacity.groups[0].counts.ready_ns as f64 / 4_000e9
    };
    // 10 for 1,000 s, 20 for 2,000, 5 for 1,000.
    let mean = nodes("");
    assert!((mean - 13.75).abs() < 0.2, "{mean}");
    // Nothing is launched nor given back meanwhile.
    let mean =
        nodes("[[faults.timeline]]\nat_s = 900\nfor_s = 1100\nkind = \"control_plane_loss\"\n");
    assert!((mean - 11.25).abs() < 0.2, "{mean}");
    // Nothing is launched meanwhile; what is not wanted any more is given back all the same.
    let refusal = |from_s: u32, for_s: u32| {
        nodes(&format!(
            "[[faults.timeline]]\nat_s = {from_s}\nfor_s = {for_s}\nkind = \"launch_refusal\"\n"
        ))
    };
    let mean = refusal(900, 1_100);
    assert!((mean - 11.25).abs() < 0.2, "{mean}");
    let mean = refusal(2_900, 1_100);
    assert!((mean - 13.75).abs() < 0.2, "{mean}");
}

/// Two nodes of a language model, the first of which is taken away after ten seconds.
fn two_nodes(more: &str) -> String {
    let nothing = "{ law = \"uniform\", low_ms = 0, high_ms = 0.000001 }";
    format!(
        "name = \"two\"\n[run]\nhorizon_s = 100\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 0.5 }}\nmax_requests = 1\n\
         prompt_tokens = {{ law = \"constant\", tokens = 4096 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 1500 }}\n[clients]\n\
         [router]\npolicy = \"round_robin\"\n[cost]\non_demand_usd_per_gpu_hour = 3\n\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\nreplicas = 2\n\
         [[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nnodes = 1\n\
         {more}start = {{ boot = {nothing}, image_pull = {nothing}, warm_up = {nothing} }}\n\
         [[capacity.groups]]\nname = \"rest\"\npool = \"p\"\n"
    )
}

#[test]
fn a_node_that_is_told_works_on_until_it_is_time() {
    // Two nodes in turns, a request a second of 100 ms; the first is told at 6 s and gone at 10.
    let served = |drain: &str| {
        let text = fleet(
            1.0,
            20.0,
            &format!(
                "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nnodes = 1\n\
                 interruption = {{ law = \"trace\", file = \"tests/data/spot-one-node.json\" }}\n\
                 notice = {{ notice_s = 4 }}\n{drain}{}\
                 [[capacity.groups]]\nname = \"rest\"\npool = \"p\"\n",
                start(1.0)
            ),
        )
        .replace("replicas = 10", "replicas = 2");
        let (rows, simulation) = simulate(&text);
        assert!(rows.iter().all(|row| row.status == "completed"), "{rows:?}");
        assert_eq!(account(&simulation).groups[0].counts.lost, 1);
        let first = rows.iter().filter(|row| row.replica == Some(0));
        first
            .map(|row| row.arrival_ns / 1_000_000_000)
            .max()
            .unwrap()
    };
    assert_eq!(served(""), 5);
    assert_eq!(served("drain_s = 100\n"), 5);
    assert_eq!(served("drain_s = 1.5\n"), 7);
    assert_eq!(served("drain_s = 0.5\n"), 9);
}

#[test]
fn migrated_answers_go_on_where_they_were() {
    let one = |more: &str| {
        let (rows, mut simulation) = simulate(&two_nodes(more));
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].status, "completed");
        let prefill = simulation.world.pool_meter(0).prefill_tokens;
        (
            rows[0].clone(),
            prefill,
            account(&simulation).groups[0].counts,
        )
    };
    let (calm, ..) = one("");
    let taken = |policy: &str| {
        one(&format!(
            "interruption = {{ law = \"trace\", file = \"tests/data/spot-one-node.json\" }}\n\
             notice = {{ notice_s = 4 }}\non_notice = {{ {policy} }}\n"
        ))
    };
    // It came at 2 s, and its node is told at 6 s. Nothing is computed again.
    let (moved, prefill, counts) = taken("policy = \"migrate\", bandwidth_gb_per_s = 1");
    assert_eq!((counts.handed_over, counts.migrated, prefill), (1, 1, 4096));
    assert_eq!(moved.first_token_ns, calm.first_token_ns);
    assert_eq!(moved.scheduled_ns, calm.scheduled_ns);
    // 2 x 32 layers x 8 heads x 128 numbers of two bytes a token, at 1 byte a nanosecond; the step
    // that was under way is made again.
    let link_ns = counts.migrated_tokens * 131_072;
    let late_ns = common::e2e_ns(&moved) - common::e2e_ns(&calm);
    let step_ns = (common::e2e_ns(&calm) - calm.first_token_ns.unwrap() + calm.arrival_ns) / 1_499;
    assert!(
        (link_ns..=link_ns + 2 * step_ns).contains(&late_ns),
        "{late_ns} {link_ns}"
    );
    assert!(counts.migrated_tokens > 4_096 && counts.migrated_tokens < 4_096 + 1_500);

    // Without the KV all of it is; the first token has been seen.
    let (again, prefill, counts) = taken("policy = \"hand_over\"");
    assert_eq!((counts.handed_over, counts.migrated), (1, 0));
    assert!(prefill > 2 * 4_096);
    assert_eq!(again.first_token_ns, calm.first_token_ns);
    assert!(common::e2e_ns(&again) > common::e2e_ns(&calm));

    // A link too slow for the notice is not used.
    let (slow, prefill, counts) = taken("policy = \"migrate\", bandwidth_gb_per_s = 0.1");
    assert_eq!((counts.handed_over, counts.migrated), (1, 0));
    assert!(prefill > 2 * 4_096);
    assert_eq!(slow, again);
}

fn interruption() -> impl Strategy<Value = String> {
    prop_oneof![
        (0.0..20.0).prop_map(|rate| format!("{{ law = \"hazard\", per_node_hour = {rate} }}")),
        (0.05..2.0, 0.3..3.0).prop_map(|(mean, shape)| format!(
            "{{ law = \"weibull\", mean_h = {mean}, shape = {shape} }}"
        )),
        (0.0..10.0, 0.1..1.0, 0.0..5.0).prop_map(|(rate, share, own)| format!(
            "{{ law = \"pool_loss\", per_hour = {rate}, share = {share}, per_node_hour = {own} }}"
        )),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn nothing_is_lost_and_the_bill_adds_up(
        law in interruption(),
        share in 0.0_f64..=1.0,
        notice in prop::sample::select(vec![0.0, 0.5, 30.0, 120.0]),
        policy in prop::sample::select(vec!["drain", "hand_over", "ignore", "migrate"]),
        rebalance in any::<bool>(),
        refusal in 0.0_f64..0.9,
        fall_back in any::<bool>(),
        start_s in 0.01_f64..200.0,
        scaler in 0_usize..5,
        fault in 0_usize..4,
        kind in 0_usize..7,
        drain_s in prop::sample::select(vec![None, Some(0.0), Some(10.0), Some(500.0)]),
        link_gb_per_s in prop::sample::select(vec![0.02, 1.0, 50.0]),
    ) {
        let policy = match policy {
            "migrate" if !(1..4).contains(&kind) => {
                format!("policy = \"migrate\", bandwidth_gb_per_s = {link_gb_per_s}")
            }
            "migrate" => "policy = \"hand_over\"".to_owned(),
            other => format!("policy = {other:?}"),
        };
        let drain = drain_s.map_or(String::new(), |drain| format!("drain_s = {drain}\n"));
        let scaler = [
            "",
            "policy = { kind = \"hpa\", target = 2, max = 14 }",
            "policy = { kind = \"keda\", max = 14, hpa = { target = 2, max = 14 } }",
            "policy = { kind = \"target\", measure = \"total\", target = 2, max = 14, \
             scale_up_cooldown_s = 20, scale_down_cooldown_s = 40 }",
            "policy = { kind = \"predictive\", forecaster = { method = \"seasonal_naive\", season = 5 }, \
             bucket_s = 20, lead_s = 60, per_replica_per_s = 3, max = 14 }",
        ][scaler];
        let scaler = match scaler {
            "" => String::new(),
            policy => format!("[[capacity.scalers]]\ngroup = \"rest\"\n{policy}\n"),
        };
        let fault = [
            "",
            "[[faults.timeline]]\nat_s = 200\nfor_s = 300\nkind = \"crash\"\n\
             target = { pool = \"p\", share = 0.5 }\n",
            "[[faults.timeline]]\nat_s = 100\nfor_s = 400\nkind = \"control_plane_loss\"\n",
            "[[faults.timeline]]\nat_s = 100\nfor_s = 100\nkind = \"hang\"\n\
             target = { pool = \"p\", replica = 1 }\n",
        ][fault];
        let pool = [
            "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"",
            "engine = \"abstract\"\nservice = { law = \"exponential\", mean_ms = 900 }",
            "engine = \"abstract\"\nbatch_service = { fixed_ms = 700, per_item_ms = 100 }",
            "engine = \"abstract\"\ndiscipline = \"processor_sharing\"\n\
             service = { law = \"exponential\", mean_ms = 700 }",
            "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\npp = 2\n\
             kv_blocks = 200",
            "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n\
             speculative = { draft_tokens = 3, acceptance = 0.7, draft_model = \"llama-3.1-8b\" }",
            "engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n\
             prefix_caching = true\nkv_blocks = 300\nasync_scheduling = true",
        ][kind];
        let tokens = if (1..4).contains(&kind) { 40 } else { 300 };
        let fall_back = if fall_back { "fall_back_on = \"rest\", " } else { "" };
        let rebalance = match rebalance {
            true => ", rebalance = { lead_s = 20, probability = 0.5 }",
            false => "",
        };
        let text = format!(
            "name = \"nodes\"\n[run]\nhorizon_s = 900\nwarmup_s = 100\ndrain_limit_s = 900\n[workload]\n\
             arrivals = {{ process = \"poisson\", rate_per_s = 6 }}\n\
             output_tokens = {{ law = \"constant\", tokens = {tokens} }}\n\
             [clients]\nmax_retries = 2\ntimeout_ms = 60000\n\
             [cost]\non_demand_usd_per_gpu_hour = 3.20\nspot_usd_per_gpu_hour = 1.20\n\
             [[pools]]\nname = \"p\"\nreplicas = 8\n{pool}\n\
             [[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nshare = {share}\n\
             interruption = {law}\nnotice = {{ notice_s = {notice}{rebalance} }}\n\
             {drain}on_notice = {{ {policy} }}\nrefusal_probability = {refusal}\n\
             on_loss = {{ {fall_back}retry_s = 20 }}\n{}\
             [[capacity.groups]]\nname = \"rest\"\npool = \"p\"\nmax_nodes = 16\n{}{scaler}{fault}",
            start(start_s),
            start(start_s)
        );
        let (rows, simulation) = simulate(&text);
        prop_assert_eq!(rows.len() as u64, simulation.world.meters.arrived);
        let capacity = simulation.world.capacity_at_end().unwrap();
        prop_assert_eq!(capacity.check(), Ok(()));
        // No node is on the bill for longer than the run has places for it.
        let most = 16 + (share * 8.0).round() as u128;
        prop_assert!(capacity.bill.total().billed_node_ns <= most * 900_000_000_000);
        for group in &capacity.groups {
            prop_assert!(group.counts.ready_measured_ns <= group.counts.ready_ns);
            prop_assert!(group.counts.ready_ns <= group.counts.billed_node_ns);
        }
    }
}

/// Ten nodes of which a tracker of requests in flight wants many, and limits.
/// Ready on average, and how often limits were felt.
fn limited(limits: &str) -> Vec<(f64, u64)> {
    let group = |name: &str| {
        format!(
            "[[capacity.groups]]\nname = \"{name}\"\npool = \"{name}\"\nmax_nodes = 40\n{}",
            start(1.0)
        )
    };
    let pool = |name: &str, serves: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nengine = \"abstract\"\nservers = 1\nserves = [{serves}]\n\
             service = {{ law = \"deterministic\", mean_ms = 1000 }}\n"
        )
    };
    let scaler = |name: &str| {
        format!(
            "[[capacity.scalers]]\ngroup = \"{name}\"\npolicy = {{ kind = \"target\", measure = \"total\", \
             target = 1, max = 20, scale_up_cooldown_s = 0 }}\n"
        )
    };
    let text = format!(
        "name = \"limits\"\n[run]\nhorizon_s = 600\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 16 }}\n[clients]\n\
         [[tiers]]\nname = \"premium\"\nmodel = \"p\"\n[[tiers]]\nname = \"batch\"\nmodel = \"b\"\n\
         [cost]\non_demand_usd_per_gpu_hour = 1\n{}{}{}{}{}{}{limits}",
        pool("first", "\"p\""),
        pool("second", "\"p\", \"b\""),
        group("first"),
        group("second"),
        scaler("first"),
        scaler("second"),
    );
    let (_, simulation) = simulate(&text);
    let capacity = account(&simulation);
    let groups = capacity.groups.iter();
    let ready = groups.map(|group| group.counts.ready_ns as f64 / 600e9);
    let limited = simulation.world.scalers().map(|scaler| scaler.limited);
    ready.zip(limited).collect()
}

#[test]
fn limits_of_pools_and_tiers_bound_what_scalers_ask_for() {
    let free = limited("");
    assert!(
        free.iter().all(|(nodes, held)| *nodes > 5.0 && *held == 0),
        "{free:?}"
    );
    // A pool by itself.
    let pool = limited("[[capacity.limits]]\npool = \"first\"\nmax_nodes = 3\n");
    assert!(
        pool[0].0 > 2.5 && pool[0].0 <= 3.0 && pool[0].1 > 0,
        "{pool:?}"
    );
    assert!(pool[1].0 > free[1].0, "{pool:?}");
    // Premium may use both pools, batch only the second.
    let premium = limited("[[capacity.limits]]\ntier = \"premium\"\nmax_nodes = 10\n");
    let both = premium[0].0 + premium[1].0;
    assert!(both > 9.0 && both <= 10.0, "{premium:?}");
    let batch = limited("[[capacity.limits]]\ntier = \"batch\"\nmax_nodes = 4\n");
    assert!(
        batch[1].0 > 3.5 && batch[1].0 <= 4.0 && batch[0].0 > 5.0,
        "{batch:?}"
    );
    // And at least so many.
    let most = limited("[[capacity.limits]]\npool = \"first\"\nmin_nodes = 18\nmax_nodes = 18\n");
    assert!(most[0].0 > 17.0 && most[0].0 <= 18.0, "{most:?}");
}

#[test]
fn the_backlog_brings_the_first_node_back() {
    // Nobody comes for ten minutes, then twenty a second for five; clients try again while no node is
    // there.
    let text = |signal: &str| {
        format!(
            "name = \"zero\"\n[run]\nhorizon_s = 1800\nwarmup_s = 0\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 20 }}\n\
             [workload.profile]\nshape = \"points\"\n\
             points = [[0, 0.0001], [599, 0.0001], [600, 1], [899, 1], [900, 0.0001]]\n\
             [clients]\nmax_retries = 10\n\
             backoff = {{ base_ms = 1000, max_ms = 20000 }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 8\n\
             service = {{ law = \"exponential\", mean_ms = 100 }}\n\
             [cost]\non_demand_usd_per_gpu_hour = 1\n\
             [[capacity.groups]]\nname = \"g\"\npool = \"p\"\nmax_nodes = 8\n{}\
             [[capacity.scalers]]\ngroup = \"g\"\nsignal = \"{signal}\"\n\
             policy = {{ kind = \"keda\", min = 0, max = 4, cooldown_s = 60, poll_s = 5, \
             hpa = {{ target = 6, max = 4 }} }}\n",
            start(30.0)
        )
    };
    let (rows, simulation) = simulate(&text("backlog"));
    let counts = account(&simulation).groups[0].counts;
    let completed = rows.iter().filter(|row| row.status == "completed").count();
    assert!(
        completed as f64 > 0.95 * rows.len() as f64,
        "{completed} of {}",
        rows.len()
    );
    assert!(counts.cold_starts >= 1);
    // There was none when they came: the first answer comes after a node has started.
    let late = rows.iter().filter(|row| row.arrival_ns > 600_000_000_000);
    let first = late.filter_map(|row| row.last_token_ns).min().unwrap();
    assert!((630e9..660e9).contains(&(first as f64)), "{first}");
    // What is at the nodes says nothing where there are none.
    let (blind, simulation) = simulate(&text("in_flight"));
    assert_eq!(account(&simulation).groups[0].counts.cold_starts, 0);
    assert!(
        blind
            .iter()
            .all(|row| row.status != "completed" || row.arrival_ns < 600_000_000_000)
    );
}

#[test]
fn a_scaler_of_a_pool_keeps_its_mix() {
    // A schedule from 10 to 20 nodes and back to 5, of which 60 % are spot.
    let text = fleet(
        1.0,
        30_000.0,
        &format!(
            "[[capacity.groups]]\nname = \"spot\"\npool = \"p\"\nmarket = \"spot\"\nshare = 0.6\n{}\
             [[capacity.groups]]\nname = \"rest\"\npool = \"p\"\n{}\
             [[capacity.scalers]]\npool = \"p\"\npolicy = {{ kind = \"scheduled\", repeats = false, \
             entries = [{{ at_s = 10000, replicas = 20 }}, {{ at_s = 20000, replicas = 5 }}] }}\n",
            start(1.0),
            start(1.0)
        ),
    );
    let capacity = account(&simulate(&text).1);
    let mean = |group: usize| capacity.groups[group].counts.ready_ns as f64 / 30_000e9;
    assert!(
        (mean(0) - (6.0 + 12.0 + 3.0) / 3.0).abs() < 0.01,
        "{}",
        mean(0)
    );
    assert!(
        (mean(1) - (4.0 + 8.0 + 2.0) / 3.0).abs() < 0.01,
        "{}",
        mean(1)
    );
    let both = text.replace(
        "[[capacity.scalers]]\npool",
        "[[capacity.scalers]]\ngroup = \"rest\"\npool",
    );
    assert!(common::refusal(&both).contains("a group or a pool"));
    let twice = format!(
        "{text}[[capacity.scalers]]\ngroup = \"rest\"\npolicy = {{ kind = \"scheduled\", \
         entries = [{{ at_s = 0, replicas = 1 }}] }}\n"
    );
    assert!(common::refusal(&twice).contains("has a scaler already"));
}
