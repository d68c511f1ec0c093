//! Going round places that members own, each member looked at once.

/// Which members a walk has seen.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// The number of the walk that last saw each member.
    seen: Vec<u32>,
    walk: u32,
    /// Members that own a place.
    owners: u32,
}

impl Walk {
    /// For `members` members, of which `owners` own a place.
    pub(super) fn new(members: usize, owners: u32) -> Walk {
        Walk {
            seen: vec![0; members],
            walk: 0,
            owners,
        }
    }

    /// The first owner that `accepts` takes, going through `places` in order; each is asked once.
    pub(super) fn first(
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
