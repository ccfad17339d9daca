"""The metrics, health and readiness of a running daemon, as its endpoint shows them."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from actors.observability.metrics import Metrics, Readings
from actors.observability.observer_server import Health
from actors.observability.process_stats import ProcessStats
from eventstore.common.clock import Clock
from eventstore.errors import EventStoreError, RedisAwayError
from eventstore.log.event_log import last_position
from eventstore.redis.stream_depth import StreamDepth
from eventstore.sqlite.database import explained, wal_bytes
from eventstore.sqlite.reader_pool import Readers
from eventstore.views.system_overview import SystemOverview, read_system_overview

if TYPE_CHECKING:
    from eventstore.redis.original_projection import RedisProjection

__all__ = ["HealthChecks", "HealthSource"]

# The loop looks around every [daemon] poll_s, a second at most.
_SILENT_S = 15.0


class HealthSource(Protocol):
    """Who does the daemon's work: the actors of this process, or a worker pool. Any thread may ask it."""

    @property
    def restarts(self) -> int: ...  # noqa: D102
    def process_stats(self) -> ProcessStats | None: ...  # noqa: D102
    def liveness(self) -> dict[str, str]: ...  # noqa: D102
    def readiness(self) -> dict[str, str]: ...  # noqa: D102


class HealthChecks:
    """Knows how a daemon fares, and tells it on the endpoint's threads; it changes nothing.

    `own` and `own_liveness`: the numbers of what counts for those who watch, which is not part of the work, and whether
    it is alive. `read_stream`: asks the stream that the queue is fed from.
    """

    def __init__(
        self,
        *,
        readers: Readers,
        clock: Clock,
        own: Callable[[], ProcessStats] = ProcessStats,
        own_liveness: Callable[[], dict[str, str]] = dict,
        redis: "RedisProjection | None" = None,
        read_stream: Callable[[], StreamDepth | None] = lambda: None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.metrics = Metrics()
        self._readers = readers
        self._clock = clock
        self._own = own
        self._own_liveness = own_liveness
        self._redis = redis
        self._read_stream = read_stream
        self._clock_s = clock_s
        self._seen_s = clock_s()
        self._subject: HealthSource | None = None
        self._is_stopping = False

    def show(self, subject: HealthSource) -> None:
        """From now on this one does the work."""
        self._subject = subject

    def note_alive(self) -> None:
        """Take down that the process's loop has come round."""
        self._seen_s = self._clock_s()

    def note_stopping(self) -> None:
        """From now on it is not ready: whoever sends work here is to look elsewhere."""
        self._is_stopping = True

    def expose(self) -> bytes:
        """Return the metrics in Prometheus' text format. Raises DatabaseError."""
        subject = self._subject
        process_stats = subject.process_stats() if subject is not None else None
        return self.metrics.expose(
            Readings(
                is_ready=self.readiness().is_good,
                signs=self._signs(),
                wal_bytes=wal_bytes(self._readers.path),
                process_stats=process_stats + self._own() if process_stats is not None else None,
                restarts=subject.restarts if subject is not None else 0,
                redis_lag=self._redis_lag(),
                stream=self._read_stream(),
            )
        )

    def liveness(self) -> Health:
        """Return whether the process is worth keeping: its loop comes round, and no actor was given up.

        A loop that stops what does the work does nothing else.
        """
        silent_s = self._clock_s() - self._seen_s
        is_round = self._is_stopping or silent_s < _SILENT_S
        loop = "ok" if is_round else f"has not come round for {silent_s:.0f} s"
        work = self._subject.liveness() if self._subject is not None else {}
        return Health({"loop": loop} | work | self._own_liveness())

    def readiness(self) -> Health:
        """Return whether it does its work: alive, started, not about to stop, and the database can be read."""
        checks = self.liveness().checks
        checks["start"] = "ok" if self._subject is not None else "not over yet"
        if self._subject is not None:
            checks |= self._subject.readiness()
        checks["stop"] = "under way" if self._is_stopping else "ok"
        try:
            with self._readers.borrow() as connection, explained():
                last_position(connection)
            checks["database"] = "ok"
        except EventStoreError as error:
            checks["database"] = str(error)
        return Health(checks)

    def _signs(self) -> SystemOverview:
        with self._readers.borrow() as connection, explained():
            return read_system_overview(connection, self._clock.now())

    def _redis_lag(self) -> int | None:
        if self._redis is None:
            return None
        try:
            with self._readers.borrow() as connection, explained():
                return self._redis.lag(connection)
        except RedisAwayError:  # the projector has said so already
            return -1
