//! Round-trip times between places, looked up by name.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use super::{Population, Region, RoundTrips};

/// The shipped table.
const SHIPPED: &str = include_str!("../../../calibration/rtt.toml");

/// No round-trip time between two places is known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "no round-trip time between {a:?} and {b:?}: state network.rtt_ms.\"{a}/{b}\" in milliseconds"
)]
pub struct MissingRtt {
    /// One of them.
    pub a: String,
    /// The other.
    pub b: String,
}

/// Where a round-trip time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RttFrom {
    /// The user stated it.
    Stated,
    /// The shipped table has it: imported, and old.
    Table,
    /// It is the value within a region that the user stated.
    StatedWithin,
    /// It is the default within a region: assumed.
    AssumedWithin,
}

/// A table of round-trip times, as `calibration/rtt.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RttTable {
    /// Its name in scenarios.
    pub name: String,
    /// Where its figures come from.
    pub source: String,
    /// When they were measured.
    pub measured: String,
    /// What else is known of them.
    pub note: String,
    /// Within a region.
    pub inter_az: InterAz,
    rtt_ms: BTreeMap<String, f64>,
}

/// Round-trip times between availability zones of a region.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterAz {
    /// The default, milliseconds.
    pub rtt_ms: f64,
    /// Lowest that the source has, milliseconds.
    pub low_ms: f64,
    /// Highest that the source has, milliseconds.
    pub high_ms: f64,
}

impl RttTable {
    /// The table of `calibration/rtt.toml`: AWS regions in 2017.
    pub fn shipped() -> Result<RttTable, String> {
        toml::from_str(SHIPPED).map_err(|error| error.to_string())
    }

    /// The time between two places, milliseconds, the same both ways.
    pub fn between(&self, a: &str, b: &str) -> Result<f64, MissingRtt> {
        look_up(&self.rtt_ms, a, b).ok_or_else(|| missing(a, b))
    }

    /// The places it knows, sorted.
    pub fn places(&self) -> Vec<&str> {
        let pairs = self.rtt_ms.keys().filter_map(|pair| pair.split_once('/'));
        let mut places: Vec<&str> = pairs.flat_map(|(a, b)| [a, b]).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

fn missing(a: &str, b: &str) -> MissingRtt {
    MissingRtt {
        a: a.to_owned(),
        b: b.to_owned(),
    }
}

fn look_up(pairs: &BTreeMap<String, f64>, a: &str, b: &str) -> Option<f64> {
    let there = pairs.get(&format!("{a}/{b}"));
    there.or_else(|| pairs.get(&format!("{b}/{a}"))).copied()
}

/// Round-trip times between all regions, and from every population of clients to every region.
#[derive(Debug, Clone, PartialEq)]
pub struct RttMatrix {
    regions: usize,
    between: Vec<(f64, RttFrom)>,
    from_population: Vec<(f64, RttFrom)>,
}

impl RttMatrix {
    /// Looks up every pair. A stated pair goes before the table's; the first that is missing is an
    /// error that names both.
    pub fn new(
        regions: &[Region],
        populations: &[Population],
        stated: &RoundTrips,
        table: &RttTable,
    ) -> Result<RttMatrix, MissingRtt> {
        let ways = Ways { stated, table };
        let place_of = |name: &str| {
            let region = regions.iter().find(|region| region.name == name);
            region.map_or_else(|| name.to_owned(), |region| region.place().to_owned())
        };
        let mut between = Vec::with_capacity(regions.len() * regions.len());
        for a in regions {
            for b in regions {
                between.push(ways.find((&a.name, a.place()), (&b.name, b.place()))?);
            }
        }
        let mut from_population = Vec::with_capacity(populations.len() * regions.len());
        for population in populations {
            for region in regions {
                let (rtt, from) = match (&population.rtt_ms, &population.region) {
                    (Some(own), _) => {
                        let rtt = own.get(&region.name);
                        let rtt = rtt.ok_or_else(|| missing(&population.name, &region.name))?;
                        (*rtt, RttFrom::Stated)
                    }
                    (None, Some(home)) => {
                        let home = (home.as_str(), &*place_of(home));
                        ways.find(home, (&region.name, region.place()))?
                    }
                    (None, None) => return Err(missing(&population.name, &region.name)),
                };
                from_population.push((rtt + population.access_rtt_ms, from));
            }
        }
        Ok(RttMatrix {
            regions: regions.len(),
            between,
            from_population,
        })
    }

    /// Number of regions.
    pub fn regions(&self) -> usize {
        self.regions
    }

    /// Round-trip time between two regions by index, milliseconds. Of one with itself: between its
    /// availability zones.
    pub fn between_ms(&self, a: usize, b: usize) -> f64 {
        self.between[a * self.regions + b].0
    }

    /// Where [`RttMatrix::between_ms`] comes from.
    pub fn between_from(&self, a: usize, b: usize) -> RttFrom {
        self.between[a * self.regions + b].1
    }

    /// Round-trip time from a population of clients to a region by index, milliseconds, with that
    /// of the access network.
    pub fn from_population_ms(&self, population: usize, region: usize) -> f64 {
        self.from_population[population * self.regions + region].0
    }

    /// Where [`RttMatrix::from_population_ms`] comes from, the access network aside.
    pub fn from_population_from(&self, population: usize, region: usize) -> RttFrom {
        self.from_population[population * self.regions + region].1
    }
}

/// Where pairs are looked up. A place has its name in the scenario and one in the table.
struct Ways<'a> {
    stated: &'a RoundTrips,
    table: &'a RttTable,
}

impl Ways<'_> {
    fn find(&self, a: (&str, &str), b: (&str, &str)) -> Result<(f64, RttFrom), MissingRtt> {
        if a.0 == b.0 {
            return Ok(self.within());
        }
        if let Some(rtt) = look_up(&self.stated.rtt_ms, a.0, b.0) {
            return Ok((rtt, RttFrom::Stated));
        }
        if self.stated.rtt_table.as_deref() != Some(self.table.name.as_str()) {
            return Err(missing(a.0, b.0));
        }
        if a.1 == b.1 {
            return Ok(self.within());
        }
        match self.table.between(a.1, b.1) {
            Ok(rtt) => Ok((rtt, RttFrom::Table)),
            Err(_) => Err(missing(a.0, b.0)),
        }
    }

    fn within(&self) -> (f64, RttFrom) {
        match self.stated.inter_az_rtt_ms {
            Some(rtt) => (rtt, RttFrom::StatedWithin),
            None => (self.table.inter_az.rtt_ms, RttFrom::AssumedWithin),
        }
    }
}
