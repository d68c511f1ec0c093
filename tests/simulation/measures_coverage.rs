//! Do intervals hold the true value as often as they say? Fixed seeds throughout.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};
use seatrial::measure::{BatchMeans, Interval, ks_distance, ks_limit};

/// Share of `trials` in which `holds` is true.
fn share(trials: u32, mut holds: impl FnMut() -> bool) -> f64 {
    let held = (0..trials).filter(|_| holds()).count();
    held as f64 / f64::from(trials)
}

#[test]
fn t_intervals_cover_the_mean_of_normal_replications() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let covered = share(4000, || {
        let values: [f64; 5] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
        Interval::from_replications(&values, 0.95)
            .unwrap()
            .contains(0.0)
    });
    // Four standard errors of a share of 0.95 over 4000 trials.
    assert!((covered - 0.95).abs() < 0.0138, "{covered}");
}

#[test]
fn ratio_intervals_cover_the_ratio_of_means() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut normal = move || -> f64 { StandardNormal.sample(&mut rng) };
    let covered = share(4000, || {
        let b: [f64; 20] = std::array::from_fn(|_| 10.0 + normal());
        let a = b.map(|b| 2.0 * b + normal());
        Interval::paired_ratio(&a, &b, 0.9).unwrap().contains(2.0)
    });
    assert!((covered - 0.9).abs() < 0.025, "{covered}");
}

/// A first-order autoregressive series about 100 µs, in ns, with marginal deviation 5 µs.
fn series(rng: &mut ChaCha8Rng, rho: f64, length: usize) -> BatchMeans {
    let mut batches = BatchMeans::new();
    let mut state: f64 = StandardNormal.sample(rng);
    for _ in 0..length {
        let noise: f64 = StandardNormal.sample(rng);
        state = rho * state + (1.0 - rho * rho).sqrt() * noise;
        batches.record((100_000.0 + 5_000.0 * state) as u64);
    }
    batches
}

#[test]
fn batch_means_cover_with_and_without_correlation() {
    for (rho, least) in [(0.0, 0.92), (0.9, 0.90)] {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut mean, mut p90) = (0, 0);
        for _ in 0..500 {
            let batches = series(&mut rng, rho, 5000);
            let interval = batches.mean_interval(0.95).unwrap();
            mean += usize::from(interval.contains(100_000.0));
            let interval = batches.quantile_interval(0.9, 0.95).unwrap();
            p90 += usize::from(interval.contains(100_000.0 + 5_000.0 * 1.281_551_6));
        }
        let (mean, p90) = (mean as f64 / 500.0, p90 as f64 / 500.0);
        assert!((least..=0.99).contains(&mean), "mean at {rho}: {mean}");
        assert!((least..=0.99).contains(&p90), "p90 at {rho}: {p90}");
    }
}

#[test]
fn a_sample_is_near_its_own_distribution_only() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut sample: Vec<f64> = (0..20_000).map(|_| Exp1.sample(&mut rng)).collect();
    let limit = ks_limit(20_000.0, 1e-3);
    assert!(ks_distance(&mut sample, |x: f64| 1.0 - (-x).exp()) < limit);
    assert!(ks_distance(&mut sample, |x: f64| 1.0 - (-1.1 * x).exp()) > limit);
}
