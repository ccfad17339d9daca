"""Watching a contender work a backlog off: how fast, and with how much CPU time."""

import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from benchmarks.endpoints import Endpoints
from benchmarks.process_group import BenchmarkError, ProcessGroup

__all__ = ["Contender", "Drain", "Sample", "drain", "middle", "rate_per_s"]

# Each look at /proc takes some milliseconds of a core.
_LOOK_S = 0.2
_STALLED_S = 60.0
# What comes before and after is starting and ending, not the pace.
_MIDDLE = (0.1, 0.9)


class Contender(Protocol):
    """What delivers: hookfuse, a peer, or bare loops."""

    name: str

    def fill(self, count: int, installations: int) -> None:
        """Queue so many deliveries, one to each installation in turn."""

    def start(self) -> ProcessGroup:
        """Start delivering."""


class Sample(NamedTuple):
    """CPU seconds used up to a moment."""

    at_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Drain:
    """What came to endpoints that answer, by time, and the CPU time of the contender and of the receiver."""

    started_s: float
    arrived_s: tuple[float, ...]
    samples: tuple[Sample, ...]
    server_samples: tuple[Sample, ...]
    receiver_samples: tuple[Sample, ...]

    @property
    def per_s(self) -> float:
        """Deliveries a second, in the middle of the run."""
        return rate_per_s(self.arrived_s, *middle(self.arrived_s))

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the contender for each delivery, in the middle of the run."""
        return _cpu_us(self.samples, self.arrived_s)

    @property
    def server_cpu_us(self) -> float:
        """CPU microseconds of its servers, such as Redis, for each delivery, in the middle of the run."""
        return _cpu_us(self.server_samples, self.arrived_s)

    @property
    def receiver_cpu_us(self) -> float:
        """CPU microseconds of the receiver for each request, in the middle of the run."""
        return _cpu_us(self.receiver_samples, self.arrived_s)

    def per_s_within(self, limit_s: float, *, expected: int) -> float:
        """Deliveries a second from the first one on, over so many seconds, or until nine tenths of all have come.

        Nothing is left out at the beginning: what stalls there counts.
        """
        first_s = self.arrived_s[0]
        enough = int(expected * _MIDDLE[1])
        end_s = first_s + limit_s
        if len(self.arrived_s) > enough:
            end_s = min(end_s, self.arrived_s[enough])
        return rate_per_s(self.arrived_s, first_s, end_s)


def middle(moments_s: Sequence[float]) -> tuple[float, float]:
    """Return the moments at which a tenth and nine tenths have come."""
    if len(moments_s) < 20:
        raise BenchmarkError(f"only {len(moments_s)} deliveries came: too few to measure a pace")
    first, last = (int(len(moments_s) * share) for share in _MIDDLE)
    return moments_s[first], moments_s[last]


def rate_per_s(moments_s: Sequence[float], from_s: float, to_s: float) -> float:
    """Count the moments of a window, its end left out, by the second."""
    return (bisect_left(moments_s, to_s) - bisect_left(moments_s, from_s)) / (to_s - from_s)


def _cpu_us(samples: Sequence[Sample], moments_s: Sequence[float]) -> float:
    from_s, to_s = middle(moments_s)
    used_s = _cpu_at(samples, to_s) - _cpu_at(samples, from_s)
    return used_s / (rate_per_s(moments_s, from_s, to_s) * (to_s - from_s)) * 1e6


def _cpu_at(samples: Sequence[Sample], at_s: float) -> float:
    """Return the CPU seconds at a moment between two samples."""
    index = min(max(1, bisect_left(samples, at_s, key=lambda sample: sample.at_s)), len(samples) - 1)
    before, after = samples[index - 1], samples[index]
    share = (at_s - before.at_s) / (after.at_s - before.at_s)
    return before.cpu_s + (after.cpu_s - before.cpu_s) * min(1.0, max(0.0, share))


def drain(
    contender: Contender,
    endpoints: Endpoints,
    *,
    count: int,
    limit_s: float = 600.0,
    servers: Sequence[ProcessGroup] = (),
) -> Drain:
    """Start a contender on what is queued, and watch it until `count` deliveries have come, or for `limit_s`.

    Raises BenchmarkError when it ends by itself before, or nothing comes for a long time.
    """
    watch = _Watch(endpoints, servers)
    with contender.start() as group:
        while not watch.look(group, count=count, limit_s=limit_s):
            time.sleep(_LOOK_S)
        watch.sample(group)
    return Drain(
        group.started_s,
        tuple(watch.arrived_s),
        tuple(watch.samples),
        tuple(watch.server_samples),
        tuple(watch.receiver_samples),
    )


class _Watch:
    """What was seen so far."""

    def __init__(self, endpoints: Endpoints, servers: Sequence[ProcessGroup]) -> None:
        self.arrived_s: list[float] = []
        self.samples: list[Sample] = []
        self.server_samples: list[Sample] = []
        self.receiver_samples: list[Sample] = []
        self._endpoints = endpoints
        self._servers = servers
        self._seen = 0
        self._progress_s = time.monotonic()

    def look(self, group: ProcessGroup, *, count: int, limit_s: float) -> bool:
        """Look once, and return whether it is over."""
        now_s = time.monotonic()
        if new := list(self._endpoints.arrivals.read(self._seen)):
            self._seen += len(new)
            self._progress_s = now_s
            self.arrived_s += (one.at_s for one in new if not self._endpoints.is_silent(one.path_number))
        is_over = len(self.arrived_s) >= count or (bool(self.arrived_s) and now_s > self.arrived_s[0] + limit_s)
        if not is_over:
            group.require_running()
        if now_s - self._progress_s > _STALLED_S:
            raise BenchmarkError(
                f"{group.name}: nothing came for {_STALLED_S:.0f} s, after {self._seen} requests{group.last_words()}"
            )
        self.sample(group)
        return is_over

    def sample(self, group: ProcessGroup) -> None:
        """Note the CPU times."""
        now_s = time.monotonic()
        self.samples.append(Sample(now_s, group.cpu_s()))
        self.receiver_samples.append(Sample(now_s, self._endpoints.process.cpu_s()))
        self.server_samples.append(Sample(now_s, sum(server.cpu_s() for server in self._servers)))
