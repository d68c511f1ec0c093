//! Fields that are unknown, missing or of the wrong kind: the error says which, where and why.

#![allow(clippy::unwrap_used, clippy::panic)]

use seatrial::scenario::schema::Scenario;
use seatrial::scenario::{Document, ScenarioError, SourceText};

const MINIMAL: &str = r#"name = "small"

[workload.arrivals]
process = "poisson"
rate_per_s = 5.0

[[pools]]
name = "nodes"
engine = "abstract"
service = { law = "exponential", mean_ms = 100.0 }
"#;

fn document(text: &str) -> Document {
    Document::parse(SourceText::new("s.toml", text)).unwrap()
}

fn refused(text: &str) -> String {
    let error = document(text).parse_as::<Scenario>().unwrap_err();
    assert!(matches!(error, ScenarioError::Field { .. }), "{error}");
    error.to_string()
}

fn changed(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from));
    refused(&MINIMAL.replacen(from, to, 1))
}

#[track_caller]
fn has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
    assert!(!message.contains('\u{1}'), "{message}");
}

#[test]
fn a_minimal_scenario_is_read() {
    let scenario: Scenario = document(MINIMAL).parse_as().unwrap();
    assert_eq!(scenario.name, "small");
    assert_eq!(scenario.pools[0].name(), "nodes");
}

#[test]
fn unknown_field_of_a_pool() {
    let message = changed("engine = \"abstract\"", "engine = \"abstract\"\nservrs = 3");
    has(
        &message,
        &[
            "s.toml:10: pools.nodes.servrs = 3: is not a field here",
            "`replicas`",
            "did you mean `servers`?",
        ],
    );
}

#[test]
fn the_same_misspelling_twice_names_the_first() {
    let extra = "\n[[pools]]\nname = \"b\"\nengine = \"abstract\"\nservrs = 4\n";
    let text = format!(
        "{}{extra}",
        MINIMAL.replace("engine = \"abstract\"", "engine = \"abstract\"\nservrs = 3")
    );
    has(&refused(&text), &["s.toml:10: pools.nodes.servrs = 3"]);
}

#[test]
fn a_field_that_another_engine_has() {
    let extra = r#"
[[pools]]
name = "gpu"
engine = "llm"
model = "m"
accelerator = "a"
servers = 2
"#;
    let text = format!(
        "{}{extra}",
        MINIMAL.replace(
            "engine = \"abstract\"",
            "engine = \"abstract\"\nservers = 2"
        )
    );
    has(
        &refused(&text),
        &[
            "s.toml:18: pools.gpu.servers = 2: is not a field here",
            "`model`",
        ],
    );
}

#[test]
fn unknown_field_deep_inside_a_pool() {
    has(
        &changed("mean_ms = 100.0", "mean_ms = 100.0, scv = 2"),
        &[
            "s.toml:10: pools.nodes.service.scv = 2",
            "allowed are `mean_ms`",
        ],
    );
}

#[test]
fn unknown_field_of_the_arrivals() {
    has(
        &changed("rate_per_s = 5.0", "rate_per_sec = 5.0"),
        &[
            "s.toml:5: workload.arrivals.rate_per_sec = 5.0",
            "did you mean `rate_per_s`?",
        ],
    );
}

#[test]
fn unknown_field_of_a_state() {
    let states =
        "states = [\n  { rate_per_s = 1, mean_s = 2 },\n  { rate_per_s = 1, means = 2 },\n]";
    let text = MINIMAL
        .replace("\"poisson\"", "\"mmpp\"")
        .replace("rate_per_s = 5.0", states);
    has(
        &refused(&text),
        &[
            "s.toml:7: workload.arrivals.states.1.means",
            "did you mean `mean_s`?",
        ],
    );
}

#[test]
fn a_variant_without_fields() {
    let text = format!("{MINIMAL}\n[router]\npolicy = \"round_robin\"\nchoices = 2\n");
    has(
        &refused(&text),
        &["s.toml:14: router.choices = 2", "there are no other fields"],
    );
}

#[test]
fn misspelt_section() {
    has(
        &changed("[workload.arrivals]", "[workloda.arrivals]"),
        &["s.toml:3: workloda:", "did you mean `workload`?"],
    );
}

#[test]
fn missing_workload() {
    let text = "name = \"x\"\npools = []\n";
    assert_eq!(
        refused(text),
        "s.toml: workload: is missing; add `workload`"
    );
}

#[test]
fn empty_file() {
    has(&refused(""), &["s.toml: name: is missing"]);
}

#[test]
fn missing_field_inside_tagged_tables() {
    has(
        &changed("rate_per_s = 5.0\n", ""),
        &["s.toml:3: workload.arrivals.rate_per_s: is missing; add `rate_per_s` to"],
    );
    has(
        &changed(", mean_ms = 100.0", ""),
        &["s.toml:10: pools.nodes.service.mean_ms: is missing"],
    );
    has(
        &changed("engine = \"abstract\"\n", ""),
        &["s.toml:7: pools.nodes.engine: is missing"],
    );
    has(
        &changed("law = \"exponential\", ", ""),
        &["s.toml:10: pools.nodes.service.law: is missing"],
    );
    has(
        &changed("name = \"nodes\"\n", ""),
        &["s.toml:7: pools.0.name: is missing"],
    );
}

