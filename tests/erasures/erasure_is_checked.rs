//! What is wrong with `[erasure]` is said before anything runs, with the field, its value and a way out.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{plan_of, refusal};

fn scenario(erasure: &str) -> String {
    format!(
        "name = \"e\"\n[workload]\narrivals = {{ process = \"poisson\", rate_per_s = 1 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservice = {{ law = \"exponential\", mean_ms = 10 }}\n\
         [erasure]\n{erasure}"
    )
}

const LOG: &str =
    "[[erasure.stores]]\nkind = \"request_log\"\nname = \"log\"\nrecord_bytes = 500\n";

#[test]
fn a_small_one_is_fine() {
    let plan = plan_of(&scenario(&format!("subjects = 10\n{LOG}")));
    let erasure = plan.fleet.erasure.unwrap();
    // 859 per million people and year.
    let per_s = 859.0 * 10.0 / 1e6 / (365.25 * 86_400.0);
    assert!((erasure.demands[0].per_s / per_s - 1.0).abs() < 1e-12);
    assert_eq!(erasure.deadline.as_secs_f64(), 30.0 * 86_400.0);
}

#[test]
fn values_out_of_range_are_named() {
    for (erasure, expected) in [
        (
            "subjects = 0",
            "erasure.subjects = 0: must be 1 to 4,000,000,000",
        ),
        (
            "subjects = 10\nsample_one_in = 20",
            "erasure.sample_one_in = 20: must be at most erasure.subjects = 10",
        ),
        (
            "subjects = 10\nrejection = 1.5",
            "erasure.rejection = 1.5: must be 0 to 1",
        ),
        (
            "subjects = 10\ndeadline_days = 0",
            "erasure.deadline_days = 0: must be above 0",
        ),
        (
            "subjects = 10\nactivity = { law = \"zipf\", exponent = 0 }",
            "erasure.activity.exponent = 0: must be above 0 and at most 4",
        ),
        ("subjects = 10\nretry_s = 0", "erasure.retry_s = 0"),
        ("subjects = 10\nslo_s = -1", "erasure.slo_s = -1"),
        (
            "subjects = 10\nverification = { law = \"exponential\", mean_ms = -1 }",
            "erasure.verification.mean_ms = -1",
        ),
    ] {
        let text = refusal(&scenario(&format!("{erasure}\n{LOG}")));
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn stores_that_cannot_be_are_refused() {
    for (stores, expected) in [
        ("", "erasure.stores = none: must be one store or more"),
        (&format!("{LOG}{LOG}"), "is already the name of"),
        (
            &format!("{LOG}lsm = {{ size_ratio = 1 }}\n"),
            "stores.log.lsm.size_ratio = 1: must be 2 to 100",
        ),
        (
            &format!("{LOG}replication_lag_ms = 5\n"),
            "needs two regions or more",
        ),
        (
            &format!("{LOG}co_located = {{ slow_factor = 1.1 }}\n"),
            "needs place = ",
        ),
        (
            &format!("{LOG}place = {{ on = \"replicas\", pool = \"q\" }}\n"),
            "is not the name of a pool",
        ),
        (
            &format!("{LOG}calibration = \"nowhere.json\"\n"),
            "calibrate lsm",
        ),
        (
            "[[erasure.stores]]\nkind = \"prefix_cache\"\nname = \"kv\"\n",
            "needs a pool with engine = \"llm\" and prefix_caching = true",
        ),
        (
            &format!(
                "{LOG}[[erasure.stores]]\nkind = \"backup\"\nname = \"b\"\nof = \"logs\"\ninterval_s = 1\nretention_s = 1\n"
            ),
            "did you mean `log`?",
        ),
        (
            "[[erasure.stores]]\nkind = \"session_state\"\nname = \"s\"\nttl_s = 0\n",
            "stores.s.ttl_s = 0: must be above 0",
        ),
        (&format!("{LOG}recrod_bytes = 5\n"), "record_bytes"),
        (
            "[[erasure.stores]]\nkind = \"reqest_log\"\nname = \"log\"\n",
            "request_log",
        ),
    ] {
        let text = refusal(&scenario(&format!("subjects = 10\n{stores}")));
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn what_a_sample_cannot_show_is_refused() {
    for (more, stores, expected) in [
        ("in_flight = \"cancel\"\n", LOG, "must be 1 with in_flight"),
        (
            "",
            &*format!("{LOG}place = {{ on = \"replicas\", pool = \"p\" }}\n"),
            "must be 1 with the log `log`, which is on replicas",
        ),
    ] {
        let text = refusal(&scenario(&format!(
            "subjects = 100\nsample_one_in = 10\n{more}{stores}"
        )));
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_calibration_is_read_by_name() {
    let plan = plan_of(&scenario(&format!(
        "subjects = 10\n{LOG}calibration = \"fjall-epyc-2\"\n"
    )));
    let log = &plan.fleet.erasure.unwrap().logs[0];
    let (name, calibration) = plan.logs[0].calibration.clone().unwrap();
    assert_eq!(name, "fjall-epyc-2");
    assert_eq!(
        log.rule.bandwidth_mb_per_s,
        calibration.measured.compaction_mb_per_s
    );
    assert_eq!(
        log.takes.1.0,
        (calibration.measured.delete_subject.p50_us * 1e3).round() as u64
    );
}

#[test]
fn bad_calibrations_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = include_str!("../../calibration/lsm/fjall-epyc-2.json");
    for (text, expected) in [
        (
            good.replace("\"schema\": 1", "\"schema\": 2"),
            "schema 2 is not known",
        ),
        (good[..good.len() / 2].to_owned(), "line"),
        (good.replace("\"put\":", "\"pout\":"), "pout"),
        (
            good.replace(
                "\"compaction_mb_per_s\": 501.5434336626458",
                "\"compaction_mb_per_s\": 0",
            ),
            "measured.compaction_mb_per_s is 0",
        ),
    ] {
        let path = folder.path().join("c.json");
        std::fs::write(&path, text).unwrap();
        let path = path.display();
        let text = refusal(&scenario(&format!(
            "subjects = 10\n{LOG}calibration = \"{path}\"\n"
        )));
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}
