//! Which regions and replicas can be reached, and how the word of an erasure spreads.

use crate::fleet::geo::{RegionIndex, bit};

/// Which regions can be reached.
pub struct Reach<'a> {
    /// Whether a region is down.
    pub down: &'a dyn Fn(u16) -> bool,
    /// Whether nothing passes from a region to another.
    pub cut: &'a dyn Fn(u16, u16) -> bool,
    /// Whether a replica is alive.
    pub alive: &'a dyn Fn(u32) -> bool,
}

impl Reach<'_> {
    /// The word goes from region to region, wherever ways are free.
    pub(super) fn spread(&self, known: u64, regions: u16) -> u64 {
        let mut all = known;
        loop {
            let before = all;
            for from in (0..regions).filter(|from| before & bit(RegionIndex(*from)) != 0) {
                if (self.down)(from) {
                    continue;
                }
                for to in (0..regions).filter(|to| self.free(from, *to)) {
                    all |= bit(RegionIndex(to));
                }
            }
            if all == before {
                return all;
            }
        }
    }

    /// Whether something passes from a region to another, or is at home in one that is up.
    pub(super) fn free(&self, from: u16, to: u16) -> bool {
        !(self.down)(to) && (from == to || !(self.down)(from) && !(self.cut)(from, to))
    }
}
