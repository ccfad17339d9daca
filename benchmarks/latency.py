"""How long deliveries took, from the moment at which each was to be queued to its receipt."""

import time
from collections.abc import Iterable

from benchmarks.arrivals import Arrival
from benchmarks.endpoints import Endpoints
from benchmarks.process_group import BenchmarkError

__all__ = ["latencies_ms", "wait_for"]

_LOOK_S = 0.5


def latencies_ms(arrivals: Iterable[Arrival], *, from_s: float = 0.0, to_s: float = float("inf")) -> list[float]:
    """Return the milliseconds to the first receipt of each delivery that was to be queued between two moments."""
    first: dict[int, Arrival] = {}
    for arrival in arrivals:
        if from_s <= arrival.queued_s <= to_s:
            first.setdefault(arrival.number, arrival)
    return [arrival.latency_s * 1000 for arrival in first.values()]


def wait_for(endpoints: Endpoints, count: int, *, from_s: float = 0.0, limit_s: float) -> None:
    """Wait until so many different deliveries, queued from a moment on, have come to installations that answer.

    Raises BenchmarkError when they do not: what is not there has no latency, and would make the figure better.
    """
    end_s = time.monotonic() + limit_s
    while True:
        came = len({arrival.number for arrival in endpoints.healthy() if arrival.queued_s >= from_s})
        if came >= count:
            return
        if time.monotonic() > end_s:
            raise BenchmarkError(f"{count} deliveries were queued, and {came} came within {limit_s:.0f} s after")
        time.sleep(_LOOK_S)
