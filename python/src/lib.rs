//! What Python calls: runs, estimates and sweeps, without the interpreter's lock while they last.
//!
//! Documents go to Python as JSON text. Signals that Python has a handler for, such as Ctrl-C, are
//! answered within a tenth of a second.

mod error;
mod interrupt;
mod scenario;
mod sweep;
mod worker;

/// `seatrial._native`.
#[pyo3::pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::scenario::{estimate, run};
    #[pymodule_export]
    use crate::sweep::{Part, Sweep, merge};
    #[pymodule_export]
    use crate::worker::Worker;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("SOURCES", seatrial::experiment::sweep::identity::SOURCES)
    }
}
