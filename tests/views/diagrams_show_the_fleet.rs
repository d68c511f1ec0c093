//! Diagrams: every shipped experiment fits one page, no text meets another, and the same graph is
//! drawn as SVG, as Mermaid and as text.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use seatrial::experiment::runner::{Control, run_plan};
use seatrial::report::diagram::{
    Drawing, Graph, Kind, Rect, Way, graph, layout, mermaid, svg, text, text_width,
};
use seatrial::scenario::resolve::{Plan, resolve};
use seatrial::scenario::{Document, SourceText};

/// A page of A4 in landscape with margins of 10 mm, millimetres.
const PAGE_MM: (f64, f64) = (277.0, 190.0);
/// The least height of small letters that is read without effort, millimetres: 5 points.
const LEAST_FONT_MM: f64 = 1.76;
/// The small font of a drawing, pixels.
const SMALL_PX: f64 = 11.5;

fn experiments() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() > 20);
    paths
}

fn plan_of_file(path: &Path) -> Plan {
    let document = Document::parse(SourceText::load(path).unwrap()).unwrap();
    resolve(&document, path.parent().unwrap()).unwrap()
}

fn plan_of(text: &str) -> Plan {
    let document = Document::parse(SourceText::new("test.toml", text)).unwrap();
    resolve(&document, Path::new("")).unwrap_or_else(|error| panic!("{error}"))
}

/// The shipped experiments as graphs: reading their traces takes a while, so that tests share them.
fn graphs() -> &'static [(String, Graph)] {
    static GRAPHS: OnceLock<Vec<(String, Graph)>> = OnceLock::new();
    GRAPHS.get_or_init(|| {
        let paths = experiments().into_iter();
        paths
            .map(|path| {
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                (name, graph(&plan_of_file(&path), None))
            })
            .collect()
    })
}

/// Where text is, and what it says: read from the SVG itself, so that what is checked is what is
/// written.
fn texts(svg: &str) -> Vec<(Rect, String)> {
    let mut found = Vec::new();
    for line in svg.lines().filter(|line| line.starts_with("<text")) {
        let attribute = |name: &str| -> String {
            let from = line.split(&format!(" {name}=\"")).nth(1).unwrap();
            from.split('"').next().unwrap().to_owned()
        };
        let words = line.split('>').nth(1).unwrap().split('<').next().unwrap();
        let class = attribute("class");
        let size = match class.as_str() {
            "title" => 20.0,
            "name" => 13.0,
            _ => SMALL_PX,
        };
        let plain = words
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"");
        let plain = plain.replace("&amp;", "&");
        let bold = ["title", "name", "head"].contains(&class.as_str());
        let (x, y): (f64, f64) = (
            attribute("x").parse().unwrap(),
            attribute("y").parse().unwrap(),
        );
        let width = text_width(&plain, size, bold);
        let rect = Rect {
            x,
            y: y - 0.78 * size,
            w: width,
            h: size,
        };
        found.push((rect, words.to_owned()));
    }
    found
}

fn inside(inner: &Rect, outer: &Rect) -> bool {
    inner.x >= outer.x - 0.01
        && inner.y >= outer.y - 0.01
        && inner.x + inner.w <= outer.x + outer.w + 0.01
        && inner.y + inner.h <= outer.y + outer.h + 0.01
}

/// Whether a line from `a` to `b` passes through a rectangle: it is cut up into small steps.
fn crosses(a: (f64, f64), b: (f64, f64), rect: &Rect) -> bool {
    let steps = ((b.0 - a.0).abs().max((b.1 - a.1).abs()) as usize).max(1);
    (0..=steps).any(|step| {
        let share = step as f64 / steps as f64;
        let (x, y) = (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share);
        x > rect.x && x < rect.x + rect.w && y > rect.y && y < rect.y + rect.h
    })
}

