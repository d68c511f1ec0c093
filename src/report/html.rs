//! A report as one HTML file that needs nothing else: texts and tables are there as they are, charts
//! are drawn by Apache ECharts, which is in the file, of data that is in it too.
//!
//! Nothing of a user's becomes markup: texts are escaped by the template, the data of charts has no
//! `<` in it, and the page's own policy lets no script run but the two that are written here, and
//! nothing be fetched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::chart::Chart;
use super::page::{Block, Claim, Page, Part, Section, Table, Tile};

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
const LIBRARY: &str = include_str!("vendor/echarts.min.js");
/// The most cells of a table that is not folded away.
const MOST_CELLS: usize = 600;

/// The page as an HTML document.
pub fn render(page: &Page) -> String {
    let charts: Vec<&Chart> = page.charts().collect();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("seatrial ", env!("CARGO_PKG_VERSION")));
                title { (page.title) " · seatrial" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                (top(page))
                (contents(page))
                main id="main" tabindex="-1" {
                    noscript {
                        p.note { "Charts need JavaScript. Everything else of this report is here as it is." }
                    }
                    @for part in &page.parts { (part_of(part, page.parts.len() > 1)) }
                }
                footer {
                    p {
                        "Made by seatrial " (env!("CARGO_PKG_VERSION"))
                        ". Charts: Apache ECharts, Apache License 2.0. This file fetches nothing."
                    }
                }
                script type="application/json" id="charts" { (PreEscaped(data(&charts))) }
                script { (PreEscaped(LIBRARY)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

/// What the page may do: run the two scripts that are written into it, and nothing else.
fn policy() -> String {
    let hash = |script: &str| {
        let digest = Sha256::digest(script.as_bytes());
        format!("'sha256-{}'", STANDARD.encode(digest))
    };
    format!(
        "default-src 'none'; script-src {} {}; style-src 'unsafe-inline'; img-src data: blob:; \
         base-uri 'none'; form-action 'none'",
        hash(LIBRARY),
        hash(SCRIPT)
    )
}

/// The charts as JSON that ends no script element and begins no comment, whatever is in it.
fn data(charts: &[&Chart]) -> String {
    // Plain structs of numbers and texts always serialise.
    let json = serde_json::to_string(charts).unwrap_or_else(|_| "[]".to_owned());
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            // In JSON these are within texts only, where an escape means the same.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
    out
}

fn top(page: &Page) -> Markup {
    html! {
        header.top {
            div {
                p.brand { "seatrial report" }
                h1 { (page.title) }
            }
            div.tools role="group" aria-label="The page" {
                button #theme type="button" { "Dark" }
                button #print type="button" { "Print" }
            }
        }
    }
}

fn contents(page: &Page) -> Markup {
    html! {
        nav.contents aria-label="Contents" {
            @for part in &page.parts {
                @if page.parts.len() > 1 {
                    p { a href={ "#" (part.id) } { (part.title) } }
                }
                ul {
                    @for section in &part.sections {
                        li { a href={ "#" (part.id) "-" (section.id) "-section" } { (section.title) } }
                    }
                }
            }
        }
    }
}

fn part_of(part: &Part, several: bool) -> Markup {
    html! {
        article id=(part.id) class={ "part " (part.kind) } aria-label=(part.title) {
            @if several { h2.part-title { (part.title) span.kind { (part.kind) } } }
            @for section in &part.sections { (section_of(part, section, several)) }
        }
    }
}

fn section_of(part: &Part, section: &Section, several: bool) -> Markup {
    let id = format!("{}-{}-section", part.id, section.id);
    let heading = format!("{id}-heading");
    // Charts that stand beside one another are in one grid.
    let mut groups: Vec<Vec<&Block>> = Vec::new();
    for block in &section.blocks {
        let is_chart = matches!(block, Block::Chart(_));
        match groups.last_mut() {
            Some(group) if is_chart && matches!(group[0], Block::Chart(_)) => group.push(block),
            _ => groups.push(vec![block]),
        }
    }
    // Places of a page that one can go to are told apart by their names.
    let of = match several {
        true => format!(", {}", part.title),
        false => String::new(),
    };
    html! {
        section id=(id) aria-label={ (section.title) (of) } {
            @if several { h3 id=(heading) { (section.title) } }
            @else { h2 id=(heading) { (section.title) } }
            @for group in &groups {
                @if matches!(group[0], Block::Chart(_)) {
                    div class=(if group.len() > 1 { "charts" } else { "charts one" }) {
                        @for block in group { (block_of(block, &of)) }
                    }
                } @else { (block_of(group[0], &of)) }
            }
        }
    }
}

fn block_of(block: &Block, of: &str) -> Markup {
    match block {
        Block::Text(text) => html! { p.text { (text) } },
        Block::Tiles(tiles) => html! {
            ul.tiles { @for tile in tiles { (tile_of(tile)) } }
        },
        Block::Warnings(warnings) => html! {
            div.warnings role="note" aria-label="Warnings" {
                p { strong { "Beware" } }
                ul { @for warning in warnings { li { (warning) } } }
            }
        },
        Block::List(title, lines) => html! {
            details.list open {
                summary { (title) " (" (lines.len()) ")" }
                ol { @for line in lines { li { (line) } } }
            }
        },
        Block::Claims(claims) => html! {
            ol.claims { @for claim in claims { (claim_of(claim)) } }
        },
        Block::Table(table) => table_of(table, of),
        Block::Chart(chart) => figure(chart),
    }
}

fn tile_of(tile: &Tile) -> Markup {
    let class = match tile.good {
        Some(true) => "tile good",
        Some(false) => "tile bad",
        None => "tile",
    };
    html! {
        li class=(class) {
            span.name { (tile.name) }
            span.value { (tile.value) }
            @if !tile.more.is_empty() { span.more { (tile.more) } }
        }
    }
}

fn claim_of(claim: &Claim) -> Markup {
    let sign = match claim.verdict.as_str() {
        "holds" => "✓",
        "fails" => "✗",
        "impossible" => "⊘",
        _ => "?",
    };
    html! {
        li class={ "claim " (claim.verdict) } {
            p.head {
                span.verdict { (sign) " " (claim.verdict) }
                code { (claim.id) }
            }
            p.words { (claim.text) }
            p.observed { (claim.observed) }
            @if !claim.why.is_empty() { p.why { strong { "Why: " } (claim.why) } }
        }
    }
}

fn table_of(table: &Table, of: &str) -> Markup {
    let cells = table.rows.len() * table.head.len();
    let body = html! {
        div.scroll tabindex="0" role="region" aria-label={ (table.caption) (of) } {
            table {
                caption { (table.caption) }
                thead { tr { @for name in &table.head { th scope="col" { (name) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } }
                                @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    };
    match table.folded || cells > MOST_CELLS {
        true => html! { details.table { summary { (table.caption) } (body) } },
        false => body,
    }
}

fn figure(chart: &Chart) -> Markup {
    let heading = format!("{}-title", chart.id);
    let says = format!("{}-says", chart.id);
    html! {
        figure.chart id=(chart.id) data-chart=(chart.id) aria-labelledby=(heading) {
            figcaption {
                p.title id=(heading) { (chart.title) }
                p.says id=(says) { (chart.says) }
            }
            div.keys role="group" aria-label={ "Shown in " (chart.title) } {}
            div.plot role="img" aria-labelledby=(heading) aria-describedby=(says) {}
            div.tools role="group" aria-label={ "Tools of " (chart.title) } {}
            details.data { summary { "Data" } div.scroll tabindex="0" role="region" aria-label={ "Data of " (chart.title) " (" (chart.id) ")" } {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::{Axis, Body};

    #[test]
    fn nothing_of_a_users_becomes_markup() {
        let evil = "</script><script>alert(1)</script><!--&\u{2028}";
        let axes = (Axis::linear(evil), Axis::share("y"));
        let mut chart = Chart::new("a", evil, axes, Body::Lines { series: Vec::new() });
        chart.says = evil.to_owned();
        let json = data(&[&chart]);
        assert!(!json.contains('<') && !json.contains('\u{2028}'), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read[0]["title"], evil);
        let page = Page {
            title: evil.to_owned(),
            parts: vec![Part {
                id: "a".to_owned(),
                title: evil.to_owned(),
                kind: "run",
                sections: vec![Section {
                    id: "s",
                    title: "S",
                    blocks: vec![Block::Text(evil.to_owned()), Block::Chart(Box::new(chart))],
                }],
            }],
        };
        let text = render(&page);
        assert!(!text.contains("<script>alert"), "markup of a user's");
        assert_eq!(text.matches("</script>").count(), 3);
    }

    #[test]
    fn the_library_and_the_script_can_stand_in_a_page() {
        for script in [LIBRARY, SCRIPT] {
            assert!(!script.contains("</script") && !script.contains("<!--"));
        }
        assert!(!STYLE.contains('<'));
    }
}
