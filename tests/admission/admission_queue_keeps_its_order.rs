//! The waiting room lets out whom its policy says, and loses nobody.

use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::admission::{Item, Pushed, WaitingRoom};
use seatrial::scenario::admission::{
    FairCost, QueueBound, QueueOrder, TierBound, WaitingRoom as Config,
};

const S: u64 = 1_000_000_000;
const TIERS: [(&str, i32); 3] = [("urgent", -1), ("plain", 0), ("batch", 3)];
const WEIGHTS: [f64; 3] = [1.0, 2.0, 0.5];

fn item(tenant: u32, tier: u32, tokens: u64, enqueued: u64) -> Item {
    Item {
        tenant,
        tier,
        tokens,
        enqueued: SimTime(enqueued),
        deadline: SimTime::NEVER,
        expires: SimTime::NEVER,
    }
}

fn room(order: QueueOrder) -> WaitingRoom {
    let config = Config {
        order,
        ..Config::default()
    };
    WaitingRoom::new(&config, &TIERS, &WEIGHTS)
}

fn popped(room: &mut WaitingRoom) -> Vec<u32> {
    std::iter::from_fn(|| {
        let next = room.peek();
        let popped = room.pop().map(|(slot, _)| slot);
        assert_eq!(next, popped, "whoever is next is let out");
        popped
    })
    .collect()
}

#[test]
fn fcfs_is_in_order_of_arrival() {
    let mut room = room(QueueOrder::Fcfs {});
    for slot in [4, 0, 9, 2] {
        room.push(slot, item(0, slot % 3, 1, 0));
    }
    assert_eq!(room.remove(9), Some(item(0, 0, 1, 0)));
    assert_eq!(room.remove(9), None);
    assert_eq!(popped(&mut room), [4, 0, 2]);
}

#[test]
fn adaptive_lifo_turns_round_above_its_limit() {
    let mut room = room(QueueOrder::AdaptiveLifo { lifo_above: 2 });
    for slot in 0..5 {
        room.push(slot, item(0, 0, 1, 0));
    }
    assert_eq!(popped(&mut room), [4, 3, 2, 0, 1]);
}

#[test]
fn the_earliest_deadline_is_first_and_none_is_last() {
    let mut room = room(QueueOrder::EarliestDeadline {});
    for (slot, deadline) in [(0, u64::MAX), (1, 70), (2, 30), (3, 70), (4, 10)] {
        let mut item = item(0, 0, 1, 0);
        item.deadline = SimTime(deadline);
        room.push(slot, item);
    }
    assert_eq!(popped(&mut room), [4, 2, 1, 3, 0]);
}

#[test]
fn priority_is_strict_without_aging_and_relents_with_it() {
    for (aging_s, expected) in [
        (None, [2, 3, 1, 0]),
        // A batch request is like a plain one that came 3 s later, or an urgent one 4 s later.
        (Some(1.0), [2, 0, 1, 3]),
        (Some(2.0), [2, 3, 1, 0]),
    ] {
        let mut room = room(QueueOrder::Priority { aging_s });
        for (slot, tier, at) in [(0, 2, 0), (1, 1, 4), (2, 0, 3), (3, 0, 5)] {
            room.push(slot, item(0, tier, 1, at * S));
        }
        assert_eq!(popped(&mut room), expected, "aging {aging_s:?}");
    }
}

