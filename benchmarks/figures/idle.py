"""Figure 6: how soon an idle daemon sends what another process queues."""

from collections.abc import Iterator

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.endpoints import Endpoints
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.latency import latencies_ms, wait_for
from benchmarks.load import run_load
from benchmarks.readings import Reading, percentile

__all__ = ["run_idle"]

_PAUSE_S = 0.05
_LIMIT_S = 120.0


def run_idle(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Queue one delivery at a time, each to an installation whose actor is not there yet, as after an idle time."""
    count = conditions.pick(INSTALLATIONS - 1, 60)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints:
        flow = HookfuseFlow.on_new_home(folder, endpoints, processes=conditions.processes, apps=INSTALLATIONS)
        with flow.start():
            started_s = flow.warm_up(endpoints, 1)
            run_load("singles", flow.home, limit_s=_LIMIT_S, count=count, lowest=1, pause_s=_PAUSE_S)
            wait_for(endpoints, count, from_s=started_s, limit_s=_LIMIT_S)
        took_ms = latencies_ms(endpoints.healthy(), from_s=started_s)
    yield Reading("6-p50", percentile(took_ms, 50))
    yield Reading("6-p99", percentile(took_ms, 99))
