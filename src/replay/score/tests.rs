//! Scores of series whose noise is known.

use super::*;

const MINUTES: Minutes = Minutes {
    bin_s: 60.0,
    count: 32,
};

/// Scores of a series over two stretches of sixteen minutes, the calm one first.
fn scored(kind: Kind, observed: [f64; 32], nights: &[[f64; 32]]) -> Vec<Score> {
    let series = |values: &[f64; 32]| Series {
        name: "it".to_owned(),
        kind,
        values: values.iter().copied().map(Some).collect(),
    };
    let pair = Pair {
        observed: Some(series(&observed)),
        simulated: nights.iter().map(series).collect(),
    };
    let stretch = |name, from_s, is_yardstick| Stretch {
        name,
        windows: vec![Window {
            from_s,
            to_s: from_s + 960.0,
        }],
        is_yardstick,
    };
    let stretches = [
        stretch("calm", 0.0, true),
        stretch("incident", 960.0, false),
    ];
    scores(&[pair], &stretches, MINUTES)
}

#[test]
fn a_trace_of_a_queue_in_calm_minutes_excuses_no_long_one() {
    let mut observed = [0.0; 32];
    observed[3] = 0.25;
    let simulated = [0.0; 32];
    observed[16..].fill(200.0);
    let scores = scored(Kind::Queue, observed, &[simulated, simulated]);
    assert!(scores[0].fits && !scores[1].fits, "{scores:?}");
    // Nor does it ten times as long a one.
    let mut long = [0.0; 32];
    long[16..].fill(2_000.0);
    let scores = scored(Kind::Queue, observed, &[long, long]);
    assert!(scores[0].fits && !scores[1].fits, "{scores:?}");
}

/// Minutes that are off by luck: the same each time.
fn noisy(seed: u32, middle: f64) -> [f64; 32] {
    let mut state = u64::from(seed) + 1;
    std::array::from_fn(|_| {
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let normal = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        middle * (1.0 + 0.3 * normal)
    })
}

#[test]
fn a_bias_shows_in_noise_and_luck_does_not_whatever_the_number_of_nights() {
    for many in [4, 8, 20] {
        let (mut false_alarms, mut found) = (0, 0);
        for seed in 0..100 {
            let night = |night: u32| noisy(1_000 * seed + night, 100.0);
            let nights: Vec<[f64; 32]> = (1..=many).map(night).collect();
            let mut observed = night(0);
            let scores = scored(Kind::Latency, observed, &nights);
            false_alarms += u32::from(scores.iter().any(|score| !score.fits));
            observed[16..].iter_mut().for_each(|value| *value *= 1.6);
            let incident = &scored(Kind::Latency, observed, &nights)[1];
            // Minutes are off by about as much as in the calm ones, or not much more.
            let by_minutes = incident.nrmse.is_some_and(|off| off > incident.limit);
            found += u32::from(!incident.fits && !by_minutes);
        }
        assert!(false_alarms <= 2, "{many}: {false_alarms}");
        assert!(many < 8 || found > 70, "{many}: {found}");
    }
}

#[test]
fn where_nothing_was_observed_luck_is_luck_all_the_same() {
    let observed = [0.0; 32];
    // One look at one of three nights found one that ran.
    let mut one = [0.0; 32];
    one[20] = 1.0;
    let none = [0.0; 32];
    let scores = scored(Kind::Level, observed, &[one, none, none]);
    assert!(scores.iter().all(|score| score.fits), "{scores:?}");
    // What all nights have is more than luck.
    let scores = scored(Kind::Level, observed, &[[1.0; 32]; 3]);
    assert!(scores.iter().all(|score| !score.fits), "{scores:?}");
    assert!(scores[0].nrmse.is_none());
}
