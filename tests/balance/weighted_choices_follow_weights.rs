//! Random choices have the frequencies of their weights, turns their exact counts, and least
//! request is Envoy's.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial::engine::{SimRng, Streams};
use seatrial::fleet::balance::{Alias, Edf, LeastRequestChoice};
use seatrial::scenario::balance::LeastRequest;

/// Two-sided chance of a false alarm about 1e-5 for each of some tens of checks.
const Z_LIMIT: f64 = 4.5;
const DRAWS: u64 = 100_000;

fn rng(purpose: &str) -> SimRng {
    let streams = Streams {
        seed: 11,
        replication: 0,
    };
    streams.stream("weights", 0, purpose)
}

/// Every count is that of a binomial with its share.
fn follows(counts: &[u64], shares: &[f64]) {
    let draws: u64 = counts.iter().sum();
    for (count, share) in counts.iter().zip(shares) {
        if *share == 0.0 {
            assert_eq!(*count, 0);
            continue;
        }
        let expected = draws as f64 * share;
        let error = (expected * (1.0 - share)).sqrt();
        let z = (*count as f64 - expected) / error.max(1e-9);
        assert!(z.abs() < Z_LIMIT, "{counts:?} {shares:?}");
    }
}

#[test]
fn alias_frequencies_are_the_weights() {
    let weights = [0.5, 0.0, 3.0, 1.0, 7.5, 0.25];
    let alias = Alias::new(&weights);
    let mut rng = rng("alias");
    let up = [true, true, true, true, false, true];
    for all in [true, false] {
        let eligible = |member: u32| all || up[member as usize];
        let mut counts = [0; 6];
        for _ in 0..DRAWS {
            counts[alias.choose(&mut rng, eligible).unwrap() as usize] += 1;
        }
        let kept: Vec<f64> = (0..6)
            .map(|at| {
                if eligible(at as u32) {
                    weights[at]
                } else {
                    0.0
                }
            })
            .collect();
        let total: f64 = kept.iter().sum();
        let shares: Vec<f64> = kept.iter().map(|weight| weight / total).collect();
        follows(&counts, &shares);
    }
}

#[test]
fn alias_frequencies_hold_where_hardly_anybody_is_eligible() {
    // Two of 1,000 members: most draws give up and count.
    let weights: Vec<f64> = (0..1_000)
        .map(|at| if at == 9 { 3.0 } else { 1.0 })
        .collect();
    let alias = Alias::new(&weights);
    let mut rng = rng("rare");
    let mut counts = [0; 2];
    for _ in 0..20_000 {
        let member = alias.choose(&mut rng, |member| member == 9 || member == 700);
        counts[usize::from(member.unwrap() == 700)] += 1;
    }
    follows(&counts, &[0.75, 0.25]);
    assert_eq!(alias.choose(&mut rng, |_| false), None);
    assert_eq!(Alias::new(&[]).choose(&mut rng, |_| true), None);
    assert_eq!(Alias::new(&[0.0, 0.0]).choose(&mut rng, |_| true), None);
}

proptest! {
    #[test]
    fn turns_give_exact_counts_over_every_cycle(
        weights in prop::collection::vec(1_u32..12, 1..9),
        cycles in 1_usize..20,
    ) {
        let weight = |member: u32| f64::from(weights[member as usize]);
        let mut edf = Edf::new(weights.len() as u32, weight);
        let cycle: u32 = weights.iter().sum();
        for _ in 0..cycles {
            let mut counts = vec![0; weights.len()];
            for _ in 0..cycle {
                counts[edf.choose(|_| true, weight).unwrap() as usize] += 1;
            }
            prop_assert_eq!(&counts, &weights);
        }
    }

    #[test]
    fn turns_are_never_far_from_their_share(
        weights in prop::collection::vec(1_u32..12, 1..9),
        choices in 1_u32..300,
    ) {
        let weight = |member: u32| f64::from(weights[member as usize]);
        let mut edf = Edf::new(weights.len() as u32, weight);
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0_u32; weights.len()];
        for choice in 1..=choices {
            counts[edf.choose(|_| true, weight).unwrap() as usize] += 1;
            // In a time t each member was due floor(t w) times; together that is `choice`, so that
            // t is between choice / total and (choice + members) / total.
            for (count, weight) in counts.iter().zip(&weights) {
                let share = f64::from(*weight) / f64::from(total);
                let low = f64::from(choice) * share - 1.0;
                let high = (f64::from(choice) + weights.len() as f64) * share;
                let count = f64::from(*count);
                prop_assert!(count > low - 1e-6 && count <= high + 1e-6);
            }
        }
    }

    #[test]
    fn turns_are_those_of_a_scan(
        members in 1_u32..20,
        steps in prop::collection::vec((any::<u32>(), prop::collection::vec(1_u32..9, 20)), 1..60),
    ) {
        // The plainest schedule: (deadline, order) of every member, the least of those eligible.
        let mut edf = Edf::new(members, |_| 1.0);
        let mut due: Vec<(f64, u64)> = (0..members).map(|at| (1.0, u64::from(at))).collect();
        let (mut now, mut order) = (0.0_f64, u64::from(members));
        for (up, weights) in steps {
            let eligible = |member: u32| up & (1 << member) != 0;
            let weight = |member: u32| f64::from(weights[member as usize]);
            let mut by_due: Vec<u32> = (0..members).collect();
            by_due.sort_by(|a, b| due[*a as usize].partial_cmp(&due[*b as usize]).unwrap());
            let place = by_due.iter().position(|member| eligible(*member));
            let expected = place.map(|place| by_due[place]);
            prop_assert_eq!(edf.choose(eligible, weight), expected);
            let Some(place) = place else { continue };
            now = now.max(due[by_due[place] as usize].0);
            for member in &by_due[..=place] {
                due[*member as usize] = (now + 1.0 / weight(*member), order);
                order += 1;
            }
        }
    }
}

