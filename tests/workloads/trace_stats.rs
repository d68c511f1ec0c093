//! The figures of small traces, worked out by hand.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests

use seatrial::trace::{TraceSource, stats};

const OWN: &str = "arrival_ns,prompt_tokens,output_tokens\n";
const S: u64 = 1_000_000_000;

fn trace(text: String) -> (tempfile::TempDir, TraceSource) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace");
    std::fs::write(&path, text).unwrap();
    let source = TraceSource::open(&path).unwrap();
    (dir, source)
}

/// Two arrivals in each of the first 60 s, one in each of the next 60, then one that ends them.
#[test]
fn windows_of_a_minute() {
    let half = |i: u64| if i < 120 { i * S / 2 } else { (i - 60) * S };
    let row = |i: u64| format!("{},1,1\n", half(i));
    let rows: String = (0..=180).map(row).collect();
    let kept = trace(OWN.to_owned() + &rows);
    let found = stats(&kept.1).unwrap();
    assert_eq!((found.count, found.span_s), (181, 120.0));
    assert_eq!(found.peak_over_mean_60s, Some(120.0 / 90.0));
    assert_eq!(found.dispersion_60s, Some(900.0 / 90.0));
    assert_eq!(found.peak_over_mean_1s, Some(2.0 / 1.5));
    assert!((found.dispersion_1s.unwrap() - 0.25 / 1.5).abs() < 1e-12);
    assert_eq!(found.spearman, None);
}

#[test]
fn figures_of_a_small_trace() {
    let ms = S / 1000;
    let found = trace(format!(
        "{OWN}0,10,5\n{},20,5\n{},20,7\n{},40,9\n{},30,1\n",
        500 * ms,
        1000 * ms,
        1500 * ms,
        4000 * ms
    ));
    let all = stats(&found.1).unwrap();
    assert_eq!((all.count, all.span_s, all.rate_per_s), (5, 4.0, Some(1.0)));
    // Gaps 0.5, 0.5, 0.5, 2.5 s: mean 1, variance 0.75. Full seconds hold 2, 2, 0, 0.
    assert_eq!(all.interarrival_cv, Some(0.75f64.sqrt()));
    assert_eq!(
        (all.peak_over_mean_1s, all.dispersion_1s),
        (Some(2.0), Some(1.0))
    );
    assert_eq!((all.peak_over_mean_60s, all.dispersion_60s), (None, None));
    assert_eq!(
        (all.prompt.mean, all.prompt.min, all.prompt.max),
        (24.0, 10, 40)
    );
    assert_eq!(
        (all.prompt.p50, all.prompt.p90, all.output.p50),
        (20, 40, 5)
    );
    // Ranks 1, 2.5, 2.5, 5, 4 and 2.5, 2.5, 4, 5, 1.
    let expected = 2.75 / 9.5;
    assert!(
        (all.spearman.unwrap() - expected).abs() < 1e-12,
        "{:?}",
        all.spearman
    );
    let single = trace(format!("{OWN}5,1,1\n"));
    let one = stats(&single.1).unwrap();
    assert_eq!(
        (one.rate_per_s, one.interarrival_cv, one.spearman),
        (None, None, None)
    );
}
