//! The entries of a price file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::SimDuration;
use crate::money::bill::{BilledFrom, BillingRule};

/// The destination of bytes that leave the provider's network.
pub const INTERNET: &str = "internet";
/// The destination of bytes that go to another availability zone of the region they are in.
pub const SAME_REGION: &str = "same-region";

/// Whether a figure was read in a document or is only assumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Read in the document or data set that `source` names.
    Documented,
    /// Not checked against a document: `source` says what it is commonly stated as. Also what an entry
    /// of a user's is that does not say.
    #[default]
    Assumed,
}

/// What an accelerator costs by the hour at a provider, in a region.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// Who sells it.
    pub provider: String,
    /// The accelerator card's name, such as `h100-sxm`.
    pub part: String,
    /// The provider's name of the region, `*` for all of its regions.
    pub region: String,
    /// Accelerators of a node, which is what is rented: 1 to 1024.
    pub gpus_per_node: u32,
    /// On demand, US dollars per accelerator and hour: above 0, at most 1000.
    pub on_demand_usd_per_gpu_hour: f64,
    /// On the spot market, US dollars per accelerator and hour: above 0, at most 1000. Absent where there
    /// is no such market. It may reach or exceed the on-demand price, see [`Compute::remark`].
    pub spot_usd_per_gpu_hour: Option<f64>,
    /// Where the prices come from.
    pub source: String,
    /// When they held: `2026`, `2026-04`, `2026-04-30`, or two of these with a `/` between.
    pub as_of: String,
    /// Documented or assumed.
    #[serde(default)]
    pub kind: Kind,
    /// What else is known of them.
    #[serde(default)]
    pub note: String,
}

impl Compute {
    /// The share of the on-demand price that spot saves, below 1 and possibly negative; `None` without a
    /// spot price.
    #[must_use]
    pub fn spot_discount(&self) -> Option<f64> {
        self.spot_usd_per_gpu_hour
            .map(|spot| 1.0 - spot / self.on_demand_usd_per_gpu_hour)
    }

    /// What is odd about a spot price at or above the on-demand one; `None` for any other.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let spot = self.spot_usd_per_gpu_hour?;
        let on_demand = self.on_demand_usd_per_gpu_hour;
        let name = super::check::label(self);
        if spot > on_demand {
            Some(format!(
                "{name}: spot at ${spot} an hour is above on-demand at ${on_demand}, so that spot saves nothing"
            ))
        } else if spot == on_demand {
            Some(format!(
                "{name}: spot equals on-demand at ${spot} an hour, which usually means that there was no spare capacity"
            ))
        } else {
            None
        }
    }
}

/// How committed capacity is paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upfront {
    /// By the hour, for the whole term.
    None,
    /// In part at the start.
    Partial,
    /// At the start.
    All,
    /// Bought: the rate is the total cost of owning it.
    Owned,
}

impl Upfront {
    /// As written in a price file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Upfront::None => "none",
            Upfront::Partial => "partial",
            Upfront::All => "all",
            Upfront::Owned => "owned",
        }
    }
}

/// What committed or owned capacity costs, used or not.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    /// Who sells it, or how it is owned.
    pub provider: String,
    /// The accelerator card's name, `*` for all of the provider's.
    pub part: String,
    /// Years committed to, 1 to 10; absent for what is owned.
    pub term_years: Option<u32>,
    /// How it is paid for.
    pub upfront: Upfront,
    /// The share of the on-demand price that is saved, above 0 and below 1; this or the next is given.
    pub discount: Option<f64>,
    /// US dollars per accelerator and hour, upfront payments spread over the term: above 0, at most 1000.
    pub usd_per_gpu_hour: Option<f64>,
    /// Where the price comes from.
    pub source: String,
    /// When it held, written as in [`Compute::as_of`].
    pub as_of: Option<String>,
    /// Documented or assumed.
    #[serde(default)]
    pub kind: Kind,
    /// What else is known of it.
    #[serde(default)]
    pub note: String,
}

