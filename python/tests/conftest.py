"""What the tests share: small experiments, the command line, and what results are compared by."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

#: The files of results, the journal apart.
FILES = (
    "points.csv",
    "points.parquet",
    "replications.csv",
    "replications.parquet",
    "summary.json",
    "summary.txt",
)

ROOT = Path(__file__).parents[2]
THOUSAND = ROOT / "experiments/sweeps/servers-and-rates.toml"

SCENARIO = """
name = "small"
[run]
horizon_s = 20
warmup_s = 2
replications = 3
[workload]
arrivals = { process = "poisson", rate_per_s = 50 }
[slo]
e2e_ms = 200
target = 0.9
[[pools]]
name = "servers"
engine = "abstract"
servers = 2
service = { law = "exponential", mean_ms = 20 }
[cost]
on_demand_usd_per_gpu_hour = 2
"""

EXPERIMENT = """
name = "small-sweep"
scenario = "s.toml"
[[axes]]
path = "workload.arrivals.rate_per_s"
name = "rate"
values = [20, 40, 60, 80]
[[axes]]
path = "pools.servers.servers"
name = "servers"
range = { from = 2, to = 4, step = 1 }
[[metrics]]
name = "p99_ms"
metric = "latency.e2e_ms.p99"
goal = "min"
[[metrics]]
name = "servers_paid"
metric = "scenario.pools.servers.servers"
goal = "min"
"""

Cli = Callable[..., str]


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Runs the command line (its path in SEATRIAL), which must end with 0 or 1."""
    program = os.environ["SEATRIAL"]

    def call(*arguments: object) -> str:
        words = [program, *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    return call


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with an experiment of twelve points, of some milliseconds each."""
    (tmp_path / "s.toml").write_text(SCENARIO)
    (tmp_path / "e.toml").write_text(EXPERIMENT)
    return tmp_path


@pytest.fixture(scope="session")
def thousand(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command line finds at the thousand points of a shipped experiment."""
    out = tmp_path_factory.mktemp("thousand")
    cli("sweep", THOUSAND, "--out", out)
    return out


def same(one: Path, two: Path) -> None:
    """Fails unless the results in two folders are byte for byte the same."""
    for name in FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes(), f"{name} differs"


def lines(journal: Path) -> int:
    """Whole lines of a journal, its head among them."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0
