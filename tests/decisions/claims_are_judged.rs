//! Claims end in one of four verdicts, each for its own reason.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;

use seatrial::experiment::claims::{Judgement, Verdict};
use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::{Document, SourceText};

/// One server, served at once: every figure is known beforehand.
const CLOCKWORK: &str = r#"
name = "clockwork"
[run]
horizon_s = 20
warmup_s = 0
[workload]
arrivals = { process = "constant", rate_per_s = 100 }
[[pools]]
name = "one"
engine = "abstract"
service = { law = "deterministic", mean_ms = 5 }
"#;

/// A busy queue.
const BUSY: &str = r#"
name = "busy"
[run]
horizon_s = 100
warmup_s = 10
[workload]
arrivals = { process = "poisson", rate_per_s = 50 }
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 30 }
"#;

const MODEL: &str = r#"
name = "model"
[run]
horizon_s = 10
warmup_s = 0
[workload]
arrivals = { process = "poisson", rate_per_s = 4 }
prompt_tokens = { law = "constant", tokens = 200 }
output_tokens = { law = "constant", tokens = 40 }
[[pools]]
name = "llama"
engine = "llm"
model = "llama-3.1-8b"
accelerator = "h100-sxm"
"#;

fn outcome(scenario: &str, more: &str) -> Vec<Judgement> {
    let text = format!("{scenario}\n{more}");
    let document = Document::parse(SourceText::new("s.toml", &text)).unwrap();
    let outcome = run_scenario(&document, Path::new(""), Control::default());
    outcome.unwrap().result.claims
}

/// The judgement of one claim, whose fields besides id and text are given.
fn judged(scenario: &str, fields: &str) -> Judgement {
    let claim = format!("[[claims]]\nid = \"c\"\ntext = \"t\"\n{fields}\n");
    outcome(scenario, &claim).remove(0)
}

/// The same with fields of `[run]` added.
fn judged_with_run(scenario: &str, run: &str, fields: &str) -> Judgement {
    judged(
        &scenario.replace("[run]\n", &format!("[run]\n{run}\n")),
        fields,
    )
}

#[test]
fn what_was_observed_holds() {
    let claim = judged(CLOCKWORK, "metric = \"latency.e2e_ms.mean\"\nat_most = 6");
    assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
    assert!((claim.observed.unwrap() - 5.0).abs() < 0.01, "{claim:?}");
    assert_eq!(claim.expected, Some(6.0));
    assert_eq!(claim.relation, "at_most");
}

#[test]
fn what_is_contrary_to_what_was_observed_fails() {
    let claim = judged(CLOCKWORK, "metric = \"latency.e2e_ms.mean\"\nat_most = 4");
    assert_eq!(claim.verdict, Verdict::Fails, "{claim:?}");
    let claim = judged(CLOCKWORK, "metric = \"latency.e2e_ms.mean\"\nat_least = 6");
    assert_eq!(claim.verdict, Verdict::Fails, "{claim:?}");
}

#[test]
fn what_no_hardware_can_do_is_impossible() {
    let claim = judged(MODEL, "metric = \"latency.e2e_ms.mean\"\nat_most = 1");
    assert_eq!(claim.verdict, Verdict::Impossible, "{claim:?}");
    assert!(claim.why.contains("physics asks for at least"), "{claim:?}");
    let rate = "metric = \"pools.llama.requests_per_s_per_replica\"\nat_least = 100000";
    let claim = judged(MODEL, rate);
    assert_eq!(claim.verdict, Verdict::Impossible, "{claim:?}");
    assert!(claim.why.contains("physics allows at most"), "{claim:?}");
}

