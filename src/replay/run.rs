//! From a scenario and a log to what a replay found.

use std::path::Path;

use rayon::prelude::*;

use super::assumptions;
use super::error::ReplayError;
use super::fit::{Fit, fit};
use super::levels::{Telemetry, lay_out, look_every_s, simulated};
use super::night::{Night, Seen};
use super::open::{Open, by_default};
use super::outcome::{Log, Outcome};
use super::score::{LEAST_MINUTES, Pair, Stretch, quantile_errors, scores};
use super::series::{Minutes, Objectives, Series, TRIES, of_requests};
use super::stage::{Part, Simulated, Stage};
use super::what_if::{Figures, what_if};
use super::window::Window;
use crate::observed::levels::{Level, ObservedLevels};
use crate::scenario::Document;
use crate::scenario::schema::Slo;

/// Of the calm window this share is fitted to; the rest says what noise is.
const FITTED: f64 = 2.0 / 3.0;
/// Stretches that a night is laid out in at most.
const MOST_BINS: usize = 20_000;
/// What is simulated before the calm window and not compared, of its length.
const LEAD: f64 = 0.25;
/// Nights that what-ifs are simulated for at most.
const WHAT_IF_NIGHTS: usize = 5;

/// What is asked of a replay.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where all was well: what is open is fitted there.
    pub calm: Window,
    /// Where it was not.
    pub incident: Option<Window>,
    /// Fields that are open, `PATH=LOW..HIGH`; none: those that the scenario does not state.
    pub open: Option<Vec<String>>,
    /// Changes to try, `PATH=VALUE`.
    pub what_if: Vec<String>,
    /// Nights to simulate, 2 or more.
    pub nights: usize,
    /// Simulations of a fit at most.
    pub budget: usize,
    /// Length of a minute, seconds.
    pub bin_s: Option<f64>,
    /// What an importer said of the log.
    pub notes: Vec<String>,
    /// What a monitor saw of replicas and queues.
    pub levels: Vec<ObservedLevels>,
}

/// Replays a night.
///
/// # Errors
/// When the scenario, a window or a change is not valid, or a simulation fails.
pub fn replay(
    document: &Document,
    folder: &Path,
    night: &Night,
    settings: &Settings,
) -> Result<Outcome, ReplayError> {
    let stage = Stage::new(document, folder, night)?;
    check_windows(night, settings)?;
    let stage = stage.drawing_lengths(night, &settings.calm);
    let span_s = night.span_ns() as f64 / 1e9;
    let minutes = Minutes::of(span_s, settings.bin_s);
    let telemetry = lay_out(&settings.levels, night, minutes)?;
    let fit = fit_calm(&stage, night, settings)?;
    let plan = stage.plan(&fit.changes())?;
    let objectives: Vec<Option<Slo>> = plan.fleet.tiers.iter().map(|tier| tier.slo).collect();
    let told = as_told(&objectives, night);
    let watched = stage.looking_every(look_every_s(minutes));
    let nights = simulate_nights(&watched, &fit, settings.nights)?;
    let pairs = pairs(night, &nights, &told, minutes, &telemetry);
    let stretches = stretches(settings, !fit.parameters.is_empty(), span_s);
    let requests: Vec<Vec<Seen>> = nights.into_iter().map(|it| it.requests).collect();
    let few = &requests[..requests.len().min(WHAT_IF_NIGHTS)];
    let what_ifs = settings.what_if.iter();
    let what_ifs = what_ifs.map(|change| what_if(&stage, &fit, few, &objectives, change));
    let observed = with_tiers(&night.requests, &requests[0]);
    Ok(Outcome {
        scenario: plan.scenario.name.clone(),
        seed: plan.scenario.run.seed,
        log: log_of(night, settings),
        assumptions: assumptions::of(&plan.scenario, night, &settings.calm),
        telemetry,
        calm: settings.calm,
        incident: settings.incident,
        scores: scores(&pairs, &stretches, minutes),
        quantiles: quantile_errors(&night.requests, &requests, &stretches),
        what_ifs: what_ifs.collect::<Result<_, _>>()?,
        observed: Figures::of(&observed, &told),
        simulated: Figures::of(&requests[0], &told),
        nights: requests.len(),
        fit,
        minutes,
        pairs,
        stretches,
    })
}

