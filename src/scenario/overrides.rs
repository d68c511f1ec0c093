//! Paths into a document, and values set on them.
//!
//! A path is the keys on the way, joined by dots; a key with other characters than letters,
//! digits, `_` and `-` is quoted. An array element goes by its index from 0, or by its `name` or
//! `id`.

use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;

use super::error::{Location, Problem, ScenarioError};
use super::suggest::{did_you_mean, listed};
use super::text::Document;
use super::tree::{Data, Node, Origin, Source, Step};

/// Most segments of a path, which also bounds how deep an override can nest.
const MAX_SEGMENTS: usize = 64;

impl Document {
    /// Applies `--set path=value`.
    ///
    /// The value is read as a TOML value (`42`, `0.5`, `true`, `"text"`, `[1, 2]`, `{a = 1}`);
    /// anything else is text. The word `unset` removes the field (write `"unset"` for the text).
    /// Tables missing on the way are made.
    pub fn set(&mut self, path: &str, value: &str) -> Result<(), ScenarioError> {
        let value = value.trim();
        if value == "unset" {
            return self.unset(path);
        }
        let source: Arc<str> = Arc::from(path);
        let node = match toml_edit::Value::from_str(value) {
            Ok(parsed) => {
                let origin = Origin::Override(Arc::clone(&source));
                Source::Override(source).value(&parsed, origin)
            }
            Err(error) if value.starts_with(['[', '{', '"', '\'']) => {
                let message = error.message().lines().collect::<Vec<_>>().join(", ");
                let allowed = format!("is not a TOML value: {message}");
                let remedy = "close its quotes and brackets, and quote it for the shell";
                return Err(refusal(path, path, value, &allowed, remedy));
            }
            Err(_) => {
                let data = Data::Scalar(toml::Value::String(value.to_owned()));
                let origin = Origin::Override(source);
                Node { origin, data }
            }
        };
        self.put(path, node)
    }

    /// Sets a field to a TOML value.
    pub fn set_value(&mut self, path: &str, value: toml::Value) -> Result<(), ScenarioError> {
        let origin = Origin::Override(Arc::from(path));
        self.put(path, Node::from_value(value, &origin))
    }

    /// Removes a field or an array element.
    pub fn unset(&mut self, path: &str) -> Result<(), ScenarioError> {
        let segments = split(path)?;
        let Some((last, parents)) = segments.split_last() else {
            return Err(refusal(path, path, "", "is no path", "name a field"));
        };
        let mut node = &mut self.root;
        for segment in parents {
            let step = step(node, path, segment)?;
            node = match step.and_then(|step| node.child_mut(&step)) {
                Some(next) => next,
                None => return Err(absent(path, segment, &[])),
            };
        }
        match (step(node, path, last)?, &mut node.data) {
            (Some(Step::Index(index)), Data::Array(elements)) => {
                elements.remove(index);
                Ok(())
            }
            (_, Data::Table(entries)) => match entries.iter().position(|(name, _)| name == last) {
                Some(index) => {
                    entries.remove(index);
                    Ok(())
                }
                None => {
                    let names: Vec<&str> = entries.iter().map(|e| e.0.as_str()).collect();
                    Err(absent(path, last, &names))
                }
            },
            _ => Err(absent(path, last, &[])),
        }
    }

    fn put(&mut self, path: &str, value: Node) -> Result<(), ScenarioError> {
        let segments = split(path)?;
        let mut node = &mut self.root;
        for segment in &segments {
            let step = match step(node, path, segment)? {
                Some(step) => step,
                None => {
                    let origin = Origin::Override(Arc::from(path));
                    if let Data::Table(entries) = &mut node.data {
                        let data = Data::Table(Vec::new());
                        entries.push((segment.clone(), Node { origin, data }));
                    }
                    Step::Key(segment.clone())
                }
            };
            node = match node.child_mut(&step) {
                Some(next) => next,
                None => return Err(absent(path, segment, &[])),
            };
        }
        *node = value;
        Ok(())
    }

    /// The steps of a path as far as they exist, and the segments that are left.
    pub(super) fn resolve(&self, path: &str) -> (Vec<Step>, Vec<String>) {
        let mut steps = Vec::new();
        let Ok(segments) = split(path) else {
            return (steps, vec![path.to_owned()]);
        };
        let mut node = &self.root;
        for (index, segment) in segments.iter().enumerate() {
            let found = step(node, path, segment).ok().flatten();
            let child = found.and_then(|step| Some((node.child(&step)?, step)));
            let Some((child, step)) = child else {
                return (steps, segments[index..].to_vec());
            };
            node = child;
            steps.push(step);
        }
        (steps, Vec::new())
    }

    /// The path of a field with array elements by name where they have one of their own.
    pub fn pretty_path(&self, path: &str) -> String {
        let (steps, rest) = self.resolve(path);
        let mut shown = self.shown_path(&steps);
        for segment in rest {
            push_segment(&mut shown, &segment);
        }
        shown
    }

