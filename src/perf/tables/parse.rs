//! The text of a table file: lines of comma-separated cells, the first of which says of what.

use super::{AttentionKey, ExpertsKey, KernelDtype, KernelTables, Spread};
use crate::trace::error::shorten;

/// The most that a time, in microseconds, or a point of an axis may be.
const MOST: f64 = 1e12;

/// What to say of a cell.
type Cell<'a> = Option<&'a str>;

/// The cells of a line after its first.
struct Cells<'a> {
    cells: std::str::Split<'a, char>,
    /// Cells read so far, the first of the line among them.
    read: usize,
}

impl<'a> Cells<'a> {
    fn next(&mut self) -> Cell<'a> {
        self.read += 1;
        self.cells.next()
    }

    fn number(&mut self) -> Result<u32, String> {
        let cell = self.next().unwrap_or_default();
        cell.parse().map_err(|_| {
            let (column, cell) = (self.read, shorten(cell));
            format!("cell {column}: `{cell}` must be a whole number from 0 to 4,294,967,295")
        })
    }

    fn dtype(&mut self) -> Result<KernelDtype, String> {
        let cell = self.next().unwrap_or_default();
        KernelDtype::parse(cell).ok_or_else(|| {
            let (column, cell) = (self.read, shorten(cell));
            format!("cell {column}: `{cell}` is not a number type of kernels")
        })
    }

    /// The rest as numbers: rising ones of an axis.
    fn axis(self) -> Result<Vec<f64>, String> {
        let axis = self.times(f64::INFINITY)?;
        let rising = axis.windows(2).all(|pair| pair[0] < pair[1]);
        match rising && axis.first().is_some_and(|first| *first > 0.0) {
            true => Ok(axis),
            false => Err("an axis must rise and be above 0".to_owned()),
        }
    }

    /// The rest as times, at most `most` of them; NaN where a cell is empty.
    fn times(self, most: f64) -> Result<Vec<f64>, String> {
        let first = self.read + 1;
        let times = self
            .cells
            .zip(first..)
            .map(|(cell, column)| match cell {
                "" => Ok(f64::NAN),
                _ => match cell.parse::<f64>() {
                    Ok(value) if value > 0.0 && value <= MOST => Ok(value),
                    _ => Err(format!(
                        "cell {column}: `{}` must be a number above 0, at most 1e12",
                        shorten(cell)
                    )),
                },
            })
            .collect::<Result<Vec<_>, _>>()?;
        if times.len() as f64 > most {
            return Err(format!("{} times for {most} places", times.len()));
        }
        Ok(times)
    }
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<KernelTables, String> {
    let mut tables = KernelTables::default();
    for (index, line) in text.lines().enumerate() {
        parse_line(line, &mut tables).map_err(|why| format!("line {}: {why}", index + 1))?;
    }
    Ok(tables)
}

fn parse_line(line: &str, tables: &mut KernelTables) -> Result<(), String> {
    let mut cells = Cells {
        cells: line.split(','),
        read: 0,
    };
    match cells.next().unwrap_or_default() {
        "table" => match cells.next() {
            Some("1") => Ok(()),
            other => Err(format!("version {} is not known", other.unwrap_or("none"))),
        },
        "meta" => {
            let [wide, narrow] = &mut tables.attention_kernels;
            for field in [
                &mut tables.system,
                &mut tables.backend,
                &mut tables.version,
                wide,
                narrow,
            ] {
                *field = cells.next().unwrap_or_default().to_owned();
            }
            Ok(())
        }
        "axis" => {
            let kind = cells.next().unwrap_or_default();
            let axis = match kind {
                "gemm" => &mut tables.gemm.rows,
                "scale" => &mut tables.gemm.scale_rows,
                "prefill" => &mut tables.prefill.lengths,
                "decode" => &mut tables.decode.lengths,
                "allreduce" => &mut tables.allreduce.elements,
                "allgather" => &mut tables.all_gather.elements,
                "reducescatter" => &mut tables.reduce_scatter.elements,
                "moe" => &mut tables.moe.tokens,
                "mla_prefill" => &mut tables.mla_prefill.lengths,
                "mla_decode" => &mut tables.mla_decode.lengths,
                "rms_norm" => &mut tables.norms.rows,
                "silu_mul" => &mut tables.activations.rows,
                "rotary" => &mut tables.rotations.rows,
                _ => return Err(format!("`{kind}` is not a kind of kernel")),
            };
            *axis = cells.axis()?;
            Ok(())
        }
        "gemm" => {
            let key = (cells.dtype()?, cells.number()?, cells.number()?);
            let times = cells.times(tables.gemm.rows.len() as f64)?;
            tables.gemm.shapes.insert(key, times);
            Ok(())
        }
        "scale" => {
            let k = cells.number()?;
            let times = cells.times(tables.gemm.scale_rows.len() as f64)?;
            tables.gemm.scales.insert(k, times);
            Ok(())
        }
        kind @ ("prefill" | "decode") => {
            let key = AttentionKey {
                query: cells.dtype()?,
                kv: cells.dtype()?,
                heads: cells.number()?,
                kv_heads: cells.number()?,
                head_dim: cells.number()?,
                window: cells.number()?,
            };
            let table = match kind {
                "prefill" => &mut tables.prefill,
                _ => &mut tables.decode,
            };
            let batch = cells.number()?;
            let times = cells.times(table.lengths.len() as f64)?;
            table.shapes.entry(key).or_default().insert(batch, times);
            Ok(())
        }
        kind @ ("mla_prefill" | "mla_decode") => {
            let key = AttentionKey::mla(cells.dtype()?, cells.dtype()?, cells.number()?);
            let table = match kind {
                "mla_prefill" => &mut tables.mla_prefill,
                _ => &mut tables.mla_decode,
            };
            let batch = cells.number()?;
            let times = cells.times(table.lengths.len() as f64)?;
            table.shapes.entry(key).or_default().insert(batch, times);
            Ok(())
        }
        kind @ ("rms_norm" | "silu_mul" | "rotary") => {
            let table = match kind {
                "rms_norm" => &mut tables.norms,
                "silu_mul" => &mut tables.activations,
                _ => &mut tables.rotations,
            };
            let width = cells.number()?;
            let key = (width, if kind == "rotary" { cells.number()? } else { 1 });
            let times = cells.times(table.rows.len() as f64)?;
            table.shapes.insert(key, times);
            Ok(())
        }
        kind @ ("allreduce" | "allgather" | "reducescatter") => {
            let table = match kind {
                "allreduce" => &mut tables.allreduce,
                "allgather" => &mut tables.all_gather,
                _ => &mut tables.reduce_scatter,
            };
            let devices = cells.number()?;
            let times = cells.times(table.elements.len() as f64)?;
            table.devices.insert(devices, times);
            Ok(())
        }
        "moe" => {
            let key = ExpertsKey {
                dtype: cells.dtype()?,
                hidden: cells.number()?,
                width: cells.number()?,
                per_token: cells.number()?,
                experts: cells.number()?,
                tp: cells.number()?,
                ep: cells.number()?,
                spread: match cells.next() {
                    Some("balanced") => Spread::Balanced,
                    Some("power_law_1.2") => Spread::PowerLaw,
                    other => return Err(format!("`{}` is no spread", other.unwrap_or_default())),
                },
            };
            let times = cells.times(tables.moe.tokens.len() as f64)?;
            tables.moe.shapes.insert(key, times);
            Ok(())
        }
        kind => Err(format!("`{kind}` is not a kind of kernel")),
    }
}
