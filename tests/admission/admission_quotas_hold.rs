//! Quotas let in what a window allows, and say when there is room again.

use std::collections::VecDeque;

use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::admission::{Quotas, RetryAfter};
use seatrial::scenario::admission::{Quota, QuotaUnit, QuotaWindow};

const S: u64 = 1_000_000_000;

fn quota(of: QuotaUnit, amount: u64, window_s: f64, window: QuotaWindow) -> Quota {
    Quota {
        of,
        amount,
        window_s,
        window,
    }
}

fn at(seconds: u64) -> SimTime {
    SimTime(seconds * S)
}

fn retry(seconds: u64) -> Result<(), RetryAfter> {
    Err(RetryAfter::At(at(seconds)))
}

#[test]
fn no_quota_is_no_limit() {
    let mut quotas = Quotas::new(&[]);
    assert!((0..1_000).all(|_| quotas.take(at(0), u64::MAX).is_ok()));
}

#[test]
fn fixed_windows_start_anew() {
    let fixed = QuotaWindow::Fixed {};
    let mut quotas = Quotas::new(&[quota(QuotaUnit::Requests, 3, 60.0, fixed)]);
    assert!((0..3).all(|_| quotas.take(at(59), 0).is_ok()));
    assert_eq!(quotas.take(at(59), 0), retry(60));
    // Twice the amount around the turn.
    assert!((0..3).all(|_| quotas.take(at(60), 0).is_ok()));
    assert_eq!(quotas.take(at(60), 0), retry(120));
    assert_eq!(quotas.take(SimTime(120 * S - 1), 0), retry(120));
    assert_eq!(quotas.take(at(120), 0), Ok(()));
}

#[test]
fn a_refill_is_a_bucket() {
    let refill = QuotaWindow::Refill {};
    let mut quotas = Quotas::new(&[quota(QuotaUnit::Tokens, 600, 60.0, refill)]);
    assert_eq!(quotas.take(at(0), 600), Ok(()));
    assert_eq!(quotas.take(at(0), 100), retry(10));
    assert_eq!(quotas.take(at(10), 100), Ok(()));
    assert_eq!(quotas.take(at(10), 600), retry(70));
    assert_eq!(quotas.take(at(10), 601), Err(RetryAfter::Never));
}

#[test]
fn a_sliding_window_forgets_cell_by_cell() {
    let sliding = QuotaWindow::Sliding { cells: 6 };
    let mut quotas = Quotas::new(&[quota(QuotaUnit::Tokens, 100, 60.0, sliding)]);
    assert_eq!(quotas.take(at(5), 40), Ok(()));
    assert_eq!(quotas.take(at(25), 50), Ok(()));
    assert_eq!(quotas.take(at(30), 10), Ok(()));
    // What came in 0 to 10 s counts until 70 s, in 20 to 30 s until 90 s, in 30 to 40 s until 100.
    assert_eq!(quotas.take(at(35), 40), retry(70));
    assert_eq!(quotas.take(at(35), 41), retry(90));
    assert_eq!(quotas.take(at(35), 91), retry(100));
    assert_eq!(quotas.take(at(35), 101), Err(RetryAfter::Never));
    assert_eq!(quotas.take(at(70), 40), Ok(()));
    assert_eq!(quotas.take(at(89), 1), retry(90));
    assert_eq!(quotas.take(at(1_000_000), 100), Ok(()));
}

#[test]
fn the_latest_of_several_counts_and_a_refusal_counts_nothing() {
    let mut quotas = Quotas::new(&[
        quota(QuotaUnit::Requests, 2, 60.0, QuotaWindow::Fixed {}),
        quota(QuotaUnit::Tokens, 1_000, 3_600.0, QuotaWindow::Fixed {}),
    ]);
    assert_eq!(quotas.take(at(0), 600), Ok(()));
    for _ in 0..10 {
        assert_eq!(quotas.take(at(0), 600), retry(3_600));
    }
    assert_eq!(quotas.take(at(0), 300), Ok(()));
    assert_eq!(quotas.take(at(0), 100), retry(60));
    assert_eq!(quotas.take(at(0), 101), retry(3_600));
}

