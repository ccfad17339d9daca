"""Figure 8: a file with a long history is as fast as an empty one."""

import shutil
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.drain import drain
from benchmarks.endpoints import Endpoints
from benchmarks.figures.throughput import drain_hookfuse
from benchmarks.history import Shape, write_history
from benchmarks.home_builder import aim_home, write_settings
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.readings import Reading
from eventstore.database import open_database
from eventstore.home import Home
from eventstore.work_queue import count_deliveries

__all__ = ["run_long_history"]

_EVENTS = 5_000_000
_QUICK_EVENTS = 100_000
_COUNT = 40_000
_QUICK_COUNT = 4000


def run_long_history(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Work the same backlog off on a new home, and on one with millions of events."""
    count = conditions.pick(_COUNT, _QUICK_COUNT)
    empty = drain_hookfuse(conditions, count)
    home = _home_with_history(conditions)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints:
        aim_home(home, endpoints)
        flow = HookfuseFlow(home, conditions.processes)
        flow.fill(count, INSTALLATIONS)
        seen = drain(flow, endpoints, count=count)
        flow.require_recorded(count)
    yield Reading("8-throughput", seen.per_s, empty.per_s)
    yield Reading("8-start", seen.arrived_s[0] - seen.started_s)


def _home_with_history(conditions: Conditions) -> Home:
    """Give the home that was written before, or write it; one that a run has left in the middle is written anew."""
    events = conditions.pick(_EVENTS, _QUICK_EVENTS)
    home = Home(conditions.folder / f"history-{events}")
    if home.database.exists() and _has_waiting(home):
        shutil.rmtree(home.path)
    if not home.database.exists():
        shutil.rmtree(home.path, ignore_errors=True)
        being_written = Home(home.path.with_suffix(".unfinished"))
        shutil.rmtree(being_written.path, ignore_errors=True)
        write_history(being_written, replace(Shape(), events=events, installations=INSTALLATIONS, broken=0.0))
        write_settings(being_written)
        being_written.path.rename(home.path)
    return home


def _has_waiting(home: Home) -> bool:
    connection = open_database(home.database, is_writer=False)
    try:
        return bool(count_deliveries(connection)["waiting"])
    finally:
        connection.close()
