"""Figure 7: memory follows the active, not the installed."""

import time
from collections.abc import Iterator

from benchmarks.conditions import Conditions
from benchmarks.endpoints import Endpoints
from benchmarks.home_builder import build_home
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.latency import wait_for
from benchmarks.readings import Reading

__all__ = ["run_memory"]

_APPS = 1000
_ORGANIZATIONS = 100
_QUICK_ORGANIZATIONS = 5
_ACTIVE = 20_000
_QUICK_ACTIVE = 2000
_IDLE_S = 10
_LIMIT_S = 300.0


def run_memory(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Deliver one each to 20,000 of 100,000 installations, then let their actors be put away."""
    active = conditions.pick(_ACTIVE, _QUICK_ACTIVE)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints:
        home = build_home(
            folder / "home",
            endpoints,
            apps=_APPS,
            organizations=conditions.pick(_ORGANIZATIONS, _QUICK_ORGANIZATIONS),
            settings=f"\n[delivery]\nidle_s = {_IDLE_S}\n",
        )
        flow = HookfuseFlow(home, conditions.processes, folder)
        flow.fill(active, active)
        with flow.start() as daemon:
            wait_for(endpoints, active, limit_s=_LIMIT_S)
            peak_mb = max(memory.peak_mb for memory in daemon.memory())
            time.sleep(1.5 * _IDLE_S)
            yield Reading("7-peak", peak_mb)
            yield Reading("7-idle", max(memory.resident_mb for memory in daemon.memory()))
        flow.require_recorded(active)