#[test]
fn bounds_hold_for_the_room_and_each_tier() {
    let config = Config {
        bound: QueueBound {
            requests: Some(4),
            tokens: Some(100),
        },
        tiers: vec![TierBound {
            tier: "batch".to_owned(),
            requests: Some(1),
            tokens: Some(50),
        }],
        ..Config::default()
    };
    let mut room = WaitingRoom::new(&config, &TIERS, &[]);
    assert_eq!(room.push(0, item(0, 2, 51, 0)), Pushed::Full);
    assert_eq!(room.push(0, item(0, 2, 50, 0)), Pushed::Ok);
    assert_eq!(room.push(1, item(0, 2, 0, 0)), Pushed::Full);
    assert_eq!(room.push(1, item(0, 1, 51, 0)), Pushed::Full);
    assert_eq!(room.push(1, item(0, 1, 50, 0)), Pushed::Ok);
    assert_eq!((room.len(), room.tokens(), room.len_of(2)), (2, 100, 1));
    assert_eq!(room.push(2, item(0, 0, 1, 0)), Pushed::Full);
    assert_eq!(room.push(2, item(0, 0, 0, 0)), Pushed::Ok);
    assert_eq!(room.push(3, item(0, 0, 0, 0)), Pushed::Ok);
    assert_eq!(room.push(4, item(0, 0, 0, 0)), Pushed::Full);
    room.remove(0);
    assert_eq!(room.push(4, item(0, 2, 50, 0)), Pushed::Ok);
    assert_eq!(popped(&mut room), [1, 2, 3, 4]);
    assert!(room.is_empty());
    assert_eq!(room.tokens(), 0);
}

fn fair(cost: FairCost, by_priority: bool) -> QueueOrder {
    QueueOrder::Fair { cost, by_priority }
}

#[test]
fn fair_shares_follow_the_weights() {
    let mut room = room(fair(FairCost::Requests, true));
    for slot in 0..60 {
        // Twenty of tenant 0, then of 1, then of 2.
        room.push(slot, item(slot / 20, 1, 1, 0));
    }
    let first: Vec<u32> = (0..14)
        .filter_map(|_| room.pop())
        .map(|(_, i)| i.tenant)
        .collect();
    // Start tags: 0 at 0, 1, 2..; 1 at 0, 0.5, 1..; 2 at 0, 2, 4. Earlier first where they are alike.
    assert_eq!(first, [0, 1, 2, 1, 0, 1, 1, 0, 1, 2, 1, 0, 1, 1]);
}

#[test]
fn who_gives_up_costs_the_tenant_nothing() {
    let mut room = room(fair(FairCost::Tokens, true));
    room.push(0, item(0, 1, 1_000_000, 0));
    room.push(1, item(0, 1, 10, 0));
    room.push(2, item(2, 1, 10, 0));
    room.push(3, item(2, 1, 10, 0));
    room.remove(0);
    assert_eq!(popped(&mut room), [1, 2, 3]);
}

#[test]
fn an_empty_room_starts_level() {
    let mut room = room(fair(FairCost::Tokens, true));
    room.push(0, item(0, 1, 1_000_000, 0));
    room.push(1, item(1, 1, 10, 0));
    assert_eq!(popped(&mut room), [0, 1]);
    // Tenant 0 owes nothing any more.
    room.push(2, item(0, 1, 10, 0));
    room.push(3, item(1, 1, 10, 0));
    assert_eq!(popped(&mut room), [2, 3]);
}

