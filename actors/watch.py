"""What a running system shows to those who watch it: metrics, health, readiness."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from actors.meters import Machinery, Meters
from actors.observer_server import Health, Observations, ObserverServer
from eventstore.clock import Clock
from eventstore.database import explained
from eventstore.errors import EventStoreError
from eventstore.readers import Readers
from eventstore.vital_signs import VitalSigns, read_vital_signs

if TYPE_CHECKING:
    from eventstore.redis_projection import RedisProjection

__all__ = ["Watch"]

# The loop looks around every [daemon] poll_s, a second at most.
_SILENT_S = 15.0


class Watch:
    """Knows how the system fares, and tells it on the endpoint's threads; it changes nothing."""

    def __init__(
        self,
        *,
        readers: Readers,
        clock: Clock,
        read_machinery: Callable[[], Machinery | None],
        failure: Callable[[], str],
        redis: "RedisProjection | None" = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meters = Meters()
        self._readers = readers
        self._clock = clock
        self._clock_s = clock_s
        self._read_machinery = read_machinery
        self._failure = failure
        self._redis = redis
        self._seen_s = clock_s()
        self._is_stopping = False
        self._server: ObserverServer | None = None

    def serve(self, host: str, port: int) -> int:
        """Listen, and give the port. Raises ConfigurationError."""
        self._server = ObserverServer(host, port, Observations(self.metrics, self.liveness, self.readiness))
        return self._server.port

    def note_alive(self) -> None:
        """Take down that the process's loop has come round."""
        self._seen_s = self._clock_s()

    def note_stopping(self) -> None:
        """From now on it is not ready: a load balancer is to look elsewhere."""
        self._is_stopping = True

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def metrics(self) -> bytes:
        """Give the metrics in Prometheus' text format. Raises DatabaseError."""
        return self.meters.expose(self._signs, self._read_machinery, self._redis_lag())

    def liveness(self) -> Health:
        """Say whether the process is worth keeping: its loop comes round, and no actor was given up."""
        silent_s = self._clock_s() - self._seen_s
        loop = "ok" if silent_s < _SILENT_S else f"has not come round for {silent_s:.0f} s"
        return Health({"loop": loop, "actors": self._failure() or "ok"})

    def readiness(self) -> Health:
        """Say whether it does its work: alive, not about to stop, and the database can be read."""
        checks = {**self.liveness().checks, "stopping": "yes" if self._is_stopping else "ok"}
        try:
            self._signs()
            checks["database"] = "ok"
        except EventStoreError as error:
            checks["database"] = str(error)
        return Health(checks)

    def _signs(self) -> VitalSigns:
        with self._readers.borrow() as connection, explained():
            return read_vital_signs(connection, self._clock.now())

    def _redis_lag(self) -> int | None:
        if self._redis is None:
            return None
        try:
            with self._readers.borrow() as connection:
                return self._redis.lag(connection)
        except EventStoreError:  # away: the projector has said so, and the gauge is not there
            return None
