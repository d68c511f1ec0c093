//! The traffic: arrivals, rates, lengths and traces.

use std::path::Path;

use super::noted;
use crate::scenario::error::ScenarioError;
use crate::scenario::problems::Problems;
use crate::scenario::text::Document;
use crate::scenario::validate::{MOST_S, check_traffic};
use crate::scenario::workload::{Arrivals as ArrivalsSpec, Dejitter, Lengths, Turns, Workload};
use crate::trace::{TraceScan, TraceSource};
use crate::workload::Sampler;
use crate::workload::arrivals::{Arrivals, UnitGap};
use crate::workload::clients::Clients;
use crate::workload::lengths::{LengthLaw, LengthPair};
use crate::workload::modulated::Modulated;
use crate::workload::profile::RateClock;
use crate::workload::session_means::SessionMeans;
use crate::workload::sessions::{SessionPlan, TurnLaw};
use crate::workload::source::SourcePlan;

/// Tokens of a request when a scenario says nothing.
const DEFAULT_LENGTHS: (u32, u32) = (512, 128);

pub(super) fn resolve_source(
    workload: &Workload,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<(SourcePlan, Option<TraceScan>)> {
    let path = "workload.arrivals";
    if let ArrivalsSpec::Trace {
        path: file,
        rate_scale,
        from_s,
        to_s,
        dejitter,
    } = &workload.arrivals
    {
        let opened = TraceSource::open(&base_dir.join(file)).map(|source| TraceSource {
            rate_scale: *rate_scale,
            from_s: *from_s,
            to_s: *to_s,
            dejitter: *dejitter == Dejitter::Uniform,
            ..source
        });
        let scanned = opened.and_then(|source| Ok((source.scan()?, source)));
        let at = "workload.arrivals.path";
        let (scan, source) = noted(scanned.map_err(|error| error.to_string()), at, problems)?;
        let mut own = |lengths: &Option<Lengths>, at: &str| match lengths {
            Some(lengths) => noted(LengthLaw::new(lengths), at, problems),
            None => Some(None),
        };
        let prompt = own(&workload.prompt_tokens, "workload.prompt_tokens")?;
        let output = own(&workload.output_tokens, "workload.output_tokens")?;
        let plan = SourcePlan::Trace {
            source,
            prompt,
            output,
        };
        return Some((plan, Some(scan)));
    }
    let lengths = resolve_lengths(workload, problems)?;
    if let ArrivalsSpec::ClosedLoop { users, think } = &workload.arrivals {
        let think = match think {
            Some(law) => Some(noted(
                Sampler::new(law),
                "workload.arrivals.think",
                problems,
            )?),
            None => None,
        };
        let plan = SourcePlan::ClosedLoop {
            users: *users,
            think,
            lengths,
        };
        return Some((plan, None));
    }
    let arrivals = noted(resolve_arrivals(&workload.arrivals), path, problems)?;
    let clock = match &workload.profile {
        Some(profile) => Some(noted(
            RateClock::new(profile),
            "workload.profile",
            problems,
        )?),
        None => None,
    };
    let plan = SourcePlan::Drawn {
        arrivals,
        clock,
        lengths,
    };
    Some((plan, None))
}

/// Longest context of a session where none is stated: far above any model's.
const LONGEST_CONTEXT: u32 = 1 << 30;

/// How the sessions of a workload go on, if it has any.
pub(super) fn resolve_sessions(
    workload: &Workload,
    problems: &mut Problems<'_>,
) -> Option<SessionPlan> {
    let sessions = workload.sessions.as_ref()?;
    let think = Sampler::new(&sessions.think);
    let think = noted(think, "workload.sessions.think", problems)?;
    // What a session does not say is the first turns'.
    let later = Workload {
        prompt_tokens: sessions
            .prompt_tokens
            .clone()
            .or(workload.prompt_tokens.clone()),
        output_tokens: sessions
            .output_tokens
            .clone()
            .or(workload.output_tokens.clone()),
        ..workload.clone()
    };
    Some(SessionPlan {
        turns: match sessions.turns {
            Turns::Constant { turns } => TurnLaw::Constant(turns),
            Turns::Geometric { mean_turns } => TurnLaw::Geometric { mean: mean_turns },
        },
        think,
        lengths: resolve_lengths(&later, problems)?,
        system_prompt_tokens: sessions.system_prompt_tokens,
        max_context_tokens: sessions.max_context_tokens.unwrap_or(LONGEST_CONTEXT),
    })
}

/// What sessions are on average, where there are any.
pub(super) fn session_means(
    workload: &Workload,
    source: &SourcePlan,
    sessions: Option<&SessionPlan>,
) -> Option<SessionMeans> {
    let (stated, plan) = (workload.sessions.as_ref()?, sessions?);
    let SourcePlan::Drawn { lengths, .. } = source else {
        return None;
    };
    Some(match stated.max_context_tokens {
        Some(_) => SessionMeans::of_limited(plan, lengths),
        None => SessionMeans::of_whole(plan, lengths),
    })
}

fn resolve_lengths(workload: &Workload, problems: &mut Problems<'_>) -> Option<LengthPair> {
    let mut law = |lengths: &Option<Lengths>, default: u32, path: &str| {
        let default = Lengths::Constant { tokens: default };
        noted(
            LengthLaw::new(lengths.as_ref().unwrap_or(&default)),
            path,
            problems,
        )
        .flatten()
    };
    let prompt = law(
        &workload.prompt_tokens,
        DEFAULT_LENGTHS.0,
        "workload.prompt_tokens",
    )?;
    let output = law(
        &workload.output_tokens,
        DEFAULT_LENGTHS.1,
        "workload.output_tokens",
    )?;
    let correlation = workload.length_rank_correlation;
    Some(LengthPair::new(prompt, output, correlation))
}

fn resolve_arrivals(arrivals: &ArrivalsSpec) -> Result<Arrivals, String> {
    let renewal = |rate_per_s: f64, gap: UnitGap, scv: f64| Arrivals::Renewal {
        mean_ns: 1e9 / rate_per_s,
        gap,
        scv,
    };
    Ok(match arrivals {
        ArrivalsSpec::Poisson { rate_per_s } => renewal(*rate_per_s, UnitGap::Exponential, 1.0),
        ArrivalsSpec::Constant { rate_per_s } => renewal(*rate_per_s, UnitGap::Constant, 0.0),
        ArrivalsSpec::Gamma { rate_per_s, cv } => {
            renewal(*rate_per_s, UnitGap::gamma(*cv)?, cv * cv)
        }
        ArrivalsSpec::Weibull { rate_per_s, cv } => {
            renewal(*rate_per_s, UnitGap::weibull(*cv)?, cv * cv)
        }
        ArrivalsSpec::OnOff {
            on_rate_per_s,
            on_mean_s,
            off_mean_s,
            off_rate_per_s,
            gap_knots,
        } => {
            let states = vec![
                (on_rate_per_s / 1e9, on_mean_s * 1e9),
                (off_rate_per_s / 1e9, off_mean_s * 1e9),
            ];
            let process = Modulated::new(states);
            Arrivals::Modulated(match gap_knots.is_empty() {
                true => process,
                false => process.with_gaps(UnitGap::knots(gap_knots)?),
            })
        }
        ArrivalsSpec::Mmpp { states } => {
            let stays = states
                .iter()
                .map(|state| (state.rate_per_s / 1e9, state.mean_s * 1e9));
            let jumps = match states.iter().all(|state| state.next.is_empty()) {
                true => Vec::new(),
                false => states.iter().map(|state| state.next.clone()).collect(),
            };
            Arrivals::Modulated(Modulated::with_jumps(stays.collect(), jumps))
        }
        ArrivalsSpec::Clients(mix) => Arrivals::Clients(Box::new(Clients::new(mix)?)),
        ArrivalsSpec::ClosedLoop { .. } | ArrivalsSpec::Trace { .. } => {
            return Err("is not an open arrival process".to_owned());
        }
    })
}

/// The traffic of a document, whatever fleet it describes or none.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// What it is called; empty without a name.
    pub name: String,
    /// What is written.
    pub workload: Workload,
    /// How requests come about.
    pub source: SourcePlan,
    /// Length of a run, seconds.
    pub horizon_s: f64,
}

