//! The prefix cache of one replica: which KV blocks are kept under the hash of the tokens up to
//! them, and in which order free blocks are taken.
//!
//! As in vLLM: full blocks only, chained hashes; free blocks wait in a queue and the one at its
//! head is taken first, whatever it holds; a request that ends puts its blocks at the tail, its
//! *last* block first, so that heads of prompts live longest; a hit takes a free block out of the
//! queue. Blocks that nobody can find again are counted, not listed: a run of them is one node of
//! the queue. A second block of the same tokens (vLLM keeps both) is counted as one that nobody
//! can find.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::ids::NONE;

/// The owner of a block that is nobody's own.
pub const NOBODYS: u64 = u64::MAX;

/// A block whose last holder is to let it go for good: it stands where the length of a run does.
const DOOMED: u64 = u64::MAX;

/// What stands for the tokens of a request: a name for each of its blocks, equal for requests that
/// have all tokens up to there in common. No token is ever made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// The first `shared_tokens` are those of every request of the group `shared`; the rest is the
    /// own of `own` (a request, or all the turns of a conversation).
    Group {
        /// Names the group.
        shared: u64,
        /// Tokens in common with it.
        shared_tokens: u32,
        /// Names what the rest belongs to.
        own: u64,
    },
    /// The hash of every stretch of `stretch_tokens` tokens, as a trace has them; what comes after
    /// the last is the own of `own`.
    Hashes {
        /// The hashes, in order.
        hashes: std::sync::Arc<[u64]>,
        /// Tokens that each stands for.
        stretch_tokens: u32,
        /// Names what comes after them.
        own: u64,
    },
}

impl Prefix {
    /// Tokens that no other request has.
    pub fn own(name: u64) -> Prefix {
        Prefix::Group {
            shared: 0,
            shared_tokens: 0,
            own: name,
        }
    }

    /// The name of what it has in common with nobody but its own session.
    pub fn own_name(&self) -> u64 {
        match self {
            Prefix::Group { own, .. } | Prefix::Hashes { own, .. } => *own,
        }
    }

    /// Whose block `index` of `block_size` tokens is: the name of a session or a request, or [`NOBODYS`]
    /// where all of a group have it.
    pub fn owner(&self, index: u32, block_size: u32) -> u64 {
        let end = (u64::from(index) + 1) * u64::from(block_size);
        match self {
            Prefix::Group { shared_tokens, .. } if end <= u64::from(*shared_tokens) => NOBODYS,
            _ => self.own_name(),
        }
    }

    /// The name of block `index` of `block_size` tokens.
    pub fn key(&self, index: u32, block_size: u32) -> u64 {
        let end = (u64::from(index) + 1) * u64::from(block_size);
        match self {
            Prefix::Group {
                shared,
                shared_tokens,
                own,
            } => match end <= u64::from(*shared_tokens) {
                true => mix(*shared, 1, index),
                false => mix(*own, 2, index),
            },
            Prefix::Hashes {
                hashes,
                stretch_tokens,
                own,
            } => {
                let stretch = u64::from(*stretch_tokens).max(1);
                // A block is that of the stretch in which it ends.
                match hashes.get(((end - 1) / stretch) as usize) {
                    Some(hash) => mix(*hash, 3, index),
                    None => mix(*own, 2, index),
                }
            }
        }
    }
}

/// Spreads a name, a kind and an index over 64 bits (the finaliser of SplitMix64, twice).
fn mix(name: u64, kind: u64, index: u32) -> u64 {
    let round = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    round(round(name.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ (kind << 32) ^ u64::from(index))
}

/// A node of the queue of free blocks, or a block in use that can be found.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The block's name; unused by runs.
    key: u64,
    /// Free blocks that nobody can find; 0 for a block with a name, [`DOOMED`] for one that is to go.
    run: u64,
    /// Requests that hold it.
    refs: u32,
    next: u32,
    previous: u32,
}

/// Whose blocks are here.
#[derive(Debug, Clone, Default)]
struct Owners {
    /// By node.
    of: Vec<u64>,
    /// How many blocks with a name each has.
    blocks: HashMap<u64, u32, FxBuildHasher>,
}

impl Owners {
    fn add(&mut self, node: u32, owner: u64) {
        let most = self.of.len().max(node as usize + 1);
        self.of.resize(most, NOBODYS);
        self.of[node as usize] = owner;
        *self.blocks.entry(owner).or_insert(0) += 1;
    }

