//! Results of `vllm bench latency --output-json` and `vllm bench serve --save-result`. Times are
//! seconds, and milliseconds where a field's name says so.

use std::path::Path;

use serde_json::Value;

use super::gather::Gather;
use super::lines::text_of;
use super::{Asked, ImportError, Told};
use crate::calibrate::gpu::operation::{Operation, ServedLatency};
use crate::calibrate::gpu::record::Spread;

const SAVE: &str = "save the result again";
/// The most that a number may be.
const MOST: f64 = 1e12;

/// A result: its file and what it holds.
struct Document {
    file: String,
    page: Value,
}

impl Document {
    fn read(path: &Path) -> Result<Self, ImportError> {
        let file = path.display().to_string();
        let page = serde_json::from_str(&text_of(path)?).map_err(|error| ImportError::File {
            file: file.clone(),
            cause: format!("is no JSON document ({error})"),
            remedy: SAVE,
        })?;
        Ok(Self { file, page })
    }

    fn refuse(&self, field: &str, allowed: &'static str, remedy: &'static str) -> ImportError {
        let value = self.page.get(field);
        ImportError::Field {
            file: self.file.clone(),
            field: field.to_owned(),
            value: value.map_or_else(|| "missing".to_owned(), short),
            allowed,
            remedy,
        }
    }

    /// A field with a number of 0 or more, if it is there.
    fn number(&self, field: &str) -> Result<Option<f64>, ImportError> {
        match self.page.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match amount(value) {
                Some(number) => Ok(Some(number)),
                None => Err(self.refuse(field, "a number from 0 to 1e12", SAVE)),
            },
        }
    }

    /// A field with numbers of 0 or more, if it is there.
    fn numbers(&self, field: &str) -> Result<Option<Vec<f64>>, ImportError> {
        let Some(value) = self.page.get(field).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let Some(list) = value.as_array() else {
            return Err(self.refuse(field, "a list of numbers from 0 to 1e12", SAVE));
        };
        let numbers = list.iter().enumerate().map(|(at, value)| {
            amount(value).ok_or_else(|| ImportError::Field {
                file: self.file.clone(),
                field: format!("{field}[{at}]"),
                value: short(value),
                allowed: "a number from 0 to 1e12",
                remedy: SAVE,
            })
        });
        numbers.collect::<Result<_, _>>().map(Some)
    }

    fn told(&self, path: &Path, source: &str, model: String, tp: Option<u32>) -> Told {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let told = |field: &str| self.page.get(field).and_then(Value::as_str);
        let framework = told("backend").unwrap_or("vllm");
        Told {
            source: source.to_owned(),
            files: vec![name.into_owned()],
            device: "device not told".to_owned(),
            framework: Some(match told("vllm_version") {
                Some(version) => format!("{framework} {version}"),
                None => format!("{framework}, version not told"),
            }),
            models: vec![model],
            tp: tp.into_iter().collect(),
            ..Told::default()
        }
    }
}

fn amount(value: &Value) -> Option<f64> {
    let number = value.as_f64()?;
    (0.0..=MOST).contains(&number).then_some(number)
}

/// A value in so few words that a message can have it.
fn short(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// A batch of requests, again and again.
pub fn read_latency(path: &Path, asked: &Asked, gather: &mut Gather) -> Result<Told, ImportError> {
    let document = Document::read(path)?;
    let latencies = document.numbers("latencies")?;
    let Some(latencies) = latencies else {
        return Err(document.refuse("latencies", "the seconds of each iteration", SAVE));
    };
    let size = |option: &'static str, value: Option<u32>| match value {
        Some(value) if value > 0 => Ok(u64::from(value)),
        _ => Err(ImportError::Asked {
            option,
            value: value.map(|value| value.to_string()),
            why: match value {
                Some(_) => "must be 1 or more".to_owned(),
                None => "the result of `vllm bench latency` does not tell it".to_owned(),
            },
            remedy: format!("give what the benchmark was run with, --{option} 8 say"),
        }),
    };
    let Some(model) = asked.model.clone() else {
        return Err(ImportError::Asked {
            option: "model",
            value: None,
            why: "the result of `vllm bench latency` does not tell it".to_owned(),
            remedy: "give the model's name".to_owned(),
        });
    };
    let operation = Operation::Batch {
        model: model.clone(),
        tp: size("tp", asked.tp)?,
        sequences: size("batch-size", asked.sequences)?,
        prompt_tokens: size("input-len", asked.prompt_tokens)?,
        output_tokens: size("output-len", asked.output_tokens)?,
    };
    for seconds in latencies {
        gather.add(operation.clone(), None, "", seconds * 1e6, None);
    }
    Ok(document.told(path, "vllm bench latency", model, asked.tp))
}

/// Requests to a server.
pub fn read_serve(path: &Path, asked: &Asked, gather: &mut Gather) -> Result<Told, ImportError> {
    let document = Document::read(path)?;
    let model = match document.page.get("model_id").and_then(Value::as_str) {
        Some(model) => model.to_owned(),
        None => return Err(document.refuse("model_id", "the model's name", SAVE)),
    };
    let whole = |field: &'static str| -> Result<f64, ImportError> {
        let number = document.number(field)?;
        number.ok_or_else(|| document.refuse(field, "a number from 0 to 1e12", SAVE))
    };
    let completed = whole("completed")?;
    if completed < 1.0 {
        return Err(document.refuse("completed", "1 or more", "import a run that had requests"));
    }
    check_served(&document, completed)?;
    let mean = |total: f64| match total > 0.0 {
        true => ((total / completed).round() as u64).max(1),
        false => 0,
    };
    let prompt_tokens = mean(whole("total_input_tokens")?);
    let output_tokens = mean(whole("total_output_tokens")?);
    let load = load(&document);
    let served = |latency: ServedLatency| Operation::Served {
        model: model.clone(),
        tp: asked.tp.map(u64::from),
        latency,
        load: load.clone(),
        requests: completed as u64,
        prompt_tokens,
        output_tokens,
    };
    let mut own = Gather::default();
    match document.page.get("ttfts") {
        Some(Value::Array(_)) => detailed(&document, &served, &mut own)?,
        _ => summed_up(&document, &served, completed, &mut own)?,
    }
    match (prompt_tokens, output_tokens) {
        (0, _) => gather.skip_all(
            &own,
            "of requests without a prompt (total_input_tokens is 0)",
        ),
        (_, 0) => gather.skip_all(
            &own,
            "of requests without output (total_output_tokens is 0)",
        ),
        _ => *gather = own,
    }
    Ok(document.told(path, "vllm bench serve", model.clone(), asked.tp))
}

