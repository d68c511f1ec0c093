//! Checks of arrivals, rate profiles, lengths and laws.

use super::mixes::{check_clients, check_reuse, check_states};
use super::{MOST_MS, MOST_PER_S, MOST_S, refuse_instant_loop};
use crate::scenario::fleet::Pool;
use crate::scenario::problems::{Problems, grouped};
use crate::scenario::routing::KeyOf;
use crate::scenario::schema::Scenario;
use crate::scenario::workload::{Arrivals, Law, Lengths, PrefixSharing, Profile, Turns, Workload};
use crate::workload::law::Knots;
use crate::workload::profile::RateClock;

/// Most stays without an arrival that a modulated process may make for each arrival, on average:
/// each costs a step of the generator.
const MOST_STAYS_PER_ARRIVAL: u64 = 10_000;

pub(super) fn check_workload(scenario: &Scenario, problems: &mut Problems<'_>) {
    check_traffic(&scenario.workload, problems);
    check_prefix_is_used(scenario, problems);
    let limited = scenario.gateway.rate_limit.is_some();
    refuse_instant_loop("gateway.rate_limit", limited, scenario, problems);
}

/// What can be said of a workload without a fleet.
pub(in crate::scenario) fn check_traffic(workload: &Workload, problems: &mut Problems<'_>) {
    check_arrivals(&workload.arrivals, problems);
    let from_trace = matches!(workload.arrivals, Arrivals::Trace { .. });
    let closed = matches!(workload.arrivals, Arrivals::ClosedLoop { .. });
    if let Some(profile) = &workload.profile {
        if from_trace || closed {
            problems.push(
                "workload.profile",
                "",
                "cannot change the rate of trace or closed-loop arrivals",
                "take it away; a trace has rate_scale, a closed loop its number of users",
            );
        }
        check_profile(profile, problems);
    }
    for (field, lengths) in [
        ("prompt_tokens", &workload.prompt_tokens),
        ("output_tokens", &workload.output_tokens),
    ] {
        let path = format!("workload.{field}");
        match lengths {
            Some(Lengths::Trace {}) if !from_trace => problems.push(
                &path,
                "trace",
                "needs trace arrivals",
                "give a law of its own, or workload.arrivals.process = \"trace\"",
            ),
            Some(lengths) => check_lengths(lengths, &path, problems),
            None => {}
        }
    }
    let path = "workload.length_rank_correlation";
    let correlation = workload.length_rank_correlation;
    if problems.in_range(path, correlation, -1.0, 1.0) && correlation != 0.0 && from_trace {
        let remedy = "take it away: a trace has its own";
        problems.push(
            path,
            correlation,
            "needs both lengths drawn from laws",
            remedy,
        );
    }
    check_prefix(workload, problems);
    check_sessions(workload, problems);
    if let Some(most) = workload.max_requests {
        problems.int_in_range("workload.max_requests", most, 1, u64::MAX);
    }
}

/// Most turns of a session.
const MOST_TURNS: u32 = 1_000_000;

fn check_sessions(workload: &Workload, problems: &mut Problems<'_>) {
    let Some(sessions) = &workload.sessions else {
        return;
    };
    let path = |field: &str| format!("workload.sessions.{field}");
    let no = "goes with neither closed-loop nor trace arrivals";
    if matches!(
        workload.arrivals,
        Arrivals::ClosedLoop { .. } | Arrivals::Trace { .. }
    ) {
        let remedy = "take it away, or let sessions arrive by a process such as poisson";
        problems.push("workload.sessions", "", no, remedy);
    }
    if !matches!(workload.prefix, None | Some(PrefixSharing::None {})) {
        let allowed = "does not go with `workload.sessions`, which says what prompts share";
        problems.push("workload.prefix", "", allowed, "take one of the two away");
    }
    match sessions.turns {
        Turns::Constant { turns } => {
            let most = u64::from(MOST_TURNS);
            problems.int_in_range(&path("turns.turns"), u64::from(turns), 1, most);
        }
        Turns::Geometric { mean_turns } => {
            let most = f64::from(MOST_TURNS);
            problems.in_range(&path("turns.mean_turns"), mean_turns, 1.0, most);
        }
    }
    check_law(&sessions.think, &path("think"), problems);
    for (field, lengths) in [
        ("prompt_tokens", &sessions.prompt_tokens),
        ("output_tokens", &sessions.output_tokens),
    ] {
        match lengths {
            Some(Lengths::Trace {}) => {
                let remedy = "give a law of its own";
                problems.push(&path(field), "trace", "needs trace arrivals", remedy);
            }
            Some(lengths) => check_lengths(lengths, &path(field), problems),
            None => {}
        }
    }
    let system = u64::from(sessions.system_prompt_tokens);
    problems.int_in_range(&path("system_prompt_tokens"), system, 0, 1_000_000);
    if let Some(most) = sessions.max_context_tokens {
        let at = path("max_context_tokens");
        if problems.int_in_range(&at, u64::from(most), 2, 1 << 30) && u64::from(most) <= system {
            let allowed = format!("must be above system_prompt_tokens, which is {system}");
            let remedy = "raise it, or every session ends after one turn";
            problems.push(&at, most, &allowed, remedy);
        }
    }
}

