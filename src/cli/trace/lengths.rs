//! Lengths and offsets as they are given on the command line.

use crate::cli::Failure;
use crate::observed::access::Rules;
use crate::observed::infer::Inference;
use crate::observed::intake::Skew;
use crate::scenario::workload::Lengths;
use crate::workload::lengths::LengthLaw;

/// A number of tokens, or a law as a scenario writes it: `{ law = "exponential", mean_tokens = 90 }`.
pub(super) fn law(option: &str, text: &str) -> Result<LengthLaw, Failure> {
    let refuse = |why: String| {
        Failure::of(format!(
            "{option} {text}: {why}; write a number of tokens, or a law as in a scenario: '{{ law \
             = \"exponential\", mean_tokens = 90 }}'"
        ))
    };
    #[derive(serde::Deserialize)]
    struct Holder {
        law: Lengths,
    }
    let lengths = match text.trim().parse::<u32>() {
        Ok(tokens) => Lengths::Constant { tokens },
        Err(_) => {
            let holder: Holder = toml::from_str(&format!("law = {text}"))
                .map_err(|error| refuse(error.message().to_owned()))?;
            holder.law
        }
    };
    check(&lengths).map_err(|why| refuse(why.to_owned()))?;
    let law = LengthLaw::new(&lengths).map_err(refuse)?;
    law.ok_or_else(|| refuse("a trace's own lengths are what is missing".to_owned()))
}

/// What a scenario's validation would check.
fn check(lengths: &Lengths) -> Result<(), &'static str> {
    let most = 1e9;
    let fine = match lengths {
        Lengths::Constant { tokens } => *tokens > 0,
        Lengths::Lognormal {
            mean_tokens,
            cv,
            max_tokens,
        } => {
            (1.0..most).contains(mean_tokens) && *cv > 0.0 && *cv < 100.0 && *max_tokens != Some(0)
        }
        Lengths::Exponential {
            mean_tokens,
            max_tokens,
        } => (1.0..most).contains(mean_tokens) && *max_tokens != Some(0),
        Lengths::Quantiles { .. } | Lengths::Trace {} => true,
    };
    if fine {
        Ok(())
    } else {
        Err("has a value out of range")
    }
}

/// The rules for lengths that a log does not have.
pub(super) fn inference(
    bytes_per_token: Option<f64>,
    bytes_per_output_token: Option<f64>,
    prompt: Option<&str>,
    output: Option<&str>,
) -> Result<Inference, Failure> {
    let check = |option: &str, value: Option<f64>| match value {
        Some(value) if !(value > 0.0 && value <= 1e9) => Err(Failure::of(format!(
            "{option} {value}: must be above 0 and at most 1,000,000,000; English text has some 4 \
             bytes a token, and a streamed answer some 200, with what is around each"
        ))),
        other => Ok(other),
    };
    let bytes = check("--bytes-per-token", bytes_per_token)?;
    let bytes_out = check("--bytes-per-output-token", bytes_per_output_token)?;
    Ok(Inference {
        bytes_per_prompt_token: bytes,
        bytes_per_output_token: bytes_out.or(bytes),
        prompt: prompt
            .map(|text| law("--prompt-tokens", text))
            .transpose()?,
        output: output
            .map(|text| law("--output-tokens", text))
            .transpose()?,
    })
}

/// Which lines of an access log count, and where stamps without a zone were written.
pub(super) fn rules(paths: &[String], utc_offset: Option<&str>) -> Result<Rules, Failure> {
    let offset_s = match utc_offset {
        None => 0,
        Some(text) => crate::observed::offset_of(text).ok_or_else(|| {
            Failure::of(format!(
                "--utc-offset {text}: must be an offset such as +02:00, -0530 or Z"
            ))
        })?,
    };
    Ok(Rules {
        paths: paths.to_vec(),
        offset_s,
    })
}

/// Clocks that are ahead: `NAME=ms`.
pub(super) fn skews(texts: &[String]) -> Result<Vec<Skew>, Failure> {
    let one = |text: &String| {
        let parts = text.rsplit_once('=');
        let parsed = parts.and_then(|(name, ms)| Some((name, ms.parse::<f64>().ok()?)));
        match parsed {
            Some((name, ms)) if !name.is_empty() && ms.abs() <= 1e12 => Ok(Skew {
                logger: name.to_owned(),
                lead_ns: (ms * 1e6).round() as i64,
            }),
            _ => Err(Failure::of(format!(
                "--skew {text}: must be NAME=MS, a service and by how many ms its clock is ahead \
                 (below 0: behind); write, for example, vllm=250"
            ))),
        }
    };
    texts.iter().map(one).collect()
}
