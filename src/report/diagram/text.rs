//! A graph as plain text, within the columns of a terminal: a tree that follows the arrows.

use super::graph::{Graph, Kind, Way};
use crate::report::number::{WIDTH, wrap};

/// Blanks for each step into the tree.
const STEP: usize = 3;
/// Beyond this depth lines would have no room.
const DEEPEST: usize = 12;

struct Tree<'a> {
    graph: &'a Graph,
    drawn: Vec<bool>,
    lines: Vec<String>,
}

/// The graph as text of 100 columns at most; its last line is ended.
pub fn text(graph: &Graph) -> String {
    let mut tree = Tree {
        graph,
        drawn: vec![false; graph.nodes.len()],
        lines: vec![graph.title.clone()],
    };
    let comes_from = |node: usize| graph.edges.iter().any(|edge| edge.to == node);
    let sources = (0..graph.nodes.len()).filter(|node| !comes_from(*node));
    let (first, behind): (Vec<usize>, Vec<usize>) =
        sources.partition(|node| graph.nodes[*node].kind != Kind::Supply);
    for node in first.into_iter().chain(behind) {
        tree.root(node);
    }
    // Those of a circle that nothing outside leads to.
    for node in 0..graph.nodes.len() {
        if !tree.drawn[node] {
            tree.root(node);
        }
    }
    tree.lines.push(String::new());
    for note in &graph.notes {
        tree.lines.push(wrap(note, WIDTH, 0));
    }
    let mut out = tree.lines.join("\n");
    out.push('\n');
    out
}

impl Tree<'_> {
    fn root(&mut self, node: usize) {
        self.lines.push(String::new());
        let has_more = self.has_edges(node);
        let words = self.words_of(node);
        self.write("", if has_more { "│  " } else { "   " }, &words);
        self.below(node, "", 1);
    }

    fn has_edges(&self, node: usize) -> bool {
        self.graph.edges.iter().any(|edge| edge.from == node)
    }

    fn below(&mut self, node: usize, indent: &str, depth: usize) {
        self.drawn[node] = true;
        let edges: Vec<usize> = (0..self.graph.edges.len())
            .filter(|edge| self.graph.edges[*edge].from == node)
            .collect();
        for (place, &index) in edges.iter().enumerate() {
            let edge = &self.graph.edges[index];
            let is_last = place + 1 == edges.len();
            let branch = if is_last { "└" } else { "├" };
            let (dash, point) = match edge.way {
                Way::Requests | Way::Data => ("─", "─>"),
                Way::Standby => ("╌", "╌>"),
                Way::Exchange => ("<─", "─>"),
            };
            let label = match edge.label.is_empty() {
                true => String::new(),
                false => format!("{} ", edge.label.join(", ")),
            };
            let goes_on = !self.drawn[edge.to] && depth < DEEPEST;
            let target = match goes_on {
                true => self.words_of(edge.to),
                false => format!("{} (above)", self.name_of(edge.to)),
            };
            let words = format!("{branch}{dash} {label}{point} {target}");
            let follow = format!(
                "{indent}{}{}",
                if is_last { " " } else { "│" },
                " ".repeat(STEP - 1)
            );
            let deeper = goes_on && self.has_edges(edge.to);
            let hanging = format!("{follow}{}", if deeper { "│  " } else { "   " });
            self.write(indent, &hanging, &words);
            if goes_on {
                let to = edge.to;
                self.below(to, &follow, depth + 1);
            }
        }
    }

    /// Writes words behind an indent, and what does not fit behind another.
    fn write(&mut self, indent: &str, hanging: &str, words: &str) {
        let room = WIDTH.saturating_sub(hanging.chars().count()).max(20);
        let mut lead = indent.to_owned();
        for line in wrap(words, room, 0).lines() {
            self.lines
                .push(format!("{lead}{line}").trim_end().to_owned());
            hanging.clone_into(&mut lead);
        }
    }

    /// The name of a node, with its region where the name alone says little.
    fn name_of(&self, node: usize) -> String {
        let it = &self.graph.nodes[node];
        let lane = &self.graph.lanes[it.lane].name;
        match (it.kind, lane.strip_prefix("region ")) {
            (Kind::Gateway | Kind::Router | Kind::Store, Some(region)) => {
                format!("{} of {region}", it.title)
            }
            _ => it.title.clone(),
        }
    }

    fn words_of(&self, node: usize) -> String {
        let it = &self.graph.nodes[node];
        let mut words = self.name_of(node);
        if !it.lines.is_empty() {
            words.push_str(": ");
            words.push_str(&it.lines.join(", "));
        }
        words
    }
}
