//! Traces from generators, written as they are drawn.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::error::SynthesisError;
use crate::engine::{SimTime, Streams};
use crate::fleet::prefix::Prefix;
use crate::scenario::Document;
use crate::scenario::resolve::{Traffic, traffic};
use crate::scenario::workload::Arrivals;
use crate::trace::TraceFormat;
use crate::trace::sink::{write_error, write_whole};
use crate::workload::source::{Offered, Source, SourcePlan};

/// How long a trace is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    /// So many hours.
    Hours(f64),
    /// So many requests.
    Requests(u64),
    /// As long as the generator says in `run.horizon_s`, else an hour.
    Own,
}

/// What trace to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Order {
    /// How long.
    pub span: Span,
    /// Factor on all rates; bursts last as long as before.
    pub rate_scale: f64,
    /// Seed of every random stream.
    pub seed: u64,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Made {
    /// Requests written.
    pub requests: u64,
    /// Arrival of the last, seconds.
    pub last_s: f64,
    /// Prompt tokens of all.
    pub prompt_tokens: u64,
    /// Output tokens of all.
    pub output_tokens: u64,
    /// The format written.
    pub format: TraceFormat,
    /// Columns or keys beside those every trace has.
    pub extra: Option<&'static str>,
}

/// Longest trace, hours: some three years.
const MOST_HOURS: f64 = 27_000.0;
const MOST_SCALE: f64 = 1e6;
const SECOND_NS: f64 = 1e9;

/// Writes a trace from a generator: Mooncake JSON lines where the name of `out` has `.jsonl` in it,
/// else seatrial's own CSV; gzipped if it ends in `.gz`. The same order gives the same bytes, and a
/// run of the same workload with the same seed sees the same requests.
///
/// # Errors
/// When the generator cannot be used, nothing comes, or the file cannot be written.
pub fn make(
    document: &Document,
    base_dir: &Path,
    order: Order,
    out: &Path,
) -> Result<Made, SynthesisError> {
    check(order)?;
    let traffic = scaled(document, base_dir, order.rate_scale)?;
    let (horizon, most) = match order.span {
        Span::Hours(hours) => (SimTime((hours * 3_600.0 * SECOND_NS) as u64), u64::MAX),
        Span::Requests(requests) => (SimTime(u64::MAX), requests),
        Span::Own => (SimTime((traffic.horizon_s * SECOND_NS) as u64), u64::MAX),
    };
    let streams = Streams {
        seed: order.seed,
        replication: 0,
    };
    let most = most.min(traffic.workload.max_requests.unwrap_or(u64::MAX));
    let prefix = traffic.workload.prefix.clone();
    let plan = traffic.source.clone();
    let source = Source::new(plan, streams, horizon, most, &[1.0], prefix, None)?;
    let mut writer = Writer::new(out, &traffic);
    let made = write_whole(out, |file| writer.write(source, file))?;
    Ok(made)
}

fn check(order: Order) -> Result<(), SynthesisError> {
    let refuse = |option, value: String, allowed| {
        Err(SynthesisError::Option {
            option,
            value,
            allowed,
        })
    };
    match order.span {
        Span::Hours(hours) if !(hours > 0.0 && hours <= MOST_HOURS) => {
            return refuse("--hours", hours.to_string(), "above 0 and at most 27,000");
        }
        Span::Requests(0) => {
            return refuse("--requests", "0".to_owned(), "1 or more");
        }
        _ => {}
    }
    if !(order.rate_scale >= 1.0 / MOST_SCALE && order.rate_scale <= MOST_SCALE) {
        let allowed = "a factor from 0.000001 to 1,000,000";
        return refuse("--rate-scale", order.rate_scale.to_string(), allowed);
    }
    Ok(())
}

/// The traffic of a document with all rates multiplied, if requests can be drawn from it alone.
fn scaled(document: &Document, base_dir: &Path, factor: f64) -> Result<Traffic, SynthesisError> {
    let plain = traffic(document, base_dir)?;
    let refuse = |what, why| {
        Err(SynthesisError::NotDrawn {
            file: document.file().to_owned(),
            what,
            why,
        })
    };
    if plain.workload.sessions.is_some() {
        return refuse("with sessions", "when a turn comes depends on the answers");
    }
    match &plain.source {
        SourcePlan::ClosedLoop { .. } => {
            return refuse(
                "of a closed loop",
                "when a request comes depends on the answers",
            );
        }
        SourcePlan::Trace { .. } | SourcePlan::Observed(_) => {
            return refuse(
                "of a trace",
                "it is one (`seatrial trace import` converts traces)",
            );
        }
        SourcePlan::Drawn { .. } => {}
    }
    if factor == 1.0 {
        return Ok(plain);
    }
    let mut document = document.clone();
    for (field, rate) in rates(&plain.workload.arrivals) {
        document.set(
            &format!("workload.arrivals.{field}"),
            &toml_number(rate * factor),
        )?;
    }
    Ok(traffic(&document, base_dir)?)
}