#[track_caller]
fn check_boxes(name: &str, graph: &Graph, drawing: &Drawing) {
    let nodes: Vec<Rect> = drawing.nodes.iter().map(|it| it.rect).collect();
    let labels: Vec<Rect> = drawing.labels.iter().map(|it| it.rect).collect();
    for (index, rect) in nodes.iter().enumerate() {
        for other in &nodes[index + 1..] {
            assert!(!rect.meets(other), "{name}: boxes meet: {rect:?} {other:?}");
        }
        for label in &labels {
            assert!(!rect.meets(label), "{name}: a label is on a box: {label:?}");
        }
    }
    for (index, label) in labels.iter().enumerate() {
        for other in &labels[index + 1..] {
            assert!(
                !label.meets(other),
                "{name}: labels meet: {label:?} {other:?}"
            );
        }
        for path in &drawing.paths {
            for pair in path.points.windows(2) {
                assert!(
                    !crosses(pair[0], pair[1], label),
                    "{name}: a line runs through the label {:?}",
                    drawing.labels[index].lines
                );
            }
        }
    }
    for path in &drawing.paths {
        let edge = &graph.edges[path.edge];
        for (node, rect) in nodes
            .iter()
            .enumerate()
            .filter(|(it, _)| *it != edge.from && *it != edge.to)
        {
            for pair in path.points.windows(2) {
                let title = &graph.nodes[node].title;
                assert!(
                    !crosses(pair[0], pair[1], rect),
                    "{name}: a line runs through {title}"
                );
            }
        }
    }
}

#[test]
fn no_text_meets_another_in_any_experiment() {
    for (name, graph) in graphs() {
        let drawing = layout(graph);
        check_boxes(name, graph, &drawing);
        let page = Rect {
            x: 0.0,
            y: 0.0,
            w: drawing.width.ceil(),
            h: drawing.height.ceil(),
        };
        let texts = texts(&svg(graph));
        assert!(texts.len() > graph.nodes.len(), "{name}");
        for (index, (rect, words)) in texts.iter().enumerate() {
            assert!(inside(rect, &page), "{name}: {words:?} leaves the page");
            for (other, more) in &texts[index + 1..] {
                assert!(!rect.meets(other), "{name}: {words:?} meets {more:?}");
            }
        }
        // What is written in a box keeps within it.
        for (node, placed) in graph.nodes.iter().zip(&drawing.nodes) {
            let own = texts.iter().filter(|(rect, _)| rect.meets(&placed.rect));
            for (rect, words) in own {
                assert!(
                    inside(rect, &placed.rect),
                    "{name}: {words:?} leaves its box"
                );
            }
            assert!(
                texts.iter().any(|(rect, _)| inside(rect, &placed.rect)),
                "{}",
                node.title
            );
        }
    }
}

#[test]
fn every_experiment_fits_one_page() {
    for (name, graph) in graphs() {
        let drawing = layout(graph);
        let scale = (PAGE_MM.0 / drawing.width).min(PAGE_MM.1 / drawing.height);
        let font = scale * SMALL_PX;
        assert!(
            font >= LEAST_FONT_MM,
            "{name}: {} x {} pixels leave letters of {font:.2} mm on a page",
            drawing.width,
            drawing.height
        );
    }
}

#[test]
fn text_fits_a_terminal_and_names_every_part() {
    for (name, graph) in graphs() {
        let page = text(graph);
        for line in page.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
            assert_eq!(line, line.trim_end(), "{name}");
        }
        // Lines are broken at blanks: compare words.
        let words = |text: &str| -> String {
            let plain = text.replace(['│', '├', '└', '─', '╌'], " ");
            plain.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let all = words(&page);
        for node in &graph.nodes {
            assert!(
                all.contains(&words(&node.title)),
                "{name}: no {}",
                node.title
            );
        }
        for edge in &graph.edges {
            for line in &edge.label {
                assert!(all.contains(&words(line)), "{name}: no {line:?} in\n{page}");
            }
        }
    }
}

