//! How far luck alone may take an observed night from the mean of simulated ones.
//!
//! If the model is right the observed night is one more of these, so that what they are from one another
//! says how far it may be: a prediction interval (G. J. Hahn and W. Q. Meeker, *Statistical Intervals*,
//! 1991). Its width for a chance that is stated does not hang on how many nights there are but for what
//! fewer of them know less.

use statrs::distribution::{ContinuousCDF, FisherSnedecor, StudentsT};

/// How often luck may take one figure of a model that is right beyond its limit. A replay has some fifty
/// figures, and most of them are allowed more, by what would matter.
const CHANCE: f64 = 0.001;
/// A night is put into so many parts.
const PARTS: usize = 5;
/// Nights differ more than their parts would make them where chance would make them differ as much no more
/// often than so: rather too readily, as few nights hardly show it.
const TOGETHER: f64 = 0.25;
/// The expected largest of so many values of a normal law, in standard deviations from their mean: how far
/// the worst of eight nights is off, however many there are.
const WORST_OF_EIGHT: f64 = 1.424;

/// How far one more value may be from the mean of these, by luck. Endless where there are fewer than two.
pub(super) fn of_values(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    predicted(squares, values.len(), 1.0)
}

/// How far the mean over a stretch may be off, by luck. `nights[night][minute]` is how far a night is from
/// the mean of all. Parts of a night tell more than the night as a whole, where they have luck of their own.
pub(super) fn of_mean(nights: &[Vec<f64>]) -> f64 {
    let minutes = nights.first().map_or(0, Vec::len);
    if nights.len() < 2 || minutes == 0 {
        return f64::INFINITY;
    }
    let sum = |night: &Vec<f64>, from: usize, to: usize| -> f64 { night[from..to].iter().sum() };
    let square = |of: f64| (of / minutes as f64).powi(2);
    let wholes = nights.iter().map(|it| square(sum(it, 0, minutes)));
    let wholes: f64 = wholes.sum();
    let parts = PARTS.min(minutes);
    let bound = |part: usize| minutes * part / parts;
    let each: Vec<f64> = (0..parts)
        .map(|part| {
            let one = |it| square(sum(it, bound(part), bound(part + 1)));
            nights.iter().map(one).sum::<f64>()
        })
        .collect();
    let of_parts: f64 = each.iter().sum();
    // Where one part has most of the noise the others tell little of it (F. E. Satterthwaite, Biometrics
    // Bulletin 2, 1946).
    let squares: f64 = each.iter().map(|it| it * it).sum();
    let times = if squares > 0.0 {
        of_parts * of_parts / squares
    } else {
        1.0
    };
    let free = (nights.len() - 1) as f64;
    let most = FisherSnedecor::new(free, free * times);
    let most = most.map_or(1.0, |law| law.inverse_cdf(1.0 - TOGETHER));
    match wholes > most * of_parts {
        true => predicted(wholes, nights.len(), 1.0),
        false => predicted(wholes.max(of_parts), nights.len(), times),
    }
}

/// The half-width of a prediction interval: of the sum over nights of squares of what each is off, known
/// `times` over.
fn predicted(squares: f64, nights: usize, times: f64) -> f64 {
    if nights < 2 {
        return f64::INFINITY;
    }
    let free = (nights - 1) as f64;
    let law = StudentsT::new(0.0, 1.0, free * times);
    let t = law.map_or(f64::INFINITY, |law| law.inverse_cdf(1.0 - CHANCE / 2.0));
    // Of what does not differ at all nothing is luck.
    if squares <= 0.0 {
        return 0.0;
    }
    t * (squares / free * (1.0 + 1.0 / nights as f64)).sqrt()
}

