"""Runs and estimates give what the command line gives."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import seatrial
from conftest import ROOT, Cli


def test_a_run_is_that_of_the_command_line(cli: Cli, small: Path) -> None:
    scenario = small / "s.toml"
    changed = ["--set", "pools.servers.servers=3", "--set", "workload.arrivals.rate_per_s=70.5"]
    told = cli("run", scenario, "--json", "--omit-timing", "--seed", 7, *changed)
    values = {"pools.servers.servers": 3, "workload.arrivals.rate_per_s": 70.5}
    result = seatrial.run(scenario, set=values, seed=7, threads=1)
    assert result == json.loads(told)
    assert result["seed"] == 7
    # A field that is taken away has its default.
    fewer = seatrial.run(str(scenario), set={"run.replications": None}, seed=7)
    assert fewer["requests"]["arrived"] < result["requests"]["arrived"]
    assert seatrial.run(scenario, seed=7, replications=1) == fewer


def test_claims_of_a_shipped_scenario_are_judged() -> None:
    result = seatrial.run(ROOT / "experiments/mmc.toml", set={"run.horizon_s": 60, "run.warmup_s": 5})
    assert {claim["verdict"] for claim in result["claims"]} <= {
        "holds",
        "fails",
        "impossible",
        "untested",
    }


def test_an_estimate_is_that_of_the_command_line(cli: Cli) -> None:
    scenario = ROOT / "experiments/mmc.toml"
    told = json.loads(cli("estimate", scenario, "--json"))
    assert seatrial.estimate(scenario) == told
    assert seatrial.estimate(scenario, set={"pools.servers.servers": 20}) != told


def test_what_is_wrong_is_said_in_the_words_of_the_command_line(small: Path) -> None:
    scenario = small / "s.toml"
    with pytest.raises(ValueError, match=r"pools\.servers\.serverz.*servers"):
        seatrial.run(scenario, set={"pools.servers.serverz": 3})
    with pytest.raises(ValueError, match=r"run\.horizon_s"):
        seatrial.estimate(scenario, set={"run.horizon_s": -1})
    with pytest.raises(ValueError, match="set: .*give a dict"):
        seatrial.run(scenario, set={"run.horizon_s": float("nan")})
    with pytest.raises(ValueError, match="threads: 0"):
        seatrial.run(scenario, threads=0)
    for name, value, allowed in [
        ("threads", "2", "a whole number"),
        ("threads", 1.5, "a whole number"),
        ("replications", -1, "1 to"),
        ("replications", True, "a whole number"),
        ("seed", -1, "0 to"),
        ("seed", 2**64, "0 to"),
    ]:
        given: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"{name}: .*must be {allowed}"):
            seatrial.run(scenario, **given)
    with pytest.raises(FileNotFoundError, match=r"none\.toml"):
        seatrial.run(small / "none.toml")
    scenario.write_text("name = ")
    with pytest.raises(ValueError, match=r"s\.toml:1:.*not valid TOML"):
        seatrial.run(scenario)


def test_ctrl_c_ends_a_run_while_other_threads_go_on(small: Path) -> None:
    # Another thread of Python has to run for there to be a signal at all.
    stop = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    # A shell that starts the tests in the background has them ignore the signal, and Python heeds that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stop.start()
        with pytest.raises(KeyboardInterrupt):
            seatrial.run(small / "s.toml", set={"run.horizon_s": 10_000_000})
        stop.join()
    finally:
        signal.signal(signal.SIGINT, before)
