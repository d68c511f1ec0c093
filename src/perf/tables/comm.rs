//! Collective operations within a node.

use std::collections::BTreeMap;

use super::interpolate::{Curve, index_of};

/// Measured collective operations of one kind on 16-bit values; all-reduces are launched from
/// captured graphs where that was measured.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CollectiveTable {
    /// Values (2 bytes each) of the message: what each device has before or after.
    pub(super) elements: Vec<f64>,
    /// Microseconds at those sizes by number of devices; NaN where not measured.
    pub(super) devices: BTreeMap<u32, Vec<f64>>,
}

impl CollectiveTable {
    /// The measured microseconds of the operation on `elements` 16-bit values, if it was measured.
    #[must_use]
    pub fn measured_us(&self, devices: u32, elements: u64) -> Option<f64> {
        let at = index_of(&self.elements, elements as f64)?;
        let us = *self.devices.get(&devices)?.get(at)?;
        us.is_finite().then_some(us)
    }

    /// Nanoseconds by 16-bit values, for exactly that many devices.
    pub(crate) fn curve(&self, devices: u32) -> Option<Curve> {
        Curve::through(&self.elements, self.devices.get(&devices)?, 1e3)
    }
}
