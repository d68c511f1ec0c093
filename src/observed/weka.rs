//! Conversations with hash blocks (`cc-traces-weka`): `{"id", "requests": [{"t", "in", "out",
//! "hash_ids"}]}`, one a line or one document. Blocks are of 64 tokens, and their ids are those
//! of one conversation. Times are from the start of the conversation, which is not told.

use serde_json::Value;

use super::attempt::Attempt;
use super::error::ObservedError;
use super::genai::whole;
use super::input::Input;
use super::intake::Intake;
use super::items::{self, Way};
use super::record::Blocks;
use super::stamp;

const WAY: Way = Way {
    keys: &[],
    beside: &[],
};

/// Tokens of a block, unless the conversation says otherwise.
const BLOCK_TOKENS: u32 = 64;

/// Reads conversations; each begins `every_ns` after the one before.
pub(super) fn read(
    input: &mut Input,
    every_ns: u64,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    let mut begun = 0_u64;
    intake.notes.push(format!(
        "conversations do not say when they began: assumed {} s apart (`trace import --conversations-every-s`)",
        every_ns as f64 / 1e9
    ));
    items::read(input, WAY, intake, &mut |_, item, intake| {
        let Some(requests) = item.get("requests").and_then(Value::as_array) else {
            intake.skip("conversations without requests", "no `requests`");
            return Ok(());
        };
        let id = match item.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(other) => other.to_string(),
            None => format!("conversation {begun}"),
        };
        let block = item.get("block_size").and_then(whole);
        let conversation = Conversation {
            begins_ns: begun.saturating_mul(every_ns),
            seed: fnv(0xcbf2_9ce4_8422_2325, id.as_bytes()),
            id: id.into(),
            block_tokens: block
                .and_then(|it| u32::try_from(it).ok())
                .filter(|it| *it > 0)
                .unwrap_or(BLOCK_TOKENS),
        };
        begun += 1;
        conversation.take(requests, intake)
    })
}

struct Conversation {
    begins_ns: u64,
    id: Box<str>,
    seed: u64,
    block_tokens: u32,
}

impl Conversation {
    fn take(&self, requests: &[Value], intake: &mut Intake) -> Result<(), ObservedError> {
        for request in requests {
            // A sub-agent holds requests of its own.
            if let Some(inner) = request.get("requests").and_then(Value::as_array) {
                self.take(inner, intake)?;
                continue;
            }
            match self.attempt(request) {
                Ok(attempt) => intake.take(attempt)?,
                Err((reason, what)) => intake.skip(reason, &what),
            }
        }
        Ok(())
    }

    fn attempt(&self, request: &Value) -> Result<Attempt, (&'static str, String)> {
        let shown = |name: &str| request.get(name).map_or("missing".into(), Value::to_string);
        let after = match request.get("t") {
            Some(Value::Number(number)) => stamp::number(&number.to_string(), 9).ok(),
            _ => None,
        };
        let start = after.and_then(|ns| self.begins_ns.checked_add(ns));
        let start =
            start.ok_or_else(|| ("with a time that is none", format!("t = {}", shown("t"))))?;
        let mut attempt = Attempt::at(start);
        attempt.attempts_told = false;
        for (name, slot) in [("in", &mut attempt.prompt), ("out", &mut attempt.output)] {
            let tokens = request.get(name).and_then(whole);
            let tokens = tokens.and_then(|it| u32::try_from(it).ok());
            let fault = || {
                (
                    "with a number of tokens that is none",
                    format!("{name} = {}", shown(name)),
                )
            };
            *slot = Some(tokens.ok_or_else(fault)?);
        }
        attempt.session = Some(self.id.clone());
        attempt.model = request.get("model").and_then(Value::as_str).map(Box::from);
        attempt.blocks = self.blocks(request.get("hash_ids"))?;
        Ok(attempt)
    }

    /// Hashes over all before them too, that no other conversation has.
    fn blocks(&self, ids: Option<&Value>) -> Result<Option<Blocks>, (&'static str, String)> {
        let Some(ids) = ids.and_then(Value::as_array) else {
            return Ok(None);
        };
        let mut hash = self.seed;
        let hashes = ids.iter().map(|id| {
            let id = whole(id).ok_or_else(|| ("with a block id that is none", id.to_string()))?;
            hash = fnv(hash, &id.to_le_bytes());
            Ok(hash)
        });
        Ok(Some(Blocks {
            tokens: self.block_tokens,
            hashes: hashes.collect::<Result<_, _>>()?,
        }))
    }
}

/// 64-bit FNV-1a.
fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
