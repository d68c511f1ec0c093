//! Small kernels by rows: norms, activations, rotations.

use std::collections::BTreeMap;

use super::interpolate::Curve;

/// Measured small kernels of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowTable {
    /// Rows measured.
    pub(super) rows: Vec<f64>,
    /// Microseconds at those rows by shape; NaN where not measured.
    pub(super) shapes: BTreeMap<(u32, u32), Vec<f64>>,
}

impl RowTable {
    /// Nanoseconds by rows, for exactly that shape.
    pub(crate) fn curve(&self, shape: (u32, u32)) -> Option<Curve> {
        Curve::through(&self.rows, self.shapes.get(&shape)?, 1e3)
    }
}
