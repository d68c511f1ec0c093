#!/bin/sh
# Makes a virtual environment with DuckDB (and Perfetto's package, where it can be had) for the tests of
# files:
#   tests/duckdb/install.sh /tmp/readers && SEATRIAL_READERS=/tmp/readers cargo test --test views files_are_as_documented
set -eu
python3 -m venv "$1"
"$1/bin/pip" install --quiet duckdb
"$1/bin/pip" install --quiet perfetto || true
