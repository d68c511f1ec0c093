//! A rate that changes over time, and its inverse integral.

use crate::scenario::workload::Profile;

/// A piecewise factor on the arrival rate, turned into a change of clock: a process made at rate
/// factor 1 in *operational* time is mapped to real time by the inverse of the integrated factor
/// (for Poisson this is the exact inversion method; Lewis and Shedler 1979).
#[derive(Debug, Clone)]
pub struct RateClock {
    /// `(time_ns, factor)` knots, the first at 0.
    knots: Vec<(f64, f64)>,
    step: bool,
    period_ns: Option<f64>,
    /// Where the clock stands: whole periods passed, knot reached, real time in this period.
    cycle_start_ns: f64,
    knot: usize,
    at_ns: f64,
    operational_ns: f64,
}

/// Stretches of a day.
const DIURNAL_KNOTS: usize = 288;

impl RateClock {
    /// Prepares a profile, or says what is wrong with it.
    pub fn new(profile: &Profile) -> Result<RateClock, String> {
        let (points, step, period_s) = match profile {
            Profile::Points {
                points,
                step,
                period_s,
            } => (points.clone(), *step, *period_s),
            Profile::Spike {
                start_s,
                duration_s,
                factor,
            } => {
                let mut points = vec![(*start_s, *factor), (start_s + duration_s, 1.0)];
                if *start_s > 0.0 {
                    points.insert(0, (0.0, 1.0));
                }
                (points, true, None)
            }
            Profile::Ramp {
                start_s,
                end_s,
                factor,
            } => {
                let mut points = vec![(*start_s, 1.0), (*end_s, *factor)];
                if *start_s > 0.0 {
                    points.insert(0, (0.0, 1.0));
                }
                (points, false, None)
            }
            Profile::Diurnal {
                period_s,
                amplitude,
                peak_s,
            } => {
                let knot = |index: usize| {
                    let time_s = period_s * index as f64 / DIURNAL_KNOTS as f64;
                    let angle = std::f64::consts::TAU * (time_s - peak_s) / period_s;
                    (time_s, (1.0 + amplitude * angle.cos()).max(0.0))
                };
                let points = (0..=DIURNAL_KNOTS).map(knot).collect();
                (points, false, Some(*period_s))
            }
        };
        check(&points, period_s)?;
        let ns = |seconds: f64| seconds * 1e9;
        Ok(RateClock {
            knots: points.iter().map(|&(t, factor)| (ns(t), factor)).collect(),
            step,
            period_ns: period_s.map(ns),
            cycle_start_ns: 0.0,
            knot: 0,
            at_ns: 0.0,
            operational_ns: 0.0,
        })
    }

    /// Real time at which the integrated factor reaches `operational_ns`, which must not fall
    /// from call to call; infinite when it never does (the factor stays 0).
    pub fn real_ns(&mut self, operational_ns: f64) -> f64 {
        self.skip_periods(operational_ns);
        loop {
            let wanted = operational_ns - self.operational_ns;
            let (start, from) = self.knots[self.knot];
            let next = self.knots.get(self.knot + 1).copied();
            let end = next.map(|knot| knot.0).or(self.period_ns);
            let slope = match (next, self.step) {
                (Some((time, to)), false) => (to - from) / (time - start),
                _ => 0.0,
            };
            let factor = from + slope * (self.at_ns - start);
            let left = end.map_or(f64::INFINITY, |end| end - self.at_ns);
            let area = if left.is_finite() {
                (factor + slope * left / 2.0) * left
            } else if factor > 0.0 {
                f64::INFINITY
            } else {
                return f64::INFINITY;
            };
            if area >= wanted {
                let advance = solve(factor, slope, wanted).min(left);
                self.at_ns += advance;
                self.operational_ns = operational_ns;
                return self.cycle_start_ns + self.at_ns;
            }
            self.operational_ns += area;
            self.advance(end.unwrap_or(f64::INFINITY));
        }
    }

    /// Passes whole periods at once, so that a short period costs no more than a long one.
    fn skip_periods(&mut self, operational_ns: f64) {
        let Some(period) = self.period_ns else { return };
        let area = self.area(period);
        let wanted = operational_ns - self.operational_ns;
        // The two periods left to the loop absorb the rounding of the areas of the knots.
        let whole = (wanted / area).floor() - 2.0;
        if whole > 0.0 {
            self.cycle_start_ns += whole * period;
            self.operational_ns += whole * area;
        }
    }

    /// The mean factor from the start to `until_ns` (above 0).
    pub fn mean_factor(&self, until_ns: f64) -> f64 {
        let area = match self.period_ns {
            Some(period) => {
                let whole = (until_ns / period).floor();
                whole * self.area(period) + self.area(until_ns - whole * period)
            }
            None => self.area(until_ns),
        };
        area / until_ns
    }

    /// The integrated factor from the start of a period to `until_ns`; the last knot's factor
    /// stays.
    fn area(&self, until_ns: f64) -> f64 {
        let knots = self.knots.iter().enumerate();
        let stretches = knots.take_while(|(_, (time, _))| *time < until_ns);
        let areas = stretches.map(|(i, &(time, factor))| {
            let next = self.knots.get(i + 1).copied();
            let (end, to) = next.unwrap_or((until_ns, factor));
            let to = if self.step { factor } else { to };
            let upto = end.min(until_ns);
            let at_upto = factor + (to - factor) * (upto - time) / (end - time);
            (upto - time) * (factor + at_upto) / 2.0
        });
        areas.sum()
    }

    /// The largest factor.
    pub fn peak_factor(&self) -> f64 {
        self.knots.iter().map(|knot| knot.1).fold(0.0, f64::max)
    }

    fn advance(&mut self, end_ns: f64) {
        self.at_ns = end_ns;
        self.knot += 1;
        if self.knot < self.knots.len() {
            return;
        }
        if let Some(period) = self.period_ns {
            self.cycle_start_ns += period;
            self.at_ns = 0.0;
            self.knot = 0;
        } else {
            self.knot = self.knots.len() - 1;
        }
    }
}

/// Smallest `x >= 0` with `factor x + slope x^2 / 2 = area`.
fn solve(factor: f64, slope: f64, area: f64) -> f64 {
    if area <= 0.0 {
        return 0.0;
    }
    // The form without cancellation: 2 area / (factor + sqrt(factor^2 + 2 slope area)).
    let root = (factor * factor + 2.0 * slope * area).max(0.0).sqrt();
    2.0 * area / (factor + root)
}

fn check(points: &[(f64, f64)], period_s: Option<f64>) -> Result<(), String> {
    let Some(&(first, _)) = points.first() else {
        return Err("needs at least one [time_s, factor] point".to_owned());
    };
    if first != 0.0 {
        return Err(format!("must begin at time 0, not at {first} s"));
    }
    if !points
        .iter()
        .all(|(t, f)| t.is_finite() && f.is_finite() && *f >= 0.0)
    {
        return Err("needs finite times and finite factors of at least 0".to_owned());
    }
    if let Some(pair) = points.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(format!(
            "times must rise, but {} s follows {} s",
            pair[1].0, pair[0].0
        ));
    }
    if points.iter().all(|point| point.1 == 0.0) {
        return Err("must have a factor above 0 somewhere".to_owned());
    }
    let last = points[points.len() - 1].0;
    match period_s {
        Some(period) if !(period.is_finite() && period > 0.0 && period >= last) => Err(format!(
            "period_s = {period} must be finite and at least the last time, {last} s"
        )),
        _ => Ok(()),
    }
}
