//! Settings of balancing are read with their defaults, and every value out of range is named.

#![allow(clippy::unwrap_used)]

use seatrial::scenario::balance::{
    Affinity, LeastRequest, Maglev, PrefixIndex, RingHash, Scorers, SlowStart,
};
use seatrial::scenario::{Document, Problems, ScenarioError, SourceText};
use serde::de::DeserializeOwned;

/// The fields found wrong in a table named `it`.
fn wrong<T: DeserializeOwned>(
    text: &str,
    check: impl Fn(&T, &str, &mut Problems<'_>),
) -> Vec<String> {
    let value: T = toml::from_str(text).unwrap();
    let text = format!("[it]\n{text}");
    let document = Document::parse(SourceText::new("test.toml", text)).unwrap();
    let mut problems = Problems::new(&document);
    check(&value, "it", &mut problems);
    match problems.finish() {
        Ok(()) => Vec::new(),
        Err(ScenarioError::Invalid(found)) => {
            found.into_iter().map(|problem| problem.field).collect()
        }
        Err(other) => vec![other.to_string()],
    }
}

#[test]
fn defaults_are_those_of_the_real_components() {
    assert_eq!(wrong("", RingHash::check), [""; 0]);
    assert_eq!(wrong("", Maglev::check), [""; 0]);
    assert_eq!(wrong("", LeastRequest::check), [""; 0]);
    let ring: RingHash = toml::from_str("").unwrap();
    assert_eq!((ring.min_ring_size, ring.max_ring_size), (1_024, 8_388_608));
    assert_eq!(ring.hash_balance_factor_pct, None);
    assert_eq!(Maglev::default().table_size, 65_537);
    let rise: SlowStart = toml::from_str("window_s = 30").unwrap();
    assert_eq!((rise.aggression, rise.min_weight_pct), (1.0, 10.0));
    let scorers: Scorers = toml::from_str("policy = \"weighted\"").unwrap();
    let llm_d = Scorers::Weighted {
        queue: 2.0,
        kv_cache_utilization: 2.0,
        prefix_cache: 3.0,
    };
    assert_eq!(scorers, llm_d);
    let scorers: Scorers = toml::from_str("policy = \"cache_aware\"").unwrap();
    let sglang = Scorers::CacheAware {
        cache_threshold: 0.3,
        balance_abs_threshold: 64,
        balance_rel_threshold: 1.5,
    };
    assert_eq!(scorers, sglang);
    let index: PrefixIndex = toml::from_str("source = \"approximate\"").unwrap();
    let llm_d = PrefixIndex::Approximate {
        block_size: 16,
        max_prompt_blocks: 256,
        blocks_per_member: 31_250,
        count_behind_gaps: true,
    };
    assert_eq!(index, llm_d);
}

#[test]
fn values_out_of_range_are_named() {
    let ring = "min_ring_size = 2000\nmax_ring_size = 1000\nhash_balance_factor_pct = 99";
    let fields = ["it.max_ring_size", "it.hash_balance_factor_pct"];
    assert_eq!(wrong(ring, RingHash::check), fields);
    assert_eq!(
        wrong("table_size = 65536", Maglev::check),
        ["it.table_size"]
    );
    assert_eq!(
        wrong("table_size = 5000087", Maglev::check),
        ["it.table_size"]
    );
    assert_eq!(wrong("table_size = 5000011", Maglev::check), [""; 0]);
    let least = "choices = 1\nactive_request_bias = -1";
    let fields = ["it.choices", "it.active_request_bias"];
    assert_eq!(wrong(least, LeastRequest::check), fields);
    let rise = "window_s = 0\naggression = 0\nmin_weight_pct = 101";
    let fields = ["it.window_s", "it.aggression", "it.min_weight_pct"];
    assert_eq!(wrong(rise, SlowStart::check), fields);
    let affinity = "ttl_s = nan\nmax_entries = 0";
    assert_eq!(
        wrong(affinity, Affinity::check),
        ["it.ttl_s", "it.max_entries"]
    );
    let index = "source = \"approximate\"\nblock_size = 0\nblocks_per_member = 0";
    let fields = ["it.block_size", "it.blocks_per_member"];
    assert_eq!(wrong(index, PrefixIndex::check), fields);
    let scorers = "policy = \"cache_aware\"\ncache_threshold = 1.5\nbalance_rel_threshold = 0.5";
    let fields = ["it.cache_threshold", "it.balance_rel_threshold"];
    assert_eq!(wrong(scorers, Scorers::check), fields);
    let scorers = "policy = \"kv_cost\"\ntemperature = -0.1";
    assert_eq!(wrong(scorers, Scorers::check), ["it.temperature"]);
}

#[test]
fn unknown_fields_are_refused() {
    assert!(toml::from_str::<Maglev>("size = 7").is_err());
    assert!(toml::from_str::<SlowStart>("aggression = 1").is_err());
    assert!(toml::from_str::<Scorers>("policy = \"weighted\"\nqueues = 1").is_err());
    assert!(toml::from_str::<PrefixIndex>("source = \"precise\"\nmax_prompt_blocks = 1").is_err());
}
