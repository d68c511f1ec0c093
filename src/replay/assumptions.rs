//! What a replay takes to be so, that nobody has seen.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lengths::calm_tells;
use super::night::Night;
use super::window::Window;
use crate::report::number::{percent, plural};
use crate::scenario::schema::Scenario;
use crate::scenario::workload::PrefixSharing;

/// In words, those of the scenario first.
pub(super) fn of(scenario: &Scenario, night: &Night, calm: &Window) -> Vec<String> {
    let mut all = scenario.assumptions.clone();
    all.extend(zero(scenario, night));
    all.push(prefixes(scenario, night));
    all.extend(caches(night));
    let inferred = night.lengths.inferred;
    if inferred > 0 {
        all.push(format!(
            "Lengths of {} are inferred, once for all simulated nights: limits say nothing of how far those that \
             were are from them.",
            plural(inferred, "request")
        ));
    }
    all.extend(drawn(night, calm));
    all
}

/// What stands for the lengths that the log does not tell.
fn drawn(night: &Night, calm: &Window) -> Option<String> {
    let drawn = night.lengths.drawn_in_words()?;
    let requests = &night.requests[night.within(calm)];
    let failed = requests.iter().filter(|it| !it.is_answered()).count() as u64;
    let biased = match failed {
        0 => String::new(),
        failed => format!(
            "long ones failed in the calm window, too ({} of it had no answer), or ",
            plural(failed, "request")
        ),
    };
    let source = match calm_tells(night, calm) {
        true => "those that were had in the calm window".to_owned(),
        false => "those of the whole log, as too few were had in the calm window".to_owned(),
    };
    Some(format!(
        "The log does not tell how long {drawn} are or would have been (what failed has no answer to count). They \
         are drawn anew for each simulated night from {source}, answers whatever the prompt, so that what \
         arrives about then, answered or not, asks for as much as those did. Where {biased}an incident brought \
         longer or shorter ones, this is wrong."
    ))
}

/// Where time 0 is in a log with dates: what the scenario says of times counts from there.
fn zero(scenario: &Scenario, night: &Night) -> Option<String> {
    let zero_ns = i128::from(night.zero_ns?);
    let zero = OffsetDateTime::from_unix_timestamp_nanos(zero_ns).ok()?;
    let zero = zero.format(&Rfc3339).ok()?;
    let taken = match night.clock.stated {
        true => "as --start says",
        false => "the first request of the log (--start says otherwise)",
    };
    let clock = scenario.run.clock.as_ref();
    let clock = clock.map_or_else(String::new, |clock| {
        format!(
            ", whatever run.clock says ({}), which is for accounts alone",
            clock.start
        )
    });
    Some(format!(
        "Time 0, from which faults and rates of the scenario count, is {zero}, {taken}{clock}."
    ))
}

/// What prompts have in common.
fn prefixes(scenario: &Scenario, night: &Night) -> String {
    let hashed = night.reuse.with_blocks;
    if !matches!(
        scenario.workload.prefix,
        None | Some(PrefixSharing::None {})
    ) {
        return "Prompts share prefixes as workload.prefix of the scenario says, not as in the log."
            .to_owned();
    }
    let stated = scenario.workload.prefix.is_some();
    if hashed > 0 && !stated {
        return format!(
            "Prompts share the prefixes that the log's hashes of their blocks say ({} of {} have \
             hashes); the others share none.",
            plural(hashed, "request"),
            night.requests.len()
        );
    }
    let sessions = match night.reuse.with_session {
        0 => String::new(),
        many => format!(
            ": {} are turns of conversations, but no log says how much of a prompt is of the turn before",
            plural(many, "request")
        ),
    };
    let why = match stated {
        true => "the scenario says so",
        false => "the log has no hashes of their blocks",
    };
    format!(
        "Prompts are taken to share no prefix with one another ({why}){sessions}. Where a prefix cache \
         helped that night, prefill is simulated as too long."
    )
}

/// What the log says that a cache had.
fn caches(night: &Night) -> Option<String> {
    let reuse = &night.reuse;
    (reuse.cached_tokens > 0).then(|| {
        format!(
            "The log says that a cache had {} of the prompt tokens of {}; what a cache has here is \
             simulated, and not taken from it.",
            percent(Some(
                reuse.cached_tokens as f64 / reuse.of_tokens.max(1) as f64
            )),
            plural(reuse.with_cached, "request")
        )
    })
}
