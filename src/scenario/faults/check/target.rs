//! Checks of what a fault befalls.

use super::super::{Target, TimedFault};
use super::{Place, allowed};
use crate::scenario::problems::Problems;
use crate::scenario::suggest::nearest;

/// What may be a target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    fields: &'static [&'static str],
    none: bool,
}

/// One of these fields is needed.
pub(super) fn needs(fields: &'static [&'static str]) -> Allowed {
    Allowed {
        fields,
        none: false,
    }
}

impl Allowed {
    /// It may also be left out.
    pub(super) fn or_none(self) -> Allowed {
        Allowed { none: true, ..self }
    }

    fn shown(self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|field| format!("{{ {field} = \"name\" }}"))
            .collect();
        fields.join(" or ")
    }
}

/// Checks the target of a timed fault.
pub(super) fn check_target(
    fault: &TimedFault,
    at: &str,
    place: Place<'_>,
    problems: &mut Problems<'_>,
) {
    let what = allowed(&fault.fault);
    match &fault.target {
        Some(target) => check_allowed(target, fault.fault.name(), what, at, place, problems),
        None if what.none => {}
        None => {
            let remedy = format!("write target = {}", what.shown());
            let allowed = format!("is needed by {}", fault.fault.name());
            problems.push(at, "", &allowed, &remedy);
        }
    }
}

/// Checks that a target is one of what is allowed, and that all it names is there.
pub(super) fn check_allowed(
    target: &Target,
    user: &str,
    what: Allowed,
    at: &str,
    place: Place<'_>,
    problems: &mut Problems<'_>,
) {
    let given = [
        ("pool", &target.pool),
        ("region", &target.region),
        ("rack", &target.rack),
        ("population", &target.population),
    ];
    let given: Vec<(&str, &String)> = given
        .into_iter()
        .filter_map(|(field, name)| Some((field, name.as_ref()?)))
        .collect();
    let [(field, name)] = given[..] else {
        let remedy = format!("write target = {}", what.shown());
        let allowed = "must name exactly one of pool, region, rack and population";
        problems.push(at, "", allowed, &remedy);
        return;
    };
    if !what.fields.contains(&field) {
        let allowed = format!("cannot be the target of {user}");
        let remedy = format!("write target = {}", what.shown());
        problems.push(
            &format!("{at}.{field}"),
            format!("{name:?}"),
            &allowed,
            &remedy,
        );
        return;
    }
    let names: Vec<&str> = match field {
        "pool" => place
            .layout
            .pools
            .iter()
            .map(|it| it.name.as_str())
            .collect(),
        "region" => place.layout.regions.iter().map(String::as_str).collect(),
        "rack" => place.racks.iter().map(|it| it.name.as_str()).collect(),
        _ => place
            .layout
            .populations
            .iter()
            .map(String::as_str)
            .collect(),
    };
    if known(
        &format!("{at}.{field}"),
        name,
        field,
        names.into_iter(),
        problems,
    ) {
        check_part(target, at, place, problems);
    }
}

/// Checks `replica` and `share`.
fn check_part(target: &Target, at: &str, place: Place<'_>, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    let Some(pool) = &target.pool else {
        let parts = [target.replica.is_some(), target.share.is_some()];
        for (field, _) in ["replica", "share"].iter().zip(parts).filter(|it| it.1) {
            let remedy = "name a pool, or leave it out";
            problems.push(&path(field), "", "only goes with pool", remedy);
        }
        return;
    };
    let pool = place.layout.pool(pool).unwrap_or(0);
    if let Some(replica) = target.replica {
        let last = u64::from(place.layout.pools[pool].replicas).saturating_sub(1);
        problems.int_in_range(&path("replica"), u64::from(replica), 0, last);
    }
    if let Some(share) = target.share {
        problems.positive(&path("share"), share, 1.0);
        if target.replica.is_some() {
            let remedy = "remove one of the two";
            problems.push(
                &path("share"),
                share,
                "cannot be stated beside replica",
                remedy,
            );
        }
    }
}

/// Notes a name that is not there, with the nearest that is.
pub(super) fn known<'n>(
    path: &str,
    name: &str,
    what: &str,
    mut names: impl Iterator<Item = &'n str> + Clone,
    problems: &mut Problems<'_>,
) -> bool {
    let all = names.clone();
    let fine = names.any(|other| other == name);
    if !fine {
        let table = match what {
            "rack" => "[[faults.racks]]".to_owned(),
            "population" => "[[populations]]".to_owned(),
            other => format!("[[{other}s]]"),
        };
        let remedy = match nearest(name, all) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("name one of {table}, or add it there"),
        };
        let allowed = format!("is not the name of one of {table}");
        problems.push(path, format!("{name:?}"), &allowed, &remedy);
    }
    fine
}
