//! Checks of regions, clients and round-trip times.

use std::collections::BTreeMap;

use super::{MOST_REGIONS, Population, Region, RoundTrips, RttMatrix, RttTable};
use crate::scenario::problems::Problems;
use crate::scenario::suggest::nearest;

/// Longest round-trip time, milliseconds.
const MOST_RTT_MS: f64 = 600_000.0;

impl RoundTrips {
    /// Notes everything that is wrong with regions, clients and the times between them. `at` is
    /// the path of the table that holds the times, `network`; the others are `regions` and
    /// `clients`.
    pub fn check(
        &self,
        at: &str,
        regions: &[Region],
        populations: &[Population],
        problems: &mut Problems<'_>,
    ) {
        let table = match RttTable::shipped() {
            Ok(table) => table,
            Err(reason) => {
                problems.push(&format!("{at}.rtt_table"), "", &reason, "");
                return;
            }
        };
        check_regions(regions, problems);
        check_populations(populations, problems);
        let mut places: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
        if self.rtt_table.is_some() {
            places.extend(table.places());
        }
        let homes = populations.iter().filter_map(|it| it.region.as_deref());
        let mut stated = places.clone();
        stated.extend(homes);
        self.check_pairs(&format!("{at}.rtt_ms"), &stated, problems);
        if let Some(rtt) = self.inter_az_rtt_ms {
            problems.non_negative(&format!("{at}.inter_az_rtt_ms"), rtt, MOST_RTT_MS);
        }
        if let Some(name) = &self.rtt_table
            && *name != table.name
        {
            let allowed = format!("is not a shipped table; there is {:?}", table.name);
            let remedy = "use that, or state network.rtt_ms";
            let path = format!("{at}.rtt_table");
            problems.push(&path, format!("{name:?}"), &allowed, remedy);
        }
        let fine = problems.is_empty();
        let missing = RttMatrix::new(regions, populations, self, &table).err();
        if let Some(missing) = missing.filter(|_| fine) {
            let (a, b) = (&missing.a, &missing.b);
            let own = populations
                .iter()
                .position(|it| it.name == *a && it.rtt_ms.is_some());
            if let Some(index) = own {
                problems.push(
                    &format!("populations.{index}.rtt_ms"),
                    "",
                    &format!("has no round-trip time to region {b:?}"),
                    &format!("add {b} in milliseconds"),
                );
                return;
            }
            let allowed = format!("has no round-trip time between {a:?} and {b:?}");
            let remedy = format!("add \"{a}/{b}\" in milliseconds, or rtt_table = \"aws-2017\"");
            problems.push(&format!("{at}.rtt_ms"), "", &allowed, &remedy);
        }
    }

    fn check_pairs(&self, at: &str, places: &[&str], problems: &mut Problems<'_>) {
        let mut seen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (pair, rtt) in &self.rtt_ms {
            let path = format!("{at}.\"{pair}\"");
            problems.non_negative(&path, *rtt, MOST_RTT_MS);
            let Some((a, b)) = pair.split_once('/') else {
                let remedy = "write \"a/b\" = milliseconds";
                problems.push(&path, rtt, "must name two regions joined by `/`", remedy);
                continue;
            };
            if a == b {
                let remedy = "state inter_az_rtt_ms for the time within regions";
                problems.push(&path, rtt, "must name two different regions", remedy);
            }
            for name in [a, b] {
                if !places.contains(&name) {
                    let remedy = match nearest(name, places.iter().copied()) {
                        Some(near) => format!("did you mean {near:?}?"),
                        None => "add it to [[regions]], or take the pair away".to_owned(),
                    };
                    let allowed = format!("names {name:?}, which is not a region");
                    problems.push(&path, rtt, &allowed, &remedy);
                }
            }
            if let Some(other) = seen.insert((a.min(b), a.max(b)), pair) {
                let allowed = format!("is stated as \"{other}\" too; times are the same both ways");
                problems.push(&path, rtt, &allowed, "remove one of the two");
            }
        }
    }
}

fn check_regions(regions: &[Region], problems: &mut Problems<'_>) {
    problems.unique("regions", regions.iter().map(|region| region.name.as_str()));
    if regions.len() > MOST_REGIONS {
        let allowed = format!("must be {MOST_REGIONS} regions at most");
        problems.push("regions", regions.len(), &allowed, "merge some");
    }
    for (index, region) in regions.iter().enumerate() {
        let path = |field: &str| format!("regions.{index}.{field}");
        problems.name(&path("name"), &region.name);
        let gateways = u64::from(region.gateways);
        problems.int_in_range(&path("gateways"), gateways, 1, 1_000);
    }
}

fn check_populations(populations: &[Population], problems: &mut Problems<'_>) {
    problems.unique("populations", populations.iter().map(|it| it.name.as_str()));
    if populations.len() > 1_000 {
        let allowed = "must be 1,000 populations at most";
        problems.push("populations", populations.len(), allowed, "merge some");
    }
    for (index, population) in populations.iter().enumerate() {
        let at = format!("populations.{index}");
        let path = |field: &str| format!("{at}.{field}");
        problems.name(&path("name"), &population.name);
        problems.positive(&path("share"), population.share, 1e9);
        let users = u64::from(population.users);
        problems.int_in_range(&path("users"), users, 1, 100_000_000);
        problems.non_negative(
            &path("access_rtt_ms"),
            population.access_rtt_ms,
            MOST_RTT_MS,
        );
        for (region, rtt) in population.rtt_ms.iter().flatten() {
            let path = path(&format!("rtt_ms.{region}"));
            problems.non_negative(&path, *rtt, MOST_RTT_MS);
        }
        let (allowed, remedy) = match (&population.region, &population.rtt_ms) {
            (None, None) => ("must state region or rtt_ms", "say where they are"),
            (Some(_), Some(_)) => (
                "cannot state region beside rtt_ms",
                "remove one of the two; access_rtt_ms adds to the way from a region",
            ),
            _ => continue,
        };
        problems.push(&at, "", allowed, remedy);
    }
}
