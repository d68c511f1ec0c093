//! Spreading the requests of one stamp over the time until the next one.

use std::collections::VecDeque;

use super::TraceRecord;
use super::error::TraceError;

/// Spreads groups of equal stamps: the i-th of n requests at one stamp moves to
/// stamp + gap * i / n, gap being the time to the next distinct stamp (for the last group, that
/// from the one before). It holds one group at a time.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    ready: VecDeque<TraceRecord>,
    ahead: Option<TraceRecord>,
    gap_ns: u64,
    ended: bool,
}

impl Spread {
    /// The next record, taking those that it needs from `pull`.
    pub(crate) fn next(
        &mut self,
        mut pull: impl FnMut() -> Result<Option<TraceRecord>, TraceError>,
    ) -> Result<Option<TraceRecord>, TraceError> {
        if self.ready.is_empty() && !self.ended {
            let first = match self.ahead.take() {
                Some(record) => Some(record),
                None => pull()?,
            };
            match first {
                Some(first) => self.gather(first, pull)?,
                None => self.ended = true,
            }
        }
        Ok(self.ready.pop_front())
    }

    fn gather(
        &mut self,
        first: TraceRecord,
        mut pull: impl FnMut() -> Result<Option<TraceRecord>, TraceError>,
    ) -> Result<(), TraceError> {
        let first_ns = first.t_ns;
        self.ready.push_back(first);
        self.ended = true;
        while let Some(record) = pull()? {
            if record.t_ns > first_ns {
                self.gap_ns = record.t_ns - first_ns;
                self.ahead = Some(record);
                self.ended = false;
                break;
            }
            self.ready.push_back(record);
        }
        let (gap, count) = (u128::from(self.gap_ns), self.ready.len() as u128);
        for (i, record) in self.ready.iter_mut().enumerate() {
            let shift = gap * i as u128 / count;
            let shift = u64::try_from(shift).unwrap_or(u64::MAX);
            record.t_ns = record.t_ns.saturating_add(shift);
        }
        Ok(())
    }
}
