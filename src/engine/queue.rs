//! The pending events, in one total order.
//!
//! Order is `(time, sequence)`. The sequence of an ordinary event is the count of events scheduled
//! before it, so that events of one instant run first in, first out. *Late* events run after every
//! ordinary event of their instant, by rank: see [`EventQueue::schedule_late`].
//!
//! Four structures share that order, so where an event is kept never changes when it runs:
//! a 4-ary heap for delays that vary, buckets of time that keep what is not due soon out of it
//! where there is much (`ring.rs`), first-in first-out lanes for delays that do not vary (a lane is
//! sorted by itself, because time never goes back), and a table of live timers that makes
//! cancelling O(1): a cancelled entry stays where it is until it surfaces or until half of the
//! entries are dead, when the dead are swept out.

use std::collections::VecDeque;

use super::ring::{Due, Ring};
use super::time::{SimDuration, SimTime};

/// Entries that cannot be cancelled have no slot in the timer table.
const NO_SLOT: u32 = u32::MAX;
/// The top bit of a sequence number marks a late event.
const LATE: u64 = 1 << 63;
/// Bits of a late event's sequence kept for the count, below its rank.
const LATE_COUNT_BITS: u32 = 31;
/// Children of one node of the heap.
const ARITY: usize = 4;
/// Below this many entries a sweep of the dead is not worth its cost.
const SWEEP_FLOOR: usize = 64;
/// With more than this many entries in the heap, later ones are kept in buckets; with no more than
/// a quarter of it in buckets, the heap takes them back.
const HEAP_MOST: usize = 256;

/// A constant delay with its own first-in first-out lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneId(u16);

/// A handle on one pending event, to cancel it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    slot: u32,
    in_heap: bool,
    sequence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry<E> {
    time: u64,
    sequence: u64,
    slot: u32,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> u128 {
        (u128::from(self.time) << 64) | u128::from(self.sequence)
    }
}

impl<E> Due for Entry<E> {
    fn due(&self) -> u64 {
        self.time
    }
}

#[derive(Debug, Clone)]
struct Lane<E> {
    delay: SimDuration,
    entries: VecDeque<Entry<E>>,
}

/// How many events were scheduled, fired and cancelled so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Events put on the queue.
    pub scheduled: u64,
    /// Events taken off it in order.
    pub fired: u64,
    /// Events cancelled before their time.
    pub cancelled: u64,
}

/// The set of pending events.
#[derive(Debug, Clone)]
pub struct EventQueue<E> {
    now: SimTime,
    next_sequence: u64,
    heap: Vec<Entry<E>>,
    /// With more in the heap than this the ring takes over; twice what came from it at least, so
    /// that many of one instant are not moved to and fro.
    heap_most: usize,
    /// What is due after all that is in the heap.
    ring: Ring<Entry<E>>,
    lanes: Vec<Lane<E>>,
    /// Key of each lane's head, `u128::MAX` when it is empty: one compare a lane at each pop.
    lane_heads: Vec<u128>,
    /// Sequence of the live timer in each slot, 0 when the slot is free.
    timers: Vec<u64>,
    free_slots: Vec<u32>,
    dead: usize,
    counts: QueueCounts,
}

impl<E: Copy> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Copy> EventQueue<E> {
    /// An empty queue at time zero.
    pub fn new() -> Self {
        EventQueue {
            now: SimTime::ZERO,
            // Zero marks a free timer slot, so counting starts at one.
            next_sequence: 1,
            heap: Vec::new(),
            heap_most: HEAP_MOST,
            ring: Ring::new(),
            lanes: Vec::new(),
            lane_heads: Vec::new(),
            timers: Vec::new(),
            free_slots: Vec::new(),
            dead: 0,
            counts: QueueCounts::default(),
        }
    }

    /// The time of the event last popped.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Events scheduled, fired and cancelled so far.
    pub fn counts(&self) -> QueueCounts {
        self.counts
    }

    /// Pending entries, with cancelled ones not yet swept.
    pub fn pending(&self) -> usize {
        self.heap.len()
            + self.ring.len()
            + self
                .lanes
                .iter()
                .map(|lane| lane.entries.len())
                .sum::<usize>()
    }

    /// Opens a lane for events that always come `delay` after they are scheduled, or returns
    /// the lane already open for that delay.
    pub fn lane(&mut self, delay: SimDuration) -> LaneId {
        let found = self.lanes.iter().position(|lane| lane.delay == delay);
        let index = found.unwrap_or_else(|| {
            self.lanes.push(Lane {
                delay,
                entries: VecDeque::new(),
            });
            self.lane_heads.push(u128::MAX);
            self.lanes.len() - 1
        });
        LaneId(index as u16)
    }

