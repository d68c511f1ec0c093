//! How far what steps read lies from what was measured: every measurement of a calibration, or of
//! the kernel tables, is left out in turn and read from the others.

mod table;

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::diff::{Source, SourceError};
use super::gpu::measure::quantile;
use super::gpu::plan::card_of;
use super::tables::{self, TablesError};
use crate::perf::tables::{HeldOut, HeldOutWay, KernelBackend, KernelTables, TablesHandle};
use crate::perf::{AcceleratorCard, PerfError};

pub use table::render;

/// The goals that reading between measurements has, as the median of the absolute errors of an
/// operation: products, and attention.
const PRODUCTS_GOAL: f64 = 0.05;
const ATTENTION_GOAL: f64 = 0.03;
/// Version of the JSON document.
const SCHEMA: u32 = 1;
/// What names of shipped tables begin with.
const TABLES: &str = "tables:";
/// All of them.
const ALL: &str = "tables:all";

/// Errors of one operation, number type and way, as shares of what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Errors {
    /// The operation, as calibrations call it.
    pub operation: &'static str,
    /// Number type of the arithmetic.
    pub dtype: &'static str,
    /// Where the measurements lie that were left out: `between` others of their shape, `at_the_end`
    /// of it, or with their `whole_shape`.
    pub way: &'static str,
    /// Measurements left out.
    pub count: usize,
    /// Median of the absolute errors.
    pub median: f64,
    /// 90th percentile of them.
    pub p90: f64,
    /// The largest.
    pub max: f64,
    /// Median of the errors with their signs: above 0, more is read than was measured.
    pub bias: f64,
    /// Median of the absolute errors where only measurements of the same shape are read.
    pub alone_median: Option<f64>,
}

/// Errors of one operation as a whole, all number types together, between other measurements of
/// the shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Whole {
    /// The operation, as calibrations call it.
    pub operation: &'static str,
    /// Measurements left out.
    pub count: usize,
    /// Median of the absolute errors, shares of what was measured.
    pub median: f64,
    /// 90th percentile of them.
    pub p90: f64,
    /// The most that the median may be; none of operations without a goal.
    pub goal: Option<f64>,
    /// Whether it is no more than that.
    pub met: Option<bool>,
    /// The number types whose own median is more.
    pub beyond: Vec<&'static str>,
}

/// An operation of one of several tables that misses its goal by itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beyond {
    /// The tables, as they are named on the command line.
    pub tables: String,
    /// The operation.
    pub operation: &'static str,
    /// The median of its absolute errors.
    pub median: f64,
}

/// The errors of a calibration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Version of the document, 1.
    pub schema: u32,
    /// What was checked.
    pub source: String,
    /// The accelerator card whose peaks products are read by.
    pub card: String,
    /// By operation, between other measurements of the shape.
    pub operations: Vec<Whole>,
    /// Of several tables, which miss the goal of an operation by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables_beyond: Vec<Beyond>,
    /// By operation, number type and way.
    pub errors: Vec<Errors>,
}

/// Why a calibration cannot be checked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckError {
    /// The file.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// The shipped tables, or a card of theirs.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The card that was named.
    #[error(transparent)]
    Card(#[from] PerfError),
    /// No measurement has others that it can be read from.
    #[error(
        "{file}: nothing can be read from others: it takes several measurements of products, attention, \
         collective operations, experts or latent attention; give a calibration that has them"
    )]
    Nothing {
        /// The file.
        file: String,
    },
    /// All tables by one card.
    #[error(
        "--accelerator {card}: {ALL} is of several devices, each read by the peaks of its own; leave it out, or \
         name one of the tables"
    )]
    OneCard {
        /// The card.
        card: String,
    },
    /// The device has no card.
    #[error(
        "{file}: no accelerator card is known for `{device}`, and products are read by the share of \
         a card's peaks; name one with --accelerator"
    )]
    NoCard {
        /// The file.
        file: String,
        /// The device.
        device: String,
    },
}

