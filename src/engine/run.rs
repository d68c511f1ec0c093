//! The run loop: pops events in order and hands each to the model until something ends the run.

use std::sync::atomic::{AtomicBool, Ordering};

use super::digest::Digest;
use super::queue::EventQueue;
use super::time::SimTime;

/// Events between two looks at the stop flag and the progress callback.
const CHECK_EVERY: u64 = 8192;

/// What the kernel asks of a simulated system.
pub trait Model {
    /// The events it handles: small and `Copy`.
    type Event: Copy;

    /// Handles one event; `queue.now()` is its time.
    fn handle(&mut self, event: Self::Event, queue: &mut EventQueue<Self::Event>);

    /// One word that tells this event from any other of its instant, for the digest.
    fn word(event: &Self::Event) -> u64;

    /// True when the model can go no further (its input failed) and the run must end.
    fn failed(&self) -> bool {
        false
    }
}

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Events at or after this instant are not run.
    pub end: SimTime,
    /// No more than this many events are run.
    pub max_events: u64,
    /// Raised from outside (Ctrl-C) to end the run early.
    pub stop: Option<&'a AtomicBool>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// No event was pending any more.
    Drained,
    /// The next event lies at or after the end of the run.
    End,
    /// The event budget was used up.
    EventBudget,
    /// Somebody asked it to stop (Ctrl-C).
    Interrupted,
    /// The model reported a failure.
    Failed,
    /// More was in flight than the run may hold.
    InFlightLimit,
}

/// Runs `model` within `limits`; `progress` is called now and then with the present and the
/// number of events run so far in this call.
pub fn run<M: Model>(
    model: &mut M,
    queue: &mut EventQueue<M::Event>,
    digest: &mut Digest,
    limits: Limits<'_>,
    mut progress: impl FnMut(SimTime, u64),
) -> Ended {
    let mut events = 0u64;
    loop {
        if events >= limits.max_events {
            return Ended::EventBudget;
        }
        let Some((time, event)) = queue.pop_before(limits.end) else {
            return if queue.pending() == 0 {
                Ended::Drained
            } else {
                Ended::End
            };
        };
        digest.add(time.0);
        digest.add(M::word(&event));
        model.handle(event, queue);
        events += 1;
        if model.failed() {
            return Ended::Failed;
        }
        if events.is_multiple_of(CHECK_EVERY) {
            progress(time, events);
            if limits.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ended::Interrupted;
            }
        }
    }
}
