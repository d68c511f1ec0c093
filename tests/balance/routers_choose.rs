//! Which replica a request goes to, by policy: keys, weights, sessions, prefixes, tokens, and what
//! pools can serve.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::collections::{BTreeMap, BTreeSet};

use common::simulate;
use seatrial::fleet::outcome::RequestRow;

fn abstract_fleet(pools: &str, more: &str) -> String {
    format!(
        "name = \"routers\"\n[run]\nhorizon_s = 20\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 300 }}\n{more}{pools}"
    )
}

fn pool(name: &str, replicas: u32, more: &str) -> String {
    format!(
        "[[pools]]\nname = \"{name}\"\nengine = \"abstract\"\nreplicas = {replicas}\n\
         service = {{ law = \"exponential\", mean_ms = 10 }}\n{more}\n"
    )
}

fn by_replica(rows: &[RequestRow]) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.replica.unwrap()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn weights_are_followed_turn_by_turn() {
    let pools = pool("small", 2, "weight = 1") + &pool("large", 2, "weight = 3");
    let text = abstract_fleet(&pools, "[router]\npolicy = \"weighted\"\n");
    let rows = simulate(&text).0;
    let counts = by_replica(&rows);
    let all = rows.len() as f64;
    for (replica, share) in [(0, 0.125), (1, 0.125), (2, 0.375), (3, 0.375)] {
        // Turns, not draws: never off by more than one turn.
        let expected = share * all;
        assert!(
            (counts[&replica] as f64 - expected).abs() <= 4.0,
            "{counts:?}"
        );
    }
}

#[test]
fn least_request_with_weights_takes_turns_by_what_is_outstanding() {
    let pools = pool("small", 2, "weight = 1") + &pool("large", 2, "weight = 3\nservers = 3");
    let text = abstract_fleet(&pools, "[router]\npolicy = \"least_request\"\n");
    let counts = by_replica(&simulate(&text).0);
    let large = (counts[&2] + counts[&3]) as f64;
    let small = (counts[&0] + counts[&1]) as f64;
    assert!(large > 1.5 * small && large < 4.5 * small, "{counts:?}");
}

/// Sessions of three turns on ten replicas.
fn sessions(more: &str) -> String {
    format!(
        "name = \"sessions\"\n[run]\nhorizon_s = 20\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 20 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 200 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 20 }}\n\
         [workload.sessions]\nturns = {{ law = \"constant\", turns = 4 }}\n\
         think = {{ law = \"exponential\", mean_ms = 1500 }}\n{more}\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\nreplicas = 10\nprefix_caching = true\n"
    )
}

fn cached_share(text: &str) -> f64 {
    let rows = simulate(text).0;
    let cached: u64 = rows.iter().map(|row| u64::from(row.cached_tokens)).sum();
    let prompts: u64 = rows.iter().map(|row| u64::from(row.prompt_tokens)).sum();
    cached as f64 / prompts as f64
}

#[test]
fn sessions_that_stay_find_their_kv() {
    let random = cached_share(&sessions("[router]\npolicy = \"random\"\n"));
    for more in [
        "[router]\npolicy = \"ring_hash\"\n",
        "[router]\npolicy = \"maglev\"\n",
        "[router]\npolicy = \"least_request\"\n[affinity]\nttl_s = 600\n",
        "[router]\npolicy = \"scored\"\nscorers = { policy = \"kv_cost\" }\n\
         prefix_index = { source = \"precise\" }\n",
        "[router]\npolicy = \"scored\"\nscorers = { policy = \"kv_cost\" }\n\
         prefix_index = { source = \"approximate\" }\n",
        "[router]\npolicy = \"scored\"\nscorers = { policy = \"weighted\" }\n\
         prefix_index = { source = \"precise\" }\n[signals]\nsource = \"reported\"\n",
    ] {
        let share = cached_share(&sessions(more));
        // A turn's prompt is what was said before and 200 tokens more: by whole blocks nearly all
        // of the former is found where the session stays.
        // Dynamo's cost weighs that against what decodes there, and moves some.
        let least = if more.contains("kv_cost") { 0.3 } else { 0.55 };
        assert!(share > least, "{more}: {share} against {random}");
        assert!(share > 3.0 * random, "{more}: {share} against {random}");
    }
    // One that is forgotten between two turns goes anywhere.
    let short = cached_share(&sessions(
        "[router]\npolicy = \"random\"\n[affinity]\nttl_s = 0.01\n",
    ));
    assert!((short - random).abs() < 0.05, "{short} {random}");
}

