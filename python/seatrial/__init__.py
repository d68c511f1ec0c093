"""seatrial: a deterministic discrete-event simulator of a whole LLM serving fleet.

>>> import seatrial
>>> result = seatrial.run("experiments/mmc.toml", set={"pools.servers.servers": 9}, seed=7)
>>> result["latency"]["e2e_ms"]["p99"]  # doctest: +SKIP
>>> table = seatrial.sweep("experiments/sweeps/servers-and-rates.toml", engine="ray")  # doctest: +SKIP

The same scenario and seed give the same numbers as the command line does, on any number of threads
and machines. What is wrong with a scenario is raised as ``ValueError`` in the words of the command
line, a file that is not there as ``FileNotFoundError``. Long calls let other threads run, and Ctrl-C
ends them.
"""

from __future__ import annotations

from seatrial._native import SOURCES, __version__
from seatrial._scenario import estimate, run
from seatrial._sweep import merge, sweep

__all__ = ["SOURCES", "__version__", "estimate", "merge", "run", "sweep"]