const REGIONS: &str = r#"
name = "two"
[run]
horizon_s = 60
[workload]
arrivals = { process = "poisson", rate_per_s = 30 }
[network]
rtt_ms = { "a/b" = 80 }
[locality]
policy = "failover"
[[regions]]
name = "a"
[[regions]]
name = "b"
gateways = 2
[[populations]]
name = "near-a"
region = "a"
share = 2
[[populations]]
name = "near-b"
region = "b"
[[pools]]
name = "pa"
engine = "abstract"
region = "a"
replicas = 3
servers = 2
service = { law = "exponential", mean_ms = 100 }
[[pools]]
name = "pb"
engine = "abstract"
region = "b"
replicas = 2
servers = 2
service = { law = "exponential", mean_ms = 100 }
"#;

fn label_between(graph: &Graph, from: (Kind, usize), to: (Kind, usize)) -> (String, Way) {
    let is = |node: usize, (kind, lane): (Kind, usize)| {
        graph.nodes[node].kind == kind && graph.nodes[node].lane == lane
    };
    let mut edges = graph.edges.iter();
    let found = edges.find(|edge| is(edge.from, from) && is(edge.to, to));
    let found = found.unwrap_or_else(|| panic!("no arrow from {from:?} to {to:?}"));
    (found.label.join("; "), found.way)
}

#[test]
fn rates_and_capacities_are_on_the_arrows() {
    let graph = graph(&plan_of(REGIONS), None);
    let between = |from, to| label_between(&graph, from, to);
    let (clients, way) = between((Kind::Clients, 0), (Kind::Gateway, 0));
    assert!(
        clients.contains("20 requests/s") && way == Way::Requests,
        "{clients}"
    );
    let (let_through, _) = between((Kind::Gateway, 1), (Kind::Router, 1));
    assert_eq!(let_through, "10 requests/s");
    // 3 x 2 servers of 100 ms are 60 requests/s.
    let (own, way) = between((Kind::Router, 0), (Kind::Pool, 0));
    assert_eq!(
        (own.as_str(), way),
        ("20 requests/s; of about 60/s", Way::Requests)
    );
    let (other, way) = between((Kind::Router, 0), (Kind::Pool, 1));
    assert_eq!(
        (other.as_str(), way),
        ("on failover; 40 ms away", Way::Standby)
    );
    let pool = graph
        .nodes
        .iter()
        .find(|node| node.title == "pool pa")
        .unwrap();
    assert!((pool.load.unwrap() - 1.0 / 3.0).abs() < 1e-9);
    assert_eq!(graph.lanes[1].name, "region b");
    assert!(graph.nodes.iter().any(|node| node.title == "2 gateways"));
}

#[test]
fn a_run_puts_what_it_measured_there() {
    let plan = plan_of(REGIONS);
    let outcome = run_plan(plan.clone(), Control::default()).unwrap();
    let result = &outcome.result;
    let drawn = graph(&plan, Some(result));
    let (label, _) = label_between(&drawn, (Kind::Router, 0), (Kind::Pool, 0));
    let done = result.pools[0]["requests_per_s"].as_f64().unwrap();
    assert!((done - 20.0).abs() < 4.0);
    let shown: f64 = label.split(' ').next().unwrap().parse().unwrap();
    assert!((shown - done).abs() < 0.01, "{label} of {done}");
    assert!(label.contains("answered/s"), "{label}");
    let pool = drawn
        .nodes
        .iter()
        .find(|node| node.title == "pool pa")
        .unwrap();
    assert_eq!(pool.load, result.pools[0]["utilization"].as_f64());
    assert!(drawn.notes.iter().any(|note| note.contains(&result.digest)));
    check_boxes("measured", &drawn, &layout(&drawn));
}

