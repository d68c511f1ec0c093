//! When the decoding sequences of an engine end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The iteration at which a sequence ends, its slot and generation.
pub(super) type Ending = (u64, u32, u32);

/// The iterations at which decoding sequences end. Preempted ones stay in it until they come first.
#[derive(Debug, Clone)]
pub(super) struct Endings {
    /// Iteration of the first entry, `u64::MAX` without any: nearer than the heap itself, which is
    /// in no cache when an engine of thousands is looked at.
    first: u64,
    /// Entries that were preempted.
    stale: u32,
    heap: BinaryHeap<Reverse<Ending>>,
}

impl Endings {
    pub fn new() -> Endings {
        Endings {
            first: u64::MAX,
            stale: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// A sequence decodes that will end at `iteration`.
    pub fn push(&mut self, iteration: u64, slot: u32, generation: u32) {
        self.first = self.first.min(iteration);
        self.heap.push(Reverse((iteration, slot, generation)));
    }

    /// One of them was preempted.
    pub fn preempted(&mut self) {
        self.stale += 1;
    }

    /// The first iteration at which one ends, `u64::MAX` if none does. Entries of which `is_current`
    /// says otherwise are dropped; it is asked only while there are any.
    pub fn first(&mut self, is_current: impl Fn(Ending) -> bool) -> u64 {
        while self.stale > 0
            && let Some(&Reverse(ending)) = self.heap.peek()
            && !is_current(ending)
        {
            self.take();
            self.stale -= 1;
        }
        let first = self.heap.peek();
        debug_assert!(first.is_none_or(|Reverse(ending)| is_current(*ending)));
        self.first
    }

    /// Takes off a sequence that ends by `iteration`, if there is one: its slot.
    pub fn pop(&mut self, iteration: u64, is_current: impl Fn(Ending) -> bool) -> Option<u32> {
        while self.first <= iteration {
            let ending = self.take()?;
            if self.stale == 0 || is_current(ending) {
                return Some(ending.1);
            }
            self.stale -= 1;
        }
        None
    }

    fn take(&mut self) -> Option<Ending> {
        let taken = self.heap.pop().map(|Reverse(ending)| ending);
        let first = self.heap.peek();
        self.first = first.map_or(u64::MAX, |Reverse((iteration, ..))| *iteration);
        taken
    }
}
