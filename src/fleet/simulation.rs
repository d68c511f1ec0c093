//! A fleet being simulated: the world, its queue, and the loop that drives them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::engine::{Digest, Ended, EventQueue, Limits, SimTime, run};
use crate::trace::TraceError;

use super::erasure::audit::AuditRow;
use super::event::Event;
use super::observer::{Observed, Observer};
use super::outcome::RequestRow;
use super::plan::FleetPlan;
use super::world::World;

/// Events between two looks outside: progress is told and finished requests are written.
const SLICE: u64 = 65_536;

/// What a run may use of the outside.
pub struct Hooks<'a> {
    /// Raised from outside (Ctrl-C) to end the run early.
    pub stop: Option<&'a AtomicBool>,
    /// Told the present every now and then.
    pub progress: &'a mut dyn FnMut(SimTime),
    /// Given the rows of requests that have ended, in order of ending.
    pub rows: &'a mut dyn FnMut(&[RequestRow]),
    /// Given lines of the audit log of erasures, where they are kept, in order of the ends.
    pub audit: &'a mut dyn FnMut(&[AuditRow]),
}

/// A fleet being simulated. A clone goes on independently, with the same digest as the original
/// as long as nothing is changed.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The fleet.
    pub world: World,
    plan: Arc<FleetPlan>,
    queue: EventQueue<Event>,
    digest: Digest,
    events: u64,
}

impl Simulation {
    /// Builds the fleet.
    ///
    /// # Errors
    /// When the trace cannot be opened.
    pub fn new(plan: Arc<FleetPlan>) -> Result<Simulation, TraceError> {
        let mut queue = EventQueue::new();
        let world = World::new(Arc::clone(&plan), &mut queue)?;
        Ok(Simulation {
            world,
            plan,
            queue,
            digest: Digest::default(),
            events: 0,
        })
    }

    /// Runs to the end of the plan, or until `max_events` events were run in all.
    pub fn run(&mut self, max_events: u64, hooks: &mut Hooks<'_>) -> Ended {
        self.run_until(self.plan.end, max_events, hooks)
    }

    /// Runs the events before `until`.
    pub fn run_until(&mut self, until: SimTime, max_events: u64, hooks: &mut Hooks<'_>) -> Ended {
        self.drive(until, max_events, hooks, None)
    }

    /// The same as [`Simulation::run`] while somebody looks on.
    pub fn run_observed(
        &mut self,
        max_events: u64,
        hooks: &mut Hooks<'_>,
        observer: &mut dyn Observer,
    ) -> Ended {
        let ended = loop {
            let look = observer.next_look().unwrap_or(self.plan.end);
            let ended = self.drive(look, max_events, hooks, Some(observer));
            if ended != Ended::End || look >= self.plan.end {
                break ended;
            }
            observer.look(&mut self.world, look);
        };
        let now = self.queue.now();
        observer.over(&mut self.world, now);
        ended
    }

    fn drive<'a>(
        &mut self,
        until: SimTime,
        max_events: u64,
        hooks: &mut Hooks<'_>,
        mut observer: Option<&mut (dyn Observer + 'a)>,
    ) -> Ended {
        loop {
            let slice = SLICE.min(max_events.saturating_sub(self.events));
            let limits = Limits {
                end: until.min(self.plan.end),
                max_events: slice,
                stop: hooks.stop,
            };
            let (queue, digest) = (&mut self.queue, &mut self.digest);
            let ended = match &mut observer {
                Some(observer) if observer.watches() => {
                    let mut observed = Observed {
                        world: &mut self.world,
                        observer: *observer,
                    };
                    run::run(&mut observed, queue, digest, limits, |_, _| {})
                }
                _ => run::run(&mut self.world, queue, digest, limits, |_, _| {}),
            };
            self.events = self.world.meters.events_by_kind.iter().sum();
            (hooks.progress)(self.queue.now());
            if !self.world.rows.is_empty() {
                if let Some(observer) = &mut observer {
                    observer.rows(&self.world.rows);
                }
                (hooks.rows)(&self.world.rows);
                self.world.rows.clear();
            }
            if let Some(erasure) = self.world.erasure_mut()
                && !erasure.rows.is_empty()
            {
                (hooks.audit)(&erasure.rows);
                erasure.rows.clear();
            }
            if self.world.failure().is_some() {
                return Ended::Failed;
            }
            if self.world.over_limit() {
                return Ended::InFlightLimit;
            }
            if ended != Ended::EventBudget || self.events >= max_events {
                return ended;
            }
        }
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Arc<FleetPlan> {
        &self.plan
    }

    /// The time of the last event.
    pub fn now(&self) -> SimTime {
        self.queue.now()
    }

    /// Events run so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Digest of the events run so far.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Checks the identities that hold in every result: requests that arrived are requests that
    /// ended or are in flight, and what [`World::check_conservation`] says.
    ///
    /// # Errors
    /// The first identity that does not hold, in words.
    pub fn check(&self) -> Result<(), String> {
        let meters = &self.world.meters;
        let ended: u64 = meters.ended.iter().sum();
        let in_flight = self.world.in_flight();
        if meters.arrived != ended + in_flight {
            return Err(format!(
                "{} requests arrived, but {ended} ended and {in_flight} are in flight",
                meters.arrived
            ));
        }
        self.world.check_erasure()?;
        self.world.check_conservation()
    }
}
