//! TOML values that remember where they were written.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use toml_edit::{InlineTable, Item, Table, Value};

/// Where a node comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Origin {
    /// The document itself.
    Root,
    /// A line of the file, from 1.
    Line(u32),
    /// An override, by its path.
    Override(Arc<str>),
}

/// A value and its origin.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) data: Data,
}

/// What a node holds. Tables keep the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Scalar(toml::Value),
    Array(Vec<Node>),
    Table(Vec<(String, Node)>),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Line numbers of byte offsets.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn new(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of an offset, from 1.
    pub(super) fn of(&self, offset: usize) -> u32 {
        let before = self.0.partition_point(|&end| end < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}

/// How nodes made from TOML get their origin.
pub(super) enum Source<'a> {
    /// From the spans of a parsed file.
    File(&'a Lines),
    /// All from one override.
    Override(Arc<str>),
}

impl Source<'_> {
    fn origin(&self, span: Option<std::ops::Range<usize>>, parent: &Origin) -> Origin {
        match (self, span) {
            (Source::Override(path), _) => Origin::Override(Arc::clone(path)),
            (Source::File(lines), Some(span)) => Origin::Line(lines.of(span.start)),
            (Source::File(_), None) => parent.clone(),
        }
    }

    /// A table as a node.
    pub(super) fn table(&self, table: &Table, origin: Origin) -> Node {
        let mut entries = Vec::with_capacity(table.len());
        for (name, item) in table {
            let span = table.key(name).and_then(toml_edit::Key::span);
            let at = self.origin(span, &origin);
            match item {
                Item::None => continue,
                Item::Value(value) => entries.push((name.to_owned(), self.value(value, at))),
                Item::Table(inner) => entries.push((name.to_owned(), self.table(inner, at))),
                Item::ArrayOfTables(inner) => {
                    let elements = inner.iter().map(|element| {
                        let origin = self.origin(element.span(), &at);
                        self.table(element, origin)
                    });
                    let data = Data::Array(elements.collect());
                    entries.push((name.to_owned(), Node { origin: at, data }));
                }
            }
        }
        let data = Data::Table(entries);
        Node { origin, data }
    }

    fn inline_table(&self, table: &InlineTable, origin: Origin) -> Node {
        let mut entries = Vec::with_capacity(table.len());
        for (name, value) in table {
            let span = table.key(name).and_then(toml_edit::Key::span);
            let at = self.origin(span, &origin);
            entries.push((name.to_owned(), self.value(value, at)));
        }
        let data = Data::Table(entries);
        Node { origin, data }
    }

    /// A value as a node.
    pub(super) fn value(&self, value: &Value, origin: Origin) -> Node {
        let data = match value {
            Value::String(text) => Data::Scalar(toml::Value::String(text.value().clone())),
            Value::Integer(number) => Data::Scalar(toml::Value::Integer(*number.value())),
            Value::Float(number) => Data::Scalar(toml::Value::Float(*number.value())),
            Value::Boolean(flag) => Data::Scalar(toml::Value::Boolean(*flag.value())),
            Value::Datetime(when) => Data::Scalar(toml::Value::Datetime(*when.value())),
            Value::InlineTable(table) => return self.inline_table(table, origin),
            Value::Array(array) => Data::Array(
                array
                    .iter()
                    .map(|element| self.value(element, self.origin(element.span(), &origin)))
                    .collect(),
            ),
        };
        Node { origin, data }
    }
}

impl Node {
    /// A plain TOML value, all from one origin.
    pub(super) fn from_value(value: toml::Value, origin: &Origin) -> Node {
        let data = match value {
            toml::Value::Array(elements) => Data::Array(
                elements
                    .into_iter()
                    .map(|element| Node::from_value(element, origin))
                    .collect(),
            ),
            toml::Value::Table(entries) => Data::Table(
                entries
                    .into_iter()
                    .map(|(name, value)| (name, Node::from_value(value, origin)))
                    .collect(),
            ),
            scalar => Data::Scalar(scalar),
        };
        let origin = origin.clone();
        Node { origin, data }
    }

    /// Forgets on which lines it and all within it were written.
    pub(super) fn forget_lines(&mut self) {
        if let Origin::Line(_) = self.origin {
            self.origin = Origin::Root;
        }
        match &mut self.data {
            Data::Scalar(_) => {}
            Data::Array(elements) => elements.iter_mut().for_each(Node::forget_lines),
            Data::Table(entries) => {
                for (_, node) in entries {
                    node.forget_lines();
                }
            }
        }
    }

    /// The child a step leads to.
    pub(super) fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.data, step) {
            (Data::Table(entries), Step::Key(key)) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            (Data::Array(elements), Step::Index(index)) => elements.get(*index),
            _ => None,
        }
    }

    /// The child a step leads to, to be changed.
    pub(super) fn child_mut(&mut self, step: &Step) -> Option<&mut Node> {
        match (&mut self.data, step) {
            (Data::Table(entries), Step::Key(key)) => entries
                .iter_mut()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            (Data::Array(elements), Step::Index(index)) => elements.get_mut(*index),
            _ => None,
        }
    }

    /// The node some steps lead to.
    pub(super) fn at(&self, steps: &[Step]) -> Option<&Node> {
        steps.iter().try_fold(self, |node, step| node.child(step))
    }

    /// The node some steps lead to, to be changed.
    pub(super) fn at_mut(&mut self, steps: &[Step]) -> Option<&mut Node> {
        steps
            .iter()
            .try_fold(self, |node, step| node.child_mut(step))
    }

    /// What an array element is called: its `name`, else its `id`.
    pub(super) fn label(&self) -> Option<&str> {
        ["name", "id"].iter().find_map(|key| {
            match &self.child(&Step::Key((*key).to_owned()))?.data {
                Data::Scalar(toml::Value::String(text)) => Some(text.as_str()),
                _ => None,
            }
        })
    }

    /// The number of nodes, this one included.
    pub(super) fn size(&self) -> usize {
        1 + match &self.data {
            Data::Scalar(_) => 0,
            Data::Array(elements) => elements.iter().map(Node::size).sum(),
            Data::Table(entries) => entries.iter().map(|(_, node)| node.size()).sum::<usize>(),
        }
    }

    /// The key of a table that was probably meant for a field that is missing: one without its
    /// unit, or with a slip of one letter.
    pub(super) fn key_near(&self, missing: &str) -> Option<&str> {
        let Data::Table(entries) = &self.data else {
            return None;
        };
        let keys = entries.iter().map(|(key, _)| key.as_str());
        let mut near = keys.filter(|key| {
            let without_unit = missing.strip_prefix(key);
            without_unit.is_some_and(|unit| unit.starts_with('_'))
                || (missing.len() > 4 && strsim::damerau_levenshtein(key, missing) == 1)
        });
        near.next()
    }

    /// The value in one short piece; empty for a table.
    pub(super) fn shown(&self) -> String {
        const LONGEST: usize = 60;
        match &self.data {
            Data::Table(_) => String::new(),
            Data::Array(elements) if elements.is_empty() => "[]".to_owned(),
            Data::Array(elements) if elements.len() == 1 => "[1 element]".to_owned(),
            Data::Array(elements) => format!("[{} elements]", elements.len()),
            Data::Scalar(toml::Value::String(text)) if text.chars().count() > LONGEST => {
                let start: String = text.chars().take(LONGEST).collect();
                format!("{start:?}...")
            }
            Data::Scalar(toml::Value::String(text)) => format!("{text:?}"),
            Data::Scalar(value) => value.to_string(),
        }
    }

    /// As JSON. Dates, and numbers JSON cannot hold, become text.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.data {
            Data::Scalar(toml::Value::String(text)) => Json::from(text.as_str()),
            Data::Scalar(toml::Value::Integer(number)) => Json::from(*number),
            Data::Scalar(toml::Value::Boolean(flag)) => Json::from(*flag),
            Data::Scalar(toml::Value::Float(number)) if number.is_finite() => Json::from(*number),
            Data::Scalar(other) => Json::from(other.to_string()),
            Data::Array(elements) => elements.iter().map(Node::to_json).collect(),
            Data::Table(entries) => entries
                .iter()
                .map(|(name, node)| (name.clone(), node.to_json()))
                .collect(),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.data {
            Data::Scalar(value) => value.serialize(serializer),
            Data::Array(elements) => {
                let mut seq = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    seq.serialize_element(element)?;
                }
                seq.end()
            }
            Data::Table(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (name, node) in entries {
                    map.serialize_entry(name, node)?;
                }
                map.end()
            }
        }
    }
}
