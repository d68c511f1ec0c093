//! What a sweep says is what is known by other means: single runs, closed forms, definitions.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::sweeps;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use sweeps::{EXPERIMENT, fine, folder, swept};

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn every_point_is_the_run_of_its_scenario() {
    let dir = folder(EXPERIMENT);
    let json = fine(dir.path(), &["sweep", "e.toml", "--json", "--out", "o"]);
    let sweep: Value = serde_json::from_str(&json).unwrap();
    for index in [0, 5, 11] {
        let point = &sweep["points"][index];
        let set = point["settings"].as_object().unwrap().iter();
        let set: Vec<String> = set.map(|(path, value)| format!("{path}={value}")).collect();
        let mut arguments = vec!["run", "s.toml", "--json"];
        arguments.extend(set.iter().flat_map(|set| ["--set", set.as_str()]));
        let output = sweeps::seatrial(dir.path(), &arguments);
        let run: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(run["digest"], point["digest"]);
        let p99 = &point["metrics"]["p99_ms"];
        assert_eq!(run["latency"]["e2e_ms"]["p99"], p99["value"]);
        assert_eq!(run["intervals"]["e2e_ms"]["p99"]["low"], p99["low"]);
        assert_eq!(p99["replications"].as_array().unwrap().len(), 3);
    }
    // The same rates come on the same random numbers: more servers never make it slower.
    let p99 = |index: usize| number(&sweep["points"][index]["metrics"]["p99_ms"]["value"]);
    for rate in 0..4 {
        assert!(p99(3 * rate) >= p99(3 * rate + 1) && p99(3 * rate + 1) >= p99(3 * rate + 2));
    }
}

#[test]
fn the_front_is_of_points_within_all_bounds() {
    let bounded = EXPERIMENT
        .replace("goal = \"min\"\n[[", "goal = \"min\"\nat_most = 110\n[[")
        .replace("values = [20, 40, 60, 80]", "values = [80]");
    let sweep = swept(&bounded);
    let points = sweep["points"].as_array().unwrap();
    for point in points {
        let p99 = &point["metrics"]["p99_ms"];
        let (low, high) = (number(&p99["low"]), number(&p99["high"]));
        let known = match (high <= 110.0, low > 110.0) {
            (true, _) => Value::Bool(true),
            (_, true) => Value::Bool(false),
            // Its interval crosses the bound: it is not called feasible.
            _ => Value::Null,
        };
        assert_eq!(point["feasible"], known, "{point}");
    }
    let feasible = |index: &Value| points[index.as_u64().unwrap() as usize]["feasible"] == true;
    let front = sweep["front"].as_array().unwrap();
    assert!(!front.is_empty() && front.iter().all(feasible), "{front:?}");
    assert!(
        points.iter().any(|point| point["feasible"] == false),
        "{points:?}"
    );
}

#[test]
fn effects_of_a_known_function_are_the_known_ones() {
    // y = 3 a + b c over a in {0, 1}, b in {1, 2}, c in {1, 3}, of numbers that simulate nothing. By
    // hand: V(a) = 9/4, E(bc | b) = 2b, E(bc | c) = 1.5c, so V_b = 1, V_c = 2.25, V(bc) = 3.5.
    let text = r#"
name = "known"
scenario = "s.toml"
[[axes]]
path = "workload.arrivals.rate_per_s"
name = "a"
values = [10, 11]
[[axes]]
path = "pools.servers.servers"
name = "b"
values = [1, 2]
[[axes]]
path = "slo.e2e_ms"
name = "c"
values = [1, 3]
[[metrics]]
name = "y"
metric = "3 * (scenario.workload.arrivals.rate_per_s - 10) + scenario.pools.servers.servers * scenario.slo.e2e_ms + 0 * sim.events"
"#;
    let sweep = swept(text);
    let effects = &sweep["effects"][0];
    let total = 9.0 / 4.0 + 3.5;
    for (axis, first, all, lowest, highest) in [
        ("a", 2.25, 2.25, 3.0, 6.0),
        ("b", 1.0, 1.25, 3.5, 5.5),
        ("c", 2.25, 2.5, 3.0, 6.0),
    ] {
        let rows = effects["axes"].as_array().unwrap();
        let row = rows.iter().find(|row| row["axis"] == axis).unwrap();
        let close = |value: &Value, expected: f64| {
            assert!((number(value) - expected).abs() < 1e-9, "{axis}: {row}");
        };
        close(&row["first_order"]["value"], first / total);
        close(&row["total"]["value"], all / total);
        close(&row["first_order"]["low"], first / total);
        close(&row["lowest"]["mean"], lowest);
        close(&row["highest"]["mean"], highest);
    }
    // Most first: of a, b and c the one with the largest total index is c.
    assert_eq!(effects["axes"][0]["axis"], "c");
}

