//! Accelerator cards: peak rates, memory and links of a device, and the share of the peaks that
//! software reaches.

use std::path::Path;

use super::dtype::Dtype;
use super::error::{PerfError, card_text, check_range, parse_error};
use super::tables::check_system;

macro_rules! cards {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../calibration/accelerators/", $name, ".toml")))),*]
    };
}

/// The built-in cards: name and TOML text.
const BUILTIN: &[(&str, &str)] = cards![
    "a100-pcie-80gb",
    "a100-sxm-40gb",
    "a100-sxm-80gb",
    "a10g",
    "a30",
    "b200-sxm",
    "b300-sxm",
    "gaudi3",
    "gb200-nvl72",
    "gb300-nvl72",
    "h100-pcie",
    "h100-sxm",
    "h200-sxm",
    "inferentia2",
    "l4",
    "l40s",
    "mi300x",
    "mi325x",
    "mi355x",
    "rtx-4090",
    "rtx-pro-6000",
    "tpu-v5e",
    "tpu-v5p",
    "tpu-v6e",
    "trainium2",
];

/// What software reaches of the peaks. All are assumptions, not measurements: round values that a
/// calibration should replace.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Efficiency {
    /// Share of peak FLOP/s in large matrix products, above 0 and at most 1. Default 0.7.
    pub compute_efficiency: f64,
    /// Share of peak FLOP/s in attention, above 0 and at most 1. Default 0.5.
    pub attention_efficiency: f64,
    /// Share of peak memory bandwidth, above 0 and at most 1. Default 0.8.
    pub bandwidth_efficiency: f64,
    /// Share of the link's bandwidth in an all-reduce, above 0 and at most 1. Default 0.7.
    pub link_efficiency: f64,
    /// Latency of one all-reduce in microseconds, 0 or more. Default 8.
    pub all_reduce_latency_us: f64,
    /// Launches and small kernels (norms, rotary, cache writes) of one layer in microseconds, 0 or
    /// more. Default 5, as with captured graphs.
    pub launch_us_per_layer: f64,
}

impl Default for Efficiency {
    fn default() -> Self {
        Self {
            compute_efficiency: 0.7,
            attention_efficiency: 0.5,
            bandwidth_efficiency: 0.8,
            link_efficiency: 0.7,
            all_reduce_latency_us: 8.0,
            launch_us_per_layer: 5.0,
        }
    }
}

/// A device's peaks. Read from `calibration/accelerators/NAME.toml` or from a file of the user's.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceleratorCard {
    /// The device's name.
    pub name: String,
    /// Where the figures come from.
    pub source: String,
    /// What else is known of them.
    #[serde(default)]
    pub note: String,
    /// Peak dense bf16 (and fp16) rate in 1e12 FLOP/s.
    pub bf16_dense_tflops: f64,
    /// Peak dense fp8 rate in 1e12 FLOP/s, if the device has one.
    #[serde(default)]
    pub fp8_dense_tflops: Option<f64>,
    /// Peak dense fp4 rate in 1e12 FLOP/s, if the device has one.
    #[serde(default)]
    pub fp4_dense_tflops: Option<f64>,
    /// Peak dense int8 rate in 1e12 operations per second, if the source gives one.
    #[serde(default)]
    pub int8_dense_tops: Option<f64>,
    /// Memory, in units of 2^30 bytes as memory makers count.
    pub memory_gb: f64,
    /// Peak memory bandwidth in 1e9 bytes per second.
    pub bandwidth_gb_per_s: f64,
    /// Bandwidth to the other devices of the scale-up domain, each direction, in 1e9 bytes per
    /// second; absent where no figure is published, and then `tp` must be 1.
    #[serde(default)]
    pub scale_up_gb_per_s_per_direction: Option<f64>,
    /// What those links are.
    #[serde(default)]
    pub scale_up: String,
    /// Devices that those links join, 1 or more.
    pub scale_up_domain: u32,
    /// Thermal design power in watts, where published.
    #[serde(default)]
    pub tdp_w: Option<f64>,
    /// The system of `calibration/kernels` whose measured kernels are this device's (`h100_sxm`
    /// say); absent where there are none, and then steps are timed by the roofline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<String>,
    /// What software reaches of the peaks.
    #[serde(default)]
    pub efficiency: Efficiency,
}

