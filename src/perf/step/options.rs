//! What a step model may be told beside cards and parallelism.

use super::StepModel;
use crate::perf::graphs::CapturedGraphs;

impl StepModel {
    /// The same with graphs captured: all but attention and LM head works on padded iterations.
    #[must_use]
    pub fn with_graphs(mut self, graphs: CapturedGraphs) -> Self {
        self.graphs = graphs;
        self
    }

    /// The same where the devices of an all-reduce do not come to it together, as they do when
    /// kernels are measured: each further device adds `us_per_device` microseconds, 0 or more, to
    /// each of the two all-reduces of a layer and that of the embedding.
    #[must_use]
    pub fn with_all_reduce_skew(mut self, us_per_device: f64) -> Self {
        let count = 2.0 * f64::from(self.model.layers) + 1.0;
        let others = f64::from(self.parallelism.tp) - 1.0;
        self.skew_ns = count * others * us_per_device * 1e3;
        self
    }

    /// The same where ranks reach one another at that bandwidth, 1e9 bytes per second above 0,
    /// instead of by the scale-up links.
    #[must_use]
    pub fn with_rank_link(mut self, gb_per_s: f64) -> Self {
        self.rank_link = Some(gb_per_s);
        self
    }
}
