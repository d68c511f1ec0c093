//! `[cost]`: prices, and what power and moved bytes are taken to be.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problems::Problems;

/// `[cost]`: prices of accelerators that are there all the time, and of nodes that state none of
/// their own; the user's price book; energy and moved bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cost {
    /// On-demand price of one accelerator, US dollars per hour. Pools need it that no
    /// `[[capacity.groups]]` are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_demand_usd_per_gpu_hour: Option<f64>,
    /// Spot price of one accelerator, US dollars per hour. Needed when `spot_share` is above 0.
    pub spot_usd_per_gpu_hour: Option<f64>,
    /// Share of the accelerators bought as spot, 0 to 1, of pools that are there all the time.
    /// Default 0.
    pub spot_share: f64,
    /// A price file of the form of `calibration/prices.toml`, laid over that one: its entries go
    /// before those shipped for the same thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_book: Option<PathBuf>,
    /// Whether energy and carbon are worked out. Default: not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<EnergyRule>,
    /// Whether moved bytes are paid for. Default: not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressRule>,
    /// Bytes that are stored and paid for: request logs, copies, backups. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageRule>,
}

/// `[cost.storage]`: bytes that are kept all the time, at the price book's prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageRule {
    /// Provider, as the book has it.
    pub provider: String,
    /// Class of storage, as the book has it: `object` or `block-ssd`, say.
    pub class: String,
    /// How much, GB (10^9 bytes), all copies together, 0 to 1e9.
    pub gb: f64,
}

/// `[cost.energy]`: what nodes draw while they are ready. A busy accelerator is taken to draw its
/// TDP, which is an upper bound: decoding draws less.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnergyRule {
    /// What a busy accelerator draws, watts. Default: the TDP of the pool's card; pools whose
    /// accelerators have no card with one need this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_w_per_gpu: Option<f64>,
    /// The same of single parts, by the name of the accelerator: goes before `busy_w_per_gpu`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub busy_w_by_part: BTreeMap<String, f64>,
    /// What an idle one draws, watts. Default: the price book's share of what a busy one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_w_per_gpu: Option<f64>,
    /// What the rest of a node draws all the time, watts per accelerator. Default 0.
    pub host_w_per_gpu: f64,
    /// Power usage effectiveness: the site's draw over that of its machines, 1 to 10. Default: the
    /// price book's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pue: Option<f64>,
    /// Price of a kWh, US dollars, where power is paid for apart from nodes. Default: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usd_per_kwh: Option<f64>,
    /// Grams of CO2 per kWh, everywhere. Default: what the price book has for each region (by its
    /// `place`), else the world's mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub g_co2_per_kwh: Option<f64>,
}

/// `[cost.egress]`: bytes that leave a region, at the price book's prices. Counted are the requests
/// answered within the measured window: prompts and answers between a gateway and a replica in
/// another region, and answers from gateways to clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EgressRule {
    /// Provider, as the book has it.
    pub provider: String,
    /// Bytes of a prompt token on the wire, 0 to 1e6. Default 5: text alone, an assumption.
    #[serde(default = "five")]
    pub bytes_per_prompt_token: f64,
    /// Bytes of an output token on the wire, 0 to 1e6. Default 5: text alone, an assumption; a
    /// stream with an event for each token takes about 200.
    #[serde(default = "five")]
    pub bytes_per_output_token: f64,
    /// Whether answers to clients are paid for as traffic to the internet. Default true.
    #[serde(default = "yes")]
    pub to_clients: bool,
}

fn five() -> f64 {
    5.0
}
fn yes() -> bool {
    true
}

impl Cost {
    /// What a mix of both markets costs an accelerator and hour; none without a price.
    pub fn blended_usd_per_gpu_hour(&self) -> Option<f64> {
        let on_demand = self.on_demand_usd_per_gpu_hour?;
        // Without a spot price the share is 0 (validated), so that the price does not matter.
        let spot = self.spot_usd_per_gpu_hour.unwrap_or(on_demand);
        Some(self.spot_share * spot + (1.0 - self.spot_share) * on_demand)
    }

    /// Notes everything that is wrong with it.
    pub fn check(&self, problems: &mut Problems<'_>) {
        for (field, price) in [
            (
                "cost.on_demand_usd_per_gpu_hour",
                self.on_demand_usd_per_gpu_hour,
            ),
            ("cost.spot_usd_per_gpu_hour", self.spot_usd_per_gpu_hour),
        ] {
            if let Some(price) = price {
                problems.non_negative(field, price, 1e6);
            }
        }
        problems.in_range("cost.spot_share", self.spot_share, 0.0, 1.0);
        let prices = self
            .on_demand_usd_per_gpu_hour
            .and(self.spot_usd_per_gpu_hour);
        if self.spot_share > 0.0 && prices.is_none() {
            problems.push(
                "cost.spot_share",
                self.spot_share,
                "needs both prices",
                "state cost.spot_usd_per_gpu_hour and cost.on_demand_usd_per_gpu_hour",
            );
        }
        if *self == Cost::default() {
            let remedy =
                "state on_demand_usd_per_gpu_hour, energy, egress or storage, or remove the table";
            problems.push("cost", "", "states nothing", remedy);
        }
        if let Some(energy) = &self.energy {
            energy.check(problems);
        }
        if let Some(storage) = &self.storage {
            problems.non_negative("cost.storage.gb", storage.gb, 1e9);
        }
        if let Some(egress) = &self.egress {
            for (field, bytes) in [
                ("bytes_per_prompt_token", egress.bytes_per_prompt_token),
                ("bytes_per_output_token", egress.bytes_per_output_token),
            ] {
                problems.non_negative(&format!("cost.egress.{field}"), bytes, 1e6);
            }
        }
    }
}

impl EnergyRule {
    fn check(&self, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("cost.energy.{field}");
        for (field, watts) in [
            ("busy_w_per_gpu", self.busy_w_per_gpu),
            ("idle_w_per_gpu", self.idle_w_per_gpu),
            ("host_w_per_gpu", Some(self.host_w_per_gpu)),
        ] {
            if let Some(watts) = watts {
                problems.non_negative(&path(field), watts, 1e5);
            }
        }
        for (part, watts) in &self.busy_w_by_part {
            let at = path(&format!("busy_w_by_part.{part}"));
            problems.non_negative(&at, *watts, 1e5);
        }
        if let (Some(busy), Some(idle)) = (self.busy_w_per_gpu, self.idle_w_per_gpu)
            && idle > busy
        {
            let allowed = format!("must be at most busy_w_per_gpu = {busy}");
            problems.push(&path("idle_w_per_gpu"), idle, &allowed, "lower it");
        }
        if let Some(pue) = self.pue {
            problems.in_range(&path("pue"), pue, 1.0, 10.0);
        }
        if let Some(price) = self.usd_per_kwh {
            problems.non_negative(&path("usd_per_kwh"), price, 100.0);
        }
        if let Some(grams) = self.g_co2_per_kwh {
            problems.non_negative(&path("g_co2_per_kwh"), grams, 1e5);
        }
    }
}
