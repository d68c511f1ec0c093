//! Whatever breaks, every request and every try is accounted for, and the dead serve nobody.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{plan_of, run_rows, simulate};
use proptest::prelude::*;
use seatrial::fleet::outcome::RequestRow;

/// A pool of each kind, three replicas each.
const KINDS: [&str; 7] = [
    "engine = \"abstract\"\nreplicas = 3\nservers = 2\nqueue_capacity = 20\n\
     service = { law = \"exponential\", mean_ms = 40 }",
    "engine = \"abstract\"\nreplicas = 3\ndiscipline = \"processor_sharing\"\n\
     service = { law = \"exponential\", mean_ms = 20 }",
    "engine = \"abstract\"\nreplicas = 3\nbatch_service = { fixed_ms = 30, per_item_ms = 4 }",
    "LLM replicas = 3",
    "LLM replicas = 3\npp = 2\nmicro_batch_seqs = 4",
    "LLM replicas = 3\ndp = 2\nexpert_parallel = true",
    "LLM replicas = 3\nprefix_caching = true\n\
     speculative = { draft_tokens = 2, acceptance = 0.6, draft_us_per_token = 0 }",
];

/// The first pool computes prompts, and the second makes answers.
const APART: usize = KINDS.len();

fn pool(name: &str, region: &str, kind: usize) -> String {
    let llm = "engine = \"llm\"\nmodel = \"qwen3-30b-a3b\"\naccelerator = \"h100-sxm\"\n\
               kv_blocks = 150\nmax_num_seqs = 12\nmax_num_batched_tokens = 512\n";
    let role = if name == "us1" { "prefill" } else { "decode" };
    let apart = format!("LLM replicas = 3\nrole = \"{role}\"");
    let kind = *KINDS.get(kind).unwrap_or(&apart.as_str());
    let kind = kind.replace("LLM ", llm);
    format!("[[pools]]\nname = \"{name}\"\nregion = \"{region}\"\n{kind}\n")
}

const CLIENTS: [&str; 6] = [
    "",
    "[gateway]\ntimeout_ms = 300\n",
    "[gateway]\ntimeout_ms = 250\ncost_ms = 1\n[clients]\nmax_retries = 2\n\
     propagate_cancel = true\nhedge = { after_ms = 100, max = 2 }\n",
    "[clients]\ntimeout_ms = 2000\nmax_retries = 3\nbackoff = { base_ms = 50 }\n",
    "[clients]\ntry_timeout_ms = 700\nmax_retries = 2\npropagate_cancel = true\n\
     hedge = { after_ms = 200 }\n",
    "[clients]\nfirst_token_timeout_ms = 400\nmax_retries = 5\n\
     retry_budget = { policy = \"envoy\" }\n",
];

const HEALTH: [&str; 5] = [
    "",
    "[health]\nactive = { interval_s = 0.3, timeout_s = 0.1 }\n",
    "[health]\noutlier = { interval_s = 0.5, base_ejection_time_s = 0.7, max_ejection_pct = 60 }\n",
    "[health]\nbreaker = { minimum_calls = 5, window_size = 10, wait_in_open_s = 0.5, \
     permitted_calls_in_half_open = 2 }\nlimits = { max_requests = 30 }\n",
    "[health]\nactive = { interval_s = 0.2, timeout_s = 0.1 }\nslow_start = { window_s = 1 }\n\
     outlier = { interval_s = 0.5, max_ejection_pct = 100 }\nbreaker_scope = \"pool\"\n\
     breaker = { minimum_calls = 5, window_size = 10, wait_in_open_s = 0.5, window = \"time_based\", \
     automatic_half_open = true }\n",
];

const LOCALITY: [&str; 3] = [
    "",
    "[locality]\npolicy = \"failover\"\n",
    "[locality]\npolicy = \"spill_over\"\nfull_at = 3\n",
];

const ROUTERS: [&str; 9] = [
    "",
    "[router]\npolicy = \"round_robin\"\n",
    "[router]\npolicy = \"least_tokens\"\n[signals]\nsource = \"reported\"\ninterval_ms = 20\n\
     delay_ms = 3\nloss = 0.1\ncount_own = true\n",
    "[router]\npolicy = \"weighted\"\n",
    "[router]\npolicy = \"ring_hash\"\nhash_on = \"user\"\nring = { hash_balance_factor_pct = 130 }\n",
    "[router]\npolicy = \"maglev\"\nhash_on = \"prefix\"\nmaglev = { table_size = 251 }\n\
     [affinity]\nttl_s = 1\nkey = \"user\"\n",
    "[router]\npolicy = \"scored\"\nscorers = { policy = \"weighted\" }\n\
     prefix_index = { source = \"approximate\" }\n[signals]\nsource = \"reported\"\n",
    "[router]\npolicy = \"scored\"\nscorers = { policy = \"kv_cost\" }\n\
     prefix_index = { source = \"approximate\" }\n",
    "[router]\npolicy = \"scored\"\nscorers = { policy = \"token_cost\" }\n",
];

