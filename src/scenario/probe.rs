//! Finds the field an error is about, inside what serde has buffered.
//!
//! The content of a tagged enum is buffered before it is read, and errors inside carry no path.
//! So each field that could be the one is changed a little and the document is read again: when
//! the error comes back with the change in it, that was the field.

use super::decode::{DecodeError, Kind, found};
use super::tree::{Data, Node, Step};

/// Marks a changed name or text; it occurs in no sensible document.
const MARK: char = '\u{1}';

/// Nodes read in all, over all attempts.
const WORK: usize = 4_000_000;

/// The full path of the field that `error` is about.
///
/// The path ends at the table of a missing field. When the field cannot be told, it ends at the
/// innermost table that is sure.
pub(super) fn culprit(
    root: &Node,
    error: &DecodeError,
    read: &dyn Fn(&Node) -> Option<Kind>,
) -> Vec<Step> {
    let sure = error.path();
    let Some(inside) = root.at(&sure) else {
        return sure;
    };
    let mut candidates = Vec::new();
    collect(inside, &mut sure.clone(), &error.kind, &mut candidates);
    let attempts = WORK / root.size().max(1);
    let mut changed = root.clone();
    for path in candidates.into_iter().take(attempts.max(8)) {
        if is_culprit(&mut changed, &path, &error.kind, read) {
            return path;
        }
    }
    sure
}

/// Paths inside `node` that the error may be about, in the order of the document.
fn collect(node: &Node, path: &mut Vec<Step>, kind: &Kind, out: &mut Vec<Vec<Step>>) {
    if let (Kind::MissingField(field), Data::Table(entries)) = (kind, &node.data)
        && !entries.iter().any(|(name, _)| name == field)
    {
        out.push(path.clone());
    }
    let mut child = |step: Step, node: &Node| {
        path.push(step);
        let may_be = match kind {
            Kind::UnknownField { field, .. } => {
                matches!(path.last(), Some(Step::Key(name)) if name == field)
            }
            Kind::UnknownVariant { variant, .. } => {
                matches!(&node.data, Data::Scalar(toml::Value::String(text)) if text == variant)
            }
            Kind::Mismatch { found: what, .. } => found(node) == *what,
            Kind::Length { found: length, .. } => {
                matches!(&node.data, Data::Array(elements) if elements.len() == *length)
            }
            Kind::MissingField(_) | Kind::NotFinite | Kind::Other(_) => false,
        };
        if may_be {
            out.push(path.clone());
        }
        collect(node, path, kind, out);
        path.pop();
    };
    match &node.data {
        Data::Scalar(_) => {}
        Data::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                child(Step::Index(index), element);
            }
        }
        Data::Table(entries) => {
            for (name, node) in entries {
                child(Step::Key(name.clone()), node);
            }
        }
    }
}

/// Whether a change at `path` shows up in the error. Leaves `root` as it was.
fn is_culprit(
    root: &mut Node,
    path: &[Step],
    kind: &Kind,
    read: &dyn Fn(&Node) -> Option<Kind>,
) -> bool {
    match kind {
        Kind::UnknownField { field, known } => {
            let marked = format!("{field}{MARK}");
            let renamed = rename(root, path, &marked);
            let now = read(root);
            if let Some(Step::Key(name)) = path.last()
                && renamed
            {
                let mut back = path.to_vec();
                back.pop();
                back.push(Step::Key(marked.clone()));
                rename(root, &back, name);
            }
            let known = *known;
            now == Some(Kind::UnknownField {
                field: marked,
                known,
            })
        }
        Kind::MissingField(field) => {
            let Some(Node {
                origin,
                data: Data::Table(entries),
            }) = root.at_mut(path)
            else {
                return false;
            };
            let origin = origin.clone();
            let data = Data::Scalar(toml::Value::Boolean(true));
            entries.push(((*field).to_owned(), Node { origin, data }));
            let now = read(root);
            if let Some(Node {
                data: Data::Table(entries),
                ..
            }) = root.at_mut(path)
            {
                entries.pop();
            }
            match now {
                Some(Kind::MissingField(missing)) => missing != *field,
                Some(Kind::UnknownField { field: unknown, .. }) => unknown != *field,
                _ => true,
            }
        }
        Kind::UnknownVariant { variant, known } => {
            let marked = format!("{variant}{MARK}");
            let known = *known;
            let data = Data::Scalar(toml::Value::String(marked.clone()));
            replaced(root, path, data, read)
                == Some(Kind::UnknownVariant {
                    variant: marked,
                    known,
                })
        }
        Kind::Mismatch { wanted, .. } => {
            let Some(node) = root.at(path) else {
                return false;
            };
            variations(node).into_iter().any(|data| {
                let origin = super::tree::Origin::Root;
                let found = found(&Node {
                    origin,
                    data: data.clone(),
                });
                let wanted = wanted.clone();
                replaced(root, path, data, read) == Some(Kind::Mismatch { found, wanted })
            })
        }
        Kind::Length { .. } => {
            let data = Data::Scalar(toml::Value::Boolean(true));
            matches!(
                replaced(root, path, data, read),
                Some(Kind::Mismatch { wanted, .. }) if wanted.starts_with("a tuple")
            )
        }
        Kind::NotFinite | Kind::Other(_) => false,
    }
}

/// Renames the key a path ends with, in place.
fn rename(root: &mut Node, path: &[Step], to: &str) -> bool {
    let Some((Step::Key(from), parent)) = path.split_last() else {
        return false;
    };
    let Some(Node {
        data: Data::Table(entries),
        ..
    }) = root.at_mut(parent)
    else {
        return false;
    };
    match entries.iter_mut().find(|(name, _)| name == from) {
        Some((name, _)) => {
            to.clone_into(name);
            true
        }
        None => false,
    }
}

/// Reads with other data at a path, then puts the old data back.
fn replaced(
    root: &mut Node,
    path: &[Step],
    data: Data,
    read: &dyn Fn(&Node) -> Option<Kind>,
) -> Option<Kind> {
    let old = std::mem::replace(&mut root.at_mut(path)?.data, data);
    let now = read(root);
    if let Some(node) = root.at_mut(path) {
        node.data = old;
    }
    now
}

/// Other values that are wrong in the same way.
fn variations(node: &Node) -> Vec<Data> {
    use toml::Value;
    let text = |text: String| Data::Scalar(Value::String(text));
    match &node.data {
        Data::Scalar(Value::String(was)) => vec![text(format!("{was}{MARK}"))],
        Data::Scalar(Value::Integer(was)) => {
            let away = if *was < 0 { -1 } else { 1 };
            let other = was.checked_add(away).unwrap_or(was - away);
            vec![Data::Scalar(Value::Integer(other))]
        }
        Data::Scalar(Value::Float(was)) => {
            let other = if *was == 1.25 { 2.25 } else { 1.25 };
            vec![Data::Scalar(Value::Float(other))]
        }
        Data::Scalar(Value::Boolean(was)) => vec![Data::Scalar(Value::Boolean(!was))],
        Data::Scalar(Value::Datetime(was)) => vec![text(format!("{was}{MARK}"))],
        Data::Array(_) | Data::Table(_) => {
            vec![Data::Scalar(Value::Boolean(true)), text(MARK.to_string())]
        }
        Data::Scalar(Value::Array(_) | Value::Table(_)) => Vec::new(),
    }
}
