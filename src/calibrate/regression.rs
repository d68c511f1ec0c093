//! Robust least squares with bounds, and what its estimates are worth.
//!
//! [`nnls`] solves non-negative least squares, [`robust`] says what errors cost and puts weights on
//! rows so that wild ones do not lead, [`problem`] solves linear problems with them, [`identifiability`]
//! says which unknowns the rows cannot tell apart, and [`bootstrap`] how far the estimates move when
//! other rows had been measured.

pub mod bootstrap;
pub mod identifiability;
pub mod nnls;
pub mod problem;
pub mod robust;
