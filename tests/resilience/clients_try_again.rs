//! What clients do: they wait so long and no longer, try again, try beside, and are counted once.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, simulate};
use proptest::prelude::*;
use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::request::Status;

/// One server of 100 ms, a request every 300 ms.
fn clockwork(more: &str) -> String {
    format!(
        "name = \"clients\"\n[run]\nhorizon_s = 3.2\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = 3.3333333333 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\n\
         service = {{ law = \"deterministic\", mean_ms = 100 }}\n{more}"
    )
}

fn ended(simulation: &Simulation, status: Status) -> u64 {
    simulation.world.meters.ended[status.index()]
}

fn statuses(rows: &[RequestRow]) -> Vec<&'static str> {
    rows.iter().map(|row| row.status).collect()
}

#[test]
fn who_waits_long_enough_is_answered_as_if_nobody_watched() {
    let plain = simulate(&clockwork("")).1;
    let watched = simulate(&clockwork(
        "[clients]\ntimeout_ms = 100.001\ntry_timeout_ms = 100.001\nmax_retries = 3\n\
         first_token_timeout_ms = 100.001\nhedge = { after_ms = 100.001 }\n",
    ));
    assert_eq!(watched.1.digest(), plain.digest());
    assert_eq!(watched.1.world.meters.outcomes, plain.world.meters.outcomes);
    assert!(watched.0.iter().all(|row| row.attempts == 1));
}

#[test]
fn a_deadline_ends_a_request_to_the_nanosecond_and_the_replica_works_on() {
    let (rows, simulation) = simulate(&clockwork("[clients]\ntimeout_ms = 60\n"));
    assert!(statuses(&rows).iter().all(|status| *status == "timed_out"));
    let tries = &simulation.world.meters.tries;
    assert_eq!(tries.made, 10);
    assert_eq!(tries.given_up, 10);
    // All ten were served, and nobody was there to hear of it.
    assert_eq!(tries.answered_for_nobody, 10);
    assert_eq!(simulation.world.tries_in_flight(), 0);
}

#[test]
fn a_cancelled_try_frees_its_server_at_once() {
    // 60 of 100 ms are worked before the client leaves: the server is 20 % busy, not 33 %.
    let busy = |cancel: bool| {
        let (_, mut simulation) = simulate(&clockwork(&format!(
            "[clients]\ntimeout_ms = 60\npropagate_cancel = {cancel}\n"
        )));
        let ended = &simulation.world.meters.tries.ended;
        let cancelled = ended[Status::Cancelled.index()];
        assert_eq!(cancelled, if cancel { 10 } else { 0 });
        simulation.world.pool_meter(0).busy_ns
    };
    assert_eq!(busy(true), 600_000_000);
    assert_eq!(busy(false), 1_000_000_000);
}

#[test]
fn the_news_of_a_cancellation_takes_the_way_to_the_replica() {
    let (_, mut simulation) = simulate(&clockwork(
        "[clients]\ntimeout_ms = 60\npropagate_cancel = true\n[network]\nto_replica_ms = 7\n",
    ));
    // It comes at 7 ms and is dropped at 67 ms.
    assert_eq!(simulation.world.pool_meter(0).busy_ns, 600_000_000);
    let (_, mut slow) = simulate(&clockwork(
        "[clients]\ntimeout_ms = 60\npropagate_cancel = true\n[network]\nto_replica_ms = 45\n",
    ));
    // The same: 45 ms there, 45 ms for the news.
    assert_eq!(slow.world.pool_meter(0).busy_ns, 600_000_000);
}

#[test]
fn a_retry_counts_from_the_first_try_and_is_told_as_one_request() {
    // The second of two requests at once finds no place; 30 ms later there is still none, and after
    // another 60 ms neither; the third retry, 120 ms on, is served.
    let text = "name = \"retry\"\n[run]\nhorizon_s = 1\nwarmup_s = 0\n\
         [workload]\nmax_requests = 2\narrivals = { process = \"constant\", rate_per_s = 100 }\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nqueue_capacity = 0\n\
         service = { law = \"deterministic\", mean_ms = 200 }\n\
         [clients]\nmax_retries = 5\nbackoff = { base_ms = 30, max_ms = 1000, jitter = \"none\" }\n";
    let (rows, simulation) = simulate(text);
    assert_eq!(statuses(&rows), ["completed", "completed"]);
    assert_eq!([rows[0].attempts, rows[1].attempts], [1, 4]);
    // 30 + 60 + 120 ms of backoff, and 200 of service.
    assert_eq!(e2e_ns(&rows[1]), 410_000_000);
    let meters = &simulation.world.meters;
    assert_eq!(meters.tries.made, 5);
    assert_eq!(meters.tries.retries, 3);
    assert_eq!(meters.tries.ended[Status::RejectedQueueFull.index()], 3);
    let retry = meters.budget.rows();
    let retry = retry.iter().find(|row| row.part == "retry").unwrap();
    assert!((retry.mean_ms.unwrap() - 105.0).abs() < 1e-6, "{retry:?}");
}

