//! Matrix products: `y[m,n] = x[m,k] w[k,n]`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::interpolate::{Curve, between, index_of};
use super::shapes::{around, between_widths};
use super::{KernelDtype, Reach, fill};

/// Measured matrix products of one system and framework.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GemmTable {
    /// The rows m measured.
    pub(super) rows: Vec<f64>,
    /// Microseconds at those rows by number type, n and k; NaN where not measured.
    pub(super) shapes: BTreeMap<(KernelDtype, u32, u32), Vec<f64>>,
    /// The rows at which the finding of activation scales was measured.
    pub(super) scale_rows: Vec<f64>,
    /// Microseconds of it at those rows by k, where the products of `fp8` include it.
    pub(super) scales: BTreeMap<u32, Vec<f64>>,
}

/// How far apart, in the logarithms of n and of k, a shape counts e times less as an example. Which kernel a
/// library takes, and how the tiles of the product fill the device, goes by m and n; k is only how long each
/// tile takes. Chosen, with the last of the levels below, by the held-out products of two of the shipped
/// tables, SGLang's of H200 and of L40S, which are read worst: with 0.7 of both and without that level they are
/// 5.2 and 5.5 % off, and 4.8 and 5.3 % so.
const ALIKE_N: f64 = 0.25;
const ALIKE_K: f64 = 1.4;

/// Least time of a product at peak rates, in nanoseconds, as a function of its rows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Roof {
    compute_per_row: f64,
    memory_per_row: f64,
    weights: f64,
}

impl Roof {
    fn new(dtype: KernelDtype, n: f64, k: f64, flops_per_ns: f64, bytes_per_ns: f64) -> Self {
        let (weight, activation) = dtype.bytes();
        Self {
            compute_per_row: 2.0 * n * k / flops_per_ns,
            memory_per_row: (activation * k + 2.0 * n) / bytes_per_ns,
            weights: weight * n * k / bytes_per_ns,
        }
    }

    fn ns(&self, rows: f64) -> f64 {
        (rows * self.compute_per_row).max(self.weights + rows * self.memory_per_row)
    }
}

/// The time of one product as a function of its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GemmCurve {
    rows: Vec<f64>,
    /// Nanoseconds at those rows.
    ns: Vec<f64>,
    roof: Roof,
    /// How near the shape is to those measured.
    pub(crate) reach: Reach,
}

impl GemmCurve {
    /// Nanoseconds at `rows` rows, 0 for none: the measured time at a measured number of rows;
    /// between two of them the share of the peak is interpolated, and beyond the last it stays.
    pub(crate) fn ns(&self, rows: f64) -> f64 {
        if rows <= 0.0 {
            return 0.0;
        }
        let above = self.rows.partition_point(|point| *point < rows);
        let share = |at: usize| self.roof.ns(self.rows[at]) / self.ns[at];
        let last = self.rows.len() - 1;
        if above > last {
            return self.roof.ns(rows) / share(last);
        }
        if self.rows[above] == rows {
            return self.ns[above];
        }
        if above == 0 {
            return self.ns[0];
        }
        let (a, b) = (above - 1, above);
        let share = between((self.rows[a], share(a)), (self.rows[b], share(b)), rows);
        self.roof.ns(rows) / share
    }

    /// The same less another time, and no less than peak rates permit.
    pub(crate) fn ns_less(&self, rows: f64, ns: f64) -> f64 {
        let all = self.ns(rows);
        (all - ns).max(self.roof.ns(rows).min(all))
    }

    /// The most rows measured.
    pub(crate) fn last_rows(&self) -> f64 {
        self.rows.last().copied().unwrap_or(0.0)
    }
}

impl GemmTable {
    /// The measured microseconds of a product, if it was measured.
    #[must_use]
    pub fn measured_us(&self, dtype: KernelDtype, m: u32, n: u32, k: u32) -> Option<f64> {
        let at = index_of(&self.rows, f64::from(m))?;
        let us = *self.shapes.get(&(dtype, n, k))?.get(at)?;
        us.is_finite().then_some(us)
    }

    /// Microseconds of a product on a device of those peaks (FLOP and bytes per nanosecond): a
    /// measurement as it is, else as the step model reads it. None without a table for the type.
    #[must_use]
    pub fn us(
        &self,
        dtype: KernelDtype,
        (m, n, k): (u32, u32, u32),
        flops_per_ns: f64,
        bytes_per_ns: f64,
    ) -> Option<f64> {
        let curve = self.curve(
            dtype,
            f64::from(n),
            f64::from(k),
            flops_per_ns,
            bytes_per_ns,
        )?;
        Some(curve.ns(f64::from(m)) / 1e3)
    }

