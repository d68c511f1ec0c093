//! Fields of documents by their paths.

use serde_json::Value;

/// A number.
pub(super) fn number(value: &Value, path: &str) -> Option<f64> {
    find(value, path)?.as_f64()
}

/// A whole number.
pub(super) fn whole(value: &Value, path: &str) -> Option<u64> {
    find(value, path)?.as_u64()
}

/// A text; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    find(value, path).and_then(Value::as_str).unwrap_or("")
}

/// The rows of a list; none where there is no list.
pub(super) fn rows<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    let found = find(value, path).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// The fields of a map, in their order; none where there is no map.
pub(super) fn fields<'a>(value: &'a Value, path: &str) -> Vec<(&'a str, &'a Value)> {
    let found = find(value, path).and_then(Value::as_object);
    let fields = found
        .into_iter()
        .flat_map(|map| map.iter().map(|(key, value)| (key.as_str(), value)));
    fields.collect()
}

/// Texts of a list.
pub(super) fn texts(value: &Value, path: &str) -> Vec<String> {
    let rows = rows(value, path).iter();
    rows.filter_map(|it| it.as_str().map(str::to_owned))
        .collect()
}

/// What lies at a path of names with dots between.
pub(super) fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut here = value;
    for name in path.split('.') {
        here = here.get(name)?;
    }
    Some(here)
}