    /// Schedules `event` at `time`, after the ordinary events already scheduled for that instant.
    ///
    /// # Panics
    /// When `time` lies in the past: a bug of the caller that would break causality.
    pub fn schedule(&mut self, time: SimTime, event: E) {
        let sequence = self.take_sequence();
        self.push_heap(time, sequence, NO_SLOT, event);
    }

    /// Schedules `event` on its lane, the lane's delay from now.
    pub fn schedule_in_lane(&mut self, lane: LaneId, event: E) {
        let sequence = self.take_sequence();
        self.push_lane(lane, sequence, NO_SLOT, event);
    }

    /// Like [`Self::schedule`], with a handle to cancel by.
    ///
    /// # Panics
    /// When `time` lies in the past.
    pub fn schedule_timer(&mut self, time: SimTime, event: E) -> Timer {
        let sequence = self.take_sequence();
        let slot = self.take_slot(sequence);
        self.push_heap(time, sequence, slot, event);
        Timer {
            slot,
            in_heap: true,
            sequence,
        }
    }

    /// Like [`Self::schedule_in_lane`], with a handle to cancel by.
    pub fn schedule_timer_in_lane(&mut self, lane: LaneId, event: E) -> Timer {
        let sequence = self.take_sequence();
        let slot = self.take_slot(sequence);
        self.push_lane(lane, sequence, slot, event);
        Timer {
            slot,
            in_heap: false,
            sequence,
        }
    }

    /// Schedules `event` at `time` *after every ordinary event of that instant*, whenever those
    /// are scheduled; late events of one instant run in order of `rank` (then of scheduling).
    ///
    /// An engine's step boundary is late, with the replica as rank: whatever arrives at the very
    /// instant is then seen by the step that begins there, and the order of boundaries does not
    /// depend on how many events were used to reach them.
    ///
    /// # Panics
    /// When `time` lies in the past.
    pub fn schedule_late(&mut self, time: SimTime, rank: u32, event: E) -> Timer {
        let count = self.take_sequence() & ((1 << LATE_COUNT_BITS) - 1);
        let sequence = LATE | (u64::from(rank) << LATE_COUNT_BITS) | count;
        let slot = self.take_slot(sequence);
        self.push_heap(time, sequence, slot, event);
        Timer {
            slot,
            in_heap: true,
            sequence,
        }
    }

    /// Cancels a pending event; false when it has fired or was cancelled before.
    pub fn cancel(&mut self, timer: Timer) -> bool {
        match self.timers.get_mut(timer.slot as usize) {
            Some(live) if *live == timer.sequence => {
                *live = 0;
                self.free_slots.push(timer.slot);
                self.counts.cancelled += 1;
                self.dead += usize::from(timer.in_heap);
                let entries = self.heap.len() + self.ring.len();
                if entries > SWEEP_FLOOR && self.dead > entries / 2 {
                    self.sweep();
                }
                true
            }
            _ => false,
        }
    }

    /// Takes the next event, and moves time to it.
    pub fn pop(&mut self) -> Option<(SimTime, E)> {
        self.pop_before(SimTime::NEVER)
    }

    /// Takes the next event that comes before `end`; one at or after `end` stays pending.
    pub fn pop_before(&mut self, end: SimTime) -> Option<(SimTime, E)> {
        loop {
            if self.heap.is_empty() && self.ring.len() > 0 {
                self.refill();
            }
            let mut best = self.heap.first().map_or(u128::MAX, Entry::key);
            let mut from_lane = None;
            for (index, &head) in self.lane_heads.iter().enumerate() {
                if head < best {
                    best = head;
                    from_lane = Some(index);
                }
            }
            if best == u128::MAX || (best >> 64) as u64 >= end.0 {
                return None;
            }
            let entry = match from_lane {
                Some(index) => self.pop_lane(index)?,
                None => self.pop_heap()?,
            };
            if entry.slot != NO_SLOT && !self.release(entry.slot, entry.sequence) {
                if from_lane.is_none() {
                    self.dead = self.dead.saturating_sub(1);
                }
                continue;
            }
            debug_assert!(entry.time >= self.now.0, "time went back");
            self.now = SimTime(entry.time);
            self.counts.fired += 1;
            return Some((self.now, entry.event));
        }
    }

