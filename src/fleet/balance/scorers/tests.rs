//! Scores computed by hand.

use super::*;
use crate::engine::Streams;
use crate::fleet::balance::PrefixIndex;
use crate::scenario::balance::PrefixIndex as IndexConfig;

fn rng() -> SimRng {
    let streams = Streams {
        seed: 1,
        replication: 0,
    };
    streams.stream("scorers", 0, "test")
}

/// An index of 16-token blocks in which member `m` holds the first `held[m]` blocks 0, 1, 2..
fn index(held: &[u32]) -> PrefixIndex {
    let config = IndexConfig::Precise { block_size: 16 };
    let mut index = PrefixIndex::new(&config, held.len() as u32);
    for (member, blocks) in (0..).zip(held) {
        index.sent(member, u64::from, *blocks);
    }
    index
}

fn asked(index: &mut PrefixIndex, blocks: u32) -> Asked<'_> {
    Asked {
        prompt_tokens: blocks * 16,
        block_size: 16,
        matches: index.lookup(u64::from, blocks),
    }
}

fn member(waiting: u32, kv_usage: f64) -> Signals {
    Signals {
        waiting,
        kv_usage,
        ..Signals::default()
    }
}

const LLM_D: Scorers = Scorers::Weighted {
    queue: 2.0,
    kv_cache_utilization: 2.0,
    prefix_cache: 3.0,
};

#[test]
fn llm_ds_scores_are_those_by_hand() {
    let signals = [member(0, 0.5), member(4, 0.25), member(10, 0.0)];
    let mut index = index(&[0, 2, 8]);
    let asked = asked(&mut index, 8);
    let scorer = Scorer::new(&LLM_D);
    let waiting = Range { least: 0, most: 10 };
    let score = |at: u32| scorer.score(&signals[at as usize], at, &asked, waiting);
    // 2 x 10/10 + 2 x 0.5 + 3 x 0/8.
    assert!((score(0) - 3.0).abs() < 1e-12);
    // 2 x 6/10 + 2 x 0.75 + 3 x 2/8.
    assert!((score(1) - 3.45).abs() < 1e-12);
    // 2 x 0/10 + 2 x 1 + 3 x 8/8.
    assert!((score(2) - 5.0).abs() < 1e-12);
    let choose =
        |eligible: &dyn Fn(u32) -> bool| scorer.choose(&signals, &asked, eligible, &mut rng());
    assert_eq!(choose(&|_| true), Some(2));
    // Without member 2 the queue's range is 0 to 4: 1.0 x 2 + 1 = 3 against 0 + 1.5 + 0.75.
    assert_eq!(choose(&|member| member != 2), Some(0));
    assert_eq!(choose(&|_| false), None);
    // Equal queues all score 1.
    let even = Range { least: 4, most: 4 };
    let score = scorer.score(&member(4, 1.0), 0, &asked, even);
    assert!((score - 2.0).abs() < 1e-12);
}

#[test]
fn equals_are_chosen_alike() {
    let signals = [member(1, 0.5); 4];
    let mut index = index(&[0; 4]);
    let asked = asked(&mut index, 8);
    let scorer = Scorer::new(&LLM_D);
    let mut rng = rng();
    let mut counts = [0_u32; 4];
    let draws = 30_000;
    for _ in 0..draws {
        let chosen = scorer.choose(&signals, &asked, |at| at != 1, &mut rng);
        counts[chosen.unwrap() as usize] += 1;
    }
    assert_eq!(counts[1], 0);
    // Binomial(30,000, 1/3), within 4.5 errors.
    let error = (f64::from(draws) * 2.0 / 9.0).sqrt();
    for at in [0, 2, 3] {
        let z = (f64::from(counts[at]) - 10_000.0) / error;
        assert!(z.abs() < 4.5, "{counts:?}");
    }
}

#[test]
fn cache_aware_goes_by_load_then_match_then_record() {
    let scorer = Scorer::new(&Scorers::CacheAware {
        cache_threshold: 0.3,
        balance_abs_threshold: 64,
        balance_rel_threshold: 1.5,
    });
    let loads = |loads: [u32; 3]| loads.map(|waiting| member(waiting, 0.0));
    let choose = |signals: [Signals; 3], held: [u32; 3]| {
        let mut index = index(&held);
        let asked = asked(&mut index, 10);
        scorer.choose(&signals, &asked, |_| true, &mut rng())
    };
    // 100 - 35 > 64 and 100 > 1.5 x 35: by load.
    assert_eq!(choose(loads([100, 35, 80]), [10, 0, 0]), Some(1));
    // 100 - 36 is not more than 64: by match.
    assert_eq!(choose(loads([100, 36, 80]), [10, 0, 0]), Some(0));
    // 300 - 200 > 64, but 300 is not more than 1.5 x 200.
    assert_eq!(choose(loads([300, 200, 250]), [10, 0, 0]), Some(0));
    // 4 of 10 blocks are more than 0.3, 3 are not: the smallest record then.
    assert_eq!(choose(loads([5, 5, 5]), [4, 3, 2]), Some(0));
    assert_eq!(choose(loads([5, 5, 5]), [3, 2, 1]), Some(2));
}

#[test]
fn costs_are_those_by_hand() {
    let signals = Signals {
        prefill_tokens: 320,
        decode_tokens: 1_600,
        ..Signals::default()
    };
    let mut index = index(&[0, 5]);
    let asked = asked(&mut index, 10);
    let dynamo = Scorer::new(&Scorers::KvCost {
        overlap_weight: 2.0,
        temperature: 0.0,
    });
    // (320 + 160 - 0) / 16 = 30 blocks; 100 decoding.
    assert_eq!(dynamo.cost(&signals, 0, &asked), 2.0 * 30.0 + 100.0);
    assert_eq!(dynamo.cost(&signals, 1, &asked), 2.0 * 25.0 + 100.0);
    let chosen = dynamo.choose(&[signals; 2], &asked, |_| true, &mut rng());
    assert_eq!(chosen, Some(1));
    let tokens = Scorer::new(&Scorers::TokenCost { decode_weight: 0.5 });
    assert_eq!(tokens.cost(&signals, 0, &asked), 320.0 + 800.0);
}

#[test]
fn a_temperature_draws_by_the_softmax_of_scaled_costs() {
    // Costs 0, 1 and 2 blocks scale to 0, 1/2 and 1; at temperature 1/2 the weights are
    // 1, exp(-1) and exp(-2).
    let signals = [0, 16, 32].map(|decode_tokens| Signals {
        decode_tokens,
        ..Signals::default()
    });
    let mut index = index(&[0; 3]);
    let asked = asked(&mut index, 4);
    let scorer = Scorer::new(&Scorers::KvCost {
        overlap_weight: 1.0,
        temperature: 0.5,
    });
    let mut rng = rng();
    let mut counts = [0_u32; 3];
    let draws = 20_000;
    for _ in 0..draws {
        let chosen = scorer.choose(&signals, &asked, |_| true, &mut rng);
        counts[chosen.unwrap() as usize] += 1;
    }
    let weights = [1.0, (-1_f64).exp(), (-2_f64).exp()];
    let total: f64 = weights.iter().sum();
    for (count, weight) in counts.iter().zip(weights) {
        let share = weight / total;
        let error = (f64::from(draws) * share * (1.0 - share)).sqrt();
        let z = (f64::from(*count) - f64::from(draws) * share) / error;
        assert!(z.abs() < 4.5, "{counts:?}");
    }
}
