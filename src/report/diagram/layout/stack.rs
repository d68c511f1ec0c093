//! Boxes of a lane and layer, one below the other, and room for the lines that pass between them.

use super::{BELOW, Columns, LABEL_LINE, LINE, PAD, Rect};
use crate::report::diagram::graph::Graph;

/// Height of the place of a line that passes.
const PASSING: f64 = 14.0;
/// Height of the place of a line without a label.
const BARE: f64 = 10.0;
/// Sweeps that put neighbours side by side. More changes nothing in fleets.
const SWEEPS: usize = 4;

/// What has a place in a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// A box.
    Node(usize),
    /// An edge on its way through a column.
    Passing {
        /// The edge.
        edge: usize,
        /// The column.
        column: usize,
    },
}

struct Placed {
    item: Item,
    lane: usize,
    column: usize,
    height: f64,
    y: f64,
}

/// All stacks.
pub(super) struct Stacks {
    items: Vec<Placed>,
    /// By edge: the items that it goes through, from left to right.
    ways: Vec<Vec<usize>>,
    columns: usize,
}

impl Stacks {
    pub(super) fn of(graph: &Graph, columns: &Columns) -> Stacks {
        let mut stacks = Stacks {
            items: Vec::new(),
            ways: Vec::new(),
            columns: columns.at.len(),
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            stacks.items.push(Placed {
                item: Item::Node(index),
                lane: node.lane,
                column: columns.place(node.layer),
                height: height_of(graph, index),
                y: 0.0,
            });
        }
        for (index, edge) in graph.edges.iter().enumerate() {
            let (left, right) = ends(graph, edge.from, edge.to);
            let mut way = vec![left];
            let lane = graph.nodes[right].lane;
            let between = stacks.items[left].column + 1..stacks.items[right].column;
            for column in between {
                way.push(stacks.items.len());
                stacks.items.push(Placed {
                    item: Item::Passing {
                        edge: index,
                        column,
                    },
                    lane,
                    column,
                    height: PASSING,
                    y: 0.0,
                });
            }
            way.push(right);
            stacks.ways.push(way);
        }
        stacks
    }

    /// The items that an edge goes through, from left to right.
    pub(super) fn way(&self, edge: usize) -> &[usize] {
        &self.ways[edge]
    }

    pub(super) fn item(&self, index: usize) -> Item {
        self.items[index].item
    }

    /// Where an item by its index is.
    pub(super) fn rect_of(&self, index: usize, columns: &Columns) -> Rect {
        let it = &self.items[index];
        let (x, w) = columns.at[it.column];
        Rect {
            x,
            y: it.y,
            w,
            h: it.height,
        }
    }

    pub(super) fn rect(&self, item: Item, columns: &Columns) -> Rect {
        let found = self.items.iter().position(|it| it.item == item);
        self.rect_of(found.unwrap_or(0), columns)
    }

    fn stack(&self, lane: usize, column: usize) -> Vec<usize> {
        let all = self.items.iter().enumerate();
        all.filter(|(_, it)| it.lane == lane && it.column == column)
            .map(|(index, _)| index)
            .collect()
    }

    /// Puts the items of each stack in the order of what they are joined with on the left, then on the
    /// right, and so on: lines then cross less.
    pub(super) fn order(&mut self, graph: &Graph) {
        let lanes = graph.lanes.len();
        self.preliminary(lanes);
        for sweep in 0..SWEEPS {
            let to_right = sweep % 2 == 0;
            for step in 0..self.columns {
                let column = match to_right {
                    true => step,
                    false => self.columns - 1 - step,
                };
                for lane in 0..lanes {
                    self.order_stack(lane, column, to_right);
                }
            }
        }
    }

    /// Places by which to compare: items in the order of lanes and stacks.
    fn preliminary(&mut self, lanes: usize) {
        for column in 0..self.columns {
            let mut y = 0.0;
            for lane in 0..lanes {
                for index in self.stack(lane, column) {
                    self.items[index].y = y;
                    y += 1.0;
                }
            }
        }
    }

    fn order_stack(&mut self, lane: usize, column: usize, from_left: bool) {
        let stack = self.stack(lane, column);
        let slots: Vec<f64> = {
            let mut slots: Vec<f64> = stack.iter().map(|index| self.items[*index].y).collect();
            slots.sort_by(f64::total_cmp);
            slots
        };
        let mut keyed: Vec<(f64, usize)> = stack
            .iter()
            .map(|index| (self.pull(*index, from_left), *index))
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for ((_, index), y) in keyed.into_iter().zip(slots) {
            self.items[index].y = y;
        }
    }

    /// The mean place of what an item is joined with on one side; its own where that is nothing.
    fn pull(&self, index: usize, from_left: bool) -> f64 {
        let (mut sum, mut joined) = (0.0, 0.0);
        for way in &self.ways {
            for pair in way.windows(2) {
                let (own, other) = match from_left {
                    true => (pair[1], pair[0]),
                    false => (pair[0], pair[1]),
                };
                if own == index {
                    sum += self.items[other].y;
                    joined += 1.0;
                }
            }
        }
        match joined > 0.0 {
            true => sum / joined,
            false => self.items[index].y,
        }
    }

    /// Places the stacks of a lane below `top`; says where they begin and how high the highest is, 0
    /// where there is nothing.
    pub(super) fn place(&mut self, lane: usize, top: f64) -> (f64, f64) {
        let stacks: Vec<Vec<usize>> = (0..self.columns)
            .map(|column| {
                let mut stack = self.stack(lane, column);
                stack.sort_by(|a, b| self.items[*a].y.total_cmp(&self.items[*b].y));
                stack
            })
            .collect();
        let height = |stack: &Vec<usize>| -> f64 {
            let own: f64 = stack.iter().map(|index| self.items[*index].height).sum();
            own + BELOW * (stack.len().saturating_sub(1)) as f64
        };
        let highest = stacks.iter().map(height).fold(0.0, f64::max);
        let tops: Vec<f64> = stacks
            .iter()
            .map(|stack| top + (highest - height(stack)) / 2.0)
            .collect();
        for (stack, mut y) in stacks.into_iter().zip(tops) {
            for index in stack {
                self.items[index].y = y;
                y += self.items[index].height + BELOW;
            }
        }
        (top, highest)
    }
}

/// The nodes at the ends of an edge, from left to right.
pub(super) fn ends(graph: &Graph, from: usize, to: usize) -> (usize, usize) {
    match graph.nodes[from].layer <= graph.nodes[to].layer {
        true => (from, to),
        false => (to, from),
    }
}

/// Height that a label takes above its line, and a line without one.
pub(super) fn slot(label: &[String]) -> f64 {
    match label.len() {
        0 => BARE,
        lines => lines as f64 * LABEL_LINE + 8.0,
    }
}

/// How high a box must be for its text, and for the labels of the lines that come to its left side.
fn height_of(graph: &Graph, index: usize) -> f64 {
    let node = &graph.nodes[index];
    let text = LINE * (node.lines.len() as f64 + 1.0) + 2.0 * PAD;
    let edges = graph.edges.iter();
    let left = edges.filter(|edge| ends(graph, edge.from, edge.to).1 == index);
    let labels: f64 = left.map(|edge| slot(&edge.label)).sum();
    let right = graph.edges.iter();
    let right = right.filter(|edge| ends(graph, edge.from, edge.to).0 == index);
    text.max(labels + PAD).max(right.count() as f64 * BARE)
}
