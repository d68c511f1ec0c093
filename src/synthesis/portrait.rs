//! What a trace is like, in figures that a synthetic one should keep.

use super::clients::sizes;
use super::reuse;
use super::sample::Sample;
use crate::trace::stats::spearman;

/// How two values of a figure are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// By their ratio.
    Relative,
    /// By their difference; this much is kept.
    Absolute(f64),
}

/// A figure of a trace; no value where the trace is too short for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its unit; empty for a plain number.
    pub unit: &'static str,
    /// How it is compared.
    pub scale: Scale,
    /// Its value.
    pub value: Option<f64>,
}

/// The figures of a trace, always the same ones in the same order for traces with the same things
/// (hashes, clients) in them.
pub fn portrait(sample: &Sample) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name, unit, scale, value: Option<f64>| {
        let value = value.filter(|value| value.is_finite());
        figures.push(Figure {
            name,
            unit,
            scale,
            value,
        });
    };
    let rate = (sample.span_s > 0.0).then(|| sample.len() as f64 / sample.span_s);
    add("rate", "requests/s", Scale::Relative, rate);
    let gaps = sample.gaps_s();
    add("inter-arrival CV", "", Scale::Relative, cv(&gaps));
    for (name, width_s) in [
        ("dispersion, 1 s", 1.0),
        ("dispersion, 10 s", 10.0),
        ("dispersion, 60 s", 60.0),
    ] {
        let counts = sample.counts(width_s);
        add(name, "", Scale::Relative, dispersion(&counts));
    }
    for (name, width_s) in [("peak / mean second", 1.0), ("peak / mean minute", 60.0)] {
        let counts = sample.counts(width_s);
        add(name, "", Scale::Relative, peak_over_mean(&counts));
    }
    let names = [
        ["prompt mean", "prompt p50", "prompt p90", "prompt p99"],
        ["output mean", "output p50", "output p90", "output p99"],
    ];
    for (names, lengths) in names.iter().zip([&sample.prompt, &sample.output]) {
        for (name, value) in names.iter().zip(lengths_of(lengths)) {
            add(name, "tokens", Scale::Relative, value);
        }
    }
    let correlation = spearman(&sample.prompt, &sample.output);
    add("rank correlation", "", Scale::Absolute(0.05), correlation);
    if !sample.hashes.is_empty() {
        let reuse = reuse::measure(&sample.hashes);
        let share = Scale::Absolute(0.03);
        add("stretches found", "", share, Some(reuse.found));
        add("stretches used once", "", share, Some(reuse.once));
        add("prompts that go on", "", share, Some(reuse.going_on));
        let mut back: Vec<u32> = reuse.steps.iter().map(|step| step.2 as u32).collect();
        back.sort_unstable();
        let middle = back.get(back.len() / 2).map(|back| f64::from(*back));
        add("reuse distance p50", "requests", Scale::Relative, middle);
    }
    if !sample.clients.is_empty() {
        let sizes = sizes(&sample.clients);
        let top = |n: usize| {
            let top: u64 = sizes.iter().take(n).sum();
            Some(top as f64 / sample.len() as f64)
        };
        let share = Scale::Absolute(0.05);
        add("share of top client", "", share, top(1));
        add("share of top 5", "", share, top(5));
        add("share of top 20", "", share, top(20));
    }
    figures
}

fn cv(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    (values.len() >= 2 && mean > 0.0).then(|| (squares / count).sqrt() / mean)
}

fn dispersion(counts: &[u32]) -> Option<f64> {
    let count = counts.len() as f64;
    let mean = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / count;
    let squares = counts.iter().map(|c| (f64::from(*c) - mean).powi(2));
    (counts.len() >= 2 && mean > 0.0).then(|| squares.sum::<f64>() / count / mean)
}

fn peak_over_mean(counts: &[u32]) -> Option<f64> {
    let mean = counts.iter().map(|c| f64::from(*c)).sum::<f64>() / counts.len() as f64;
    let peak = counts.iter().max()?;
    (counts.len() >= 2 && mean > 0.0).then(|| f64::from(*peak) / mean)
}

/// Mean, median, 90th and 99th percentile by nearest rank.
fn lengths_of(lengths: &[u32]) -> [Option<f64>; 4] {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let total: u64 = sorted.iter().map(|tokens| u64::from(*tokens)).sum();
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map(|tokens| f64::from(*tokens))
    };
    let mean = (!sorted.is_empty()).then(|| total as f64 / sorted.len() as f64);
    [mean, at(50), at(90), at(99)]
}