#[test]
fn a_hundred_pools_still_fit_one_page() {
    let mut scenario = String::from(
        "name = \"many\"\nworkload.arrivals = { process = \"poisson\", rate_per_s = 100 }\n",
    );
    for index in 0..100 {
        scenario.push_str(&format!(
            "[[pools]]\nname = \"p{index}\"\nengine = \"abstract\"\nservice = {{ law = \"constant\", mean_ms = 5 }}\n"
                ).replace("\"constant\"", "\"deterministic\"")
        );
    }
    let graph = graph(&plan_of(&scenario), None);
    let drawing = layout(&graph);
    check_boxes("many", &graph, &drawing);
    assert!(drawing.height < 1_300.0, "{}", drawing.height);
    let more = graph.nodes.iter().find(|node| node.title.contains("more"));
    let (at, more) = more
        .map(|node| (graph.nodes.iter().position(|it| it == node).unwrap(), node))
        .unwrap();
    assert_eq!(more.title, "91 pools more");
    // Their share of the traffic and of what all can do is on the arrow to them.
    let label = &graph.edges.iter().find(|edge| edge.to == at).unwrap().label;
    assert_eq!(label.join("; "), "91 requests/s; of about 18,200/s");
}

#[test]
fn names_cannot_break_out_of_svg_or_mermaid() {
    let mut plan = plan_of(REGIONS);
    plan.scenario.name = "a \"b\" <script>&;# `c`\nend".to_owned();
    plan.fleet.pools[0].name = "x\"]; click n0 \"y\" <b>&</b> \u{1}%%{init}%%".to_owned();
    let drawn = graph(&plan, None);
    let picture = svg(&drawn);
    assert!(
        !picture.contains("<script>") && !picture.contains("<b>"),
        "{picture}"
    );
    assert!(!picture.contains('\u{1}'));
    let source = mermaid(&drawn);
    let line = source.lines().find(|line| line.contains("click")).unwrap();
    assert_eq!(line.matches('"').count(), 2, "{line}");
    mermaid_statements(&source);
}

/// Checks a flowchart against the grammar that is used of Mermaid's: statements, one a line, quoted
/// texts, and nodes that are declared before edges name them.
#[track_caller]
fn mermaid_statements(source: &str) {
    let mut declared: Vec<String> = Vec::new();
    let mut depth = 0;
    let mut lines = source.lines().filter(|line| !line.starts_with("%%"));
    assert_eq!(lines.next(), Some("flowchart LR"));
    for line in lines.map(str::trim) {
        assert!(line.matches('"').count().is_multiple_of(2), "{line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "subgraph" => depth += 1,
            "end" => depth -= 1,
            "classDef" => assert_eq!(words.len(), 3, "{line}"),
            first if first.starts_with('n') && line.contains(":::") => {
                let id: String = first
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                assert!(!declared.contains(&id), "{line}");
                declared.push(id);
            }
            first => {
                let last = words[words.len() - 1];
                for id in [first, last] {
                    assert!(declared.contains(&id.to_owned()), "{id} of {line}");
                }
                assert!(
                    ["-->", "-.->", "<-->"]
                        .iter()
                        .any(|it| words[1].starts_with(it)),
                    "{line}"
                );
            }
        }
        assert!(depth == 0 || depth == 1, "{line}");
    }
    assert_eq!(depth, 0);
}

#[test]
fn mermaid_of_every_experiment_is_well_formed() {
    for (name, graph) in graphs() {
        let source = mermaid(graph);
        mermaid_statements(&source);
        assert_eq!(source.matches(":::").count(), graph.nodes.len(), "{name}");
    }
}

/// Mermaid's own parser, from its package: where `SEATRIAL_MERMAID` names a folder that has it
/// (`tests/mermaid/install.sh FOLDER` makes one).
#[test]
fn mermaid_itself_reads_every_experiment() {
    let Some(folder) = std::env::var_os("SEATRIAL_MERMAID") else {
        eprintln!("SKIPPED: SEATRIAL_MERMAID names no folder with Mermaid's package");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (name, graph) in graphs() {
        let path = dir.path().join(format!("{name}.mmd"));
        std::fs::write(&path, mermaid(graph)).unwrap();
        files.push(path);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mermaid/parse.mjs");
    let copied = Path::new(&folder).join("parse.mjs");
    std::fs::copy(script, &copied).unwrap();
    let output = Command::new("node")
        .arg(&copied)
        .args(&files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert_eq!(said.matches("flowchart-v2").count(), files.len(), "{said}");
}
