//! Who looks on while a fleet is simulated.
//!
//! An observer sees the fleet between two events and changes nothing: the events, and with them the
//! digest, are those of a run that nobody looks at. Where there is none, nothing is asked.

use crate::engine::{EventQueue, Model, SimTime};

use super::event::Event;
use super::ids::ReplicaId;
use super::outcome::RequestRow;
use super::world::World;

/// Somebody who looks on.
pub trait Observer: Send {
    /// When it wants to look at the fleet next, before anything happens at that instant; none where
    /// it does not, or not any more. Above the present.
    fn next_look(&self) -> Option<SimTime>;

    /// It is that time. The world is to be left as it is, but for meters that are brought up to date.
    fn look(&mut self, world: &mut World, at: SimTime);

    /// Whether it wants to see every event from now on; asked whenever the run is resumed.
    fn watches(&self) -> bool {
        false
    }

    /// An event has happened at `now`; `touched` is the replica that it was about, if it was about one.
    fn after(&mut self, touched: &Touched, world: &World, now: SimTime) {
        let _ = (touched, world, now);
    }

    /// Requests that have ended since this was last called, in order of ending.
    fn rows(&mut self, rows: &[RequestRow]);

    /// The run is over.
    fn over(&mut self, world: &mut World, at: SimTime);
}

/// What an event was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// Neither a replica nor a fault.
    Nothing,
    /// A replica, or two where a request went from one to the other.
    Replicas(ReplicaId, ReplicaId),
    /// Any replica: something broke, or was mended.
    Any,
}

/// A world that somebody watches, event by event.
pub(super) struct Observed<'a> {
    pub(super) world: &'a mut World,
    pub(super) observer: &'a mut dyn Observer,
}

impl Model for Observed<'_> {
    type Event = Event;

    fn handle(&mut self, event: Event, queue: &mut EventQueue<Event>) {
        let before = self.world.touched_by(&event);
        self.world.handle(event, queue);
        let touched = match (before, self.world.touched_by(&event)) {
            (Touched::Replicas(from, _), Touched::Replicas(_, to)) => Touched::Replicas(from, to),
            (Touched::Nothing, after) => after,
            (before, _) => before,
        };
        self.observer.after(&touched, self.world, queue.now());
    }

    fn word(event: &Event) -> u64 {
        World::word(event)
    }

    fn failed(&self) -> bool {
        self.world.failed()
    }
}

/// Several observers as one.
pub struct Observers<'a>(pub Vec<&'a mut dyn Observer>);

impl Observer for Observers<'_> {
    fn next_look(&self) -> Option<SimTime> {
        let looks = self.0.iter().filter_map(|it| it.next_look());
        looks.min()
    }

    fn look(&mut self, world: &mut World, at: SimTime) {
        for observer in &mut self.0 {
            if observer.next_look().is_some_and(|look| look <= at) {
                observer.look(world, at);
            }
        }
    }

    fn watches(&self) -> bool {
        self.0.iter().any(|it| it.watches())
    }

    fn after(&mut self, touched: &Touched, world: &World, now: SimTime) {
        for observer in &mut self.0 {
            if observer.watches() {
                observer.after(touched, world, now);
            }
        }
    }

    fn rows(&mut self, rows: &[RequestRow]) {
        for observer in &mut self.0 {
            observer.rows(rows);
        }
    }

    fn over(&mut self, world: &mut World, at: SimTime) {
        for observer in &mut self.0 {
            observer.over(world, at);
        }
    }
}
