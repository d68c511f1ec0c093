//! Reading between the points of a table.

/// The index of `x` in a rising axis if it is one of its points.
pub(super) fn index_of(axis: &[f64], x: f64) -> Option<usize> {
    let at = axis.partition_point(|point| *point < x);
    (axis.get(at) == Some(&x)).then_some(at)
}

/// A piecewise linear curve through points: level before the first, and in proportion beyond the last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    x: Vec<f64>,
    y: Vec<f64>,
}

impl Curve {
    /// The curve through the measured points of a row (NaN where there is none); none if there are
    /// fewer than two.
    pub(crate) fn through(axis: &[f64], row: &[f64], scale: f64) -> Option<Self> {
        let (x, y): (Vec<f64>, Vec<f64>) = axis
            .iter()
            .zip(row)
            .filter(|(_, y)| y.is_finite())
            .map(|(x, y)| (*x, *y * scale))
            .unzip();
        (x.len() >= 2).then_some(Self { x, y })
    }

    /// The value at `x`: a point's own at a point.
    pub(crate) fn at(&self, x: f64) -> f64 {
        let above = self.x.partition_point(|point| *point < x);
        let (Some(first), Some(last)) = (self.x.first(), self.x.last()) else {
            return 0.0;
        };
        if x <= *first {
            return self.y[0];
        }
        if above < self.x.len() {
            if self.x[above] == x {
                return self.y[above];
            }
            return between(
                (self.x[above - 1], self.y[above - 1]),
                (self.x[above], self.y[above]),
                x,
            );
        }
        // Beyond the last point time grows with the amount.
        let y = self.y[self.y.len() - 1];
        y * x / last
    }

    /// The last point.
    pub(crate) fn last_x(&self) -> f64 {
        self.x.last().copied().unwrap_or(0.0)
    }
}

/// The line through two points at `x`.
pub(super) fn between(a: (f64, f64), b: (f64, f64), x: f64) -> f64 {
    a.1 + (b.1 - a.1) * ((x - a.0) / (b.0 - a.0))
}
