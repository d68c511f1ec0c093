//! Events of Kubernetes and spot notices of AWS become a timeline that the scenario reads.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use seatrial::scenario::SourceText;
use seatrial::scenario::faults::{FaultKind, Faults};
use seatrial::trace::faults::{
    FaultImport, FaultImportError, KubernetesOptions, NodeRule, import_kubernetes_events,
    import_spot_notices, start_instant,
};

fn rules(pairs: &[(&str, &str)]) -> Vec<NodeRule> {
    let rule = |(pattern, pool): &(&str, &str)| NodeRule {
        pattern: (*pattern).to_owned(),
        pool: (*pool).to_owned(),
    };
    pairs.iter().map(rule).collect()
}

fn shown(import: &FaultImport) -> Vec<String> {
    let entry = |fault: &seatrial::scenario::faults::TimedFault| {
        let target = fault.target.clone().unwrap();
        let until = fault
            .end_s()
            .map_or("ever".to_owned(), |end| end.to_string());
        format!(
            "{} {}/{} {}..{until}",
            fault.fault.name(),
            target.pool.unwrap(),
            target.replica.unwrap(),
            fault.at_s,
        )
    };
    import.faults.iter().map(entry).collect()
}

fn skipped(import: &FaultImport) -> BTreeMap<&str, u64> {
    let all = import.skipped.iter();
    all.map(|(reason, count)| (reason.as_str(), *count))
        .collect()
}

/// What is written is read back as the same faults.
fn reads_back(import: &FaultImport) {
    let text = import.to_toml();
    let read = Faults::parse(SourceText::new("faults.toml", text.clone()));
    let (_, faults) = read.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(faults.timeline, import.faults, "{text}");
}

const EVENTS: &str = r#"{
  "apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""},
  "items": [
    {"apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "NodeNotReady",
     "message": "Node gpu-b status is now: NodeNotReady", "count": 1,
     "involvedObject": {"kind": "Node", "name": "gpu-b", "uid": "gpu-b"},
     "firstTimestamp": "2026-03-01T12:01:00Z", "lastTimestamp": "2026-03-01T12:01:00Z",
     "source": {"component": "node-controller"},
     "metadata": {"name": "gpu-b.1", "namespace": "default",
                  "creationTimestamp": "2026-03-01T12:01:00Z"}},
    {"reason": "NodeReady", "count": 1, "involvedObject": {"kind": "Node", "name": "gpu-b"},
     "firstTimestamp": "2026-03-01T12:04:30Z", "lastTimestamp": "2026-03-01T12:04:30Z",
     "source": {"component": "kubelet", "host": "gpu-b"}},
    {"reason": "NodeNotReady", "count": 4, "involvedObject": {"kind": "Node", "name": "gpu-a"},
     "firstTimestamp": "2026-03-01T11:59:30Z", "lastTimestamp": "2026-03-01T12:20:00Z"},
    {"reason": "NodeReady", "involvedObject": {"kind": "Node", "name": "gpu-a"},
     "firstTimestamp": "2026-03-01T13:10:00+01:00", "lastTimestamp": null},
    {"reason": "Evicted", "involvedObject": {"kind": "Pod", "name": "vllm-0"},
     "firstTimestamp": "2026-03-01T12:30:00Z", "lastTimestamp": "2026-03-01T12:30:00Z",
     "source": {"component": "kubelet", "host": "gpu-c"}},
    {"reason": "Evicted", "involvedObject": {"kind": "Pod", "name": "vllm-1"},
     "firstTimestamp": "2026-03-01T12:30:00Z", "lastTimestamp": "2026-03-01T12:30:00Z",
     "source": {"component": "kubelet", "host": "gpu-c"}},
    {"reason": "Unhealthy", "count": 7, "involvedObject": {"kind": "Pod", "name": "vllm-0"},
     "firstTimestamp": "2026-03-01T12:40:00Z", "lastTimestamp": "2026-03-01T12:41:00Z",
     "source": {"component": "kubelet", "host": "gpu-c"}},
    {"reason": "BackOff", "involvedObject": {"kind": "Pod", "name": "vllm-0"},
     "eventTime": "2026-03-01T12:50:00.250000Z", "firstTimestamp": null,
     "series": {"count": 3, "lastObservedTime": "2026-03-01T12:51:00.250000Z"},
     "source": {"component": "kubelet", "host": "gpu-c"}},
    {"reason": "BackOff", "involvedObject": {"kind": "Pod", "name": "vllm-0"},
     "firstTimestamp": "2026-03-01T12:50:00Z"},
    {"reason": "Scheduled", "involvedObject": {"kind": "Pod", "name": "vllm-0"},
     "firstTimestamp": "2026-03-01T12:50:00Z"},
    {"reason": "NodeNotReady", "involvedObject": {"kind": "Node", "name": "cpu-1"},
     "firstTimestamp": "2026-03-01T12:50:00Z"},
    {"reason": "Evicted", "involvedObject": {"kind": "Pod", "name": "old"},
     "firstTimestamp": "2026-03-01T11:00:00Z", "source": {"host": "gpu-b"}}
  ]
}"#;