impl Check {
    /// Checks a calibration or tables: a path, or `tables:SYSTEM/BACKEND`.
    ///
    /// # Errors
    /// It cannot be read, or no card is known for its device.
    pub fn of(text: &str, card: Option<&str>) -> Result<Check, CheckError> {
        match (text == ALL, card) {
            (true, None) => return Check::of_all_tables(),
            (true, Some(card)) => {
                return Err(CheckError::OneCard {
                    card: card.to_owned(),
                });
            }
            (false, _) => {}
        }
        let named = card.map(|name| AcceleratorCard::load(name, Path::new("")));
        let named = named.transpose()?;
        let (handle, source, card) = if text.starts_with(TABLES) {
            let source = Source::load(text)?;
            let label = source.label();
            match source {
                Source::Tables { tables, card } => {
                    (TablesHandle::Shipped(tables), label, named.unwrap_or(*card))
                }
                // A name that begins so is never a file's.
                Source::File { path, .. } => return no_card(&path, ""),
            }
        } else {
            let tables = tables::load(Path::new(text))?;
            let card = match named {
                Some(card) => card,
                None => match card_by_name(&tables)? {
                    Some(card) => card,
                    None => return no_card(text, &tables.system),
                },
            };
            let label = format!(
                "{text} ({}, {} {})",
                tables.system, tables.backend, tables.version
            );
            (TablesHandle::Loaded(Arc::new(tables)), label, card)
        };
        let all = handle.held_out(&card);
        let errors = summaries(&all);
        if errors.is_empty() {
            return Err(CheckError::Nothing {
                file: text.to_owned(),
            });
        }
        Ok(Check {
            schema: SCHEMA,
            source,
            card: card.name,
            operations: wholes(&all, &errors),
            tables_beyond: Vec::new(),
            errors,
        })
    }

    fn of_all_tables() -> Result<Check, CheckError> {
        let names: Vec<String> = KernelTables::systems()
            .flat_map(|system| {
                KernelBackend::ALL.map(|backend| format!("{TABLES}{system}/{}", backend.name()))
            })
            .collect();
        let source = format!(
            "all {} kernel tables that come with the program",
            names.len()
        );
        Check::of_tables(&names, source)
    }

    /// Checks several of the tables that come with the program together, each by the card of its system.
    ///
    /// # Errors
    /// One is not among them.
    pub fn of_tables(names: &[String], source: String) -> Result<Check, CheckError> {
        let each: Result<Vec<_>, CheckError> = names.par_iter().map(|it| shipped(it)).collect();
        let (all, beyond): (Vec<_>, Vec<_>) = each?.into_iter().unzip();
        let all: Vec<HeldOut> = all.into_iter().flatten().collect();
        let errors = summaries(&all);
        Ok(Check {
            schema: SCHEMA,
            source,
            card: "of each system".to_owned(),
            operations: wholes(&all, &errors),
            tables_beyond: beyond.into_iter().flatten().collect(),
            errors,
        })
    }
}

/// What was left out of tables that come with the program, and the operations of them that miss their goals.
fn shipped(name: &str) -> Result<(Vec<HeldOut>, Vec<Beyond>), CheckError> {
    match Source::load(name)? {
        Source::Tables { tables, card } => {
            let all = TablesHandle::Shipped(tables).held_out(&card);
            let beyond = beyond_of(name, &all);
            Ok((all, beyond))
        }
        Source::File { path, .. } => no_card(&path, ""),
    }
}

/// The operations of tables that miss their goals.
fn beyond_of(tables: &str, all: &[HeldOut]) -> Vec<Beyond> {
    let missed = wholes(all, &summaries(all)).into_iter();
    let missed = missed.filter(|whole| whole.met == Some(false));
    missed
        .map(|whole| Beyond {
            tables: tables.to_owned(),
            operation: whole.operation,
            median: whole.median,
        })
        .collect()
}

fn no_card<T>(file: &str, device: &str) -> Result<T, CheckError> {
    Err(CheckError::NoCard {
        file: file.to_owned(),
        device: device.to_owned(),
    })
}

