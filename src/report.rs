//! Reports: the terminal page of a run, and tables of requests.

pub mod audit;
pub mod faults;
pub mod number;
pub mod requests;
pub mod sheets;
pub mod terminal;
