//! The fleet as a picture: who sends what to whom, at which rate, and how much each part can take.
//!
//! [`graph`] makes a [`Graph`] of a plan, and of its result where it was run; [`svg`], [`mermaid`]
//! and [`text`] draw it. All three draw the same graph, so that none says more than another.
//!
//! Layers go from left to right as requests do: clients, gateways, routers, the pools that take
//! requests from routers, the pools that take them over, and what stands behind them (stores, nodes
//! that are bought). Regions are lanes, one below the other.

mod build;
mod graph;
mod layout;
mod mermaid;
mod svg;
mod text;
mod widths;

pub use self::build::graph;
pub use self::graph::{Edge, Graph, Kind, Lane, Node, Way};
pub use self::layout::{Drawing, Label, PlacedNode, Rect, layout};
pub use self::mermaid::mermaid;
pub use self::svg::svg;
pub use self::text::text;
pub use self::widths::width as text_width;
