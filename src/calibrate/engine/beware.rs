//! What to beware of in a fit.

use super::fitted::Fit;
use crate::calibrate::regression::identifiability::MOST_CONDITION;

/// Measured means for each unknown below which it is warned of.
const FEW_PER_UNKNOWN: usize = 3;

/// What to beware of, in sentences: `idle` unknowns move nothing, `free` ones were fitted.
pub fn warnings(fit: &Fit, idle: &[&str], free: usize) -> Vec<String> {
    let mut found = Vec::new();
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
    let ill = fit
        .condition
        .is_none_or(|condition| condition > MOST_CONDITION);
    if ill && fit.confounded.is_empty() && free > 1 && idle.len() + 1 < free {
        let condition = fit.condition.unwrap_or(f64::INFINITY);
        found.push(format!(
            "the design is nearly singular (condition {condition:.0}, strong from {MOST_CONDITION} on)"
        ));
    }
    for name in idle {
        found.push(format!(
            "{name} moves none of these rows: its value says nothing. Hold it (--hold {name}=VALUE)"
        ));
    }
    for one in fit.parameters.iter().filter(|one| one.at_bound) {
        if !idle.contains(&one.name) {
            let (name, value) = (one.name, one.value);
            found.push(format!(
                "{name} is at its least value, {value}: the rows would have it lower still, so that \
                 something else is taken for too slow"
            ));
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

/// `a`, `a and b`, `a, b and c`.
fn words(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