#[derive(Debug, serde::Deserialize)]
struct TrafficOnly {
    #[serde(default)]
    name: String,
    #[serde(default)]
    run: LengthOnly,
    workload: Workload,
}

#[derive(Debug, Default, serde::Deserialize)]
struct LengthOnly {
    horizon_s: Option<f64>,
}

/// Length of a run that states none, seconds.
const UNSTATED_S: f64 = 3_600.0;

/// Reads `[workload]` out of a document and checks it; the other sections are not looked at.
///
/// # Errors
/// Everything that is wrong with it, with the line of each field.
pub fn traffic(document: &Document, base_dir: &Path) -> Result<Traffic, ScenarioError> {
    let TrafficOnly {
        name,
        run,
        workload,
    } = document.parse_as()?;
    let mut problems = Problems::new(document);
    check_traffic(&workload, &mut problems);
    let horizon_s = run.horizon_s.unwrap_or(UNSTATED_S);
    problems.positive("run.horizon_s", horizon_s, MOST_S);
    problems.finish()?;
    let mut problems = Problems::new(document);
    let source = resolve_source(&workload, base_dir, &mut problems);
    problems.finish()?;
    match source {
        Some((source, _)) => Ok(Traffic {
            name,
            workload,
            source,
            horizon_s,
        }),
        // Unreachable: a missing source has noted a problem. Refused rather than assumed.
        None => Err(ScenarioError::Invalid(Vec::new())),
    }
}