/// How far off the worst of eight nights would be expected to be, of how far each night is from the mean of
/// the others.
pub(super) fn worst(apart: &[f64]) -> f64 {
    let nights = apart.len() as f64;
    if apart.is_empty() {
        return 0.0;
    }
    let mean = apart.iter().sum::<f64>() / nights;
    let squares: f64 = apart.iter().map(|it| (it - mean).powi(2)).sum();
    let spread = (squares / (nights - 1.0).max(1.0)).sqrt();
    // From the others is farther than one more is from all of them.
    let from_all = (nights * nights - 1.0).sqrt() / nights;
    (mean + WORST_OF_EIGHT * spread) * from_all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like those of a normal law, the same each time.
    struct Normal(u64);

    impl Normal {
        fn next(&mut self) -> f64 {
            let uniform = |state: &mut u64| {
                *state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (*state >> 11) as f64 / (1_u64 << 53) as f64
            };
            (0..12).map(|_| uniform(&mut self.0)).sum::<f64>() - 6.0
        }
    }

    fn off_all(nights: &mut [Vec<f64>]) {
        for minute in 0..nights[0].len() {
            let mean = nights.iter().map(|it| it[minute]).sum::<f64>() / nights.len() as f64;
            nights.iter_mut().for_each(|it| it[minute] -= mean);
        }
    }

    #[test]
    fn luck_takes_one_more_night_as_rarely_beyond_whatever_their_number() {
        let mut normal = Normal(7);
        // Minutes on their own, nights that are off as a whole (as fitted values are), and nights whose noise
        // is in a fifth of them.
        for (shared, rest) in [(0.0, 1.0), (1.0, 1.0), (0.0, 0.01)] {
            for many in [4_usize, 8, 20] {
                let (mut beyond, rounds) = (0, 400);
                let mut widest = 0.0;
                for _ in 0..rounds {
                    let mut night = || -> Vec<f64> {
                        let all = shared * normal.next();
                        let noise = |it: usize| if it < 4 { 1.0 } else { rest };
                        (0..20).map(|it| all + noise(it) * normal.next()).collect()
                    };
                    let observed = night();
                    let mut nights: Vec<Vec<f64>> = (0..many).map(|_| night()).collect();
                    let mean = |night: &[f64]| night.iter().sum::<f64>() / night.len() as f64;
                    let of_all = nights.iter().map(|it| mean(it)).sum::<f64>() / many as f64;
                    let off = (mean(&observed) - of_all).abs();
                    off_all(&mut nights);
                    let limit = of_mean(&nights);
                    beyond += usize::from(off > limit);
                    widest += limit / f64::from(rounds);
                }
                // One in 1,000 is stated: of 400 more than 4 is as good as never.
                assert!(beyond <= 4, "{many} nights, {shared}, {rest}: {beyond}");
                // Minutes on their own: some five standard deviations.
                let one = 1.0 / 20_f64.sqrt();
                assert!(
                    shared > 0.0 || rest < 1.0 || many < 8 || widest < 6.0 * one,
                    "{many}: {widest}"
                );
            }
        }
    }

    #[test]
    fn the_worst_night_is_as_far_whatever_their_number() {
        let mut normal = Normal(3);
        let mut means = Vec::new();
        for many in [4_usize, 8, 20, 50] {
            let mut sum = 0.0;
            for _ in 0..60 {
                let nights: Vec<Vec<f64>> = (0..many)
                    .map(|_| (0..20).map(|_| normal.next()).collect())
                    .collect();
                let apart: Vec<f64> = (0..many)
                    .map(|night| {
                        let of = |minute: usize| {
                            let others = (0..many).filter(|it| *it != night);
                            let sum: f64 = others.map(|it| nights[it][minute]).sum();
                            nights[night][minute] - sum / (many - 1) as f64
                        };
                        ((0..20).map(|it| of(it).powi(2)).sum::<f64>() / 20.0).sqrt()
                    })
                    .collect();
                sum += worst(&apart) / 60.0;
            }
            means.push(sum);
        }
        let (least, most) = (
            means.iter().copied().fold(f64::INFINITY, f64::min),
            means.iter().copied().fold(0.0, f64::max),
        );
        assert!(most < 1.15 * least, "{means:?}");
    }

    #[test]
    fn what_does_not_differ_is_no_luck_and_one_night_tells_none() {
        assert_eq!(of_values(&[2.0, 2.0, 2.0]), 0.0);
        assert_eq!(of_mean(&[vec![0.0; 9], vec![0.0; 9]]), 0.0);
        assert!(of_values(&[2.0]).is_infinite() && of_mean(&[vec![0.0]]).is_infinite());
        assert_eq!(worst(&[]), 0.0);
    }
}
