//! Ring hashing: members own points of a ring, a key belongs to the next point.

use crate::scenario::balance::RingHash;

use super::bound::Bound;
use super::hash::{hash_in, hash_key};
use super::places::Places;

/// Tells hashes of points from those of keys.
const POINTS: u64 = 0x7269_6e67;

/// A ring of points (Karger et al. 1997; sizes and weights as in Envoy's `ring_hash`).
///
/// A member that is not eligible is passed over where it stands: its keys go to the next ones and
/// no other key moves. (Envoy builds a new ring of healthy hosts instead, which moves a few more.)
#[derive(Debug, Clone)]
pub struct Ring {
    /// Positions of the points, rising.
    points: Vec<u64>,
    /// Who owns each point.
    places: Places,
    factor_pct: Option<u32>,
}

impl Ring {
    /// A ring of members with those weights; a member of weight 0 owns no point.
    ///
    /// The member of least weight gets a whole number of points, others in proportion, as many in
    /// all as `min_ring_size` asks for and `max_ring_size` allows.
    pub fn new(config: &RingHash, weights: &[u32]) -> Ring {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let least = weights.iter().filter(|weight| **weight > 0).min();
        let least = u64::from(least.copied().unwrap_or(1));
        // Points per unit of weight, as a fraction of `total` or of `least`.
        let of_least = (u64::from(config.min_ring_size) * least).div_ceil(total.max(1));
        let wanted = u128::from(of_least) * u128::from(total);
        let (over, under) = match wanted <= u128::from(config.max_ring_size) * u128::from(least) {
            true => (of_least, least),
            false => (u64::from(config.max_ring_size), total),
        };
        let mut pairs: Vec<(u64, u32)> = Vec::new();
        let mut before = 0_u64;
        for (member, weight) in weights.iter().enumerate() {
            before += u64::from(*weight);
            // Running sums round up, so that sizes follow the weights without drift.
            let until = (u128::from(before) * u128::from(over)).div_ceil(u128::from(under.max(1)));
            let family = hash_in(POINTS, member as u64);
            for number in 0..(until as u64).saturating_sub(pairs.len() as u64) {
                pairs.push((hash_in(family, number), member as u32));
            }
        }
        pairs.sort_unstable();
        let owners: Vec<u32> = pairs.iter().map(|pair| pair.1).collect();
        Ring {
            points: pairs.iter().map(|pair| pair.0).collect(),
            places: Places::new(owners, weights),
            factor_pct: config.hash_balance_factor_pct,
        }
    }

    /// Points of the ring.
    pub fn size(&self) -> usize {
        self.points.len()
    }

    /// Points of a member.
    pub fn points_of(&self, member: u32) -> usize {
        self.places.of(member)
    }

    /// The percentage to put into a [`Bound`], if loads are bounded.
    pub fn factor_pct(&self) -> Option<u32> {
        self.factor_pct
    }

    /// The eligible member that the key belongs to: O(log points), and one step more for each
    /// point of members that are not eligible.
    pub fn choose(&mut self, key: u64, eligible: impl Fn(u32) -> bool) -> Option<u32> {
        let at = self.position(key);
        self.places.choose(at, eligible)
    }

    /// As [`Ring::choose`], but goes on past members without room to the next that has it. Where
    /// `bound` gives nobody room, since it was told less than all load, the bound is left aside.
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

    /// The point that a key belongs to: the first not before its hash, round the ring.
    fn position(&self, key: u64) -> usize {
        let hash = hash_key(key);
        let at = self.points.partition_point(|point| *point < hash);
        if at == self.points.len() { 0 } else { at }
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;
    use crate::scenario::balance::RingHash;

    fn sizes(min: u32, max: u32, weights: &[u32]) -> Vec<usize> {
        let config = RingHash {
            min_ring_size: min,
            max_ring_size: max,
            hash_balance_factor_pct: None,
        };
        let ring = Ring::new(&config, weights);
        let members = 0..weights.len() as u32;
        let sizes: Vec<usize> = members.map(|member| ring.points_of(member)).collect();
        assert_eq!(sizes.iter().sum::<usize>(), ring.size());
        sizes
    }

    #[test]
    fn sizes_are_envoys() {
        // 1024 points over 10 like members: 102.4, rounded up for each.
        assert_eq!(sizes(1024, 8 << 20, &[1; 10]), [103; 10]);
        // The least gets ceil(1/6 x 12) = 2 points, others in proportion.
        assert_eq!(sizes(12, 8 << 20, &[1, 2, 3]), [2, 4, 6]);
        assert_eq!(sizes(13, 8 << 20, &[1, 2, 3]), [3, 6, 9]);
        // Six points over four members: 2, 1, 2, 1 (the example in Envoy's source).
        assert_eq!(sizes(6, 6, &[1; 4]), [2, 1, 2, 1]);
        assert_eq!(sizes(100, 100, &[0, 5, 0, 5]), [0, 50, 0, 50]);
        assert_eq!(sizes(100, 100, &[0, 0]), [0, 0]);
        assert_eq!(sizes(100, 100, &[]), Vec::<usize>::new());
    }

    #[test]
    fn nobody_eligible_is_nobody() {
        let mut ring = Ring::new(&RingHash::default(), &[1; 5]);
        assert_eq!(ring.choose(3, |_| false), None);
        assert_eq!(
            Ring::new(&RingHash::default(), &[]).choose(3, |_| true),
            None
        );
        for key in 0..100 {
            assert_eq!(ring.choose(key, |member| member == 4), Some(4));
        }
    }
}
