//! Norms, activations, rotations and the embedding.

use super::Lookup;
use crate::perf::measured::Small;
use crate::perf::tables::{Reach, TablesOrigin};

/// Share of the peak bandwidth that small kernels (norms, activations) reach, and the microseconds
/// each takes besides: as aiconfigurator-core 0.12.0 assumes.
const SMALL_BANDWIDTH: f64 = 0.8;
const SMALL_LAUNCH_US: f64 = 3.0;

impl Lookup<'_> {
    /// Whether queries and keys are rotated by a kernel that was not measured with attention. The
    /// block of MLA was measured with its own; `mla`: whether there is one.
    fn rotates_apart(&self, mla: bool) -> bool {
        self.model.rotates() && !mla && !self.tables.attention_rotates()
    }

    /// Small kernels: two norms with residual, one activation and the rotation of queries and keys
    /// in a layer, and the embedding. What was measured in its very shape is as measured, and the
    /// rest by bytes. `mla`: whether there is a measured block of MLA.
    pub(in crate::perf::measured) fn small(&mut self, mla: bool) -> Small {
        let m = self.model;
        let rate = self.bandwidth * SMALL_BANDWIDTH;
        let (layers, hidden) = (f64::from(m.layers), f64::from(m.hidden));
        let mut measured = Vec::new();
        let mut by_bytes = Vec::new();

        let (mut norms, mut norm_launches) = (layers * 2.0 * (2.0 * 4.0 * hidden), 2.0 * layers);
        if let Some(curve) = self.tables.norms.curve((m.hidden, 1)) {
            measured.push((2.0 * layers, curve));
            self.note_small(
                "kernels.norms",
                format!("{} of {} values", 2 * m.layers, m.hidden),
            );
            (norms, norm_launches) = (0.0, 0.0);
        } else {
            by_bytes.push("norms");
        }

        let wide = if m.gated_ffn { 3.0 } else { 2.0 };
        let activation = |width: u32| 2.0 * wide * f64::from(self.split(width));
        // The activation of experts is part of their kernel.
        let mut activations = if m.experts == 0 {
            layers * activation(m.ffn)
        } else {
            f64::from(m.dense_layers) * activation(m.dense_ffn)
                + f64::from(m.moe_layers() * m.shared_experts) * activation(m.shared_ffn)
        };
        let mut activation_launches = layers;
        let width = self.split(m.ffn);
        let curve = self.tables.activations.curve((width, 1));
        // Experts have theirs within, and a part without a gate has another.
        if let Some(curve) = curve.filter(|_| m.experts == 0 && m.gated_ffn) {
            measured.push((layers, curve));
            self.note_small(
                "kernels.activations",
                format!("{} of {width} values", m.layers),
            );
            (activations, activation_launches) = (0.0, 0.0);
        } else {
            by_bytes.push("activations");
        }
        by_bytes.push("embedding");

        let mut rotations = if self.rotates_apart(mla) { layers } else { 0.0 };
        let heads = self.split(m.heads) + m.kv_heads.div_ceil(self.tp);
        let rotation = 4.0 * f64::from(heads * m.head_dim);
        if rotations > 0.0 {
            if let Some(curve) = self.tables.rotations.curve((heads, m.head_dim)) {
                measured.push((layers, curve));
                let value = format!("{} of {heads} heads of {}", m.layers, m.head_dim);
                self.note_small("kernels.rotations", value);
                rotations = 0.0;
            } else {
                by_bytes.push("rotation of queries and keys");
            }
        }
        let bytes = norms + activations + rotations * rotation + 4.0 * hidden;
        let launches = norm_launches + activation_launches + rotations + 1.0;
        Small {
            per_row: bytes / rate,
            per_step: launches * SMALL_LAUNCH_US * 1e3,
            measured,
            by_bytes,
        }
    }

    fn note_small(&mut self, name: &'static str, value: String) {
        debug_assert!(self.tables.origin != TablesOrigin::Shipped);
        self.note(name, value, Some(Reach::Measured));
    }
}
