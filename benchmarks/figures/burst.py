"""Figure 10: a burst to one installation, and what the quiet ones beside it notice."""

from collections.abc import Iterator
from math import inf

from benchmarks.alert import INSTALLATIONS
from benchmarks.conditions import Conditions
from benchmarks.endpoints import Endpoints
from benchmarks.hookfuse_flow import HookfuseFlow
from benchmarks.latency import latencies_ms, wait_for
from benchmarks.load import run_load, start_load
from benchmarks.readings import Reading, percentile

__all__ = ["run_burst"]

_BURST = 100_000
_QUICK_BURST = 3000
_BURST_FIRST = 1_000_000
_QUIET_PER_S = 100
_SECONDS = 35
_QUICK_SECONDS = 8
_AFTER_S = 3.0
_LIMIT_S = 300.0


def run_burst(conditions: Conditions, _figures: frozenset[str]) -> Iterator[Reading]:
    """Pace deliveries to 499 installations, without and with a burst to the 500th beside them."""
    alone = _p99_ms(conditions, 0)
    yield Reading("10-p99", _p99_ms(conditions, conditions.pick(_BURST, _QUICK_BURST)), alone)


def _p99_ms(conditions: Conditions, burst: int) -> float:
    seconds = conditions.pick(_SECONDS, _QUICK_SECONDS)
    with conditions.scratch() as folder, Endpoints(folder) as endpoints:
        flow = HookfuseFlow.on_new_home(folder, endpoints, processes=conditions.processes, apps=INSTALLATIONS)
        with flow.start():
            started_s = flow.warm_up(endpoints, INSTALLATIONS)
            with start_load(
                "burst", flow.home, count=burst, first=_BURST_FIRST, installations=1, after_s=_AFTER_S
            ) as bursting:
                done = run_load(
                    "paced",
                    flow.home,
                    limit_s=seconds + _LIMIT_S,
                    per_s=_QUIET_PER_S,
                    seconds=seconds,
                    lowest=1,
                    installations=INSTALLATIONS - 1,
                )
                bursting.wait(_LIMIT_S)
            wait_for(endpoints, int(done["sent"]) + burst, from_s=started_s, limit_s=_LIMIT_S)
        arrivals = list(endpoints.arrivals.read())
    # Without a burst for the whole time; with one until the last of it has come.
    ended_s = max((one.at_s for one in arrivals if not one.path_number and one.queued_s > started_s), default=inf)
    quiet = [arrival for arrival in arrivals if arrival.path_number]
    return percentile(latencies_ms(quiet, from_s=started_s + _AFTER_S, to_s=ended_s), 99)