    fn remove(&mut self, node: u32) {
        let owner = self.of[node as usize];
        if let Some(blocks) = self.blocks.get_mut(&owner) {
            *blocks -= 1;
            if *blocks == 0 {
                self.blocks.remove(&owner);
            }
        }
    }
}

/// The cache.
#[derive(Debug, Clone)]
pub struct PrefixCache {
    found: HashMap<u64, u32, FxBuildHasher>,
    nodes: Vec<Node>,
    spare: Vec<u32>,
    head: u32,
    tail: u32,
    /// Blocks with a name that requests hold.
    held: u64,
    /// Names stored and evicted that nobody was told of yet, where somebody wants to know.
    news: Option<Vec<(u64, bool)>>,
    /// Whose the blocks are, where somebody may have to know.
    owners: Option<Owners>,
    /// Blocks by the name they had, that requests hold and that are to go with them: nobody finds them any
    /// more. Those of a name in the order in which they were given up.
    doomed: HashMap<u64, SmallVec<[u32; 1]>, FxBuildHasher>,
}

impl PrefixCache {
    /// A cache of `blocks` free blocks.
    pub fn new(blocks: u64) -> PrefixCache {
        let mut cache = PrefixCache {
            found: HashMap::with_hasher(FxBuildHasher),
            nodes: Vec::new(),
            spare: Vec::new(),
            head: NONE,
            tail: NONE,
            held: 0,
            news: None,
            owners: None,
            doomed: HashMap::default(),
        };
        cache.free_unnamed(blocks);
        cache
    }

    /// Keeps whose each block is.
    pub fn keep_owners(&mut self) {
        self.owners.get_or_insert_default();
    }

    /// Whether it does.
    pub fn keeps_owners(&self) -> bool {
        self.owners.is_some()
    }

    /// Rids itself of the blocks of some owners: nobody finds them any more. What is free is empty from now
    /// on, where it stands in the queue; what requests hold is empty when the last of them has let it go.
    /// Nothing where no owners are kept.
    ///
    /// A block that is computed anew meanwhile is another of the same name; who lets that name go is taken
    /// to have held the one that is to go, as long as there is one.
    ///
    /// It looks at every block where one of them has some, and at the owners alone where not.
    pub fn forget(&mut self, whose: impl Fn(u64) -> bool) {
        let Some(owners) = &self.owners else { return };
        let theirs = owners.blocks.keys().filter(|owner| whose(**owner));
        let theirs: BTreeSet<u64> = theirs.copied().collect();
        if theirs.is_empty() {
            return;
        }
        let named = self.found.values();
        let named = named.filter(|node| theirs.contains(&owners.of[**node as usize]));
        let mut named: Vec<u32> = named.copied().collect();
        // The order of the map never shows.
        named.sort_unstable();
        for node in named {
            let Node { key, refs, .. } = self.nodes[node as usize];
            self.unname(node, key);
            if refs > 0 {
                self.nodes[node as usize].run = DOOMED;
                self.doomed.entry(key).or_default().push(node);
            } else {
                self.nodes[node as usize].run = 1;
            }
        }
    }

    /// What is in a block can be found no more.
    fn unname(&mut self, node: u32, key: u64) {
        self.found.remove(&key);
        if let Some(owners) = &mut self.owners {
            owners.remove(node);
        }
        if let Some(news) = &mut self.news {
            news.push((key, false));
        }
    }

    /// Whether requests hold blocks of some owners that are to go.
    pub fn holds_doomed(&self, whose: impl Fn(u64) -> bool) -> bool {
        let Some(owners) = &self.owners else {
            return false;
        };
        let mut doomed = self.doomed.values().flatten();
        doomed.any(|node| whose(owners.of[*node as usize]))
    }

    /// Keeps what it stores and evicts until somebody asks.
    pub fn keep_news(&mut self) {
        self.news.get_or_insert_default();
    }

    /// Whether it does.
    pub fn keeps_news(&self) -> bool {
        self.news.is_some()
    }

    /// What it has stored (true) and evicted since it was last asked.
    pub fn drain_news(&mut self, mut each: impl FnMut(u64, bool)) {
        for (key, stored) in self.news.iter_mut().flat_map(|news| news.drain(..)) {
            each(key, stored);
        }
    }

    /// Blocks with a name that requests hold, each counted once.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Whether a block of that name is here.
    pub fn knows(&self, key: u64) -> bool {
        self.found.contains_key(&key)
    }

