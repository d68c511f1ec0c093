//! KV that replicas share, and sessions that lose theirs when they have to go elsewhere.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{plan_of, rows_of, run_rows, simulate};
use seatrial::engine::{SimDuration, SimTime};
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::store::{SharedStore, StoreRule};
use seatrial::scenario::SourceText;
use seatrial::scenario::resolve::resolve;

/// Sessions of four turns, three seconds apart, on replicas drawn at random.
fn sessions(replicas: u32, more: &str) -> String {
    format!(
        "name = \"shared\"\n[run]\nhorizon_s = 60\nwarmup_s = 0\n[workload]\n\
         arrivals = {{ process = \"poisson\", rate_per_s = 3 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 1600 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 32 }}\n\
         [workload.sessions]\nturns = {{ law = \"constant\", turns = 4 }}\n\
         think = {{ law = \"deterministic\", mean_ms = 3000 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 160 }}\n\
         [router]\npolicy = \"random\"\n{more}\
         [[pools]]\nname = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\n\
         accelerator = \"h100-sxm\"\nreplicas = {replicas}\nprefix_caching = true\n"
    )
}

fn cached(rows: &[RequestRow]) -> f64 {
    let later = rows.iter().filter(|row| row.prompt_tokens > 1600);
    let (mut found, mut asked) = (0, 0);
    for row in later {
        found += u64::from(row.cached_tokens);
        asked += u64::from(row.prompt_tokens) - 160;
    }
    found as f64 / asked as f64
}

#[test]
fn what_one_replica_computed_the_others_load() {
    let alone = cached(&rows_of(&sessions(8, "")));
    // A session comes to the same of eight replicas again by chance.
    assert!(alone < 0.3, "{alone}");
    let store = "[kv_store]\ncapacity_gb = 200\nbandwidth_gb_per_s = 20\n";
    let shared = cached(&rows_of(&sessions(8, store)));
    assert!(shared > 0.98, "{shared}");
    // What takes longer to arrive than a user thinks is of no use to the next turn.
    let late = format!("{store}lag_ms = 60_000\n");
    let late = cached(&rows_of(&sessions(8, &late)));
    assert!((late - alone).abs() < 0.02, "{late} {alone}");
    // One that holds a few blocks has forgotten them by then.
    let small = store.replace("200", "0.05");
    let small = cached(&rows_of(&sessions(8, &small)));
    assert!(small < 0.5 * shared, "{small}");
}

#[test]
fn loading_takes_the_time_it_takes() {
    // One turn at a time: the second is loaded by a replica that has nothing of it.
    let with = |bandwidth: f64, latency: f64| {
        let store = format!(
            "[kv_store]\ncapacity_gb = 200\nbandwidth_gb_per_s = {bandwidth}\n\
             latency_ms = {latency}\n"
        );
        let text = sessions(2, &store).replace("policy = \"random\"", "policy = \"round_robin\"");
        let text = text.replace("rate_per_s = 3", "rate_per_s = 0.01");
        let rows = rows_of(&text.replace("horizon_s = 60", "horizon_s = 300"));
        let second = rows
            .iter()
            .find(|row| row.prompt_tokens > 1600)
            .unwrap()
            .clone();
        assert_ne!(second.replica, rows[0].replica);
        (second.first_token_ns.unwrap() - second.scheduled_ns.unwrap()) as f64 / 1e6
    };
    // 1,631 tokens are in the cache when the answer ends, 101 full blocks of 16, 131,072 bytes a token.
    let ms = 101.0 * 16.0 * 131_072.0 / 1e6;
    let slow = with(1.0, 0.0) - with(2.0, 0.0);
    assert!((slow - ms / 2.0).abs() < 0.01, "{slow} {ms}");
    let latency = with(1.0, 7.0) - with(1.0, 2.0);
    assert!((latency - 5.0).abs() < 1e-6, "{latency}");
}

/// Two regions; sessions stay where they are until their region leaves at 30 s.
fn failover(store: &str) -> Vec<RequestRow> {
    let region = |name: &str| {
        format!(
            "[[pools]]\nname = \"{name}\"\nregion = \"{name}\"\nengine = \"llm\"\n\
             model = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\nreplicas = 2\n\
             prefix_caching = true\n"
        )
    };
    let text = format!(
        "{}{store}[affinity]\nttl_s = 600\n[[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n\
         [[populations]]\nname = \"all\"\nregion = \"a\"\n[network]\nrtt_ms = {{ \"a/b\" = 80 }}\n\
         [steering]\nvia = \"dns\"\nttl_s = 1\nhealth = {{ interval_s = 0.5 }}\n\
         [clients]\nmax_retries = 5\nbackoff = {{ base_ms = 500 }}\n\
         [[faults.timeline]]\nat_s = 30\nkind = \"crash\"\ntarget = {{ region = \"a\" }}\n{}",
        sessions(2, "").split("[[pools]]").next().unwrap(),
        region("a") + &region("b"),
    );
    rows_of(&text)
}