/// The objectives as far as the log tells of them: both sides are judged by the same bounds.
fn as_told(objectives: &[Option<Slo>], night: &Night) -> Vec<Option<Slo>> {
    let has_first_tokens = night.requests.iter().any(|it| it.ttft_ns.is_some());
    let of = |slo: &Option<Slo>| {
        slo.map(|slo| Slo {
            ttft_ms: slo.ttft_ms.filter(|_| has_first_tokens),
            tpot_ms: slo.tpot_ms.filter(|_| has_first_tokens),
            ..slo
        })
    };
    objectives.iter().map(of).collect()
}

/// Refuses windows of which nothing could be said: the calm one is fitted to and is what noise is told by.
fn check_windows(night: &Night, settings: &Settings) -> Result<(), ReplayError> {
    let calm = settings.calm;
    let span_s = night.span_ns() as f64 / 1e9;
    let Minutes { bin_s, count } = Minutes::of(span_s, settings.bin_s);
    if count > MOST_BINS {
        let allowed = format!(
            "must divide the {span_s:.0} s of the log into {MOST_BINS} stretches at most, and makes {count}"
        );
        let remedy = "give a longer one, or take a stray stamp out of the log";
        return Err(ReplayError::option("--bin", bin_s, allowed, remedy));
    }
    let shown = |window: &Window| format!("{}..{}", window.from_s, window.to_s);
    if let Some(incident) = settings
        .incident
        .filter(|it| it.from_s < calm.to_s && calm.from_s < it.to_s)
    {
        let allowed = format!("must not overlap the calm window ({})", shown(&calm));
        let remedy = "what is fitted must not have seen the incident: move one of the two";
        return Err(ReplayError::option(
            "--incident",
            shown(&incident),
            allowed,
            remedy,
        ));
    }
    let is_fitted = settings.open.as_ref().is_none_or(|open| !open.is_empty());
    let held_from_s = if is_fitted {
        fitted_to_s(&calm)
    } else {
        calm.from_s
    };
    let incident = settings.incident.map(|it| ("--incident", it, it.from_s));
    for (option, window, from_s) in [("--calm", calm, held_from_s)].into_iter().chain(incident) {
        if window.to_s > span_s + bin_s {
            let allowed = format!("must end by the end of the log, {span_s:.0} s from its start");
            return Err(ReplayError::option(
                option,
                shown(&window),
                allowed,
                "shorten it",
            ));
        }
        let bins = (window.to_s / bin_s).floor() - (from_s / bin_s).ceil();
        if bins < LEAST_MINUTES as f64 {
            let allowed = format!(
                "must hold {LEAST_MINUTES} stretches of {bin_s} s from {from_s:.0} s on, so that it can be judged"
            );
            let remedy = "widen it, or give shorter stretches with --bin";
            return Err(ReplayError::option(option, shown(&window), allowed, remedy));
        }
    }
    Ok(())
}

fn log_of(night: &Night, settings: &Settings) -> Log {
    Log {
        requests: night.requests.len() as u64,
        span_s: night.span_ns() as f64 / 1e9,
        zero_ns: night.zero_ns,
        before_start: night.before_start,
        lengths: night.lengths,
        has_ttft: night.requests.iter().any(|it| it.ttft_ns.is_some()),
        has_tries: night.requests.iter().any(|it| it.attempts.is_some()),
        notes: settings.notes.clone(),
    }
}

/// Where the fitted part of the calm window ends.
fn fitted_to_s(calm: &Window) -> f64 {
    calm.from_s + FITTED * calm.length_s()
}

fn fit_calm(stage: &Stage, night: &Night, settings: &Settings) -> Result<Fit, ReplayError> {
    let calm = &settings.calm;
    let window = Window {
        from_s: calm.from_s,
        to_s: fitted_to_s(calm),
    };
    let within = night.within(&window);
    let (open, left) = match &settings.open {
        Some(stated) => (Open::all(stated, stage)?, Vec::new()),
        None => by_default(stage, &night.requests[within.clone()])?,
    };
    let mut open = open;
    let clients = stage.plan(&[])?.scenario.clients.unwrap_or_default();
    let paths: Vec<String> = open.iter().map(|it| it.path.clone()).collect();
    for it in &mut open {
        it.told_by(
            &night.requests[within.clone()],
            &night.requests,
            &clients,
            &paths,
        )?;
    }
    let before = Window {
        from_s: (calm.from_s - LEAD * calm.length_s()).max(0.0),
        to_s: calm.from_s.max(1e-9),
    };
    let lead = match calm.from_s > 0.0 {
        true => night.within(&before).len(),
        false => 0,
    };
    let fit = fit(stage, night, within, lead, &open, settings.budget)?;
    Ok(Fit { left, ..fit })
}

