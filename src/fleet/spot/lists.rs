//! Traces written as comma-separated lists: who joined and left, or how many
//! there were.

use std::collections::BTreeSet;

use crate::fleet::spot::errors::InputError;
use crate::fleet::spot::fields;
use crate::fleet::spot::recording::{
    MAX_NODES, MAX_OBSERVATIONS, MAX_SPAN_SECONDS, ReadReport, Recording, RowOrder,
};
use crate::fleet::spot::rows::{Cell, Line, NS_PER_SECOND, Row, bad, exactly, lines};

/// Longest trace, nanoseconds.
const MAX_SPAN_NS: u64 = MAX_SPAN_SECONDS * NS_PER_SECOND;

/// The list formats, told apart by their first row. White space around fields,
/// blank lines and lines starting with `#` are allowed and counted; a first row
/// naming the columns as shown here is allowed and counted.
///
/// The first row's time becomes time 0 and the last row's time the end, so the
/// last count stands at the very end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// `time,event,node`: milliseconds, `add` or `remove`, any node name. The
    /// format of `p3-trace.csv` and `g4dn-trace.csv` of uclasystem/bamboo.
    Membership,
    /// `date,time,count`: `2021-12-11, 11:11:30, 55`, local time as written. The
    /// format of `gcloud/*.txt` of uclasystem/bamboo.
    DatedCounts,
    /// `seconds,count`: up to nine decimals. The format of the unscaled
    /// instance counts under `doc/data` of uclasystem/bamboo.
    SecondsCounts,
}

impl ListFormat {
    /// The columns, as in a heading row.
    #[must_use]
    pub fn columns(self) -> &'static str {
        match self {
            Self::Membership => "time,event,node",
            Self::DatedCounts => "date,time,count",
            Self::SecondsCounts => "seconds,count",
        }
    }

    /// Tells the format from the first row.
    fn detect(file: &str, row: &Row<'_>) -> Result<Self, InputError> {
        match row.cells.as_slice() {
            [_, _] => Ok(Self::SecondsCounts),
            [_, event, _] if ["add", "remove", "event"].contains(&event.text) => {
                Ok(Self::Membership)
            }
            [first, _, _] if first.text == "date" || first.text.contains('-') => {
                Ok(Self::DatedCounts)
            }
            [_, _, _] => Ok(Self::Membership),
            cells => Err(InputError::Syntax {
                file: file.to_owned(),
                line: row.line,
                column: 1,
                problem: format!("the first row has {} fields", cells.len()),
                remedy: "use `time,event,node`, `date,time,count`, `seconds,count` or SkyPilot's JSON",
            }),
        }
    }

    /// Whether a row names this format's columns.
    fn is_header(self, row: &Row<'_>) -> bool {
        let names = row.cells.iter().map(|cell| cell.text);
        names.eq(self.columns().split(','))
    }
}

/// What a row says.
enum Event<'a> {
    /// A node joined (`true`) or left.
    Member(bool, Cell<'a>),
    /// So many nodes were there.
    Count(u32),
}

/// A row with its time, nanoseconds since any fixed instant.
struct Timed<'a> {
    ns: u64,
    event: Event<'a>,
    /// Line of the row, and where its time starts, for errors.
    line: usize,
    time: Cell<'a>,
}

/// Reads any list format.
pub(crate) fn parse(file: &str, text: &str, order: RowOrder) -> Result<Recording, InputError> {
    let mut report = ReadReport::default();
    let mut rows = read_rows(file, text, order, &mut report)?;
    // A stable sort keeps the file's order among rows of the same instant.
    rows.sort_by_key(|timed| timed.ns);
    let (first_ns, last_ns) = match (rows.first(), rows.last()) {
        (Some(first), Some(last)) => (first.ns, last.ns),
        _ => (0, 0),
    };
    let duration_ns = last_ns - first_ns;
    if duration_ns == 0 || duration_ns > MAX_SPAN_NS {
        return Err(InputError::Size {
            file: file.to_owned(),
            what: "time from first to last row, nanoseconds",
            found: duration_ns.to_string(),
            allowed: format!("1 to {MAX_SPAN_NS} (ten years)"),
            remedy: "give at least two rows at different times, in the format's unit of time",
        });
    }
    report.rows = rows.len();
    Ok(Recording {
        points: count(file, &rows, first_ns)?,
        duration_ns,
        report,
    })
}

