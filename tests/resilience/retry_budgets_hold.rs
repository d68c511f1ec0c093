//! Retry budgets, step by step against their specifications, and never more than they allow.

use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::retry::Budget;
use seatrial::scenario::clients::RetryBudget;

const S: u64 = 1_000_000_000;
const START: SimTime = SimTime::ZERO;

fn granted(budget: &mut Budget, now: SimTime, load: u64, tries: u32) -> u32 {
    (0..tries)
        .map(|_| u32::from(budget.try_retry(now, load)))
        .sum()
}

#[test]
fn no_policy_has_no_bound() {
    let mut budget = Budget::new(&RetryBudget::None {});
    assert_eq!(granted(&mut budget, START, 0, 1_000), 1_000);
    assert_eq!(budget.outstanding(), 1_000);
}

#[test]
fn max_retries_bounds_those_outstanding() {
    let mut budget = Budget::new(&RetryBudget::default());
    assert_eq!(granted(&mut budget, START, 1_000, 10), 3);
    assert_eq!((budget.granted(), budget.refused()), (3, 7));
    assert!(budget.on_retry_end());
    assert_eq!(granted(&mut budget, START, 1_000, 10), 1);
}

#[test]
fn envoys_budget_is_a_share_with_a_floor() {
    let config = RetryBudget::Envoy {
        budget_pct: 20.0,
        min_retry_concurrency: 3,
    };
    // 20 % of the load, cut to a whole number, but never less than 3.
    for (load, allowed) in [
        (0, 3),
        (15, 3),
        (19, 3),
        (20, 4),
        (24, 4),
        (25, 5),
        (100, 20),
        (1_000, 200),
    ] {
        let mut budget = Budget::new(&config);
        assert_eq!(
            granted(&mut budget, START, load, 1_000),
            allowed,
            "load {load}"
        );
    }
    // A load that falls takes nothing back, but nothing new is allowed.
    let mut budget = Budget::new(&config);
    assert_eq!(granted(&mut budget, START, 50, 1_000), 10);
    assert!(!budget.try_retry(START, 20));
    for _ in 0..7 {
        budget.on_retry_end();
    }
    assert!(budget.try_retry(START, 20));
    assert!(!budget.try_retry(START, 20));
}

/// gRPC proposal A6, "Throttling Retry Attempts and Hedged RPCs", with its example of 10 tokens
/// and a ratio of 0.1.
#[test]
fn grpc_throttles_at_half_its_tokens() {
    let mut budget = Budget::new(&RetryBudget::Grpc {
        max_tokens: 10,
        token_ratio: 0.1,
    });
    for failures in 1..=4 {
        budget.on_failure();
        assert!(budget.try_retry(START, 0), "{failures} failures");
    }
    // 5 tokens: at the threshold, so no more.
    budget.on_failure();
    assert!(!budget.try_retry(START, 0));
    // 5.1 tokens: above.
    budget.on_success();
    assert!(budget.try_retry(START, 0));
    // 4.1; nine successes bring it to 5.0, the tenth to 5.1.
    budget.on_failure();
    for _ in 0..9 {
        budget.on_success();
        assert!(!budget.try_retry(START, 0));
    }
    budget.on_success();
    assert!(budget.try_retry(START, 0));
}

#[test]
fn grpc_counts_between_nothing_and_all() {
    let config = RetryBudget::Grpc {
        max_tokens: 4,
        token_ratio: 0.5,
    };
    let mut budget = Budget::new(&config);
    // Never above 4: the successes before the failures are of no use.
    (0..100).for_each(|_| budget.on_success());
    budget.on_failure();
    assert!(budget.try_retry(START, 0));
    budget.on_failure();
    assert!(!budget.try_retry(START, 0));
    // Never below 0: four successes bring 2, and the fifth 2.5.
    (0..100).for_each(|_| budget.on_failure());
    (0..4).for_each(|_| budget.on_success());
    assert!(!budget.try_retry(START, 0));
    budget.on_success();
    assert!(budget.try_retry(START, 0));
}

#[test]
fn grpc_cuts_a_ratio_after_three_digits() {
    // 2 tokens, one gone: at the threshold; 0.0019 counts as 0.001 and any gain is enough.
    let after = |token_ratio, successes| {
        let mut budget = Budget::new(&RetryBudget::Grpc {
            max_tokens: 2,
            token_ratio,
        });
        (0..2).for_each(|_| budget.on_failure());
        (0..successes).for_each(|_| budget.on_success());
        budget.try_retry(START, 0)
    };
    // From 0 to above 1: 1,001 thousandths.
    assert!(!after(0.0019, 1_000));
    assert!(after(0.0019, 1_001));
    // 0.29 is 290 thousandths, though 0.29 times 1,000 is a little less in binary.
    assert!(!after(0.29, 3));
    assert!(after(0.29, 4));
    assert!(after(0.001, 1_001));
}

