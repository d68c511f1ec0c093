"""Points of a sweep as tasks of a Ray cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from seatrial import _native
from seatrial._freight import pack, unpack

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as error:
    raise ImportError('engine="ray" needs Ray: pip install "seatrial[ray]"') from error

#: Tasks that are handed over before any has come back, at the least: what asks a cluster to grow.
_AHEAD = 256
#: And for each CPU of the cluster.
_AHEAD_PER_CPU = 4
#: How often the CPUs are counted, s.
_COUNTED_EVERY_S = 10.0
#: Points of a task, at most, unless the user says otherwise.
_MOST_OF_A_TASK = 16

Found = list[tuple[int, str]]

#: The sweep whose points this process runs, by the key of its files and its head.
_opened: dict[tuple[str, str], _native.Worker] = {}


def _find(
    freight: list[ray.ObjectRef[Any]], key: str, header: str, points: list[int], threads: int
) -> Found:
    """Runs points on a worker."""
    worker = _opened.get((key, header))
    if worker is None:
        # Fetched by the first task of a process alone, since it is named within a list.
        worker = _native.Worker(unpack(ray.get(freight[0])), header)
        _opened.clear()
        _opened[key, header] = worker
    return worker.find(points, threads)


def run(
    sweep: _native.Sweep,
    parts: list[_native.Part],
    *,
    chunk: int | None,
    retries: int,
    options: Mapping[str, Any] | None,
) -> None:
    """Runs what is pending of the parts, and has them keep each point once it has come back.

    A point that fails stops the sweep: what has come back is kept, the rest is called off.
    """
    pending = [part.pending() for part in parts]
    tasks = _tasks(pending, chunk)
    if not any(pending):
        return
    if not ray.is_initialized():
        ray.init()
    given = dict(options or {})
    threads = max(1, int(given.get("num_cpus", 1)))
    retries = int(given.setdefault("max_retries", retries))
    task = ray.remote(_find).options(**given)
    packed = pack(sweep.files)
    freight = [ray.put(packed)]
    header = sweep.header
    flight: dict[Any, tuple[int, list[int]]] = {}
    limit = _Limit(threads)
    try:
        while True:
            while len(flight) < limit.now():
                following = next(tasks, None)
                if following is None:
                    break
                ref = task.remote(freight, packed.key, header, following[1], threads)
                flight[ref] = following
            if not flight:
                break
            landed = {ref: flight.pop(ref) for ref in _landed(list(flight))}
            _keep(parts, landed, retries)
    finally:
        _call_off(parts, flight, retries)


def _call_off(
    parts: list[_native.Part], flight: dict[Any, tuple[int, list[int]]], retries: int
) -> None:
    """Keeps what has come back by now, and calls off the rest; what failed of it is told already."""
    if not flight:
        return
    here, others = ray.wait(list(flight), num_returns=len(flight), timeout=0)
    for ref in others:
        ray.cancel(ref)
    with contextlib.suppress(RayError, RuntimeError, ValueError):
        _keep(parts, {ref: flight[ref] for ref in here}, retries)


def _keep(parts: list[_native.Part], landed: dict[Any, tuple[int, list[int]]], retries: int) -> None:
    """Keeps what has come back; of several failures that of the first point is raised."""
    found: dict[int, Found] = {}
    failed: dict[int, BaseException] = {}
    for ref, (number, points) in landed.items():
        try:
            found.setdefault(number, []).extend(ray.get(ref))
        except RayError as error:
            failed[points[0]] = _cause(error, points, retries)
    # Those that came back together go to the disk together.
    for number, together in found.items():
        parts[number].keep(together)
    if failed:
        raise failed[min(failed)] from None


class _Limit:
    """How many tasks may be in flight: a cluster may grow."""

    def __init__(self, cpus_of_a_task: int) -> None:
        self._cpus_of_a_task = cpus_of_a_task
        self._counted_s = float("-inf")
        self._limit = _AHEAD

    def now(self) -> int:
        if time.monotonic() - self._counted_s > _COUNTED_EVERY_S:
            cpus = ray.cluster_resources().get("CPU", 0.0)
            ahead = int(_AHEAD_PER_CPU * cpus / self._cpus_of_a_task)
            self._limit = max(_AHEAD, ahead)
            self._counted_s = time.monotonic()
        return self._limit


def _tasks(pending: list[list[int]], chunk: int | None) -> Iterator[tuple[int, list[int]]]:
    """Points of each task, with the number of their part; the parts take turns."""
    count = sum(map(len, pending))
    size = chunk or min(_MOST_OF_A_TASK, max(1, -(-count // _AHEAD)))
    longest = max(map(len, pending), default=0)
    for start in range(0, longest, size):
        for number, points in enumerate(pending):
            if points[start : start + size]:
                yield number, points[start : start + size]


def _landed(flight: list[Any]) -> list[Any]:
    """Waits for a task to come back, and takes those that have."""
    first: list[Any]
    first, others = ray.wait(flight, num_returns=1)
    if not others:
        return first
    more, _ = ray.wait(others, num_returns=len(others), timeout=0)
    return [*first, *more]


def _cause(error: RayError, points: list[int], retries: int) -> BaseException:
    """What a task failed of, in the library's own words where it is the library's."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        return error.cause
    named = ", ".join(map(str, points))
    often = "" if retries < 0 else f" (of {retries} allowed beginnings anew)"
    return RuntimeError(
        f"points {named}: Ray could not run their task{often}: {error}; "
        "the points that were finished are kept, and the same call goes on from there"
    )
