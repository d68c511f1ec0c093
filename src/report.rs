//! Reports: the terminal page of a run, and tables of requests.

pub mod audit;
pub mod columns;
pub mod diagram;
pub mod faults;
pub mod number;
pub mod perfetto;
pub mod requests;
pub mod series;
pub mod sheets;
pub mod sweep;
pub mod terminal;