#[test]
fn what_was_not_used_is_given_back_to_its_window() {
    for window in [
        QuotaWindow::Fixed {},
        QuotaWindow::Sliding { cells: 6 },
        QuotaWindow::Refill {},
    ] {
        let mut quotas = Quotas::new(&[
            quota(QuotaUnit::Tokens, 100, 60.0, window),
            quota(QuotaUnit::Requests, 1, 60.0, window),
        ]);
        assert_eq!(quotas.take(at(0), 100), Ok(()));
        quotas.give_back(at(0), at(0), 100);
        assert_eq!(quotas.take(at(0), 100), Ok(()), "{window:?}");
        assert!(quotas.take(at(0), 0).is_err());
    }
    let fixed = QuotaWindow::Fixed {};
    let mut quotas = Quotas::new(&[quota(QuotaUnit::Tokens, 100, 60.0, fixed)]);
    assert_eq!(quotas.take(at(0), 100), Ok(()));
    quotas.correct_tokens(at(0), at(1), 100, 30);
    assert_eq!(quotas.take(at(2), 70), Ok(()));
    // Too late for its window, and nothing of the next one's.
    assert_eq!(quotas.take(at(60), 60), Ok(()));
    quotas.correct_tokens(at(2), at(61), 70, 0);
    assert_eq!(quotas.take(at(61), 41), retry(120));
    // More than estimated counts when it is known.
    quotas.correct_tokens(at(60), at(62), 60, 95);
    assert_eq!(quotas.take(at(63), 6), retry(120));
    assert_eq!(quotas.take(at(63), 5), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No stretch as long as the window holds more than the amount, and nobody is held back for
    /// what came more than a window and a cell before.
    #[test]
    fn a_sliding_window_holds_the_amount(
        cells in 1u32..13,
        amount in 1u64..40,
        asks in prop::collection::vec((0u64..20 * S, 1u64..15), 1..200),
    ) {
        let window = 60 * S;
        let cell = window.div_ceil(cells.into());
        let sliding = QuotaWindow::Sliding { cells };
        let mut quotas = Quotas::new(&[quota(QuotaUnit::Tokens, amount, 60.0, sliding)]);
        let mut let_in: VecDeque<(u64, u64)> = VecDeque::new();
        let mut now = 0;
        for (gap, tokens) in asks {
            now += gap / 4;
            let within = |length: u64| -> u64 {
                let recent = let_in.iter().filter(|(at, _)| now - at < length);
                recent.map(|(_, tokens)| tokens).sum()
            };
            match quotas.take(SimTime(now), tokens) {
                Ok(()) => {
                    let_in.push_back((now, tokens));
                    let recent = let_in.iter().filter(|(at, _)| now - at < window);
                    prop_assert!(recent.map(|(_, tokens)| tokens).sum::<u64>() <= amount);
                }
                Err(RetryAfter::Never) => prop_assert!(tokens > amount),
                Err(RetryAfter::At(SimTime(at))) => {
                    prop_assert!(within(window + cell) + tokens > amount);
                    prop_assert!(at > now && at <= now + window + cell);
                    // Exactly then, and not a nanosecond earlier.
                    let early = quotas.clone().take(SimTime(at - 1), tokens);
                    prop_assert_eq!(early, Err(RetryAfter::At(SimTime(at))));
                    prop_assert_eq!(quotas.clone().take(SimTime(at), tokens), Ok(()));
                }
            }
        }
    }

    #[test]
    fn a_fixed_window_counts_as_a_counter_does(
        amount in 1u64..40,
        asks in prop::collection::vec((0u64..20 * S, 1u64..15), 1..200),
    ) {
        let fixed = QuotaWindow::Fixed {};
        let mut quotas = Quotas::new(&[quota(QuotaUnit::Tokens, amount, 60.0, fixed)]);
        let (mut now, mut window, mut used) = (0, 0, 0);
        for (gap, tokens) in asks {
            now += gap;
            if now / (60 * S) > window {
                (window, used) = (now / (60 * S), 0);
            }
            let expected = if tokens > amount {
                Err(RetryAfter::Never)
            } else if used + tokens > amount {
                retry((window + 1) * 60)
            } else {
                used += tokens;
                Ok(())
            };
            prop_assert_eq!(quotas.take(SimTime(now), tokens), expected);
        }
    }
}