#[test]
fn what_is_not_to_be_tried_again_is_not() {
    let text = "name = \"retry\"\n[run]\nhorizon_s = 1\nwarmup_s = 0\n\
         [workload]\nmax_requests = 2\narrivals = { process = \"constant\", rate_per_s = 100 }\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nqueue_capacity = 0\n\
         service = { law = \"deterministic\", mean_ms = 200 }\n\
         [clients]\nmax_retries = 5\nretry_on = [\"timed_out\", \"failed\", \"shed\"]\n";
    let (rows, _) = simulate(text);
    assert_eq!(statuses(&rows), ["completed", "rejected_queue_full"]);
}

#[test]
fn a_budget_bounds_the_retries_of_all() {
    let with = |budget: &str| {
        let text = format!(
            "name = \"storm\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 200 }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nqueue_capacity = 0\n\
             service = {{ law = \"exponential\", mean_ms = 100 }}\n\
             [clients]\nmax_retries = 4\nbackoff = {{ base_ms = 100 }}\n{budget}"
        );
        let simulation = simulate(&text).1;
        let tries = simulation.world.meters.tries.clone();
        tries.made as f64 / simulation.world.meters.arrived as f64
    };
    // Nineteen of twenty are turned away, each time.
    let free = with("");
    assert!(free > 4.5, "{free}");
    let ratio = with("retry_budget = { policy = \"ratio\", ratio = 0.1, min_retries_per_s = 0 }\n");
    assert!(ratio > 1.05 && ratio <= 1.1, "{ratio}");
    let grpc = with("retry_budget = { policy = \"grpc\", max_tokens = 10, token_ratio = 0.1 }\n");
    assert!(grpc < 1.1, "{grpc}");
}

#[test]
fn a_hedge_is_answered_first_where_the_first_try_is_stuck() {
    // Requests go in turn to two servers, the second of which holds its first request for 10 s.
    let text = "name = \"hedge\"\n[run]\nhorizon_s = 2\nwarmup_s = 0\n\
         [workload]\nmax_requests = 1\narrivals = { process = \"constant\", rate_per_s = 1 }\n\
         [router]\npolicy = \"round_robin\"\n\
         [[pools]]\nname = \"slow\"\nengine = \"abstract\"\n\
         service = { law = \"deterministic\", mean_ms = 10_000 }\n\
         [[pools]]\nname = \"fast\"\nengine = \"abstract\"\n\
         service = { law = \"deterministic\", mean_ms = 20 }\n\
         [clients]\nhedge = { after_ms = 50 }\npropagate_cancel = true\n";
    let (rows, mut simulation) = simulate(text);
    assert_eq!(rows[0].attempts, 2);
    assert_eq!(rows[0].pool, Some(1));
    assert_eq!(e2e_ns(&rows[0]), 70_000_000);
    // The other one is dropped as soon as that is known.
    assert_eq!(simulation.world.pool_meter(0).busy_ns, 70_000_000);
    assert_eq!(simulation.world.meters.tries.hedges, 1);
}

#[test]
fn users_who_see_work_begin_stay() {
    let (rows, simulation) = simulate(&clockwork(
        "[clients]\npatience = { after = { law = \"deterministic\", mean_ms = 20 }, \
         unless = \"scheduled\" }\n",
    ));
    assert!(statuses(&rows).iter().all(|status| *status == "completed"));
    let (rows, _) = simulate(&clockwork(
        "[clients]\npatience = { after = { law = \"deterministic\", mean_ms = 20 } }\n",
    ));
    assert!(statuses(&rows).iter().all(|status| *status == "cancelled"));
    assert_eq!(ended(&simulation, Status::Completed), 10);
}

/// A pool each in two regions, where half of the clients are.
fn two_regions(workload: &str) -> Vec<RequestRow> {
    let region = |name: &str| {
        format!(
            "[[regions]]\nname = \"{name}\"\n[[populations]]\nname = \"near-{name}\"\n\
             region = \"{name}\"\n[[pools]]\nname = \"{name}\"\nregion = \"{name}\"\n\
             engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n\
             replicas = 2\nprefix_caching = true\n"
        )
    };
    let lengths = "tokens = { law = \"constant\", tokens = 32 }";
    simulate(&format!(
        "name = \"two\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n[workload]\n\
         prompt_{lengths}\noutput_{lengths}\n{workload}\n[network.rtt_ms]\n\"a/b\" = 20\n{}{}",
        region("a"),
        region("b")
    ))
    .0
}

