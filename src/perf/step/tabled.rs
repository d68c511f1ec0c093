//! Steps from kernel tables.

use std::sync::Arc;

use super::{DecodePiece, PrefillChunk, StepModel, rows_of};
use crate::perf::accelerator::AcceleratorCard;
use crate::perf::error::PerfError;
use crate::perf::floor::Line;
use crate::perf::measured::Measured;
use crate::perf::tables::{KernelBackend, KernelTables, TablesHandle};

impl StepModel {
    /// The same with the kernels that were measured on this device with that framework (by default
    /// the first of vLLM, TensorRT-LLM and SGLang that has products of the weights' number type, or
    /// vLLM); what its tables lack stays with the roofline, as the provenance says.
    ///
    /// # Errors
    /// [`PerfError::Field`] if the accelerator's card names no measured kernels.
    pub fn with_tables(mut self, backend: Option<KernelBackend>) -> Result<Self, PerfError> {
        let system = self.accelerator.kernels.as_deref();
        let first = [
            KernelBackend::Vllm,
            KernelBackend::Trtllm,
            KernelBackend::Sglang,
        ];
        let choices = backend.as_ref().map_or(&first[..], std::slice::from_ref);
        for backend in choices {
            let tables = system.and_then(|system| KernelTables::builtin(system, *backend));
            let Some(tables) = tables else { continue };
            let measured = self.measure(TablesHandle::Shipped(tables));
            let enough = measured.has_products();
            if enough || self.measured.is_none() {
                self.measured = Some(Box::new(measured));
            }
            if enough {
                break;
            }
        }
        if self.measured.is_none() {
            let cards = AcceleratorCard::names()
                .filter_map(|name| AcceleratorCard::load(name, std::path::Path::new("")).ok())
                .filter(|card| card.kernels.is_some())
                .map(|card| card.name);
            return Err(PerfError::Field {
                file: format!("{} on {}", self.model.name, self.accelerator.name),
                field: "step_model",
                value: "\"tables\"".into(),
                allowed: "\"roofline\" where the accelerator's card names no `kernels`".into(),
                remedy: format!(
                    "leave it out, or use one of {}",
                    cards.collect::<Vec<_>>().join(", ")
                ),
            });
        }
        Ok(self)
    }

    /// The same with the kernels of tables that were loaded from a file; what they lack stays with
    /// the roofline, as the provenance says.
    #[must_use]
    pub fn with_kernel_tables(mut self, tables: Arc<KernelTables>) -> Self {
        self.measured = Some(Box::new(self.measure(TablesHandle::Loaded(tables))));
        self
    }

    /// What tables give this model.
    fn measure(&self, tables: TablesHandle) -> Measured {
        let (model, accelerator) = (&self.model, &self.accelerator);
        let stated = self.rank_link.is_some();
        let mut measured = Measured::new(tables, model, accelerator, self.parallelism, self.dtypes);
        if stated {
            measured.forget_exchange();
        }
        measured
    }

    /// Whether kernel tables give this model's times.
    #[must_use]
    pub fn uses_tables(&self) -> bool {
        self.measured.is_some()
    }

    /// Whether kernel tables give the matrix products of the blocks.
    #[must_use]
    pub fn measures_products(&self) -> bool {
        self.measured.as_ref().is_some_and(|m| m.has_products())
    }

    /// Nanoseconds of a step's parts that do not depend on context, from tables.
    fn measured_rows_ns(&self, measured: &Measured, rows: f64, sequences: f64) -> f64 {
        let (link_row, link_step) = self.link;
        let rows = self.graphs.rows(rows);
        measured
            .products_ns(rows)
            .unwrap_or_else(|| self.dense.ns(rows, 1.0))
            + measured
                .head_ns(sequences)
                .unwrap_or_else(|| self.head.ns(sequences, 1.0))
            + measured
                .reduce_ns(rows)
                .unwrap_or(rows * link_row + link_step)
            + self.skew_ns
            + measured.small_ns(rows)
            + self.overheads.fixed_us * 1e3
            + sequences * self.per_seq_ns
    }

    /// A step from tables without its experts, not held to the floor.
    pub(super) fn measured_ns(
        &self,
        measured: &Measured,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
    ) -> f64 {
        let rows = rows_of(prefill, decodes);
        if rows == 0.0 {
            return 0.0;
        }
        let sequences = f64::from(decodes) + prefill.len() as f64;
        let attention = measured
            .prefill_ns(prefill)
            .unwrap_or_else(|| self.prefill_attention(prefill));
        let decode = match &measured.decode {
            _ if decodes == 0 => 0.0,
            Some(curve) => {
                let mean = context as f64 / f64::from(decodes);
                let piece = curve.piece(f64::from(decodes), mean);
                piece.base + piece.slope * mean
            }
            None => self.decode_attention(decodes, context),
        };
        self.measured_rows_ns(measured, rows, sequences)
            + measured.attention_ns(prefill, attention, decode)
    }

    /// A pure decode step from tables, held to the floor, as a piece.
    pub(super) fn measured_piece(
        &self,
        measured: &Measured,
        decodes: u32,
        context: u64,
    ) -> DecodePiece {
        let rows = f64::from(decodes);
        let base = self.measured_rows_ns(measured, rows, rows) + self.experts_ns(rows);
        let (own, until) = match &measured.decode {
            Some(curve) => {
                let piece = curve.piece(rows, context as f64 / rows);
                let line = Line {
                    base: base + piece.base,
                    slope: piece.slope / rows,
                };
                (line, tokens_until(piece.until * rows))
            }
            None => {
                let piece = self.roofline_piece(decodes, context);
                let line = Line {
                    base: piece.base_ns - self.rows_ns(rows, rows) - self.roofline_experts_ns(rows)
                        + base,
                    slope: piece.per_context_ns,
                };
                (line, piece.until_context)
            }
        };
        let (lines, floor_until) = self.floor.decode_lines(decodes, context);
        let ranks = self.ranks();
        let [compute, memory] = lines.map(|line| Line {
            base: line.base / ranks,
            slope: line.slope / ranks,
        });
        let at = context as f64;
        let value = |line: &Line| line.base + line.slope * at;
        let mut top = own;
        for line in [compute, memory] {
            let higher = value(&line) - value(&top);
            if higher > 0.0 || (higher == 0.0 && line.slope > top.slope) {
                top = line;
            }
        }
        let mut until = until.min(floor_until);
        for line in [own, compute, memory] {
            if line.slope > top.slope {
                // Where the steeper line overtakes this one.
                let crossing = (top.base - line.base) / (line.slope - top.slope);
                until = until.min(tokens_until(crossing));
            }
        }
        DecodePiece {
            base_ns: top.base,
            per_context_ns: top.slope,
            until_context: until.max(context),
        }
    }
}

/// The last whole number of tokens at or below a bound.
fn tokens_until(bound: f64) -> u64 {
    // Saturates: infinity is no bound.
    if bound >= 0.0 { bound as u64 } else { 0 }
}
