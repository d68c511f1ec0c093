//! What a router knows of the prefixes that members hold, block by block.
//!
//! A block is known by its key ([`Prefix::key`](crate::fleet::prefix::Prefix::key)): equal for
//! requests that have all tokens up to the block's end in common.

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::scenario::balance::PrefixIndex as Config;

use super::holders::Holders;
use super::lists::Lists;

/// A block at a member.
#[derive(Debug, Clone, Copy)]
struct Held {
    key: u64,
    member: u32,
}

/// Blocks and the members that hold them.
///
/// The approximate index is fed by [`PrefixIndex::sent`] alone: it believes that a member keeps
/// what it was sent, up to so many blocks, and forgets those used longest ago. The first block of a
/// prompt is noted first and so forgotten first, as in llm-d: what is left behind the gap still
/// counts there (`count_behind_gaps`). The precise index is fed by [`PrefixIndex::stored`] and
/// [`PrefixIndex::evicted`], as late as the caller wishes.
#[derive(Debug, Clone)]
pub struct PrefixIndex {
    block_size: u32,
    max_prompt_blocks: u32,
    blocks_per_member: u32,
    behind_gaps: bool,
    holders: Holders,
    slots: HashMap<(u64, u32), u32, FxBuildHasher>,
    held: Vec<Held>,
    spare: Vec<u32>,
    /// The blocks of each member, the one used last in front.
    of_member: Lists,
    /// What the last query found: blocks of every member, 0 for all that are not in `found`.
    matched: Vec<u32>,
    found: Vec<u32>,
}

/// What a query found. Lent by the index, which uses the same room for the next query.
#[derive(Debug, Clone, Copy)]
pub struct Matches<'a> {
    matched: &'a [u32],
    found: &'a [u32],
    of_member: &'a Lists,
    asked: u32,
}

impl Matches<'_> {
    /// Blocks of the prompt that a member holds.
    pub fn of(&self, member: u32) -> u32 {
        self.matched[member as usize]
    }

    /// Blocks of the prompt that were asked for, at most the index's limit.
    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// Members that hold one block or more, with how many, in no order that means anything.
    pub fn members(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.found.iter().map(|member| (*member, self.of(*member)))
    }

    /// Blocks of any prompt that a member is believed to hold, as [`PrefixIndex::blocks_of`].
    pub fn record(&self, member: u32) -> u32 {
        self.of_member.length(member)
    }

    /// Most blocks of the prompt that any member holds.
    pub fn longest(&self) -> u32 {
        self.members().map(|(_, blocks)| blocks).max().unwrap_or(0)
    }
}

impl PrefixIndex {
    /// An index that knows of no block, for members `0..members`.
    pub fn new(config: &Config, members: u32) -> PrefixIndex {
        let (max_prompt_blocks, blocks_per_member, behind_gaps) = match *config {
            Config::Approximate {
                max_prompt_blocks,
                blocks_per_member,
                count_behind_gaps,
                ..
            } => (max_prompt_blocks, blocks_per_member, count_behind_gaps),
            Config::Precise { .. } => (u32::MAX, u32::MAX, false),
        };
        PrefixIndex {
            block_size: config.block_size(),
            max_prompt_blocks,
            blocks_per_member,
            behind_gaps,
            holders: Holders::new(),
            slots: HashMap::with_hasher(FxBuildHasher),
            held: Vec::new(),
            spare: Vec::new(),
            of_member: Lists::new(members as usize),
            matched: vec![0; members as usize],
            found: Vec::with_capacity(members as usize),
        }
    }

    /// Allows members up to `members` in all; new ones hold nothing.
    pub fn grow(&mut self, members: u32) {
        let members = members as usize;
        self.of_member.grow(members);
        self.matched.resize(members.max(self.matched.len()), 0);
    }

    /// Tokens of a block.
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Blocks that a member is believed to hold: what `cache_aware` calls its record.
    pub fn blocks_of(&self, member: u32) -> u32 {
        self.of_member.length(member)
    }

    /// Different blocks that are held anywhere.
    pub fn blocks(&self) -> usize {
        self.holders.blocks()
    }

    /// How many of the first `blocks` full blocks of a prompt each member holds: in a row from the
    /// first, or all of them where those behind a gap count, up to the first block that nobody
    /// holds. O(blocks matched x their holders), without allocation.
    pub fn lookup(&mut self, key: impl Fn(u32) -> u64, blocks: u32) -> Matches<'_> {
        for member in self.found.drain(..) {
            self.matched[member as usize] = 0;
        }
        let asked = blocks.min(self.max_prompt_blocks);
        let (matched, found) = (&mut self.matched, &mut self.found);
        for index in 0..asked {
            let mut counted = 0;
            self.holders.for_each(key(index), |member| {
                let length = &mut matched[member as usize];
                if !self.behind_gaps && *length != index {
                    return;
                }
                if *length == 0 {
                    found.push(member);
                }
                *length += 1;
                counted += 1;
            });
            if counted == 0 {
                break;
            }
        }
        Matches {
            matched: &self.matched,
            found: &self.found,
            of_member: &self.of_member,
            asked,
        }
    }

    /// Notes that a prompt of `blocks` full blocks was sent to a member: what it holds is used
    /// anew, the rest is held from now on, and what is too much is forgotten.
    pub fn sent(&mut self, member: u32, key: impl Fn(u32) -> u64, blocks: u32) {
        for index in 0..blocks.min(self.max_prompt_blocks) {
            self.stored(member, key(index));
        }
    }

    /// Notes that a member stored a block. Saying so again does no harm.
    pub fn stored(&mut self, member: u32, key: u64) {
        if let Some(&slot) = self.slots.get(&(key, member)) {
            self.of_member.touch(member, slot);
            return;
        }
        if self.of_member.length(member) >= self.blocks_per_member
            && let Some(oldest) = self.of_member.back(member)
        {
            self.forget(oldest);
        }
        let held = Held { key, member };
        let slot = match self.spare.pop() {
            Some(slot) => {
                self.held[slot as usize] = held;
                slot
            }
            None => {
                self.held.push(held);
                self.held.len() as u32 - 1
            }
        };
        self.slots.insert((key, member), slot);
        self.of_member.push_front(member, slot);
        self.holders.add(key, member);
    }

    /// Notes that a member evicted a block. Of one that is not known it means nothing.
    pub fn evicted(&mut self, member: u32, key: u64) {
        if let Some(&slot) = self.slots.get(&(key, member)) {
            self.forget(slot);
        }
    }

    /// Forgets all that a member holds, when it goes or comes back empty.
    pub fn drop_member(&mut self, member: u32) {
        while let Some(slot) = self.of_member.back(member) {
            self.forget(slot);
        }
    }

    fn forget(&mut self, slot: u32) {
        let Held { key, member } = self.held[slot as usize];
        self.slots.remove(&(key, member));
        self.of_member.remove(member, slot);
        self.holders.remove(key, member);
        self.spare.push(slot);
    }
}
