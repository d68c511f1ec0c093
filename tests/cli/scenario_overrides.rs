//! `--set path=value`: paths, values, and what is refused.

#![allow(clippy::unwrap_used, clippy::panic)]

use seatrial::scenario::schema::Scenario;
use seatrial::scenario::{Document, SourceText};
use serde_json::json;

const TEXT: &str = r#"name = "x"
description = "d"

[workload.arrivals]
process = "poisson"
rate_per_s = 5.0

[[tiers]]
name = "gold"

[[tiers]]
name = "free"
share = 3

[[pools]]
name = "nodes"
engine = "abstract"
service = { law = "exponential", mean_ms = 100.0 }

[[pools]]
name = "spare"
engine = "abstract"
service = { law = "exponential", mean_ms = 100.0 }

[[claims]]
id = "c1"
text = "t"
metric = "latency.e2e_ms.p99"
at_most = 5
with = { "pools.nodes.servers" = 2 }
"#;

fn document() -> Document {
    Document::parse(SourceText::new("s.toml", TEXT)).unwrap()
}

fn after(path: &str, value: &str) -> serde_json::Value {
    let mut document = document();
    document.set(path, value).unwrap();
    let again = SourceText::new("again.toml", document.effective_toml());
    let again = Document::parse(again).unwrap();
    assert_eq!(again.to_json(), document.to_json());
    document.to_json()
}

fn refused(path: &str, value: &str) -> String {
    let mut changed = document();
    let message = changed.set(path, value).unwrap_err().to_string();
    assert_eq!(changed.to_json(), document().to_json());
    let (plain, with_value) = (format!("--set {path}: "), format!("--set {path} = "));
    assert!(
        message.starts_with(&plain) || message.starts_with(&with_value),
        "{message}"
    );
    message
}

#[track_caller]
fn has(message: &str, part: &str) {
    assert!(message.contains(part), "no {part:?} in: {message}");
}

#[test]
fn every_kind_of_path() {
    assert_eq!(after("name", "y")["name"], "y");
    assert_eq!(
        after("workload.arrivals.rate_per_s", "7")["workload"]["arrivals"]["rate_per_s"],
        7
    );
    assert_eq!(after("pools.0.servers", "2")["pools"][0]["servers"], 2);
    assert_eq!(after("pools.spare.servers", "2")["pools"][1]["servers"], 2);
    assert_eq!(
        after("pools.nodes.service.mean_ms", "2.5")["pools"][0]["service"]["mean_ms"],
        2.5
    );
    assert_eq!(after("tiers.gold.share", "0.5")["tiers"][0]["share"], 0.5);
    assert_eq!(after("claims.c1.at_most", "6")["claims"][0]["at_most"], 6);
    assert_eq!(
        after("gateway.rate_limit.burst", "5")["gateway"]["rate_limit"]["burst"],
        5
    );
    let quoted = after("claims.c1.with.\"pools.nodes.servers\"", "4");
    assert_eq!(quoted["claims"][0]["with"]["pools.nodes.servers"], 4);
    let whole = after(
        "workload.arrivals",
        "{ process = \"constant\", rate_per_s = 1 }",
    );
    assert_eq!(
        whole["workload"]["arrivals"],
        json!({"process": "constant", "rate_per_s": 1})
    );
    assert_eq!(
        after("tiers.gold", "{ name = \"g\" }")["tiers"][0],
        json!({"name": "g"})
    );
}

#[test]
fn values() {
    let cases = [
        ("42", json!(42)),
        ("1_000", json!(1000)),
        ("-1", json!(-1)),
        ("0.5", json!(0.5)),
        ("1e3", json!(1000.0)),
        ("true", json!(true)),
        ("\"text\"", json!("text")),
        ("'text'", json!("text")),
        ("\"42\"", json!("42")),
        ("\"unset\"", json!("unset")),
        ("text", json!("text")),
        ("some text, with = signs", json!("some text, with = signs")),
        ("  spaced  ", json!("spaced")),
        ("", json!("")),
        ("[1,2]", json!([1, 2])),
        ("[[0, 1], [5, 2.0]]", json!([[0, 1], [5, 2.0]])),
        ("{a=1, b={c=true}}", json!({"a": 1, "b": {"c": true}})),
        ("latency.e2e_ms.p99 * 2", json!("latency.e2e_ms.p99 * 2")),
        ("99999999999999999999", json!("99999999999999999999")),
    ];
    for (text, wanted) in cases {
        assert_eq!(after("description", text)["description"], wanted, "{text}");
    }
    has(&refused("description", "[1, 2"), "is not a TOML value");
    has(&refused("description", "\"open"), "is not a TOML value");
}

