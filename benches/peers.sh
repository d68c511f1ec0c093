#!/usr/bin/env bash
# The same workload through seatrial and through other simulators of serving fleets: requests per
# second of user CPU time, side by side on this machine.
#
#   benches/peers.sh [--aisimulate] [--requests N] [SCRATCH_FOLDER]
#
# Installs `inference-lab` 1.0.0 (a crate) and, where asked, a pre-release of `aisimulate` 0.13 (a
# wheel, some 120 MB, in a venv of Python 3.11 or later) into the folder (by default
# /tmp/seatrial-peers), and leaves them there for the next time. Needs cargo; builds seatrial too.
#
# What each side models of the workload (Llama-3.1-70B on replicas of eight H100, Poisson arrivals,
# 512 prompt and 128 output tokens, 256 sequences and 8,192 tokens an iteration, chunked prefill,
# blocks of 16 tokens, least loaded):
#   seatrial       measured kernels of vLLM with an engine overhead; runs of decode iterations folded
#   inference-lab  a datasheet roofline without overheads; an event for each iteration
#   aisimulate     measured kernels by operation; an event for each iteration
# So latencies differ; arrivals, batching limits and memory are alike, and the work per request is
# that of the simulator. Each time is that of all requests less that of a hundredth of them, so that
# starting up counts for nobody.
set -euo pipefail
shopt -s inherit_errexit

cd "$(dirname "$0")/.."
with_aisimulate=false
requests=100000
scratch=/tmp/seatrial-peers
while [ $# -gt 0 ]; do
    case "$1" in
        --aisimulate) with_aisimulate=true ;;
        --requests) shift; requests=$1 ;;
        -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        -*) echo "peers.sh: $1 is not an option; --aisimulate and --requests N are" >&2; exit 2 ;;
        *) scratch=$1 ;;
    esac
    shift
done
few=$((requests / 100))
mkdir -p "$scratch"

cargo build --release --locked --quiet
seatrial="${CARGO_TARGET_DIR:-target}/release/seatrial"
lab="$scratch/lab/bin/inference-lab"
[ -x "$lab" ] || cargo install inference-lab --version 1.0.0 --locked --quiet --root "$scratch/lab"
ais="$scratch/venv/bin/aisimulate"
if $with_aisimulate && [ ! -x "$ais" ]; then
    python3 -m venv "$scratch/venv"
    # The final release asks another host for its wheel; this one is its last on the index.
    "$scratch/venv/bin/pip" install --quiet "aisimulate==0.13.0.dev202610270000000085"
fi

# lab_files REPLICAS RATE REQUESTS
lab_files() {
    cat > "$scratch/model.toml" <<EOF
model = "llama-3-70b"
[scheduler]
max_num_batched_tokens = 8192
max_num_seqs = 256
policy = "fcfs"
enable_chunked_prefill = true
block_size = 16
[hardware.h100]
tp = 8
replicas = $1
router = { policy = "least_loaded" }
EOF
    cat > "$scratch/workload.toml" <<EOF
arrival_pattern = "poisson"
arrival_rate = $2.0
num_requests = $3
seed = 42
[input_len_dist]
type = "fixed"
value = 512
[output_len_dist]
type = "fixed"
value = 128
EOF
}

# ais_file REPLICAS RATE REQUESTS
ais_file() {
    cat > "$scratch/aisimulate.yaml" <<EOF
traffic:
  source: {type: synthetic, input_tokens: 512, output_tokens: 128}
  load: {type: poisson, requests_per_second: $2}
  stop: {requests: $3}
engine:
  model: meta-llama/Meta-Llama-3.1-70B
  hardware: h100_sxm
  backend: vllm
  workers:
    aggregated:
      parallelism: {replicas: $1, tensor: 8}
      scheduler: {max_batched_tokens: 8192, max_sequences: 256}
      kv_cache: {block_size: 16, prefix_caching: false}
EOF
}

# user_s COMMAND...: user CPU seconds, the least of three
user_s() {
    local best="" took
    for _ in 1 2 3; do
        took=$( { TIMEFORMAT=%U; time "$@" > /dev/null 2> "$scratch/said" < /dev/null; } 2>&1 ) \
            || { cat "$scratch/said" >&2; exit 2; }
        best=$(awk -v a="${best:-$took}" -v b="$took" 'BEGIN { print (b < a) ? b : a }')
    done
    echo "$best"
}

ours() {
    user_s "$seatrial" run experiments/peer-1.toml --set "pools.llama.replicas=$1" \
        --set "workload.arrivals.rate_per_s=$2" --set "workload.max_requests=$3" \
        --set "claims.0.equals=$3"
}
theirs_lab() { lab_files "$@"; user_s "$lab" -c "$scratch/model.toml" -w "$scratch/workload.toml" -q; }
theirs_ais() {
    ais_file "$@"
    user_s "$ais" predict -c "$scratch/aisimulate.yaml" --format json \
        --output-dir "$scratch/aisimulate-output" --overwrite
}

# per_s RUNNER REPLICAS RATE: requests per second of user CPU time
per_s() {
    local all start
    all=$("$1" "$2" "$3" "$requests")
    start=$("$1" "$2" "$3" "$few")
    awk -v n=$((requests - few)) -v a="$all" -v s="$start" \
        'BEGIN { t = a - s; if (t < 0.001) t = 0.001; printf "%.0f", n / t }'
}

echo "requests per second of user CPU time, $requests requests"
printf '%9s %7s %12s %14s %7s' replicas rate/s seatrial inference-lab ratio
$with_aisimulate && printf ' %12s %7s' aisimulate ratio
echo
for point in "1 10" "64 640" "256 2560" "1024 10240" "64 2560"; do
    read -r replicas rate <<< "$point"
    mine=$(per_s ours "$replicas" "$rate")
    lab_rate=$(per_s theirs_lab "$replicas" "$rate")
    printf '%9s %7s %12s %14s %7.1f' "$replicas" "$rate" "$mine" "$lab_rate" \
        "$(awk -v a="$mine" -v b="$lab_rate" 'BEGIN { print a / b }')"
    if $with_aisimulate; then
        ais_rate=$(per_s theirs_ais "$replicas" "$rate")
        printf ' %12s %7.1f' "$ais_rate" "$(awk -v a="$mine" -v b="$ais_rate" 'BEGIN { print a / b }')"
    fi
    echo
done
