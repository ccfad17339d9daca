"""Figure 9: how fast a producer queues, each call fsynced."""

from collections.abc import Iterator

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.endpoints import Endpoints
from benchmarks.home_builder import build_home
from benchmarks.load import run_load
from benchmarks.readings import Reading

__all__ = ["run_enqueueing"]

_SINGLES = 10_000
_QUICK_SINGLES = 500
_BATCHED = 100_000
_QUICK_BATCHED = 10_000
_BATCH = 500
_LIMIT_S = 120.0


def run_enqueueing(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Queue one at a time, then in batches, from one process; nothing else runs."""
    for key, count, batch in (
        ("9-single", conditions.pick(_SINGLES, _QUICK_SINGLES), 1),
        ("9-batch", conditions.pick(_BATCHED, _QUICK_BATCHED), _BATCH),
    ):
        with conditions.scratch() as folder, Endpoints(folder) as endpoints:
            home = build_home(folder / "home", endpoints, apps=INSTALLATIONS)
            done = run_load("burst", home, limit_s=_LIMIT_S, count=count, batch=batch)
        yield Reading(key, done["sent"] / done["seconds"])
