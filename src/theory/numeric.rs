//! The numerical tools that the formulas share: inverting a tail, birth-death chains, complex numbers.

use std::ops::{Add, Mul, Sub};

/// The smallest t with `tail(t) <= 1 - level`, for a tail that does not rise; `scale` (above 0) is a
/// time of the right order, such as the mean.
pub(crate) fn quantile_of_tail(level: f64, scale: f64, tail: impl Fn(f64) -> f64) -> f64 {
    let target = 1.0 - level;
    if tail(0.0) <= target {
        return 0.0;
    }
    let mut high = scale;
    while tail(high) > target && high < f64::MAX / 4.0 {
        high *= 2.0;
    }
    let mut low = 0.0;
    // Halving to the last bit: a double has 53, and the bracket starts at most 1100 doublings wide.
    for _ in 0..1200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if tail(middle) > target {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The stationary law of a birth-death chain: the first state whose probability is kept and the
/// probabilities from there on.
pub(crate) struct BirthDeath {
    pub(crate) first: u64,
    pub(crate) probabilities: Vec<f64>,
}

/// Solves a chain whose ratio `birth(n) / death(n + 1)` does not rise with n, on the states 0 to `last`.
///
/// Weights are built outwards from the likeliest state, so that nothing overflows; states below 1e-300
/// of the likeliest are left out.
pub(crate) fn birth_death(
    last: u64,
    birth: impl Fn(u64) -> f64,
    death: impl Fn(u64) -> f64,
) -> BirthDeath {
    const FLOOR: f64 = 1e-300;
    let rises = |n: u64| birth(n) > death(n + 1);
    // The first n from which the weights stop rising.
    let (mut low, mut high) = (0, last);
    while low < high {
        let middle = low + (high - low) / 2;
        if rises(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let mode = low;
    let mut below = Vec::new();
    let mut weight = 1.0;
    let mut n = mode;
    while n > 0 {
        weight *= death(n) / birth(n - 1);
        if weight < FLOOR {
            break;
        }
        below.push(weight);
        n -= 1;
    }
    let first = n;
    let mut probabilities: Vec<f64> = below.into_iter().rev().collect();
    probabilities.push(1.0);
    let mut weight = 1.0;
    let mut n = mode;
    while n < last {
        weight *= birth(n) / death(n + 1);
        if weight < FLOOR {
            break;
        }
        probabilities.push(weight);
        n += 1;
    }
    let total: f64 = probabilities.iter().sum();
    for p in &mut probabilities {
        *p /= total;
    }
    BirthDeath {
        first,
        probabilities,
    }
}

impl BirthDeath {
    /// The sum of `value(n)` over the states, weighted by their probabilities.
    pub(crate) fn mean(&self, value: impl Fn(u64) -> f64) -> f64 {
        self.probabilities
            .iter()
            .zip(self.first..)
            .map(|(p, n)| p * value(n))
            .sum()
    }
}

/// A complex number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Complex {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

impl Complex {
    pub(crate) const ONE: Self = Self { re: 1.0, im: 0.0 };

    pub(crate) fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }

    pub(crate) fn exp(self) -> Self {
        let size = self.re.exp();
        Self::new(size * self.im.cos(), size * self.im.sin())
    }

    pub(crate) fn norm(self) -> f64 {
        self.re.hypot(self.im)
    }

    pub(crate) fn ln(self) -> Self {
        Self::new(self.norm().ln(), self.im.atan2(self.re))
    }

    pub(crate) fn scale(self, factor: f64) -> Self {
        Self::new(self.re * factor, self.im * factor)
    }

    pub(crate) fn inverse(self) -> Self {
        let square = self.re * self.re + self.im * self.im;
        Self::new(self.re / square, -self.im / square)
    }
}

impl Add for Complex {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::new(self.re + other.re, self.im + other.im)
    }
}

impl Sub for Complex {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::new(self.re - other.re, self.im - other.im)
    }
}

impl Mul for Complex {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self::new(
            self.re * other.re - self.im * other.im,
            self.re * other.im + self.im * other.re,
        )
    }
}

/// The discrete Fourier transform with kernel e^(-2 pi i j k / n), in place; the length is a power of 2.
pub(crate) fn fft(values: &mut [Complex]) {
    let n = values.len();
    if n < 2 {
        return;
    }
    let bits = n.trailing_zeros();
    for i in 0..n {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
    let mut half = 1;
    while half < n {
        let step = -std::f64::consts::PI / half as f64;
        for k in 0..half {
            let (sin, cos) = (step * k as f64).sin_cos();
            let twiddle = Complex::new(cos, sin);
            let mut i = k;
            while i < n {
                let odd = values[i + half] * twiddle;
                let even = values[i];
                values[i] = even + odd;
                values[i + half] = even - odd;
                i += 2 * half;
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transform_of_a_geometric_law() {
        // r_n = (1 - x) x^n has the generating function (1 - x) / (1 - x z).
        let (x, n) = (0.5_f64, 128_usize);
        let mut values: Vec<Complex> = (0..n)
            .map(|k| {
                let z = Complex::new(0.0, std::f64::consts::TAU * k as f64 / n as f64).exp();
                (Complex::ONE - z.scale(x)).inverse().scale(1.0 - x)
            })
            .collect();
        fft(&mut values);
        for (k, value) in values.iter().take(10).enumerate() {
            let exact = (1.0 - x) * x.powi(i32::try_from(k).unwrap());
            assert!((value.re / n as f64 - exact).abs() < 1e-15);
        }
    }

    #[test]
    fn chain_of_one_state() {
        let chain = birth_death(0, |_| 1.0, |_| 1.0);
        assert_eq!(chain.first, 0);
        assert_eq!(chain.probabilities, vec![1.0]);
    }
}
