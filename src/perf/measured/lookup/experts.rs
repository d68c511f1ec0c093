//! The layers of routed experts.

use super::Lookup;
use crate::perf::measured::number_types::expert_dtypes;
use crate::perf::measured::{EXCHANGE, Exchange};
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
        // Frameworks' kernels were measured split and dealt out; the other is near where one is not.
        let devices = self.parallelism.expert_devices();
        let splits = match self.parallelism.ep {
            true => [(1, devices), (devices, 1)],
            false => [(devices, 1), (1, devices)],
        };
        for dtype in dtypes {
            for (tp, ep) in splits {
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

    /// What ranks exchange around the experts, where they do and it was measured.
    pub(in crate::perf::measured) fn exchange(&mut self) -> Option<Exchange> {
        let ranks = self.parallelism.dp;
        if ranks <= 1 || self.model.experts == 0 {
            return None;
        }
        let comm = &self.tables;
        let (gather, scatter) = (
            comm.all_gather.curve(ranks),
            comm.reduce_scatter.curve(ranks),
        );
        let value = format!("gathered and scattered among {ranks} ranks in each layer of experts");
        let measured = gather.is_some() && scatter.is_some();
        self.note(EXCHANGE, value, measured.then_some(Reach::Measured));
        Some(Exchange {
            layers: f64::from(self.model.moe_layers()),
            values: f64::from(self.model.hidden),
            gather: gather?,
            scatter: scatter?,
        })
    }
}
