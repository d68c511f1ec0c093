//! `[[regions]]`, `[[populations]]` and the round-trip times between them.

mod check;
mod rtt;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::rtt::{InterAz, MissingRtt, RttFrom, RttMatrix, RttTable};

/// Most regions: their health is kept in the bits of one word.
pub const MOST_REGIONS: usize = 64;

/// A region: gateways, and the pools that name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Name, unique, of letters, digits, `_` and `-`.
    pub name: String,
    /// Gateway replicas, 1 to 1,000. Default 1.
    #[serde(default = "one")]
    pub gateways: u32,
    /// What the shipped table of round-trip times calls the region (`us-east-1`). Default: its
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Region {
    /// What the shipped table calls it.
    pub fn place(&self) -> &str {
        self.place.as_deref().unwrap_or(&self.name)
    }
}

/// A population of clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Name, unique, of letters, digits, `_` and `-`.
    pub name: String,
    /// Where they are: a region of `[[regions]]`, or another place of the table of round-trip
    /// times. Give this or `rtt_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Round-trip time to every region, milliseconds. Give this or `region`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<BTreeMap<String, f64>>,
    /// Round-trip time of their access network, added to the way to every region, milliseconds.
    /// Default 0.
    #[serde(default)]
    pub access_rtt_ms: f64,
    /// Their share of all requests, above 0; shares are divided by their sum. Default 1.
    #[serde(default = "one_f64")]
    pub share: f64,
    /// How many users they are, 1 to 100,000,000: each request is of one of them, all alike. Counts
    /// of users who were ever hit by a fault rest on it. Default 1,000,000.
    #[serde(default = "one_million")]
    pub users: u32,
}

/// How far regions are from one another: fields of `[network]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoundTrips {
    /// Round-trip times between regions, milliseconds: `"a/b" = 80`, the same both ways.
    pub rtt_ms: BTreeMap<String, f64>,
    /// A shipped table for the pairs that `rtt_ms` does not state: `"aws-2017"`, which is old.
    /// Default: none; a pair that is missing is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_table: Option<String>,
    /// Round-trip time within a region, between availability zones, milliseconds. Default 1, an
    /// assumption; measurements give 0.25 to 3.4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter_az_rtt_ms: Option<f64>,
}

fn one() -> u32 {
    1
}
fn one_million() -> u32 {
    1_000_000
}
fn one_f64() -> f64 {
    1.0
}
