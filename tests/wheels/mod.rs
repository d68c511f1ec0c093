//! A small wheel of kernel tables, made here.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

/// A column of a small table.
pub enum Column {
    Texts(&'static str, Vec<&'static str>),
    Whole(&'static str, Vec<Option<i64>>),
    Real(&'static str, Vec<f64>),
}

pub use Column::{Real, Texts, Whole};

pub fn whole(name: &'static str, values: &[i64]) -> Column {
    Whole(name, values.iter().map(|value| Some(*value)).collect())
}

/// Writes a table as the wheel has it: compressed by Zstandard, every column nullable.
pub fn table(folder: &Path, path: &str, columns: &[Column]) {
    let path = folder.join("aiconfigurator_core/systems/data").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let field = |column: &Column| {
        let (name, kind) = match column {
            Texts(name, _) => (name, Physical::BYTE_ARRAY),
            Whole(name, _) => (name, Physical::INT64),
            Real(name, _) => (name, Physical::DOUBLE),
        };
        let builder = Type::primitive_type_builder(name, kind);
        Arc::new(
            builder
                .with_repetition(Repetition::OPTIONAL)
                .build()
                .unwrap(),
        )
    };
    let fields = columns.iter().map(field).collect();
    let schema = Type::group_type_builder("schema")
        .with_fields(fields)
        .build();
    let level = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(level).build();
    let file = File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema.unwrap()), Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in columns {
        let mut next = group.next_column().unwrap().unwrap();
        match column {
            Texts(_, values) => {
                let bytes: Vec<ByteArray> = values.iter().map(|text| (*text).into()).collect();
                let levels = vec![1; bytes.len()];
                let writer = next.typed::<ByteArrayType>();
                writer.write_batch(&bytes, Some(&levels), None).unwrap();
            }
            Whole(_, values) => {
                let levels: Vec<i16> = values.iter().map(|it| i16::from(it.is_some())).collect();
                let some: Vec<i64> = values.iter().filter_map(|it| *it).collect();
                let writer = next.typed::<Int64Type>();
                writer.write_batch(&some, Some(&levels), None).unwrap();
            }
            Real(_, values) => {
                let levels = vec![1; values.len()];
                let writer = next.typed::<DoubleType>();
                writer.write_batch(values, Some(&levels), None).unwrap();
            }
        }
        next.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// A wheel with a few rows of each table of vLLM on an H100.
pub fn small_wheel(folder: &Path) {
    std::fs::create_dir_all(folder.join("aiconfigurator_core-0.12.0.dist-info")).unwrap();
    let at = |kind: &str, file: &str| format!("h100_sxm/{kind}/vllm/0.24.0/{file}_perf.parquet");
    table(
        folder,
        &at("gemm", "gemm"),
        &[
            Texts("device", vec!["NVIDIA H100 80GB HBM3"; 8]),
            Texts(
                "kernel_source",
                vec!["a", "a", "a", "b", "a", "a", "a", "a"],
            ),
            Texts(
                "gemm_dtype",
                vec![
                    "bfloat16", "bfloat16", "bfloat16", "bfloat16", "fp8", "fp8", "w4", "fp8",
                ],
            ),
            whole("m", &[1, 1, 1, 1, 16, 17, 1, 16]),
            whole("n", &[256, 256, 256, 256, 512, 512, 512, 64]),
            whole("k", &[128, 128, 128, 128, 256, 256, 256, 256]),
            // Milliseconds. The median of kernel a is 4 us, and kernel b is slower.
            Real(
                "latency",
                vec![0.003, 0.005, 0.004, 0.0045, 0.0123456, 0.02, 0.01, 0.01],
            ),
        ],
    );
    for (file, step) in [("context_attention", 0), ("generation_attention", 127)] {
        table(
            folder,
            &at("attention", file),
            &[
                Texts("kernel_source", vec!["vllm_flash_attn"; 4]),
                Texts("attn_dtype", vec!["bfloat16"; 4]),
                Texts(
                    "kv_cache_dtype",
                    vec!["bfloat16", "fp8", "bfloat16", "bfloat16"],
                ),
                whole("num_heads", &[32, 32, 33, 32]),
                Whole("num_key_value_heads", vec![Some(8), Some(8), Some(8), None]),
                whole("head_dim", &[128; 4]),
                Whole("window_size", vec![None, Some(0), None, Some(0)]),
                whole("batch_size", &[4, 4, 4, 2048]),
                whole("isl", &[1, 1, 1, 1]),
                whole("step", &[step; 4]),
                Real("latency", vec![0.01, 0.02, 0.03, 0.04]),
            ],
        );
    }
    table(
        folder,
        &at("comm", "custom_allreduce"),
        &[
            Texts(
                "kernel_source",
                vec!["vLLM_graph", "vLLM_eager", "vLLM_graph"],
            ),
            whole("num_gpus", &[2, 2, 3]),
            whole("message_size", &[1024, 1024, 1024]),
            Real("latency", vec![0.006, 0.016, 0.006]),
        ],
    );
    table(
        folder,
        "h100_sxm/comm/nccl/2.29.2/nccl_perf.parquet",
        &[
            Texts("kernel_source", vec!["NCCL"; 3]),
            Texts(
                "op_name",
                vec!["all_gather", "reduce_scatter", "all_gather"],
            ),
            Texts("nccl_dtype", vec!["half", "half", "int8"]),
            whole("num_gpus", &[4, 4, 4]),
            whole("message_size", &[2048, 4096, 2048]),
            Real("latency", vec![0.0125, 0.0075, 0.01]),
        ],
    );
    table(
        folder,
        &at("moe", "moe"),
        &[
            Texts("kernel_source", vec!["triton"; 3]),
            Texts("moe_dtype", vec!["bfloat16", "w4a16_mxfp4", "bfloat16"]),
            whole("num_tokens", &[8, 8, 8]),
            whole("hidden_size", &[4096, 2880, 4096]),
            whole("inter_size", &[14336, 2880, 14336]),
            whole("topk", &[2, 4, 2]),
            whole("num_experts", &[8, 128, 8]),
            whole("moe_tp_size", &[2, 1, 2]),
            whole("moe_ep_size", &[1, 4, 1]),
            Texts(
                "distribution",
                vec!["balanced", "power_law_1.2", "power_law_1.01"],
            ),
            Real("latency", vec![0.2, 0.1, 0.3]),
        ],
    );
}
