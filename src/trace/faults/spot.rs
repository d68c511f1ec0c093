//! Interruption notices of AWS spot instances, one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::nodes::{self, NodeRule};
use super::{FaultImport, FaultImportError, json_error};
use crate::scenario::faults::{FaultKind, Target};
use crate::trace::error::shorten;

/// Seconds from the notice to the interruption: AWS documents two minutes.
pub const SPOT_NOTICE_S: i64 = 120;

/// A line: what the instance's metadata service answers at `spot/instance-action`, with the
/// instance's id where whoever collected it has added that, or an event of EventBridge.
#[derive(Debug, Deserialize)]
struct Line {
    action: Option<String>,
    time: Option<String>,
    #[serde(rename = "instance-id", alias = "instance_id")]
    instance_id: Option<String>,
    #[serde(rename = "detail-type")]
    detail_type: Option<String>,
    detail: Option<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(rename = "instance-id")]
    instance_id: Option<String>,
    #[serde(rename = "instance-action")]
    instance_action: Option<String>,
}

/// An interruption.
struct Notice {
    instance: String,
    at: OffsetDateTime,
    gone: OffsetDateTime,
}

/// Reads notices, one JSON object a line; `name` stands for the file in errors.
///
/// The metadata service gives the time of the interruption, which its notice precedes by two
/// minutes; EventBridge gives the time of the notice. `hibernate` begins at once. Each becomes a
/// drain without an end: what takes its place is the business of the fleet's own controllers. A
/// line without an id is an instance of its own, `line-N`; the same notice again, as polling finds
/// it, counts once.
///
/// # Errors
/// When a line is not such an object, or its time is no RFC 3339 time.
pub fn import_spot_notices(
    text: &str,
    name: &str,
    start: OffsetDateTime,
    rules: &[NodeRule],
) -> Result<FaultImport, FaultImportError> {
    nodes::check(rules)?;
    let mut import = FaultImport::default();
    let mut notices = Vec::new();
    let mut seen: BTreeMap<Option<String>, OffsetDateTime> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        import.read += 1;
        match notice(line, name, number)? {
            Err(reason) => import.skip(reason, 1),
            Ok((id, at, gone)) => {
                // Two sources of one instance may differ by seconds; without an id only equal
                // times tell that it is the same.
                let tolerance = match id {
                    Some(_) => Duration::seconds(SPOT_NOTICE_S),
                    None => Duration::ZERO,
                };
                let before = seen.insert(id.clone(), gone);
                if before.is_some_and(|before| (gone - before).abs() <= tolerance) {
                    import.skip("the same notice again", 1);
                    continue;
                }
                let instance = id.unwrap_or_else(|| format!("line-{number:08}"));
                notices.push(Notice { instance, at, gone });
            }
        }
    }
    let names: BTreeSet<String> = notices.iter().map(|it| it.instance.clone()).collect();
    let replicas = nodes::replicas(&names, rules);
    for at in notices.iter().flat_map(|it| [it.at, it.gone]) {
        import.tells_of(at);
    }
    import.seen = names;
    for notice in notices {
        let Some((pool, replica)) = replicas.get(&notice.instance) else {
            import.skip("no rule fits the node", 1);
            continue;
        };
        // Gone before the start, and for ever: it is no member of the fleet that is simulated.
        if notice.gone < start {
            import.skip("gone before the start", 1);
            continue;
        }
        let from = (notice.at - start).whole_nanoseconds();
        let left = notice.gone - notice.at.max(start);
        let notice_s = left.as_seconds_f64();
        let target = Target::replica(pool, *replica);
        import
            .nodes
            .insert((pool.clone(), *replica), notice.instance);
        import.add(from, None, target, FaultKind::Drain { notice_s });
    }
    Ok(import.finish())
}

type Interruption = (Option<String>, OffsetDateTime, OffsetDateTime);

/// Reads one line: instance, notice and interruption, or why it does not count.
fn notice(
    text: &str,
    name: &str,
    number: usize,
) -> Result<Result<Interruption, &'static str>, FaultImportError> {
    let refuse = |field, value: &str, allowed| FaultImportError::Value {
        name: name.into(),
        what: "line",
        number,
        field,
        value: shorten(value),
        allowed,
    };
    let line: Line =
        serde_json::from_str(text).map_err(|error| json_error(name, &error, Some(number)))?;
    let from_bus = line.detail_type.is_some();
    let (id, action) = match (line.detail_type.as_deref(), line.detail) {
        (None, _) => (line.instance_id, line.action),
        (Some("EC2 Spot Instance Interruption Warning"), Some(detail)) => {
            (detail.instance_id, detail.instance_action)
        }
        (Some("EC2 Spot Instance Interruption Warning"), None) => {
            return Err(refuse("detail", "", "an object with instance-id"));
        }
        (Some("EC2 Instance Rebalance Recommendation"), _) => {
            return Ok(Err("a rebalance recommendation, which interrupts nothing"));
        }
        (Some(_), _) => return Ok(Err("another event")),
    };
    const ACTION: &str = "terminate, stop or hibernate";
    let action = action.ok_or_else(|| refuse("action", "", ACTION))?;
    let notice_s = match action.as_str() {
        "terminate" | "stop" => SPOT_NOTICE_S,
        "hibernate" => 0,
        other => return Err(refuse("action", other, ACTION)),
    };
    const STAMP: &str = "an RFC 3339 time, 2026-03-01T12:00:00Z";
    let stamp = line.time.unwrap_or_default();
    let time = OffsetDateTime::parse(&stamp, &Rfc3339);
    let time = time.map_err(|_| refuse("time", &stamp, STAMP))?;
    let ahead = Duration::seconds(notice_s);
    let other = match from_bus {
        true => time.checked_add(ahead),
        false => time.checked_sub(ahead),
    };
    let other = other.ok_or_else(|| refuse("time", &stamp, "a time before the year 9999"))?;
    Ok(Ok(match from_bus {
        true => (id, time, other),
        false => (id, other, time),
    }))
}
