//! Public traces, where a copy is at hand: their figures are those worked out
//! independently in `summary.csv`.

use std::path::{Path, PathBuf};

use seatrial::fleet::spot::availability::Availability;
use seatrial::fleet::spot::recording::{RowOrder, TraceOptions};

/// The folder of spot traces, if there is one.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("SEATRIAL_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("data/spot");
    if folder.join("summary.csv").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: no {}; set SEATRIAL_SHARED", folder.display());
    None
}

/// Asserts that a figure is within half a unit of the last digit printed.
#[track_caller]
fn assert_printed(figure: f64, decimals: i32, printed: &str, what: &str) {
    if printed.is_empty() {
        return;
    }
    let half_unit = 0.5 * 10_f64.powi(-decimals);
    let distance = (figure - printed.parse::<f64>().unwrap()).abs();
    // A tie may be printed either way; the slack is that of the arithmetic.
    assert!(
        distance <= half_unit + 1e-9,
        "{what}: {figure} for {printed}"
    );
}

fn compare(folder: &Path, row: &[&str]) {
    let trace = row[0];
    let sorted = TraceOptions {
        // One of the lists joins several observers whose times overlap.
        order: RowOrder::Sort,
        ..TraceOptions::default()
    };
    let pool = Availability::read(&folder.join(trace), &sorted).unwrap();
    let summary = pool.summary();
    let day_decimals = if trace.ends_with(".json") { 2 } else { 3 };
    let what = |name: &str| format!("{name} of {trace}");
    assert_printed(summary.duration_days, day_decimals, row[1], &what("days"));
    assert_printed(f64::from(summary.max_nodes), 0, row[3], &what("nodes"));
    assert_printed(summary.time_any_fraction, 4, row[4], &what("time any"));
    assert_printed(summary.capacity_fraction, 4, row[5], &what("capacity"));
    assert_printed(summary.up_spells as f64, 0, row[6], &what("up spells"));
    assert_printed(summary.mean_up_h, 3, row[7], &what("mean up"));
    assert_printed(summary.mean_down_h, 3, row[8], &what("mean down"));
    assert_printed(summary.nodes_lost as f64, 0, row[9], &what("lost"));
    assert_printed(summary.losses_per_node_hour, 4, row[10], &what("losses"));
    let reordered = if trace.ends_with("v100x1-east1c.txt") {
        15
    } else {
        0
    };
    assert_eq!(pool.report().reordered_rows, reordered, "{trace}");
    // A pool of the largest size seen lost at once, in all three 16-node traces.
    if trace.contains("16-node") {
        assert_eq!(summary.largest_loss_nodes, 16, "{trace}");
    }
}

#[test]
fn figures_of_public_traces_are_those_of_the_summary() {
    let Some(folder) = folder() else {
        return;
    };
    let summary = std::fs::read_to_string(folder.join("summary.csv")).unwrap();
    let rows: Vec<Vec<&str>> = summary
        .lines()
        .map(|row| row.split(',').collect())
        .collect();
    assert_eq!(
        rows[0].join(","),
        "trace,days,gap_s,max_nodes,frac_time_any,frac_capacity,up_spells,mean_up_h,mean_down_h,nodes_lost,losses_per_node_hour"
    );
    rows.iter().skip(1).for_each(|row| compare(&folder, row));
    eprintln!("compared {} traces", rows.len() - 1);
}

#[test]
fn public_series_of_instance_counts_are_read() {
    let Some(folder) = folder() else {
        return;
    };
    let name = "aws-spot-instances-g4dn-xlarge-us-east-1c-2020-11-20-1930-to-2020-11-21-2200.csv";
    let path = folder.join("bamboo/doc/data").join(name);
    let pool = Availability::read(&path, &TraceOptions::default()).unwrap();
    assert_eq!(pool.report().rows, 113);
    assert_eq!(pool.duration().0, 88_194_000_000_000);
}
