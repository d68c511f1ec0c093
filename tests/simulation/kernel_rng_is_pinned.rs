//! The random numbers themselves: another version of a library, or another platform, that draws
//! other numbers fails here and not in somebody's results.

#![allow(clippy::unwrap_used)] // helpers of tests

use rand::Rng;
use rand_distr::{Distribution, Exp1, Gamma};
use seatrial::engine::Streams;

const FIRST: Streams = Streams {
    seed: 1,
    replication: 0,
};

fn words(streams: Streams, component: &str, id: u64, purpose: &str) -> [u64; 4] {
    let mut rng = streams.stream(component, id, purpose);
    std::array::from_fn(|_| rng.next_u64())
}

#[test]
fn the_first_words_of_a_stream_are_these() {
    assert_eq!(
        words(FIRST, "workload", 0, "arrivals"),
        [
            0x4cf7_ceb3_e297_06d7,
            0xe159_eaa3_d944_f08d,
            0x2dad_b509_42ba_d999,
            0x6f1b_073d_a953_3e15,
        ]
    );
    assert_eq!(
        words(FIRST, "pool", 3, "service"),
        [
            0xf034_e8e4_452a_ffce,
            0x6612_1d62_f51d_1bb1,
            0x13a4_a0a7_c5c4_3608,
            0x9e54_c9d1_4bac_1eb8,
        ]
    );
    let other = Streams {
        seed: 42,
        replication: 7,
    };
    assert_eq!(
        words(other, "router", 0, "choices"),
        [
            0x80fe_d7d5_91fa_c9ba,
            0x7ed9_fd97_ecb9_9bc0,
            0x91ec_0441_14a7_f0e9,
            0x46a1_8ab3_ba65_20cb,
        ]
    );
}

fn draws(law: impl Distribution<f64>) -> [u64; 3] {
    let mut rng = FIRST.stream("workload", 0, "arrivals");
    std::array::from_fn(|_| law.sample(&mut rng).to_bits())
}

#[test]
fn the_first_draws_of_a_law_are_these() {
    // 0.2103, 1.3314, 0.2452
    assert_eq!(
        draws(Exp1),
        [
            0x3fca_ea0d_4480_d66d,
            0x3ff5_4d66_eb55_9940,
            0x3fcf_612a_d3ad_a45a,
        ]
    );
    // 0.0793, 0.0692, 0.6879
    assert_eq!(
        draws(Gamma::new(0.25, 4.0).unwrap()),
        [
            0x3fb4_4e59_8602_4004,
            0x3fb1_b46b_ff40_360a,
            0x3fe6_039a_bbc8_231f,
        ]
    );
    // 0.7538, 0.5568, 0.6795
    assert_eq!(
        draws(Gamma::new(4.0, 0.25).unwrap()),
        [
            0x3fe8_1e87_a031_6e2a,
            0x3fe1_d123_21a5_08c8,
            0x3fe5_beda_dfb2_f95e,
        ]
    );
}

#[test]
fn a_stream_depends_on_its_seed_its_replication_and_its_names_only() {
    let base = words(FIRST, "pool", 0, "service");
    assert_eq!(base, words(FIRST, "pool", 0, "service"));
    let others = [
        words(Streams { seed: 2, ..FIRST }, "pool", 0, "service"),
        words(
            Streams {
                replication: 1,
                ..FIRST
            },
            "pool",
            0,
            "service",
        ),
        words(FIRST, "pools", 0, "service"),
        words(FIRST, "pool", 1, "service"),
        words(FIRST, "pool", 0, "services"),
        words(FIRST, "poo", 0, "lservice"),
        words(FIRST, "service", 0, "pool"),
        // Seed and replication are not added up.
        words(
            Streams {
                seed: 0,
                replication: 1,
            },
            "pool",
            0,
            "service",
        ),
    ];
    for (index, other) in others.iter().enumerate() {
        assert_ne!(&base, other, "variant {index}");
        assert!(!others[..index].contains(other), "variant {index} again");
    }
}
