//! Events of Kubernetes, as `kubectl get events -o json` prints them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::nodes::{self, NodeRule};
use super::{FaultImport, FaultImportError, json_error};
use crate::scenario::faults::{FaultKind, Target};
use crate::trace::error::shorten;

/// What events do not say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KubernetesOptions {
    /// How long an evicted replica is gone, seconds. Default 300, an assumption.
    pub evicted_for_s: f64,
    /// Time between probes, seconds: a replica that failed one at an instant hangs for as long.
    /// Default 10, the default of `periodSeconds`.
    pub probe_period_s: f64,
    /// How long a container that is backed off stays away after the last such event, seconds.
    /// Default 300, the longest back-off.
    pub back_off_s: f64,
}

impl Default for KubernetesOptions {
    fn default() -> Self {
        KubernetesOptions {
            evicted_for_s: 300.0,
            probe_period_s: 10.0,
            back_off_s: 300.0,
        }
    }
}

/// The fields that are read. Both generations of events: `v1` has stamps and a count, events of
/// `events.k8s.io` may have `eventTime` and `series` instead.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(alias = "regarding")]
    involved_object: Option<Involved>,
    reason: Option<String>,
    #[serde(alias = "deprecatedFirstTimestamp")]
    first_timestamp: Option<String>,
    #[serde(alias = "deprecatedLastTimestamp")]
    last_timestamp: Option<String>,
    event_time: Option<String>,
    #[serde(alias = "deprecatedCount")]
    count: Option<u64>,
    series: Option<Series>,
    #[serde(alias = "deprecatedSource")]
    source: Option<Source>,
    metadata: Option<Metadata>,
}

#[derive(Debug, Deserialize)]
struct Involved {
    kind: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    count: Option<u64>,
    last_observed_time: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Source {
    host: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    creation_timestamp: Option<String>,
}

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    NotReady,
    Ready,
    Evicted,
    Unhealthy,
    BackOff,
}

/// An event that counts.
struct Noted {
    node: String,
    sign: Sign,
    first_ns: i128,
    last_ns: i128,
    count: u64,
}

/// Reads the JSON of `kubectl get events -o json`; `name` stands for it in errors.
///
/// A node that is `NodeNotReady` has crashed until it is `NodeReady`. A pod counts as the replica
/// of its node (`source.host`): `Evicted` is a crash for [`KubernetesOptions::evicted_for_s`],
/// `BackOff` one from the first event until [`KubernetesOptions::back_off_s`] after the last, and
/// `Unhealthy` a hang from the first failed probe until a probe period after the last. Events that
/// Kubernetes has merged have the instants of their first and last occurrence only.
///
/// # Errors
/// When it is not such JSON, or a stamp is no RFC 3339 time.
pub fn import_kubernetes_events(
    text: &str,
    name: &str,
    start: OffsetDateTime,
    rules: &[NodeRule],
    options: KubernetesOptions,
) -> Result<FaultImport, FaultImportError> {
    nodes::check(rules)?;
    let mut import = FaultImport::default();
    let mut noted = Vec::new();
    for (number, item) in (1..).zip(items(text, name)?) {
        import.read += 1;
        match note(item, name, number, start)? {
            Ok(event) => noted.push(event),
            Err(reason) => import.skip(reason, 1),
        }
    }
    let names: BTreeSet<String> = noted.iter().map(|event| event.node.clone()).collect();
    let replicas = nodes::replicas(&names, rules);
    for ns in noted.iter().flat_map(|it| [it.first_ns, it.last_ns]) {
        if let Some(at) = start.checked_add(nanoseconds(ns)) {
            import.tells_of(at);
        }
    }
    import.seen = names;
    let mut by_node: BTreeMap<&str, Vec<&Noted>> = BTreeMap::new();
    for event in &noted {
        by_node.entry(&event.node).or_default().push(event);
    }
    for (node, events) in by_node {
        let Some((pool, replica)) = replicas.get(node) else {
            import.skip("no rule fits the node", events.len() as u64);
            continue;
        };
        import
            .nodes
            .insert((pool.clone(), *replica), node.to_owned());
        let target = Target::replica(pool, *replica);
        add_node(&mut import, &events, &target);
        for event in events {
            add_pod(&mut import, event, &target, options);
        }
    }
    Ok(import.finish())
}

/// A difference of two instants, which a `Duration` holds.
fn nanoseconds(ns: i128) -> Duration {
    let (seconds, rest) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    Duration::new(seconds as i64, rest as i32)
}

fn items(text: &str, name: &str) -> Result<Vec<Value>, FaultImportError> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| json_error(name, &error, None))?;
    let shape = |found: &str| FaultImportError::Shape {
        name: name.into(),
        found: found.into(),
        expected: "the output of `kubectl get events -o json`: an object with a list `items`",
    };
    match value {
        Value::Object(mut object) => match object.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(shape("`items` is not a list")),
            None => Err(shape("there is no `items`")),
        },
        _ => Err(shape("it is not an object")),
    }
}

