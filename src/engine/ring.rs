//! Pending events that are not due soon, in buckets of time.
//!
//! A heap over all pending events costs more with each doubling of their number, most of it in
//! cache misses. Here only the bucket that is due is kept in order (by the queue's heap); later
//! events wait unordered in buckets of equal width, and those beyond the last bucket in one more
//! list, from which the next *epoch* of buckets is filled. An event is moved a small constant number
//! of times, whatever the number pending (a calendar queue: Brown, CACM 31(10), 1988; with one
//! ordered bucket as in Tang et al.'s ladder queue, 2005).

/// Events in a bucket, about: enough to pay for moving on to it, few enough to sort in the cache.
const IN_A_BUCKET: usize = 8;
/// Buckets of an epoch: at least and at most.
const BUCKETS: (usize, usize) = (64, 1 << 16);
/// Times looked at to choose the width of buckets.
const SAMPLE: usize = 64;

/// When something is due.
pub(super) trait Due {
    /// Nanoseconds since the beginning.
    fn due(&self) -> u64;
}

/// Events due at or after [`Ring::from`].
#[derive(Debug, Clone)]
pub(super) struct Ring<T> {
    /// Events before this instant are not kept here: `u64::MAX` while nothing is.
    from: u64,
    /// Beginning of the epoch, and the width of its buckets as a power of two.
    start: u64,
    shift: u32,
    buckets: Vec<Vec<T>>,
    /// Buckets in use, and the next that was not emptied.
    used: usize,
    next: usize,
    /// Events in buckets.
    count: usize,
    /// Events after the epoch.
    later: Vec<T>,
}

impl<T: Copy + Due> Ring<T> {
    pub(super) fn new() -> Ring<T> {
        Ring {
            from: u64::MAX,
            start: 0,
            shift: 0,
            buckets: Vec::new(),
            used: 0,
            next: 0,
            count: 0,
            later: Vec::new(),
        }
    }

    /// Whether an event due then is to be kept here.
    #[inline]
    pub(super) fn takes(&self, due: u64) -> bool {
        due >= self.from && self.from != u64::MAX
    }

    pub(super) fn len(&self) -> usize {
        self.count + self.later.len()
    }

    /// Keeps an event that it takes.
    #[inline]
    pub(super) fn push(&mut self, event: T) {
        let bucket = (event.due() - self.start) >> self.shift;
        if bucket < self.used as u64 {
            self.buckets[bucket as usize].push(event);
            self.count += 1;
        } else {
            self.later.push(event);
        }
    }

    /// Keeps all of `events` (one or more), in a new epoch; those that are due first come back by
    /// [`Ring::refill`].
    pub(super) fn take_over(&mut self, events: &mut Vec<T>) {
        self.later.append(events);
        for bucket in &mut self.buckets[self.next..self.used] {
            self.later.append(bucket);
        }
        self.count = 0;
        self.begin_epoch();
    }

    /// Moves the events that are due next to `into`; false if there are none. Where few are left
    /// they all come, and the ring is at rest.
    pub(super) fn refill(&mut self, into: &mut Vec<T>, few: usize) -> bool {
        if self.len() <= few {
            for bucket in &mut self.buckets[self.next..self.used] {
                into.append(bucket);
                give_back(bucket);
            }
            into.append(&mut self.later);
            (self.count, self.from) = (0, u64::MAX);
            (self.used, self.next) = (0, 0);
            return !into.is_empty();
        }
        if self.count == 0 {
            self.begin_epoch();
        }
        while self.next < self.used {
            let bucket = &mut self.buckets[self.next];
            self.next += 1;
            if !bucket.is_empty() {
                self.count -= bucket.len();
                into.append(bucket);
                give_back(bucket);
                let span = (self.next as u64).saturating_mul(1 << self.shift);
                self.from = self.start.saturating_add(span);
                return true;
            }
        }
        false
    }

    /// Keeps those of which `keep` says so.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for bucket in &mut self.buckets[self.next..self.used] {
            let before = bucket.len();
            bucket.retain(&mut keep);
            self.count -= before - bucket.len();
        }
        self.later.retain(keep);
    }

    /// Spreads the later events over new buckets, so wide that about half of them find a place.
    fn begin_epoch(&mut self) {
        let stride = (self.later.len() / SAMPLE).max(1);
        let mut sample: Vec<u64> = self.later.iter().step_by(stride).map(Due::due).collect();
        sample.sort_unstable();
        let first = self.later.iter().map(Due::due).min().unwrap_or(0);
        let middle = sample[sample.len() / 2];
        let half = self.later.len() / 2;
        let buckets = (half / IN_A_BUCKET).max(1);
        let width = ((middle - first) / buckets as u64).max(1);
        self.shift = width.ilog2();
        self.start = first;
        self.from = first;
        self.next = 0;
        // As many again, for what comes while the epoch lasts.
        self.used = (4 * buckets).clamp(BUCKETS.0, BUCKETS.1);
        if self.buckets.len() < self.used {
            self.buckets.resize_with(self.used, Vec::new);
        }
        let mut at = 0;
        while at < self.later.len() {
            let bucket = (self.later[at].due() - first) >> self.shift;
            if bucket < self.used as u64 {
                let event = self.later.swap_remove(at);
                self.buckets[bucket as usize].push(event);
                self.count += 1;
            } else {
                at += 1;
            }
        }
    }
}

/// Lets the memory of an emptied bucket go if it held a burst: otherwise every bucket would come to
/// have room for the largest that ever fell into it.
fn give_back<T>(bucket: &mut Vec<T>) {
    if bucket.capacity() > 8 * IN_A_BUCKET {
        *bucket = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, Ring};

    impl Due for u64 {
        fn due(&self) -> u64 {
            *self
        }
    }

    /// Bursts fall into another bucket each time; none may keep room for one.
    #[test]
    fn emptied_buckets_give_back_what_bursts_took() {
        let mut ring = Ring::new();
        let mut heap: Vec<u64> = (0..4_000).map(|at| at * 1_000).collect();
        ring.take_over(&mut heap);
        let mut now = 0;
        for burst in 0..400_u64 {
            let due = now + 37_000 + burst % 7 * 1_000;
            for at in 0..2_000 {
                ring.push(due.max(ring.from) + at % 3);
            }
            for _ in 0..60 {
                heap.clear();
                if ring.refill(&mut heap, 64) {
                    now = heap.iter().copied().max().unwrap_or(now);
                    for at in 0..heap.len().min(16) as u64 {
                        ring.push((now + 4_000_000 + at).max(ring.from));
                    }
                }
                if !ring.takes(u64::MAX - 9) {
                    ring.take_over(&mut vec![now + 1, now + 2]);
                }
            }
        }
        let room: usize = ring.buckets.iter().map(Vec::capacity).sum();
        assert!(room < 40_000, "room for {room} events in {}", ring.len());
    }
}
