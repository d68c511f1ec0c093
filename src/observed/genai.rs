//! What the GenAI attributes of a span tell of a request.
//!
//! Names are those of the semantic conventions (`gen_ai.usage.input_tokens`), those before them
//! (`gen_ai.usage.prompt_tokens`), and those that vLLM's own spans have beside
//! (`gen_ai.latency.time_to_first_token`, in s).

use serde_json::Value;

use super::attempt::Attempt;
use super::http::ending_of_status;
use super::record::Ending;
use super::stamp;

/// Attributes by name; the way that a format writes them does not matter here.
pub(super) trait Attributes {
    /// A value by name.
    fn get(&self, name: &str) -> Option<&Value>;
}

/// Operations that are requests to a model; others wrap or accompany them.
const OPERATIONS: [&str; 5] = [
    "chat",
    "text_completion",
    "generate_content",
    "completion",
    "llm",
];

/// Why a span is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// Nothing in it is of a model.
    NoModel,
    /// Something else than asking a model: an agent, a tool, an embedding.
    OtherOperation,
}

/// Whether attributes are those of a request to a model.
pub(super) fn is_request(attributes: &dyn Attributes) -> Result<(), NoRequest> {
    if let Some(operation) = text(attributes, &["gen_ai.operation.name"]) {
        let known = OPERATIONS.contains(&&*operation);
        return known.then_some(()).ok_or(NoRequest::OtherOperation);
    }
    const TELLING: [&str; 8] = [
        "gen_ai.request.model",
        "gen_ai.response.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "gen_ai.latency.e2e",
        "gen_ai.request.id",
    ];
    let any = TELLING.iter().any(|name| attributes.get(name).is_some());
    any.then_some(()).ok_or(NoRequest::NoModel)
}

/// Values that cannot be what they should be.
pub(super) type Faults = Vec<(&'static str, String)>;

/// Fills in what attributes tell.
pub(super) fn fill(attempt: &mut Attempt, attributes: &dyn Attributes, faults: &mut Faults) {
    attempt.prompt = tokens(
        attributes,
        &["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"],
        faults,
    );
    attempt.output = tokens(
        attributes,
        &[
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
        ],
        faults,
    );
    attempt.cached = tokens(
        attributes,
        &[
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cached_tokens",
        ],
        faults,
    );
    attempt.model = text(
        attributes,
        &["gen_ai.request.model", "gen_ai.response.model"],
    );
    attempt.session = text(attributes, &["gen_ai.conversation.id", "session.id"]);
    attempt.tenant = text(attributes, &["tenant.id", "enduser.id", "user.id"]);
    const FIRST: [&str; 3] = [
        "gen_ai.response.time_to_first_chunk",
        "gen_ai.server.time_to_first_token",
        "gen_ai.latency.time_to_first_token",
    ];
    if let Some(after) = seconds(attributes, &FIRST, faults) {
        attempt.first_token_ns = attempt.start_ns.checked_add(after);
        if attempt.first_token_ns.is_none() {
            faults.push(("times to first token that are none", format!("{after} ns")));
        }
    }
    let resent = attributes.get("http.request.resend_count");
    if let Some(resent) = resent {
        let tries = whole(resent).and_then(|it| u32::try_from(it).ok()?.checked_add(1));
        match tries {
            Some(tries) => attempt.attempts = tries,
            None => faults.push(("numbers of tries that are none", resent.to_string())),
        }
    }
}

/// How a span ended: by the type of its error, else by its HTTP status, else by its own status.
pub(super) fn ending(attributes: &dyn Attributes, is_error: bool) -> (Ending, Option<Box<str>>) {
    if let Some(error) = text(attributes, &["error.type"]) {
        return (ending_of_error(&error), Some(error));
    }
    let status = attributes
        .get("http.response.status_code")
        .or_else(|| attributes.get("http.status_code"))
        .and_then(whole)
        .and_then(|code| u16::try_from(code).ok());
    if let Some(code) = status
        && let Some(ending) = ending_of_status(code)
        && (ending != Ending::Completed || !is_error)
    {
        let shown = (code != 200).then(|| code.to_string().into());
        return (ending, shown);
    }
    match is_error {
        true => (Ending::Failed, Some("error".into())),
        false => (Ending::Completed, None),
    }
}

/// How a request ended, by the words of an error's type or text.
pub(super) fn ending_of_error(error: &str) -> Ending {
    if let Ok(code) = error.trim().parse::<u16>() {
        return ending_of_status(code).unwrap_or(Ending::Failed);
    }
    // By whole words: "established" has nothing of shedding, nor "generate" of a rate.
    let words = words_of(error);
    let word = |wanted: &str| words.iter().any(|word| word == wanted);
    let error = error.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let limited = word("ratelimit") || word("ratelimited") || (word("rate") && has(&["limit"]));
    if has(&["timed", "timeout", "deadline"]) {
        Ending::TimedOut
    } else if has(&["cancel", "abort", "disconnect"]) {
        Ending::Cancelled
    } else if word("shed") || word("shedding") {
        Ending::Shed
    } else if limited || has(&["reject", "quota", "overload", "unavailable", "exhausted"]) {
        Ending::Rejected
    } else {
        Ending::Failed
    }
}

/// The words of an error's type or text, in lower case: `LoadShedError` has three.
fn words_of(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in text.chars() {
        let breaks = !letter.is_alphanumeric() || (was_small && letter.is_uppercase());
        if breaks && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        was_small = letter.is_lowercase();
    }
    words
}

fn first<'a>(attributes: &'a dyn Attributes, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| attributes.get(name))
}

/// A text by the first of its names.
pub(super) fn text(attributes: &dyn Attributes, names: &[&str]) -> Option<Box<str>> {
    match first(attributes, names)? {
        Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// A whole number, also where it is written as a text: OTLP writes integers so.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            ((0.0..2e15).contains(&float) && float.fract() == 0.0).then_some(float as u64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A number of tokens by the first of its names.
fn tokens(attributes: &dyn Attributes, names: &[&str], faults: &mut Faults) -> Option<u32> {
    let value = first(attributes, names).filter(|it| !it.is_null())?;
    let count = whole(value).and_then(|it| u32::try_from(it).ok());
    if count.is_none() {
        faults.push(("numbers of tokens that are none", value.to_string()));
    }
    count
}

/// A time in s by the first of its names, in ns.
fn seconds(attributes: &dyn Attributes, names: &[&str], faults: &mut Faults) -> Option<u64> {
    let value = first(attributes, names).filter(|it| !it.is_null())?;
    let ns = match value {
        Value::Number(number) => stamp::number(&number.to_string(), 9).ok(),
        Value::String(text) => stamp::number(text, 9).ok(),
        _ => None,
    };
    if ns.is_none() {
        faults.push(("times to first token that are none", value.to_string()));
    }
    ns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_by_whole_words() {
        for (error, ending) in [
            ("RateLimitError", Ending::Rejected),
            ("429", Ending::Rejected),
            ("rate_limit_exceeded", Ending::Rejected),
            ("load_shed", Ending::Shed),
            ("LoadShedError", Ending::Shed),
            ("APITimeoutError", Ending::TimedOut),
            ("client disconnected", Ending::Cancelled),
            ("Connection could not be established", Ending::Failed),
            ("EngineCrashedError", Ending::Failed),
            ("failed to generate", Ending::Failed),
        ] {
            assert_eq!(ending_of_error(error), ending, "{error}");
        }
    }
}
