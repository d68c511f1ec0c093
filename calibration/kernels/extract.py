#!/usr/bin/env python3
"""Makes the kernel tables of this folder from the data of aiconfigurator-core 0.12.0.

Usage:
    pip download --no-deps aiconfigurator-core==0.12.0     (then unpack the wheel: it is a zip)
    python3 extract.py UNPACKED/aiconfigurator_core/systems/data [OUT_FOLDER]

Needs `pyarrow` to read Parquet, nothing else. The same input gives the same bytes. What the
columns mean, and what is kept, is in README.md.
"""

import collections
import gzip
import pathlib
import statistics
import sys

import pyarrow.parquet

# system: backend: version, and the version of its all-reduce, MoE and MLA tables where it differs.
SOURCES = {
    "a100_sxm": {"trtllm": "1.0.0", "vllm": "0.14.0", "sglang": "0.5.10"},
    "h100_sxm": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
    "h200_sxm": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
    "b200_sxm": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
    "b300_sxm": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
    "gb200": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
    "gb300": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
    "l40s": {"trtllm": "1.3.0rc20", "vllm": "0.24.0", "sglang": "0.5.14"},
}
# NCCL's version of the collective operations between ranks, which all frameworks call.
NCCL = {"a100_sxm": "2.27.3", "l40s": "2.27.3"}
NCCL_DEFAULT = "2.29.2"
# Tables that the version above lacks.
INSTEAD = {("l40s", "vllm", "comm"): "0.22.0"}

GEMM_DTYPES = {"bfloat16": "bf16", "fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4", "sq": "int8"}
MOE_DTYPES = {**GEMM_DTYPES, "w4a16_mxfp4": "mxfp4", "w4a8_mxfp4_mxfp8": "mxfp4"}
SHORT = {"bfloat16": "bf16", "fp8": "fp8"}
LEAST_WIDTH = 128
GEMM_M = (
    1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128, 129, 160, 192, 224, 256, 257, 384, 512, 513, 768,
    1024, 1025, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 8192, 16384, 32768,
)
# Heads and KV heads per device of the model cards at TP 1, 2, 4, 8, or the nearest measured.
HEADS = {
    128: {(4, 1), (8, 1), (16, 1), (16, 2), (32, 2), (16, 4), (32, 4), (32, 8), (64, 4), (64, 8), (8, 2),
          (4, 4), (8, 8), (12, 12), (16, 16), (24, 24), (32, 32), (40, 40), (48, 48), (64, 64), (96, 96), (96, 8)},
    64: {(8, 1), (16, 2), (32, 4), (64, 8)},
}
WINDOWS = {128: (0,), 64: (0, 128)}
# hidden, width of an expert, experts per token, experts: of the model cards.
EXPERTS = {(4096, 14336, 2, 8), (2048, 768, 8, 128), (4096, 1536, 8, 128), (2880, 2880, 4, 128), (7168, 2048, 8, 256)}
SPREADS = {"balanced": "balanced", "power_law_1.2": "power_law_1.2"}
MLA_HEADS = {16, 32, 64, 128}


def rows_of(path, columns):
    """Rows of a Parquet file: those columns, then the kernel and its latency in microseconds."""
    table = pyarrow.parquet.read_table(path, columns=[*columns, "kernel_source", "latency"]).to_pydict()
    for row in zip(*(table[c] for c in columns), table["kernel_source"], table["latency"]):
        if row[-1] is not None and row[-1] > 0:
            yield (*row[:-1], row[-1] * 1e3)


class Lines:
    """The lines of one table: keys before, latencies along an axis behind."""

    def __init__(self, kind):
        self.kind = kind
        self.cells = collections.defaultdict(lambda: collections.defaultdict(list))

    def add(self, key, x, kernel, latency_us):
        self.cells[key, x][kernel].append(latency_us)

    def value(self, key, x):
        """The fastest kernel, the median of its measurements."""
        kernels = self.cells.get((key, x))
        if kernels is None:
            return ""
        return f"{min(map(statistics.median, kernels.values())):.3f}".rstrip("0").rstrip(".")

    def text(self):
        if not self.cells:
            return
        axis = sorted({x for _, x in self.cells})
        yield ",".join(map(str, ("axis", self.kind, *axis)))
        for key in sorted({key for key, _ in self.cells}, key=lambda k: tuple((isinstance(p, str), p) for p in k)):
            texts = [self.value(key, x) for x in axis]
            yield ",".join(map(str, (self.kind, *key, *texts))).rstrip(",")


def gemm(folder):
    lines = Lines("gemm")
    for dtype, m, n, k, kernel, us in rows_of(folder / "gemm_perf.parquet", ("gemm_dtype", "m", "n", "k")):
        if dtype in GEMM_DTYPES and m in GEMM_M and n >= LEAST_WIDTH and k >= LEAST_WIDTH:
            lines.add((GEMM_DTYPES[dtype], n, k), m, kernel, us)
    return lines


def scales(folder, backend):
    """What TensorRT-LLM's `fp8` products spend on finding the scale of their activations."""
    lines = Lines("scale")
    path = folder / "computescale_perf.parquet"
    if backend == "trtllm" and path.exists():
        for dtype, m, k, kernel, us in rows_of(path, ("quant_dtype", "m", "k")):
            if dtype == "fp8" and m in GEMM_M and k >= LEAST_WIDTH:
                lines.add((k,), m, kernel, us)
    return lines