#[test]
fn missing_field_in_the_second_of_two_laws() {
    let batch = "batch_service = { fixed_ms = 1, per_item_ms = 1, variability = { law = \"erlang\", mean_ms = 3 } }";
    let message = changed(
        "engine = \"abstract\"",
        &format!("engine = \"abstract\"\n{batch}"),
    );
    has(
        &message,
        &["pools.nodes.batch_service.variability.stages: is missing"],
    );
}

#[test]
fn wrong_types() {
    let cases = [
        (
            "name = \"small\"",
            "name = 3",
            "s.toml:1: name = 3: must be text; put it in quotes",
        ),
        (
            "engine = \"abstract\"",
            "engine = \"abstract\"\nservers = 2.5",
            "s.toml:10: pools.nodes.servers = 2.5: must be a whole number, 0 to 4,294,967,295; write it without a decimal point",
        ),
        (
            "engine = \"abstract\"",
            "engine = \"abstract\"\nreplicas = 1\nservers = -1",
            "s.toml:11: pools.nodes.servers = -1: must be a whole number",
        ),
        (
            "engine = \"abstract\"",
            "engine = \"abstract\"\nservers = \"two\"",
            "s.toml:10: pools.nodes.servers = \"two\": must be a whole number, 0 to 4,294,967,295; write it without quotes",
        ),
        (
            "rate_per_s = 5.0",
            "rate_per_s = \"5\"",
            "s.toml:5: workload.arrivals.rate_per_s = \"5\": must be a number; write it without quotes",
        ),
        (
            "rate_per_s = 5.0",
            "rate_per_s = [5]",
            "s.toml:5: workload.arrivals.rate_per_s = [1 element]: must be a number",
        ),
        (
            "rate_per_s = 5.0",
            "rate_per_s = { a = 1 }",
            "s.toml:5: workload.arrivals.rate_per_s: is a table, must be a number",
        ),
        (
            "service = { law = \"exponential\", mean_ms = 100.0 }",
            "service = 5",
            "s.toml:10: pools.nodes.service = 5: must be a table",
        ),
        (
            "[[pools]]",
            "[pools]",
            "s.toml:7: pools: is a table, must be a list",
        ),
        (
            "[workload.arrivals]",
            "[run]\nseed = true\n[workload.arrivals]",
            "s.toml:4: run.seed = true: must be a whole number",
        ),
        (
            "[workload.arrivals]",
            "[run]\nwarmup_s = true\n[workload.arrivals]",
            "s.toml:4: run.warmup_s = true: is a kind of value that is not allowed here",
        ),
    ];
    for (from, to, wanted) in cases {
        has(&changed(from, to), &[wanted]);
    }
}

#[test]
fn wrong_words() {
    let cases = [
        (
            "\"poisson\"",
            "\"poison\"",
            "s.toml:4: workload.arrivals.process = \"poison\": is not one of `poisson`, ",
            "did you mean `poisson`?",
        ),
        (
            "\"abstract\"",
            "\"vllm\"",
            "s.toml:9: pools.nodes.engine = \"vllm\": is not one of `abstract` and `llm`",
            "did you mean `llm`?",
        ),
        (
            "\"abstract\"",
            "\"abstract\"\ndiscipline = \"lottery\"",
            "s.toml:10: pools.nodes.discipline = \"lottery\": is not one of",
            "use one of these",
        ),
        (
            "\"exponential\"",
            "\"exponentail\"",
            "s.toml:10: pools.nodes.service.law",
            "did you mean `exponential`?",
        ),
    ];
    for (from, to, wanted, remedy) in cases {
        has(&changed(from, to), &[wanted, remedy]);
    }
}

#[test]
fn wrong_number_of_elements() {
    let profile = "[workload.profile]\nshape = \"points\"\npoints = [[0, 1], [1, 2, 3]]\n";
    let message = refused(&format!("{MINIMAL}{profile}"));
    has(
        &message,
        &["s.toml:13: workload.profile.points.1 = [3 elements]: has 3 elements, must have 2"],
    );
    let short = profile.replace("[0, 1]", "[0]");
    has(
        &refused(&format!("{MINIMAL}{short}")),
        &["workload.profile.points.0 = [1 element]: has 1 element, must have 2"],
    );
}

#[test]
fn elements_without_a_name_of_their_own_go_by_index() {
    let text =
        format!("{MINIMAL}\n[[pools]]\nname = \"nodes\"\nengine = \"abstract\"\nservrs = 1\n");
    has(&refused(&text), &["s.toml:15: pools.1.servrs"]);
}

#[test]
fn many_states_are_no_trouble() {
    let mut states = "states = [\n".to_owned();
    for _ in 0..20_000 {
        states.push_str("{ rate_per_s = 1, mean_s = 1 },\n");
    }
    states.push_str("{ rate_per_s = 1 }]\n");
    let text = MINIMAL
        .replace("\"poisson\"", "\"mmpp\"")
        .replace("rate_per_s = 5.0", &states);
    has(
        &refused(&text),
        &["workload.arrivals.states.20000.mean_s: is missing"],
    );
}

#[test]
fn another_type_of_document_is_read_too() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Other {
        #[serde(rename = "steps")]
        _steps: Vec<u8>,
    }
    let error = document("stps = [1]").parse_as::<Other>().unwrap_err();
    has(
        &error.to_string(),
        &["s.toml:1: stps", "did you mean `steps`?"],
    );
    let error = document("steps = [\n1,\n300]")
        .parse_as::<Other>()
        .unwrap_err();
    has(
        &error.to_string(),
        &["s.toml:3: steps.1 = 300: must be a whole number, 0 to 255"],
    );
}