impl AcceleratorCard {
    /// The built-in card of that name, or the card in a file (a value with a `/` or ending in
    /// `.toml` is a path relative to `base_dir`).
    ///
    /// # Errors
    /// An unknown name (the error offers the nearest and lists all), an unreadable file, a file
    /// that is not a card, or a field outside its range.
    pub fn load(name_or_path: &str, base_dir: &Path) -> Result<Self, PerfError> {
        let (file, text) = card_text("accelerator", BUILTIN, name_or_path, base_dir)?;
        let card: Self = toml::from_str(&text).map_err(|e| parse_error(&file, &text, &e))?;
        card.check(&file)?;
        Ok(card)
    }

    /// The names of the built-in cards, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// Checks the ranges.
    fn check(&self, file: &str) -> Result<(), PerfError> {
        let positive = (0.0, f64::INFINITY, false);
        let share = (0.0, 1.0, false);
        let from_zero = (0.0, f64::INFINITY, true);
        let e = &self.efficiency;
        for (field, value, range) in [
            ("bf16_dense_tflops", Some(self.bf16_dense_tflops), positive),
            ("fp8_dense_tflops", self.fp8_dense_tflops, positive),
            ("fp4_dense_tflops", self.fp4_dense_tflops, positive),
            ("int8_dense_tops", self.int8_dense_tops, positive),
            ("memory_gb", Some(self.memory_gb), positive),
            (
                "bandwidth_gb_per_s",
                Some(self.bandwidth_gb_per_s),
                positive,
            ),
            (
                "scale_up_gb_per_s_per_direction",
                self.scale_up_gb_per_s_per_direction,
                positive,
            ),
            (
                "scale_up_domain",
                Some(f64::from(self.scale_up_domain)),
                positive,
            ),
            ("tdp_w", self.tdp_w, positive),
            (
                "efficiency.compute_efficiency",
                Some(e.compute_efficiency),
                share,
            ),
            (
                "efficiency.attention_efficiency",
                Some(e.attention_efficiency),
                share,
            ),
            (
                "efficiency.bandwidth_efficiency",
                Some(e.bandwidth_efficiency),
                share,
            ),
            ("efficiency.link_efficiency", Some(e.link_efficiency), share),
            (
                "efficiency.all_reduce_latency_us",
                Some(e.all_reduce_latency_us),
                from_zero,
            ),
            (
                "efficiency.launch_us_per_layer",
                Some(e.launch_us_per_layer),
                from_zero,
            ),
        ] {
            if let Some(value) = value {
                check_range(file, field, value, range)?;
            }
        }
        match &self.kernels {
            Some(system) => check_system(file, system),
            None => Ok(()),
        }
    }

    /// Peak rate of matrix products with weights of `dtype`, in 1e12 per second: fp8 and fp4 run at
    /// the bf16 rate where the device has no rate of their own (weights are then expanded to 16
    /// bits), int8 at the fp8 rate where the card gives none.
    #[must_use]
    pub fn peak_tflops(&self, dtype: Dtype) -> f64 {
        let own = match dtype {
            Dtype::Bf16 | Dtype::Fp16 => None,
            Dtype::Fp8 => self.fp8_dense_tflops,
            Dtype::Fp4 => self.fp4_dense_tflops,
            Dtype::Int8 => self.int8_dense_tops.or(self.fp8_dense_tflops),
        };
        own.unwrap_or(self.bf16_dense_tflops)
            .max(self.bf16_dense_tflops)
    }

    /// Whether the card gives a rate above that of 16 bits for products with weights of `dtype`, or
    /// none is needed.
    #[must_use]
    pub fn has_rate(&self, dtype: Dtype) -> bool {
        let sixteen_bits = matches!(dtype, Dtype::Bf16 | Dtype::Fp16);
        sixteen_bits || self.peak_tflops(dtype) > self.bf16_dense_tflops
    }

    /// Memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> f64 {
        self.memory_gb * f64::from(1_u32 << 30)
    }
}
