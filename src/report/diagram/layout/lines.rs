//! Lines between boxes, and what is written on them.

use super::stack::{Item, Stacks, ends, slot};
use super::{Columns, FAN, LABEL_LINE, POINT, Rect, SMALL};
use crate::report::diagram::graph::Graph;
use crate::report::diagram::widths::width;

/// A line, corner by corner, in the direction of its edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The edge, by its index.
    pub edge: usize,
    /// Corners.
    pub points: Vec<(f64, f64)>,
}

/// What is written on a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The edge, by its index.
    pub edge: usize,
    /// Where its lines are.
    pub rect: Rect,
    /// The lines.
    pub lines: Vec<String>,
}

/// Where edges leave and come to a box: offsets from its upper edge.
struct Ports {
    /// By edge: at the left end, which is the right side of a box.
    left: Vec<f64>,
    /// At the right end, which is the left side of a box.
    right: Vec<f64>,
}

pub(super) fn draw(graph: &Graph, stacks: &Stacks, columns: &Columns) -> (Vec<Path>, Vec<Label>) {
    let ports = Ports::of(graph, stacks, columns);
    let mut paths = Vec::new();
    let mut labels = Vec::new();
    for (index, edge) in graph.edges.iter().enumerate() {
        let mut points = points_of(
            stacks.way(index),
            stacks,
            columns,
            (ports.left[index], ports.right[index]),
        );
        let end = points.last().copied().unwrap_or_default();
        if !edge.label.is_empty() {
            let lines = edge.label.iter();
            let widest = lines
                .map(|line| width(line, SMALL, false))
                .fold(0.0, f64::max);
            let height = edge.label.len() as f64 * LABEL_LINE;
            labels.push(Label {
                edge: index,
                rect: Rect {
                    x: end.0 - POINT - widest,
                    y: end.1 - height - 2.0,
                    w: widest,
                    h: height,
                },
                lines: edge.label.clone(),
            });
        }
        if ends(graph, edge.from, edge.to).0 != edge.from {
            points.reverse();
        }
        paths.push(Path {
            edge: index,
            points,
        });
    }
    (paths, labels)
}

/// The corners of a line from left to right: it fans out behind each column, and is level from there
/// to the end of the next.
fn points_of(
    way: &[usize],
    stacks: &Stacks,
    columns: &Columns,
    (from, to): (f64, f64),
) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (step, index) in way.iter().enumerate() {
        let rect = stacks.rect_of(*index, columns);
        let level = match (step, stacks.item(*index)) {
            (0, _) => from,
            (_, Item::Node(_)) => to,
            (_, Item::Passing { .. }) => rect.y + rect.h / 2.0,
        };
        if step == 0 {
            points.push((rect.x + rect.w, level));
            continue;
        }
        if let Some((x, _)) = points.last().copied() {
            points.push((x + FAN, level));
        }
        let is_last = step + 1 == way.len();
        let x = match is_last {
            true => rect.x,
            false => rect.x + rect.w,
        };
        points.push((x, level));
    }
    points
}

impl Ports {
    fn of(graph: &Graph, stacks: &Stacks, columns: &Columns) -> Ports {
        let mut ports = Ports {
            left: vec![0.0; graph.edges.len()],
            right: vec![0.0; graph.edges.len()],
        };
        for node in 0..graph.nodes.len() {
            let rect = stacks.rect(Item::Node(node), columns);
            ports.share_right(graph, stacks, columns, (node, rect));
        }
        // Where lines begin depends on where they end.
        for node in 0..graph.nodes.len() {
            let rect = stacks.rect(Item::Node(node), columns);
            ports.share_left(graph, stacks, columns, (node, rect));
        }
        ports
    }

    /// Places on the left side of a box for the lines that end there, in the order of where they come
    /// from: each has room above it for its label.
    fn share_right(
        &mut self,
        graph: &Graph,
        stacks: &Stacks,
        columns: &Columns,
        (node, rect): (usize, Rect),
    ) {
        let mut coming: Vec<(f64, usize)> = Vec::new();
        for (index, edge) in graph.edges.iter().enumerate() {
            let way = stacks.way(index);
            if ends(graph, edge.from, edge.to).1 == node && way.len() >= 2 {
                let before = stacks.rect_of(way[way.len() - 2], columns);
                coming.push((before.y + before.h / 2.0, index));
            }
        }
        coming.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let all: f64 = coming
            .iter()
            .map(|(_, edge)| slot(&graph.edges[*edge].label))
            .sum();
        let mut y = rect.y + (rect.h - all) / 2.0;
        for (_, edge) in coming {
            let own = slot(&graph.edges[edge].label);
            y += own;
            self.right[edge] = match graph.edges[edge].label.is_empty() {
                true => y - own / 2.0,
                false => y - 4.0,
            };
        }
    }

    /// Places on the right side of a box for the lines that begin there: level with their ends where
    /// all of those are beside the box, else evenly.
    fn share_left(
        &mut self,
        graph: &Graph,
        stacks: &Stacks,
        columns: &Columns,
        (node, rect): (usize, Rect),
    ) {
        let mut going: Vec<(f64, usize)> = Vec::new();
        for (index, edge) in graph.edges.iter().enumerate() {
            let way = stacks.way(index);
            if ends(graph, edge.from, edge.to).0 == node && way.len() >= 2 {
                let next = match stacks.item(way[1]) {
                    Item::Node(_) => self.right[index],
                    Item::Passing { .. } => {
                        let next = stacks.rect_of(way[1], columns);
                        next.y + next.h / 2.0
                    }
                };
                going.push((next, index));
            }
        }
        going.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let beside = |y: f64| y > rect.y + 6.0 && y < rect.y + rect.h - 6.0;
        let level = going.iter().all(|(y, _)| beside(*y));
        let count = going.len() as f64;
        for (place, (y, edge)) in going.into_iter().enumerate() {
            self.left[edge] = match level {
                true => y,
                false => rect.y + rect.h * (place as f64 + 1.0) / (count + 1.0),
            };
        }
    }
}