const ADMISSION: [&str; 6] = [
    "",
    "[admission]\nconcurrency = { policy = \"fixed\", limit = 12 }\n",
    "[admission]\nconcurrency = { policy = \"aimd\", initial = 10, min = 5, timeout_ms = 300 }\n\
     waiting_room = { order = { policy = \"fair\" }, bound = { requests = 30 }, \
     control = { policy = \"codel\", target_ms = 20 } }\n\
     tenants = [{ name = \"x\", share = 3 }, { name = \"y\", weight = 2, \
     quotas = [{ of = \"requests\", amount = 20, window_s = 1 }] }]\n",
    "[admission]\nrate = { requests = { per_s = 30, burst = 5 }, tokens = { per_s = 9000, burst = 4000 } }\n\
     by_success = { rps_threshold = 0 }\n",
    "[admission]\nconcurrency = { policy = \"gradient\", update_interval_ms = 100, \
     min_rtt_interval_s = 2 }\nwaiting_room = { order = { policy = \"priority\", aging_s = 1 }, \
     control = { policy = \"controlled_delay\", target_ms = 20 } }\n",
    "[admission]\nconcurrency = { policy = \"vegas\" }\nwaiting_room = { order = \
     { policy = \"adaptive_lifo\", lifo_above = 5 }, control = { policy = \"slough\" } }\n",
];

const TIERS: [&str; 4] = [
    "",
    "[[tiers]]\nname = \"first\"\npriority = 0\nslo = { e2e_ms = 800 }\n\
     [[tiers]]\nname = \"last\"\npriority = 3\nshare = 2\ndeadline_ms = 900\n",
    "[[tiers]]\nname = \"first\"\nweight = 3\n\
     [[tiers]]\nname = \"last\"\nshare = 2\nconcurrency = { policy = \"fixed\", limit = 2 }\n\
     quotas = [{ of = \"requests\", amount = 30, window_s = 1 }]\n",
    "[[tiers]]\nname = \"first\"\nrate = { requests = { per_s = 20, burst = 4 } }\n\
     [[tiers]]\nname = \"last\"\nconcurrency = { policy = \"gradient\", update_interval_ms = 50, \
     min_rtt_interval_s = 1, min_rtt_requests = 5 }\n",
];

const WORK: [&str; 3] = [
    "arrivals = { process = \"poisson\", rate_per_s = 60 }\n",
    "arrivals = { process = \"poisson\", rate_per_s = 15 }\n\
     sessions = { turns = { law = \"constant\", turns = 4 }, \
     think = { law = \"exponential\", mean_ms = 200 }, max_context_tokens = 1500 }\n",
    "arrivals = { process = \"closed_loop\", users = 40, \
     think = { law = \"exponential\", mean_ms = 300 } }\n",
];

prop_compose! {
    fn fault()(
        kind in 0_usize..15,
        at in 0.0_f64..3.5,
        length in 0.05_f64..2.5,
        ever in 0_u8..8,
        pool in prop::sample::select(vec!["us1", "us2", "eu1"]),
        region in prop::sample::select(vec!["us", "eu"]),
        replica in 0_u32..3,
    ) -> String {
        let one = format!("target = {{ pool = \"{pool}\", replica = {replica} }}");
        let all = format!("target = {{ pool = \"{pool}\" }}");
        let there = format!("target = {{ region = \"{region}\" }}");
        let other = if region == "us" { "eu" } else { "us" };
        let what = match kind {
            0 => format!("kind = \"crash\"\n{one}"),
            1 => format!("kind = \"crash\"\n{all}"),
            2 => format!("kind = \"crash\"\n{there}"),
            3 => format!("kind = \"hang\"\n{one}"),
            4 => format!("kind = \"hang\"\n{there}"),
            5 => format!("kind = \"slow\"\nfactor = 4\n{one}"),
            6 => format!("kind = \"packet_loss\"\nprobability = 0.3\n{all}"),
            7 => format!("kind = \"partition\"\nfrom = \"gateways\"\n{there}"),
            8 => format!("kind = \"partition\"\nfrom = \"clients\"\n{there}"),
            9 => format!("kind = \"partition\"\nfrom = {{ region = \"{other}\" }}\n{there}"),
            10 => format!("kind = \"brown_out\"\nshare = 0.5\n{all}"),
            11 => "kind = \"control_plane_loss\"".to_owned(),
            12 => "kind = \"dns_outage\"".to_owned(),
            13 => format!("kind = \"drain\"\nnotice_s = {}\n{one}", length * 0.3),
            _ => format!(
                "kind = \"oscillating\"\nperiod_s = 0.4\non_share = 0.4\n\
                 fault = {{ kind = \"crash\" }}\n{one}"
            ),
        };
        let end = if ever == 0 { String::new() } else { format!("for_s = {length}\n") };
        format!("[[faults.timeline]]\nat_s = {at}\n{end}{what}\n")
    }
}

