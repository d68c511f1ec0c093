//! Values of a function of a small whole number, remembered once they were asked for.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers below this are remembered: 32 KiB a function.
const MOST: usize = 4_096;

/// What stands for a value not asked for yet: the bits of a NaN that no computation gives.
const UNKNOWN: u64 = u64::MAX;

/// Remembered values. The function must give the same for the same number, so that it does not
/// matter which thread asked first.
pub(crate) struct Memo(Box<[AtomicU64]>);

impl Memo {
    pub(crate) fn new() -> Memo {
        Memo((0..MOST).map(|_| AtomicU64::new(UNKNOWN)).collect())
    }

    /// The value at `x`: computed where it is not remembered.
    #[inline]
    pub(crate) fn at(&self, x: f64, compute: impl FnOnce() -> f64) -> f64 {
        // `as` saturates, and what is not a small whole number is computed.
        let index = x as usize;
        match self.0.get(index) {
            Some(kept) if index as f64 == x => {
                let bits = kept.load(Ordering::Relaxed);
                if bits != UNKNOWN {
                    return f64::from_bits(bits);
                }
                let value = compute();
                kept.store(value.to_bits(), Ordering::Relaxed);
                value
            }
            _ => compute(),
        }
    }
}

/// A copy remembers nothing: it may be about to change.
impl Clone for Memo {
    fn clone(&self) -> Memo {
        Memo::new()
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn whole_numbers_are_computed_once_and_others_each_time() {
        let memo = Memo::new();
        let asked = Cell::new(0);
        let value = |x: f64| {
            memo.at(x, || {
                asked.set(asked.get() + 1);
                x.sqrt()
            })
        };
        for _ in 0..3 {
            assert_eq!(value(9.0), 3.0);
            assert_eq!(value(0.0), 0.0);
        }
        assert_eq!(asked.get(), 2);
        for x in [2.25, -4.0, 1e6, f64::INFINITY] {
            let before = asked.get();
            let _ = (value(x), value(x));
            assert_eq!(asked.get(), before + 2, "{x}");
        }
        assert_eq!(memo.clone().at(9.0, || 7.0), 7.0);
    }
}
