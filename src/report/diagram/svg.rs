//! A graph as SVG: one file, without scripts, fonts or anything from elsewhere.

use std::fmt::Write;

use super::graph::{Graph, Kind, Node, Way};
use super::layout::{Drawing, LABEL_LINE, LINE, PAD, Rect, SMALL, TEXT, TITLE, layout};

/// How it looks: dark ink on light paper, since that is what slides and printers want.
const STYLE: &str = "\
text{font-family:'DejaVu Sans',Verdana,Helvetica,Arial,sans-serif;fill:#1f2933}\
.box{stroke:#52606d;stroke-width:1.2}\
.clients{fill:#ffffff;stroke-dasharray:2 2}.gateway,.router{fill:#e3eefb}\
.pool{fill:#edf0f2}.calm{fill:#e0f2e6}.busy{fill:#fff1cf}.full{fill:#fbdcd9}\
.store{fill:#f1e8fb}.supply{fill:#fdf3e1}.desk{fill:#e3eefb}\
.frame{fill:none;stroke:#9aa5b1;stroke-width:1;stroke-dasharray:6 4}\
.line{fill:none;stroke:#3e4c59;stroke-width:1.4}.standby{stroke-dasharray:5 4}\
.data{stroke:#6b46a3}.small{font-size:11.5px}.name{font-size:13px;font-weight:bold}\
.title{font-size:20px;font-weight:bold}.head{font-size:11.5px;font-weight:bold;fill:#52606d}\
.note{font-size:11.5px;fill:#52606d}";

/// Loads from which a pool is drawn as busy, and as full.
const BUSY: f64 = 0.7;
const FULL: f64 = 0.9;

/// The graph as an SVG document.
pub fn svg(graph: &Graph) -> String {
    let drawing = layout(graph);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, graph, &drawing);
    out
}

fn write(out: &mut String, graph: &Graph, drawing: &Drawing) -> std::fmt::Result {
    let (width, height) = (drawing.width.ceil(), drawing.height.ceil());
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">"
    )?;
    let title = escaped(&graph.title);
    writeln!(out, "<title>{title}: the fleet</title>")?;
    writeln!(out, "<style>{STYLE}</style>")?;
    writeln!(out, "{MARKERS}")?;
    writeln!(
        out,
        "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"
    )?;
    text(out, "title", (18.0, 18.0 + TITLE * 0.8), &graph.title)?;
    for frame in &drawing.frames {
        rect(out, "frame", &frame.rect, 8.0)?;
        let at = (frame.rect.x + 12.0, frame.rect.y + 16.0);
        text(out, "head", at, &frame.name)?;
    }
    for path in &drawing.paths {
        line(out, graph.edges[path.edge].way, &path.points)?;
    }
    for (node, placed) in graph.nodes.iter().zip(&drawing.nodes) {
        node_box(out, node, &placed.rect)?;
    }
    for label in &drawing.labels {
        let mut y = label.rect.y + SMALL;
        for it in &label.lines {
            text(out, "small", (label.rect.x, y), it)?;
            y += LABEL_LINE;
        }
    }
    let mut y = drawing.notes_y;
    for note in &drawing.notes {
        text(out, "note", (18.0, y), note)?;
        y += LABEL_LINE;
    }
    writeln!(out, "</svg>")
}

/// Points of arrows, in the colours of lines.
const MARKERS: &str = "<defs>\
<marker id=\"point\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
orient=\"auto-start-reverse\"><path d=\"M0 0L10 5L0 10z\" fill=\"#3e4c59\"/></marker>\
<marker id=\"data\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
orient=\"auto-start-reverse\"><path d=\"M0 0L10 5L0 10z\" fill=\"#6b46a3\"/></marker></defs>";

fn line(out: &mut String, way: Way, points: &[(f64, f64)]) -> std::fmt::Result {
    let (class, marker) = match way {
        Way::Requests => ("line", "point"),
        Way::Standby => ("line standby", "point"),
        Way::Data | Way::Exchange => ("line data", "data"),
    };
    let points: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let both = match way {
        Way::Exchange => format!(" marker-start=\"url(#{marker})\""),
        _ => String::new(),
    };
    writeln!(
        out,
        "<polyline class=\"{class}\" points=\"{}\" marker-end=\"url(#{marker})\"{both}/>",
        points.join(" ")
    )
}

fn node_box(out: &mut String, node: &Node, at: &Rect) -> std::fmt::Result {
    let radius = match node.kind {
        Kind::Clients => at.h.min(36.0) / 2.0,
        Kind::Store => 14.0,
        _ => 4.0,
    };
    rect(out, &format!("box {}", class_of(node)), at, radius)?;
    let lines = node.lines.len() as f64 + 1.0;
    let mut y = at.y + (at.h - lines * LINE) / 2.0 + TEXT;
    text(out, "name", (at.x + PAD, y), &node.title)?;
    for it in &node.lines {
        y += LINE;
        text(out, "small", (at.x + PAD, y), it)?;
    }
    Ok(())
}

/// The class of a box: its kind, and of a pool how loaded it is.
pub(super) fn class_of(node: &Node) -> &'static str {
    match (node.kind, node.load) {
        (Kind::Clients, _) => "clients",
        (Kind::Gateway, _) => "gateway",
        (Kind::Router, _) => "router",
        (Kind::Store, _) => "store",
        (Kind::Supply, _) => "supply",
        (Kind::Desk, _) => "desk",
        (Kind::Pool, Some(load)) if load >= FULL => "full",
        (Kind::Pool, Some(load)) if load >= BUSY => "busy",
        (Kind::Pool, Some(_)) => "calm",
        (Kind::Pool, None) => "pool",
    }
}

fn rect(out: &mut String, class: &str, at: &Rect, radius: f64) -> std::fmt::Result {
    writeln!(
        out,
        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{radius:.0}\"/>",
        at.x, at.y, at.w, at.h
    )
}

fn text(out: &mut String, class: &str, (x, y): (f64, f64), words: &str) -> std::fmt::Result {
    writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
        escaped(words)
    )
}

/// A text as XML has it; control characters, which XML 1.0 does not know, become blanks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            it if it.is_control() => out.push(' '),
            it => out.push(it),
        }
    }
    out
}
