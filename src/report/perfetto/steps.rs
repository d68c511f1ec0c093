//! What engines compute, and how loaded replicas are.

use std::collections::BTreeMap;

use serde_json::json;

use super::file::TraceFile;
use crate::engine::SimTime;
use crate::fleet::ids::ReplicaId;
use crate::fleet::llm::FlightView;
use crate::fleet::world::view::ReplicaView;

/// What is under way at each engine, and what was last said of each replica.
#[derive(Default)]
pub(super) struct Steps {
    /// By replica and lane: what is under way there, and since when it was seen.
    under_way: BTreeMap<(u32, u16), UnderWay>,
    loads: BTreeMap<u32, (u32, u32, u64)>,
    /// The track of each replica and lane.
    tracks: BTreeMap<(u32, u16), (u64, u64)>,
}

#[derive(Clone, Copy)]
struct UnderWay {
    flight: FlightView,
    pid: u64,
    /// When it began, or the window.
    from: SimTime,
}

impl Steps {
    /// A replica as it is now.
    pub(super) fn seen(
        &mut self,
        file: &mut TraceFile,
        (pid, replica): (u64, ReplicaId),
        view: &ReplicaView,
        now: SimTime,
    ) {
        let lanes = self.under_way.range((replica.0, 0)..=(replica.0, u16::MAX));
        let known: Vec<u16> = lanes.map(|((_, lane), _)| *lane).collect();
        for lane in known {
            let flight = view.flights.iter().find(|it| it.lane == lane);
            let before = self.under_way.get(&(replica.0, lane)).copied();
            let goes_on = flight
                .zip(before)
                .is_some_and(|(flight, before)| flight.is_same(&before.flight));
            if let (false, Some(before)) = (goes_on, before) {
                self.under_way.remove(&(replica.0, lane));
                let track = self.track(file, (pid, replica, lane));
                write(file, track, &before, now);
            }
        }
        for flight in &view.flights {
            let key = (replica.0, flight.lane);
            self.under_way.entry(key).or_insert(UnderWay {
                flight: *flight,
                pid,
                from: now,
            });
        }
        self.load(file, (pid, replica), view, now);
    }

    fn track(
        &mut self,
        file: &mut TraceFile,
        (pid, replica, lane): (u64, ReplicaId, u16),
    ) -> (u64, u64) {
        let next = self.tracks.len() as u64 + 1;
        *self.tracks.entry((replica.0, lane)).or_insert_with(|| {
            let name = match lane {
                0 => format!("replica {}", replica.0),
                lane => format!("replica {} ({lane})", replica.0),
            };
            file.name_thread((pid, next), &name);
            (pid, next)
        })
    }

    fn load(
        &mut self,
        file: &mut TraceFile,
        (pid, replica): (u64, ReplicaId),
        view: &ReplicaView,
        now: SimTime,
    ) {
        // Thousandths: more is not seen.
        let kv = (view.kv_usage * 1_000.0).round() as u64;
        let load = (view.waiting, view.running, kv);
        let before = self.loads.insert(replica.0, load);
        if before.map(|it| (it.0, it.1)) != Some((load.0, load.1)) {
            let name = format!("replica {}: requests", replica.0);
            let value = json!({ "waiting": load.0, "running": load.1 });
            file.counter(pid, now, &name, &value);
        }
        if before.map_or(kv > 0, |it| it.2 != kv) {
            let name = format!("replica {}: KV in use, %", replica.0);
            let value = json!({ "KV": kv as f64 / 10.0 });
            file.counter(pid, now, &name, &value);
        }
    }

    /// The window is over: what is under way is cut off at its end.
    pub(super) fn close(&mut self, file: &mut TraceFile, at: SimTime) {
        for ((replica, lane), under_way) in std::mem::take(&mut self.under_way) {
            let track = self.track(file, (under_way.pid, ReplicaId(replica), lane));
            write(file, track, &under_way, at);
        }
    }
}

/// Writes what was under way until `to`, iteration by iteration.
fn write(file: &mut TraceFile, track: (u64, u64), under_way: &UnderWay, to: SimTime) {
    let flight = &under_way.flight;
    let name = match (flight.prompts, flight.decodes) {
        (0, _) => "decode",
        (_, 0) => "prefill",
        _ => "prefill and decode",
    };
    let args = json!({
        "prompts": flight.prompts,
        "prompt_tokens": flight.prompt_tokens,
        "decoding": flight.decodes,
    });
    let mut from = under_way.from;
    for end in flight.boundaries(to) {
        // Those before the window, too.
        if end > from {
            file.complete(track, (from, end), name, &args);
            from = end;
        }
    }
    if to > from {
        file.complete(track, (from, to), name, &args);
    }
}
