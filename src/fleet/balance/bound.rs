//! Bounded loads: how much a member may take when a hash alone would give it more.

/// How much of the load a member may have: consistent hashing with bounded loads (Mirrokni, Thorup,
/// Zadimoghaddam, SODA 2018, arXiv 1608.01350), by weight as Envoy's `hash_balance_factor` does.
///
/// Envoy differs in two ways: it lets a member go one beyond its bound, and it goes on from a full
/// member to a random one, not to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Percent of the mean, 100 or more.
    pub factor_pct: u32,
    /// Requests outstanding at all members, without the one to be placed.
    pub total_load: u64,
    /// The weights of the eligible members together; members without weights count 1 each.
    pub eligible_weight: u64,
}

impl Bound {
    /// Most requests that a member of that weight may have, the new one counted:
    /// `ceil(factor * (total + 1) * weight / eligible weight)`, at least 1.
    ///
    /// All bounds together are at least `total + 1`, so that some eligible member has room.
    pub fn capacity(&self, weight: u32) -> u64 {
        let slots = u128::from(self.factor_pct) * (u128::from(self.total_load) + 1);
        let share = slots * u128::from(weight);
        let capacity = share.div_ceil(100 * u128::from(self.eligible_weight.max(1)));
        u64::try_from(capacity).unwrap_or(u64::MAX).max(1)
    }

    /// Whether a member of that weight with that load may take one more.
    pub fn has_room(&self, weight: u32, load: u64) -> bool {
        load < self.capacity(weight)
    }
}

#[cfg(test)]
mod tests {
    use super::Bound;

    #[test]
    fn capacity_is_the_rounded_up_share() {
        let bound = Bound {
            factor_pct: 125,
            total_load: 9,
            eligible_weight: 4,
        };
        // 1.25 x 10 / 4 = 3.125.
        assert_eq!(bound.capacity(1), 4);
        assert!(bound.has_room(1, 3) && !bound.has_room(1, 4));
        // Twice the weight: 6.25.
        assert_eq!(bound.capacity(2), 7);
        let empty = Bound {
            factor_pct: 100,
            total_load: 0,
            eligible_weight: 1_000,
        };
        assert_eq!(empty.capacity(1), 1);
    }
}