#[test]
fn a_ratio_budget_earns_spends_and_forgets() {
    let config = RetryBudget::Ratio {
        ratio: 0.2,
        min_retries_per_s: 0,
        ttl_s: 10,
    };
    let mut budget = Budget::new(&config);
    assert!(!budget.try_retry(START, 0));
    (0..4).for_each(|_| budget.on_request(START));
    assert!(!budget.try_retry(START, 0));
    budget.on_request(START);
    assert!(budget.try_retry(START, 0));
    assert!(!budget.try_retry(START, 0));
    // What is deposited in the first second is there until the tenth is over, and no longer.
    (0..100).for_each(|_| budget.on_request(START));
    let mut later = budget.clone();
    assert_eq!(granted(&mut budget, SimTime(10 * S - 1), 0, 100), 20);
    assert_eq!(granted(&mut later, SimTime(10 * S), 0, 100), 0);
}

#[test]
fn a_reserve_is_there_in_each_span() {
    let config = RetryBudget::Ratio {
        ratio: 0.2,
        min_retries_per_s: 10,
        ttl_s: 10,
    };
    let mut budget = Budget::new(&config);
    assert_eq!(granted(&mut budget, START, 0, 1_000), 100);
    assert_eq!(granted(&mut budget, SimTime(10 * S - 1), 0, 1_000), 0);
    assert_eq!(granted(&mut budget, SimTime(10 * S), 0, 1_000), 100);
    // With a reserve alone, requests earn nothing.
    let mut bare = Budget::new(&RetryBudget::Ratio {
        ratio: 0.0,
        min_retries_per_s: 1,
        ttl_s: 1,
    });
    (0..100).for_each(|_| bare.on_request(START));
    assert_eq!(granted(&mut bare, START, 0, 1_000), 1);
}

proptest! {
    /// Retries outstanding never exceed what the policy allowed when the last was granted, and the
    /// count follows what is taken and given back.
    #[test]
    fn outstanding_retries_stay_within_their_bound(
        budget_pct in 0.0_f64..100.0,
        least in 0_u32..10,
        steps in prop::collection::vec((any::<bool>(), 0_u64..500), 1..400),
    ) {
        let envoy = RetryBudget::Envoy { budget_pct, min_retry_concurrency: least };
        let mut share = Budget::new(&envoy);
        let mut fixed = Budget::new(&RetryBudget::MaxRetries { limit: least });
        let mut held = 0_u64;
        for (ends, load) in steps {
            if ends {
                prop_assert_eq!(share.on_retry_end(), held > 0);
                held = held.saturating_sub(1);
                fixed.on_retry_end();
            } else {
                let taken = share.try_retry(START, load);
                held += u64::from(taken);
                let bound = u64::from(least).max((budget_pct / 100.0 * load as f64) as u64);
                prop_assert!(!taken || held <= bound);
                prop_assert!(taken || held >= bound);
                fixed.try_retry(START, load);
            }
            prop_assert_eq!(share.outstanding(), held);
            prop_assert!(fixed.outstanding() <= u64::from(least));
        }
    }

    /// Within one time to live, retries are at most the reserve and the ratio of requests.
    #[test]
    fn a_ratio_is_never_exceeded(
        ratio in 0.001_f64..5.0,
        reserve in 0_u32..5,
        steps in prop::collection::vec((any::<bool>(), 0_u64..40_000_000), 1..500),
    ) {
        let config = RetryBudget::Ratio { ratio, min_retries_per_s: reserve, ttl_s: 60 };
        let mut budget = Budget::new(&config);
        let mut now = 0;
        let mut requests = 0_u64;
        for (request, gap) in steps {
            now += gap;
            if request {
                budget.on_request(SimTime(now));
                requests += 1;
            } else {
                budget.try_retry(SimTime(now), 0);
            }
            // Finagle cuts the price of a retry, 1,000 / ratio, to a whole number.
            let price = (1_000.0 / ratio).floor();
            let earned = requests as f64 * 1_000.0 / price + f64::from(reserve) * 60.0;
            prop_assert!(budget.granted() as f64 <= earned + 1e-9);
        }
    }

    /// No retry while half the tokens or fewer are left, counted in thousandths.
    #[test]
    fn grpc_follows_its_token_count(
        max_tokens in 1_u32..20,
        ratio_milli in 1_u32..2_000,
        outcomes in prop::collection::vec(any::<bool>(), 1..300),
    ) {
        let token_ratio = f64::from(ratio_milli) / 1_000.0;
        let mut budget = Budget::new(&RetryBudget::Grpc { max_tokens, token_ratio });
        let most = u64::from(max_tokens) * 1_000;
        let mut tokens = most;
        for success in outcomes {
            if success {
                budget.on_success();
                tokens = most.min(tokens + u64::from(ratio_milli));
            } else {
                budget.on_failure();
                tokens = tokens.saturating_sub(1_000);
            }
            prop_assert_eq!(budget.try_retry(START, 0), 2 * tokens > most);
        }
    }
}
