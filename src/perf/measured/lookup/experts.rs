//! The layers of routed experts.

use super::Lookup;
use crate::perf::measured::number_types::expert_dtypes;
use crate::perf::tables::{Curve, ExpertsKey, Reach, Spread};

/// Up to so many experts (Mixtral has 8) tokens are taken to be spread evenly.
const FEW_EXPERTS: u32 = 16;

impl Lookup<'_> {
    /// Layers of experts, and the time of one by tokens.
    pub(in crate::perf::measured) fn experts(&mut self) -> Option<(f64, Curve)> {
        let m = self.model;
        if m.experts == 0 {
            return None;
        }
        // Routers over few experts are trained to balance, and all experts are busy anyway.
        let spreads = match m.experts <= FEW_EXPERTS {
            true => [Spread::Balanced, Spread::PowerLaw],
            false => [Spread::PowerLaw, Spread::Balanced],
        };
        let dtypes = expert_dtypes(m, self.dtypes.weight);
        for dtype in dtypes {
            for (tp, ep) in [(self.tp, 1), (1, self.tp)] {
                for spread in spreads {
                    let key = ExpertsKey {
                        dtype: *dtype,
                        hidden: m.hidden,
                        width: m.ffn,
                        per_token: m.experts_per_token,
                        experts: m.experts,
                        tp,
                        ep,
                        spread,
                    };
                    if let Some(curve) = self.tables.moe.curve(&key) {
                        let value = format!(
                            "{}, {} of {} experts, split over {tp}, dealt out to {ep}, tokens {}",
                            dtype.name(),
                            m.experts_per_token,
                            m.experts,
                            match spread {
                                Spread::PowerLaw => "by a power law of exponent 1.2",
                                Spread::Balanced => "spread evenly",
                            }
                        );
                        self.note("kernels.experts", value, Some(Reach::Measured));
                        return Some((f64::from(m.moe_layers()), curve));
                    }
                }
            }
        }
        self.note("kernels.experts", "none for this shape".into(), None);
        None
    }
}
