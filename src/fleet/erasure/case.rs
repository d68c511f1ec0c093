//! An erasure under way: who has not yet said that it is done.

use crate::engine::SimTime;
use crate::fleet::lsm::Subject;

/// One erasure that was accepted, or whose sender is being authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    /// Its number, from 0 in order of coming.
    pub(super) number: u64,
    /// Whose data.
    pub(super) subject: Subject,
    /// The region of the gateway that it came to.
    pub(super) region: u16,
    /// Regions whose gateways know of it, a bit each: it goes on from those that are up.
    pub(super) known: u64,
    /// When it came.
    pub(super) received: SimTime,
    /// Everything made up to then is to go; [`SimTime::NEVER`] until its sender is authenticated.
    pub(super) stamp: SimTime,
    /// Places that have not said that they are done.
    pub(super) left: u32,
    /// Places whose reads may still see something.
    pub(super) seen: u32,
    /// When the last place so far ceased to show anything to reads.
    pub(super) logical: SimTime,
    /// When the last place so far was rid of it.
    pub(super) physical: SimTime,
}

impl Case {
    pub(super) fn new(number: u64, subject: Subject, region: u16, received: SimTime) -> Case {
        Case {
            number,
            subject,
            region,
            known: 0,
            received,
            stamp: SimTime::NEVER,
            left: 0,
            seen: 0,
            logical: received,
            physical: received,
        }
    }

    /// Reads of a place see nothing of it any more; true when it was the last.
    pub(super) fn place_is_blind(&mut self, logical: SimTime) -> bool {
        self.logical = self.logical.max(logical);
        self.seen -= 1;
        self.seen == 0
    }

    /// A place is done; true when it was the last.
    pub(super) fn place_is_done(&mut self, physical: SimTime) -> bool {
        self.physical = self.physical.max(physical);
        self.left -= 1;
        self.left == 0
    }
}
