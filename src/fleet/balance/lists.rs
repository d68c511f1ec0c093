//! Many doubly linked lists over the slots of one arena, each slot in one list at most.

use crate::fleet::ids::NONE;

#[derive(Debug, Clone, Copy)]
struct Ends {
    front: u32,
    back: u32,
    length: u32,
}

const EMPTY: Ends = Ends {
    front: NONE,
    back: NONE,
    length: 0,
};

#[derive(Debug, Clone, Copy)]
struct Link {
    /// The neighbour towards the front.
    fore: u32,
    /// The neighbour towards the back.
    aft: u32,
}

/// The lists: the front is what was touched last, the back what was touched longest ago.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    ends: Vec<Ends>,
    links: Vec<Link>,
}

impl Lists {
    /// `lists` empty lists.
    pub(super) fn new(lists: usize) -> Lists {
        Lists {
            ends: vec![EMPTY; lists],
            links: Vec::new(),
        }
    }

    /// Adds empty lists up to `lists` in all.
    pub(super) fn grow(&mut self, lists: usize) {
        self.ends.resize(lists.max(self.ends.len()), EMPTY);
    }

    /// Slots in a list.
    pub(super) fn length(&self, list: u32) -> u32 {
        self.ends[list as usize].length
    }

    /// The slot at the back of a list.
    pub(super) fn back(&self, list: u32) -> Option<u32> {
        let back = self.ends[list as usize].back;
        (back != NONE).then_some(back)
    }

    /// Puts a slot that is in no list at the front of one.
    pub(super) fn push_front(&mut self, list: u32, slot: u32) {
        if self.links.len() <= slot as usize {
            let alone = Link {
                fore: NONE,
                aft: NONE,
            };
            self.links.resize(slot as usize + 1, alone);
        }
        let ends = &mut self.ends[list as usize];
        self.links[slot as usize] = Link {
            fore: NONE,
            aft: ends.front,
        };
        match ends.front {
            NONE => ends.back = slot,
            front => self.links[front as usize].fore = slot,
        }
        ends.front = slot;
        ends.length += 1;
    }

    /// Takes a slot out of the list it is in.
    pub(super) fn remove(&mut self, list: u32, slot: u32) {
        let Link { fore, aft } = self.links[slot as usize];
        let ends = &mut self.ends[list as usize];
        match fore {
            NONE => ends.front = aft,
            fore => self.links[fore as usize].aft = aft,
        }
        match aft {
            NONE => ends.back = fore,
            aft => self.links[aft as usize].fore = fore,
        }
        ends.length -= 1;
    }

    /// Moves a slot to the front of the list it is in.
    pub(super) fn touch(&mut self, list: u32, slot: u32) {
        if self.ends[list as usize].front != slot {
            self.remove(list, slot);
            self.push_front(list, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::Lists;

    proptest! {
        #[test]
        fn lists_are_those_of_deques(steps in prop::collection::vec((0_u32..3, 0_u32..12), 1..200)) {
            let mut lists = Lists::new(3);
            let mut deques = vec![VecDeque::new(); 3];
            for (list, slot) in steps {
                let holder = deques.iter().position(|deque| deque.contains(&slot));
                match holder {
                    None => {
                        lists.push_front(list, slot);
                        deques[list as usize].push_front(slot);
                    }
                    Some(at) if at == list as usize => {
                        lists.touch(list, slot);
                        deques[at].retain(|other| *other != slot);
                        deques[at].push_front(slot);
                    }
                    Some(at) => {
                        lists.remove(at as u32, slot);
                        deques[at].retain(|other| *other != slot);
                    }
                }
                for (at, deque) in deques.iter().enumerate() {
                    prop_assert_eq!(lists.back(at as u32), deque.back().copied());
                    prop_assert_eq!(lists.length(at as u32) as usize, deque.len());
                }
            }
        }
    }
}
