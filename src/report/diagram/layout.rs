//! Where everything is on the page.
//!
//! A layered layout whose layers are known: requests go from left to right. Within a lane each layer
//! is a stack of boxes. An edge over several layers gets a place in the stack of each layer between,
//! so that no line runs through a box. Between two layers there is first room for lines to fan out,
//! then a strip for labels: each is written above the end of its own line, and each box is high
//! enough for the labels of all lines that come to it. So no text meets another, by construction.

mod lines;
mod stack;

pub use self::lines::{Label, Path};
use self::stack::{Item, Stacks};
use super::graph::Graph;
use super::widths::{width, wrapped};

/// Font sizes, pixels.
pub(super) const TITLE: f64 = 20.0;
pub(super) const TEXT: f64 = 13.0;
pub(super) const SMALL: f64 = 11.5;
/// Height of a line of text in boxes, and of a label.
pub(super) const LINE: f64 = 17.0;
pub(super) const LABEL_LINE: f64 = 14.0;
/// Between a box's edge and its text.
pub(super) const PAD: f64 = 9.0;
/// Room for lines to fan out, and for the point of an arrow.
const FAN: f64 = 46.0;
const POINT: f64 = 24.0;
/// Around everything, and between a frame and what is in it.
const MARGIN: f64 = 18.0;
const FRAME: f64 = 12.0;
/// Between things one below the other.
const BELOW: f64 = 16.0;
/// Above what is in a frame, for its name.
const HEAD: f64 = 24.0;

/// A rectangle; `y` grows downwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

impl Rect {
    /// Whether two have any area in common.
    pub fn meets(&self, other: &Rect) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }
}

/// A box on the page, by the index of its node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedNode {
    /// Where.
    pub rect: Rect,
}

/// A frame around a lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Where.
    pub rect: Rect,
    /// Its name.
    pub name: String,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Width, pixels.
    pub width: f64,
    /// Height, pixels.
    pub height: f64,
    /// Boxes, in the order of the graph's nodes.
    pub nodes: Vec<PlacedNode>,
    /// Frames of named lanes.
    pub frames: Vec<Frame>,
    /// Lines, in the order of the graph's edges.
    pub paths: Vec<Path>,
    /// What is written on them.
    pub labels: Vec<Label>,
    /// The notes, line by line, and where the first is.
    pub notes: Vec<String>,
    /// The base line of the first note.
    pub notes_y: f64,
}

/// Columns: where each layer is.
struct Columns {
    /// Left edge and width, by place among the layers that have boxes.
    at: Vec<(f64, f64)>,
    /// The place of each layer.
    place: Vec<Option<usize>>,
}

impl Columns {
    fn of(graph: &Graph) -> Columns {
        let layers = graph.nodes.iter().map(|node| node.layer + 1).max();
        let mut widths = vec![None; layers.unwrap_or(0)];
        for (index, node) in graph.nodes.iter().enumerate() {
            let own = box_width(graph, index);
            let widest: &mut Option<f64> = &mut widths[node.layer];
            *widest = Some(widest.unwrap_or(0.0).max(own));
        }
        let mut labels = vec![0.0_f64; widths.len()];
        for edge in &graph.edges {
            let right = graph.nodes[edge.from].layer.max(graph.nodes[edge.to].layer);
            let lines = edge.label.iter();
            let widest = lines
                .map(|line| width(line, SMALL, false))
                .fold(0.0, f64::max);
            labels[right] = labels[right].max(widest);
        }
        let (mut at, mut place) = (Vec::new(), Vec::new());
        let mut x = MARGIN + FRAME;
        for (layer, widest) in widths.iter().enumerate() {
            place.push(widest.map(|_| at.len()));
            let Some(widest) = *widest else { continue };
            if !at.is_empty() {
                x += FAN + labels[layer] + POINT;
            }
            at.push((x, widest));
            x += widest;
        }
        Columns { at, place }
    }

    /// The place of a layer that has boxes.
    fn place(&self, layer: usize) -> usize {
        self.place.get(layer).copied().flatten().unwrap_or(0)
    }

    fn right(&self) -> f64 {
        self.at.last().map_or(0.0, |(x, w)| x + w) + FRAME + MARGIN
    }
}

/// The width that a node's own text asks for, and its lane's name where it comes first in its frame.
fn box_width(graph: &Graph, index: usize) -> f64 {
    let node = &graph.nodes[index];
    let lines = node.lines.iter().map(|line| width(line, SMALL, false));
    let text = lines.fold(width(&node.title, TEXT, true), f64::max) + 2.0 * PAD;
    let alike = graph
        .nodes
        .iter()
        .filter(|it| it.lane == node.lane && it.is_framed());
    let first = alike.map(|it| it.layer).min();
    let name = &graph.lanes[node.lane].name;
    match first == Some(node.layer) && node.is_framed() {
        true => text.max(width(name, SMALL, true)),
        false => text,
    }
}

/// Lays a graph out. A graph without nodes is an empty page with its title.
pub fn layout(graph: &Graph) -> Drawing {
    let columns = Columns::of(graph);
    let mut stacks = Stacks::of(graph, &columns);
    stacks.order(graph);
    let mut y = MARGIN + TITLE + BELOW;
    let mut frames = Vec::new();
    for (lane, it) in graph.lanes.iter().enumerate() {
        let (top, height) = stacks.place(lane, y + head_of(&it.name));
        if height == 0.0 {
            continue;
        }
        if !it.name.is_empty()
            && let Some((left, right)) = framed(graph, lane, &columns)
        {
            let rect = Rect {
                x: left - FRAME,
                y,
                w: right - left + 2.0 * FRAME,
                h: top + height + FRAME - y,
            };
            let name = it.name.clone();
            frames.push(Frame { rect, name });
        }
        y = top + height + FRAME + BELOW;
    }
    let page = columns
        .right()
        .max(width(&graph.title, TITLE, true) + 2.0 * MARGIN);
    let page = page.max(MOST_NARROW);
    let (paths, labels) = lines::draw(graph, &stacks, &columns);
    let notes: Vec<String> = graph
        .notes
        .iter()
        .flat_map(|note| wrapped(note, page - 2.0 * MARGIN, SMALL))
        .collect();
    let notes_y = y + SMALL;
    Drawing {
        width: page,
        height: notes_y + notes.len() as f64 * LABEL_LINE + MARGIN,
        nodes: (0..graph.nodes.len())
            .map(|node| PlacedNode {
                rect: stacks.rect(Item::Node(node), &columns),
            })
            .collect(),
        frames,
        paths,
        labels,
        notes,
        notes_y,
    }
}

/// No page is narrower, so that notes have room.
const MOST_NARROW: f64 = 560.0;

fn head_of(name: &str) -> f64 {
    match name.is_empty() {
        true => 0.0,
        false => HEAD,
    }
}

/// From where to where a lane's framed nodes are.
fn framed(graph: &Graph, lane: usize, columns: &Columns) -> Option<(f64, f64)> {
    let nodes = graph.nodes.iter();
    let layers = nodes
        .filter(|node| node.lane == lane && node.is_framed())
        .map(|node| columns.place(node.layer));
    let (first, last) = layers.fold((None, None), |(first, last), it: usize| {
        (
            Some(first.map_or(it, |first: usize| first.min(it))),
            Some(last.map_or(it, |last: usize| last.max(it))),
        )
    });
    let (left, _) = columns.at[first?];
    let (x, w) = columns.at[last?];
    Some((left, x + w))
}