#[test]
fn keys_go_to_one_replica_each_and_bounded_loads_let_them_go() {
    let with = |ring: &str| {
        let text = abstract_fleet(
            &pool("p", 10, ""),
            &format!(
                "prefix = {{ sharing = \"groups\", groups = 40, tokens = 64, zipf_exponent = 1 }}\n\
                 prompt_tokens = {{ law = \"constant\", tokens = 100 }}\n\
                 [router]\npolicy = \"ring_hash\"\nhash_on = \"prefix\"\n{ring}"
            ),
        );
        simulate(&text).0
    };
    let free = by_replica(&with(""));
    let most = |counts: &BTreeMap<u32, usize>| *counts.values().max().unwrap() as f64;
    let bounded = by_replica(&with("ring = { hash_balance_factor_pct = 120 }\n"));
    // The most popular of forty groups has a quarter of the requests.
    assert!(most(&free) > 1.5 * most(&bounded), "{free:?} {bounded:?}");
}

#[test]
fn long_prompts_go_where_they_fit_and_tiers_where_they_are_served() {
    let llm = |name: &str, length: u32, more: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
             accelerator = \"h100-sxm\"\nmax_model_len = {length}\n{more}\n"
        )
    };
    let text = format!(
        "name = \"groups\"\n[run]\nhorizon_s = 20\nwarmup_s = 0\n\
         [[tiers]]\nname = \"any\"\n[[tiers]]\nname = \"special\"\nmodel = \"tuned\"\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 20 }}\n\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 2000, cv = 1.5, max_tokens = 12000 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 20 }}\n\
         [capability]\nreserve_output_tokens = 20\n{}{}{}",
        llm("short", 1000, "serves = [\"plain\"]"),
        llm("long", 16000, "serves = [\"plain\"]"),
        llm("tuned", 16000, "serves = [\"tuned\"]"),
    );
    let rows = simulate(&text).0;
    let mut pools = BTreeSet::new();
    for row in &rows {
        assert_eq!(row.status, "completed", "{row:?}");
        let pool = row.pool.unwrap();
        pools.insert((row.tier, pool));
        if row.prompt_tokens + 20 > 1000 {
            assert_ne!(pool, 0, "{row:?}");
        }
        if row.tier == 1 {
            assert_eq!(pool, 2, "{row:?}");
        }
    }
    // The first tier asks for nothing, and is served everywhere.
    assert_eq!(pools, BTreeSet::from([(0, 0), (0, 1), (0, 2), (1, 2)]));
    // Without looking at lengths the short pool turns some away.
    let blind = text.replace("[capability]\nreserve_output_tokens = 20\n", "");
    let rows = simulate(&blind).0;
    assert!(rows.iter().any(|row| row.status == "rejected_too_long"));
}

#[test]
fn tokens_outstanding_are_counted_to_the_last() {
    for scorers in ["token_cost", "kv_cost"] {
        let text = sessions(&format!(
            "[router]\npolicy = \"scored\"\nscorers = {{ policy = \"{scorers}\" }}\n\
             [clients]\ntry_timeout_ms = 150\nmax_retries = 2\npropagate_cancel = true\n"
        ));
        // A count that goes below zero would stop the run here.
        let (rows, simulation) = simulate(&text);
        assert_eq!(simulation.world.in_flight(), 0);
        assert!(rows.len() > 300);
        // No replica is left out.
        assert_eq!(by_replica(&rows).len(), 10);
    }
}

#[test]
fn what_is_told_is_the_same_step_by_step() {
    let with = |steps: bool| {
        let text = sessions(
            "[router]\npolicy = \"scored\"\nscorers = { policy = \"weighted\" }\n\
             prefix_index = { source = \"precise\" }\n\
             [signals]\nsource = \"reported\"\ninterval_ms = 30\ndelay_ms = 4\n",
        );
        simulate(&format!("{text}step_by_step = {steps}\n"))
    };
    let (folded, stepped) = (with(false), with(true));
    assert_eq!(folded.0, stepped.0);
    assert_eq!(
        folded.1.world.meters.outcomes,
        stepped.1.world.meters.outcomes
    );
}