    fn take_sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.counts.scheduled += 1;
        sequence
    }

    fn take_slot(&mut self, sequence: u64) -> u32 {
        if let Some(slot) = self.free_slots.pop() {
            self.timers[slot as usize] = sequence;
            return slot;
        }
        self.timers.push(sequence);
        (self.timers.len() - 1) as u32
    }

    /// Frees the slot of a timer that surfaces; false when it had been cancelled.
    fn release(&mut self, slot: u32, sequence: u64) -> bool {
        match self.timers.get_mut(slot as usize) {
            Some(live) if *live == sequence => {
                *live = 0;
                self.free_slots.push(slot);
                true
            }
            _ => false,
        }
    }

    fn push_lane(&mut self, lane: LaneId, sequence: u64, slot: u32, event: E) {
        let index = lane.0 as usize;
        let lane = &mut self.lanes[index];
        let entry = Entry {
            time: self.now.saturating_add(lane.delay).0,
            sequence,
            slot,
            event,
        };
        if lane.entries.is_empty() {
            self.lane_heads[index] = entry.key();
        }
        lane.entries.push_back(entry);
    }

    fn pop_lane(&mut self, index: usize) -> Option<Entry<E>> {
        let lane = &mut self.lanes[index];
        let entry = lane.entries.pop_front();
        self.lane_heads[index] = lane.entries.front().map_or(u128::MAX, Entry::key);
        entry
    }

    fn push_heap(&mut self, time: SimTime, sequence: u64, slot: u32, event: E) {
        assert!(
            time >= self.now,
            "an event was scheduled at {time}, before the present {}",
            self.now
        );
        let entry = Entry {
            time: time.0,
            sequence,
            slot,
            event,
        };
        if self.ring.takes(entry.time) {
            self.ring.push(entry);
            return;
        }
        self.sift_up(entry);
        // A new epoch moves all there is: only when much was added to it.
        if self.heap.len() > self.heap_most && self.heap.len() > self.ring.len() / 8 {
            self.ring.take_over(&mut self.heap);
        }
    }

    fn sift_up(&mut self, entry: Entry<E>) {
        self.heap.push(entry);
        let mut hole = self.heap.len() - 1;
        while hole > 0 {
            let parent = (hole - 1) / ARITY;
            if self.heap[parent].key() <= entry.key() {
                break;
            }
            self.heap[hole] = self.heap[parent];
            hole = parent;
        }
        self.heap[hole] = entry;
    }

    fn pop_heap(&mut self) -> Option<Entry<E>> {
        let last = self.heap.pop()?;
        let Some(&top) = self.heap.first() else {
            return Some(last);
        };
        self.sift_down(0, last);
        Some(top)
    }

    /// Puts `entry` at `hole` or below, moving smaller children up.
    fn sift_down(&mut self, mut hole: usize, entry: Entry<E>) {
        let key = entry.key();
        loop {
            let first = hole * ARITY + 1;
            let last = (first + ARITY).min(self.heap.len());
            let Some(children) = self.heap.get(first..last) else {
                break;
            };
            let least = match children {
                [] => break,
                // Which of four is least is as good as random: no branch could be foretold.
                [a, b, c, d] => {
                    let (ab, cd) = (b.key() < a.key(), d.key() < c.key());
                    let low = if ab { b.key() } else { a.key() };
                    let high = if cd { d.key() } else { c.key() };
                    match high < low {
                        true => 2 + usize::from(cd),
                        false => usize::from(ab),
                    }
                }
                few => (1..few.len()).fold(0, |least, at| match few[at].key() < few[least].key() {
                    true => at,
                    false => least,
                }),
            };
            let child = children[least];
            if key <= child.key() {
                break;
            }
            self.heap[hole] = child;
            hole = first + least;
        }
        self.heap[hole] = entry;
    }

    /// Fills the empty heap with what is due next, without what was cancelled.
    fn refill(&mut self) {
        while self.heap.is_empty() && self.ring.refill(&mut self.heap, HEAP_MOST / 4) {
            let moved = self.heap.len();
            let timers = &self.timers;
            self.heap.retain(|entry| is_live(timers, entry));
            self.dead -= moved - self.heap.len();
        }
        self.heap_most = HEAP_MOST.max(2 * self.heap.len());
        self.restore();
    }

    /// Drops the cancelled entries and restores the heap.
    fn sweep(&mut self) {
        let timers = &self.timers;
        self.heap.retain(|entry| is_live(timers, entry));
        self.ring.retain(|entry| is_live(timers, entry));
        self.dead = 0;
        self.restore();
    }

    /// Makes a heap of entries in any order.
    fn restore(&mut self) {
        for index in (0..self.heap.len() / ARITY + 1).rev() {
            if let Some(&entry) = self.heap.get(index) {
                self.sift_down(index, entry);
            }
        }
    }
}

/// Whether an entry was not cancelled.
fn is_live<E>(timers: &[u64], entry: &Entry<E>) -> bool {
    entry.slot == NO_SLOT || timers.get(entry.slot as usize) == Some(&entry.sequence)
}
