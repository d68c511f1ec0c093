//! Who holds each block: short lists of members in chunks that fit half a line of the cache.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use rustc_hash::FxBuildHasher;

use crate::fleet::ids::NONE;

/// Members of a chunk: with the link, 32 bytes.
const CHUNK: u32 = 7;

#[derive(Debug, Clone, Copy)]
struct Chunk {
    members: [u32; CHUNK as usize],
    next: u32,
}

/// The holders of a block: the first chunk may be part full, all others are full.
#[derive(Debug, Clone, Copy)]
struct Held {
    first: u32,
    count: u32,
}

impl Held {
    fn in_first(self) -> u32 {
        match self.count % CHUNK {
            0 => CHUNK,
            part => part,
        }
    }
}

/// Blocks by their keys, and the members that hold them.
#[derive(Debug, Clone)]
pub(super) struct Holders {
    blocks: HashMap<u64, Held, FxBuildHasher>,
    chunks: Vec<Chunk>,
    spare: Vec<u32>,
}

impl Holders {
    /// No blocks.
    pub(super) fn new() -> Holders {
        Holders {
            blocks: HashMap::with_hasher(FxBuildHasher),
            chunks: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Blocks that somebody holds.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Notes that a member, which did not, holds a block.
    pub(super) fn add(&mut self, key: u64, member: u32) {
        let held = self.blocks.entry(key).or_insert(Held {
            first: NONE,
            count: 0,
        });
        let place = held.count % CHUNK;
        if place == 0 {
            let chunk = Chunk {
                members: [NONE; CHUNK as usize],
                next: held.first,
            };
            held.first = match self.spare.pop() {
                Some(spare) => {
                    self.chunks[spare as usize] = chunk;
                    spare
                }
                None => {
                    self.chunks.push(chunk);
                    self.chunks.len() as u32 - 1
                }
            };
        }
        self.chunks[held.first as usize].members[place as usize] = member;
        held.count += 1;
    }

    /// Notes that a member that held a block does so no more: O(holders).
    pub(super) fn remove(&mut self, key: u64, member: u32) {
        let Entry::Occupied(mut block) = self.blocks.entry(key) else {
            return;
        };
        let held = *block.get();
        let last_place = held.in_first() as usize - 1;
        let last = self.chunks[held.first as usize].members[last_place];
        let mut chunk = held.first;
        let mut places = last_place + 1;
        // The last of the first chunk takes the place of the one that goes.
        loop {
            let Chunk { members, next } = &mut self.chunks[chunk as usize];
            if let Some(place) = members[..places].iter_mut().find(|held| **held == member) {
                *place = last;
                break;
            }
            if *next == NONE {
                return;
            }
            chunk = *next;
            places = CHUNK as usize;
        }
        if last_place == 0 {
            block.get_mut().first = self.chunks[held.first as usize].next;
            self.spare.push(held.first);
        }
        block.get_mut().count -= 1;
        if held.count == 1 {
            block.remove();
        }
    }

    /// Gives every holder of a block to `each`; how many there are.
    pub(super) fn for_each(&self, key: u64, mut each: impl FnMut(u32)) -> u32 {
        let Some(held) = self.blocks.get(&key) else {
            return 0;
        };
        let mut chunk = held.first;
        let mut places = held.in_first() as usize;
        while chunk != NONE {
            let Chunk { members, next } = &self.chunks[chunk as usize];
            for member in &members[..places] {
                each(*member);
            }
            chunk = *next;
            places = CHUNK as usize;
        }
        held.count
    }
}