#[test]
fn saltellis_design_finds_the_same_and_other_designs_say_that_they_cannot() {
    let text = r#"
name = "known"
scenario = "s.toml"
replications = 1
[design]
kind = "saltelli"
base_points = 256
[set]
"run.horizon_s" = 1
"run.warmup_s" = 0
[[axes]]
path = "workload.arrivals.rate_per_s"
name = "x"
between = { low = 10, high = 11 }
[[axes]]
path = "slo.e2e_ms"
name = "y"
between = { low = 1, high = 3 }
[[metrics]]
name = "f"
metric = "2 * scenario.workload.arrivals.rate_per_s + scenario.slo.e2e_ms + 0 * sim.events"
"#;
    // f = 2x + y: V_x = 4/12, V_y = 4/12, no interaction.
    let sweep = swept(text);
    let effects = &sweep["effects"][0];
    assert_eq!(effects["points"], 512);
    for row in effects["axes"].as_array().unwrap() {
        for index in [&row["first_order"], &row["total"]] {
            assert!((number(&index["value"]) - 0.5).abs() < 0.03, "{row}");
            let (low, high) = (number(&index["low"]), number(&index["high"]));
            assert!(low < 0.5 && 0.5 < high && high - low < 0.3, "{row}");
        }
    }
    for design in [
        "kind = \"sobol\"\npoints = 64",
        "kind = \"latin_hypercube\"\npoints = 64",
    ] {
        let other = text.replace("kind = \"saltelli\"\nbase_points = 256", design);
        let sweep = swept(&other);
        assert_eq!(sweep["points"].as_array().unwrap().len(), 64);
        let effects = &sweep["effects"][0];
        let method = effects["method"].as_str().unwrap();
        assert!(
            method.contains("this design does not permit them"),
            "{method}"
        );
        for row in effects["axes"].as_array().unwrap() {
            assert!(row["total"].is_null());
            // The quarters of an even sample: 3/4 of an axis' effect on the mean lie between them.
            let span = number(&row["highest"]["mean"]) - number(&row["lowest"]["mean"]);
            assert!((span - 1.5).abs() < 0.35, "{row}");
        }
    }
}

#[test]
fn fields_zipped_and_lists_set_whole_are_columns_of_the_files() {
    let text = r#"
name = "zipped"
scenario = "s.toml"
[[axes]]
name = "shape"
zip = { "pools.servers.servers" = [1, 2], "pools.servers.service" = [{ law = "deterministic", mean_ms = 10 }, { law = "exponential", mean_ms = 20 }] }
[[axes]]
path = "workload.arrivals.rate_per_s"
log_range = { from = 5, to = 20, count = 3 }
[[metrics]]
name = "mean_ms"
metric = "latency.e2e_ms.mean"
"#;
    let dir = folder(text);
    fine(dir.path(), &["sweep", "e.toml", "--out", "o"]);
    let csv = std::fs::read_to_string(dir.path().join("o/points.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let columns = [
        "point",
        "pools.servers.servers",
        "pools.servers.service",
        "workload.arrivals.rate_per_s",
        "mean_ms",
    ];
    assert_eq!(header[..5], columns);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(&rows[4][2], r#"{"law":"exponential","mean_ms":20}"#);
    assert_eq!(&rows[4][3], "10");
    for (name, count) in [("points.parquet", 6), ("replications.parquet", 18)] {
        let file = std::fs::File::open(dir.path().join("o").join(name)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), count);
        let row = reader.get_row_iter(None).unwrap().nth(4).unwrap().unwrap();
        let fields: Vec<(String, String)> = row
            .get_column_iter()
            .map(|(name, field)| (name.clone(), field.to_string()))
            .collect();
        let value = |name: &str| &fields.iter().find(|field| field.0 == name).unwrap().1;
        if name == "points.parquet" {
            assert_eq!(
                value("mean_ms").parse::<f64>().unwrap(),
                rows[4][4].parse::<f64>().unwrap()
            );
            assert_eq!(value("workload.arrivals.rate_per_s"), "10");
        } else {
            assert_eq!(value("replication"), "1");
        }
    }
}

#[test]
fn a_point_that_is_cut_short_is_no_evidence_and_on_no_front() {
    // The third has far more to do than it can.
    let text = EXPERIMENT
        .replace("values = [20, 40, 60, 80]", "values = [20, 40, 9000]")
        .replace("[[axes]]", "[set]\n\"run.max_in_flight\" = 2000\n[[axes]]");
    let text = text.replacen(
        "[set]\n\"run.max_in_flight\" = 2000\n[[axes]]\npath = \"pools",
        "[[axes]]\npath = \"pools",
        1,
    );
    let dir = folder(&text);
    let page = fine(dir.path(), &["sweep", "e.toml", "--out", "o"]);
    assert!(
        page.contains("runs were cut short at 3 points, the first of them point 6"),
        "{page}"
    );
    let json = std::fs::read_to_string(dir.path().join("o/summary.json")).unwrap();
    let sweep: Value = serde_json::from_str(&json).unwrap();
    for index in sweep["front"].as_array().unwrap() {
        assert!(index.as_u64().unwrap() < 6);
    }
    assert!(sweep["points"][7]["partial"].is_string());
}

#[test]
fn pages_are_no_wider_than_terminals_and_say_what_has_no_value() {
    let names = ["a", "b", "c"].map(|end| format!("{}{end}", "long-".repeat(12)));
    let mut text = EXPERIMENT.to_owned();
    for name in &names {
        text +=
            &format!("[[metrics]]\nname = '{name}'\nmetric = 'latency.e2e_ms.p50'\ngoal = 'min'\n");
    }
    text += "[[metrics]]\nname = 'none'\nmetric = '1 / (sim.events - sim.events)'\n";
    let dir = folder(&text);
    let page = fine(dir.path(), &["sweep", "e.toml", "--out", "o"]);
    let widest = page.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}\n{page}");
    assert!(page.contains("none HAS NO VALUE at 12 points"), "{page}");
}
