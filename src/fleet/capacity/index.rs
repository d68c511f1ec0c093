//! The nodes of a group by where they are in their lives, so that nobody walks all its places.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::engine::SimTime;

use super::node::{Node, Phase};

/// The places of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Those without a node.
    free: BTreeSet<u32>,
    /// Those with one.
    present: BTreeSet<u32>,
    /// Nodes that are ready or will be, and are not on their way out: those that are ready first,
    /// then by when they were asked for.
    held: BTreeSet<(bool, SimTime, u32)>,
    /// Those of them that are ready.
    ready: u32,
}

impl Index {
    /// All places free.
    pub fn new(places: Range<u32>) -> Index {
        Index {
            free: places.collect(),
            ..Index::default()
        }
    }

    /// What is known of a place, forgotten.
    pub fn forget(&mut self, slot: u32, node: &Node) {
        self.free.remove(&slot);
        self.present.remove(&slot);
        if let Some(key) = key_of(slot, node) {
            self.held.remove(&key);
            self.ready -= u32::from(node.phase == Phase::Ready);
        }
    }

    /// What is so of a place from now on.
    pub fn learn(&mut self, slot: u32, node: &Node) {
        match node.phase {
            Phase::Gone => self.free.insert(slot),
            _ => self.present.insert(slot),
        };
        if let Some(key) = key_of(slot, node) {
            self.held.insert(key);
            self.ready += u32::from(node.phase == Phase::Ready);
        }
    }

    /// The first place without a node.
    pub fn free_place(&self) -> Option<u32> {
        self.free.first().copied()
    }

    /// Nodes that there are, in whatever state.
    pub fn present(&self) -> &BTreeSet<u32> {
        &self.present
    }

    /// Nodes that are ready or will be, and are not on their way out.
    pub fn held(&self) -> u32 {
        self.held.len() as u32
    }

    /// Those of them that are ready.
    pub fn ready(&self) -> u32 {
        self.ready
    }

    /// Whom the group can do without best: who is not ready yet, then who came last.
    pub fn first_to_go(&self) -> Option<u32> {
        self.held.last().map(|(_, _, slot)| *slot)
    }
}

fn key_of(slot: u32, node: &Node) -> Option<(bool, SimTime, u32)> {
    let stays = matches!(node.phase, Phase::Starting | Phase::Ready) && !node.leaving;
    stays.then_some((node.phase == Phase::Starting, node.requested, slot))
}