/// A number that TOML does not take for a whole one.
fn toml_number(value: f64) -> String {
    format!("{value:?}")
}

/// The rates of a process by their fields.
fn rates(arrivals: &Arrivals) -> Vec<(String, f64)> {
    let one = |rate: &f64| vec![("rate_per_s".to_owned(), *rate)];
    match arrivals {
        Arrivals::Poisson { rate_per_s }
        | Arrivals::Gamma { rate_per_s, .. }
        | Arrivals::Weibull { rate_per_s, .. }
        | Arrivals::Constant { rate_per_s } => one(rate_per_s),
        Arrivals::Clients(mix) => one(&mix.rate_per_s),
        Arrivals::OnOff {
            on_rate_per_s,
            off_rate_per_s,
            ..
        } => vec![
            ("on_rate_per_s".to_owned(), *on_rate_per_s),
            ("off_rate_per_s".to_owned(), *off_rate_per_s),
        ],
        Arrivals::Mmpp { states } => {
            let states = states.iter().enumerate();
            states
                .map(|(index, state)| (format!("states.{index}.rate_per_s"), state.rate_per_s))
                .collect()
        }
        Arrivals::ClosedLoop { .. } | Arrivals::Trace { .. } => Vec::new(),
    }
}

struct Writer<'a> {
    out: &'a Path,
    traffic: &'a Traffic,
    json: bool,
    clients: bool,
}

impl<'a> Writer<'a> {
    fn new(out: &'a Path, traffic: &'a Traffic) -> Writer<'a> {
        let name = out.file_name().map(|name| name.to_string_lossy());
        Writer {
            out,
            traffic,
            json: name.is_some_and(|name| name.contains(".jsonl")),
            clients: matches!(traffic.workload.arrivals, Arrivals::Clients(_)),
        }
    }

    fn write(&mut self, mut source: Source, file: &mut dyn Write) -> Result<Made, SynthesisError> {
        let failed = |fault: io::Error| write_error(self.out, &fault);
        let mut made = Made {
            requests: 0,
            last_s: 0.0,
            prompt_tokens: 0,
            output_tokens: 0,
            format: match self.json {
                true => TraceFormat::Mooncake,
                false => TraceFormat::Seatrial,
            },
            extra: None,
        };
        if !self.json {
            let columns = TraceFormat::Seatrial.columns().join(",");
            let client = if self.clients { ",client" } else { "" };
            made.extra = self.clients.then_some("client");
            writeln!(file, "{columns}{client}").map_err(failed)?;
        }
        while let Some(request) = source.next_offered() {
            self.row(&request, file).map_err(failed)?;
            if self.json && matches!(request.prefix, Prefix::Hashes { .. }) {
                made.extra = Some("hash_ids");
            }
            made.requests += 1;
            made.last_s = request.time.0 as f64 / SECOND_NS;
            made.prompt_tokens += u64::from(request.prompt_tokens);
            made.output_tokens += u64::from(request.output_tokens);
        }
        if made.requests == 0 {
            return Err(SynthesisError::Nothing {
                file: self.traffic.name.clone(),
                span: "the time asked for".to_owned(),
            });
        }
        Ok(made)
    }

    fn row(&self, request: &Offered, file: &mut dyn Write) -> io::Result<()> {
        let t_ns = request.time.0;
        let (prompt, output) = (request.prompt_tokens, request.output_tokens);
        if !self.json {
            write!(file, "{t_ns},{prompt},{output}")?;
            if let (true, Some(client)) = (self.clients, request.client) {
                write!(file, ",c{client}")?;
            }
            return writeln!(file);
        }
        let (ms, rest) = (t_ns / 1_000_000, t_ns % 1_000_000);
        write!(
            file,
            "{{\"timestamp\": {ms}.{rest:06}, \"input_length\": {prompt}, \"output_length\": {output}"
        )?;
        if let Prefix::Hashes { hashes, .. } = &request.prefix {
            write!(file, ", \"hash_ids\": [")?;
            for (index, name) in hashes.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(file, "{comma}{name}")?;
            }
            write!(file, "]")?;
        }
        writeln!(file, "}}")
    }
}
