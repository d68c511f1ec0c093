//! A graph as Mermaid, for pages that draw it themselves.

use std::fmt::Write;

use super::graph::{Edge, Graph, Kind, Node, Way};
use super::svg::class_of;

/// How boxes look, by class.
const CLASSES: [(&str, &str); 9] = [
    ("clients", "fill:#ffffff,stroke:#52606d,stroke-dasharray:2"),
    ("gateway", "fill:#e3eefb,stroke:#52606d"),
    ("router", "fill:#e3eefb,stroke:#52606d"),
    ("pool", "fill:#edf0f2,stroke:#52606d"),
    ("calm", "fill:#e0f2e6,stroke:#52606d"),
    ("busy", "fill:#fff1cf,stroke:#52606d"),
    ("full", "fill:#fbdcd9,stroke:#52606d"),
    ("store", "fill:#f1e8fb,stroke:#52606d"),
    ("supply", "fill:#fdf3e1,stroke:#52606d"),
];

/// The graph as a Mermaid flowchart.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, graph);
    out
}

fn write(out: &mut String, graph: &Graph) -> std::fmt::Result {
    for note in &graph.notes {
        writeln!(out, "%% {}", comment(note))?;
    }
    writeln!(out, "flowchart LR")?;
    for (index, node) in graph.nodes.iter().enumerate() {
        if !node.is_framed() || graph.lanes[node.lane].name.is_empty() {
            writeln!(out, "    {}", node_text(index, node))?;
        }
    }
    for (lane, it) in graph
        .lanes
        .iter()
        .enumerate()
        .filter(|(_, it)| !it.name.is_empty())
    {
        writeln!(out, "    subgraph lane{lane}[\"{}\"]", quoted(&it.name))?;
        for (index, node) in graph.nodes.iter().enumerate() {
            if node.lane == lane && node.is_framed() {
                writeln!(out, "        {}", node_text(index, node))?;
            }
        }
        writeln!(out, "    end")?;
    }
    for edge in &graph.edges {
        writeln!(out, "    {}", edge_text(edge))?;
    }
    for (class, style) in CLASSES {
        writeln!(out, "    classDef {class} {style}")?;
    }
    Ok(())
}

fn node_text(index: usize, node: &Node) -> String {
    let lines: Vec<String> = std::iter::once(&node.title)
        .chain(&node.lines)
        .map(|line| quoted(line))
        .collect();
    let words = lines.join("<br/>");
    let class = match class_of(node) {
        "desk" => "gateway",
        class => class,
    };
    let shape = match node.kind {
        Kind::Clients => format!("([\"{words}\"])"),
        Kind::Store => format!("[(\"{words}\")]"),
        _ => format!("[\"{words}\"]"),
    };
    format!("n{index}{shape}:::{class}")
}

fn edge_text(edge: &Edge) -> String {
    let arrow = match edge.way {
        Way::Requests | Way::Data => "-->",
        Way::Standby => "-.->",
        Way::Exchange => "<-->",
    };
    let lines: Vec<String> = edge.label.iter().map(|line| quoted(line)).collect();
    match lines.is_empty() {
        true => format!("n{} {arrow} n{}", edge.from, edge.to),
        false => format!(
            "n{} {arrow}|\"{}\"| n{}",
            edge.from,
            lines.join("<br/>"),
            edge.to
        ),
    }
}

/// A text between quotes: what would end it, or begin markup, by its number.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | ';' => {
                out.push_str(&format!("#{};", u32::from(it)));
            }
            it if it.is_control() => out.push(' '),
            it => out.push(it),
        }
    }
    out
}

/// A text that stays a comment: on one line, and no directive.
fn comment(text: &str) -> String {
    let plain = text.chars().map(|it| match it {
        '{' => '(',
        '}' => ')',
        it if it.is_control() => ' ',
        it => it,
    });
    plain.collect()
}