#[test]
fn a_user_of_a_closed_loop_stays_near_one_region() {
    let at_home = |users: u32| {
        let think = "{ law = \"deterministic\", mean_ms = 900 }";
        let rows = two_regions(&format!(
            "arrivals = {{ process = \"closed_loop\", users = {users}, think = {think} }}"
        ));
        let first = rows.iter().filter(|row| row.pool == Some(0)).count();
        first as f64 / rows.len() as f64
    };
    assert!([0.0, 1.0].contains(&at_home(1)), "{}", at_home(1));
    // About half of many, within 4 standard deviations.
    let share = at_home(200);
    assert!(
        (share - 0.5).abs() < 4.0 * (0.25_f64 / 200.0).sqrt(),
        "{share}"
    );
}

#[test]
fn sessions_stay_near_the_region_of_their_first_turn() {
    let rows = two_regions(
        "arrivals = { process = \"poisson\", rate_per_s = 3 }\n\
         [workload.sessions]\nturns = { law = \"constant\", turns = 4 }\n\
         think = { law = \"deterministic\", mean_ms = 3000 }\n\
         prompt_tokens = { law = \"constant\", tokens = 160 }\n[affinity]\nttl_s = 1000",
    );
    // Each comes back to the replica that has all that was said, as full blocks of 16 tokens.
    let later: Vec<&RequestRow> = rows.iter().filter(|row| row.prompt_tokens > 32).collect();
    assert!(later.len() > 200, "{}", later.len());
    for row in later {
        let said = row.prompt_tokens - 160;
        assert!(row.cached_tokens + 16 >= said, "{row:?}");
    }
    // And there are some in either region.
    let pools = [0, 1].map(|pool| rows.iter().filter(|row| row.pool == Some(pool)).count());
    assert!(
        pools.iter().all(|count| count * 3 > rows.len()),
        "{pools:?}"
    );
}

/// A pool of each kind.
const POOLS: [&str; 9] = [
    "engine = \"abstract\"\nreplicas = 3\nservers = 2\nqueue_capacity = 5\n\
     service = { law = \"exponential\", mean_ms = 60 }",
    "engine = \"abstract\"\nreplicas = 2\ndiscipline = \"processor_sharing\"\n\
     service = { law = \"exponential\", mean_ms = 30 }",
    "engine = \"abstract\"\nreplicas = 2\nbatch_service = { fixed_ms = 40, per_item_ms = 5 }",
    "LLM replicas = 2",
    "LLM replicas = 2\nprefix_caching = true\nscheduling_policy = \"priority\"",
    "LLM pp = 3\nmicro_batch_seqs = 4",
    "LLM dp = 2\nexpert_parallel = true",
    "LLM speculative = { draft_tokens = 3, acceptance = 0.6, draft_us_per_token = 0 }",
    "LLM replicas = 2\nscheduler = \"vllm_v0\"",
];

fn pool(name: &str, kind: &str) -> String {
    let llm = "engine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\naccelerator = \"h100-sxm\"\n\
               kv_blocks = 150\nmax_num_seqs = 12\nmax_num_batched_tokens = 512\n";
    format!(
        "[[pools]]\nname = \"{name}\"\n{}\n",
        kind.replace("LLM ", llm)
    )
}

fn any_scenario(seed: u64, pools: &str, clients: &str, rate: f64, more: &str) -> String {
    format!(
        "name = \"any\"\n[run]\nseed = {seed}\nhorizon_s = 4\nwarmup_s = 0\n\
         [[tiers]]\nname = \"a\"\n[[tiers]]\nname = \"b\"\npriority = 1\n\
         [network]\nto_replica_ms = 1\nfrom_replica_ms = 2\n\
         [workload]\narrivals = {{ process = \"gamma\", rate_per_s = {rate}, cv = 2 }}\n\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 200, cv = 1, max_tokens = 1500 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 40, max_tokens = 200 }}\n\
         [clients]\n{clients}{more}{pools}"
    )
}

