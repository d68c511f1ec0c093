//! What a replay found, in words: for whichever page shows it.

use super::outcome::Outcome;
use super::score::{QuantileError, Score};
use super::window::Window;
use crate::report::number::{count, percent, plural, significant};

/// Nights that tell enough of luck.
const ENOUGH_NIGHTS: usize = 8;

/// Windows that are named of a series that does not fit.
const MOST_NAMED: usize = 4;

/// What to know of what was read.
pub fn notes(outcome: &Outcome) -> Vec<String> {
    let log = &outcome.log;
    let mut notes = log.notes.clone();
    if log.before_start > 0 {
        let left = plural(log.before_start, "request");
        notes.push(format!("{left} before the start left out"));
    }
    if log.lengths.inferred > 0 {
        let inferred = plural(log.lengths.inferred, "request");
        notes.push(format!("lengths of {inferred} are inferred, not logged"));
    }
    if let Some(drawn) = log.lengths.drawn_in_words() {
        notes.push(format!(
            "{drawn} are of lengths drawn anew for each night: the log does not tell them"
        ));
    }
    if !log.has_ttft {
        let note = "the log has no times of first tokens: those are simulated only, and goodput is judged \
                    without them";
        notes.push(note.to_owned());
    }
    if !log.has_tries {
        let note = "the log does not tell how often a request was tried: tries are simulated only";
        notes.push(note.to_owned());
    }
    notes.extend(telemetry(outcome));
    notes
}

/// Where replicas and queues were observed, and where they were not.
fn telemetry(outcome: &Outcome) -> Vec<String> {
    let telemetry = &outcome.telemetry;
    // All of it but for a stretch at either end.
    let whole_s = outcome.log.span_s - 2.0 * outcome.minutes.bin_s;
    let observed = telemetry.observed.iter().map(|it| {
        let part = match it.to_s - it.from_s < whole_s {
            true => format!(", for {} to {} only", span(it.from_s), span(it.to_s)),
            false => String::new(),
        };
        format!("{} as {} has it{part}", it.series, it.files.join(", "))
    });
    let mut said: Vec<String> = observed.collect();
    said.extend(telemetry.notes.iter().cloned());
    if !telemetry.not_observed.is_empty() {
        said.push(format!(
            "not observed, and so simulated only: {} (no log of requests has them; --observed-series gives \
             what a monitor saw)",
            telemetry.not_observed.join(", ")
        ));
    }
    said
}

/// Whether the model fits, in a sentence or two.
pub fn verdict(outcome: &Outcome) -> String {
    if outcome.fits() {
        let tail = match outcome.incident {
            Some(_) => "in the incident as outside it",
            None => "all the time",
        };
        return format!(
            "The model fits: it predicts what it was not fitted to within its limits, {tail}."
        );
    }
    let drawn = match outcome.log.lengths.drawn_in_words() {
        None => String::new(),
        Some(drawn) => format!(", or {drawn}, which are drawn, were of other lengths"),
    };
    format!(
        "THE MODEL DOES NOT FIT. Something happened that the scenario does not have, or not so{drawn}; do not \
         trust it, nor what-ifs of it, where it is off:"
    )
}

/// How a series does not fit a stretch.
pub fn failing(score: &Score) -> String {
    let within = |nrmse: f64| nrmse <= score.limit;
    let off = match (score.nrmse, score.bias_limit) {
        (Some(nrmse), Some(limit)) if within(nrmse) => format!(
            "{} off on average, {} may be",
            significant(Some(score.bias.abs())),
            significant(Some(limit))
        ),
        (Some(nrmse), _) => format!(
            "off by {} of its size, {} may be",
            percent(Some(nrmse)),
            percent(Some(score.limit))
        ),
        (None, _) => "nothing of it was observed".to_owned(),
    };
    let means = format!(
        "{} observed, {} simulated",
        significant(Some(score.observed)),
        significant(Some(score.simulated))
    );
    let windows: Vec<String> = score.off.iter().take(MOST_NAMED).map(window).collect();
    let more = match score.off.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let at = match windows.is_empty() {
        true => String::new(),
        false => format!(", at {}{more}", windows.join(", ")),
    };
    format!("{} ({}): {off}; {means}{at}", score.series, score.stretch)
}

