//! Identifiers: newtypes into slot vectors.

/// A request in flight: a slot and the generation that tells it from the slot's earlier tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Slot in the slab.
    pub slot: u32,
    /// How many requests lived in the slot before.
    pub generation: u32,
}

/// A replica, by its index over all pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u32);

/// A pool, by its index in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u16);

/// "No slot", in links.
pub const NONE: u32 = u32::MAX;
