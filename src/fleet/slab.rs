//! Things in flight, in slots that are reused: memory follows what is in flight.

use super::ids::SlotId;

/// Tenants of slots. A slot's next tenant has another generation, so that whoever asks for the
/// former one by its identifier is told that it has gone.
#[derive(Debug, Clone)]
pub struct Slab<T> {
    slots: Vec<T>,
    generations: Vec<u32>,
    free: Vec<u32>,
    most: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            slots: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            most: 0,
        }
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tenants there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most there ever were at once.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Takes a tenant in.
    #[inline]
    pub fn insert(&mut self, tenant: T) -> SlotId {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = tenant;
                slot
            }
            None => {
                self.slots.push(tenant);
                self.generations.push(0);
                (self.slots.len() - 1) as u32
            }
        };
        self.most = self.most.max(self.len());
        SlotId {
            slot,
            generation: self.generations[slot as usize],
        }
    }

    /// Lets a tenant go; its slot's next tenant has another generation.
    pub fn remove(&mut self, slot: u32) {
        let generation = &mut self.generations[slot as usize];
        *generation = generation.wrapping_add(1);
        self.free.push(slot);
    }

    /// The identifier of the present tenant of a slot.
    pub fn id(&self, slot: u32) -> SlotId {
        SlotId {
            slot,
            generation: self.generations[slot as usize],
        }
    }

    /// The slot of a tenant that is still there.
    pub fn live_slot(&self, id: SlotId) -> Option<u32> {
        (self.generations.get(id.slot as usize) == Some(&id.generation)).then_some(id.slot)
    }

    /// All slots with a tenant, rising. Looks at every slot: for what is rare.
    pub fn live_slots(&self) -> impl Iterator<Item = u32> + use<T> {
        let mut free = vec![false; self.slots.len()];
        for &slot in &self.free {
            free[slot as usize] = true;
        }
        let slots = (0_u32..).zip(free);
        slots.filter(|(_, free)| !free).map(|(slot, _)| slot)
    }

    /// All tenants, in no particular order. Looks at every slot: for the end of a run.
    pub fn live(&self) -> impl Iterator<Item = &T> {
        self.live_slots().map(|slot| self.at(slot))
    }

    /// The tenant of a slot.
    #[inline]
    pub fn at(&self, slot: u32) -> &T {
        &self.slots[slot as usize]
    }

    /// The tenant of a slot, to change.
    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize]
    }
}