fn check_prefix(workload: &Workload, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("workload.prefix.{field}");
    match &workload.prefix {
        None | Some(PrefixSharing::None {}) => {}
        Some(PrefixSharing::Groups {
            groups,
            zipf_exponent,
            ..
        }) => {
            problems.int_in_range(&path("groups"), u64::from(*groups), 1, 1_000_000_000);
            problems.in_range(&path("zipf_exponent"), *zipf_exponent, 0.0, 10.0);
        }
        Some(PrefixSharing::Repeated { distinct }) => {
            problems.int_in_range(&path("distinct"), u64::from(*distinct), 1, 1 << 31);
        }
        Some(PrefixSharing::Reuse(reuse)) => check_reuse(reuse, problems),
    }
}

fn check_prefix_is_used(scenario: &Scenario, problems: &mut Problems<'_>) {
    if matches!(
        scenario.workload.prefix,
        None | Some(PrefixSharing::None {})
    ) {
        return;
    }
    let caching = |pool: &Pool| matches!(pool, Pool::Llm(pool) if pool.prefix_caching);
    let routed = scenario.router.hash_on() == Some(KeyOf::Prefix)
        || scenario.affinity.is_some_and(|it| it.key == KeyOf::Prefix);
    if !routed && !scenario.pools.iter().any(caching) {
        let allowed =
            "needs a pool with `prefix_caching = true`, or a router that hashes on prefixes";
        problems.push(
            "workload.prefix",
            "",
            allowed,
            "turn it on, or take this away",
        );
    }
}

fn check_arrivals(arrivals: &Arrivals, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("workload.arrivals.{field}");
    match arrivals {
        Arrivals::Poisson { rate_per_s } | Arrivals::Constant { rate_per_s } => {
            problems.positive(&path("rate_per_s"), *rate_per_s, MOST_PER_S);
        }
        Arrivals::Gamma { rate_per_s, cv } => {
            problems.positive(&path("rate_per_s"), *rate_per_s, MOST_PER_S);
            problems.in_range(&path("cv"), *cv, 0.01, 100.0);
        }
        Arrivals::Weibull { rate_per_s, cv } => {
            problems.positive(&path("rate_per_s"), *rate_per_s, MOST_PER_S);
            problems.in_range(&path("cv"), *cv, 0.05, 20.0);
        }
        Arrivals::OnOff {
            on_rate_per_s,
            on_mean_s,
            off_mean_s,
            off_rate_per_s,
            gap_knots,
        } => {
            if !gap_knots.is_empty() {
                check_knots(gap_knots, &path("gap_knots"), 1e6, problems);
            }
            problems.positive(&path("on_rate_per_s"), *on_rate_per_s, MOST_PER_S);
            problems.non_negative(&path("off_rate_per_s"), *off_rate_per_s, MOST_PER_S);
            problems.in_range(&path("on_mean_s"), *on_mean_s, 1e-6, MOST_S);
            problems.in_range(&path("off_mean_s"), *off_mean_s, 1e-6, MOST_S);
            let states = [(*on_rate_per_s, *on_mean_s), (*off_rate_per_s, *off_mean_s)];
            check_stays(&path("on_rate_per_s"), *on_rate_per_s, &states, problems);
        }
        Arrivals::Mmpp { states } => {
            check_states(states, problems);
            let stays: Vec<_> = states
                .iter()
                .map(|state| (state.rate_per_s, state.mean_s))
                .collect();
            check_stays(&path("states"), states.len(), &stays, problems);
        }
        Arrivals::Clients(mix) => check_clients(mix, problems),
        Arrivals::ClosedLoop { users, think } => {
            problems.int_in_range(&path("users"), u64::from(*users), 1, 10_000_000);
            if let Some(law) = think {
                check_law(law, &path("think"), problems);
            }
        }
        Arrivals::Trace {
            rate_scale,
            from_s,
            to_s,
            ..
        } => {
            problems.in_range(&path("rate_scale"), *rate_scale, 1e-6, 1e6);
            problems.non_negative(&path("from_s"), *from_s, MOST_S);
            if let Some(to_s) = to_s
                && problems.positive(&path("to_s"), *to_s, MOST_S)
                && to_s <= from_s
            {
                let remedy = "make the slice longer than nothing";
                problems.push(&path("to_s"), to_s, "must be after from_s", remedy);
            }
        }
    }
}

/// Refuses states that are left so much oftener than they give an arrival that a run would spend
/// its time between arrivals.
fn check_stays(
    path: &str,
    value: impl std::fmt::Display,
    states: &[(f64, f64)],
    problems: &mut Problems<'_>,
) {
    let arrivals_per_round: f64 = states.iter().map(|(rate, mean)| rate * mean).sum();
    let stays_per_arrival = states.len() as f64 / arrivals_per_round;
    if arrivals_per_round > 0.0 && stays_per_arrival > MOST_STAYS_PER_ARRIVAL as f64 {
        problems.push(
            path,
            value,
            &format!(
                "gives one arrival in {stays_per_arrival:.3e} stays; at most {} are simulated",
                grouped(MOST_STAYS_PER_ARRIVAL)
            ),
            "raise the rates or let the states last longer",
        );
    }
}