    /// The measured microseconds of finding the scale of activations of m rows and k columns, where
    /// the products of `fp8` include it.
    #[must_use]
    pub fn scale_us(&self, m: u32, k: u32) -> Option<f64> {
        let at = index_of(&self.scale_rows, f64::from(m))?;
        let us = *self.scales.get(&k)?.get(at)?;
        us.is_finite().then_some(us)
    }

    /// Nanoseconds of it by rows; between two k measured, the interpolation.
    pub(crate) fn scale_curve(&self, k: f64) -> Option<Curve> {
        let widths: Vec<u32> = self.scales.keys().copied().collect();
        let ([(low, weight), (high, other)], _) = between_widths(&widths, k)?;
        let (low, high) = (self.scales.get(&low)?, self.scales.get(&high)?);
        let mixed = low.iter().zip(high).map(|(a, b)| a * weight + b * other);
        let mixed: Vec<f64> = mixed.collect();
        Curve::through(&self.scale_rows, &mixed, 1e3)
    }

    /// All measurements: number type, m, n, k, microseconds.
    pub fn measurements(&self) -> impl Iterator<Item = (KernelDtype, u32, u32, u32, f64)> + '_ {
        self.shapes.iter().flat_map(|((dtype, n, k), times)| {
            let measured = self.rows.iter().zip(times);
            let measured = measured.filter(|(_, us)| us.is_finite());
            measured.map(move |(m, us)| (*dtype, *m as u32, *n, *k, *us))
        })
    }

    /// Whether there is any product of that number type.
    pub(crate) fn has(&self, dtype: KernelDtype) -> bool {
        self.shapes.keys().any(|key| key.0 == dtype)
    }

    /// By how much the products of a number type usually exceed, at each number of rows, the least
    /// time of as many rows or more: the median over its shapes. Above 1 where the library has no
    /// good kernel for that number of rows, whatever the shape.
    fn usual_excess(&self, dtype: KernelDtype) -> Vec<f64> {
        let mut excess = vec![Vec::new(); self.rows.len()];
        for times in self.of(dtype) {
            let least = least_from(times);
            for (at, time) in times.iter().enumerate().filter(|(_, us)| us.is_finite()) {
                excess[at].push(time / least[at]);
            }
        }
        let median = |mut of_rows: Vec<f64>| {
            of_rows.sort_by(f64::total_cmp);
            of_rows.get(of_rows.len() / 2).copied().unwrap_or(1.0)
        };
        excess.into_iter().map(median).collect()
    }

    fn of(&self, dtype: KernelDtype) -> impl Iterator<Item = &Vec<f64>> {
        let shapes = self.shapes.iter();
        shapes
            .filter(move |(key, _)| key.0 == dtype)
            .map(|(_, times)| times)
    }

    /// The times of a shape as they stand for its neighbours: where a library chooses a kernel badly
    /// for some rows of that very shape, they are lowered to what is usual at that number of rows,
    /// and no further than the roofline.
    fn without_spikes(&self, times: &[f64], usual: &[f64], roof: &Roof) -> Vec<f64> {
        let least = least_from(times);
        let lowered = times.iter().enumerate().map(|(at, time)| {
            // What was not measured stays unmeasured: `min` would take the other for NaN.
            if !time.is_finite() {
                return *time;
            }
            let floor = roof.ns(self.rows[at]) / 1e3;
            time.min((least[at] * usual[at]).max(floor))
        });
        lowered.collect()
    }

    /// The times of a shape, those that it lacks between its measurements read from the shares of
    /// the peak around them, and after the example of the shapes nearest in the logarithms of n and k.
    fn whole<'a>(
        &'a self,
        (dtype, n, k): (KernelDtype, u32, u32),
        times: &'a [f64],
        own: &Roof,
        roof: &dyn Fn(f64, f64) -> Roof,
    ) -> Cow<'a, [f64]> {
        let far = |a: u32, b: u32| (f64::from(a) / f64::from(b)).ln().abs();
        let row = |times: &'a [f64], roof: Roof| Shares {
            rows: &self.rows,
            times,
            roof,
        };
        let neighbours = || {
            let others = self.shapes.iter().filter(|(key, _)| key.0 == dtype);
            let others = others.filter(|(key, _)| (key.1, key.2) != (n, k));
            let each = others.map(|(key, times)| {
                let roof = roof(f64::from(key.1), f64::from(key.2));
                let far = far(key.1, n) / ALIKE_N + far(key.2, k) / ALIKE_K;
                (far, row(times, roof))
            });
            each.collect()
        };
        match fill::filled(&row(times, *own), neighbours) {
            Some(whole) => Cow::Owned(whole),
            None => Cow::Borrowed(times),
        }
    }

    /// The time of products with n columns and k summands. At a shape not measured the share of the
    /// peak is interpolated between the shapes around it, in the logarithms of n and k; outside all
    /// shapes, and where none of these is there, it is the nearest one's.
    pub(crate) fn curve(
        &self,
        dtype: KernelDtype,
        n: f64,
        k: f64,
        flops_per_ns: f64,
        bytes_per_ns: f64,
    ) -> Option<GemmCurve> {
        let roof = |n: f64, k: f64| Roof::new(dtype, n, k, flops_per_ns, bytes_per_ns);
        let own = roof(n, k);
        let shapes = self.shapes.keys().filter(|key| key.0 == dtype);
        let shapes: Vec<(u32, u32)> = shapes.map(|key| (key.1, key.2)).collect();
        let (chosen, reach) = around(&shapes, n, k)?;
        let usual = match reach {
            Reach::Measured => Vec::new(),
            _ => self.usual_excess(dtype),
        };
        let mut corners = Vec::new();
        for ((column, summand), weight) in chosen {
            if let Some(times) = self.shapes.get(&(dtype, column, summand)) {
                let corner = roof(f64::from(column), f64::from(summand));
                let times = self.whole((dtype, column, summand), times, &corner, &roof);
                let times = match reach {
                    Reach::Measured => times.into_owned(),
                    _ => self.without_spikes(&times, &usual, &corner),
                };
                corners.push((times, corner, weight));
            }
        }
        let (mut rows, mut ns) = (Vec::new(), Vec::new());
        for (at, m) in self.rows.iter().enumerate() {
            let (mut share, mut sum, mut exact) = (0.0, 0.0, None);
            for (times, roof, weight) in &corners {
                let time = times.get(at).map_or(f64::NAN, |us| us * 1e3);
                if time.is_finite() {
                    share += weight * roof.ns(*m) / time;
                    sum += weight;
                    exact = Some(time);
                }
            }
            // Near enough to all that was asked for.
            if sum < 0.5 {
                continue;
            }
            rows.push(*m);
            ns.push(match exact {
                Some(time) if reach == Reach::Measured => time,
                _ => own.ns(*m) / (share / sum),
            });
        }
        (!rows.is_empty()).then_some(GemmCurve {
            rows,
            ns,
            roof: own,
            reach,
        })
    }
}

