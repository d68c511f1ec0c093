//! Choosing a member takes no memory once its tables have grown to their bounds.

#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)] // a global allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use seatrial::engine::{SimRng, SimTime, Streams};
use seatrial::fleet::balance::{
    AffinityTable, Alias, Asked, Bound, Edf, LeastRequestChoice, MaglevTable, PrefixIndex, Ring,
    Scorer, Signals,
};
use seatrial::scenario::balance::{
    Affinity, LeastRequest, Maglev, PrefixIndex as IndexConfig, RingHash, Scorers,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks for.
struct Counting;

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEMBERS: u32 = 40;

/// Allocations of the second half of many turns. The first half is long: a hash table that has
/// entries come and go may double once more when the places of those that went are all used.
fn steady(mut turn: impl FnMut(u64, &mut SimRng)) -> u64 {
    let streams = Streams {
        seed: 5,
        replication: 0,
    };
    let mut rng = streams.stream("allocations", 0, "test");
    let turns = 100_000;
    for number in 0..turns {
        turn(number, &mut rng);
    }
    let before = ALLOCATIONS.with(Cell::get);
    for number in turns..2 * turns {
        turn(number, &mut rng);
    }
    ALLOCATIONS.with(Cell::get) - before
}

/// Two of three members, others every time.
fn up(turn: u64) -> impl Fn(u32) -> bool + Copy {
    move |member| !(u64::from(member) + turn).is_multiple_of(3)
}

#[test]
fn hashing_does_not() {
    let mut ring = Ring::new(&RingHash::default(), &[1; MEMBERS as usize]);
    let mut table = MaglevTable::new(&Maglev::default(), &[1; MEMBERS as usize]);
    let bound = Bound {
        factor_pct: 120,
        total_load: 100,
        eligible_weight: 26,
    };
    let load = |member: u32| u64::from(member % 7);
    let allocations = steady(|turn, _| {
        ring.choose(turn, up(turn)).unwrap();
        table.choose(turn, up(turn)).unwrap();
        ring.choose_bounded(turn, up(turn), load, bound).unwrap();
        table.choose_bounded(turn, up(turn), load, bound).unwrap();
    });
    assert_eq!(allocations, 0);
}

#[test]
fn weights_and_loads_do_not() {
    let weight = |member: u32| f64::from(1 + member % 5);
    let load = |member: u32| u64::from(member % 7);
    let alias = Alias::new(&[1.0; MEMBERS as usize]);
    let mut edf = Edf::new(MEMBERS, weight);
    let mut equal = LeastRequestChoice::new(&LeastRequest::default(), MEMBERS);
    let mut weighted = equal.clone();
    let allocations = steady(|turn, rng| {
        alias.choose(rng, up(turn)).unwrap();
        edf.choose(up(turn), weight).unwrap();
        equal.choose(rng, load, up(turn)).unwrap();
        weighted.choose_weighted(load, weight, up(turn)).unwrap();
    });
    assert_eq!(allocations, 0);
}

#[test]
fn sessions_do_not() {
    let config = Affinity {
        ttl_s: 1.0,
        max_entries: 500,
        sliding: true,
    };
    let mut table = AffinityTable::new(&config, MEMBERS);
    let allocations = steady(|turn, _| {
        let now = SimTime(turn * 1_000_000);
        let key = turn * turn % 1_009;
        if table.get(key, now).is_none() {
            table.put(key, (turn % u64::from(MEMBERS)) as u32, now);
        }
        if turn % 1_000 == 999 {
            table.drop_member((turn / 1_000 % u64::from(MEMBERS)) as u32);
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn prefixes_and_scores_do_not() {
    let config = IndexConfig::Approximate {
        block_size: 16,
        max_prompt_blocks: 12,
        blocks_per_member: 60,
        count_behind_gaps: true,
    };
    let mut index = PrefixIndex::new(&config, MEMBERS);
    let signals: Vec<Signals> = (0..MEMBERS)
        .map(|member| Signals {
            waiting: member % 3,
            ..Signals::default()
        })
        .collect();
    let policies = [
        "policy = \"weighted\"",
        "policy = \"cache_aware\"",
        "policy = \"kv_cost\"\ntemperature = 0.5",
        "policy = \"token_cost\"",
    ];
    let scorers = policies.map(|text| Scorer::new(&toml::from_str::<Scorers>(text).unwrap()));
    let allocations = steady(|turn, rng| {
        // Four shared blocks of every prompt, then its own.
        let prompt = turn * turn % 211;
        let key = |block: u32| match block {
            0..4 => u64::from(block),
            _ => (prompt + 1) * 1_000 + u64::from(block),
        };
        let asked = Asked {
            prompt_tokens: 12 * 16,
            block_size: 16,
            matches: index.lookup(key, 12),
        };
        let scorer = scorers[turn as usize % 4];
        let chosen = scorer.choose(&signals, &asked, up(turn), rng).unwrap();
        index.sent(chosen, key, 12);
    });
    assert_eq!(allocations, 0);
}