#[test]
fn a_field_that_no_run_can_have_is_refused_before_the_run_and_names_the_nearest() {
    let refused = |claim: &str| {
        let text = format!("{CLOCKWORK}\n[[claims]]\nid = \"c\"\ntext = \"t\"\n{claim}");
        let document = Document::parse(SourceText::new("s.toml", &text)).unwrap();
        let error = run_scenario(&document, Path::new(""), Control::default()).unwrap_err();
        error.to_string()
    };
    let error = refused("metric = \"latency.e2e_ms.p98\"\nat_most = 6");
    assert!(error.contains("did you mean `p9"), "{error}");
    assert!(error.starts_with("s.toml:16: claims.c.metric"), "{error}");
    let error = refused("metric = \"latencies.e2e_ms.p99\"\nat_most = 6");
    assert!(error.contains("did you mean `latency`?"), "{error}");
    let error = refused("metric = \"name\"\nat_most = 6");
    assert!(error.contains("has no `name`"), "{error}");
    let error = refused("metric = \"scenario.name\"\nat_most = 6");
    assert!(error.contains("it is a text"), "{error}");
    let error = refused("metric = \"cost.usd_per_year\"\nat_most = 6");
    assert!(
        error.contains("`cost` is empty in this scenario"),
        "{error}"
    );
}

#[test]
fn a_field_that_was_not_measured_leaves_a_claim_untested() {
    let claim = judged(CLOCKWORK, "metric = \"latency.tpot_ms.mean\"\nat_most = 6");
    assert_eq!(claim.verdict, Verdict::Untested);
    assert!(claim.why.contains("was not measured"), "{claim:?}");
}

#[test]
fn a_thin_quantile_leaves_a_claim_untested() {
    let claim = judged(BUSY, "metric = \"latency.e2e_ms.p999\"\nat_most = 100000");
    assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
    assert!(claim.why.contains("fewer than ten requests"), "{claim:?}");
}

#[test]
fn a_partial_run_leaves_a_claim_untested() {
    let mean = "metric = \"latency.e2e_ms.mean\"\nat_most = 100000";
    let claim = judged_with_run(BUSY, "max_events = 2000", mean);
    assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
    assert!(claim.why.contains("partial"), "{claim:?}");
    assert!(claim.why.contains("run.max_events"), "{claim:?}");
}

#[test]
fn a_bound_within_the_interval_leaves_a_claim_untested() {
    let mean = "metric = \"latency.e2e_ms.mean\"\nat_most = ";
    let four = |bound: f64| judged_with_run(BUSY, "replications = 4", &format!("{mean}{bound}"));
    let far = four(1e6);
    assert_eq!(far.verdict, Verdict::Holds, "{far:?}");
    let (observed, interval) = (far.observed.unwrap(), far.interval.unwrap());
    assert!(interval.low < observed && observed < interval.high);
    // Just above what was observed, and just below it.
    for bound in [
        (observed + interval.high) / 2.0,
        (observed + interval.low) / 2.0,
    ] {
        let near = four(bound);
        assert_eq!(near.verdict, Verdict::Untested, "{near:?}");
        assert!(near.why.contains("reaches across the bound"), "{near:?}");
    }
    assert_eq!(four(interval.low * 0.99).verdict, Verdict::Fails);
    assert_eq!(four(interval.high * 1.01).verdict, Verdict::Holds);
}

#[test]
fn a_counterfactual_runs_on_the_same_random_numbers() {
    for compare in ["difference", "percent_change"] {
        let claim = judged(
            BUSY,
            &format!(
                "metric = \"latency.e2e_ms.p90\"\ncompare = \"{compare}\"\n\
                 versus = {{ \"pools.servers.servers\" = 2 }}\nequals = 0"
            ),
        );
        assert_eq!(claim.observed, Some(0.0), "{claim:?}");
        assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
    }
}

#[test]
fn a_counterfactual_is_compared_in_the_way_that_the_claim_asks_for() {
    let compared = |compare: &str| {
        let claim = judged(
            CLOCKWORK,
            &format!(
                "metric = \"latency.e2e_ms.mean\"\n{compare}\n\
                 versus = {{ \"pools.one.service.mean_ms\" = 4 }}\nat_least = -1000"
            ),
        );
        assert!((claim.counterfactual.unwrap() - 4.0).abs() < 0.01);
        claim.observed.unwrap()
    };
    assert!((compared("compare = \"difference\"") - 1.0).abs() < 0.01);
    assert!((compared("compare = \"ratio\"") - 1.25).abs() < 0.01);
    assert!((compared("") - 25.0).abs() < 0.1);
}

