//! What to beware of in a fit.

use super::fitted::{Estimate, Fit};
use super::flat::Flat;
use crate::calibrate::regression::identifiability::MOST_CONDITION;
use crate::report::number::significant;

/// Measured means for each unknown below which it is warned of.
const FEW_PER_UNKNOWN: usize = 3;

/// Median errors from here on, percent, are told: profiles that describe their servers are well below
/// (3 to 9 % for those that this was tried with).
pub const MOST_MEDIAN_PCT: f64 = 15.0;

/// What to beware of, in sentences: `flats` are unknowns that move nothing, `free` ones were fitted.
pub fn warnings(fit: &Fit, flats: &[Flat], free: usize) -> Vec<String> {
    let mut found = Vec::new();
    if !fit.settled {
        found.push(format!(
            "the search has not settled after {} steps: another fit may be better. Hold an unknown \
             (--hold NAME=VALUE), or see which rows are unlike the others",
            fit.steps
        ));
    }
    found.extend(far_off(fit));
    for set in &fit.confounded {
        let correlation = fit
            .correlations
            .iter()
            .find(|(one, other, _)| set.contains(one) && set.contains(other))
            .map_or_else(String::new, |(_, _, value)| {
                format!(" (correlation of the estimates {value:.3})")
            });
        found.push(format!(
            "{} cannot be told apart by these rows{correlation}: only what they do together is fitted. \
             Hold one of them (--hold {}=VALUE), or measure other concurrencies and lengths",
            words(set),
            set.last().copied().unwrap_or_default()
        ));
    }
    let idle_ones = flats.iter().filter(|flat| flat.idle).count();
    let ill = fit
        .condition
        .is_none_or(|condition| condition > MOST_CONDITION);
    if ill && fit.confounded.is_empty() && free > 1 && idle_ones + 1 < free {
        let condition = fit.condition.unwrap_or(f64::INFINITY);
        found.push(format!(
            "the design is nearly singular (condition {condition:.0}, strong from {MOST_CONDITION} on)"
        ));
    }
    found.extend(flats.iter().map(idle));
    for one in fit.parameters.iter().filter(|one| one.at_bound) {
        if !flats.iter().any(|flat| flat.parameter.name() == one.name) {
            found.push(at_least(fit, one));
        }
    }
    let means = 2 * fit.rows.len();
    if means < FEW_PER_UNKNOWN * free {
        found.push(format!(
            "{means} means for {free} unknowns: a fit to so few follows their noise"
        ));
    }
    if fit.unseen.scored < fit.rows.len() {
        let missing = fit.rows.len() - fit.unseen.scored;
        found.push(format!(
            "{missing} rows could not be left out, since the others do not decide the unknowns: errors \
             on rows not seen are of the rest"
        ));
    }
    found
}

/// Times that the fit does not describe.
fn far_off(fit: &Fit) -> Vec<String> {
    let kinds = [
        ("TTFT", fit.unseen.ttft, fit.seen.ttft),
        ("TPOT", fit.unseen.tpot, fit.seen.tpot),
    ];
    let told = kinds.into_iter().filter_map(|(name, unseen, seen)| {
        let unseen = unseen.median_abs_pct.map(|pct| (pct, "not seen"));
        let seen = seen.median_abs_pct.map(|pct| (pct, "seen"));
        let both = [unseen, seen].into_iter().flatten();
        let (pct, on) = both.max_by(|one, other| one.0.total_cmp(&other.0))?;
        (pct >= MOST_MEDIAN_PCT).then(|| {
            format!(
                "the fit does not describe {name}: {pct:.1} % off in the median of rows {on} ({MOST_MEDIAN_PCT:.0} \
                 % and more is told). The simulated server is not the one that was measured: state its \
                 settings (--set pools.0.FIELD=VALUE), see which rows are unlike the others, or do not trust \
                 {name} of this profile"
            )
        })
    });
    told.collect()
}

/// Of an unknown that moves nothing where the fit is.
fn idle(flat: &Flat) -> String {
    let name = flat.parameter.name();
    if flat.everywhere() || !flat.is_wide() {
        return format!(
            "{name} moves none of these rows: its value says nothing. Hold it (--hold {name}=VALUE)"
        );
    }
    let short = |value: f64| significant(Some(value));
    format!(
        "{name} moves none of these rows between {} and {}, where the fit is: they say no more of it. {} is \
         written; hold what you know (--hold {name}=VALUE)",
        short(flat.low),
        short(flat.high),
        short(flat.written)
    )
}

/// Of an unknown at its least value.
fn at_least(fit: &Fit, one: &Estimate) -> String {
    let (name, value) = (one.name, one.value);
    let sets = fit.confounded.iter();
    let others: Vec<&str> = sets
        .filter(|set| set.contains(&name))
        .flat_map(|set| set.iter().copied().filter(|other| *other != name))
        .collect();
    match others.as_slice() {
        [] => format!(
            "{name} is at its least value, {value}: the rows would have it lower still, so that something \
             else is taken for too slow"
        ),
        others => format!(
            "{name} is at its least value, {value}: what it takes may be in {}, which these rows cannot \
             tell from it",
            words(others)
        ),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn words(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
