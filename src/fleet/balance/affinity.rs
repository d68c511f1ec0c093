//! Session affinity: which member a key was sent to, for a time.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::engine::{SimDuration, SimTime};
use crate::scenario::balance::Affinity;

use super::lists::Lists;

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: u64,
    member: u32,
    expires: SimTime,
}

/// A table of keys and members, bounded in size; every operation is O(1).
#[derive(Debug, Clone)]
pub struct AffinityTable {
    ttl: SimDuration,
    max_entries: usize,
    sliding: bool,
    slots: HashMap<u64, u32, FxBuildHasher>,
    entries: Vec<Entry>,
    spare: Vec<u32>,
    /// One list of all entries, the one used last in front.
    used: Lists,
    /// The entries of each member.
    of_member: Lists,
}

impl AffinityTable {
    /// An empty table for members `0..members`.
    pub fn new(config: &Affinity, members: u32) -> AffinityTable {
        AffinityTable {
            ttl: SimDuration::from_secs_f64(config.ttl_s),
            max_entries: config.max_entries as usize,
            sliding: config.sliding,
            slots: HashMap::with_hasher(FxBuildHasher),
            entries: Vec::new(),
            spare: Vec::new(),
            used: Lists::new(1),
            of_member: Lists::new(members as usize),
        }
    }

    /// Allows members up to `members` in all.
    pub fn grow(&mut self, members: u32) {
        self.of_member.grow(members as usize);
    }

    /// Entries, of which some may have expired and not been seen since.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Where the key was sent, if that is not longer ago than the time to live: an entry lives up
    /// to, not at, its last instant. A sliding entry lives anew.
    pub fn get(&mut self, key: u64, now: SimTime) -> Option<u32> {
        let slot = *self.slots.get(&key)?;
        let entry = &mut self.entries[slot as usize];
        if now >= entry.expires {
            self.forget(slot);
            return None;
        }
        if self.sliding {
            entry.expires = now + self.ttl;
        }
        let member = entry.member;
        self.used.touch(0, slot);
        Some(member)
    }

    /// Notes that the key is sent to a member from now on. A full table forgets the key that was
    /// used longest ago.
    pub fn put(&mut self, key: u64, member: u32, now: SimTime) {
        let entry = Entry {
            key,
            member,
            expires: now + self.ttl,
        };
        if let Some(&slot) = self.slots.get(&key) {
            let before = std::mem::replace(&mut self.entries[slot as usize], entry);
            self.of_member.remove(before.member, slot);
            self.of_member.push_front(member, slot);
            self.used.touch(0, slot);
            return;
        }
        if self.slots.len() >= self.max_entries
            && let Some(oldest) = self.used.back(0)
        {
            self.forget(oldest);
        }
        let slot = self.new_slot(entry);
        self.slots.insert(key, slot);
        self.used.push_front(0, slot);
        self.of_member.push_front(member, slot);
    }

    /// Forgets all keys of a member that goes: O(1) each.
    pub fn drop_member(&mut self, member: u32) {
        while let Some(slot) = self.of_member.back(member) {
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: u32) {
        let Entry { key, member, .. } = self.entries[slot as usize];
        self.slots.remove(&key);
        self.used.remove(0, slot);
        self.of_member.remove(member, slot);
        self.spare.push(slot);
    }

    fn new_slot(&mut self, entry: Entry) -> u32 {
        match self.spare.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                slot
            }
            None => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AffinityTable;
    use crate::engine::SimTime;
    use crate::scenario::balance::Affinity;

    fn table(max_entries: u32, sliding: bool) -> AffinityTable {
        let config = Affinity {
            ttl_s: 10.0,
            max_entries,
            sliding,
        };
        AffinityTable::new(&config, 4)
    }

    fn at(seconds: u64) -> SimTime {
        SimTime(seconds * 1_000_000_000)
    }

    #[test]
    fn an_entry_lives_its_time() {
        let mut fixed = table(8, false);
        fixed.put(1, 3, at(0));
        assert_eq!(fixed.get(1, at(9)), Some(3));
        assert_eq!(fixed.get(1, at(10)), None);
        assert!(fixed.is_empty());
        let mut sliding = table(8, true);
        sliding.put(1, 3, at(0));
        assert_eq!(sliding.get(1, at(9)), Some(3));
        assert_eq!(sliding.get(1, at(18)), Some(3));
        assert_eq!(sliding.get(1, at(28)), None);
    }

    #[test]
    fn a_full_table_forgets_what_was_used_longest_ago() {
        let mut table = table(2, true);
        table.put(1, 0, at(0));
        table.put(2, 1, at(1));
        assert_eq!(table.get(1, at(2)), Some(0));
        table.put(3, 2, at(3));
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(2, at(3)), None);
        assert_eq!(table.get(1, at(3)), Some(0));
        assert_eq!(table.get(3, at(3)), Some(2));
    }

    #[test]
    fn a_member_that_goes_takes_its_entries() {
        let mut table = table(8, true);
        for key in 0..6 {
            table.put(key, (key % 2) as u32, at(0));
        }
        table.put(4, 1, at(1));
        table.drop_member(0);
        let left: Vec<u64> = (0..6)
            .filter(|key| table.get(*key, at(2)).is_some())
            .collect();
        assert_eq!(left, [1, 3, 4, 5]);
        assert_eq!(table.len(), 4);
    }
}
