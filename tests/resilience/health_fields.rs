//! What a user may write for health and retries: every value out of range is refused by name.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Debug;

use schemars::JsonSchema;
use seatrial::scenario::clients::{Backoff, RetryBudget};
use seatrial::scenario::health::{
    ActiveCheck, AdmissionControl, CircuitBreaker, CircuitLimits, OutlierDetection, Priorities,
};
use seatrial::scenario::{Document, Problems, ScenarioError, SourceText};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The fields that are refused, in the order of their lines.
fn refused<T: DeserializeOwned>(
    text: &str,
    check: impl Fn(&T, &str, &mut Problems<'_>),
) -> Vec<String> {
    let source = SourceText::new("s.toml", format!("[part]\n{text}\n"));
    let document = Document::parse(source).unwrap();
    let value: T = toml::from_str(text).unwrap();
    let mut problems = Problems::new(&document);
    check(&value, "part", &mut problems);
    match problems.finish() {
        Ok(()) => Vec::new(),
        Err(ScenarioError::Invalid(list)) => list.into_iter().map(|found| found.field).collect(),
        Err(other) => panic!("{other}"),
    }
}

/// Each line alone is refused, and named.
fn each_refused<T: DeserializeOwned>(
    rest: &str,
    lines: &[&str],
    check: impl Fn(&T, &str, &mut Problems<'_>) + Copy,
) {
    assert_eq!(refused(rest, check), Vec::<String>::new());
    for line in lines {
        let field = line.split('=').next().unwrap_or("").trim();
        let named = refused(&format!("{rest}\n{line}"), check);
        assert_eq!(named, [format!("part.{field}")], "{line}");
    }
}

#[test]
fn values_out_of_range_are_named() {
    each_refused(
        "",
        &[
            "base_ms = 0",
            "base_ms = inf",
            "multiplier = 0",
            "max_ms = 24",
            "max_ms = nan",
        ],
        Backoff::check,
    );
    each_refused(
        "",
        &[
            "failure_rate_threshold_pct = 0",
            "failure_rate_threshold_pct = 100.5",
            "slow_call_rate_threshold_pct = 101",
            "slow_call_duration_s = 0",
            "wait_in_open_s = 0",
            "permitted_calls_in_half_open = 0",
            "minimum_calls = 0",
            "window_size = 0",
            "window_size = 1000001",
            "max_wait_in_half_open_s = -1",
        ],
        CircuitBreaker::check,
    );
    each_refused(
        "",
        &[
            "consecutive_5xx = 0",
            "enforcing_consecutive_5xx_pct = 101",
            "consecutive_gateway_failure = 0",
            "enforcing_consecutive_gateway_failure_pct = 101",
            "interval_s = 0",
            "base_ejection_time_s = -1",
            "max_ejection_time_s = 29",
            "max_ejection_time_jitter_s = -1",
            "max_ejection_pct = 101",
            "enforcing_success_rate_pct = 101",
            "failure_percentage_threshold_pct = 101",
            "enforcing_failure_percentage_pct = 101",
        ],
        OutlierDetection::check,
    );
    each_refused(
        "interval_s = 10\ntimeout_s = 1",
        &[
            "unhealthy_threshold = 0",
            "healthy_threshold = 0",
            "initial_jitter_s = -1",
            "interval_jitter_s = nan",
            "interval_jitter_pct = 1001",
            "unhealthy_interval_s = 0",
            "unhealthy_edge_interval_s = 0",
            "healthy_edge_interval_s = 0",
        ],
        ActiveCheck::check,
    );
    each_refused(
        "",
        &[
            "panic_threshold_pct = 101",
            "overprovisioning_factor_pct = 99",
        ],
        Priorities::check,
    );
    each_refused(
        "",
        &[
            "window_s = 0",
            "sr_threshold_pct = 0.5",
            "aggression = 0.9",
            "max_rejection_probability_pct = 100.1",
        ],
        AdmissionControl::check,
    );
    each_refused("max_requests = 0", &[], CircuitLimits::check);
}

#[test]
fn budgets_out_of_range_are_named() {
    let check = RetryBudget::check;
    each_refused("policy = \"none\"", &[], check);
    each_refused("policy = \"max_retries\"", &[], check);
    each_refused("policy = \"envoy\"", &["budget_pct = 100.5"], check);
    each_refused(
        "policy = \"ratio\"",
        &[
            "ratio = -0.1",
            "ratio = 0.0001",
            "min_retries_per_s = 1000001",
            "ttl_s = 0",
            "ttl_s = 61",
        ],
        check,
    );
    let grpc = |tokens: &str, ratio: &str| {
        let text = format!("policy = \"grpc\"\nmax_tokens = {tokens}\ntoken_ratio = {ratio}");
        refused(&text, check)
    };
    assert!(grpc("10", "0.1").is_empty());
    assert_eq!(grpc("0", "0.1"), ["part.max_tokens"]);
    assert_eq!(grpc("1001", "0"), ["part.max_tokens", "part.token_ratio"]);
    // gRPC has no defaults for them.
    assert!(toml::from_str::<RetryBudget>("policy = \"grpc\"").is_err());
}

fn round_trip<T: DeserializeOwned + Serialize + JsonSchema + PartialEq + Debug>(text: &str) {
    let value: T = toml::from_str(text).unwrap();
    let written = toml::to_string(&value).unwrap();
    assert_eq!(toml::from_str::<T>(&written).unwrap(), value, "{written}");
    let unknown = format!("{text}\nno_such_field = 1");
    assert!(toml::from_str::<T>(&unknown).is_err());
    assert!(!schemars::schema_for!(T).as_value().is_null());
}

#[test]
fn what_is_written_reads_back_and_unknown_fields_are_refused() {
    round_trip::<Backoff>("jitter = \"decorrelated\"");
    for policy in ["none", "envoy", "max_retries", "ratio"] {
        round_trip::<RetryBudget>(&format!("policy = \"{policy}\""));
    }
    round_trip::<RetryBudget>("policy = \"grpc\"\nmax_tokens = 10\ntoken_ratio = 0.1");
    round_trip::<CircuitBreaker>("window = \"time_based\"\nafter_max_wait = \"closed\"");
    round_trip::<OutlierDetection>("max_ejection_time_s = 60");
    round_trip::<ActiveCheck>("interval_s = 10\ntimeout_s = 1");
    round_trip::<Priorities>("");
    round_trip::<CircuitLimits>("");
    round_trip::<AdmissionControl>("");
}
