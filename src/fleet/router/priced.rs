//! Routers that go by what replicas cost and how fast they are.
//!
//! **Cost.** Like replicas differ in their loads only, so that the least loaded of each kind is
//! looked at: a choice takes time in proportion to the kinds, not to the replicas.

use crate::fleet::ids::ReplicaId;
use crate::fleet::least::LeastLoaded;
use crate::fleet::worth::{Worth, WorthClass};

/// Like members.
#[derive(Debug, Clone)]
struct Kind {
    worth: Worth,
    /// The way to them and back, nanoseconds.
    away_ns: f64,
    members: Vec<u32>,
    loads: LeastLoaded,
}

impl Kind {
    /// Its least loaded member that may be chosen, and how many are there.
    fn least(&self) -> Option<(u32, u64)> {
        let place = self.loads.least();
        let load = self.loads.load(place);
        let member = self.members.get(place as usize)?;
        (load < LeastLoaded::NEVER).then_some((*member, load))
    }

    fn expected_ns(&self, load: u64) -> f64 {
        self.worth.expected_ns(load) + self.away_ns
    }
}

/// What such a router knows.
#[derive(Debug, Clone)]
pub(super) struct Priced {
    /// The cheapest request first.
    kinds: Vec<Kind>,
    /// The kind of each member, and its place there.
    place_of: Vec<(u32, u32)>,
    /// Whether cost goes before latency.
    by_cost: bool,
    /// How long a request may be expected to take where cost goes first; none: it gets a seat.
    within_ns: Option<f64>,
}

/// How it chooses.
#[derive(Debug, Clone, Copy)]
pub(super) struct PricedRule {
    pub by_cost: bool,
    pub within_ns: Option<f64>,
}

impl Priced {
    /// Over those members. `away_ns` is the way to the replicas of a pool and back.
    pub fn new(
        rule: PricedRule,
        members: &[ReplicaId],
        classes: &[WorthClass],
        away_ns: &dyn Fn(u16) -> f64,
    ) -> Priced {
        let mut kinds: Vec<Kind> = Vec::new();
        for class in classes {
            let own = (0_u32..).zip(members);
            let own = own.filter(|(_, id)| class.replicas.contains(&id.0));
            let members: Vec<u32> = own.map(|(index, _)| index).collect();
            if !members.is_empty() {
                kinds.push(Kind {
                    worth: class.worth,
                    away_ns: away_ns(class.pool),
                    loads: LeastLoaded::new(members.len()),
                    members,
                });
            }
        }
        // Stable: of equals the first that the scenario names.
        kinds.sort_by(|a, b| {
            let cost = |kind: &Kind| kind.worth.usd_per_request();
            cost(a).total_cmp(&cost(b))
        });
        let mut place_of = vec![(0, 0); members.len()];
        for (at, kind) in (0_u32..).zip(&kinds) {
            for (place, member) in (0_u32..).zip(&kind.members) {
                place_of[*member as usize] = (at, place);
            }
        }
        Priced {
            kinds,
            place_of,
            by_cost: rule.by_cost,
            within_ns: rule.within_ns,
        }
    }

    /// The load of a member is another now, [`LeastLoaded::NEVER`] where it may not be chosen.
    pub fn set(&mut self, member: u32, load: u64) {
        let (kind, place) = self.place_of[member as usize];
        if let Some(kind) = self.kinds.get_mut(kind as usize) {
            kind.loads.set(place, load);
        }
    }

    /// The cheapest member that will do, where cost goes first and one does; else the fastest, and of
    /// equally fast ones the cheapest.
    pub fn choose(&self) -> Option<u32> {
        let offers = || {
            let kinds = self.kinds.iter();
            kinds.filter_map(|kind| kind.least().map(|(member, load)| (kind, member, load)))
        };
        let will_do = |kind: &Kind, load: u64| match self.within_ns {
            Some(within) => kind.expected_ns(load) <= within,
            None => load < u64::from(kind.worth.seats),
        };
        if self.by_cost
            && let Some((_, member, _)) = offers().find(|(kind, _, load)| will_do(kind, *load))
        {
            return Some(member);
        }
        let fastest = offers().min_by(|(a, _, load_a), (b, _, load_b)| {
            a.expected_ns(*load_a).total_cmp(&b.expected_ns(*load_b))
        });
        fastest.map(|(_, member, _)| member)
    }
}
