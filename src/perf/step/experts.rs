//! Routed experts, and ranks of data-parallel attention that share them.

use super::{PrefillChunk, StepModel};
use crate::perf::times::RankWork;

impl StepModel {
    /// Nanoseconds of the routed experts for the rows of all ranks, by the roofline.
    pub(super) fn roofline_experts_ns(&self, rows: f64) -> f64 {
        let rows = self.graphs.rows(rows);
        self.experts.ns(rows, self.experts_touched(rows)) + self.exchange_ns(rows)
    }

    /// Nanoseconds in which ranks gather the rows of all before the experts and scatter the sums
    /// after them, by the bandwidth of their links: each device sends or takes (dp - 1) / dp of the
    /// 16-bit values.
    fn exchange_ns(&self, rows: f64) -> f64 {
        let dp = f64::from(self.parallelism.dp);
        let e = &self.accelerator.efficiency;
        let scale_up = self.accelerator.scale_up_gb_per_s_per_direction;
        let scale_up = scale_up.map(|rate| rate * e.link_efficiency);
        let Some(rate) = self.rank_link.or(scale_up).filter(|_| dp > 1.0) else {
            return 0.0;
        };
        let bytes = 2.0 * f64::from(self.model.hidden) * rows * (dp - 1.0) / dp;
        let once = bytes / rate + e.all_reduce_latency_us * 1e3;
        2.0 * f64::from(self.model.moe_layers()) * once
    }

    /// Nanoseconds of the routed experts for the rows of all ranks.
    pub(super) fn experts_ns(&self, rows: f64) -> f64 {
        self.experts_of_ns(self.graphs.rows(rows))
    }

    /// The same for rows that are padded already.
    fn experts_of_ns(&self, rows: f64) -> f64 {
        let Some(measured) = &self.measured else {
            return self.experts.ns(rows, self.experts_touched(rows)) + self.exchange_ns(rows);
        };
        let computed = measured
            .experts_ns(rows)
            .unwrap_or_else(|| self.experts.ns(rows, self.experts_touched(rows)));
        let exchanged = measured
            .exchange_ns(rows)
            .unwrap_or_else(|| self.exchange_ns(rows));
        computed + exchanged
    }

    /// An iteration without its experts, from tables where there are any, not held to the floor.
    fn without_experts_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        match &self.measured {
            Some(measured) => self.measured_ns(measured, prefill, decodes, context),
            None => self.bare_roofline_ns(prefill, decodes, context),
        }
    }

    /// The iteration of several ranks that go in step: the slowest one's attention and dense parts,
    /// then the experts for the rows of all. 0 if all are empty.
    pub(crate) fn joint_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        let rows: f64 = ranks.iter().map(RankWork::rows).sum();
        if rows == 0.0 {
            return 0.0;
        }
        let each = ranks
            .iter()
            .map(|rank| self.without_experts_ns(rank.prefill, rank.decodes, rank.context));
        // Each rank runs from a captured graph of its own.
        let padded = ranks.iter().map(|rank| self.graphs.rows(rank.rows())).sum();
        let ns = each.fold(0.0, f64::max) + self.experts_of_ns(padded);
        ns.max(self.joint_floor_ns(ranks))
    }

    /// Least nanoseconds of it: the arithmetic and the bytes of all ranks as of one batch, on all
    /// devices.
    pub(crate) fn joint_floor_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        let chunks = ranks.iter().flat_map(|rank| rank.prefill.iter());
        let decodes = ranks.iter().map(|rank| rank.decodes).sum();
        let context = ranks.iter().map(|rank| rank.context).sum();
        self.floor.floor_of_ns(chunks, decodes, context) / self.ranks()
    }

    /// Experts of a layer whose weights a step of `rows` tokens reads, if each token draws k of E
    /// uniformly: E (1 - (1 - k/E)^rows).
    fn experts_touched(&self, rows: f64) -> f64 {
        let [all, k] = [self.model.experts, self.model.experts_per_token].map(f64::from);
        if all == 0.0 || rows < 1.0 {
            return 0.0;
        }
        // At least those of one token, whatever the rounding.
        (all * (1.0 - power(1.0 - k / all, rows as u64))).max(k)
    }
}

/// `base` to the power `exponent` by repeated squaring: the same bits on every platform.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    result
}