/// A row of products, whose share of the peak is what lies between measurements.
struct Shares<'a> {
    rows: &'a [f64],
    times: &'a [f64],
    roof: Roof,
}

impl Shares<'_> {
    fn share(&self, place: usize) -> f64 {
        self.roof.ns(self.rows[place]) / self.times[place]
    }
}

impl fill::Row for Shares<'_> {
    const LEVELS: &'static [&'static [f64]] = &[
        &[0.65, 0.35],
        &[0.4, 0.3, 0.2, 0.1],
        &[0.3, 0.25, 0.15, 0.1, 0.1, 0.05, 0.05],
    ];

    fn times(&self) -> &[f64] {
        self.times
    }

    fn line(&self, [a, b]: [usize; 2], at: usize) -> f64 {
        let point = |place: usize| (self.rows[place], self.share(place));
        self.roof.ns(self.rows[at]) / between(point(a), point(b), self.rows[at])
    }

    fn level(&self, points: &[(usize, f64)], at: usize) -> f64 {
        let logarithms = points
            .iter()
            .map(|(place, weight)| weight * self.share(*place).ln());
        self.roof.ns(self.rows[at]) / logarithms.sum::<f64>().exp()
    }
}

/// At each number of rows the least time of as many rows or more, which could do the same padded.
fn least_from(times: &[f64]) -> Vec<f64> {
    let mut least = f64::INFINITY;
    let mut lowered = times.to_vec();
    for time in lowered.iter_mut().rev().filter(|time| time.is_finite()) {
        least = least.min(*time);
        *time = least;
    }
    lowered
}