#[test]
fn set_value() {
    let mut document = document();
    let value: toml::Value = toml::Value::try_from(json!([{"name": "a", "share": 1.5}])).unwrap();
    document.set_value("tiers", value).unwrap();
    assert_eq!(
        document.to_json()["tiers"],
        json!([{"name": "a", "share": 1.5}])
    );
    assert_eq!(document.locate("tiers.a.share").to_string(), "--set tiers");
    document.set("tiers.a.share", "2").unwrap();
    assert_eq!(
        document.locate("tiers.a.share").to_string(),
        "--set tiers.a.share"
    );
}

#[test]
fn unset_removes() {
    assert_eq!(after("description", "unset").get("description"), None);
    assert_eq!(after("tiers", "unset").get("tiers"), None);
    assert_eq!(
        after("tiers.gold", "unset")["tiers"],
        json!([{"name": "free", "share": 3}])
    );
    assert_eq!(
        after("pools.0.service.mean_ms", "unset")["pools"][0]["service"],
        json!({"law": "exponential"})
    );
    let mut document = document();
    document.set("tiers.0", "unset").unwrap();
    assert_eq!(document.locate("tiers.0.share").to_string(), "s.toml:13");
    has(
        &refused("descriptoin", "unset"),
        "did you mean `description`?",
    );
    has(
        &refused("network.to_replica_ms", "unset"),
        "`network` is not written",
    );
}

#[test]
fn elements_that_are_not_there() {
    has(
        &refused("pools.node.servers", "2"),
        "no element is named `node`: there are `nodes` and `spare`; did you mean `nodes`?",
    );
    has(
        &refused("pools.2.servers", "2"),
        "there is no element 2: they are 0 to 1",
    );
    has(
        &refused("pools.99999999999999999999999.servers", "2"),
        "they are 0 to 1",
    );
    has(&refused("claims.zz.at_most", "2"), "there are `c1`");
}

#[test]
fn elements_with_the_same_name() {
    let mut document = document();
    document.set("pools.1.name", "nodes").unwrap();
    let error = document.set("pools.nodes.servers", "1").unwrap_err();
    has(
        &error.to_string(),
        "several elements are named `nodes`; use the index",
    );
    document.set("pools.1.servers", "1").unwrap();
}

#[test]
fn bad_paths() {
    has(
        &refused("name.first", "1"),
        "what stands there is \"x\", not a table",
    );
    has(&refused("", "1"), "is no path");
    has(&refused("a..b", "1"), "is no path");
    has(&refused(".", "1"), "is no path");
    has(&refused("a.\"b", "1"), "is no path");
    has(&refused(&"a.".repeat(100_000), "1"), "has too many parts");
}

#[test]
fn errors_of_overridden_fields_name_the_override() {
    let cases = [
        (
            "pools.nodes.servrs",
            "2",
            "--set pools.nodes.servrs = 2: is not a field here",
            "did you mean `servers`?",
        ),
        (
            "pools.0.servrs",
            "2",
            "--set pools.0.servrs: pools.nodes.servrs = 2",
            "did you mean `servers`?",
        ),
        (
            "wrkload.x",
            "2",
            "--set wrkload.x: `wrkload` is not a field here",
            "did you mean `workload`?",
        ),
        (
            "pools.nodes.servers",
            "two",
            "--set pools.nodes.servers = \"two\": must be a whole number",
            "",
        ),
        (
            "workload.arrivals.rate_per_sec",
            "2",
            "--set workload.arrivals.rate_per_sec = 2",
            "did you mean `rate_per_s`?",
        ),
        (
            "workload.arrivals.process",
            "gamma",
            "s.toml:4: workload.arrivals.cv: is missing",
            "add `cv`",
        ),
        ("workload", "unset", "s.toml: workload: is missing", ""),
        ("pools", "3", "--set pools = 3: must be a list", ""),
    ];
    for (path, value, wanted, remedy) in cases {
        let mut document = document();
        document.set(path, value).unwrap();
        let message = document.parse_as::<Scenario>().unwrap_err().to_string();
        has(&message, wanted);
        has(&message, remedy);
    }
}

#[test]
fn an_overridden_scenario_reads() {
    let mut document = document();
    document.set("router.policy", "least_request").unwrap();
    document.set("router.choices", "0").unwrap();
    document.set("run.warmup_s", "auto").unwrap();
    document.set("pools.nodes.servers", "3").unwrap();
    let scenario: Scenario = document.parse_as().unwrap();
    let again = SourceText::new("again.toml", document.effective_toml());
    let again: Scenario = Document::parse(again).unwrap().parse_as().unwrap();
    assert_eq!(scenario, again);
    assert_eq!(document.locate("router").to_string(), "--set router.policy");
}
