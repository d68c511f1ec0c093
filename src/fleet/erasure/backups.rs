//! Copies of a log: made every so often, and kept for so long.

use crate::engine::SimTime;
use crate::fleet::lsm::{Keys, Purge};

use super::plan::BackupPlan;

/// When the last copy that has something of what an erasure found expires: of the last one that was made
/// while the log itself held it. The log's files are copied as they are, with what reads do not see any
/// more. None where no copy has any of it.
///
/// Where records replace one another, copies may have had earlier ones: one that is held counts as having
/// been there from the start.
pub(super) fn expires(plan: &BackupPlan, purge: &Purge, keys: Keys) -> Option<SimTime> {
    let gone = purge.physical?;
    if purge.held.records == 0 || plan.interval.0 == 0 {
        return None;
    }
    // One made at the very instant at which the last is gone has it no more.
    let before = gone.0.checked_sub(1)?;
    let last = SimTime(before / plan.interval.0 * plan.interval.0);
    // What came after the last copy was made is in none, unless it was there at the start.
    let copied = keys == Keys::Replaced || purge.oldest <= last;
    copied.then(|| last + plan.retention)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SimDuration;
    use crate::fleet::lsm::{Amount, PurgeId, Subject};
    use crate::scenario::erasure::Shredding;

    fn expiry(oldest: u64, gone: u64) -> Option<SimTime> {
        let plan = BackupPlan {
            name: "copies".to_owned(),
            of: 0,
            interval: SimDuration(10),
            retention: SimDuration(35),
            on_erase: Shredding::Expire,
        };
        let purge = Purge {
            id: PurgeId(0),
            subject: Subject(1),
            stamp: SimTime(7),
            received: SimTime(7),
            logical: SimTime(7),
            physical: Some(SimTime(gone)),
            held: Amount {
                records: 1,
                bytes: 1,
            },
            log_records: 1,
            oldest: SimTime(oldest),
            places: 1,
            probed: 1,
            jobs: 1,
            work_bytes: 0,
        };
        expires(&plan, &purge, Keys::Appended)
    }

    #[test]
    fn the_last_copy_with_something_in_it_counts() {
        // Copies are made at 0, 10, 20, ...
        assert_eq!(expiry(0, 5), Some(SimTime(35)));
        assert_eq!(expiry(3, 25), Some(SimTime(55)));
        assert_eq!(expiry(3, 20), Some(SimTime(45)));
        assert_eq!(expiry(3, 21), Some(SimTime(55)));
        // It came and went between two copies.
        assert_eq!(expiry(3, 9), None);
    }
}
