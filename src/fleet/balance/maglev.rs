//! Maglev hashing: members fill a table in turns, a key belongs to one place of it.

use crate::scenario::balance::Maglev;

use super::bound::Bound;
use super::hash::{hash_in, hash_key};
use super::places::Places;

/// Tells the hashes of a member's first place and of its steps from those of keys.
const OFFSETS: u64 = 0x6d61_676c;
const SKIPS: u64 = 0x6d61_6773;

/// A table of owners (Eisenbud et al., NSDI 2016; weights as in Envoy's `maglev`).
///
/// A member that is not eligible is passed over to the owner of the next place: its keys spread
/// over the others and no other key moves. [`MaglevTable::new`] without it moves a few others.
#[derive(Debug, Clone)]
pub struct MaglevTable {
    places: Places,
    factor_pct: Option<u32>,
}

/// How a member goes through the places.
struct Steps {
    member: u32,
    weight: u64,
    at: u64,
    skip: u64,
    /// What its weight must reach for its next turn.
    target: u64,
}

impl MaglevTable {
    /// A table of members with those weights; a member of weight 0 owns no place.
    ///
    /// A member of the greatest weight takes a place in every turn, one of half of it in every
    /// other, and so on. Members beyond the size of the table may own none.
    pub fn new(config: &Maglev, weights: &[u32]) -> MaglevTable {
        let size = u64::from(config.table_size);
        MaglevTable {
            places: Places::new(fill(size, weights), weights),
            factor_pct: config.hash_balance_factor_pct,
        }
    }

    /// Places of a member.
    pub fn places_of(&self, member: u32) -> usize {
        self.places.of(member)
    }

    /// The percentage to put into a [`Bound`], if loads are bounded.
    pub fn factor_pct(&self) -> Option<u32> {
        self.factor_pct
    }

    /// The eligible member that the key belongs to: O(1), and one step more for each place of
    /// members that are not eligible.
    pub fn choose(&mut self, key: u64, eligible: impl Fn(u32) -> bool) -> Option<u32> {
        let at = self.position(key);
        self.places.choose(at, eligible)
    }

    /// As [`MaglevTable::choose`], but goes on past members without room to the next that has it.
    /// Where `bound` gives nobody room, since it was told less than all load, the bound is left
    /// aside.
    pub fn choose_bounded(
        &mut self,
        key: u64,
        eligible: impl Fn(u32) -> bool,
        load: impl Fn(u32) -> u64,
        bound: Bound,
    ) -> Option<u32> {
        let at = self.position(key);
        self.places.choose_bounded(at, eligible, load, bound)
    }

    fn position(&self, key: u64) -> usize {
        (hash_key(key) % (self.places.len() as u64).max(1)) as usize
    }
}

/// Lets the members take places in turns until all are taken; none when nobody has weight.
fn fill(size: u64, weights: &[u32]) -> Vec<u32> {
    let most = u64::from(weights.iter().copied().max().unwrap_or(0));
    let mut members: Vec<Steps> = (0_u32..)
        .zip(weights)
        .filter(|(_, weight)| **weight > 0)
        .map(|(member, weight)| Steps {
            member,
            weight: u64::from(*weight),
            at: hash_in(OFFSETS, u64::from(member)) % size,
            skip: hash_in(SKIPS, u64::from(member)) % (size - 1) + 1,
            target: 0,
        })
        .collect();
    if members.is_empty() {
        return Vec::new();
    }
    let mut places = vec![u32::MAX; size as usize];
    let mut left = size;
    let mut turn = 0;
    while left > 0 {
        turn += 1;
        for steps in &mut members {
            if left == 0 {
                break;
            }
            if turn * steps.weight < steps.target {
                continue;
            }
            steps.target += most;
            while places[steps.at as usize] != u32::MAX {
                steps.at = (steps.at + steps.skip) % size;
            }
            places[steps.at as usize] = steps.member;
            left -= 1;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::MaglevTable;
    use crate::scenario::balance::Maglev;

    fn table(weights: &[u32]) -> MaglevTable {
        MaglevTable::new(&Maglev::default(), weights)
    }

    #[test]
    fn like_members_own_alike_to_one_place() {
        for members in [1_usize, 2, 3, 10, 999] {
            let table = table(&vec![1; members]);
            let least = 65_537 / members;
            for member in 0..members {
                let owned = table.places_of(member as u32);
                assert!(owned == least || owned == least + 1, "{member}: {owned}");
            }
        }
    }

    #[test]
    fn places_follow_weights() {
        let table = table(&[1, 2, 0, 5]);
        assert_eq!(table.places_of(2), 0);
        for (member, weight) in [(0, 1.0), (1, 2.0), (3, 5.0)] {
            let owned = table.places_of(member) as f64;
            // Turns are whole: each member is off by a turn's rounding at most.
            let share = 65_537.0 * weight / 8.0;
            assert!((owned - share).abs() <= 2.0, "{member}: {owned} {share}");
        }
    }

    #[test]
    fn nobody_eligible_is_nobody() {
        let mut five = table(&[1; 5]);
        assert_eq!(five.choose(3, |_| false), None);
        assert_eq!(table(&[]).choose(3, |_| true), None);
        assert_eq!(table(&[0, 0]).choose(3, |_| true), None);
        for key in 0..100 {
            assert_eq!(five.choose(key, |member| member == 4), Some(4));
        }
    }
}
