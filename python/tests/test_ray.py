"""Sweeps on a real Ray cluster of two workers, one of which is killed half-way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

import seatrial
from conftest import THOUSAND, Cli, lines, same
from seatrial import _native, _ray

#: Of this machine alone: Ray takes 127.0.0.1 to mean the address that others see.
ADDRESS = "127.0.0.2"
#: Bytes of a node's object store: a sweep's files are small.
STORE = 80 * 1024 * 1024


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that runs no tasks, and two workers of one CPU each."""
    head = {
        "num_cpus": 0,
        "node_ip_address": ADDRESS,
        "object_store_memory": STORE,
        "include_dashboard": False,
        # A node is dead that has not answered for eight seconds; a busy one answers within that.
        "_system_config": {
            "health_check_initial_delay_ms": 0,
            "health_check_period_ms": 1_000,
            "health_check_failure_threshold": 8,
        },
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, node_ip_address=ADDRESS, object_store_memory=STORE)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_what_is_wrong_on_a_worker_is_told_in_the_words_of_the_library(
    cluster: Cluster, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = _native.Sweep(small / "e.toml")
    part = sweep.begin(small / "o", None)
    header = sweep.header.replace(seatrial.SOURCES, "0123456789abcdef")
    elsewhere = SimpleNamespace(files=sweep.files, header=header)
    settings: dict[str, Any] = {"chunk": 5, "retries": 0, "options": {"num_cpus": 1}}
    with pytest.raises(ValueError, match="^a worker has another build of seatrial"):
        _ray.run(elsewhere, [part], **settings)  # type: ignore[arg-type]
    # A point that brings its worker down whenever it is run ends the sweep; either task may be the first.
    monkeypatch.setattr(_ray, "_find", lambda *_: os._exit(1))
    told = "^points (0, 1, 2, 3, 4|5, 6, 7, 8, 9): Ray could not run their task"
    with pytest.raises(RuntimeError, match=told):
        _ray.run(sweep, [part], **settings)
    assert lines(small / "o/journal.jsonl") == 1


def test_a_small_sweep_and_one_gone_on_with(cluster: Cluster, cli: Cli, small: Path) -> None:
    cli("sweep", small / "e.toml", "--out", small / "cli")
    out = small / "ray"
    seatrial.sweep(small / "e.toml", out=out, engine="ray")
    same(small / "cli", out)
    journal = (out / "journal.jsonl").read_bytes()
    # All but the head and five points are lost, and one more is half written.
    kept = b"".join(journal.splitlines(keepends=True)[:6])
    (out / "journal.jsonl").write_bytes(journal[: len(kept) + 40])
    frame = seatrial.sweep(small / "e.toml", out=out, engine="ray", as_pandas=True)
    assert len(frame) == 12
    same(small / "cli", out)
    assert (out / "journal.jsonl").read_bytes().startswith(kept)
    assert lines(out / "journal.jsonl") == 13


def test_three_shards_on_two_workers(cluster: Cluster, thousand: Path, tmp_path: Path) -> None:
    table = seatrial.sweep(THOUSAND, out=tmp_path, engine="ray", shards=3)
    assert table.num_rows == 1_000
    same(thousand, tmp_path)
    journals = [tmp_path / f"journal-{index}-of-3.jsonl" for index in range(3)]
    assert [lines(journal) for journal in journals] == [335, 334, 334]


def test_a_worker_that_is_killed_half_way_loses_nothing(
    cluster: Cluster, thousand: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.jsonl"
    killed_at: list[int] = []

    def kill() -> None:
        while lines(journal) < 400 or ray.available_resources().get("CPU", 0) > 0:
            time.sleep(0.01)
        killed_at.append(lines(journal))
        # No chance to tidy up: all processes of the node end at once.
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    table = seatrial.sweep(THOUSAND, out=tmp_path, engine="ray", chunk=4)
    killer.join()
    assert 400 <= killed_at[0] < 1_001, "it was over before"
    assert table.num_rows == 1_000
    same(thousand, tmp_path)
    # Every point once, and the head.
    assert lines(journal) == 1_001
    assert sum(node["Alive"] for node in ray.nodes()) == 2