/// The night several times, each with its own luck and fitted values.
fn simulate_nights(stage: &Stage, fit: &Fit, nights: usize) -> Result<Vec<Simulated>, ReplayError> {
    (0..nights.max(2))
        .into_par_iter()
        .map(|night| {
            let plan = stage.plan(&fit.draw(night))?;
            stage.simulate(&plan, Part::Whole, night as u64)
        })
        .collect()
}

/// The requests of a log with the tiers that the simulator dealt them.
fn with_tiers(observed: &[Seen], simulated: &[Seen]) -> Vec<Seen> {
    let both = observed.iter().zip(simulated);
    both.map(|(seen, made)| Seen {
        tier: made.tier,
        ..*seen
    })
    .collect()
}

fn pairs(
    night: &Night,
    nights: &[Simulated],
    objectives: &Objectives,
    minutes: Minutes,
    telemetry: &Telemetry,
) -> Vec<Pair> {
    let of = |requests: &[Seen]| -> Vec<Series> {
        let tiers: Vec<u16> = requests.iter().map(|it| it.tier).collect();
        of_requests(requests, &tiers, objectives, minutes)
    };
    let observed = with_tiers(&night.requests, &nights[0].requests);
    let mut pairs: Vec<Pair> = of(&observed)
        .into_iter()
        .map(|series| Pair {
            // No log has a value of it.
            observed: Some(series)
                .filter(|it| it.name != TRIES || it.values.iter().any(Option::is_some)),
            simulated: Vec::new(),
        })
        .collect();
    for night in nights {
        for (pair, series) in pairs.iter_mut().zip(of(&night.requests)) {
            pair.simulated.push(series);
        }
    }
    pairs.retain(|pair| !pair.is_empty());
    pairs.extend(level_pairs(nights, minutes, telemetry));
    pairs
}

/// Replicas and queues: those that were observed, whatever they come to; of the others how many replicas
/// there were, and how many requests waited.
fn level_pairs(nights: &[Simulated], minutes: Minutes, telemetry: &Telemetry) -> Vec<Pair> {
    let levels = nights.iter().filter_map(|night| night.levels.as_ref());
    let made: Vec<Vec<(Level, Series)>> = levels
        .map(|it| simulated(it, minutes, &telemetry.stretches))
        .collect();
    let pairs = Level::ALL.into_iter().filter_map(|level| {
        let observed = telemetry.series.iter().find(|(it, _)| *it == level);
        let pair = Pair {
            observed: observed.map(|(_, series)| series.clone()),
            simulated: made
                .iter()
                .map(|night| night[level.index()].1.clone())
                .collect(),
        };
        let is_told = matches!(level, Level::Replicas | Level::Waiting) && !pair.is_empty();
        (pair.observed.is_some() || is_told).then_some(pair)
    });
    pairs.collect()
}

/// The held-out part of the calm window, the incident, and what is neither.
fn stretches(settings: &Settings, fitted: bool, span_s: f64) -> Vec<Stretch> {
    let calm = settings.calm;
    let held_from_s = if fitted {
        fitted_to_s(&calm)
    } else {
        calm.from_s
    };
    let mut all = vec![Stretch {
        name: "calm, not fitted to",
        windows: vec![Window {
            from_s: held_from_s,
            to_s: calm.to_s,
        }],
        is_yardstick: true,
    }];
    all.extend(settings.incident.map(|incident| Stretch {
        name: "incident",
        windows: vec![incident],
        is_yardstick: false,
    }));
    let mut taken: Vec<Window> = std::iter::once(calm).chain(settings.incident).collect();
    taken.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    let mut rest = Vec::new();
    let mut at_s = 0.0;
    for window in taken {
        if window.from_s > at_s {
            rest.push(Window {
                from_s: at_s,
                to_s: window.from_s,
            });
        }
        at_s = window.to_s.max(at_s);
    }
    if at_s < span_s {
        rest.push(Window {
            from_s: at_s,
            to_s: span_s,
        });
    }
    if !rest.is_empty() {
        all.push(Stretch {
            name: "elsewhere",
            windows: rest,
            is_yardstick: false,
        });
    }
    all
}