    /// How many of the first `most` keys are here without a gap, and how many of those are free.
    pub fn lookup(&self, key: impl Fn(u32) -> u64, most: u32) -> (u32, u64) {
        let mut free = 0;
        for index in 0..most {
            match self.found.get(&key(index)) {
                Some(&node) => free += u64::from(self.nodes[node as usize].refs == 0),
                None => return (index, free),
            }
        }
        (most, free)
    }

    /// Holds a block by its name: out of the queue if it was free.
    pub fn hold(&mut self, key: u64) {
        if let Some(&node) = self.found.get(&key) {
            self.hold_node(node);
        }
    }

    /// Names a block of `owner` that was just taken. False when there is one of that name already: that one
    /// is held too, and the other stays without.
    pub fn name(&mut self, key: u64, owner: u64) -> bool {
        if let Some(&node) = self.found.get(&key) {
            self.hold_node(node);
            return false;
        }
        let node = self.new_node(Node {
            key,
            run: 0,
            refs: 1,
            next: NONE,
            previous: NONE,
        });
        if let Some(owners) = &mut self.owners {
            owners.add(node, owner);
        }
        self.found.insert(key, node);
        self.held += 1;
        if let Some(news) = &mut self.news {
            news.push((key, true));
        }
        true
    }

    /// Lets a named block go; the last to do so puts it at the queue's tail. True when it is free.
    pub fn let_go(&mut self, key: u64) -> bool {
        if !self.doomed.is_empty()
            && let Some(gone) = self.let_go_doomed(key)
        {
            return gone;
        }
        let Some(&node) = self.found.get(&key) else {
            return false;
        };
        let refs = &mut self.nodes[node as usize].refs;
        *refs -= 1;
        if *refs > 0 {
            return false;
        }
        self.held -= 1;
        self.push(node);
        true
    }

    /// A holder of a block that is to go lets go of it, and whether it was the last: then it is empty. None
    /// where no block of that name is to go.
    fn let_go_doomed(&mut self, key: u64) -> Option<bool> {
        let nodes = self.doomed.get_mut(&key)?;
        let node = *nodes.first()?;
        let refs = &mut self.nodes[node as usize].refs;
        *refs -= 1;
        if *refs > 0 {
            return Some(false);
        }
        nodes.remove(0);
        if nodes.is_empty() {
            self.doomed.remove(&key);
        }
        self.held -= 1;
        self.spare.push(node);
        self.free_unnamed(1);
        Some(true)
    }

    /// Puts blocks without a name at the queue's tail.
    pub fn free_unnamed(&mut self, blocks: u64) {
        if blocks == 0 {
            return;
        }
        if let Some(last) = self.nodes.get_mut(self.tail as usize)
            && last.run > 0
        {
            last.run += blocks;
            return;
        }
        let node = self.new_node(Node {
            key: 0,
            run: blocks,
            refs: 0,
            next: NONE,
            previous: NONE,
        });
        self.push(node);
    }

    /// Takes blocks from the queue's head; what was in them can be found no more. The names that
    /// went are given to `evicted`.
    pub fn take(&mut self, mut blocks: u64, mut evicted: impl FnMut(u64)) {
        while blocks > 0 && self.head != NONE {
            let node = self.head;
            let Node { key, run, .. } = self.nodes[node as usize];
            if run > blocks {
                self.nodes[node as usize].run -= blocks;
                return;
            }
            blocks -= run.max(1);
            self.unlink(node);
            self.spare.push(node);
            if run == 0 {
                self.unname(node, key);
                evicted(key);
            }
        }
    }

    fn hold_node(&mut self, node: u32) {
        let refs = self.nodes[node as usize].refs;
        if refs == 0 {
            self.unlink(node);
            self.held += 1;
        }
        self.nodes[node as usize].refs = refs + 1;
    }

    fn new_node(&mut self, node: Node) -> u32 {
        match self.spare.pop() {
            Some(index) => {
                self.nodes[index as usize] = node;
                index
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn push(&mut self, node: u32) {
        let tail = self.tail;
        self.nodes[node as usize].previous = tail;
        self.nodes[node as usize].next = NONE;
        match tail {
            NONE => self.head = node,
            tail => self.nodes[tail as usize].next = node,
        }
        self.tail = node;
    }

    fn unlink(&mut self, node: u32) {
        let Node { next, previous, .. } = self.nodes[node as usize];
        match previous {
            NONE => self.head = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => self.nodes[next as usize].previous = previous,
        }
    }
}
