//! Who has least, among many whose loads change one at a time.

/// Loads side by side in a group: what fits one line of the cache.
const GROUP: usize = 8;

/// Loads of members by index, and the least of them: a tree of minima over groups of eight, so that
/// a change looks at a few lines that lie together, where a heap would follow a chain of swaps. The
/// least load is found in O(log n), the lowest index among equals; a change takes O(log n) at most,
/// and stops where the minimum of a group stays.
#[derive(Debug, Clone)]
pub struct LeastLoaded {
    /// The loads, then the minima of their groups, and so on to a single group. Padded with
    /// `u64::MAX`, which no load reaches.
    levels: Vec<Vec<u64>>,
}

impl LeastLoaded {
    /// The load of a member that is never the least but among others like it: no load reaches it.
    pub const NEVER: u64 = u64::MAX - 1;

    /// `members` (1 or more) without load.
    pub fn new(members: usize) -> LeastLoaded {
        let mut levels = Vec::new();
        let mut count = members.max(1);
        loop {
            let mut level = vec![0; count];
            level.resize(count.next_multiple_of(GROUP), u64::MAX);
            levels.push(level);
            if count <= GROUP {
                return LeastLoaded { levels };
            }
            count = count.div_ceil(GROUP);
        }
    }

    /// The load of a member.
    pub fn load(&self, member: u32) -> u64 {
        self.levels[0][member as usize]
    }

    /// Sets the load of a member.
    pub fn set(&mut self, member: u32, load: u64) {
        let (mut at, mut value) = (member as usize, load);
        for (depth, level) in self.levels.iter_mut().enumerate() {
            // A minimum that stays changes none above it.
            if depth > 0 && level[at] == value {
                return;
            }
            level[at] = value;
            let group = at / GROUP;
            value = least_of(level, group);
            at = group;
        }
    }

    /// The member with least load; of several the lowest index.
    pub fn least(&self) -> u32 {
        let mut group = 0;
        for level in self.levels.iter().rev() {
            let least = least_of(level, group);
            let places = &level[group * GROUP..][..GROUP];
            let place = places.iter().position(|load| *load == least);
            group = group * GROUP + place.unwrap_or(0);
        }
        group as u32
    }
}

fn least_of(level: &[u64], group: usize) -> u64 {
    let places = &level[group * GROUP..][..GROUP];
    places
        .iter()
        .copied()
        .fold(u64::MAX, |least, load| least.min(load))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LeastLoaded;

    proptest! {
        #[test]
        fn the_least_is_that_of_a_scan(
            members in 1_usize..700,
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u64..20), 1..300),
        ) {
            let mut tree = LeastLoaded::new(members);
            let mut loads = vec![0_u64; members];
            for (member, load) in changes {
                let member = member.index(members);
                tree.set(member as u32, load);
                loads[member] = load;
                let least = (0..members).min_by_key(|at| loads[*at]).unwrap_or(0);
                prop_assert_eq!(tree.least() as usize, least);
                prop_assert_eq!(tree.load(member as u32), load);
            }
        }
    }
}