def attention(folder, name, kind):
    lines = Lines(kind)
    names = ("attn_dtype", "kv_cache_dtype", "num_heads", "num_key_value_heads", "head_dim", "window_size")
    path = folder / f"{name}_attention_perf.parquet"
    present = pyarrow.parquet.ParquetFile(path).schema_arrow.names
    names = tuple(n for n in names if n in present)
    for row in rows_of(path, (*names, "batch_size", "isl", "step")):
        *key, batch, isl, step, kernel, us = row
        if len(names) == 5:
            key.append(0)
        attn, kv, heads, kv_heads, width, window = key
        kv_heads = kv_heads or heads
        if attn not in SHORT or kv not in SHORT or width not in HEADS:
            continue
        if (heads, kv_heads) not in HEADS[width] or (window or 0) not in WINDOWS[width] or batch > 1024:
            continue
        length = isl if kind == "prefill" else isl + step
        lines.add((SHORT[attn], SHORT[kv], heads, kv_heads, width, window or 0, batch), length, kernel, us)
    return lines


def attention_kernels(folder):
    """The kernels that decode attention was measured with over caches of 16 and of 8 bits."""
    table = pyarrow.parquet.read_table(
        folder / "generation_attention_perf.parquet", columns=["kernel_source", "kv_cache_dtype", "head_dim"]
    ).to_pydict()
    for cache in SHORT:
        rows = zip(*table.values())
        yield "+".join(sorted({kernel for kernel, kv, width in rows if kv == cache and width == 128}))


def allreduce(folder):
    lines = Lines("allreduce")
    rows = list(rows_of_allreduce(folder / "custom_allreduce_perf.parquet"))
    for gpus, elements, us in rows:
        lines.add((gpus,), elements, "", us)
    return lines


def rows_of_allreduce(path):
    table = pyarrow.parquet.read_table(path).to_pydict()
    for source, gpus, elements, ms in zip(
        table["kernel_source"], table["num_gpus"], table["message_size"], table["latency"]
    ):
        # Captured graphs, not eager launches: as servers run them.
        if not source.endswith("_eager") and gpus in (2, 4, 8):
            yield gpus, elements, ms * 1e3


def collective(path, name, kind):
    """All-gathers or reduce-scatters of 16-bit values among the devices of a node."""
    lines = Lines(kind)
    for op, dtype, gpus, values, kernel, us in rows_of(path, ("op_name", "nccl_dtype", "num_gpus", "message_size")):
        if op == name and dtype == "half" and int(gpus) in (2, 4, 8):
            lines.add((int(gpus),), int(values), kernel, us)
    return lines


def moe(folder):
    lines = Lines("moe")
    names = ("moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts",
             "moe_tp_size", "moe_ep_size", "distribution")
    path = folder / "moe_perf.parquet"
    for dtype, tokens, hidden, inter, topk, experts, tp, ep, spread, kernel, us in rows_of(path, names):
        shape = (hidden, inter, topk, experts)
        if dtype not in MOE_DTYPES or shape not in EXPERTS or spread not in SPREADS:
            continue
        if (tp in (1, 2, 4, 8) and ep == 1) or (tp == 1 and ep in (2, 4, 8, 16, 32, 64)):
            lines.add((MOE_DTYPES[dtype], *shape, tp, ep, SPREADS[spread]), tokens, dtype + kernel, us)
    return lines


def mla(folder, kind):
    """The attention block of MLA with its projections (TensorRT-LLM and vLLM)."""
    lines = Lines(f"mla_{kind}")
    path = folder / f"mla_{'context' if kind == 'prefill' else 'generation'}_module_perf.parquet"
    if not path.exists():
        return lines
    names = ("gemm_type", "kv_cache_dtype", "num_heads", "batch_size", "isl", "step")
    for gemm_type, kv, heads, batch, isl, step, kernel, us in rows_of(path, names):
        if gemm_type in GEMM_DTYPES and kv in SHORT and heads in MLA_HEADS:
            # The length includes the new token in some of the tables and not in others (step even).
            length = isl if kind == "prefill" else step + step % 2
            lines.add((GEMM_DTYPES[gemm_type], SHORT[kv], heads, batch), length, kernel, us)
    return lines


def main():
    data = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent)
    for system, backends in SOURCES.items():
        nccl = data / system / "comm" / "nccl" / NCCL.get(system, NCCL_DEFAULT) / "nccl_perf.parquet"
        for backend, version in backends.items():
            def at(kind):
                return data / system / kind / backend / INSTEAD.get((system, backend, kind), version)

            tables = [gemm(at("gemm")), scales(at("quantize"), backend), attention(at("attention"), "context", "prefill"),
                      attention(at("attention"), "generation", "decode"), allreduce(at("comm")),
                      collective(nccl, "all_gather", "allgather"), collective(nccl, "reduce_scatter", "reducescatter"),
                      moe(at("moe")), mla(at("mla"), "prefill"), mla(at("mla"), "decode")]
            lines = ["table,1", ",".join(("meta", system, backend, version, *attention_kernels(at("attention"))))]
            for table in tables:
                lines.extend(table.text())
            text = "\n".join(lines) + "\n"
            path = out / f"{system}-{backend}.csv.gz"
            path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
            print(path.name, len(text), path.stat().st_size)


if __name__ == "__main__":
    main()
