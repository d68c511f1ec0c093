//! Requests, and the phases that they went through.

use serde_json::{Value, json};

use super::arguments;
use super::file::{Span, TraceFile};
use crate::engine::SimTime;
use crate::fleet::outcome::RequestRow;
use crate::report::requests::Names;

/// Writes requests as trees.
pub(super) struct Requests;

impl Requests {
    /// A request that ended at `at`, or that was in flight then.
    pub(super) fn write(
        &mut self,
        file: &mut TraceFile,
        pid: u64,
        (row, names): (&RequestRow, &Names),
        (at, has_ended): (SimTime, bool),
    ) {
        let from = SimTime(row.arrival_ns);
        let whole = Span {
            name: "request",
            from,
            to: at.max(from),
            args: about(row, names, has_ended),
        };
        let mut spans = vec![whole];
        spans.extend(phases(row, from, at.max(from)));
        file.tree(pid, row.id, &spans);
    }
}

fn about(row: &RequestRow, names: &Names, has_ended: bool) -> Value {
    let named = |list: &[String], index: Option<u16>| -> Value {
        let name = index.and_then(|index| list.get(usize::from(index)));
        name.map_or(Value::Null, |name| json!(name))
    };
    let status = if has_ended { row.status } else { "in_flight" };
    arguments(&[
        ("id", json!(row.id)),
        ("status", json!(status)),
        ("tier", named(&names.tiers, Some(row.tier))),
        ("region", named(&names.regions, row.region)),
        ("pool", named(&names.pools, row.pool)),
        ("replica", json!(row.replica)),
        ("prompt_tokens", json!(row.prompt_tokens)),
        ("output_tokens", json!(row.output_tokens)),
        ("cached_tokens", json!(row.cached_tokens)),
        ("preemptions", json!(row.preemptions)),
        ("attempts", json!(row.attempts)),
    ])
}

/// What a request went through, as far as it came: each phase begins where the one before it ended,
/// and those that took no time are left out. Of a request that was tried several times they are of the
/// last try, and the time until its gateway was done with it is that of the tries before, too.
fn phases(row: &RequestRow, from: SimTime, to: SimTime) -> Vec<Span<'static>> {
    let gateway = match row.attempts {
        0 | 1 => "gateway",
        _ => "earlier tries and gateway",
    };
    let handed_over = row.kv_arrived_ns.is_some();
    let stamps: [(&'static str, Option<u64>); 8] = [
        (gateway, row.gateway_ns),
        ("network", row.delivered_ns),
        ("window", row.queued_ns),
        ("queue", row.scheduled_ns),
        ("prefill", row.first_token_ns),
        ("KV transfer", row.kv_arrived_ns),
        ("queue to decode", row.resumed_ns),
        ("decode", row.last_token_ns),
    ];
    let mut spans = Vec::new();
    let mut begun = from;
    let mut reached = true;
    for (name, stamp) in stamps {
        // Not every request is handed over.
        if stamp.is_none() && !handed_over && matches!(name, "KV transfer" | "queue to decode") {
            continue;
        }
        if !reached {
            break;
        }
        reached = stamp.is_some();
        let until = stamp.map_or(to, SimTime).clamp(begun, to);
        if until > begun {
            spans.push(Span {
                name,
                from: begun,
                to: until,
                args: json!({}),
            });
        }
        begun = until;
    }
    spans
}