fn check_profile(profile: &Profile, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("workload.profile.{field}");
    let before = problems.is_empty();
    match profile {
        Profile::Points { .. } => {}
        Profile::Spike {
            start_s,
            duration_s,
            factor,
        } => {
            problems.non_negative(&path("start_s"), *start_s, MOST_S);
            problems.positive(&path("duration_s"), *duration_s, MOST_S);
            problems.non_negative(&path("factor"), *factor, 1e6);
        }
        Profile::Ramp {
            start_s,
            end_s,
            factor,
        } => {
            problems.non_negative(&path("start_s"), *start_s, MOST_S);
            problems.positive(&path("end_s"), *end_s, MOST_S);
            problems.non_negative(&path("factor"), *factor, 1e6);
        }
        Profile::Diurnal {
            period_s,
            amplitude,
            peak_s,
        } => {
            problems.positive(&path("period_s"), *period_s, MOST_S);
            problems.in_range(&path("amplitude"), *amplitude, 0.0, 1.0);
            problems.in_range(&path("peak_s"), *peak_s, 0.0, MOST_S);
        }
    }
    if before
        && problems.is_empty()
        && let Err(reason) = RateClock::new(profile)
    {
        problems.push("workload.profile", "", &reason, "correct the points");
    }
}

fn check_lengths(lengths: &Lengths, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    let most = f64::from(1u32 << 24);
    let most_tokens = |max: &Option<u32>, problems: &mut Problems<'_>| {
        if let Some(max) = max {
            problems.int_in_range(&path("max_tokens"), u64::from(*max), 1, 1 << 28);
        }
    };
    match lengths {
        Lengths::Constant { tokens } => {
            problems.int_in_range(&path("tokens"), u64::from(*tokens), 1, 1 << 24);
        }
        Lengths::Lognormal {
            mean_tokens,
            cv,
            max_tokens,
        } => {
            problems.in_range(&path("mean_tokens"), *mean_tokens, 1.0, most);
            problems.in_range(&path("cv"), *cv, 1e-3, 100.0);
            most_tokens(max_tokens, problems);
        }
        Lengths::Exponential {
            mean_tokens,
            max_tokens,
        } => {
            problems.in_range(&path("mean_tokens"), *mean_tokens, 1.0, most);
            most_tokens(max_tokens, problems);
        }
        Lengths::Quantiles { knots } => check_knots(knots, &path("knots"), most, problems),
        Lengths::Trace {} => {}
    }
}

pub(in crate::scenario) fn check_law(law: &Law, at: &str, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    // Below a nanosecond a mean would be rounded away.
    let mean = |mean_ms: f64, problems: &mut Problems<'_>| {
        problems.in_range(&path("mean_ms"), mean_ms, 1e-6, MOST_MS);
    };
    match law {
        Law::Exponential { mean_ms } | Law::Deterministic { mean_ms } => mean(*mean_ms, problems),
        Law::Erlang { mean_ms, stages } => {
            mean(*mean_ms, problems);
            problems.int_in_range(&path("stages"), u64::from(*stages), 1, 1_000);
        }
        Law::Hyperexponential { mean_ms, scv } => {
            mean(*mean_ms, problems);
            if problems.in_range(&path("scv"), *scv, 1.0, 1e4) && *scv == 1.0 {
                let remedy = "use law = \"exponential\" for 1";
                problems.push(&path("scv"), scv, "must be above 1", remedy);
            }
        }
        Law::Lognormal { mean_ms, scv } => {
            mean(*mean_ms, problems);
            problems.in_range(&path("scv"), *scv, 1e-6, 1e4);
        }
        Law::Uniform { low_ms, high_ms } => {
            problems.non_negative(&path("low_ms"), *low_ms, MOST_MS);
            if problems.positive(&path("high_ms"), *high_ms, MOST_MS) && high_ms < low_ms {
                let remedy = "exchange the two";
                problems.push(&path("high_ms"), high_ms, "must be at least low_ms", remedy);
            }
        }
        Law::Quantiles { knots_ms } => {
            check_knots(knots_ms, &path("knots_ms"), MOST_MS, problems);
        }
    }
}

fn check_knots(knots: &[(f64, f64)], path: &str, most: f64, problems: &mut Problems<'_>) {
    let remedy = "write pairs such as [[0.0, 10], [0.5, 40], [1.0, 300]]";
    if let Err(reason) = Knots::new(knots) {
        problems.push(path, format!("{knots:?}"), &reason, remedy);
    } else if knots.iter().any(|knot| knot.1 > most) {
        problems.push(
            path,
            format!("{knots:?}"),
            &format!("must not exceed {most}"),
            remedy,
        );
    } else if knots.iter().all(|knot| knot.1 == 0.0) {
        problems.push(
            path,
            format!("{knots:?}"),
            "must have a mean above 0",
            remedy,
        );
    }
}
