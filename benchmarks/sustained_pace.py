"""The pace that a producer and the daemon sustain together, both at work on the same machine."""

import time

from benchmarks.conditions import Conditions
from benchmarks.drain import rate_per_s
from benchmarks.endpoints import Endpoints
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.latency import wait_for
from benchmarks.load import start_load
from benchmarks.receiver import Answering

__all__ = ["sustained_per_s"]

_SECONDS, _QUICK_SECONDS = 20, 8
# So few are queued at once as the paced producer does at a thousand a second, and so many wait that none is idle.
_BATCH, _WAITING = 5, 1000
# When so many have come, processes, threads and connections are there.
_STARTED, _START_LIMIT_S = 3000, 120.0
_CAPACITY = 1_000_000


def sustained_per_s(conditions: Conditions, answering: Answering, *, apps: int, settings: str) -> float:
    """Measure how many deliveries a second are answered with success while a producer queues as many.

    A backlog is worked off faster: it was queued in large batches, and nobody else wants the processors.
    """
    seconds = conditions.pick(_SECONDS, _QUICK_SECONDS)
    with conditions.scratch() as folder, Endpoints(folder, answering, capacity=_CAPACITY) as endpoints:
        flow = HookfuseFlow.on_new_home(folder, endpoints, processes=conditions.processes, apps=apps, settings=settings)
        options = {"seconds": _START_LIMIT_S + seconds, "count": _WAITING, "batch": _BATCH, "installations": apps}
        with flow.start() as daemon, start_load("live", flow.home, **options) as load:
            wait_for(endpoints, _STARTED, limit_s=_START_LIMIT_S)
            from_s = time.monotonic()
            time.sleep(seconds)
            to_s = time.monotonic()
            daemon.require_running()
            load.require_running()
        moments_s = sorted(arrival.at_s for arrival in endpoints.arrivals.read() if arrival.status == 200)
    return rate_per_s(moments_s, from_s, to_s)
