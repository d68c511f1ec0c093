//! Reports: the terminal page of a run, the page for a browser, charts for slides, and tables of
//! requests.

pub mod audit;
pub mod chart;
pub mod columns;
pub mod faults;
pub mod html;
pub mod number;
pub mod page;
pub mod requests;
pub mod sheets;
pub mod still;
pub mod sweep;
pub mod terminal;