fn kubernetes(text: &str) -> Result<FaultImport, FaultImportError> {
    let start = start_instant("2026-03-01T12:00:00Z").unwrap();
    let rules = rules(&[("gpu-*", "h100")]);
    import_kubernetes_events(
        text,
        "events.json",
        start,
        &rules,
        KubernetesOptions::default(),
    )
}

#[test]
fn events_of_kubernetes() {
    let import = kubernetes(EVENTS).unwrap();
    assert_eq!(
        shown(&import),
        [
            "crash h100/0 0..600",
            "crash h100/1 60..270",
            "crash h100/0 1200..ever",
            "crash h100/2 1800..2100",
            "hang h100/2 2400..2470",
            "crash h100/2 3000.25..3360.25",
        ]
    );
    assert_eq!(import.read, 12);
    assert_eq!(import.cut_at_start, 1);
    // Two of the four times that gpu-a was not ready.
    assert_eq!(import.without_instant, 2);
    assert_eq!(import.nodes[&("h100".to_owned(), 2)], "gpu-c");
    let reasons = [
        ("a reason that is no fault", 1),
        ("names no node", 1),
        ("no rule fits the node", 1),
        ("over before the start", 1),
        ("the same fault again", 1),
    ];
    assert_eq!(skipped(&import), BTreeMap::from(reasons));
    reads_back(&import);
    assert!(import.to_toml().contains("# gpu-c\n"));
}

#[test]
fn a_node_that_is_reported_twice_is_down_once() {
    let event = |reason: &str, stamp: &str| {
        format!(
            r#"{{"reason": "{reason}", "involvedObject": {{"kind": "Node", "name": "gpu-a"}},
                "firstTimestamp": "2026-03-01T{stamp}Z"}}"#
        )
    };
    let items = [
        event("NodeReady", "12:05:00"),
        event("NodeNotReady", "12:02:00"),
        event("NodeNotReady", "12:03:00"),
        event("NodeReady", "12:01:00"),
    ];
    let import = kubernetes(&format!("{{\"items\": [{}]}}", items.join(","))).unwrap();
    assert_eq!(shown(&import), ["crash h100/0 120..300"]);
    let reasons = [
        ("not ready, and was so before", 1),
        ("ready, and was so before", 1),
    ];
    assert_eq!(skipped(&import), BTreeMap::from(reasons));
}

