"""Sweeps on one machine give the bytes of the command line, and go on where it or they stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import seatrial
from conftest import Cli, lines, same
from seatrial import _native
from seatrial._freight import pack, unpack

# Sixty rates instead of four: long enough to be killed half-way.
LONGER = ("values = [20, 40, 60, 80]", "range = { from = 20, to = 80, count = 60 }")


def test_results_are_those_of_the_command_line(cli: Cli, small: Path) -> None:
    cli("sweep", small / "e.toml", "--out", small / "cli")
    table = seatrial.sweep(small / "e.toml", out=small / "one", threads=1)
    same(small / "cli", small / "one")
    assert isinstance(table, pa.Table)
    assert table.num_rows == 12
    assert table.column("point").to_pylist() == list(range(12))
    assert {"rate", "servers", "p99_ms", "p99_ms_low", "on_front"} <= set(table.column_names)
    frame = seatrial.sweep(small / "e.toml", out=small / "sharded", shards=3, as_pandas=True)
    same(small / "cli", small / "sharded")
    assert isinstance(frame, pd.DataFrame)
    pd.testing.assert_frame_equal(frame, table.to_pandas())


def test_results_lie_where_the_command_line_puts_them(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small)
    seatrial.sweep("e.toml")
    assert (small / "out/small-sweep/points.parquet").exists()


def test_parts_of_the_command_line_are_gone_on_with(cli: Cli, small: Path) -> None:
    cli("sweep", small / "e.toml", "--out", small / "whole")
    cli("sweep", small / "e.toml", "--out", small / "parts", "--shard", "1/2")
    done = (small / "parts/journal-1-of-2.jsonl").read_bytes()
    with pytest.raises(ValueError, match="run `sweep --shard` again for 0/2"):
        seatrial.merge(small / "parts")
    table = seatrial.sweep(small / "e.toml", out=small / "parts", shards=2)
    assert (small / "parts/journal-1-of-2.jsonl").read_bytes() == done
    same(small / "whole", small / "parts")
    assert seatrial.merge([small / "parts"], out=small / "again") == table
    same(small / "whole", small / "again")


def test_a_sweep_that_was_killed_is_gone_on_with(cli: Cli, small: Path) -> None:
    experiment = small / "e.toml"
    experiment.write_text(experiment.read_text().replace(*LONGER))
    cli("sweep", experiment, "--out", small / "whole")
    program = "import sys, seatrial; seatrial.sweep(sys.argv[1], out=sys.argv[2], threads=2)"
    journal = small / "killed/journal.jsonl"
    words = [sys.executable, "-c", program, str(experiment), str(small / "killed")]
    with subprocess.Popen(words, cwd=os.path.dirname(__file__)) as process:
        while lines(journal) < 60:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        process.kill()
    kept = journal.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    assert lines(journal) < 181
    assert not (small / "killed/points.csv").exists()
    seatrial.sweep(experiment, out=small / "killed")
    same(small / "whole", small / "killed")
    # No finished point was lost, or run again.
    assert journal.read_bytes().startswith(kept)
    assert lines(journal) == 181


def test_points_of_something_else_are_refused(small: Path) -> None:
    seatrial.sweep(small / "e.toml", out=small / "o")
    scenario = small / "s.toml"
    scenario.write_text(scenario.read_text().replace("mean_ms = 20", "mean_ms = 21"))
    with pytest.raises(ValueError, match=r"another scenario .*must not be mixed"):
        seatrial.sweep(small / "e.toml", out=small / "o")
    with pytest.raises(ValueError, match=r"axes\.rate.*must have one of"):
        bad = small / "e.toml"
        bad.write_text(bad.read_text().replace("values = [20, 40, 60, 80]", ""))
        seatrial.sweep(bad, out=small / "p")
    with pytest.raises(FileNotFoundError):
        seatrial.sweep(small / "none.toml")
    with pytest.raises(ValueError, match="engine: 'dask'"):
        seatrial.sweep(small / "e.toml", engine="dask")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="shards: 0: must be 1 to 100,000"):
        seatrial.sweep(small / "e.toml", shards=0)
    for name, value, said in [
        ("shards", "3", "shards: '3': must be a whole number"),
        ("threads", "2", "threads: '2': must be a whole number"),
        ("chunk", "a", "chunk: 'a': must be a whole number"),
        ("chunk", 0, "chunk: 0: must be 1 or more"),
        ("retries", -5, "retries: -5: must be -1 or more"),
        ("retries", 3, 'retries: is for engine="ray"'),
        ("ray_options", "x", "ray_options: 'x': must be a dict"),
        ("as_pandas", "no", "as_pandas: 'no': must be True or False"),
    ]:
        given: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=said):
            seatrial.sweep(small / "e.toml", out=small / "never", **given)
    assert not (small / "never").exists()
    with pytest.raises(ValueError, match="as_pandas: 1"):
        seatrial.merge(small, as_pandas=1)  # type: ignore[call-overload]


def test_a_folder_that_cannot_be_written_is_told(small: Path) -> None:
    (small / "file").write_text("")
    with pytest.raises(OSError, match="file/o"):
        seatrial.sweep(small / "e.toml", out=small / "file/o")


def test_files_go_along_with_what_reads_them(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "scenarios").mkdir()
    (small / "s.toml").rename(small / "scenarios/s.toml")
    (small / "empty").mkdir()
    scenario = small / "scenarios/s.toml"
    text = scenario.read_text().replace("horizon_s = 20\nwarmup_s = 2\n", "")
    arrivals = 'process = "trace", path = "../empty/../t.csv"'
    scenario.write_text(text.replace('process = "poisson", rate_per_s = 50', arrivals))
    row = "2023-11-16 18:00:0{}.0000000,100,20\n"
    rows = "".join(row.format(second) for second in range(4))
    (small / "t.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows)
    experiment = small / "e.toml"
    text = experiment.read_text().replace("arrivals.rate_per_s", "arrivals.rate_scale")
    text = text.replace("[20, 40, 60, 80]", "[1, 2]").replace("s.toml", "scenarios/s.toml")
    experiment.write_text(text)
    monkeypatch.chdir(small)
    monkeypatch.setenv("TMPDIR", str(small / "there"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (small / "there").mkdir()
    sweep = _native.Sweep("e.toml")
    freight = pack(sweep.files)
    here = _native.Worker("e.toml", sweep.header).find([0, 5], 1)
    (small / "t.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows + row.format(9))
    there = unpack(freight)
    assert unpack(freight) == there
    # Temporary files are cleaned up one by one, and may be cut off by a disk that is full.
    trace = next(there.parent.glob("t.csv"))
    trace.write_text("")
    there.unlink()
    assert unpack(freight) == there
    assert trace.read_text().count("2023") == 4
    worker = _native.Worker(there, sweep.header)
    assert worker.find([0, 5], 2) == here
    with pytest.raises(ValueError, match="there is no point 6"):
        worker.find([6], 1)
    # What differs from where the sweep began is refused, be it a file or the program.
    with pytest.raises(ValueError, match=r"another content of the file .*t\.csv"):
        _native.Worker("e.toml", sweep.header).find([0], 1)
    other = sweep.header.replace(seatrial.SOURCES, "0123456789abcdef")
    with pytest.raises(ValueError, match="another build of seatrial"):
        _native.Worker(there, other)