prop_compose! {
    fn deploy()(share in 0.1_f64..0.9, sticky in any::<bool>(), misroute in any::<bool>()) -> String {
        let to = if misroute { "misroute_to = \"us2\"\n" } else { "" };
        format!(
            "[[faults.timeline]]\nat_s = 1\nfor_s = 1\nkind = \"bad_deploy\"\nshare = {share}\n\
             sticky = {sticky}\n{to}target = {{ pool = \"us1\" }}\n"
        )
    }
}

fn scenario(
    seed: u64,
    kinds: [usize; 3],
    (clients, health, locality, router, admission): (usize, usize, usize, usize, usize),
    (tiers, work): (usize, usize),
    faults: &[String],
    deploy: &str,
    spike: bool,
) -> String {
    let spike = match spike {
        true => {
            "[[faults.timeline]]\nat_s = 1.5\nfor_s = 0.5\nkind = \"traffic_spike\"\nfactor = 2.5\n"
        }
        false => "",
    };
    let apart = kinds[0] == APART;
    let (first, second, transfer) = match apart {
        true => (
            APART,
            APART,
            "[kv_transfer]\nbandwidth_gb_per_s = 0.3\nlatency_ms = 1\n",
        ),
        false => (kinds[0], kinds[1], ""),
    };
    let deploy = if apart { "" } else { deploy };
    format!(
        "name = \"faults\"\n[run]\nseed = {seed}\nhorizon_s = 4\nwarmup_s = 0\ndrain_limit_s = 200\n\
         [workload]\n{}\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 150, cv = 1, max_tokens = 1500 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 30, max_tokens = 200 }}\n\
         [[regions]]\nname = \"us\"\ngateways = 2\n[[regions]]\nname = \"eu\"\n\
         [[populations]]\nname = \"americans\"\nregion = \"us\"\nshare = 2\nusers = 100\n\
         [[populations]]\nname = \"others\"\nrtt_ms = {{ us = 90, eu = 20 }}\nusers = 50\n\
         [network]\nto_replica_ms = 0.5\nfrom_replica_ms = 0.7\nconnect_timeout_ms = 300\n\
         rtt_ms = {{ \"us/eu\" = 80 }}\n\
         [steering]\nvia = \"dns\"\nttl_s = 0.8\nhealth = {{ interval_s = 0.2 }}\n\
         {transfer}{}{}{}{}{}{}{}{}{}{}{}{}",
        WORK[work],
        TIERS[tiers],
        ADMISSION[admission],
        ROUTERS[router],
        CLIENTS[clients],
        HEALTH[health],
        LOCALITY[locality],
        faults.concat(),
        deploy,
        spike,
        pool("us1", "us", first),
        pool("us2", "us", second),
        pool("eu1", "eu", kinds[2]),
    )
}

/// Times at which a replica of the whole fleet was dead, from the timeline alone: only crashes of
/// single replicas, pools and regions.
fn dead_between(faults: &[String], replica: u32) -> Vec<(f64, f64)> {
    let number = |text: &str, key: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    let pools = ["us1", "us2", "eu1"];
    let mut dead = Vec::new();
    for fault in faults
        .iter()
        .filter(|fault| fault.contains("kind = \"crash\"\n"))
    {
        let name = pools[(replica / 3) as usize];
        let region = if replica < 6 { "us" } else { "eu" };
        let here = match fault.contains("replica = ") {
            true => fault.contains(&format!("\"{name}\", replica = {}", replica % 3)),
            false => {
                fault.contains(&format!("pool = \"{name}\""))
                    || fault.contains(&format!("region = \"{region}\""))
            }
        };
        if here {
            let at = number(fault, "at_s = ").unwrap();
            let until = number(fault, "for_s = ").map_or(f64::INFINITY, |length| at + length);
            dead.push((at, until));
        }
    }
    dead
}

