//! Sheets of the kinds of queue, against values known otherwise.

use super::*;

fn input() -> QueueingInput {
    QueueingInput {
        lambda_per_s: 4.0,
        servers: 10,
        mean_service_ms: 2000.0,
        ca2: Some(1.0),
        cs2: 1.0,
        service: ServiceKind::Exponential,
        queue_capacity: None,
        processor_sharing: false,
    }
}

fn value(rows: &[Applied], name: &str) -> f64 {
    rows.iter()
        .find(|row| row.name == name)
        .unwrap_or_else(|| panic!("no row {name} in {rows:#?}"))
        .value
        .unwrap()
}

#[test]
fn mmc_in_milliseconds() {
    let rows = queueing(&input());
    assert!((value(&rows, "offered load") - 8.0).abs() < 1e-12);
    assert!((value(&rows, "capacity") - 5.0).abs() < 1e-12);
    let p_wait = value(&rows, "Erlang C, P(wait)");
    assert!((p_wait - 0.409_18).abs() < 1e-4);
    assert!((value(&rows, "mean wait") - p_wait * 1000.0).abs() < 1e-6);
    assert!((value(&rows, "mean queue length") - p_wait * 4.0).abs() < 1e-9);
    assert!(value(&rows, "p99 sojourn") > value(&rows, "p95 sojourn"));
    assert!(value(&rows, "square-root staffing") == 11.0);
    let wait = rows.iter().find(|row| row.name == "mean wait").unwrap();
    assert_eq!(wait.substituted, "0.4092 / (10 x 0.5/s - 4/s)");
}

#[test]
fn every_kind_of_queue_has_its_mean() {
    let fixed = QueueingInput {
        service: ServiceKind::Deterministic,
        ..input()
    };
    let rows = queueing(&fixed);
    assert!(value(&rows, "p99 sojourn") > 2000.0);
    assert!(value(&rows, "mean wait") < value(&queueing(&input()), "mean wait"));
    let other = QueueingInput {
        service: ServiceKind::Other,
        cs2: 3.0,
        ca2: Some(2.0),
        ..input()
    };
    let ratio = value(&queueing(&other), "mean wait (Allen-Cunneen)")
        / value(&queueing(&input()), "mean wait");
    assert!((ratio - 2.5).abs() < 1e-9);
    let shared = QueueingInput {
        processor_sharing: true,
        ..other
    };
    assert!(
        (value(&queueing(&shared), "mean sojourn") - value(&queueing(&input()), "mean sojourn"))
            .abs()
            < 1e-6
    );
    let one = QueueingInput {
        servers: 1,
        lambda_per_s: 0.4,
        ca2: Some(1.0),
        ..other
    };
    assert!((value(&queueing(&one), "mean wait") - 0.8 / 0.2 * 2.0 * 2000.0).abs() < 1e-6);
    let both = QueueingInput {
        ca2: Some(0.5),
        ..one
    };
    let rows = queueing(&both);
    assert!(value(&rows, "mean wait (Kingman)") <= value(&rows, "mean wait, upper bound"));
}

#[test]
fn overload_and_bounds() {
    let over = QueueingInput {
        lambda_per_s: 6.0,
        ..input()
    };
    let rows = queueing(&over);
    assert!(rows.iter().any(|row| {
        row.value.is_none()
            && row
                .note
                .as_deref()
                .is_some_and(|note| note.contains("unstable"))
    }));
    let loss = QueueingInput {
        queue_capacity: Some(0),
        ..over
    };
    let rows = queueing(&loss);
    let blocked = value(&rows, "Erlang B, P(loss)");
    assert!((value(&rows, "throughput") - 6.0 * (1.0 - blocked)).abs() < 1e-9);
    let room = QueueingInput {
        queue_capacity: Some(20),
        service: ServiceKind::Deterministic,
        ..over
    };
    let rows = queueing(&room);
    assert!(value(&rows, "P(loss)") < blocked);
    assert!(rows.iter().any(|row| {
        row.note
            .as_deref()
            .is_some_and(|n| n.contains("exponential"))
    }));
    let wrong = QueueingInput {
        lambda_per_s: -1.0,
        ..input()
    };
    let rows = queueing(&wrong);
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0]
            .note
            .as_deref()
            .unwrap()
            .contains("lambda_per_s = -1")
    );
}
