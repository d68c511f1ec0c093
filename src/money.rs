//! What the fleet costs: prices, bills in whole nano-dollars, energy.
//!
//! Everything here is a pure function of its arguments. [`book`] knows what things cost, [`bill`] adds up
//! what was used, [`energy`] turns busy and idle time into kWh and CO2.

pub mod bill;
pub mod book;
pub mod energy;