impl Reserved {
    /// US dollars per accelerator and hour where on demand costs `on_demand_usd_per_gpu_hour`, which
    /// matters for a discount only.
    #[must_use]
    pub fn rate_usd_per_gpu_hour(&self, on_demand_usd_per_gpu_hour: f64) -> f64 {
        self.usd_per_gpu_hour
            .unwrap_or_else(|| on_demand_usd_per_gpu_hour * (1.0 - self.discount.unwrap_or(0.0)))
    }
}

/// A term as a name: `3-years`, or `no-term`.
pub(super) fn term_name(term_years: Option<u32>) -> String {
    term_years.map_or_else(|| String::from("no-term"), |years| format!("{years}-years"))
}

/// How a provider bills a node's time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// The provider, `*` for those without an entry of their own.
    pub provider: String,
    /// Time is rounded up to a multiple of this many seconds: above 0, at most 2,678,400 (31 days).
    pub granularity_s: f64,
    /// The least that is billed, seconds: 0 to 2,678,400.
    pub minimum_s: f64,
    /// The instant from which a node is billed.
    pub billed_from: BilledFrom,
    /// Where this comes from.
    pub source: String,
    /// Documented or assumed.
    pub kind: Kind,
    /// When it held, written as in [`Compute::as_of`].
    pub as_of: Option<String>,
}

impl Billing {
    /// The rule as [`crate::money::bill`] applies it, to the nearest nanosecond (at least 1 of granularity).
    #[must_use]
    pub fn rule(&self) -> BillingRule {
        // Both were checked to be far below 2^64 nanoseconds; `as` would saturate.
        let ns = |seconds: f64| (seconds * 1e9).round() as u64;
        BillingRule {
            granularity: SimDuration(ns(self.granularity_s).max(1)),
            minimum: SimDuration(ns(self.minimum_s)),
            from: self.billed_from,
        }
    }
}

/// What bytes that leave a region cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// The provider that sends.
    pub provider: String,
    /// The region they leave, `*` for all.
    pub from: String,
    /// The region they go to, `*` for any other region, [`INTERNET`] or [`SAME_REGION`].
    pub to: String,
    /// US dollars per 1e9 bytes: 0 to 100.
    pub usd_per_gb: f64,
    /// Where this comes from.
    pub source: String,
    /// Documented or assumed.
    pub kind: Kind,
    /// When it held, written as in [`Compute::as_of`].
    pub as_of: Option<String>,
}

/// What stored bytes cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The provider.
    pub provider: String,
    /// The class of storage, such as `object` or `block-ssd`.
    pub class: String,
    /// US dollars per 1e9 bytes and month: above 0, at most 100.
    pub usd_per_gb_month: f64,
    /// Where this comes from.
    pub source: String,
    /// Documented or assumed.
    pub kind: Kind,
    /// When it held, written as in [`Compute::as_of`].
    pub as_of: Option<String>,
}

/// The CO2 of a kWh in a region.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carbon {
    /// The region, `*` for those without an entry of their own.
    pub region: String,
    /// Grams of CO2 (equivalent) per kWh drawn from the grid, on average: above 0, at most 2000.
    pub g_co2_per_kwh: f64,
    /// Where this comes from.
    pub source: String,
    /// Documented or assumed.
    pub kind: Kind,
    /// When it held, written as in [`Compute::as_of`].
    pub as_of: Option<String>,
}

/// Assumptions about power.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Power usage effectiveness: the site's draw over its machines', 1 to 3.
    pub pue: f64,
    /// What an idle accelerator draws, as a share of its TDP: above 0, at most 1.
    pub idle_share_of_tdp: f64,
    /// Where this comes from.
    pub source: String,
    /// Documented or assumed.
    pub kind: Kind,
    /// When it held, written as in [`Compute::as_of`].
    pub as_of: Option<String>,
}
