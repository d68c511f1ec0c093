//! What an event of a stream of completions says.

use serde_json::Value;

/// The data of the event that ends a stream.
pub const DONE: &str = "[DONE]";

/// What an event adds to an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Whether it has text, of an answer or of a reasoning before it.
    pub has_text: bool,
    /// Whether it says that the answer has ended.
    pub ended: bool,
    /// Prompt and completion tokens, where it counts them.
    pub usage: Option<(u32, u32)>,
    /// What the server says went wrong.
    pub error: Option<String>,
}

/// Reads the data of an event.
///
/// # Errors
/// In words, when it is no chunk of a completion.
pub fn read(data: &str) -> Result<Chunk, String> {
    let value: Value = serde_json::from_str(data)
        .map_err(|error| format!("an event is no JSON ({error}): {}", excerpt(data)))?;
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        let message = error.get("message").and_then(Value::as_str);
        return Ok(Chunk {
            error: Some(message.map_or_else(|| error.to_string(), str::to_owned)),
            ..Chunk::default()
        });
    }
    let Some(choices) = value.get("choices").and_then(Value::as_array) else {
        return Err(format!("an event has no `choices`: {}", excerpt(data)));
    };
    let usage = value.get("usage").and_then(|usage| {
        let of = |field: &str| {
            let value = usage.get(field).and_then(Value::as_u64)?;
            u32::try_from(value).ok()
        };
        Some((of("prompt_tokens")?, of("completion_tokens")?))
    });
    // What is asked for is one answer; the count of its tokens comes without choices.
    let choice = choices.first();
    let at = |pointer: &str| choice.and_then(|choice| choice.pointer(pointer));
    let has = |pointer: &str| {
        let text = at(pointer).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    };
    Ok(Chunk {
        has_text: [
            "/text",
            "/delta/content",
            "/delta/reasoning_content",
            "/delta/reasoning",
        ]
        .into_iter()
        .any(has),
        ended: at("/finish_reason").is_some_and(|reason| !reason.is_null()),
        usage,
        error: None,
    })
}

/// The beginning of a text, on one line.
pub fn excerpt(text: &str) -> String {
    const MOST: usize = 160;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((at, _)) => format!("`{}...`", &line[..at]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_both_apis_are_read() {
        let text = read(r#"{"choices":[{"index":0,"text":" a","finish_reason":null}]}"#).unwrap();
        assert!(text.has_text && !text.ended);
        let role = read(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#).unwrap();
        assert!(!role.has_text);
        let last = read(r#"{"choices":[{"delta":{"content":"b"},"finish_reason":"length"}]}"#);
        assert!(last.clone().unwrap().has_text && last.unwrap().ended);
        let thought = r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#;
        assert!(read(thought).unwrap().has_text);
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#;
        assert_eq!(read(usage).unwrap().usage, Some((9, 3)));
        let error = r#"{"error":{"message":"out of memory","code":500}}"#;
        assert_eq!(read(error).unwrap().error.unwrap(), "out of memory");
        assert!(read("{").is_err() && read("{}").is_err() && read("7").is_err());
    }
}
