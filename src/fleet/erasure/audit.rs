//! The audit log: what became of every erasure at every place.

use crate::engine::SimTime;

/// One line of it: an erasure at a place, or one that was turned down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Number of the erasure, from 0 in order of coming.
    pub erasure: u64,
    /// Who: a pseudonym, the same for one subject in all of a run.
    pub subject: String,
    /// What became of it.
    pub verdict: Verdict,
    /// The place, by index of [`super::meters::ErasureMeters::places`]; none where it was turned down.
    pub place: Option<u16>,
    /// The replica, where the place is on one.
    pub replica: Option<u32>,
    /// When it came to a gateway.
    pub received: SimTime,
    /// Up to when data were to go; none where it was turned down.
    pub stamp: Option<SimTime>,
    /// When the place was told.
    pub told: Option<SimTime>,
    /// When reads saw nothing of it there.
    pub logical: Option<SimTime>,
    /// When the last byte was gone from there; none while some is left.
    pub physical: Option<SimTime>,
}

/// What became of an erasure at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its sender could not be shown to be the subject.
    Rejected,
    /// Its sender has not been authenticated yet.
    Received,
    /// Everything is gone from the place.
    Done,
    /// Something is left there.
    Pending,
}

impl Verdict {
    /// The name used in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Rejected => "rejected",
            Verdict::Received => "received",
            Verdict::Done => "done",
            Verdict::Pending => "pending",
        }
    }
}
