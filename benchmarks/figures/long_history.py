"""Figure 8: a file with a long history is as fast as an empty one."""

from collections.abc import Iterator

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.drain import drain
from benchmarks.endpoints import Endpoints
from benchmarks.figures.throughput import drain_hookfuse
from benchmarks.histories import home_with_history
from benchmarks.history import Shape
from benchmarks.home_builder import aim_home
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.readings import Reading

__all__ = ["run_long_history"]

_EVENTS = 5_000_000
_QUICK_EVENTS = 100_000
_COUNT = 40_000
_QUICK_COUNT = 4000


def run_long_history(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Work the same backlog off on a new home, and on one with millions of events."""
    count = conditions.pick(_COUNT, _QUICK_COUNT)
    empty = drain_hookfuse(conditions, count)
    shape = Shape(conditions.pick(_EVENTS, _QUICK_EVENTS), installations=INSTALLATIONS, broken=0.0)
    home = home_with_history(conditions, "delivering", shape)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints:
        aim_home(home, endpoints)
        flow = HookfuseFlow(home, conditions.processes, folder)
        flow.fill(count, INSTALLATIONS)
        seen = drain(flow, endpoints, count=count)
        flow.require_recorded(count)
    yield Reading("8-throughput", seen.per_s, empty.per_s)
    yield Reading("8-start", seen.arrived_s[0] - seen.started_s)
