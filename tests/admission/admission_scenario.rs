//! What a user writes about admission: defaults as stated, and everything wrong is named.

#![allow(clippy::unwrap_used, clippy::panic)]

use seatrial::scenario::admission::{
    Admission, ConcurrencyLimit, LoadSignal, QueueControl, QueueOrder, QuotaWindow, Shedding,
};
use seatrial::scenario::{Document, Problems, ScenarioError, SourceText};

const TIERS: [&str; 2] = ["chat", "batch"];

fn read(text: &str) -> Result<Admission, ScenarioError> {
    Document::parse(SourceText::new("a.toml", text))?.parse_as()
}

/// The fields that are wrong, with their places in the text.
fn wrong(text: &str) -> Vec<String> {
    let document = Document::parse(SourceText::new("a.toml", text)).unwrap();
    let admission: Admission = document.parse_as().unwrap();
    let mut problems = Problems::new(&document);
    admission.check("admission", &TIERS, &mut problems);
    match problems.finish() {
        Ok(()) => Vec::new(),
        Err(ScenarioError::Invalid(list)) => list.into_iter().map(|p| p.field).collect(),
        Err(other) => panic!("{other}"),
    }
}

const GOOD: &str = r#"
concurrency = { policy = "aimd" }
[rate]
requests = { per_s = 10, burst = 20 }
tokens = { per_s = 1e4, burst = 2e4 }
[waiting_room]
order = { policy = "fair" }
bound = { requests = 100 }
tiers = [{ tier = "batch", tokens = 1000 }]
control = { policy = "codel" }
[shedding]
policy = "by_tier"
tiers = [{ tier = "batch", above = 0.9 }]
[[tenants]]
name = "acme"
[[tenants.quotas]]
of = "requests"
amount = 60
window_s = 60
"#;

#[test]
fn defaults_are_as_stated() {
    let admission = read(GOOD).unwrap();
    assert_eq!(wrong(GOOD), [""; 0]);
    assert_eq!(
        admission.concurrency,
        Some(ConcurrencyLimit::Aimd {
            initial: 20,
            min: 20,
            max: 200,
            backoff_ratio: 0.9,
            timeout_ms: 5_000.0
        })
    );
    let room = admission.waiting_room.unwrap();
    let codel = QueueControl::Codel {
        target_ms: 5.0,
        interval_ms: 100.0,
    };
    assert_eq!(room.control, Some(codel));
    let Some(Shedding::ByTier { signal, tiers }) = admission.shedding else {
        panic!("other shedding");
    };
    let llm_d = LoadSignal::Saturation {
        queue_depth: 5.0,
        kv: 0.8,
    };
    assert_eq!((signal, tiers[0].all_from), (llm_d, None));
    assert_eq!(admission.tenants[0].weight, 1.0);
    assert_eq!(
        admission.tenants[0].quotas[0].window,
        QuotaWindow::Refill {}
    );

    let nothing = read("").unwrap();
    assert_eq!(nothing, Admission::default());
    assert_eq!(wrong(""), [""; 0]);
    let room = read("[waiting_room]").unwrap().waiting_room.unwrap();
    assert_eq!(room.order, QueueOrder::Fcfs {});
}

#[test]
fn the_gradient_needs_its_intervals() {
    assert!(read("concurrency = { policy = \"gradient\" }").is_err());
    let text = "concurrency = { policy = \"gradient\", update_interval_ms = 100, \
                min_rtt_interval_s = 60 }";
    assert_eq!(wrong(text), [""; 0]);
    let expected = ConcurrencyLimit::Gradient {
        update_interval_ms: 100.0,
        min_rtt_interval_s: 60.0,
        min_rtt_requests: 50,
        min_rtt_jitter_pct: 15.0,
        min_rtt_buffer_pct: 25.0,
        min_concurrency: 3,
        max_limit: 1_000,
        percentile: 50.0,
    };
    assert_eq!(read(text).unwrap().concurrency, Some(expected));
}

#[test]
fn unknown_fields_are_refused() {
    for text in [
        "ratee = {}",
        "rate = { requests = { per_s = 1, burst = 1, brust = 2 } }",
        "concurrency = { policy = \"fixed\", limit = 1, min = 2 }",
        "waiting_room = { order = { policy = \"fcfs\", aging_s = 1 } }",
        "waiting_room = { order = { policy = \"lifo\" } }",
        "shedding = { policy = \"probabilistic\", tiers = [] }",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn values_out_of_range_are_named() {
    for (text, fields) in [
        ("rate = {}", vec!["admission.rate"]),
        (
            "rate = { requests = { per_s = 0, burst = 0.5 } }",
            vec![
                "admission.rate.requests.per_s",
                "admission.rate.requests.burst",
            ],
        ),
        (
            "concurrency = { policy = \"fixed\", limit = 0 }",
            vec!["admission.concurrency.limit"],
        ),
        (
            "concurrency = { policy = \"aimd\", initial = 10, backoff_ratio = 1.0, timeout_ms = 0 }",
            vec![
                "admission.concurrency.initial",
                "admission.concurrency.backoff_ratio",
                "admission.concurrency.timeout_ms",
            ],
        ),
        (
            "concurrency = { policy = \"aimd\", min = 300 }",
            vec!["admission.concurrency.max"],
        ),
        (
            "concurrency = { policy = \"gradient\", update_interval_ms = 0, min_rtt_interval_s = 0, \
             percentile = 101, min_concurrency = 0 }",
            vec![
                "admission.concurrency.min_concurrency",
                "admission.concurrency.update_interval_ms",
                "admission.concurrency.min_rtt_interval_s",
                "admission.concurrency.percentile",
            ],
        ),
        (
            "concurrency = { policy = \"vegas\", initial = 0, smoothing = 0, probe_multiplier = 0 }",
            vec![
                "admission.concurrency.initial",
                "admission.concurrency.smoothing",
                "admission.concurrency.probe_multiplier",
            ],
        ),
        (
            "[waiting_room]\ntiers = [{ tier = \"chta\" }, { tier = \"chat\" }, { tier = \"chat\" }]\n\
             order = { policy = \"priority\", aging_s = 0 }\n\
             control = { policy = \"slough\", target_ms = 200 }",
            vec![
                "admission.waiting_room.tiers.0.tier",
                "admission.waiting_room.tiers.2.tier",
                "admission.waiting_room.order.aging_s",
                "admission.waiting_room.control.target_ms",
            ],
        ),
        (
            "[shedding]\npolicy = \"by_tier\"\nsignal = { of = \"queue\", limit = 0 }\n\
             tiers = [{ tier = \"chat\", above = 0.9, all_from = 0.8 }]",
            vec![
                "admission.shedding.signal.limit",
                "admission.shedding.tiers.0.all_from",
            ],
        ),
        (
            "shedding = { policy = \"probabilistic\", exponent = 0, factor = 0 }",
            vec!["admission.shedding.exponent", "admission.shedding.factor"],
        ),
        (
            "[[tenants]]\nname = \"a b\"\nweight = 0\n[[tenants.quotas]]\nof = \"tokens\"\namount = 0\n\
             window_s = 0\nwindow = { kind = \"sliding\", cells = 0 }",
            vec![
                "admission.tenants.0.name",
                "admission.tenants.0.weight",
                "admission.tenants.0.quotas.0.amount",
                "admission.tenants.0.quotas.0.window_s",
                "admission.tenants.0.quotas.0.window.cells",
            ],
        ),
    ] {
        let mut found = wrong(text);
        let mut fields = fields;
        found.sort_unstable();
        fields.sort_unstable();
        assert_eq!(found, fields, "{text}");
    }
}