#[test]
fn bands_are_strict_and_fair_inside() {
    for (by_priority, expected) in [
        (true, [4, 5, 0, 3, 1, 2]),
        // Start tags: tenant 0 at 0, 1, 2; tenant 1 at 0, 0.5; tenant 2 at 0.
        (false, [0, 3, 5, 4, 1, 2]),
    ] {
        let mut room = room(fair(FairCost::Requests, by_priority));
        for (slot, tenant, tier) in [(0, 0, 1), (1, 0, 1), (2, 0, 1)] {
            room.push(slot, item(tenant, tier, 1, 0));
        }
        for (slot, tenant, tier) in [(3, 1, 1), (4, 1, 0), (5, 2, 0)] {
            room.push(slot, item(tenant, tier, 1, 0));
        }
        assert_eq!(popped(&mut room), expected);
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Push {
        tenant: u32,
        tier: u32,
        tokens: u64,
        deadline: u64,
        wait: u64,
    },
    /// From the tiers whose bit is set.
    Pop(u8),
    Remove(prop::sample::Index),
    Expire,
}

fn op() -> impl Strategy<Value = Op> {
    let push = (0u32..3, 0u32..3, 0u64..50, 0u64..20, 1u64..60);
    prop_oneof![
        5 => push.prop_map(|(tenant, tier, tokens, deadline, wait)| Op::Push {
            tenant, tier, tokens, deadline, wait
        }),
        3 => prop_oneof![2 => Just(7u8), 1 => 0u8..8].prop_map(Op::Pop),
        1 => any::<prop::sample::Index>().prop_map(Op::Remove),
        1 => Just(Op::Expire),
    ]
}

fn order() -> impl Strategy<Value = QueueOrder> {
    let cost = prop_oneof![Just(FairCost::Requests), Just(FairCost::Tokens)];
    prop_oneof![
        Just(QueueOrder::Fcfs {}),
        Just(QueueOrder::EarliestDeadline {}),
        (0u32..6).prop_map(|lifo_above| QueueOrder::AdaptiveLifo { lifo_above }),
        prop::option::of(1e-9f64..3e-8).prop_map(|aging_s| QueueOrder::Priority { aging_s }),
        (cost, any::<bool>()).prop_map(|(cost, by_priority)| fair(cost, by_priority)),
    ]
}

/// The room as a list that is searched from end to end.
struct Naive {
    order: QueueOrder,
    waiting: Vec<(u32, Item)>,
    tags: Tags,
}

/// Start tags in whole numbers: weights are 1, 2 and 1/2, so costs are doubled over the doubled
/// weight. By (band, tenant).
#[derive(Default)]
struct Tags {
    finish: [[u64; 3]; 3],
    virtual_time: [u64; 3],
    latest: [u64; 3],
    arrived: std::collections::BTreeMap<u32, u64>,
}

impl Naive {
    fn cost(&self, item: &Item) -> u64 {
        match self.order {
            QueueOrder::Fair {
                cost: FairCost::Tokens,
                ..
            } => item.tokens,
            _ => 1,
        }
    }

    fn band(&self, item: &Item) -> usize {
        match self.order {
            QueueOrder::Fair {
                by_priority: true, ..
            } => item.tier as usize,
            _ => 0,
        }
    }

    fn push(&mut self, slot: u32, item: Item) {
        let band = self.band(&item);
        self.tags.arrived.insert(slot, self.tags.virtual_time[band]);
        self.waiting.push((slot, item));
    }

    fn start(&self, slot: u32, item: &Item) -> u64 {
        let finish = self.tags.finish[self.band(item)][item.tenant as usize];
        self.tags.arrived[&slot].max(finish)
    }

    /// The place of whoever is next.
    fn next(&self, open: u8) -> Option<usize> {
        let item = |at: usize| &self.waiting[at].1;
        let may = |at: &usize| open & (1 << item(*at).tier) != 0;
        let places = (0..self.waiting.len()).filter(may);
        match self.order {
            QueueOrder::Fcfs {} => places.min(),
            QueueOrder::AdaptiveLifo { lifo_above } => {
                if places.clone().count() > lifo_above as usize {
                    places.max()
                } else {
                    places.min()
                }
            }
            QueueOrder::EarliestDeadline {} => places.min_by_key(|&at| item(at).deadline),
            QueueOrder::Priority { aging_s } => places.min_by_key(|&at| {
                let priority = i128::from(TIERS[item(at).tier as usize].1);
                match aging_s {
                    None => priority,
                    Some(aging) => {
                        let aging = (aging * 1e9).round() as i128;
                        i128::from(item(at).enqueued.0) + priority * aging
                    }
                }
            }),
            QueueOrder::Fair { .. } => places
                .filter(|&at| {
                    // The first of its tenant and band.
                    let flow = |at: usize| (self.band(item(at)), item(at).tenant);
                    let mut earlier = (0..at).filter(may);
                    earlier.all(|earlier| flow(earlier) != flow(at))
                })
                .min_by_key(|&at| {
                    (
                        self.band(item(at)),
                        self.start(self.waiting[at].0, item(at)),
                    )
                }),
        }
    }

    fn pop(&mut self, open: u8) -> Option<u32> {
        if self.waiting.is_empty() {
            self.tags.virtual_time = self.tags.latest;
        }
        let at = self.next(open)?;
        let (slot, item) = self.waiting[at];
        let (band, start) = (self.band(&item), self.start(slot, &item));
        let doubled_weight = [2, 4, 1][item.tenant as usize];
        let finish = start + self.cost(&item) * 4 / doubled_weight;
        self.tags.finish[band][item.tenant as usize] = finish;
        self.tags.virtual_time[band] = self.tags.virtual_time[band].max(start);
        self.tags.latest[band] = self.tags.latest[band].max(finish);
        self.waiting.remove(at);
        Some(slot)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, cases: 1_000, ..ProptestConfig::default()
    })]

    #[test]
    fn it_is_the_list_that_is_searched(
        order in order(),
        most in prop::option::of(1u32..30),
        ops in prop::collection::vec((0u64..4, op()), 1..200),
    ) {
        let config = Config {
            order,
            bound: QueueBound { requests: most, tokens: Some(500) },
            ..Config::default()
        };
        let mut room = WaitingRoom::new(&config, &TIERS, &WEIGHTS);
        let mut naive = Naive { order, waiting: Vec::new(), tags: Tags::default() };
        let (mut now, mut came, mut left) = (0, 0u64, 0u64);
        for (gap, op) in ops {
            now += gap;
            match op {
                Op::Push { tenant, tier, tokens, deadline, wait } => {
                    let mut item = item(tenant, tier, tokens, now);
                    item.deadline = SimTime(now + deadline);
                    if wait < 50 {
                        item.expires = SimTime(now + wait);
                    }
                    let tokens_waiting: u64 = naive.waiting.iter().map(|(_, i)| i.tokens).sum();
                    let full = most.is_some_and(|most| naive.waiting.len() >= most as usize)
                        || tokens_waiting + tokens > 500;
                    // Slots are used again.
                    let slot = (0..).find(|slot| room.get(*slot).is_none()).unwrap();
                    let pushed = room.push(slot, item);
                    prop_assert_eq!(pushed, if full { Pushed::Full } else { Pushed::Ok });
                    if !full {
                        naive.push(slot, item);
                        came += 1;
                    }
                }
                Op::Pop(open) => {
                    let is_open = |tier: u32| open & (1 << tier) != 0;
                    let expected = naive.next(open).map(|at| naive.waiting[at].0);
                    prop_assert_eq!(room.peek_among(is_open), expected);
                    let popped = room.pop_among(is_open);
                    prop_assert_eq!(popped.map(|(slot, _)| slot), naive.pop(open));
                    left += u64::from(popped.is_some());
                }
                Op::Remove(index) => {
                    if !naive.waiting.is_empty() {
                        let (slot, item) = naive.waiting.remove(index.index(naive.waiting.len()));
                        prop_assert_eq!(room.remove(slot), Some(item));
                        prop_assert_eq!(room.remove(slot), None);
                        left += 1;
                    }
                }
                Op::Expire => {
                    let mut last = SimTime::ZERO;
                    while let Some((slot, item)) = room.pop_expired(SimTime(now)) {
                        prop_assert!(last <= item.expires && item.expires <= SimTime(now));
                        last = item.expires;
                        let at = naive.waiting.iter().position(|waiting| waiting.0 == slot);
                        naive.waiting.remove(at.unwrap());
                        left += 1;
                    }
                    let next = naive.waiting.iter().map(|(_, item)| item.expires).min();
                    let next = next.filter(|next| *next != SimTime::NEVER);
                    prop_assert_eq!(room.next_expiry(), next);
                    prop_assert!(next.is_none_or(|next| next > SimTime(now)));
                }
            }
            prop_assert_eq!(u64::from(room.len()), came - left, "conservation");
            prop_assert_eq!(room.len() as usize, naive.waiting.len());
            let tokens: u64 = naive.waiting.iter().map(|(_, item)| item.tokens).sum();
            prop_assert_eq!(room.tokens(), tokens);
            for tier in 0..3 {
                let of_tier = naive.waiting.iter().filter(|(_, item)| item.tier == tier);
                prop_assert_eq!(room.len_of(tier) as usize, of_tier.count());
            }
        }
    }

    /// Goyal et al. 1996, theorem 1: over any stretch in which both have requests waiting.
    #[test]
    fn tenants_get_their_shares_within_one_request_of_each(
        weights in prop::collection::vec(0.1f64..10.0, 2..5),
        ops in prop::collection::vec((0usize..4, 1u64..100, 0u32..10), 20..400),
    ) {
        let config = Config { order: fair(FairCost::Tokens, true), ..Config::default() };
        let mut room = WaitingRoom::new(&config, &[], &weights);
        let tenants = weights.len();
        let largest: Vec<f64> = (0..tenants)
            .map(|t| {
                let of_tenant = ops.iter().filter(|(tenant, ..)| tenant % tenants == t);
                of_tenant.map(|(_, tokens, _)| *tokens).max().unwrap_or(0) as f64
            })
            .collect();
        let mut waiting = vec![0u32; tenants];
        let mut got = vec![0.0f64; tenants];
        // By pair: the least and the greatest lead since both have had requests waiting.
        let mut leads = vec![None::<(f64, f64)>; tenants * tenants];
        let mut slot = 0;
        for (tenant, tokens, action) in ops {
            if action < 6 {
                let tenant = tenant % tenants;
                room.push(slot, item(tenant as u32, 0, tokens, 0));
                waiting[tenant] += 1;
                slot += 1;
            } else if let Some((_, item)) = room.pop() {
                let tenant = item.tenant as usize;
                waiting[tenant] -= 1;
                got[tenant] += item.tokens as f64 / weights[tenant];
            } else {
                continue;
            }
            for (a, b) in (0..tenants).flat_map(|a| (0..a).map(move |b| (a, b))) {
                let lead = got[a] - got[b];
                let stretch = &mut leads[a * tenants + b];
                if let Some((least, greatest)) = stretch {
                    *least = least.min(lead);
                    *greatest = greatest.max(lead);
                    let bound = largest[a] / weights[a] + largest[b] / weights[b];
                    // Weights are rounded to millionths, tags to 2^-40.
                    prop_assert!(*greatest - *least <= bound * (1.0 + 1e-4));
                }
                if waiting[a] == 0 || waiting[b] == 0 {
                    *stretch = None;
                } else if stretch.is_none() {
                    *stretch = Some((lead, lead));
                }
            }
        }
    }

    /// With aging a request is overtaken only by those that come within `aging` times the
    /// difference of their numbers after it, so that no stream of urgent ones starves it.
    #[test]
    fn nobody_starves_with_aging(
        aging in 1u64..1_000,
        ops in prop::collection::vec((0u64..100, 0u32..3, 0u32..2), 1..300),
    ) {
        let aging_s = Some(aging as f64 / 1e9);
        let mut room = room(QueueOrder::Priority { aging_s });
        let mut waiting: Vec<Item> = Vec::new();
        let mut now = 0;
        for (slot, (gap, tier, action)) in ops.into_iter().enumerate() {
            now += gap;
            if action == 0 {
                let item = item(0, tier, 1, now);
                room.push(slot as u32, item);
                waiting.push(item);
            } else if let Some((_, out)) = room.pop() {
                let at = waiting.iter().position(|item| *item == out);
                waiting.remove(at.unwrap());
                for left in &waiting {
                    let number = |item: &Item| i128::from(TIERS[item.tier as usize].1);
                    let patience = (number(left) - number(&out)) * i128::from(aging);
                    let later = i128::from(out.enqueued.0) - i128::from(left.enqueued.0);
                    prop_assert!(later <= patience);
                }
            }
        }
    }
}
