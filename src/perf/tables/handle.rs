//! Tables that come with the program, or were loaded.

use std::ops::Deref;
use std::sync::Arc;

use super::KernelTables;

/// Some tables, whoever holds them.
#[derive(Debug, Clone)]
pub(crate) enum TablesHandle {
    /// Those that come with the program live as long as it.
    Shipped(&'static KernelTables),
    /// Those loaded live as long as the step models that read them.
    Loaded(Arc<KernelTables>),
}

impl Deref for TablesHandle {
    type Target = KernelTables;

    fn deref(&self) -> &KernelTables {
        match self {
            Self::Shipped(tables) => tables,
            Self::Loaded(tables) => tables,
        }
    }
}