#[test]
fn overrides_of_a_claim_change_its_run_alone() {
    let claims = outcome(
        CLOCKWORK,
        r#"
[[claims]]
id = "slower"
text = "t"
metric = "latency.e2e_ms.mean"
with = { "pools.one.service.mean_ms" = 8 }
equals = 8
[[claims]]
id = "base"
text = "t"
metric = "latency.e2e_ms.mean"
equals = 5
"#,
    );
    for claim in &claims {
        assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
    }
}

#[test]
fn a_claim_may_be_about_a_variant() {
    let claims = outcome(
        CLOCKWORK,
        r#"
[variants.slow]
"pools.one.service.mean_ms" = 8
[[claims]]
id = "variant"
text = "t"
variant = "slow"
metric = "latency.e2e_ms.mean"
equals = 8
[[claims]]
id = "on-top"
text = "t"
variant = "slow"
with = { "network.to_replica_ms" = 1 }
metric = "latency.e2e_ms.mean"
equals = 9
[[claims]]
id = "reached-by-path"
text = "t"
metric = "variants.slow.latency.e2e_ms.mean - latency.e2e_ms.mean"
equals = 3
"#,
    );
    assert_eq!(claims[0].variant.as_deref(), Some("slow"));
    for claim in &claims {
        assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
    }
}

#[test]
fn metrics_and_bounds_may_be_expressions() {
    let claim = judged(
        CLOCKWORK,
        "metric = \"ceil(scenario.workload.arrivals.rate_per_s / 30) * 2\"\n\
         equals = \"2 + scenario.pools.one.service.mean_ms + 1\"\ntolerance_pct = 0",
    );
    assert_eq!(claim.observed, Some(8.0));
    assert_eq!(claim.expected, Some(8.0));
    assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
}

#[test]
fn an_expression_without_a_finite_value_leaves_a_claim_untested() {
    let claim = judged(
        CLOCKWORK,
        "metric = \"latency.e2e_ms.mean / latency.queue_ms.mean\"\nat_most = 3",
    );
    assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
    assert!(claim.why.contains("not a finite number"), "{claim:?}");
}

#[test]
fn equality_is_within_one_percent_unless_the_claim_says_otherwise() {
    let rate = "metric = \"scenario.workload.arrivals.rate_per_s\"\nequals = ";
    let verdict = |rest: &str| judged(CLOCKWORK, &format!("{rate}{rest}")).verdict;
    assert_eq!(verdict("100.9"), Verdict::Holds);
    assert_eq!(verdict("102"), Verdict::Fails);
    assert_eq!(verdict("102\ntolerance_pct = 2"), Verdict::Holds);
    assert_eq!(verdict("100.9\ntolerance_pct = 0"), Verdict::Fails);
    assert_eq!(verdict("100\ntolerance_pct = 0"), Verdict::Holds);
}

#[test]
fn requests_refused_as_too_long_do_not_lower_what_physics_allows() {
    let mixed = MODEL
        .replace(
            "prompt_tokens = { law = \"constant\", tokens = 200 }",
            "prompt_tokens = { law = \"quantiles\", knots = [[0.0, 50], [0.5, 60], [0.500001, 30000], [1.0, 30001]] }",
        )
        .replace("rate_per_s = 4", "rate_per_s = 40")
        + "max_model_len = 4096\n";
    let claim = judged(
        &mixed,
        "metric = \"throughput.requests_per_s\"\nat_least = 15",
    );
    assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
}

#[test]
fn a_run_too_short_to_bound_a_quantile_leaves_a_claim_untested() {
    let short = BUSY
        .replace("horizon_s = 100", "horizon_s = 150")
        .replace("servers = 2", "servers = 1")
        .replace("rate_per_s = 50", "rate_per_s = 30");
    let claim = judged(&short, "metric = \"latency.e2e_ms.p99\"\nat_most = 100000");
    assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
    assert!(claim.why.contains("too short to bound"), "{claim:?}");
}