fn check(text: &str, faults: &[String]) -> Result<(), TestCaseError> {
    let (rows, simulation) = simulate(text);
    let world = &simulation.world;
    prop_assert_eq!(rows.len() as u64, world.meters.arrived, "{}", text);
    let tries: u64 = rows.iter().map(|row| u64::from(row.attempts)).sum();
    prop_assert_eq!(tries, world.meters.tries.made, "{}", text);
    let done = |row: &&RequestRow| row.status == "completed";
    // What keeps an answer back hides when it was made.
    let slow_way = |fault: &String| fault.contains("packet_loss") || fault.contains("partition");
    let prompt = !faults.iter().any(slow_way);
    for row in rows.iter().filter(done) {
        let replica = row.replica.unwrap();
        let seconds = |ns: Option<u64>| ns.unwrap() as f64 / 1e9;
        // At the replica that made the answer.
        let queued = seconds(row.kv_arrived_ns.or(row.queued_ns));
        let scheduled = seconds(row.resumed_ns.or(row.scheduled_ns));
        // When the engine made it: the way back is 0.7 ms, and 40 more from the other region.
        let last = seconds(row.last_token_ns);
        let (earliest, latest) = (last - 0.0407, last - 0.0007);
        for (from, until) in dead_between(faults, replica) {
            let dead = |at: f64| at > from + 1e-9 && at < until - 1e-9;
            prop_assert!(
                !(dead(queued) || dead(scheduled) || prompt && dead(earliest) && dead(latest)),
                "replica {replica} was dead from {from} to {until}: {row:?} {text}"
            );
            // What was at the replica when it died is lost.
            prop_assert!(
                !(prompt && queued < from && earliest > until),
                "{row:?} {text}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_and_the_dead_serve_nobody(
        seed in 0_u64..10_000,
        kinds in (0_usize..=KINDS.len(), 0_usize..KINDS.len(), 0_usize..KINDS.len()),
        options in (0_usize..CLIENTS.len(), 0_usize..HEALTH.len(), 0_usize..LOCALITY.len(),
            0_usize..ROUTERS.len(), 0_usize..ADMISSION.len()),
        traffic in (0_usize..TIERS.len(), 0_usize..WORK.len()),
        faults in prop::collection::vec(fault(), 0..8),
        deploy in prop::option::of(deploy()),
        spike in any::<bool>(),
    ) {
        let text = scenario(seed, kinds.into(), options, traffic, &faults, deploy.as_deref().unwrap_or(""), spike);
        check(&text, &faults)?;
    }
}

#[test]
fn the_same_faults_give_the_same_run() {
    let faults: Vec<String> = [
        "at_s = 0.5\nfor_s = 1\nkind = \"crash\"\ntarget = { region = \"us\" }\n",
        "at_s = 2\nfor_s = 1\nkind = \"packet_loss\"\nprobability = 0.2\ntarget = { pool = \"eu1\" }\n",
    ]
    .iter()
    .map(|text| format!("[[faults.timeline]]\n{text}"))
    .collect();
    let text = scenario(3, [0, 3, 4], (2, 4, 1, 0, 2), (0, 0), &faults, "", true);
    let plan = plan_of(&text);
    let [a, b] = [0, 0].map(|_| run_rows(&plan, 0, |_| {}));
    assert_eq!(a.digest(), b.digest());
    assert!(a.world.meters.ended.iter().sum::<u64>() > 100);
}

#[test]
fn a_fault_that_fails_every_request_at_once_ends_in_time() {
    // Between two arrivals nothing is in flight while nobody finds a region.
    let text = "name = \"dns\"\nrun = { horizon_s = 30, warmup_s = 0 }\n\
                workload.arrivals = { process = \"poisson\", rate_per_s = 20 }\n\
                steering = { via = \"dns\", ttl_s = 0.1 }\n\
                [[regions]]\nname = \"us\"\n[[populations]]\nname = \"all\"\nregion = \"us\"\n\
                [[pools]]\nname = \"servers\"\nengine = \"abstract\"\nservers = 4\n\
                service = { law = \"deterministic\", mean_ms = 10 }\n\
                [[faults.timeline]]\nkind = \"dns_outage\"\nat_s = 10\nfor_s = 10\n";
    let rows = simulate(text).0;
    let failed = rows.iter().filter(|row| row.status == "failed_dns");
    let last = failed.map(|row| row.arrival_ns).max().unwrap();
    assert!((19_000_000_000..20_000_000_000).contains(&last), "{last}");
}