#[test]
fn a_session_that_fails_over_pays_for_what_has_not_arrived() {
    let after = |rows: &[RequestRow]| {
        // Turns after the first of sessions that began before the region left.
        let moved: Vec<RequestRow> = rows
            .iter()
            .filter(|row| {
                row.prompt_tokens > 1600
                    && row.replica.is_some_and(|replica| replica >= 2)
                    && (30_100_000_000..33_000_000_000).contains(&row.arrival_ns)
            })
            .cloned()
            .collect();
        assert!(moved.len() > 5, "{}", moved.len());
        let whole = moved.iter().filter(|row| row.cached_tokens >= 1600).count();
        whole as f64 / moved.len() as f64
    };
    let stateful = after(&failover(""));
    let lagging = after(&failover(
        "[kv_store]\ncapacity_gb = 500\nbandwidth_gb_per_s = 20\nregion_lag_ms = 500\n",
    ));
    let apart = after(&failover(
        "[kv_store]\ncapacity_gb = 500\nbandwidth_gb_per_s = 20\n",
    ));
    // The first turn of each elsewhere is computed again, unless the store had it in time.
    assert!(stateful < 0.05, "{stateful}");
    assert!(apart < 0.05, "{apart}");
    assert!(lagging > 0.95, "{lagging}");
}

/// A store of 3 blocks.
fn store(region_lag: Option<u64>) -> SharedStore {
    SharedStore::new(StoreRule {
        blocks: 3,
        block_ns: 10.0,
        latency_ns: 5.0,
        lag: SimDuration(100),
        region_lag: region_lag.map(SimDuration),
    })
}

/// Blocks 1, 2 and so on without a gap.
fn found(store: &SharedStore, region: u16, now: u64) -> u32 {
    let key = |index: u32| u64::from(index) + 1;
    store.lookup(key, 0, 9, (region, SimTime(now))).blocks
}

#[test]
fn blocks_are_there_a_lag_later_and_elsewhere_a_longer_one() {
    let mut store = store(Some(1000));
    store.put(1, 0, SimTime(50));
    store.put(2, 0, SimTime(70));
    assert_eq!(
        [149, 150, 169, 170].map(|at| found(&store, 0, at)),
        [0, 1, 1, 2]
    );
    assert_eq!([1049, 1050, 1070].map(|at| found(&store, 1, at)), [0, 1, 2]);
    let key = |index: u32| u64::from(index) + 1;
    let loaded = store.lookup(key, 0, 9, (0, SimTime(500)));
    assert_eq!(loaded.ns, 25.0);
    // What was on its way when its region was lost never comes.
    store.region_lost(0, SimTime(1060));
    assert_eq!(found(&store, 1, 5000), 1);
}

#[test]
fn a_full_store_drops_what_was_used_longest_ago_and_regions_may_be_apart() {
    let mut store = store(None);
    for key in 1..=3 {
        store.put(key, 0, SimTime(0));
    }
    store.put(1, 0, SimTime(10));
    store.put(4, 0, SimTime(20));
    // The second went: the first alone is there without a gap.
    assert_eq!(found(&store, 0, 1000), 1);
    assert_eq!(found(&store, 1, 1_000_000), 0);
}

#[test]
fn regions_with_stores_of_their_own_find_what_they_computed() {
    let mut store = store(None);
    for key in 1..=3 {
        store.put(key, 0, SimTime(0));
    }
    store.put(1, 1, SimTime(30));
    assert_eq!([129, 130].map(|at| found(&store, 1, at)), [0, 1]);
    // Nor do they make room for one another, nor lose what another had.
    assert_eq!(found(&store, 0, 130), 3);
    store.region_lost(1, SimTime(1000));
    assert_eq!([0, 1].map(|region| found(&store, region, 1000)), [3, 0]);
}

#[test]
fn what_a_region_computed_does_not_wait_for_what_another_did() {
    let mut store = store(Some(1000));
    store.put(1, 0, SimTime(50));
    store.put(1, 1, SimTime(60));
    store.put(1, 1, SimTime(70));
    assert_eq!([159, 160].map(|at| found(&store, 1, at)), [0, 1]);
    // Nor is it lost with the other.
    store.region_lost(0, SimTime(500));
    assert_eq!(found(&store, 1, 500), 1);
    assert_eq!([1059, 1060].map(|at| found(&store, 0, at)), [0, 1]);
}

#[test]
fn the_store_changes_nothing_step_by_step() {
    let store = "[kv_store]\ncapacity_gb = 3\nbandwidth_gb_per_s = 5\nlag_ms = 800\n";
    let with = |steps: bool| {
        let text = sessions(3, store);
        simulate(&format!("{text}step_by_step = {steps}\nkv_blocks = 900\n"))
    };
    let (folded, stepped) = (with(false), with(true));
    assert_eq!(folded.0, stepped.0);
    let plan = plan_of(&sessions(3, store));
    let again = run_rows(&plan, 0, |_| {});
    assert_eq!(again.digest(), run_rows(&plan, 0, |_| {}).digest());
}

#[test]
fn pools_that_do_not_fit_together_share_nothing() {
    let store = "[kv_store]\ncapacity_gb = 3\nbandwidth_gb_per_s = 5\n";
    let text = sessions(3, store).replace("prefix_caching = true", "prefix_caching = false");
    let document = seatrial::scenario::Document::parse(SourceText::new("s.toml", &text)).unwrap();
    let error = resolve(&document, std::path::Path::new(""))
        .unwrap_err()
        .to_string();
    assert!(error.contains("needs pools of one model"), "{error}");
}
