//! Checks of `[[faults.random]]`.

use super::super::FaultKind;
use super::super::random::{Component, RandomFaults, TimeBetweenFailures};
use super::target::{check_allowed, needs};
use super::{Place, check_kind};
use crate::scenario::problems::Problems;
use crate::scenario::validate::{MOST_S, check_law};

/// Longest mean time between failures, hours: a hundred million years.
const MOST_MTBF_H: f64 = 1e12;

pub(super) fn check_random(
    random: &RandomFaults,
    at: &str,
    place: Place<'_>,
    problems: &mut Problems<'_>,
) {
    problems.name(&format!("{at}.name"), &random.name);
    check_rate(random, at, problems);
    check_repair(random, at, problems);
    check_groups(random, at, place, problems);
    let path = format!("{at}.fault");
    let fits = matches!(
        random.fault,
        FaultKind::Crash {}
            | FaultKind::Hang {}
            | FaultKind::Slow { .. }
            | FaultKind::PacketLoss { .. }
            | FaultKind::BrownOut { .. }
    );
    if fits {
        check_kind(&random.fault, &path, problems);
    } else {
        let remedy = "use crash, hang, slow, packet_loss or brown_out";
        problems.push(&path, random.fault.name(), "cannot come at random", remedy);
    }
    if let TimeBetweenFailures::Weibull { shape } = random.distribution {
        problems.in_range(&format!("{at}.distribution.shape"), shape, 0.1, 20.0);
    }
}

fn check_rate(random: &RandomFaults, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    match (random.mtbf_h, random.preset) {
        (Some(hours), None) => {
            problems.in_range(&path("mtbf_h"), hours, 1e-6, MOST_MTBF_H);
        }
        (None, Some(_)) => {
            if random.component != Component::Gpu {
                let allowed = "is a rate per GPU";
                let remedy = "use component = \"gpu\", or give mtbf_h";
                problems.push(&path("preset"), "", allowed, remedy);
            }
        }
        (Some(hours), Some(_)) => {
            let remedy = "remove one of the two";
            let allowed = "cannot be stated beside preset";
            problems.push(&path("mtbf_h"), hours, allowed, remedy);
        }
        (None, None) => {
            let remedy = "for example mtbf_h = 50000";
            problems.push(at, "", "must state mtbf_h or preset", remedy);
        }
    }
}

fn check_repair(random: &RandomFaults, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    match (&random.mttr, random.mttr_s) {
        (Some(law), None) => check_law(law, &path("mttr"), problems),
        (None, Some(seconds)) => {
            problems.in_range(&path("mttr_s"), seconds, 1e-6, MOST_S);
        }
        (Some(_), Some(seconds)) => {
            let remedy = "remove one of the two";
            let allowed = "cannot be stated beside mttr";
            problems.push(&path("mttr_s"), seconds, allowed, remedy);
        }
        (None, None) => {
            let remedy = "for example mttr_s = 600";
            problems.push(at, "", "must state mttr or mttr_s", remedy);
        }
    }
}

fn check_groups(random: &RandomFaults, at: &str, place: Place<'_>, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    let whole = random.takes_whole_places();
    let what = match random.component {
        Component::Region if whole => needs(&["region"]),
        Component::Rack if whole => needs(&["rack"]),
        _ => needs(&["pool", "rack", "region"]),
    };
    if let Some(target) = &random.target {
        check_allowed(
            target,
            "this component",
            what,
            &path("target"),
            place,
            problems,
        );
    } else if whole {
        let none = match random.component {
            Component::Region => place.layout.regions.is_empty(),
            _ => place.racks.is_empty(),
        };
        if none {
            let allowed = "has none to fail in this scenario";
            let remedy = "add [[regions]] or [[faults.racks]], or give group_size";
            problems.push(&path("component"), "", allowed, remedy);
        }
    }
    if let Some(size) = random.group_size {
        let most = match random.component {
            Component::Gpu => 1,
            _ => u64::from(place.layout.replicas()).max(1),
        };
        problems.int_in_range(&path("group_size"), u64::from(size), 1, most);
    }
    if let Some(count) = random.components_per_group {
        let count = u64::from(count);
        problems.int_in_range(&path("components_per_group"), count, 1, 100_000);
    }
}