prop_compose! {
    fn clients()(
        timeout in prop::option::of(20.0_f64..3000.0),
        try_timeout in prop::option::of(20.0_f64..1500.0),
        first_token in prop::option::of(20.0_f64..800.0),
        patience in prop::option::of((20.0_f64..1000.0, any::<bool>())),
        retries in 0_u16..5,
        hedge in prop::option::of((10.0_f64..300.0, 1_u16..4)),
        cancel in any::<bool>(),
        budget in any::<bool>(),
    ) -> String {
        let mut text = format!("max_retries = {retries}\npropagate_cancel = {cancel}\n");
        let mut ms = |name: &str, value: Option<f64>| if let Some(value) = value {
            text.push_str(&format!("{name} = {value}\n"));
        };
        ms("timeout_ms", timeout);
        ms("try_timeout_ms", try_timeout);
        ms("first_token_timeout_ms", first_token);
        if let Some((mean, scheduled)) = patience {
            let unless = if scheduled { "scheduled" } else { "first_token" };
            text.push_str(&format!(
                "patience = {{ after = {{ law = \"exponential\", mean_ms = {mean} }}, \
                 unless = \"{unless}\" }}\n"
            ));
        }
        if let Some((after, max)) = hedge {
            text.push_str(&format!("hedge = {{ after_ms = {after}, max = {max} }}\n"));
        }
        if budget && (retries > 0 || hedge.is_some()) {
            text.push_str("retry_budget = { policy = \"envoy\" }\n");
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn nothing_is_lost_whatever_clients_do(
        seed in 0_u64..1000,
        kind in 0_usize..POOLS.len(),
        clients in clients(),
        rate in 20.0_f64..150.0,
        window in any::<bool>(),
        reported in any::<bool>(),
    ) {
        let mut more = String::new();
        if window {
            more.push_str("[batching]\nwindow_ms = 20\nmax_batch = 4\n");
        }
        if reported {
            more.push_str("[gateway]\nreplicas = 2\n[signals]\nsource = \"reported\"\n");
        }
        let text = any_scenario(seed, &pool("p", POOLS[kind]), &clients, rate, &more);
        // Blocks are added up after every iteration, everything at the end.
        let (rows, simulation) = simulate(&text);
        prop_assert_eq!(rows.len() as u64, simulation.world.meters.arrived);
        prop_assert_eq!(simulation.world.in_flight(), 0, "{}", text);
        prop_assert_eq!(simulation.world.tries_in_flight(), 0, "{}", text);
        let tries: u64 = rows.iter().map(|row| u64::from(row.attempts)).sum();
        prop_assert_eq!(tries, simulation.world.meters.tries.made, "{}", text);
    }

    #[test]
    fn prompts_may_be_given_up_on_their_way(
        seed in 0_u64..1000,
        clients in clients(),
        rate in 20.0_f64..100.0,
        prefill in 3_usize..7,
        decode in 3_usize..7,
    ) {
        let role = |name: &str, kind: usize| {
            let kind = POOLS[kind].replace("LLM ", &format!("LLM role = \"{name}\"\n"));
            pool(name, &kind)
        };
        let pools = format!(
            "[kv_transfer]\nbandwidth_gb_per_s = 0.5\n{}{}",
            role("prefill", prefill),
            role("decode", decode)
        );
        let (_, simulation) = simulate(&any_scenario(seed, &pools, &clients, rate, ""));
        prop_assert_eq!(simulation.world.in_flight(), 0);
        prop_assert_eq!(simulation.world.tries_in_flight(), 0);
    }

    #[test]
    fn giving_up_is_the_same_step_by_step(
        seed in 0_u64..1000,
        clients in clients(),
        rate in 20.0_f64..100.0,
        kind in prop::sample::select(vec![3_usize, 4, 8]),
        asynchronous in any::<bool>(),
    ) {
        let with = |steps: bool| {
            let kind = format!(
                "{}\nstep_by_step = {steps}\nasync_scheduling = {}",
                POOLS[kind],
                asynchronous && kind != 8
            );
            let text = any_scenario(seed, &pool("p", &kind), &clients, rate, "");
            simulate(&text)
        };
        let (folded, stepped) = (with(false), with(true));
        prop_assert_eq!(folded.0, stepped.0);
        prop_assert_eq!(
            &folded.1.world.meters.outcomes,
            &stepped.1.world.meters.outcomes
        );
        prop_assert_eq!(&folded.1.world.meters.tries, &stepped.1.world.meters.tries);
    }
}

#[test]
fn a_budget_does_not_count_tries_that_nobody_waits_for() {
    // Nothing is answered in time, and what was given up stays at the server for good.
    let text = "name = \"budget\"\nrun = { horizon_s = 10, warmup_s = 0, drain_limit_s = 1 }\n\
         [workload]\narrivals = { process = \"constant\", rate_per_s = 100 }\n\
         [clients]\ntry_timeout_ms = 100\nmax_retries = 5\nbackoff = { jitter = \"none\" }\n\
         retry_budget = { policy = \"envoy\" }\n\
         [[pools]]\nname = \"servers\"\nengine = \"abstract\"\n\
         service = { law = \"deterministic\", mean_ms = 100_000 }\n";
    let tries = simulate(text).1.world.meters.tries;
    // Of 13 waited for 20 % are fewer than the three that are always allowed, for 125 ms each.
    assert!(tries.retries <= 3 * 10_000 / 125 + 3, "{tries:?}");
    assert!(tries.refused > 500, "{tries:?}");
}