    /// Steps as a path; array elements by name where that names one of them.
    pub(super) fn shown_path(&self, steps: &[Step]) -> String {
        let mut out = String::new();
        let mut node = Some(&self.root);
        for step in steps {
            let child = node.and_then(|node| node.child(step));
            match step {
                Step::Key(key) => push_segment(&mut out, key),
                Step::Index(index) => match own_label(node, child) {
                    Some(label) => push_segment(&mut out, label),
                    None => push_segment(&mut out, &index.to_string()),
                },
            }
            node = child;
        }
        out
    }
}

/// The label of an array element, where no other has it and it cannot be taken for an index.
fn own_label<'a>(array: Option<&Node>, element: Option<&'a Node>) -> Option<&'a str> {
    let label = element?.label()?;
    let Data::Array(elements) = &array?.data else {
        return None;
    };
    let same = elements.iter().filter(|e| e.label() == Some(label)).count();
    let plain = !label.is_empty() && label.len() <= 64 && !is_index(label);
    (same == 1 && plain).then_some(label)
}

fn is_index(segment: &str) -> bool {
    segment.bytes().all(|byte| byte.is_ascii_digit())
}

fn push_segment(out: &mut String, segment: &str) {
    if !out.is_empty() {
        out.push('.');
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !segment.is_empty() && segment.chars().all(plain) {
        out.push_str(segment);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{segment:?}");
    }
}

/// The segments of a path.
fn split(path: &str) -> Result<Vec<String>, ScenarioError> {
    let bad = |allowed: &str| {
        let remedy = "write keys joined by dots, as in `section.field`";
        refusal(path, path, "", allowed, remedy)
    };
    if path.bytes().filter(|&byte| byte == b'.').count() >= MAX_SEGMENTS {
        return Err(bad("has too many parts"));
    }
    let segments: Vec<String> = if path.contains(['"', '\'']) {
        let keys = toml_edit::Key::parse(path).map_err(|_| bad("is no path"))?;
        keys.iter().map(|key| key.get().to_owned()).collect()
    } else {
        path.split('.').map(|part| part.trim().to_owned()).collect()
    };
    if segments.iter().any(String::is_empty) {
        return Err(bad("is no path"));
    }
    Ok(segments)
}

/// The step a segment stands for: `None` where a table lacks the key.
fn step(node: &Node, path: &str, segment: &str) -> Result<Option<Step>, ScenarioError> {
    let elements = match &node.data {
        Data::Table(entries) => {
            let known = entries.iter().any(|(name, _)| name == segment);
            return Ok(known.then(|| Step::Key(segment.to_owned())));
        }
        Data::Array(elements) => elements,
        Data::Scalar(_) => {
            let allowed = format!(
                "has no field `{segment}`: what stands there is {}, not a table",
                node.shown()
            );
            return Err(refusal(path, path, "", &allowed, "shorten the path"));
        }
    };
    let count = elements.len();
    if is_index(segment) {
        return match segment.parse::<usize>() {
            Ok(index) if index < count => Ok(Some(Step::Index(index))),
            _ if count == 0 => Err(refusal(path, path, "", "the list is empty", "set it whole")),
            _ => {
                let allowed = format!("there is no element {segment}: they are 0 to {}", count - 1);
                Err(refusal(path, path, "", &allowed, "use one of these"))
            }
        };
    }
    let mut named = (0..count).filter(|&i| elements[i].label() == Some(segment));
    match (named.next(), named.next()) {
        (Some(index), None) => Ok(Some(Step::Index(index))),
        (Some(_), Some(_)) => {
            let allowed = format!("several elements are named `{segment}`");
            Err(refusal(path, path, "", &allowed, "use the index"))
        }
        (None, _) => {
            let labels: Vec<&str> = elements.iter().filter_map(Node::label).collect();
            let (allowed, otherwise) = if labels.is_empty() {
                let allowed = format!("no element is named `{segment}`: they have no names");
                (allowed, "use the index, counted from 0")
            } else {
                let names = listed(labels.iter().copied());
                let allowed = format!("no element is named `{segment}`: there are {names}");
                (allowed, "use one of these or the index")
            };
            let remedy = did_you_mean(segment, labels.into_iter(), otherwise);
            Err(refusal(path, path, "", &allowed, &remedy))
        }
    }
}

fn absent(path: &str, segment: &str, names: &[&str]) -> ScenarioError {
    let allowed = format!("cannot be unset: `{segment}` is not written");
    let otherwise = "leave it out: the default holds";
    let remedy = did_you_mean(segment, names.iter().copied(), otherwise);
    refusal(path, path, "", &allowed, &remedy)
}

fn refusal(path: &str, field: &str, value: &str, allowed: &str, remedy: &str) -> ScenarioError {
    ScenarioError::from(Problem {
        location: Location::set(path),
        field: field.to_owned(),
        value: value.to_owned(),
        allowed: allowed.to_owned(),
        remedy: remedy.to_owned(),
    })
}
