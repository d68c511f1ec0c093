//! What a component's handler gets to work with.

use crate::engine::{EventQueue, SimTime};

use super::event::Event;
use super::meters::PoolMeter;
use super::request::Requests;
use super::store::SharedStore;

/// The present, the queue, the requests and the meters of the component's pool. Outcomes go into
/// `done`: only the world says who hears of them.
pub struct Context<'a> {
    /// The present.
    pub now: SimTime,
    /// Where to schedule what comes later.
    pub queue: &'a mut EventQueue<Event>,
    /// All requests in flight.
    pub requests: &'a mut Requests,
    /// Meters of the pool at work.
    pub meter: &'a mut PoolMeter,
    /// Slots of requests whose last token was made now.
    pub done: &'a mut Vec<u32>,
    /// The store of KV that the replicas share, and the region of this one.
    pub store: Option<&'a SharedStore>,
    /// See there.
    pub region: u16,
    /// Slots of requests whose first token was made now, where somebody wants to know.
    pub firsts: Option<&'a mut Vec<u32>>,
}
