//! What a tenant may use in a window of time.

use super::bucket::TokenBucket;
use crate::engine::{SimDuration, SimTime};
use crate::scenario::admission::{Quota, QuotaUnit, QuotaWindow};

/// Why a request is over quota, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// It would be let in at this instant if the tenant sent nothing before.
    At(SimTime),
    /// It asks for more than a whole window allows.
    Never,
}

/// The quotas of one tenant: a request must be within all of them.
#[derive(Debug, Clone, Default)]
pub struct Quotas(Vec<(QuotaUnit, Meter)>);

impl Quotas {
    /// Nothing used at the start of the simulation.
    pub fn new(config: &[Quota]) -> Quotas {
        Quotas(config.iter().map(|q| (q.of, Meter::new(q))).collect())
    }

    /// Counts a request with so many tokens, or says when it would be let in and counts nothing.
    pub fn take(&mut self, now: SimTime, tokens: u64) -> Result<(), RetryAfter> {
        let mut at = now;
        for (of, meter) in &mut self.0 {
            match meter.ready_at(now, units(*of, tokens)) {
                Some(ready) => at = at.max(ready),
                None => return Err(RetryAfter::Never),
            }
        }
        // Nothing but time makes room: where all have it, they have it from the latest instant on.
        if at > now {
            return Err(RetryAfter::At(at));
        }
        for (of, meter) in &mut self.0 {
            meter.add(now, units(*of, tokens));
        }
        Ok(())
    }

    /// Undoes the request that was counted at `taken`, because a later check refused it.
    pub fn give_back(&mut self, taken: SimTime, now: SimTime, tokens: u64) {
        for (of, meter) in &mut self.0 {
            meter.subtract(taken, now, units(*of, tokens));
        }
    }

    /// Corrects the tokens of a request that was counted at `taken` on an estimate. More than
    /// estimated counts now, and may put the tenant over its quota; less counts as if it had been
    /// known, as far as that window still lasts.
    pub fn correct_tokens(&mut self, taken: SimTime, now: SimTime, estimated: u64, actual: u64) {
        let meters = self.0.iter_mut();
        for (_, meter) in meters.filter(|(of, _)| *of == QuotaUnit::Tokens) {
            if actual > estimated {
                meter.add(now, actual - estimated);
            } else {
                meter.subtract(taken, now, estimated - actual);
            }
        }
    }
}

fn units(of: QuotaUnit, tokens: u64) -> u64 {
    match of {
        QuotaUnit::Requests => 1,
        QuotaUnit::Tokens => tokens,
    }
}

/// One quota.
#[derive(Debug, Clone)]
enum Meter {
    Refill(TokenBucket),
    Cells(Cells),
}

impl Meter {
    fn new(quota: &Quota) -> Meter {
        let window = SimDuration::from_secs_f64(quota.window_s);
        match quota.window {
            QuotaWindow::Refill {} => {
                let amount = quota.amount as f64;
                Meter::Refill(TokenBucket::new(amount / quota.window_s, amount))
            }
            QuotaWindow::Fixed {} => Meter::Cells(Cells::fixed(quota.amount, window)),
            QuotaWindow::Sliding { cells } => {
                Meter::Cells(Cells::sliding(quota.amount, window, cells))
            }
        }
    }

    fn ready_at(&mut self, now: SimTime, units: u64) -> Option<SimTime> {
        match self {
            Meter::Refill(bucket) => bucket.ready_at(now, units),
            Meter::Cells(cells) => cells.ready_at(now, units),
        }
    }

    fn add(&mut self, now: SimTime, units: u64) {
        match self {
            Meter::Refill(bucket) => bucket.charge(now, units),
            Meter::Cells(cells) => cells.add(now, units),
        }
    }

    fn subtract(&mut self, taken: SimTime, now: SimTime, units: u64) {
        match self {
            Meter::Refill(bucket) => bucket.give_back(units),
            Meter::Cells(cells) => cells.subtract(taken, now, units),
        }
    }
}

/// Units by cell of time. Those of the last cells, the present one among them, count.
#[derive(Debug, Clone)]
struct Cells {
    amount: u64,
    width: u64,
    /// A ring by number of the cell.
    used: Vec<u64>,
    /// Of all cells of the ring.
    sum: u64,
    /// Number of the present cell.
    present: u64,
}

impl Cells {
    /// One cell is the window.
    fn fixed(amount: u64, window: SimDuration) -> Cells {
        Cells::new(amount, window.0, 1)
    }

    /// Units count for the whole window after the end of their cell, so that no stretch as long as
    /// the window holds more than the amount: one cell more than fits the window.
    fn sliding(amount: u64, window: SimDuration, cells: u32) -> Cells {
        let width = window.0.div_ceil(cells.max(1).into());
        Cells::new(amount, width, cells as usize + 1)
    }

    fn new(amount: u64, width: u64, cells: usize) -> Cells {
        Cells {
            amount,
            width: width.max(1),
            used: vec![0; cells.max(1)],
            sum: 0,
            present: 0,
        }
    }

    fn place(&self, cell: u64) -> usize {
        (cell % self.used.len() as u64) as usize
    }

    /// Goes on to the cell of `now`, and forgets those that have left the window.
    fn advance(&mut self, now: SimTime) {
        let present = now.0 / self.width;
        let passed = present.saturating_sub(self.present);
        if passed >= self.used.len() as u64 {
            self.used.fill(0);
            self.sum = 0;
        } else {
            for cell in self.present + 1..=self.present + passed {
                let place = self.place(cell);
                self.sum -= std::mem::take(&mut self.used[place]);
            }
        }
        self.present = self.present.max(present);
    }

    fn add(&mut self, now: SimTime, units: u64) {
        self.advance(now);
        let place = self.place(self.present);
        self.used[place] = self.used[place].saturating_add(units);
        self.sum = self.sum.saturating_add(units);
    }

    fn subtract(&mut self, taken: SimTime, now: SimTime, units: u64) {
        self.advance(now);
        let cell = taken.0 / self.width;
        if self.present.saturating_sub(cell) >= self.used.len() as u64 {
            return;
        }
        let place = self.place(cell);
        let less = units.min(self.used[place]);
        self.used[place] -= less;
        self.sum -= less;
    }

    fn ready_at(&mut self, now: SimTime, units: u64) -> Option<SimTime> {
        if units > self.amount {
            return None;
        }
        self.advance(now);
        let mut sum = self.sum;
        if sum <= self.amount - units {
            return Some(now);
        }
        // The oldest cell is that after the present one in the ring, and is the next to go.
        let cells = self.used.len() as u64;
        for step in 1..=cells {
            let number = self.present + step;
            sum -= self.used[self.place(number)];
            if sum <= self.amount - units {
                return Some(SimTime(number.saturating_mul(self.width)));
            }
        }
        None
    }
}