/// How a quantile does not fit a stretch.
pub fn failing_quantile(it: &QuantileError) -> String {
    let ratio = (it.simulated_ms / it.observed_ms).max(it.observed_ms / it.simulated_ms);
    let may_be = match it.may_be_factor {
        Some(factor) => format!(", {} may be", significant(Some(factor))),
        None => String::new(),
    };
    format!(
        "{} of all requests ({}): off by a factor of {}{may_be}; {} ms observed, {} ms simulated",
        it.name(),
        it.stretch,
        significant(Some(ratio)),
        significant(Some(it.observed_ms)),
        significant(Some(it.simulated_ms))
    )
}

/// What the verdict rests on, where that is little.
pub fn few_nights(outcome: &Outcome) -> Option<String> {
    (outcome.nights < ENOUGH_NIGHTS).then(|| {
        format!(
            "{} simulated nights tell little of luck: limits by so few are rough, too wide or too narrow, most \
             of all of quantiles; judge by {ENOUGH_NIGHTS} or more (--nights).",
            outcome.nights
        )
    })
}

/// What could not be judged; none where all was.
pub fn not_judged(outcome: &Outcome) -> Option<String> {
    let all = outcome.not_judged().into_iter();
    let all: Vec<String> = all
        .map(|(series, stretch)| format!("{series} ({stretch})"))
        .collect();
    (!all.is_empty()).then(|| {
        format!(
            "Not judged, for too few minutes tell of it: {}.",
            all.join(", ")
        )
    })
}

/// Said where nothing was fitted.
pub const NOTHING_OPEN: &str = "Nothing was open: the scenario states it all.";

/// What the values of a fit rest on.
pub fn fitted(outcome: &Outcome) -> String {
    let fit = &outcome.fit;
    if fit.parameters.is_empty() {
        return match fit.left.is_empty() {
            true => NOTHING_OPEN.to_owned(),
            false => "Nothing was fitted.".to_owned(),
        };
    }
    format!(
        "From-to: 95 % intervals. Fitted to {} in {} blocks of the first two thirds of {}, with {}.",
        plural(fit.requests as u64, "request"),
        fit.blocks,
        window(&outcome.calm),
        plural(fit.simulations as u64, "simulation"),
    )
}

/// What errors are, and how large they may be.
pub const SCORES: &str = "Means over minutes: requests/s by when they came, ms, or how many. Error: root mean \
                          square over minutes, of the mean; of the arrivals for requests/s. It may be twice \
                          as far off as the farthest of eight simulated nights would be from the others, three \
                          times as far as in the calm minutes that nothing was fitted to, or 5 % of the \
                          arrivals, 20 % of a p99, 10 % of anything else or half a request that waits, whichever \
                          is most. The bias may be as much as would matter, too, or what luck makes of the mean \
                          once in 1,000 replays, as the simulated nights differ, or three times what it was \
                          beyond that in those calm minutes.";

/// How far quantiles may be off.
pub const QUANTILES: &str = "May be: the factor that the two may be apart, which is 1.2 for a p99 and 1.1 for the \
                             others, or more where luck makes more of it once in 1,000 replays, or three times \
                             what calm minutes had beyond luck. Without a number it may be ten times or more, or \
                             luck is not known.";

/// What saved and lost mean.
pub const WHAT_IFS: &str = "Saved: answered within the objective with the change and not without it; lost: \
                            the other way round; request by request, on the same random numbers.";

/// Said before what-ifs of a model that does not fit.
pub const DOUBTFUL: &str = "The model does not fit (see the verdict): what follows may not be so.";

/// A window as people say it.
pub fn window(window: &Window) -> String {
    format!("{} to {}", span(window.from_s), span(window.to_s))
}

/// A length of time as people say it: `90 s`, `25 min`, `3 h 20 min`.
pub fn span(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    if seconds < 120.0 {
        return format!("{} s", significant(Some(seconds)));
    }
    if minutes < 180.0 {
        return format!("{} min", significant(Some((minutes * 10.0).round() / 10.0)));
    }
    let whole = minutes.round() as u64;
    match whole % 60 {
        0 => format!("{} h", count(whole / 60)),
        rest => format!("{} h {rest} min", count(whole / 60)),
    }
}