/// The card of a device or system that tables name.
fn card_by_name(tables: &KernelTables) -> Result<Option<AcceleratorCard>, PerfError> {
    for name in AcceleratorCard::names() {
        let card = AcceleratorCard::load(name, Path::new(""))?;
        if card.kernels.as_deref() == Some(&tables.system) {
            return Ok(Some(card));
        }
    }
    let card = card_of(&tables.system);
    card.map(|name| AcceleratorCard::load(name, Path::new("")))
        .transpose()
}

/// The goal of an operation's median error.
fn goal(operation: &str) -> Option<f64> {
    match operation {
        "gemm" => Some(PRODUCTS_GOAL),
        "prefill_attention" | "decode_attention" | "mla_prefill" | "mla_decode" => {
            Some(ATTENTION_GOAL)
        }
        _ => None,
    }
}

/// Each operation as a whole, in the order of its errors by number type.
fn wholes(all: &[HeldOut], errors: &[Errors]) -> Vec<Whole> {
    let between = |errors: &&Errors| errors.way == "between";
    let mut names: Vec<&str> = (errors.iter().filter(between))
        .map(|errors| errors.operation)
        .collect();
    names.dedup();
    let whole = |operation: &'static str| {
        let own = all
            .iter()
            .filter(|one| one.operation == operation && one.way == HeldOutWay::Between);
        let absolute: Vec<f64> = own
            .map(|one| (one.read_us / one.measured_us - 1.0).abs())
            .collect();
        let goal = goal(operation);
        let beyond = |errors: &&Errors| {
            errors.operation == operation && goal.is_some_and(|goal| errors.median > goal)
        };
        let beyond = errors.iter().filter(between).filter(beyond);
        let median = quantile(&absolute, 0.5);
        Whole {
            operation,
            count: absolute.len(),
            median,
            p90: quantile(&absolute, 0.9),
            goal,
            met: goal.map(|goal| median <= goal),
            beyond: beyond.map(|errors| errors.dtype).collect(),
        }
    };
    names.into_iter().map(whole).collect()
}

/// By operation, number type and way, in the order in which they come first.
fn summaries(all: &[HeldOut]) -> Vec<Errors> {
    let mut kinds = Vec::new();
    for one in all {
        let kind = (one.operation, one.dtype, one.way);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let order = |operation: &str| all.iter().position(|one| one.operation == operation);
    kinds.sort_by_key(|(operation, dtype, way)| (order(operation), *way, *dtype));
    let of_kind = |kind: &(&str, _, _)| {
        let like = |one: &&HeldOut| (one.operation, one.dtype, one.way) == *kind;
        let like: Vec<&HeldOut> = all.iter().filter(like).collect();
        like
    };
    kinds.iter().map(|kind| summary(&of_kind(kind))).collect()
}

fn summary(like: &[&HeldOut]) -> Errors {
    let signed: Vec<f64> = like
        .iter()
        .map(|one| one.read_us / one.measured_us - 1.0)
        .collect();
    let absolute: Vec<f64> = signed.iter().map(|error| error.abs()).collect();
    let alone = like
        .iter()
        .filter_map(|one| Some((one.alone_us? / one.measured_us - 1.0).abs()));
    let alone: Vec<f64> = alone.collect();
    let first = like.first();
    Errors {
        operation: first.map_or("", |one| one.operation),
        dtype: first.map_or("", |one| one.dtype.name()),
        way: match first.map(|one| one.way) {
            None | Some(HeldOutWay::Between) => "between",
            Some(HeldOutWay::AtTheEnd) => "at_the_end",
            Some(HeldOutWay::WholeShape) => "whole_shape",
        },
        count: like.len(),
        median: quantile(&absolute, 0.5),
        p90: quantile(&absolute, 0.9),
        max: absolute.iter().copied().fold(0.0, f64::max),
        bias: quantile(&signed, 0.5),
        alone_median: (!alone.is_empty()).then(|| quantile(&alone, 0.5)),
    }
}
