//! A generator for a trace.

use std::path::Path;

use serde::Serialize;

use super::arrivals::{self, Candidate};
use super::error::SynthesisError;
use super::generator::{Generator, six_digits};
use super::judge::{Kept, judge};
use super::lengths::{self, LengthCandidate};
use super::sample::Sample;
use super::shape::RateShape;
use super::stamps::{self, Quantum};
use super::{clients, reuse};
use crate::scenario::resolve::traffic;
use crate::scenario::workload::{Arrivals, PrefixSharing};
use crate::scenario::{Document, SourceText};
use crate::trace::TraceSource;
use crate::trace::stats::spearman;

/// Rank correlations nearer to 0 than this are taken to be 0, as are those that chance may make.
const LEAST_CORRELATION: f64 = 0.05;

/// A generator that was found for a trace, and how well it keeps what the trace is like.
#[derive(Debug, Clone, Serialize)]
pub struct Fit {
    /// The trace.
    pub trace: String,
    /// Its requests with an answer.
    pub requests: u64,
    /// Its length, seconds.
    pub span_s: f64,
    /// The step of its stamps, where they are in steps.
    pub quantum: Option<Quantum>,
    /// Clients that the trace tells apart; none where it does not.
    pub clients: Option<u32>,
    /// Processes that were held against it, the best first.
    pub arrivals: Vec<Candidate>,
    /// Laws of prompts, the chosen one first.
    pub prompt: Vec<LengthCandidate>,
    /// Laws of outputs, the chosen one first.
    pub output: Vec<LengthCandidate>,
    /// Rank correlation of the generator.
    pub correlation: f64,
    /// Whether prompts go on from others.
    pub reuses: bool,
    /// What is kept.
    pub statistics: Vec<Kept>,
    /// The generator, as TOML.
    pub toml: String,
}

/// Finds a generator for a trace.
///
/// # Errors
/// When the trace cannot be read, holds nothing, or all its requests come at once.
pub fn fit(source: &TraceSource) -> Result<Fit, SynthesisError> {
    let mut sample = Sample::read(source)?;
    let path = source.path.display().to_string();
    if sample.t_ns.first() == sample.t_ns.last() {
        return Err(SynthesisError::OneInstant {
            path,
            requests: sample.len() as u64,
        });
    }
    let quantum = stamps::quantum(&sample);
    if let Some(quantum) = quantum {
        stamps::dejitter(&mut sample, quantum);
    }
    let found = Parts::of(&sample);
    let generator = found.generator(source, &sample, quantum);
    let toml = generator.to_toml();
    // What is judged is what is written, not what it was before its numbers were rounded.
    let document = Document::parse(SourceText::new("the generator", toml.clone()))?;
    let traffic = traffic(&document, Path::new(""))?;
    let statistics = judge(&sample, &traffic)?;
    Ok(Fit {
        trace: path,
        requests: sample.len() as u64,
        span_s: sample.span_s,
        quantum,
        clients: match &generator.arrivals {
            Arrivals::Clients(mix) => Some(mix.clients),
            _ => None,
        },
        arrivals: found.arrivals,
        prompt: found.prompt,
        output: found.output,
        correlation: generator.correlation,
        reuses: generator.prefix.is_some(),
        statistics,
        toml,
    })
}

struct Parts {
    arrivals: Vec<Candidate>,
    prompt: Vec<LengthCandidate>,
    output: Vec<LengthCandidate>,
    correlation: f64,
    prefix: Option<PrefixSharing>,
}

impl Parts {
    fn of(sample: &Sample) -> Parts {
        let prefix = match sample.hashes.is_empty() {
            true => None,
            false => {
                let measured = reuse::measure(&sample.hashes);
                reuse::fit(&sample.hashes, &sample.prompt, &measured).map(PrefixSharing::Reuse)
            }
        };
        let correlation = spearman(&sample.prompt, &sample.output).unwrap_or(0.0);
        let chance = 2.0 / (sample.len() as f64).sqrt();
        let tells = correlation.abs() >= LEAST_CORRELATION.max(chance);
        Parts {
            arrivals: arrivals::candidates(sample),
            prompt: lengths::candidates(&sample.prompt),
            output: lengths::candidates(&sample.output),
            correlation: if tells { six_digits(correlation) } else { 0.0 },
            prefix,
        }
    }

    fn generator(
        &self,
        source: &TraceSource,
        sample: &Sample,
        quantum: Option<Quantum>,
    ) -> Generator {
        let best = self.arrivals.first();
        let mut arrivals = best.map(|best| best.arrivals.clone());
        let mut shape = best.and_then(|best| best.shape.clone());
        if let Some(mix) = clients::fit(sample) {
            // Windows of clients make up for a rate that changes, but not for the hours of a day.
            shape = shape.filter(RateShape::is_of_days);
            arrivals = Some(Arrivals::Clients(mix));
        }
        let rate_per_s = sample.len() as f64 / sample.span_s;
        let name = source.path.file_name().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let first = |all: &[LengthCandidate]| all.first().map(|it| it.law.clone());
        let none = crate::scenario::workload::Lengths::Constant { tokens: 1 };
        Generator {
            name: match stem.is_empty() {
                true => "generator".to_owned(),
                false => stem.chars().map(plain).take(64).collect(),
            },
            description: format!(
                "Fitted to {} requests over {} s of {name} ({}).",
                sample.len(),
                six_digits(sample.span_s),
                source.format.name()
            ),
            assumptions: assumptions(quantum, self.correlation),
            horizon_s: six_digits(sample.span_s),
            arrivals: arrivals.unwrap_or(Arrivals::Poisson { rate_per_s }),
            profile: shape.map(|shape| shape.profile()),
            prompt: first(&self.prompt).unwrap_or(none.clone()),
            output: first(&self.output).unwrap_or(none),
            correlation: self.correlation,
            prefix: self.prefix.clone(),
        }
    }
}

fn assumptions(quantum: Option<Quantum>, correlation: f64) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(quantum) = quantum {
        said.push(format!(
            "Stamps of the trace are in steps of {} s; requests were spread over them at random, \
             so that nothing within a step is measured.",
            six_digits(quantum.step_s)
        ));
    }
    if correlation == 0.0 {
        said.push("Prompt and output lengths are independent.".to_owned());
    }
    said
}
