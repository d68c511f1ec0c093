//! One node: where it is in its life.

use crate::engine::{SimDuration, SimTime};

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// It is not there.
    #[default]
    Gone,
    /// It was asked for and takes no requests yet.
    Starting,
    /// It takes requests.
    Ready,
    /// It takes no new requests.
    Draining,
}

/// What happens to a node next, at a known time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Next {
    /// Nothing that is known.
    #[default]
    Nothing,
    /// It becomes ready.
    Ready,
    /// It is said to be at risk.
    Signal,
    /// It is told that it will be taken away.
    Notice,
    /// It has been told, and begins to drain.
    Drain,
    /// It is taken away.
    Gone,
}

/// A node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Node {
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it will be taken away: others are asked for in its place.
    pub leaving: bool,
    /// When it was asked for.
    pub requested: SimTime,
    /// When the machine began to boot.
    pub booted: SimTime,
    /// When the provider counts it as running: it has booted, and nothing is loaded on it yet.
    pub running: SimTime,
    /// When it became, or will be, ready.
    pub ready: SimTime,
    /// Whether the provider takes it away.
    pub leaving_by_force: bool,
    /// When it is told so.
    pub told_at: SimTime,
    /// When it will be gone, then.
    pub gone_at: SimTime,
    /// What happens next, and when.
    pub next: Next,
    /// See there.
    pub due: SimTime,
    /// Requests at it or on their way there, while it drains.
    pub requests: u32,
}

impl Node {
    /// How long it was ready from `start` until `end`.
    pub fn time_ready(&self, start: SimTime, end: SimTime) -> SimDuration {
        match self.phase {
            Phase::Ready | Phase::Draining => {
                SimDuration(end.0.saturating_sub(self.ready.max(start).0))
            }
            Phase::Gone | Phase::Starting => SimDuration::ZERO,
        }
    }
}
