//! Where a sizing says what is set.

use super::schema::{Case, SizingFile};
use crate::scenario::Document;

/// The entry of a sizing that sets a field, and where it stands.
pub fn entry(
    path: &str,
    document: &Document,
    sizing: &SizingFile,
    case: Option<&Case>,
) -> Option<String> {
    let mut knobs = sizing.knobs.iter();
    let case = case.filter(|case| case.set.contains_key(path));
    let (entry, field) = match (knobs.position(|knob| knob.paths().contains(&path)), case) {
        (Some(index), _) => match sizing.knobs[index].path {
            Some(_) => (format!("knobs.{index}"), format!("knobs.{index}.path")),
            None => (
                format!("knobs.{index}"),
                format!("knobs.{index}.zip.{path:?}"),
            ),
        },
        (None, _) if sizing.set.contains_key(path) => ("set".to_owned(), format!("set.{path:?}")),
        (None, Some(case)) => {
            let name = &case.name;
            (
                format!("cases.{name}.set"),
                format!("cases.{name}.set.{path:?}"),
            )
        }
        (None, None) if path == "run.replications" => {
            ("replications".to_owned(), "replications.most".to_owned())
        }
        (None, None) => return None,
    };
    let (place, entry) = (document.locate(&field), document.pretty_path(&entry));
    Some(format!("{place}: {entry}"))
}
