//! Which pools can serve which requests.

/// Groups of pools: a request is routed among those of its group. One group of all pools unless
/// tiers or lengths make a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// What each tier demands, as a number: tiers that demand the same have the same.
    class_of_tier: Vec<u16>,
    /// Longest contexts of pools, rising; empty where routers do not look at lengths.
    limits: Vec<u64>,
    /// Output tokens that a request is taken to need.
    reserve: u64,
    /// By group: which pools are in it.
    members: Vec<Vec<bool>>,
}

impl Groups {
    /// All pools serve all requests.
    pub fn single(tiers: usize, pools: usize) -> Groups {
        Groups {
            class_of_tier: vec![0; tiers],
            limits: Vec::new(),
            reserve: 0,
            members: vec![vec![true; pools]],
        }
    }

    /// `serves` has for each tier which pools serve it; `limits` for each pool the longest context,
    /// where routers look at it, and `reserve` the output tokens that they count for a request.
    pub fn new(serves: &[Vec<bool>], limits: Option<(&[u64], u32)>) -> Groups {
        let mut classes: Vec<&Vec<bool>> = Vec::new();
        let class_of_tier = serves.iter().map(|pools| {
            let known = classes.iter().position(|class| *class == pools);
            known.unwrap_or_else(|| {
                classes.push(pools);
                classes.len() - 1
            }) as u16
        });
        let class_of_tier = class_of_tier.collect();
        let (of_pool, reserve) = limits.unwrap_or((&[], 0));
        let mut limits = of_pool.to_vec();
        limits.sort_unstable();
        limits.dedup();
        let mut members = Vec::new();
        for class in classes {
            // What fits nowhere is sent anywhere, to be turned away there.
            let least = limits.iter().copied().chain([0]);
            for least in least {
                let fits = |pool: usize| of_pool.get(pool).is_none_or(|limit| *limit >= least);
                let group = class.iter().enumerate();
                let group = group.map(|(pool, serves)| *serves && fits(pool));
                members.push(group.collect());
            }
        }
        Groups {
            class_of_tier,
            limits,
            reserve: u64::from(reserve),
            members,
        }
    }

    /// How many groups there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Whether a pool is in a group.
    pub fn has(&self, group: usize, pool: usize) -> bool {
        self.members[group][pool]
    }

    /// The group of a request.
    #[inline]
    pub fn of(&self, tier: u16, prompt_tokens: u32) -> usize {
        let class = usize::from(self.class_of_tier[usize::from(tier)]);
        if self.limits.is_empty() {
            return class;
        }
        let needed = u64::from(prompt_tokens) + self.reserve;
        let length = self.limits.partition_point(|limit| *limit < needed);
        class * (self.limits.len() + 1) + length
    }
}

#[cfg(test)]
mod tests {
    use super::Groups;

    #[test]
    fn requests_go_where_they_fit() {
        let all = vec![true, true, true];
        let last = vec![false, false, true];
        let groups = Groups::new(&[all.clone(), last, all], Some((&[1000, 8000, 8000], 100)));
        let of = |tier, prompt| {
            let group = groups.of(tier, prompt);
            [0, 1, 2].map(|pool| groups.has(group, pool))
        };
        assert_eq!(of(0, 900), [true, true, true]);
        assert_eq!(of(0, 901), [false, true, true]);
        assert_eq!(of(2, 7900), [false, true, true]);
        // Too long for all: anywhere, to be turned away.
        assert_eq!(of(0, 7901), [true, true, true]);
        assert_eq!(of(1, 10), [false, false, true]);
        assert_eq!(groups.count(), 6);
        let single = Groups::single(2, 2);
        assert_eq!(single.of(1, 5), 0);
        assert!(single.has(0, 1));
    }
}
