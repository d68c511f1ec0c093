"""Sweeps: one scenario at many points."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pyarrow as pa
import pyarrow.parquet as pq

from seatrial import _native
from seatrial._scenario import StrPath, _check_threads, _check_whole

if TYPE_CHECKING:
    import pandas as pd

Engine = Literal["local", "ray"]

#: Most shards, as the command line has it.
_MOST_SHARDS = 100_000
#: How often a task of Ray is begun again, unless the user says otherwise.
_RETRIES = 10


@overload
def sweep(
    experiment: StrPath,
    *,
    out: StrPath | None = ...,
    engine: Engine = ...,
    shards: int | None = ...,
    threads: int | None = ...,
    chunk: int | None = ...,
    retries: int | None = ...,
    ray_options: Mapping[str, Any] | None = ...,
    as_pandas: Literal[False] = ...,
) -> pa.Table: ...
@overload
def sweep(
    experiment: StrPath,
    *,
    out: StrPath | None = ...,
    engine: Engine = ...,
    shards: int | None = ...,
    threads: int | None = ...,
    chunk: int | None = ...,
    retries: int | None = ...,
    ray_options: Mapping[str, Any] | None = ...,
    as_pandas: Literal[True],
) -> pd.DataFrame: ...
def sweep(
    experiment: StrPath,
    *,
    out: StrPath | None = None,
    engine: Engine = "local",
    shards: int | None = None,
    threads: int | None = None,
    chunk: int | None = None,
    retries: int | None = None,
    ray_options: Mapping[str, Any] | None = None,
    as_pandas: bool = False,
) -> pa.Table | pd.DataFrame:
    """Runs a scenario at every point of an experiment.

    Every finished point is on the disk at once, in a journal in ``out``: the same call goes on where
    it was stopped or killed, and so does ``seatrial sweep`` of the command line; points of another
    experiment, scenario, input file or build are refused. The files in ``out`` are byte for byte
    those of the command line, whatever the engine.

    Args:
        experiment: The experiment, a TOML file.
        out: Folder of the journal and the results. Default: ``out/NAME``, by the experiment's name.
        engine: ``"local"``: threads of this process. ``"ray"``: tasks of the Ray cluster that this
            process is connected to, or that ``ray.init()`` finds or starts; see the package's page.
        shards: Keeps a journal for each of so many shards, as ``sweep --shard I/N`` does, and merges
            them at the end.
        threads: For ``"local"``: points in flight at once. Default: as many as there are cores.
        chunk: For ``"ray"``: points of a task. Default: 1 up to 256 points, more for more, 16 at
            most.
        retries: For ``"ray"``: how often a task is begun again when its worker or node dies; -1 for
            any number of times. Default: 10.
        ray_options: For ``"ray"``: options of tasks as ``ray.remote`` has them, such as
            ``{"num_cpus": 4}``; replications of a point share the CPUs of its task.
        as_pandas: Whether to return a data frame instead of a table.

    Returns:
        ``points.parquet``: a row for each point, with the columns of its settings, of each metric
        (its value, the ends ``_low`` and ``_high`` of its interval, and ``_doubt``), ``feasible``,
        ``on_front``, ``partial`` and ``digest``.

    Raises:
        ValueError: The experiment or its scenario is not valid, or ``out`` has points of another.
        FileNotFoundError: There is no such file.
        OSError: The journal or the results cannot be written.
        RuntimeError: Workers of Ray died more often than ``retries``.
        KeyboardInterrupt: Ctrl-C; what was finished is kept.
    """
    _check(engine, shards, threads, chunk, retries)
    _check_kinds(ray_options, as_pandas)
    _check_used(engine, threads=threads, chunk=chunk, retries=retries, ray_options=ray_options)
    retries = _RETRIES if retries is None else retries
    whole = _native.Sweep(experiment)
    folder = Path("out") / whole.name if out is None else Path(out)
    spans = [None] if shards is None else [(index, shards) for index in range(shards)]
    parts: list[_native.Part] = []
    try:
        for span in spans:
            parts.append(whole.begin(folder, span))
        if engine == "ray":
            from seatrial import _ray

            _ray.run(whole, parts, chunk=chunk, retries=retries, options=ray_options)
        else:
            for part in parts:
                part.run(whole, threads)
        whole.still_so()
        if shards is None:
            parts[0].finish(folder)
    finally:
        for part in parts:
            part.close()
    if shards is not None:
        _native.merge([part.journal for part in parts], folder)
    return _table(folder, as_pandas)


@overload
def merge(
    folders: StrPath | Iterable[StrPath],
    *,
    out: StrPath | None = ...,
    as_pandas: Literal[False] = ...,
) -> pa.Table: ...
@overload
def merge(
    folders: StrPath | Iterable[StrPath],
    *,
    out: StrPath | None = ...,
    as_pandas: Literal[True],
) -> pd.DataFrame: ...
def merge(
    folders: StrPath | Iterable[StrPath],
    *,
    out: StrPath | None = None,
    as_pandas: bool = False,
) -> pa.Table | pd.DataFrame:
    """Puts the parts of a sweep together that ``seatrial sweep --shard`` ran.

    Args:
        folders: The folders that the parts are in, or their journals.
        out: Folder of the results. Default: the first folder.
        as_pandas: Whether to return a data frame instead of a table.

    Returns:
        What :func:`sweep` returns.

    Raises:
        ValueError: Points are missing, or the parts are not of one sweep.
        OSError: A file cannot be read or written.
    """
    _check_flag(as_pandas)
    named = [folders] if isinstance(folders, (str, os.PathLike)) else list(folders)
    if not named:
        raise ValueError("folders: there are none; name those that the parts are in")
    first = Path(named[0])
    folder = Path(out) if out is not None else first if first.is_dir() else first.parent
    folder.mkdir(parents=True, exist_ok=True)
    _native.merge(named, folder)
    return _table(folder, as_pandas)


def _table(folder: Path, as_pandas: bool) -> pa.Table | pd.DataFrame:
    table = pq.read_table(folder / "points.parquet")
    return table.to_pandas() if as_pandas else table


def _check_used(engine: str, **options: object) -> None:
    """Refuses options that would do nothing."""
    of_other = ("threads",) if engine == "ray" else ("chunk", "retries", "ray_options")
    for name in of_other:
        if options[name] is not None:
            other = "local" if engine == "ray" else "ray"
            raise ValueError(f'{name}: is for engine="{other}" and does nothing here; leave it out')


def _check(
    engine: str,
    shards: int | None,
    threads: int | None,
    chunk: int | None,
    retries: int | None,
) -> None:
    if engine not in ("local", "ray"):
        raise ValueError(f'engine: {engine!r}: must be "local" or "ray"')
    _check_whole("shards", shards, 1, _MOST_SHARDS)
    _check_threads(threads)
    _check_whole("chunk", chunk, 1)
    _check_whole("retries", retries, -1)


def _check_kinds(ray_options: object, as_pandas: object) -> None:
    if ray_options is not None and not isinstance(ray_options, Mapping):
        raise ValueError(f"ray_options: {ray_options!r}: must be a dict of options of ray.remote")
    _check_flag(as_pandas)


def _check_flag(as_pandas: object) -> None:
    if not isinstance(as_pandas, bool):
        raise ValueError(f"as_pandas: {as_pandas!r}: must be True or False")