#[test]
fn requests_in_flight_at_the_end_leave_latencies_and_objectives_untested() {
    let overloaded = BUSY
        .replace("[run]\n", "[run]\ndrain_limit_s = 0\n")
        .replace("warmup_s = 10", "warmup_s = 0")
        .replace("mean_ms = 30", "mean_ms = 600")
        + "[slo]\ne2e_ms = 90000\n";
    for metric in ["latency.e2e_ms.p90", "latency.e2e_ms.mean"] {
        let claim = judged(
            &overloaded,
            &format!("metric = \"{metric}\"\nat_most = 100000"),
        );
        assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
        assert!(claim.why.contains("still in flight"), "{claim:?}");
    }
    let attained = "metric = \"slo.default.attained\"\nat_least = 0.5";
    let claim = judged(&overloaded, attained);
    assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
}

#[test]
fn counts_are_judged_by_their_mean_over_the_replications() {
    let arrived = "metric = \"requests.arrived\"\nat_least = 10000";
    let claim = judged_with_run(BUSY, "replications = 4", arrived);
    assert_eq!(claim.verdict, Verdict::Fails, "{claim:?}");
    let (observed, interval) = (claim.observed.unwrap(), claim.interval.unwrap());
    assert!(
        interval.low < observed && observed < interval.high,
        "{claim:?}"
    );
    assert!((observed - 5_000.0).abs() < 500.0, "{claim:?}");
}

#[test]
fn figures_made_of_counts_and_their_bounds_are_of_one_replication() {
    for claim in [
        "metric = \"requests.arrived - requests.completed\"\nat_most = 50",
        "metric = \"requests.arrived - 1000\"\nat_most = 4500",
        "metric = \"1000000 / requests.arrived\"\nat_least = 180",
        "metric = \"requests.completed / requests.arrived\"\nat_least = 0.9",
        "metric = \"requests.arrived\"\nat_most = \"1.2 * requests.completed\"",
    ] {
        let judged = judged_with_run(BUSY, "replications = 4", claim);
        assert_eq!(judged.verdict, Verdict::Holds, "{judged:?}");
        let (observed, interval) = (judged.observed.unwrap(), judged.interval.unwrap());
        assert!(interval.contains(observed), "{judged:?}");
    }
}

#[test]
fn where_nothing_is_random_a_value_is_exact() {
    let claim = judged(CLOCKWORK, "metric = \"latency.e2e_ms.p99\"\nat_most = 6");
    assert_eq!(claim.verdict, Verdict::Holds, "{claim:?}");
    assert!(claim.why.starts_with("exact"), "{claim:?}");
}

/// Half of the users fail from 10 s to 15 s; then the only server dies for good.
const NEVER_WELL: &str = r#"
[[faults.timeline]]
kind = "bad_deploy"
share = 0.5
at_s = 10
for_s = 5
[[faults.timeline]]
kind = "crash"
target = { pool = "one" }
at_s = 16
"#;

#[test]
fn a_fleet_that_never_was_well_again_took_longer_than_any_bound() {
    let metric = "metric = \"timeline.summary.recovery_s\"";
    let judged = |run: &str, bound: &str| {
        let fields = format!("{metric}\n{bound}\n{NEVER_WELL}");
        judged_with_run(CLOCKWORK, run, &fields)
    };
    let claim = judged("", "at_most = 10");
    assert_eq!(claim.verdict, Verdict::Fails, "{claim:?}");
    assert_eq!(claim.why, "the fleet was not well again");
    assert_eq!(claim.observed, None);
    let claim = judged("replications = 3", "at_most = 10");
    assert_eq!(claim.verdict, Verdict::Fails, "{claim:?}");
    assert!(claim.why.ends_with("in 3 of 3 replications"), "{claim:?}");
    // From below it is not decided: nobody knows how long it would have been.
    let claim = judged("", "at_least = 10");
    assert_eq!(claim.verdict, Verdict::Untested, "{claim:?}");
}
