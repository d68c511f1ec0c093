//! A trace in memory, recorded or drawn.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::{SimTime, Streams};
use crate::fleet::prefix::Prefix;
use crate::scenario::resolve::Traffic;
use crate::trace::{TraceError, TraceSource};
use crate::workload::Source;

/// The requests of a trace, in order of arrival.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Arrivals, ns from the start.
    pub t_ns: Vec<u64>,
    /// Length of the trace, seconds: to its last request, or as long as it was asked to be.
    pub span_s: f64,
    /// Prompt tokens.
    pub prompt: Vec<u32>,
    /// Output tokens.
    pub output: Vec<u32>,
    /// Names of the stretches of each prompt; empty where the trace has none.
    pub hashes: Vec<Arc<[u64]>>,
    /// The client of each request, numbered as they come; empty where the trace has none.
    pub clients: Vec<u32>,
}

impl Sample {
    /// Reads a trace; failed requests are left out.
    ///
    /// # Errors
    /// When the trace cannot be read or holds nothing.
    pub fn read(source: &TraceSource) -> Result<Sample, TraceError> {
        source.scan()?;
        let mut cursor = source.cursor()?;
        let mut sample = Sample::default();
        let mut numbers: BTreeMap<Arc<str>, u32> = BTreeMap::new();
        let mut first = None;
        while let Some(record) = cursor.next_record()? {
            let origin = *first.get_or_insert(record.t_ns);
            sample.t_ns.push(record.t_ns - origin);
            sample.prompt.push(record.prompt_tokens);
            sample.output.push(record.output_tokens);
            sample.hashes.extend(record.hashes);
            if let Some(name) = record.client {
                let next = numbers.len() as u32;
                sample.clients.push(*numbers.entry(name).or_insert(next));
            }
        }
        // What only some requests have says nothing of the others.
        if sample.hashes.len() != sample.t_ns.len() {
            sample.hashes.clear();
        }
        if sample.clients.len() != sample.t_ns.len() {
            sample.clients.clear();
        }
        sample.span_s = sample.t_ns.last().map_or(0.0, |last| *last as f64 / 1e9);
        Ok(sample)
    }

    /// Draws a trace of a length from a workload.
    ///
    /// # Errors
    /// When a file that the workload names cannot be read.
    pub fn draw(traffic: &Traffic, streams: Streams, span_s: f64) -> Result<Sample, TraceError> {
        let horizon = SimTime((span_s * 1e9) as u64);
        let mut source = Source::new(
            traffic.source.clone(),
            streams,
            horizon,
            u64::MAX,
            &[1.0],
            traffic.workload.prefix.clone(),
            None,
        )?;
        let mut sample = Sample {
            span_s,
            ..Sample::default()
        };
        while let Some(request) = source.next_offered() {
            sample.t_ns.push(request.time.0);
            sample.prompt.push(request.prompt_tokens);
            sample.output.push(request.output_tokens);
            if let Prefix::Hashes { hashes, .. } = request.prefix {
                sample.hashes.push(hashes);
            }
            sample.clients.extend(request.client);
        }
        Ok(sample)
    }

    /// Requests.
    pub fn len(&self) -> usize {
        self.t_ns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.t_ns.is_empty()
    }

    /// Times between arrivals, seconds.
    pub fn gaps_s(&self) -> Vec<f64> {
        let pairs = self.t_ns.windows(2);
        pairs.map(|pair| (pair[1] - pair[0]) as f64 / 1e9).collect()
    }

    /// Arrivals in back-to-back windows of a width; the last, partial one is left out.
    pub fn counts(&self, width_s: f64) -> Vec<u32> {
        let windows = (self.span_s / width_s).floor() as usize;
        let mut counts = vec![0; windows];
        for t_ns in &self.t_ns {
            if let Some(count) = counts.get_mut((*t_ns as f64 / 1e9 / width_s) as usize) {
                *count += 1;
            }
        }
        counts
    }
}
