"""Runs and estimates of one scenario."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Mapping
from typing import Any

from seatrial import _native

StrPath = str | os.PathLike[str]


def run(
    scenario: StrPath,
    *,
    set: Mapping[str, Any] | None = None,
    seed: int | None = None,
    replications: int | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Simulates a scenario and judges its claims.

    Args:
        scenario: The scenario, a TOML file.
        set: Fields by their paths and the values that they are set to, as ``--set`` of the command
            line: ``{"pools.nodes.replicas": 8}``. ``None`` takes a field away.
        seed: Seed of every random stream (``run.seed``).
        replications: Independent replications, for intervals (``run.replications``).
        threads: Threads to use; all by default. The result does not depend on it.

    Returns:
        The document that ``seatrial run --json --omit-timing`` prints: durations in ms, counts as
        integers, and ``None`` for what there is no number of.

    Raises:
        ValueError: The scenario is not valid; the message names file, field, value and remedy.
        FileNotFoundError: There is no such file.
        KeyboardInterrupt: Ctrl-C ended the run.
    """
    _check_threads(threads)
    _check_whole("seed", seed, 0, 2**63 - 1)
    _check_whole("replications", replications, 1, 2**32 - 1)
    text = _native.run(scenario, _overrides(set), seed, replications, threads)
    return _document(text)


def estimate(scenario: StrPath, *, set: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Works out closed forms only: each formula that applies, with the numbers put in.

    Args:
        scenario: The scenario, a TOML file.
        set: As for :func:`run`.

    Returns:
        The document that ``seatrial estimate --json`` prints.

    Raises:
        ValueError: The scenario is not valid.
        FileNotFoundError: There is no such file.
    """
    return _document(_native.estimate(scenario, _overrides(set)))


def _overrides(set: Mapping[str, Any] | None) -> str | None:
    if set is None:
        return None
    try:
        return json.dumps(dict(set), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"set: {error}; give a dict of path to TOML values") from None


def _plain(value: Any) -> Any:
    """A value of another library, such as NumPy, as one of Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r} is no TOML value")


def _document(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document


def _check_threads(threads: int | None) -> None:
    _check_whole("threads", threads, 1, 1024)


def _check_whole(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuses what is no whole number within a range; ``None`` is what was not given."""
    if value is None:
        return
    try:
        whole = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is None:
        raise ValueError(f"{name}: {value!r}: must be a whole number")
    if whole < least or (most is not None and whole > most):
        allowed = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
        raise ValueError(f"{name}: {whole}: must be {allowed}")
