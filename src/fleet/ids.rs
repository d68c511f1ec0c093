//! Identifiers: newtypes into slot vectors.

/// What is in flight: a slot and the generation that tells it from the slot's earlier tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId {
    /// Slot in the slab.
    pub slot: u32,
    /// How many tenants lived in the slot before.
    pub generation: u32,
}

/// A request at the fleet: one try of a call.
pub type RequestId = SlotId;

/// A call: what a client wants, however often it tries.
pub type CallId = SlotId;

/// A replica, by its index over all pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u32);

/// A pool, by its index in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u16);

/// "No slot", in links.
pub const NONE: u32 = u32::MAX;