/// All rows with their times, in the file's order.
fn read_rows<'a>(
    file: &str,
    text: &'a str,
    order: RowOrder,
    report: &mut ReadReport,
) -> Result<Vec<Timed<'a>>, InputError> {
    let mut format = None;
    let mut rows: Vec<Timed<'a>> = Vec::new();
    for line in lines(text) {
        let row = match line {
            Line::Blank => {
                report.blank_lines += 1;
                continue;
            }
            Line::Comment => {
                report.comment_lines += 1;
                continue;
            }
            Line::Row(row) => row,
        };
        let Some(known) = format else {
            let found = ListFormat::detect(file, &row)?;
            format = Some(found);
            if found.is_header(&row) {
                report.header_lines += 1;
            } else {
                rows.push(read_row(file, found, &row)?);
            }
            continue;
        };
        let timed = read_row(file, known, &row)?;
        if rows.last().is_some_and(|last| timed.ns < last.ns) {
            match order {
                RowOrder::Sort => report.reordered_rows += 1,
                RowOrder::Strict => return Err(reversed(file, &timed)),
            }
        }
        rows.push(timed);
        if rows.len() > MAX_OBSERVATIONS {
            return Err(too_many(file));
        }
    }
    Ok(rows)
}

/// One row's time and event.
fn read_row<'a>(file: &str, format: ListFormat, row: &Row<'a>) -> Result<Timed<'a>, InputError> {
    let (line, shape) = (row.line, format.columns());
    let count = |cell| fields::nodes(file, line, cell).map(Event::Count);
    let (ns, event, time) = match format {
        ListFormat::Membership => {
            let [time, event, node] = exactly(file, row, shape)?;
            let joins = fields::joins(file, line, event)?;
            fields::name(file, line, node)?;
            let ns = fields::milliseconds(file, line, time)?;
            (ns, Event::Member(joins, node), time)
        }
        ListFormat::DatedCounts => {
            let [date, time, nodes] = exactly(file, row, shape)?;
            let ns = fields::date_ns(file, line, date)? + fields::clock_ns(file, line, time)?;
            (ns, count(nodes)?, time)
        }
        ListFormat::SecondsCounts => {
            let [time, nodes] = exactly(file, row, shape)?;
            (fields::seconds(file, line, time)?, count(nodes)?, time)
        }
    };
    Ok(Timed {
        ns,
        event,
        line,
        time,
    })
}

/// Time since the first row and nodes present, row by row.
fn count(file: &str, rows: &[Timed<'_>], first_ns: u64) -> Result<Vec<(u64, u32)>, InputError> {
    let mut present = BTreeSet::new();
    let mut points = Vec::with_capacity(rows.len());
    for timed in rows {
        let nodes = match &timed.event {
            Event::Count(nodes) => *nodes,
            Event::Member(true, node) if !present.insert(node.text) => {
                let (allowed, remedy) = (
                    "a node that is not there yet",
                    "remove the second `add`, or add the missing `remove`",
                );
                return Err(bad(file, timed.line, *node, "node", allowed, remedy));
            }
            Event::Member(false, node) if !present.remove(node.text) => {
                let (allowed, remedy) = (
                    "a node added above and not removed since",
                    "add the missing `add` row, at the start for a node that was always there",
                );
                return Err(bad(file, timed.line, *node, "node", allowed, remedy));
            }
            Event::Member(..) => u32::try_from(present.len()).unwrap_or(u32::MAX),
        };
        points.push((timed.ns - first_ns, nodes));
    }
    if let Some((_, nodes)) = points.iter().find(|point| point.1 > MAX_NODES) {
        return Err(InputError::Size {
            file: file.to_owned(),
            what: "nodes present at once",
            found: nodes.to_string(),
            allowed: format!("0 to {MAX_NODES}"),
            remedy: "split the recording into smaller pools",
        });
    }
    Ok(points)
}

/// A row before the one above it.
fn reversed(file: &str, timed: &Timed<'_>) -> InputError {
    bad(
        file,
        timed.line,
        timed.time,
        "time",
        "a time not before that of the row above",
        "correct the time, or read the file with order `sort`",
    )
}

/// More rows than are accepted.
fn too_many(file: &str) -> InputError {
    InputError::Size {
        file: file.to_owned(),
        what: "rows",
        found: format!("more than {MAX_OBSERVATIONS}"),
        allowed: format!("2 to {MAX_OBSERVATIONS}"),
        remedy: "keep only rows that change something, or cut the recording",
    }
}