#[test]
fn a_weight_that_changes_changes_the_share() {
    // A member at a tenth of its weight, then at its whole: 1 in 11, then 1 in 2.
    let mut edf = Edf::new(2, |member| if member == 0 { 1.0 } else { 0.1 });
    let mut take = |weight: f64, choices: usize| {
        let weight = |member: u32| if member == 0 { 1.0 } else { weight };
        let taken = (0..choices).filter(|_| edf.choose(|_| true, weight) == Some(1));
        taken.count()
    };
    assert_eq!(take(0.1, 1_100), 100);
    assert!((take(1.0, 1_000) as f64 - 500.0).abs() <= 10.0);
}

fn least_request(choices: u32, bias: f64, members: u32) -> LeastRequestChoice {
    let config = LeastRequest {
        choices,
        active_request_bias: bias,
    };
    LeastRequestChoice::new(&config, members)
}

#[test]
fn two_choices_take_the_worse_of_two_members_one_time_in_four() {
    let mut rng = rng("two");
    let mut choice = least_request(2, 1.0, 2);
    let mut counts = [0; 2];
    for _ in 0..DRAWS {
        let member = choice.choose(&mut rng, |member| u64::from(member == 1), |_| true);
        counts[member.unwrap() as usize] += 1;
    }
    follows(&counts, &[0.75, 0.25]);
}

#[test]
fn choices_among_the_eligible_have_the_law_of_the_least_of_samples() {
    // Loads 0, 1, 2, 3 at members 1, 2, 4, 5 of 6: the k-th least of 4 is the least of 3 samples
    // with probability ((4 - k + 1)^3 - (4 - k)^3) / 4^3.
    let mut rng = rng("least");
    let mut choice = least_request(3, 1.0, 6);
    let loads = [9, 0, 1, 0, 2, 3];
    let mut counts = [0; 6];
    for _ in 0..DRAWS {
        let load = |member: u32| loads[member as usize];
        let member = choice.choose(&mut rng, load, |member| member % 3 != 0);
        counts[member.unwrap() as usize] += 1;
    }
    let share = |part: u32| f64::from(part) / 64.0;
    follows(
        &counts,
        &[0.0, share(37), share(19), 0.0, share(7), share(1)],
    );
    assert_eq!(choice.choose(&mut rng, |_| 0, |_| false), None);
}

#[test]
fn weights_are_lowered_by_load() {
    // Weight 4 with 3 outstanding counts 4 / 4 = 1, weight 1 with none counts 1: in turns.
    let shares = |bias: f64| {
        let mut choice = least_request(2, bias, 2);
        let load = |member: u32| if member == 0 { 3 } else { 0 };
        let weight = |member: u32| if member == 0 { 4.0 } else { 1.0 };
        let mut counts = [0; 2];
        for _ in 0..1_000 {
            counts[choice.choose_weighted(load, weight, |_| true).unwrap() as usize] += 1;
        }
        counts
    };
    assert_eq!(shares(1.0), [500, 500]);
    // Without a bias the weights alone: 4 to 1.
    assert_eq!(shares(0.0), [800, 200]);
    // Squared: 4 / 16 to 1.
    assert_eq!(shares(2.0), [200, 800]);
}

#[test]
fn weighted_least_request_follows_weights_as_work_comes_and_goes() {
    // Every request stays for 3,000 choices, so that a member's load is in proportion to its rate,
    // and its rate to weight / load: both to the square root of its weight, 1 : 2 : 3. Nothing is
    // random; what is left are the `+ 1` and the turns.
    let weights = [1.0, 4.0, 9.0];
    let mut choice = least_request(2, 1.0, 3);
    let mut load = [0_u64; 3];
    let mut counts = [0_u64; 3];
    let mut present = std::collections::VecDeque::new();
    for turn in 0..60_000 {
        if present.len() == 3_000 {
            let gone: u32 = present.pop_front().unwrap();
            load[gone as usize] -= 1;
        }
        let read = |member: u32| load[member as usize];
        let weight = |member: u32| weights[member as usize];
        let member = choice.choose_weighted(read, weight, |_| true).unwrap();
        load[member as usize] += 1;
        present.push_back(member);
        if turn >= 30_000 {
            counts[member as usize] += 1;
        }
    }
    for (count, share) in counts.iter().zip([1.0, 2.0, 3.0]) {
        let expected = 30_000.0 * share / 6.0;
        assert!(
            (*count as f64 - expected).abs() < 0.02 * expected,
            "{counts:?}"
        );
    }
}