#[track_caller]
fn has(error: &FaultImportError, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn what_is_no_list_of_events() {
    has(
        &kubernetes("").unwrap_err(),
        &["events.json", "line 1", "not valid JSON"],
    );
    has(
        &kubernetes("{\n\"items\": [1,]}").unwrap_err(),
        &["line 2, byte 13"],
    );
    has(
        &kubernetes("[]").unwrap_err(),
        &["it is not an object", "kubectl get events -o json"],
    );
    has(&kubernetes("{}").unwrap_err(), &["there is no `items`"]);
    has(
        &kubernetes("{\"items\": {}}").unwrap_err(),
        &["`items` is not a list"],
    );
    has(
        &kubernetes("{\"items\": [{}, 7]}").unwrap_err(),
        &["item 2", "event", "`7"],
    );
    let bad = EVENTS.replace("2026-03-01T12:04:30Z", "yesterday");
    has(
        &kubernetes(&bad).unwrap_err(),
        &["item 2", "firstTimestamp", "`yesterday`", "RFC 3339"],
    );
    let bad = EVENTS.replace(
        "\"lastTimestamp\": \"2026-03-01T12:20:00Z\"",
        "\"lastTimestamp\": \"2026-03-01T11:20:00Z\"",
    );
    has(
        &kubernetes(&bad).unwrap_err(),
        &["item 3", "lastTimestamp", "not before"],
    );
    let bad = EVENTS.replace("\"count\": 4", "\"count\": -4");
    has(&kubernetes(&bad).unwrap_err(), &["item 3", "event"]);
    let import = kubernetes("{\"items\": []}").unwrap();
    assert!(import.faults.is_empty() && import.to_toml().is_empty());
}

#[test]
fn starts_and_rules_that_are_none() {
    has(
        &start_instant("12:00").unwrap_err(),
        &["start `12:00`", "RFC 3339"],
    );
    let start = start_instant("2026-03-01T12:00:00+01:00").unwrap();
    let error = import_spot_notices("", "n", start, &rules(&[("a", "p"), ("", "q")]));
    has(&error.unwrap_err(), &["rule 2", "pattern"]);
    let error = import_spot_notices("", "n", start, &rules(&[("a", "")]));
    has(&error.unwrap_err(), &["rule 1", "pool"]);
}

const NOTICES: &str = concat!(
    r#"{"action":"terminate","time":"2026-03-01T12:08:00Z"}"#,
    "\n",
    r#"{"action":"terminate","time":"2026-03-01T12:08:00Z"}"#,
    "\n\n",
    r#"{"version":"0","id":"1","detail-type":"EC2 Spot Instance Interruption Warning","#,
    r#""source":"aws.ec2","account":"1","time":"2026-03-01T12:10:00Z","region":"us-east-2","#,
    r#""resources":[],"detail":{"instance-id":"i-0b","instance-action":"terminate"}}"#,
    "\n",
    r#"{"detail-type":"EC2 Instance Rebalance Recommendation","time":"2026-03-01T12:09:00Z","#,
    r#""detail":{"instance-id":"i-0b"}}"#,
    "\n",
    r#"{"action":"stop","time":"2026-03-01T12:12:03Z","instance-id":"i-0b"}"#,
    "\n",
    r#"{"action":"stop","time":"2026-03-01T12:01:00Z","instance-id":"i-0a"}"#,
    "\n",
    r#"{"action":"hibernate","time":"2026-03-01T12:20:00Z","instance-id":"i-0c"}"#,
    "\n",
    r#"{"action":"terminate","time":"2026-03-01T11:50:00Z","instance-id":"i-09"}"#,
    "\n",
    r#"{"action":"terminate","time":"2026-03-01T12:50:00Z","instance-id":"x-1"}"#,
    "\n",
);

fn spot(text: &str) -> Result<FaultImport, FaultImportError> {
    let start = start_instant("2026-03-01T12:00:00Z").unwrap();
    let rules = rules(&[("line-*", "edge"), ("i-*", "spot")]);
    import_spot_notices(text, "notices.jsonl", start, &rules)
}

#[test]
fn spot_notices() {
    let import = spot(NOTICES).unwrap();
    // i-09 is replica 0: it was there, and is gone before the start.
    assert_eq!(
        shown(&import),
        [
            "drain spot/1 0..ever",
            "drain edge/0 360..ever",
            "drain spot/2 600..ever",
            "drain spot/3 1200..ever",
        ]
    );
    let notices: Vec<f64> = import
        .faults
        .iter()
        .map(|fault| match fault.fault {
            FaultKind::Drain { notice_s } => notice_s,
            _ => panic!("{fault:?}"),
        })
        .collect();
    assert_eq!(notices, [60.0, 120.0, 120.0, 0.0]);
    assert_eq!((import.read, import.cut_at_start), (9, 1));
    let reasons = [
        ("a rebalance recommendation, which interrupts nothing", 1),
        ("gone before the start", 1),
        ("no rule fits the node", 1),
        ("the same notice again", 2),
    ];
    assert_eq!(skipped(&import), BTreeMap::from(reasons));
    reads_back(&import);
}

#[test]
fn lines_that_are_no_notice() {
    let with = |line: &str| spot(&format!("{}\n{line}\n", NOTICES.lines().next().unwrap()));
    has(
        &with("{\"action\":").unwrap_err(),
        &["notices.jsonl", "line 2", "not valid JSON"],
    );
    has(&with("[1]").unwrap_err(), &["line 2"]);
    has(&with("{}").unwrap_err(), &["line 2", "action", "hibernate"]);
    has(
        &with(r#"{"action":"explode","time":"2026-03-01T12:08:00Z"}"#).unwrap_err(),
        &["line 2", "action", "`explode`"],
    );
    has(
        &with(r#"{"action":"stop","time":"noon"}"#).unwrap_err(),
        &["line 2", "time", "`noon`"],
    );
    has(
        &with(r#"{"action":"stop"}"#).unwrap_err(),
        &["line 2", "time"],
    );
    has(
        &with(r#"{"detail-type":"EC2 Spot Instance Interruption Warning"}"#).unwrap_err(),
        &["line 2", "detail"],
    );
    let import = with(r#"{"detail-type":"EC2 Instance State-change Notification"}"#).unwrap();
    assert_eq!(skipped(&import)["another event"], 1);
}