/// Reads one event: what it says, or why it does not count.
fn note(
    item: Value,
    name: &str,
    number: usize,
    start: OffsetDateTime,
) -> Result<Result<Noted, &'static str>, FaultImportError> {
    let refuse = |field, value: &str, allowed| FaultImportError::Value {
        name: name.into(),
        what: "item",
        number,
        field,
        value: shorten(value),
        allowed,
    };
    let shown = item.to_string();
    let event: Event = serde_json::from_value(item).map_err(|error| {
        let why = format!("{shown} ({error})");
        refuse("event", &why, "an event of Kubernetes")
    })?;
    let object = event.involved_object.unwrap_or(Involved {
        kind: None,
        name: None,
    });
    let kind = object.kind.unwrap_or_default();
    let sign = match (event.reason.as_deref().unwrap_or_default(), kind.as_str()) {
        ("NodeNotReady", "Node") => Sign::NotReady,
        ("NodeReady", "Node") => Sign::Ready,
        ("Evicted", "Pod") => Sign::Evicted,
        ("Unhealthy", "Pod") => Sign::Unhealthy,
        ("BackOff", "Pod") => Sign::BackOff,
        ("NodeNotReady", "Pod") => return Ok(Err("of a pod, and said of its node, too")),
        _ => return Ok(Err("a reason that is no fault")),
    };
    let host = event.source.and_then(|source| source.host);
    let node = match kind.as_str() {
        "Node" => object.name,
        _ => host,
    };
    let Some(node) = node.filter(|node| !node.is_empty()) else {
        return Ok(Err("names no node"));
    };
    const STAMP: &str = "an RFC 3339 time, 2026-03-01T12:00:00Z";
    let instant = |field, text: &str| {
        let stamp = OffsetDateTime::parse(text, &Rfc3339);
        let stamp = stamp.map_err(|_| refuse(field, text, STAMP))?;
        Ok((stamp - start).whole_nanoseconds())
    };
    let created = event.metadata.and_then(|data| data.creation_timestamp);
    let first = [
        ("firstTimestamp", &event.first_timestamp),
        ("eventTime", &event.event_time),
        ("metadata.creationTimestamp", &created),
    ];
    let first = first
        .into_iter()
        .find_map(|(field, it)| Some((field, it.as_ref()?)));
    let Some((field, first)) = first else {
        return Ok(Err("has no stamp"));
    };
    let first_ns = instant(field, first)?;
    let series = event.series.as_ref();
    let observed = series.and_then(|series| series.last_observed_time.as_ref());
    let last_ns = match (&event.last_timestamp, observed) {
        (Some(text), _) => instant("lastTimestamp", text)?,
        (None, Some(text)) => instant("series.lastObservedTime", text)?,
        (None, None) => first_ns,
    };
    if last_ns < first_ns {
        let last = event.last_timestamp.as_deref().unwrap_or_default();
        return Err(refuse("lastTimestamp", last, "not before firstTimestamp"));
    }
    let count = event.count.or(series.and_then(|series| series.count));
    Ok(Ok(Noted {
        node,
        sign,
        first_ns,
        last_ns,
        count: count.unwrap_or(1),
    }))
}

/// Crashes of a node, from its being not ready and ready in order of time.
fn add_node(import: &mut FaultImport, events: &[&Noted], target: &Target) {
    let of_node = events
        .iter()
        .filter(|event| matches!(event.sign, Sign::NotReady | Sign::Ready));
    let mut turns: Vec<(i128, Sign)> = Vec::new();
    for event in of_node {
        turns.push((event.first_ns, event.sign));
        let known = if event.last_ns > event.first_ns {
            turns.push((event.last_ns, event.sign));
            2
        } else {
            1
        };
        import.without_instant += event.count.saturating_sub(known);
    }
    // At one instant it is not ready first, and then ready.
    turns.sort_unstable();
    let mut down_since = None;
    for (at, sign) in turns {
        match (sign, down_since) {
            (Sign::NotReady, None) => down_since = Some(at),
            (Sign::Ready, Some(since)) => {
                down_since = None;
                if at > since {
                    import.add(since, Some(at), target.clone(), FaultKind::Crash {});
                }
            }
            (Sign::Ready, None) => import.skip("ready, and was so before", 1),
            _ => import.skip("not ready, and was so before", 1),
        }
    }
    if let Some(since) = down_since {
        import.add(since, None, target.clone(), FaultKind::Crash {});
    }
}

fn add_pod(import: &mut FaultImport, event: &Noted, target: &Target, options: KubernetesOptions) {
    let after = |seconds: f64| Some(event.last_ns + (seconds * 1e9).round() as i128);
    let (until, fault) = match event.sign {
        Sign::NotReady | Sign::Ready => return,
        Sign::Evicted => (after(options.evicted_for_s), FaultKind::Crash {}),
        Sign::BackOff => (after(options.back_off_s), FaultKind::Crash {}),
        Sign::Unhealthy => (after(options.probe_period_s), FaultKind::Hang {}),
    };
    import.add(event.first_ns, until, target.clone(), fault);
}