/// Refuses a result whose fields contradict each other, or say what no run has.
fn check_served(document: &Document, completed: f64) -> Result<(), ImportError> {
    if completed.fract() != 0.0 {
        return Err(document.refuse("completed", "a whole number", SAVE));
    }
    let rate = document.page.get("request_rate");
    let is_rate = match rate {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text == "inf",
        Some(rate) => amount(rate).is_some_and(|rate| rate > 0.0),
    };
    if !is_rate {
        return Err(document.refuse("request_rate", "a number above 0, or \"inf\"", SAVE));
    }
    let most = document.page.get("max_concurrency");
    if !most.is_none_or(|most| most.is_null() || most.as_u64().is_some_and(|most| most > 0)) {
        return Err(document.refuse("max_concurrency", "a whole number from 1 on, or null", SAVE));
    }
    if let Some(ttfts) = document.numbers("ttfts")?
        && (ttfts.len() as f64) < completed
    {
        return Err(document.refuse("ttfts", "a value for each of `completed` at least", SAVE));
    }
    // Those of requests that failed are in the lists of prompts, and not in their total.
    for (list, total, exact) in [
        ("output_lens", "total_output_tokens", true),
        ("input_lens", "total_input_tokens", false),
    ] {
        let Some((lengths, total_tokens)) = document.numbers(list)?.zip(document.number(total)?)
        else {
            continue;
        };
        let sum: f64 = lengths.iter().sum();
        if total_tokens > sum || (exact && total_tokens < sum) {
            return Err(document.refuse(total, "what the lengths of the requests add up to", SAVE));
        }
    }
    Ok(())
}

/// How requests came, in words.
fn load(document: &Document) -> String {
    let rate = match document.page.get("request_rate") {
        Some(Value::Number(rate)) => format!("{rate} requests/s"),
        _ => "all at once".to_owned(),
    };
    match document.page.get("max_concurrency").and_then(Value::as_u64) {
        Some(most) => format!("{rate}, at most {most} under way"),
        None => rate,
    }
}

/// Each request and token by itself.
fn detailed(
    document: &Document,
    served: &dyn Fn(ServedLatency) -> Operation,
    gather: &mut Gather,
) -> Result<(), ImportError> {
    let lists = [document.numbers("ttfts")?, document.numbers("output_lens")?];
    let [Some(ttfts), Some(outputs)] = lists else {
        return Err(document.refuse("output_lens", "one value per request", SAVE));
    };
    let gaps = document.page.get("itls").and_then(Value::as_array);
    let Some(gaps) = gaps.filter(|gaps| gaps.len() == ttfts.len()) else {
        return Err(document.refuse("itls", "a list of gaps for each of `ttfts`", SAVE));
    };
    if outputs.len() != ttfts.len() {
        return Err(document.refuse("output_lens", "one value for each of `ttfts`", SAVE));
    }
    for ((ttft, output), gaps) in ttfts.iter().zip(&outputs).zip(gaps) {
        let gaps: Option<Vec<f64>> = match gaps {
            Value::Array(list) => list.iter().map(amount).collect(),
            _ => None,
        };
        let Some(gaps) = gaps else {
            return Err(document.refuse("itls", "lists of numbers from 0 to 1e12", SAVE));
        };
        if *ttft <= 0.0 || *output < 1.0 {
            gather.skip("of requests without output");
            continue;
        }
        let after: f64 = gaps.iter().sum();
        let mut add = |latency, seconds: f64| {
            gather.add(served(latency), None, "", seconds * 1e6, None);
        };
        add(ServedLatency::Ttft, *ttft);
        add(ServedLatency::E2e, ttft + after);
        if *output > 1.0 {
            add(ServedLatency::Tpot, after / (output - 1.0));
        }
        for gap in gaps {
            add(ServedLatency::Itl, gap);
        }
    }
    Ok(())
}

/// What the benchmark made of them.
fn summed_up(
    document: &Document,
    served: &dyn Fn(ServedLatency) -> Operation,
    completed: f64,
    gather: &mut Gather,
) -> Result<(), ImportError> {
    let latencies = [
        (ServedLatency::Ttft, "ttft"),
        (ServedLatency::Tpot, "tpot"),
        (ServedLatency::Itl, "itl"),
        (ServedLatency::E2e, "e2el"),
    ];
    for (latency, name) in latencies {
        let field = |what: &str| document.number(&format!("{what}_{name}_ms"));
        let Some(median) = field("median")? else {
            continue;
        };
        let spread = match (field("mean")?, field("std")?) {
            // The extremes are not told: the mean's and the deviation's place alone.
            (Some(mean), Some(std)) => Some(Spread {
                min_us: None,
                max_us: None,
                mean_us: mean * 1e3,
                std_us: std * 1e3,
            }),
            _ => None,
        };
        gather.add_median(served(latency), median * 1e3, spread, completed as u32);
    }
    Ok(())
}
