//! Places that members own, and going round them with each member looked at once.

use super::bound::Bound;

/// Places in a circle, each owned by a member.
#[derive(Debug, Clone)]
pub(super) struct Places {
    owners: Vec<u32>,
    weights: Vec<u32>,
    walk: Walk,
}

impl Places {
    /// Places with those owners, of members with those weights.
    pub(super) fn new(owners: Vec<u32>, weights: &[u32]) -> Places {
        let walk = Walk::new(weights.len(), distinct(&owners, weights.len()));
        Places {
            owners,
            weights: weights.to_vec(),
            walk,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Places of a member.
    pub(super) fn of(&self, member: u32) -> usize {
        let owned = self.owners.iter().filter(|owner| **owner == member);
        owned.count()
    }

    /// The first eligible owner from a place on.
    pub(super) fn choose(&mut self, at: usize, eligible: impl Fn(u32) -> bool) -> Option<u32> {
        let first = *self.owners.get(at)?;
        if eligible(first) {
            return Some(first);
        }
        let (before, after) = self.owners.split_at(at);
        let places = after.iter().chain(before).copied();
        self.walk.first(places, eligible)
    }

    /// As [`Places::choose`], but goes on past members without room to the next that has it. Where
    /// `bound` gives nobody room, since it was told less than all load, the bound is left aside.
    pub(super) fn choose_bounded(
        &mut self,
        at: usize,
        eligible: impl Fn(u32) -> bool,
        load: impl Fn(u32) -> u64,
        bound: Bound,
    ) -> Option<u32> {
        let (before, after) = self.owners.split_at(at);
        let places = after.iter().chain(before).copied();
        let weights = &self.weights;
        let chosen = self.walk.first(places, |member| {
            eligible(member) && bound.has_room(weights[member as usize], load(member))
        });
        chosen.or_else(|| self.choose(at, eligible))
    }
}

/// How many members own a place.
fn distinct(owners: &[u32], members: usize) -> u32 {
    let mut owns = vec![false; members];
    for owner in owners {
        owns[*owner as usize] = true;
    }
    owns.iter().filter(|owns| **owns).count() as u32
}

/// Which members a walk has seen.
#[derive(Debug, Clone)]
struct Walk {
    /// The number of the walk that last saw each member.
    seen: Vec<u32>,
    walk: u32,
    /// Members that own a place.
    owners: u32,
}

impl Walk {
    /// For `members` members, of which `owners` own a place.
    fn new(members: usize, owners: u32) -> Walk {
        Walk {
            seen: vec![0; members],
            walk: 0,
            owners,
        }
    }

    /// The first owner that `accepts` takes, going through `places` in order; each is asked once.
    fn first(
        &mut self,
        places: impl Iterator<Item = u32>,
        mut accepts: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        if self.walk == u32::MAX {
            self.seen.fill(0);
            self.walk = 0;
        }
        self.walk += 1;
        let mut left = self.owners;
        for member in places {
            let seen = &mut self.seen[member as usize];
            if *seen == self.walk {
                continue;
            }
            *seen = self.walk;
            if accepts(member) {
                return Some(member);
            }
            left -= 1;
            if left == 0 {
                return None;
            }
        }
        None
    }
}
