//! Reports: the terminal page of a run, the page for a browser, charts for slides, and tables of
//! requests.

pub mod audit;
pub mod chart;
pub mod columns;
pub mod diagram;
pub mod faults;
pub mod html;
pub mod number;
pub mod page;
pub mod perfetto;
pub mod requests;
pub mod series;
pub mod sheets;
pub mod still;
pub mod sweep;
pub mod terminal;
pub mod ticks;
